/*
 * compile: from the trace to programs: all four verbs on one screen.
 *
 * A program begins as a copy of the part of the trace that its outputs need, in the form that its
 * mode asks for. Training appends derivatives and updates. What comes after (passes, text, machine
 * code) is the engine's.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"
#include "frontend/onnx/onnx.h"
#include "passes/passes.h"

/* --- the part of the trace -----------------------------------------------------------------------
 */

struct part {
    tp_graph *g;
    const struct ir_graph *trace;
    tp_mode mode;
    bool *live;
    uint32_t *region_of; /* value -> the region of layers with two forms whose result it is */
};

static bool two_forms(const struct ir_region *r)
{
    return strcmp(r->name, "dropout") == 0 || strcmp(r->name, "batch_norm") == 0;
}

/* The batch_norm region that an assignment stands in, or 0. */
static uint32_t norm_of(const struct ir_graph *g, ir_val v)
{
    uint32_t r = ir_at(g, v)->region;

    while (r && strcmp(g->region[r].name, "batch_norm") != 0)
        r = g->region[r].parent;
    return r;
}

/* Everything that live values are made of; in evaluation a layer's other form needs its arguments.
 */
static void reach(struct part *p)
{
    for (uint32_t v = p->trace->count; v-- > 1;) {
        const struct ir_node *n = &p->trace->nodes[v];
        const struct ir_region *r = &p->trace->region[p->region_of[v]];

        if (!p->live[v])
            continue;
        if (p->mode == TP_EVAL && p->region_of[v])
            for (int i = 0; i < r->arity; i++)
                p->live[r->args[i].id] = true;
        else
            for (int i = 0; i < n->arity; i++)
                p->live[n->args[i].id] = true;
    }
}

static void mark(struct part *p, int n, const uint32_t *wanted, bool effects)
{
    const struct ir_graph *t = p->trace;
    bool more = true;

    for (uint32_t r = 1; r < t->regions; r++)
        if (two_forms(&t->region[r]))
            p->region_of[t->region[r].result.id] = r;
    p->region_of[0] = 0;
    for (int i = 0; i < n; i++)
        p->live[wanted[i]] = true;
    for (int i = 0; effects && i < t->effect_count; i++)
        p->live[t->effects[i].id] |= norm_of(t, t->effects[i]) == 0;
    while (more) { /* statistics run on where their layer is used */
        more = false;
        reach(p);
        for (int i = 0; effects && i < t->effect_count; i++) {
            uint32_t r = norm_of(t, t->effects[i]);
            if (r && p->live[t->region[r].result.id] && !p->live[t->effects[i].id])
                more = p->live[t->effects[i].id] = true;
        }
    }
}

static ir_val evaluated(struct ir_graph *to, const struct ir_region *r, const ir_val *moved)
{
    struct ir_norm n = { .x = moved[r->args[0].id] };
    double eps;

    if (strcmp(r->name, "dropout") == 0)
        return moved[r->args[r->arity - 1].id];
    if (r->arity == 5) {
        n.scale = moved[r->args[1].id];
        n.offset = moved[r->args[2].id];
    }
    n.mean = moved[r->args[r->arity - 2].id];
    n.variance = moved[r->args[r->arity - 1].id];
    memcpy(&eps, &r->attr.at[0], sizeof eps);
    return tp_batch_norm_eval(to, &n, eps, r->loc);
}

struct wanted tp_wanted(tp_graph *g, tp_list x, tp_list also)
{
    const size_t room = (size_t)(x.count + also.count + g->notices) + 1;
    struct wanted w = { .n = x.count + also.count,
                        .traced = ir_alloc(g->ir->arena, room * sizeof *w.traced),
                        .value = ir_alloc(g->ir->arena, room * sizeof *w.value),
                        .notice = ir_alloc(g->ir->arena, room * sizeof *w.notice) };

    for (int i = 0; i < w.n; i++)
        w.traced[i] = i < x.count ? x.at[i].id : also.at[i - x.count].id;
    return w;
}

struct ir_graph *tp_trace_part(tp_graph *g, const char *name, tp_mode mode, struct wanted *w,
                               bool effects)
{
    struct ir_graph *to = ir_graph_like(g->ir);
    struct part p = { .g = g, .trace = g->ir, .mode = mode };
    ir_val *moved = ir_moved(to, g->ir);

    to->name = name;
    p.live = ir_alloc(to->arena, g->ir->count * sizeof *p.live);
    p.region_of = ir_alloc(to->arena, g->ir->count * sizeof *p.region_of);
    mark(&p, w->n, w->traced, effects);
    tp_take_notices(g, p.live, w);
    reach(&p);
    for (uint32_t v = 1; v < g->ir->count; v++)
        if (p.live[v] && mode == TP_EVAL && p.region_of[v])
            moved[v] = evaluated(to, &g->ir->region[p.region_of[v]], moved);
        else if (p.live[v])
            moved[v] = ir_copy(to, g->ir, (ir_val){ v }, moved);
    ir_move_regions(to, g->ir, moved);
    for (int i = 0; i < w->n + w->notices; i++)
        w->value[i] = moved[w->traced[i]];
    return to;
}

/* --- what all verbs share ----------------------------------------------------------------------
 */

static bool begin(tp_graph *g, const char *what, tp_list outputs, tp_loc at)
{
    if (!tp_ready(g, at, what, outputs.count, outputs.at))
        return false;
    if (g->scopes) {
        tp_fail(g, at, what,
                "the scope \"%.60s\" is still open; tp_scope must not be left by break "
                "or return",
                g->scope);
        return false;
    }
    if (g->eager) {
        tp_fail(g, at, what, "the graph computes at once; expected one from tp_graph_new");
        return false;
    }
    for (int i = 0; i < outputs.count; i++)
        if (!outputs.at[i].g) {
            tp_fail(g, at, what, "output %d is a bare number; expected a tensor", i + 1);
            return false;
        }
    return true;
}

/* Programs may be made for less than a symbol allows: memory and schedule are for that extent. */
static bool narrow(tp_graph *g, struct ir_graph *graph, const char *what, int64_t batch, tp_loc at)
{
    if (batch == 0)
        return true;
    if (graph->symbols == 0 || batch < graph->symbol[0].lo || batch > graph->symbol[0].hi) {
        if (graph->symbols == 0)
            tp_fail(g, at, what, ".batch is %lld, but the graph has no symbol", (long long)batch);
        else
            tp_fail(g, at, what, ".batch is %lld; expected %lld to %lld, as %.40s was declared",
                    (long long)batch, (long long)graph->symbol[0].lo,
                    (long long)graph->symbol[0].hi, graph->symbol[0].name);
        return false;
    }
    graph->symbol[0].hi = batch;
    return true;
}

/* "loss, hits" -> the i-th name, where it is a plain word */
static const char *spelled(struct ir_graph *g, const char *text, int i)
{
    size_t length = 0;

    for (; text && i > 0 && *text; text++)
        i -= *text == ',';
    while (text && *text == ' ')
        text++;
    while (text && (text[length] == '_' || (text[length] >= 'a' && text[length] <= 'z') ||
                    (text[length] >= 'A' && text[length] <= 'Z') ||
                    (length && text[length] >= '0' && text[length] <= '9')))
        length++;
    return length && (text[length] == ',' || !text[length])
               ? ir_format(g->arena, "%.*s", (int)length, text)
               : NULL;
}

static void name_outputs(struct ir_graph *graph, int from, int n, const ir_val *values,
                         const char *names)
{
    bool plain = names && !strchr(names, '(');

    for (int i = 0; i < n; i++) {
        const char *name = plain ? spelled(graph, names, i) : NULL;
        ir_output(graph, name ? name : ir_format(graph->arena, "output_%d", from + i), values[i]);
    }
}

/* The counter of steps goes on in every program that reads it and changes something. */
static void count_steps(struct ir_graph *graph, ir_val steps)
{
    struct ir_loc at = ir_at(graph, steps)->loc;

    ir_assign(graph, steps, ir_op2(graph, IR_add, steps, ir_integer(graph, IR_I64, 1, at), at), at);
}

static ir_val find_counter(const struct ir_graph *graph)
{
    for (uint32_t v = 1; v < graph->count; v++)
        if (graph->nodes[v].op == IR_state && strcmp(graph->nodes[v].text, "taper.steps") == 0)
            return (ir_val){ v };
    return (ir_val){ 0 };
}

static tp_program *finish(tp_graph *g, struct ir_graph *graph, const uint32_t *traced,
                          struct making making)
{
    if (g->error.status == IR_OK)
        return tp_program_new(g, (struct ir_program){ .graph = graph }, traced, making);
    ir_graph_free(graph);
    tp_tell(g);
    return NULL;
}

/* The graph as it computes in bf16 or f16; values are f32 as before. */
static struct ir_graph *in_precision(struct ir_graph *graph, tp_dtype precision, int n,
                                     ir_val *values)
{
    struct ir_graph *to;
    ir_val *moved;

    if (precision == TP_DEFAULT || precision == TP_F32 || graph->error->status != IR_OK)
        return graph;
    to = pass_precision(graph, tp_ir_dtype(precision), &moved);
    to->name = graph->name;
    for (int i = 0; i < n; i++)
        values[i] = ir_cast(to, moved[values[i].id], ir_at(graph, values[i])->dtype,
                            ir_at(graph, values[i])->loc);
    ir_graph_free(graph);
    return to;
}

static bool good_precision(tp_graph *g, tp_dtype precision, const char *what, tp_loc at)
{
    if (precision == TP_DEFAULT || precision == TP_F32 || precision == TP_BF16 ||
        precision == TP_F16)
        return true;
    tp_fail(g, at, what, ".precision is %s; expected TP_F32, TP_BF16 or TP_F16",
            precision > TP_DEFAULT && precision <= TP_F64 ? ir_dtypes[precision - 1].name
                                                          : "no type");
    return false;
}

/* Programs that are only looked at are made for a GPU where the caller says so. */
static bool good_tf32(tp_graph *g, bool tf32, const char *device, const char *what, tp_loc at)
{
    if (!tf32 || g->no_engine || !tp_device_is_cpu(device))
        return true;
    tp_fail(g, at, what, ".tf32 is of a GPU's tensor cores; expected .device = \"cuda\" as well");
    return false;
}

static bool good_memory(tp_graph *g, int64_t memory, const char *what, tp_loc at)
{
    if (memory < 0)
        tp_fail(g, at, what, ".memory is %lld bytes; expected 1 or more, or 0 for no limit",
                (long long)memory);
    return memory >= 0;
}

/* --- any function ------------------------------------------------------------------------------
 */

tp_program *tp_compile_at(tp_graph *g, tp_list outputs, tp_compile_args args, tp_loc at)
{
    const char *what = args.names ? "tp_compile_eval" : "tp_compile";
    struct ir_graph *graph;
    struct wanted w;
    ir_val steps;

    if (!begin(g, what, outputs, at) || !good_precision(g, args.precision, what, at) ||
        !good_memory(g, args.memory, what, at) || !good_tf32(g, args.tf32, args.device, what, at))
        return NULL;
    w = tp_wanted(g, outputs, (tp_list){ 0 });
    graph = tp_trace_part(g, args.mode == TP_EVAL ? "eval" : "run", args.mode, &w,
                          args.mode == TP_TRAIN);
    graph = in_precision(graph, args.precision, w.n + w.notices, w.value);
    narrow(g, graph, what, args.batch, at);
    name_outputs(graph, 0, w.n, w.value, args.names);
    tp_name_notices(graph, &w, false);
    steps = find_counter(graph);
    if (steps.id && args.mode == TP_TRAIN && g->error.status == IR_OK)
        count_steps(graph, steps);
    return finish(g, graph, w.traced,
                  (struct making){ args.threads, args.memory, args.plan_only, args.check,
                                   args.device, args.tf32 });
}

/* --- a file for others -------------------------------------------------------------------------
 */

bool tp_export_named(tp_graph *g, int n, const tp_tensor *output, const char *const *name,
                     const char *path)
{
    struct wanted w = tp_wanted(g, (tp_list){ n, output }, (tp_list){ 0 });
    struct ir_graph *graph;

    w.notice = NULL;
    graph = tp_trace_part(g, "model", TP_EVAL, &w, false);
    for (int i = 0; i < n; i++)
        ir_output(graph, name[i], w.value[i]);
    if (g->error.status == IR_OK)
        tp_onnx_write(g, graph, path, &g->error);
    ir_graph_free(graph);
    return tp_tell(g);
}

bool tp_export_onnx_at(tp_graph *g, const char *path, tp_list outputs, const char *names, tp_loc at)
{
    const bool plain = names && !strchr(names, '(');
    const char **name;

    if (!begin(g, "tp_export_onnx", outputs, at))
        return false;
    if (!path || outputs.count < 1) {
        tp_fail(g, at, "tp_export_onnx", "%s; expected a path and an output",
                path ? "no output" : "no path");
        return false;
    }
    name = ir_alloc(g->ir->arena, ((size_t)outputs.count + 1) * sizeof *name);
    for (int i = 0; i < outputs.count; i++) {
        name[i] = plain ? spelled(g->ir, names, i) : NULL;
        if (!name[i])
            name[i] = ir_format(g->ir->arena, "output_%d", i);
    }
    return tp_export_named(g, outputs.count, outputs.at, name, path);
}

/* --- training ----------------------------------------------------------------------------------
 */

static struct trained find_trained(tp_graph *g, struct ir_graph *graph, const tp_opt *opt)
{
    struct trained t = { .parameter = ir_alloc(graph->arena, graph->count * sizeof(ir_val)) };

    for (uint32_t v = 1; v < graph->count; v++) {
        const struct ir_node *n = &graph->nodes[v];
        const struct state *s = n->op == IR_state ? tp_state_find(g, n->text) : NULL;

        if (s && s->kind == STATE_PARAMETER && !s->frozen && ir_dtypes[n->dtype].kind == 'f' &&
            !tp_opt_frozen(opt, n->text))
            t.parameter[t.count++] = (ir_val){ v };
    }
    t.gradient = ir_alloc(graph->arena, ((size_t)t.count + 1) * sizeof(ir_val));
    return t;
}

static bool good_training(const tp_train_args *a, tp_loc at)
{
    tp_graph *g = a->loss.g;
    const char *what = "tp_compile_train";

    if (!begin(g, what, (tp_list){ 1, &a->loss }, at) ||
        (a->also.count && !begin(g, what, a->also, at)))
        return false;
    if (tp_rank(a->loss) != 0 || ir_dtypes[tp_node(a->loss)->dtype].kind != 'f')
        tp_fail(g, at, what,
                "the loss is %s; expected a scalar of a floating type, as tp_mean gives",
                tp_describe(a->loss));
    else if (a->lr.kind == 0)
        tp_fail(g, at, what, "there is no rate; expected .lr = tp_const(1e-3) or another schedule");
    else if (!tp_schedule_good(&a->lr))
        tp_fail(
            g, at, what,
            "the rate is %g, has an infinite number or too many milestones; expected 0 or more, "
            "and at most %d",
            a->lr.from, TP_MILESTONES);
    else if (!good_precision(g, a->precision, what, at) || !good_memory(g, a->memory, what, at) ||
             !good_tf32(g, a->tf32, a->device, what, at))
        return false;
    else if (a->scale_every < 0 ||
             (a->loss_scale != 0 && !(a->loss_scale >= 0x1p-14 && a->loss_scale <= 0x1p40)))
        tp_fail(g, at, what,
                ".scale_every is %d, .loss_scale %g; expected 0 or more, and a scale of 2^-14 to "
                "2^40",
                a->scale_every, a->loss_scale);
    else if (a->accumulate < 0 || !(a->ema >= 0 && a->ema < 1))
        tp_fail(g, at, what, ".accumulate is %d, .ema %g; expected 0 or more runs, 0 <= ema < 1",
                a->accumulate, a->ema);
    return g->error.status == IR_OK;
}

tp_program *tp_compile_train_at(tp_train_args args, tp_loc at)
{
    tp_graph *g = args.loss.g;
    tp_opt opt = args.opt.filled ? args.opt : tp_sgd();
    struct update u = { .opt = &opt, .rate = &args.lr, .ema = args.ema };
    struct ir_graph *graph;
    struct trained t, plain;
    tp_program *p;
    struct wanted w;
    uint32_t before;

    if (!g || !good_training(&args, at))
        return NULL;
    w = tp_wanted(g, (tp_list){ 1, &args.loss }, args.also);
    graph = in_precision(tp_trace_part(g, "step", TP_TRAIN, &w, true), args.precision,
                         w.n + w.notices, w.value);
    u.graph = graph;
    u.at = tp_place(g, at);
    t = find_trained(g, graph, &opt);
    before = graph->count;
    plain = t; /* before they are clipped */
    plain.gradient = ir_alloc(graph->arena, ((size_t)t.count + 1) * sizeof(ir_val));
    if (t.count == 0)
        tp_fail(g, at, "tp_compile_train",
                "the loss depends on no parameter; expected one that is trained");
    const ir_val scale = tp_loss_scale(&u, &args);
    if (narrow(g, graph, "tp_compile_train", args.batch, at) && g->error.status == IR_OK &&
        pass_gradients(graph, 1, w.value, &scale, t.count, t.parameter, t.gradient)) {
        const ir_val runs = tp_counter(graph, u.at);

        tp_report_unreached(g, graph, &opt, &t, w.value[0], at);
        u.steps = runs;
        tp_unscale_gradients(&u, &t, scale);
        if (args.accumulate > 1)
            tp_gather_gradients(&u, &t, args.accumulate);
        memcpy(plain.gradient, t.gradient, (size_t)t.count * sizeof *t.gradient);
        tp_guard_update(&u, &t, &args, scale);
        tp_clip_gradients(graph, &t, &args, u.at);
        for (int i = 0; i < t.count; i++)
            if (!ir_is_number(graph, t.gradient[i], 0))
                tp_opt_update(&u, t.parameter[i], t.gradient[i]);
        count_steps(graph, runs);
    }
    if (g->error.status == IR_OK) {
        ir_output(graph, "loss", w.value[0]);
        name_outputs(graph, 1, w.n - 1, w.value + 1, NULL);
        tp_name_notices(graph, &w, args.probe);
        if (args.probe)
            tp_probe_step(graph, &plain, before, u.at);
    }
    p = finish(g, graph, w.traced,
               (struct making){ args.threads, args.memory, args.plan_only, args.check, args.device,
                                args.tf32 });
    if (p)
        p->rate_steps = tp_schedule_end(&args.lr) * (args.accumulate > 1 ? args.accumulate : 1);
    return p;
}

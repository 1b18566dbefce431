/*
 * schedule: tiles, lanes and threads for a plain loop nest, by rules over shapes, strides and the
 * target.
 *
 * Contractions are tiled for registers (schedule_contract.c), rows are kept in registers or walked
 * in strips (schedule_rows.c), and everything else goes in lanes along the axis in which its
 * results lie side by side. None of it changes a bit of the results: the order in which anything is
 * added stands in the loops' `ordered` axes and stays.
 */
#include "steps.h"

#include <stdlib.h>
#include <string.h>

/* measured: below this a second thread costs more than it brings */
#define SHARE_FLOPS 100e3
#define SHARE_BYTES 256e3

int64_t pass_rule(struct loop_kernel *k, enum loop_knob knob, int64_t by_rule)
{
    k->rule.of[knob] = (uint8_t)(by_rule < 255 ? by_rule : 255);
    return k->choice.of[knob] ? k->choice.of[knob] : by_rule;
}

static int by_kind(const void *key, const void *one)
{
    const uint64_t a = *(const uint64_t *)key, b = ((const struct pass_tuned *)one)->kind;

    return a < b ? -1 : a > b;
}

void pass_choose_schedule(struct loop_kernel *k, const struct pass_options *options)
{
    const struct pass_tuned *t = NULL;

    if (options->tuned_count && k->kind && !k->pieces)
        t = bsearch(&k->kind, options->tuned, (size_t)options->tuned_count, sizeof *t, by_kind);
    if (t)
        k->choice = t->choice;
}

bool pass_is_call(enum ir_op op)
{
    return ir_ops[op].text && strchr(ir_ops[op].text, '(');
}

static double weigh(struct loop_kernel *k, const struct loop_block *b, double times)
{
    double sum = 0;

    for (int i = 0; i < b->count; i++) {
        const struct loop_statement *s = b->at[i];
        const struct loop_axis *a = &k->axis[s->axis];
        if (s->kind == LOOP_FOR)
            sum += weigh(k, &s->body,
                         times * (a->step >= a->hi - a->lo ? 1 : (double)(a->hi - a->lo)));
        else if (s->kind == LOOP_LET || s->kind == LOOP_SET || s->kind == LOOP_FOLD)
            sum += times * (s->op == IR_dot       ? 2
                            : s->op == IR_const   ? 0
                            : pass_is_call(s->op) ? 12
                                                  : 1);
        else if (s->kind == LOOP_MULTIPLY)
            sum += times * (k->value[s->args[1]].dtype == IR_BF16 ? 32 : 16);
    }
    return sum;
}

void pass_weigh(struct loop_kernel *k)
{
    k->flops = weigh(k, &k->body, 1);
    k->bytes = 0;
    for (int i = 0; i < k->buffers; i++)
        k->bytes += (double)k->buffer[i].elements * ir_dtypes[k->buffer[i].dtype].bytes;
}

static bool is_heavy(const struct loop_kernel *k)
{
    return k->flops >= SHARE_FLOPS || k->bytes >= SHARE_BYTES;
}

static void decide_sharing(struct loop_kernel *k, struct loop_statement *loop)
{
    pass_weigh(k);
    k->shared =
        loop && k->axis[loop->axis].hi > 1 && pass_rule(k, LOOP_SHARED, is_heavy(k) ? 2 : 1) == 2;
    if (k->shared)
        k->axis[loop->axis].role = LOOP_PARALLEL;
}

static bool divides(const struct loop_kernel *k, const struct nest *n, int i)
{
    return k->axis[n->loop[i]->axis].role == LOOP_SERIAL && k->axis[n->loop[i]->axis].hi > 1;
}

/* the loop that threads divide: the outermost that has work for two, or that they divide already */
static struct loop_statement *outer_loop(struct loop_kernel *k)
{
    struct nest n = pass_nest(k);

    for (int i = 0; i < n.count; i++)
        if (k->axis[n.loop[i]->axis].role == LOOP_PARALLEL)
            return n.loop[i];
    for (int i = 0; i < n.count; i++)
        if (divides(k, &n, i))
            return pass_divided(k, n.loop[i]);
    return NULL;
}

struct loop_statement *pass_divided(struct loop_kernel *k, struct loop_statement *by_rule)
{
    struct nest n = pass_nest(k);
    int rule = 0, chosen;

    while (rule < n.count && n.loop[rule] != by_rule)
        rule++;
    if (rule == n.count)
        return by_rule;
    chosen = (int)pass_rule(k, LOOP_DIVIDED, rule + 1) - 1;
    return chosen < n.count && divides(k, &n, chosen) ? n.loop[chosen] : by_rule;
}

void pass_share(struct loop_kernel *k, struct loop_statement *loop)
{
    decide_sharing(k, loop ? loop : outer_loop(k));
}

/* ---- everything elementwise, and reductions whose results lie side by side ---- */

struct side { /* how well an axis does for lanes */
    struct loop_kernel *k;
    int axis;
    int stores, beside, broken;
};

static void look(struct loop_statement *s, void *with)
{
    struct side *side = with;
    bool linear;

    if (s->kind != LOOP_STORE && s->kind != LOOP_LOAD)
        return;
    int64_t step = pass_lane_step(side->k, s->ix, side->axis, &linear);
    if (s->kind == LOOP_STORE) {
        side->stores++;
        side->beside += linear && step == 1;
    }
    side->broken += !linear || (step != 0 && step != 1);
}

static struct loop_statement *lane_loop(struct loop_kernel *k, const struct nest *n)
{
    struct loop_statement *best = NULL;
    double least = 0;
    int rule = 0, chosen;

    for (int i = 0; i < n->count; i++) {
        struct side side = { .k = k, .axis = n->loop[i]->axis };
        const struct loop_axis *a = &k->axis[side.axis];
        if (a->hi < 2)
            continue;
        pass_each(n->inner, look, &side);
        /* lanes that are not filled, and loads that are not side by side, cost */
        double cost = (double)((a->hi + 15) / 16 * 16) / (double)a->hi *
                      (1 + side.broken + 2 * (side.stores - side.beside));
        if (!best || cost <= least) {
            best = n->loop[i];
            rule = i + 1;
            least = cost;
        }
    }
    chosen = best ? (int)pass_rule(k, LOOP_LANED, rule) - 1 : -1;
    return chosen >= 0 && chosen < n->count && k->axis[n->loop[chosen]->axis].hi > 1
               ? n->loop[chosen]
               : best;
}

static bool reduces(const struct loop_block *b)
{
    for (int i = 0; i < b->count; i++)
        if (b->at[i]->kind == LOOP_VAR)
            return true;
    return false;
}

/* what is read of a variable must be read between its updates: such a body cannot be written out
 * statement by statement */
static bool reads_variables(const struct loop_kernel *k, const struct loop_block *b)
{
    for (int i = 0; i < b->count; i++)
        for (int a = b->at[i]->kind == LOOP_SET ? 1 : 0; a < 3; a++)
            if (k->value[b->at[i]->args[a]].variable)
                return true;
    return false;
}

/* Short loops along a reduction inside the nest (the taps of a window) are written out, `most`
 * bodies in all. Gives how many one body of the block stands for, 0 where a real loop stays in it.
 */
int64_t pass_unroll_short(struct loop_kernel *k, struct loop_block *b, int64_t most)
{
    int64_t bodies = 1;

    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        int64_t extent;
        if (s->kind != LOOP_FOR)
            continue;
        struct loop_axis *a = &k->axis[s->axis];
        int64_t inner = pass_unroll_short(k, &s->body, most);
        if (a->role == LOOP_UNROLL || a->role == LOOP_VECTOR) {
            bodies = bodies && inner ? bodies * inner : 0;
            continue;
        }
        /* serial loops in unrolled ones are jammed, in the wrong order for a sum: only what has
         * none inside */
        if (a->ordered && inner && !s->guards && !reads_variables(k, &s->body) &&
            loop_is_const(k, a->to, &extent) && a->lo == 0 && extent == a->hi &&
            inner * a->hi <= most) {
            a->role = LOOP_UNROLL;
            bodies = bodies ? bodies * inner * a->hi : 0;
        } else {
            bodies = 0;
        }
    }
    return bodies;
}

/* A store inside of a reduction goes on from what was stored before (a scatter): in its order. */
static bool stores_in_order(const struct loop_kernel *k, const struct loop_block *b, bool ordered)
{
    for (int i = 0; i < b->count; i++) {
        const struct loop_statement *s = b->at[i];
        if (ordered && s->kind == LOOP_STORE)
            return true;
        if (s->kind == LOOP_FOR &&
            stores_in_order(k, &s->body, ordered || k->axis[s->axis].ordered))
            return true;
    }
    return false;
}

/* A sum over images that lie side by side: an image a lane, each summed by itself as the order
 * demands. */
struct across {
    struct loop_kernel *k;
    int axis;
    bool good;
};

static void look_across(struct loop_statement *s, void *with)
{
    struct across *a = with;
    bool linear;

    if (s->kind == LOOP_LOAD)
        a->good &= pass_lane_step(a->k, s->ix, a->axis, &linear) == 1 && linear;
}

static struct loop_statement *images(struct loop_kernel *k, struct loop_block *b)
{
    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        struct across a = { k, s->axis, false };
        if (s->kind != LOOP_FOR || !k->axis[s->axis].ordered || k->axis[s->axis].hi < LOOP_LANES)
            continue;
        for (int j = 0; j < s->body.count; j++)
            a.good |= s->body.at[j]->kind == LOOP_VAR;
        pass_each(&s->body, look_across, &a);
        if (a.good)
            return s;
    }
    return NULL;
}

/* Do images lie side by side along the axis, 16 and then 16 far from them? */
static void look_apart(struct loop_statement *s, void *with)
{
    struct across *a = with;
    bool linear;

    if (s->kind != LOOP_LOAD)
        return;
    loop_coefficient(a->k, s->ix, a->axis, &linear);
    a->good &= linear;
}

/* Four vectors at a time hide the latency of one sum. What a turn runs on for must be near: whole
 * blocks of images are not. */
static int64_t lanes_at_once(struct loop_kernel *k, const struct loop_statement *lanes,
                             struct loop_block *inner)
{
    const int64_t blocks = (k->axis[lanes->axis].hi + LOOP_LANES - 1) / LOOP_LANES;
    struct across a = { k, lanes->axis, true };

    if (!reduces(inner) || k->axis[lanes->axis].hi < 64)
        return LOOP_LANES;
    pass_each(inner, look_apart, &a);
    const int64_t most = a.good || blocks % 4 == 0 ? 4
                         : blocks % 2 == 0         ? 2
                                                   : 1,
                  vectors = pass_rule(k, LOOP_SUMS, most);
    return LOOP_LANES * (vectors < most && vectors != 3 ? vectors : most);
}

static void elementwise(struct loop_kernel *k)
{
    struct nest n;

    pass_sink(k);
    n = pass_nest(k);
    struct loop_statement *sums = images(k, n.inner);
    if (sums) {
        int lane = pass_split(k, sums, LOOP_LANES);
        k->axis[lane].role = LOOP_VECTOR;
        pass_share(k, NULL);
        return;
    }
    for (int i = pass_nest(k).count - 2; i >= 0; i--)
        pass_flatten(k, i, true);
    n = pass_nest(k);
    struct loop_statement *lanes = lane_loop(k, &n);
    if (lanes) {
        int axis;
        pass_inward(k, lanes);
        n = pass_nest(k);
        lanes = n.loop[n.count - 1];
        pass_unroll_short(k, n.inner, pass_rule(k, LOOP_BODIES, 16));
        int64_t by = lanes_at_once(k, lanes, n.inner);
        if (by > LOOP_LANES) {
            axis = pass_split(k, lanes, by);
            lanes = lanes->body.at[0];
            axis = pass_split(k, lanes, LOOP_LANES);
            k->axis[lanes->axis].role = LOOP_UNROLL;
        } else {
            axis = pass_split(k, lanes, LOOP_LANES);
        }
        k->axis[axis].role = LOOP_VECTOR;
    }
    pass_share(k, NULL);
}

/* A condition around a loop that differs between the copies of an unrolled loop goes to the updates
 * inside. */
static void add_guard(struct loop_kernel *k, struct loop_block *b, struct loop_guard g)
{
    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        add_guard(k, &s->body, g);
        if (s->kind != LOOP_SET)
            continue;
        loop_add_guard(k, s, g);
    }
}

static void settle_guards(struct loop_kernel *k, struct loop_block *b, uint64_t unrolled)
{
    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        struct loop_statement all = *s;
        if (s->kind != LOOP_FOR)
            continue;
        s->guards = 0;
        for (int g = 0; g < all.guards; g++) {
            const struct loop_guard *one = &all.guard[g];
            if ((loop_axes_of(k, one->ix) | loop_axes_of(k, one->limit)) & unrolled)
                add_guard(k, &s->body, *one);
            else
                loop_add_guard(k, s, *one);
        }
        enum loop_role role = k->axis[s->axis].role;
        settle_guards(k, &s->body,
                      role == LOOP_UNROLL || role == LOOP_VECTOR ? unrolled | UINT64_C(1) << s->axis
                                                                 : unrolled);
    }
}

static bool choose(struct loop_kernel *k, const struct pass_options *options)
{
    struct nest n = pass_nest(k);

    for (int i = 0; i < n.inner->count; i++) {
        struct loop_statement *s = n.inner->at[i];
        if (s->kind == LOOP_FOR && k->axis[s->axis].role == LOOP_UNROLL &&
            !k->axis[s->axis].ordered) {
            if (!pass_vectorise_rows(k, s))
                return false;
            pass_share(k, NULL);
            return true;
        }
    }
    if (stores_in_order(k, n.inner, false))
        pass_share(k, NULL);
    else if (!pass_tile_contraction(k, options))
        elementwise(k);
    return true;
}

/* Nest by nest, each as if it were alone; but threads share all of them or none. */
static bool choose_all(struct loop_kernel *k, const struct pass_options *options)
{
    const struct loop_block all = k->body;
    struct loop_block done = { 0 };
    struct loop_axis *outer[LOOP_AXES];
    int pieces = 0;
    bool shared = true;

    if (!k->pieces)
        return choose(k, options);
    for (int i = 0; i < all.count; i++) {
        k->body = (struct loop_block){ 0 };
        struct loop_statement *s = loop_add(k, &k->body, *all.at[i]);
        if (s->kind == LOOP_FOR) {
            if (!choose(k, options))
                return false;
            struct loop_statement *loop = outer_loop(k);
            shared = shared && loop;
            outer[pieces++] = loop ? &k->axis[loop->axis] : NULL;
        }
        for (int j = 0; j < k->body.count; j++)
            loop_add(k, &done, *k->body.at[j]);
    }
    k->body = done;
    k->rule = (struct loop_choice){ { 0 } }; /* of which nest? */
    pass_weigh(k);
    k->shared = shared && is_heavy(k);
    for (int i = 0; i < pieces; i++)
        if (outer[i])
            outer[i]->role = k->shared ? LOOP_PARALLEL : LOOP_SERIAL;
    return true;
}

/* a statement that knows its node: it gives the message its place */
static const struct loop_statement *placed(const struct loop_block *b)
{
    const struct loop_statement *found = NULL;

    for (int i = 0; i < b->count && !found; i++)
        found = b->at[i]->node.id && b->at[i]->loc.file ? b->at[i] : placed(&b->at[i]->body);
    return found;
}

static bool refuse(const struct loop_kernel *k, struct ir_error *error, const char *what)
{
    const struct loop_statement *s = placed(&k->body);

    if (!s)
        return ir_error(error, IR_UNSUPPORTED, "kernel %.80s %s", k->name, what);
    return ir_error(error, IR_UNSUPPORTED, "%.80s:%d: %s: kernel %.80s %s", s->loc.file,
                    s->loc.line, ir_ops[ir_at(k->graph, s->node)->op].name, k->name, what);
}

static bool has_scratch(const struct loop_kernel *k)
{
    for (int i = 0; i < k->buffers; i++)
        if (k->buffer[i].scratch)
            return true;
    return false;
}

bool pass_schedule(struct loop_kernel *k, const struct pass_options *options,
                   struct ir_error *error)
{
    bool gpu = options->target->processors;

    if (k->call)
        return !gpu ||
               ir_error(error, IR_UNSUPPORTED, "custom: %.60s, a C function, does not run on %s",
                        k->call->name, options->target->name);
    if (k->mark)
        return true;
    if (gpu && has_scratch(k)) /* its threads are too many for a piece each */
        return refuse(k, error,
                      "needs memory of its own for each row, which is not made for GPUs yet");
    if (gpu ? !pass_schedule_cuda(k, options) : !choose_all(k, options))
        return refuse(k, error,
                      "walks through its rows too often; expected some of its sums in a kernel of "
                      "their own");
    if (!gpu) {
        settle_guards(k, &k->body, 0);
        loop_depends(k);
    }
    if (k->tangled)
        return refuse(k, error,
                      "reads through so many views that an index has too many terms; expected one "
                      "of the views to be stored");
    loop_assert(k, "schedule");
    return true;
}

/*
 * simplify: the same values, bit for bit, by fewer nodes.
 *
 * One walk in the order of definition. Whatever a rule writes goes through the rules again, so when
 * the walk has passed a node, its value is as simple as the rules can make it. The rules of
 * rules.def are formulas; their patterns are read into a graph of their own, and a node matches a
 * pattern when it has the pattern's shape of arguments.
 */
#include "passes/simplify.h"

#include <string.h>

static const struct text_rule {
    char types;
    const char *pattern, *replacement;
} texts[] = {
#define RULE(types, pattern, replacement) { #types[0], pattern, replacement },
#include "passes/rules.def"
#undef RULE
};
enum { TEXTS = sizeof texts / sizeof *texts, DEEPEST = 200 };

struct pass_rules { /* by number, in the graph of patterns */
    ir_val pattern[TEXTS], replacement[TEXTS];
    int first[IR_OPS], next[TEXTS]; /* rules whose pattern is that op; -1: no more */
};

/* p and q are inputs of type bool, the other letters of f32, which stands for any number. */
static const struct pass_rules *read_rules(struct pass_simple *s)
{
    struct pass_rules *rules = ir_alloc(s->scratch, sizeof *rules);
    struct ir_loc nowhere = { 0 };
    ir_val name[26] = { 0 };

    s->patterns = ir_graph_new("rules", NULL);
    for (const char *c = "abcpq"; *c; c++)
        name[*c - 'a'] = ir_input(s->patterns, (char[]){ *c, 0 }, *c >= 'p' ? IR_BOOL : IR_F32,
                                  (struct ir_shape){ 0 }, nowhere);
    for (int op = 0; op < IR_OPS; op++)
        rules->first[op] = -1;
    for (int i = TEXTS; i-- > 0;) {
        enum ir_op op;

        rules->pattern[i] = ir_formula(s->patterns, texts[i].pattern, name, nowhere);
        rules->replacement[i] = ir_formula(s->patterns, texts[i].replacement, name, nowhere);
        if (s->patterns->error->status)
            ir_bug("rules.def: %s", s->patterns->error->text);
        op = ir_at(s->patterns, rules->pattern[i])->op;
        rules->next[i] = rules->first[op];
        rules->first[op] = i;
    }
    return rules;
}

/* --- matching
 * --------------------------------------------------------------------------------------- */

static bool type_fits(char types, char letter, char kind)
{
    if (letter >= 'p')
        return kind == 'b';
    return types == 'A' || (types == 'N' && kind != 'b') || (types == 'F' && kind == 'f') ||
           (types == 'I' && kind != 'f' && kind != 'b');
}

static bool match(struct pass_simple *s, const struct text_rule *rule, ir_val pattern, ir_val v,
                  ir_val bound[26])
{
    const struct ir_node *p = ir_at(s->patterns, pattern), *n = ir_at(s->out, v);

    if (p->op == IR_input) {
        ir_val *letter = &bound[p->text[0] - 'a'];

        if (letter->id)
            return letter->id == v.id;
        *letter = v;
        return type_fits(rule->types, p->text[0], ir_dtypes[n->dtype].kind);
    }
    if (p->op == IR_const)
        return ir_is_number(s->out, v, ir_number_of(p));
    if (p->op != n->op)
        return false;
    for (int i = 0; i < n->arity; i++)
        if (!match(s, rule, p->args[i], n->args[i], bound))
            return false;
    return true;
}

/* The replacement's nodes; its numbers are of the type of what is replaced. */
static ir_val write(struct pass_simple *s, ir_val replacement, enum ir_dtype type,
                    const ir_val bound[26])
{
    const struct ir_node *r = ir_at(s->patterns, replacement);
    ir_val args[3];

    if (r->op == IR_input)
        return bound[r->text[0] - 'a'];
    if (r->op == IR_const)
        return ir_number(s->out, type, ir_number_of(r), s->at->loc);
    for (int i = 0; i < r->arity; i++)
        args[i] = write(s, r->args[i], type, bound);
    return pass_simple_op(s, r->op, r->arity, args, NULL);
}

static ir_val by_text(struct pass_simple *s, const struct ir_node *n)
{
    const struct pass_rules *rules = s->rules;

    for (int i = rules->first[n->op]; i >= 0; i = rules->next[i]) {
        const struct ir_node *p = ir_at(s->patterns, rules->pattern[i]);
        ir_val bound[26] = { 0 };
        bool fits = true;

        for (int k = 0; fits && k < n->arity; k++)
            fits = match(s, &texts[i], p->args[k], n->args[k], bound);
        if (fits)
            return write(s, rules->replacement[i], n->dtype, bound);
    }
    return (ir_val){ 0 };
}

/* --- pointwise rows
 * ----------------------------------------------------------------------------------- */

static bool constant(const struct ir_graph *g, ir_val v)
{
    while (ir_at(g, v)->op == IR_expand || ir_at(g, v)->op == IR_reshape)
        v = ir_at(g, v)->args[0];
    return ir_at(g, v)->op == IR_const;
}

/* Numbers on the right; else the older value on the left, so that a * b and b * a are one node. */
static void order_arguments(struct pass_simple *s, struct ir_node *n, ir_val args[2])
{
    ir_val kept = n->args[0];

    switch (n->op) {
    case IR_add:
    case IR_mul:
    case IR_and:
    case IR_or:
    case IR_xor:
    case IR_eq:
    case IR_ne:
        break;
    default:
        return;
    }
    if (constant(s->out, n->args[0]) != constant(s->out, n->args[1])
            ? constant(s->out, n->args[1])
            : n->args[0].id <= n->args[1].id)
        return;
    args[0] = n->args[1];
    args[1] = kept;
    n->args = args;
}

/* v without the repetitions that broadcasting makes anyway */
static ir_val bare(const struct ir_graph *g, ir_val v)
{
    for (;;) {
        const struct ir_node *n = ir_at(g, v), *a = n->arity ? ir_at(g, n->args[0]) : NULL;
        int more = a ? n->shape.rank - a->shape.rank : 0;
        bool leading = n->op == IR_reshape && more > 0;

        for (int i = 0; leading && i < n->shape.rank; i++)
            leading = n->shape.dim[i] == (i < more ? 1 : a->shape.dim[i - more]);
        if (n->op != IR_expand && !leading)
            return v;
        v = n->args[0];
    }
}

/* Computes before repeating: exp(expand(row)) is expand(exp(row)). */
static ir_val before_expanding(struct pass_simple *s, const struct ir_node *n)
{
    struct ir_node draft = *n;
    ir_val args[3];
    bool less = false;

    for (int i = 0; i < n->arity; i++) {
        args[i] = bare(s->out, n->args[i]);
        less |= args[i].id != n->args[i].id;
    }
    if (!less)
        return (ir_val){ 0 };
    draft.args = args;
    return pass_simple(s, draft);
}

/* x / 2^k is x * 2^-k: both are the nearest to one real number. */
static ir_val by_reciprocal(struct pass_simple *s, const struct ir_node *n)
{
    int64_t bits, exponent, limit = n->dtype == IR_F64 ? 1022 : n->dtype == IR_F16 ? 14 : 126;
    const struct ir_node *b;
    ir_val divisor;

    if (n->op != IR_div || ir_dtypes[n->dtype].kind != 'f')
        return (ir_val){ 0 };
    b = ir_at(s->out, bare(s->out, n->args[1]));
    if (b->op != IR_const)
        return (ir_val){ 0 };
    bits = b->attr[0].at[0];
    exponent = (bits >> 52 & 0x7ff) - 1023;
    if (bits & 0xfffffffffffff || exponent < -limit || exponent > limit)
        return (ir_val){ 0 };
    divisor = ir_number(s->out, n->dtype, 1 / ir_number_of(b), s->at->loc);
    return pass_simple_op(s, IR_mul, 2, (ir_val[]){ n->args[0], divisor }, NULL);
}

/* --- one node
 * --------------------------------------------------------------------------------------- */

static ir_val rewritten(struct pass_simple *s, struct ir_node *n)
{
    ir_val r = { 0 };

    if (ir_pointwise(n->op)) {
        r = before_expanding(s, n);
        r = r.id ? r : pass_fold(s, n);
        r = r.id ? r : by_text(s, n);
        r = r.id ? r : by_reciprocal(s, n);
    }
    return r.id ? r : pass_simple_structural(s, n);
}

ir_val pass_simple(struct pass_simple *s, struct ir_node draft)
{
    ir_val args[2], r = { 0 };

    for (int i = 0; i < draft.arity; i++)
        if (draft.args[i].id == 0)
            return draft.args[i];
    if (!ir_infer(s->out, &draft))
        return r;
    if (++s->depth > DEEPEST)
        ir_bug("simplify: the rules for %s go round", ir_ops[draft.op].name);
    order_arguments(s, &draft, args);
    r = rewritten(s, &draft);
    if (r.id == 0)
        r = ir_add(s->out, &draft);
    else
        r = pass_simple_expand(s, r, draft.shape);
    s->depth--;
    return r;
}

ir_val pass_simple_op(struct pass_simple *s, enum ir_op op, int arity, const ir_val *args,
                      const struct ir_list *attr)
{
    struct ir_node n = {
        .op = op, .arity = arity, .args = args, .loc = s->at->loc, .name = s->at->name
    };

    for (int i = 0; attr && i < ir_attributes(op); i++)
        n.attr[i] = attr[i];
    return pass_simple(s, n);
}

static ir_val to_shape(struct pass_simple *s, enum ir_op op, ir_val a, struct ir_shape to)
{
    if (a.id == 0 || ir_same_shape(&ir_at(s->out, a)->shape, &to))
        return a;
    return pass_simple_op(s, op, 1, &a, &(struct ir_list){ to.rank, to.dim });
}

ir_val pass_simple_reshape(struct pass_simple *s, ir_val a, struct ir_shape to)
{
    return to_shape(s, IR_reshape, a, to);
}

ir_val pass_simple_expand(struct pass_simple *s, ir_val a, struct ir_shape to)
{
    return to_shape(s, IR_expand, a, to);
}

/* --- the graph
 * -------------------------------------------------------------------------------------- */

/* Without what the rules left behind. Inputs stay: they are what the program is called with. */
static struct ir_graph *prune(struct ir_graph *in, struct ir_arena *scratch)
{
    struct ir_graph *out = ir_graph_like(in);
    bool *live = ir_live(in, scratch);
    ir_val *moved = ir_alloc(scratch, in->count * sizeof *moved);

    for (uint32_t v = 1; v < in->count; v++)
        if (live[v] || in->nodes[v].op == IR_input)
            moved[v] = ir_copy(out, in, (ir_val){ v }, moved);
    ir_move_outputs(out, in, moved);
    ir_move_regions(out, in, moved);
    return out;
}

static uint32_t *count_readers(const struct ir_graph *g, const bool *live, struct ir_arena *scratch)
{
    uint32_t *readers = ir_alloc(scratch, g->count * sizeof *readers);

    for (uint32_t v = 1; v < g->count; v++)
        for (int i = 0; live[v] && i < g->nodes[v].arity; i++)
            readers[g->nodes[v].args[i].id]++;
    for (int i = 0; i < g->output_count; i++)
        readers[g->outputs[i].value.id]++;
    return readers;
}

static struct ir_graph *simplify(const struct ir_graph *in)
{
    struct ir_arena *scratch = ir_arena_new();
    bool *live = ir_live(in, scratch);
    ir_val *moved = ir_alloc(scratch, in->count * sizeof *moved);
    struct pass_simple s = { .in = in, .moved = moved, .scratch = scratch };
    struct ir_graph *pruned;

    s.out = ir_graph_like(in);
    s.readers = count_readers(in, live, scratch);
    s.rules = read_rules(&s);
    for (uint32_t v = 1; v < in->count; v++) {
        struct ir_node draft = in->nodes[v];
        ir_val *args;

        if (!live[v] && draft.op != IR_input)
            continue;
        args = ir_alloc(scratch, ((size_t)draft.arity + 1) * sizeof *args);
        for (int i = 0; i < draft.arity; i++)
            args[i] = moved[draft.args[i].id];
        draft.args = args;
        s.at = &in->nodes[v];
        s.out->region_now = draft.region;
        moved[v] = pass_simple(&s, draft);
    }
    s.out->region_now = 0;
    ir_move_outputs(s.out, in, moved);
    ir_move_regions(s.out, in, moved);
    pruned = prune(s.out, scratch);
    ir_graph_free(s.out);
    ir_graph_free(s.patterns);
    ir_arena_free(scratch);
    return pruned;
}

struct ir_graph *pass_simplify(const struct ir_graph *in)
{
    struct ir_graph *trimmed = pass_trim_scans(in), *out = simplify(trimmed ? trimmed : in);

    ir_graph_free(trimmed);
    return out;
}

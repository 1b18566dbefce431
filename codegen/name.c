/*
 * name: what things are called in the text.
 *
 * Names come from the user's program and from files: what they become is a word of letters, digits
 * and _ that no language means otherwise. A value of the kernel has a name for every index of the
 * unrolled loops that it depends on: its instances.
 */
#include "codegen.h"

#include <ctype.h>
#include <string.h>

/* words of C and of CUDA's C++, and what generated text itself uses: between two blanks each */
static const char reserved[] = " alignas alignof and and_eq asm auto bitand bitor bool break case "
                               "catch char char16_t char32_t class compl concept const "
                               "const_cast constexpr continue decltype default delete do double "
                               "dynamic_cast else enum explicit export extern false float for "
                               "friend goto if inline int long mutable namespace new noexcept not "
                               "not_eq nullptr operator or or_eq private protected public "
                               "register reinterpret_cast requires restrict return short signed "
                               "sizeof static static_assert static_cast struct switch template "
                               "this thread_local throw true try typedef typeid typename typeof "
                               "union unsigned using virtual void volatile wchar_t while xor "
                               "xor_eq linux unix threadIdx blockIdx blockDim gridDim warpSize "
                               "f32 f64 i32 u32 i64 u64 u8 i8 base dims thread threads block arena "
                               "state gate lane row run floor_div barrier main ";

/* functions of the prelude end with a type: load_f32x16, exp_f32, cos_large_f64x16 */
static bool is_function(const char *name)
{
    static const char *const types[] = { "f32", "f64", "i32", "u32", "i64", "u64", "u8", "i8" };
    const char *tail = strrchr(name, '_');

    tail = tail ? tail + 1 : name;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t length = strlen(types[i]);
        if (!strncmp(tail, types[i], length) && (!tail[length] || tail[length] == 'x'))
            return true;
    }
    return false;
}

const char *gen_identifier(struct ir_arena *arena, const char *name, const char *otherwise)
{
    char *text;

    if (!name || !*name)
        return otherwise;
    text = ir_format(arena, "%s%.60s", isalpha((unsigned char)*name) || *name == '_' ? "" : "v_",
                     name);
    for (char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            *c = '_';
    return strstr(reserved, ir_format(arena, " %s ", text)) || is_function(text)
               ? ir_format(arena, "%s_", text)
               : text;
}

const char *gen_function(struct ir_arena *arena, const struct loop_kernel *k)
{
    return k->function ? gen_identifier(arena, k->function, k->name) : k->name;
}

const char *gen_launched(struct ir_arena *arena, const struct loop_program *p,
                         const struct loop_launch *l)
{
    return l->name ? l->name : gen_function(arena, loop_function(p->kernel[l->kernel[0]]));
}

const char *gen_symbol(struct ir_arena *arena, const struct ir_graph *g, int symbol)
{
    const char *name = gen_identifier(arena, g->symbol[symbol].name, "n");

    for (int i = 0; i < symbol; i++)
        if (!strcmp(gen_identifier(arena, g->symbol[i].name, "n"), name))
            return ir_format(arena, "%s_%d_", name, symbol);
    return name;
}

const char *gen_place(struct ir_arena *arena, struct ir_loc loc, const char *name)
{
    const char *file = loc.file ? strrchr(loc.file, '/') : NULL;
    char *text;

    if (!loc.file && !name)
        return NULL;
    file = file ? file + 1 : loc.file;
    if (loc.file)
        text =
            ir_format(arena, "%.60s:%d%s%.60s", file, loc.line, name ? " " : "", name ? name : "");
    else
        text = ir_format(arena, "%.60s", name);
    for (char *c = text; *c;
         c++) /* names come from files: nothing that ends a comment or starts a line */
        if (!isprint((unsigned char)*c) || *c == '\\' || *c == '?' || (c[0] == '*' && c[1] == '/'))
            *c = '_';
    return text;
}

/* ---- instances ---- */

void gen_call_it(struct gen *e, uint32_t value, const char *name)
{
    struct gen_alias a = { .value = value, .name = name, .before = e->newest[value] };

    for (int u = 0; u < e->unrolls; u++)
        a.index[u] = e->at[e->unrolled[u]];
    ir_grow(e->arena, e->alias, e->aliases, e->alias_room);
    e->newest[value] = e->aliases;
    e->alias[e->aliases++] = a;
}

/* names end with the block they were made in */
void gen_forget_names(struct gen *e, int kept)
{
    while (e->aliases > kept) {
        const struct gen_alias *a = &e->alias[--e->aliases];
        e->newest[a->value] = a->before;
    }
}

/* is it the name of a buffer or an axis? */
static bool taken(const struct gen *e, const char *name)
{
    for (int i = 0; i < e->k->buffers; i++)
        if (!strcmp(e->buffer[i], name))
            return true;
    for (int i = 0; i < e->k->axes; i++)
        if (!strcmp(e->axis[i], name))
            return true;
    return false;
}

/* what becomes of a variable: a sum, max, and .., or "kept" where another value replaces it;
 * NULL: nothing in this block */
static const char *changed(const struct loop_block *block, uint32_t value)
{
    const char *found = NULL;

    for (int i = 0; i < block->count && !found; i++) {
        const struct loop_statement *s = block->at[i];
        if (s->kind == LOOP_FOR)
            found = changed(&s->body, value);
        else if (s->kind == LOOP_SET && s->args[0] == value)
            found = s->op == IR_add || s->op == IR_dot ? "sum"
                    : s->op == IR_POISON               ? "kept"
                                                       : ir_ops[s->op].name;
    }
    return found;
}

/* a fresh name: what it is, its number, and the indices of the unrolled loops that it differs by */
const char *gen_new_name(struct gen *e, const struct loop_statement *s)
{
    const bool loads = s->kind == LOOP_LOAD || s->kind == LOOP_FRAGMENT;
    const char *what = loads ? e->buffer[s->buffer] : NULL;
    struct ir_text text = { 0 };
    uint64_t depends = e->k->value[s->value].depends;

    if (s->kind == LOOP_LET)
        what = s->op == IR_POISON ? "at" : s->op == IR_const ? "number" : ir_ops[s->op].name;
    if (s->kind == LOOP_VAR)
        what = changed(&e->k->body, s->value);
    if (!what)
        what = "sum";
    if (s->kind == LOOP_FOLD)
        what = s->op == IR_add ? "total" : ir_ops[s->op].name;
    const char *tail = strrchr(what, '_');
    if (loads && tail && tail[1] >= 'a' && tail[1] <= 'z')
        what = tail + 1; /* fc1_weight -> weight */
    int letters = (int)strnlen(what, 12);
    while (letters > 0 &&
           strchr("0123456789_", what[letters - 1])) /* the number begins where the word ends */
        letters--;
    ir_put(&text, "%.*s%u", letters ? letters : 1, letters ? what : "v", s->value);
    for (int u = 0; u < e->unrolls; u++)
        if (depends >> e->unrolled[u] & 1)
            ir_put(&text, "_%d", e->at[e->unrolled[u]]);
    while (taken(e, text.data) || is_function(text.data))
        ir_put(&text, "_");
    const char *kept = ir_format(e->arena, "%s", text.data);
    ir_text_free(&text);
    gen_call_it(e, s->value, kept);
    return kept;
}

bool gen_is_vector(const struct gen *e, uint32_t value)
{
    return e->vector >= 0 && (e->k->value[value].depends >> e->vector & 1);
}

static const char *alias_of(const struct gen *e, uint32_t value)
{
    for (int i = e->newest[value]; i >= 0; i = e->alias[i].before) {
        const struct gen_alias *a = &e->alias[i];
        bool same = true;
        for (int u = 0; u < e->unrolls && same; u++)
            if (e->k->value[value].depends >> e->unrolled[u] & 1)
                same = a->index[u] == e->at[e->unrolled[u]];
        if (same)
            return a->name;
    }
    return NULL;
}

const char *gen_name(struct gen *e, uint32_t value)
{
    const char *name = alias_of(e, value);

    if (!name)
        ir_bug("kernel %s uses value %u before it is made", e->k->name, value);
    if (!e->lane || !gen_is_vector(e, value))
        return name;
    /* truth is all ones in a lane, 1 alone */
    return ir_format(e->arena, e->k->value[value].dtype == IR_BOOL ? "(%s[%s] & 1)" : "%s[%s]",
                     name, e->lane);
}

const char *gen_operand(struct gen *e, uint32_t value, bool vector)
{
    const char *name = gen_name(e, value);

    if (vector && !e->lane && !gen_is_vector(e, value)) {
        enum ir_dtype dtype = e->k->value[value].dtype;
        if (dtype == IR_BOOL)
            return ir_format(e->arena, "splat_i32x16(-%s)", name);
        return ir_format(e->arena, "splat_%s(%s)", gen_type(e, dtype, true), gen_bare(e, name));
    }
    return name;
}

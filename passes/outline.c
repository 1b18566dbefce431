/*
 * outline: equal kernels are one function.
 *
 * A network repeats its layers, and so its kernels: loop nests that are equal but for names and
 * for which values their buffers hold. Lowering numbers everything in the order in which it comes,
 * so equal nests are equal word for word: what is written down of a plain nest here is all that
 * schedule looks at. Only the first of its kind is scheduled and spelled; the others are shadows of
 * it with buffers of their own.
 */
#include "outline.h"

#include <ctype.h>
#include <string.h>

/* --- a plain nest, word for word -----------------------------------------------------------------
 */

struct words {
    struct ir_arena *arena;
    uint64_t *at;
    int count, room;
};

static void put(struct words *w, uint64_t word)
{
    ir_grow(w->arena, w->at, w->count, w->room);
    w->at[w->count++] = word;
}

static void put_double(struct words *w, double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof bits);
    put(w, bits);
}

static void put_indices(struct words *w, const struct loop_kernel *k)
{
    put(w, k->atoms);
    for (uint32_t i = 0; i < k->atoms; i++) {
        put(w, (uint64_t)k->atom[i].kind << 32 | k->atom[i].a);
        put(w, (uint64_t)k->atom[i].divisor);
        put(w, (uint64_t)k->atom[i].dim);
    }
    put(w, k->sums);
    for (uint32_t i = 0; i < k->sums; i++) {
        put(w, (uint64_t)k->sum[i].count);
        put(w, (uint64_t)k->sum[i].constant);
        for (int t = 0; t < k->sum[i].count; t++) {
            put(w, (uint64_t)k->sum[i].term[t].scale);
            put(w, k->sum[i].term[t].atom);
        }
    }
}

static void put_block(struct words *w, const struct loop_block *block)
{
    put(w, (uint64_t)block->count);
    for (int i = 0; i < block->count; i++) {
        const struct loop_statement *s = block->at[i];
        put(w, (uint64_t)s->kind << 48 | (uint64_t)s->op << 32 | (uint64_t)s->dtype << 16 |
                   (uint64_t)s->guards);
        put(w, (uint64_t)s->value << 32 | s->args[0]);
        put(w, (uint64_t)s->args[1] << 32 | s->args[2]);
        put_double(w, s->number);
        put(w, (uint64_t)s->integer);
        put(w, (uint64_t)s->ix << 32 | s->ix2);
        put(w, (uint64_t)(uint32_t)s->buffer << 32 | (uint32_t)s->buffer2);
        put(w, (uint64_t)s->pitch);
        put(w, (uint64_t)s->pitch2);
        put(w, s->over);
        put(w, (uint64_t)(uint32_t)s->axis);
        for (int g = 0; g < s->guards; g++)
            put(w, (uint64_t)s->guard[g].ix << 32 | s->guard[g].limit);
        put_block(w, &s->body);
    }
}

static void put_kernel(struct words *w, const struct loop_kernel *k)
{
    put(w, (uint64_t)k->axes);
    for (int i = 0; i < k->axes; i++) {
        const struct loop_axis *a = &k->axis[i];
        put(w, (uint64_t)a->role << 1 | a->ordered);
        put(w, (uint64_t)a->from << 32 | a->to);
        put(w, (uint64_t)a->step);
        put(w, (uint64_t)a->lo);
        put(w, (uint64_t)a->hi);
    }
    put(w, (uint64_t)k->buffers);
    for (int i = 0; i < k->buffers; i++) {
        const struct loop_buffer *b = &k->buffer[i];
        put(w, (uint64_t)b->dtype << 4 | (uint64_t)b->written << 3 | (uint64_t)b->read << 2 |
                   (uint64_t)b->scratch << 1 | b->padded);
        put(w, (uint64_t)b->elements);
    }
    put(w, k->values);
    for (uint32_t i = 0; i < k->values; i++) {
        put(w, (uint64_t)k->value[i].dtype << 2 | (uint64_t)k->value[i].variable << 1 |
                   k->value[i].bounded);
        put(w, (uint64_t)k->value[i].lo);
        put(w, (uint64_t)k->value[i].hi);
    }
    put_indices(w, k);
    put_block(w, &k->body);
}

/* --- those that have been seen -------------------------------------------------------------------
 */

struct kind { /* of kernels */
    uint64_t hash;
    const uint64_t *word;
    int words;
    struct loop_kernel *first;
};
struct pass_outline {
    struct ir_arena *arena;
    struct words words; /* of the kernel at hand */
    struct kind *kind;
    int kinds, room;
    int *slot, slots; /* a hash of numbers plus one; slots: a power of two */
};

struct pass_outline *pass_outline_new(struct ir_arena *arena, int kernels)
{
    struct pass_outline *o = ir_alloc(arena, sizeof *o);

    o->arena = o->words.arena = arena;
    for (o->slots = 64; o->slots < 2 * kernels;)
        o->slots *= 2;
    o->slot = ir_alloc(arena, (size_t)o->slots * sizeof *o->slot);
    return o;
}

/* The scheduled kernel as the plain one would have become: its own names, values and comment. */
static struct loop_kernel *like(struct pass_outline *o, struct loop_kernel *first,
                                const struct loop_kernel *plain)
{
    struct loop_kernel *k = loop_shadow(first, o->arena);

    k->name = plain->name;
    k->comment = plain->comment ? ir_format(o->arena, "%s", plain->comment) : NULL;
    k->first = first;
    k->users = 0;
    first->users++;
    k->buffer = ir_alloc(o->arena, ((size_t)k->buffers + 1) * sizeof *k->buffer);
    if (k->buffers)
        memcpy(k->buffer, first->buffer, (size_t)k->buffers * sizeof *k->buffer);
    k->buffer_room = k->buffers;
    for (int i = 0; i < plain->buffers; i++) {
        k->buffer[i].name = plain->buffer[i].name;
        k->buffer[i].value = plain->buffer[i].value;
    }
    return k;
}

struct loop_kernel *pass_outline_find(struct pass_outline *o, struct loop_kernel *plain)
{
    struct words *w = &o->words;
    uint64_t hash = UINT64_C(0xcbf29ce484222325), *kept;
    int at;

    if (plain->mark || plain->call)
        return NULL;
    w->count = 0;
    put_kernel(w, plain);
    for (int i = 0; i < w->count; i++) {
        hash = (hash ^ w->at[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    for (at = (int)(hash & (uint64_t)(o->slots - 1)); o->slot[at]; at = (at + 1) & (o->slots - 1)) {
        const struct kind *kind = &o->kind[o->slot[at] - 1];
        if (kind->hash == hash && kind->words == w->count &&
            !memcmp(kind->word, w->at, (size_t)w->count * sizeof *w->at))
            return like(o, kind->first, plain);
    }
    kept = ir_alloc(o->arena, (size_t)w->count * sizeof *kept);
    memcpy(kept, w->at, (size_t)w->count * sizeof *kept);
    ir_grow(o->arena, o->kind, o->kinds, o->room);
    o->kind[o->kinds++] = (struct kind){ hash, kept, w->count, plain };
    o->slot[at] = o->kinds;
    plain->users = 1;
    plain->kind = hash ? hash : 1;
    return NULL;
}

/* --- what their functions are called -------------------------------------------------------------
 */

enum { WORDS = 24 };

/* "layer1_0_conv1" -> 3 words, which end where the next begins or at the end */
static int split(const char *name, const char *word[WORDS + 1])
{
    int words = 0;

    while (*name && words < WORDS) {
        word[words++] = name;
        name += strcspn(name, "_");
        name += strspn(name, "_");
    }
    word[words] = name;
    return words;
}

static bool same_word(const char *const *a, const char *const *b)
{
    const size_t length = strcspn(*a, "_");

    return length == strcspn(*b, "_") && !memcmp(*a, *b, length);
}

/* The most words, in their order, that two names have in common:
 * layer1_0_conv1_conv, layer1_2_conv2_conv -> layer1_conv. */
const char *pass_outline_common(struct ir_arena *arena, const char *first, const char *second)
{
    const char *a[WORDS + 1], *b[WORDS + 1];
    const int m = split(first, a), n = split(second, b);
    int most[WORDS + 1][WORDS + 1] = { { 0 } }; /* in common from words i and j on */
    struct ir_text text = { 0 };
    const char *kept;

    if (!strcmp(first, second))
        return first;
    for (int i = m; i-- > 0;)
        for (int j = n; j-- > 0;) {
            most[i][j] = most[i + 1][j] > most[i][j + 1] ? most[i + 1][j] : most[i][j + 1];
            if (same_word(&a[i], &b[j]) && most[i + 1][j + 1] >= most[i][j])
                most[i][j] = most[i + 1][j + 1] + 1;
        }
    for (int i = 0, j = 0; i < m && j < n;)
        if (same_word(&a[i], &b[j]) && most[i][j] == most[i + 1][j + 1] + 1) {
            ir_put(&text, "%s%.*s", text.size ? "_" : "", (int)strcspn(a[i], "_"), a[i]);
            i++, j++;
        } else if (most[i + 1][j] >= most[i][j + 1]) {
            i++;
        } else {
            j++;
        }
    kept = ir_format(arena, "%s", text.size ? text.data : "");
    ir_text_free(&text);
    return kept;
}

static bool is_taken(const struct loop_program *p, const char *name)
{
    for (int i = 0; i < p->kernels; i++) {
        const struct loop_kernel *k = p->kernel[i];
        const char *called = k->users > 1 ? k->function : k->name;
        if (!k->first && called && !strcmp(called, name))
            return true;
    }
    for (int i = 0; i < p->launches; i++)
        if (p->launch[i].name && !strcmp(p->launch[i].name, name))
            return true;
    return false;
}

const char *pass_outline_unique(const struct loop_program *p, const char *name)
{
    const char *unique = name;

    for (int tail = 2; is_taken(p, unique); tail++)
        unique = ir_format(p->arena, "%s_%d", name, tail);
    return unique;
}

void pass_outline_name(struct loop_program *p)
{
    const char **common = ir_alloc(p->arena, ((size_t)p->kernels + 1) * sizeof *common);

    for (int k = 0; k < p->kernels; k++) { /* the first gathers what all that follow it share */
        struct loop_kernel *first = p->kernel[k]->first;
        if (first)
            first->function =
                first->function ? pass_outline_common(p->arena, first->function, p->kernel[k]->name)
                                : pass_outline_common(p->arena, first->name, p->kernel[k]->name);
    }
    for (int k = 0; k < p->kernels; k++)
        if (p->kernel[k]->users > 1) {
            common[k] = p->kernel[k]->function;
            p->kernel[k]->function = NULL;
        }
    for (int k = 0; k < p->kernels; k++) {
        struct loop_kernel *first = p->kernel[k];
        const char *word = common[k];
        if (!word)
            continue;
        if (!isalpha((unsigned char)*word)) /* they have nothing in common */
            word = first->name;
        if (!strchr(word, '_')) /* one word may be a function that the text calls: atan2 */
            word = ir_format(p->arena, "%s_all", word);
        first->function = pass_outline_unique(p, word);
    }
}

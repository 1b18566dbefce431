/*
 * Memory that is freed all at once. Chunks come from calloc, so what was never written is zero and
 * costs no page; nothing moves once it is handed out.
 *
 * Only here and in text.c does the library end the process for want of memory: a graph is small
 * next to the arrays it describes (those are asked for elsewhere, and there a refusal is an error).
 */
#include "ir/ir.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (32 << 10) /* the first; each next one twice as large, up to 64 times */

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(16) char data[];
};

struct ir_arena {
    struct chunk *first; /* the one that has room */
    size_t grow;
    struct ir_arena *adopted, *sibling; /* freed with this one; the next that its owner adopted */
};

struct ir_arena *ir_arena_new(void)
{
    struct ir_arena *arena = calloc(1, sizeof *arena);

    if (!arena)
        ir_bug("no memory for an arena");
    arena->grow = CHUNK;
    return arena;
}

void ir_arena_free(struct ir_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *c = arena->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (struct ir_arena *a = arena->adopted, *next; a; a = next) {
        next = a->sibling;
        ir_arena_free(a);
    }
    free(arena);
}

void ir_arena_adopt(struct ir_arena *arena, struct ir_arena *child)
{
    child->sibling = arena->adopted;
    arena->adopted = child;
}

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = size < SIZE_MAX / 2 ? calloc(1, sizeof *c + size) : NULL;

    if (!c)
        ir_bug("no memory for %zu bytes of a graph", size);
    c->size = size;
    return c;
}

void *ir_alloc(struct ir_arena *arena, size_t bytes)
{
    struct chunk *c = arena->first;
    void *at;

    if (bytes > SIZE_MAX / 4)
        ir_bug("%zu bytes asked for", bytes);
    bytes = (bytes + 15) & ~(size_t)15;
    if (!c || c->size - c->used < bytes) {
        if (c && bytes > arena->grow / 4) { /* a large one of its own, behind the one with room */
            struct chunk *own = chunk_new(bytes);
            own->used = bytes;
            own->next = c->next;
            c->next = own;
            return own->data;
        }
        c = chunk_new(bytes > arena->grow ? bytes : arena->grow);
        c->next = arena->first;
        arena->first = c;
        if (arena->grow < (size_t)CHUNK * 64)
            arena->grow *= 2;
    }
    at = c->data + c->used;
    c->used += bytes;
    return at;
}

/* A copy of the array with room for more. The old one stays in the arena: all old ones together are
 * as large as the new one. */
void *ir_enlarge(struct ir_arena *arena, const void *array, size_t count, size_t room, size_t size)
{
    void *larger = ir_alloc(arena, room * size);

    if (array && count)
        memcpy(larger, array, count * size);
    return larger;
}

char *ir_format(struct ir_arena *arena, const char *format, ...)
{
    struct ir_text text = { 0 };
    va_list list;
    char *kept;

    va_start(list, format);
    ir_put_list(&text, format, list);
    va_end(list);
    kept = ir_alloc(arena, text.size + 1);
    if (text.size)
        memcpy(kept, text.data, text.size);
    ir_text_free(&text);
    return kept;
}

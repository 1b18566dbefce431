/*
 * unused: numbers that a kernel's text names and then does not need are left out.
 *
 * An instance of an unrolled loop may have conditions that never hold; what was loaded for it alone
 * is known to be idle only when all is spelled. Uses come after definitions, so one walk from the
 * last line to the first finds what feeds nothing but idle lines too.
 */
#include "codegen.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct line {
    const char *start;
    int size, depth; /* depth: blanks before it */
    bool idle;
};

static bool letter(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool holds(const struct line *l, const char *word, int size)
{
    const char *end = l->start + l->size;

    for (const char *at = l->start + l->depth; at + size <= end; at++) {
        at = memchr(at, word[0], (size_t)(end - at));
        if (!at || at + size > end)
            return false;
        if (memcmp(at, word, (size_t)size) == 0 && !letter(at[-1]) && !letter(at[size]))
            return true;
    }
    return false;
}

/* The name that a line `const f32x16 x2 = ...;` or `f32 sum3 = ...;` defines, and its length; 0: it
 * is another line. */
static int defined(const struct line *l, const char **name)
{
    static const char word[] = "const ";
    const char *at = l->start + l->depth, *end = l->start + l->size, *equal;

    if (end - at > (int)sizeof word && memcmp(at, word, sizeof word - 1) == 0)
        at += sizeof word - 1;
    for (; at < end && letter(*at); at++) /* its type */
        ;
    *name = ++at;
    for (equal = at; equal < end && letter(*equal); equal++)
        ;
    return equal + 3 < end && memcmp(equal, " = ", 3) == 0 ? (int)(equal - at) : 0;
}

static int split(const struct ir_text *text, struct line *lines)
{
    int count = 0;

    for (const char *at = text->data, *end = at + text->size; at < end; count++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        next = next ? next + 1 : end;
        if (lines)
            lines[count] = (struct line){ at, (int)(next - at), (int)strspn(at, " "), false };
        at = next;
    }
    return count;
}

void gen_drop_unused(struct ir_text *text, struct ir_arena *arena)
{
    const int count = split(text, NULL);
    struct line *lines = ir_alloc(arena, (size_t)(count + 1) * sizeof *lines);
    struct ir_text kept = { 0 };

    split(text, lines);
    for (int i = count; i-- > 0;) {
        const char *name;
        const int size = defined(&lines[i], &name);
        bool used = size == 0;
        for (int j = i + 1; j < count && !used && lines[j].depth >= lines[i].depth; j++)
            used = !lines[j].idle && holds(&lines[j], name, size);
        lines[i].idle = !used;
    }
    for (int i = 0; i < count; i++)
        if (!lines[i].idle)
            ir_put_bytes(&kept, lines[i].start, (size_t)lines[i].size);
    ir_put(&kept, "%s", "");
    ir_text_free(text);
    *text = kept;
}

/*
 * maths.c: pick from the texts prelude*.h and maths*.h what a program uses.
 *
 * A text is a list of definitions, parted by empty lines. A line that starts with three slashes
 * says for which languages and lane types those after it are:  /// C, CUDA: f32x16 f32; sin cos
 * They are written for the first type; the others, and each NAME after the semicolon, are made
 * by renaming. A definition is printed when its name occurs in what has to be printed.
 */
#include "codegen/maths_select.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern const char gen_text_prelude[], gen_text_prelude_float[], gen_text_prelude_lanes[],
    gen_text_maths_f64[], gen_text_maths[], gen_text_maths_angle[];
/* each uses only what stands before it */
static const char *const texts[] = { gen_text_prelude,       gen_text_prelude_float,
                                     gen_text_prelude_lanes, gen_text_maths_f64,
                                     gen_text_maths,         gen_text_maths_angle };

/* what becomes of the type names of a definition when it is made for another type */
static const struct lane_type {
    const char *name, *element, *mask, *mask_element, *whole, *lanes;
} types[] = {
    { "f32x16", "f32", "i32x16", "i32", "u32x16", "x16" },
    { "i32x16", "i32", "i32x16", "i32", "u32x16", "x16" },
    { "u32x16", "u32", "i32x16", "i32", "u32x16", "x16" },
    { "u8x16", "u8", "i8x16", "i8", "u8x16", "x16" },
    { "i8x16", "i8", "i8x16", "i8", "u8x16", "x16" },
    { "u16x16", "u16", "i16x16", "i16", "u16x16", "x16" },
    { "i16x16", "i16", "i16x16", "i16", "u16x16", "x16" },
    { "f64x16", "f64", "i64x16", "i64", "u64x16", "x16" },
    { "i64x16", "i64", "i64x16", "i64", "u64x16", "x16" },
    { "u64x16", "u64", "i64x16", "i64", "u64x16", "x16" },
    { "f64x8", "f64", "i64x8", "i64", "u64x8", "x8" },
    { "i64x8", "i64", "i64x8", "i64", "u64x8", "x8" },
    { "u64x8", "u64", "i64x8", "i64", "u64x8", "x8" },
    { "f32", "f32", "i32", "i32", "u32", "" },
    { "i32", "i32", "i32", "i32", "u32", "" },
    { "u32", "u32", "i32", "i32", "u32", "" },
    { "u8", "u8", "i32", "i32", "u8", "" },
    { "i8", "i8", "i32", "i32", "u8", "" },
    { "u16", "u16", "i32", "i32", "u16", "" },
    { "i16", "i16", "i32", "i32", "u16", "" },
    { "f64", "f64", "i64", "i64", "u64", "" },
    { "i64", "i64", "i64", "i64", "u64", "" },
    { "u64", "u64", "i64", "i64", "u64", "" },
};

enum { NAME_SIZE = 64, TYPES = 24 };

/* a stretch of text that is not ended by a zero */
struct span {
    const char *start;
    size_t size;
};

/* one definition for one type and one NAME */
struct entry {
    char name[NAME_SIZE];
    struct span text, word;
    const struct lane_type *from, *to;
    bool wanted;
};

/* the entries in the order of the texts, and where to find one by the hash of its name */
struct table {
    struct entry *entries;
    size_t count, room;
    uint32_t *slots; /* number of an entry plus one, 0: free */
    uint32_t mask;
};

static bool equal(const struct span a, const char *b)
{
    return strncmp(b, a.start, a.size) == 0 && b[a.size] == '\0';
}

static const struct lane_type *type_of(const struct span name)
{
    if (name.size < 2 || !isdigit((unsigned char)name.start[1]))
        return NULL; /* most words */
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (equal(name, types[i].name))
            return &types[i];
    return NULL;
}

/* The next word of letters, digits and underscores at or after `at`, before `end`. */
static struct span next_word(const char *at, const char *end)
{
    struct span word = { at, 0 };
    while (word.start < end && !isalnum((unsigned char)*word.start) && *word.start != '_')
        word.start++;
    while (word.start + word.size < end &&
           (isalnum((unsigned char)word.start[word.size]) || word.start[word.size] == '_'))
        word.size++;
    return word;
}

/* Appends to a name of bounded size. */
static void append(char *name, const char *text, const size_t size)
{
    const size_t used = strlen(name), room = NAME_SIZE - 1 - used;
    memcpy(name + used, text, size < room ? size : room);
    name[used + (size < room ? size : room)] = '\0';
}

/* The type `name`, as it stands in a definition for e->from, in the one for e->to. */
static void rename_type(const struct entry *e, const struct span name, char *out)
{
    const struct lane_type *const from = e->from, *const to = e->to;
    const size_t lanes = strlen(from->lanes);

    if (equal(name, from->name))
        append(out, to->name, strlen(to->name));
    else if (equal(name, from->mask))
        append(out, to->mask, strlen(to->mask));
    else if (equal(name, from->element))
        append(out, to->element, strlen(to->element));
    else if (equal(name, from->whole))
        append(out, to->whole, strlen(to->whole));
    else if (equal(name, from->mask_element))
        append(out, to->mask_element, strlen(to->mask_element));
    else if (name.size > lanes && memcmp(name.start + name.size - lanes, from->lanes, lanes) == 0) {
        append(out, name.start, name.size - lanes);
        append(out, to->lanes, strlen(to->lanes));
    } else
        append(out, name.start, name.size);
}

/* A word of the definition as the entry has it: its parts between underscores are renamed. */
static void rename_word(const struct entry *e, const struct span word,
                        const enum gen_language language, char *out)
{
    static const char name[] = "NAME";

    out[0] = '\0';
    if (language == GEN_CUDA && equal(word, "inline")) {
        append(out, "__device__ __forceinline__", 26);
        return;
    }
    if (e->to && equal(word, "LANES")) {
        append(out, e->to->lanes[0] ? e->to->lanes + 1 : "1", strlen(e->to->lanes));
        return;
    }
    for (size_t at = 0; at < word.size;) {
        size_t size = 0;
        while (at + size < word.size && word.start[at + size] != '_')
            size++;
        const struct span part = { word.start + at, size };
        if (e->word.size && size >= sizeof name - 1 &&
            memcmp(part.start, name, sizeof name - 1) == 0) {
            append(out, e->word.start, e->word.size);
            append(out, part.start + sizeof name - 1, size - (sizeof name - 1));
        } else if (e->to && type_of(part))
            rename_type(e, part, out);
        else
            append(out, part.start, size);
        at += size;
        if (at < word.size)
            append(out, word.start + at++, 1);
    }
}

/* The word that a definition defines; vector_size where it is a pragma for them. */
static struct span defined_word(const struct span text)
{
    static const char vectors[] = "vector_size";
    const char *line = text.start, *const end = text.start + text.size;
    while (line < end && (line[0] == '/' || line[0] == ' ')) { /* its comment */
        const char *next = memchr(line, '\n', (size_t)(end - line));
        line = next ? next + 1 : end;
    }
    struct span last = { line, 0 }, word = next_word(line, end);
    if (equal(word, "pragma"))
        return (struct span){ vectors, sizeof vectors - 1 };
    if (equal(word, "define"))
        return next_word(word.start + word.size, end);
    for (; word.size; word = next_word(word.start + word.size, end)) {
        if (equal(word, "__attribute__"))
            break;
        last = word;
        if (word.start[word.size] == '(' || word.start[word.size] == ';')
            break;
    }
    return last;
}

static bool add(struct table *t, struct entry e, const enum gen_language language)
{
    if (t->count == t->room) {
        const size_t room = t->room ? 2 * t->room : 256;
        struct entry *const more = realloc(t->entries, room * sizeof *more);
        if (!more)
            return false;
        t->entries = more, t->room = room;
    }
    rename_word(&e, defined_word(e.text), language, e.name);
    t->entries[t->count++] = e;
    return true;
}

/* `/// C, CUDA: f32x16 f32; sin cos`: which types, which names, and is it for this language? */
struct heading {
    const struct lane_type *types[TYPES];
    struct span names[32];
    size_t type_count, name_count;
    bool ours;
};

static struct heading read_heading(const char *line, const char *end,
                                   const enum gen_language language)
{
    struct heading h = { .ours = false };
    const char *const colon = memchr(line, ':', (size_t)(end - line));
    const char *const semicolon = memchr(line, ';', (size_t)(end - line));

    for (struct span w = next_word(line, end); w.size; w = next_word(w.start + w.size, end)) {
        if (!colon || w.start < colon)
            h.ours |= equal(w, language == GEN_C ? "C" : "CUDA");
        else if (!semicolon || w.start < semicolon) {
            if (h.type_count < TYPES)
                h.types[h.type_count++] = type_of(w);
        } else if (h.name_count < sizeof h.names / sizeof h.names[0])
            h.names[h.name_count++] = w;
    }
    return h;
}

/* Reads one text into the table. */
static bool read_text(struct table *t, const char *text, const enum gen_language language)
{
    struct heading h = { .ours = false };

    for (const char *at = text; *at;) {
        const char *const gap = strstr(at, "\n\n");
        const char *const end = gap ? gap + 1 : at + strlen(at);
        if (strncmp(at, "///", 3) == 0)
            h = read_heading(at, end, language);
        else if (h.ours)
            for (size_t i = 0; i < (h.type_count ? h.type_count : 1); i++)
                for (size_t k = 0; k < (h.name_count ? h.name_count : 1); k++) {
                    struct entry e = { .text = { at, (size_t)(end - at) } };
                    if (h.type_count && h.types[i]->lanes[0] && language == GEN_CUDA)
                        continue; /* a thread is a lane there */
                    if (h.type_count)
                        e.from = h.types[0], e.to = h.types[i];
                    if (h.name_count)
                        e.word = h.names[k];
                    if (!add(t, e, language))
                        return false;
                }
        for (at = end; *at == '\n'; at++)
            ;
    }
    return true;
}

/* The slot of a name, or the free one where it belongs. */
static uint32_t *slot_of(const struct table *t, const char *name)
{
    uint32_t hash = 2166136261u;
    for (const char *at = name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    for (hash &= t->mask;; hash = (hash + 1) & t->mask)
        if (!t->slots[hash] || !strcmp(t->entries[t->slots[hash] - 1].name, name))
            return &t->slots[hash];
}

static void free_table(struct table *t)
{
    free(t->entries);
    free(t->slots);
}

static bool read_table(struct table *t, const enum gen_language language)
{
    *t = (struct table){ .mask = 1 };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!read_text(t, texts[i], language)) {
            free_table(t);
            return false;
        }
    while (t->mask < 2 * t->count)
        t->mask = 2 * t->mask + 1;
    t->slots = calloc((size_t)t->mask + 1, sizeof *t->slots);
    if (!t->slots) {
        free_table(t);
        return false;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t *const slot = slot_of(t, t->entries[i].name);
        if (!*slot) /* the first of two that have a name */
            *slot = i + 1;
    }
    return true;
}

static struct entry *find(const struct table *t, const char *name)
{
    const uint32_t found = *slot_of(t, name);
    return found ? &t->entries[found - 1] : NULL;
}

/* Marks what a piece of text names, and what that needs. */
static void want(const struct table *t, const struct entry *in, const char *at, const char *end,
                 const enum gen_language language)
{
    static const struct entry as_it_stands;

    for (struct span w = next_word(at, end); w.size; w = next_word(w.start + w.size, end)) {
        char name[NAME_SIZE];
        if (w.size >= NAME_SIZE)
            continue;
        rename_word(in ? in : &as_it_stands, w, GEN_C, name);
        struct entry *const e = find(t, name);
        if (e && !e->wanted) {
            e->wanted = true;
            want(t, e, e->text.start, e->text.start + e->text.size, language);
        }
    }
}

static void print(FILE *out, const struct entry *e, const enum gen_language language)
{
    const char *at = e->text.start, *const end = at + e->text.size;

    for (struct span w = next_word(at, end); w.size; w = next_word(at, end)) {
        char name[NAME_SIZE];
        fwrite(at, 1, (size_t)(w.start - at), out);
        rename_word(e, w, language, name);
        fputs(name, out);
        at = w.start + w.size;
    }
    fwrite(at, 1, (size_t)(end - at), out);
}

bool gen_maths(FILE *out, const char *program, const enum gen_language language)
{
    struct table t;
    bool after_body = false;

    if (!read_table(&t, language))
        return false;
    want(&t, NULL, program, program + strlen(program), language);
    for (size_t i = 0; i < t.count; i++)
        if (t.entries[i].wanted) {
            const bool body = memchr(t.entries[i].text.start, '{', t.entries[i].text.size);
            if (body || after_body || t.entries[i].text.start[0] == '/') /* lines stand together */
                fputc('\n', out);
            print(out, &t.entries[i], language);
            after_body = body;
        }
    free_table(&t);
    return true;
}

bool gen_maths_has(const char *name, const enum gen_language language)
{
    struct table t;

    if (!read_table(&t, language))
        return false;
    const bool has = find(&t, name) != NULL;
    free_table(&t);
    return has;
}

/*
 * tuned: the text of schedules that were found, and where it lies: an entry of the cache, or a
 * file that the user names.
 */
#include "frontend/tuned.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/runtime.h"

enum { LINES = 20000, WIDEST = 400 };
#define TEXT_MOST ((size_t)LINES * WIDEST)

static const char head[] = "taper tuned 1";

static const struct knob {
    const char *name;
    int most;
} knobs[LOOP_KNOBS] = {
#define KNOB(NAME, name, most, help) { #name, most },
#include "ir/knobs.def"
#undef KNOB
};

struct tuned *tp_tuned_new(void)
{
    struct ir_arena *arena = ir_arena_new();
    struct tuned *t = ir_alloc(arena, sizeof *t);

    t->arena = arena;
    return t;
}

void tp_tuned_free(struct tuned *t)
{
    if (t)
        ir_arena_free(t->arena);
}

/* --- the text ------------------------------------------------------------------------------------
 */

static int compare(const struct tuned_line *a, uint64_t machine, uint64_t kind)
{
    return a->machine != machine ? (a->machine < machine ? -1 : 1)
           : a->kind != kind     ? (a->kind < kind ? -1 : 1)
                                 : 0;
}

/* The first line that is not before; they ascend. */
static int find(const struct tuned *t, uint64_t machine, uint64_t kind)
{
    int lo = 0, hi = t->count;

    while (lo < hi) {
        const int middle = lo + (hi - lo) / 2;
        if (compare(&t->line[middle], machine, kind) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

void tp_tuned_set(struct tuned *t, const struct tuned_line *line)
{
    const int at = find(t, line->machine, line->kind);

    if (at == t->count || compare(&t->line[at], line->machine, line->kind) != 0) {
        ir_grow(t->arena, t->line, t->count, t->room);
        memmove(&t->line[at + 1], &t->line[at], (size_t)(t->count - at) * sizeof *t->line);
        t->count++;
    }
    t->line[at] = *line;
    t->line[at].note = ir_format(t->arena, "%s", line->note);
}

static const char *hexadecimal(const char *at, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < 16; i++, at++) {
        if (!*at || !strchr("0123456789abcdef", *at))
            return NULL;
        *number = *number << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    }
    return at;
}

/* " rows=8": what follows it; NULL: it is none */
static const char *read_choice(const char *at, struct loop_choice *choice)
{
    for (int k = 0; k < LOOP_KNOBS; k++) {
        const size_t length = strlen(knobs[k].name);
        long number = 0;
        const char *digit = at + 1 + length + 1;
        if (*at != ' ' || strncmp(at + 1, knobs[k].name, length) != 0 || at[1 + length] != '=')
            continue;
        for (; *digit >= '0' && *digit <= '9' && number < 1000; digit++)
            number = 10 * number + (*digit - '0');
        if (number < 1 || number > knobs[k].most || choice->of[k])
            return NULL;
        choice->of[k] = (uint8_t)number;
        return digit;
    }
    return NULL;
}

static const char *read_line(const char *at, struct tuned_line *line)
{
    if (!(at = hexadecimal(at, &line->machine)) || *at++ != ' ' ||
        !(at = hexadecimal(at, &line->kind)) || *at != ' ')
        return "expected a machine and a kind of kernels, 16 hexadecimal digits each";
    do
        if (!(at = read_choice(at, &line->choice)))
            return "expected choices, as rows=8, each once and in its bounds";
    while (*at == ' ' && at[1] != ' ');
    if (strncmp(at, "  # ", 4) == 0)
        line->note = at + 4;
    else if (*at)
        return "expected the end of the line, or two blanks and # and a note";
    return NULL;
}

bool tp_tuned_parse(struct tuned *t, const char *file, const char *text, size_t size,
                    struct ir_error *error)
{
    char word[WIDEST + 1];
    int number = 0;

    for (size_t at = 0; at < size || number == 0;) {
        const char *end = size > at ? memchr(text + at, '\n', size - at) : NULL;
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        struct tuned_line line = { .note = "" };
        const char *wrong = NULL;

        number++;
        if (length > WIDEST || number > LINES || (size > at && memchr(text + at, 0, length)))
            return ir_error(error, IR_REFUSED,
                            "%.200s:%d: tuned: expected a text of at most %d lines of %d bytes",
                            file, number, LINES, WIDEST);
        if (length)
            memcpy(word, text + at, length);
        word[length] = 0;
        run_printable(word);
        at += length + 1;
        if (number == 1 && strcmp(word, head) != 0)
            return ir_error(error, IR_REFUSED, "%.200s:1: tuned: \"%.40s\"; expected \"%s\"", file,
                            word, head);
        if (number == 1 || !*word || *word == '#')
            continue;
        wrong = read_line(word, &line);
        if (wrong)
            return ir_error(error, IR_REFUSED, "%.200s:%d: tuned: \"%.60s\"; %s", file, number,
                            word, wrong);
        tp_tuned_set(t, &line);
    }
    return true;
}

void tp_put_choice(struct ir_text *out, const struct loop_choice *choice)
{
    bool first = true;

    for (int k = 0; k < LOOP_KNOBS; k++)
        if (choice->of[k]) {
            ir_put(out, "%s%s=%d", first ? "" : " ", knobs[k].name, choice->of[k]);
            first = false;
        }
}

void tp_tuned_print(struct ir_text *out, const struct tuned *t)
{
    ir_put(out, "%s\n", head);
    for (int i = 0; i < t->count; i++) {
        ir_put(out, "%016" PRIx64 " %016" PRIx64 " ", t->line[i].machine, t->line[i].kind);
        tp_put_choice(out, &t->line[i].choice);
        ir_put(out, *t->line[i].note ? "  # %s\n" : "%s\n", t->line[i].note);
    }
}

/* --- where it lies -------------------------------------------------------------------------------
 */

static void entry_name(char key[65])
{
    const struct run_field field = { head, sizeof head };

    run_hash_text(&field, 1, key);
}

static bool read_cache(struct tuned *t, struct ir_error *error)
{
    struct run_cache cache;
    struct run_bytes content;
    char key[65];
    bool ok = true;

    entry_name(key);
    run_cache_look(&cache, NULL);
    if (run_cache_get(&cache, key, "tuned", &content, NULL)) {
        ok = tp_tuned_parse(t, "schedules in the cache", (const char *)content.data, content.length,
                            error);
        run_bytes_free(&content);
    }
    run_cache_close(&cache);
    return ok;
}

bool tp_tuned_read(struct tuned *t, const char *path, struct ir_error *error)
{
    struct run_bytes bytes = { 0 };
    bool ok;
    int fd;

    if (!path)
        return read_cache(t, error);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return true;
    ok = fd >= 0 && run_bytes_read(fd, TEXT_MOST, &bytes);
    if (!ok)
        ir_error(error, IR_REFUSED, "%.200s: %s", path,
                 fd < 0 ? strerror(errno) : "no file, or too large for tuned schedules");
    ok = ok && tp_tuned_parse(t, path, (const char *)bytes.data, bytes.length, error);
    run_bytes_free(&bytes);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool tp_tuned_write(const struct tuned *t, const char *path, struct ir_error *error)
{
    struct ir_text text = { 0 };
    struct run_cache cache;
    char key[65], note[60];
    bool ok;

    tp_tuned_print(&text, t);
    if (path) {
        ok = tp_write_text(path, &text, error);
    } else {
        const struct run_bytes content = { (unsigned char *)text.data, text.size };
        snprintf(note, sizeof note, "schedules of %d kinds of kernels", t->count);
        entry_name(key);
        run_cache_open(&cache, NULL);
        ok = run_cache_put(&cache, key, "tuned", &content, note) ||
             ir_error(error, IR_FAILED, "schedules: %.300s; --save FILE keeps them elsewhere",
                      cache.why);
        run_cache_close(&cache);
    }
    ir_text_free(&text);
    return ok;
}

/* --- whose they are ------------------------------------------------------------------------------
 */

uint64_t tp_tuned_machine(const struct ir_target *target, int threads)
{
    const bool native = strcmp(target->name, "native") == 0;
    char processor[400] = "", key[65], count[16];
    uint64_t machine;

    if (native)
        run_cpu_text(processor, sizeof processor);
    snprintf(count, sizeof count, "%d", threads > 1 ? threads : 1);
    const struct run_field fields[] = { { target->name, strlen(target->name) },
                                        { processor, strlen(processor) },
                                        { count, strlen(count) } };
    run_hash_text(fields, 3, key);
    hexadecimal(key, &machine);
    return machine;
}

const struct pass_tuned *tp_tuned_of(const struct tuned *t, uint64_t machine,
                                     struct ir_arena *arena, int *count)
{
    const int from = find(t, machine, 0);
    struct pass_tuned *all;
    int to = from;

    while (to < t->count && t->line[to].machine == machine)
        to++;
    *count = to - from;
    if (to == from)
        return NULL;
    all = ir_alloc(arena, (size_t)*count * sizeof *all);
    for (int i = 0; i < *count; i++)
        all[i] = (struct pass_tuned){ t->line[from + i].kind, t->line[from + i].choice };
    return all;
}

bool tp_tuned_options(tp_graph *g, struct pass_options *options, struct ir_arena *arena)
{
    if (g->trial) {
        options->tuned = g->trial;
        options->tuned_count = g->trial_count;
        return true;
    }
    if (!g->tuned) {
        struct ir_error error = { 0 };
        g->tuned = tp_tuned_new();
        /* nobody asked for what lies in the cache: it is no reason not to compile */
        if (!tp_tuned_read(g->tuned, NULL, &error))
            g->tuned->count = 0;
    }
    if (g->tuned->count && !options->target->processors)
        options->tuned = tp_tuned_of(
            g->tuned, tp_tuned_machine(options->target, tp_thread_count(options->threads)), arena,
            &options->tuned_count);
    return true;
}

bool tp_schedules(tp_graph *g, const char *path)
{
    if (!g || g->error.status != IR_OK)
        return false;
    tp_tuned_free(g->tuned);
    g->tuned = tp_tuned_new();
    if (!path || access(path, F_OK) == 0)
        return !path || tp_tuned_read(g->tuned, path, &g->error) || tp_tell(g);
    ir_error(&g->error, IR_REFUSED,
             "%.200s: there is no such file; taper tune MODEL --save makes one", path);
    return tp_tell(g);
}

/*
 * tuned.h: schedules that were measured to be quicker than those of the rules, as a text.
 *
 * A line is a machine, a kind of kernels and what was chosen; the rest of it is for people:
 *     taper tuned 1
 *     5f0c...  91ab... rows=8 copy=1  # x86-64-v4, 2 threads: fc1_dot 0.0123 -> 0.0101 ms
 * A choice changes no bit of any result, so the worst that a foreign file can do is to be slow.
 */
#ifndef TAPER_FRONTEND_TUNED_H
#define TAPER_FRONTEND_TUNED_H

#include "frontend/frontend.h"

struct tuned_line {
    uint64_t machine, kind;
    struct loop_choice choice;
    const char *note; /* "" or what stands behind # */
};
struct tuned {
    struct ir_arena *arena;
    struct tuned_line *line;
    int count, room;
};

struct tuned *tp_tuned_new(void);
void tp_tuned_free(struct tuned *t);
/* What the text has in place of what t has of the same. False with an error. */
bool tp_tuned_parse(struct tuned *t, const char *file, const char *text, size_t size,
                    struct ir_error *error);
void tp_tuned_print(struct ir_text *out, const struct tuned *t);
void tp_tuned_set(struct tuned *t, const struct tuned_line *line);
void tp_put_choice(struct ir_text *out, const struct loop_choice *choice); /* "rows=8 copy=1" */
/* The text of a file, or of the cache where path is NULL; nothing there is nothing found. */
bool tp_tuned_read(struct tuned *t, const char *path, struct ir_error *error);
bool tp_tuned_write(const struct tuned *t, const char *path, struct ir_error *error);

/* By target, threads and, where code is made for this very processor, which that is. */
uint64_t tp_tuned_machine(const struct ir_target *target, int threads);
/* Those of a machine, as the pipeline takes them; NULL: none. */
const struct pass_tuned *tp_tuned_of(const struct tuned *t, uint64_t machine,
                                     struct ir_arena *arena, int *count);
/* .. of a graph, which reads them when they are first asked for. False with an error in it. */
bool tp_tuned_options(tp_graph *g, struct pass_options *options, struct ir_arena *arena);

/* tune.c: the search */
struct tuned_kernel {     /* a kind of kernels that has become quicker */
    const char *name;     /* of the first of them */
    double before, after; /* seconds of a step, with what is timed with them */
    struct loop_choice rule, choice;
    uint64_t kind;
};
struct tune_report {
    struct tuned_kernel *kernel;
    int kernels, measured; /* kinds that became quicker, and all that were tried */
    double before, after;  /* seconds of a step, whole */
    int compiled, strange; /* programs; and those of other bits, which nobody keeps */
};
bool tp_tune_search(tp_program *p, double seconds, const char *path, struct ir_arena *arena,
                    struct tune_report *report);

#endif

/*
 * emit_plan.h: what emitting trainers and libraries share: programs planned for a target, and
 * their states and values described for codegen's tables.
 */
#ifndef TAPER_FRONTEND_EMIT_PLAN_H
#define TAPER_FRONTEND_EMIT_PLAN_H

#include "codegen/trainer.h"
#include "frontend/frontend.h"

struct emit_plan {
    struct ir_arena *arena;
    const struct ir_target *target;
    struct ir_target gpu;    /* where that is one, of the architecture asked for */
    int threads;             /* most that run them */
    const tp_program *of[2]; /* the first chooses where states lie */
    struct ir_program simple[2];
    struct pass_compiled *made[2];
    struct pass_known_state *known; /* states that have a place */
    int known_count;
    int64_t state_bytes;
};

/* Each false with an error; closed in any case. target NULL: native. */
bool tp_emit_open(struct emit_plan *p, const tp_graph *g, const char *target, int threads,
                  struct ir_error *error);
/* For a GPU: arch is "sm_80", say; NULL: that of the row. */
bool tp_emit_open_gpu(struct emit_plan *p, const tp_graph *g, const char *arch,
                      struct ir_error *error);
bool tp_emit_program(struct emit_plan *p, int which, const tp_program *program, const char *name,
                     struct ir_error *error);
void tp_emit_close(struct emit_plan *p);

/* All states that the programs know, and saved ones that they do not; NULL: no memory. */
struct gen_state *tp_emit_states(struct emit_plan *p, tp_graph *g, int *count);
const struct loop_place *tp_emit_place(const struct loop_program *loops, ir_val v); /* or NULL */
/* The output of that name, or the first scalar whose type is of that kind. */
struct gen_value tp_emit_value(const struct emit_plan *p, int which, const char *name,
                               bool floating);
/* Where a program has the input of that name in its arena; -1: it has none. */
int64_t tp_emit_input(const struct emit_plan *p, int which, const char *name);

#endif

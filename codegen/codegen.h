/*
 * codegen.h: spelling. Planned loop nests become text; all decisions have been taken before.
 *
 * target_c.c and target_cuda.c say what differs between the languages; name.c says what things are
 * called, index.c spells indices, expression.c operations, statement.c, memory.c and fold.c
 * statements, nest.c loops, repeat.c equal calls, launch.c kernels that a GPU runs at once, step.c
 * the whole program. Where a schedule has
 * made threads of a loop (LOOP_GRID, LOOP_BLOCK), its body stands once, as each of them runs it.
 */
#ifndef TAPER_CODEGEN_H
#define TAPER_CODEGEN_H

#include "ir/ir.h"
#include "ir/loop.h"
#include "codegen/maths_select.h"

struct gen;
struct gen_unit { /* a program of a text that may hold several */
    const struct loop_program *program;
    const char *entry;  /* what the function that runs it is called */
    const char *prefix; /* of its other functions' names: "step_", or "" where it stands alone */
    bool exported;      /* the entry can be seen outside of its file */
    bool alone;         /* never more than one thread: no OpenMP, no barriers */
    bool linked;        /* the users' functions are in the text, and called by name */
    bool bare;          /* its kernels alone: what runs them stands elsewhere */
};
/* what differs between the languages */
struct gen_target {
    enum gen_language language;
    const char *begin;   /* what stands before the maths */
    const char *barrier; /* all threads of a kernel meet */
    const char
        *offered; /* declarations of what the language's run time offers, before the kernels */
    const char *called; /* how the program is called, for its head comment */
    void (*open)(
        struct gen *,
        const struct loop_program *); /* a kernel's head, its arguments, up to the buffers */
    void (*close)(struct gen *);      /* .. and its end */
    const char *(*base)(struct gen *,
                        int base); /* the pointer that buffers of this base count from; NULL:
                                      buffers are arguments of their own */
    void (*run)(struct ir_text *, const struct gen_unit *); /* what runs the kernels in order */
};
extern const struct gen_target gen_target_c, gen_target_cuda;

/* the text of a planned program: kernels and the function NAME that runs them */
bool gen_program(struct ir_text *out, const struct loop_program *, const struct gen_target *,
                 struct ir_error *);
/* launches `first` to before `end` of a GPU's program, and what they need: a text that compiles */
bool gen_launches(struct ir_text *out, const struct loop_program *, int first, int end,
                  const struct gen_target *, struct ir_error *);
/* several, one after the other, with the maths that they share once; no two names clash while
 * prefixes differ */
bool gen_programs(struct ir_text *out, const struct gen_unit *, int units,
                  const struct gen_target *, struct ir_error *);
/* on a GPU: the function that a launch calls */
const char *gen_launched(struct ir_arena *, const struct loop_program *,
                         const struct loop_launch *);
/* the same in C, and entry_of_kernel_0, entry_of_kernel_1, ... of the entry's type, each one kernel
 */
bool gen_profile(struct ir_text *out, const struct loop_program *, struct ir_error *);
/* one kernel, without what it needs around it */
void gen_kernel(struct ir_text *out, const struct loop_program *, const struct loop_kernel *,
                const struct gen_target *);

/* ---- inside the folder ---- */

/* repeat.c: a loop over equal calls: the function that is one turn of it, and where a kernel's
 * buffer is, in the run or at a turn (columns: what its table has got so far) */
struct gen_columns;
void gen_repeat(struct ir_text *out, const struct gen_unit *, const struct loop_repeat *);
const char *gen_repeat_name(const struct gen_unit *, const struct loop_repeat *);
const char *gen_place_of(const struct loop_program *, struct gen_columns *,
                         const struct loop_kernel *, int buffer);
/* launch.c: the function of a launch that has one of its own */
void gen_launch(struct ir_text *out, const struct gen_unit *, const struct loop_launch *);
/* target_c.c: a call of a kernel, "thread, threads" being who runs it, indented by so much; and
 * with the barrier before it */
void gen_call(struct ir_text *out, const struct gen_unit *, const struct loop_kernel *,
              struct gen_columns *, const char *threads, int depth);
void gen_wait_and_call(struct ir_text *out, const struct gen_unit *, const struct loop_kernel *,
                       struct gen_columns *, int depth);
/* call.c: what kernels need that call a function of the user's, and such a kernel */
bool gen_has_calls(const struct loop_program *);
bool gen_put_call_types(struct ir_text *out, const struct gen_unit *, int units, struct ir_error *);
void gen_call_kernel(struct ir_text *out, const struct gen_unit *, const struct loop_kernel *);
void gen_put_extent(struct ir_text *out, const struct ir_graph *,
                    int64_t dim); /* as the caller of kernels knows it */
/* target_c.c: the calls of kernels `first` to before `end`, in a function of thread, threads, base
 * and dims (given, where the program has loops of kernels) */
void gen_sequence(struct ir_text *out, const struct gen_unit *, int first, int end);

#define GEN_UNROLLS 24 /* as deep as loops nest */
struct gen_alias {     /* this value, for these indices of the unrolled loops, is called so */
    uint32_t value;
    int index[GEN_UNROLLS];
    const char *name;
    int before; /* the alias of the same value before this one, -1: none */
};
struct gen_loaded { /* this element of this buffer is in that variable already */
    int buffer;
    loop_ix ix;
    bool vector;
    const char *text; /* of the index: one that a value of an unrolled loop stands in has a name an
                         instance, and is one expression */
    const char *name;
};
struct gen { /* the emitter's state while it spells one kernel */
    struct ir_text *out;
    struct loop_kernel *k; /* index expressions are made while printing */
    const struct gen_target *target;
    const char *prefix; /* before the kernel's name */
    bool handed;        /* the buffers' places come from the caller: several kernels share it */
    bool streams;       /* something is stored past the cache */
    const char *body;   /* the statements, spelled before the head, which declares what they name */
    struct ir_arena *arena;
    const char **buffer; /* C names */
    const char **axis;
    int unrolled[GEN_UNROLLS], unrolls; /* axes of the unrolled loops around, outermost first */
    int at[LOOP_AXES];                  /* their index in the instance that is being spelled */
    int vector;                         /* the vector axis around, -1: none */
    const char *lane; /* spelled lane by lane: the name of the lane's index, else NULL */
    struct gen_alias *alias;
    int *newest; /* by value: its latest alias, -1: none */
    int aliases, alias_room;
    struct gen_loaded *loaded;
    int loads, load_room;
    struct loop_guard held[16]; /* conditions that loops around have settled */
    int helds;
    int open[LOOP_AXES], opened; /* the loops around, outermost first */
    bool crowded;                /* the block has more than one loop */
    int depth;
    const char *said; /* the place that the line before has named */
    int threads;      /* of a block, all at one statement; 1 inside their own loop */
};

/* name.c */
const char *gen_identifier(struct ir_arena *, const char *name,
                           const char *otherwise); /* of a user's name: letters, digits, _ */
const char *gen_place(struct ir_arena *, struct ir_loc,
                      const char *name); /* "mlp.c:14 fc1", fit for a comment */
const char *gen_function(struct ir_arena *, const struct loop_kernel *); /* its function */
const char *gen_symbol(struct ir_arena *, const struct ir_graph *,
                       int symbol);                 /* what a symbol is called in the text */
const char *gen_name(struct gen *, uint32_t value); /* of this instance; lane by lane with [lane] */
const char *gen_new_name(struct gen *, const struct loop_statement *); /* of the value it defines */
void gen_call_it(struct gen *, uint32_t value, const char *name);      /* this instance */
void gen_forget_names(struct gen *, int kept); /* names end with the block they were made in */
const char *gen_operand(struct gen *, uint32_t value,
                        bool vector); /* broadcast where a vector is wanted */
bool gen_is_vector(const struct gen *, uint32_t value);

/* index.c */
loop_ix gen_instance(struct gen *, loop_ix); /* with the unrolled indices put in */
bool gen_pattern(
    struct gen *, loop_ix,
    int64_t at[LOOP_LANES]); /* the lanes' distances from the first; false: no numbers */
void gen_index(struct gen *, struct ir_text *, loop_ix); /* at this instance, lane 0 */
const char *gen_index_text(struct gen *, loop_ix);
const char *gen_condition(struct gen *, const struct loop_guard *,
                          int guards); /* "a && b"; NULL: always true; "0": never */
bool gen_guard_varies(struct gen *, const struct loop_statement *); /* from lane to lane */

/* expression.c */
const char *gen_type(const struct gen *, enum ir_dtype,
                     bool vector);                    /* f32x16, i32x16 for masks, ... */
const char *gen_bare(struct gen *, const char *text); /* without the brackets around all of it */
const char *gen_wraps(enum ir_dtype);                 /* in which sums are taken; NULL: their own */
const char *gen_literal(struct gen *, enum ir_dtype, double number, int64_t integer);
const char *gen_expression(struct gen *, const struct loop_statement *,
                           bool vector); /* NULL: lane by lane only */

/* statement.c */
#define GEN_LANE "lane"
void gen_line(struct gen *, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *gen_comment(struct gen *, const struct loop_statement *);
void gen_begin_lanes(struct gen *); /* what follows is spelled lane by lane .. */
void gen_end_lanes(struct gen *);   /* .. up to here */
void gen_instances(struct gen *, const struct loop_statement *,
                   int from); /* for every index of the unrolled loops that it depends on */

/* memory.c, fold.c */
/* the block's statements from the first on, one index of the unrolled loops after the other */
void gen_by_instance(struct gen *, const struct loop_block *, int first, int from);
void gen_load(struct gen *, const struct loop_statement *);
void gen_store(struct gen *, const struct loop_statement *);
void gen_copy(struct gen *, const struct loop_statement *);
bool gen_copies(const struct loop_block *); /* does it copy what comes later? */
void gen_fragment(struct gen *, const struct loop_statement *);
void gen_multiply(struct gen *, const struct loop_statement *);
const char *gen_address(struct gen *, int buffer, loop_ix); /* buffer + index */
void gen_forget_loads(struct gen *, int buffer);            /* it has been stored to */
void gen_fold(struct gen *, const struct loop_statement *);

/* nest.c, step.c */
void gen_block(struct gen *, const struct loop_block *);
void gen_open_axis(struct gen *, int axis);

/* unused.c: numbers that spelled statements name and then do not need */
void gen_drop_unused(struct ir_text *statements, struct ir_arena *);

#endif

/*
 * loop.h: the second height of the IR, the loop nest of a kernel.
 *
 * A kernel is a tree of statements over an index space. `lower` makes it plain: loops, loads at
 * affine index expressions, scalar arithmetic, stores, reductions into variables. `schedule`
 * rewrites it by few steps (split, reorder, unroll, vectorise, stage, parallelise); the emitter
 * only spells what stands here.
 *
 * Every value is a scalar of the program; how many registers it takes follows from the loops around
 * it: unroll   a loop whose bodies are written out. Statements stand once for each index of the
 * unrolled loops that their value depends on; a serial loop inside an unrolled one is written once,
 * with its body written out (unroll and jam). Legal because the iterations of an unrolled loop
 * never depend on each other. vector   the same, but the iterations are the lanes of one vector
 * (LOOP_LANES of them, whatever the machine's registers hold). Values that do not depend on the
 * axis stay scalars and are broadcast where they meet a vector. Two loads at the same address in a
 * stretch of straight-line code are one load. A variable stands once for every unrolled or vector
 * loop around its VAR, a SET is done for every index of every unrolled loop around it.
 *
 * Over-run is harmless: arena buffers are padded, so a split loop may run past the extent and
 * compute on what lies there. What must be exact has a guard: reductions along that axis, and
 * stores to buffers that are not padded. A guard of a variable's update means that the update does
 * not happen; of a store, that nothing is stored; of a load, that the value is `otherwise`.
 */
#ifndef TAPER_LOOP_H
#define TAPER_LOOP_H

#include "ir.h"

#define LOOP_LANES 16
#define LOOP_AXES  64                 /* axes a kernel may have */
#define LOOP_TERMS 48                 /* terms an index expression may have */
#define LOOP_SIZE  2000               /* .. with those of what is divided in them, and so on */
#define LOOP_FAR   (INT64_C(1) << 62) /* past every index */
#define LOOP_OVERRUN                                                                       \
    4096 /* bytes that a load may run on behind its buffer: what plan leaves at the end of \
            everything */

/* loop_index.c: index expressions, sums of scale * atom + constant; equal expressions have equal
 * ids. 0 is the constant 0. */
typedef uint32_t loop_ix;
enum loop_atom_kind {
    LOOP_ATOM_AXIS,  /* the index of axis a */
    LOOP_ATOM_DIM,   /* the run-time value of symbolic dim `dim` */
    LOOP_ATOM_VALUE, /* the integer value a of the kernel (an index read from memory) */
    LOOP_ATOM_DIV /* floor(expression a / divisor), divisor > 0; a remainder is x - d * (x / d) */
};
struct loop_atom {
    enum loop_atom_kind kind;
    uint32_t a;
    int64_t divisor, dim;
};
struct loop_term {
    int64_t scale;
    uint32_t atom;
};
struct loop_sum {
    int64_t constant;
    int count;
    int size;                     /* terms, and those of what is divided in them, and so on */
    const struct loop_term *term; /* ascending atoms, no zero scales */
};

enum loop_role {
    LOOP_SERIAL,
    LOOP_PARALLEL,
    LOOP_UNROLL,
    LOOP_VECTOR,
    /* on a GPU */ LOOP_GRID,
    LOOP_BLOCK
};
struct loop_axis {
    const char *name; /* "m", "k", ...: what the C variable is called */
    enum loop_role role;
    loop_ix from, to; /* runs from <= i < to, and i < hi; may name symbolic dims and outer axes */
    int64_t step;     /* 1 but where a split keeps the outer index in elements */
    int64_t lo, hi;   /* bounds for the range analysis: lo <= i < hi always */
    bool ordered;     /* a reduction goes along it: its order is fixed */
};

/* what a kernel reads and writes */
struct loop_buffer {
    const char *name;
    enum ir_dtype dtype;
    ir_val value;      /* of the graph; poison for scratch */
    int64_t elements;  /* padding included */
    const char *order; /* for people, where it is not row-major: its axes in memory */
    bool written, read,
        scratch;    /* scratch: one piece a thread; on a GPU a tile, one piece a block */
    bool padded;    /* stores may over-run into the padding */
    int base;       /* filled by plan: pointer number .. */
    int64_t offset; /* .. and bytes from it */
};

enum loop_kind {
    LOOP_FOR, /* axis, body */
    LOOP_LET, /* value = op(args), or for IR_const: number; IR_poison with ix set: value = the index
                 expression as an integer */
    LOOP_LOAD,  /* value = buffer[ix], or `otherwise` where the guard is false */
    LOOP_STORE, /* buffer[ix] = args[0]; number != 0: past the cache */
    LOOP_VAR,   /* a variable: value, starts as args[0] */
    LOOP_SET,   /* variable args[0] = op(args[0], args[1]) or, for IR_dot, fma(args[1], args[2],
                   args[0]); IR_POISON: plain copy of args[1] */
    LOOP_FOLD,  /* value = args[0] folded by op over the unrolled axes and the vector axis, or the
                   threads of a block, in `over`, by the tree of ir_order LANES */
    LOOP_TRANSPOSE, /* 16 rows of 16: buffer2[ix2 + i * pitch2 + j] = buffer[ix + j * pitch + i];
                       f32 */
    LOOP_PREFETCH,  /* buffer at ix; for writing when number != 0 */
    LOOP_COPY, /* into a tile: buffer2[ix2 + i] = buffer[ix + i] for i < pitch, on its way until the
                  thread meets the others; or args[0], at once. Where the guard is false, zeros */
    LOOP_MEET, /* the threads of a block do, and all that they have copied has arrived */
    LOOP_FRAGMENT, /* value = what a thread of a warp has of 16 rows of 32 bytes of a tile: element
                      j of row i is buffer[ix + i * pitch + j * pitch2], one of the two 1. Of each 8
                      rows of 16 bytes, thread t has the 4 bytes t % 4 of row t / 4 */
    LOOP_MULTIPLY  /* by a warp: args[0] += rows of the fragment args[1] times rows of args[2]; the
                      variable stands once for the 2 by 4 indices (i, j) of the unrolled axes `over`:
                      of thread t, row 8 * i + t / 4, column 8 * (j / 2) + 2 * (t % 4) + j % 2. In
                      which order the terms of a fragment are added, the machine knows */
};
struct loop_guard { /* 0 <= ix and ix < limit */
    loop_ix ix, limit;
};
struct loop_block {
    struct loop_statement **at;
    int count, room;
};
struct loop_statement {
    enum loop_kind kind;
    enum ir_op op;
    enum ir_dtype dtype; /* of value; for STORE of the buffer */
    uint32_t value;      /* defined here; 0: none */
    uint32_t args[3];
    double number;          /* LET const, LOAD otherwise */
    int64_t integer;        /* LET const of an integer type */
    int axis;               /* FOR */
    struct loop_block body; /* FOR */
    int buffer, buffer2;
    loop_ix ix, ix2;
    int64_t pitch, pitch2;
    uint64_t over; /* FOLD: set of axes */
    int guards;
    const struct loop_guard *guard; /* all must hold; on a FOR: around the loop. Copies of the
                                       statement share the array, so it is never written again */
    ir_val node;                    /* of the graph: gives the comment its name, file and line */
    struct ir_loc loc;
};

struct loop_value {
    enum ir_dtype dtype;
    uint64_t depends; /* axes; kept by loop_depends() */
    bool variable;
    bool bounded; /* an integer that is known to be in lo .. hi */
    int64_t lo, hi;
};
struct loop_table { /* a hash of numbers plus one */
    uint32_t *slot, room;
};

/*
 * A loop of kernels is a row of them between two marks: kernels that compute nothing. The caller of
 * the kernels between runs them for each index, which is a symbol of the graph to them; if the mark
 * has a buffer, only where the truth value in it holds.
 */
enum loop_mark { LOOP_NO_MARK, LOOP_BEGIN, LOOP_END };
/*
 * A call is a kernel without statements: thread 0 hands whole arrays to a C function of the user's.
 * The caller of the program has a table of such functions behind the bases.
 */
struct loop_argument {
    int buffer;
    struct ir_shape shape;
    int64_t pitch[IR_RANK]; /* elements from an index of an axis to the next */
};
struct loop_call {
    const char *name; /* of the function */
    int by;           /* -1: its value; else the gradient by this argument */
    int arguments;
    const struct loop_argument *argument; /* behind them the result */
    const struct ir_custom *custom;       /* NULL: nobody has the function */
    int at;                               /* filled by plan: its place in the table */
};
/*
 * What a schedule decides by rule of a kernel, and what was found to be quicker on some machine:
 * none of it changes a bit of the results. 0: the rules decide; of a rule: it was not asked.
 */
enum loop_knob {
#define KNOB(NAME, name, most, help) LOOP_##NAME,
#include "knobs.def"
#undef KNOB
    LOOP_KNOBS
};
struct loop_choice {
    uint8_t of[LOOP_KNOBS];
};
struct loop_kernel {
    const char *name;
    const char *comment; /* maths and shapes, one line */
    uint64_t kind;       /* of plain nests like this one; filled by outline, 0: none */
    struct loop_choice choice, rule;
    const struct ir_graph *graph;
    struct ir_arena *arena;
    struct loop_atom *atom;
    uint32_t atoms, atom_room;
    struct loop_sum *sum; /* by loop_ix */
    uint32_t sums, sum_room;
    struct loop_table atom_table, sum_table;
    struct loop_axis axis[LOOP_AXES];
    int axes;
    struct loop_value *value; /* by id; 0 is none */
    uint32_t values, value_room;
    struct loop_buffer *buffer;
    int buffers, buffer_room;
    struct loop_block body;
    bool tangled; /* an index was too large and is not what it should be: of no use */
    bool pieces;  /* its loops make parts of one result: none reads what another stores */
    bool shared;  /* runs on all threads; else thread 0 alone */
    int barrier;  /* filled by plan: a barrier stands before it */
    enum loop_mark mark;
    struct loop_call *call; /* NULL: it has statements, or is a mark */
    int64_t index, length;  /* of LOOP_BEGIN, dims: index is a symbol, 0 <= index < length */
    bool reverse;           /* .. and falls */
    double flops, bytes;
    struct loop_kernel *first; /* whose function it calls, with buffers of its own: the first of its
                                  kind; NULL: it has a function */
    int at;                    /* filled by plan: its place in the program */
    int users;                 /* of its function, itself among them; 0 as 1 */
    const char *function;      /* what it is called, where several use it; NULL: as the kernel */
    bool gathered;             /* its function is a part of what a launch of several runs */
};

/*
 * A planned program: what codegen spells. The function is  void NAME(char *const *base, const long
 * *dims, int threads)  with base[0] the arena, base[1] the store of the states, base[2..] buffers
 * that the caller hands in one by one (eager), and dims the values of the graph's symbols in their
 * order, without those that are indices of loops of kernels.
 */
struct loop_place { /* where a value lives that outlasts its kernel */
    ir_val value;
    const char *name;
    int base;
    int64_t offset, bytes;
    int first, last; /* in the arena: the kernels between which its bytes are its own */
    int over;        /* the place whose bytes the kernel `first` turns into this one; -1: none */
};
struct loop_repeat { /* equal calls on other places: a loop of `turns` turns of `length` kernels */
    int first, length, turns;
    const char *name; /* what one turn is called */
};
/*
 * What a GPU is told at once: a kernel, or a mark; or several kernels that do not touch what the
 * others write, each a range of the launch's blocks. Threads that never meet are as well numbered
 * through: thread t of block b of a launch is number threads * b + t of its range, whatever blocks
 * the kernel was made for.
 */
struct loop_launch {
    const int *kernel; /* of the program; those of one function stand side by side */
    int kernels;
    const char *name; /* of its own function, which calls the kernels'; NULL: the kernel's */
    const struct loop_launch *first; /* whose function it calls; NULL: its own, or a kernel's */
    int64_t blocks, threads;
    bool barrier; /* it waits for those before it */
};

struct loop_program {
    struct ir_arena *arena;
    const struct ir_graph *graph;
    const struct ir_target *target;
    const char *name;
    struct loop_kernel **kernel; /* in order of execution */
    int kernels;
    struct loop_place *place; /* inputs, outputs and states first, then what lies between kernels */
    int places;
    struct loop_repeat *repeat; /* ascending, none inside another */
    int repeats;
    struct loop_launch *launch; /* of a GPU: all kernels and marks, in order; else none */
    int launches;
    int bases; /* base[bases] is the table of functions, where there are calls */
    int calls;
    int symbols;                      /* of the graph, that the caller knows: the first */
    int64_t arena_bytes, state_bytes; /* all that base[0] and base[1] must have */
    int64_t least; /* of the arena is alive at the fullest moment: no packing needs less */
    int64_t scratch, scratch_offset; /* bytes a thread, at scratch_offset of the arena, one piece
                                        after the other */
    int threads;                     /* most threads that scratch has room for */
};

struct loop_kernel *loop_kernel_new(struct ir_arena *, const struct ir_graph *, const char *name);

/* loop_index.c */
loop_ix loop_const(struct loop_kernel *, int64_t);
loop_ix loop_axis_ix(struct loop_kernel *, int axis);
loop_ix loop_dim_ix(struct loop_kernel *, int64_t dim); /* constant for a fixed extent */
loop_ix loop_value_ix(struct loop_kernel *, uint32_t value);
loop_ix loop_atom_ix(struct loop_kernel *,
                     struct loop_atom); /* as it stands, nothing simplified: what a text says */
loop_ix loop_plus(struct loop_kernel *, loop_ix a, loop_ix b);
loop_ix loop_scale(struct loop_kernel *, loop_ix a, int64_t by);
loop_ix loop_div(struct loop_kernel *, loop_ix a, int64_t by);
loop_ix loop_mod(struct loop_kernel *, loop_ix a, int64_t by);
loop_ix loop_replace(struct loop_kernel *, loop_ix in, int axis,
                     loop_ix by); /* axis -> expression, simplified again */
void loop_range(const struct loop_kernel *, loop_ix, int64_t *lo,
                int64_t *hi); /* lo <= value <= hi */
/* the greatest value by each term alone, which falls with every term that cancels */
int64_t loop_simple_most(const struct loop_kernel *, loop_ix);
bool loop_is_const(const struct loop_kernel *, loop_ix, int64_t *value);
int64_t loop_coefficient(const struct loop_kernel *, loop_ix, int axis,
                         bool *linear); /* d ix / d axis; linear false: inside a division */
uint64_t loop_axes_of(const struct loop_kernel *,
                      loop_ix); /* set of axes it depends on, through values too */
bool loop_reads_values(const struct loop_kernel *, loop_ix);
int loop_guard_state(const struct loop_kernel *,
                     const struct loop_guard *); /* 1 always true, 0 always false, -1 depends */
struct loop_kernel *
loop_shadow(const struct loop_kernel *,
            struct ir_arena *); /* index expressions made on it leave the kernel as it is */

/* loop.c: building and walking */
int loop_axis_new(struct loop_kernel *, const char *name, loop_ix to, int64_t hi);
uint32_t loop_value_new(struct loop_kernel *, enum ir_dtype);
int loop_buffer_of(struct loop_kernel *, const char *name, enum ir_dtype, ir_val value,
                   int64_t elements);
struct loop_statement *loop_add(struct loop_kernel *, struct loop_block *,
                                struct loop_statement draft); /* copied, and its guards */
void loop_add_guard(struct loop_kernel *, struct loop_statement *, struct loop_guard);
struct loop_statement *loop_copy(struct loop_kernel *,
                                 const struct loop_statement *); /* deep; values keep their ids */
void loop_replace_axis(struct loop_kernel *, struct loop_block *, int axis, loop_ix by);
void loop_depends(struct loop_kernel *); /* fills value.depends, to a fixed point over variables */

/* loop_launch.c */
void loop_grid(const struct loop_kernel *, int64_t *blocks, int64_t *threads); /* of its own */
const struct loop_kernel *loop_function(const struct loop_kernel *); /* whose function it calls */
int loop_arrays(const struct loop_kernel *); /* its buffers, but for scratch */
int64_t loop_launch_blocks(const struct loop_program *, const struct loop_launch *,
                           int i); /* of the launch's, for its kernel i */
int loop_launch_arrays(const struct loop_program *, const struct loop_launch *,
                       const struct loop_buffer **array); /* kernel by kernel; or their number */

/* loop_print.c, loop_parse.c, loop_verify.c */
void loop_put_ix(struct ir_text *, const struct loop_kernel *, loop_ix);
void loop_print(struct ir_text *, const struct loop_kernel *);
struct loop_kernel *loop_parse(const char *file, const char *text, size_t size,
                               const struct ir_graph *, struct ir_arena *, struct ir_error *);
bool loop_verify(const struct loop_kernel *, struct ir_error *);
void loop_assert(const struct loop_kernel *,
                 const char *pass); /* where TAPER_VERIFY=1 is set, as the tests do; it ends the
                                      process. A text by hand may be sound and not look so. */

#endif

/*
 * ir.h: what a program is. The graph of tensors is here; the loop nest of a kernel is in loop.h.
 *
 * A graph is a growing array of nodes; a value is an index into it; arguments come before users, so
 * the order of definition is a topological order. Equal nodes are one node. Node 0 is poison, the
 * result of an error: every operation on it gives it back. A pass reads a const graph and builds a
 * fresh one; there are no use lists, no edits in place, and everything a graph holds lives in its
 * arena and goes with it.
 */
#ifndef TAPER_IR_H
#define TAPER_IR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* error.c: two kinds of error. The user's are returned with a text; ours print the graph and abort.
 */
enum {
    IR_OK,
    IR_FAILED = 1,
    IR_REFUSED = 2,
    IR_UNSUPPORTED = 3
}; /* the exit statuses of the command */
struct ir_error {
    int status; /* IR_OK: none yet */
    char text[400];
};
bool ir_error(struct ir_error *e, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* keeps the first, makes it printable, returns false */
struct ir_graph;
struct ir_node;
bool ir_refuse(const struct ir_graph *, const struct ir_node *, const char *format, ...)
    __attribute__((
        format(printf, 3,
               4))); /* "FILE:LINE: OP: ..." of the node into the graph's error; returns false */
_Noreturn void ir_bug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* arena.c: memory that is freed all at once */
struct ir_arena;
struct ir_arena *ir_arena_new(void);
void ir_arena_free(struct ir_arena *);
void ir_arena_adopt(struct ir_arena *, struct ir_arena *child); /* child is freed with it */
void *ir_alloc(struct ir_arena *, size_t bytes); /* zeroed, 16-byte aligned; never NULL */
char *ir_format(struct ir_arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *ir_enlarge(struct ir_arena *, const void *array, size_t count, size_t room, size_t size);
/* a growing array: makes room for one element behind the `count` that it has */
#define ir_grow(arena, array, count, room)                                             \
    ((count) < (room) ? (void)0                                                        \
                      : (void)((room) = 2 * (room) + 16,                               \
                               (array) = ir_enlarge((arena), (array), (size_t)(count), \
                                                    (size_t)(room), sizeof *(array))))

/* text.c: a growing text, the target of every printer */
struct ir_text {
    char *data; /* always ended by 0; NULL while empty */
    size_t size, room;
};
void ir_put(struct ir_text *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ir_put_list(struct ir_text *, const char *format, va_list);
void ir_put_bytes(struct ir_text *, const char *bytes, size_t size);
void ir_put_name(struct ir_text *, const char *name); /* as it is where it is a plain word (letters,
                                                         digits, _ and .), else quoted */
void ir_put_quoted(struct ir_text *, const char *text); /* "..." with \" \\ \x0a */
void ir_text_free(struct ir_text *);

/* dtype.def: element types */
enum ir_dtype {
#define DTYPE(NAME, ...) IR_##NAME,
#include "dtype.def"
#undef DTYPE
    IR_DTYPES
};
struct ir_dtype_info {
    const char *name;
    int bytes;
    char kind;                /* 'b' truth, 'i' signed, 'u' unsigned, 'f' floating */
    enum ir_dtype arithmetic; /* what it is computed in; itself, or it is for memory only */
};
extern const struct ir_dtype_info ir_dtypes[IR_DTYPES];
static inline bool ir_narrow(enum ir_dtype dtype)
{
    return ir_dtypes[dtype].arithmetic != dtype;
}
/* number.c: numbers in a type */
uint16_t ir_half(enum ir_dtype, float); /* f16 or bf16: its bits, and back */
float ir_of_half(enum ir_dtype, uint16_t);
double ir_rounded(enum ir_dtype, double); /* of a floating type */
bool ir_in_range(enum ir_dtype, int64_t); /* of the others; u64 has the range of its bits */
void ir_put_number(struct ir_text *, enum ir_dtype,
                   double value); /* the shortest that reads back as the same number */
bool ir_read_number(const char *text, size_t size,
                    double *value); /* both whatever the locale; inf and nan are spelled so */

/* ops.def: operations */
enum ir_op {
    IR_POISON,
#define UNARY(name, ...)     IR_##name,
#define PREDICATE(name, ...) IR_##name,
#define BINARY(name, ...)    IR_##name,
#define COMPARE(name, ...)   IR_##name,
#define OP(name, ...)        IR_##name,
#include "ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
    IR_OPS
};
enum ir_group { IR_UNARY, IR_PREDICATE, IR_BINARY, IR_COMPARE, IR_STRUCTURAL };
struct ir_op_info {
    const char *name;
    enum ir_group group;
    int arity;              /* -1: any number */
    char kind;              /* pointwise rows: F N I B A, see ops.def */
    const char *text;       /* pointwise rows: the C text */
    const char *grad[3];    /* pointwise rows: formulas of d/da, d/db; NULL elsewhere */
    const char *attributes; /* names of the integer lists, a space between two */
    const char *doc;
};
extern const struct ir_op_info ir_ops[IR_OPS];
enum ir_op ir_op_by_name(const char *name, size_t length); /* IR_POISON: there is none */
int ir_attributes(enum ir_op op);                          /* how many lists it has */
const char *ir_attribute(enum ir_op op, int i,
                         int *length);         /* the name of the i-th, not ended by 0 */
int ir_region_kind(const char *name);          /* row of regions.def, or -1 */
static inline bool ir_pointwise(enum ir_op op) /* one element from one element of each argument */
{
    return ir_ops[op].group != IR_STRUCTURAL || op == IR_cast || op == IR_bitcast ||
           op == IR_select || op == IR_stop_gradient;
}
static inline bool ir_cheap(enum ir_op op) /* .. of numbers, by one instruction on a vector */
{
    return op == IR_add || op == IR_sub || op == IR_mul || op == IR_neg || op == IR_abs ||
           op == IR_max || op == IR_min || op == IR_relu || op == IR_select;
}

/* where in the user's program a value was born; passes carry it along */
struct ir_loc {
    const char *file; /* NULL: nowhere */
    int line;
};

/*
 * Extents. A dim is an int64_t: zero or more is the extent; a value below IR_SYMBOLIC stands for
 * scale * s * t * ... + offset over the graph's symbols (bounded, e.g. batch in 1..64). Equal dims
 * are equal numbers. A graph copied by a pass keeps the meaning of its dims.
 */
#define IR_RANK     8                       /* greatest rank */
#define IR_SYMBOLS  16                      /* symbols a graph may have */
#define IR_SYMBOLIC (INT64_MIN + (1 << 20)) /* dims below are symbolic */
struct ir_symbol {
    const char *name;
    int64_t lo, hi; /* both included */
};
struct ir_dimension { /* scale * product of symbol[i]^power[i] + offset */
    int64_t scale, offset;
    uint8_t power[IR_SYMBOLS];
};
struct ir_shape {
    int rank;
    int64_t dim[IR_RANK];
};

typedef struct {
    uint32_t id;
} ir_val; /* 0 is poison */

struct ir_list { /* an attribute: a list of integers */
    int count;
    const int64_t *at;
};
#define IR_ATTRS 6

/*
 * A C function of the user's. It is pure: a call may be shared with an equal one or left out. What
 * runs nodes calls `call`; machine code gets the function's address at run time, never as text, and
 * a text that stands alone contains `source` and calls it by its name.
 */
#define IR_CUSTOM_ARGUMENTS 32
struct ir_array;
struct ir_custom {
    const char *name;       /* a C identifier */
    const char *source;     /* C text that defines it, or NULL */
    void (*function)(void); /* of what type the frontend knows */
    void *user;             /* its first argument */
    void (*call)(const struct ir_custom *, int by, int n, const struct ir_array *in,
                 struct ir_array *out); /* by: -1: the value */
};

struct ir_node {
    enum ir_op op;
    enum ir_dtype dtype;
    struct ir_shape shape;
    int arity;
    const ir_val *args;
    struct ir_list
        attr[IR_ATTRS]; /* by the names in ir_ops[op].attributes; const: value = one number, the
                           bits of a double for floating types, else the integer; size: the dim;
                           state: init kind and the bits of two doubles */
    const char *text; /* input, state, custom: its name; dot: the letters "mk,kn->mn"; else NULL */
    const char *name; /* the user's name path, e.g. "fc1.relu", or NULL */
    struct ir_loc loc;
    uint32_t region;             /* innermost region it was recorded in, 0: none */
    uint32_t identity;           /* not 0: never merged with an equal node (effects, random bits) */
    const struct ir_graph *body; /* scan: one step; else NULL */
    const struct ir_custom *custom; /* of such a node, unless it was read from a text; else NULL */
};

/* how a state starts: attr init = { kind, bits of a, bits of b } */
enum ir_init {
    IR_INIT_ZERO,
    IR_INIT_CONSTANT /* a */,
    IR_INIT_UNIFORM /* a..b */,
    IR_INIT_NORMAL /* mean a, deviation b */
};

struct ir_region {            /* regions.def */
    const char *name, *title; /* "softmax"; title: the user's name of it, or NULL */
    uint32_t parent;
    int kind; /* row of regions.def, -1: a plain scope */
    int arity;
    ir_val *args, result;
    struct ir_list attr;
    struct ir_loc loc;
};

/* a region that passes open: values that are computed a second time, to save memory */
#define IR_AGAIN "again"

struct ir_output {
    const char *name;
    ir_val value;
};

struct ir_graph {
    struct ir_arena *arena;
    struct ir_error *error; /* the first error is kept; outlives the graph or is in its arena */
    const char *name;       /* "step" */
    struct ir_node *nodes;  /* nodes[0] is poison */
    uint32_t count, room;
    struct ir_symbol symbol[IR_SYMBOLS];
    int symbols;
    struct ir_dimension *dimension; /* symbolic dim d is dimension[d - INT64_MIN] */
    int dimensions, dimension_room;
    struct ir_region *region;                                /* region[0] is the whole graph */
    uint32_t regions, region_room, region_now, region_shift; /* of what ir_copy takes over */
    struct ir_output *outputs;                               /* what it returns, in order */
    int output_count, output_room;
    ir_val *effects; /* assign nodes, in order */
    int effect_count, effect_room;
    uint64_t seed;                            /* of the initial values and of bits */
    uint32_t *table;                          /* hash of the nodes */
    uint32_t table_room, identities, renewed; /* nodes before `renewed` are not shared */
    uint32_t *named; /* hash of inputs and states by name; the top bit: assigned already */
    uint32_t named_room, named_count;
};

/* graph.c: building */
struct ir_graph *ir_graph_new(const char *name, struct ir_error *error);
struct ir_graph *ir_graph_like(const struct ir_graph *in); /* empty, with in's name, symbols, dims,
                                                              regions' names, seed and error */
void ir_graph_free(struct ir_graph *);
ir_val ir_add(struct ir_graph *g,
              const struct ir_node *draft); /* infers dtype and shape (rows with rule `given` bring
                                               them), shares equal nodes; draft is copied */
ir_val ir_copy(struct ir_graph *out, const struct ir_graph *in, ir_val v,
               const ir_val *moved); /* node v of in with its arguments moved[old id] */
struct ir_graph *
ir_clone(const struct ir_graph *in,
         const struct ir_graph *symbols); /* all of it, with that graph's symbols */
ir_val *ir_moved(struct ir_graph *out,
                 const struct ir_graph *in); /* a zeroed table old id -> new value */
void ir_take_regions(struct ir_graph *out, const struct ir_graph *in);
void ir_move_regions(struct ir_graph *out, const struct ir_graph *in,
                     const ir_val *moved); /* a pass's last step: regions' arguments and results */
void ir_move_outputs(struct ir_graph *out, const struct ir_graph *in, const ir_val *moved);
void ir_output(struct ir_graph *g, const char *name, ir_val v);
static inline const struct ir_node *ir_at(const struct ir_graph *g, ir_val v)
{
    return &g->nodes[v.id];
}
bool ir_is_again(const struct ir_graph *g, ir_val v); /* computed a second time */
void ir_erase(struct ir_graph *, const bool *gone,
              uint32_t count); /* of the first `count` nodes: they become poison */
void ir_forget(
    struct ir_graph *g); /* all but the states, which keep their ids: a tape begins anew */
void ir_renew(struct ir_graph *g); /* what is added from now on is shared with no node but inputs
                                      and states, and states may be assigned again: a tape whose
                                      states have changed */
bool *ir_live(const struct ir_graph *g,
              struct ir_arena *arena); /* reached from outputs and effects */

/*
 * body.c: a graph in a graph. A scan owns one, its body, which is closed: its inputs, in the order
 * of their ids, are the arguments of the node, its outputs the results, and it has no state and no
 * effect. ir_add copies the body that a draft brings into the graph, with the graph's symbols; its
 * dims are numbers of its own table (ir_dim_of translates).
 *
 *   scan   arguments: `carry` carries, `slices` arrays whose first axis is the steps, and what
 * every step reads whole. The body takes the carries, one slice of each array and the rest, and
 *          gives the next carries and this step's outputs. Results: the carries after the last
 *          step (as they came in, where length is 0), then the outputs of all steps, stacked along
 *          a new first axis. Steps run from 0 up, or with reverse=1 from length - 1 down; slices
 * and outputs keep their places. With when=i no step runs where argument i, a truth value that
 * stands behind the slices, is false: the carries are as they came in, and the outputs zeros.
 *          With own=m, of one step without carries and slices, the body says its own derivative:
 *          of its m + n outputs the first m are the results; its first n arguments have as
 * gradients the other n outputs, with the gradients of the results in the place of the next m
 *          arguments, which are zeros before. The other arguments have no gradient.
 *          The node itself has no value: `result at=i` is its i-th.
 */
#define IR_BODIES 4 /* bodies in each other */
enum {
    IR_SCAN_CARRY,
    IR_SCAN_SLICES,
    IR_SCAN_LENGTH,
    IR_SCAN_REVERSE,
    IR_SCAN_WHEN,
    IR_SCAN_OWN
}; /* attributes */
struct ir_graph *ir_body_new(const struct ir_graph *parent,
                             const char *name); /* to be freed after ir_add, which copies it */
struct ir_graph *ir_body_like(const struct ir_graph *body,
                              const struct ir_graph *parent); /* empty, with body's regions */
ir_val ir_make_scan(struct ir_graph *, const struct ir_graph *body, int n, const ir_val *args,
                    int carry, int slices, int64_t length, bool reverse, int when,
                    struct ir_loc); /* when: -1: it always runs */
ir_val ir_make_scan_like(struct ir_graph *, const struct ir_graph *of, const struct ir_node *scan,
                         const struct ir_graph *body,
                         const ir_val *args); /* its numbers, new body */
ir_val ir_make_result(struct ir_graph *, ir_val of, int at, struct ir_loc);
bool ir_has_results(enum ir_op op);               /* no value of its own */
static inline bool ir_has_identity(enum ir_op op) /* one of its kind, whatever it is made of */
{
    return op == IR_assign || op == IR_bits || op == IR_step || op == IR_local;
}
static inline bool ir_is_memory(enum ir_op op) /* is there before the kernels that read it */
{
    return op == IR_input || op == IR_state || op == IR_local;
}
static inline bool ir_is_store(enum ir_op op) /* of value b into memory a */
{
    return op == IR_assign || op == IR_store;
}
int ir_parameters(const struct ir_graph *body, ir_val *inputs, int room); /* how many; in order */
bool ir_same_body(const struct ir_graph *a, const struct ir_graph *b, bool outputs);
uint64_t ir_body_hash(const struct ir_graph *body);
static inline int64_t ir_scan_number(const struct ir_node *scan, int attr) /* 0 where left out */
{
    return scan->attr[attr].count ? scan->attr[attr].at[0] : 0;
}
static inline int ir_scan_when(const struct ir_node *scan) /* which argument; -1: it always runs */
{
    return scan->attr[IR_SCAN_WHEN].count ? (int)scan->attr[IR_SCAN_WHEN].at[0] : -1;
}

/* build.c: shorter ways to ir_add; every one takes the place it belongs to */
ir_val ir_op1(struct ir_graph *, enum ir_op, ir_val a, struct ir_loc);
ir_val ir_op2(struct ir_graph *, enum ir_op, ir_val a, ir_val b, struct ir_loc);
ir_val ir_op_attr(struct ir_graph *, enum ir_op, int arity, const ir_val *args,
                  const struct ir_list *attr, struct ir_loc);
ir_val ir_input(struct ir_graph *, const char *name, enum ir_dtype, struct ir_shape, struct ir_loc);
ir_val ir_state(struct ir_graph *, const char *name, enum ir_dtype, struct ir_shape, enum ir_init,
                double a, double b, struct ir_loc);
ir_val ir_number(struct ir_graph *, enum ir_dtype, double value, struct ir_loc); /* scalar const */
ir_val ir_integer(struct ir_graph *, enum ir_dtype, int64_t value,
                  struct ir_loc); /* scalar const, exact for 64 bits */
ir_val ir_full_like(struct ir_graph *, ir_val like, double value,
                    struct ir_loc); /* expand of a const */
ir_val ir_cast(struct ir_graph *, ir_val a, enum ir_dtype,
               struct ir_loc); /* a itself when it has the type */
ir_val ir_select(struct ir_graph *, ir_val condition, ir_val a, ir_val b, struct ir_loc);
/* Over several axes of which another than the first is symbolic: a reduction of reductions, so that
 * a kernel's row has its one symbolic extent in front. */
ir_val ir_reduce(struct ir_graph *, enum ir_op, ir_val a, int n, const int64_t axes[],
                 struct ir_loc); /* axes ascending, not negative */
ir_val ir_sum_to(struct ir_graph *, ir_val a, struct ir_shape to,
                 struct ir_loc); /* undoes broadcasting to a's shape */
ir_val ir_dot(struct ir_graph *, ir_val a, ir_val b, const char *letters, struct ir_loc);
ir_val ir_reshape(struct ir_graph *, ir_val a, struct ir_shape, struct ir_loc);
ir_val ir_permute(struct ir_graph *, ir_val a, const int64_t axes[], struct ir_loc);
ir_val ir_expand(struct ir_graph *, ir_val a, struct ir_shape, struct ir_loc);
ir_val ir_expand_axes(struct ir_graph *, ir_val a, struct ir_shape, int n, const int64_t axes[],
                      struct ir_loc); /* puts back axes that a reduce took away */
ir_val ir_iota(struct ir_graph *, enum ir_dtype, struct ir_shape, int axis, struct ir_loc);
ir_val ir_size(struct ir_graph *, int64_t dim, enum ir_dtype,
               struct ir_loc); /* const for a fixed extent; f32, f64, i32 or i64 */
ir_val ir_assign(struct ir_graph *, ir_val state, ir_val value, struct ir_loc);
double ir_number_of(const struct ir_node *constant); /* value of a const node */
bool ir_is_number(const struct ir_graph *, ir_val v,
                  double value); /* v is that const, perhaps expanded or reshaped */
uint32_t ir_region_open(struct ir_graph *, const char *name, const char *title, int n,
                        const ir_val *args, struct ir_list attr, struct ir_loc);
ir_val ir_region_close(struct ir_graph *, uint32_t region, ir_val result); /* returns result */

/* shape.c, shape_move.c, shape_window.c: one rule serves the builder, the verifier and the message
 */
bool ir_infer(struct ir_graph *g,
              struct ir_node *draft); /* fills dtype and shape, or reports and returns false */
int64_t ir_window_extent(int64_t in, int64_t window, int64_t stride, int64_t lo, int64_t hi,
                         int64_t dilation); /* floor; -1: does not fit */

/* dim.c: extents. A result that is no dim (negative, past 2^48, not of the form above) is -1;
 * so is the result of such an argument. */
int64_t ir_symbol_new(struct ir_graph *g, const char *name, int64_t lo,
                      int64_t hi);                     /* a dim; -1 and an error for bad bounds */
int64_t ir_symbol_dim(struct ir_graph *g, int symbol); /* the dim of g->symbol[symbol] */
int64_t ir_dim_mul(struct ir_graph *g, int64_t a, int64_t b);
int64_t ir_dim_add(struct ir_graph *g, int64_t a,
                   int64_t b); /* b may be a negative number, -1 too */
int64_t ir_dim_sub(struct ir_graph *g, int64_t a, int64_t b);
int64_t ir_dim_div(struct ir_graph *g, int64_t a, int64_t b); /* exact; -1 when it is not a dim */
int64_t ir_dim_max(const struct ir_graph *g, int64_t dim);    /* at the symbols' upper bounds */
int64_t ir_dim_min(const struct ir_graph *g, int64_t dim);
int64_t ir_dim_value(const struct ir_graph *g, int64_t dim, const int64_t *symbols);
bool ir_dim_fits(const struct ir_graph *g, int64_t a,
                 int64_t b); /* a <= b whatever the symbols are, as far as can be seen */
bool ir_dim_valid(const struct ir_graph *g, int64_t dim);
int64_t ir_dim_of(struct ir_graph *g, const struct ir_graph *other,
                  int64_t dim); /* what a dim of another graph with these symbols is here */
struct ir_shape ir_shape_of(struct ir_graph *g, const struct ir_graph *other, struct ir_shape);
bool ir_same_dims(const struct ir_graph *a, const struct ir_graph *b, int n, const int64_t *of_a,
                  const int64_t *of_b);
static inline bool ir_dim_fixed(int64_t dim)
{
    return dim >= 0;
}
bool ir_same_shape(const struct ir_shape *a, const struct ir_shape *b);
int64_t ir_elements(const struct ir_graph *g,
                    const struct ir_shape *s); /* at the upper bounds; -1: does not fit 2^62 */
void ir_put_dim(struct ir_text *, const struct ir_graph *g, int64_t dim); /* 4*batch+2 */
/* " (model.c:12)", of a long path its end; "" where there is none */
const char *ir_from(const struct ir_graph *g, struct ir_loc loc);
void ir_put_shape(struct ir_text *, const struct ir_graph *g, enum ir_dtype,
                  const struct ir_shape *); /* f32[batch 784]; a scalar: f32 */

/*
 * order.c: the order of accumulation is part of what an op means, not of its schedule.
 *   ASCENDING  one accumulator an element, the reduced index ascending (row-major over the reduced
 * axes) LANES      the reduced axes are the last ones: element i of the flat reduced index goes to
 * accumulator i % 64; at the end accumulators j, j+16, j+32, j+48 are added as (0+1)+(2+3), then
 * lanes by l^8, l^4, l^2, l^1 and in both the reduced space is cut in pieces, each summed by itself
 * from zero, their sums added in ascending order: piece > 0  pieces of so many indices of the first
 * reduced axis (of the flat index for LANES) Contractions: dot by its contracted letters in the
 * order they have in the first argument; conv by (tap of the first spatial axis, .., input channel,
 * tap of the last spatial axis); conv_input the same with descending taps; conv_weight by (n,
 * spatial). Sums of windows: window_sum by taps, row-major; window_spread and window_place by
 * ascending windows; put_add and scatter_add by ascending index of b.
 *
 * Which one it is follows from the axes' places alone, never from an extent: the same line of a
 * program has the same order whether its batch is a symbol or a number, run eagerly or compiled
 * for 64. sum prod amax ..   last axes: LANES, piece 16384. Others: ASCENDING, piece 1024 indices,
 * or 1 index where several axes are reduced dot                contracted letters lead both
 * arguments (a weight's gradient, a dot product): ASCENDING, piece 512 indices, or 1 index where
 * several are contracted. Else ASCENDING in one piece conv conv_input    ASCENDING in one piece
 *   conv_weight        ASCENDING, piece 1 (an image)
 * A rewrite (a permute drawn into the letters of a dot, two sums made one) must keep ir_order() and
 * the order of the contracted letters, else it changes what the program means.
 */
enum ir_order_kind { IR_ASCENDING, IR_LANES };
struct ir_order {
    enum ir_order_kind kind;
    int64_t piece; /* 0: the whole */
};
struct ir_order ir_order(const struct ir_graph *g, const struct ir_node *reduction);
int ir_contracted(const struct ir_node *dot,
                  char letters[IR_RANK + 1]); /* the contracted letters, outermost first */
bool ir_reduces(enum ir_op);                  /* sum, prod, amax, amin, all, any */
enum ir_op ir_step(enum ir_op reduction); /* how it takes in an element: add, mul, max, min, and,
                                             or; of windows too; IR_POISON: it does not reduce */
struct ir_neutral {
    double number;
    int64_t integer;
};
struct ir_neutral ir_neutral(enum ir_op step, enum ir_dtype); /* leaves the other as it is: what a
                                                                 reduction starts from */
bool ir_same_order(const struct ir_graph *g, const struct ir_node *a, const struct ir_graph *h,
                   const struct ir_node *b); /* may b replace a */

/* formula.c: maths as text -> nodes. name[c - 'a'] is the value of letter c. Returns poison with an
 * error for a bad text. */
ir_val ir_formula(struct ir_graph *g, const char *text, const ir_val name[26], struct ir_loc loc);

/* print.c, parse.c: the textual IR, both ways: parse(print(m)) == m. A module is what a .tp file
 * holds. */
struct ir_boundary { /* a value of another kernel that one reads, and why they are two */
    ir_val value;
    const char *reason;
};
struct ir_kernel { /* a group of nodes that the fuse stage computes in one kernel */
    const char *name;
    int count;
    ir_val *nodes;      /* ascending */
    const char *reason; /* why its first node is in no earlier kernel; NULL: as a text says */
    int boundaries;     /* of the fuse stage; 0 with a text's kernels */
    struct ir_boundary *boundary;
};
struct ir_program { /* a graph, and the kernels that a later stage has split it into */
    struct ir_graph *graph;
    struct ir_kernel *kernels; /* in order of execution */
    int kernel_count;
};
struct ir_module {
    struct ir_arena *arena;
    int count; /* programs: step, eval, ... */
    struct ir_program *program[8];
    int setting_count; /* `set model = "lenet"` lines: what train needs besides */
    struct {
        const char *key, *value;
    } setting[64];
};
void ir_print(struct ir_text *, const struct ir_graph *);
void ir_print_program(struct ir_text *, const struct ir_program *);
void ir_print_module(struct ir_text *, const struct ir_module *);
struct ir_module *ir_parse(const char *file, const char *text, size_t size,
                           struct ir_error *); /* hostile text is refused with file:line */
void ir_module_free(struct ir_module *);
void ir_print_dot(struct ir_text *, const struct ir_program *);  /* Graphviz */
void ir_print_json(struct ir_text *, const struct ir_program *); /* a line: json.c says how */

/* verify.c: what always holds; false with an error that names the node */
bool ir_verify(const struct ir_graph *, struct ir_error *);
bool ir_verify_program(const struct ir_program *, struct ir_error *);

/* evaluate.c: the interpreter, with double accumulation: the oracle of the tests, and what runs
 * where no compiler is at hand */
struct ir_array { /* row-major, dense, elements as in memory (bool: one byte) */
    enum ir_dtype dtype;
    struct ir_shape shape; /* fixed extents */
    void *data;
};
struct ir_binding {
    const char *name; /* of an input or state */
    struct ir_array array;
};
/* Values of `values[0..n)` into results (data allocated from arena). Symbols take the extents that
 * the bound inputs have. States without a binding start as their init says. Effects are not
 * applied; ask for an assign node's value to see it. */
bool ir_evaluate(const struct ir_graph *g, int bindings, const struct ir_binding *binding, int n,
                 const ir_val *values, struct ir_array *results, struct ir_arena *arena,
                 struct ir_error *error);
void ir_init_fill(const struct ir_node *state, uint64_t seed, int64_t first, int64_t elements,
                  void *data); /* initial values from the first on, keyed by seed and name */
void ir_philox(uint32_t out[4], const uint32_t key[2],
               const uint32_t counter[4]); /* Salmon et al., SC 2011 */

/* target.c: target.def */
struct ir_target {
    const char *name;
    int lanes, registers;
    int64_t l1, l2, l3;
    bool fma;
    int processors; /* 0: a CPU */
    const char *flags;
};
bool ir_target_is_here(const struct ir_target *);            /* is its language this machine's? */
const struct ir_target *ir_target_by_name(const char *name); /* "native" too; NULL: there is none */

#endif

/*
 * passes.h: rewriting. Every pass is a function from a const graph to a fresh one, or from a graph
 * to kernels of loops and on to a plan; pipeline.c lists them in their order.
 */
#ifndef TAPER_PASSES_H
#define TAPER_PASSES_H

#include "ir/ir.h"
#include "ir/loop.h"

/*
 * differentiate.c, gradients.c, regions.c, tangents.c: derivatives, by the rows of ops.def and
 * regions.def.
 *
 * pass_gradients appends backward nodes to g itself, so it can be nested: gradients of gradients
 * are gradients of nodes. y are the results, cotangent[i] the gradient that arrives at y[i] (NULL,
 * or poison: one, for a scalar); grads[i] is the gradient of wrt[i], zeros where no y depends on
 * it. Contributions are added in descending order of the users, then by argument, so the bits are
 * the same each time. False with an error in g when a y or wrt has no derivative.
 *
 * pass_jvp is the forward mode: the tangents of y for tangents of wrt (one for a scalar where NULL
 * or poison).
 */
bool pass_gradients(struct ir_graph *g, int n_y, const ir_val *y, const ir_val *cotangent, int n,
                    const ir_val *wrt, ir_val *grads);
bool pass_jvp(struct ir_graph *g, int n, const ir_val *wrt, const ir_val *tangent, int n_y,
              const ir_val *y, ir_val *tangents);

bool pass_gradient_passes(const struct ir_node *, int argument); /* by the node's row */

/*
 * precision.c: a graph in f32 (of no outputs yet) as one that computes in bf16 or f16 where that is
 * safe; moved[old id] is the value, which may be narrow now.
 */
struct ir_graph *pass_precision(const struct ir_graph *in, enum ir_dtype narrow, ir_val **moved);

/*
 * simplify.c, rules.def: the same values by fewer nodes; every rule keeps every bit. Outputs,
 * effects and regions are carried over.
 */
struct ir_graph *pass_simplify(const struct ir_graph *in);

/*
 * From graph to kernels. A value is either stored, in some kernel's output, an input or a state, or
 * it is virtual: views, constants and what costs nothing is computed again wherever it is read.
 */

/* storage: how the elements of a stored value lie in its buffer. Element (i0, i1, ..) is at the sum
 * over parts of pitch * (i[axis] / divisor % extent): parts come outermost first; a plain tensor
 * has one part an axis. */
struct pass_part {
    int axis;
    int64_t divisor, extent, pitch;
};
struct pass_storage {
    int parts;
    struct pass_part part[IR_RANK + 4];
    int64_t elements; /* padding included, at the symbols' bounds */
    bool padded;      /* kernels may write past the extents, into the padding */
};

/* the state of a compile, filled pass by pass */
struct pass_options {
    const struct ir_target *target;
    int64_t bound[IR_SYMBOLS]; /* narrowed upper bounds of the symbols; 0: the symbol's own */
    bool fuse;                 /* false: a kernel an op */
    bool external;             /* inputs and outputs are handed in one pointer each (eager) */
    int threads;               /* most threads that will run it */
    int64_t memory;            /* most bytes of its arena; 0: what it likes */
    const struct pass_known_state
        *known; /* states whose storage is settled already (an earlier program of the same store) */
    int known_count;
    int64_t state_bytes; /* of the store in use already */
    const struct pass_tuned
        *tuned; /* instead of the schedules' rules; NULL where tuned_count is 0 */
    int tuned_count;
    bool tf32; /* a GPU may round the operands of sums of products in f32 to TF32 */
};
struct pass_tuned { /* what was found of a kind of kernels; ascending kinds, each once */
    uint64_t kind;
    struct loop_choice choice;
};
struct pass_known_state {
    const char *name;
    int64_t offset;
    struct pass_storage storage;
};
struct pass_compiled {
    struct ir_arena *arena;
    struct ir_program *program;   /* after fuse */
    struct pass_storage *storage; /* by node id; parts -1: virtual */
    int *kernel_of;               /* by node id; -1: none */
    bool pieces; /* a map may become several nests, one after the other, by what its parts read */
    struct loop_program *loops;
};

/* flatten.c: scans as loops of kernels, the body's nodes among the others; NULL: there are none */
struct ir_graph *pass_flatten_scans(const struct ir_graph *in);
/* loops.c: the loops of such a graph, a loop before those inside it */
struct pass_loop {
    ir_val step, done;
    int parent, depth; /* -1: none around it; 0: none */
};
struct pass_loops {
    struct pass_loop *at;
    int count, room;
    int *loop_of; /* by node id: the innermost loop that it runs in; of a step, its own; -1: none */
};
struct pass_loops *pass_find_loops(const struct ir_graph *, struct ir_arena *);
bool pass_has_loops(const struct ir_graph *);
int pass_outer_symbols(const struct ir_graph *); /* the first so many are no indices of loops */
bool pass_in_loop(const struct pass_loops *, int loop,
                  int around); /* is it that loop, or inside? */

/* view.c: views are index maps */
bool pass_is_view(enum ir_op op);
bool pass_view(struct loop_kernel *, const struct ir_graph *, const struct ir_node *view,
               const loop_ix *index, loop_ix *inner);
void pass_broadcast(struct loop_kernel *, const struct ir_shape *result, const struct ir_shape *of,
                    const loop_ix *index, loop_ix *inner);

/*
 * attention.c: softmax(scale q k' + mask) v of q [.. l d], k [.. s d], v [.. s e]; of rank 4, heads
 * of q may share those of k. Of many keys, no value is queries x keys. The frontend records it in a
 * region tiled_attention of q, k, v (, mask) (, counter); attributes: causal, bits of scale, window
 * (, bits of dropout, stream).
 */
struct pass_attention {
    ir_val q, k, v, mask; /* mask: added, or truth values; broadcast to [.. l s]; or none */
    bool causal;
    double scale;
    int64_t window; /* keys back from a query's own place; 0: all */
    double dropout; /* of the weights; by counter (i64) and stream, as in bits */
    ir_val counter;
    int64_t stream;
    struct ir_loc loc;
};
bool pass_attention_tiles(const struct ir_graph *, ir_val k); /* are its keys many? */
ir_val pass_attention(struct ir_graph *, const struct pass_attention *);

/* widen.c: arithmetic in the wide types alone; the graph itself where it has no other */
const struct ir_graph *pass_widen(const struct ir_graph *);
/* fuse.c: which nodes are computed together */
struct ir_program *pass_fuse(const struct ir_graph *g, const struct pass_options *,
                             struct ir_arena *);
/* layout.c: storage of every stored value */
void pass_layout(struct pass_compiled *, const struct pass_options *);
/* What is settled of a state; NULL: nothing. Programs have their states in the same order: the
 * search begins at *next, 0 at first, and leaves it behind what it found. */
const struct pass_known_state *pass_settled(const struct pass_options *, const char *name,
                                            int *next);
const struct ir_graph *
pass_relayout(const struct ir_graph *in,
              bool all); /* copies where convolutions meet dense arrays; all: eager */
/* order.c: the same kernels in an order that keeps little at once */
struct ir_program *pass_order(const struct pass_compiled *, struct ir_arena *);
/* lower*.c: each kernel as a plain loop nest */
struct loop_kernel *pass_lower(struct pass_compiled *, int kernel, struct ir_error *);
/* schedule*.c: tiles, vectors, threads */
bool pass_schedule(struct loop_kernel *, const struct pass_options *, struct ir_error *);
void pass_choose_schedule(struct loop_kernel *, const struct pass_options *); /* as was found */
int64_t pass_sliver(
    int64_t extent); /* columns of a sliver: the widest of 4, 3, 2, 1 vectors that wastes least */
/* plan.c: places in the arena, barriers */
bool pass_plan(struct pass_compiled *, const struct pass_options *, struct ir_error *);
/* stream.c: stores past the cache, of what is larger than it; after plan, for a CPU */
void pass_stream(struct loop_program *);
/* print.c: what layout and plan have decided, as comments; of one kernel, or all of the program
 * where it is NULL */
void pass_print_layout(struct ir_text *, const struct pass_compiled *);
void pass_print_plan(struct ir_text *, const struct loop_program *, const char *kernel);
void pass_print_schedule(struct ir_text *,
                         const struct loop_kernel *); /* its heaviest nest of loops, in a line */
int64_t pass_alive(const struct loop_program *, int kernel); /* bytes of the arena that it finds or
                                                                makes; its threads' scratch too */
void pass_print_fullest(struct ir_text *, const struct loop_program *,
                        int largest); /* in a line: the kernel, and the largest of what it needs */
int pass_fullest(const struct loop_program *); /* the kernel at which they are most */
/* pipeline.c: all of them, in order. program: simplified graph, or one with kernels already. NULL
 * with error. */
struct pass_compiled *pass_pipeline(const struct ir_program *, const struct pass_options *,
                                    struct ir_arena *, struct ir_error *);
loop_ix pass_address(struct loop_kernel *, const struct pass_storage *,
                     const loop_ix *index); /* of an element in its buffer */

#endif

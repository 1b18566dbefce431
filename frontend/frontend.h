/*
 * frontend.h: what the files of the frontend share; users see taper.h only.
 *
 * A tp_graph holds the trace (one IR graph that only grows), the states by name with the memory in
 * which they live for good, and the programs compiled from it. Programs are graphs of their own:
 * copies of parts of the trace, with backward and optimiser appended.
 */
#ifndef TAPER_FRONTEND_H
#define TAPER_FRONTEND_H

#include "frontend/taper.h"
#include "ir/ir.h"
#include "passes/passes.h"
#include "runtime/runtime.h"

/*
 * store.c: states by name. Those that a program uses live in one mapping that never moves, at an
 * offset and in a storage order that the first such program chooses; until then a state is how it
 * starts, or the numbers that were written to it.
 */
enum state_kind {
    STATE_PARAMETER, /* trained, saved */
    STATE_BUFFER,    /* saved: running statistics */
    STATE_HIDDEN     /* the optimiser's, counters, arrays: not saved with the weights */
};
struct state {
    const char *name;
    enum state_kind kind;
    bool frozen;
    bool given;       /* its numbers are the user's, not an initialiser's: tp_array */
    uint64_t tape;    /* the one that used the name last */
    uint32_t changed; /* in an eager graph, after nodes before this one had read it */
    ir_val value;     /* in the trace; 0: only programs know it */
    enum ir_dtype dtype;
    struct ir_shape shape;
    enum ir_init init; /* how it starts, with a and b; or a copy of the user's numbers */
    double a, b;
    void *start;    /* until it is settled; from tp_array_new */
    int64_t offset; /* in the mapping; -1: not settled */
    struct pass_storage storage;
    size_t bytes; /* row-major */
};

enum { SCOPES = 64, WARNINGS = 32 };
struct notice { /* notice.c: a value of the trace that is looked at after each run */
    enum notice_kind { NOTICE_PRINT, NOTICE_CHECK, NOTICE_PROBE } kind;
    uint32_t value;
    const char *name; /* of the output that it becomes; of a probe its tag */
};

struct tp_graph {
    struct ir_graph *ir; /* the trace */
    struct ir_error error;
    bool told;
    void (*tell)(const char *text, void *user);
    void *tell_user;
    void (*warn)(const char *text, void *user); /* with `heard`: NULL is nobody, else stderr */
    void *warn_user;
    bool heard;
    int warnings;
    struct ir_loc warned[WARNINGS];  /* lines that have been warned of */
    const char *file;                /* the file of the last place, copied */
    char scope[400];                 /* "h.0.attn." */
    int scopes, scope_start[SCOPES]; /* lengths: a scope's name may hold dots */
    struct state *states;
    int state_count, state_room;
    int *state_slot, state_slots; /* their numbers plus one by name, hashed; a power of two */
    struct run_memory memory;     /* the states' */
    size_t memory_used;
    double memory_seconds; /* that making memory and its first numbers took, for all programs */
    struct tp_program *programs;
    uint64_t serials;               /* of programs */
    uint64_t streams;               /* of random bits that were handed out */
    uint64_t tape;                  /* how often an update has let names be used again */
    struct eager *eager;            /* NULL: operations only record */
    const struct ir_target *target; /* the machine that programs are for; NULL: this one */
    struct notice *notice;          /* what programs are to say or demand */
    int notices, notice_room;
    bool no_engine;                 /* programs are made to be looked at */
    bool unfused;                   /* programs of a kernel an operation */
    bool profiled;                  /* programs can be run kernel by kernel */
    struct device *device;          /* where the states have a copy; NULL: nowhere */
    struct tuned *tuned;            /* schedules that were found; NULL: nobody has looked yet */
    const struct pass_tuned *trial; /* while they are searched: these, and no others */
    int trial_count;
};

struct state *tp_state_find(const tp_graph *g, const char *name);
/* The state that a node stands for, made when new; NULL with an error when they do not agree. */
struct state *tp_state_of(tp_graph *g, const struct ir_node *node, enum state_kind kind);
/* Row-major, in and out, wherever it lives. */
bool tp_state_read(tp_graph *g, struct state *s, void *to);
bool tp_state_write(tp_graph *g, struct state *s, const void *from);
/* Makes the first `bytes` of the mapping memory: before a state is settled there. */
bool tp_store_grow(tp_graph *g, size_t bytes);
bool tp_state_settle(tp_graph *g, struct state *s, int64_t offset,
                     const struct pass_storage *storage);
/* Row-major numbers of a state that no program has settled; NULL with an error. */
void *tp_state_numbers(tp_graph *g, struct state *s);
void tp_store_free(tp_graph *g);
/* Room for a plain array: aligned to vectors, with memory behind it that loads may touch. */
size_t tp_array_room(size_t bytes);
void *tp_array_new(size_t bytes);                    /* not zeroed; free() */
bool tp_glob(const char *pattern, const char *text); /* * and ? */

/* storage.c: between an order in memory and row-major, of the indices first .. first + count of the
 * first axis; the shape is fixed. False: no memory. */
bool tp_storage_copy(const struct pass_storage *storage, const struct ir_shape *shape,
                     int64_t first, int64_t count, size_t bytes, void *stored, void *plain,
                     bool out);

/* trace.c */
#define POISON(graph) ((tp_tensor){ .g = (graph), .id = 0 })
struct ir_loc tp_place(tp_graph *g, tp_loc at);
tp_tensor tp_fail(tp_graph *g, tp_loc at, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5))); /* the user's mistake; gives poison */
void tp_warn(tp_graph *g, tp_loc at, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool tp_tell(tp_graph *g); /* hands a new error on; false when there is one */
tp_graph *tp_graph_of(int n, const tp_tensor *x);
bool tp_ready(tp_graph *g, tp_loc at, const char *what, int n, const tp_tensor *x);
bool tp_tensors(tp_graph *g, tp_loc at, const char *what, int n,
                const tp_tensor *x); /* no numbers */
bool tp_good_dtype(tp_graph *g, tp_loc at, const char *what, tp_dtype dtype);
bool tp_good_rank(tp_graph *g, tp_loc at, const char *what, tp_shape shape); /* as many axes */
tp_tensor tp_give(tp_graph *g, ir_val v); /* every operation ends here */
const char *tp_path(tp_graph *g, const char *name);
const char *tp_describe(tp_tensor x); /* "fc1.weight f32[120 400]", in the graph's arena */
const char *
tp_describe_from(tp_tensor x); /* .. with its line, " (model.c:12)": of two that disagree */
static inline ir_val tp_val(tp_tensor x)
{
    return (ir_val){ x.id };
}
static inline const struct ir_node *tp_node(tp_tensor x)
{
    return &x.g->ir->nodes[x.id];
}
static inline enum ir_dtype tp_ir_dtype(tp_dtype dtype)
{
    return dtype == TP_DEFAULT ? IR_F32 : (enum ir_dtype)(dtype - 1);
}
static inline struct ir_shape tp_ir_shape(tp_shape shape)
{
    struct ir_shape s = { .rank = shape.rank };
    for (int i = 0; i < shape.rank && i < IR_RANK; i++)
        s.dim[i] = shape.dim[i];
    return s;
}

/* tensor.c: a number as a constant, exact where the type has integers */
void tp_beware(const char *what, tp_tensor a, tp_tensor b, tp_loc at); /* warns of [n 1] with [n] */
ir_val tp_number_as(tp_graph *g, const char *what, double number, enum ir_dtype dtype, tp_loc at);

/* source.c */
ir_val tp_counter(struct ir_graph *g, struct ir_loc at); /* the state that counts steps, i64 */
ir_val tp_chance(tp_graph *g, struct ir_shape shape, struct ir_loc at); /* new u32 bits a run */
ir_val tp_stream(tp_graph *g, int64_t *stream, struct ir_loc at); /* for own bits: their counter */

/* initial.c: of kinds 8 and above; what such a parameter must be, or NULL; the numbers it starts
 * with */
const char *tp_initial_wants(tp_init init, enum ir_dtype dtype, tp_shape shape);
bool tp_initial_fill(tp_graph *g, struct state *s, tp_init init);

/* formula.c: a row of formulas.def */
struct tp_formula_row {
    const char *name, *numbers, *inner, *text;
    double otherwise[3]; /* NAN: the number must be given */
    int tensors;
};
const struct tp_formula_row *tp_formula_rows(int *count);
ir_val tp_formula_value(struct ir_graph *g, const char *name, ir_val a, struct ir_loc at);

/* reduce.c: the axes that tp_axes() packed, or one, or all of them */
struct tp_axes {
    int count;
    int64_t at[IR_RANK]; /* ascending */
};
bool tp_choose(tp_tensor x, const char *what, int64_t dim, struct tp_axes *axes, tp_loc at);

/* movement.c */
bool tp_axis(tp_tensor x, int64_t *axis, int count, const char *what, tp_loc at);
/* A vector as [1 .. n .. 1] of so many axes, along one of them. */
tp_tensor tp_along(tp_tensor vector, int axis, int rank, tp_loc at);
/* x's shape with another extent along one axis */
tp_shape tp_with(tp_tensor x, int axis, int64_t extent);
/* start <= i < stop, of one axis */
tp_tensor tp_cut(tp_tensor x, int axis, int64_t start, int64_t stop, tp_loc at);
/* i64: the index along an axis */
tp_tensor tp_index_along(tp_graph *g, tp_shape shape, int axis, tp_loc at);
/* One axis to another place, the others keep their order; axes are not negative. */
tp_tensor tp_moved(tp_tensor x, int from, int to, tp_loc at);
/* Is x a tensor of a floating type? Else an error. */
bool tp_floating(tp_tensor x, const char *what, tp_loc at);
/* Maths as text: letters a.. are tensors, p.. numbers of their type. All checks are done. */
tp_tensor tp_maths(const char *text, int n, const tp_tensor *x, int numbers, const double *p,
                   tp_loc at);
#define tp_maths1(text, x, at, ...)                                                                \
    tp_maths((text), 1, (tp_tensor[]){ x },                                                        \
             (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), (double[]){ __VA_ARGS__ }, \
             (at))

/* loss.c */
tp_tensor tp_loss_reduced(tp_tensor each, tp_reduction how, tp_loc at);
/* Is this a loss of an input and a target alone? Puts ", NAME" for each that is. */
bool tp_loss_plain(const char *name, struct ir_text *names);
bool tp_loss_alike(const char *what, int n, const tp_tensor *x, tp_loc at);

/* nn.c: what layers share */
struct layer {
    tp_graph *g;
    const char *what, *name;
    tp_loc at;
    struct ir_loc loc;
    uint32_t before, region;
    enum ir_dtype dtype; /* the input's */
};
bool tp_layer_begin(struct layer *l, const char *what, const char *name, tp_tensor x, tp_loc at);
/* A parameter under the layer's name; poison with an error. */
tp_tensor tp_layer_param(struct layer *l, const char *leaf, enum ir_dtype dtype, tp_shape shape,
                         tp_init init, bool shared, bool frozen);
/* The given one, or kaiming_uniform(a = sqrt 5), the default of PyTorch's linear and conv. */
tp_init tp_usual_init(tp_init given, int64_t fan_in);
void tp_layer_open(struct layer *l, const char *region, int n, const ir_val *args);
tp_tensor tp_layer_close(struct layer *l, ir_val result);

/* As a layer's beginning, for one of given weights; `what` names it. */
bool tp_layer_of(struct layer *l, const char *what, tp_tensor x, tp_tensor weight, tp_loc at);

/* nn_conv.c: by axis */
struct tp_conv {
    int axes;
    int64_t stride[3], pad[6], dilation[3], groups, size[3];
};
tp_tensor tp_convolved(enum ir_op op, const struct tp_conv *c, tp_tensor x, tp_tensor weight,
                       tp_loc at);
tp_tensor tp_conv_transposed(const char *what, const struct tp_conv *c, const int64_t *more,
                             tp_tensor x, tp_tensor weight, tp_loc at);

/* nn_norm_row.c: (x - mean) / deviation over axes, or x / root of the mean square; the affine part,
 * where it is there; both for groups of channels */
tp_tensor tp_standardised(tp_tensor x, int n, const int64_t *axes, double eps, bool centred,
                          tp_loc at);
tp_tensor tp_scaled(tp_tensor y, const tp_tensor affine[2], tp_loc at);
tp_tensor tp_grouped_norm(const char *what, tp_tensor x, int64_t groups, double eps,
                          const tp_tensor affine[2], tp_loc at);

/* nn_norm.c */
struct ir_norm { /* the arguments of a batch_norm region, in their order */
    ir_val x, scale, offset, mean, variance;
};
/* In the form for training, which compile.c turns: scale and offset (or neither), and the states
 * that are the running mean and variance. */
tp_tensor tp_batch_norm_recorded(struct layer *l, const char *title, tp_tensor x,
                                 const tp_tensor p[4], double eps, double momentum);
ir_val tp_batch_norm_eval(struct ir_graph *g, const struct ir_norm *n, double eps,
                          struct ir_loc at);

/* eager.c */
void tp_print_values(tp_tensor x);            /* "f32[2 2] [[6 8]\n [10 12]]" and a line feed */
void tp_eager_compute(tp_graph *g, ir_val v); /* v, just recorded, when g is eager */
void tp_eager_free(tp_graph *g);
void tp_eager_hold(tp_graph *g, bool hold); /* while it holds, operations only record */
bool tp_eager_set(tp_graph *g, struct state *, const void *from); /* what has read it keeps what
                                                                    it has read */
ir_val tp_eager_array(tp_graph *g, enum ir_dtype dtype, struct ir_shape shape, const void *data,
                      struct ir_loc at); /* an input with a value */

/*
 * eager_kernel.c: one operation as a kernel of its own, kept for all operations of the same form.
 * It reads its leaves through views, which are index maps and no work.
 */
struct kernel_job {
    const struct ir_graph *graph;
    ir_val value;
    const ir_val *leaf; /* what it reads, each once */
    void *const *data;  /* the leaves' numbers, row-major */
    int leaves;
    void *to;
};
struct kernels;
struct kernels *tp_kernels_new(struct ir_error *error);
void tp_kernels_free(struct kernels *kernels);
bool tp_kernel_run(struct kernels *kernels, const struct kernel_job *job, struct ir_error *error);

/* optim.c: the learning rate, and the update of one parameter, as nodes of a program's graph */
struct update {
    struct ir_graph *graph;
    const tp_opt *opt;
    const tp_schedule *rate;
    ir_val steps; /* taken before this one */
    struct ir_loc at;
    ir_val due; /* truth: this run updates; poison: every run does */
    double ema; /* 0: no averages */
};
struct letters { /* maths as text over values by letter */
    struct ir_graph *g;
    enum ir_dtype dtype;
    struct ir_loc at;
    ir_val due;
    ir_val name[26];
};
struct trained { /* parameters and their gradients, in a program's graph */
    int count;
    ir_val *parameter, *gradient;
};
/* reach.c: warns of parameters to which no gradient comes */
void tp_report_unreached(tp_graph *g, const struct ir_graph *graph, const tp_opt *opt,
                         const struct trained *t, ir_val loss, tp_loc at);
/* probe.c: outputs about the step; nodes before `before` are the forward part */
void tp_probe_step(struct ir_graph *g, const struct trained *t, uint32_t before, struct ir_loc at);
bool tp_is_probe(const char *output);
void tp_probe_value(struct ir_graph *g, const char *name, ir_val v); /* tp_log_value */
void tp_probes_print(int64_t step, const tp_program *p);             /* a JSON line */
/* optim_gather.c */
void tp_clip_gradients(struct ir_graph *g, const struct trained *t, const tp_train_args *args,
                       struct ir_loc at);
void tp_gather_gradients(struct update *u, const struct trained *t, int runs);
/* optim_scale.c: the loss's scale, of f16; what is not finite updates nothing. */
ir_val tp_loss_scale(struct update *u, const tp_train_args *args); /* a cotangent of the loss */
void tp_unscale_gradients(struct update *u, const struct trained *t, ir_val scale);
void tp_guard_update(struct update *u, const struct trained *t, const tp_train_args *args,
                     ir_val scale);
void tp_let(struct letters *l, char letter, double number);
ir_val tp_spelled(struct letters *l, const char *text);
/* A state that lives with the parameter, "NAME.leaf", and what it is after this run. */
ir_val tp_moment(struct letters *l, ir_val parameter, const char *leaf, struct ir_shape shape,
                 double start);
void tp_advance(struct letters *l, ir_val state, ir_val value);
ir_val tp_whole_sum(struct ir_graph *g, ir_val a, struct ir_loc at); /* over all axes */
ir_val tp_whole_norm(struct ir_graph *g, ir_val a, struct ir_loc at);
ir_val tp_adafactor_step(struct letters *l, const tp_opt *o, ir_val parameter); /* optim_matrix.c */
ir_val tp_muon_step(struct letters *l, const tp_opt *o, ir_val parameter);
bool tp_schedule_good(const tp_schedule *s);
double tp_schedule_end(const tp_schedule *s); /* in steps; 0: never */
ir_val tp_schedule_value(const struct update *u, enum ir_dtype dtype);
const char *tp_opt_name(int kind); /* NULL: there is none */
bool tp_opt_frozen(const tp_opt *opt, const char *name);
void tp_opt_update(const struct update *u, ir_val parameter, ir_val gradient);

/* params.c: tp_save with notes, which tp_safetensors_open shows as pairs. Whole: with the arrays
 * that the graph was given (tp_array), which a file that holds its model needs. Loaded whole, its
 * numbers are where programs begin, emitted ones too. */
struct file_pair;
bool tp_save_noted(tp_graph *g, const char *path, bool whole, int notes,
                   const struct file_pair *note);
bool tp_load_whole(tp_graph *g, const char *path);
/* source.c: is it the name of such an array? */
bool tp_is_array(const char *state);

/* program.c: what has been compiled, and the engine that runs it. */
struct engine { /* the first member of each engine's own struct */
    const char *name;
    size_t bytes;                                         /* of its arena */
    void *(*place)(struct engine *, ir_val v);            /* where an input or output lives */
    bool (*run)(struct engine *, const int64_t *symbols); /* false: the error is in the graph */
    void (*free)(struct engine *);
    bool (*fetch)(
        struct engine *); /* what the last run gave is in its places; NULL: it always is */
    /* a scalar output, by its place, of so many runs ago; NULL: of the last run alone */
    bool (*past)(struct engine *, const void *place, int back, void *to);
};
struct port {        /* an input or output */
    uint32_t traced; /* the tensor of the trace, 0: none */
    ir_val value;    /* in the program's graph */
    const char *name;
    void *data;
    size_t bytes; /* at the symbols' bounds */
};
struct making { /* how a program is made */
    int threads;
    int64_t memory;     /* most bytes of its arena; 0: what it likes */
    bool plan_only;     /* neither code nor memory */
    bool check;         /* each run is looked at */
    const char *device; /* "cuda", ..; NULL: the CPU */
    bool tf32;          /* products of f32 are computed from TF32 */
};
struct tp_program {
    tp_graph *owner;
    tp_program *next;
    struct ir_graph *graph;
    struct ir_program kernels; /* graph, and its kernels where a text said them */
    struct engine *engine;
    int64_t symbol[IR_SYMBOLS]; /* their extents in the next run */
    struct port *input, *output;
    int input_count, output_count;
    struct making making;
    bool cached;         /* its code was on disk already */
    struct check *check; /* of a checked program, from its first run on */
    bool watched;        /* somebody keeps the address of an output */
    double rate_steps;   /* a training program's: where its schedule ends; 0: it does not */
    bool notices;        /* there is something to say after each run */
    uint64_t serial;     /* tells programs at one address apart */
};
/* Takes the graph, which is finished; `traced` gives the trace's tensors to its outputs. */
tp_program *tp_program_new(tp_graph *g, struct ir_program program, const uint32_t *traced,
                           struct making making);
const struct port *tp_program_input(const tp_program *p, const char *name);
const struct port *tp_program_output(const tp_program *p, const char *name);
double tp_number_at(enum ir_dtype dtype, const void *data);
/* [[1 2]\n [3 4]]; `room`: the array lies as one of this shape would, at its symbols' bounds; NULL:
 * it lies dense. Of more than 1,000 elements the first and last three of each axis. */
void tp_put_array(struct ir_text *text, const struct ir_array *array, const struct ir_graph *graph,
                  const struct ir_shape *room);
double tp_port_number(const tp_program *p, const struct port *port); /* the first element */
/* interpret.c: the engine that needs no compiler; slow, and exact */
struct engine *tp_engine_interpreter(tp_graph *g, struct ir_graph *graph);
/* native.c: machine code. *cached: nothing was compiled. */
struct engine *tp_engine_native(tp_graph *g, const struct ir_program *program, struct making making,
                                bool *cached);
/* device.c: a GPU, or the CPU as one. */
struct engine *tp_engine_device(tp_graph *g, const struct ir_program *program, struct making making,
                                bool *cached);
bool tp_device_is_cpu(const char *name);
void tp_device_free(tp_graph *g);
/* The machine that a program is made for: the device's, or the graph's. */
const struct ir_target *tp_target_for(const tp_graph *g, const char *device);
/* The host's states are up to date on return; the host's have been changed. */
bool tp_states_here(tp_graph *g);
void tp_states_changed(tp_graph *g);
/* native.c: the states that the plan gave a place move there. */
bool tp_settle_states(tp_graph *g, const struct pass_compiled *c);
/* program.c: of how many runs scalar outputs are kept, from here on; and one of them. */
int tp_program_keep(tp_program *p);
double tp_past_number(const tp_program *p, const struct port *port, int back);
/* program.c: what the last run gave is in the outputs' places. */
bool tp_program_fetch(const tp_program *p);
/* A plan without code or memory: it knows its bytes, and does not run. */
struct engine *tp_engine_plan(tp_graph *g, const struct ir_program *program, struct making making);
/* Simplified, and fit for what comes after; its graph is new where it had no kernels. */
struct ir_program tp_simple_program(const struct ir_program *program);
/* Planned for this machine and for the states' places. NULL with an error in g. */
struct pass_compiled *tp_planned_program(tp_graph *g, const struct ir_program *simple,
                                         struct making making, struct ir_arena *arena);
struct profile { /* of a kernel */
    const char *name, *comment;
    double flops, bytes; /* as planned; bytes it touches at least once */
    bool shared;
    uint64_t kind; /* of kernels like this; 0: of its own */
    struct loop_choice choice, rule;
    enum loop_mark mark; /* a loop of kernels is run by its first mark */
};
int tp_program_kernels(const tp_program *p, const struct profile **profile); /* of a profiled one */
void tp_run_kernel(tp_program *p, int kernel); /* all of them in their order are a run */
int tp_engine_kernels(const struct engine *e, const struct profile **profile); /* of native.c */
void tp_engine_run_kernel(struct engine *e, const int64_t *symbols, int kernel);
typedef void tp_entry(char *const *base, const long *dims, int threads);
/* What its base behind the others is: the users' functions, to be freed; NULL: it has none. */
bool tp_call_table(const struct loop_program *loops, char **table, struct ir_error *error);
/* Its text compiled, or taken from the cache. NULL with an error. */
struct run_code *tp_machine_code(struct loop_program *loops, bool profiled, tp_entry **entry,
                                 struct ir_error *error);
int tp_useful_threads(const struct loop_program *loops, int threads); /* 1: nothing is shared */
int tp_thread_count(int most); /* processors that this process may use, at most so many; 0: all */

/* explain.c: a program's kernels as they are planned; NULL with an error in its graph */
struct explained_boundary { /* another kernel that it reads, and why they are two */
    const char *kernel, *reason;
};
struct explained { /* a kernel */
    const char *name, *maths, *loops;
    double flops, bytes;
    int64_t alive;              /* bytes of the arena while it runs */
    const char *tuned;          /* "rows=8 copy=1": what was found instead of the rules'; or "" */
    bool shared, barrier, mark; /* mark: where a loop of kernels begins or ends */
    int operations, boundaries;
    struct explained_boundary *boundary;
};
const struct explained *tp_explained(const tp_program *p, struct ir_arena *arena, int *count,
                                     const char **fullest);
void tp_put_explained(struct ir_text *out, const struct explained *e, const char *indent);

/* check.c: says in an output whether an index is past its axis; runs, and says what went wrong */
void tp_check_indices(struct ir_graph *graph);
bool tp_check_run(tp_program *p);
void tp_check_free(struct check *check);

/* compile.c: the trace's part that these values need, in the form of a mode, as a fresh graph. */
struct wanted { /* n values, then those of the notices that the program has the inputs of */
    int n, notices;
    uint32_t *traced;      /* in the trace */
    ir_val *value;         /* in the program's graph */
    struct notice *notice; /* NULL: none is wanted */
};
struct wanted tp_wanted(tp_graph *g, tp_list x, tp_list also);
struct ir_graph *tp_trace_part(tp_graph *g, const char *name, tp_mode mode, struct wanted *wanted,
                               bool effects);

/* notice.c: what a run says or demands */
void tp_read_notices(tp_graph *g); /* the trace's outputs that are some, of a file */
void tp_take_notices(const tp_graph *g, bool *live, struct wanted *wanted);
void tp_name_notices(struct ir_graph *graph, const struct wanted *wanted, bool probe);
bool tp_is_notice(const char *output); /* .. or is it a result? */
bool tp_is_check(const char *output);
/* "mlp.c:14: check: rates are positive", of the i-th output */
const char *tp_check_words(struct ir_arena *arena, const struct ir_graph *g, int i);
bool tp_notices_run(const tp_program *p); /* after a run; false: a check does not hold */
/* Is none of them about what is inside of a body? Else of which kind it is. */
bool tp_no_notice_inside(const tp_graph *g, const bool *inside, const char **kind);

/* compile.c: these values, in evaluation, as an ONNX file. False with an error in g. */
bool tp_export_named(tp_graph *g, int n, const tp_tensor *output, const char *const *name,
                     const char *path);

/* checkpoint.c: where a run is, besides its states and data: the numbers of `taper train`. */
struct progress {
    int64_t step, epoch, batches;    /* steps taken; the epoch under way, from 1, and its steps */
    double loss, seen;               /* of this epoch: sums of loss * rows and of rows */
    double last_loss, last_accuracy; /* of the epoch before */
};
/* False with an error in g. `said` is empty, or one line about a newer file that is damaged. */
bool tp_checkpoint_write(tp_graph *g, const tp_checkpoint_args *args, const struct progress *p);
bool tp_checkpoint_read(tp_graph *g, const tp_checkpoint_args *args, struct progress *p,
                        char said[400]);
bool tp_checkpoint_verify(const char *path, int64_t *states, int64_t *bytes,
                          struct ir_error *error);

/* emit_trainer.c: step (and eval, or NULL) with all that trains them, as one C file. */
struct trainer_args {
    const char *file, *model, *made_by, *target; /* made_by may be NULL; target NULL: native */
    tp_program *step, *eval;
    const tp_loader *train, *test; /* test may be NULL: the other part of the same */
    int64_t epochs, threads;
    int notes; /* of a model of text, as in tp_save_noted */
    const struct file_pair *note;
    /* A GPU's: "cuda" with its kernels compiled, "cuda-emu" with their text, for the emulated
     * driver; nvcc: CUDA's text, whatever the device. The target is then "sm_90a" or its like. */
    const char *device;
    bool nvcc;
};
bool tp_trainer_text(const struct trainer_args *args, struct ir_text *out, const char **flags,
                     struct ir_error *error);

/* emit_library.c: the same without data and files: NAME.c and NAME.h of a library. */
struct library_args {
    const char *name, *model, *made_by, *target;
    tp_program *step, *eval; /* eval may be NULL */
    tp_tensor output;        /* what predict gives; none: the output of eval that is called so */
    int64_t threads;         /* most that run it; 0: one */
    bool freestanding;       /* without a C library */
};
bool tp_library_text(const struct library_args *args, struct ir_text *text, struct ir_text *header,
                     const struct ir_target **target, struct ir_error *error);

/* emit.c */
bool tp_write_text(const char *path, const struct ir_text *text, struct ir_error *error);

/* feed.c */
struct data_set;
struct data_batches;
const struct data_set *tp_loader_set(const tp_loader *l);
bool tp_loader_narrow(tp_loader *l, int64_t batch);      /* smaller batches, from the beginning */
struct data_batches *tp_loader_walk(const tp_loader *l); /* NULL when it could not be made */
struct loader_source {                                   /* where a loader's rows come from */
    const char *reader;       /* a format of files, "digits", "planar", "arrays", "function" */
    char part[40], label[80]; /* empty part: all rows */
    tp_loader_args args;
    int64_t first_row, rows; /* of that part */
};
const struct loader_source *tp_loader_source(const tp_loader *l);
int64_t tp_loader_most(const tp_loader *l);       /* rows of its greatest batch */
bool tp_loader_bind(tp_loader *l, tp_program *p); /* columns to inputs; tp_next does it at need */

#endif

/*
 * eager_kernel: an operation as a program of one kernel.
 *
 * Two operations of the same form (the same op, attributes, types and shapes, through the same
 * views) run the same code, which is found by a text of that form; so a loop compiles its body
 * once. Leaves are handed in one pointer each, and nothing else is known of them.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

enum { SLACK = 8 << 10, LITTLE = 4000000 /* operations and bytes */ };

struct kernel {
    struct kernel *next; /* of the same slot */
    uint64_t hash;
    unsigned char *form;
    size_t form_size;
    struct run_code *code;
    tp_entry *entry;
    int leaves, bases, threads;
    int *base_of; /* by leaf, then of the result: which pointer it is; -1: it is not read */
    char *calls;  /* the users' functions, behind the bases; NULL: none */
};

struct kernels {
    struct kernel **slot;
    size_t slots, count;
    unsigned char *form; /* of the job at hand */
    size_t form_size, form_room;
    char *arena; /* what kernels need besides, one at a time */
    size_t arena_bytes;
    char **base;
    int base_room, threads;
    bool interpreted, failed;
};

struct kernels *tp_kernels_new(struct ir_error *error)
{
    struct kernels *k = calloc(1, sizeof *k);
    const char *engine = getenv("TAPER_ENGINE");

    if (k)
        k->slot = calloc(k->slots = 64, sizeof *k->slot);
    if (!k || !k->slot) {
        free(k);
        ir_error(error, IR_FAILED, "tp_eager_new: not enough memory");
        return NULL;
    }
    k->threads = tp_thread_count(0);
    k->interpreted = engine && strcmp(engine, "interpreter") == 0;
    return k;
}

static void free_kernel(struct kernel *k)
{
    if (!k)
        return;
    run_code_free(k->code);
    free(k->calls);
    free(k->base_of);
    free(k->form);
    free(k);
}

void tp_kernels_free(struct kernels *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->slots; i++)
        for (struct kernel *at = k->slot[i], *next; at; at = next) {
            next = at->next;
            free_kernel(at);
        }
    run_memory_free(k->arena, k->arena_bytes);
    free(k->slot);
    free(k->form);
    free(k->base);
    free(k);
}

/* --- the form of a job -------------------------------------------------------------------------
 */

static void put(struct kernels *k, const void *data, size_t bytes)
{
    if (k->form_size + bytes > k->form_room) {
        const size_t room = 2 * (k->form_size + bytes) + 256;
        unsigned char *more = realloc(k->form, room);
        k->failed |= !more;
        if (!more)
            return;
        k->form = more;
        k->form_room = room;
    }
    if (bytes)
        memcpy(k->form + k->form_size, data, bytes);
    k->form_size += bytes;
}

static void put_number(struct kernels *k, int64_t number)
{
    put(k, &number, sizeof number);
}

static void put_type(struct kernels *k, const struct ir_node *n)
{
    put_number(k, n->dtype << 8 | n->shape.rank);
    put(k, n->shape.dim, (size_t)n->shape.rank * sizeof *n->shape.dim);
}

static int leaf_number(const struct kernel_job *job, ir_val v)
{
    for (int i = 0; i < job->leaves; i++)
        if (job->leaf[i].id == v.id)
            return i;
    return -1;
}

/* A body's text does not say where its functions are. */
static void put_functions(struct kernels *k, const struct ir_graph *body)
{
    for (uint32_t v = 1; v < body->count; v++) {
        const struct ir_node *n = &body->nodes[v];
        if (n->custom) {
            put(k, &n->custom->function, sizeof n->custom->function);
            put(k, &n->custom->user, sizeof n->custom->user);
        }
        if (n->body)
            put_functions(k, n->body);
    }
}

static void put_form(struct kernels *k, const struct kernel_job *job, ir_val v)
{
    const struct ir_node *n = ir_at(job->graph, v);

    put_number(k, n->op << 16 | n->arity);
    put_type(k, n);
    for (int i = 0; i < ir_attributes(n->op); i++) {
        put_number(k, n->attr[i].count);
        put(k, n->attr[i].at, (size_t)n->attr[i].count * sizeof *n->attr[i].at);
    }
    if (n->text)
        put(k, n->text, strlen(n->text) + 1);
    if (n->custom) {
        put(k, &n->custom->function, sizeof n->custom->function);
        put(k, &n->custom->user, sizeof n->custom->user);
    }
    if (n->body) {
        struct ir_text text = { 0 };
        ir_print(&text, n->body);
        put(k, text.data, text.size);
        ir_text_free(&text);
        put_functions(k, n->body);
    }
    for (int i = 0; i < n->arity; i++) {
        const int leaf = leaf_number(job, n->args[i]);
        put_number(k, leaf);
        if (leaf < 0)
            put_form(k, job, n->args[i]);
        else
            put_type(k, ir_at(job->graph, n->args[i]));
    }
}

static uint64_t hash_of(const unsigned char *form, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ form[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

/* --- the program --------------------------------------------------------------------------------
 */

static ir_val copy(struct ir_graph *to, const struct kernel_job *job, ir_val v, ir_val *moved)
{
    const struct ir_node *n = ir_at(job->graph, v);

    for (int i = 0; i < n->arity; i++)
        if (moved[n->args[i].id].id == 0)
            copy(to, job, n->args[i], moved);
    return moved[v.id] = ir_copy(to, job->graph, v, moved);
}

/*
 * A program of one operation forks for itself alone. What takes less than a tenth of a millisecond
 * or so is done before the other threads have woken: it is left to one of them.
 */
static int threads_for(const struct loop_program *loops, int threads)
{
    double work = 0;

    for (int i = 0; i < loops->kernels; i++)
        work += loops->kernel[i]->flops + loops->kernel[i]->bytes;
    return work < LITTLE ? 1 : tp_useful_threads(loops, threads);
}

/* A graph of the operation and its views; its leaves are inputs. */
static struct ir_graph *graph_of(const struct kernel_job *job, ir_val *input, ir_val *result,
                                 struct ir_error *error)
{
    struct ir_graph *to = ir_graph_new(ir_ops[ir_at(job->graph, job->value)->op].name, error);
    ir_val *moved = ir_moved(to, job->graph);

    to->seed = job->graph->seed;
    for (int i = 0; i < job->leaves; i++) {
        const struct ir_node *leaf = ir_at(job->graph, job->leaf[i]);
        const char *name = ir_format(to->arena, "in_%d", i);
        input[i] = ir_input(to, name, leaf->dtype, leaf->shape, (struct ir_loc){ 0 });
        moved[job->leaf[i].id] = input[i];
    }
    *result = copy(to, job, job->value, moved);
    ir_output(to, "out", *result);
    return to;
}

/* Passes may number values anew: the result is found by its being handed out, leaves by name. */
static void find_bases(struct kernel *kernel, const struct loop_program *loops)
{
    for (int i = 0; i <= kernel->leaves; i++)
        kernel->base_of[i] = -1;
    for (int i = 0; i < loops->places; i++) {
        const struct ir_node *n = ir_at(loops->graph, loops->place[i].value);
        if (loops->place[i].value.id == loops->graph->outputs[0].value.id)
            kernel->base_of[kernel->leaves] = loops->place[i].base;
        else if (n->op == IR_input)
            kernel->base_of[atoi(n->text + strlen("in_"))] = loops->place[i].base;
    }
}

/* Room for the greatest kernel that there is. */
static bool fit(struct kernels *k, const struct loop_program *loops, struct ir_error *error)
{
    const size_t bytes = (size_t)loops->arena_bytes + SLACK;

    if (bytes > k->arena_bytes) {
        run_memory_free(k->arena, k->arena_bytes);
        k->arena = run_memory_map(bytes, error);
        k->arena_bytes = k->arena ? bytes : 0;
    }
    if (loops->bases + 1 > k->base_room) {
        char **more = realloc(k->base, (size_t)(loops->bases + 1) * sizeof *more);
        if (!more)
            return ir_error(error, IR_FAILED, "eager: not enough memory");
        k->base = more;
        k->base_room = loops->bases + 1;
    }
    return k->arena != NULL;
}

static bool compile(struct kernels *k, struct kernel *kernel, const struct kernel_job *job,
                    struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    ir_val *input = ir_alloc(arena, ((size_t)job->leaves + 1) * sizeof *input), result;
    struct ir_graph *graph = graph_of(job, input, &result, error);
    const struct ir_program program = { .graph = graph };
    const struct pass_options options = { .target = ir_target_by_name("native"),
                                          .external = true,
                                          .threads = k->threads };
    struct pass_compiled *c = NULL;

    if (error->status == IR_OK)
        c = pass_pipeline(&program, &options, arena, error);
    if (c && fit(k, c->loops, error) && tp_call_table(c->loops, &kernel->calls, error))
        kernel->code = tp_machine_code(c->loops, false, &kernel->entry, error);
    if (kernel->code) {
        kernel->leaves = job->leaves;
        kernel->bases = c->loops->bases;
        kernel->threads = threads_for(c->loops, k->threads);
        find_bases(kernel, c->loops);
    }
    ir_graph_free(graph);
    ir_arena_free(arena);
    return kernel->code != NULL;
}

static bool more_slots(struct kernels *k)
{
    struct kernel **slot = calloc(2 * k->slots, sizeof *slot);

    if (!slot)
        return false;
    for (size_t i = 0; i < k->slots; i++)
        for (struct kernel *at = k->slot[i], *next; at; at = next) {
            struct kernel **to = &slot[at->hash % (2 * k->slots)];
            next = at->next;
            at->next = *to;
            *to = at;
        }
    free(k->slot);
    k->slot = slot;
    k->slots *= 2;
    return true;
}

static struct kernel *make(struct kernels *k, const struct kernel_job *job, uint64_t hash,
                           struct ir_error *error)
{
    struct kernel *kernel = calloc(1, sizeof *kernel);
    bool ok = kernel != NULL && (k->count < k->slots || more_slots(k));

    if (ok) {
        kernel->hash = hash;
        kernel->form_size = k->form_size;
        kernel->form = malloc(k->form_size);
        kernel->base_of = malloc(((size_t)job->leaves + 1) * sizeof *kernel->base_of);
        ok = kernel->form && kernel->base_of;
    }
    if (!ok)
        ir_error(error, IR_FAILED, "eager: not enough memory");
    if (!ok || !compile(k, kernel, job, error)) {
        free_kernel(kernel);
        return NULL;
    }
    memcpy(kernel->form, k->form, k->form_size);
    kernel->next = k->slot[hash % k->slots];
    k->slot[hash % k->slots] = kernel;
    k->count++;
    return kernel;
}

/* Without a compiler: the reference's answer. */
static bool interpret(const struct kernel_job *job, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    ir_val *input = ir_alloc(arena, ((size_t)job->leaves + 1) * sizeof *input), result;
    struct ir_graph *graph = graph_of(job, input, &result, error);
    struct ir_binding *binding = ir_alloc(arena, ((size_t)job->leaves + 1) * sizeof *binding);
    struct ir_array array = { 0 };
    bool ok;

    for (int i = 0; i < job->leaves; i++) {
        const struct ir_node *n = ir_at(job->graph, job->leaf[i]);
        binding[i] =
            (struct ir_binding){ ir_at(graph, input[i])->text,
                                 { .dtype = n->dtype, .shape = n->shape, .data = job->data[i] } };
    }
    ok = error->status == IR_OK &&
         ir_evaluate(graph, job->leaves, binding, 1, &result, &array, arena, error);
    if (ok)
        memcpy(job->to, array.data,
               (size_t)ir_elements(graph, &array.shape) * (size_t)ir_dtypes[array.dtype].bytes);
    ir_graph_free(graph);
    ir_arena_free(arena);
    return ok;
}

bool tp_kernel_run(struct kernels *k, const struct kernel_job *job, struct ir_error *error)
{
    const enum ir_op op = ir_at(job->graph, job->value)->op;
    struct kernel *kernel;
    uint64_t hash;

    /* Each call of chance has a stream of its own in its form: code would serve it once. A number
     * is not worth the compiler's ten milliseconds. */
    if (k->interpreted || op == IR_bits || op == IR_const)
        return interpret(job, error);
    k->form_size = 0;
    put_form(k, job, job->value);
    if (k->failed)
        return ir_error(error, IR_FAILED, "eager: not enough memory");
    hash = hash_of(k->form, k->form_size);
    kernel = k->slot[hash % k->slots];
    while (kernel && (kernel->hash != hash || kernel->form_size != k->form_size ||
                      memcmp(kernel->form, k->form, k->form_size) != 0))
        kernel = kernel->next;
    if (!kernel && !(kernel = make(k, job, hash, error)))
        return false;
    k->base[0] = k->arena;
    k->base[kernel->bases] = kernel->calls;
    for (int i = 0; i <= job->leaves; i++)
        if (kernel->base_of[i] >= 0)
            k->base[kernel->base_of[i]] = i < job->leaves ? job->data[i] : job->to;
    kernel->entry(k->base, NULL, kernel->threads);
    return true;
}

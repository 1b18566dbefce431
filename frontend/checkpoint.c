/*
 * checkpoint: everything of a graph that training goes on from, in one file and out of it.
 *
 * Its states are those that programs use and those that are saved with the weights, row-major
 * whatever their order in memory, so a trainer built ahead of time reads the same file.
 */
#include "frontend/parts.h"
#include "runtime/parts/aside.h"
#include "runtime/parts/checkpoint.h"

#include "frontend/data.h"
#include "frontend/frontend.h"

enum { MOST_NUMBERS = 64 };

struct collected {
    tp_graph *g;
    struct state **state; /* behind checkpoint.state, one by one */
    struct checkpoint checkpoint;
    struct checkpoint_number number[CHECKPOINT_RUN + MOST_NUMBERS];
};

static bool used(const tp_graph *g, const struct state *s)
{
    for (const tp_program *p = g->programs; p; p = p->next)
        for (uint32_t v = 1; v < p->graph->count; v++)
            if (p->graph->nodes[v].op == IR_state && strcmp(p->graph->nodes[v].text, s->name) == 0)
                return true;
    return s->kind != STATE_HIDDEN;
}

static bool move(void *user, int state, void *plain, bool out)
{
    const struct collected *c = user;

    return out ? tp_state_read(c->g, c->state[state], plain)
               : tp_state_write(c->g, c->state[state], plain);
}

static void drop(struct collected *c)
{
    free((void *)c->checkpoint.state);
    free(c->state);
}

/* What stands in the file besides the states; the loader's part of it is where it is now. */
static struct checkpoint_run run_of(const tp_graph *g, const tp_loader *data)
{
    struct checkpoint_run run = { .seed = (int64_t)g->ir->seed, .order = -1 };
    const struct data_batches *walk = data ? tp_loader_walk(data) : NULL;

    if (walk) {
        const struct data_batches_options *o = tp_batches_options(walk);

        run.order = o->shuffle ? (int64_t)o->seed : -1;
        run.rows = o->rows;
        run.batch = o->batch;
        run.position = tp_batches_position(walk);
        run.ended = tp_batches_ended(walk);
    }
    return run;
}

static bool collect(tp_graph *g, const tp_checkpoint_args *args, struct collected *c)
{
    struct checkpoint_state *list = calloc((size_t)g->state_count + 1, sizeof *list);

    *c = (struct collected){ .g = g };
    c->state = calloc((size_t)g->state_count + 1, sizeof *c->state);
    c->checkpoint =
        (struct checkpoint){ .state = list, .number = c->number, .move = move, .user = c };
    if (!args->path || args->numbers < 0 || args->numbers > MOST_NUMBERS ||
        (args->numbers && !args->number))
        return ir_error(&g->error, IR_REFUSED,
                        "checkpoint: a path and at most %d numbers are expected", MOST_NUMBERS);
    if (args->data && tp_loader_error(args->data))
        return ir_error(&g->error, tp_loader_status(args->data), "%s", tp_loader_error(args->data));
    if (!list || !c->state)
        return ir_error(&g->error, IR_FAILED, "%.200s: not enough memory", args->path);
    for (int i = 0; i < g->state_count; i++) {
        struct state *s = &g->states[i];
        struct checkpoint_state *to = &list[c->checkpoint.states];

        if (!used(g, s))
            continue;
        *to = (struct checkpoint_state){ .name = s->name,
                                         .type = tp_part_of_type(s->dtype),
                                         .rank = s->shape.rank };
        memcpy(to->dim, s->shape.dim, sizeof to->dim);
        c->state[c->checkpoint.states++] = s;
    }
    for (int i = 0; i < args->numbers; i++) {
        struct checkpoint_number *n = &c->number[CHECKPOINT_RUN + i];

        snprintf(n->name, sizeof n->name, "number %d", i);
        memcpy(&n->bits, &args->number[i], sizeof n->bits);
    }
    c->checkpoint.numbers = CHECKPOINT_RUN + args->numbers;
    return true;
}

bool tp_checkpoint_write(tp_graph *g, const tp_checkpoint_args *args, const struct progress *p)
{
    struct checkpoint_run run;
    struct part_error part = { 0 };
    struct collected c;
    bool ok = collect(g, args, &c);

    if (ok) {
        run = run_of(g, args->data);
        run.step = p->step;
        run.epoch = p->epoch;
        run.batches = p->batches;
        run.loss = p->loss;
        run.seen = p->seen;
        run.last_loss = p->last_loss;
        run.last_accuracy = p->last_accuracy;
        checkpoint_of_run(&run, c.number);
        checkpoint_write(args->path, &c.checkpoint, &part);
        ok = tp_part_told(&part, &g->error);
    }
    drop(&c);
    return ok;
}

bool tp_checkpoint_read(tp_graph *g, const tp_checkpoint_args *args, struct progress *p,
                        char said[400])
{
    struct checkpoint_run run;
    struct part_error part = { 0 };
    struct collected c;
    bool ok = collect(g, args, &c);

    if (ok) {
        run = run_of(g, args->data);
        checkpoint_of_run(&run, c.number);
        checkpoint_read(args->path, &c.checkpoint, said, &part);
        ok = tp_part_told(&part, &g->error);
    }
    if (ok) {
        checkpoint_to_run(c.number, &run);
        *p = (struct progress){ run.step, run.epoch,     run.batches,      run.loss,
                                run.seen, run.last_loss, run.last_accuracy };
        for (int i = 0; i < args->numbers; i++)
            memcpy(&args->number[i], &c.number[CHECKPOINT_RUN + i].bits, sizeof args->number[i]);
        ok = !args->data ||
             tp_batches_seek(tp_loader_walk(args->data), run.position, run.ended != 0, &g->error);
    }
    drop(&c);
    return ok;
}

bool tp_checkpoint_verify(const char *path, int64_t *states, int64_t *bytes, struct ir_error *error)
{
    struct part_error part = { 0 };
    uint64_t count = 0, size = 0;

    checkpoint_check(path, &count, &size, &part);
    *states = (int64_t)count;
    *bytes = (int64_t)size;
    return tp_part_told(&part, error);
}

/* --- for users ----------------------------------------------------------------------------------
 */

bool tp_save_checkpoint_with(tp_graph *g, tp_checkpoint_args args)
{
    const struct progress none = { 0 };

    if (!g || g->error.status != IR_OK)
        return false;
    return tp_checkpoint_write(g, &args, &none) || tp_tell(g);
}

bool tp_resume_with(tp_graph *g, tp_checkpoint_args args)
{
    struct progress ignored;
    char said[400];

    if (!g || g->error.status != IR_OK)
        return false;
    return tp_checkpoint_read(g, &args, &ignored, said) || tp_tell(g);
}

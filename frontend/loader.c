/*
 * loader: batches of a data set, gathered row by row.
 *
 * Which rows a batch has, and how they are copied, is runtime/parts/batches.h: 6 us for 64 images
 * of MNIST. Handing the work to a thread pays only where a core is idle, and is asked for with
 * `ahead`. The thread then fills a ring of batches and is woken when half of it is empty, so that
 * the cost of waking is shared by many batches.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"
#include "runtime/parts/columns.h"
#include "runtime/parts/batches.h"

#include "frontend/data.h"

enum { CACHE_LINE = 64, SPINS = 4000, MAX_AHEAD = 1024 };

struct data_batches {
    const struct data_set *set;
    struct data_batches_options options;
    struct batches walk; /* its position is where the caller is */

    /* The ring. `made` and `taken` only grow; each is written by one side alone. */
    unsigned char *ring;
    size_t slot_bytes, column_offset[DATA_COLUMNS];
    _Atomic uint64_t made, taken;
    atomic_bool maker_asleep, taker_asleep, stop;
    bool running;
    int64_t maker_position;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t room, filled;
};

/* A function's rows are made one by one, the others copied. */
static void fetch(const struct data_batches *batches, const struct batches_span *s,
                  void *const destination[])
{
    const struct data_set *set = batches->set;

    if (!set->fill) {
        batches_fetch(&batches->walk, s, destination);
        return;
    }
    for (int64_t i = 0; i < s->count; i++) {
        void *to[DATA_COLUMNS];
        int64_t row;

        batches_rows(&batches->walk, s->epoch, s->first + i, 1, &row);
        for (int c = 0; c < set->columns; c++)
            to[c] = destination[c] ? (char *)destination[c] + (size_t)i * set->column[c].row_bytes
                                   : NULL;
        set->fill(set->user, row, to);
    }
}

static void slot_columns(const struct data_batches *batches, uint64_t batch, void *columns[])
{
    unsigned char *slot =
        batches->ring + batch % (uint64_t)batches->options.ahead * batches->slot_bytes;

    for (int c = 0; c < batches->set->columns; c++)
        columns[c] = slot + batches->column_offset[c];
}

/* Each side says that it sleeps before it looks for the last time; the other counts first. */
static void *maker(void *argument)
{
    struct data_batches *batches = argument;
    const uint64_t slots = (uint64_t)batches->options.ahead;
    void *columns[DATA_COLUMNS];

    while (!atomic_load(&batches->stop)) {
        uint64_t made = atomic_load(&batches->made);

        if (made - atomic_load(&batches->taken) == slots) {
            pthread_mutex_lock(&batches->lock);
            atomic_store(&batches->maker_asleep, true);
            while (!atomic_load(&batches->stop) && made - atomic_load(&batches->taken) > slots / 2)
                pthread_cond_wait(&batches->room, &batches->lock);
            atomic_store(&batches->maker_asleep, false);
            pthread_mutex_unlock(&batches->lock);
            continue;
        }
        struct batches_span s = batches_span_at(&batches->walk, batches->maker_position);
        slot_columns(batches, made, columns);
        fetch(batches, &s, columns);
        batches->maker_position = s.next;
        atomic_store(&batches->made, made + 1);
        if (atomic_load(&batches->taker_asleep)) {
            pthread_mutex_lock(&batches->lock);
            pthread_cond_signal(&batches->filled);
            pthread_mutex_unlock(&batches->lock);
        }
    }
    return NULL;
}

/* The batch that is next in the ring, once it is there. */
static void take(struct data_batches *batches, int64_t rows, void *const destination[])
{
    const uint64_t taken = atomic_load(&batches->taken), slots = (uint64_t)batches->options.ahead;
    void *columns[DATA_COLUMNS];

    for (int spin = 0; spin < SPINS && atomic_load(&batches->made) == taken; spin++)
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#else
        ;
#endif
    if (atomic_load(&batches->made) == taken) {
        pthread_mutex_lock(&batches->lock);
        atomic_store(&batches->taker_asleep, true);
        while (atomic_load(&batches->made) == taken)
            pthread_cond_wait(&batches->filled, &batches->lock);
        atomic_store(&batches->taker_asleep, false);
        pthread_mutex_unlock(&batches->lock);
    }
    slot_columns(batches, taken, columns);
    for (int c = 0; c < batches->set->columns; c++)
        if (destination[c])
            memcpy(destination[c], columns[c], (size_t)rows * batches->set->column[c].row_bytes);
    atomic_store(&batches->taken, taken + 1);
    if (atomic_load(&batches->maker_asleep) &&
        atomic_load(&batches->made) - (taken + 1) <= slots / 2) {
        pthread_mutex_lock(&batches->lock);
        pthread_cond_signal(&batches->room);
        pthread_mutex_unlock(&batches->lock);
    }
}

static void maker_start(struct data_batches *batches)
{
    atomic_store(&batches->made, 0);
    atomic_store(&batches->taken, 0);
    atomic_store(&batches->stop, false);
    batches->maker_position = batches->walk.position;
    batches->running = pthread_create(&batches->thread, NULL, maker, batches) == 0;
    if (!batches->running)
        batches->options.ahead = 0; /* no thread to be had: the caller gathers */
}

static void maker_stop(struct data_batches *batches)
{
    if (!batches->running)
        return;
    pthread_mutex_lock(&batches->lock);
    atomic_store(&batches->stop, true);
    pthread_cond_signal(&batches->room);
    pthread_mutex_unlock(&batches->lock);
    pthread_join(batches->thread, NULL);
    batches->running = false;
}

static bool options_fit(const struct data_set *set, struct data_batches_options *o,
                        struct ir_error *error)
{
    if (o->rows == 0 && o->first_row >= 0 && o->first_row < set->rows)
        o->rows = set->rows - o->first_row;
    if (o->first_row < 0 || o->rows <= 0 || o->rows > set->rows ||
        o->first_row > set->rows - o->rows)
        return ir_error(error, IR_REFUSED, "data %s: rows %lld to %lld were asked for; it has %lld",
                        set->name, (long long)o->first_row,
                        (long long)((uint64_t)o->first_row + (uint64_t)o->rows),
                        (long long)set->rows);
    if (o->batch < 1)
        return ir_error(error, IR_REFUSED, "data %s: batch is %lld; want at least 1", set->name,
                        (long long)o->batch);
    if (o->drop_last && o->batch > o->rows)
        return ir_error(error, IR_REFUSED, "data %s: %lld rows do not fill one batch of %lld",
                        set->name, (long long)o->rows, (long long)o->batch);
    if (o->batch > o->rows)
        o->batch = o->rows;
    if (o->ahead < 0 || o->ahead > MAX_AHEAD)
        return ir_error(error, IR_REFUSED, "data %s: %d batches ahead; want 0 to %d", set->name,
                        o->ahead, MAX_AHEAD);
    return true;
}

struct data_batches *tp_batches_new(const struct data_set *set,
                                    const struct data_batches_options *options,
                                    struct ir_error *error)
{
    struct data_batches_options fitted = *options;

    if (!options_fit(set, &fitted, error))
        return NULL;

    struct data_batches *batches = calloc(1, sizeof *batches);
    if (!batches) {
        ir_error(error, IR_FAILED, "data %s: not enough memory for a loader", set->name);
        return NULL;
    }
    batches->set = set;
    batches->options = fitted;
    batches->walk = (struct batches){ .first_row = fitted.first_row,
                                      .rows = fitted.rows,
                                      .batch = fitted.batch,
                                      .shuffle = fitted.shuffle,
                                      .drop_last = fitted.drop_last,
                                      .seed = fitted.seed,
                                      .columns = set->columns };
    for (int c = 0; c < set->columns; c++)
        batches->walk.column[c] =
            (struct batches_column){ set->column[c].rows, set->column[c].row_bytes,
                                     set->column[c].stride };
    /* A batch is no larger than the set, so only the number of slots may overflow. */
    for (int c = 0; c < set->columns; c++) {
        size_t bytes = (size_t)fitted.batch * set->column[c].row_bytes;

        batches->column_offset[c] = batches->slot_bytes;
        batches->slot_bytes += (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    }
    if (fitted.ahead) {
        size_t bytes;
        bool fits = !__builtin_mul_overflow(batches->slot_bytes, (size_t)fitted.ahead, &bytes) &&
                    bytes <= PTRDIFF_MAX - CACHE_LINE;

        batches->ring = fits ? aligned_alloc(CACHE_LINE, bytes ? bytes : CACHE_LINE) : NULL;
        if (!batches->ring) {
            ir_error(error, IR_FAILED, "data %s: not enough memory for %d batches ahead", set->name,
                     fitted.ahead);
            free(batches);
            return NULL;
        }
    }
    pthread_mutex_init(&batches->lock, NULL);
    pthread_cond_init(&batches->room, NULL);
    pthread_cond_init(&batches->filled, NULL);
    return batches;
}

void tp_batches_free(struct data_batches *batches)
{
    if (!batches)
        return;
    maker_stop(batches);
    pthread_cond_destroy(&batches->filled);
    pthread_cond_destroy(&batches->room);
    pthread_mutex_destroy(&batches->lock);
    free(batches->ring);
    free(batches);
}

int64_t tp_batches_next(struct data_batches *batches, void *const destination[])
{
    struct batches *walk = &batches->walk;
    struct batches_span s;

    if (batches->options.ahead && !batches->running)
        maker_start(batches);
    if (walk->ended || !(batches->running || batches->set->fill))
        return batches_next(walk, destination);
    s = batches_span_at(walk, walk->position);
    if (batches->running)
        take(batches, s.count, destination);
    else
        fetch(batches, &s, destination);
    walk->position = s.next;
    walk->ended = s.next % walk->rows == 0;
    return s.count;
}

int64_t tp_batches_rows(const struct data_batches *batches)
{
    return batches->walk.rows;
}

int64_t tp_batches_count(const struct data_batches *batches)
{
    return batches_count(&batches->walk);
}

int64_t tp_batches_position(const struct data_batches *batches)
{
    return batches->walk.position;
}

bool tp_batches_ended(const struct data_batches *batches)
{
    return batches->walk.ended;
}

const struct data_batches_options *tp_batches_options(const struct data_batches *batches)
{
    return &batches->options;
}

bool tp_batches_seek(struct data_batches *batches, int64_t position, bool ended,
                     struct ir_error *error)
{
    maker_stop(batches); /* starts again, from there, with the next batch */
    return batches_seek(&batches->walk, position, ended) ||
           ir_error(error, IR_REFUSED, "data %s: position %lld is not one of a loader",
                    batches->set->name, (long long)position);
}

int64_t tp_batches_row(const struct data_batches *batches, int64_t epoch, int64_t index)
{
    return batches_row(&batches->walk, epoch, index);
}

int64_t tp_batches_most(const struct data_batches *batches)
{
    return batches->options.batch;
}

/*
 * loader: batches of a data set, gathered row by row.
 *
 * The order of an epoch is a keyed permutation that is computed, not stored: a Feistel network
 * over the next power of two, walked until it lands inside. So (seed, position) is the whole
 * state, an epoch needs no table, and any row of any epoch can be asked for at once.
 *
 * A gather waits for memory, so the next rows are prefetched while one is copied. That brings 64
 * images of MNIST to 6 us; handing the work to a thread pays only where a core is idle, and is
 * asked for with `ahead`. The thread then fills a ring of batches and is woken when half of it
 * is empty, so that the cost of waking is shared by many batches.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"

enum { CACHE_LINE = 64, ROWS_PREFETCHED = 4, SPINS = 4000, MAX_AHEAD = 1024 };

struct data_batches {
    const struct data_set *set;
    struct data_batches_options options;
    int64_t position; /* where the caller is */
    bool epoch_ended; /* the next call says 0 */

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

struct data_shuffle tp_data_shuffle(uint64_t count, uint64_t seed, uint64_t epoch)
{
    struct data_shuffle shuffle = { .count = count };
    int bits = 6; /* with fewer the rounds have too little to mix */

    while (bits < 62 && (uint64_t)1 << bits < count)
        bits++;
    shuffle.low_bits = bits / 2;
    shuffle.high_bits = bits - bits / 2;
    for (int round = 0; round < 6; round++)
        shuffle.key[round] = data_mix(data_mix(data_mix(seed + 1) + epoch) + (uint64_t)round);
    return shuffle;
}

/* The top bits of two products: each depends on all bits of the half and of the key. */
static inline uint64_t feistel_round(uint64_t half, uint64_t key, int bits)
{
    return ((half ^ key) * 0x9e3779b97f4a7c15u ^ key) * 0xd6e8feb86659fd93u >> (64 - bits);
}

uint64_t tp_data_shuffled(const struct data_shuffle *shuffle, uint64_t index)
{
    const int low_bits = shuffle->low_bits, high_bits = shuffle->high_bits;

    do { /* inside [0, count) again after at most two turns on average, from 33 on */
        uint64_t low = index & (((uint64_t)1 << low_bits) - 1), high = index >> low_bits;

        for (int round = 0; round < 6; round += 2) {
            high ^= feistel_round(low, shuffle->key[round], high_bits);
            low ^= feistel_round(high, shuffle->key[round + 1], low_bits);
        }
        index = high << low_bits | low;
    } while (index >= shuffle->count);
    return index;
}

/* The batch at a position: its epoch, its rows, and the position after it. */
struct span {
    int64_t epoch, first, count, next;
};

static struct span span_at(const struct data_batches *batches, int64_t position)
{
    const struct data_batches_options *o = &batches->options;
    struct span s = { .epoch = position / o->rows, .first = position % o->rows };
    int64_t left = o->rows - s.first;

    s.count = left < o->batch ? left : o->batch;
    s.next = position + s.count;
    if (o->drop_last && left - s.count < o->batch)
        s.next = position + left; /* what is left over belongs to no batch */
    return s;
}

/* Copies a batch's rows, the columns one after the other. */
static void gather(const struct data_batches *batches, const struct span *s,
                   void *const destination[])
{
    const struct data_batches_options *o = &batches->options;
    struct data_shuffle shuffle = tp_data_shuffle((uint64_t)o->rows, o->seed, (uint64_t)s->epoch);
    uint64_t row[128]; /* so many rows at a time */

    for (int64_t done = 0; done < s->count;) {
        int64_t count = s->count - done < 128 ? s->count - done : 128;

        if (!o->shuffle)
            count = s->count - done; /* one copy */
        for (int64_t i = 0; i < (o->shuffle ? count : 1); i++) {
            uint64_t index = (uint64_t)(s->first + done + i);
            row[i] =
                (uint64_t)o->first_row + (o->shuffle ? tp_data_shuffled(&shuffle, index) : index);
        }
        for (int c = 0; c < batches->set->columns; c++) {
            const size_t bytes = batches->set->column[c].row_bytes;
            const unsigned char *rows = batches->set->column[c].rows;
            unsigned char *to = destination[c];

            if (!to || !bytes)
                continue;
            to += (size_t)done * bytes;
            if (!o->shuffle) {
                memcpy(to, rows + row[0] * bytes, (size_t)count * bytes);
                continue;
            }
            for (int64_t i = 0; i < count; i++) {
                if (i + ROWS_PREFETCHED < count)
                    for (size_t at = 0; at < bytes; at += CACHE_LINE)
                        __builtin_prefetch(rows + row[i + ROWS_PREFETCHED] * bytes + at);
                memcpy(to + (size_t)i * bytes, rows + row[i] * bytes, bytes);
            }
        }
        done += count;
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
        struct span s = span_at(batches, batches->maker_position);
        slot_columns(batches, made, columns);
        gather(batches, &s, columns);
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
    batches->maker_position = batches->position;
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
    if (batches->epoch_ended) {
        batches->epoch_ended = false;
        return 0;
    }
    struct span s = span_at(batches, batches->position);

    if (batches->options.ahead && !batches->running)
        maker_start(batches);
    if (batches->running)
        take(batches, s.count, destination);
    else
        gather(batches, &s, destination);
    batches->position = s.next;
    batches->epoch_ended = s.next % batches->options.rows == 0;
    return s.count;
}

int64_t tp_batches_rows(const struct data_batches *batches)
{
    return batches->options.rows;
}

int64_t tp_batches_count(const struct data_batches *batches)
{
    const struct data_batches_options *o = &batches->options;

    return o->rows / o->batch + (!o->drop_last && o->rows % o->batch != 0);
}

int64_t tp_batches_position(const struct data_batches *batches)
{
    return batches->position;
}

bool tp_batches_seek(struct data_batches *batches, int64_t position, struct ir_error *error)
{
    if (position < 0 || position > INT64_MAX / 2)
        return ir_error(error, IR_REFUSED, "data %s: position %lld is not one of a loader",
                        batches->set->name, (long long)position);
    maker_stop(batches); /* starts again, from there, with the next batch */
    batches->position = position;
    batches->epoch_ended = false;

    /* Rows that drop_last leaves out are no place to start. */
    const struct data_batches_options *o = &batches->options;
    if (o->drop_last && o->rows - position % o->rows < o->batch)
        batches->position = (position / o->rows + 1) * o->rows;
    return true;
}

int64_t tp_batches_row(const struct data_batches *batches, int64_t epoch, int64_t index)
{
    const struct data_batches_options *o = &batches->options;
    struct data_shuffle shuffle = tp_data_shuffle((uint64_t)o->rows, o->seed, (uint64_t)epoch);

    return o->first_row +
           (o->shuffle ? (int64_t)tp_data_shuffled(&shuffle, (uint64_t)index) : index);
}

int64_t tp_batches_most(const struct data_batches *batches)
{
    return batches->options.batch;
}

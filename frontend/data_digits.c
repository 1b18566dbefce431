/*
 * data_digits: the digits that the library draws, on all processors.
 */
#include <pthread.h>

#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"
#include "runtime/parts/columns.h"
#include "runtime/parts/digits.h"

#include "frontend/data.h"
#include "frontend/frontend.h"

/* Rows [first, end) of a set; any thread may draw any row. */
struct share {
    unsigned char *x;
    int32_t *y;
    const unsigned char *roots;
    uint64_t seed;
    int64_t first, end;
};

static void *draw_share(void *share)
{
    const struct share *s = share;

    for (int64_t row = s->first; row < s->end; row++)
        digits_row(s->seed, row, s->roots, s->x + row * DIGITS_SIDE * DIGITS_SIDE, s->y + row);
    return NULL;
}

/* On all processors, when it takes long enough to be worth a thread. */
static void draw_all(const struct share *all)
{
    enum { MOST = 16, LEAST_ROWS = 100 };
    struct share share[MOST];
    pthread_t thread[MOST];
    bool running[MOST] = { false };
    const int64_t rows = all->end - all->first;
    int count = tp_thread_count(rows / LEAST_ROWS < MOST ? (int)(rows / LEAST_ROWS) + 1 : MOST);

    for (int i = count; i-- > 0;) {
        share[i] = *all;
        share[i].first = all->first + rows * i / count;
        share[i].end = all->first + rows * (i + 1) / count;
        running[i] = i > 0 && pthread_create(&thread[i], NULL, draw_share, &share[i]) == 0;
        if (!running[i])
            draw_share(&share[i]);
    }
    for (int i = 0; i < count; i++)
        if (running[i])
            pthread_join(thread[i], NULL);
}

struct data_set *tp_data_digits(int64_t rows, uint64_t seed, struct ir_error *error)
{
    unsigned char roots[DIGITS_ROOTS];
    struct part_error part = { 0 };
    struct columns c;

    if (digits_columns(rows, &c, &part)) {
        digits_roots(roots);
        draw_all(&(struct share){ c.column[0].rows, c.column[1].rows, roots, seed, 0, rows });
    }
    return tp_part_told(&part, error) ? tp_data_take("digits", &c, error) : NULL;
}

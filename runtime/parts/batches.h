/*
 * The rows of each step, as `taper train` takes them.
 *
 * The position, epochs * rows + rows taken of this epoch, is all that is needed to go on at the
 * same row. The last batch of an epoch holds what is left, or is left out with drop_last.
 */
#ifndef PART_BATCHES_H
#define PART_BATCHES_H

struct batches_column {
    const unsigned char *rows;
    size_t bytes, stride;
};
struct batches {
    int64_t first_row, rows; /* the part of the columns to walk */
    int64_t batch;           /* rows a step, at most `rows` */
    bool shuffle, drop_last;
    uint64_t seed;
    int64_t position;
    bool ended; /* batches_next() says 0 once at the end of each epoch */
    int columns;
    struct batches_column column[COLUMNS];
};

/* The batch at a position: its epoch, its rows, and the position after it. */
struct batches_span {
    int64_t epoch, first, count, next;
};

/* All rows of the columns, in their order; what is wanted otherwise is set after it. */
PART struct batches batches_of(const struct columns *c, int64_t batch)
{
    struct batches b = { .rows = c->rows, .columns = c->count };

    b.batch = batch < 1 || batch > c->rows ? c->rows : batch;
    for (int i = 0; i < c->count; i++)
        b.column[i] = (struct batches_column){ (const unsigned char *)c->column[i].rows,
                                               c->column[i].row_bytes, c->column[i].stride };
    return b;
}

PART int64_t batches_count(const struct batches *b) /* of an epoch */
{
    return b->rows / b->batch + (!b->drop_last && b->rows % b->batch != 0);
}

PART struct batches_span batches_span_at(const struct batches *b, int64_t position)
{
    struct batches_span s = { .epoch = position / b->rows, .first = position % b->rows };
    int64_t left = b->rows - s.first;

    s.count = left < b->batch ? left : b->batch;
    s.next = position + s.count;
    if (b->drop_last && left - s.count < b->batch)
        s.next = position + left; /* what is left over belongs to no batch */
    return s;
}

/* The columns' row that an epoch shows at 0 <= index < rows. */
PART int64_t batches_row(const struct batches *b, int64_t epoch, int64_t index)
{
    struct shuffle s = shuffle_of((uint64_t)b->rows, b->seed, (uint64_t)epoch);

    return b->first_row + (b->shuffle ? (int64_t)shuffle_place(&s, (uint64_t)index) : index);
}

/* The rows at [from, from + count) of an epoch, as numbers of the columns' rows. */
PART void batches_rows(const struct batches *b, int64_t epoch, int64_t from, int64_t count,
                       int64_t row[])
{
    struct shuffle s = shuffle_of((uint64_t)b->rows, b->seed, (uint64_t)epoch);

    for (int64_t i = 0; i < count; i++)
        row[i] = b->first_row +
                 (b->shuffle ? (int64_t)shuffle_place(&s, (uint64_t)(from + i)) : from + i);
}

/*
 * Copies a batch's rows to destination[column]; NULL: not wanted. Gathering waits for memory, so
 * the next rows are asked for while one is copied.
 */
PART void batches_fetch(const struct batches *b, const struct batches_span *s,
                        void *const destination[])
{
    enum { AT_ONCE = 128, AHEAD = 4, LINE = 64 };
    int64_t row[AT_ONCE];

    for (int64_t done = 0, count; done < s->count; done += count) {
        count = s->count - done < AT_ONCE ? s->count - done : AT_ONCE;
        batches_rows(b, s->epoch, s->first + done, count, row);
        for (int c = 0; c < b->columns; c++) {
            const struct batches_column *from = &b->column[c];
            unsigned char *to = (unsigned char *)destination[c];

            if (!to || !from->bytes)
                continue;
            to += (size_t)done * from->bytes;
            if (!b->shuffle && from->stride == from->bytes) {
                memcpy(to, from->rows + (size_t)row[0] * from->bytes, (size_t)count * from->bytes);
                continue;
            }
            for (int64_t i = 0; i < count; i++) {
                if (i + AHEAD < count)
                    for (size_t at = 0; at < from->bytes; at += LINE)
                        __builtin_prefetch(from->rows + (size_t)row[i + AHEAD] * from->stride + at);
                memcpy(to + (size_t)i * from->bytes, from->rows + (size_t)row[i] * from->stride,
                       from->bytes);
            }
        }
    }
}

/* The next batch's rows; 0 once at the end of each epoch. */
PART int64_t batches_next(struct batches *b, void *const destination[])
{
    struct batches_span s;

    if (b->ended) {
        b->ended = false;
        return 0;
    }
    s = batches_span_at(b, b->position);
    batches_fetch(b, &s, destination);
    b->position = s.next;
    b->ended = s.next % b->rows == 0;
    return s.count;
}

/* Goes on where b->position and b->ended said; false where they never did. */
PART bool batches_seek(struct batches *b, int64_t position, bool ended)
{
    if (position < 0 || position > INT64_MAX / 2 || (ended && position % b->rows != 0))
        return false;
    if (b->drop_last && b->rows - position % b->rows < b->batch)
        position = (position / b->rows + 1) * b->rows; /* rows that are left out are no place */
    b->position = position;
    b->ended = ended;
    return true;
}

#endif

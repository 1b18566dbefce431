/*
 * Data sets that the program makes, and the order in which a loader shows them.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"

#include "frontend/data.h"
#include "support.h"

static bool one_line(const struct ir_error *error)
{
    return error->status == IR_REFUSED && error->text[0] && !strchr(error->text, '\n');
}

/* Rows 0, 1, 2, ... in one column, and their halves in another. */
static struct data_set *counted(int64_t rows)
{
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_new("counted", rows, &error);
    int64_t *row = tp_data_add_column(set, "row", IR_I64, 0, NULL, &error);
    float *half = tp_data_add_column(set, "half", IR_F32, 1, (int64_t[]){ 2 }, &error);

    for (int64_t i = 0; i < rows; i++) {
        row[i] = i;
        half[2 * i] = half[2 * i + 1] = (float)i / 2;
    }
    return set;
}

static struct data_batches *loader_of(const struct data_set *set,
                                      struct data_batches_options options)
{
    struct ir_error error = { 0 };
    struct data_batches *batches = tp_batches_new(set, &options, &error);

    cr_assert(batches, "%s", error.text);
    return batches;
}

Test(shuffle, sends_each_index_to_another_place)
{
    static const int64_t counts[] = { 1000, 1024, 1025, 4097, 60000, 65536, 65537 };

    for (int64_t k = 1; k < 300 + 7; k++) {
        uint64_t count = (uint64_t)(k < 300 ? k : counts[k - 300]);
        struct shuffle shuffle = shuffle_of(count, 7, (uint64_t)k);
        bool *seen = calloc(count, sizeof *seen);

        for (uint64_t i = 0; i < count; i++) {
            uint64_t to = shuffle_place(&shuffle, i);

            cr_assert(to < count && !seen[to], "%llu of %llu", (unsigned long long)i,
                      (unsigned long long)count);
            seen[to] = true;
        }
        free(seen);
    }
}

/* Checkpoints and trainers of older builds rely on it. */
Test(shuffle, order_is_the_one_it_always_was)
{
    struct shuffle shuffle = shuffle_of(60000, 1, 0);
    static const uint64_t first[] = { 16191, 2017, 9813, 11888, 46399 };

    for (uint64_t i = 0; i < 5; i++)
        cr_expect_eq(shuffle_place(&shuffle, i), first[i], "place %d: %llu", (int)i,
                     (unsigned long long)shuffle_place(&shuffle, i));
}

/* Each index must come to each place equally often, and neighbours must part. */
Test(shuffle, shows_no_preference)
{
    enum { SEEDS = 20000 };

    for (int count = 3; count <= 20; count++) {
        int *places = calloc((size_t)(count * count), sizeof *places), neighbours = 0;
        double chi = 0, want = (double)SEEDS / count;

        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct shuffle shuffle = shuffle_of((uint64_t)count, seed / 4, seed % 4);
            uint64_t before = 0;

            for (uint64_t i = 0; i < (uint64_t)count; i++) {
                uint64_t to = shuffle_place(&shuffle, i);

                places[i * (uint64_t)count + to]++;
                neighbours += i > 0 && to == before + 1;
                before = to;
            }
        }
        for (int i = 0; i < count * count; i++)
            chi += (places[i] - want) * (places[i] - want) / want;
        /* (count - 1) squared degrees of freedom; six deviations */
        double freedom = (count - 1.0) * (count - 1.0);
        cr_expect(chi < freedom + 6 * sqrt(2 * freedom), "%d: chi %g, freedom %g", count, chi,
                  freedom);
        /* of all pairs, 1 in count follows its neighbour */
        double pairs = (double)SEEDS * (count - 1) / count;
        cr_expect(fabs(neighbours - pairs) < 6 * sqrt(pairs), "%d: %d neighbours, not %g", count,
                  neighbours, pairs);
        free(places);
    }
}

Test(batches, an_epoch_shows_each_row_once)
{
    struct data_set *set = counted(103);

    for (int ahead = 0; ahead <= 5; ahead += 5) {
        struct data_batches *batches =
            loader_of(set, (struct data_batches_options){
                               .batch = 10, .shuffle = true, .seed = 3, .ahead = ahead });
        int64_t row[10], order[2][103];
        float half[20];

        cr_expect_eq(tp_batches_count(batches), 11);
        for (int epoch = 0; epoch < 2; epoch++) {
            int64_t seen = 0, count, sum = 0, last = 0;

            while ((count = tp_batches_next(batches, (void *[]){ row, half })) > 0) {
                for (int64_t i = 0; i < count; i++) {
                    cr_assert_eq(half[2 * i + 1], (float)row[i] / 2, "columns part");
                    cr_assert_eq(row[i], tp_batches_row(batches, epoch, seen));
                    order[epoch][seen++] = row[i];
                    sum += row[i];
                }
                last = count;
            }
            cr_expect_eq(seen, 103);
            cr_expect_eq(sum, 103 * 102 / 2);
            cr_expect_eq(last, 3, "the last batch is partial");
        }
        cr_expect(memcmp(order[0], order[1], sizeof order[0]), "epochs differ");
        tp_batches_free(batches);
    }
    tp_data_free(set);
}

Test(batches, drop_last_leaves_out_the_partial_batch)
{
    struct data_set *set = counted(103);
    struct data_batches *batches =
        loader_of(set, (struct data_batches_options){ .batch = 10, .drop_last = true, .ahead = 2 });
    int64_t row[10], count, seen = 0;

    cr_expect_eq(tp_batches_count(batches), 10);
    for (int epoch = 0; epoch < 3; epoch++)
        while ((count = tp_batches_next(batches, (void *[]){ row, NULL })) > 0) {
            cr_assert_eq(count, 10);
            cr_assert_eq(row[0], seen % 100);
            seen += count;
        }
    cr_expect_eq(seen, 300);
    cr_expect_eq(tp_batches_position(batches), 309);
    tp_batches_free(batches);
    tp_data_free(set);
}

Test(batches, a_part_of_the_rows_is_all_that_is_shown)
{
    struct data_set *set = counted(100);
    struct ir_error error = { 0 };
    struct data_batches_options options = { .batch = 64, .shuffle = true };
    int64_t row[64], count, sum = 0;

    cr_assert(tp_data_split("30:80%", 100, &options.first_row, &options.rows, &error));
    cr_expect(options.first_row == 30 && options.rows == 50);
    struct data_batches *batches = loader_of(set, options);
    while ((count = tp_batches_next(batches, (void *[]){ row, NULL })) > 0)
        for (int64_t i = 0; i < count; i++) {
            cr_assert(row[i] >= 30 && row[i] < 80);
            sum += row[i];
        }
    cr_expect_eq(sum, (30 + 79) * 50 / 2);
    tp_batches_free(batches);
    tp_data_free(set);
}

/* From every position, and with another batch ahead: the rows that would have come. */
Test(batches, go_on_from_one_integer)
{
    struct data_set *set = counted(47);
    const struct data_batches_options options = { .batch = 5, .shuffle = true, .seed = 9 };
    struct data_batches *whole = loader_of(set, options);
    int64_t row[5], again[5], count, position;
    struct ir_error error = { 0 };

    for (int step = 0; step < 35; step++) {
        struct data_batches_options ahead = options;

        ahead.ahead = step % 3;
        position = tp_batches_position(whole);
        while ((count = tp_batches_next(whole, (void *[]){ row, NULL })) == 0)
            ;
        struct data_batches *resumed = loader_of(set, ahead);
        for (int turn = 0; turn < 2; turn++) { /* a second seek undoes what the first began */
            cr_assert(tp_batches_seek(resumed, position, false, &error), "%s", error.text);
            cr_assert_eq(tp_batches_next(resumed, (void *[]){ again, NULL }), count);
            cr_assert(memcmp(row, again, (size_t)count * sizeof *row) == 0, "step %d", step);
        }
        cr_assert_eq(tp_batches_position(resumed), tp_batches_position(whole));
        tp_batches_free(resumed);
    }
    cr_expect_not(tp_batches_seek(whole, -1, false, &error));
    cr_expect(one_line(&error), "%s", error.text);
    tp_batches_free(whole);
    tp_data_free(set);
}

Test(batches, refuse_what_they_cannot_do)
{
    static const struct data_batches_options wrong[] = {
        { .batch = 0 },
        { .batch = -1 },
        { .batch = 1, .first_row = -1 },
        { .batch = 1, .first_row = 10 },
        { .batch = 1, .first_row = 5, .rows = 6 },
        { .batch = 1, .first_row = INT64_MAX, .rows = INT64_MAX },
        { .batch = 1, .rows = -1 },
        { .batch = 11, .drop_last = true },
        { .batch = 1, .ahead = -1 },
        { .batch = 1, .ahead = 1 << 20 },
    };
    static const char *const splits[] = { "",
                                          "5",
                                          "a:b",
                                          "5:5",
                                          "6:5",
                                          ":11",
                                          "11:",
                                          "1:2:3",
                                          "-1:5",
                                          ":101%",
                                          "99999999999999999999:",
                                          ":5 " };
    struct data_set *set = counted(10);

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ir_error error = { 0 };

        cr_expect_not(tp_batches_new(set, &wrong[i], &error), "options %zu", i);
        cr_expect(one_line(&error), "options %zu: %s", i, error.text);
    }
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        struct ir_error error = { 0 };
        int64_t first, rows;

        cr_expect_not(tp_data_split(splits[i], 10, &first, &rows, &error), "%s", splits[i]);
        cr_expect(one_line(&error), "split %s: %s", splits[i], error.text);
    }
    tp_data_free(set);
}

Test(sets, copy_the_callers_arrays)
{
    float x[6] = { 1, 2, 3, 4, 5, 6 };
    int32_t y[3] = { 0, 1, 0 };
    const struct data_column columns[] = {
        { .name = "x", .dtype = IR_F32, .rank = 1, .dim = { 2 }, .rows = x },
        { .name = "y", .dtype = IR_I32, .rows = y },
    };
    struct data_column huge = { .name = "x", .dtype = IR_F64, .rank = 2 };
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_from_arrays("mine", 3, 2, columns, &error);

    cr_assert(set, "%s", error.text);
    x[3] = 9;
    cr_expect_eq(((float *)set->column[0].rows)[3], 4);
    cr_expect_eq(set->column[0].row_bytes, 8);
    cr_expect_eq(((int32_t *)set->column[1].rows)[1], 1);
    tp_data_free(set);

    huge.dim[0] = huge.dim[1] = INT64_MAX / 4;
    cr_expect_not(tp_data_from_arrays("huge", 3, 1, &huge, &error));
    cr_expect(one_line(&error), "%s", error.text);
}

static uint64_t fnv(const void *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

/* Their difficulty was tuned (linear 91 %, two layers 98 %): these bytes are what was tuned. */
Test(digits, are_the_same_bytes_everywhere)
{
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_digits(1000, 1, &error), *fewer = tp_data_digits(10, 1, &error);
    struct data_set *other = tp_data_digits(10, 2, &error);
    const int32_t *label = set->column[1].rows;
    int of_class[10] = { 0 };

    cr_expect_eq(set->column[0].row_bytes, 784);
    cr_expect_eq(fnv(set->column[0].rows, 784000), 0x619cd6cf9df29ddfu, "%llx",
                 (unsigned long long)fnv(set->column[0].rows, 784000));
    for (int i = 0; i < 1000; i++)
        of_class[label[i]]++;
    for (int c = 0; c < 10; c++)
        cr_expect(of_class[c] > 60 && of_class[c] < 140, "%d: %d", c, of_class[c]);
    cr_expect(memcmp(set->column[0].rows, fewer->column[0].rows, 7840) == 0,
              "a row does not depend on how many there are");
    cr_expect(memcmp(set->column[0].rows, other->column[0].rows, 7840), "seeds differ");
    cr_expect_not(tp_data_digits(0, 1, &error));
    cr_expect(one_line(&error), "%s", error.text);
    tp_data_free(set);
    tp_data_free(fewer);
    tp_data_free(other);
}

/* A digit has ink, and the ink is not cut off by the frame. */
Test(digits, lie_inside_their_frame)
{
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_digits(2000, 5, &error);
    const unsigned char(*image)[28][28] = set->column[0].rows;
    int touching = 0;

    for (int i = 0; i < 2000; i++) {
        int ink = 0, edge = 0;

        for (int y = 0; y < 28; y++)
            for (int x = 0; x < 28; x++) {
                ink += image[i][y][x] > 64;
                edge += (y == 0 || x == 0 || y == 27 || x == 27) && image[i][y][x] > 64;
            }
        cr_expect(ink >= 10 && ink < 400, "row %d: %d inked pixels", i, ink);
        touching += edge > 6;
    }
    cr_expect(touching < 40, "%d of 2000 reach the frame", touching);
    tp_data_free(set);
}

static struct data_set *planar(const char *name, int64_t points, double noise)
{
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_planar(name, points, noise, 42, &error);

    cr_assert(set, "%s", error.text);
    return set;
}

static int wanted_label(const char *name, double x, double y)
{
    switch (name[1]) {
    case 'i':
        if (name[0] == 's')
            return x < 0.5;
        if (name[0] == 'd')
            return x + y < 0.5;
        return (x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5) > 0.1;
    case 'p':
        return x < 0.2 || x > 0.8;
    default:
        return (x < 0.5 && y > 0.5) || (x > 0.5 && y < 0.5);
    }
}

Test(planar, labels_are_the_courses)
{
    static const char *const names[] = { "simple", "diag", "split", "xor", "circle" };
    static const double share[] = { 0.5, 0.125, 0.4, 0.5, 1 - 0.1 * 3.14159265 };

    for (int n = 0; n < 5; n++) {
        struct data_set *set = planar(names[n], 4000, 0);
        const float(*x)[2] = set->column[0].rows;
        const int32_t *y = set->column[1].rows;
        int ones = 0;

        for (int i = 0; i < 4000; i++) {
            cr_assert(x[i][0] >= 0 && x[i][0] < 1 && x[i][1] >= 0 && x[i][1] < 1);
            cr_assert_eq(y[i], wanted_label(names[n], x[i][0], x[i][1]), "%s %g %g", names[n],
                         x[i][0], x[i][1]);
            ones += y[i];
        }
        cr_expect(fabs(ones / 4000.0 - share[n]) < 0.04, "%s: %d ones", names[n], ones);
        cr_expect_eq(set->classes, 2);
        tp_data_free(set);
    }
}

/* The nearest point of a set to a place, of one class. */
static double nearest(const struct data_set *set, int label, double px, double py)
{
    const float(*x)[2] = set->column[0].rows;
    const int32_t *y = set->column[1].rows;
    double least = INFINITY;

    for (int64_t i = 0; i < set->rows; i++)
        if (y[i] == label)
            least = fmin(least, hypot(x[i][0] - px, x[i][1] - py));
    return least;
}

Test(planar, spiral_has_two_arms)
{
    struct data_set *set = planar("spiral", 100, 0);

    for (int i = 5; i < 55; i++) {
        double t = 10.0 * i / 50, c = t * cos(t) / 20, s = t * sin(t) / 20;

        cr_expect_lt(nearest(set, 0, c + 0.5, s + 0.5), 2e-6, "first arm, %d", i);
        cr_expect_lt(nearest(set, 1, s + 0.5, -c + 0.5), 2e-6, "second arm, %d", i);
    }
    tp_data_free(set);
}

Test(planar, moons_are_two_half_circles)
{
    struct data_set *set = planar("moons", 101, 0), *rough = planar("moons", 20001, 0.1);

    for (int i = 0; i < 50; i++) {
        double a = acos(-1) * i / 49, b = acos(-1) * i / 50;

        cr_expect_lt(nearest(set, 0, cos(a), sin(a)), 2e-6, "outer %d", i);
        cr_expect_lt(nearest(set, 1, 1 - cos(b), 0.5 - sin(b)), 2e-6, "inner %d", i);
    }
    /* Noise of 0.1 across a circle of radius 1: the radius varies by that much. */
    const float(*x)[2] = rough->column[0].rows;
    const int32_t *y = rough->column[1].rows;
    double sum = 0, square = 0;

    for (int i = 0; i < 20001; i++) {
        double r = y[i] ? hypot(x[i][0] - 1, x[i][1] - 0.5) : hypot(x[i][0], x[i][1]);

        sum += r - 1;
        square += (r - 1) * (r - 1);
    }
    cr_expect_lt(fabs(sum / 20001), 0.01, "mean %g", sum / 20001);
    cr_expect_lt(fabs(sqrt(square / 20001) - 0.1), 0.003, "deviation %g", sqrt(square / 20001));
    tp_data_free(set);
    tp_data_free(rough);
}

/* Any part of a set must have both classes, or a split for validation is worthless. */
Test(planar, classes_are_mixed)
{
    static const char *const names[] = { "spiral", "moons" };

    for (int n = 0; n < 2; n++) {
        struct data_set *set = planar(names[n], 200, 0.1);
        const int32_t *y = set->column[1].rows;

        for (int from = 0; from < 200; from += 50) {
            int ones = 0;

            for (int i = from; i < from + 50; i++)
                ones += y[i];
            cr_expect(ones > 8 && ones < 42, "%s: %d of 50", names[n], ones);
        }
        tp_data_free(set);
    }
}

/* Sine and cosine are rounded far above their last bits, so no maths library shows. */
Test(planar, points_are_the_same_bits_everywhere)
{
    static const struct {
        const char *name;
        uint64_t hash;
    } pinned[] = { { "xor", 0x84ed6ebedfe3dc92u },
                   { "spiral", 0xdf5776d3adca0099u },
                   { "moons", 0x2983bdbb8dffae55u } };

    for (int n = 0; n < 3; n++) {
        struct data_set *set = planar(pinned[n].name, 500, 0.1);
        uint64_t hash = fnv(set->column[0].rows, 4000) ^ fnv(set->column[1].rows, 2000);

        cr_expect_eq(hash, pinned[n].hash, "%s: %llx", pinned[n].name, (unsigned long long)hash);
        tp_data_free(set);
    }
}

Test(planar, refuses_what_it_does_not_know)
{
    static const struct {
        const char *name;
        int64_t points;
        double noise;
    } wrong[] = { { "nothing", 10, 0 },       { "", 10, 0 },           { "xor", 0, 0 },
                  { "xor", -1, 0 },           { "xor", INT64_MAX, 0 }, { "xor", 10, -1 },
                  { "xor", 10, (double)NAN }, { "xor", 10, 1e30 } };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ir_error error = { 0 };

        cr_expect_not(tp_data_planar(wrong[i].name, wrong[i].points, wrong[i].noise, 1, &error));
        cr_expect(one_line(&error), "%s", error.text);
    }
}

Test(mnist, is_the_one_everybody_knows)
{
    char path[512];
    struct ir_error error = { 0 };
    static const int32_t first[] = { 5, 0, 4, 1, 9, 2, 1, 3, 1, 4 };

    SHARED_OR_SKIP("data/mnist/train-images-idx3-ubyte.gz", path);
    *strrchr(path, '/') = 0;

    struct data_set *set =
        tp_data_load("idx", path, &(struct data_request){ .part = "train" }, &error);
    cr_assert(set, "%s", error.text);
    cr_expect(set->rows == 60000 && set->columns == 2 && set->classes == 10);
    cr_expect(memcmp(set->column[1].rows, first, sizeof first) == 0);
    const unsigned char *pixel = set->column[0].rows;
    int64_t sum = 0;
    for (int64_t i = 0; i < 60000 * 784; i++)
        sum += pixel[i];
    cr_expect_lt(fabs((double)sum / (60000.0 * 784 * 255) - 0.1307), 5e-5);
    tp_data_free(set);

    set = tp_data_load("idx", path, &(struct data_request){ .part = "test" }, &error);
    cr_assert(set, "%s", error.text);
    cr_expect(set->rows == 10000 && ((int32_t *)set->column[1].rows)[0] == 7);
    tp_data_free(set);
}

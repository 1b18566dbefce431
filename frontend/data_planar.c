/*
 * data_planar: the six sets of the MiniTorch course, and two moons.
 *
 * Coordinates are integers, 2^24 to the unit, until they become f32; sine and cosine are rounded
 * to 2^-20 first, far above the last bit in which two maths libraries may differ.
 */
#include <math.h>
#include <string.h>

#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"

#include "frontend/data.h"

#define UNIT (1 << 24)
#define PI   3.14159265358979323846

enum { MAX_POINTS = 10000000 };

const char tp_data_planar_names[] = "simple diag split xor circle spiral moons";

struct point {
    double x, y; /* exact: at most 24 bits after the point */
    int label;
};

static uint64_t draw(uint64_t seed, uint64_t point, uint64_t number)
{
    return shuffle_mix(shuffle_mix(shuffle_mix(seed + 1) + point) + number);
}

/* A point of the unit square; the sum of two 24-bit fractions is exact. */
static struct point uniform(uint64_t seed, int64_t i)
{
    return (struct point){ .x = (double)(draw(seed, (uint64_t)i, 0) >> 40) / UNIT,
                           .y = (double)(draw(seed, (uint64_t)i, 1) >> 40) / UNIT };
}

static int simple(double x, double y)
{
    (void)y;
    return x < 0.5;
}

static int diag(double x, double y)
{
    return x + y < 0.5;
}

static int split(double x, double y)
{
    (void)y;
    return x < 0.2 || x > 0.8;
}

static int xor_(double x, double y)
{
    return (x < 0.5 && y > 0.5) || (x > 0.5 && y < 0.5);
}

static int circle(double x, double y)
{
    return (x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5) > 0.1;
}

static double rounded(double value)
{
    return round(value * (1 << 20)) / (1 << 20);
}

/* Two arms, a quarter of a turn apart; an odd point goes to the second. */
static struct point spiral(int64_t i, int64_t points)
{
    const int64_t half = points > 1 ? points / 2 : 1;
    const int label = i >= half;
    const double t = 10.0 * (double)(5 + (label ? i - half : i)) / (double)half;
    const double c = rounded(t * cos(t) / 20), s = rounded(t * sin(t) / 20);

    return label ? (struct point){ .x = 0.5 + s, .y = 0.5 - c, .label = 1 }
                 : (struct point){ .x = 0.5 + c, .y = 0.5 + s, .label = 0 };
}

/* Two half circles that grip each other. */
static struct point moons(int64_t i, int64_t points)
{
    const int64_t half = points / 2;
    const int label = i >= half;
    const int64_t at = label ? i - half : i, count = label ? points - half : half;
    const double angle = count > 1 ? PI * (double)at / (double)(count - 1) : 0;
    const double c = rounded(cos(angle)), s = rounded(sin(angle));

    return label ? (struct point){ .x = 1 - c, .y = 0.5 - s, .label = 1 }
                 : (struct point){ .x = c, .y = s, .label = 0 };
}

static const struct {
    const char *name;
    int (*label)(double x, double y);                 /* of a point of the unit square, or */
    struct point (*place)(int64_t i, int64_t points); /* the i-th point */
} sets[] = {
    { "simple", simple, NULL }, { "diag", diag, NULL },     { "split", split, NULL },
    { "xor", xor_, NULL },      { "circle", circle, NULL }, { "spiral", NULL, spiral },
    { "moons", NULL, moons },
};

/* Twelve uniform numbers make a normal one, up to six deviations; in units, and exact. */
static int64_t normal(uint64_t seed, uint64_t point, uint64_t axis)
{
    int64_t sum = -6 * (int64_t)UNIT;

    for (uint64_t i = 0; i < 12; i++)
        sum += (int64_t)(draw(seed, point, 2 + 12 * axis + i) >> 40);
    return sum;
}

static float coordinate(double place, int64_t noise, int64_t chance)
{
    return (float)((double)((int64_t)(place * UNIT) + noise * chance / UNIT) / UNIT);
}

struct data_set *tp_data_planar(const char *name, int64_t points, double noise, uint64_t seed,
                                struct ir_error *error)
{
    size_t which = 0;

    while (which < sizeof sets / sizeof *sets && strcmp(sets[which].name, name) != 0)
        which++;
    if (which == sizeof sets / sizeof *sets) {
        ir_error(error, IR_REFUSED, "planar set \"%.40s\": want one of %s", name,
                 tp_data_planar_names);
        return NULL;
    }
    if (points < 1 || points > MAX_POINTS) {
        ir_error(error, IR_REFUSED, "planar set %s: %lld points; want 1 to %d", name,
                 (long long)points, MAX_POINTS);
        return NULL;
    }
    if (!(noise >= 0 && noise <= 10)) {
        ir_error(error, IR_REFUSED, "planar set %s: noise %g; want 0 to 10", name, noise);
        return NULL;
    }

    struct data_set *set = tp_data_new(name, points, error);
    float *x = set ? tp_data_add_column(set, "x", IR_F32, 1, (int64_t[]){ 2 }, error) : NULL;
    int32_t *y = x ? tp_data_add_column(set, "y", IR_I32, 0, NULL, error) : NULL;

    if (!y) {
        tp_data_free(set);
        return NULL;
    }
    set->classes = 2;

    /* Shuffled, so that any part of the set has both classes, as split wants it. */
    struct shuffle shuffle = shuffle_of((uint64_t)points, seed, 0);
    int64_t deviation = (int64_t)(noise * UNIT);

    for (int64_t row = 0; row < points; row++) {
        int64_t i = (int64_t)shuffle_place(&shuffle, (uint64_t)row);
        struct point p = sets[which].place ? sets[which].place(i, points) : uniform(seed, i);

        if (sets[which].label)
            p.label = sets[which].label(p.x, p.y);
        x[2 * row] = coordinate(p.x, deviation, normal(seed, (uint64_t)i, 0));
        x[2 * row + 1] = coordinate(p.y, deviation, normal(seed, (uint64_t)i, 1));
        y[row] = p.label;
    }
    return set;
}

/*
 * The six sets of the MiniTorch course, and two moons: points of the plane in two classes.
 *
 * Coordinates are integers, 2^24 to the unit, until they become f32; sine and cosine are rounded
 * to 2^-20 first, far above the last bit in which two maths libraries may differ.
 */
#ifndef PART_PLANAR_H
#define PART_PLANAR_H

#define PLANAR_UNIT (1 << 24)
enum { PLANAR_MOST = 10000000 };

static const char planar_names[] __attribute__((unused)) =
    "simple diag split xor circle spiral moons";

struct planar_point {
    double x, y; /* exact: at most 24 bits after the point */
    int label;
};

PART uint64_t planar_draw(uint64_t seed, uint64_t point, uint64_t number)
{
    return shuffle_mix(shuffle_mix(shuffle_mix(seed + 1) + point) + number);
}

/* A point of the unit square; the sum of two 24-bit fractions is exact. */
PART struct planar_point planar_uniform(uint64_t seed, int64_t i)
{
    return (struct planar_point){
        .x = (double)(planar_draw(seed, (uint64_t)i, 0) >> 40) / PLANAR_UNIT,
        .y = (double)(planar_draw(seed, (uint64_t)i, 1) >> 40) / PLANAR_UNIT
    };
}

PART int planar_simple(double x, double y)
{
    (void)y;
    return x < 0.5;
}

PART int planar_diag(double x, double y)
{
    return x + y < 0.5;
}

PART int planar_split(double x, double y)
{
    (void)y;
    return x < 0.2 || x > 0.8;
}

PART int planar_xor(double x, double y)
{
    return (x < 0.5 && y > 0.5) || (x > 0.5 && y < 0.5);
}

PART int planar_circle(double x, double y)
{
    return (x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5) > 0.1;
}

PART double planar_rounded(double value)
{
    return round(value * (1 << 20)) / (1 << 20);
}

/* Two arms, a quarter of a turn apart; an odd point goes to the second. */
PART struct planar_point planar_spiral(int64_t i, int64_t points)
{
    const int64_t half = points > 1 ? points / 2 : 1;
    const int label = i >= half;
    const double t = 10.0 * (double)(5 + (label ? i - half : i)) / (double)half;
    const double c = planar_rounded(t * cos(t) / 20), s = planar_rounded(t * sin(t) / 20);

    return label ? (struct planar_point){ .x = 0.5 + s, .y = 0.5 - c, .label = 1 }
                 : (struct planar_point){ .x = 0.5 + c, .y = 0.5 + s, .label = 0 };
}

/* Two half circles that grip each other. */
PART struct planar_point planar_moons(int64_t i, int64_t points)
{
    const int64_t half = points / 2;
    const int label = i >= half;
    const int64_t at = label ? i - half : i, count = label ? points - half : half;
    const double angle = count > 1 ? 3.14159265358979323846 * (double)at / (double)(count - 1) : 0;
    const double c = planar_rounded(cos(angle)), s = planar_rounded(sin(angle));

    return label ? (struct planar_point){ .x = 1 - c, .y = 0.5 - s, .label = 1 }
                 : (struct planar_point){ .x = c, .y = s, .label = 0 };
}

static const struct {
    const char *name;
    int (*label)(double x, double y);                        /* of a point of the unit square, or */
    struct planar_point (*place)(int64_t i, int64_t points); /* the i-th point */
} planar_sets[] = {
    { "simple", planar_simple, NULL }, { "diag", planar_diag, NULL },
    { "split", planar_split, NULL },   { "xor", planar_xor, NULL },
    { "circle", planar_circle, NULL }, { "spiral", NULL, planar_spiral },
    { "moons", NULL, planar_moons },
};

/* Twelve uniform numbers make a normal one, up to six deviations; in units, and exact. */
PART int64_t planar_normal(uint64_t seed, uint64_t point, uint64_t axis)
{
    int64_t sum = -6 * (int64_t)PLANAR_UNIT;

    for (uint64_t i = 0; i < 12; i++)
        sum += (int64_t)(planar_draw(seed, point, 2 + 12 * axis + i) >> 40);
    return sum;
}

PART float planar_coordinate(double place, int64_t noise, int64_t chance)
{
    return (float)((double)((int64_t)(place * PLANAR_UNIT) + noise * chance / PLANAR_UNIT) /
                   PLANAR_UNIT);
}

/* x f32 [2] and y i32 []. */
PART bool planar_make(const char *name, int64_t points, double noise, uint64_t seed,
                      struct columns *to, struct part_error *error)
{
    const int64_t two = 2;
    int64_t deviation;
    struct shuffle shuffle;
    size_t which = 0;

    *to = (struct columns){ .rows = points, .classes = 2 };
    while (which < sizeof planar_sets / sizeof *planar_sets &&
           strcmp(planar_sets[which].name, name) != 0)
        which++;
    if (which == sizeof planar_sets / sizeof *planar_sets)
        return part_fail(error, PART_REFUSED, "planar set \"%.40s\": want one of %s", name,
                         planar_names);
    if (points < 1 || points > PLANAR_MOST)
        return part_fail(error, PART_REFUSED, "planar set %s: %lld points; want 1 to %d", name,
                         (long long)points, PLANAR_MOST);
    if (!(noise >= 0 && noise <= 10))
        return part_fail(error, PART_REFUSED, "planar set %s: noise %g; want 0 to 10", name, noise);
    if (!columns_add(to, "x", PART_F32, 1, &two, false, error) ||
        !columns_add(to, "y", PART_I32, 0, NULL, false, error)) {
        columns_free(to);
        return false;
    }

    /* Shuffled, so that any part of the set has both classes, as split wants it. */
    deviation = (int64_t)(noise * PLANAR_UNIT);
    shuffle = shuffle_of((uint64_t)points, seed, 0);
    for (int64_t row = 0; row < points; row++) {
        int64_t i = (int64_t)shuffle_place(&shuffle, (uint64_t)row);
        float *x = (float *)to->column[0].rows + 2 * row;
        struct planar_point p = planar_sets[which].place ? planar_sets[which].place(i, points)
                                                         : planar_uniform(seed, i);

        if (planar_sets[which].label)
            p.label = planar_sets[which].label(p.x, p.y);
        x[0] = planar_coordinate(p.x, deviation, planar_normal(seed, (uint64_t)i, 0));
        x[1] = planar_coordinate(p.y, deviation, planar_normal(seed, (uint64_t)i, 1));
        ((int32_t *)to->column[1].rows)[row] = p.label;
    }
    return true;
}

#endif

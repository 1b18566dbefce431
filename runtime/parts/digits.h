/*
 * Handwritten-looking digits, drawn.
 *
 * A digit is a few strokes of a pen through template points. Each image moves the points a
 * little, bends, turns and places them, draws curves of varying width, blurs, and adds noise.
 * All of it is integer arithmetic on numbers drawn from (seed, row): the same bytes everywhere.
 */
#ifndef PART_DIGITS_H
#define PART_DIGITS_H

enum {
    DIGITS_SIDE = 28,
    DIGITS_PIXEL = 256,        /* lengths are in 1/256 of a pixel */
    DIGITS_POINTS = 16,        /* of a stroke */
    DIGITS_ROOTS = 64 * 64 * 2 /* distances up to 4 pixels both ways, in 1/16 of a pixel, squared */
};

/* Ways to write each digit: points x, y in a box of 100 by 100, y downwards; -1 lifts the pen, -2
 * is the end. */
typedef signed char digits_strokes[64];

// clang-format off: a point is a pair
static const digits_strokes digits_ways[10][4] = {
    {
        { 55,5, 25,15, 15,50, 28,88, 52,96, 78,82, 85,48, 72,14, 50,5, -2 },
        { 52,3, 34,20, 28,52, 36,86, 52,97, 66,82, 72,50, 66,18, 46,4, -2 },
        { 64,12, 40,5, 20,28, 16,62, 34,94, 64,94, 82,64, 78,28, 58,8, 46,14, -2 },
        { 30,10, 18,48, 30,90, 56,96, 80,70, 80,32, 60,6, 34,6, 24,20, -2 },
    },
    {
        { 52,3, 50,50, 48,97, -2 },
        { 28,28, 42,16, 54,3, -1, 54,3, 53,50, 52,97, -2 },
        { 30,24, 42,15, 54,3, -1, 54,3, 53,50, 52,97, -1, 28,97, 52,97, 76,96, -2 },
        { 66,4, 50,50, 36,97, -2 },
    },
    {
        { 20,24, 32,8, 54,3, 74,14, 76,34, 60,56, 38,76, 18,95, -1, 18,95, 50,92, 84,94, -2 },
        { 20,24, 34,7, 56,4, 74,16, 74,36, 56,62, 30,90, 16,90, 20,78, 38,80, 62,95, 86,88, -2 },
        { 22,14, 46,4, 70,12, 72,32, 52,58, 18,94, -1, 18,94, 48,95, 80,92, -2 },
        { 16,30, 24,10, 48,4, 66,18, 64,42, 44,70, 22,94, 46,90, 86,96, -2 },
    },
    {
        { 22,14, 46,3, 70,12, 70,32, 44,46, -1, 44,46, 72,54, 80,76, 62,94, 38,97, 18,86, -2 },
        { 22,6, 50,5, 76,6, -1, 76,6, 60,24, 46,40, -1, 46,40, 72,50, 80,74, 60,94, 36,96, 18,86,
          -2 },
        { 24,16, 48,4, 68,16, 62,36, 44,46, 66,54, 76,74, 58,94, 34,95, 20,84, -2 },
        { 20,12, 50,3, 74,18, 64,40, 38,48, -1, 38,48, 70,56, 72,80, 44,97, 14,92, -2 },
    },
    {
        { 30,5, 22,34, 18,58, -1, 18,58, 50,57, 86,54, -1, 66,30, 64,60, 60,97, -2 },
        { 60,4, 40,32, 16,64, -1, 16,64, 50,64, 88,62, -1, 62,4, 62,50, 60,97, -2 },
        { 26,8, 20,36, 30,54, 52,52, 70,38, -1, 74,6, 70,50, 64,97, -2 },
        { 36,6, 24,36, 14,56, 44,58, 84,52, -1, 72,12, 62,52, 52,97, -2 },
    },
    {
        { 76,6, 52,6, 32,7, -1, 32,7, 28,26, 26,44, -1, 26,44, 50,36, 74,48, 78,72, 60,92, 36,97,
          18,88, -2 },
        { 30,10, 26,28, 24,46, -1, 24,46, 52,40, 72,56, 72,80, 48,96, 18,92, -1, 32,10, 56,7,
          82,4, -2 },
        { 78,8, 48,6, 28,22, 34,42, 60,50, 76,68, 64,90, 38,96, 18,88, -2 },
        { 82,10, 58,6, 38,8, -1, 38,8, 30,44, -1, 30,44, 56,44, 68,62, 58,86, 34,97, 12,90, -2 },
    },
    {
        { 66,4, 40,22, 24,52, 24,78, 42,96, 66,92, 76,74, 64,56, 42,58, 26,74, -2 },
        { 54,3, 34,36, 22,70, 34,94, 58,96, 72,80, 64,62, 42,60, 26,76, -2 },
        { 78,8, 54,8, 30,34, 20,70, 36,95, 64,94, 78,74, 62,54, 38,58, 22,78, -2 },
        { 40,4, 28,40, 24,74, 38,96, 62,94, 74,76, 60,60, 36,66, 26,80, -2 },
    },
    {
        { 18,10, 48,8, 82,8, -1, 82,8, 62,44, 44,97, -2 },
        { 18,10, 48,9, 80,8, -1, 80,8, 62,44, 46,97, -1, 34,52, 56,50, 78,50, -2 },
        { 18,24, 20,9, -1, 20,9, 50,10, 82,7, -1, 82,7, 58,40, 50,97, -2 },
        { 16,16, 40,8, 70,8, 80,18, 66,50, 40,97, -2 },
    },
    {
        { 70,14, 48,3, 28,16, 36,36, 62,54, 76,76, 54,96, 28,86, 28,66, 54,46, 72,26, 68,12, -2 },
        { 50,3, 28,14, 32,38, 50,46, 70,36, 70,12, 50,3, -1, 50,46, 24,60, 24,86, 50,97, 78,86,
          76,60, 50,46, -2 },
        { 74,10, 46,5, 32,22, 46,44, 66,62, 66,88, 42,97, 28,80, 42,58, 66,36, 76,12, -2 },
        { 48,4, 30,18, 46,42, 72,64, 70,90, 44,96, 24,82, 34,60, 60,40, 68,18, 46,4, -2 },
    },
    {
        { 74,22, 56,4, 30,12, 24,36, 44,50, 66,42, 76,18, -1, 76,18, 74,50, 66,97, -2 },
        { 74,20, 54,4, 30,14, 26,38, 46,50, 68,40, 76,18, 78,52, 64,86, 40,97, 24,90, -2 },
        { 70,8, 44,4, 26,22, 34,44, 58,40, 74,10, -1, 74,10, 66,52, 54,97, -2 },
        { 66,14, 42,4, 22,20, 28,44, 52,48, 70,30, 72,10, -1, 72,10, 72,54, 74,97, -2 },
    },
};
// clang-format on

/*
 * Numbers of one image, in the order in which they are asked for. C does not say which operand
 * is evaluated first, so two draws share an expression only where their sum is wanted.
 */
struct digits_chance {
    uint64_t key, drawn;
};

PART int digits_between(struct digits_chance *chance, int low, int high)
{
    uint64_t bits = shuffle_mix(chance->key + chance->drawn++) >> 32;

    return low + (int)(bits * (uint64_t)(high - low + 1) >> 32);
}

/* Near zero more often than far away: the sum of three uniform numbers. */
PART int digits_around(struct digits_chance *chance, int reach)
{
    return (digits_between(chance, -reach, reach) + digits_between(chance, -reach, reach) +
            digits_between(chance, -reach, reach)) /
           3;
}

/* Where the template's points go: a matrix in 1/65536 and a shift. */
struct digits_placing {
    int64_t xx, xy, yx, yy, x, y;
};

PART struct digits_placing digits_placing(struct digits_chance *chance)
{
    /* Pixels of the box's width and height, and slant, in 1/65536; 100 is the box. */
    const int64_t width = digits_between(chance, 130, 235) * 65536 / 1000;
    const int64_t height = digits_between(chance, 150, 230) * 65536 / 1000;
    const int64_t slant = digits_around(chance, 65536 * 4 / 10);
    /* A turn by an angle whose half has the tangent t, up to 15 degrees. */
    const int64_t t = digits_between(chance, -8628, 8628), square = t * t >> 16;
    const int64_t cosine = (65536 - square) * 65536 / (65536 + square);
    const int64_t sine = 2 * t * 65536 / (65536 + square);
    const int64_t x = digits_between(chance, -2 * DIGITS_PIXEL, 2 * DIGITS_PIXEL);
    const int64_t y = digits_between(chance, -2 * DIGITS_PIXEL, 2 * DIGITS_PIXEL);
    const int64_t slanted = -slant * height >> 16;

    return (struct digits_placing){
        .xx = cosine * width >> 16,
        .xy = (cosine * slanted - sine * height) >> 16,
        .yx = sine * width >> 16,
        .yy = (sine * slanted + cosine * height) >> 16,
        .x = DIGITS_SIDE * DIGITS_PIXEL / 2 + x,
        .y = DIGITS_SIDE * DIGITS_PIXEL / 2 + y,
    };
}

struct digits_spot {
    int64_t x, y;
};

struct digits_sheet { /* of ink, with a white border */
    unsigned char pixel[DIGITS_SIDE + 2][DIGITS_SIDE + 2];
};

PART struct digits_spot digits_place(const struct digits_placing *p, int x, int y,
                                     struct digits_chance *chance)
{
    const int64_t from_x = (x - 50) * DIGITS_PIXEL + digits_around(chance, 9 * DIGITS_PIXEL);
    const int64_t from_y = (y - 50) * DIGITS_PIXEL + digits_around(chance, 9 * DIGITS_PIXEL);

    return (struct digits_spot){ p->x + ((p->xx * from_x + p->xy * from_y) >> 16),
                                 p->y + ((p->yx * from_x + p->yy * from_y) >> 16) };
}

/* Inks the pixels digits_around a spot; radius in 1/16 of a pixel, with a soft edge of one pixel.
 */
PART void digits_dab(struct digits_sheet *ink, const unsigned char *roots, struct digits_spot at,
                     int radius)
{
    const int reach = (radius + 8) * (DIGITS_PIXEL / 16), x = (int)at.x, y = (int)at.y;
    const int top = (y - reach) / DIGITS_PIXEL, bottom = (y + reach) / DIGITS_PIXEL;
    const int left = (x - reach) / DIGITS_PIXEL, right = (x + reach) / DIGITS_PIXEL;

    for (int row = top < 0 ? 0 : top; row <= bottom && row < DIGITS_SIDE; row++) {
        const int dy = (row * DIGITS_PIXEL + DIGITS_PIXEL / 2 - y) / 16;
        unsigned char *pixel = ink->pixel[row + 1] + 1;

        for (int column = left < 0 ? 0 : left; column <= right && column < DIGITS_SIDE; column++) {
            const int dx = (column * DIGITS_PIXEL + DIGITS_PIXEL / 2 - x) / 16,
                      square = dx * dx + dy * dy;
            const int cover = square < DIGITS_ROOTS ? (radius + 8 - roots[square]) * 16 : 0;
            const int value = cover > 255 ? 255 : cover;

            if (value > pixel[column])
                pixel[column] = (unsigned char)value;
        }
    }
}

/* A smooth curve (Catmull-Rom) through the points, width changing from one end to the other. */
PART void digits_stroke(struct digits_sheet *ink, const unsigned char *roots,
                        const struct digits_spot *point, int points, int radius_from, int radius_to)
{
    enum { STEPS = 12 };

    for (int i = 0; i + 1 < points; i++) {
        const struct digits_spot a = point[i ? i - 1 : 0], b = point[i], c = point[i + 1];
        const struct digits_spot d = point[i + 2 < points ? i + 2 : i + 1];

        for (int64_t t = 0; t <= STEPS; t++) {
            const int64_t t1 = t * STEPS * STEPS, t2 = t * t * STEPS, t3 = t * t * t;
            const int64_t one = STEPS * STEPS * STEPS;
            const struct digits_spot at = {
                (2 * b.x * one + (c.x - a.x) * t1 + (2 * a.x - 5 * b.x + 4 * c.x - d.x) * t2 +
                 (d.x - a.x + 3 * (b.x - c.x)) * t3) /
                    (2 * one),
                (2 * b.y * one + (c.y - a.y) * t1 + (2 * a.y - 5 * b.y + 4 * c.y - d.y) * t2 +
                 (d.y - a.y + 3 * (b.y - c.y)) * t3) /
                    (2 * one),
            };
            const int along = (int)(i * STEPS + t), length = (points - 1) * STEPS;

            digits_dab(ink, roots, at, radius_from + (radius_to - radius_from) * along / length);
        }
    }
}

/* Pen to camera: a 3x3 blur, then what the sensor adds. */
PART void digits_photograph(const struct digits_sheet *ink, unsigned char *image,
                            struct digits_chance from)
{
    struct digits_chance own = from, *chance = &own; /* whose address no pixel can have */
    const int centre = digits_between(chance, 6, 24), brightness = digits_between(chance, 190, 256);
    const int grain = digits_between(chance, 0, 60);
    /* Division by 256 * (centre + 12) as a product: exact, as the sums have 22 bits. */
    const uint64_t divisor = 256 * (uint64_t)(centre + 12);
    const uint64_t inverse = ((UINT64_C(1) << 40) + divisor - 1) / divisor;

    for (int y = 0; y < DIGITS_SIDE; y++) {
        const unsigned char *above = ink->pixel[y] + 1, *here = ink->pixel[y + 1] + 1,
                            *below = ink->pixel[y + 2] + 1;

        for (int x = 0; x < DIGITS_SIDE; x++) {
            const int sum = centre * here[x] +
                            2 * (here[x - 1] + here[x + 1] + above[x] + below[x]) + above[x - 1] +
                            above[x + 1] + below[x - 1] + below[x + 1];
            const int value =
                (int)((uint64_t)(sum * brightness) * inverse >> 40) + digits_around(chance, grain);

            image[y * DIGITS_SIDE + x] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

PART void digits_draw(int digit, unsigned char *image, const unsigned char *roots,
                      struct digits_chance *chance)
{
    struct digits_sheet ink = { 0 };
    const signed char *from = digits_ways[digit][digits_between(chance, 0, 3)];
    const struct digits_placing placing = digits_placing(chance);
    const int radius = digits_between(chance, 10, 26);
    struct digits_spot point[DIGITS_POINTS];

    for (int points = 0;;) {
        if (*from < 0) {
            const int from_radius = radius + digits_between(chance, -3, 3);
            const int to_radius = radius + digits_between(chance, -3, 3);

            digits_stroke(&ink, roots, point, points, from_radius, to_radius);
            points = 0;
            if (*from++ == -2)
                break;
        } else {
            point[points++] = digits_place(&placing, from[0], from[1], chance);
            from += 2;
        }
    }
    digits_photograph(&ink, image, *chance);
}

/* Whole square roots of 0, 1, 2, ...: no maths library is asked. */
PART void digits_roots(unsigned char *roots)
{
    for (int square = 0, root = 0; square < DIGITS_ROOTS; square++) {
        while ((root + 1) * (root + 1) <= square)
            root++;
        roots[square] = (unsigned char)root;
    }
}

/* Row `row` of a set: any row, in any order. */
PART void digits_row(uint64_t seed, int64_t row, const unsigned char *roots, unsigned char *image,
                     int32_t *label)
{
    struct digits_chance chance = { .key = shuffle_mix(shuffle_mix(seed + 1) + (uint64_t)row) };

    *label = digits_between(&chance, 0, 9);
    digits_draw(*label, image, roots, &chance);
}

/* x u8 [1 28 28] and y i32 [], without rows yet. */
PART bool digits_columns(int64_t rows, struct columns *to, struct part_error *error)
{
    const int64_t dim[] = { 1, DIGITS_SIDE, DIGITS_SIDE };

    *to = (struct columns){ .rows = rows, .classes = 10 };
    if (rows < 1)
        return part_fail(error, PART_REFUSED, "digits: %lld rows; want at least 1",
                         (long long)rows);
    if (columns_add(to, "x", PART_U8, 3, dim, false, error) &&
        columns_add(to, "y", PART_I32, 0, NULL, false, error))
        return true;
    columns_free(to);
    return false;
}

PART bool digits_make(int64_t rows, uint64_t seed, struct columns *to, struct part_error *error)
{
    unsigned char roots[DIGITS_ROOTS];

    if (!digits_columns(rows, to, error))
        return false;
    digits_roots(roots);
    for (int64_t row = 0; row < rows; row++)
        digits_row(seed, row, roots,
                   (unsigned char *)to->column[0].rows + row * DIGITS_SIDE * DIGITS_SIDE,
                   (int32_t *)to->column[1].rows + row);
    return true;
}

#endif

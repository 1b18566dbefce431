/*
 * data_digits: handwritten-looking digits, drawn.
 *
 * A digit is a few strokes of a pen through template points. Each image moves the points a
 * little, bends, turns and places them, draws curves of varying width, blurs, and adds noise.
 * All of it is integer arithmetic on numbers drawn from (seed, row): the same bytes everywhere.
 */
#include <pthread.h>
#include <stdlib.h>

#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"

#include "frontend/data.h"
#include "frontend/frontend.h"

enum {
    SIDE = 28,
    UP = -1, /* lift the pen */
    END = -2,
    PIXEL = 256,        /* lengths are in 1/256 of a pixel */
    MAX_POINTS = 16,    /* of a stroke */
    ROOTS = 64 * 64 * 2 /* distances up to 4 pixels both ways, in 1/16 of a pixel, squared */
};

/* Ways to write each digit: points x, y in a box of 100 by 100, y downwards. */
typedef signed char strokes[64];

// clang-format off: a point is a pair
static const strokes ways[10][4] = {
    {
        { 55,5, 25,15, 15,50, 28,88, 52,96, 78,82, 85,48, 72,14, 50,5, END },
        { 52,3, 34,20, 28,52, 36,86, 52,97, 66,82, 72,50, 66,18, 46,4, END },
        { 64,12, 40,5, 20,28, 16,62, 34,94, 64,94, 82,64, 78,28, 58,8, 46,14, END },
        { 30,10, 18,48, 30,90, 56,96, 80,70, 80,32, 60,6, 34,6, 24,20, END },
    },
    {
        { 52,3, 50,50, 48,97, END },
        { 28,28, 42,16, 54,3, UP, 54,3, 53,50, 52,97, END },
        { 30,24, 42,15, 54,3, UP, 54,3, 53,50, 52,97, UP, 28,97, 52,97, 76,96, END },
        { 66,4, 50,50, 36,97, END },
    },
    {
        { 20,24, 32,8, 54,3, 74,14, 76,34, 60,56, 38,76, 18,95, UP, 18,95, 50,92, 84,94, END },
        { 20,24, 34,7, 56,4, 74,16, 74,36, 56,62, 30,90, 16,90, 20,78, 38,80, 62,95, 86,88, END },
        { 22,14, 46,4, 70,12, 72,32, 52,58, 18,94, UP, 18,94, 48,95, 80,92, END },
        { 16,30, 24,10, 48,4, 66,18, 64,42, 44,70, 22,94, 46,90, 86,96, END },
    },
    {
        { 22,14, 46,3, 70,12, 70,32, 44,46, UP, 44,46, 72,54, 80,76, 62,94, 38,97, 18,86, END },
        { 22,6, 50,5, 76,6, UP, 76,6, 60,24, 46,40, UP, 46,40, 72,50, 80,74, 60,94, 36,96, 18,86,
          END },
        { 24,16, 48,4, 68,16, 62,36, 44,46, 66,54, 76,74, 58,94, 34,95, 20,84, END },
        { 20,12, 50,3, 74,18, 64,40, 38,48, UP, 38,48, 70,56, 72,80, 44,97, 14,92, END },
    },
    {
        { 30,5, 22,34, 18,58, UP, 18,58, 50,57, 86,54, UP, 66,30, 64,60, 60,97, END },
        { 60,4, 40,32, 16,64, UP, 16,64, 50,64, 88,62, UP, 62,4, 62,50, 60,97, END },
        { 26,8, 20,36, 30,54, 52,52, 70,38, UP, 74,6, 70,50, 64,97, END },
        { 36,6, 24,36, 14,56, 44,58, 84,52, UP, 72,12, 62,52, 52,97, END },
    },
    {
        { 76,6, 52,6, 32,7, UP, 32,7, 28,26, 26,44, UP, 26,44, 50,36, 74,48, 78,72, 60,92, 36,97,
          18,88, END },
        { 30,10, 26,28, 24,46, UP, 24,46, 52,40, 72,56, 72,80, 48,96, 18,92, UP, 32,10, 56,7,
          82,4, END },
        { 78,8, 48,6, 28,22, 34,42, 60,50, 76,68, 64,90, 38,96, 18,88, END },
        { 82,10, 58,6, 38,8, UP, 38,8, 30,44, UP, 30,44, 56,44, 68,62, 58,86, 34,97, 12,90, END },
    },
    {
        { 66,4, 40,22, 24,52, 24,78, 42,96, 66,92, 76,74, 64,56, 42,58, 26,74, END },
        { 54,3, 34,36, 22,70, 34,94, 58,96, 72,80, 64,62, 42,60, 26,76, END },
        { 78,8, 54,8, 30,34, 20,70, 36,95, 64,94, 78,74, 62,54, 38,58, 22,78, END },
        { 40,4, 28,40, 24,74, 38,96, 62,94, 74,76, 60,60, 36,66, 26,80, END },
    },
    {
        { 18,10, 48,8, 82,8, UP, 82,8, 62,44, 44,97, END },
        { 18,10, 48,9, 80,8, UP, 80,8, 62,44, 46,97, UP, 34,52, 56,50, 78,50, END },
        { 18,24, 20,9, UP, 20,9, 50,10, 82,7, UP, 82,7, 58,40, 50,97, END },
        { 16,16, 40,8, 70,8, 80,18, 66,50, 40,97, END },
    },
    {
        { 70,14, 48,3, 28,16, 36,36, 62,54, 76,76, 54,96, 28,86, 28,66, 54,46, 72,26, 68,12, END },
        { 50,3, 28,14, 32,38, 50,46, 70,36, 70,12, 50,3, UP, 50,46, 24,60, 24,86, 50,97, 78,86,
          76,60, 50,46, END },
        { 74,10, 46,5, 32,22, 46,44, 66,62, 66,88, 42,97, 28,80, 42,58, 66,36, 76,12, END },
        { 48,4, 30,18, 46,42, 72,64, 70,90, 44,96, 24,82, 34,60, 60,40, 68,18, 46,4, END },
    },
    {
        { 74,22, 56,4, 30,12, 24,36, 44,50, 66,42, 76,18, UP, 76,18, 74,50, 66,97, END },
        { 74,20, 54,4, 30,14, 26,38, 46,50, 68,40, 76,18, 78,52, 64,86, 40,97, 24,90, END },
        { 70,8, 44,4, 26,22, 34,44, 58,40, 74,10, UP, 74,10, 66,52, 54,97, END },
        { 66,14, 42,4, 22,20, 28,44, 52,48, 70,30, 72,10, UP, 72,10, 72,54, 74,97, END },
    },
};
// clang-format on

/*
 * Numbers of one image, in the order in which they are asked for. C does not say which operand
 * is evaluated first, so two draws share an expression only where their sum is wanted.
 */
struct chance {
    uint64_t key, drawn;
};

static int between(struct chance *chance, int low, int high)
{
    uint64_t bits = shuffle_mix(chance->key + chance->drawn++) >> 32;

    return low + (int)(bits * (uint64_t)(high - low + 1) >> 32);
}

/* Near zero more often than far away: the sum of three uniform numbers. */
static int around(struct chance *chance, int reach)
{
    return (between(chance, -reach, reach) + between(chance, -reach, reach) +
            between(chance, -reach, reach)) /
           3;
}

/* Where the template's points go: a matrix in 1/65536 and a shift. */
struct placing {
    int64_t xx, xy, yx, yy, x, y;
};

static struct placing draw_placing(struct chance *chance)
{
    /* Pixels of the box's width and height, and slant, in 1/65536; 100 is the box. */
    const int64_t width = between(chance, 130, 235) * 65536 / 1000;
    const int64_t height = between(chance, 150, 230) * 65536 / 1000;
    const int64_t slant = around(chance, 65536 * 4 / 10);
    /* A turn by an angle whose half has the tangent t, up to 15 degrees. */
    const int64_t t = between(chance, -8628, 8628), square = t * t >> 16;
    const int64_t cosine = (65536 - square) * 65536 / (65536 + square);
    const int64_t sine = 2 * t * 65536 / (65536 + square);
    const int64_t x = between(chance, -2 * PIXEL, 2 * PIXEL);
    const int64_t y = between(chance, -2 * PIXEL, 2 * PIXEL);
    const int64_t slanted = -slant * height >> 16;

    return (struct placing){
        .xx = cosine * width >> 16,
        .xy = (cosine * slanted - sine * height) >> 16,
        .yx = sine * width >> 16,
        .yy = (sine * slanted + cosine * height) >> 16,
        .x = SIDE * PIXEL / 2 + x,
        .y = SIDE * PIXEL / 2 + y,
    };
}

struct spot {
    int64_t x, y;
};

struct sheet { /* of ink, with a white border */
    unsigned char pixel[SIDE + 2][SIDE + 2];
};

static struct spot place(const struct placing *p, int x, int y, struct chance *chance)
{
    const int64_t from_x = (x - 50) * PIXEL + around(chance, 9 * PIXEL);
    const int64_t from_y = (y - 50) * PIXEL + around(chance, 9 * PIXEL);

    return (struct spot){ p->x + ((p->xx * from_x + p->xy * from_y) >> 16),
                          p->y + ((p->yx * from_x + p->yy * from_y) >> 16) };
}

/* Inks the pixels around a spot; radius in 1/16 of a pixel, with a soft edge of one pixel. */
static void dab(struct sheet *ink, const unsigned char *roots, struct spot at, int radius)
{
    const int reach = (radius + 8) * (PIXEL / 16), x = (int)at.x, y = (int)at.y;
    const int top = (y - reach) / PIXEL, bottom = (y + reach) / PIXEL;
    const int left = (x - reach) / PIXEL, right = (x + reach) / PIXEL;

    for (int row = top < 0 ? 0 : top; row <= bottom && row < SIDE; row++) {
        const int dy = (row * PIXEL + PIXEL / 2 - y) / 16;
        unsigned char *pixel = ink->pixel[row + 1] + 1;

        for (int column = left < 0 ? 0 : left; column <= right && column < SIDE; column++) {
            const int dx = (column * PIXEL + PIXEL / 2 - x) / 16, square = dx * dx + dy * dy;
            const int cover = square < ROOTS ? (radius + 8 - roots[square]) * 16 : 0;
            const int value = cover > 255 ? 255 : cover;

            if (value > pixel[column])
                pixel[column] = (unsigned char)value;
        }
    }
}

/* A smooth curve (Catmull-Rom) through the points, width changing from one end to the other. */
static void stroke(struct sheet *ink, const unsigned char *roots, const struct spot *point,
                   int points, int radius_from, int radius_to)
{
    enum { STEPS = 12 };

    for (int i = 0; i + 1 < points; i++) {
        const struct spot a = point[i ? i - 1 : 0], b = point[i], c = point[i + 1];
        const struct spot d = point[i + 2 < points ? i + 2 : i + 1];

        for (int64_t t = 0; t <= STEPS; t++) {
            const int64_t t1 = t * STEPS * STEPS, t2 = t * t * STEPS, t3 = t * t * t;
            const int64_t one = STEPS * STEPS * STEPS;
            const struct spot at = {
                (2 * b.x * one + (c.x - a.x) * t1 + (2 * a.x - 5 * b.x + 4 * c.x - d.x) * t2 +
                 (d.x - a.x + 3 * (b.x - c.x)) * t3) /
                    (2 * one),
                (2 * b.y * one + (c.y - a.y) * t1 + (2 * a.y - 5 * b.y + 4 * c.y - d.y) * t2 +
                 (d.y - a.y + 3 * (b.y - c.y)) * t3) /
                    (2 * one),
            };
            const int along = (int)(i * STEPS + t), length = (points - 1) * STEPS;

            dab(ink, roots, at, radius_from + (radius_to - radius_from) * along / length);
        }
    }
}

/* Pen to camera: a 3x3 blur, then what the sensor adds. */
static void photograph(const struct sheet *ink, unsigned char *image, struct chance from)
{
    struct chance own = from, *chance = &own; /* whose address no pixel can have */
    const int centre = between(chance, 6, 24), brightness = between(chance, 190, 256);
    const int grain = between(chance, 0, 60);
    /* Division by 256 * (centre + 12) as a product: exact, as the sums have 22 bits. */
    const uint64_t divisor = 256 * (uint64_t)(centre + 12);
    const uint64_t inverse = ((UINT64_C(1) << 40) + divisor - 1) / divisor;

    for (int y = 0; y < SIDE; y++) {
        const unsigned char *above = ink->pixel[y] + 1, *here = ink->pixel[y + 1] + 1,
                            *below = ink->pixel[y + 2] + 1;

        for (int x = 0; x < SIDE; x++) {
            const int sum = centre * here[x] +
                            2 * (here[x - 1] + here[x + 1] + above[x] + below[x]) + above[x - 1] +
                            above[x + 1] + below[x - 1] + below[x + 1];
            const int value =
                (int)((uint64_t)(sum * brightness) * inverse >> 40) + around(chance, grain);

            image[y * SIDE + x] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

static void draw_digit(int digit, unsigned char *image, const unsigned char *roots,
                       struct chance *chance)
{
    struct sheet ink = { 0 };
    const signed char *from = ways[digit][between(chance, 0, 3)];
    const struct placing placing = draw_placing(chance);
    const int radius = between(chance, 10, 26);
    struct spot point[MAX_POINTS];

    for (int points = 0;;) {
        if (*from < 0) {
            const int from_radius = radius + between(chance, -3, 3);
            const int to_radius = radius + between(chance, -3, 3);

            stroke(&ink, roots, point, points, from_radius, to_radius);
            points = 0;
            if (*from++ == END)
                break;
        } else {
            point[points++] = place(&placing, from[0], from[1], chance);
            from += 2;
        }
    }
    photograph(&ink, image, *chance);
}

/* Whole square roots of 0, 1, 2, ...: no maths library is asked. */
static void fill_roots(unsigned char *roots)
{
    for (int square = 0, root = 0; square < ROOTS; square++) {
        while ((root + 1) * (root + 1) <= square)
            root++;
        roots[square] = (unsigned char)root;
    }
}

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

    for (int64_t row = s->first; row < s->end; row++) {
        struct chance chance = { .key = shuffle_mix(shuffle_mix(s->seed + 1) + (uint64_t)row) };

        s->y[row] = between(&chance, 0, 9);
        draw_digit(s->y[row], s->x + row * SIDE * SIDE, s->roots, &chance);
    }
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
    unsigned char roots[ROOTS];
    struct data_set *set;
    unsigned char *x;
    int32_t *y;

    if (rows < 1) {
        ir_error(error, IR_REFUSED, "digits: %lld rows; want at least 1", (long long)rows);
        return NULL;
    }
    set = tp_data_new("digits", rows, error);
    x = set ? tp_data_add_column(set, "x", IR_U8, 3, (int64_t[]){ 1, SIDE, SIDE }, error) : NULL;
    y = x ? tp_data_add_column(set, "y", IR_I32, 0, NULL, error) : NULL;
    if (!y) {
        tp_data_free(set);
        return NULL;
    }
    set->classes = 10;
    fill_roots(roots);
    draw_all(&(struct share){ x, y, roots, seed, 0, rows });
    return set;
}

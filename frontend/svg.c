/*
 * svg: two pictures as text, the curves of a training run and a decision in the plane.
 *
 * Numbers are printed as whole hundredths of a pixel, ticks as a digit times a power of ten: no
 * locale can put a comma into a coordinate. What the user named is escaped.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"

enum {
    WIDTH = 640,
    HEIGHT = 400,
    LEFT = 64,
    RIGHT = 16,
    TOP = 36,
    BOTTOM = 40,
    COLOURS = 6,
    DETAIL = 600, /* points of a curve that are told apart */
    SQUARE = 400, /* side of the decision picture */
    SHADES = 24
};

static const char *const colours[COLOURS] = { "#1f6fb4", "#d9631e", "#2a8f4f",
                                              "#8a4fb0", "#b03a48", "#6b6b6b" };

/* Coordinates: hundredths are exact enough, and far outside is as good as further. */
static void put(FILE *out, double value)
{
    const double bound = value < -1e4 ? -1e4 : value > 1e4 ? 1e4 : value;
    const long hundredths = lround(bound * 100), whole = labs(hundredths);

    fprintf(out, "%s%ld.%02ld", hundredths < 0 ? "-" : "", whole / 100, whole % 100);
}

static void put_pair(FILE *out, const char *before, double x, double y)
{
    fputs(before, out);
    put(out, x);
    fputc(' ', out);
    put(out, y);
}

static void put_attribute(FILE *out, const char *name, double value)
{
    fprintf(out, " %s=\"", name);
    put(out, value);
    fputc('"', out);
}

/* Text of the user's; what XML has no place for becomes a question mark. */
static void put_text(FILE *out, const char *text)
{
    static const char special[] = "<>&\"", *const entity[] = { "lt", "gt", "amp", "quot" };

    for (const char *at; *text; text++)
        if ((at = strchr(special, *text)))
            fprintf(out, "&%s;", entity[at - special]);
        else
            fputc(*text >= ' ' && *text < 127 ? *text : '?', out);
}

/* digits * 10^exponent, written out when that is short. */
static void put_decimal(FILE *out, long digits, int exponent)
{
    const char *sign = digits < 0 ? "-" : "";
    long power = 1, whole = labs(digits);

    if (whole == 0) {
        fputc('0', out);
    } else if (exponent > 4 || exponent < -5) {
        fprintf(out, "%s%lde%d", sign, whole, exponent);
    } else {
        for (int i = 0; i < abs(exponent); i++)
            power *= 10;
        if (exponent >= 0)
            fprintf(out, "%s%ld", sign, whole * power);
        else
            fprintf(out, "%s%ld.%0*ld", sign, whole / power, -exponent, whole % power);
    }
}

static void begin(FILE *out, int width, int height, const char *title)
{
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
            "<text x=\"%d\" y=\"22\" text-anchor=\"middle\" font-size=\"15\">",
            width, height, width, height, width / 2);
    put_text(out, title);
    fputs("</text>\n", out);
}

/* One axis of a diagram: from values to pixels, evenly or by powers of ten. */
struct axis {
    double low, high;   /* values; their logarithms when by powers */
    double start, stop; /* pixels */
    bool powers;
};

static double place(const struct axis *a, double value)
{
    const double at = a->powers ? log10(value) : value;

    return a->start + (at - a->low) / (a->high - a->low) * (a->stop - a->start);
}

/* Widens an axis by a value; the first one finds low above high. */
static void include(struct axis *a, double value)
{
    if (!isfinite(value))
        return;
    a->low = value < a->low ? value : a->low;
    a->high = value > a->high ? value : a->high;
}

static struct axis empty_axis(double start, double stop)
{
    return (struct axis){ .low = INFINITY, .high = -INFINITY, .start = start, .stop = stop };
}

/* Powers of ten where the values span more than two of them; a flat curve gets some room. */
static void settle(struct axis *a, bool may_be_powers)
{
    if (a->low > a->high)
        *a = (struct axis){ .high = 1, .start = a->start, .stop = a->stop };
    a->powers = may_be_powers && a->low > 0 && a->high / a->low > 100;
    if (a->powers) {
        a->low = floor(log10(a->low));
        a->high = ceil(log10(a->high));
    } else if (!(a->high - a->low > 1e-9 * (fabs(a->low) + fabs(a->high)))) {
        const double room = a->low == 0 ? 1 : fabs(a->low) / 10;

        a->low -= room;
        a->high += room;
    }
}

static void put_tick(FILE *out, const struct axis *a, bool across, double at, long digits,
                     int exponent)
{
    const double pixel = a->start + (at - a->low) / (a->high - a->low) * (a->stop - a->start);

    put_pair(out, "<path stroke=\"#ddd\" d=\"M", across ? pixel : LEFT, across ? TOP : pixel);
    put_pair(out, "L", across ? pixel : WIDTH - RIGHT, across ? HEIGHT - BOTTOM : pixel);
    fputs("\"/>\n<text", out);
    put_attribute(out, "x", across ? pixel : LEFT - 6);
    put_attribute(out, "y", across ? HEIGHT - BOTTOM + 16 : pixel + 4);
    fprintf(out, " text-anchor=\"%s\" fill=\"#555\">", across ? "middle" : "end");
    put_decimal(out, digits, exponent);
    fputs("</text>\n", out);
}

/* About five ticks at 1, 2 or 5 times a power of ten. */
static void put_ticks(FILE *out, const struct axis *a, bool across)
{
    if (a->powers) {
        const int from = (int)a->low, step = (int)((a->high - a->low) / 8) + 1;

        for (int power = from; power <= (int)a->high; power += step)
            put_tick(out, a, across, power, 1, power);
        return;
    }
    int exponent = (int)floor(log10((a->high - a->low) / 5));
    const double rest = (a->high - a->low) / 5 / pow(10, exponent);
    const long digit = rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10;
    const double step = (double)digit * pow(10, exponent);
    const double first = ceil(a->low / step - 1e-9), last = floor(a->high / step + 1e-9);

    if (fabs(first) > 1e9 || fabs(last) > 1e9)
        return; /* a small range far from zero: its ticks would all read alike */
    for (long i = (long)first; i <= (long)last; i++)
        put_tick(out, a, across, (double)i * step, i * digit, exponent);
}

static double curve_x(const struct svg_curve *curve, int64_t i)
{
    return curve->x ? curve->x[i] : (double)(i + 1);
}

/* Long curves keep the least and the greatest of each piece, so that no spike is lost. */
static void put_curve(FILE *out, const struct svg_curve *curve, const struct axis *x,
                      const struct axis *y, const char *colour)
{
    const int64_t piece = curve->count / DETAIL + 1;
    bool drawing = false;

    fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" d=\"", colour,
            curve->count == 1 ? "5" : "1.6");
    for (int64_t i = 0; i < curve->count; i += piece) {
        const int64_t end = i + piece < curve->count ? i + piece : curve->count;
        int64_t least = -1, greatest = -1;

        for (int64_t k = i; k < end; k++) {
            if (!isfinite(curve->y[k]) || !isfinite(curve_x(curve, k)))
                continue;
            least = least < 0 || curve->y[k] < curve->y[least] ? k : least;
            greatest = greatest < 0 || curve->y[k] > curve->y[greatest] ? k : greatest;
        }
        if (least < 0) {
            drawing = false;
            continue;
        }
        const int64_t first = least < greatest ? least : greatest;
        const int64_t second = least < greatest ? greatest : least;

        put_pair(out, drawing ? "L" : "M", place(x, curve_x(curve, first)),
                 place(y, curve->y[first]));
        /* also where it is the same: a lone point shows as a dot then */
        put_pair(out, "L", place(x, curve_x(curve, second)), place(y, curve->y[second]));
        drawing = true;
    }
    fputs("\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>\n", out);
}

/* Closes the stream; a picture that memory cut short is none. */
static char *finish(FILE *out, char **text)
{
    bool whole;

    fputs("</svg>\n", out);
    whole = !ferror(out);
    if (fclose(out) != 0 || !whole) {
        free(*text);
        return NULL;
    }
    return *text;
}

char *tp_svg_curves(const char *title, int curves, const struct svg_curve curve[])
{
    struct axis x = empty_axis(LEFT, WIDTH - RIGHT), y = empty_axis(HEIGHT - BOTTOM, TOP);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    for (int c = 0; c < curves; c++)
        for (int64_t i = 0; i < curve[c].count; i++)
            if (isfinite(curve[c].y[i]) && isfinite(curve_x(&curve[c], i))) {
                include(&x, curve_x(&curve[c], i));
                include(&y, curve[c].y[i]);
            }
    settle(&x, false);
    settle(&y, true);
    begin(out, WIDTH, HEIGHT, title);
    put_ticks(out, &x, true);
    put_ticks(out, &y, false);
    for (int c = 0; c < curves; c++)
        put_curve(out, &curve[c], &x, &y, colours[c % COLOURS]);
    for (int c = 0; c < curves; c++) {
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"%s\">", WIDTH - RIGHT - 8,
                TOP + 18 + 16 * c, colours[c % COLOURS]);
        put_text(out, curve[c].name);
        fputs("</text>\n", out);
    }
    return finish(out, &text);
}

/* The set's box with a margin: x across, y upwards. */
static void box(const struct data_set *set, double left, double top, struct axis axis[2])
{
    const float(*point)[2] = set->column[0].rows;

    axis[0] = empty_axis(left, left + SQUARE);
    axis[1] = empty_axis(top + SQUARE, top);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < set->rows; i++)
            include(&axis[k], point[i][k]);
        settle(&axis[k], false);
        const double margin = 0.08 * (axis[k].high - axis[k].low);
        axis[k].low -= margin;
        axis[k].high += margin;
    }
}

void tp_svg_grid(const struct data_set *set, int side, float *points)
{
    struct axis axis[2];

    box(set, 0, 0, axis);
    for (int row = 0; row < side; row++)
        for (int column = 0; column < side; column++) {
            const double across = (column + 0.5) / side, down = (row + 0.5) / side;

            *points++ = (float)(axis[0].low + across * (axis[0].high - axis[0].low));
            *points++ = (float)(axis[1].high - down * (axis[1].high - axis[1].low));
        }
}

static int shade(double probability)
{
    if (!(probability > 0))
        return 0; /* not a number as well */
    return probability >= 1 ? SHADES - 1 : (int)(probability * SHADES);
}

/* Neighbours in a row with the same shade are one rectangle. */
static void put_shades(FILE *out, double left, double top, int side, const float *probability)
{
    const double cell = (double)SQUARE / side;

    fputs("<g shape-rendering=\"crispEdges\">\n", out);
    for (int row = 0; row < side; row++)
        for (int column = 0, run; column < side; column += run) {
            const int level = shade(probability[row * side + column]);
            /* from orange (class 0) through white to blue (class 1) */
            const int from_middle = 2 * level - (SHADES - 1), reach = abs(from_middle);
            const int red = from_middle < 0 ? 255 : 255 - 120 * reach / SHADES;
            const int green = 255 - 70 * reach / SHADES;
            const int blue = from_middle < 0 ? 255 - 130 * reach / SHADES : 255;

            for (run = 1;
                 column + run < side && shade(probability[row * side + column + run]) == level;
                 run++)
                ;
            fputs("<rect", out);
            put_attribute(out, "x", left + column * cell);
            put_attribute(out, "y", top + row * cell);
            put_attribute(out, "width", run * cell);
            put_attribute(out, "height", cell);
            fprintf(out, " fill=\"#%02x%02x%02x\"/>\n", red, green, blue);
        }
    fputs("</g>\n", out);
}

/* Where the two classes are equally likely: one piece of line per square of four grid points. */
static void put_border(FILE *out, double left, double top, int side, const float *probability)
{
    static const int corner[5][2] = { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 0, 1 }, { 0, 0 } };
    const double cell = (double)SQUARE / side;

    fputs("<path fill=\"none\" stroke=\"#333\" stroke-width=\"1.2\" d=\"", out);
    for (int row = 0; row + 1 < side; row++)
        for (int column = 0; column + 1 < side; column++) {
            int crossings = 0;

            for (int edge = 0; edge < 4; edge++) {
                const int *a = corner[edge], *b = corner[edge + 1];
                const double from = probability[(row + a[1]) * side + column + a[0]] - 0.5;
                const double to = probability[(row + b[1]) * side + column + b[0]] - 0.5;

                if (!(from < 0) == !(to < 0) || isnan(from) || isnan(to))
                    continue;
                const double part = from / (from - to);
                put_pair(out, crossings++ % 2 ? "L" : "M",
                         left + (column + 0.5 + a[0] + part * (b[0] - a[0])) * cell,
                         top + (row + 0.5 + a[1] + part * (b[1] - a[1])) * cell);
            }
        }
    fputs("\"/>\n", out);
}

char *tp_svg_decision(const char *title, const struct data_set *set, int side,
                      const float *probability)
{
    const double left = 16, top = TOP;
    const float(*point)[2] = set->column[0].rows;
    const int32_t *label = set->column[1].rows;
    struct axis axis[2];
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    box(set, left, top, axis);
    begin(out, SQUARE + 32, SQUARE + TOP + 16, title);
    if (probability) {
        put_shades(out, left, top, side, probability);
        put_border(out, left, top, side, probability);
    }
    fprintf(out,
            "<rect x=\"16\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#999\"/>\n",
            TOP, SQUARE, SQUARE);
    for (int64_t i = 0; i < set->rows; i++) {
        const double x = place(&axis[0], point[i][0]), y = place(&axis[1], point[i][1]);

        if (!isfinite(x) || !isfinite(y))
            continue;
        if (label[i]) { /* crosses and rings: told apart without colours as well */
            fprintf(out, "<path stroke=\"%s\" stroke-width=\"1.8\" d=\"", colours[0]);
            put_pair(out, "M", x - 3.5, y - 3.5);
            put_pair(out, "L", x + 3.5, y + 3.5);
            put_pair(out, "M", x - 3.5, y + 3.5);
            put_pair(out, "L", x + 3.5, y - 3.5);
            fputs("\"/>\n", out);
        } else {
            fputs("<circle", out);
            put_attribute(out, "cx", x);
            put_attribute(out, "cy", y);
            fprintf(out, " r=\"3.5\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\"/>\n",
                    colours[1]);
        }
    }
    return finish(out, &text);
}

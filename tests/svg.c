/*
 * Pictures: well-formed, with the user's words escaped and nothing but numbers for coordinates.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"

/* Every element closes, in order; attributes are quoted; & begins an entity. */
static bool well_formed(const char *text)
{
    char open[16][16];
    int depth = 0;

    while (*text) {
        if (*text == '&') {
            size_t length = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz");
            if (length == 0 || text[1 + length] != ';')
                return false;
        }
        if (*text != '<') {
            if (*text == '>')
                return false;
            text++;
            continue;
        }
        bool closes = *++text == '/', alone;
        size_t length = strspn(text += closes, "abcdefghijklmnopqrstuvwxyz");
        char name[16] = { 0 };

        if (length == 0 || length >= sizeof name)
            return false;
        memcpy(name, text, length);
        for (text += length; *text && *text != '>'; text++)
            if (*text == '"') {
                for (text++; *text && *text != '"'; text++)
                    if (*text == '<')
                        return false;
                if (!*text)
                    return false;
            }
        if (!*text)
            return false;
        alone = text[-1] == '/';
        text++;
        if (closes && (depth == 0 || strcmp(open[--depth], name) != 0))
            return false;
        if (!closes && !alone) {
            if (depth == 16)
                return false;
            memcpy(open[depth++], name, sizeof name);
        }
    }
    return depth == 0;
}

static int count(const char *text, const char *word)
{
    int found = 0;

    for (; (text = strstr(text, word)); text++)
        found++;
    return found;
}

Test(svg, knows_what_is_well_formed)
{
    cr_expect(well_formed("<a><b c=\"1 > 0\"/>x &lt; y</a>"));
    cr_expect_not(well_formed("<a><b></a></b>"));
    cr_expect_not(well_formed("<a>&</a>"));
    cr_expect_not(well_formed("<a"));
}

Test(svg, curves_have_gaps_and_no_words_for_coordinates)
{
    double falling[2000], rough[5] = { 1, NAN, 0.5, INFINITY, 0.25 }, x[5] = { 10, 20, 30, 40, 50 };
    const struct svg_curve curve[] = { { "loss <1> & \"2\"\n", 2000, NULL, falling },
                                       { "\x1b[31m", 5, x, rough } };

    for (int i = 0; i < 2000; i++)
        falling[i] = exp(-i / 200.0);
    char *text = tp_svg_curves("a < b", 2, curve);
    cr_assert(text && well_formed(text), "%s", text);
    cr_expect(strstr(text, "a &lt; b") && strstr(text, "loss &lt;1&gt; &amp; &quot;2&quot;?"));
    cr_expect_not(strchr(text, '\x1b') || strstr(text, "nan") || strstr(text, "inf"));
    const char *second = strstr(strstr(text, "fill=\"none\"") + 1, "fill=\"none\"");
    cr_assert(second);
    char *end = strchr(strstr(second, "d=\""), '/');
    *end = 0;
    cr_expect_eq(count(second, "M"), 3, "two gaps: %s", second);
    cr_expect_lt(strlen(text), 40000, "2000 points were thinned out");
    free(text);
}

Test(svg, empty_flat_and_extreme_curves_are_pictures)
{
    const double flat[3] = { 2, 2, 2 }, none[2] = { NAN, NAN }, wide[3] = { -1e300, 0, 1e300 };
    const double far[3] = { 1e9, 1e9 + 1e-6, 1e9 }, tiny[2] = { 1e-310, 5e-324 };
    const struct svg_curve curve[] = {
        { "flat", 3, NULL, flat }, { "none", 2, NULL, none }, { "wide", 3, NULL, wide },
        { "far", 3, NULL, far },   { "tiny", 2, NULL, tiny }, { "", 0, NULL, NULL },
    };

    for (int c = 0; c < 6; c++) {
        char *text = tp_svg_curves("t", 1, &curve[c]);

        cr_expect(text && well_formed(text), "%s", curve[c].name);
        cr_expect_not(strstr(text, "nan") || strstr(text, "inf"), "%s", curve[c].name);
        cr_expect_lt(count(text, "<path"), 40, "%s: %d paths", curve[c].name, count(text, "<path"));
        free(text);
    }
}

Test(svg, decision_shows_every_point_and_the_border)
{
    enum { SIDE = 32 };
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_planar("diag", 60, 0, 1, &error);
    static float grid[SIDE * SIDE][2], probability[SIDE * SIDE];
    const int32_t *label = set->column[1].rows;
    int ones = 0;

    tp_svg_grid(set, SIDE, grid[0]);
    cr_expect(grid[0][0] < grid[1][0] && grid[0][1] > grid[SIDE][1], "from the top left");
    for (int i = 0; i < SIDE * SIDE; i++)
        probability[i] = 1 / (1 + expf(20 * (grid[i][0] + grid[i][1] - 0.5f)));
    for (int i = 0; i < 60; i++)
        ones += label[i];
    char *text = tp_svg_decision("diag", set, SIDE, probability);
    cr_assert(text && well_formed(text));
    cr_expect_eq(count(text, "<circle"), 60 - ones);
    cr_expect_eq(count(text, "stroke=\"#1f6fb4\""), ones);
    /* the border crosses the corner x + y = 0.5: each piece's ends lie on it */
    const char *border = strstr(text, "stroke=\"#333\"");
    cr_assert(border);
    const char *at = strchr(strstr(border, "d=\""), 'M');
    int pieces = 0;
    for (; at && *at == 'M'; pieces++) {
        char *next;
        double px = strtod(at + 1, &next), py = strtod(next, &next);
        double dx = grid[1][0] - grid[0][0], dy = grid[0][1] - grid[SIDE][1];
        double x = grid[0][0] + ((px - 16) * SIDE / 400 - 0.5) * dx;
        double y = grid[0][1] - ((py - 36) * SIDE / 400 - 0.5) * dy;

        cr_expect_lt(fabs(x + y - 0.5), 0.01, "%g %g", x, y);
        at = strchr(next + 1, 'M');
        if (at && at > strchr(next, '"'))
            break;
    }
    cr_expect_gt(pieces, 5);
    free(text);

    for (int i = 0; i < SIDE * SIDE; i++)
        probability[i] = i % 3 ? NAN : INFINITY;
    text = tp_svg_decision("nothing learned", set, SIDE, probability);
    cr_expect(text && well_formed(text) && !strstr(text, "nan"));
    free(text);
    tp_data_free(set);
}

/*
 * What a run says or demands on its way: tp_print, tp_check, tp_log_value; and tp_barrier, which no
 * kernel reaches across.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/frontend.h"

/* What the call prints on stdout. */
static const char *printed(tp_program *p)
{
    static char text[4000];
    FILE *file = tmpfile();
    const int before = dup(1);
    size_t length;

    fflush(stdout);
    dup2(fileno(file), 1);
    cr_expect(tp_run(p), "%s", tp_error(p->owner));
    fflush(stdout);
    dup2(before, 1);
    close(before);
    rewind(file);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    fclose(file);
    return text;
}

static void fill(tp_program *p, tp_tensor x, float value)
{
    size_t bytes;
    float *to = tp_buffer(p, x, &bytes);

    for (size_t i = 0; i < bytes / sizeof *to; i++)
        to[i] = value + (float)i;
}

Test(notice, print_shows_what_there_is_of_it)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x =
        tp_input(g, "x", TP_F32, tp_dims(tp_symbol(g, "batch", 1, 4), tp_symbol(g, "time", 1, 5)));
    const tp_tensor h = tp_mul(x, 2);
    const int line = __LINE__ + 1;
    tp_print(h);
    tp_program *p = tp_compile(g, tp_list(tp_sum(h)), TP_EVAL);
    char want[200];

    cr_assert(p, "%s", tp_error(g));
    fill(p, x, 0);
    tp_rows(p, 2);
    tp_extent(p, "time", 3); /* a row is 5 wide in memory */
    snprintf(want, sizeof want, "notice.c:%d: h = f32[2 3] [[0 2 4]\n [10 12 14]]\n", line);
    cr_expect_str_eq(printed(p), want);
    tp_graph_free(g);
}

Test(notice, print_of_much_shows_the_ends)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2000));

    tp_print(x);
    tp_program *p = tp_compile(g, tp_list(tp_sum(x)), TP_EVAL);
    cr_assert(p, "%s", tp_error(g));
    fill(p, x, 0);
    cr_expect(strstr(printed(p), "[0 1 2 .. 1997 1998 1999]\n"), "%s", printed(p));
    tp_graph_free(g);
}

Test(notice, belongs_to_programs_that_have_its_inputs)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(3)),
                    y = tp_input(g, "y", TP_F32, tp_dims(3));
    const tp_tensor sum = tp_sum(x), product = tp_sum(tp_mul(x, y));

    tp_print(product);
    tp_program *one = tp_compile(g, tp_list(sum), TP_EVAL),
               *two = tp_compile(g, tp_list(sum, y), TP_EVAL);
    cr_assert(one && two, "%s", tp_error(g));
    fill(two, x, 1);
    fill(two, y, 1);
    cr_expect_str_empty(printed(one));
    cr_expect(strstr(printed(two), "product = f32[] 14\n"), "%s", printed(two));
    tp_graph_free(g);
}

static void check_in(bool checked)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(tp_symbol(g, "batch", 1, 4), 3)),
                    w = tp_param(g, "w", tp_dims(3), TP_ONES);
    const int line = __LINE__ + 1;
    tp_check(tp_lt(x, 5), "rates are below 5");
    tp_program *p = tp_compile_train(tp_mean(tp_mul(x, w)), .lr = tp_const(1), .check = checked);
    float before[3], after[3];
    char want[100];

    cr_assert(p, "%s", tp_error(g));
    fill(p, x, 2); /* 2 3 4 in the first row */
    tp_rows(p, 1);
    cr_expect(tp_run(p), "%s", tp_error(g));
    tp_get_values(w, before, sizeof before);
    tp_rows(p, 3); /* .. to 10 */
    cr_expect_not(tp_run(p));
    snprintf(want, sizeof want, "notice.c:%d: check: rates are below 5: 6 false", line);
    cr_expect_str_eq(tp_error(g), want);
    cr_expect_eq(tp_status(g), 1);
    tp_state_read(g, tp_state_find(g, "w"), after);
    cr_expect_eq(memcmp(before, after, sizeof after) == 0, checked);
    tp_graph_free(g);
}

Test(notice, check_stops_a_run)
{
    check_in(false);
}

Test(notice, checked_programs_put_back_what_was)
{
    check_in(true);
}

Test(notice, check_in_an_eager_graph)
{
    tp_graph *g = tp_eager_new(1);
    const tp_tensor x = tp_array(g, TP_F32, tp_dims(3), (float[]){ 1, -2, 3 });

    tp_check(tp_lt(x, 4), "small");
    cr_expect_null(tp_error(g));
    const int line = __LINE__ + 1;
    tp_check(tp_gt(x, 0), "positive");
    char want[100];
    snprintf(want, sizeof want, "notice.c:%d: check: positive: 1 of bool[3] are false", line);
    cr_expect_str_eq(tp_error(g), want);
    tp_graph_free(g);
}

Test(notice, a_file_keeps_it)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2));

    tp_check(tp_lt(x, 5), "a \"limit\" of 5");
    tp_program *p = tp_compile(g, tp_list(tp_sum(x)), TP_EVAL);
    char path[] = "/tmp/taper-noticeXXXXXX", text[2000] = "";
    FILE *file;

    close(mkstemp(path));
    cr_assert(p && tp_emit_ir(p, path), "%s", tp_error(g));
    file = fopen(path, "r");
    cr_expect_gt(fread(text, 1, sizeof text - 1, file), 0);
    cr_expect(strstr(text, "\"check/a \\\"limit\\\" of 5\"="), "%s", text);
    fclose(file);
    remove(path);
    tp_graph_free(g);
}

Test(notice, logged_values_are_probes)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4)),
                    w = tp_param(g, "w", tp_dims(4), TP_ONES), h = tp_mul(x, w);
    tp_probe all[20];

    tp_log_value(tp_amax(h), "most of h");
    tp_log_value(h, "h");
    for (int probe = 0; probe < 2; probe++) {
        tp_program *p = tp_compile_train(tp_mean(h), .lr = tp_const(0), .probe = probe);
        int count, found = 0;
        cr_assert(p, "%s", tp_error(g));
        fill(p, x, 1);
        cr_expect(tp_run(p), "%s", tp_error(g));
        count = tp_probes(p, 20, all);
        for (int i = 0; i < count; i++) {
            if (strcmp(all[i].tag, "value/most_of_h") == 0)
                found += *(const float *)all[i].data == 4;
            if (strcmp(all[i].tag, "norm/h") == 0)
                found += *(const float *)all[i].data > 5.47F && *(const float *)all[i].data < 5.48F;
            if (strcmp(all[i].tag, "values/h") == 0)
                found += all[i].histogram;
        }
        cr_expect_eq(found, probe ? 3 : 0);
    }
    tp_graph_free(g);
}

/* --- refused ---------------------------------------------------------------------------------- */

static void body(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    (void)user, (void)y;
    carry[0] = tp_add(carry[0], x[0]);
    tp_print(carry[0]);
}

Test(notice, not_inside_of_a_scan)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor carry = tp_input(g, "x", TP_F32, tp_dims(2)),
              x = tp_input(g, "xs", TP_F32, tp_dims(3, 2));

    tp_scan(g, body, NULL, 1, &carry, 1, &x, 0, NULL);
    cr_expect(tp_error(g) &&
                  strstr(tp_error(g), "its function calls tp_print; expected that outside"),
              "%s", tp_error(g));
    tp_graph_free(g);
}

Test(notice, bad_arguments)
{
    for (int i = 0; i < 4; i++) {
        tp_graph *g = tp_graph_new(1);
        const tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(2));
        if (i == 0)
            tp_check(x, "integers");
        else if (i == 1)
            tp_check(tp_lt(x, 3), "");
        else if (i == 2)
            tp_check(tp_lt(x, 3), NULL);
        else
            tp_log_value(x, "integers");
        cr_expect(tp_error(g) && strstr(tp_error(g), "; expected ") &&
                      strncmp(tp_error(g), "notice.c:", 9) == 0,
                  "%d: %s", i, tp_error(g));
        tp_graph_free(g);
    }
}

/* --- barriers --------------------------------------------------------------------------------- */

static int kernels(bool barrier)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(64)), e = tp_exp(x);
    tp_program *p = tp_compile(g, tp_list(tp_sqrt(barrier ? tp_barrier(e) : e)), TP_EVAL);
    const char *text;
    int count = 0;

    cr_assert(p, "%s", tp_error(g));
    text = tp_explain(p, NULL);
    cr_assert(text, "%s", tp_error(g));
    for (const char *at = text; (at = strstr(at, " operation")); at++)
        count++;
    cr_expect_eq(strstr(text, "a barrier stands between") != NULL, barrier, "%s", text);
    tp_graph_free(g);
    return count;
}

Test(notice, no_kernel_reaches_across_a_barrier)
{
    cr_expect_eq(kernels(true), 2);
    cr_expect_eq(kernels(false), 1);
}

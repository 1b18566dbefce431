/*
 * while: a function again and again as long as a truth value says so, at most so many times.
 *
 * It is a scan of the bound's length whose step is a choice: once the test says no, it says no for
 * good, for nothing changes any more, and what a step costs then is the test. So the derivative is
 * that of scans, and it goes by the steps that ran.
 */
#include "frontend/frontend.h"

struct loop {
    tp_graph *g;
    tp_test *test;
    tp_body *body;
    void *user;
    int carries;
    tp_loc at;
};

static void one_more(void *user, const tp_tensor x[], tp_tensor y[])
{
    const struct loop *l = user;

    for (int i = 0; i < l->carries; i++)
        y[i] = x[i];
    l->body(l->user, y, NULL, NULL);
}

static void no_more(void *user, const tp_tensor x[], tp_tensor y[])
{
    const struct loop *l = user;

    for (int i = 0; i < l->carries; i++)
        y[i] = x[i];
}

static void step(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    struct loop *l = user;
    tp_tensor *next = ir_alloc(l->g->ir->arena, ((size_t)l->carries + 1) * sizeof *next);
    const tp_tensor go_on = l->test(l->user, carry);

    (void)x, (void)y;
    tp_cond_at(go_on, one_more, no_more, l, l->carries, carry, l->carries, next, l->at);
    for (int i = 0; i < l->carries; i++)
        carry[i] = next[i];
}

bool tp_while_at(tp_graph *g, tp_test *test, tp_body *body, void *user, int carries,
                 tp_tensor carry[], int64_t most, tp_loc at)
{
    struct loop l = { g, test, body, user, carries, at };

    if (!g)
        return false;
    if (most < 1 || carries < 1) {
        tp_fail(g, at, "tp_while", "%d carries, at most %lld times; expected 1 or more of both",
                carries, (long long)most);
        for (int i = 0; i < carries; i++)
            carry[i] = POISON(g);
        return false;
    }
    return tp_scan_at(g, step, &l, carries, carry, 0, NULL, 0, (tp_scan_args){ .length = most },
                      at);
}

/*
 * check.h: what check.c, which finds that a run went wrong, and check_where.c, which finds where,
 * share.
 */
#ifndef TAPER_CHECK_H
#define TAPER_CHECK_H

#include "frontend/frontend.h"

#define CHECK_INDICES "taper.indices" /* the output that says whether an index is past its axis */

struct check { /* what a run began with */
    char *states, *inputs;
    size_t state_bytes;
};

void tp_check_put_back(const tp_program *p);                                 /* as before the run */
int64_t tp_first_unfinite(enum ir_dtype dtype, const void *data, int64_t n); /* -1: none */
bool tp_check_limit(const struct ir_graph *g, const struct ir_node *n, int *argument,
                    int64_t *limit);
/* The states and inputs are as before the run. Names what went wrong in the graph's error; false.
 */
bool tp_check_locate(tp_program *p);

#endif

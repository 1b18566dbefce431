/*
 * eager.h: the tape of an eager graph: what eager.c computes and eager_keep.c makes short.
 */
#ifndef TAPER_EAGER_H
#define TAPER_EAGER_H

#include "frontend/frontend.h"

struct value {
    void *data;  /* NULL: not computed, or a state's, which lives in the store */
    size_t room; /* as tp_array_room says */
};

struct spare { /* an array that was given back, in its own first bytes */
    struct spare *next;
};
struct shelf { /* of arrays of one size */
    size_t room;
    struct spare *first;
};

struct eager {
    struct kernels *kernels;
    struct value *values; /* by node */
    bool *through;        /* by node: a view or indices, read through */
    unsigned char *depth; /* by node: of views */
    uint32_t room, seen;  /* nodes */
    struct shelf *shelves;
    int shelf_count, shelf_room;
    ir_val *stack, *leaf; /* of one call of demand */
    void **data;
    size_t stack_room, leaf_room;
    int leaves;
    bool busy;
    int held;         /* functions around that only record */
    int64_t arrays;   /* that were entered, for their names */
    ir_val *gradient; /* by state, from the last backward; NULL: none */
    int gradients;
};

/* eager.c */
bool tp_eager_demand(tp_graph *g, ir_val v); /* computes v, after what it needs */
bool tp_eager_room(tp_graph *g, uint32_t count);
void tp_eager_give_back(struct eager *e, void *array, size_t room);
void tp_eager_look(tp_graph *g, uint32_t v); /* once a node is recorded */

#endif

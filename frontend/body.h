/*
 * What scan.c and cond.c share: a function's recording as a body.
 */
#ifndef TAPER_BODY_H
#define TAPER_BODY_H

#include "frontend/frontend.h"

struct body {
    tp_graph *g;
    struct ir_loc loc;
    tp_loc at;
    const char *what;    /* the call that records, for messages */
    const char *instead; /* .. of an assignment */
    const char *around;  /* .. of what may not be inside: who reads or gives it */
    uint32_t before;     /* nodes of the trace when it began */
    bool *inside;        /* by node of the trace: becomes a node of the body */
    struct ir_graph *body;
    ir_val *moved;    /* node of the trace -> of the body */
    uint32_t *region; /* region of the trace -> of the body */
    ir_val *arg;
    int args, room;
};

bool tp_body_tensors(struct body *, const char *what, int n, const tp_tensor *x); /* or an error */
bool tp_body_may_move(struct body *); /* nothing inside that must stay in the trace; or an error */
/* an input that stands for a tensor while the function records, or for one slice of it */
tp_tensor tp_body_stand_in(struct body *, const char *what, int i, tp_tensor of, bool slice);
void tp_body_find(struct body *, int n, const tp_tensor *stands); /* inside: what depends on them */
void tp_body_begin(struct body *, const char *name);
void tp_body_take(struct body *, ir_val arg);   /* one more argument */
ir_val tp_body_captured(struct body *, ir_val); /* in the body; an argument, where it is outside */
void tp_body_copy(struct body *);               /* what is inside, after what it reads */
void tp_body_give(struct body *, int n, const tp_tensor *results);
void tp_body_erase(struct body *); /* what is inside is no more in the trace: it is in the body */
ir_val tp_body_end(struct body *, int carries, int slices, int64_t length, bool reverse, int when);

#endif

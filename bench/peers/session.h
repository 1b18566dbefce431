/*
 * session: a workload that is ready to train: its graph, its numbers, its batches in memory.
 */
#ifndef TAPER_BENCH_SESSION_H
#define TAPER_BENCH_SESSION_H

#include "bench/peers/workload.h"

enum { BATCHES = 4 }; /* that are cycled through, as by every peer */

struct session {
    const struct workload *w;
    const char *numbers; /* folder of .npy files; NULL: made up here */
    int threads;
    bool eager;
    bool copied; /* each batch goes into the program's inputs, as from a loader; else all stay where
                    the program reads them, and a step is told which */
    tp_graph *g;
    tp_tensor x, y, loss;
    tp_program *step; /* NULL when eager */
    void *batch_x[BATCHES], *batch_y[BATCHES], *to_x, *to_y;
    int32_t *which; /* batch, unless they are copied */
    size_t x_bytes, y_bytes;
    double last; /* eager: the loss of the last step */
    char why[500];
};

bool session_data(struct session *s);  /* the batches; false fills why */
bool session_setup(struct session *s); /* the graph, compiled, with the common first parameters */
bool session_step(struct session *s, long i); /* on batch i % BATCHES */
double session_loss(const struct session *s); /* of the last step */
void session_free(struct session *s);

#endif

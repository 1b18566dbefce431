/*
 * patience: what a program decides from epoch to epoch by one number: a lower rate where it has
 * stopped to get better (PyTorch's ReduceLROnPlateau), and the end of training (Keras's
 * EarlyStopping). Both are the caller's structures and nothing of a graph.
 */
#include <math.h>

#include "frontend/frontend.h"

static bool better(double value, double best, bool rising, double by)
{
    return rising ? value > best + by : value < best - by;
}

bool tp_plateau_step(tp_graph *g, tp_plateau *p, double value)
{
    const double threshold = p->threshold != 0 ? p->threshold : 1e-4;
    const double factor = p->factor != 0 ? p->factor : 0.1;
    const int patience = p->patience != 0 ? p->patience : 10;
    double next;

    if (!(p->rate > 0) || !(factor < 1) || factor <= 0 || patience < 0) {
        ir_error(&g->error, IR_REFUSED,
                 "tp_plateau_step: rate %g, factor %g, patience %d; expected a rate above 0, a "
                 "factor between 0 and 1",
                 p->rate, factor, patience);
        return tp_tell(g);
    }
    if (!p->seen ||
        better(value, p->best, p->rising, p->absolute ? threshold : threshold * fabs(p->best))) {
        p->best = value;
        p->bad = 0;
    } else {
        p->bad++;
    }
    p->seen = true;
    if (p->cooling > 0) {
        p->cooling--;
        p->bad = 0;
    }
    if (p->bad <= patience)
        return true;
    next = fmax(p->rate * factor, p->least);
    p->cooling = p->cooldown;
    p->bad = 0;
    if (!(p->rate - next > 1e-8))
        return true;
    p->rate = next;
    return tp_set_rate(g, next);
}

bool tp_early_stop_step(tp_early_stop *s, double value)
{
    if (!s->seen || better(value, s->best, s->rising, s->least)) {
        s->seen = true;
        s->best = value;
        s->bad = 0;
        return false;
    }
    return ++s->bad >= (s->patience > 0 ? s->patience : 1);
}

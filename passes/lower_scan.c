/*
 * lower_scan: a scan is no kernel; it is a loop around kernels.
 */
#include "lower.h"

uint32_t pass_lower_of_scan(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    (void)n, (void)index;
    return pass_lower_fail(l, "is not compiled yet; TAPER_ENGINE=interpreter runs it");
}

uint32_t pass_lower_of_result(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    return pass_lower_of_scan(l, n, index);
}

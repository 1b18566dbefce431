/*
 * outline.h: what the pipeline asks of outline.c while it makes loops of a program's kernels.
 */
#ifndef TAPER_PASSES_OUTLINE_H
#define TAPER_PASSES_OUTLINE_H

#include "passes.h"

struct pass_outline; /* the kinds of kernels that have been seen */
struct pass_outline *pass_outline_new(struct ir_arena *, int kernels);
/* The kernel that a plain one becomes, where one like it has been seen and scheduled; NULL: it is
 * the first of its kind. */
struct loop_kernel *pass_outline_find(struct pass_outline *, struct loop_kernel *plain);
/* names for the functions that several kernels share */
void pass_outline_name(struct loop_program *);
/* words that two names have in common; a name that no function and no launch has, like this one */
const char *pass_outline_common(struct ir_arena *, const char *first, const char *second);
const char *pass_outline_unique(const struct loop_program *, const char *name);
/* gather.c: launches of a planned program, each of one kernel or of several */
void pass_gather(struct loop_program *, bool several);
/* repeats.c: stretches of calls that a loop can run; of a planned program */
void pass_find_repeats(struct pass_compiled *);

#endif

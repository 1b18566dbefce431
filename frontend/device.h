/*
 * device.h: programs on a GPU, or on the CPU as one.
 */
#ifndef TAPER_FRONTEND_DEVICE_H
#define TAPER_FRONTEND_DEVICE_H

#include "passes/passes.h"
#include "runtime/cuda.h"

/* A plan for a GPU as launches and texts, in the plan's arena; apart: a text a function
 * that is launched. */
bool tp_launches(struct run_planned *planned, struct loop_program *p, bool apart,
                 struct ir_error *error);

#endif

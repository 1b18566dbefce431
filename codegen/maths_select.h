/*
 * maths.c: the texts prelude*.h and maths*.h, of which a program gets what it uses.
 */
#ifndef GEN_MATHS_SELECT_H
#define GEN_MATHS_SELECT_H

#include <stdbool.h>
#include <stdio.h>

enum gen_language { GEN_C, GEN_CUDA };

/* Prints every definition of the texts whose name occurs in `program`, and what those need, in an
 * order that compiles. False when there is no memory. */
bool gen_maths(FILE *out, const char *program, enum gen_language);

/* Is there such a name (exp_f32x16, load_f64x8, ...)? */
bool gen_maths_has(const char *name, enum gen_language);

#endif

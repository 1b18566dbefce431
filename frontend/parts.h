/*
 * parts.h: between the parts that a trainer shares (runtime/parts/parts.h) and the frontend.
 *
 * A file that wraps a part includes this first, then the parts that it stands on.
 */
#ifndef TAPER_FRONTEND_PARTS_H
#define TAPER_FRONTEND_PARTS_H

#ifndef USE_ZLIB
#define USE_ZLIB
#endif
#include "runtime/parts/error.h"

#include "ir/ir.h"

/* A part's error as ours: true when there is none. */
static inline bool tp_part_told(const struct part_error *part, struct ir_error *error)
{
    return part->status == PART_OK || ir_error(error, part->status, "%s", part->text);
}

/* Types go by their names; false where the IR has no such type. */
static inline bool tp_type_of_part(enum part_type type, enum ir_dtype *dtype)
{
    for (int i = 0; i < IR_DTYPES; i++)
        if (strcmp(ir_dtypes[i].name, part_types[type].name) == 0) {
            *dtype = (enum ir_dtype)i;
            return true;
        }
    return false;
}

static inline enum part_type tp_part_of_type(enum ir_dtype dtype)
{
    for (int i = 0; i < PART_TYPES; i++)
        if (strcmp(ir_dtypes[dtype].name, part_types[i].name) == 0)
            return (enum part_type)i;
    ir_bug("no part knows the type %s", ir_dtypes[dtype].name);
}

#endif

/*
 * data_planar: points of the plane as data sets.
 */
#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"
#include "runtime/parts/columns.h"
#include "runtime/parts/planar.h"

#include "frontend/data.h"

#include <string.h>

struct data_set *tp_data_planar(const char *name, int64_t points, double noise, uint64_t seed,
                                struct ir_error *error)
{
    struct part_error part = { 0 };
    struct columns columns;

    planar_make(name, points, noise, seed, &columns, &part);
    return tp_part_told(&part, error) ? tp_data_take(name, &columns, error) : NULL;
}

bool tp_data_made(const char *name)
{
    for (size_t i = 0; i < sizeof planar_sets / sizeof *planar_sets; i++)
        if (strcmp(planar_sets[i].name, name) == 0)
            return true;
    return strcmp(name, "digits") == 0;
}

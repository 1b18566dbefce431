/*
 * file_idx: MNIST and its kin as data sets.
 */
#include "frontend/parts.h"
#include "runtime/parts/file.h"
#include "runtime/parts/columns.h"
#include "runtime/parts/idx.h"

#include "frontend/data.h"

bool tp_data_verify_idx(const char *path, struct ir_error *error)
{
    struct part_error part = { 0 };

    idx_check(path, &part);
    return tp_part_told(&part, error);
}

struct data_set *tp_data_load_idx(const char *directory, const char *split, struct ir_error *error)
{
    struct part_error part = { 0 };
    struct columns columns;

    idx_read(directory, split, &columns, &part);
    return tp_part_told(&part, error) ? tp_data_take(split, &columns, error) : NULL;
}

/*
 * file_aside: files that the frontend writes appear whole or not at all.
 */
#include "frontend/parts.h"
#include "runtime/parts/aside.h"

#include "frontend/data.h"

struct file_aside {
    struct aside part;
};

struct file_aside *tp_aside_open(const char *path, struct ir_error *error)
{
    struct file_aside *file = malloc(sizeof *file);
    struct part_error part = { 0 };

    if (!file) {
        ir_error(error, IR_FAILED, "%.250s: not enough memory", path);
        return NULL;
    }
    aside_open(&file->part, path, true, &part);
    if (tp_part_told(&part, error))
        return file;
    free(file);
    return NULL;
}

bool tp_aside_write(struct file_aside *file, const void *bytes, size_t size, struct ir_error *error)
{
    struct part_error part = { 0 };

    aside_write(&file->part, bytes, size, &part);
    return tp_part_told(&part, error);
}

bool tp_aside_close(struct file_aside *file, bool commit, struct ir_error *error)
{
    struct part_error part = { 0 };

    if (!file)
        return false;
    if (!commit || !aside_commit(&file->part, &part))
        aside_abandon(&file->part);
    free(file);
    return commit && tp_part_told(&part, error);
}

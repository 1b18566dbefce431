/*
 * emit: a program as a file that people and other tools read.
 */
#include <string.h>

#include "frontend/data.h"
#include "frontend/frontend.h"

/* Whole or not at all: a file that is there already stays when this fails. */
bool tp_write_text(const char *path, const struct ir_text *text, struct ir_error *error)
{
    struct file_aside *file = tp_aside_open(path, error);

    return tp_aside_close(file, file && tp_aside_write(file, text->data, text->size, error), error);
}

static bool emit(const tp_program *p, const char *path,
                 void (*print)(struct ir_text *text, const struct ir_program *program))
{
    struct ir_text text = { 0 };
    bool ok;

    if (!p)
        return false;
    print(&text, &(struct ir_program){ .graph = p->graph });
    ok = tp_write_text(path, &text, &p->owner->error);
    ir_text_free(&text);
    return ok || tp_tell(p->owner);
}

bool tp_emit_ir(const tp_program *p, const char *path)
{
    return emit(p, path, ir_print_program);
}

bool tp_emit_dot(const tp_program *p, const char *path)
{
    return emit(p, path, ir_print_dot);
}

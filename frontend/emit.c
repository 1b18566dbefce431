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

/* "lenet_train.c" -> lenet_train */
static const char *model_of(tp_graph *g, const char *path)
{
    const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path;
    const char *dot = strrchr(from, '.');

    return ir_format(g->ir->arena, "%.*s", dot ? (int)(dot - from) : (int)strlen(from), from);
}

bool tp_emit_c_with(tp_emit_args a)
{
    tp_graph *g = a.train ? a.train->owner : a.eval ? a.eval->owner : NULL;
    const int64_t batches = a.data ? tp_loader_batches(a.data) : 0;
    const char *slash = a.path ? strrchr(a.path, '/') : NULL;
    struct ir_text text = { 0 };
    bool ok = false;

    if (!g || g->error.status != IR_OK)
        return false;
    if (a.data && tp_loader_error(a.data))
        ir_error(&g->error, tp_loader_status(a.data), "%s", tp_loader_error(a.data));
    else if (!a.path || !a.train || !a.data || a.epochs < 0 || a.threads < 0 ||
             (a.eval && a.eval->owner != g))
        ir_error(
            &g->error, IR_REFUSED,
            "tp_emit_c: expected a path, .train = a program and .data = a loader; and .eval of "
            "the same graph");
    else
        ok = tp_trainer_text(
                 &(struct trainer_args){ .file = slash ? slash + 1 : a.path,
                                         .model = a.model ? a.model : model_of(g, a.path),
                                         .target = a.target,
                                         .step = a.train,
                                         .eval = a.eval,
                                         .train = a.data,
                                         .test = a.test,
                                         .epochs = a.epochs ? a.epochs
                                                   : a.train->rate_steps > 0
                                                       ? (int64_t)a.train->rate_steps / batches
                                                       : 10,
                                         .threads = a.threads },
                 &text, NULL, &g->error) &&
             tp_write_text(a.path, &text, &g->error);
    ir_text_free(&text);
    return ok || tp_tell(g);
}

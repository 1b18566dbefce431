/*
 * params: what states hold, in and out, by name.
 *
 * Files are safetensors with PyTorch's names and shapes, so a state dict goes both ways without a
 * map. A file is checked as a whole before the first value changes.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"
#include "frontend/frontend.h"

static struct state *state_behind(tp_tensor x, const char *what, size_t bytes)
{
    struct state *s = NULL;
    size_t size;

    if (!x.g || x.g->error.status != IR_OK)
        return NULL;
    if (x.id && tp_node(x)->op == IR_state)
        s = tp_state_find(x.g, tp_node(x)->text);
    if (!s) {
        ir_error(&x.g->error, IR_REFUSED, "%s: the tensor is no parameter or state", what);
        tp_tell(x.g);
        return NULL;
    }
    size = (size_t)ir_elements(x.g->ir, &s->shape) * (size_t)ir_dtypes[s->dtype].bytes;
    if (bytes != size) {
        ir_error(&x.g->error, IR_REFUSED, "%s: %.80s has %zu bytes, not %zu", what, s->name, size,
                 bytes);
        tp_tell(x.g);
        return NULL;
    }
    return s;
}

static bool set_state(tp_graph *g, struct state *s, const void *from)
{
    return g->eager ? tp_eager_set(g, s, from) : tp_state_write(g, s, from);
}

bool tp_get_values(tp_tensor state, void *to, size_t bytes)
{
    struct state *s = state_behind(state, "tp_get_values", bytes);

    return s && (tp_state_read(state.g, s, to) || tp_tell(state.g));
}

bool tp_set_values(tp_tensor state, const void *from, size_t bytes)
{
    struct state *s = state_behind(state, "tp_set_values", bytes);

    return s && (set_state(state.g, s, from) || tp_tell(state.g));
}

/* --- files ---------------------------------------------------------------------------------------
 */

static bool saved(const struct state *s, bool whole)
{
    return s->kind != STATE_HIDDEN || (whole && tp_is_array(s->name));
}

enum { NOTES = 8 };

static bool save(tp_graph *g, const char *path, bool whole, struct file_tensor *tensor, int count,
                 int notes, const struct file_pair *note)
{
    struct file_pair pair[1 + NOTES] = { { "format", "pt" } };
    bool ok = notes <= NOTES;

    for (int i = 0; i < notes && ok; i++)
        pair[1 + i] = note[i];

    for (int i = 0, n = 0; ok && i < g->state_count; i++) {
        struct state *s = &g->states[i];
        void *values;

        if (!saved(s, whole))
            continue;
        values = malloc(s->bytes + 1);
        if (!values)
            return ir_error(&g->error, IR_FAILED, "%.100s: not enough memory to save it", path);
        tensor[n] = (struct file_tensor){ .name = (char *)s->name,
                                          .dtype = s->dtype,
                                          .rank = s->shape.rank,
                                          .bytes = s->bytes,
                                          .data = values };
        memcpy(tensor[n].dim, s->shape.dim, sizeof tensor[n].dim);
        n++;
        ok = tp_state_read(g, s, values);
    }
    return ok && tp_safetensors_write(path, count, tensor, 1 + notes, pair, &g->error);
}

bool tp_save(tp_graph *g, const char *path)
{
    return tp_save_noted(g, path, false, 0, NULL);
}

bool tp_save_noted(tp_graph *g, const char *path, bool whole, int notes,
                   const struct file_pair *note)
{
    struct file_tensor *tensor;
    int count = 0;
    bool ok;

    if (!g || g->error.status != IR_OK)
        return false;
    for (int i = 0; i < g->state_count; i++)
        count += saved(&g->states[i], whole);
    tensor = calloc((size_t)count + 1, sizeof *tensor);
    ok = tensor ? save(g, path, whole, tensor, count, notes, note)
                : ir_error(&g->error, IR_FAILED, "%.100s: not enough memory to save", path);
    for (int i = 0; tensor && i < count; i++)
        free((void *)tensor[i].data);
    free(tensor);
    return ok || tp_tell(g);
}

/* Counters that PyTorch's batch_norm saves and nothing here reads; arrays that nothing asks for. */
static bool ignored(const char *name)
{
    const char *leaf = strrchr(name, '.');

    return strcmp(leaf ? leaf + 1 : name, "num_batches_tracked") == 0 || tp_is_array(name);
}

static bool fits(tp_graph *g, const struct file_safetensors *file, const struct file_tensor *t,
                 const struct state *s)
{
    struct ir_shape shape = { .rank = t->rank };
    struct ir_text has = { 0 }, want = { 0 };
    bool ok;

    memcpy(shape.dim, t->dim, sizeof shape.dim);
    ok = tp_safetensors_reads_as(t, s->dtype) && ir_same_shape(&shape, &s->shape);
    if (!ok) {
        ir_put_shape(&has, g->ir, t->dtype, &shape);
        ir_put_shape(&want, g->ir, s->dtype, &s->shape);
        ir_error(&g->error, IR_REFUSED, "%.120s: %.100s is %.60s; expected %.60s", file->path,
                 t->name, has.data, want.data);
        ir_text_free(&has);
        ir_text_free(&want);
    }
    return ok;
}

/* The file's tensor for each saved state; false when something lacks or differs. */
static bool match(tp_graph *g, const struct file_safetensors *file, const tp_load_args *args,
                  bool whole, const struct file_tensor **found)
{
    const char *prefix = args->prefix ? args->prefix : "";
    int64_t used = 0;

    for (int i = 0; i < g->state_count; i++) {
        const struct state *s = &g->states[i];
        char name[400];

        if (!saved(s, whole))
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, s->name);
        found[i] = tp_safetensors_find(file, name);
        used += found[i] != NULL;
        if (!found[i] && !args->partial)
            return ir_error(&g->error, IR_REFUSED,
                            "%.120s: there is no %.150s; expected each "
                            "parameter, .partial = true takes what is there",
                            file->path, name);
        if (found[i] && !fits(g, file, found[i], s))
            return false;
    }
    for (int64_t t = 0; t < file->count; t++)
        used += ignored(file->tensor[t].name) && !(whole && tp_is_array(file->tensor[t].name));
    for (int64_t t = 0; used < file->count && !args->partial && t < file->count; t++) {
        bool known = ignored(file->tensor[t].name);
        for (int i = 0; i < g->state_count && !known; i++)
            known = found[i] == &file->tensor[t];
        if (!known)
            return ir_error(&g->error, IR_REFUSED,
                            "%.120s: nothing here is called %.150s; .partial "
                            "= true would leave it out",
                            file->path, file->tensor[t].name);
    }
    return true;
}

static bool load(tp_graph *g, const struct file_safetensors *file,
                 const struct file_tensor *const *found, bool whole)
{
    bool ok = true;

    for (int i = 0; ok && i < g->state_count; i++) {
        void *values;

        if (!found[i])
            continue;
        values = malloc(g->states[i].bytes + 1);
        ok = values ? tp_safetensors_read(file, found[i], g->states[i].dtype, values, &g->error) &&
                          set_state(g, &g->states[i], values)
                    : ir_error(&g->error, IR_FAILED, "%.100s: not enough memory", file->path);
        g->states[i].given |= whole;
        free(values);
    }
    return ok;
}

static bool load_file(tp_graph *g, tp_load_args args, bool whole)
{
    const struct file_tensor **found;
    struct file_safetensors *file;
    bool ok;

    if (!g || g->error.status != IR_OK)
        return false;
    file = tp_safetensors_open(args.path, &g->error);
    if (!file)
        return tp_tell(g);
    found = calloc((size_t)g->state_count + 1, sizeof *found);
    ok = found ? match(g, file, &args, whole, found) && load(g, file, found, whole)
               : ir_error(&g->error, IR_FAILED, "%.100s: not enough memory", args.path);
    free(found);
    tp_safetensors_close(file);
    return ok || tp_tell(g);
}

bool tp_load_with(tp_graph *g, tp_load_args args)
{
    return load_file(g, args, false);
}

bool tp_load_whole(tp_graph *g, const char *path)
{
    return load_file(g, (tp_load_args){ .path = path }, true);
}

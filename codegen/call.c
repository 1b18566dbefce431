/*
 * call: kernels that call a C function of the user's.
 *
 * The text of a program in process knows no address: the table behind its bases has the function
 * and its first argument. A text that stands alone holds the function's own text and calls it by
 * its name; its gradient is NAME_gradient.
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

static const char types[] =
    "/* an array as a C function sees it: element (i, j) is data[i * pitch[0] + j * pitch[1]];\n"
    " * dtype: 1 bool, u8, i8, u16, i16, u32, i32, u64, i64, 11 f16, bf16, f32, 14 f64 */\n"
    "typedef struct tp_array {\n    void *data;\n    int dtype, rank;\n    const i64 *dim, "
    "*pitch;\n"
    "} tp_array;\n\n";
static const char table[] =
    "struct tp_call {\n    void (*function)(void *, int, const tp_array *, const tp_array *);\n"
    "    void *user;\n};\n\n";

bool gen_has_calls(const struct loop_program *p)
{
    return p->calls > 0;
}

/* The users' functions, each text once. False with an error where one has none. */
static bool put_sources(struct ir_text *out, const struct gen_unit *unit, int units,
                        struct ir_error *error)
{
    const size_t from = out->size;

    for (int u = 0; u < units; u++)
        for (int i = 0; i < unit[u].program->kernels; i++) {
            const struct loop_call *call = unit[u].program->kernel[i]->call;
            const char *source = call && call->custom ? call->custom->source : NULL;
            if (!call)
                continue;
            if (!source)
                return ir_error(error, IR_UNSUPPORTED,
                                "custom: %.60s is a C function of this process; expected its text "
                                "as .source, for a file that stands alone",
                                call->name);
            if (call->custom->user)
                return ir_error(error, IR_UNSUPPORTED,
                                "custom: %.60s reads .user, memory of this process; expected none, "
                                "for a file that stands alone",
                                call->name);
            if (!out->data || !strstr(out->data + from, source))
                ir_put(out, "%s%s\n", source,
                       source[0] && source[strlen(source) - 1] == '\n' ? "" : "\n");
        }
    return true;
}

bool gen_put_call_types(struct ir_text *out, const struct gen_unit *unit, int units,
                        struct ir_error *error)
{
    bool calls = false;

    for (int u = 0; u < units; u++)
        calls |= gen_has_calls(unit[u].program);
    if (!calls)
        return true;
    ir_put(out, "%s", types);
    if (unit->linked)
        return put_sources(out, unit, units, error);
    ir_put(out, "%s", table);
    return true;
}

static void put_array(struct ir_text *out, const struct loop_kernel *k,
                      const struct loop_argument *a, int number)
{
    const struct ir_shape *s = &a->shape;

    ir_put(out, "    const i64 dim%d[] = {", number);
    for (int i = 0; i < s->rank; i++) {
        ir_put(out, i ? ", " : " ");
        gen_put_extent(out, k->graph, s->dim[i]);
    }
    ir_put(out, "%s }, pitch%d[] = {", s->rank ? "" : " 0", number);
    for (int i = 0; i < s->rank; i++)
        ir_put(out, "%s%" PRId64, i ? ", " : " ", a->pitch[i]);
    ir_put(out, "%s };\n", s->rank ? "" : " 0");
}

static void put_place(struct ir_text *out, const struct loop_kernel *k,
                      const struct loop_argument *a, int number)
{
    const struct loop_buffer *b = &k->buffer[a->buffer];

    ir_put(out, "{ base[%d] + %" PRId64 ", %d, %d, dim%d, pitch%d }", b->base, b->offset,
           (int)b->dtype + 1, a->shape.rank, number, number);
}

void gen_call_kernel(struct ir_text *out, const struct gen_unit *u, const struct loop_kernel *k)
{
    const struct loop_call *call = k->call;
    const int n = call->arguments;

    if (k->comment)
        ir_put(out, "/* %s */\n", k->comment);
    ir_put(out,
           "static void %s%s(const int thread, const int threads, char *const *base, const long "
           "*dims)\n{\n",
           u->prefix, gen_function(u->program->arena, k));
    for (int i = 0; i <= n; i++)
        put_array(out, k, &call->argument[i], i);
    ir_put(out, "    const tp_array in[] = {");
    for (int i = 0; i < n; i++) {
        ir_put(out, "%s\n        ", i ? "," : "");
        put_place(out, k, &call->argument[i], i);
    }
    ir_put(out, "\n    };\n    const tp_array out = ");
    put_place(out, k, &call->argument[n], n);
    if (u->linked)
        ir_put(out, ";\n\n    %s%s(0, %d, in, &out);\n", call->name,
               call->by < 0 ? "" : "_gradient", call->by);
    else
        ir_put(
            out,
            ";\n    const struct tp_call *call = (const struct tp_call *)base[%d] + %d; // %s\n\n"
            "    call->function(call->user, %d, in, &out);\n",
            u->program->bases, call->at, call->name, call->by);
    ir_put(out, "    (void)thread, (void)threads, (void)dims;\n}\n\n");
}

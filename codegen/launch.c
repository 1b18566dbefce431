/*
 * launch: a function of a GPU that runs several kernels at once.
 *
 * Each kernel has a range of the launch's blocks; those of one function, which stand side by side,
 * are one range, and what is theirs is found by which of them it is. Where all arrays are is one
 * argument, so that they can be numbered.
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

struct range {                   /* of blocks, for the kernels of one function */
    const struct loop_kernel *k; /* the first of them */
    int kernels, arrays;         /* arrays: before them */
    int64_t from, each;          /* blocks: before them; of one */
    int64_t blocks, threads;     /* that their function is made for */
};

/* "f(at / 64, at % 64, (const f32 *)given.array[3 * which], .., given.dims[0])" */
static void put_call(struct ir_text *out, const struct gen_unit *u, const struct range *r,
                     const char *block, const char *thread, int indent)
{
    enum { WIDTH = 96 };
    const struct loop_program *p = u->program;
    const int arrays = loop_arrays(r->k);
    size_t line;

    line = out->size;
    ir_put(out, "%*s%s%s(%s, %s", indent, "", u->prefix,
           gen_function(p->arena, loop_function(r->k)), block, thread);
    for (int b = 0, n = 0; b < r->k->buffers + p->graph->symbols; b++) {
        const struct loop_buffer *array = b < r->k->buffers ? &r->k->buffer[b] : NULL;
        const char *one;
        if (array && array->scratch)
            continue;
        if (!array)
            one = ir_format(p->arena, "given.dims[%d]", b - r->k->buffers);
        else
            one = ir_format(p->arena, "(%s%s *)given.array[%s%s]", array->written ? "" : "const ",
                            array->dtype == IR_BOOL ? "u8" : gen_type(NULL, array->dtype, false),
                            r->kernels > 1 ? ir_format(p->arena, "%d * which + ", arrays) : "",
                            ir_format(p->arena, "%d", r->arrays + n));
        n++;
        if (out->size - line + strlen(one) + 2 > WIDTH) {
            line = out->size + 2;
            ir_put(out, ",\n%*s", indent + 4, "");
        } else {
            ir_put(out, ", ");
        }
        ir_put(out, "%s", one);
    }
    ir_put(out, ");\n");
}

static void put_range(struct ir_text *out, const struct gen_unit *u, const struct loop_launch *l,
                      const struct range *r)
{
    struct ir_arena *arena = u->program->arena;
    const int64_t to = r->from + r->kernels * r->each;
    const bool only = !r->from && to == l->blocks;
    int in = only ? 4 : 8; /* blanks before each line */
    const char *block = "block", *thread = "thread";

    if (!only) {
        ir_put(out, r->from ? " else " : "    ");
        if (to < l->blocks)
            ir_put(out, "if (block < %" PRId64 ") ", to);
        ir_put(out, "{");
        if (r->kernels > 1 && r->each > 1)
            ir_put(out, " // %d times %" PRId64 " blocks", r->kernels, r->each);
        else if (r->kernels > 1)
            ir_put(out, " // %d times a block", r->kernels);
        ir_put(out, "\n");
    }
    if (r->from)
        block = ir_format(arena, "block - %" PRId64, r->from);
    if (r->kernels > 1 && r->each > 1 && r->from) {
        ir_put(out, "%*sconst int own = %s, which = own / %" PRId64 ";\n", in, "", block, r->each);
        block = ir_format(arena, "own %% %" PRId64, r->each);
    } else if (r->kernels > 1 && r->each > 1) {
        ir_put(out, "%*sconst int which = block / %" PRId64 ";\n", in, "", r->each);
        block = ir_format(arena, "block %% %" PRId64, r->each);
    } else if (r->kernels > 1) {
        ir_put(out, "%*sconst int which = %s;\n", in, "", block);
        block = "0";
    }
    if (r->threads != l->threads) { /* numbered through, as if in blocks of its own */
        const int64_t members = r->blocks * r->threads;
        const char *at = r->each == 1 ? "thread" : "at";
        if (r->each > 1)
            ir_put(out, "%*sconst int at = (%s) * %" PRId64 " + thread;\n", in, "", block,
                   l->threads);
        block = r->blocks > 1 ? ir_format(arena, "%s / %" PRId64, at, r->threads) : "0";
        thread = r->threads > 1 ? ir_format(arena, "%s %% %" PRId64, at, r->threads) : "0";
        if (members % l->threads) {
            ir_put(out, "%*sif (%s < %" PRId64 ")\n", in, "", at, members);
            in += 4;
        }
    }
    put_call(out, u, r, block, thread, in);
    if (!only)
        ir_put(out, "    }");
}

/* "4 times mul_add, 2 times mul_add_2": what it runs */
static void put_comment(struct ir_text *out, const struct gen_unit *u, const struct loop_launch *l)
{
    enum { WIDTH = 96 };
    const struct loop_program *p = u->program;
    size_t line = out->size;

    ir_put(out, "/* %d kernels at once:", l->kernels);
    for (int i = 0, same; i < l->kernels; i += same) {
        const struct loop_kernel *f = loop_function(p->kernel[l->kernel[i]]);
        const char *name = gen_function(p->arena, f);
        for (same = 1; i + same < l->kernels && loop_function(p->kernel[l->kernel[i + same]]) == f;)
            same++;
        ir_put(out, i ? "," : "");
        if (out->size - line + strlen(name) + 14 > WIDTH) {
            line = out->size + 1;
            ir_put(out, "\n *");
        }
        if (same > 1)
            ir_put(out, " %d times", same);
        ir_put(out, " %s", name);
    }
    ir_put(out, " */\n");
}

void gen_launch(struct ir_text *out, const struct gen_unit *u, const struct loop_launch *l)
{
    const struct loop_program *p = u->program;
    const int symbols = p->graph->symbols;
    struct range r = { 0 };

    if (l->kernels > 1)
        put_comment(out, u, l);
    ir_put(out, "struct %s%s_given {\n    char *array[%d];\n", u->prefix, l->name,
           loop_launch_arrays(p, l, NULL));
    if (symbols)
        ir_put(out, "    long dims[%d];\n", symbols);
    ir_put(out,
           "};\n"
           "extern \"C\" __global__ void __launch_bounds__(%" PRId64 ") %s%s(\n"
           "    const __grid_constant__ struct %s%s_given given)\n{\n"
           "    const int block = blockIdx.x, thread = threadIdx.x;\n\n",
           l->threads, u->prefix, l->name, u->prefix, l->name);
    for (int i = 0; i < l->kernels; i += r.kernels) {
        r.from += r.kernels * r.each;
        r.arrays += r.kernels ? r.kernels * loop_arrays(r.k) : 0;
        r.k = p->kernel[l->kernel[i]];
        r.each = loop_launch_blocks(p, l, i);
        loop_grid(loop_function(r.k), &r.blocks, &r.threads);
        for (r.kernels = 1;
             i + r.kernels < l->kernels &&
             loop_function(p->kernel[l->kernel[i + r.kernels]]) == loop_function(r.k);)
            r.kernels++;
        put_range(out, u, l, &r);
    }
    ir_put(out, out->data[out->size - 1] == '\n' ? "}\n\n" : "\n}\n\n");
}

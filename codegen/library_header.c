/*
 * library_header: NAME.h, which is all that a user of a generated library reads.
 */
#include "codegen/library_put.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* f16 and bf16 are their bits: C has no name for them */
static const char *type_name(enum ir_dtype dtype)
{
    static const char *const names[] = {
        [IR_BOOL] = "uint8_t", [IR_U8] = "uint8_t",   [IR_I8] = "int8_t",     [IR_U16] = "uint16_t",
        [IR_I16] = "int16_t",  [IR_U32] = "uint32_t", [IR_I32] = "int32_t",   [IR_U64] = "uint64_t",
        [IR_I64] = "int64_t",  [IR_F16] = "uint16_t", [IR_BF16] = "uint16_t", [IR_F32] = "float",
        [IR_F64] = "double"
    };
    return names[dtype];
}

static int64_t arena_bytes(const struct gen_library *l)
{
    int64_t most = l->step->arena_bytes;

    if (l->predict && l->predict->arena_bytes > most)
        most = l->predict->arena_bytes;
    return (l->state_bytes + most + 63) / 64 * 64;
}

/* "    const float *x,      rows of 2 f32" */
static void put_about(struct ir_text *out, const struct gen_array *a, const char *what)
{
    ir_put(out, " *   %-8s %s `rows` rows of ", a->name, what);
    for (int i = 0; i < a->rank; i++)
        ir_put(out, "%s%" PRId64, i ? " x " : "", a->dim[i]);
    ir_put(out, "%s%s%s, one row after the other, row-major\n", a->rank ? " " : "one ",
           type_name(a->dtype), a->rank ? "s" : "");
}

void gen_library_step(struct ir_text *out, const struct gen_library *l, bool header)
{
    ir_put(out, "%s %s_step(void *memory", l->loss.dtype == IR_F64 ? "double" : "float", l->name);
    for (int i = 0; i < l->inputs[0]; i++)
        ir_put(out, ", const %s *%s", type_name(l->input[0][i].dtype), l->input[0][i].name);
    ir_put(out, ", long rows)%s", header ? ";\n" : "");
}

void gen_library_predict(struct ir_text *out, const struct gen_library *l, bool header)
{
    ir_put(out, "int %s_predict(void *memory", l->name);
    for (int i = 0; i < l->inputs[1]; i++)
        ir_put(out, ", const %s *%s", type_name(l->input[1][i].dtype), l->input[1][i].name);
    ir_put(out, ", long rows, %s *output)%s", type_name(l->output.dtype), header ? ";\n" : "");
}

static const char head[] =
    " * All memory is the caller's: NAMES_ARENA_BYTES bytes at a multiple of NAMES_ALIGNMENT, "
    "static,\n"
    " * from malloc or wherever; one piece a model, any number of them. Nothing is allocated, "
    "nothing\n"
    " * read or written elsewhere, and there are no variables but constants: functions may run at "
    "the\n"
    " * same time on different memory. Numbers are IEEE 754, little or big end as the machine has\n"
    " * them; the same seed and batches give the same bits as `taper train`.\n"
    " *\n"
    " *     static _Alignas(NAMES_ALIGNMENT) unsigned char memory[NAMES_ARENA_BYTES];\n"
    " *\n"
    " *     NAME_init(memory, 1);\n"
    " *     for (each batch)\n"
    " *         loss = NAME_step(memory, ...);\n"
    " */\n"
    "#ifndef NAMES_H\n"
    "#define NAMES_H\n"
    "\n"
    "#include <stddef.h>\n"
    "#include <stdint.h>\n"
    "\n"
    "#ifdef __cplusplus\n"
    "extern \"C\" {\n"
    "#endif\n"
    "\n";

static const char middle[] =
    "/*\n"
    " * Begins anew: every parameter as its layer begins, by the seed. Before all else.\n"
    " * Returns 0; -1 where memory is NULL or not aligned.\n"
    " */\n"
    "int NAME_init(void *memory, uint64_t seed);\n"
    "\n";

static const char table[] =
    "enum NAME_type {\n"
#define DTYPE(NAME, name, bytes, kind, c, arithmetic) "    NAME_" #NAME ",\n"
#include "ir/dtype.def"
#undef DTYPE
    "    NAME_TYPES /* how many there are */\n"
    "};\n"
    "\n"
    "/* One of the arrays that training changes. */\n"
    "struct NAME_parameter {\n"
    "    char name[NAMES_NAME_BYTES]; /* as in files: \"fc1.weight\" */\n"
    "    enum NAME_type type;         /* of its numbers; BOOL is a byte, F16 and BF16 are bits */\n"
    "    int weight;                  /* 1: the model's; 0: the optimiser's, and counters */\n"
    "    int rank;                    /* how many dimensions .. */\n"
    "    long dim[8];                 /* .. and their extents, the last one side by side */\n"
    "    size_t elements;             /* how many numbers */\n"
    "    size_t size;                 /* bytes of a number */\n"
    "};\n"
    "\n"
    "/* The table of all NAMES_PARAMETERS of them, a constant. */\n"
    "const struct NAME_parameter *NAME_parameters(void);\n"
    "\n"
    "/*\n"
    " * Row number `which` of the table, out of the memory and into it: elements * size bytes,\n"
    " * row-major, as PyTorch has them. (Inside they lie in the order that is read fastest.)\n"
    " * Returns 0; -1 where a pointer is NULL, memory not aligned, or there is no such row.\n"
    " * To stop and go on later, keep the first NAMES_STATE_BYTES of the memory: put back after\n"
    " * NAME_init, the same library goes on from them to the same bits.\n"
    " */\n"
    "int NAME_get(const void *memory, int which, void *numbers);\n"
    "int NAME_set(void *memory, int which, const void *numbers);\n"
    "\n"
    "#ifdef __cplusplus\n"
    "}\n"
    "#endif\n"
    "\n"
    "#endif\n";

static void put_text(struct ir_text *out, const struct gen_library *l, const char *text)
{
    gen_library_text(out, l, text, strlen(text));
}

static void put_number(struct ir_text *out, const struct gen_library *l, const char *what,
                       int64_t number, const char *about)
{
    struct ir_text name = { 0 };

    ir_put(&name, "NAMES_%s", what);
    ir_put(out, "#define ");
    put_text(out, l, name.data);
    ir_put(out, "%*s%" PRId64 " /* %s */\n", (int)(14 - strlen(what)), "", number, about);
    ir_text_free(&name);
}

void gen_library_header(struct ir_text *out, const struct gen_library *l)
{
    size_t longest = 0;
    int64_t weights = 0;

    for (int i = 0; i < l->states; i++) {
        if (strlen(l->state[i].name) > longest)
            longest = strlen(l->state[i].name);
        weights += l->state[i].saved ? l->state[i].elements : 0;
    }
    ir_put(out, "/*\n * %s.h: ", l->name);
    ir_put_name(out, l->model);
    ir_put(out, ", %" PRId64 " parameters, to be trained and asked inside of a program.\n *\n",
           weights);
    put_text(out, l, head);
    put_number(out, l, "ARENA_BYTES", arena_bytes(l), "of the memory that the caller brings");
    put_number(out, l, "ALIGNMENT", 64, "of its address");
    put_number(out, l, "STATE_BYTES", l->state_bytes, "at its beginning: all that outlives a call");
    put_number(out, l, "ROWS", l->rows, "most rows of a batch");
    put_number(out, l, "PARAMETERS", l->states, "rows of the table of parameters");
    put_number(out, l, "NAME_BYTES", (int64_t)longest + 1, "of the longest name, with its end");
    ir_put(out, "\n");
    put_text(out, l, middle);
    ir_put(out, "/*\n * One step of training on a batch: forward, backward, update.\n");
    for (int i = 0; i < l->inputs[0]; i++)
        put_about(out, &l->input[0][i], "in:");
    put_text(out, l, " *   rows     1 .. NAMES_ROWS; a batch may be smaller than the one before\n");
    if (l->chance)
        ir_put(out,
               " * Random numbers of the step (dropout) are those of the seed %" PRId64
               ", whatever the seed of\n * the initial numbers.\n",
               l->seed);
    ir_put(out,
           " * Returns the loss of the batch, before the update; NaN where an argument is none, "
           "and then\n * nothing has changed.%s\n */\n",
           l->threads > 1 ? " Runs on several threads where it was compiled with OpenMP." : "");
    gen_library_step(out, l, true);
    ir_put(out, "\n");
    if (l->predict) {
        ir_put(out, "/*\n * What the model says of rows, as it is when it does not learn.\n");
        for (int i = 0; i < l->inputs[1]; i++)
            put_about(out, &l->input[1][i], "in:");
        put_text(out, l, " *   rows     1 .. NAMES_ROWS\n");
        put_about(out, &l->output, "out:");
        ir_put(out, " * Returns 0; -1 where an argument is none.\n */\n");
        gen_library_predict(out, l, true);
        ir_put(out, "\n");
    } else {
        ir_put(out, "/* There is no predict: the model's file has no program eval with an output "
                    "named \"output\". */\n\n");
    }
    put_text(out, l, table);
}

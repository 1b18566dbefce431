/*
 * build_library: a model as NAME.c and NAME.h, and compiled, where this machine can, as libNAME.a
 * and libNAME.so.
 */
#include "command.h"
#include "frontend/models.h"

#include <stdio.h>
#include <string.h>

/* What the text includes, for a compiler that has no headers at hand. */
static const char types[] = "typedef __SIZE_TYPE__ size_t;\n"
                            "typedef __UINTPTR_TYPE__ uintptr_t;\n"
                            "typedef __UINT8_TYPE__ uint8_t;\n"
                            "typedef __INT8_TYPE__ int8_t;\n"
                            "typedef __UINT16_TYPE__ uint16_t;\n"
                            "typedef __INT16_TYPE__ int16_t;\n"
                            "typedef __INT32_TYPE__ int32_t;\n"
                            "typedef __UINT32_TYPE__ uint32_t;\n"
                            "typedef __INT64_TYPE__ int64_t;\n"
                            "typedef __UINT64_TYPE__ uint64_t;\n";

static void put_without_includes(struct ir_text *out, const struct ir_text *text)
{
    for (const char *line = text->data, *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        next += *next != 0;
        if (strncmp(line, "#include", 8) != 0)
            ir_put_bytes(out, line, (size_t)(next - line));
    }
}

static bool compile(const struct ir_text *text, const struct ir_text *header,
                    const struct run_options *options, const char *stem, struct ir_error *error)
{
    static const struct {
        const char *tail;
        enum run_object kind;
    } files[] = { { "a", RUN_ARCHIVE }, { "so", RUN_LIBRARY } };
    struct ir_text whole = { 0 };
    bool ok = true;

    ir_put(&whole, "%s", types);
    put_without_includes(&whole, header);
    put_without_includes(&whole, text);
    for (int i = 0; i < 2 && ok; i++) {
        struct ir_text path = { 0 };
        ir_put(&path, "%s.%s", stem, files[i].tail);
        ok = run_object_write(whole.data, options, path.data, files[i].kind, error);
        ir_text_free(&path);
    }
    ir_text_free(&whole);
    return ok;
}

static bool write_file(const char *folder, const char *name, const char *tail,
                       const struct ir_text *text, struct ir_error *error)
{
    struct ir_text path = { 0 };
    bool ok;

    ir_put(&path, "%s/%s.%s", folder, name, tail);
    ok = tp_write_text(path.data, text, error);
    ir_text_free(&path);
    return ok;
}

bool command_build_library(struct session *s, const char *name, const char *folder,
                           bool freestanding, const char *made_by)
{
    const struct library_args args = { .name = name,
                                       .model = s->model,
                                       .made_by = made_by,
                                       .target = s->settings.target,
                                       .step = s->step,
                                       .eval = s->eval,
                                       .output = s->values ? s->values->output : (tp_tensor){ 0 },
                                       .threads = s->settings.threads,
                                       .freestanding = freestanding };
    struct ir_text text = { 0 }, header = { 0 }, stem = { 0 };
    const struct ir_target *target = NULL;
    bool ok, here = false;

    folder = folder ? folder : ".";
    ok = tp_library_text(&args, &text, &header, &target, &s->error) &&
         write_file(folder, name, "c", &text, &s->error) &&
         write_file(folder, name, "h", &header, &s->error);
    if (ok && (here = ir_target_is_here(target))) {
        const struct run_options options = { .flags = target->flags, .openmp = args.threads > 1 };
        ir_put(&stem, "%s/lib%s", folder, name);
        ok = compile(&text, &header, &options, stem.data, &s->error);
    }
    if (ok && here)
        printf("%s: %s.c %s.h lib%s.a lib%s.so in %s\n", s->model, name, name, name, name, folder);
    else if (ok)
        printf("%s: %s.c %s.h in %s; compile them for %s with %s\n", s->model, name, name, folder,
               target->name, target->flags);
    ir_text_free(&text);
    ir_text_free(&header);
    ir_text_free(&stem);
    return ok;
}

/*
 * verify: is a file sound? It is read as hostile and nothing in it is run.
 *
 * What a file is, is told by its first bytes; its name decides only where those say nothing.
 */
#include "command.h"
#include "frontend/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEAD = 64 };

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);

    return length >= tail && strcmp(path + length - tail, end) == 0;
}

static bool verify_safetensors(const char *path, struct ir_error *error)
{
    struct file_safetensors *file = tp_safetensors_open(path, error);

    if (!file)
        return false;
    printf("%s: safetensors, %lld tensors\n", path, (long long)file->count);
    tp_safetensors_close(file);
    return true;
}

static bool verify_idx(const char *path, struct ir_error *error)
{
    if (!tp_data_verify_idx(path, error))
        return false;
    printf("%s: IDX, sound\n", path);
    return true;
}

/* A model: parsed, every program checked; with --compile made ready to run as well. */
static bool verify_model(const char *path, bool compile, struct ir_error *error)
{
    struct session s = { 0 };
    bool ok = command_session(&s, path, &command_unset, compile);
    int programs = s.module ? s.module->count : 0;

    for (int i = 0; ok && i < programs; i++)
        ok = ir_verify_program(s.module->program[i], &s.error);
    *error = s.error;
    command_session_free(&s);
    if (ok)
        printf("%s: %d program%s, sound%s\n", path, programs, programs == 1 ? "" : "s",
               compile ? ", compiled" : "");
    return ok;
}

static bool verify(const char *path, bool compile, struct ir_error *error)
{
    unsigned char head[HEAD] = { 0 };
    struct stat about;
    FILE *file;
    size_t size;

    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode) || !(file = fopen(path, "rb")))
        return ir_error(error, IR_REFUSED, "%.200s: there is no such file to read", path);
    size = fread(head, 1, sizeof head, file);
    fclose(file);
    if (ends_with(path, ".onnx") || ends_with(path, ".npy") || ends_with(path, ".csv") ||
        ends_with(path, ".pb") || memcmp(head, "\x93NUMPY", 6) == 0)
        return ir_error(error, IR_UNSUPPORTED, "%.200s: files of this kind are not supported yet",
                        path);
    if (ends_with(path, ".safetensors") || (size > 8 && head[8] == '{'))
        return verify_safetensors(path, error);
    if ((head[0] == 0x1f && head[1] == 0x8b) || (size >= 4 && head[0] == 0 && head[1] == 0) ||
        ends_with(path, "-ubyte") || ends_with(path, "-ubyte.gz"))
        return verify_idx(path, error);
    return verify_model(path, compile, error);
}

int command_verify(int argc, char **argv, struct ir_error *error)
{
    bool compile = false;
    const struct option options[] = {
        { "--compile", 'b', &compile, NULL, "build its program as well" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper verify FILE [--compile]",
        "Says whether a file (.tp, .safetensors, IDX) is sound, without running it.",
        "taper verify model.tp --compile", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 1)
        ir_error(error, IR_REFUSED, "verify takes one file, %d are given", words);
    else
        verify(argv[0], compile, error);
    return error->status;
}

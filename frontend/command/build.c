/*
 * build: a model as a program of its own: the one C file that trains it, compiled.
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct build {
    const char *output, *text_path, *cuda_path, *library;
    const char *device, *target; /* of a GPU, the target is its architecture */
    bool freestanding;
};

/* "taper build mlp --epochs 2": as the file's head tells it. */
static const char *command_line(int argc, char **argv, struct ir_arena *arena)
{
    const char *line = "taper build";

    for (int i = 0; i < argc; i++)
        line = ir_format(arena, "%s %.200s", line, argv[i]);
    return line;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* CUDA's text for nvcc, and what goes by the device: C, a program. */
static bool write_files(const struct build *b, const struct trainer_args *args,
                        struct ir_error *error)
{
    struct ir_text text = { 0 };
    const char *flags;
    bool ok = true;

    if (b->cuda_path) {
        struct trainer_args cuda = *args;
        cuda.nvcc = true;
        cuda.file = last_part(b->cuda_path);
        ok =
            tp_trainer_text(&cuda, &text, NULL, error) && tp_write_text(b->cuda_path, &text, error);
        ir_text_free(&text);
    }
    if (!ok || (!b->text_path && !b->output))
        return ok;
    ok = tp_trainer_text(args, &text, &flags, error) &&
         (!b->text_path || tp_write_text(b->text_path, &text, error));
    if (ok && b->output) {
        const struct run_options options = { .flags = flags, .openmp = true };
        ok = run_program_write(text.data, &options, b->output, error);
    }
    ir_text_free(&text);
    return ok;
}

static bool write_trainer(const struct build *b, struct session *s, const char *made_by)
{
    const char *text_name = b->text_path ? last_part(b->text_path) : "trainer.c";
    struct trainer_args args = { .file = text_name,
                                 .model = s->model,
                                 .made_by = made_by,
                                 .target = b->target,
                                 .device = b->device,
                                 .step = s->step,
                                 .eval = s->eval,
                                 .train = s->train,
                                 .test = s->test,
                                 .epochs = s->settings.epochs,
                                 .threads = s->settings.threads };
    struct notes notes = { 0 };
    bool ok;

    if (!command_notes(s, &notes))
        return false;
    args.notes = notes.sizes;
    args.note = notes.pair;
    if (!s->values && strcmp(s->settings.schedule, "constant") != 0) /* a file does not say it */
        s->step->rate_steps = (double)(s->settings.epochs * tp_loader_batches(s->train));
    ok = write_files(b, &args, &s->error);
    free(notes.tokens);
    return ok;
}

static bool good_device(const char *device)
{
    return tp_device_is_cpu(device) || strcmp(device, "cuda") == 0 ||
           strcmp(device, "cuda-emu") == 0;
}

static void tell(const struct build *b, const struct session *s)
{
    printf("%s: %lld parameters", s->model, (long long)tp_param_count(s->graph));
    if (b->text_path)
        printf(", %s", b->text_path);
    if (b->cuda_path)
        printf(", %s", b->cuda_path);
    if (b->output)
        printf(", %s", b->output);
    printf("\n");
}

int command_build(int argc, char **argv, struct ir_error *error)
{
    struct settings set = command_unset;
    struct build b = { 0 };
    const struct option options[] = {
        { "--output", 's', &b.output, "F", "-o F: the trainer, ready to run" },
        { "-o", 's', &b.output, NULL, NULL },
        { "--emit-c", 's', &b.text_path, "F.c",
          "its text: one file that needs the C library only" },
        { "--emit-cuda", 's', &b.cuda_path, "F.cu",
          "its text for nvcc: one file, CUDA's run time" },
        { "--device", 's', &b.device, "D",
          "cpu; cuda: the kernels compiled into it, for a GPU with its driver; cuda-emu" },
        { "--library", 's', &b.library, "NAME",
          "NAME.c NAME.h libNAME.a libNAME.so into the folder -o: NAME_step, NAME_predict, .." },
        { "--freestanding", 'b', &b.freestanding, NULL,
          "with --library: without a C library, for one thread" },
        { "--target", 's', &b.target, "T",
          "generic x86-64-v3 x86-64-v4 armv8 cortex-m native; a GPU's: sm_80 sm_90a .." },
        COMMAND_SETTINGS(set),
        { "--tf32", 'b', &set.tf32, NULL,
          "for a GPU: products of f32 are computed from TF32, by tensor cores" },
        { "--probe", 'b', &set.probe, NULL,
          "norms of gradients, updates, dead units and histograms: the trainer's --log and "
          "--json" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper build MODEL [options] -o TRAINER [--emit-c F.c] [--emit-cuda F.cu],\n"
        "or --library NAME [-o DIR]",
        "Makes a trainer of a model: a program that needs no taper, and its one C file. Or a "
        "library "
        "that\nyour own program trains and asks, without files, data and allocation.",
        "taper build lenet --data mnist/ --epochs 5 -o lenet --emit-c lenet.c", options
    };
    struct ir_arena *arena = ir_arena_new();
    const char *made_by = command_line(argc, argv, arena);
    struct session s = { 0 };
    int words = command_options(argc, argv, &usage, error);

    if (words == -2)
        return ir_arena_free(arena), 0;
    if (words >= 0 && words != 1)
        ir_error(error, IR_REFUSED,
                 words ? "build takes one model; \"%.40s\" is one more"
                       : "build: which model? taper train lists them",
                 words ? argv[1] : "");
    else if (words >= 0 && !b.output && !b.text_path && !b.cuda_path && !b.library)
        ir_error(
            error, IR_REFUSED,
            "build: nothing to write; expected -o FILE, --emit-c FILE.c, --emit-cuda FILE.cu or "
            "--library NAME");
    else if (words >= 0 && !good_device(b.device))
        ir_error(error, IR_REFUSED, "--device \"%.40s\": expected cpu, cuda or cuda-emu", b.device);
    else if (words >= 0 && b.library && (b.cuda_path || !tp_device_is_cpu(b.device)))
        ir_error(error, IR_UNSUPPORTED, "build: --library is for CPUs; trainers run on a GPU");
    else if (words >= 0 && b.cuda_path && (b.output || b.text_path) && tp_device_is_cpu(b.device) &&
             b.target)
        ir_error(error, IR_REFUSED,
                 "build: --target is one machine's; --emit-cuda is for a GPU, -o and --emit-c for "
                 "the CPU without --device cuda");
    else if (words >= 0 && b.library && b.text_path)
        ir_error(error, IR_REFUSED, "build: --library writes NAME.c; --emit-c is for trainers");
    else if (words >= 0 && set.tf32 && tp_device_is_cpu(b.device) &&
             (!b.cuda_path || b.output || b.text_path))
        ir_error(error, IR_REFUSED,
                 "build: --tf32 is of a GPU's tensor cores; expected --device cuda or --emit-cuda "
                 "alone");
    else if (words >= 0 && b.freestanding && !b.library)
        ir_error(error, IR_REFUSED, "build: --freestanding is for --library");
    if (error->status == IR_OK) {
        if (!b.cuda_path && tp_device_is_cpu(b.device))
            set.target = b.target;
        if (!command_session(&s, argv[0], &set, false) || !command_has_numbers(&s, false))
            ;
        else if (b.library)
            command_build_library(&s, b.library, b.output, b.freestanding, made_by);
        else if (write_trainer(&b, &s, made_by))
            tell(&b, &s);
        *error = s.error;
        command_session_free(&s);
    }
    ir_arena_free(arena);
    return error->status;
}

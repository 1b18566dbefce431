/*
 * readers.h: every reader of files, as a function of bytes: for the fuzzer (fuzz.c) and for the
 * test that gives each its corpus (tests/corpus.c). The working folder is the caller's to fill.
 *
 * A reader may refuse, with one printable line; it must not crash, leak, hang or want much memory.
 */
#ifndef TESTS_FUZZ_READERS_H
#define TESTS_FUZZ_READERS_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/data.h"
#include "frontend/frontend.h"
#include "frontend/onnx/onnx.h"
#include "frontend/parts.h"
#include "frontend/tuned.h"
#include "ir/loop.h"
#include "runtime/parts/aside.h"

#include "runtime/parts/checkpoint.h"

static void fuzz_put(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(name, "wb");

    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

/* Status and text belong together, and the text is one line. */
static void fuzz_told(bool read, const struct ir_error *error)
{
    if (read != (error->status == IR_OK))
        abort();
    for (const char *c = error->text; *c; c++)
        if ((unsigned char)*c < ' ')
            abort();
    if (error->status != IR_OK && !*error->text)
        abort();
}

static void fuzz_load(const char *format, const char *path, const char *part)
{
    const struct data_request request = { .part = part };
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_load(format, path, &request, &error);

    fuzz_told(set != NULL, &error);
    tp_data_free(set);
}

static void fuzz_verify(const char *format, const char *path)
{
    struct ir_error error = { 0 };
    char said[100];
    const bool sound = tp_data_verify(format, path, said, &error);

    fuzz_told(sound, &error);
}

/* ---- data ---- */

static void fuzz_idx(const unsigned char *bytes, size_t size)
{
    static const unsigned char labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 3, 9 };

    mkdir("idx", 0700);
    fuzz_put("idx/train-images-idx3-ubyte", bytes, size);
    fuzz_put("idx/train-labels-idx1-ubyte", labels, sizeof labels);
    fuzz_verify("idx", "idx/train-images-idx3-ubyte");
    fuzz_load("idx", "idx", "train");
}

static void fuzz_labels(const unsigned char *bytes, size_t size)
{
    static const unsigned char images[] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0,
                                            0, 1, 0, 0, 0, 2, 1, 2, 3, 4 };

    mkdir("labels", 0700);
    fuzz_put("labels/train-images-idx3-ubyte", images, sizeof images);
    fuzz_put("labels/train-labels-idx1-ubyte", bytes, size);
    fuzz_load("idx", "labels", "train");
}

static void fuzz_gz(const unsigned char *bytes, size_t size)
{
    fuzz_put("packed.csv.gz", bytes, size);
    fuzz_verify("csv", "packed.csv.gz");
    fuzz_verify("idx", "packed.csv.gz");
    fuzz_load("csv", "packed.csv.gz", NULL);
}

static void fuzz_cifar(const unsigned char *bytes, size_t size)
{
    mkdir("cifar", 0700);
    fuzz_put("cifar/test_batch.bin", bytes, size);
    fuzz_verify("cifar", "cifar/test_batch.bin");
    fuzz_load("cifar", "cifar", "test");
}

static void fuzz_csv(const unsigned char *bytes, size_t size)
{
    fuzz_put("table.csv", bytes, size);
    fuzz_verify("csv", "table.csv");
    fuzz_load("csv", "table.csv", NULL);
    fuzz_load("csv", "table.csv", "test");
}

static void fuzz_npy(const unsigned char *bytes, size_t size)
{
    mkdir("npy", 0700);
    fuzz_put("npy/x.npy", bytes, size);
    fuzz_verify("npy", "npy/x.npy");
    fuzz_load("npy", "npy", NULL);
}

static void fuzz_npz(const unsigned char *bytes, size_t size)
{
    fuzz_put("arrays.npz", bytes, size);
    fuzz_verify("npz", "arrays.npz");
    fuzz_load("npz", "arrays.npz", NULL);
}

static void fuzz_text(const unsigned char *bytes, size_t size)
{
    fuzz_put("some.txt", bytes, size);
    fuzz_load("text", "some.txt", "train");
    fuzz_load("names", "some.txt", "validation");
}

static void fuzz_words(const unsigned char *bytes, size_t size)
{
    mkdir("words", 0700);
    fuzz_put("words/train.tsv", bytes, size);
    fuzz_put("words/dev.tsv", bytes, size);
    fuzz_load("words", "words", "validation");
}

/* ---- weights and runs ---- */

static void fuzz_open_weights(const char *path)
{
    struct ir_error error = { 0 };
    struct file_safetensors *file = tp_safetensors_open(path, &error);
    bool read = file != NULL;

    fuzz_told(read, &error);
    for (int64_t i = 0; file && i < file->count; i++) {
        void *values = malloc(file->tensor[i].bytes + 1);
        if (values &&
            !tp_safetensors_read(file, &file->tensor[i], file->tensor[i].dtype, values, &error))
            read = false;
        free(values);
    }
    fuzz_told(read, &error);
    tp_safetensors_close(file);
}

static void fuzz_safetensors(const unsigned char *bytes, size_t size)
{
    fuzz_put("some.safetensors", bytes, size);
    fuzz_open_weights("some.safetensors");
}

/* The head alone: notes and descriptions, whose length is right. */
static void fuzz_notes(const unsigned char *bytes, size_t size)
{
    unsigned char *all = malloc(size + 8 + 64);

    for (int i = 0; i < 8; i++)
        all[i] = (unsigned char)((uint64_t)size >> 8 * i);
    if (size)
        memcpy(all + 8, bytes, size);
    memset(all + 8 + size, 1, 64); /* some values */
    fuzz_put("notes.safetensors", all, size + 8);
    fuzz_open_weights("notes.safetensors");
    fuzz_put("notes.safetensors", all, size + 8 + 64);
    fuzz_open_weights("notes.safetensors");
    free(all);
}

/* Its length and checksum are made to fit: else nothing behind them is ever read. */
static void fuzz_checkpoint(const unsigned char *bytes, size_t size)
{
    struct checkpoint_sum *sum = malloc(sizeof *sum);
    unsigned char *all = calloc(1, size + 64);
    const uint64_t length = size < 32 ? 40 : size / 8 * 8 + 8;
    struct ir_error error = { 0 };
    int64_t states, values;
    bool sound;

    if (size)
        memcpy(all, bytes, size);
    fuzz_put("run.ckpt", all, size);
    sound = tp_checkpoint_verify("run.ckpt", &states, &values, &error);
    fuzz_told(sound, &error);
    memcpy(all, "taperck1", 8);
    memcpy(all + 8, &length, 8);
    checkpoint_sum_begin(sum);
    checkpoint_sum_add(sum, all, length - 8);
    memcpy(all + length - 8, &sum->crc, 8);
    fuzz_put("run.ckpt", all, length);
    error = (struct ir_error){ 0 };
    sound = tp_checkpoint_verify("run.ckpt", &states, &values, &error);
    fuzz_told(sound, &error);
    free(sum);
    free(all);
}

/* ---- programs ---- */

/* A model, and a value by itself. */
static void fuzz_onnx(const unsigned char *bytes, size_t size)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_error error = { 0 };
    struct ir_array array;
    struct onnx_model *m;
    static const unsigned char beside[64] = { 0, 0, 128, 63 };

    fuzz_put("some.onnx", bytes, size);
    fuzz_put("numbers", beside, sizeof beside);
    m = tp_onnx_read("some.onnx", &error);
    fuzz_told(m != NULL, &error);
    if (m)
        tp_onnx_supported(m, &error);
    tp_onnx_free(m);
    error = (struct ir_error){ 0 };
    const bool read = tp_onnx_read_value("some.onnx", arena, &array, &error);
    fuzz_told(read, &error);
    ir_arena_free(arena);
}

/* What is read and sound is printed, and that is read again to the same text. */
static void fuzz_tp(const unsigned char *bytes, size_t size)
{
    struct ir_error error = { 0 };
    struct ir_module *m = ir_parse("some.tp", (const char *)bytes, size, &error), *again;
    struct ir_text once = { 0 }, twice = { 0 };

    fuzz_told(m != NULL, &error);
    for (int i = 0; m && i < m->count; i++)
        if (!ir_verify_program(m->program[i], &error))
            abort();
    if (m) {
        ir_print_module(&once, m);
        again = ir_parse("again.tp", once.data ? once.data : "", once.size, &error);
        if (!again)
            abort();
        ir_print_module(&twice, again);
        if (once.size != twice.size || (once.size && memcmp(once.data, twice.data, once.size) != 0))
            abort();
        ir_module_free(again);
    }
    ir_text_free(&once);
    ir_text_free(&twice);
    ir_module_free(m);
}

static void fuzz_loop(const unsigned char *bytes, size_t size)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("g", &error);
    const int64_t batch = ir_symbol_new(g, "batch", 1, 64);
    const struct ir_loc at = { "mlp.c", 14 };
    const struct loop_kernel *k;
    struct ir_text once = { 0 }, twice = { 0 };

    ir_input(g, "x", IR_F32, (struct ir_shape){ 2, { batch, 784 } }, at);
    ir_input(g, "w", IR_F32, (struct ir_shape){ 2, { 128, 784 } }, at);
    ir_input(g, "i", IR_I32, (struct ir_shape){ 1, { batch } }, at);
    ir_dim_add(g, ir_dim_mul(g, 4, batch), 2);
    k = loop_parse("some.loop", (const char *)bytes, size, g, arena, &error);
    fuzz_told(k != NULL, &error);
    if (k && loop_verify(k, &error)) {
        loop_print(&once, k);
        k = loop_parse("again.loop", once.data, once.size, g, arena, &error);
        if (!k)
            abort();
        loop_print(&twice, k);
        if (strcmp(once.data, twice.data) != 0)
            abort();
    }
    ir_text_free(&once);
    ir_text_free(&twice);
    ir_graph_free(g);
    ir_arena_free(arena);
}

/* What is read is printed, and that is read again to the same text. */
static void fuzz_tuned(const unsigned char *bytes, size_t size)
{
    struct tuned *t = tp_tuned_new(), *again = tp_tuned_new();
    struct ir_text once = { 0 }, twice = { 0 };
    struct ir_error error = { 0 };
    const bool read = tp_tuned_parse(t, "some.tuned", (const char *)bytes, size, &error);

    fuzz_told(read, &error);
    if (read) {
        tp_tuned_print(&once, t);
        if (!tp_tuned_parse(again, "again.tuned", once.data, once.size, &error))
            abort();
        tp_tuned_print(&twice, again);
        if (strcmp(once.data, twice.data) != 0)
            abort();
    }
    ir_text_free(&once);
    ir_text_free(&twice);
    tp_tuned_free(t);
    tp_tuned_free(again);
}

static const struct fuzz_reader {
    const char *name; /* and of its folder in tests/fuzz/corpus */
    void (*read)(const unsigned char *bytes, size_t size);
} fuzz_readers[] = {
    { "idx", fuzz_idx },     { "labels", fuzz_labels },
    { "gz", fuzz_gz },       { "cifar", fuzz_cifar },
    { "csv", fuzz_csv },     { "npy", fuzz_npy },
    { "npz", fuzz_npz },     { "text", fuzz_text },
    { "words", fuzz_words }, { "safetensors", fuzz_safetensors },
    { "notes", fuzz_notes }, { "checkpoint", fuzz_checkpoint },
    { "onnx", fuzz_onnx },   { "tp", fuzz_tp },
    { "loop", fuzz_loop },   { "tuned", fuzz_tuned },
};
enum { FUZZ_READERS = sizeof fuzz_readers / sizeof *fuzz_readers };

#endif

/*
 * Weights in NumPy's .npz: they come back, and what is no such file is refused in one line.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"
#include "frontend/taper.h"
#include "support_files.h"

TestSuite(weights, .init = support_enter, .fini = support_leave);

static const float f32[6] = { 1, -2, 3.5f, 0, INFINITY, 1e-40f };
static const double f64[1] = { 0.1 };
static const int64_t i64[2] = { INT64_MIN, 7 };
static const uint16_t f16[2] = { 0x3c00, 0xc100 }, bf16[2] = { 0x3f80, 0xc020 };
static const unsigned char u8[3] = { 0, 128, 255 }, truth[2] = { 1, 0 };
static const struct file_tensor given[] = {
    { .name = "fc1.weight", .dtype = IR_F32, .rank = 2, .dim = { 2, 3 }, .bytes = 24, .data = f32 },
    { .name = "u8", .dtype = IR_U8, .rank = 1, .dim = { 3 }, .bytes = 3, .data = u8 },
    { .name = "step", .dtype = IR_I64, .rank = 1, .dim = { 2 }, .bytes = 16, .data = i64 },
    { .name = "scalar", .dtype = IR_F64, .bytes = 8, .data = f64 },
    { .name = "mask", .dtype = IR_BOOL, .rank = 1, .dim = { 2 }, .bytes = 2, .data = truth },
    { .name = "none", .dtype = IR_F32, .rank = 2, .dim = { 0, 4 }, .data = f32 },
    { .name = "half", .dtype = IR_F16, .rank = 3, .dim = { 1, 2, 1 }, .bytes = 4, .data = f16 },
    { .name = "brain", .dtype = IR_BF16, .rank = 1, .dim = { 2 }, .bytes = 4, .data = bf16 },
};
enum { GIVEN = sizeof given / sizeof *given };

Test(weights, npz_gives_back_what_it_was_given)
{
    struct ir_error error = { 0 };
    struct file_safetensors *file;
    unsigned char read[64];
    float wide[2];

    cr_assert(tp_safetensors_write("w.npz", GIVEN, given, 0, NULL, &error), "%s", error.text);
    cr_expect_eq(support_files(), 1);
    file = tp_safetensors_open("w.npz", &error);
    cr_assert(file, "%s", error.text);
    cr_expect_eq(file->count, GIVEN);
    for (int i = 0; i < GIVEN; i++) {
        const struct file_tensor *t = tp_safetensors_find(file, given[i].name);

        cr_assert(t, "%s", given[i].name);
        cr_expect(t->dtype == given[i].dtype && t->rank == given[i].rank &&
                      t->bytes == given[i].bytes &&
                      memcmp(t->dim, given[i].dim, sizeof t->dim) == 0,
                  "%s", t->name);
        cr_assert(tp_safetensors_read(file, t, t->dtype, read, &error), "%s", error.text);
        cr_expect(memcmp(read, given[i].data, t->bytes) == 0, "%s", t->name);
    }
    cr_assert(tp_safetensors_read(file, tp_safetensors_find(file, "half"), IR_F32, wide, &error));
    cr_expect(wide[0] == 1 && wide[1] == -2.5f);
    cr_assert(tp_safetensors_read(file, tp_safetensors_find(file, "brain"), IR_F32, wide, &error));
    cr_expect(wide[0] == 1 && wide[1] == -2.5f);
    tp_safetensors_close(file);
}

/* As numpy.savez(w=numpy.arange(2, dtype="f4")) has written it, with a later zip's extra field. */
Test(weights, npz_of_numpy_is_read)
{
    static const unsigned char local[] = { 'P',  'K',  3, 4, 45, 0, 0,    0,    0,    0,   0,   0,
                                           33,   0,    0, 0, 0,  0, 0xff, 0xff, 0xff, 255, 255, 255,
                                           0xff, 0xff, 5, 0, 20, 0, 'w',  '.',  'n',  'p', 'y' };
    static const char head[] = "\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, "
                               "'shape': (2,), }";
    const float values[2] = { 0, 1 };
    unsigned char bytes[512] = { 0 }, record[46] = "PK\1\2", last[22] = "PK\5\6", array[136];
    struct ir_error error = { 0 };
    struct file_safetensors *file;
    uint32_t crc = ~0u;
    size_t size = sizeof local + 20;
    float read[2];

    memset(array, ' ', sizeof array);
    memcpy(array, head, sizeof head - 1);
    array[127] = '\n';
    memcpy(array + 128, values, 8);
    for (size_t i = 0; i < sizeof array; i++) {
        crc ^= array[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    crc = ~crc;
    memcpy(bytes, local, sizeof local);
    memcpy(bytes + size, array, sizeof array);
    size += sizeof array;
    record[4] = record[6] = 45;
    memcpy(record + 16, &crc, 4);
    record[20] = record[24] = sizeof array;
    record[28] = 5;
    memcpy(bytes + size, record, sizeof record);
    memcpy(bytes + size + sizeof record, "w.npy", 5);
    last[8] = last[10] = 1;
    last[12] = sizeof record + 5;
    last[16] = (unsigned char)size;
    memcpy(bytes + size + sizeof record + 5, last, sizeof last);
    support_put("n.npz", bytes, size + sizeof record + 5 + sizeof last);
    file = tp_safetensors_open("n.npz", &error);
    cr_assert(file, "%s", error.text);
    cr_assert(tp_safetensors_read(file, tp_safetensors_find(file, "w"), IR_F32, read, &error));
    cr_expect(read[0] == 0 && read[1] == 1);
    tp_safetensors_close(file);
}

static bool read_all(const char *path, struct ir_error *error)
{
    struct file_tensor *tensor = NULL;
    int64_t count = 0;
    struct npz *z = tp_npz_open(path, &count, &tensor, error);
    bool fine = z;

    for (int64_t i = 0; fine && i < count; i++) {
        unsigned char *values = malloc(tensor[i].bytes + 1);
        fine = tp_npz_read(z, &tensor[i], values, error);
        free(values);
    }
    tp_npz_close(z);
    free(tensor);
    return fine;
}

Test(weights, npz_survives_damage)
{
    struct ir_error error = { 0 };

    cr_assert(tp_safetensors_write("s.npz", 2, given, 0, NULL, &error), "%s", error.text);
    cr_expect(read_all("s.npz", &error), "%s", error.text);
    cr_expect_eq(support_cuts("s.npz", read_all), 0);
    support_flips("s.npz", read_all);
}

Test(weights, npz_refuses_a_name_that_is_too_long)
{
    char name[200];
    const struct file_tensor named = { name, IR_F64, 0, { 0 }, 8, f64, 0 };
    struct ir_error error = { 0 };

    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    cr_expect_not(tp_safetensors_write("n.npz", 1, &named, 0, NULL, &error));
    cr_expect(support_one_line(&error) && strstr(error.text, "is too long"), "%s", error.text);
    cr_expect_eq(support_files(), 0);
}

static tp_graph *model(uint64_t seed, tp_tensor w[2])
{
    tp_graph *g = tp_graph_new(seed);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4, 3, 5, 5));

    tp_batch_norm(tp_conv2d(x, "conv", 4, 3), "norm");
    w[0] = tp_find(g, "conv.weight");
    w[1] = tp_find(g, "norm.running_var");
    return g;
}

/* Row 003.31: weights go out and come back, as NumPy has them and as PyTorch has. */
Test(weights, a_graph_saves_and_loads_both_kinds)
{
    static const char *const name[] = { "w.npz", "w.safetensors" };
    float want[108], got[108], variance[4];
    tp_tensor w[2], v[2];
    tp_graph *a = model(1, w);

    cr_assert(tp_get_values(w[0], want, sizeof want));
    for (int i = 0; i < 2; i++) {
        tp_graph *b = model(2, v);

        cr_assert(tp_save(a, name[i]), "%s", tp_error(a));
        cr_assert(tp_load(b, name[i]), "%s", tp_error(b));
        cr_assert(tp_get_values(v[0], got, sizeof got) && tp_get_values(v[1], variance, 16));
        cr_expect(memcmp(got, want, sizeof got) == 0 && variance[3] == 1, "%s", name[i]);
        tp_graph_free(b);
    }
    tp_graph_free(a);
}

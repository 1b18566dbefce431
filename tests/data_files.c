/*
 * Files of data: what was written is read back, and what is hostile is refused in one line.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "frontend/data.h"

static bool one_line(const struct ir_error *error)
{
    return (error->status == IR_REFUSED || error->status == IR_UNSUPPORTED) && error->text[0] &&
           !strchr(error->text, '\n');
}

/* Each test works in a folder of its own. */
static char folder[] = "/tmp/taper-data-XXXXXX";

static void enter(void)
{
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
}

static void leave(void)
{
    DIR *open = opendir(folder);
    struct dirent *entry;

    while ((entry = readdir(open)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(open), entry->d_name, 0);
    closedir(open);
    rmdir(folder);
}

static void put(const char *name, const void *bytes, size_t size)
{
    unlink(name); /* ext4 waits for the disk where a file that was there is written anew */
    FILE *file = fopen(name, "wb");

    cr_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static size_t get(const char *name, unsigned char *bytes, size_t room)
{
    FILE *file = fopen(name, "rb");
    size_t size;

    cr_assert(file);
    size = fread(bytes, 1, room, file);
    fclose(file);
    return size;
}

static size_t pack(const char *name, const void *bytes, size_t size, unsigned char *packed,
                   size_t room)
{
    gzFile file = gzopen(name, "wb9");

    cr_assert(gzwrite(file, bytes, (unsigned)size) == (int)size && gzclose(file) == Z_OK);
    return get(name, packed, room);
}

/* Five images of 2 by 3 and their labels. */
static const unsigned char images[46] = { 0, 0,  8,  3,  0,  0,  0,  5,  0,  0,  0,  2,
                                          0, 0,  0,  3,  1,  2,  3,  4,  5,  6,  7,  8,
                                          9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 255 };
static const unsigned char labels[13] = { 0, 0, 8, 1, 0, 0, 0, 5, 3, 0, 2, 1, 4 };

TestSuite(idx, .init = enter, .fini = leave);
TestSuite(safetensors, .init = enter, .fini = leave);

static void expect_images(void)
{
    struct ir_error error = { 0 };
    struct data_set *set =
        tp_data_load("idx", ".", &(struct data_request){ .part = "train" }, &error);

    cr_assert(set, "%s", error.text);
    cr_expect(set->rows == 5 && set->classes == 5 && set->column[0].row_bytes == 6);
    cr_expect(set->column[0].rank == 3 && set->column[0].dim[1] == 2 && set->column[0].dim[2] == 3);
    cr_expect(memcmp(set->column[0].rows, images + 16, 30) == 0);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(((int32_t *)set->column[1].rows)[i], labels[8 + i]);
    tp_data_free(set);
}

Test(idx, reads_both_namings_plain_and_packed)
{
    unsigned char packed[200];

    put("train-images-idx3-ubyte", images, sizeof images);
    pack("train-labels-idx1-ubyte.gz", labels, sizeof labels, packed, sizeof packed);
    expect_images();
    cr_assert(rename("train-images-idx3-ubyte", "train-images.idx3-ubyte") == 0);
    expect_images();
    unlink("train-images.idx3-ubyte");
    pack("train-images.idx3-ubyte.gz", images, sizeof images, packed, sizeof packed);
    expect_images();
}

static void expect_refused(const char *what)
{
    struct ir_error error = { 0 };

    cr_expect_not(tp_data_load("idx", ".", &(struct data_request){ .part = "train" }, &error), "%s",
                  what);
    cr_expect(one_line(&error), "%s: \"%s\"", what, error.text);
}

Test(idx, refuses_files_that_lie)
{
    static const struct {
        const char *what;
        int at, to;
    } lies[] = {
        { "magic", 0, 1 },       { "magic", 1, 7 },      { "type f32", 2, 13 },
        { "rank 0", 3, 0 },      { "rank 2", 3, 2 },     { "rank 4", 3, 4 },
        { "rank 255", 3, 255 },  { "more rows", 7, 6 },  { "fewer rows", 7, 4 },
        { "many rows", 4, 255 }, { "no rows", 7, 0 },    { "wide", 12, 255 },
        { "high", 8, 255 },      { "no height", 11, 0 },
    };
    unsigned char wrong[sizeof images + 1], packed[300];
    struct ir_error error = { 0 };

    expect_refused("nothing there");
    put("train-labels-idx1-ubyte", labels, sizeof labels);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(wrong, images, sizeof images);
        wrong[lies[i].at] = (unsigned char)lies[i].to;
        put("train-images-idx3-ubyte", wrong, sizeof images);
        expect_refused(lies[i].what);
        unlink("train-images-idx3-ubyte");
        pack("train-images-idx3-ubyte.gz", wrong, sizeof images, packed, sizeof packed);
        expect_refused(lies[i].what);
    }
    unlink("train-images-idx3-ubyte.gz");

    memcpy(wrong, images, sizeof images);
    wrong[sizeof images] = 0;
    put("train-images-idx3-ubyte", wrong, sizeof wrong);
    expect_refused("a byte too many");
    unlink("train-images-idx3-ubyte");
    pack("train-images-idx3-ubyte.gz", wrong, sizeof wrong, packed, sizeof packed);
    expect_refused("a packed byte too many");
    unlink("train-images-idx3-ubyte.gz");

    put("train-images-idx3-ubyte", labels, sizeof labels);
    expect_refused("labels for images");
    put("train-images-idx3-ubyte", images, sizeof images);
    put("train-labels-idx1-ubyte", images, sizeof images);
    expect_refused("images for labels");
    memcpy(wrong, labels, sizeof labels);
    wrong[7] = 4;
    put("train-labels-idx1-ubyte", wrong, sizeof labels - 1);
    expect_refused("a label too few");
    unlink("train-labels-idx1-ubyte");
    mkdir("train-labels-idx1-ubyte", 0700);
    expect_refused("a folder");
    rmdir("train-labels-idx1-ubyte");
    mkfifo("train-labels-idx1-ubyte", 0600);
    expect_refused("a pipe");
    cr_expect_not(tp_data_load("idx", ".", &(struct data_request){ .part = "validation" }, &error));
    cr_expect(one_line(&error), "%s", error.text);
}

static bool unpacks_to_images(const char *name)
{
    unsigned char bytes[sizeof images + 1];
    gzFile file = gzopen(name, "rb");
    int size = gzread(file, bytes, sizeof bytes);

    gzclose(file);
    return size == (int)sizeof images && memcmp(bytes, images, sizeof images) == 0;
}

/* Cut anywhere, or with any byte changed: refused, or read, and never worse. */
Test(idx, survives_every_cut_and_every_change)
{
    unsigned char packed[300], wrong[300];
    size_t size = pack("whole.gz", images, sizeof images, packed, sizeof packed);
    struct ir_error error = { 0 };

    cr_assert(tp_data_verify("idx", "whole.gz", (char[100]){ 0 }, &error), "%s", error.text);
    for (int plain = 0; plain < 2; plain++) {
        const unsigned char *from = plain ? images : packed;
        size_t bytes = plain ? sizeof images : size;

        for (size_t cut = 0; cut < bytes; cut++) {
            struct ir_error refused = { 0 };

            put("cut", from, cut);
            cr_expect_not(tp_data_verify("idx", "cut", (char[100]){ 0 }, &refused), "cut %zu", cut);
            cr_expect(one_line(&refused), "cut %zu: %s", cut, refused.text);
        }
        for (size_t at = 0; at < bytes; at++)
            for (int bit = 0; bit < 8; bit++) {
                struct ir_error refused = { 0 };

                memcpy(wrong, from, bytes);
                wrong[at] ^= (unsigned char)(1 << bit);
                put("changed", wrong, bytes);
                if (!tp_data_verify("idx", "changed", (char[100]){ 0 }, &refused))
                    cr_expect(one_line(&refused), "byte %zu: %s", at, refused.text);
                else /* a pixel, or what of gzip says nothing of the content */
                    cr_expect(plain ? at >= 16 : unpacks_to_images("changed"), "byte %zu", at);
            }
    }
}

/* A header that declares far more than a packed file could hold costs no memory. */
Test(idx, refuses_a_bomb_before_it_goes_off)
{
    unsigned char wrong[sizeof images], packed[300];
    struct ir_error error = { 0 };

    memcpy(wrong, images, sizeof images);
    wrong[4] = 0x7f;
    pack("train-images-idx3-ubyte.gz", wrong, sizeof images, packed, sizeof packed);
    cr_expect_not(tp_data_load("idx", ".", &(struct data_request){ .part = "train" }, &error));
    cr_expect(one_line(&error) && strstr(error.text, "declares"), "%s", error.text);
}

/* A file from a header's text and that many bytes of values. */
static void put_tensors(const char *name, const char *header, size_t values)
{
    size_t length = strlen(header), size = 8 + length + values;
    unsigned char *bytes = calloc(size, 1);

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < values; i++)
        bytes[8 + length + i] = (unsigned char)(i & 1);
    put(name, bytes, size);
    free(bytes);
}

Test(safetensors, gives_back_what_it_was_given)
{
    static const float f32[6] = { 1, -2, 3.5f, 0, INFINITY, 1e-40f };
    static const double f64[1] = { 0.1 };
    static const int64_t i64[2] = { INT64_MIN, 7 };
    static const int32_t i32[2] = { -1, 2 };
    static const uint32_t u32[1] = { UINT32_MAX };
    static const unsigned char u8[3] = { 0, 128, 255 }, truth[2] = { 1, 0 };
    const struct file_tensor tensor[] = {
        { .name = "fc1.weight",
          .dtype = IR_F32,
          .rank = 2,
          .dim = { 2, 3 },
          .bytes = 24,
          .data = f32 },
        { .name = "u8", .dtype = IR_U8, .rank = 1, .dim = { 3 }, .bytes = 3, .data = u8 },
        { .name = "step", .dtype = IR_I64, .rank = 1, .dim = { 2 }, .bytes = 16, .data = i64 },
        { .name = "scalar \"\\\xc3\xa9", .dtype = IR_F64, .bytes = 8, .data = f64 },
        { .name = "mask", .dtype = IR_BOOL, .rank = 1, .dim = { 2 }, .bytes = 2, .data = truth },
        { .name = "none", .dtype = IR_F32, .rank = 2, .dim = { 0, 4 }, .bytes = 0, .data = NULL },
        { .name = "i32", .dtype = IR_I32, .rank = 1, .dim = { 2 }, .bytes = 8, .data = i32 },
        { .name = "u32", .dtype = IR_U32, .rank = 1, .dim = { 1 }, .bytes = 4, .data = u32 },
    };
    const struct file_pair pair[] = { { "format", "pt" }, { "model", "a \"b\"\n" } };
    struct ir_error error = { 0 };
    unsigned char bytes[4096], read[64];

    cr_assert(tp_safetensors_write("w", 8, tensor, 2, pair, &error), "%s", error.text);
    get("w", bytes, sizeof bytes);
    cr_expect_eq((bytes[0] | bytes[1] << 8) % 8, 0, "the values begin aligned");
    struct file_safetensors *file = tp_safetensors_open("w", &error);
    cr_assert(file, "%s", error.text);
    cr_expect_eq(file->count, 8);
    for (int i = 0; i < 8; i++) {
        const struct file_tensor *t = tp_safetensors_find(file, tensor[i].name);

        cr_assert(t, "%s", tensor[i].name);
        cr_expect(t->dtype == tensor[i].dtype && t->rank == tensor[i].rank &&
                  t->bytes == tensor[i].bytes && memcmp(t->dim, tensor[i].dim, sizeof t->dim) == 0);
        cr_assert(tp_safetensors_read(file, t, t->dtype, read, &error), "%s", error.text);
        cr_expect(t->bytes == 0 || memcmp(read, tensor[i].data, t->bytes) == 0, "%s", t->name);
        cr_expect_eq(t->bytes ? t->offset % (unsigned)ir_dtypes[t->dtype].bytes : 0, 0, "aligned");
    }
    cr_expect_eq(file->pairs, 2);
    cr_expect_str_eq(file->pair[0].key, "format");
    cr_expect_str_eq(file->pair[1].value, "a \"b\"\n");
    cr_expect_not(tp_safetensors_find(file, "__metadata__"));
    tp_safetensors_close(file);

    cr_assert(tp_safetensors_write("none", 0, NULL, 0, NULL, &error), "%s", error.text);
    file = tp_safetensors_open("none", &error);
    cr_expect(file && file->count == 0);
    tp_safetensors_close(file);
}

Test(safetensors, widens_half_precision_exactly)
{
    uint16_t half[2][65536];
    float *f16 = malloc(65536 * sizeof *f16), *bf16 = malloc(65536 * sizeof *bf16);
    struct ir_error error = { 0 };
    unsigned char *bytes;
    const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[65536],\"data_offsets\":[131072,"
        "262144]}}";

    put_tensors("half", header, sizeof half);
    bytes = malloc(300000);
    size_t size = get("half", bytes, 300000);
    for (int i = 0; i < 65536; i++)
        half[0][i] = half[1][i] = (uint16_t)i;
    memcpy(bytes + 8 + sizeof header - 1, half, sizeof half);
    put("half", bytes, size);
    free(bytes);

    struct file_safetensors *file = tp_safetensors_open("half", &error);
    cr_assert(file, "%s", error.text);
    cr_assert(tp_safetensors_read(file, tp_safetensors_find(file, "h"), IR_F32, f16, &error));
    cr_assert(tp_safetensors_read(file, tp_safetensors_find(file, "b"), IR_F32, bf16, &error));
    for (int i = 0; i < 65536; i++) {
        int exponent = i >> 10 & 31, fraction = i & 1023;
        double want = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        int exponent_b = i >> 7 & 255, fraction_b = i & 127;
        double want_b =
            exponent_b ? ldexp(128 + fraction_b, exponent_b - 134) : ldexp(fraction_b, -133);

        if (exponent == 31)
            cr_assert(fraction ? isnan(f16[i]) : isinf(f16[i]), "f16 %04x", i);
        else
            cr_assert_eq(fabsf(f16[i]), (float)want, "f16 %04x", i);
        if (exponent_b == 255)
            cr_assert(fraction_b ? isnan(bf16[i]) : isinf(bf16[i]), "bf16 %04x", i);
        else
            cr_assert_eq(fabsf(bf16[i]), (float)want_b, "bf16 %04x", i);
        cr_assert(signbit(f16[i]) == signbit(bf16[i]) && !!signbit(f16[i]) == i >> 15);
    }
    tp_safetensors_close(file);
    free(f16);
    free(bf16);
}

#define F32(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

Test(safetensors, refuses_files_that_lie)
{
    static const struct {
        const char *header;
        size_t values;
    } lies[] = {
        { "", 0 },
        { " {}", 0 },
        { "[]", 0 },
        { "{}", 1 },
        { "{", 0 },
        { "{}}", 0 },
        { "null", 0 },
        { "{\"a\":1}", 0 },
        { "{\"a\":null}", 0 },
        { "{\"a\":[]}", 0 },
        { "{\"a\":{}}", 0 },
        { "{\"a\":" F32("[1]", "[0,4]") "}", 3 },
        { "{\"a\":" F32("[1]", "[0,4]") "}", 5 },
        { "{\"a\":" F32("[1]", "[0,8]") "}", 8 },
        { "{\"a\":" F32("[2]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[1]", "[4,8]") "}", 8 },
        { "{\"a\":" F32("[1]", "[4,0]") "}", 4 },
        { "{\"a\":" F32("[1]", "[-4,0]") "}", 4 },
        { "{\"a\":" F32("[-1]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[1.0]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[true]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[\"1\"]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[[1]]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("1", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[1]", "[0,4,8]") "}", 4 },
        { "{\"a\":" F32("[1]", "[0]") "}", 4 },
        { "{\"a\":" F32("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[4294967296,4294967296]", "[0,0]") "}", 0 },
        { "{\"a\":" F32("[4611686018427387905,4]", "[0,16]") "}", 16 },
        { "{\"a\":" F32("[9223372036854775807,2,0]", "[0,0]") "}", 0 },
        { "{\"a\":" F32("[18446744073709551617]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[1]", "[9223372036854775804,9223372036854775808]") "}", 4 },
        { "{\"a\":" F32("[1]", "[9223372036854775803,9223372036854775807]") "}", 4 },
        { "{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[1]", "[0,4]") "}", 4 },
        { "{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[1]", "[2,6]") "}", 6 },
        { "{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[1]", "[8,12]") "}", 12 },
        { "{\"a\":" F32("[1]", "[0,4]") ",\"a\":" F32("[1]", "[4,8]") "}", 8 },
        { "{\"a\\u0000b\":" F32("[1]", "[0,4]") "}", 4 },
        { "{\"\xff\":" F32("[1]", "[0,4]") "}", 4 },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4 },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"offsets\":[0,4]}}", 4 },
        { "{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4 },
        { "{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4 },
        { "{\"a\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8 },
        { "{\"__metadata__\":{\"a\":1}}", 0 },
        { "{\"__metadata__\":\"a\"}", 0 },
        { "{\"__metadata__\":{\"a\":{}}}", 0 },
        { "{\"\\u001b[31m\\n\":" F32("[2]", "[0,4]") "}", 4 },
        { "{\"a\":[{\"b\":[{\"c\":[]}]}]}", 0 },
    };

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct ir_error error = { 0 };

        put_tensors("lie", lies[i].header, lies[i].values);
        cr_expect_not(tp_safetensors_open("lie", &error), "%s", lies[i].header);
        cr_expect(one_line(&error), "%s: \"%s\"", lies[i].header, error.text);
        for (const char *c = error.text; *c; c++)
            cr_expect(*c >= ' ' && *c < 127, "%s: prints byte %d", lies[i].header, *c);
    }
}

Test(safetensors, refuses_brackets_without_end)
{
    const size_t size = 1 << 20;
    char *header = malloc(size + 1);
    struct ir_error error = { 0 };

    for (int kind = 0; kind < 3; kind++) {
        memset(header, "[{\""[kind], size);
        header[0] = '{';
        header[size] = 0;
        put_tensors("deep", header, 0);
        error = (struct ir_error){ 0 };
        cr_expect_not(tp_safetensors_open("deep", &error));
        cr_expect(one_line(&error), "%s", error.text);
    }
    free(header);
}

Test(safetensors, survives_every_cut_and_every_change)
{
    unsigned char bytes[512], wrong[512];
    const char header[] = "{\"__metadata__\":{\"k\":\"v\"},\"a\":" F32(
        "[2,1]", "[0,8]") ",\"m\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[8,11]}}";
    struct ir_error error = { 0 };
    unsigned char read[64];

    put_tensors("whole", header, 11);
    size_t size = get("whole", bytes, sizeof bytes);
    struct file_safetensors *file = tp_safetensors_open("whole", &error);
    cr_assert(file, "%s", error.text);
    tp_safetensors_close(file);
    for (size_t cut = 0; cut < size; cut++) {
        struct ir_error refused = { 0 };

        put("cut", bytes, cut);
        cr_expect_not(tp_safetensors_open("cut", &refused), "cut %zu", cut);
        cr_expect(one_line(&refused), "cut %zu: %s", cut, refused.text);
    }
    for (size_t at = 0; at < size; at++)
        for (int to = 0; to < 256; to++) {
            struct ir_error refused = { 0 };

            memcpy(wrong, bytes, size);
            wrong[at] = (unsigned char)to;
            put("changed", wrong, size);
            file = tp_safetensors_open("changed", &refused);
            for (int64_t i = 0; file && i < file->count; i++)
                if (file->tensor[i].bytes <= sizeof read)
                    tp_safetensors_read(file, &file->tensor[i], file->tensor[i].dtype, read,
                                        &refused);
            cr_expect(refused.status == 0 || one_line(&refused), "byte %zu: %s", at, refused.text);
            tp_safetensors_close(file);
        }
}

Test(safetensors, a_truth_value_is_0_or_1)
{
    struct ir_error error = { 0 };
    unsigned char bytes[200], read[2];

    put_tensors("t", "{\"m\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
    size_t size = get("t", bytes, sizeof bytes);
    bytes[size - 1] = 2;
    put("t", bytes, size);
    struct file_safetensors *file = tp_safetensors_open("t", &error);
    cr_assert(file, "%s", error.text);
    cr_expect_not(tp_safetensors_read(file, &file->tensor[0], file->tensor[0].dtype, read, &error));
    cr_expect(one_line(&error), "%s", error.text);
    tp_safetensors_close(file);
}

/* What cannot be written leaves what was there, and nothing beside it. */
Test(safetensors, a_failed_write_changes_nothing)
{
    static const float one = 1;
    const struct file_tensor twice[] = {
        { .name = "a", .bytes = 4, .dtype = IR_F32, .data = &one },
        { .name = "a", .bytes = 4, .dtype = IR_F32, .data = &one }
    };
    const struct file_tensor bad[] = {
        { .name = "\xff", .bytes = 4, .dtype = IR_F32, .data = &one }
    };
    static const char *const places[] = { "no/such/folder/w", "/dev/null", ".", "" };
    struct ir_error error = { 0 };
    struct stat status;
    unsigned char before[500], after[500];
    int files = 0;

    cr_assert(tp_safetensors_write("w", 1, twice, 0, NULL, &error), "%s", error.text);
    size_t size = get("w", before, sizeof before);
    cr_expect_not(tp_safetensors_write("w", 2, twice, 0, NULL, &error));
    cr_expect(one_line(&error), "%s", error.text);
    error = (struct ir_error){ 0 };
    cr_expect_not(tp_safetensors_write("w", 1, bad, 0, NULL, &error));
    cr_expect(one_line(&error), "%s", error.text);
    for (int i = 0; i < 4; i++) {
        error = (struct ir_error){ 0 };
        cr_expect_not(tp_safetensors_write(places[i], 1, twice, 0, NULL, &error), "%s", places[i]);
        cr_expect(one_line(&error), "%s: %s", places[i], error.text);
    }
    cr_expect(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));
    cr_expect(get("w", after, sizeof after) == size && memcmp(before, after, size) == 0);

    DIR *open = opendir(".");
    for (struct dirent *entry; (entry = readdir(open));)
        files += entry->d_name[0] != '.';
    closedir(open);
    cr_expect_eq(files, 1, "nothing is left beside it");
}

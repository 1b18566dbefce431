/*
 * Readers of data: what a file says is what rows hold; what it should not say is one line, and
 * never a crash. (IDX and safetensors: data_files.c; checkpoints: checkpoint.c.)
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "frontend/data.h"
#include "frontend/taper.h"
#include "support.h"
#include "support_files.h"

TestSuite(readers, .init = support_enter, .fini = support_leave);

static struct data_set *load(const char *format, const char *path, struct data_request request)
{
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_load(format, path, &request, &error);

    cr_assert(set, "%s: %s", path, error.text);
    return set;
}

static void refused(const char *format, const char *path, struct data_request request,
                    const char *what)
{
    struct ir_error error = { 0 };
    struct data_set *set = tp_data_load(format, path, &request, &error);

    cr_expect_not(set, "%s", what);
    cr_expect(support_one_line(&error) && strstr(error.text, what), "want \"%s\": %d \"%s\"", what,
              error.status, error.text);
    tp_data_free(set);
}

static const struct data_column *column(const struct data_set *set, const char *name,
                                        enum ir_dtype dtype, int rank)
{
    for (int i = 0; i < set->columns; i++)
        if (strcmp(set->column[i].name, name) == 0) {
            cr_assert(set->column[i].dtype == dtype && set->column[i].rank == rank, "%s: type %d",
                      name, set->column[i].dtype);
            return &set->column[i];
        }
    cr_assert(false, "there is no column %s", name);
    return NULL;
}

static const void *row(const struct data_column *c, int64_t i)
{
    return (const char *)c->rows + (size_t)i * c->stride;
}

#define READER(format, name)                                                \
    static bool load_##name(const char *path, struct ir_error *error)       \
    {                                                                       \
        const struct data_request request = { 0 };                          \
        struct data_set *set = tp_data_load(format, path, &request, error); \
        tp_data_free(set);                                                  \
        return set != NULL;                                                 \
    }
#define VERIFIER(format, name)                                          \
    static bool verify_##name(const char *path, struct ir_error *error) \
    {                                                                   \
        return tp_data_verify(format, path, (char[100]){ 0 }, error);   \
    }
VERIFIER("cifar", cifar)
READER("npz", npz)
VERIFIER("npz", npz)
VERIFIER("npy", npy)
READER("csv", csv)
VERIFIER("csv", csv)
READER("text", text)
READER("names", names)

/* --- CIFAR-10 ------------------------------------------------------------------------------------
 */

enum { RECORD = 3073 };

static void put_cifar(const char *name, int first, int rows, bool packed)
{
    unsigned char *bytes = calloc((size_t)rows, RECORD);

    for (int i = 0; i < rows; i++) {
        bytes[i * RECORD] = (unsigned char)((first + i) % 10);
        bytes[i * RECORD + 1] = (unsigned char)(first + i);
        bytes[i * RECORD + RECORD - 1] = 7;
    }
    (packed ? support_put_packed : support_put)(name, bytes, (size_t)rows * RECORD);
    free(bytes);
}

static bool load_cifar(const char *path, struct ir_error *error)
{
    const struct data_request request = { .part = "test" };
    struct data_set *set;

    cr_assert(rename(path, "test_batch.bin") == 0);
    set = tp_data_load("cifar", ".", &request, error);
    cr_assert(rename("test_batch.bin", path) == 0);
    tp_data_free(set);
    return set != NULL;
}

Test(readers, cifar_joins_its_files_plain_and_packed)
{
    struct data_set *set;

    put_cifar("data_batch_1.bin", 0, 70, false);
    put_cifar("data_batch_2.bin.gz", 70, 130, true);
    put_cifar("test_batch.bin.gz", 9, 1, true);
    cr_expect_str_eq(tp_data_format("."), "cifar");
    set = load(NULL, ".", (struct data_request){ 0 });
    cr_expect(set->rows == 200 && set->classes == 10);
    for (int64_t i = 0; i < 200; i++) {
        const unsigned char *x = row(column(set, "x", IR_U8, 3), i);
        cr_expect(x[0] == i && x[1] == 0 && x[3071] == 7);
        cr_expect_eq(*(const int32_t *)row(column(set, "y", IR_I32, 0), i), i % 10);
    }
    tp_data_free(set);
    set = load("cifar", ".", (struct data_request){ .part = "test" });
    cr_expect(set->rows == 1);
    tp_data_free(set);
    refused("cifar", ".", (struct data_request){ .part = "dev" }, "want train or test");
    refused("cifar", "nowhere", (struct data_request){ 0 }, "has no data_batch_1.bin");
    support_put_text("data_batch_1.bin", "");
    refused("cifar", ".", (struct data_request){ 0 }, "not whole records");
}

Test(readers, cifar_survives_damage)
{
    int read;

    put_cifar("two", 8, 2, false);
    put_cifar("packed", 8, 2, true);
    read = support_cuts("two", verify_cifar);
    cr_expect_eq(read, 1, "one whole record is left: %d", read);
    cr_expect_eq(support_cuts("packed", load_cifar), 0);
    support_flips("packed", load_cifar);
    support_flips("packed", verify_cifar);
}

/* --- NumPy ---------------------------------------------------------------------------------------
 */

static size_t npy_bytes(unsigned char *to, const char *dictionary, const void *values, size_t size)
{
    size_t length = (strlen(dictionary) + 1 + 10 + 63) / 64 * 64 - 10;

    memcpy(to, "\x93NUMPY\1\0", 8);
    to[8] = (unsigned char)length;
    to[9] = (unsigned char)(length >> 8);
    memset(to + 10, ' ', length);
    memcpy(to + 10, dictionary, strlen(dictionary));
    to[10 + length - 1] = '\n';
    if (size)
        memcpy(to + 10 + length, values, size);
    return 10 + length + size;
}

static void put_npy(const char *name, const char *dictionary, const void *values, size_t size)
{
    unsigned char bytes[2000];

    support_put(name, bytes, npy_bytes(bytes, dictionary, values, size));
}

#define NPY(type, shape) "{'descr': '" type "', 'fortran_order': False, 'shape': " shape ", }"

Test(readers, npy_gives_each_type_as_training_takes_it)
{
    static const struct {
        const char *dictionary;
        size_t size;
        enum ir_dtype dtype;
        unsigned char bytes[16];
    } cases[] = {
        { NPY("|b1", "(2,)"), 2, IR_BOOL, { 1, 0 } },
        { NPY("|u1", "(2,)"), 2, IR_U8, { 3, 255 } },
        { NPY("|i1", "(2,)"), 2, IR_I32, { 3, 0xff } },
        { NPY("<u2", "(2,)"), 4, IR_I32, { 3, 0, 0xff, 0xff } },
        { NPY("<i2", "(2,)"), 4, IR_I32, { 3, 0, 0xff, 0xff } },
        { NPY("<u4", "(2,)"), 8, IR_I32, { 3, 0, 0, 0, 4 } },
        { NPY("<i8", "(2,)"),
          16,
          IR_I32,
          { 3, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
        { NPY("<f2", "(2,)"), 4, IR_F32, { 0, 0x42, 1, 0x80 } },
        { NPY("<V2", "(2,)"), 4, IR_F32, { 0x40, 0x40, 0x20, 0xc0 } }, /* bf16 of ml_dtypes */
        { NPY("|V2", "(2,)"), 4, IR_F32, { 0x40, 0x40, 0x20, 0xc0 } },
        { NPY("<f4", "(2,)"), 8, IR_F32, { 0, 0, 0x40, 0x40, 0, 0, 0x80, 0xbf } },
        { NPY("<f8", "(2,)"),
          16,
          IR_F32,
          { 0, 0, 0, 0, 0, 0, 8, 0x40, 0, 0, 0, 0, 0, 0, 0xf0, 0xbf } },
    };
    static const double second[] = { 0,    255,  -1, 65535, -1, 4, -1, -5.9604644775390625e-08,
                                     -2.5, -2.5, -1, -1 };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct data_set *set;
        const void *at;
        double got;

        put_npy("x.npy", cases[i].dictionary, cases[i].bytes, cases[i].size);
        set = load("npy", ".", (struct data_request){ 0 });
        cr_assert(set->rows == 2);
        at = row(column(set, "x", cases[i].dtype, 0), 1);
        got = cases[i].dtype == IR_F32   ? (double)*(const float *)at
              : cases[i].dtype == IR_I32 ? *(const int32_t *)at
                                         : *(const unsigned char *)at;
        cr_expect_eq(got, second[i], "%s: %g", cases[i].dictionary, got);
        tp_data_free(set);
    }
}

Test(readers, npy_refuses_headers_that_lie)
{
    static const struct {
        const char *dictionary, *what;
    } lies[] = {
        { "", "not one that NumPy writes" },
        { "{", "not one that NumPy writes" },
        { "{}", "not one that NumPy writes" },
        { "{'shape': (1,), }", "not one that NumPy writes" },
        { NPY("<f4", "(1,)") "x", "something follows" },
        { NPY("<f4", "(1,)") " {}", "something follows" },
        { NPY("<f4", "1"), "not one that NumPy writes" },
        { NPY("<f4", "(1"), "not one that NumPy writes" },
        { NPY("<f4", "(-1,)"), "not one that NumPy writes" },
        { NPY("<f4", "(1)"), "not one that NumPy writes" },
        { NPY("<f4", "(1.5,)"), "not one that NumPy writes" },
        { NPY("<f4", "(1,1,1,1,1,1,1,1,1)"), "not one that NumPy writes" },
        { NPY("<f4", "(99999999999999999999,)"), "not one that NumPy writes" },
        { NPY("<f4", "(9223372036854775807,)"), "impossible size" },
        { NPY("<f4", "(4294967296, 4294967296)"), "impossible size" },
        { NPY("<f4", "(0, 4294967296, 4294967296)"), "impossible size" },
        { NPY("<f4", "(2,)"), "declares" },
        { NPY("<f4", "(0,)"), "declares" },
        { NPY(">f4", "(1,)"), "type >f4 is not read" },
        { NPY("|f4", "(1,)"), "type |f4 is not read" },
        { NPY("<c8", "(1,)"), "type <c8 is not read" },
        { NPY("|O", "(1,)"), "type |O is not read" },
        { NPY("|V3", "(1,)"), "type |V3 is not read" },
        { NPY(">V2", "(2,)"), "type >V2 is not read" },
        { "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "Fortran" },
        { "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "NumPy writes" },
        { "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "NumPy" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", "NumPy writes" },
    };
    unsigned char bytes[300];
    size_t size;

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        put_npy("x.npy", lies[i].dictionary, &(float){ 1 }, 4);
        refused("npy", ".", (struct data_request){ 0 }, lies[i].what);
    }
    put_npy("x.npy", NPY("<f4", "()"), &(float){ 1 }, 4);
    refused("npy", ".", (struct data_request){ 0 }, "has 0 rows");
    put_npy("x.npy", NPY("<f4", "(1,)"), &(float){ 1 }, 4);
    put_npy("y.npy", NPY("<i4", "(2,)"), (int[]){ 1, 2 }, 8);
    refused("npy", ".", (struct data_request){ 0 }, "\"y\" has 2 rows");
    put_npy("y.npy", NPY("<i8", "(1,)"), &(int64_t){ 1ll << 31 }, 8);
    refused("npy", ".", (struct data_request){ 0 }, "beyond 32 bits");
    size = npy_bytes(bytes, NPY("<f4", "(1,)"), &(float){ 1 }, 4);
    bytes[40] = 0;
    support_put("x.npy", bytes, size);
    refused("npy", ".", (struct data_request){ 0 }, "a zero in its header");
}

Test(readers, npy_survives_damage)
{
    unsigned char bytes[300];
    size_t size = npy_bytes(bytes, NPY("<f4", "(3, 1)"), (float[]){ 1, 2, 3 }, 12);

    support_put("x", bytes, size);
    support_put_packed("packed", bytes, size);
    cr_expect_eq(support_cuts("x", verify_npy), 0);
    cr_expect_eq(support_cuts("packed", verify_npy), 0);
    support_flips("x", verify_npy);
    support_flips("packed", verify_npy);
}

/* A zip as NumPy writes it: local headers, then the directory. */
struct zip {
    unsigned char bytes[8192], list[2048];
    size_t size, list_size;
    int count;
};

static void number(unsigned char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

static void zip_add(struct zip *z, const char *name, const unsigned char *bytes, size_t size,
                    bool pack)
{
    unsigned char packed[4096], *local = z->bytes + z->size, *record = z->list + z->list_size;
    z_stream s = { .next_in = (unsigned char *)bytes,
                   .avail_in = (unsigned)size,
                   .next_out = packed,
                   .avail_out = sizeof packed };
    size_t stored = size;

    if (pack) {
        deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
        cr_assert(deflate(&s, Z_FINISH) == Z_STREAM_END);
        stored = s.total_out;
        deflateEnd(&s);
    }
    memset(local, 0, 30);
    number(local, 0x04034b50, 4);
    number(local + 8, pack ? 8 : 0, 2);
    number(local + 26, strlen(name), 2);
    number(local + 28, 4, 2); /* an extra field, as NumPy's */
    memcpy(local + 30, name, strlen(name));
    memset(local + 30 + strlen(name), 0, 4);
    memset(record, 0, 46);
    number(record, 0x02014b50, 4);
    number(record + 10, pack ? 8 : 0, 2);
    number(record + 16, crc32(0, bytes, (unsigned)size), 4);
    number(record + 20, stored, 4);
    number(record + 24, size, 4);
    number(record + 28, strlen(name), 2);
    number(record + 42, z->size, 4);
    memcpy(record + 46, name, strlen(name));
    memcpy(local + 34 + strlen(name), pack ? packed : bytes, stored);
    z->size += 34 + strlen(name) + stored;
    z->list_size += 46 + strlen(name);
    z->count++;
}

static void zip_put(struct zip *z, const char *name)
{
    unsigned char *end = z->bytes + z->size + z->list_size;

    memcpy(z->bytes + z->size, z->list, z->list_size);
    memset(end, 0, 22);
    number(end, 0x06054b50, 4);
    number(end + 8, (uint64_t)z->count, 2);
    number(end + 10, (uint64_t)z->count, 2);
    number(end + 12, z->list_size, 4);
    number(end + 16, z->size, 4);
    support_put(name, z->bytes, z->size + z->list_size + 22);
}

static void put_npz(const char *name, bool pack, const char *y)
{
    struct zip z = { .size = 0 };
    unsigned char bytes[1000];
    float x[20];

    for (int i = 0; i < 20; i++)
        x[i] = (float)i;
    zip_add(&z, "x.npy", bytes, npy_bytes(bytes, NPY("<f4", "(10, 2)"), x, sizeof x), pack);
    zip_add(&z, y, bytes,
            npy_bytes(bytes, NPY("<i8", "(10,)"), (int64_t[]){ 0, 1, 2, 0, 1, 2, 0, 1, 2, 5 }, 80),
            pack);
    zip_put(&z, name);
}

Test(readers, npz_gives_its_arrays_stored_and_packed)
{
    for (int pack = 0; pack < 2; pack++) {
        struct data_set *set;

        put_npz("a.npz", pack, "y.npy");
        set = load(NULL, "a.npz", (struct data_request){ 0 });
        cr_expect(set->rows == 10 && set->classes == 6);
        cr_expect_eq(((const float *)row(column(set, "x", IR_F32, 1), 9))[1], 19);
        cr_expect_eq(*(const int32_t *)row(column(set, "y", IR_I32, 0), 9), 5);
        tp_data_free(set);
    }
}

Test(readers, npz_survives_damage)
{
    for (int pack = 0; pack < 2; pack++) {
        put_npz("whole", pack, "y.npy");
        cr_expect_eq(support_cuts("whole", load_npz), 0);
        support_flips("whole", load_npz);
        support_flips("whole", verify_npz);
    }
    put_npz("other", false, "../y.txt");
    refused("npz", "other", (struct data_request){ 0 }, "something else than arrays");
    put_npz("twice", false, "x.npy");
    refused("npz", "twice", (struct data_request){ 0 }, "share a name");
    support_put_text("a.npz", "PK\3\4");
    refused("npz", "a.npz", (struct data_request){ 0 }, "shorter than any zip");
}

/* Values that are flipped inside an array are found by its checksum. */
Test(readers, npz_guards_its_values)
{
    unsigned char bytes[8192];
    struct ir_error error = { 0 };
    size_t size;

    put_npz("a.npz", false, "y.npy");
    size = support_get("a.npz", bytes, sizeof bytes);
    bytes[30 + 4 + 5 + 128 + 17] ^= 4;
    support_put("a.npz", bytes, size);
    cr_expect_not(load_npz("a.npz", &error));
    cr_expect(strstr(error.text, "checksum"), "%s", error.text);
}

/* --- tables --------------------------------------------------------------------------------------
 */

static void expect_table(const char *text, int64_t rows, int64_t features, const float *x,
                         const double *y)
{
    struct data_set *set;

    support_put_text("t.csv", text);
    set = load(NULL, "t.csv", (struct data_request){ 0 });
    cr_assert(set->rows == rows && set->column[0].dim[0] == features, "%s", text);
    for (int64_t i = 0; i < rows; i++) {
        const void *at = row(&set->column[1], i);
        double got =
            set->column[1].dtype == IR_F32 ? (double)*(const float *)at : *(const int32_t *)at;

        cr_expect(memcmp(row(&set->column[0], i), x + i * features, (size_t)features * sizeof *x) ==
                      0,
                  "%s: row %d", text, (int)i);
        cr_expect_eq(got, y[i], "%s: row %d: %g", text, (int)i, got);
    }
    tp_data_free(set);
}

Test(readers, csv_reads_what_tables_look_like)
{
    const float x[] = { 1, 2.5f, -3, 4e-3f };
    const double whole[] = { 0, 2 }, parts[] = { 0.5, (double)2.25f }, less[] = { -1, 2 };

    expect_table("1,2.5,0\n-3,4e-3,2\n", 2, 2, x, whole);
    expect_table("1,2.5,0\n-3,.004,2", 2, 2, x, whole);
    expect_table("a,b,c\n1,2.5,0\n-3,4e-3,2\n", 2, 2, x, whole);
    expect_table("\xef\xbb\xbf\"a\",\"b, \"\"or\"\" so\",c\r\n\r\n1,2.5,0\r\n-3,4e-3,2\r\n\r\n", 2,
                 2, x, whole);
    expect_table("a\tb\tc\n1\t2.5\t0\n-3\t4e-3\t2\n", 2, 2, x, whole);
    expect_table("a;b;c\n1 ; 2.5; 0\n\"-3\";+4.0e-3;2\n", 2, 2, x, whole);
    expect_table("1,2.5,0.5\n-3,4e-3,2.25\n", 2, 2, x, parts);
    expect_table("1,2.5,-1\n-3,4e-3,2\n", 2, 2, x, less);
    expect_table("a,b,c\n1,2.5,cat\n-3,4e-3,dog\n", 2, 2, x, (double[]){ 0, 1 });
    expect_table("1,2.5,zebra\n-3,4e-3,\"an ape\"\n", 2, 2, x, (double[]){ 1, 0 });
}

Test(readers, csv_reads_numbers_as_c_does)
{
    static const char *const texts[] = { "0.1", "1e22",     "123456789012345",          "1e-22",
                                         "-0",  "00012",    "3.1415926535897932384626", "1e-40",
                                         "7.",  "16777217", "0.000000000000000000001",  "1e30" };
    char text[2000] = "";

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        strcat(text, texts[i]);
        strcat(text, ",0\n");
    }
    support_put_text("t.csv", text);
    struct data_set *set = load("csv", "t.csv", (struct data_request){ 0 });
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        float got = *(const float *)row(&set->column[0], (int64_t)i),
              want = (float)strtod(texts[i], NULL);
        cr_expect(memcmp(&got, &want, sizeof got) == 0, "%s: %g", texts[i], (double)got);
    }
    tp_data_free(set);
}

Test(readers, csv_takes_a_label_by_name)
{
    struct data_set *set;

    support_put_text("t.tsv", "kind\tsize\n1\t7\n0\t8\n");
    set = load(NULL, "t.tsv", (struct data_request){ .label = "kind" });
    cr_expect_eq(*(const float *)row(column(set, "x", IR_F32, 1), 1), 8);
    cr_expect_eq(*(const int32_t *)row(column(set, "y", IR_I32, 0), 0), 1);
    tp_data_free(set);
    refused("csv", "t.tsv", (struct data_request){ .label = "sort" }, "no column \"sort\"");
}

Test(readers, csv_has_parts_that_do_not_meet)
{
    char text[4000] = "";
    bool seen[101] = { false };
    const char *parts[] = { "train", "test" };

    for (int i = 0; i < 101; i++)
        sprintf(text + strlen(text), "%d,%d\n", i, i % 3);
    support_put_text("t.csv", text);
    for (int k = 0; k < 2; k++) {
        struct data_set *set = load("csv", "t.csv", (struct data_request){ .part = parts[k] });
        cr_expect_eq(set->rows, k ? 11 : 90);
        for (int64_t i = 0; i < set->rows; i++) {
            const int at = (int)*(const float *)row(&set->column[0], i);
            cr_expect(!seen[at] && *(const int32_t *)row(&set->column[1], i) == at % 3);
            seen[at] = true;
        }
        tp_data_free(set);
    }
    refused("csv", "t.csv", (struct data_request){ .part = "dev" }, "want train or test");
}

Test(readers, csv_refuses_what_is_no_table)
{
    static const struct {
        const char *text, *what;
    } lies[] = {
        { "", "holds no rows" },
        { "\n\r\n\n", "holds no rows" },
        { "a,b\n", "holds no rows" },
        { "1\n2\n", ":1: csv: one field" },
        { "1,2\n3\n", ":2: csv: 1 fields; the lines before have 2" },
        { "1,2\n3,4,5\n", ":2: csv: 3 fields" },
        { "1,2\n,4\n", ":2: csv: field 1 is \"\"; want a number" },
        { "1,2\nx,4\n", ":2: csv: field 1 is \"x\"" },
        { "1,2\n3,x\n", ":2: csv: field 2 is \"x\"" },
        { "1,a\n2,\n", ":2: csv: the label is empty" },
        { "a,1,b\nc,1,d\n", ":1: csv: field 1 is \"a\"" },
        { "1,2\nnan,4\n", "want a number" },
        { "1,2\ninf,4\n", "want a number" },
        { "1,2\n0x10,4\n", "want a number" },
        { "1,2\n1e999,4\n", "want a number" },
        { "1,2\n1e39,4\n", "want a number" },
        { "1,2\n1e,4\n", "want a number" },
        { "1,2\n1 2,4\n", "want a number" },
        { "1,2\n--1,4\n", "want a number" },
        { "1,2\n.,4\n", "want a number" },
        { "\"1,2\n", "a quote that does not end" },
        { "1,\"2", "a quote that does not end" },
        { "1,2\n\x01,4\n", "a control character" },
    };

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        support_put_text("t.csv", lies[i].text);
        refused("csv", "t.csv", (struct data_request){ 0 }, lies[i].what);
    }
    support_put("t.csv", "1,\0002\n", 5);
    refused("csv", "t.csv", (struct data_request){ 0 }, "holds a zero");
    refused("csv", ".", (struct data_request){ 0 }, "not a plain file");
    refused(NULL, "t.xyz", (struct data_request){ 0 }, "no data that is known");
}

Test(readers, csv_survives_damage)
{
    static const char text[] = "a,\"b \"\"x\"\"\",kind\n1.5,2e3,cat\n-3,.25,\"a dog\"\n";

    support_put_text("t", text);
    support_put_packed("packed", text, strlen(text));
    support_cuts("t", load_csv);
    support_flips("t", load_csv);
    support_flips("t", verify_csv);
    cr_expect_eq(support_cuts("packed", load_csv), 0);
    support_flips("packed", load_csv);
}

/* --- text ----------------------------------------------------------------------------------------
 */

static const char *token(const struct data_set *set, int64_t i)
{
    cr_assert(i >= 0 && i < set->vocabulary_count);
    return set->vocabulary[i];
}

Test(readers, text_is_windows_of_its_characters)
{
    struct data_set *set;
    const struct data_column *x, *y;

    support_put_text("t.txt",
                     "abcab\xc3\xa9\nabc\xe2\x82\xac!\xf0\x9f\x8c\xb3z"); /* 14 characters */
    set = load(NULL, "t.txt", (struct data_request){ .context = 4 });
    x = column(set, "x", IR_I32, 1);
    y = column(set, "y", IR_I32, 1);
    cr_expect(set->rows == 3 && set->classes == 9 && set->vocabulary_count == 9, "%d %d",
              (int)set->rows, set->classes);
    cr_expect_str_eq(token(set, 0), "\n");
    cr_expect_str_eq(token(set, 8), "\xf0\x9f\x8c\xb3");
    for (int64_t i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            cr_expect_eq(((const int32_t *)row(x, i))[k + 1], ((const int32_t *)row(y, i))[k]);
    cr_expect_str_eq(token(set, *(const int32_t *)row(x, 1)), "b"); /* the fifth character */
    tp_data_free(set);
    set = load("text", "t.txt", (struct data_request){ .context = 4, .step = 1 });
    cr_expect_eq(set->rows, 10);
    cr_expect_str_eq(token(set, ((const int32_t *)row(&set->column[1], 9))[3]), "z");
    tp_data_free(set);
    refused("text", "t.txt", (struct data_request){ .context = 14 }, "14 characters");
    refused("text", "t.txt", (struct data_request){ .context = -1 }, "want 1 to");
    refused("text", "t.txt", (struct data_request){ .part = "dev", .context = 2 }, "no part");
    support_put_text("bad", "ab\ncd\xff");
    refused("text", "bad", (struct data_request){ .context = 2 }, "bad:2: byte 0xff is no text");
    support_put_text("bad", "\xed\xa0\x80 half a pair");
    refused("text", "bad", (struct data_request){ .context = 2 }, "no text in UTF-8");
    support_put("bad", "a\0b", 3);
    refused("text", "bad", (struct data_request){ .context = 2 }, "byte 0x00");
    support_put_text("bad", "");
    refused("text", "bad", (struct data_request){ .context = 2 }, "is empty");
}

Test(readers, names_are_what_comes_before_each_letter)
{
    static const int32_t want[][3] = { { 0, 0, 2 },
                                       { 0, 2, 1 },
                                       { 2, 1, 0 }, /* ba. */
                                       { 0, 0, 3 },
                                       { 0, 3, 0 } }; /* c. */
    struct data_set *set;
    int64_t rows = 0;
    char text[1000] = "";

    support_put_text("n.txt", "ba\r\n\nc");
    set = load("names", "n.txt", (struct data_request){ .context = 2 });
    cr_assert(set->rows == 5 && set->classes == 4);
    cr_expect_str_eq(token(set, 0), ".");
    for (int64_t i = 0; i < 5; i++) {
        const int32_t *x = row(column(set, "x", IR_I32, 1), i),
                      y = *(const int32_t *)row(column(set, "y", IR_I32, 0), i);
        cr_expect(x[0] == want[i][0] && x[1] == want[i][1] && y == want[i][2], "row %d", (int)i);
    }
    tp_data_free(set);
    for (int i = 0; i < 30; i++)
        sprintf(text + strlen(text), "%c%c\n", 'a' + i % 26, 'a' + i * 7 % 26);
    support_put_text("n.txt", text);
    for (int k = 0; k < 2; k++) {
        set = load("names", "n.txt", (struct data_request){ .part = k ? "validation" : "train" });
        cr_expect_eq(set->rows, k ? 9 : 81);
        rows += set->rows;
        tp_data_free(set);
    }
    cr_expect_eq(rows, 90);
    support_put_text("n.txt", "one");
    refused("names", "n.txt", (struct data_request){ 0 }, "1 names");
}

Test(readers, words_are_told_apart_by_how_often_they_come)
{
    struct data_set *set;
    const int32_t *x;

    support_put_text("train.tsv", "the cat the dog\t1\n\na cat .\t0\r\n the\t1\n");
    support_put_text("dev.tsv", "the bird\t0\n");
    set = load(NULL, ".", (struct data_request){ .context = 3 });
    cr_assert(set->rows == 3 && set->classes == 2 && set->vocabulary_count == 7);
    cr_expect_str_eq(token(set, 2), "the");
    cr_expect_str_eq(token(set, 3), "cat");
    x = row(column(set, "x", IR_I32, 1), 0);
    cr_expect(x[0] == 2 && x[1] == 3 && x[2] == 2);
    x = row(&set->column[0], 2);
    cr_expect(x[0] == 2 && x[1] == 0 && x[2] == 0);
    tp_data_free(set);
    set = load("words", ".",
               (struct data_request){ .part = "validation", .context = 3, .vocabulary = 1 });
    x = row(&set->column[0], 0);
    cr_expect(set->rows == 1 && set->vocabulary_count == 3 && x[0] == 2 && x[1] == 1 && x[2] == 0);
    tp_data_free(set);
    support_put_text("dev.tsv", "the bird\t0\nno label\n");
    refused("words", ".", (struct data_request){ .part = "validation" }, "dev.tsv:2: want words");
    support_put_text("dev.tsv", "the bird\t2\n");
    refused("words", ".", (struct data_request){ .part = "validation" }, "class 2; the training");
    refused("words", ".", (struct data_request){ .part = "test" }, "cannot be read");
}

Test(readers, text_survives_damage)
{
    static const char text[] =
        "ab\xc3\xa9\nabc\xe2\x82\xac!\xf0\x9f\x8c\xb3z 0123456789 0123456789 "
        "0123456789 0123456789 0123456789 0123456789\n";

    support_put_text("t", text);
    support_put_packed("packed", text, strlen(text));
    support_cuts("t", load_text);
    support_flips("t", load_text);
    support_cuts("t", load_names);
    support_flips("t", load_names);
    cr_expect_eq(support_cuts("packed", load_text), 0);
    support_flips("packed", load_text);
}

/* The data that lie beside the tree, as their README counts them. */
Test(readers, shared_data_have_the_sizes_that_are_told)
{
    char path[4096];
    struct data_set *set;

    SHARED_OR_SKIP("data/text/tinyshakespeare.txt", path);
    set = load(NULL, path, (struct data_request){ .part = "train", .context = 64 });
    cr_expect(set->classes == 65 && set->rows == (1003854 - 65) / 64 + 1, "%d", (int)set->rows);
    tp_data_free(set);
    set = load(NULL, path, (struct data_request){ .part = "validation", .context = 64 });
    cr_expect_eq(set->rows, (111540 - 65) / 64 + 1);
    tp_data_free(set);
    SHARED_OR_SKIP("data/text/names.txt", path);
    set = load("names", path, (struct data_request){ .context = 3 });
    cr_expect(set->classes == 27 && set->rows == 228146, "%d", (int)set->rows);
    tp_data_free(set);
    SHARED_OR_SKIP("data/text/sst2", path);
    set = load(NULL, path, (struct data_request){ .context = 60 });
    cr_expect(set->rows == 6920 && set->classes == 2);
    tp_data_free(set);
    set = load(NULL, path, (struct data_request){ .part = "validation" });
    cr_expect_eq(set->rows, 872);
    tp_data_free(set);
    SHARED_OR_SKIP("data/cifar10", path);
    set = load(NULL, path, (struct data_request){ .part = "test" });
    cr_expect_eq(set->rows, 2000);
    tp_data_free(set);
}

/* --- a function's rows ---------------------------------------------------------------------------
 */

static void squares(void *user, int64_t row, void *const column[])
{
    if (column[0])
        *(float *)column[0] = (float)row;
    if (column[1])
        *(float *)column[1] = (float)(row * row + *(int *)user);
}

Test(readers, a_function_makes_rows)
{
    int more = 3;
    double sums[2] = { 0 };

    for (int ahead = 0; ahead < 2; ahead++) {
        tp_graph *g = tp_graph_new(1);
        int64_t batch = tp_symbol(g, "batch", 1, 8);
        tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(batch)),
                  y = tp_input(g, "y", TP_F32, tp_dims(batch));
        tp_tensor left = tp_sum(tp_abs(tp_sub(y, tp_add(tp_mul(x, x), 3)))), sum = tp_sum(x);
        tp_program *p = tp_compile_eval(g, left, sum);
        tp_loader *l = tp_loader_from_fn(
            tp_columns({ "x", TP_F32, TP_SCALAR, NULL }, { "y", TP_F32, TP_SCALAR, NULL }), squares,
            &more, 30, .batch = 8, .shuffle = true, .seed = 1, .ahead = 2 * ahead);
        int batches = 0;

        cr_assert(p && !tp_loader_error(l), "%s %s", tp_error(g), tp_loader_error(l));
        cr_expect_eq(tp_loader_rows(l), 30);
        for (; tp_next(l, p) && tp_run(p); batches++) {
            cr_expect_eq(tp_get(p, left), 0);
            sums[ahead] += tp_get(p, sum) * (batches + 1);
        }
        cr_expect_eq(batches, 4, "%s", tp_error(g));
        tp_loader_free(l);
        tp_graph_free(g);
    }
    cr_expect(sums[0] == sums[1] && sums[0] > 0, "a thread shows the same rows in the same order");
}

/* --- the command ---------------------------------------------------------------------------------
 */

/* A packed file costs less than what it unpacks to, and at most five seconds. */
Test(readers, verify_is_cheap_on_bombs)
{
    static const char *const files[] = { "b.csv.gz", "b.npz", "b.npy.gz", "b.bin.gz",
                                         "b-ubyte.gz" };
    const size_t size = 32 << 20;
    unsigned char *bytes = malloc(size), head[300];
    const struct rlimit time = { 5, RLIM_INFINITY };
    struct zip z = { .size = 0 };
    size_t begin;

    for (size_t i = 0; i < size; i++)
        bytes[i] = "1,1\n"[i % 4];
    support_put_packed(files[0], bytes, size);
    memset(bytes, '1', size);
    support_put_packed("long.csv.gz", bytes, size);
    memset(bytes, 0, size);
    begin = npy_bytes(head, NPY("|u1", "(33554000,)"), NULL, 0);
    memcpy(bytes, head, begin);
    support_put_packed(files[2], bytes, begin + 33554000);
    zip_add(&z, "x.npy", head, begin, true);
    number(z.list + 24, UINT32_MAX - 1, 4);
    zip_put(&z, files[1]);
    memset(bytes, 0, begin);
    support_put_packed(files[3], bytes, (size_t)10000 * RECORD);
    memcpy(bytes, (unsigned char[]){ 0, 0, 8, 1, 1, 0xff, 0, 0 }, 8);
    support_put_packed(files[4], bytes, 8 + 0x01ff0000);
    free(bytes);
    for (int i = 0; i < 5; i++) {
        const char *words[] = { "taper", "verify", files[i], NULL };
        int status;

#if !defined(__SANITIZE_ADDRESS__)
        setrlimit(RLIMIT_DATA, &(struct rlimit){ 16 << 20, RLIM_INFINITY });
#endif
        setrlimit(RLIMIT_CPU, &time);
        status = support_run(words);
        cr_expect_eq(status, i == 1 ? 2 : 0, "%s: %d", files[i], status);
    }
    cr_expect_eq(support_run((const char *[]){ "taper", "verify", "long.csv.gz", NULL }), 2);
}

Test(readers, verify_knows_each_kind)
{
    static const struct {
        const char *file, *says;
    } kinds[] = { { "t.csv", "csv, 2 rows of 2 fields, sound" },
                  { "x.npy", "npy, f32, 1 axes, sound" },
                  { "a.npz", "npz, 2 arrays, sound" },
                  { "data_batch_1.bin", "CIFAR-10, sound" },
                  { "c", "checkpoint, " },
                  { "w.safetensors", "safetensors, 6 tensors" } };
    static const char *const train[] = { "taper",        "train", "planar", "--epochs",      "1",
                                         "--checkpoint", "c",     "--save", "w.safetensors", NULL };

    support_put_text("t.csv", "1,2\n3,4\n");
    put_npy("x.npy", NPY("<f4", "(1,)"), &(float){ 1 }, 4);
    put_npz("a.npz", true, "y.npy");
    put_cifar("data_batch_1.bin", 0, 2, false);
    cr_assert_eq(support_run(train), 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char text[500];
        size_t size;

        cr_expect_eq(support_run((const char *[]){ "taper", "verify", kinds[i].file, NULL }), 0);
        size = support_get("out", text, sizeof text - 1);
        text[size] = 0;
        cr_expect(strstr(text, kinds[i].says), "%s", text);
    }
}

Test(readers, train_takes_tables_and_arrays)
{
    char text[20000] = "a,b,kind\n";

    for (int i = 0; i < 300; i++) {
        const double a = i * 0.618 - floor(i * 0.618), b = i * 0.7549 - floor(i * 0.7549);
        sprintf(text + strlen(text), "%.4f,%.4f,%s\n", a, b, a > b ? "more" : "less");
    }
    support_put_text("t.csv", text);
    cr_expect_eq(support_run((const char *[]){ "taper", "train", "mlp", "--data", "t.csv",
                                               "--epochs", "20", "--json", NULL }),
                 0);
    char *at, out[20000];
    out[support_get("out", out, sizeof out - 1)] = 0;
    at = strstr(out, "\"done\"");
    cr_assert(at);
    at = strstr(at, "\"val_accuracy\":");
    cr_expect(at && strtod(at + 15, NULL) >= 0.9, "%s", at);
}

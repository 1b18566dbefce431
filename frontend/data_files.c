/*
 * data_files: the parts that read data, as data sets, by the name of a format or by what a path
 * looks like.
 */
#include "frontend/parts.h"
#include "runtime/parts/file.h"
#include "runtime/parts/shuffle.h"
#include "runtime/parts/columns.h"
#include "runtime/parts/idx.h"
#include "runtime/parts/cifar.h"
#include "runtime/parts/npy.h"
#include "runtime/parts/npz.h"
#include "runtime/parts/csv.h"
#include "runtime/parts/sentences.h"
#include "runtime/parts/text.h"

#include "frontend/data.h"

/* --- each format, in and to look at -------------------------------------------------------------
 */

struct reading {
    const char *path;
    const struct data_request *request;
    struct columns columns;
    struct text_vocabulary vocabulary;
};

static const char *part_of(const struct reading *r)
{
    return r->request->part ? r->request->part : "train";
}

static int64_t context_of(const struct reading *r, int64_t otherwise)
{
    return r->request->context ? r->request->context : otherwise;
}

static bool read_idx(struct reading *r, struct part_error *error)
{
    return idx_read(r->path, part_of(r), &r->columns, error);
}

static bool read_cifar(struct reading *r, struct part_error *error)
{
    return cifar_read(r->path, part_of(r), &r->columns, error);
}

static bool read_npy(struct reading *r, struct part_error *error)
{
    return npy_read_folder(r->path, r->request->part, &r->columns, error);
}

static bool read_npz(struct reading *r, struct part_error *error)
{
    return npz_read(r->path, r->request->part, &r->columns, error);
}

static bool read_csv(struct reading *r, struct part_error *error)
{
    return csv_read(r->path, r->request->label, r->request->part, &r->columns, error);
}

static bool read_text(struct reading *r, struct part_error *error)
{
    return text_windows(r->path, context_of(r, 64), r->request->step, r->request->part, &r->columns,
                        &r->vocabulary, error);
}

static bool read_names(struct reading *r, struct part_error *error)
{
    return text_names(r->path, context_of(r, 3), r->request->part, &r->columns, &r->vocabulary,
                      error);
}

static bool read_words(struct reading *r, struct part_error *error)
{
    return text_sentences(r->path, context_of(r, 64), r->request->vocabulary, r->request->part,
                          &r->columns, &r->vocabulary, error);
}

static bool check_idx(const char *path, char said[100], struct part_error *error)
{
    snprintf(said, 100, "IDX");
    return idx_check(path, error);
}

static bool check_cifar(const char *path, char said[100], struct part_error *error)
{
    snprintf(said, 100, "CIFAR-10");
    return cifar_file(path, NULL, error);
}

static bool check_npy(const char *path, char said[100], struct part_error *error)
{
    struct npy npy;
    bool sound = npy_check(path, &npy, error);

    if (sound)
        snprintf(said, 100, "npy, %s, %d axes", part_types[npy.type].name, npy.rank);
    return sound;
}

static bool check_npz(const char *path, char said[100], struct part_error *error)
{
    int arrays = 0;
    bool sound = npz_check(path, &arrays, error);

    snprintf(said, 100, "npz, %d arrays", arrays);
    return sound;
}

static bool check_csv(const char *path, char said[100], struct part_error *error)
{
    int64_t rows = 0;
    int fields = 0;
    bool sound = csv_check(path, &rows, &fields, error);

    snprintf(said, 100, "csv, %lld rows of %d fields", (long long)rows, fields);
    return sound;
}

static bool check_text(const char *path, char said[100], struct part_error *error)
{
    struct columns columns = { 0 };
    struct text_vocabulary characters = { 0 };
    const bool sound = text_windows(path, 1, 1, NULL, &columns, &characters, error);

    if (sound)
        snprintf(said, 100, "text, %lld characters, %lld different ones",
                 (long long)columns.rows + 1, (long long)characters.count);
    columns_free(&columns);
    text_vocabulary_free(&characters);
    return sound;
}

static const struct format {
    const char *name;
    bool (*read)(struct reading *r, struct part_error *error);
    bool (*check)(const char *path, char said[100], struct part_error *error); /* of one file */
} formats[] = {
    { "idx", read_idx, check_idx }, { "cifar", read_cifar, check_cifar },
    { "npy", read_npy, check_npy }, { "npz", read_npz, check_npz },
    { "csv", read_csv, check_csv }, { "text", read_text, check_text },
    { "names", read_names, NULL },  { "words", read_words, NULL },
};

static const struct format *find(const char *name)
{
    for (size_t i = 0; name && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

/* --- by the path --------------------------------------------------------------------------------
 */

static bool holds(const char *folder, const char *name)
{
    char path[4096];
    int size = snprintf(path, sizeof path - 4, "%s/%s", folder, name);

    if (size <= 0 || (size_t)size >= sizeof path - 4)
        return false;
    if (access(path, F_OK) == 0)
        return true;
    memcpy(path + size, ".gz", 4);
    return access(path, F_OK) == 0;
}

static const char *format_of_folder(const char *path)
{
    static const struct {
        const char *file, *format;
    } telling[] = {
        { "train-images-idx3-ubyte", "idx" },
        { "train-images.idx3-ubyte", "idx" },
        { "t10k-images-idx3-ubyte", "idx" },
        { "t10k-images.idx3-ubyte", "idx" },
        { "data_batch_1.bin", "cifar" },
        { "test_batch.bin", "cifar" },
        { "x.npy", "npy" },
        { "x_train.npy", "npy" },
        { "train.tsv", "words" },
    };

    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
        if (holds(path, telling[i].file))
            return telling[i].format;
    return NULL;
}

/* A file's by the end of its name, before .gz. */
static const char *format_of_file(const char *path)
{
    static const struct {
        const char *end, *format;
    } telling[] = { { ".csv", "csv" },  { ".tsv", "csv" },   { ".npz", "npz" },  { ".npy", "npy" },
                    { ".txt", "text" }, { "-ubyte", "idx" }, { ".bin", "cifar" } };
    size_t size = strlen(path);

    if (size > 3 && strcmp(path + size - 3, ".gz") == 0)
        size -= 3;
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        const size_t end = strlen(telling[i].end);

        if (size > end && memcmp(path + size - end, telling[i].end, end) == 0)
            return telling[i].format;
    }
    return NULL;
}

const char *tp_data_format(const char *path)
{
    static const char *const written[][2] = { { "verses", "text" },
                                              { "syllables", "names" },
                                              { "opinions", "words" } }; /* parts/sentences.h */
    struct stat about;
    const bool there = stat(path, &about) == 0;

    for (int i = 0; !there && i < 3; i++)
        if (strcmp(path, written[i][0]) == 0)
            return written[i][1];
    return there && S_ISDIR(about.st_mode) ? format_of_folder(path) : format_of_file(path);
}

struct data_set *tp_data_load(const char *format, const char *path,
                              const struct data_request *request, struct ir_error *error)
{
    struct reading r = { .path = path, .request = request };
    struct part_error part = { 0 };
    const struct format *f = find(format ? format : tp_data_format(path));
    struct data_set *set;

    if (!f) {
        ir_error(error, IR_REFUSED,
                 "%.200s: is no data that is known; expected a folder of IDX, CIFAR-10, x.npy or "
                 "train.tsv, a file .csv .tsv .npz .txt, or verses, syllables, opinions",
                 path);
        return NULL;
    }
    f->read(&r, &part);
    if (!tp_part_told(&part, error))
        return NULL;
    set = tp_data_take(part_of(&r), &r.columns, error);
    if (!set) {
        text_vocabulary_free(&r.vocabulary);
        return NULL;
    }
    set->vocabulary = r.vocabulary.entry;
    set->vocabulary_memory = r.vocabulary.memory;
    set->vocabulary_count = r.vocabulary.count;
    return set;
}

bool tp_data_verify(const char *format, const char *path, char said[100], struct ir_error *error)
{
    const struct format *f = find(format);
    struct part_error part = { 0 };

    if (!f || !f->check)
        return ir_error(error, IR_UNSUPPORTED, "%.200s: files of this kind are not verified", path);
    f->check(path, said, &part);
    return tp_part_told(&part, error);
}

/*
 * CIFAR-10's binary format: per record a label byte and 3,072 pixels: red, green, blue planes.
 *
 * A packed file does not say how many records it holds, so memory grows as they come.
 */
#ifndef PART_CIFAR_H
#define PART_CIFAR_H

enum { CIFAR_PIXELS = 3 * 32 * 32, CIFAR_CLASSES = 10, CIFAR_AT_ONCE = 64 };

struct cifar {
    int64_t rows, room;
    unsigned char *pixels;
    int32_t *labels;
};

/* One file's records behind those that are there; to NULL: they are only looked at. */
PART bool cifar_file(const char *path, struct cifar *to, struct part_error *error)
{
    enum { RECORD = 1 + CIFAR_PIXELS };
    unsigned char *chunk = malloc((size_t)CIFAR_AT_ONCE * RECORD);
    int64_t got = 1, records = 0;
    struct file f;

    if (!chunk)
        return part_no_memory(error, path);
    if (!file_open(&f, path, error)) {
        free(chunk);
        return false;
    }
    if (!f.packed && (f.bytes == 0 || f.bytes % RECORD))
        part_fail(error, PART_REFUSED, "%.250s: cifar: %llu bytes are not whole records of %d",
                  path, (unsigned long long)f.bytes, RECORD);
    while (!error->status && got > 0) {
        got = file_some(&f, chunk, (uint64_t)CIFAR_AT_ONCE * RECORD, error);
        if (got > 0 && got % RECORD)
            part_fail(error, PART_REFUSED, "%.250s: cifar: the last record has %lld bytes of %d",
                      path, (long long)(got % RECORD), RECORD);
        if (!error->status && to && to->rows + got / RECORD > to->room) {
            const int64_t room = to->room + to->room / 2 + CIFAR_AT_ONCE;
            unsigned char *pixels = realloc(to->pixels, (size_t)room * CIFAR_PIXELS);
            int32_t *labels = NULL;
            if (pixels)
                labels = realloc(to->labels, (size_t)room * sizeof *labels);

            to->pixels = pixels ? pixels : to->pixels;
            to->labels = labels ? labels : to->labels;
            to->room = labels ? room : to->room;
            if (!labels)
                part_no_memory(error, path);
        }
        for (const unsigned char *record = chunk; !error->status && record < chunk + got;
             record += RECORD, records++) {
            if (record[0] >= CIFAR_CLASSES)
                part_fail(error, PART_REFUSED,
                          "%.250s: cifar: record %lld is of class %d; want 0 to 9", path,
                          (long long)records, record[0]);
            if (!to)
                continue;
            to->labels[to->rows] = record[0];
            memcpy(to->pixels + to->rows++ * CIFAR_PIXELS, record + 1, CIFAR_PIXELS);
        }
    }
    if (!error->status && records == 0)
        part_fail(error, PART_REFUSED, "%.250s: cifar: holds no records", path);
    file_close(&f);
    free(chunk);
    return !error->status;
}

/* x u8 [3 32 32] and y i32 [] of a folder's data_batch_1.bin .. 5 ("train") or test_batch.bin. */
PART bool cifar_read(const char *folder, const char *part, struct columns *to,
                     struct part_error *error)
{
    const bool train = strcmp(part, "train") == 0;
    struct cifar all = { 0 };
    int files = 0;

    *to = (struct columns){ 0 };
    if (!train && strcmp(part, "test") != 0)
        return part_fail(error, PART_REFUSED,
                         "%.250s: there is no part \"%.40s\"; want train or test", folder, part);
    for (int batch = 1; !error->status && batch <= (train ? 5 : 1); batch++)
        for (int packed = 0; packed < 2; packed++) {
            char path[4096];
            int size = train ? snprintf(path, sizeof path, "%s/data_batch_%d.bin%s", folder, batch,
                                        packed ? ".gz" : "")
                             : snprintf(path, sizeof path, "%s/test_batch.bin%s", folder,
                                        packed ? ".gz" : "");
            if (size <= 0 || (size_t)size >= sizeof path || access(path, F_OK) != 0)
                continue;
            files++;
            cifar_file(path, &all, error);
            break;
        }
    if (!error->status && !files)
        part_fail(error, PART_REFUSED, "%.250s: has no %s, plain or .gz", folder,
                  train ? "data_batch_1.bin" : "test_batch.bin");
    const int64_t dim[] = { 3, 32, 32 };
    to->rows = all.rows;
    to->classes = CIFAR_CLASSES;
    if (!error->status && columns_add(to, "x", PART_U8, 3, dim, true, error) &&
        columns_add(to, "y", PART_I32, 0, NULL, true, error)) {
        to->column[0].rows = to->column[0].memory = all.pixels;
        to->column[1].rows = to->column[1].memory = all.labels;
        return true;
    }
    free(all.pixels);
    free(all.labels);
    return false;
}

#endif

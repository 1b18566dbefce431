/*
 * Numbers over the course of a run, as TensorBoard reads them: a file of records, each with its
 * length and two checksums, and in each a protocol buffer `Event` (tensorflow's event.proto and
 * summary.proto; CRC-32C of RFC 3720, masked as record_writer.cc does). And the same as JSON lines.
 *
 * A probe is a number or a histogram that the step has computed. Histograms have PROBE_BUCKETS
 * counts by sign and power of two: bucket 32 + k of positive numbers, 31 - k of negative ones,
 * where k = 0 is below 2^-23, k is 2^(k - 24) to 2^(k - 23), and 31 is 2^7 and more.
 */
#ifndef PART_EVENTS_H
#define PART_EVENTS_H

enum { PROBE_BUCKETS = 64 };

struct probe {
    const char *tag;  /* "grad_norm/fc1.weight" */
    bool histogram;   /* PROBE_BUCKETS counts, i32; else one f32 */
    const void *data; /* where the step leaves it */
};

struct events {
    FILE *file;
    char path[4096];
    uint32_t table[256]; /* of CRC-32C, by byte */
};

/* A record that is being made; what does not fit is an error of ours, for sizes are known. */
struct events_bytes {
    unsigned char at[4096];
    size_t size;
};

PART void events_put(struct events_bytes *b, const void *bytes, size_t size)
{
    if (b->size + size <= sizeof b->at) {
        memcpy(b->at + b->size, bytes, size);
        b->size += size;
    }
}

PART void events_varint(struct events_bytes *b, uint64_t number)
{
    do {
        const unsigned char byte = (unsigned char)((number & 127) | (number > 127 ? 128 : 0));
        events_put(b, &byte, 1);
        number >>= 7;
    } while (number);
}

/* Fields by number: 1 is eight bytes, 5 four, 2 so many bytes. */
PART void events_double(struct events_bytes *b, unsigned field, double number)
{
    events_varint(b, field << 3 | 1);
    events_put(b, &number, sizeof number);
}

PART void events_field(struct events_bytes *b, unsigned field, const void *bytes, size_t size)
{
    events_varint(b, field << 3 | 2);
    events_varint(b, size);
    events_put(b, bytes, size);
}

PART uint32_t events_crc(const struct events *e, const void *bytes, size_t size)
{
    uint32_t crc = ~0u;

    for (const unsigned char *at = (const unsigned char *)bytes, *end = at + size; at < end; at++)
        crc = e->table[(crc ^ *at) & 255] ^ crc >> 8;
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

PART bool events_record(struct events *e, const struct events_bytes *b, struct part_error *error)
{
    const uint64_t length = b->size;
    const uint32_t head = events_crc(e, &length, sizeof length),
                   tail = events_crc(e, b->at, b->size);

    return (fwrite(&length, sizeof length, 1, e->file) == 1 &&
            fwrite(&head, sizeof head, 1, e->file) == 1 &&
            fwrite(b->at, b->size, 1, e->file) == 1 &&
            fwrite(&tail, sizeof tail, 1, e->file) == 1 && fflush(e->file) == 0) ||
           part_fail(error, PART_FAILED, "%.250s: %s", e->path, strerror(errno));
}

PART void events_close(struct events *e)
{
    if (e->file)
        fclose(e->file);
    e->file = NULL;
}

PART double events_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A file of its own in the folder, which is made where it is not there. */
PART bool events_open(struct events *e, const char *folder, struct part_error *error)
{
    struct events_bytes b = { .size = 0 };
    int length;

    e->file = NULL;
    for (uint32_t i = 0; i < 256; i++) {
        e->table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            e->table[i] = e->table[i] >> 1 ^ (e->table[i] & 1 ? 0x82f63b78u : 0);
    }
    length = snprintf(e->path, sizeof e->path, "%s", folder);
    if (length < 1 || (size_t)length + 80 > sizeof e->path)
        return part_fail(error, PART_REFUSED, "a folder to log to has no name, or one too long");
    for (char *c = e->path + 1; *c; c++) /* a folder, and those it is in */
        if (*c == '/') {
            *c = 0;
            mkdir(e->path, 0777);
            *c = '/';
        }
    mkdir(e->path, 0777);
    for (int attempt = 0; attempt < 100 && !e->file; attempt++) {
        snprintf(e->path + length, sizeof e->path - (size_t)length,
                 "/events.out.tfevents.%010lld.taper.%ld.%d", (long long)time(NULL), (long)getpid(),
                 attempt);
        e->file = fopen(e->path, "wbx");
        if (!e->file && errno != EEXIST)
            break;
    }
    if (!e->file)
        return part_fail(error, PART_REFUSED, "%.250s: cannot be written: %s", folder,
                         strerror(errno));
    events_double(&b, 1, events_now());
    events_field(&b, 3, "brain.Event:2", 13);
    return events_record(e, &b, error);
}

/* Event { wall_time = 1, step = 2, summary = 5 { value = 1 { the value } } } */
PART bool events_value(struct events *e, int64_t step, const struct events_bytes *value,
                       struct part_error *error)
{
    struct events_bytes summary = { .size = 0 }, event = { .size = 0 };

    events_field(&summary, 1, value->at, value->size);
    events_double(&event, 1, events_now());
    events_varint(&event, 2 << 3);
    events_varint(&event, (uint64_t)step);
    events_field(&event, 5, summary.at, summary.size);
    return events_record(e, &event, error);
}

/* A number: value { tag = 1, simple_value = 2 } */
PART bool events_number(struct events *e, int64_t step, const char *tag, double number,
                        struct part_error *error)
{
    struct events_bytes value = { .size = 0 };
    const float single = (float)number;

    events_field(&value, 1, tag, strnlen(tag, 400));
    events_varint(&value, 2 << 3 | 5);
    events_put(&value, &single, sizeof single);
    return events_value(e, step, &value, error);
}

/* Where a bucket ends, and begins where the one before it does. */
PART double events_limit(int bucket)
{
    if (bucket == PROBE_BUCKETS - 1)
        return 1.7976931348623157e308;
    return bucket >= 32 ? ldexp(1, bucket - 32 - 23) : bucket == 31 ? 0 : -ldexp(1, 7 - bucket);
}

/* value { tag = 1, histo = 5 { min max num sum sum_squares bucket_limit bucket } }; a number counts
 * as the middle of its bucket, for it is not known nearer */
PART bool events_histogram(struct events *e, int64_t step, const char *tag, const int32_t *count,
                           struct part_error *error)
{
    struct events_bytes value = { .size = 0 }, histogram = { .size = 0 };
    double limit[PROBE_BUCKETS], bucket[PROBE_BUCKETS], all = 0, sum = 0, squares = 0;
    double least = 0, most = 0;
    bool any = false;

    for (int i = 0; i < PROBE_BUCKETS; i++) {
        const double from = i ? events_limit(i - 1) : -256, to = i < 63 ? events_limit(i) : 256;
        const double middle = (from + to) / 2;

        limit[i] = events_limit(i);
        bucket[i] = count[i];
        all += bucket[i];
        sum += bucket[i] * middle;
        squares += bucket[i] * middle * middle;
        if (count[i] && !any)
            least = from;
        if (count[i])
            most = to;
        any |= count[i] != 0;
    }
    events_double(&histogram, 1, least);
    events_double(&histogram, 2, most);
    events_double(&histogram, 3, all);
    events_double(&histogram, 4, sum);
    events_double(&histogram, 5, squares);
    events_field(&histogram, 6, limit, sizeof limit);
    events_field(&histogram, 7, bucket, sizeof bucket);
    events_field(&value, 1, tag, strnlen(tag, 400));
    events_field(&value, 5, histogram.at, histogram.size);
    return events_value(e, step, &value, error);
}

PART bool events_probes(struct events *e, int64_t step, int count, const struct probe *probe,
                        struct part_error *error)
{
    bool good = true;

    for (int i = 0; i < count && good; i++)
        good = probe[i].histogram
                   ? events_histogram(e, step, probe[i].tag, (const int32_t *)probe[i].data, error)
                   : events_number(e, step, probe[i].tag, (double)*(const float *)probe[i].data,
                                   error);
    return good;
}

/* {"event":"probe","step":7,"grad_norm/fc1.weight":0.25,"gradients/fc1.weight":[0,0,..]} */
PART void events_print(int64_t step, int count, const struct probe *probe)
{
    printf("{\"event\":\"probe\",\"step\":%lld", (long long)step);
    for (int i = 0; i < count; i++) {
        if (!probe[i].histogram) {
            report_number(probe[i].tag, (double)*(const float *)probe[i].data);
            continue;
        }
        printf(",\"%s\":[", probe[i].tag);
        for (int k = 0; k < PROBE_BUCKETS; k++)
            printf(k ? ",%d" : "%d", ((const int32_t *)probe[i].data)[k]);
        printf("]");
    }
    printf("}\n");
}

#endif

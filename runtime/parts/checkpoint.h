/*
 * Everything that a run goes on from, in one file with a checksum over all of it.
 *
 *     "taperck1"  bytes of the file  numbers  states           eight bytes each
 *     each number: its name in 24 bytes, 64 bits
 *     each state:  bytes of its name, type, rank, 0 (four bytes each), rank sizes (eight each),
 *                  the name, the values row-major; both filled up with zeros to eight bytes
 *     CRC-64 (ECMA-182, reflected) of all that
 *
 * A file is written aside, forced to the disk and renamed; the one before it stays as PATH.1. So
 * whenever a run is killed, the newest whole one is there. A file is checked as a whole before the
 * first value changes, and a run only takes up what is its own: names, types and shapes must be
 * equal, and the numbers that are marked so.
 */
#ifndef PART_CHECKPOINT_H
#define PART_CHECKPOINT_H

enum { CHECKPOINT_RANK = 8, CHECKPOINT_NAME = 24, CHECKPOINT_LONGEST = 4096 };

struct checkpoint_number {
    char name[CHECKPOINT_NAME];
    uint64_t bits;
    bool same;  /* the file's must be equal, and is a count */
    bool there; /* in the file that was read */
};

struct checkpoint_state {
    const char *name;
    enum part_type type;
    int rank;
    int64_t dim[CHECKPOINT_RANK];
    void *values; /* row-major; or NULL where there is a `move` */
};

struct checkpoint {
    int numbers, states;
    struct checkpoint_number *number;
    const struct checkpoint_state *state;
    /* Values that do not lie row-major: to `plain` with out, else from it. False: no memory. */
    bool (*move)(void *user, int state, void *plain, bool out);
    void *user;
};

PART uint64_t checkpoint_bytes(const struct checkpoint_state *s)
{
    uint64_t elements;

    return part_elements(s->rank, s->dim, &elements) ? elements * part_types[s->type].bytes : 0;
}

/* --- the checksum: eight bytes a turn -----------------------------------------------------------
 */

struct checkpoint_sum {
    uint64_t crc, table[8][256];
};

PART void checkpoint_sum_begin(struct checkpoint_sum *s)
{
    s->crc = ~(uint64_t)0;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t crc = byte;

        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xc96c5795d7870f42u : crc >> 1;
        s->table[0][byte] = crc;
    }
    for (unsigned byte = 0; byte < 256; byte++)
        for (int k = 1; k < 8; k++)
            s->table[k][byte] =
                s->table[k - 1][byte] >> 8 ^ s->table[0][s->table[k - 1][byte] & 255];
}

PART void checkpoint_sum_add(struct checkpoint_sum *s, const void *bytes, uint64_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t crc = s->crc, eight;

    for (; size >= 8; size -= 8, at += 8) {
        memcpy(&eight, at, 8);
        eight ^= crc;
        crc = 0;
        for (int k = 0; k < 8; k++)
            crc ^= s->table[7 - k][eight >> 8 * k & 255];
    }
    for (; size; size--, at++)
        crc = crc >> 8 ^ s->table[0][(crc ^ *at) & 255];
    s->crc = crc;
}

/* --- writing ------------------------------------------------------------------------------------
 */

struct checkpoint_writer {
    struct aside file;
    struct checkpoint_sum sum;
};

PART bool checkpoint_put(struct checkpoint_writer *w, const void *bytes, uint64_t size,
                         struct part_error *error)
{
    static const char zeros[8] = { 0 };

    checkpoint_sum_add(&w->sum, bytes, size);
    checkpoint_sum_add(&w->sum, zeros, -size % 8);
    return aside_write(&w->file, bytes, size, error) &&
           aside_write(&w->file, zeros, -size % 8, error);
}

PART bool checkpoint_put_all(struct checkpoint_writer *w, const struct checkpoint *c, void *scratch,
                             struct part_error *error)
{
    uint64_t head[4] = { 0, 40, (uint64_t)c->numbers, (uint64_t)c->states };
    bool ok;

    memcpy(head, "taperck1", 8);
    head[1] += 32 * (uint64_t)c->numbers;
    for (int i = 0; i < c->states; i++)
        head[1] += 16 + 8 * (uint64_t)c->state[i].rank + (strlen(c->state[i].name) + 7) / 8 * 8 +
                   (checkpoint_bytes(&c->state[i]) + 7) / 8 * 8;
    checkpoint_sum_begin(&w->sum);
    ok = checkpoint_put(w, head, sizeof head, error);
    for (int i = 0; ok && i < c->numbers; i++)
        ok = checkpoint_put(w, c->number[i].name, CHECKPOINT_NAME, error) &&
             checkpoint_put(w, &c->number[i].bits, 8, error);
    for (int i = 0; ok && i < c->states; i++) {
        const struct checkpoint_state *s = &c->state[i];
        const uint32_t about[4] = { (uint32_t)strlen(s->name), (uint32_t)s->type, (uint32_t)s->rank,
                                    0 };

        ok = checkpoint_put(w, about, sizeof about, error) &&
             checkpoint_put(w, s->dim, 8 * (uint64_t)s->rank, error) &&
             checkpoint_put(w, s->name, about[0], error);
        if (ok && c->move && !c->move(c->user, i, scratch, true))
            ok = part_no_memory(error, w->file.path);
        ok = ok && checkpoint_put(w, c->move ? scratch : s->values, checkpoint_bytes(s), error);
    }
    return ok && aside_write(&w->file, &w->sum.crc, 8, error);
}

/* The file that is there becomes PATH.1, and is never not there where the system has links. */
PART void checkpoint_keep(const char *path)
{
    char older[ASIDE_PATH], link_path[ASIDE_PATH];

    if ((size_t)snprintf(older, sizeof older, "%s.1", path) >= sizeof older ||
        (size_t)snprintf(link_path, sizeof link_path, "%s.1.tmp", path) >= sizeof link_path)
        return;
    unlink(link_path);
    if (link(path, link_path) == 0)
        rename(link_path, older);
    else if (errno != ENOENT)
        rename(path, older);
}

/* Room for the greatest state, where they have to be moved. */
PART bool checkpoint_scratch(const struct checkpoint *c, const char *path, void **scratch,
                             struct part_error *error)
{
    uint64_t most = 1;

    for (int i = 0; i < c->states; i++)
        if (checkpoint_bytes(&c->state[i]) > most)
            most = checkpoint_bytes(&c->state[i]);
    *scratch = c->move ? (char *)malloc(most) : NULL;
    return !c->move || *scratch || part_no_memory(error, path);
}

PART bool checkpoint_write(const char *path, const struct checkpoint *c, struct part_error *error)
{
    struct checkpoint_writer *w = malloc(sizeof *w);
    void *scratch = NULL;

    if (!w)
        return part_no_memory(error, path);
    if (checkpoint_scratch(c, path, &scratch, error) && aside_open(&w->file, path, false, error)) {
        if (checkpoint_put_all(w, c, scratch, error) && aside_finish(&w->file, error)) {
            checkpoint_keep(path);
            aside_commit(&w->file, error);
        }
        if (error->status)
            aside_abandon(&w->file);
    }
    free(scratch);
    free(w);
    return !error->status;
}

/* --- reading ------------------------------------------------------------------------------------
 */

struct checkpoint_file {
    const char *path;
    int descriptor;
    uint64_t bytes, at, numbers, states;
};

PART bool checkpoint_refuse(const struct checkpoint_file *f, const char *what,
                            struct part_error *error)
{
    return part_fail(error, PART_REFUSED, "%.200s: checkpoint: %s", f->path, what);
}

/* The next bytes; those of the sum at the end are none of them. */
PART bool checkpoint_get(struct checkpoint_file *f, void *to, uint64_t size,
                         struct part_error *error)
{
    if (size > f->bytes - 8 - f->at)
        return checkpoint_refuse(f, "it says less than it should", error);
    for (uint64_t done = 0; done < size;) {
        ssize_t got = pread(f->descriptor, (char *)to + done, size - done, (off_t)(f->at + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return part_fail(error, PART_FAILED, "%.200s: reading failed: %s", f->path,
                             got < 0 ? strerror(errno) : "it has become shorter");
        done += (uint64_t)got;
    }
    f->at += size;
    return true;
}

PART bool checkpoint_sum_fits(struct checkpoint_file *f, struct part_error *error)
{
    enum { CHUNK = 1 << 16 };
    struct checkpoint_sum *sum = malloc(sizeof *sum + CHUNK);
    char *chunk = (char *)(sum + 1);
    uint64_t stored;
    bool ok = sum != NULL;

    if (!ok)
        return part_no_memory(error, f->path);
    checkpoint_sum_begin(sum);
    f->at = 0;
    for (uint64_t left = f->bytes - 8, size; ok && left; left -= size) {
        size = left < CHUNK ? left : CHUNK;
        ok = checkpoint_get(f, chunk, size, error);
        if (ok)
            checkpoint_sum_add(sum, chunk, size);
    }
    f->bytes += 8; /* the sum itself is read once */
    ok = ok && checkpoint_get(f, &stored, 8, error);
    f->bytes -= 8;
    ok = ok &&
         (stored == sum->crc || checkpoint_refuse(f, "damaged: its checksum does not fit", error));
    free(sum);
    return ok;
}

PART void checkpoint_close(struct checkpoint_file *f)
{
    if (f->descriptor >= 0)
        close(f->descriptor);
    f->descriptor = -1;
}

/* Whole and undamaged, with the place after its head; closed again when it is not. */
PART bool checkpoint_open(struct checkpoint_file *f, const char *path, struct part_error *error)
{
    uint64_t head[4];
    struct stat status;

    *f = (struct checkpoint_file){ .path = path };
    f->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->descriptor < 0)
        return part_fail(error, PART_REFUSED, "%.200s: cannot be read: %s", path, strerror(errno));
    if (fstat(f->descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        part_fail(error, PART_REFUSED, "%.200s: is not a plain file", path);
    else if ((f->bytes = (uint64_t)status.st_size) < 40)
        checkpoint_refuse(f, "damaged: shorter than any", error);
    else if (checkpoint_get(f, head, sizeof head, error) && memcmp(head, "taperck1", 8) != 0)
        checkpoint_refuse(f, "it is none", error);
    if (!error->status && (head[1] != f->bytes || f->bytes % 8))
        part_fail(error, PART_REFUSED,
                  "%.200s: checkpoint: damaged: it should have %llu bytes and has %llu", path,
                  (unsigned long long)head[1], (unsigned long long)f->bytes);
    if (!error->status && checkpoint_sum_fits(f, error)) {
        f->at = sizeof head;
        f->numbers = head[2];
        f->states = head[3];
        if (f->numbers > f->bytes / 32 || f->states > f->bytes / 16)
            checkpoint_refuse(f, "it says less than it should", error);
    }
    if (error->status)
        checkpoint_close(f);
    return !error->status;
}

/* The next state's description; its values come next. */
PART bool checkpoint_next(struct checkpoint_file *f, struct checkpoint_state *s,
                          char name[CHECKPOINT_LONGEST + 8], struct part_error *error)
{
    uint32_t about[4];
    uint64_t elements;

    *s = (struct checkpoint_state){ .name = name };
    if (!checkpoint_get(f, about, sizeof about, error))
        return false;
    if (about[0] > CHECKPOINT_LONGEST || about[1] >= PART_TYPES || about[2] > CHECKPOINT_RANK)
        return checkpoint_refuse(f, "a state's name, type or rank is none", error);
    s->type = (enum part_type)about[1];
    s->rank = (int)about[2];
    if (!checkpoint_get(f, s->dim, 8 * (uint64_t)s->rank, error) ||
        !checkpoint_get(f, name, (about[0] + 7u) / 8 * 8, error))
        return false;
    name[about[0]] = 0;
    if (strlen(name) != about[0] || !part_elements(s->rank, s->dim, &elements) ||
        elements * part_types[s->type].bytes > f->bytes)
        return checkpoint_refuse(f, "a state's name or shape is none", error);
    return true;
}

/* "f32[120 400]" */
PART const char *checkpoint_shape(const struct checkpoint_state *s, char text[200])
{
    int size = snprintf(text, 200, "%s[", part_types[s->type].name);

    for (int axis = 0; axis < s->rank; axis++)
        size += snprintf(text + size, 200 - (size_t)size, "%s%lld", axis ? " " : "",
                         (long long)s->dim[axis]);
    snprintf(text + size, 200 - (size_t)size, "]");
    return text;
}

PART bool checkpoint_numbers(struct checkpoint_file *f, struct checkpoint *c,
                             struct part_error *error)
{
    struct checkpoint_number stored;

    for (int k = 0; k < c->numbers; k++)
        c->number[k].there = false;
    for (uint64_t i = 0; i < f->numbers; i++) {
        if (!checkpoint_get(f, stored.name, CHECKPOINT_NAME, error) ||
            !checkpoint_get(f, &stored.bits, 8, error))
            return false;
        for (int k = 0; k < c->numbers; k++) {
            struct checkpoint_number *n = &c->number[k];

            if (strncmp(n->name, stored.name, CHECKPOINT_NAME) != 0)
                continue;
            if (n->same && n->bits != stored.bits)
                return part_fail(error, PART_REFUSED,
                                 "%.200s: checkpoint: it was made with %s %lld; here it is %lld",
                                 f->path, n->name, (long long)stored.bits, (long long)n->bits);
            n->bits = stored.bits;
            n->there = true;
        }
    }
    for (int k = 0; k < c->numbers; k++)
        if (!c->number[k].there)
            return part_fail(error, PART_REFUSED,
                             "%.200s: checkpoint: of another kind: it says no \"%s\"", f->path,
                             c->number[k].name);
    return true;
}

/* Where each of our states lies in the file: all of its and all of ours, each once. */
PART bool checkpoint_match(struct checkpoint_file *f, const struct checkpoint *c, uint64_t place[],
                           struct part_error *error)
{
    char name[CHECKPOINT_LONGEST + 8], there[200], here[200];

    for (uint64_t i = 0; i < f->states; i++) {
        struct checkpoint_state s;
        int k = 0;

        if (!checkpoint_next(f, &s, name, error))
            return false;
        if (i < (uint64_t)c->states && strcmp(c->state[i].name, name) == 0)
            k = (int)i; /* as a rule they come in our order */
        else
            while (k < c->states && strcmp(c->state[k].name, name) != 0)
                k++;
        if (k == c->states || place[k])
            return part_fail(
                error, PART_REFUSED, "%.200s: checkpoint: of another model: its state \"%.80s\" %s",
                f->path, name, k == c->states ? "is not one of this" : "is there twice");
        if (s.type != c->state[k].type || s.rank != c->state[k].rank ||
            memcmp(s.dim, c->state[k].dim, (size_t)s.rank * sizeof *s.dim) != 0)
            return part_fail(
                error, PART_REFUSED,
                "%.120s: checkpoint: of another model: \"%.80s\" is %.60s there, %.60s here",
                f->path, name, checkpoint_shape(&s, there), checkpoint_shape(&c->state[k], here));
        place[k] = f->at;
        f->at += (checkpoint_bytes(&s) + 7) / 8 * 8;
        if (f->at > f->bytes - 8)
            return checkpoint_refuse(f, "it says less than it should", error);
    }
    for (int k = 0; k < c->states; k++)
        if (!place[k])
            return part_fail(error, PART_REFUSED,
                             "%.200s: checkpoint: of another model: it has no state \"%.80s\"",
                             f->path, c->state[k].name);
    return f->at == f->bytes - 8 || checkpoint_refuse(f, "something follows its states", error);
}

/* From an open file. No state changes unless all of them fit; the numbers count when it is true. */
PART bool checkpoint_take(struct checkpoint_file *f, struct checkpoint *c, struct part_error *error)
{
    uint64_t *place = calloc((size_t)c->states + 1, sizeof *place);
    void *scratch = NULL;

    if (!place)
        return part_no_memory(error, f->path);
    if (checkpoint_numbers(f, c, error) && checkpoint_match(f, c, place, error) &&
        checkpoint_scratch(c, f->path, &scratch, error))
        for (int i = 0; i < c->states && !error->status; i++) {
            void *to = c->move ? scratch : c->state[i].values;

            f->at = place[i];
            if (checkpoint_get(f, to, checkpoint_bytes(&c->state[i]), error) && c->move &&
                !c->move(c->user, i, to, false))
                part_no_memory(error, f->path);
        }
    free(scratch);
    free(place);
    return !error->status;
}

/*
 * The newest sound one of PATH and PATH.1. `said` is empty, or one line of what was not the newest
 * and why.
 */
PART bool checkpoint_read(const char *path, struct checkpoint *c, char said[400],
                          struct part_error *error)
{
    struct part_error older_error = { 0 };
    struct checkpoint_file f;
    char older[ASIDE_PATH];
    bool done;

    said[0] = 0;
    if (!checkpoint_open(&f, path, error)) {
        if (error->status != PART_REFUSED ||
            (size_t)snprintf(older, sizeof older, "%s.1", path) >= sizeof older ||
            !checkpoint_open(&f, older, &older_error))
            return false;
        snprintf(said, 400, "%.280s; going on from %.80s", error->text, older);
        *error = (struct part_error){ 0 };
    }
    done = checkpoint_take(&f, c, error);
    checkpoint_close(&f);
    return done;
}

/* Is a file sound? Tells what it holds. */
PART bool checkpoint_check(const char *path, uint64_t *states, uint64_t *values,
                           struct part_error *error)
{
    char name[CHECKPOINT_LONGEST + 8];
    struct checkpoint none = { 0 };
    struct checkpoint_state s;
    struct checkpoint_file f;

    *values = 0;
    if (!checkpoint_open(&f, path, error))
        return false;
    *states = f.states;
    checkpoint_numbers(&f, &none, error);
    for (uint64_t i = 0; i < f.states && !error->status; i++)
        if (checkpoint_next(&f, &s, name, error)) {
            *values += checkpoint_bytes(&s);
            f.at += (checkpoint_bytes(&s) + 7) / 8 * 8;
            if (f.at > f.bytes - 8)
                checkpoint_refuse(&f, "it says less than it should", error);
        }
    if (!error->status && f.at != f.bytes - 8)
        checkpoint_refuse(&f, "something follows its states", error);
    checkpoint_close(&f);
    return !error->status;
}

/* --- what `taper train` and a trainer keep besides the states -----------------------------------
 */

struct checkpoint_run {
    int64_t seed,
        order; /* of all chance; of the rows' order, -1: not shuffled. Must be equal, and */
    int64_t rows, batch;             /* of an epoch, of a step */
    int64_t position, ended;         /* in the data: struct batches */
    int64_t step, epoch, batches;    /* steps taken; the epoch under way, from 1, and its steps */
    double loss, seen;               /* of this epoch: sums of loss * rows and of rows */
    double last_loss, last_accuracy; /* of the epoch before */
};

enum { CHECKPOINT_RUN = 13, CHECKPOINT_SAME = 4 };

PART void checkpoint_of_run(const struct checkpoint_run *run, struct checkpoint_number number[])
{
    static const char name[CHECKPOINT_RUN][CHECKPOINT_NAME] = {
        "seed",  "order",   "rows", "batch", "position",  "ended",         "step",
        "epoch", "batches", "loss", "seen",  "last loss", "last accuracy",
    };

    for (int i = 0; i < CHECKPOINT_RUN; i++) {
        memcpy(number[i].name, name[i], CHECKPOINT_NAME);
        memcpy(&number[i].bits, (const char *)run + 8 * i, 8);
        number[i].same = i < CHECKPOINT_SAME;
    }
}

PART void checkpoint_to_run(const struct checkpoint_number number[], struct checkpoint_run *run)
{
    for (int i = 0; i < CHECKPOINT_RUN; i++)
        memcpy((char *)run + 8 * i, &number[i].bits, 8);
}

_Static_assert(sizeof(struct checkpoint_run) == 8 * CHECKPOINT_RUN, "its numbers, in their order");

#endif

/*
 * external: numbers that stand in files beside the model, which is where models past 2 GiB have
 * them. They are read into the message, as if they had stood there: nothing else knows of them.
 *
 * A file's name was chosen by whoever made the model. So it leads below the model's folder and
 * through no link, what is read is a plain file and long enough, and bytes are read a second time
 * only within a bound: a small model cannot ask for more memory than its files are long.
 */
#define _POSIX_C_SOURCE 200809L
#include "frontend/onnx/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AGAIN = 64 << 20, NAME = 1000, DIGITS = 18 };

struct source { /* a file that some numbers were read from */
    dev_t device;
    ino_t inode;
    uint64_t left; /* bytes that were not asked for yet, as far as lengths tell */
};

struct fetching {
    const char *path, *file; /* of the model; file without the folder */
    struct source *source;
    size_t count, room;
    uint64_t again; /* bytes beyond a file's own that may still be asked for */
    struct ir_error *error;
};

struct place { /* what a tensor says of its numbers */
    const char *name;
    uint64_t offset, length;
    char where[200];
};

static bool refuse(const struct fetching *f, const struct place *p, const char *what)
{
    return ir_error(f->error, IR_REFUSED, "%.190s: its numbers are in \"%.80s\", %.90s", p->where,
                    p->name, what);
}

/* --- where they are -----------------------------------------------------------------------------
 */

static const char *entry(const Onnx__TensorProto *t, const char *key)
{
    for (size_t i = 0; i < t->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = t->external_data[i];
        if (e->key && e->value && strcmp(e->key, key) == 0)
            return e->value;
    }
    return NULL;
}

static bool number(const char *text, uint64_t *value)
{
    const size_t digits = strspn(text, "0123456789");

    *value = strtoull(text, NULL, 10);
    return digits > 0 && digits <= DIGITS && !text[digits];
}

/* The next word between slashes, and what is behind it. */
static size_t word(const char **at)
{
    *at += strspn(*at, "/");
    return strcspn(*at, "/");
}

static bool stays_below(const char *name)
{
    size_t size;

    if (*name == '/' || strlen(name) > NAME)
        return false;
    for (const char *at = name; (size = word(&at)) > 0; at += size)
        if (size == 2 && memcmp(at, "..", 2) == 0)
            return false;
    return true;
}

static bool placed(const struct fetching *f, const Onnx__TensorProto *t, uint64_t bytes,
                   struct place *p)
{
    const char *offset = entry(t, "offset"), *length = entry(t, "length");

    p->name = entry(t, "location");
    p->length = bytes;
    if (!p->name || !*p->name)
        return ir_error(f->error, IR_REFUSED,
                        "%.220s: its numbers are in another file, of which no location is told",
                        p->where);
    if (!stays_below(p->name))
        return refuse(f, p, "which may lead elsewhere; expected a file in the model's folder");
    if (t->has_raw_data || t->n_float_data || t->n_int32_data || t->n_int64_data ||
        t->n_double_data || t->n_uint64_data)
        return refuse(f, p, "and others stand in the model; expected one of both");
    if ((offset && !number(offset, &p->offset)) || (length && !number(length, &p->length)))
        return refuse(f, p, "at an offset or of a length that is no number");
    if (p->length != bytes)
        return ir_error(f->error, IR_REFUSED,
                        "%.190s: has %llu bytes in \"%.80s\"; expected %llu, as its shape says",
                        p->where, (unsigned long long)p->length, p->name,
                        (unsigned long long)bytes);
    return true;
}

/* --- the file -----------------------------------------------------------------------------------
 */

/* Word by word from the model's folder on; -1 with errno. */
static int open_below(const char *path, const char *file, const char *name)
{
    char folder[4096] = ".", part[NAME + 1];
    size_t size = (size_t)(file - path);
    int at;

    if (size >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (size)
        memcpy(folder, path, size), folder[size] = 0;
    at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0 && (size = word(&name)) > 0) {
        const int above = at, flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
        memcpy(part, name, size);
        part[size] = 0;
        name += size;
        at = openat(above, part, flags | (*name ? O_DIRECTORY : 0));
        const int failed = errno;
        close(above);
        errno = failed;
    }
    return at;
}

static bool account(struct fetching *f, const struct stat *about, uint64_t bytes)
{
    struct source *s = NULL;
    uint64_t fresh;

    for (size_t i = 0; i < f->count && !s; i++)
        if (f->source[i].device == about->st_dev && f->source[i].inode == about->st_ino)
            s = &f->source[i];
    if (!s) {
        if (f->count == f->room) {
            const size_t room = 2 * f->room + 8;
            void *more = realloc(f->source, room * sizeof *f->source);
            if (!more)
                return ir_error(f->error, IR_FAILED, "%.200s: not enough memory", f->path);
            f->source = more;
            f->room = room;
        }
        s = &f->source[f->count++];
        *s = (struct source){ about->st_dev, about->st_ino, (uint64_t)about->st_size };
    }
    fresh = bytes < s->left ? bytes : s->left;
    s->left -= fresh;
    if (bytes - fresh > f->again)
        return ir_error(f->error, IR_REFUSED,
                        "%.200s: takes the same bytes of its files again and again", f->path);
    f->again -= bytes - fresh;
    return true;
}

static bool read_at(int descriptor, uint8_t *to, uint64_t size, uint64_t offset)
{
    while (size) {
        const ssize_t got = pread(descriptor, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        size -= (uint64_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

/* The numbers as bytes of the tensor's own, which free_unpacked() gives back. */
static bool fetch_from(struct fetching *f, Onnx__TensorProto *t, const struct place *p,
                       int descriptor)
{
    struct stat about;
    uint8_t *bytes;

    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode))
        return refuse(f, p, "which is no plain file");
    if (p->offset > (uint64_t)about.st_size || p->length > (uint64_t)about.st_size - p->offset)
        return ir_error(f->error, IR_REFUSED,
                        "%.190s: needs %llu bytes from %llu on in \"%.80s\", which has %lld",
                        p->where, (unsigned long long)p->length, (unsigned long long)p->offset,
                        p->name, (long long)about.st_size);
    if (!account(f, &about, p->length))
        return false;
    bytes = malloc(p->length + 1);
    if (!bytes)
        return ir_error(f->error, IR_FAILED, "%.200s: not enough memory", p->where);
    if (!read_at(descriptor, bytes, p->length, p->offset)) {
        free(bytes);
        return ir_error(f->error, IR_FAILED, "%.190s: \"%.80s\" cannot be read", p->where, p->name);
    }
    t->raw_data = (ProtobufCBinaryData){ .len = p->length, .data = bytes };
    t->has_raw_data = true;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    return true;
}

static bool fetch(struct fetching *f, Onnx__TensorProto *t)
{
    struct place p = { 0 };
    uint64_t bytes;
    int descriptor;
    bool ok;

    if (t->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return true;
    snprintf(p.where, sizeof p.where, "%.90s: tensor \"%.80s\"", f->file, t->name ? t->name : "");
    if (!tp_onnx_check_shape(t, p.where, &bytes, f->error) || !placed(f, t, bytes, &p))
        return false;
    descriptor = open_below(f->path, f->file, p.name);
    if (descriptor < 0)
        return refuse(f, &p,
                      errno == ELOOP ? "which is a link; expected a plain file" : strerror(errno));
    ok = fetch_from(f, t, &p, descriptor);
    close(descriptor);
    return ok;
}

/* --- all of a model's ---------------------------------------------------------------------------
 */

static bool fetch_graph(struct fetching *f, const Onnx__GraphProto *g);

static bool fetch_nodes(struct fetching *f, size_t count, Onnx__NodeProto *const *node)
{
    bool ok = true;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; ok && k < node[i]->n_attribute; k++) {
            const Onnx__AttributeProto *a = node[i]->attribute[k];
            ok = (!a->t || fetch(f, a->t)) && (!a->g || fetch_graph(f, a->g));
            for (size_t j = 0; ok && j < a->n_tensors; j++)
                ok = fetch(f, a->tensors[j]);
            for (size_t j = 0; ok && j < a->n_graphs; j++)
                ok = fetch_graph(f, a->graphs[j]);
        }
    return ok;
}

static bool fetch_graph(struct fetching *f, const Onnx__GraphProto *g)
{
    bool ok = true;

    for (size_t i = 0; ok && i < g->n_initializer; i++)
        ok = fetch(f, g->initializer[i]);
    return ok && fetch_nodes(f, g->n_node, g->node);
}

bool tp_onnx_fetch(const struct onnx_model *m, struct ir_error *error)
{
    struct fetching f = { .path = m->path, .file = m->file, .again = AGAIN, .error = error };
    bool ok = fetch_graph(&f, m->graph);

    for (size_t i = 0; ok && i < m->proto->n_functions; i++)
        ok = fetch_nodes(&f, m->proto->functions[i]->n_node, m->proto->functions[i]->node);
    free(f.source);
    return ok;
}

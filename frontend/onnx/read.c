/*
 * read: an ONNX file as messages in memory. The wire format is walked once before it is unpacked,
 * by the same descriptors, so that what unpacking costs in stack and memory is known beforehand.
 */
#include "frontend/onnx/read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEEPEST = 24, HEADER = 16, LARGEST = 2147483647, SPARE = 96 << 20 };

struct scan {
    int64_t left; /* bytes that unpacking may still take */
    const char *wrong;
};

static bool wrong(struct scan *s, const char *what)
{
    s->wrong = s->wrong ? s->wrong : what;
    return false;
}

static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 70 && *at < end; shift += 7) {
        const uint8_t byte = *(*at)++;
        *value |= shift < 64 ? (uint64_t)(byte & 127) << shift : 0;
        if (!(byte & 128))
            return true;
    }
    return false;
}

static bool spend(struct scan *s, int64_t bytes)
{
    s->left -= bytes;
    return s->left >= 0 || wrong(s, "would take far more memory than its size");
}

/* What one element of a repeated field takes. */
static int64_t width(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return 8;
    }
}

static int wire_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 2;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return 5;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return 1;
    default:
        return 0;
    }
}

/* A string or a list as bytes, or a message in the message. */
static bool scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, const uint8_t *at,
                         const uint8_t *end, int depth);

static bool scan_length(struct scan *s, const ProtobufCFieldDescriptor *f, const uint8_t *at,
                        uint64_t size, int depth)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return spend(s, HEADER + width(f)) &&
               scan_message(s, f->descriptor, at, at + size, depth + 1);
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return (memchr(at, 0, size) == NULL || wrong(s, "has a name with a zero byte")) &&
               spend(s, (int64_t)size + 1 + HEADER + width(f));
    if (f->type == PROTOBUF_C_TYPE_BYTES)
        return spend(s, (int64_t)size + HEADER + width(f));
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return wrong(s, "has a list where one number is expected");
    return spend(s, wire_of(f) ? (int64_t)size : 8 * (int64_t)size);
}

static bool scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, const uint8_t *at,
                         const uint8_t *end, int depth)
{
    uint64_t seen[2] = { 0,
                         0 }; /* fields that may stand there once; no message has more than 128 */

    if (depth > DEEPEST)
        return wrong(s, "is nested too deep");
    if (!spend(s, (int64_t)type->sizeof_message))
        return false;
    while (at < end) {
        const ProtobufCFieldDescriptor *f;
        uint64_t tag, size = 0;
        int wire;

        if (!varint(&at, end, &tag) || tag >> 3 == 0 || tag >> 3 >= 1 << 29)
            return wrong(s, "is cut off or no protocol buffer");
        wire = (int)(tag & 7);
        if (wire == 0 ? !varint(&at, end, &size) : wire == 2 && !varint(&at, end, &size))
            return wrong(s, "is cut off");
        if (wire != 0 && wire != 1 && wire != 2 && wire != 5)
            return wrong(s, "is no protocol buffer");
        if (wire == 0)
            size = 0;
        else if (wire != 2)
            size = wire == 1 ? 8 : 4;
        if (size > (uint64_t)(end - at))
            return wrong(s, "is cut off");
        f = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        if (!f) {
            if (!spend(s, (int64_t)size + 64)) /* kept as it is */
                return false;
        } else if (wire == 2) {
            if ((wire_of(f) != 2 && f->label != PROTOBUF_C_LABEL_REPEATED) ||
                !scan_length(s, f, at, size, depth))
                return wrong(s, "has a field of another kind than the format says");
        } else if (wire != wire_of(f)) {
            return wrong(s, "has a field of another kind than the format says");
        } else if (!spend(s, f->label == PROTOBUF_C_LABEL_REPEATED ? 2 * width(f) : 0)) {
            return false;
        }
        if (f && f->label != PROTOBUF_C_LABEL_REPEATED) {
            const unsigned i = (unsigned)(f - type->fields);
            if (f->type == PROTOBUF_C_TYPE_MESSAGE && i < 128 && seen[i / 64] >> i % 64 & 1)
                return wrong(s, "has a part twice that may be there once");
            if (i < 128)
                seen[i / 64] |= (uint64_t)1 << i % 64;
        }
        at += size;
    }
    return true;
}

/* The whole file; free() it. */
static uint8_t *contents(const char *path, size_t *size, struct ir_error *error)
{
    struct stat about;
    FILE *file = stat(path, &about) == 0 && !S_ISREG(about.st_mode) ? NULL : fopen(path, "rb");
    uint8_t *bytes = NULL;

    if (!file) {
        ir_error(error, IR_REFUSED, "%.200s: cannot be read: %s", path,
                 errno ? strerror(errno) : "is not a plain file");
        return NULL;
    }
    if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode))
        ir_error(error, IR_REFUSED, "%.200s: is not a plain file", path);
    else if (about.st_size > LARGEST)
        ir_error(error, IR_REFUSED, "%.200s: more than 2 GiB; expected less", path);
    else if (!(bytes = malloc((size_t)about.st_size + 1)))
        ir_error(error, IR_FAILED, "%.200s: not enough memory", path);
    if (bytes) {
        *size = fread(bytes, 1, (size_t)about.st_size, file);
        if (*size != (size_t)about.st_size) {
            ir_error(error, IR_FAILED, "%.200s: it cannot be read", path);
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(file);
    return bytes;
}

void *tp_onnx_unpack(const char *path, const ProtobufCMessageDescriptor *type,
                     struct ir_error *error)
{
    size_t size = 0;
    uint8_t *bytes = contents(path, &size, error);
    struct scan s = { .left = SPARE + 3 * (int64_t)size };
    void *message = NULL;

    if (!bytes)
        return NULL;
    if (size == 0)
        ir_error(error, IR_REFUSED, "%.200s: is empty; expected an ONNX file", path);
    else if (!scan_message(&s, type, bytes, bytes + size, 0))
        ir_error(error, IR_REFUSED, "%.200s: %s; expected an ONNX file", path, s.wrong);
    else if (!(message = protobuf_c_message_unpack(type, NULL, size, bytes)))
        ir_error(error, IR_REFUSED, "%.200s: is damaged; expected an ONNX file", path);
    free(bytes);
    return message;
}

/* --- what a graph says of its ends --------------------------------------------------------------
 */

static bool refuse(const struct onnx_model *m, int status, struct ir_error *error, const char *what,
                   const char *name)
{
    return ir_error(error, status, "%.100s: \"%.80s\" %s", m->file, name ? name : "", what);
}

static bool read_port(struct onnx_model *m, const Onnx__ValueInfoProto *v, struct onnx_port *p,
                      struct ir_error *error)
{
    const Onnx__TypeProto *type = v->type;
    const Onnx__TensorShapeProto *shape;

    if (!v->name || !*v->name)
        return refuse(m, IR_REFUSED, error, "is the name of an input or output; expected a word",
                      "");
    p->name = v->name;
    if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return refuse(m, type ? IR_UNSUPPORTED : IR_REFUSED, error,
                      "is no tensor; expected an input or output that is one", v->name);
    if (!tp_onnx_dtype(type->tensor_type->elem_type, &p->dtype))
        return refuse(m, IR_UNSUPPORTED, error,
                      "has a type of elements that is not supported; expected numbers or bool",
                      v->name);
    shape = type->tensor_type->shape;
    p->shaped = shape != NULL;
    if (shape && shape->n_dim > IR_RANK)
        return refuse(m, IR_UNSUPPORTED, error, "has more than 8 axes; expected at most 8",
                      v->name);
    p->rank = shape ? (int)shape->n_dim : 0;
    for (int i = 0; i < p->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *d = shape->dim[i];
        p->dim[i] = -1;
        if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM)
            p->param[i] = d->dim_param;
        if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            p->dim[i] = d->dim_value;
        if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            (d->dim_value < 0 || d->dim_value > (int64_t)1 << 40))
            return refuse(m, IR_REFUSED, error, "has an extent below 0 or past 2^40", v->name);
    }
    return true;
}

/* --- names: each value is made once and before it is used ---------------------------------------
 */

struct names {
    const char **slot;
    size_t room; /* a power of two, more than twice as many as there can be */
};

static size_t hashed(const char *name)
{
    size_t h = 1469598103934665603u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h ^ h >> 29;
}

static const char **place_of(const struct names *n, const char *name)
{
    size_t i = hashed(name) & (n->room - 1);

    while (n->slot[i] && strcmp(n->slot[i], name) != 0)
        i = (i + 1) & (n->room - 1);
    return &n->slot[i];
}

static bool check_nodes(struct onnx_model *m, struct names *names, struct ir_error *error)
{
    for (size_t i = 0; i < m->graph->n_node; i++) {
        const Onnx__NodeProto *n = m->graph->node[i];

        if (!n->op_type || !*n->op_type)
            return ir_error(error, IR_REFUSED, "%.100s:%zu: node without an operator", m->file,
                            i + 1);
        for (size_t k = 0; k < n->n_input; k++)
            if (*n->input[k] && !*place_of(names, n->input[k]))
                return ir_error(error, IR_REFUSED,
                                "%.100s:%zu: %.60s: its input \"%.80s\" is not there yet; expected "
                                "a value that a node before it makes",
                                m->file, i + 1, n->op_type, n->input[k]);
        for (size_t k = 0; k < n->n_output; k++) {
            const char **slot = place_of(names, n->output[k]);
            if (!*n->output[k])
                continue;
            if (*slot)
                return ir_error(error, IR_REFUSED,
                                "%.100s:%zu: %.60s: its output \"%.80s\" is there already; "
                                "expected another name",
                                m->file, i + 1, n->op_type, n->output[k]);
            *slot = n->output[k];
        }
        for (size_t k = 0; k < n->n_attribute; k++)
            if (!n->attribute[k]->name || !*n->attribute[k]->name)
                return ir_error(error, IR_REFUSED, "%.100s:%zu: %.60s: attribute without a name",
                                m->file, i + 1, n->op_type);
    }
    return true;
}

/* Of graphs in nodes and of functions: that nothing is missing. Which names there are is import.c's
 * matter, which knows what is around them. */
static bool check_inner(const struct onnx_model *m, size_t count, Onnx__NodeProto *const *node,
                        bool own, struct ir_error *error)
{
    bool ok = true;

    for (size_t i = 0; ok && i < count; i++) {
        const Onnx__NodeProto *n = node[i];
        if (own && (!n->op_type || !*n->op_type))
            ok = refuse(m, IR_REFUSED, error, "is a node without an operator", n->name);
        for (size_t k = 0; ok && k < n->n_attribute; k++) {
            const Onnx__AttributeProto *a = n->attribute[k];
            const Onnx__GraphProto *g = a->g;
            if (own && (!a->name || !*a->name))
                ok = refuse(m, IR_REFUSED, error, "has an attribute without a name", n->name);
            for (size_t j = 0; ok && g && j < g->n_initializer; j++) {
                char where[200];
                snprintf(where, sizeof where, "%.100s: initialiser \"%.80s\"", m->file,
                         g->initializer[j]->name ? g->initializer[j]->name : "");
                ok = g->initializer[j]->name && *g->initializer[j]->name
                         ? tp_onnx_check_value(g->initializer[j], where, error)
                         : refuse(m, IR_REFUSED, error, "is an initialiser's name", "");
            }
            for (size_t j = 0; ok && g && j < g->n_input + g->n_output; j++) {
                const char *name =
                    j < g->n_input ? g->input[j]->name : g->output[j - g->n_input]->name;
                ok = (name && *name) ||
                     refuse(m, IR_REFUSED, error, "is the name of an input or output", "");
            }
            ok = ok && (!g || check_inner(m, g->n_node, g->node, true, error));
        }
    }
    return ok;
}

static bool check_names(struct onnx_model *m, struct ir_error *error)
{
    const Onnx__GraphProto *g = m->graph;
    size_t count = g->n_initializer + g->n_input;
    struct names names = { .room = 64 };

    for (size_t i = 0; i < g->n_node; i++)
        count += g->node[i]->n_output;
    while (names.room < 2 * count + 2)
        names.room *= 2;
    names.slot = ir_alloc(m->arena, names.room * sizeof *names.slot);
    for (size_t i = 0; i < g->n_initializer; i++) {
        const Onnx__TensorProto *t = g->initializer[i];
        char where[200];
        const char **slot;

        if (!t->name || !*t->name)
            return refuse(m, IR_REFUSED, error, "is an initialiser's name; expected a word", "");
        slot = place_of(&names, t->name);
        if (*slot)
            return refuse(m, IR_REFUSED, error, "is an initialiser twice; expected another name",
                          t->name);
        *slot = t->name;
        snprintf(where, sizeof where, "%.100s: initialiser \"%.80s\"", m->file, t->name);
        if (!tp_onnx_check_value(t, where, error))
            return false;
    }
    m->input = ir_alloc(m->arena, (g->n_input + 1) * sizeof *m->input);
    m->otherwise = ir_alloc(m->arena, (g->n_input + 1) * sizeof *m->otherwise);
    for (size_t i = 0; i < g->n_input; i++) {
        struct onnx_port *p = &m->input[m->inputs];
        const char **slot;

        if (!read_port(m, g->input[i], p, error))
            return false;
        for (int k = 0; k < m->inputs; k++)
            if (strcmp(m->input[k].name, p->name) == 0)
                return refuse(m, IR_REFUSED, error, "is an input twice; expected another name",
                              p->name);
        slot = place_of(&names, p->name);
        for (size_t k = 0; *slot && k < g->n_initializer; k++)
            if (strcmp(g->initializer[k]->name, p->name) == 0)
                m->otherwise[m->inputs] = g->initializer[k];
        p->optional = m->otherwise[m->inputs] != NULL;
        *slot = p->name;
        m->inputs++;
    }
    if (!check_nodes(m, &names, error) || !check_inner(m, g->n_node, g->node, false, error))
        return false;
    for (size_t i = 0; i < m->proto->n_functions; i++)
        if (!check_inner(m, m->proto->functions[i]->n_node, m->proto->functions[i]->node, true,
                         error))
            return false;
    m->output = ir_alloc(m->arena, (g->n_output + 1) * sizeof *m->output);
    for (size_t i = 0; i < g->n_output; i++, m->outputs++) {
        if (!read_port(m, g->output[i], &m->output[i], error))
            return false;
        if (!*place_of(&names, m->output[i].name))
            return refuse(m, IR_REFUSED, error, "is an output that no node makes",
                          m->output[i].name);
    }
    return m->outputs > 0 ||
           refuse(m, IR_REFUSED, error, "has no output; expected one or more", g->name);
}

static bool check_versions(struct onnx_model *m, struct ir_error *error)
{
    const Onnx__ModelProto *p = m->proto;

    m->opset = p->n_opset_import ? 0 : 1;
    for (size_t i = 0; i < p->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = p->opset_import[i];
        if (!o->domain || !*o->domain || strcmp(o->domain, "ai.onnx") == 0)
            m->opset = o->version;
    }
    if (m->opset == 0) /* preview operators alone */
        m->opset = ONNX_NEWEST;
    if (m->opset < 1 || m->opset > ONNX_NEWEST) /* below ONNX_OLDEST it depends on the operators */
        return ir_error(error, m->opset < 1 ? IR_REFUSED : IR_UNSUPPORTED,
                        "%.100s: operators of version %lld; expected %d to %d", m->file,
                        (long long)m->opset, ONNX_OLDEST, ONNX_NEWEST);
    if (m->graph->n_sparse_initializer)
        return ir_error(error, IR_UNSUPPORTED,
                        "%.100s: sparse initialisers are not supported; expected dense ones",
                        m->file);
    return true;
}

struct onnx_model *tp_onnx_read(const char *path, struct ir_error *error)
{
    Onnx__ModelProto *proto = tp_onnx_unpack(path, &onnx__model_proto__descriptor, error);
    struct onnx_model *m;
    const char *slash;

    if (!proto)
        return NULL;
    m = calloc(1, sizeof *m);
    if (!m) {
        onnx__model_proto__free_unpacked(proto, NULL);
        ir_error(error, IR_FAILED, "not enough memory");
        return NULL;
    }
    m->proto = proto;
    m->arena = ir_arena_new();
    m->path = ir_format(m->arena, "%s", path);
    slash = strrchr(m->path, '/');
    m->file = slash ? slash + 1 : m->path;
    m->graph = proto->graph;
    if (!m->graph)
        ir_error(error, IR_REFUSED, "%.200s: has no graph; expected an ONNX model", path);
    if (!m->graph || !check_versions(m, error) || !tp_onnx_fetch(m, error) ||
        !check_names(m, error)) {
        tp_onnx_free(m);
        return NULL;
    }
    return m;
}

void tp_onnx_free(struct onnx_model *m)
{
    if (!m)
        return;
    onnx__model_proto__free_unpacked(m->proto, NULL);
    ir_arena_free(m->arena);
    free(m);
}

int tp_onnx_inputs(const struct onnx_model *m)
{
    return m->inputs;
}

int tp_onnx_outputs(const struct onnx_model *m)
{
    return m->outputs;
}

int tp_onnx_nodes(const struct onnx_model *m)
{
    return (int)m->graph->n_node;
}

int tp_onnx_initialisers(const struct onnx_model *m)
{
    return (int)m->graph->n_initializer;
}

int64_t tp_onnx_opset(const struct onnx_model *m)
{
    return m->opset;
}

const struct onnx_port *tp_onnx_input(const struct onnx_model *m, int i)
{
    return &m->input[i];
}

const struct onnx_port *tp_onnx_output(const struct onnx_model *m, int i)
{
    return &m->output[i];
}

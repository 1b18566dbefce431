/*
 * export.h: what the files that write ONNX share. A graph of ours becomes a graph of theirs node by
 * node: by the row of table.c that reads the operator, where that is a plain one; by a function of
 * export_node.c where it is not; several nodes at once where they are one operator of theirs
 * (export_phrase.c); loops as Scan, Loop and If (export_scan.c).
 */
#ifndef TAPER_FRONTEND_ONNX_EXPORT_H
#define TAPER_FRONTEND_ONNX_EXPORT_H

#include "frontend/onnx/read.h"

enum { EXPORT_OPSET = 20, EXPORT_IR_VERSION = 9 };

struct onnx_nodes { /* of one graph of theirs, in order */
    Onnx__NodeProto **at;
    int count, room;
};

struct onnx_writer {
    struct onnx_writer *top; /* that of the whole model, whose values all others see */
    struct ir_arena *arena;
    struct ir_error *error;
    tp_graph *owner; /* of the states' numbers */
    const struct ir_graph *g;
    const char **name;   /* of each value, once it is spelled */
    uint32_t *region_of; /* value -> the region that is one operator whose result it is */
    bool *live;
    struct onnx_nodes *nodes;
    const struct ir_node *at; /* the one that is being spelled */
    /* of the whole model */
    Onnx__TensorProto **initialiser;
    int initialisers, initialiser_room;
    const char *symbol[IR_SYMBOLS]; /* the extent of each, i64[1] */
    struct onnx_spoken {            /* constants, each once */
        uint64_t key;
        const Onnx__TensorProto *tensor;
        const char *name;
    } *spoken;
    int spoken_count, spoken_room;
    const char **taken; /* names of inputs, states and outputs */
    int taken_count;
    int serial;
};

/* export.c: one node more; its first output's name. What follows is said of the last one. */
const char *onnx_say(struct onnx_writer *w, const char *op, int n, const char *const in[]);
#define onnx_says(w, op, ...)                                                            \
    onnx_say((w), (op), (int)(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)), \
             (const char *const[]){ __VA_ARGS__ })
const char *onnx_more_output(struct onnx_writer *w, Onnx__NodeProto *node);
Onnx__NodeProto *onnx_last(const struct onnx_writer *w);
void onnx_with_int(struct onnx_writer *w, const char *name, int64_t i);
void onnx_with_float(struct onnx_writer *w, const char *name, double f);
void onnx_with_word(struct onnx_writer *w, const char *name, const char *word);
void onnx_with_ints(struct onnx_writer *w, const char *name, int n, const int64_t *at);
void onnx_with_graph(struct onnx_writer *w, const char *name, Onnx__GraphProto *graph);
/* not supported: "FILE:LINE: OP: .." */
const char *onnx_cannot(struct onnx_writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A number or a list of integers, by name; the extents of a shape, i64[rank]; one extent, i64[1].
 */
const char *onnx_a_number(struct onnx_writer *w, enum ir_dtype dtype, double number);
const char *onnx_an_integer(struct onnx_writer *w, enum ir_dtype dtype, int64_t number);
const char *onnx_a_list(struct onnx_writer *w, int n, const int64_t *at);
const char *onnx_extents(struct onnx_writer *w, int n, const int64_t *dims);
const char *onnx_cast_to(struct onnx_writer *w, const char *x, enum ir_dtype dtype);
const char *onnx_shaped(struct onnx_writer *w, const char *x, const struct ir_shape *shape);
Onnx__ValueInfoProto *onnx_port_of(struct onnx_writer *w, const char *name,
                                   const struct ir_node *node);
char *onnx_fresh(struct onnx_writer *w, const char *what); /* a name that nothing has */
/* A writer of a graph in this one, whose nodes go to `nodes`; then its values, and their names. */
struct onnx_writer *onnx_writer_in(struct onnx_writer *w, const struct ir_graph *g,
                                   struct onnx_nodes *nodes);
bool onnx_write_values(struct onnx_writer *w, int n, const ir_val *wanted);
static inline const char *onnx_named(const struct onnx_writer *w, const struct ir_node *n, int i)
{
    return w->name[n->args[i].id];
}

/* export_node.c: one node; NULL with an error. */
const char *onnx_spell(struct onnx_writer *w, const struct ir_node *n);

/* export_phrase.c: what is one operator of theirs. */
struct onnx_phrase {
    const char *op;
    int n;
    ir_val in[5];
    int64_t axis; /* attributes, where has_ says so */
    double epsilon;
    const char *word, *word_name;
    const struct ir_node *window; /* a convolution or a window, whose attributes it has */
    struct ir_list axes;          /* an input of their own */
    bool has_axis, has_epsilon, transposed;
};
bool onnx_region_phrase(const struct ir_graph *g, uint32_t region, struct onnx_phrase *p);
/* Of the value v, by its region or by its own form. */
bool onnx_phrase(const struct onnx_writer *w, uint32_t v, struct onnx_phrase *p);
const char *onnx_put_phrase(struct onnx_writer *w, const struct onnx_phrase *p);
bool onnx_padded_away(const struct ir_node *window); /* may a window be all padding? */
void onnx_with_window(struct onnx_writer *w, const struct ir_node *n, int64_t groups);

/* export_scan.c */
bool onnx_put_scan(struct onnx_writer *w, uint32_t scan);

/* table.c: the operator whose import is just that, on such elements; NULL: none is. */
const char *tp_onnx_name_of(const char *what, enum ir_dtype dtype);
/* value.c */
int tp_onnx_type(enum ir_dtype dtype);

#endif

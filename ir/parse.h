/*
 * Inside ir/ only: what parse.c has read of a program, and parse_link.c makes a graph of.
 */
#ifndef TAPER_IR_PARSE_H
#define TAPER_IR_PARSE_H

#include "ir/scan.h"

#define IR_UNNUMBERED UINT32_MAX

struct ir_ref { /* a value that a line names: a number, or an input's name */
    uint32_t id;
    const char *name;
};

struct ir_line {
    uint32_t id;    /* as written, or IR_UNNUMBERED */
    uint32_t order; /* the number it counts as: its own or the one before */
    int at, kernel; /* where in the file; in which kernel, -1: in none */
    struct ir_node draft;
    struct ir_ref *args;
    const char *number; /* of a const, as written */
    size_t digits;
    bool typed;
    ir_val value;
};

struct ir_line_output {
    const char *name;
    struct ir_ref ref;
    int at;
};

struct ir_line_region { /* what it names is looked up when all nodes are there */
    struct ir_ref *args, result;
    int at;
};

struct ir_reader { /* arrays are in the scan's arena, which goes when the text is read */
    struct ir_scan s;
    struct ir_arena *kept; /* the module's */
    struct ir_program *program;
    struct ir_graph *g;
    struct ir_line *lines;
    size_t count, room;
    struct ir_line *inputs; /* in the order of the signature; the first `placed` are nodes */
    size_t input_count, input_room, placed;
    struct ir_line **by_name; /* the inputs, sorted */
    struct ir_line_output *outputs;
    size_t output_count, output_room;
    struct ir_line_region *regions; /* by the region's number */
    size_t region_room;
    int kernel_room, depth; /* depth: bodies around */
    const char *last_file;
};

/* parse_line.c: the parts of a line, each behind the last */
bool ir_parse_ref(struct ir_reader *r, struct ir_ref *ref);
bool ir_parse_dims(struct ir_reader *r, struct ir_list *list); /* behind a bracket */
bool ir_parse_numbers(struct ir_reader *r, struct ir_list *list);
bool ir_parse_type(struct ir_reader *r, struct ir_node *n);
bool ir_parse_note(struct ir_reader *r, struct ir_node *n); /* place, name and region */
bool ir_parse_node(struct ir_reader *r, int kernel);        /* a whole line, into r->lines */

/* parse.c: ( input, .. ) { line.. }, all of a graph but its name and symbols */
bool ir_parse_graph(struct ir_reader *r, struct ir_node *of);

/* makes room for one more in an array of the scratch arena */
#define IR_MORE(r, array, count, room) ir_grow((r)->s.arena, array, count, room)

/* parse_link.c: lines, regions, outputs and kernels into r->g and r->program */
bool ir_parse_link(struct ir_reader *r);

#endif

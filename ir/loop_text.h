/*
 * Inside ir/ only: what the printers and the readers of loop nests share.
 */
#ifndef TAPER_IR_LOOP_TEXT_H
#define TAPER_IR_LOOP_TEXT_H

#include "loop.h"
#include "parse.h"

#define LOOP_VALUES (1 << 20) /* the highest number of a value */

/* loop_print_ix.c */
struct loop_printer {
    struct ir_text *t;
    const struct loop_kernel *k;
    int suffix[LOOP_AXES]; /* which of its name; 0: no loop has it */
    int around[LOOP_AXES], depth;
};
struct loop_printer loop_printer_of(struct ir_text *t, const struct loop_kernel *k);
void loop_put_axis(struct loop_printer *p, struct ir_text *t, uint32_t axis);
void loop_put_buffer_name(const struct loop_kernel *k, struct ir_text *t, int buffer);
void loop_put_sum(struct loop_printer *p, struct ir_text *t, loop_ix ix);

/* loop_parse_ix.c */
struct loop_reader {
    struct ir_reader r; /* its scan, and the reader of comments */
    struct loop_kernel *k;
    int64_t axis_suffix[LOOP_AXES];
    bool open[LOOP_AXES]; /* we are inside */
    int64_t *buffer_suffix;
    size_t buffer_room;
    bool *known; /* by value */
    size_t known_room;
    int depth; /* of parentheses */
};
bool loop_read_suffix(struct ir_scan *s, int64_t *suffix); /* ~2, or 1 */
int loop_find_axis(const struct loop_reader *p, const char *name,
                   int64_t suffix); /* -1: there is none */
bool loop_read_buffer_name(struct loop_reader *p, const char **name, uint32_t *value,
                           int64_t *suffix);
int loop_find_buffer(const struct loop_reader *p, const char *name, uint32_t value, int64_t suffix);
bool loop_read_value(struct loop_reader *p,
                     uint32_t *value); /* that a line before this one has defined */
bool loop_read_ix(struct loop_reader *p, loop_ix *ix);

/* loop_parse_line.c */
bool loop_read_statement(struct loop_reader *p,
                         struct loop_block *block); /* all but loops; it goes into the block */
bool loop_read_guards(struct loop_reader *p, struct loop_statement *st);
bool loop_read_note(struct loop_reader *p, struct loop_statement *st); /* up to the line's end */
bool loop_read_dtype(struct ir_scan *s, enum ir_dtype *dtype);
bool loop_read_real(struct ir_scan *s, double *value);

#endif

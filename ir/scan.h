/*
 * Inside ir/ only: the words of the textual IR. A scan is a place in a text of known size; nothing
 * here trusts the text, and a name that is read lives in the arena.
 */
#ifndef TAPER_IR_SCAN_H
#define TAPER_IR_SCAN_H

#include "ir/ir.h"

struct ir_scan {
    const char *file, *text;
    size_t size, at;
    int line;
    struct ir_arena *arena;
    struct ir_error *error;
};

/* "FILE:LINE: " and the rest into the error; returns false */
bool ir_scan_refuse(struct ir_scan *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool ir_scan_wanted(struct ir_scan *s, const char *what); /* "found ..; expected what" */

int ir_scan_peek(struct ir_scan *s);                      /* behind blanks; 0 at the end */
bool ir_scan_accept(struct ir_scan *s, char c);           /* takes c if it is next */
bool ir_scan_expect(struct ir_scan *s, const char *mark); /* takes it or refuses */
bool ir_scan_is(struct ir_scan *s, const char *word);     /* the word is next; takes nothing */
bool ir_scan_take(struct ir_scan *s, const char *word);   /* takes the word if it is next */
bool ir_scan_line_end(struct ir_scan *s);    /* takes a comment and the line's end, or refuses */
void ir_scan_blank_lines(struct ir_scan *s); /* takes blanks, comments and line ends */
bool ir_scan_name(struct ir_scan *s, const char **name);   /* a word or "a quoted text" */
bool ir_scan_quoted(struct ir_scan *s, const char **text); /* a quoted text */
bool ir_scan_run(struct ir_scan *s, const char *bytes, const char **run, size_t *length);
bool ir_scan_integer(struct ir_scan *s, int64_t least, int64_t most, int64_t *value);

#endif

/*
 * library_put.h: what library.c and library_header.c share.
 */
#ifndef TAPER_CODEGEN_LIBRARY_PUT_H
#define TAPER_CODEGEN_LIBRARY_PUT_H

#include "codegen/library.h"

/* the text with the library's name for NAME, in capitals for NAMES */
void gen_library_text(struct ir_text *out, const struct gen_library *, const char *text,
                      size_t size);
void gen_library_header(struct ir_text *out, const struct gen_library *);
/* the two functions' first lines, in the header with what belongs there */
void gen_library_step(struct ir_text *out, const struct gen_library *, bool header);
void gen_library_predict(struct ir_text *out, const struct gen_library *, bool header);

#endif

/*
 * blocks.h: what generated trainers and libraries have in common: text that stands elsewhere, and
 * tables of states.
 */
#ifndef TAPER_CODEGEN_BLOCKS_H
#define TAPER_CODEGEN_BLOCKS_H

#include "codegen/trainer.h"

/* A part without the guard that a header needs: its #ifndef, #define and last #endif. */
void gen_put_part(struct ir_text *out, const char *text);
/* Takes out the parts' functions that nothing calls. */
void gen_drop_parts(struct ir_text *text);

/* Blocks of a text: a line `/// WORDS` begins one, which is printed where all of its words hold
 * (any: where one does); a word after `!` where it does not, `always` always. */
typedef bool gen_holds(const void *of, const char *word, size_t length);
void gen_put_blocks(struct ir_text *out, const char *text, bool any, gen_holds *holds,
                    const void *of);

void gen_put_double(struct ir_text *out, double number); /* it reads back as the same one */
/* Numbers that the model brought along, as the words that they are in memory: numbers_3 */
void gen_put_numbers(struct ir_text *out, const struct gen_state *, int number);
void gen_put_begin(struct ir_text *out, const struct gen_state *);   /* kind, a, b */
void gen_put_storage(struct ir_text *out, const struct gen_state *); /* parts, { part.. } */
int gen_most_parts(const struct gen_state *, int states);
bool gen_states_fit(const struct gen_state *, int states, struct ir_error *error);

#endif

/*
 * What the files of the generator share: the pool of values, chance, and one function a kind of
 * row.
 */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include "random.h"

struct random_value {
    ir_val v;
    double size; /* a bound of the absolute value; of integers INFINITY after arithmetic */
    bool exact;  /* the same bits on every machine */
};

enum { VALUES = 400, ELEMENTS = 3000 };
struct random_maker {
    struct ir_graph *g;
    struct random_options options;
    uint64_t state;
    struct random_value pool[VALUES];
    int count, names, line;
    int64_t extent[5]; /* of this graph; [0] may be the symbol */
};

uint64_t random_mixed(uint64_t x);
int64_t random_below(struct random_maker *m, int64_t n);
bool random_chance(struct random_maker *m, int percent);
struct ir_loc random_here(struct random_maker *m);
const struct ir_node *random_node(const struct random_maker *m, ir_val v);
char random_kind(const struct random_maker *m, ir_val v);
bool random_fits(char has, char wanted);
struct ir_list random_list(struct random_maker *m, int n, const int64_t *numbers);
ir_val random_number(struct random_maker *m, ir_val like, double x);
ir_val random_op1(struct random_maker *m, enum ir_op op, ir_val a);
ir_val random_op2(struct random_maker *m, enum ir_op op, ir_val a, ir_val b);
bool random_keep(struct random_maker *m, ir_val v, double size, bool exact);
enum ir_dtype random_draw_dtype(struct random_maker *m, char wanted);
struct random_value random_input(struct random_maker *m, enum ir_dtype dtype,
                                 struct ir_shape shape);
struct ir_shape random_draw_shape(struct random_maker *m);
struct random_value random_pick(struct random_maker *m, char wanted, bool exact);
struct random_value random_within(struct random_maker *m, struct random_value a, double limit);
struct random_value random_positive(struct random_maker *m, struct random_value a, double least);
struct ir_list random_axes(struct random_maker *m, int rank);
bool random_broadcasts(const struct random_maker *m, ir_val a, ir_val b);
struct random_value random_partner(struct random_maker *m, struct random_value a, bool exact);
bool random_typed(struct random_maker *m, enum ir_op op);
bool random_choose(struct random_maker *m);
bool random_turn(struct random_maker *m, enum ir_op op, struct random_value a);
bool random_pointwise(struct random_maker *m, enum ir_op op);
bool random_source(struct random_maker *m, enum ir_op op);
bool random_assign(struct random_maker *m);
bool random_reduce(struct random_maker *m, enum ir_op op);
bool random_dot(struct random_maker *m);
bool random_convolution(struct random_maker *m, enum ir_op op);
bool random_windows(struct random_maker *m, enum ir_op op);
bool random_reshape(struct random_maker *m, struct random_value a);
bool random_slice(struct random_maker *m, struct random_value a);
bool random_pad(struct random_maker *m, struct random_value a);
bool random_concat(struct random_maker *m, struct random_value a);
bool random_expand(struct random_maker *m, struct random_value a);
bool random_pick_rows(struct random_maker *m, enum ir_op op);
bool random_scan(struct random_maker *m);
bool random_pick_elements(struct random_maker *m, enum ir_op op);
bool random_order(struct random_maker *m, enum ir_op op);

#endif

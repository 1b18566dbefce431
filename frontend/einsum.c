/*
 * einsum: products by letters of any number of tensors, from the left: first the diagonals of
 * letters that stand twice in one term, then sums over letters that nothing else needs, then `dot`
 * of the first two terms.
 */
#include <ctype.h>
#include <string.h>

#include "frontend/frontend.h"

enum { TERMS = 16 };
struct term {
    char letter[IR_RANK + 1];
    tp_tensor x;
};

static void once_each(struct term *t, tp_loc at)
{
    for (int i = 0; t->letter[i]; i++)
        for (int j = i + 1; t->letter[j]; j++)
            if (t->letter[i] == t->letter[j]) { /* the diagonal comes last */
                const char c = t->letter[i];
                const int rank = (int)strlen(t->letter);

                t->x = tp_diagonal_at(t->x, 0, i, j, at);
                memmove(t->letter + j, t->letter + j + 1, (size_t)(rank - j));
                memmove(t->letter + i, t->letter + i + 1, (size_t)(rank - 1 - i));
                t->letter[rank - 2] = c;
                t->letter[rank - 1] = 0;
                once_each(t, at);
                return;
            }
}

/* Sums over the letters that `kept` does not have. */
static void sum_others(struct term *t, const char *kept, tp_loc at)
{
    tp_shape axes = { 0 };
    int left = 0;

    for (int i = 0; t->letter[i]; i++)
        if (strchr(kept, t->letter[i]))
            t->letter[left++] = t->letter[i];
        else
            axes.dim[axes.rank++] = i;
    t->letter[left] = 0;
    if (axes.rank)
        t->x = tp_reduce_at("sum", t->x, (tp_reduce_args){ .dim = tp_axes_of(axes) }, at);
}

/* "ij,jk->ik" into terms and the result's letters; NULL, or what is wrong. */
static const char *read_equation(const char *equation, tp_list list, struct term *term,
                                 char *result)
{
    char seen[128] = { 0 };
    const char *c = equation;
    int n = 0, length = 0;

    for (;; c++) {
        if (isalpha((unsigned char)*c)) {
            if (n == list.count || length == IR_RANK)
                return "more terms or letters than tensors and axes";
            seen[(int)*c]++;
            term[n].letter[length++] = *c;
        } else if (*c == ',' || *c == '-' || !*c) {
            if (n == list.count || length != tp_rank(list.at[n]))
                return "as many letters as each tensor has axes";
            term[n].x = list.at[n];
            n++;
            length = 0;
            if (*c != ',')
                break;
        } else if (*c != ' ') {
            return "letters, commas and one arrow";
        }
    }
    if (n != list.count || (*c == '-' && c[1] != '>'))
        return "a term for each tensor";
    length = 0;
    if (*c) {
        for (c += 2; *c; c++) {
            if (*c == ' ')
                continue;
            if (!isalpha((unsigned char)*c) || !seen[(int)*c] || length == IR_RANK ||
                memchr(result, *c, (size_t)length))
                return "letters of the terms behind the arrow, each once";
            result[length++] = *c;
        }
    } else { /* without an arrow: the letters that stand once, by the alphabet */
        for (int letter = 'A'; letter <= 'z'; letter++)
            if (seen[letter] == 1 && length < IR_RANK)
                result[length++] = (char)letter;
    }
    result[length] = 0;
    return NULL;
}

/* term[i + 1] becomes the product of both, with the letters that are still needed. */
static void multiply(struct term *term, int i, int count, const char *result, tp_loc at)
{
    char kept[TERMS * IR_RANK + 1], needed[(TERMS + 1) * IR_RANK + 1], letters[4 * IR_RANK];
    struct term next = { 0 };
    int n = 0;

    snprintf(kept, sizeof kept, "%s", result);
    for (int k = i + 2; k < count; k++)
        snprintf(kept + strlen(kept), sizeof kept - strlen(kept), "%s", term[k].letter);
    for (int side = 0; side < 2; side++) {
        snprintf(needed, sizeof needed, "%s%s", kept, term[i + !side].letter);
        sum_others(&term[i + side], needed, at);
    }
    for (const char *c = term[i].letter; *c; c++)
        if (strchr(kept, *c))
            next.letter[n++] = *c;
    for (const char *c = term[i + 1].letter; *c && n < IR_RANK; c++)
        if (strchr(kept, *c) && !strchr(term[i].letter, *c))
            next.letter[n++] = *c;
    snprintf(letters, sizeof letters, "%s,%s->%s", term[i].letter, term[i + 1].letter, next.letter);
    next.x =
        tp_dot_at(ir_format(term[i].x.g->ir->arena, "%s", letters), term[i].x, term[i + 1].x, at);
    term[i + 1] = next;
}

tp_tensor tp_einsum_at(const char *equation, tp_list list, tp_loc at)
{
    tp_graph *g = tp_graph_of(list.count, list.at);
    struct term term[TERMS] = { 0 }, *last;
    char result[IR_RANK + 1] = "";
    const char *expected;
    tp_shape order = { 0 };

    if (!tp_ready(g, at, "tp_einsum", list.count, list.at))
        return POISON(g);
    for (int i = 0; i < list.count; i++)
        if (!list.at[i].g)
            return tp_fail(g, at, "tp_einsum", "argument %d is a number; expected a tensor", i + 1);
    expected = list.count > TERMS ? "at most 16 tensors"
               : !equation        ? "an equation"
                                  : read_equation(equation, list, term, result);
    if (expected)
        return tp_fail(g, at, "tp_einsum", "\"%.60s\" of %d tensors; expected %s",
                       equation ? equation : "", list.count, expected);
    for (int i = 0; i < list.count; i++)
        once_each(&term[i], at);
    for (int i = 0; i + 1 < list.count; i++)
        multiply(term, i, list.count, result, at);
    last = &term[list.count - 1];
    sum_others(last, result, at);
    order.rank = (int)strlen(result);
    for (int i = 0; i < order.rank; i++) {
        const char *found = strchr(last->letter, result[i]);

        if (!found)
            return tp_fail(g, at, "tp_einsum", "\"%.60s\"; expected at most %d axes at a time",
                           equation, IR_RANK);
        order.dim[i] = found - last->letter;
    }
    return order.rank ? tp_permute_at(last->x, order, at) : last->x;
}

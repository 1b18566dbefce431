/*
 * sentences: for or against? Convolutions over words of some widths, the greatest of each over time
 * (Kim 2014), and what each word of a visitor's sentence contributes: how far the score for "for"
 * falls when the word is taken out (Li, Monroe and Jurafsky 2016).
 */
#include "frontend/data.h"
#include "play.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORDS = 32,        /* of a sentence; what follows is not read */
    LETTERS = 24,      /* of a word */
    VOCABULARY = 3000, /* so that the weights fit into a request that brings them back */
    WIDTH = 32,
    MEASURED = 500,
    LISTED = 12, /* sentences of each kind that the page shows */
    WIDTHS = 4,
    LONGEST = 400
};

struct judge {
    struct lesson l; /* first: what all lessons share */
    tp_program *measure, *look;
    tp_tensor x, y, hits, margin;
    struct data_set *set, *held;
    int64_t rows, held_rows, maps;
    int widths, width[WIDTHS];
    double dropout;
    int words;                     /* of the visitor's sentence */
    char word[WORDS + 1][LETTERS]; /* the last one is not read */
};

/* --- making one ----------------------------------------------------------------------------------
 */

static void record(struct judge *j, int64_t rows)
{
    tp_graph *g = j->l.g;
    tp_tensor table = tp_param(g, "embedding.weight", tp_dims(j->set->vocabulary_count, WIDTH),
                               TP_UNIFORM(-0.25, 0.25));
    tp_tensor word, found[WIDTHS], scores;

    j->x = tp_input(g, "x", TP_I32, tp_dims(rows, WORDS));
    j->y = tp_input(g, "y", TP_I32, tp_dims(rows));
    word = tp_permute(tp_embedding(table, j->x), 0, 2, 1); /* [rows WIDTH WORDS] */
    for (int i = 0; i < j->widths; i++) {
        char name[16];
        snprintf(name, sizeof name, "conv%d", j->width[i]);
        found[i] = tp_amax(
            tp_relu(tp_conv1d(word, name, j->maps, j->width[i], .pad = j->width[i] / 2)), 2);
    }
    scores = tp_concat_at(1, (tp_list){ j->widths, found }, TP_HERE);
    scores = tp_linear(tp_dropout(scores, j->dropout), "fc", 2);
    j->l.loss = tp_cross_entropy(scores, j->y);
    j->hits = tp_sum(tp_eq(tp_argmax(scores, -1), j->y));
    j->margin = tp_sub(tp_squeeze(tp_narrow(scores, 1, 1, 1), 1),
                       tp_squeeze(tp_narrow(scores, 1, 0, 1), 1));
}

static bool compile(struct lesson *l)
{
    struct judge *j = (struct judge *)l;

    record(j, tp_symbol(l->g, "batch", 1, MEASURED));
    l->step = play_lesson_step_of(l);
    j->measure = tp_compile(l->g, tp_list(l->loss, j->hits, j->margin), TP_EVAL, .batch = MEASURED,
                            .threads = 1);
    j->look = tp_compile(l->g, tp_list(j->margin), TP_EVAL, .batch = 1 + WORDS, .threads = 1);
    return l->step && j->measure && j->look;
}

/* "3 4 5": different widths of a convolution. */
static bool read_widths(struct judge *j, const json_t *given, struct ir_error *error)
{
    const char *at = given ? json_string_value(given) : "3 4 5";
    bool good = at != NULL;

    while (good && *(at += strspn(at, " ,"))) {
        good = *at >= '1' && *at <= '9' && !isdigit((unsigned char)at[1]) && j->widths < WIDTHS;
        for (int i = 0; i < j->widths; i++)
            good = good && j->width[i] != *at - '0';
        if (good)
            j->width[j->widths++] = *at++ - '0';
    }
    return (good && j->widths) ||
           ir_error(error, IR_REFUSED, "filters: expected at most %d different widths from 1 to 9",
                    WIDTHS);
}

static bool open_data(struct judge *j, const char *folder, struct ir_error *error)
{
    struct data_request request = { .part = "train", .context = WORDS, .vocabulary = VOCABULARY };

    j->set = tp_data_load("words", folder ? folder : "opinions", &request, error);
    request.part = "validation";
    j->held = j->set ? tp_data_load("words", folder ? folder : "opinions", &request, error) : NULL;
    if (!j->held)
        return false;
    if (j->rows > j->set->rows)
        j->rows = j->set->rows;
    if (j->held_rows > j->held->rows)
        j->held_rows = j->held->rows;
    return true;
}

static void drop(void *of)
{
    struct judge *j = of;

    play_lesson_end(&j->l);
    if (j->set)
        tp_data_free(j->set);
    if (j->held)
        tp_data_free(j->held);
    free(j);
}

static bool read_sentence(struct judge *j, const char *text, struct ir_error *error);

static void *make(const json_t *body, const struct play_options *o, pthread_mutex_t *compiling,
                  struct ir_error *error)
{
    struct judge *j = play_lesson_new(sizeof *j, error);
    const struct lesson_usual usual = { tp_adam(), 0.003, 10, 30 };
    const bool files = json_is_true(json_object_get(body, "files"));
    const json_t *text = json_object_get(body, "text");
    double rows, held, maps;
    const struct play_number numbers[] = { { "samples", 20, 6000, 450, &rows },
                                           { "held", 1, MEASURED, 100, &held },
                                           { "maps", 1, 128, 100, &maps },
                                           { "dropout", 0, 0.9, 0.25, j ? &j->dropout : NULL } };

    if (!j)
        return NULL;
    if (play_numbers(body, 4, numbers, error) &&
        read_widths(j, json_object_get(body, "filters"), error) &&
        play_lesson_read(&j->l, body, usual, error)) {
        j->rows = (int64_t)rows;
        j->held_rows = (int64_t)held;
        j->maps = (int64_t)maps;
        if (open_data(j, files ? o->sentences : NULL, error) &&
            (!text || read_sentence(j, json_string_value(text), error))) {
            j->l.train = tp_loader_from_arrays(
                tp_columns({ "x", TP_I32, tp_dims(WORDS), j->set->column[0].rows },
                           { "y", TP_I32, TP_SCALAR, j->set->column[1].rows }),
                j->rows, .batch = j->l.batch, .shuffle = true, .seed = j->l.seed);
            if (play_lesson_compile(&j->l, compiling, compile, error))
                return j;
        }
    }
    drop(j);
    return NULL;
}

/* --- a sentence of the visitor's, as the data's are written --------------------------------------
 */

static void put_letter(struct judge *j, bool first, char letter)
{
    char *word;
    size_t length;

    if (first && j->words <= WORDS)
        j->words++;
    word = j->word[j->words - 1];
    length = first ? 0 : strlen(word);
    if (length + 1 < LETTERS) {
        word[length] = letter;
        word[length + 1] = 0;
    }
}

/* Small letters; "isn't" is "is n't", "film's" is "film 's", and what is no letter stands alone. */
static bool read_sentence(struct judge *j, const char *text, struct ir_error *error)
{
    bool inside = false;

    if (!text || strlen(text) > LONGEST)
        return ir_error(error, IR_REFUSED, "text: expected a sentence of at most %d letters",
                        LONGEST);
    j->words = 0;
    for (const char *at = text; *at; at++) {
        const unsigned char c = (unsigned char)*at;
        if (isspace(c)) {
            inside = false;
        } else if (isalnum(c)) {
            const bool not = inside && tolower(c) == 'n' && at[1] == '\'' && tolower(at[2]) == 't';
            put_letter(j, !inside || not, (char)tolower(c));
            inside = true;
        } else if (c == '\'' && isalpha((unsigned char)at[1])) {
            const bool not = at > text && tolower(at[-1]) == 'n' && tolower(at[1]) == 't';
            put_letter(j, !(inside && not), '\'');
            inside = true;
        } else {
            put_letter(j, true, c < 128 ? (char)c : '?');
            inside = false;
        }
    }
    j->words = j->words < WORDS ? j->words : WORDS;
    return true;
}

static int32_t token_of(const struct judge *j, const char *word) /* 1: a word it does not know */
{
    for (int64_t i = 2; i < j->set->vocabulary_count; i++)
        if (strcmp(j->set->vocabulary[i], word) == 0)
            return (int32_t)i;
    return 1;
}

/* Row 0 is the sentence, row 1 + i lacks word i. */
static json_t *judged(struct judge *j)
{
    int32_t *x = tp_buffer(j->look, j->x, NULL), token[WORDS] = { 0 };
    float margin[1 + WORDS];
    json_t *words;

    for (int i = 0; i < j->words; i++)
        token[i] = token_of(j, j->word[i]);
    for (int row = 0; x && row <= j->words; row++) {
        memcpy(x + row * WORDS, token, sizeof token);
        if (row)
            x[row * WORDS + row - 1] = 0;
    }
    if (!x || !tp_rows(j->look, 1 + j->words) || !tp_run(j->look) ||
        !tp_read(j->look, j->margin, margin, (size_t)(1 + j->words) * sizeof *margin))
        return NULL;
    words = json_array();
    for (int i = 0; i < j->words; i++)
        json_array_append_new(words, json_pack("[s, o, b]", j->word[i],
                                               play_real((double)margin[0] - (double)margin[1 + i]),
                                               token[i] != 1));
    return json_pack("{s:o, s:o}", "margin", play_real(margin[0]), "words", words);
}

/* --- what a run does with it ---------------------------------------------------------------------
 */

/* Loss and accuracy of the first rows, and the margin of those that are listed. */
static bool measure(struct judge *j, const struct data_set *set, int64_t rows, double *loss,
                    double *accuracy, json_t *margins)
{
    void *x = tp_buffer(j->measure, j->x, NULL), *y = tp_buffer(j->measure, j->y, NULL);
    float margin[MEASURED];

    if (!x || !y)
        return false;
    memcpy(x, set->column[0].rows, (size_t)rows * WORDS * sizeof(int32_t));
    memcpy(y, set->column[1].rows, (size_t)rows * sizeof(int32_t));
    if (!tp_rows(j->measure, rows) || !tp_run(j->measure) ||
        !tp_read(j->measure, j->margin, margin, (size_t)rows * sizeof *margin))
        return false;
    *loss = tp_get(j->measure, j->l.loss);
    *accuracy = tp_get(j->measure, j->hits) / (double)rows;
    for (int i = 0; i < LISTED && i < rows; i++)
        json_array_append_new(margins, play_real(margin[i]));
    return true;
}

static json_t *picture(void *of, bool begun)
{
    struct judge *j = of;
    const int64_t seen = j->rows < j->held_rows ? j->rows : j->held_rows;
    json_t *train = json_array(), *held = json_array(), *sentence = NULL;
    double loss[2], accuracy[2];

    (void)begun;
    if (measure(j, j->set, seen, &loss[0], &accuracy[0], train) &&
        measure(j, j->held, j->held_rows, &loss[1], &accuracy[1], held))
        sentence = judged(j);
    if (!sentence) {
        json_decref(train);
        json_decref(held);
        return NULL;
    }
    return json_pack("{s:[o, o], s:[o, o], s:o, s:o, s:o, s:I}", "loss", play_real(loss[0]),
                     play_real(loss[1]), "accuracy", play_real(accuracy[0]), play_real(accuracy[1]),
                     "train", train, "held", held, "sentence", sentence, "weights",
                     (json_int_t)tp_param_count(j->l.g));
}

static bool hear(void *of, const json_t *body, struct ir_error *error)
{
    return read_sentence(of, json_string_value(json_object_get(body, "text")), error);
}

/* The first sentences with their classes; a word that is not told apart is a dot. */
static json_t *listed(const struct judge *j, const struct data_set *set, int64_t rows)
{
    const int32_t *x = set->column[0].rows, *y = set->column[1].rows;
    json_t *list = json_array();

    for (int64_t row = 0; row < rows && row < LISTED; row++) {
        struct ir_text text = { 0 };
        for (int i = 0; i < WORDS && x[row * WORDS + i]; i++)
            ir_put(&text, "%s%s", i ? " " : "",
                   x[row * WORDS + i] == 1 ? "\u00b7" : j->set->vocabulary[x[row * WORDS + i]]);
        json_t *words = json_stringn(text.size ? text.data : "", text.size);
        json_array_append_new(
            list, json_pack("[o, i]", words ? words : json_string("(no UTF-8)"), (int)y[row]));
        ir_text_free(&text);
    }
    return list;
}

static json_t *about(void *of, const struct play_options *o)
{
    struct judge *j = of;

    return json_pack("{s:b, s:o, s:o, s:I, s:I}", "files", o->sentences != NULL, "train",
                     listed(j, j->set, j->rows), "held", listed(j, j->held, j->held_rows), "rows",
                     (json_int_t)j->rows, "vocabulary", (json_int_t)j->set->vocabulary_count);
}

const struct lesson_kind play_sentences = {
    "sentences", { play_lesson_step, picture, play_lesson_error, drop }, make, hear, about
};

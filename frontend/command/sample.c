/*
 * taper sample: text from a model of text. The window of the last tokens goes in, the scores of the
 * next come out and one is drawn, which joins the window. What is drawn is a function of the seed
 * and the place in the text alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/parts.h"
#include "runtime/parts/file.h"
#include "runtime/parts/shuffle.h"

#include "runtime/parts/columns.h"
#include "runtime/parts/sentences.h"
#include "runtime/parts/text.h"

#include "command.h"
#include "frontend/models.h"

enum { NAME_MOST = 100 }; /* letters of a name that finds no end */

struct sample {
    const char *weights, *prompt, *data;
    int64_t length, top_k, hidden, context, layers, heads, vocabulary, seed, threads;
    double temperature, top_p;

    const struct model *model;
    const char **token; /* what the tokens stand for */
    int64_t tokens;
    char *memory;      /* of the tokens, where the weights' file has them */
    tp_loader *loader; /* .. where the data have */
    tp_graph *graph;
    tp_program *program;
    int32_t *window, *last; /* where the program reads them */
    tp_tensor next, counter;
    int64_t drawn;
};

/* --- what the tokens stand for ------------------------------------------------------------------
 */

static const char *noted(const struct file_safetensors *file, const char *key)
{
    for (int64_t i = 0; i < file->pairs; i++)
        if (strcmp(file->pair[i].key, key) == 0)
            return file->pair[i].value;
    return NULL;
}

static bool split_tokens(struct sample *s, const char *text)
{
    s->tokens = 1;
    for (const char *c = text; *c; c++)
        s->tokens += *c == TEXT_APART;
    s->memory = strdup(text);
    s->token = calloc((size_t)s->tokens, sizeof *s->token);
    if (!s->memory || !s->token)
        return false;
    s->tokens = 0;
    for (char *c = s->memory, *end; c; c = end) {
        end = strchr(c, TEXT_APART);
        if (end)
            *end++ = 0;
        s->token[s->tokens++] = c;
    }
    return true;
}

static bool tokens_of_data(struct sample *s, struct ir_error *error)
{
    s->loader = tp_load_data_with(s->model->format, s->data,
                                  (tp_loader_args){ .part = "train", .context = s->context });
    if (tp_loader_error(s->loader))
        return ir_error(error, tp_loader_status(s->loader), "%s", tp_loader_error(s->loader));
    s->tokens = tp_loader_set(s->loader)->vocabulary_count;
    s->token = calloc((size_t)s->tokens + 1, sizeof *s->token);
    for (int64_t i = 0; s->token && i < s->tokens; i++)
        s->token[i] = tp_loader_token(s->loader, i);
    return s->token || ir_error(error, IR_FAILED, "not enough memory");
}

/* a number that the file says, where it was not asked for */
static bool settle(const struct file_safetensors *file, const char *key, int64_t *to, int64_t most,
                   int64_t otherwise, struct ir_error *error)
{
    const char *text = noted(file, key);
    char *end = NULL;

    if (*to >= 0)
        return true;
    *to = text ? strtoll(text, &end, 10) : otherwise;
    if (text && (!*text || *end || *to < 1 || *to > most))
        return ir_error(error, IR_REFUSED, "%.200s: %s \"%.40s\": expected 1 to %lld", file->path,
                        key, text, (long long)most);
    return true;
}

static bool read_notes(struct sample *s, struct ir_error *error)
{
    struct file_safetensors *file = tp_safetensors_open(s->weights, error);
    const char *model = file ? noted(file, "taper.model") : NULL,
               *tokens = file ? noted(file, "taper.tokens") : NULL;
    bool ok = file != NULL;

    if (ok && model && strcmp(model, s->model->name) != 0)
        ok = ir_error(error, IR_REFUSED, "%.200s: it is of the model %.40s; expected %s",
                      s->weights, model, s->model->name);
    ok = ok && settle(file, "taper.hidden", &s->hidden, 1 << 20, s->model->hidden, error) &&
         settle(file, "taper.context", &s->context, 1 << 20, s->model->context, error) &&
         settle(file, "taper.layers", &s->layers, 1 << 12, s->model->layers, error) &&
         settle(file, "taper.heads", &s->heads, 1 << 12, s->model->heads, error) &&
         settle(file, "taper.vocabulary", &s->vocabulary, 1 << 24, s->model->vocabulary, error);
    if (ok && s->data)
        ok = tokens_of_data(s, error);
    else if (ok && !tokens)
        ok = ir_error(error, IR_REFUSED,
                      "%.200s: it does not say what its tokens stand for; expected --data F, what "
                      "it has learnt from",
                      s->weights);
    else if (ok)
        ok = split_tokens(s, tokens) || ir_error(error, IR_FAILED, "not enough memory");
    if (file)
        tp_safetensors_close(file);
    return ok;
}

/* --- the program --------------------------------------------------------------------------------
 */

static bool fine(const struct sample *s, struct ir_error *error)
{
    return tp_error(s->graph) == NULL ||
           ir_error(error, tp_status(s->graph), "%s", tp_error(s->graph));
}

static bool make(struct sample *s, struct ir_error *error)
{
    const struct model_sizes sizes = { .hidden = s->hidden,
                                       .classes = s->tokens,
                                       .vocabulary =
                                           s->vocabulary > s->tokens ? s->vocabulary : s->tokens,
                                       .layers = s->layers,
                                       .heads = s->heads };
    tp_graph *g = s->graph = tp_graph_new((uint64_t)s->seed);
    const bool names = strcmp(s->model->format, "names") == 0;
    tp_tensor x, y, last, row;

    if (!g)
        return ir_error(error, IR_FAILED, "not enough memory");
    x = tp_input(g, "x", TP_I32, tp_dims(1, s->context));
    y = tp_input(g, "y", TP_I32, names ? tp_dims(1) : tp_dims(1, s->context));
    last = tp_input(g, "last", TP_I32, TP_SCALAR);
    row = tp_model_built(s->model, x, y, &sizes).output;
    if (tp_rank(row) == 3) /* scores at each place: those of the last token */
        row = tp_dynamic_slice(row, 1, last, 1);
    row = tp_slice(tp_reshape(row, -1), 0, 0, s->tokens); /* tables may have room for more */
    s->next = tp_sample(row, s->temperature > 0 ? s->temperature : TP_ZERO, .top_k = s->top_k,
                        .top_p = s->top_p);
    if (!fine(s, error))
        return false;
    if (!tp_load(g, s->weights))
        return fine(s, error);
    s->program = tp_compile_at(
        g, tp_list(s->next),
        (tp_compile_args){ .mode = TP_EVAL, .threads = (int)s->threads, .names = "next" }, TP_HERE);
    if (!s->program)
        return fine(s, error);
    s->window = tp_buffer(s->program, x, NULL);
    s->last = tp_program_input(s->program, "last") ? tp_buffer(s->program, last, NULL) : NULL;
    s->counter = tp_find(g, "taper.steps");
    return fine(s, error);
}

/* --- the text -----------------------------------------------------------------------------------
 */

/* The prompt's tokens, each the longest that fits. */
static int32_t *read_prompt(const struct sample *s, int64_t *count, struct ir_error *error)
{
    int32_t *to = calloc(strlen(s->prompt) + 1, sizeof *to);
    const int64_t first = strcmp(s->model->format, "names") == 0; /* token 0 is no letter */

    *count = 0;
    if (!to)
        ir_error(error, IR_FAILED, "not enough memory");
    for (const char *c = s->prompt; to && *c;) {
        int64_t best = -1;
        size_t longest = 0;
        for (int64_t t = first; t < s->tokens; t++) {
            const size_t length = strlen(s->token[t]);
            if (length > longest && strncmp(c, s->token[t], length) == 0) {
                best = t;
                longest = length;
            }
        }
        if (best < 0) {
            ir_error(error, IR_REFUSED,
                     "--prompt: \"%.20s\": expected characters that %s has learnt", c, s->weights);
            free(to);
            return NULL;
        }
        to[(*count)++] = (int32_t)best;
        c += longest;
    }
    return to;
}

/* One token more for what has been said: count tokens, of which the window shows the last. */
static bool draw(struct sample *s, const int32_t *said, int64_t count, int64_t *next,
                 struct ir_error *error)
{
    const bool names = strcmp(s->model->format, "names") == 0;
    const int64_t shown = count < s->context ? count : s->context,
                  place = names ? s->context - shown : 0; /* names end at the window's end */

    memset(s->window, 0, (size_t)s->context * sizeof *s->window);
    if (shown)
        memcpy(s->window + place, said + count - shown, (size_t)shown * sizeof *said);
    if (s->last)
        *s->last = (int32_t)(shown ? shown - 1 : 0);
    if (s->counter.id && !tp_set_values(s->counter, &s->drawn, sizeof s->drawn))
        return fine(s, error);
    s->drawn++;
    if (!tp_run(s->program))
        return fine(s, error);
    *next = (int64_t)tp_get(s->program, s->next);
    return true;
}

static bool write_text(struct sample *s, int32_t *said, int64_t count, struct ir_error *error)
{
    int64_t next;

    if (count == 0) /* something must come first: a new line, where there is one */
        for (said[count++] = 0, next = 0; next < s->tokens; next++)
            if (strcmp(s->token[next], "\n") == 0)
                said[0] = (int32_t)next;
    fputs(s->prompt, stdout);
    for (int64_t i = 0; i < s->length; i++) {
        if (!draw(s, said, count, &next, error))
            return false;
        said[count++] = (int32_t)next;
        fputs(s->token[next], stdout);
        fflush(stdout);
    }
    putchar('\n');
    return true;
}

static bool write_names(struct sample *s, int32_t *said, int64_t begun, struct ir_error *error)
{
    for (int64_t name = 0; name < s->length; name++) {
        int64_t count = begun, next = 0;
        fputs(s->prompt, stdout);
        while (count < begun + NAME_MOST) {
            if (!draw(s, said, count, &next, error))
                return false;
            if (next == 0)
                break;
            said[count++] = (int32_t)next;
            fputs(s->token[next], stdout);
        }
        putchar('\n');
    }
    return true;
}

static bool work(struct sample *s, struct ir_error *error)
{
    const bool names = strcmp(s->model->format, "names") == 0;
    int64_t count = 0;
    int32_t *prompt, *said;
    bool ok;

    if (s->length < 0)
        s->length = names ? 20 : 500;
    if (!read_notes(s, error) || !(prompt = read_prompt(s, &count, error)))
        return false;
    said = calloc((size_t)count + (size_t)(names ? NAME_MOST : s->length) + 2, sizeof *said);
    if (said)
        memcpy(said, prompt, (size_t)count * sizeof *said);
    free(prompt);
    ok = said ? make(s, error) : ir_error(error, IR_FAILED, "not enough memory");
    ok = ok && (names ? write_names : write_text)(s, said, count, error);
    free(said);
    return ok;
}

int command_sample(int argc, char **argv, struct ir_error *error)
{
    struct sample s = { .prompt = "",
                        .length = -1,
                        .hidden = -1,
                        .context = -1,
                        .layers = -1,
                        .heads = -1,
                        .vocabulary = -1,
                        .seed = 1,
                        .temperature = 1 };
    const struct option options[] = {
        { "--weights", 's', &s.weights, "F", "what taper train --save has written (safetensors)" },
        { "--prompt", 's', &s.prompt, "TEXT", "what it begins with" },
        { "--length", 'i', &s.length, "N", "characters: 500; or names: 20" },
        { "--temperature", 'f', &s.temperature, "X", "1; lower is surer, 0 the likeliest" },
        { "--top-k", 'i', &s.top_k, "N", "of the N likeliest only; 0: of all" },
        { "--top-p", 'f', &s.top_p, "X", "of the fewest that reach this probability; 0: of all" },
        { "--seed", 'i', &s.seed, "N", "of chance: the same seed, the same text" },
        { "--data", 's', &s.data, "F", "what it has learnt from, where the weights do not say" },
        { "--hidden", 'i', &s.hidden, "N", "where the weights do not say" },
        { "--context", 'i', &s.context, "N", "where the weights do not say" },
        { "--layers", 'i', &s.layers, "N", "where the weights do not say" },
        { "--heads", 'i', &s.heads, "N", "where the weights do not say" },
        { "--threads", 'i', &s.threads, "N", "0: as many as the machine has" },
        { NULL, 0, NULL, NULL, NULL }
    };
    const struct usage usage = {
        "taper sample MODEL --weights F [options]",
        "Prints text from a model that has learnt from text: gpt, names, ..",
        "taper sample gpt --weights gpt.safetensors --prompt \"ROMEO:\" --temperature 0.8 --top-k "
        "40",
        options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words == -2)
        return 0;
    if (words < 0)
        return error->status;
    s.model = words == 1 ? tp_model_find(argv[0]) : NULL;
    if (words != 1)
        ir_error(error, IR_REFUSED, "sample: %d models; expected one, as taper sample gpt", words);
    else if (!s.model)
        ir_error(error, IR_REFUSED, "sample: no model \"%.60s\"; taper train lists them", argv[0]);
    else if (!s.model->format || strcmp(s.model->format, "words") == 0)
        ir_error(error, IR_REFUSED,
                 "sample: %s says no text; expected gpt, names or another that "
                 "does",
                 s.model->name);
    else if (!s.weights)
        ir_error(error, IR_REFUSED,
                 "sample: expected --weights F, from taper train %s --data TEXT --save F",
                 s.model->name);
    else if (s.context == 0 || s.context > 1 << 20 || s.length > 1 << 28 || s.hidden == 0 ||
             (s.layers > 0 && s.heads == 0))
        ir_error(error, IR_REFUSED, "sample: a --context, --hidden or --length out of all bounds");
    else
        work(&s, error);
    tp_graph_free(s.graph);
    tp_loader_free(s.loader);
    free(s.memory);
    free(s.token);
    return error->status;
}

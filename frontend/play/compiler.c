/*
 * compiler: a model at each stage of its way to code, as `taper show` and `taper explain` print it.
 *
 * They run as a child, for a built-in model as for a pasted text, whose `set data` is not heeded:
 * it could name any file.
 */
#define _GNU_SOURCE
#include "frontend/data.h"
#include "frontend/models.h"
#include "play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 200000, WORDS = 24 };

json_t *play_models(struct play_request *r)
{
    json_t *models = json_array(), *stages = json_array();

    (void)r;
    for (const struct model *m = tp_models; m->name; m++)
        if (m->vocabulary == 0) /* the large one takes minutes */
            json_array_append_new(models, json_pack("[s, s]", m->name, m->about));
    for (const struct stage *s = command_stages; s->name; s++)
        json_array_append_new(stages, json_pack("[s, s]", s->name, s->about));
    return json_pack("{s:o, s:o}", "models", models, "stages", stages);
}

/* --- what is asked for ---------------------------------------------------------------------------
 */

struct asked {
    const char *model, *text; /* one of them */
    const char *stage, *program;
    char data[16]; /* of a text: a set that the program makes itself */
};

/* `set data = "xor"` of a text, where xor is such a set. */
static void data_of(struct asked *a)
{
    const char *at = strstr(a->text, "set data = \"");
    size_t length;

    snprintf(a->data, sizeof a->data, "digits");
    if (!at)
        return;
    at += strlen("set data = \"");
    length = strcspn(at, "\"");
    if (length < sizeof a->data) {
        char name[sizeof a->data] = "";
        memcpy(name, at, length);
        if (tp_data_made(name))
            memcpy(a->data, name, sizeof name);
    }
}

static bool read_asked(struct asked *a, struct play_request *r)
{
    const char *stage = json_string_value(json_object_get(r->body, "stage"));
    const char *program = json_string_value(json_object_get(r->body, "program"));
    const struct stage *s = command_stages;

    *a = (struct asked){ .model = json_string_value(json_object_get(r->body, "model")),
                         .text = json_string_value(json_object_get(r->body, "text")) };
    while (stage && s->name && strcmp(s->name, stage) != 0)
        s++;
    a->stage = stage && s->name ? s->name : "trace";
    a->program = program && strcmp(program, "eval") == 0 ? "eval" : "step";
    if (a->text && strlen(a->text) > TEXT)
        return ir_error(&r->error, IR_REFUSED, "a text of %zu bytes; expected at most %d",
                        strlen(a->text), TEXT);
    if (a->text) {
        data_of(a);
        return true;
    }
    if (a->model && tp_model_find(a->model) && tp_model_find(a->model)->vocabulary == 0) {
        a->model = tp_model_find(a->model)->name;
        return true;
    }
    return ir_error(&r->error, IR_REFUSED,
                    "model \"%.40s\": expected a name of the list, or a text",
                    a->model ? a->model : "");
}

/* --- asking taper, or dot ------------------------------------------------------------------------
 */

static bool put_model(const char *folder, const char *text)
{
    char path[80];
    FILE *file;
    bool good;

    snprintf(path, sizeof path, "%s/model.tp", folder);
    file = fopen(path, "wx");
    if (!file)
        return false;
    good = fputs(text, file) >= 0;
    return fclose(file) == 0 && good;
}

static void drop(const char *folder)
{
    char path[80];

    snprintf(path, sizeof path, "%s/model.tp", folder);
    unlink(path);
    rmdir(folder);
}

static bool run_in_folder(struct play_request *r, const char *const argv[], const char *text,
                          const char *input, size_t size, struct ir_text *out)
{
    char folder[] = "/tmp/taper-play-XXXXXX";
    struct ir_text err = { 0 };
    int status;

    if (!mkdtemp(folder))
        return ir_error(&r->error, IR_FAILED, "there is no room in /tmp");
    pthread_mutex_lock(play_children(r->play));
    status =
        text && !put_model(folder, text) ? -1 : play_child(argv, folder, input, size, out, &err);
    pthread_mutex_unlock(play_children(r->play));
    drop(folder);
    if (status == PLAY_BEYOND)
        ir_error(&r->error, IR_REFUSED, "it takes too long, or is too large to be shown");
    else if (status != 0)
        ir_error(&r->error, IR_REFUSED, "%.*s", err.size ? (int)strcspn(err.data, "\n") : 12,
                 err.size ? err.data : "it fails now");
    ir_text_free(&err);
    return status == 0;
}

/* taper COMMAND MODEL, and further words. */
static bool ask_taper(struct play_request *r, const struct asked *a, const char *command,
                      const char *const more[], struct ir_text *out)
{
    const char *argv[WORDS] = { "/proc/self/exe", command, a->text ? "model.tp" : a->model };
    int words = 3;

    if (a->text) {
        argv[words++] = "--data";
        argv[words++] = a->data;
    }
    for (int i = 0; more[i] && words < WORDS - 1; i++)
        argv[words++] = more[i];
    return run_in_folder(r, argv, a->text, "", 0, out);
}

static bool stage_text(struct play_request *r, const struct asked *a, const char *format,
                       struct ir_text *out)
{
    const bool programs = strcmp(a->stage, "trace") != 0 && !a->text;
    const char *more[] = { "--stage",  a->stage, "--format", format, programs ? "--program" : NULL,
                           a->program, NULL };

    return ask_taper(r, a, "show", more, out);
}

/* --- answers -------------------------------------------------------------------------------------
 */

json_t *play_show(struct play_request *r)
{
    struct ir_text text = { 0 };
    json_t *said = NULL;
    struct asked a;

    if (read_asked(&a, r) && stage_text(r, &a, "text", &text))
        said = json_pack("{s:s#}", "text", text.size ? text.data : "", (int)text.size);
    ir_text_free(&text);
    return said;
}

json_t *play_draw(struct play_request *r)
{
    static const char *const draw[] = { "dot", "-Tsvg", NULL };
    struct ir_text dot = { 0 }, folded = { 0 }, svg = { 0 };
    const struct ir_text *drawn = &dot;
    json_t *said = NULL;
    struct asked a;

    if (read_asked(&a, r) && stage_text(r, &a, "dot", &dot)) {
        if (json_is_true(json_object_get(r->body, "fold"))) {
            play_fold(dot.data, &folded);
            drawn = &folded;
        }
        if (drawn->size && run_in_folder(r, draw, NULL, drawn->data, drawn->size, &svg))
            said = json_pack("{s:s#}", "svg", svg.data, (int)svg.size);
        else if (r->error.status != IR_OK && strstr(r->error.text, "it fails now"))
            said = json_pack("{s:s}", "missing",
                             "Graphviz is not on this machine: apt install graphviz");
    }
    ir_text_free(&dot);
    ir_text_free(&folded);
    ir_text_free(&svg);
    return said;
}

json_t *play_explain(struct play_request *r)
{
    static const char *const more[] = { "--json", "--seconds", "0.3", "--threads", "1", NULL };
    struct ir_text text = { 0 };
    json_t *kernels = NULL;
    struct asked a;

    if (read_asked(&a, r) && ask_taper(r, &a, "explain", more, &text)) {
        kernels = json_array();
        for (const char *line = text.data; line && *line;) {
            const size_t length = strcspn(line, "\n");
            json_array_append_new(kernels, json_loadb(line, length, 0, NULL));
            line += length + (line[length] == '\n');
        }
    }
    ir_text_free(&text);
    return kernels ? json_pack("{s:o}", "kernels", kernels) : NULL;
}

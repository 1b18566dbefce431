/*
 * pages: the page itself, and the two libraries it uses, as they were put into the program when it
 * was built. There is no folder behind them, so no path leads anywhere else.
 */
#include "play.h"

#include <string.h>

#define PAGE(symbol)            \
    extern const char symbol[]; \
    extern const size_t symbol##_size;
PAGE(play_text_index)
PAGE(play_text_page)
PAGE(play_text_app)
PAGE(play_text_train)
PAGE(play_text_compiler)
PAGE(play_text_sandbox)
PAGE(play_text_lesson)
PAGE(play_text_modules)
PAGE(play_text_digits)
PAGE(play_text_sentences)
PAGE(play_text_characters)
PAGE(play_text_dygraph)
PAGE(play_text_dygraph_css)
PAGE(play_text_prettify)

#define ROW(name, kind, symbol) { name, kind, symbol, &symbol##_size }
static const struct page {
    const char *name, *kind, *text;
    const size_t *size;
} pages[] = {
    ROW("", "text/html; charset=utf-8", play_text_index),
    ROW("page.css", "text/css; charset=utf-8", play_text_page),
    ROW("app.js", "text/javascript; charset=utf-8", play_text_app),
    ROW("train.js", "text/javascript; charset=utf-8", play_text_train),
    ROW("compiler.js", "text/javascript; charset=utf-8", play_text_compiler),
    ROW("sandbox.js", "text/javascript; charset=utf-8", play_text_sandbox),
    ROW("lesson.js", "text/javascript; charset=utf-8", play_text_lesson),
    ROW("modules.js", "text/javascript; charset=utf-8", play_text_modules),
    ROW("digits.js", "text/javascript; charset=utf-8", play_text_digits),
    ROW("sentences.js", "text/javascript; charset=utf-8", play_text_sentences),
    ROW("characters.js", "text/javascript; charset=utf-8", play_text_characters),
    ROW("dygraph.js", "text/javascript; charset=utf-8", play_text_dygraph),
    ROW("dygraph.css", "text/css; charset=utf-8", play_text_dygraph_css),
    ROW("prettify.js", "text/javascript; charset=utf-8", play_text_prettify),
};

/* What the built-in models are recorded by: the user's program, as the page Compiler shows it. */
PAGE(play_source_models)
PAGE(play_source_models_image)
PAGE(play_source_models_text)
static const struct page sources[] = {
    ROW("models.c", NULL, play_source_models),
    ROW("models_image.c", NULL, play_source_models_image),
    ROW("models_text.c", NULL, play_source_models_text),
};

json_t *play_source(struct play_request *r)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (strcmp(sources[i].name, r->word[0]) == 0)
            return json_pack("{s:s%}", "text", sources[i].text, *sources[i].size);
    ir_error(&r->error, IR_REFUSED, "there is no source of that name");
    return NULL;
}

static const struct page *find(const char *name)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(pages[i].name, name) == 0)
            return &pages[i];
    return NULL;
}

bool play_page_named(const char *name)
{
    return find(name) != NULL;
}

json_t *play_page(struct play_request *r)
{
    const struct page *p = find(r->word[0] ? r->word[0] : "");

    r->kind = p->kind;
    r->text = p->text;
    r->size = *p->size;
    return NULL;
}

/*
 * notes: what stands with the weights of a model of text, so that `taper sample` needs them alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "frontend/parts.h"
#include "runtime/parts/file.h"
#include "runtime/parts/shuffle.h"

#include "runtime/parts/columns.h"
#include "runtime/parts/sentences.h"
#include "runtime/parts/text.h"

#include "command.h"
#include "frontend/models.h"

bool command_notes(struct session *s, struct notes *n)
{
    const struct data_set *set = tp_loader_set(s->train);
    const struct text_vocabulary words = { .count = set->vocabulary_count,
                                           .entry = set->vocabulary };
    const struct model_sizes size = s->values ? command_sizes(s) : (struct model_sizes){ 0 };
    const struct {
        const char *key;
        int64_t value;
    } number[] = {
        { "taper.context", s->settings.context },
        { "taper.heads", size.heads },
        { "taper.hidden", size.hidden },
        { "taper.layers", size.layers },
        { "taper.vocabulary", s->settings.vocabulary },
    };
    struct part_error part = { 0 };

    *n = (struct notes){ 0 };
    if (!s->values || words.count == 0)
        return true;
    for (int i = 0; i < 5; i++) {
        if (number[i].value <= 0)
            continue;
        snprintf(n->number[i], sizeof n->number[i], "%lld", (long long)number[i].value);
        n->pair[n->sizes++] = (struct file_pair){ number[i].key, n->number[i] };
    }
    n->pair[n->sizes++] = (struct file_pair){ "taper.model", s->model };
    if (!text_tokens(&words, &n->tokens, &part))
        return tp_part_told(&part, &s->error);
    n->pair[n->sizes] = (struct file_pair){ "taper.tokens", n->tokens };
    return true;
}

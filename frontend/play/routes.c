/*
 * routes: which function answers which path. A * stands for one word, which the function gets.
 */
#include "play.h"

#include <string.h>

static const struct {
    const char *method, *path;
    play_handler *answer;
} routes[] = {
    { "GET", "", play_page },
    { "GET", "*", play_page },
    { "GET", "api/knobs", play_knobs },
    { "GET", "api/models", play_models },
    { "POST", "api/show", play_show },
    { "GET", "api/source/*", play_source },
    { "POST", "api/draw", play_draw },
    { "POST", "api/explain", play_explain },
    { "GET", "api/functions", play_functions },
    { "POST", "api/maths", play_maths },
    { "POST", "api/autodiff", play_autodiff },
    { "POST", "api/tensor", play_tensor },
    { "GET", "api/modules", play_module_kinds },
    { "POST", "api/modules", play_modules },
    { "POST", "api/visits", play_visit_new },
    { "GET", "api/visits/*/events", play_visit_events },
    { "POST", "api/visits/*/runs/*", play_run_make },
    { "GET", "api/visits/*/runs/*", play_run_look },
    { "GET", "api/visits/*/runs/*/text", play_run_text },
    { "POST", "api/visits/*/runs/*/do", play_run_order },
    { "POST", "api/visits/*/runs/*/values", play_run_change },
    { "POST", "api/visits/*/*", play_lesson_make },
    { "GET", "api/visits/*/*", play_lesson_keep },
    { "POST", "api/visits/*/*/look", play_lesson_see },
};

/* Word by word; `path` loses its slashes. */
static bool fits(const char *pattern, char *path, struct play_request *r)
{
    int words = 0;

    for (;;) {
        const size_t long_a = strcspn(pattern, "/"), long_b = strcspn(path, "/");
        const bool last_a = !pattern[long_a], last_b = !path[long_b];

        if (last_a != last_b)
            return false;
        path[long_b] = 0;
        if (long_a == 1 && *pattern == '*') {
            if (!long_b || words == PLAY_WORDS)
                return false;
            r->word[words++] = path;
        } else if (long_a != long_b || memcmp(pattern, path, long_a) != 0) {
            return false;
        }
        if (last_a)
            return true;
        pattern += long_a + 1;
        path += long_b + 1;
    }
}

play_handler *play_route(const char *method, const char *path, char *room, size_t size,
                         struct play_request *r, bool *known)
{
    *known = false;
    if (strlen(path) >= size)
        return NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        memcpy(room, path, strlen(path) + 1);
        if (!fits(routes[i].path, room, r))
            continue;
        if (routes[i].answer == play_page && *path && !play_page_named(path))
            continue;
        *known = true;
        if (strcmp(routes[i].method, method) == 0)
            return routes[i].answer;
    }
    return NULL;
}

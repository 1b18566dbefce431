/*
 * What the tests of the runtime share. Every test has a process and a cache of its own, so it may
 * set the environment.
 */
#ifndef TESTS_SUPPORT_RUNTIME_H
#define TESTS_SUPPORT_RUNTIME_H

#include "runtime/runtime.h"

#include <stdbool.h>

#define EXPORT "__attribute__((visibility(\"default\"))) "

extern char support_home[300];  /* $XDG_CACHE_HOME of the test */
extern char support_cache[320]; /* the cache in it */

void support_home_make(void);
void support_home_remove(void);
bool support_has_plugin(void);
bool support_has_program(const char *name);
struct run_code *support_load(const char *text, const struct run_options *options);
/* true when a mapped file of this process has `name` in its path */
bool support_mapped(const char *name);
int support_call(struct run_code *code, const char *name);
/* how many entries end so (".new": half-written ones), and the path of the last */
int support_entries(const char *ending, char path[600]);

/* Criterion does not clean up after a test that is skipped. */
#define SUPPORT_SKIP(...)      \
    do {                       \
        support_home_remove(); \
        cr_skip(__VA_ARGS__);  \
    } while (0)

#endif

/*
 * A cache of the test's own, and compiled text that must compile.
 */
#define _GNU_SOURCE 1
#include "support_runtime.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char support_home[300];
char support_cache[320];

void support_home_make(void)
{
    snprintf(support_home, sizeof support_home, "/tmp/taper-test-XXXXXX");
    cr_assert(mkdtemp(support_home), "no directory for the test's cache");
    snprintf(support_cache, sizeof support_cache, "%s/taper", support_home);
    setenv("XDG_CACHE_HOME", support_home, 1);
    unsetenv("TAPER_CACHE_BYTES");
    unsetenv("TAPER_CC");
    if (!getenv("TAPER_JIT") && access(TAPER_BUILD "/libtaper-jit.so", R_OK) == 0)
        setenv("TAPER_JIT", TAPER_BUILD "/libtaper-jit.so", 1);
}

void support_home_remove(void)
{
    char command[400];
    setenv("PATH", "/usr/bin:/bin", 1); /* a test may have emptied it */
    snprintf(command, sizeof command, "rm -rf '%s'", support_home);
    if (system(command) != 0)
        fprintf(stderr, "%s was left behind\n", support_home);
}

bool support_has_plugin(void)
{
    const char *path = getenv("TAPER_JIT");
    return path && access(path, R_OK) == 0;
}

bool support_has_program(const char *name)
{
    char command[100];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", name);
    return system(command) == 0;
}

struct run_code *support_load(const char *text, const struct run_options *options)
{
    struct ir_error error = { 0 };
    struct run_code *code = run_code_load(text, options, &error);
    cr_assert(code, "%s", error.text);
    return code;
}

int support_call(struct run_code *code, const char *name)
{
    int (*function)(void);
    void *symbol = run_code_symbol(code, name);
    cr_assert(symbol, "%s is not exported", name);
    memcpy(&function, &symbol, sizeof symbol);
    return function();
}

/* the entries of the cache directory whose names end so, and the last of their paths */
int support_entries(const char *ending, char path[600])
{
    int count = 0;
    DIR *list = opendir(support_cache);
    for (struct dirent *at; list && (at = readdir(list));) {
        const size_t length = strlen(at->d_name), end = strlen(ending);
        if (at->d_name[0] == '.' && strcmp(ending, ".new") == 0)
            count += strncmp(at->d_name, ".new-", 5) == 0;
        if (length < end || strcmp(at->d_name + length - end, ending) != 0)
            continue;
        count++;
        if (path)
            snprintf(path, 600, "%s/%s", support_cache, at->d_name);
    }
    if (list)
        closedir(list);
    return count;
}

/* true when a mapped file of this process has `name` in its path */
bool support_mapped(const char *name)
{
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps))
        found = found || strstr(line, name);
    if (maps)
        fclose(maps);
    return found;
}

/*
 * cache: what compiled programs there are on disk.
 */
#define _POSIX_C_SOURCE 200809L
#include "command.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct total {
    int64_t files, bytes;
};

static void print_entry(void *user, const struct run_cache_entry *entry)
{
    struct total *total = user;
    char when[32] = "?";
    struct tm tm;
    const time_t used = entry->used.tv_sec;

    total->files++;
    total->bytes += (int64_t)entry->bytes;
    if (localtime_r(&used, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    printf("%s %9.1f KiB  %.16s%s  %s\n", when, (double)entry->bytes / 1024, entry->name,
           strrchr(entry->name, '.') ? strrchr(entry->name, '.') : "", entry->note);
}

int command_cache(int argc, char **argv, struct ir_error *error)
{
    const struct option options[] = { { NULL, 0, NULL, NULL, NULL } };
    const struct usage usage = {
        "taper cache [list|clear|why]",
        "list: the programs and when they were used; clear: remove them; why: whether "
        "the cache is in\nuse, and if not, why.",
        "taper cache list", options
    };
    int words = command_options(argc, argv, &usage, error);
    const char *what = words > 0 ? argv[0] : "list";
    struct total total = { 0 };
    char line[600];
    size_t removed;

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words > 1 ||
        (strcmp(what, "list") != 0 && strcmp(what, "clear") != 0 && strcmp(what, "why") != 0))
        ir_error(error, IR_REFUSED, "cache \"%.40s\": expected list, clear or why",
                 words > 1 ? argv[1] : what);
    else if (strcmp(what, "list") == 0) {
        if (run_cache_list(NULL, print_entry, &total, error))
            printf("%lld files, %.1f MiB\n", (long long)total.files, (double)total.bytes / 0x1p20);
    } else if (strcmp(what, "clear") == 0 && run_cache_clear(NULL, &removed, error))
        printf("%zu files removed\n", removed);
    else if (strcmp(what, "why") == 0) {
        run_cache_why(NULL, line, sizeof line);
        printf("%s\n", line);
    }
    return error->status;
}

/*
 * engine: which compiler it is, without asking it each time.
 *
 * The version is part of every key, but asking costs 20 ms and, for the plug-in, all of LLVM. So
 * the answer is kept in the cache beside size and time of the files that it stands for, and asked
 * again when one of them has changed.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* "size seconds nanoseconds inode path" for a file; an absent file has a line too */
static void stamp(char *line, size_t size, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        memset(&status, 0, sizeof status);
    snprintf(line, size, "%lld %lld %ld %llu %s", (long long)status.st_size,
             (long long)status.st_mtim.tv_sec, (long)status.st_mtim.tv_nsec,
             (unsigned long long)status.st_ino, path);
}

/* Line 1: the version. Each further line: a stamp, which must still be the file's. */
static bool still_true(char *text, char version[], size_t size)
{
    char *save = NULL, *line = strtok_r(text, "\n", &save);
    int files = 0;
    if (!line || strlen(line) >= size)
        return false;
    snprintf(version, size, "%s", line);
    while ((line = strtok_r(NULL, "\n", &save))) {
        char now[1200];
        const char *path = line;
        for (int field = 0; field < 4 && path; field++)
            path = strchr(path, ' ') ? strchr(path, ' ') + 1 : NULL;
        if (!path)
            return false;
        stamp(now, sizeof now, path);
        if (strcmp(now, line) != 0)
            return false;
        files++;
    }
    return files > 0;
}

bool run_compiler_identify(struct run_compiler *compiler, struct run_cache *cache, char *why,
                           size_t size)
{
    char key[65], files[4096] = "", note[8192], version[sizeof compiler->version] = "";
    const char *name = compiler->engine ? compiler->engine->name : "";
    const struct run_field fields[] = { { "compiler", 8 },
                                        { name, strlen(name) },
                                        { compiler->path, strlen(compiler->path) } };
    struct run_bytes content;
    run_hash_text(fields, 3, key);
    if (run_cache_get(cache, key, "compiler", &content, NULL)) {
        const bool known = still_true((char *)content.data, version, sizeof version);
        run_bytes_free(&content);
        if (known) {
            memcpy(compiler->version, version, sizeof version);
            return true;
        }
    }
    if (!compiler->engine->ask(compiler, files, sizeof files, why, size))
        return false;
    run_printable(compiler->version);
    int at = snprintf(note, sizeof note, "%s\n", compiler->version);
    char *save = NULL;
    for (char *path = strtok_r(files, "\n", &save); path; path = strtok_r(NULL, "\n", &save)) {
        stamp(note + at, sizeof note - (size_t)at - 1, path);
        at += (int)strlen(note + at);
        note[at++] = '\n';
        note[at] = 0;
    }
    content = (struct run_bytes){ (unsigned char *)note, (size_t)at };
    run_cache_put(cache, key, "compiler", &content, compiler->version);
    return true;
}

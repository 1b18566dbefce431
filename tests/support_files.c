/*
 * support_files: see the header.
 */
#define _GNU_SOURCE
#include "support_files.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/taper-files-XXXXXX";

void support_enter(void)
{
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
}

void support_leave(void)
{
    DIR *open = opendir(folder);
    struct dirent *entry;

    while (open && (entry = readdir(open)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(open), entry->d_name, 0) != 0)
            unlinkat(dirfd(open), entry->d_name, AT_REMOVEDIR);
    closedir(open);
    rmdir(folder);
}

void support_put(const char *name, const void *bytes, size_t size)
{
    unlink(name); /* ext4 waits for the disk where a file that was there is written anew */
    FILE *file = fopen(name, "wb");

    cr_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

void support_put_text(const char *name, const char *text)
{
    support_put(name, text, strlen(text));
}

void support_put_packed(const char *name, const void *bytes, size_t size)
{
    gzFile file = gzopen(name, "wb9");

    cr_assert(gzwrite(file, bytes, (unsigned)size) == (int)size && gzclose(file) == Z_OK);
}

size_t support_get(const char *name, void *bytes, size_t room)
{
    FILE *file = fopen(name, "rb");
    size_t size;

    cr_assert(file, "%s", name);
    size = fread(bytes, 1, room, file);
    fclose(file);
    return size;
}

int support_files(void)
{
    DIR *open = opendir(".");
    int files = 0;

    for (struct dirent *entry; (entry = readdir(open));)
        files += entry->d_name[0] != '.';
    closedir(open);
    return files;
}

bool support_one_line(const struct ir_error *error)
{
    if ((error->status != IR_REFUSED && error->status != IR_UNSUPPORTED) || !error->text[0])
        return false;
    for (const char *c = error->text; *c; c++)
        if (*c < ' ' || *c > '~')
            return false;
    return true;
}

/* --- damage --------------------------------------------------------------------------------------
 */

/* The file is changed where it lies: to write it anew each time would wait for the disk. */
enum { MOST = 1 << 16 };

static int copy(const char *name, unsigned char **bytes, size_t *size)
{
    int damaged;

    *bytes = malloc(MOST);
    *size = support_get(name, *bytes, MOST);
    support_put("damaged", *bytes, *size);
    damaged = open("damaged", O_RDWR);
    cr_assert(damaged >= 0);
    return damaged;
}

static int try(const char *what, size_t at, support_reader *read)
{
    struct ir_error error = { 0 };
    bool done = read("damaged", &error);

    if (!done)
        cr_expect(support_one_line(&error), "%s at %zu: %d \"%s\"", what, at, error.status,
                  error.text);
    return done;
}

int support_cuts(const char *name, support_reader *read)
{
    unsigned char *bytes;
    size_t size;
    int damaged = copy(name, &bytes, &size), done = 0;

    while (size-- > 0) {
        cr_assert(ftruncate(damaged, (off_t)size) == 0);
        done += try("cut", size, read);
    }
    close(damaged);
    free(bytes);
    return done;
}

int support_flips(const char *name, support_reader *read)
{
    unsigned char *bytes;
    size_t size;
    int damaged = copy(name, &bytes, &size), done = 0;

    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        cr_assert(pwrite(damaged, &bytes[bit / 8], 1, (off_t)(bit / 8)) == 1);
        done += try("bit", bit, read);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        cr_assert(pwrite(damaged, &bytes[bit / 8], 1, (off_t)(bit / 8)) == 1);
    }
    close(damaged);
    free(bytes);
    return done;
}

/* --- the command ---------------------------------------------------------------------------------
 */

pid_t support_start(const char *const words[])
{
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (freopen("out", "w", stdout) && freopen("err", "w", stderr))
            execv(TAPER_BUILD "/taper", (char *const *)words);
        _exit(126);
    }
    cr_assert(child > 0);
    return child;
}

int support_run(const char *const words[])
{
    int status;

    waitpid(support_start(words), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/*
 * file: small things about files that the C library leaves out: whole reads and writes, a private
 * directory for temporary files, and text that is fit to be printed.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* From the start of a regular file, as long as fstat says; a file that shrinks meanwhile fails. */
bool run_bytes_read(int fd, size_t most, struct run_bytes *bytes)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < 0 ||
        (uint64_t)status.st_size > most)
        return false;
    const size_t length = (size_t)status.st_size;
    unsigned char *data = malloc(length + 1);
    size_t done = 0;
    while (data && done < length) {
        const ssize_t got = pread(fd, data + done, length - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    if (!data || done < length) {
        free(data);
        return false;
    }
    data[length] = 0; /* so that a text is a string */
    bytes->data = data;
    bytes->length = length;
    return true;
}

void run_bytes_free(struct run_bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->length = 0;
}

bool run_bytes_write(int fd, const void *data, size_t length)
{
    const unsigned char *from = data;
    while (length) {
        const ssize_t put = write(fd, from, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        from += put;
        length -= (size_t)put;
    }
    return true;
}

bool run_scratch_open(char path[], size_t size)
{
    const char *chosen = secure_getenv("TMPDIR");
    const char *const places[] = { chosen && chosen[0] == '/' ? chosen : "/tmp", "/tmp", "/var/tmp",
                                   "/dev/shm" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const int length = snprintf(path, size, "%s/taper-XXXXXX", places[i]);
        if (length > 0 && (size_t)length < size && mkdtemp(path))
            return true;
    }
    path[0] = 0;
    return false;
}

void run_scratch_close(const char *path)
{
    DIR *list = path[0] ? opendir(path) : NULL;
    for (struct dirent *entry; list && (entry = readdir(list));)
        unlinkat(dirfd(list), entry->d_name, 0);
    if (list)
        closedir(list);
    if (path[0])
        rmdir(path);
}

void run_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = ' ';
}

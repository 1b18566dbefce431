/*
 * file_aside: a file that appears whole or not at all.
 *
 * It is written under a name of its own beside the final one, forced to the disk, and renamed.
 * Whoever is killed meanwhile leaves the old file as it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/data.h"

static bool failed(struct file_aside *file, const char *what, struct ir_error *error)
{
    return ir_error(error, IR_FAILED, "%s: %s: %s", file->path, what, strerror(errno));
}

bool tp_aside_open(struct file_aside *file, const char *path, struct ir_error *error)
{
    struct stat status;

    *file = (struct file_aside){ .descriptor = -1, .path = strdup(path) };
    if (!file->path)
        return ir_error(error, IR_FAILED, "%s: not enough memory", path);
    if (!*path)
        return ir_error(error, IR_REFUSED, "a file to write has an empty name");
    /* Renaming over a device or a pipe would replace it. */
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return ir_error(error, IR_REFUSED, "%s: cannot be written: it is not a plain file", path);
    for (int attempt = 0; attempt < 100 && file->descriptor < 0; attempt++) {
        free(file->aside);
        if (asprintf(&file->aside, "%s.%ld-%d.tmp", path, (long)getpid(), attempt) < 0) {
            file->aside = NULL;
            return ir_error(error, IR_FAILED, "%s: not enough memory", path);
        }
        file->descriptor = open(file->aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->descriptor < 0 && errno != EEXIST)
            break;
    }
    if (file->descriptor < 0) {
        ir_error(error, IR_REFUSED, "%s: cannot be written: %s", path, strerror(errno));
        free(file->aside);
        file->aside = NULL; /* not ours to take away */
        return false;
    }
    return true;
}

bool tp_aside_write(struct file_aside *file, const void *bytes, size_t size, struct ir_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t written = write(file->descriptor, (const char *)bytes + done, size - done);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return failed(file, "writing failed", error);
        done += (size_t)written;
    }
    return true;
}

/* The new name is only safe once the folder is on the disk as well. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int descriptor = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(folder);
}

bool tp_aside_commit(struct file_aside *file, struct ir_error *error)
{
    int closed;

    if (fsync(file->descriptor) != 0)
        return failed(file, "writing failed", error);
    closed = close(file->descriptor);
    file->descriptor = -1;
    if (closed != 0)
        return failed(file, "writing failed", error);
    if (rename(file->aside, file->path) != 0)
        return failed(file, "renaming failed", error);
    sync_folder(file->path);
    free(file->path);
    free(file->aside);
    *file = (struct file_aside){ .descriptor = -1 };
    return true;
}

void tp_aside_abandon(struct file_aside *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    if (file->aside)
        unlink(file->aside);
    free(file->path);
    free(file->aside);
    *file = (struct file_aside){ .descriptor = -1 };
}

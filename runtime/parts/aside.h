/*
 * A file that appears whole or not at all.
 *
 * It is written under a name of its own beside the final one, forced to the disk, and renamed.
 * Whoever is killed meanwhile leaves the old file as it was.
 */
#ifndef PART_ASIDE_H
#define PART_ASIDE_H

enum { ASIDE_PATH = 4096 };

struct aside {
    int descriptor;
    char path[ASIDE_PATH], aside[ASIDE_PATH + 32]; /* the final name, and the one it is under */
};

PART bool aside_failed(const struct aside *a, const char *what, struct part_error *error)
{
    return part_fail(error, PART_FAILED, "%.250s: %s: %s", a->path, what, strerror(errno));
}

/* After any failure; nothing is left. */
PART void aside_abandon(struct aside *a)
{
    if (a->descriptor >= 0)
        close(a->descriptor);
    if (a->aside[0])
        unlink(a->aside);
    a->descriptor = -1;
    a->aside[0] = 0;
}

/*
 * `own`: the name ends with this process's number, so that nobody else writes there; else it is
 * one name for good, which a killed run leaves at most once.
 */
PART bool aside_open(struct aside *a, const char *path, bool own, struct part_error *error)
{
    struct stat status;

    a->descriptor = -1;
    a->aside[0] = 0;
    if (!*path)
        return part_fail(error, PART_REFUSED, "a file to write has an empty name");
    if ((size_t)snprintf(a->path, sizeof a->path, "%s", path) >= sizeof a->path)
        return part_fail(error, PART_REFUSED, "%.250s: cannot be written: the name is too long",
                         path);
    /* Renaming over a device or a pipe would replace it. */
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return part_fail(error, PART_REFUSED, "%.250s: cannot be written: it is not a plain file",
                         path);
    for (int attempt = 0; attempt < 100 && a->descriptor < 0; attempt++) {
        if (own)
            snprintf(a->aside, sizeof a->aside, "%s.%ld-%d.tmp", a->path, (long)getpid(), attempt);
        else
            snprintf(a->aside, sizeof a->aside, "%s.tmp", a->path);
        if (!own)
            unlink(a->aside);
        a->descriptor = open(a->aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (a->descriptor < 0 && errno != EEXIST)
            break;
    }
    if (a->descriptor < 0) {
        a->aside[0] = 0; /* not ours to take away */
        return part_fail(error, PART_REFUSED, "%.250s: cannot be written: %s", path,
                         strerror(errno));
    }
    return true;
}

PART bool aside_write(struct aside *a, const void *bytes, size_t size, struct part_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t written = write(a->descriptor, (const char *)bytes + done, size - done);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return aside_failed(a, "writing failed", error);
        done += (size_t)written;
    }
    return true;
}

/* A new name is only safe once the folder is on the disk as well. */
PART void aside_sync_folder(const char *path)
{
    char folder[ASIDE_PATH];
    const char *slash = strrchr(path, '/');
    int descriptor;

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
}

/* On the disk, and not under its final name yet. */
PART bool aside_finish(struct aside *a, struct part_error *error)
{
    bool ok = fsync(a->descriptor) == 0;

    ok = close(a->descriptor) == 0 && ok;
    a->descriptor = -1;
    return ok || aside_failed(a, "writing failed", error);
}

PART bool aside_commit(struct aside *a, struct part_error *error)
{
    if (a->descriptor >= 0 && !aside_finish(a, error))
        return false;
    if (rename(a->aside, a->path) != 0)
        return aside_failed(a, "renaming failed", error);
    aside_sync_folder(a->path);
    a->aside[0] = 0;
    return true;
}

#endif

/*
 * cache: compiled code on disk, keyed by a hash of all that it depends on.
 *
 * An entry is one file, KEY.so: the object, a note, and a trailer with lengths, key and SHA-256.
 * The loader never looks behind an object's end, so the file is opened as it lies. Whoever can
 * write here can run code as the user: the directory must be his alone, and is not used otherwise.
 * Entries appear by rename, so readers and writers need no lock; what is torn is compiled again.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_MOST    ((size_t)1 << 30)
#define STALE_SECONDS 3600 /* a half-written file of this age has lost its writer */

static const char magic[8] = { 't', 'a', 'p', 'e', 'r', 's', 'o', '1' };
static const char aside[] = ".new-";

struct trailer {
    uint64_t content, note;   /* lengths */
    char key[64];             /* the name must not lie either */
    unsigned char digest[32]; /* of content, note and key */
    char magic[sizeof magic];
};

__attribute__((format(printf, 2, 3))) static bool say(struct run_cache *cache, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cache->why, sizeof cache->why, format, arguments);
    va_end(arguments);
    run_printable(cache->why);
    return false;
}

/* where the cache is by rights; false when nobody says */
static bool place(struct run_cache *cache, const char *directory)
{
    const char *xdg = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    int length;
    if (directory && directory[0])
        length = snprintf(cache->path, sizeof cache->path, "%s", directory);
    else if (xdg && xdg[0] == '/') /* the XDG specification: a relative path is to be ignored */
        length = snprintf(cache->path, sizeof cache->path, "%s/taper", xdg);
    else if (home && home[0] == '/')
        length = snprintf(cache->path, sizeof cache->path, "%s/.cache/taper", home);
    else
        return say(cache, "no cache: neither XDG_CACHE_HOME nor HOME is a path");
    if (length < 0 || (size_t)length >= sizeof cache->path)
        return say(cache, "no cache: its path is too long");
    return true;
}

static bool bound_of(struct run_cache *cache)
{
    const char *text = secure_getenv("TAPER_CACHE_BYTES");
    cache->bound = RUN_CACHE_BYTES;
    if (!text || !text[0])
        return true;
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    const char *unit = *end ? strchr("KMG", *end) : NULL;
    const int shift = !unit ? 0 : *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
    if (text[0] < '0' || text[0] > '9' || errno || (*end && (!unit || end[1])) ||
        number > UINT64_MAX >> shift)
        return say(cache, "no cache: TAPER_CACHE_BYTES is '%.40s'; wanted a number, as 512M", text);
    cache->bound = (uint64_t)number << shift;
    return true;
}

static bool make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        const bool fine = mkdir(path, 0700) == 0 || errno == EEXIST || errno == EROFS;
        *slash = '/';
        if (!fine)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static void open_directory(struct run_cache *cache, const char *directory, bool make)
{
    struct stat status;
    memset(cache, 0, sizeof *cache);
    cache->directory = -1;
    if (!place(cache, directory) || !bound_of(cache))
        return;
    int fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && make && make_directories(cache->path))
        fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        say(cache, "no cache: %.250s: %s", cache->path, strerror(errno));
    } else if (status.st_uid != geteuid()) {
        say(cache, "no cache: %.200s belongs to user %u, not to you; set XDG_CACHE_HOME elsewhere",
            cache->path, (unsigned)status.st_uid);
    } else if (status.st_mode & 022) {
        say(cache, "no cache: others may write to %.150s; mend it: chmod 700 %.150s", cache->path,
            cache->path);
    } else {
        cache->directory = fd;
        return;
    }
    if (fd >= 0)
        close(fd);
}

void run_cache_open(struct run_cache *cache, const char *directory)
{
    open_directory(cache, directory, true);
}

void run_cache_look(struct run_cache *cache, const char *directory)
{
    open_directory(cache, directory, false);
}

void run_cache_close(struct run_cache *cache)
{
    if (cache->directory >= 0)
        close(cache->directory);
    cache->directory = -1;
}

static void digest_of(const struct run_bytes *content, const char *note, size_t note_length,
                      const char *key, unsigned char digest[32])
{
    const struct run_field fields[] = { { content->data, content->length },
                                        { note, note_length },
                                        { key, strlen(key) } };
    run_hash(fields, 3, digest);
}

/* Splits a whole file into content and note; false when a bit of it is not as it was written. */
static bool sound(struct run_bytes *file, const char *key, const char **note)
{
    struct trailer end;
    unsigned char digest[32];
    if (file->length < sizeof end)
        return false;
    const uint64_t room = file->length - sizeof end;
    memcpy(&end, file->data + room, sizeof end);
    if (memcmp(end.magic, magic, sizeof magic) != 0 || end.content > room ||
        end.note != room - end.content || strlen(key) != sizeof end.key ||
        memcmp(end.key, key, sizeof end.key) != 0)
        return false;
    const struct run_bytes content = { file->data, (size_t)end.content };
    *note = (const char *)file->data + end.content;
    digest_of(&content, *note, (size_t)end.note, key, digest);
    if (memcmp(digest, end.digest, sizeof digest) != 0)
        return false;
    file->data[room] = 0; /* the note is a string now */
    file->length = content.length;
    return true;
}

/* Opens KEY.suffix when it is a file of our own that others cannot write. */
static int open_entry(struct run_cache *cache, const char *name)
{
    struct stat status;
    const int fd = openat(cache->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        say(cache, errno == ENOENT ? "no entry yet" : "entry %.70s cannot be opened: %s", name,
            strerror(errno));
        return -1;
    }
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        !(status.st_mode & 022))
        return fd;
    say(cache, "entry %.80s is not yours alone", name);
    close(fd);
    return -1;
}

bool run_cache_get(struct run_cache *cache, const char *key, const char *suffix,
                   struct run_bytes *content, char **note)
{
    char name[80];
    const char *found;
    if (note)
        *note = NULL;
    if (cache->directory < 0)
        return false;
    snprintf(name, sizeof name, "%s.%s", key, suffix);
    const int fd = open_entry(cache, name);
    if (fd < 0)
        return false;
    const bool whole = run_bytes_read(fd, ENTRY_MOST, content);
    futimens(fd, NULL); /* used now: what is used least goes first */
    close(fd);
    if (!whole)
        return say(cache, "entry %.80s cannot be read", name);
    if (!sound(content, key, &found) || (note && !(*note = strdup(found)))) {
        run_bytes_free(content);
        return say(cache, "entry %.80s is damaged", name);
    }
    content->data[content->length] = 0; /* where the note began: a text is a string */
    say(cache, "found in %.300s", cache->path);
    return true;
}

static bool is_entry(const char *name)
{
    const size_t hex = strspn(name, "0123456789abcdef");
    return hex == 64 && name[64] == '.' && strlen(name) < sizeof((struct run_cache_entry *)0)->name;
}

static int by_use(const void *a, const void *b)
{
    const struct run_cache_entry *left = a, *right = b;
    if (left->used.tv_sec != right->used.tv_sec)
        return left->used.tv_sec < right->used.tv_sec ? -1 : 1;
    return (left->used.tv_nsec > right->used.tv_nsec) - (left->used.tv_nsec < right->used.tv_nsec);
}

/* All entries, oldest use first; *entries is to be freed. Removes what dead writers left. */
static size_t scan(const struct run_cache *cache, struct run_cache_entry **entries)
{
    size_t count = 0, room = 0;
    *entries = NULL;
    const int fd = openat(cache->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list && fd >= 0)
        close(fd);
    for (struct dirent *at; list && (at = readdir(list));) {
        struct stat status;
        const bool half = strncmp(at->d_name, aside, sizeof aside - 1) == 0;
        if ((!half && !is_entry(at->d_name)) ||
            fstatat(cache->directory, at->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (half) {
            if (time(NULL) - status.st_mtime > STALE_SECONDS)
                unlinkat(cache->directory, at->d_name, 0);
            continue;
        }
        if (count == room) {
            room = room ? 2 * room : 64;
            struct run_cache_entry *more = realloc(*entries, room * sizeof *more);
            if (!more)
                break;
            *entries = more;
        }
        struct run_cache_entry *entry = &(*entries)[count++];
        memset(entry, 0, sizeof *entry);
        memcpy(entry->name, at->d_name, strlen(at->d_name) + 1); /* is_entry measured it */
        entry->bytes = (uint64_t)status.st_size;
        entry->used = status.st_mtim;
    }
    if (list)
        closedir(list);
    if (count)
        qsort(*entries, count, sizeof **entries, by_use);
    return count;
}

static void evict(struct run_cache *cache, const char *keep)
{
    struct run_cache_entry *entries;
    const size_t count = scan(cache, &entries);
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += entries[i].bytes;
    for (size_t i = 0; i < count && total > cache->bound; i++)
        if (strcmp(entries[i].name, keep) != 0 &&
            unlinkat(cache->directory, entries[i].name, 0) == 0)
            total -= entries[i].bytes;
    free(entries);
}

bool run_cache_put(struct run_cache *cache, const char *key, const char *suffix,
                   const struct run_bytes *content, const char *note)
{
    struct trailer end = { .content = content->length, .note = strlen(note) };
    char name[80], temporary[64];
    uint64_t random = 0;
    if (cache->directory < 0)
        return false;
    if (strlen(key) != sizeof end.key || content->length > ENTRY_MOST / 2 ||
        content->length + end.note + sizeof end > cache->bound)
        return say(cache, "not kept: larger than the cache's bound");
    memcpy(end.key, key, sizeof end.key);
    memcpy(end.magic, magic, sizeof magic);
    digest_of(content, note, end.note, key, end.digest);

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint64_t)(uintptr_t)&end;
    snprintf(temporary, sizeof temporary, "%s%ld-%016" PRIx64, aside, (long)getpid(), random);
    snprintf(name, sizeof name, "%s.%s", key, suffix);
    const int fd =
        openat(cache->directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool fine = fd >= 0 && run_bytes_write(fd, content->data, content->length) &&
                run_bytes_write(fd, note, end.note) && run_bytes_write(fd, &end, sizeof end) &&
                fsync(fd) == 0 &&
                renameat(cache->directory, temporary, cache->directory, name) == 0;
    if (!fine)
        say(cache, "not kept: %.250s: %s", cache->path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        if (!fine)
            unlinkat(cache->directory, temporary, 0);
        else
            evict(cache, name);
    }
    return fine;
}

/* The note's first line, without the cost of the whole file's checksum; for people to read. */
static void read_note(const struct run_cache *cache, struct run_cache_entry *entry)
{
    struct trailer end;
    const int fd = openat(cache->directory, entry->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const off_t at = (off_t)entry->bytes - (off_t)sizeof end;
    if (fd >= 0 && at > 0 && pread(fd, &end, sizeof end, at) == (ssize_t)sizeof end &&
        memcmp(end.magic, magic, sizeof magic) == 0 && end.note <= (uint64_t)at) {
        const ssize_t got = pread(fd, entry->note, sizeof entry->note - 1, at - (off_t)end.note);
        size_t length = got < 0 ? 0 : (size_t)got;
        if (length > end.note)
            length = (size_t)end.note;
        entry->note[length] = 0;
        entry->note[strcspn(entry->note, "\n")] = 0;
        run_printable(entry->note);
    } else {
        snprintf(entry->note, sizeof entry->note, "damaged");
    }
    if (fd >= 0)
        close(fd);
}

bool run_cache_list(const char *directory,
                    void (*each)(void *user, const struct run_cache_entry *entry), void *user,
                    struct ir_error *error)
{
    struct run_cache cache;
    struct run_cache_entry *entries;
    run_cache_open(&cache, directory);
    if (cache.directory < 0)
        return ir_error(error, IR_FAILED, "%s", cache.why);
    const size_t count = scan(&cache, &entries);
    for (size_t i = 0; i < count; i++) {
        read_note(&cache, &entries[i]);
        each(user, &entries[i]);
    }
    free(entries);
    run_cache_close(&cache);
    return true;
}

bool run_cache_clear(const char *directory, size_t *removed, struct ir_error *error)
{
    struct run_cache cache;
    struct run_cache_entry *entries;
    bool fine = true;
    *removed = 0;
    run_cache_open(&cache, directory);
    if (cache.directory < 0)
        return ir_error(error, IR_FAILED, "%s", cache.why);
    const size_t count = scan(&cache, &entries);
    for (size_t i = 0; i < count; i++) {
        if (unlinkat(cache.directory, entries[i].name, 0) == 0)
            ++*removed;
        else if (errno != ENOENT && fine)
            fine = ir_error(error, IR_FAILED, "%.250s/%.70s: %s", cache.path, entries[i].name,
                            strerror(errno));
    }
    free(entries);
    run_cache_close(&cache);
    return fine;
}

bool run_cache_why(const char *directory, char *line, size_t size)
{
    struct run_cache cache;
    run_cache_open(&cache, directory);
    const bool used = cache.directory >= 0;
    if (!used) {
        snprintf(line, size, "%s", cache.why);
    } else {
        struct run_cache_entry *entries;
        const size_t count = scan(&cache, &entries);
        uint64_t total = 0;
        for (size_t i = 0; i < count; i++)
            total += entries[i].bytes;
        free(entries);
        const bool writable = faccessat(cache.directory, ".", W_OK, AT_EACCESS) == 0;
        snprintf(line, size, "%.250s: %zu entries, %.1f of %.1f MiB%s", cache.path, count,
                 (double)total / (1 << 20), (double)cache.bound / (1 << 20),
                 writable ? "" : "; nothing new is kept, it cannot be written");
        run_printable(line);
    }
    run_cache_close(&cache);
    return used;
}

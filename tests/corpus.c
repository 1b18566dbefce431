/*
 * Each reader on each file of its corpus (tests/fuzz/corpus): what the fuzzer starts from, and what
 * it has once found. Nothing crashes, takes 5 seconds or wants 256 MiB.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dirent.h>
#include <sys/resource.h>
#include <time.h>

#include "support_files.h"
#include "tests/fuzz/readers.h"

TestSuite(corpus, .init = support_enter, .fini = support_leave);

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long most_kib(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return used.ru_maxrss;
}

static int read_folder(const struct fuzz_reader *reader)
{
    static unsigned char bytes[1 << 20];
    char path[600];
    struct dirent *entry;
    int files = 0;

    snprintf(path, sizeof path, TAPER_SOURCE "/tests/fuzz/corpus/%s", reader->name);
    DIR *folder = opendir(path);
    cr_assert(folder, "%s", path);
    while ((entry = readdir(folder))) {
        const double start = now();
        if (*entry->d_name == '.')
            continue;
        snprintf(path, sizeof path, TAPER_SOURCE "/tests/fuzz/corpus/%s/%.200s", reader->name,
                 entry->d_name);
        reader->read(bytes, support_get(path, bytes, sizeof bytes));
        cr_expect(now() - start < 5, "%s: %.1f s", path, now() - start);
        files++;
    }
    closedir(folder);
    return files;
}

Test(corpus, every_reader_bears_its_own)
{
    const long before = most_kib();

    for (int i = 0; i < FUZZ_READERS; i++)
        cr_expect(read_folder(&fuzz_readers[i]) > 0, "%s has none", fuzz_readers[i].name);
    cr_expect(most_kib() - before < 256 << 10, "%ld KiB", most_kib() - before);
}

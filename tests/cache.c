/*
 * cache: it is never trusted blindly, and whatever is wrong with it, the run goes on.
 */
#define _GNU_SOURCE 1
#include "support_runtime.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(cache, .init = support_home_make, .fini = support_home_remove);

Test(cache, a_hit_does_not_load_llvm)
{
    static const char text[] = EXPORT "int answer(void) { return 42; }\n";
    struct run_options options = { .flags = "-march=native", .openmp = true };
    const pid_t child = fork();
    if (child == 0) {
        struct run_code *code = run_code_load(text, &options, NULL);
        _exit(code && !run_code_info(code).cached ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0, "the first process compiled nothing");

    struct run_code *code = support_load(text, &options);
    const struct run_code_info info = run_code_info(code);
    cr_expect(info.cached, "%s", info.cache);
    cr_expect_eq(support_call(code, "answer"), 42);
    cr_expect_not(support_mapped("libLLVM"), "LLVM was loaded for a hit");
    cr_expect_not(support_mapped("libtaper-jit"), "the plug-in was opened for a hit");
    cr_expect(support_mapped(info.key), "the entry is not mapped from its file");
    cr_expect(info.seconds > 0 && info.seconds < 1, "%g s", info.seconds);
    run_code_free(code);
    cr_expect_not(support_mapped(info.key), "the code stays after it was freed");
}

Test(cache, a_key_depends_on_text_flags_and_engine)
{
    const char *texts[] = { EXPORT "int f(void) { return 1; }\n",
                            EXPORT "int f(void) { return 2; }\n" };
    const struct run_options base = { 0 }, native = { .flags = "-march=native" },
                             openmp = { .openmp = true }, loops = { .any_loops = true };
    const struct run_options *const all[] = { &base, &native, &openmp, &loops };
    char keys[8][65];
    int n = 0;
    for (int t = 0; t < 2; t++)
        for (int o = 0; o < 4; o++) {
            struct run_code *code = support_load(texts[t], all[o]);
            cr_expect_eq(support_call(code, "f"), t + 1);
            cr_expect_not(run_code_info(code).cached);
            memcpy(keys[n++], run_code_info(code).key, 65);
            run_code_free(code);
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            cr_expect_str_neq(keys[i], keys[j], "%d and %d", i, j);
}

/* overwrites one byte, or cuts the file when `at` is negative */
static void damage(const char *path, long at, long length)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte = 0;
    cr_assert(fd >= 0, "%s cannot be opened", path);
    if (at < 0) {
        cr_assert_eq(ftruncate(fd, length), 0);
    } else {
        cr_assert_eq(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}

Test(cache, a_damaged_entry_is_compiled_again)
{
    static const char text[] = EXPORT "int f(void) { return 1234567; }\n";
    char path[600];
    struct stat whole;
    run_code_free(support_load(text, &(struct run_options){ 0 }));
    cr_assert_eq(support_entries(".so", path), 1);
    cr_assert_eq(stat(path, &whole), 0);
    const long size = (long)whole.st_size;
    const long cuts[] = { 0, 1, 60, size / 2, size - 1 };
    const long flips[] = { 0,         20,        size / 2,   size - 1,   size - 20,
                           size - 60, size - 90, size - 100, size - 112, size - 130 };
    for (size_t i = 0; i < 15; i++) {
        if (i < 5)
            damage(path, -1, cuts[i]);
        else
            damage(path, flips[i - 5], 0);
        struct run_code *code = support_load(text, &(struct run_options){ 0 });
        const struct run_code_info info = run_code_info(code);
        cr_expect_not(info.cached, "damage %zu was not seen", i);
        cr_expect(strstr(info.cache, "damaged"), "damage %zu: %s", i, info.cache);
        cr_expect_eq(support_call(code, "f"), 1234567);
        run_code_free(code);
        code = support_load(text, &(struct run_options){ 0 });
        cr_expect(run_code_info(code).cached, "damage %zu was not mended", i);
        run_code_free(code);
    }
}

Test(cache, an_entry_under_a_false_name_is_not_taken)
{
    static const char *const text[] = { EXPORT "int f(void) { return 1; }\n",
                                        EXPORT "int f(void) { return 2; }\n" };
    char path[600], other[600];
    struct run_code *code = support_load(text[0], &(struct run_options){ 0 });
    snprintf(path, sizeof path, "%s/%s.so", support_cache, run_code_info(code).key);
    run_code_free(code);
    code = support_load(text[1], &(struct run_options){ 0 });
    snprintf(other, sizeof other, "%s/%s.so", support_cache, run_code_info(code).key);
    run_code_free(code);
    cr_assert_eq(rename(path, other), 0);
    code = support_load(text[1], &(struct run_options){ 0 });
    cr_expect_eq(support_call(code, "f"), 2);
    cr_expect_not(run_code_info(code).cached);
    run_code_free(code);
}

/* The run goes on without the support_cache, and says why and what to do. */
static void goes_on_without(const char *why)
{
    struct run_code *code =
        support_load(EXPORT "int f(void) { return 9; }\n", &(struct run_options){ 0 });
    const struct run_code_info info = run_code_info(code);
    char line[400];
    cr_expect_eq(support_call(code, "f"), 9);
    cr_expect_not(info.cached);
    cr_expect(strstr(info.cache, why), "'%s' is not in: %s", why, info.cache);
    cr_expect_not(run_cache_why(NULL, line, sizeof line));
    cr_expect(strstr(line, why), "'%s' is not in: %s", why, line);
    cr_expect_null(strchr(line, '\n'));
    run_code_free(code);
}

Test(cache, a_directory_that_others_may_write_is_not_used)
{
    cr_assert_eq(mkdir(support_cache, 0700), 0);
    cr_assert_eq(chmod(support_cache, 0770), 0);
    goes_on_without("chmod 700");
    cr_expect_eq(support_entries("", NULL), 2, "something was written into it"); /* . and .. */
}

Test(cache, a_directory_of_someone_else_is_not_used)
{
    if (geteuid() != 0)
        SUPPORT_SKIP("only root can give a directory away");
    cr_assert_eq(mkdir(support_cache, 0700), 0);
    cr_assert_eq(chown(support_cache, 12345, 12345), 0);
    goes_on_without("belongs to user 12345");
}

Test(cache, a_cache_that_cannot_be_made_breaks_nothing)
{
    const int fd =
        open(support_cache, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* a file is in its place */
    cr_assert(fd >= 0);
    close(fd);
    goes_on_without("Not a directory");
    setenv("XDG_CACHE_HOME", "/proc/nowhere/at/all", 1);
    goes_on_without("/proc/nowhere");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    goes_on_without("HOME");
}

Test(cache, a_bound_that_is_no_number_is_named)
{
    static const char *const wrong[] = { "much",         "12X", "-1", "99999999999999999999",
                                         "99999999999G", "1KK" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("TAPER_CACHE_BYTES", wrong[i], 1);
        goes_on_without(wrong[i]);
    }
}

Test(cache, the_least_recently_used_entries_go_first)
{
    struct run_cache store;
    char key[6][65];
    unsigned char bytes[1000] = { 7 };
    struct run_bytes content = { bytes, sizeof bytes }, got;
    setenv("TAPER_CACHE_BYTES", "5K", 1); /* room for four */
    run_cache_open(&store, NULL);
    cr_assert(store.directory >= 0, "%s", store.why);
    for (int i = 0; i < 6; i++) {
        run_hash_text(&(struct run_field){ &i, sizeof i }, 1, key[i]);
        cr_assert(run_cache_put(&store, key[i], "so", &content, "a note"), "%s", store.why);
        usleep(2000);
        if (i == 3) { /* the first is used again: now the second is the oldest */
            char *note = NULL;
            cr_assert(run_cache_get(&store, key[0], "so", &got, &note), "%s", store.why);
            cr_expect_eq(got.length, sizeof bytes);
            cr_expect_arr_eq(got.data, bytes, sizeof bytes);
            cr_expect_str_eq(note, "a note");
            free(note);
            run_bytes_free(&got);
            usleep(2000);
        }
    }
    static const bool stays[] = { true, false, false, true, true, true };
    for (int i = 0; i < 6; i++) {
        const bool there = run_cache_get(&store, key[i], "so", &got, NULL);
        cr_expect_eq(there, stays[i], "entry %d", i);
        if (there)
            run_bytes_free(&got);
    }
    static unsigned char large[6000];
    content = (struct run_bytes){ large, sizeof large };
    cr_expect_not(run_cache_put(&store, key[1], "so", &content, ""));
    cr_expect(strstr(store.why, "bound"), "%s", store.why);
    run_cache_close(&store);
}

struct seen {
    int count;
    char note[200];
};

static void see(void *user, const struct run_cache_entry *entry)
{
    struct seen *seen = user;
    if (strstr(entry->name, ".so")) {
        seen->count++;
        memcpy(seen->note, entry->note, sizeof seen->note);
        cr_expect(entry->bytes > 0 && entry->used.tv_sec > 0);
    }
}

Test(cache, list_clear_and_why)
{
    struct seen seen = { 0 };
    struct ir_error error = { 0 };
    char line[400], stranger[400];
    size_t removed = 0;
    struct run_code *code = support_load(EXPORT "int f(void) { return 3; }\n",
                                         &(struct run_options){ .flags = "-march=native" });
    snprintf(stranger, sizeof stranger, "%s/not-ours.txt", support_cache);
    close(open(stranger, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    cr_expect(run_cache_list(NULL, see, &seen, &error), "%s", error.text);
    cr_expect_eq(seen.count, 1);
    cr_expect(strstr(seen.note, "-march=native"), "%s", seen.note);
    cr_expect(strstr(seen.note, run_code_info(code).engine), "%s", seen.note);
    cr_expect(run_cache_why(NULL, line, sizeof line));
    cr_expect(strstr(line, "2 entries"), "%s", line); /* the code, and its compiler's version */
    cr_expect(run_cache_clear(NULL, &removed, &error), "%s", error.text);
    cr_expect_eq(removed, 2);
    cr_expect_eq(support_call(code, "f"), 3, "the code in use went with its entry");
    run_code_free(code);
    seen.count = 0;
    cr_expect(run_cache_list(NULL, see, &seen, &error));
    cr_expect_eq(seen.count, 0);
    cr_expect_eq(access(stranger, F_OK), 0, "a file that is not the cache's was removed");
}

Test(cache, writers_at_the_same_time_leave_one_whole_entry)
{
    static const char text[] = EXPORT "int f(void) { return 77; }\n";
    enum { writers = 4 };
    pid_t child[writers];
    for (int i = 0; i < writers; i++)
        if ((child[i] = fork()) == 0) {
            int right = 0;
            for (int k = 0; k < 10; k++) {
                struct run_code *code = run_code_load(text, &(struct run_options){ 0 }, NULL);
                right += code && support_call(code, "f") == 77;
                run_code_free(code);
                char path[600];
                if (k % 3 == i % 3 && support_entries(".so", path) == 1)
                    unlink(path); /* and one who clears it all the time */
            }
            _exit(right == 10 ? 0 : 1);
        }
    for (int i = 0; i < writers; i++) {
        int status = 1;
        waitpid(child[i], &status, 0);
        cr_expect_eq(status, 0, "writer %d: %d", i, status);
    }
    run_code_free(support_load(text, &(struct run_options){ 0 }));
    cr_expect_eq(support_entries(".so", NULL), 1);
    cr_expect_eq(support_entries(".new", NULL), 0, "half-written files were left");
}

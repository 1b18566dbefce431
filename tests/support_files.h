/*
 * For tests of files: a folder of their own, files from bytes, and every way to damage one.
 */
#ifndef TESTS_SUPPORT_FILES_H
#define TESTS_SUPPORT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "ir/ir.h"

/* As .init and .fini of a suite: a new folder is the working folder, and is gone after it. */
void support_enter(void);
void support_leave(void);

void support_put(const char *name, const void *bytes, size_t size);
void support_put_text(const char *name, const char *text);
void support_put_packed(const char *name, const void *bytes, size_t size); /* gzip */
size_t support_get(const char *name, void *bytes, size_t room);            /* its size */
int support_files(void); /* in the working folder, those that begin with a dot not counted */

/* Refused with one printable line. */
bool support_one_line(const struct ir_error *error);

/*
 * The file cut after each byte, and with each bit turned: each is read, or refused with one line.
 * Returns how many were read.
 */
typedef bool support_reader(const char *path, struct ir_error *error);
int support_cuts(const char *name, support_reader *read);
int support_flips(const char *name, support_reader *read);

/* The command with these words, NULL at the end, its output in the files `out` and `err`. */
pid_t support_start(const char *const words[]);
int support_run(const char *const words[]); /* its exit status; -1: it crashed */

#endif

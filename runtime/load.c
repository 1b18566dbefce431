/*
 * load: shared objects into the process, together with what they refer to.
 *
 * Generated objects name no libraries. They find OpenMP, libm and libgcc because these are opened
 * for everyone first and never closed: an OpenMP runtime's threads outlive the code that used it.
 * LLVM's libomp comes before libgomp: it answers for both compilers, and a process should hold one.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool open_for_all(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE) != NULL;
}

enum run_openmp run_openmp_open(void)
{
    if (open_for_all("libomp.so.5") || open_for_all("/usr/lib/llvm-19/lib/libomp.so.5"))
        return RUN_OPENMP_LLVM;
    return open_for_all("libgomp.so.1") ? RUN_OPENMP_GNU : RUN_OPENMP_NONE;
}

void *run_library_open(const char *path, bool openmp, char *why, size_t size)
{
    open_for_all("libm.so.6"); /* a host that opened us locally does not show us its own */
    if (openmp)
        run_openmp_open();
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library && open_for_all("libgcc_s.so.1")) /* half precision on old processors */
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *reason = dlerror();
        snprintf(why, size, "%s", reason ? reason : "it cannot be loaded");
        run_printable(why);
    }
    return library;
}

/* A nameless file in memory, or, where the system forbids code in such files, one on disk. */
static int nameless(const struct run_bytes *bytes, bool on_disk)
{
    char directory[1024];
    int fd = -1;
    if (!on_disk) {
        fd = memfd_create("taper", MFD_CLOEXEC);
    } else if (run_scratch_open(directory, sizeof directory - 8)) {
        strcat(directory, "/step.so");
        FILE *file = fopen(directory, "w+xe");
        fd = file ? dup(fileno(file)) : -1;
        if (file)
            fclose(file);
        *strrchr(directory, '/') = 0;
        run_scratch_close(directory);
    }
    if (fd >= 0 && !run_bytes_write(fd, bytes->data, bytes->length)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/*
 * The loader knows objects by name, and the name here is a number of a descriptor: closed early,
 * the number would come again and the loader would give the old object for the new one.
 */
void *run_library_open_bytes(const struct run_bytes *bytes, bool openmp, int *fd, char *why,
                             size_t size)
{
    void *library = NULL;
    *fd = -1;
    snprintf(why, size, "no memory and no directory for temporary files");
    for (int on_disk = 0; !library && on_disk <= 1; on_disk++) {
        char name[48];
        *fd = nameless(bytes, on_disk);
        if (*fd < 0)
            continue;
        snprintf(name, sizeof name, "/proc/self/fd/%d", *fd);
        library = run_library_open(name, openmp, why, size);
        if (!library) {
            close(*fd);
            *fd = -1;
        }
    }
    return library;
}

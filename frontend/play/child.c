/*
 * child: another program, run for a visitor: taper itself on what was pasted, or Graphviz's dot.
 *
 * It runs in an empty folder of its own, with bounds on time, memory and what it prints, so what a
 * visitor makes it do ends with it. No shell sees any of it.
 */
#define _GNU_SOURCE
#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CPU = 25, WALL = 40, PRINTED = 6 << 20, WRITTEN = 256 << 20 };
#define MEMORY ((rlim_t)6 << 30)

/* Between fork and exec: nothing but calls into the kernel. */
static void become(const char *const argv[], int folder, int in, int out, int err)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setrlimit(RLIMIT_CPU, &(struct rlimit){ CPU, CPU });
#ifndef __SANITIZE_ADDRESS__ /* which wants terabytes */
    setrlimit(RLIMIT_AS, &(struct rlimit){ MEMORY, MEMORY });
#endif
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ WRITTEN, WRITTEN });
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    if (fchdir(folder) == 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2 &&
        close_range(3, ~0u, 0) == 0)
        execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* What comes out of two pipes, until both end; false where it is too long or takes too long. */
static bool gather(const int pipes[2], struct ir_text *to[2])
{
    struct pollfd wait[2] = { { pipes[0], POLLIN, 0 }, { pipes[1], POLLIN, 0 } };
    struct timespec begun, now;
    char room[1 << 14];

    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (wait[0].fd >= 0 || wait[1].fd >= 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begun.tv_sec > WALL)
            return false;
        poll(wait, 2, 1000);
        for (int i = 0; i < 2; i++) {
            ssize_t got;
            if (wait[i].fd < 0 || !wait[i].revents)
                continue;
            got = read(wait[i].fd, room, sizeof room);
            if (got <= 0)
                wait[i].fd = -1;
            else if (to[i]->size + (size_t)got > PRINTED)
                return false;
            else
                ir_put_bytes(to[i], room, (size_t)got);
        }
    }
    return true;
}

/* A file in memory with this text, at its beginning. */
static int text_file(const char *text, size_t size)
{
    int fd = memfd_create("in", MFD_CLOEXEC);

    for (size_t at = 0; fd >= 0 && at < size;) {
        const ssize_t put = write(fd, text + at, size - at);
        if (put <= 0) {
            close(fd);
            return -1;
        }
        at += (size_t)put;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

int play_child(const char *const argv[], const char *folder, const char *input, size_t size,
               struct ir_text *out, struct ir_text *err)
{
    struct ir_text *to[2] = { out, err };
    int pipes[2][2] = { { -1, -1 }, { -1, -1 } }, status = -1;
    const int in = text_file(input, size), at = open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    pid_t child = -1;

    if (in >= 0 && at >= 0 && pipe2(pipes[0], O_CLOEXEC) == 0 && pipe2(pipes[1], O_CLOEXEC) == 0)
        child = fork();
    if (child == 0)
        become(argv, at, in, pipes[0][1], pipes[1][1]);
    for (int i = 0; i < 2; i++)
        if (pipes[i][1] >= 0)
            close(pipes[i][1]);
    if (child > 0) {
        const bool whole = gather((const int[]){ pipes[0][0], pipes[1][0] }, to);
        if (!whole)
            kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        status = whole && WIFEXITED(status) ? WEXITSTATUS(status) : PLAY_BEYOND;
    }
    for (int i = 0; i < 2; i++)
        if (pipes[i][0] >= 0)
            close(pipes[i][0]);
    if (in >= 0)
        close(in);
    if (at >= 0)
        close(at);
    return status;
}

json_t *play_drawing(struct play *p, const struct ir_text *dot)
{
    static const char *const argv[] = { "dot", "-Grankdir=LR", "-Tsvg", NULL };
    struct ir_text svg = { 0 }, err = { 0 };
    json_t *drawn = NULL;

    pthread_mutex_lock(play_children(p));
    if (play_child(argv, "/", dot->data, dot->size, &svg, &err) == 0)
        drawn = json_stringn(svg.data, svg.size);
    pthread_mutex_unlock(play_children(p));
    ir_text_free(&svg);
    ir_text_free(&err);
    return drawn ? drawn : json_null();
}

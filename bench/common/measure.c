/*
 * measure: clocks and middle values; the peaks are in peak.c.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

double bench_quantile(const double *v, size_t count, double q)
{
    double *sorted = malloc(count * sizeof *sorted), result = 0;

    if (sorted && count) {
        memcpy(sorted, v, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, ascending);
        result = sorted[(size_t)((double)(count - 1) * q + 0.5)];
    }
    free(sorted);
    return result;
}

struct bench_cpu bench_cpu(void)
{
    struct bench_cpu c = { 0 };
    struct rusage use;
    long long f[8] = { 0 };
    FILE *stat = fopen("/proc/stat", "re");

    if (stat) {
        if (fscanf(stat, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &f[0], &f[1], &f[2], &f[3],
                   &f[4], &f[5], &f[6], &f[7]) == 8)
            /* idle and waiting for a disk are not work */
            c.busy =
                (double)(f[0] + f[1] + f[2] + f[5] + f[6] + f[7]) / (double)sysconf(_SC_CLK_TCK);
        fclose(stat);
    }
    getrusage(RUSAGE_SELF, &use);
    c.own = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
            1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    return c;
}

double bench_cpu_seconds(void)
{
    static const int whose[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
    double seconds = 0;

    for (int i = 0; i < 2; i++) {
        struct rusage use;
        getrusage(whose[i], &use);
        seconds += (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                   1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    }
    return seconds;
}

void bench_priority(int nice)
{
    FILE *group = fopen("/proc/self/autogroup", "we");
    DIR *tasks = opendir("/proc/self/task");

    if (group) {
        fprintf(group, "%d", nice);
        fclose(group);
    }
    for (struct dirent *task; tasks && (task = readdir(tasks));)
        if (task->d_name[0] != '.')
            setpriority(PRIO_PROCESS, (id_t)atoi(task->d_name), nice);
    if (tasks)
        closedir(tasks);
}

int bench_threads(void)
{
    const char *names[] = { "THREADS", "OMP_NUM_THREADS" };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    for (int i = 0; i < 2; i++) {
        const char *text = getenv(names[i]);
        int n = text ? atoi(text) : 0;
        if (n > 0 && n <= 256)
            return n;
    }
    return cores > 0 ? (int)cores : 1;
}

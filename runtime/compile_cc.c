/*
 * compile_cc: the engine "cc", the system's compiler as a process.
 *
 * The text goes in by its standard input and no shell is in between. The object is linked without
 * the compiler's own libraries, so that it does not bring a second OpenMP runtime into a process
 * that has one: load.c opens the one for all.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define OUTPUT_MOST ((size_t)1 << 20)

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* name along $PATH, as a shell would; relative places in PATH are passed over */
static bool along_path(const char *name, char path[1024])
{
    const char *places = secure_getenv("PATH");
    if (strchr(name, '/')) {
        const int length = snprintf(path, 1024, "%s", name);
        return length < 1024 && is_program(path);
    }
    while (places && *places) {
        const size_t length = strcspn(places, ":");
        const int whole = snprintf(path, 1024, "%.*s/%s", (int)length, places, name);
        if (places[0] == '/' && length < 1000 && whole < 1024 && is_program(path))
            return true;
        places += length + (places[length] == ':');
    }
    return false;
}

static bool is_clang(const char *path)
{
    char real[PATH_MAX];
    return realpath(path, real) && strstr(strrchr(real, '/'), "clang");
}

/* $TAPER_CC is the user's word and ends the search. */
static const char *const compilers[] = { "clang-19", "clang", "gcc", "cc" };
enum { COMPILERS = sizeof compilers / sizeof *compilers };

static bool cc_find(struct run_compiler *compiler, const struct run_options *options, char *why,
                    size_t size)
{
    const enum run_openmp openmp = options->openmp ? run_openmp_open() : RUN_OPENMP_LLVM;
    const char *named = secure_getenv("TAPER_CC");
    if (openmp == RUN_OPENMP_NONE) {
        snprintf(why, size, "no OpenMP runtime (package libomp5-19 or libgomp1)");
        return false;
    }
    if (named && named[0]) {
        if (along_path(named, compiler->path))
            return true;
        snprintf(why, size, "TAPER_CC is '%.100s', which is no program", named);
        return false;
    }
    for (int i = 0; i < COMPILERS; i++)
        if (along_path(compilers[i], compiler->path) &&
            (openmp == RUN_OPENMP_LLVM || !is_clang(compiler->path)))
            return true; /* code of Clang needs LLVM's OpenMP */
    snprintf(why, size, "no clang-19, clang, gcc or cc in PATH");
    return false;
}

/* The environment, but with messages in plain English; only the array is new. */
static char **plain_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **all = malloc((count + 2) * sizeof *all);
    for (size_t i = 0; all && i < count; i++)
        if (strncmp(environ[i], "LC_", 3) != 0 && strncmp(environ[i], "LANGUAGE=", 9) != 0)
            all[kept++] = environ[i];
    if (all) {
        all[kept++] = (char *)(uintptr_t)"LC_ALL=C";
        all[kept] = NULL;
    }
    return all;
}

/*
 * Runs a program to its end: standard input from `input`, both outputs to `output`. Its exit
 * status, or -1 when it did not run or was killed; -2 when a host that ignores SIGCHLD has thrown
 * the status away.
 */
static int run_to_end(const char *path, const char *const argv[], int input, int output)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t child;
    int status = 0;
    char **environment = plain_environment();
    if (!environment || posix_spawn_file_actions_init(&files) != 0) {
        free(environment);
        return -1;
    }
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_adddup2(&files, input, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    const int failed =
        posix_spawn(&child, path, &files, &attributes, (char *const *)(uintptr_t)argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(environment);
    if (failed)
        return errno = failed, -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -2;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool cc_ask(struct run_compiler *compiler, char *files, size_t files_size, char *why,
                   size_t size)
{
    const char *const argv[] = { compiler->path, "--version", NULL };
    struct run_bytes said = { 0 };
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int output = memfd_create("taper", MFD_CLOEXEC);
    const int status =
        null >= 0 && output >= 0 ? run_to_end(compiler->path, argv, null, output) : -1;
    const bool fine = (status == 0 || status == -2) && run_bytes_read(output, OUTPUT_MOST, &said) &&
                      said.length > 0;
    if (fine)
        snprintf(compiler->version, sizeof compiler->version, "%.*s",
                 (int)strcspn((char *)said.data, "\n"), (char *)said.data);
    else
        snprintf(why, size, "%.150s --version does not work", compiler->path);
    run_bytes_free(&said);
    if (null >= 0)
        close(null);
    if (output >= 0)
        close(output);
    char real[PATH_MAX];
    snprintf(files, files_size, "%s\n%s\n", compiler->path,
             realpath(compiler->path, real) ? real : compiler->path);
    return fine;
}

/*
 * The first error of a compiler's output as "step.c:12: what was wrong", as the plug-in says it.
 * True when it is about the text: then no other compiler need be asked.
 */
static bool first_error(char *said, char *message, size_t size)
{
    char *line = strstr(said, " error: ");
    while (line && line > said && line[-1] != '\n')
        line--;
    if (!line)
        line = said + strspn(said, "\n");
    line[strcspn(line, "\n")] = 0;
    int number;
    const char *words = strstr(line, "error: ");
    const bool in_text = words && sscanf(line, "step.c:%d:", &number) == 1;
    if (in_text)
        snprintf(message, size, "step.c:%d: %s", number, words + strlen("error: "));
    else
        snprintf(message, size, "%s", line);
    return in_text;
}

/* One run of the compiler: what it makes, and what it says where it fails. */
static enum run_outcome run_compiler(const char *const argv[], int input, const char *made,
                                     const struct run_job *job)
{
    struct run_bytes said = { 0 };
    enum run_outcome outcome = RUN_BROKEN;
    const int output = memfd_create("taper", MFD_CLOEXEC);
    if (output < 0)
        return RUN_BROKEN;
    const int status = run_to_end(argv[0], argv, input, output);
    const bool quiet = run_bytes_read(output, OUTPUT_MOST, &said) && said.length == 0;
    if (status == 0 || (status == -2 && quiet && access(made, R_OK) == 0))
        outcome = RUN_COMPILED;
    else if (said.length && first_error((char *)said.data, job->message, job->message_size))
        outcome = RUN_REFUSED;
    else if (!said.length)
        snprintf(job->message, job->message_size, "%.150s failed without a word", argv[0]);
    run_bytes_free(&said);
    close(output);
    return outcome;
}

/*
 * To an object, and from there to a library by a second run: a linker that is given -fopenmp adds
 * libgomp even when it is told to add no libraries.
 */
static enum run_outcome cc_compile(const struct run_compiler *compiler, const struct run_job *job)
{
    static const char marker[] = "# 1 \"step.c\"\n"; /* messages name step.c, not standard input */
    char object[1100];
    const char **argv = malloc((job->flag_count + 8) * sizeof *argv);
    size_t n = 0;
    snprintf(job->message, job->message_size, "memory or files ran out");
    if (!argv)
        return RUN_BROKEN;
    snprintf(object, sizeof object, "%s%s", job->output, job->library ? ".o" : "");
    argv[n++] = compiler->path;
    argv[n++] = "-fdiagnostics-color=never";
    for (size_t i = 0; i < job->flag_count; i++)
        argv[n++] = job->flags[i];
    const char *const rest[] = { "-c", "-xc", "-", "-o", object, NULL };
    memcpy(argv + n, rest, sizeof rest);

    enum run_outcome outcome = RUN_BROKEN;
    const int input = memfd_create("taper", MFD_CLOEXEC);
    if (input >= 0 && run_bytes_write(input, marker, sizeof marker - 1) &&
        run_bytes_write(input, job->text, job->length) && lseek(input, 0, SEEK_SET) == 0)
        outcome = run_compiler(argv, input, object, job);
    if (outcome == RUN_COMPILED && job->library) {
        /* what processors lack is called from libgcc, whose static part is hidden */
        const char *const link[] = { compiler->path, "-shared", "-nostdlib", object,
                                     "-lgcc",        "-o",      job->output, NULL };
        outcome = run_compiler(link, input, job->output, job);
    }
    if (input >= 0)
        close(input);
    free(argv);
    return outcome;
}

const struct run_engine run_engine_cc = { "cc", cc_find, cc_ask, cc_compile };

/* --- programs of their own -----------------------------------------------------------------------
 */

struct program_job {
    const char *compiler, *text, *output;
    const char *const *flags;
    bool openmp, zlib;
};

/* A whole C file to an executable; `message` gets the first error. */
static enum run_outcome link_program(const struct program_job *p, char *message, size_t size)
{
    static const char marker[] = "# 1 \"step.c\"\n"; /* what first_error() looks for */
    const char *argv[96] = { p->compiler, "-fdiagnostics-color=never" };
    const struct run_job job = { .message = message, .message_size = size };
    enum run_outcome outcome = RUN_BROKEN;
    size_t n = 2;
    const int input = memfd_create("taper", MFD_CLOEXEC);

    for (int i = 0; p->flags[i] && n < 80; i++)
        argv[n++] = p->flags[i];
    if (p->openmp)
        argv[n++] = "-fopenmp";
    if (p->zlib)
        argv[n++] = "-DUSE_ZLIB";
    const char *const rest[] = { "-xc", "-", "-s", "-o", p->output, "-lm", p->zlib ? "-lz" : NULL };
    memcpy(argv + n, rest, sizeof rest);
    snprintf(message, size, "memory or files ran out");
    if (input >= 0 && run_bytes_write(input, marker, sizeof marker - 1) &&
        run_bytes_write(input, p->text, strlen(p->text)) && lseek(input, 0, SEEK_SET) == 0)
        outcome = run_compiler(argv, input, p->output, &job);
    if (input >= 0)
        close(input);
    return outcome;
}

/* Can it link this? A program of a line says so sooner than a whole one. */
static bool links(struct program_job p, bool openmp, bool zlib)
{
    char message[400];

    p.text = zlib ? "#include <zlib.h>\nint main(void) { return !zlibVersion(); }\n"
                  : "#include <stdio.h>\nint main(void)\n{\n"
                    "#pragma omp parallel\n    puts(\"\");\n    return 0;\n}\n";
    p.openmp = openmp;
    p.zlib = zlib;
    return link_program(&p, message, sizeof message) == RUN_COMPILED;
}

/* The first compiler that links programs, better one that has OpenMP. */
static bool choose_compiler(struct program_job *p, char path[1024])
{
    const char *named = secure_getenv("TAPER_CC");

    p->compiler = path;
    for (int openmp = 1; openmp >= 0; openmp--)
        for (int i = 0; i < (named && *named ? 1 : COMPILERS); i++)
            if (along_path(named && *named ? named : compilers[i], path) &&
                links(*p, openmp, false)) {
                p->openmp = openmp;
                p->zlib = links(*p, false, true);
                return true;
            }
    return false;
}

bool run_program_make(const char *text, const char *const *flags, const char *output,
                      struct ir_error *error)
{
    struct program_job job = { .text = text, .output = output, .flags = flags };
    char path[1024], message[400];

    if (!choose_compiler(&job, path))
        return ir_error(error, IR_FAILED,
                        "build: no compiler that links programs; install clang-19 or gcc, and "
                        "libc6-dev, or write the text with --emit-c and compile it elsewhere");
    return link_program(&job, message, sizeof message) == RUN_COMPILED ||
           ir_error(error, IR_FAILED, "build: %.200s: %.150s", path, message);
}

/*
 * fuzz: libFuzzer on one reader, which $TAPER_FUZZ names. `./dev fuzz NAME [SECONDS]` builds and
 * runs it; what it finds goes into tests/fuzz/corpus/NAME, once it is mended.
 */
#define _GNU_SOURCE
#include "tests/fuzz/readers.h"

static const struct fuzz_reader *reader;
static char folder[] = "/dev/shm/taper-fuzz-XXXXXX"; /* files in memory */
static int home;

/* The fuzzer's own paths are relative to where it was started: it goes there and back. */
static void leave(void)
{
    char command[sizeof folder + 20];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        perror(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("TAPER_FUZZ");

    (void)argc, (void)argv;
    for (int i = 0; name && i < FUZZ_READERS; i++)
        if (strcmp(fuzz_readers[i].name, name) == 0)
            reader = &fuzz_readers[i];
    if (!reader || !mkdtemp(folder)) {
        fprintf(stderr, "TAPER_FUZZ: expected the name of a reader (tests/fuzz/readers.h)\n");
        exit(2);
    }
    home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    atexit(leave);
    return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    if (chdir(folder) != 0)
        abort();
    reader->read(bytes, size);
    if (fchdir(home) != 0)
        abort();
    return 0;
}

/*
 * Where tests look for what is not in the tree. The environment goes before the place that CMake
 * wrote in, so a test program may be copied and run by hand.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool support_shared(const char *name, char *path, size_t size)
{
    const char *folder = getenv("TAPER_SHARED");
    int length = snprintf(path, size, "%s/%s", folder && *folder ? folder : TAPER_SHARED, name);

    return length > 0 && (size_t)length < size && access(path, R_OK) == 0;
}

/* A sanitizer sees the compiler, not what it compiles: it needs no second long tier of that. */
int support_cases(int quick, int many)
{
#ifdef __SANITIZE_ADDRESS__
    (void)many;
    return quick;
#else
    return support_long() ? many : quick;
#endif
}

int support_fewer(int n)
{
#ifdef __SANITIZE_ADDRESS__
    return n / 2;
#else
    return n;
#endif
}

bool support_long(void)
{
    const char *tier = getenv("TAPER_LONG");

    return tier && strcmp(tier, "1") == 0;
}

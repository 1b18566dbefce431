/*
 * What several test programs need: the data that lies beside the tree, and the long tier.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the path of `name` in shared/ ($TAPER_SHARED, else beside the tree); false where it is
 * not. */
bool support_shared(const char *name, char *path, size_t size);

/* True under `./dev test --all`: thousands of random cases instead of some, big models too. */
bool support_long(void);

/* How many programs to compile: `many` in the long tier, but not with sanitizers. */
int support_cases(int quick, int many);
/* Half of n with sanitizers: the same cases run in full without them. */
int support_fewer(int n);

/* `char path[N]; SHARED_OR_SKIP("mnist/train-images-idx3-ubyte", path);` inside a test. */
#define SHARED_OR_SKIP(name, path)                    \
    do {                                              \
        if (!support_shared(name, path, sizeof path)) \
            cr_skip("shared/%s is not here", name);   \
    } while (0)

#endif

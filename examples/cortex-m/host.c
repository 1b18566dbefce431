/* The same program on a machine that has a C library. */
#include "say.h"

#include <stdio.h>

void say(const char *text)
{
    fputs(text, stdout);
}

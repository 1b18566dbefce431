# Turns a file into a C array. Run by taper_embed() at build time:
#   cmake -DIN=file -DOUT=file.c -DSYMBOL=name -P embed.cmake
#
# Every byte is written as a character constant, so no byte of the text (quotes, backslashes,
# semicolons, UTF-8) has a meaning to CMake or to C, and no string literal grows too long for ISO C.

file(READ "${IN}" hex HEX)
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
string(REPLACE "'\\x0a'," "'\\x0a',\n" bytes "${bytes}")

get_filename_component(name "${IN}" NAME)
file(WRITE "${OUT}.new" "/* ${name}, made by cmake/embed.cmake */
#include <stddef.h>

extern const char ${SYMBOL}[];
extern const size_t ${SYMBOL}_size;

/* clang-format off */
const char ${SYMBOL}[] = {
${bytes}0};
/* without the final zero */
const size_t ${SYMBOL}_size = sizeof ${SYMBOL} - 1;
")
file(RENAME "${OUT}.new" "${OUT}")

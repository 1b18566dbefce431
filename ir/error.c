/*
 * Two kinds of error. The user's are kept in an ir_error, the first of them, and the caller goes on
 * with poison; ours end the process, because a compiler that has lost its own facts must not print
 * code.
 */
#include "ir/ir.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A message goes to terminals and logs: one line of ASCII, whatever a file's names held. */
static void printable(char *text)
{
    for (; *text; text++)
        if (*text < 32 || *text > 126)
            *text = '?';
}

bool ir_error(struct ir_error *e, int status, const char *format, ...)
{
    va_list list;

    if (!e || e->status != IR_OK)
        return false;
    e->status = status;
    va_start(list, format);
    vsnprintf(e->text, sizeof e->text, format, list);
    va_end(list);
    printable(e->text);
    return false;
}

void ir_bug(const char *format, ...)
{
    va_list list;

    fflush(stdout);
    fputs("taper: a fault of taper itself: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    abort();
}

/*
 * "FILE:LINE: OP: " and what is wrong. Long names are cut, so that the end of the sentence, which
 * says what was expected, is never lost.
 */
bool ir_refuse(const struct ir_graph *g, const struct ir_node *n, const char *format, ...)
{
    char text[sizeof g->error->text], place[120] = "";
    va_list list;

    if (n->loc.file) {
        size_t length = strlen(n->loc.file), cut = length > 80 ? length - 80 : 0;
        snprintf(place, sizeof place, "%s:%d: ", n->loc.file + cut, n->loc.line);
    }
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return ir_error(g->error, IR_REFUSED, "%s%s: %s", place, ir_ops[n->op].name, text);
}

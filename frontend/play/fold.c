/*
 * fold: a drawing of a graph with each of its boxes as one node. `taper show --format dot` writes a
 * node, an edge, the beginning or the end of a box a line, so it is enough to look at lines.
 */
#include "play.h"

#include <stdlib.h>
#include <string.h>

enum { NAME = 24, MOST = 1 << 16 };

/* The number of "v12" there, or -1; *end: behind it. */
static long node_at(const char *text, const char **end)
{
    char *stop;
    long number;

    if (text[0] != 'v' || text[1] < '0' || text[1] > '9')
        return -1;
    number = strtol(text + 1, &stop, 10);
    *end = stop;
    return number < MOST ? number : -1;
}

static void put_end(struct ir_text *out, long node, const int *box)
{
    if (box[node])
        ir_put(out, "box%d", box[node]);
    else
        ir_put(out, "v%ld", node);
}

void play_fold(const char *dot, struct ir_text *out)
{
    int *box = calloc(MOST, sizeof *box), boxes = 0, depth = 0;

    for (const char *line = dot, *next; box && *line; line = next) {
        const size_t length = strcspn(line, "\n");
        const char *at = line + strspn(line, " "), *end = at;
        const long from = node_at(at, &end);

        next = line + length + (line[length] != 0);
        if (strncmp(at, "subgraph ", 9) == 0) {
            const char *label = strstr(at, "label=");
            if (depth++ == 0) {
                ir_put(out, "  box%d [shape=box style=\"rounded,filled\" ", ++boxes);
                if (label && label < line + length)
                    ir_put_bytes(out, label, (size_t)(line + length - label));
                ir_put(out, "]\n");
            }
        } else if (*at == '}' && depth) {
            depth--;
        } else if (from >= 0 && strncmp(end, " -> ", 4) == 0) {
            const long to = node_at(end + 4, &end);
            if (to >= 0 && !(box[from] && box[from] == box[to])) {
                ir_put(out, "  ");
                put_end(out, from, box);
                ir_put(out, " -> ");
                put_end(out, to, box);
                ir_put(out, "\n");
            }
        } else if (from >= 0 && depth) {
            box[from] = boxes;
        } else if (!depth) {
            if (strncmp(at, "digraph", 7) == 0)
                ir_put(out, "strict "); /* many edges become one */
            ir_put_bytes(out, line, (size_t)(next - line));
        }
    }
    free(box);
}

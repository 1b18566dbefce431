/*
 * blocks: texts that stand elsewhere and go into generated files: the parts that the library itself
 * includes, and files of blocks of which a model needs some.
 */
#include "codegen/blocks.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static bool starts(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static const char *line_after(const char *line)
{
    line += strcspn(line, "\n");
    return line + (*line != 0);
}

/* ---- parts --------------------------------------------------------------------------------------
 */

void gen_put_part(struct ir_text *out, const char *text)
{
    const char *last = NULL;
    int blank = 0;

    for (const char *at = text; (at = strstr(at, "\n#endif")); at++)
        last = at + 1;
    for (const char *line = text, *next; *line; line = next) {
        const size_t length = strcspn(line, "\n");

        next = line_after(line);
        if (line == last || starts(line, "#ifndef PART_") ||
            (starts(line, "#define PART_") && strstr(line, "_H\n") == line + length - 2) ||
            starts(line, "// ")) /* what is for readers of the library only */
            continue;
        if (length == 0 && blank++)
            continue;
        if (length)
            blank = 0;
        ir_put_bytes(out, line, (size_t)(next - line));
    }
    if (!blank)
        ir_put(out, "\n");
}

struct span { /* of a text */
    size_t from, to;
};

static bool letter(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The next function of a part from `at` on, its comment with it: from PART to a brace alone, or to
 * the end of a prototype. */
static bool next_function(const char *text, size_t at, struct span *all, struct span *name)
{
    const char *part =
        strncmp(text + at, "PART ", 5) == 0 ? text + at - 1 : strstr(text + at, "\nPART ");
    const char *end, *call;

    if (!part)
        return false;
    all->from = (size_t)(++part - text);
    call = part + strcspn(part, "(");
    end = call + strcspn(call, ";{");
    end = *end == '{' ? strstr(end, "\n}\n") : end;
    if (!*call || !end || !*end)
        return false;
    all->to = (size_t)(end - text) + (*end == ';' ? 2 : 3);
    name->to = (size_t)(call - text);
    for (name->from = name->to; letter(text[name->from - 1]);)
        name->from--;
    if (all->from > 3 && strncmp(text + all->from - 3, "*/\n", 3) == 0) {
        size_t open = all->from - 3;
        while (open > at && strncmp(text + open, "/*", 2) != 0)
            open--;
        if (strncmp(text + open, "/*", 2) == 0 && (open == 0 || text[open - 1] == '\n'))
            all->from = open;
    }
    return true;
}

/* Is the name said anywhere but in its own functions, the prototype and the body? */
static bool is_used(const char *text, const char *name, size_t length)
{
    struct span own = { 0, 0 }, of;
    size_t at = 0;

    for (const char *found = text; (found = strstr(found, name)); found += length) {
        const size_t where = (size_t)(found - text);

        if (letter(found[length]) || (found > text && letter(found[-1])))
            continue;
        while (own.to <= where && next_function(text, at, &own, &of))
            at = own.to;
        if (where < own.from || where >= own.to || of.to - of.from != length ||
            strncmp(text + of.from, name, length) != 0)
            return true;
    }
    return false;
}

void gen_drop_parts(struct ir_text *text)
{
    struct span all, of;
    bool again = true;

    while (again) {
        again = false;
        for (size_t at = 0; next_function(text->data, at, &all, &of);) {
            char name[64];
            const size_t length = of.to - of.from;
            bool used = length >= sizeof name;

            if (!used) {
                memcpy(name, text->data + of.from, length);
                name[length] = 0;
                used = is_used(text->data, name, length);
            }
            at = all.to;
            if (used)
                continue;
            while (text->data[all.to] == '\n')
                all.to++;
            memmove(text->data + all.from, text->data + all.to, text->size - all.to + 1);
            text->size -= all.to - all.from;
            at = all.from;
            again = true;
        }
    }
}

/* ---- blocks -------------------------------------------------------------------------------------
 */

/* Of a heading's words: do all hold, or (any) does one? */
static bool heading_holds(const char *words, bool any, gen_holds *holds, const void *of)
{
    bool all = true, one = false;

    for (const char *word = words + strspn(words, " "); *word && *word != '\n';
         word += strspn(word, " ")) {
        const bool no = *word == '!';
        const size_t length = strcspn(word += no, " \n");
        const bool yes = (length == 6 && starts(word, "always")) || holds(of, word, length);

        all = all && yes != no;
        one = one || yes != no;
        word += length;
    }
    return any ? one : all;
}

void gen_put_blocks(struct ir_text *out, const char *text, bool any, gen_holds *holds,
                    const void *of)
{
    bool wanted = false, blank = true;

    for (const char *line = strstr(text, "\n///") + 1, *next; *line; line = next) {
        const char *mark = line + strspn(line, " ");

        next = line_after(line);
        if (starts(mark, "///")) {
            wanted = heading_holds(mark + 3, any, holds, of);
        } else if (wanted && !(blank && *line == '\n')) {
            blank = *line == '\n';
            ir_put_bytes(out, line, (size_t)(next - line));
        }
    }
}

/* ---- tables -------------------------------------------------------------------------------------
 */

void gen_put_double(struct ir_text *out, double number)
{
    struct ir_text digits = { 0 };

    ir_put_number(&digits, IR_F64, number);
    ir_put(out, "%s",
           strcmp(digits.data, "inf") == 0    ? "__builtin_inf()"
           : strcmp(digits.data, "-inf") == 0 ? "-__builtin_inf()"
           : strcmp(digits.data, "nan") == 0  ? "__builtin_nan(\"\")"
                                              : digits.data);
    ir_text_free(&digits);
}

void gen_put_numbers(struct ir_text *out, const struct gen_state *s, int number)
{
    const int bytes = ir_dtypes[s->dtype].bytes;
    const unsigned char *at = s->numbers;

    ir_put(out, "/* ");
    ir_put_name(out, s->name);
    ir_put(out, " */\nstatic const uint%d_t numbers_%d[] = {", 8 * bytes, number);
    for (int64_t i = 0; i < s->elements; i++, at += bytes) {
        uint64_t word = 0;
        memcpy(&word, at, (size_t)bytes);
        ir_put(out, "%s0x%" PRIx64 ",", i % (bytes == 8 ? 4 : 8) ? " " : "\n    ", word);
    }
    ir_put(out, "\n};\n\n");
}

void gen_put_begin(struct ir_text *out, const struct gen_state *s)
{
    static const char *const begins[] = { "INITIAL_ZERO", "INITIAL_CONSTANT", "INITIAL_UNIFORM",
                                          "INITIAL_NORMAL" };

    ir_put(out, "%s, ", begins[s->init]);
    gen_put_double(out, s->a);
    ir_put(out, ", ");
    gen_put_double(out, s->b);
}

void gen_put_storage(struct ir_text *out, const struct gen_state *s)
{
    ir_put(out, "%d, {", s->parts);
    for (int i = 0; i < s->parts; i++)
        ir_put(out, "%s { %d, %" PRId64 ", %" PRId64 ", %" PRId64 " }", i ? "," : "",
               s->part[i].axis, s->part[i].divisor, s->part[i].extent, s->part[i].pitch);
    ir_put(out, "%s }", s->parts ? "" : " { 0, 1, 0, 0 }");
}

int gen_most_parts(const struct gen_state *state, int states)
{
    int most = 1;

    for (int i = 0; i < states; i++)
        most = state[i].parts > most ? state[i].parts : most;
    return most;
}

bool gen_states_fit(const struct gen_state *state, int states, struct ir_error *error)
{
    for (int i = 0; i < states; i++) {
        const struct gen_state *s = &state[i];
        const bool half = s->dtype == IR_F16 || s->dtype == IR_BF16;

        if (s->elements < 0)
            return ir_error(error, IR_UNSUPPORTED,
                            "state %.100s: its size is not fixed; generated files need it to be",
                            s->name);
        if (half && s->init != IR_INIT_ZERO && !s->numbers)
            return ir_error(error, IR_UNSUPPORTED,
                            "state %.100s: begins with %s numbers; generated files draw f32 ones",
                            s->name, ir_dtypes[s->dtype].name);
    }
    return true;
}

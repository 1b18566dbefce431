/*
 * The words of the textual IR.
 */
#include "ir/scan.h"

#include <inttypes.h>
#include <string.h>

#define NAME 1000 /* the longest name or quoted text */

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.";

bool ir_scan_refuse(struct ir_scan *s, const char *format, ...)
{
    char text[sizeof s->error->text];
    size_t length = strlen(s->file), cut = length > 80 ? length - 80 : 0;
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return ir_error(s->error, IR_REFUSED, "%s:%d: %s", s->file + cut, s->line, text);
}

bool ir_scan_wanted(struct ir_scan *s, const char *what)
{
    int c = ir_scan_peek(s);
    size_t length = 0;

    if (c == 0)
        return ir_scan_refuse(s, "found the end; expected %s", what);
    if (c == '\n' || c == '#')
        return ir_scan_refuse(s, "found the end of the line; expected %s", what);
    while (length < 30 && s->at + length < s->size && s->text[s->at + length] > ' ')
        length++;
    return ir_scan_refuse(s, "found '%.*s'; expected %s", length ? (int)length : 1, s->text + s->at,
                          what);
}

int ir_scan_peek(struct ir_scan *s)
{
    while (s->at < s->size &&
           (s->text[s->at] == ' ' || s->text[s->at] == '\t' || s->text[s->at] == '\r'))
        s->at++;
    return s->at < s->size ? (unsigned char)s->text[s->at] : 0;
}

bool ir_scan_accept(struct ir_scan *s, char c)
{
    if (ir_scan_peek(s) != c)
        return false;
    s->at++;
    return true;
}

bool ir_scan_expect(struct ir_scan *s, const char *mark)
{
    size_t length = strlen(mark);

    ir_scan_peek(s);
    if (s->size - s->at < length || memcmp(s->text + s->at, mark, length) != 0)
        return ir_scan_wanted(s, mark);
    s->at += length;
    return true;
}

bool ir_scan_is(struct ir_scan *s, const char *word)
{
    size_t length = strlen(word);

    ir_scan_peek(s);
    if (s->size - s->at < length || memcmp(s->text + s->at, word, length) != 0)
        return false;
    return s->at + length == s->size ||
           !memchr(letters, s->text[s->at + length], sizeof letters - 1);
}

bool ir_scan_take(struct ir_scan *s, const char *word)
{
    if (!ir_scan_is(s, word))
        return false;
    s->at += strlen(word);
    return true;
}

static void comment(struct ir_scan *s)
{
    if (ir_scan_peek(s) == '#')
        while (s->at < s->size && s->text[s->at] != '\n')
            s->at++;
}

bool ir_scan_line_end(struct ir_scan *s)
{
    comment(s);
    if (ir_scan_peek(s) == 0 && s->at == s->size)
        return true;
    if (ir_scan_peek(s) != '\n')
        return ir_scan_wanted(s, "the end of the line");
    s->at++;
    s->line++;
    return true;
}

void ir_scan_blank_lines(struct ir_scan *s)
{
    for (;;) {
        comment(s);
        if (ir_scan_peek(s) != '\n')
            return;
        s->at++;
        s->line++;
    }
}

static int hex(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool ir_scan_quoted(struct ir_scan *s, const char **text)
{
    char *to = NULL;
    size_t length = 0;

    if (ir_scan_peek(s) != '"')
        return ir_scan_wanted(s, "a text in quotes");
    for (int pass = 0; pass < 2; pass++) { /* measured first, then kept */
        size_t at = s->at + 1;
        length = 0;
        while (at < s->size && s->text[at] != '"') {
            unsigned char c = (unsigned char)s->text[at++];
            if (c < 32)
                return ir_scan_refuse(s, "a control character in a quoted text; expected \\x..");
            if (c == '\\') {
                int high, low;
                if (at < s->size && (s->text[at] == '"' || s->text[at] == '\\'))
                    c = (unsigned char)s->text[at++];
                else if (s->size - at >= 3 && s->text[at] == 'x' &&
                         (high = hex(s->text[at + 1])) >= 0 && (low = hex(s->text[at + 2])) >= 0 &&
                         high + low > 0)
                    c = (unsigned char)(16 * high + low), at += 3;
                else
                    return ir_scan_refuse(s, "a bad escape in a quoted text; expected \\\", \\\\ "
                                             "or \\x and two digits");
            }
            if (length >= NAME)
                return ir_scan_refuse(s, "a quoted text of more than %d bytes", NAME);
            if (to)
                to[length] = (char)c;
            length++;
        }
        if (at >= s->size)
            return ir_scan_refuse(s, "a quoted text without its end");
        if (!to)
            to = ir_alloc(s->arena, length + 1);
        else
            s->at = at + 1;
    }
    *text = to;
    return true;
}

bool ir_scan_run(struct ir_scan *s, const char *bytes, const char **run, size_t *length)
{
    size_t count = 0;

    ir_scan_peek(s);
    while (s->at + count < s->size && s->text[s->at + count] &&
           strchr(bytes, s->text[s->at + count]))
        count++;
    *run = s->text + s->at;
    *length = count;
    s->at += count;
    return count > 0;
}

bool ir_scan_name(struct ir_scan *s, const char **name)
{
    int c = ir_scan_peek(s);
    const char *run;
    size_t length;

    if (c == '"')
        return ir_scan_quoted(s, name);
    if (c == 0 || !memchr(letters, c, sizeof letters - 1) || c == '.' || (c >= '0' && c <= '9'))
        return ir_scan_wanted(s, "a name");
    ir_scan_run(s, letters, &run, &length);
    if (length > NAME)
        return ir_scan_refuse(s, "a name of more than %d bytes", NAME);
    *name = ir_format(s->arena, "%.*s", (int)length, run);
    return true;
}

bool ir_scan_integer(struct ir_scan *s, int64_t least, int64_t most, int64_t *value)
{
    size_t begin;
    bool minus;
    int64_t all = 0;

    ir_scan_peek(s);
    begin = s->at;
    minus = s->at < s->size && s->text[s->at] == '-';
    s->at += minus;
    if (s->at >= s->size || s->text[s->at] < '0' || s->text[s->at] > '9') {
        s->at = begin;
        return ir_scan_wanted(s, "a whole number");
    }
    for (; s->at < s->size && s->text[s->at] >= '0' && s->text[s->at] <= '9'; s->at++) {
        int digit = s->text[s->at] - '0';
        if (__builtin_mul_overflow(all, 10, &all) ||
            __builtin_add_overflow(all, minus ? -digit : digit, &all))
            return ir_scan_refuse(s, "a number past 64 bits");
    }
    if (all < least || all > most)
        return ir_scan_refuse(s, "found %" PRId64 "; expected %" PRId64 " to %" PRId64, all, least,
                              most);
    *value = all;
    return true;
}

/*
 * A growing text, the target of every printer, and numbers as text. Printing and reading do not see
 * the locale of the program that holds us: "0.5" is one half everywhere.
 */
#define _GNU_SOURCE 1
#include "ir/ir.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* glibc and musl keep one locale object for "C": no allocation, nothing to free */
static locale_t plain(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static void room(struct ir_text *t, size_t more)
{
    size_t want = t->size + more + 1, size = t->room ? t->room : 256;
    char *data;

    if (more > SIZE_MAX / 4 || t->size > SIZE_MAX / 4)
        ir_bug("a text of %zu + %zu bytes", t->size, more);
    if (want <= t->room)
        return;
    while (size < want)
        size *= 2;
    data = realloc(t->data, size);
    if (!data)
        ir_bug("no memory for a text of %zu bytes", size);
    t->data = data;
    t->room = size;
}

void ir_put_list(struct ir_text *t, const char *format, va_list list)
{
    locale_t before = plain();
    va_list again;
    int length;

    va_copy(again, list);
    room(t, 80);
    length = vsnprintf(t->data + t->size, t->room - t->size, format, list);
    if (length >= 0 && (size_t)length >= t->room - t->size) {
        room(t, (size_t)length);
        vsnprintf(t->data + t->size, t->room - t->size, format, again);
    }
    if (length > 0)
        t->size += (size_t)length;
    t->data[t->size] = 0;
    va_end(again);
    uselocale(before);
}

void ir_put(struct ir_text *t, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    ir_put_list(t, format, list);
    va_end(list);
}

void ir_put_bytes(struct ir_text *t, const char *bytes, size_t size)
{
    room(t, size);
    if (size)
        memcpy(t->data + t->size, bytes, size);
    t->size += size;
    t->data[t->size] = 0;
}

void ir_text_free(struct ir_text *t)
{
    free(t->data);
    *t = (struct ir_text){ 0 };
}

/* The shortest decimal that reads back as the same number of the type. */
void ir_put_number(struct ir_text *t, enum ir_dtype dtype, double value)
{
    char digits[40];

    if (isnan(value)) {
        ir_put(t, "nan");
        return;
    }
    if (isinf(value)) {
        ir_put(t, "%s", value < 0 ? "-inf" : "inf");
        return;
    }
    locale_t before = plain();
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        double back = strtod(digits, NULL);
        if (back == value || ir_rounded(dtype, back) == ir_rounded(dtype, value))
            break;
    }
    uselocale(before);
    ir_put(t, "%s", digits);
}

bool ir_read_number(const char *text, size_t size, double *value)
{
    char copy[400], *end;

    if (size == 0 || size >= sizeof copy || memchr(" \t\n\r\v\f", *text, 6))
        return false; /* the text need not end with 0 */
    memcpy(copy, text, size);
    copy[size] = 0;
    locale_t before = plain();
    *value = strtod(copy, &end);
    uselocale(before);
    return end == copy + size;
}

/* A name that stands for itself in the text form, or else in quotes. */
void ir_put_name(struct ir_text *t, const char *name)
{
    static const char plain_bytes[] =
        "0123456789.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t length = strlen(name);

    if (length && strspn(name, plain_bytes) == length && !strchr("0123456789.", *name))
        ir_put(t, "%s", name);
    else
        ir_put_quoted(t, name);
}

void ir_put_quoted(struct ir_text *t, const char *text)
{
    ir_put(t, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            ir_put(t, "\\%c", *c);
        else if (*c < 32 || *c > 126)
            ir_put(t, "\\x%02x", *c);
        else
            ir_put(t, "%c", *c);
    ir_put(t, "\"");
}

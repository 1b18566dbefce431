/*
 * options: a table says what a command takes; reading it and printing the help are done here.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct usage *u)
{
    printf("%s\n\n%s\n", u->call, u->about);
    if (u->options && u->options->name)
        printf("\n");
    for (const struct option *o = u->options; o && o->name; o++) {
        char left[40];
        if (o->kind == '-' || !o->help)
            continue;
        snprintf(left, sizeof left, "%s%s%s", o->name, o->meta ? " " : "", o->meta ? o->meta : "");
        printf("  %-20s %s\n", left, o->help);
    }
    printf("\nExample: %s\n", u->example);
}

static void print_words(const struct usage *u)
{
    for (const struct option *o = u->options; o && o->name; o++)
        if (o->kind != '-' && o->help)
            printf("%s\t%s\t%s\n", o->name, o->meta ? o->meta : "", o->help);
}

static bool read_value(const struct option *o, const char *word, struct ir_error *error)
{
    char *end;

    errno = 0;
    switch (o->kind) {
    case 's':
        *(const char **)o->to = word;
        return true;
    case 'i': {
        long long number = strtoll(word, &end, 10);
        if (*word == 0 || *end || errno || number < 0)
            return ir_error(error, IR_REFUSED, "%s \"%.40s\": expected a whole number, 0 or more",
                            o->name, word);
        *(int64_t *)o->to = number;
        return true;
    }
    default: {
        double number = strtod(word, &end);
        if (*word == 0 || *end || !(number >= 0 && number < 1e300))
            return ir_error(error, IR_REFUSED, "%s \"%.40s\": expected a number, 0 or more",
                            o->name, word);
        *(double *)o->to = number;
        return true;
    }
    }
}

static const struct option *find(const struct usage *u, const char *word, size_t length)
{
    for (const struct option *o = u->options; o && o->name; o++)
        if (strlen(o->name) == length && strncmp(o->name, word, length) == 0)
            return o;
    return NULL;
}

int command_options(int argc, char **argv, const struct usage *usage, struct ir_error *error)
{
    int words = 0;

    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(usage);
            return -2;
        } else if (strcmp(argv[i], "--help=words") == 0) {
            print_words(usage);
            return -2;
        } else if (strcmp(argv[i], "--help=man") == 0) {
            command_manual_of(usage);
            return -2;
        }
    for (int i = 0; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        const struct option *o;

        if (argv[i][0] != '-' || argv[i][1] == 0) {
            argv[words++] = argv[i];
            continue;
        }
        o = find(usage, argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
        if (!o) {
            ir_error(error, IR_REFUSED, "no option %.60s; --help lists them", argv[i]);
            return -1;
        }
        if (o->kind == '-') {
            ir_error(error, IR_UNSUPPORTED, "%s is not supported yet", o->name);
            return -1;
        }
        if (o->kind == 'b' && !equals) {
            *(bool *)o->to = true;
            continue;
        }
        if (o->kind == 'b' || (!equals && i + 1 == argc)) {
            ir_error(error, IR_REFUSED, o->kind == 'b' ? "%s takes no value" : "%s lacks its value",
                     o->name);
            return -1;
        }
        if (!read_value(o, equals ? equals + 1 : argv[++i], error))
            return -1;
    }
    return words;
}

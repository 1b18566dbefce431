/*
 * manual: the page taper(1), made of what each command says of itself with --help.
 */
#include "command.h"

#include <stdio.h>

/* A line of text as troff reads it: no sign has a meaning, and a - is one that can be copied. */
static void plain(const char *text)
{
    bool begins = true;

    for (const char *c = text; *c; c++) {
        if (begins && (*c == '.' || *c == '\''))
            printf("\\&");
        if (*c == '\\')
            printf("\\e");
        else if (*c == '-')
            printf("\\-");
        else
            putchar(*c);
        begins = *c == '\n';
    }
}

static void entry(const char *name, const char *text)
{
    printf(".TP\n.B ");
    plain(name);
    putchar('\n');
    plain(text);
    putchar('\n');
}

void command_manual_of(const struct usage *u)
{
    printf(".SS ");
    plain(u->call);
    printf("\n");
    plain(u->about);
    printf("\n");
    for (const struct option *o = u->options; o && o->name; o++) {
        if (o->kind == '-' || !o->help)
            continue;
        printf(".TP\n.B ");
        plain(o->name);
        if (o->meta) {
            printf(" \\fI");
            plain(o->meta);
            printf("\\fR");
        }
        printf("\n");
        plain(*o->help ? o->help : "a number");
        printf("\n");
    }
    printf(".PP\nExample:\n.PP\n.nf\n.RS\n");
    plain(u->example);
    printf("\n.RE\n.fi\n");
}

void command_manual_begin(const char *version)
{
    printf(".TH TAPER 1 \"\" \"taper %s\" \"User Commands\"\n", version);
    printf(
        ".SH NAME\ntaper \\- graph compiler for training neural networks\n"
        ".SH SYNOPSIS\n.B taper\n.I COMMAND\n[\\fIwords and options\\fR]\n.br\n"
        ".B taper\n.I COMMAND\n.B \\-\\-help\n"
        ".SH DESCRIPTION\n"
        "taper differentiates a model, fuses it, lays it out, plans its memory and prints the\n"
        "whole training step (forward, backward, optimiser) as one C file, which is compiled in\n"
        "process and called in a loop. The commands do that with built-in models and with models\n"
        "in textual form (.tp files). Options stand in any order, as \\-\\-name value or\n"
        "\\-\\-name=value.\n"
        ".SH COMMANDS\n");
}

void command_manual_end(void)
{
    printf(".SH EXIT STATUS\n");
    entry("0", "It is done.");
    entry("1", "It failed, or what was looked at is not sound.");
    entry("2", "What was asked is refused, with one line that says why; nothing was done.");
    entry("3", "The same, of what is not supported.");
    printf(".SH ENVIRONMENT\n");
    entry("TAPER_ENGINE", "interpreter: programs are interpreted, not compiled");
    entry("TAPER_CC", "the C compiler where there is none in process");
    entry("TAPER_JIT", "the plug-in that compiles in process, libtaper-jit.so, if it is elsewhere");
    entry("TAPER_CACHE_BYTES", "the most that compiled programs on disk may take, as 512M");
    entry("XDG_CACHE_HOME", "where the folder taper of compiled programs is; else ~/.cache");
}

/*
 * taper: the command. Each word after it is a command of its own, in a file of that name.
 */
#include "command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name, *about;
    command_function *run;
} commands[] = {
    { "train", "train a model", command_train },
    { "sample", "print text from a model of text", command_sample },
    { "build", "make a trainer: a program and its one C file", command_build },
    { "show", "print what a stage of the compiler made of a model", command_show },
    { "check", "compare a model's gradients with differences, and ways of computing it",
      command_check },
    { "explain", "say of each kernel what it does, why it ends there, how fast it is",
      command_explain },
    { "tune", "search schedules by measuring, and keep what is quicker", command_tune },
    { "run", "run a program of a .tp file, or an ONNX model, once, on what is given", command_run },
    { "grad", "the gradients of an ONNX model by its inputs", command_grad },
    { "export", "write what a model computes as an ONNX file", command_export },
    { "verify", "say whether a file is sound, without running it", command_verify },
    { "play", "a page to see a network train, and the compiler work", command_play },
    { "bench", "time a model's steps", command_bench },
    { "golden", "answer files of questions with values and gradients", command_golden },
    { "ops", "print the table of operations", command_ops },
    { "cache", "the cache of compiled programs", command_cache },
    { NULL, NULL, NULL },
};

static void help(FILE *to)
{
    fprintf(to, "taper %s: a graph compiler for training neural networks\n\n", TAPER_VERSION);
    for (const struct command *c = commands; c->name; c++)
        fprintf(to, "  taper %-8s %s\n", c->name, c->about);
    fprintf(to,
            "\n`taper COMMAND --help` says more, with an example. Begin with: taper train lenet\n");
}

static void manual(struct ir_error *error)
{
    command_manual_begin(TAPER_VERSION);
    for (const struct command *c = commands; c->name && error->status == IR_OK; c++) {
        char word[] = "--help=man", *words[] = { word, NULL };
        c->run(1, words, error);
    }
    command_manual_end();
}

static int complain(const struct ir_error *error)
{
    fflush(stdout);
    fprintf(stderr, "taper: %s\n", error->text);
    return error->status;
}

int main(int argc, char **argv)
{
    struct ir_error error = { 0 };
    int status = 0;

    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), not the end */
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        if (argc == 3 && strcmp(argv[2], "--man") == 0)
            manual(&error);
        else
            help(stdout);
        return error.status != IR_OK ? complain(&error) : 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("taper %s\n", TAPER_VERSION);
        return 0;
    }
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, argv[1]) == 0) {
            status = c->run(argc - 2, argv + 2, &error);
            if (status == 0 && (fflush(stdout) != 0 || ferror(stdout)))
                ir_error(&error, IR_FAILED, "the output could not be written");
            return error.status != IR_OK ? complain(&error) : status;
        }
    ir_error(&error, IR_REFUSED, "no command \"%.60s\"; taper help lists them", argv[1]);
    return complain(&error);
}

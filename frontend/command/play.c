/*
 * play: the playground: a page that the command itself serves.
 */
#include "command.h"
#include "frontend/play/play.h"

int command_play(int argc, char **argv, struct ir_error *error)
{
    struct play_options o = { .host = "127.0.0.1", .port = 8477 };
    const struct option options[] = {
        { "--port", 'i', &o.port, "N", "where it listens; 8477; 0: a port that is free" },
        { "--host", 's', &o.host, "ADDRESS", "whom it listens to; 127.0.0.1: this machine alone" },
        { "--mnist", 's', &o.mnist, "FOLDER", "MNIST's files, for the page Digits" },
        { "--sentences", 's', &o.sentences, "FOLDER",
          "train.tsv and dev.tsv, for the page Sentences" },
        { "--open", 'b', &o.open, NULL, "in a browser, too" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper play [options]",
        "Serves a page on which a network can be seen to train, and the compiler to work: points\n"
        "of the plane with every knob, each stage of the way to code, sandboxes for maths,\n"
        "derivatives and tensors. What trains is the compiled program. The address that it prints\n"
        "has a secret in it, and without it there is no answer. docs/playground.md says more.",
        "taper play --open", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 0)
        return ir_error(error, IR_REFUSED, "play takes no word, %d are given", words), IR_REFUSED;
    if (o.port < 0 || o.port > 65535)
        return ir_error(error, IR_REFUSED, "--port %lld: expected 0 to 65535", (long long)o.port),
               IR_REFUSED;
    return play_serve(&o, error);
}

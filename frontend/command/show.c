/*
 * show: any stage of the way from a model to code, as text.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

int command_show(int argc, char **argv, struct ir_error *error)
{
    struct settings set = command_unset;
    struct session s = { 0 };
    struct ir_text text = { 0 };
    const char *stage = "trace", *of = NULL, *kernel = NULL, *format = "text";
    const struct option options[] = {
        { "--stage", 's', &stage, "S", "trace grad simple layout fuse loops plan c cuda; trace" },
        { "--program", 's', &of, "NAME",
          "step or eval; both, but of C, of dot and of a kernel the first" },
        { "--kernel", 's', &kernel, "NAME", "one kernel only" },
        { "--format", 's', &format, "F", "text, dot (Graphviz) or json (a program a line)" },
        { "--target", 's', &set.target, "T", "generic x86-64-v3 x86-64-v4 armv8 cortex-m native" },
        COMMAND_SETTINGS(set),
        { "--tf32", 'b', &set.tf32, NULL, "of cuda: as in train" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper show MODEL --stage S [options]",
        "Prints what a stage of the compiler made of a model. The text of stages "
        "up to plan is a\n.tp file, which is a model too.",
        "taper show mlp --stage grad", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 1)
        return ir_error(error, IR_REFUSED,
                        "show takes one model, %d are given; taper train lists "
                        "them",
                        words),
               IR_REFUSED;
    if (strcmp(stage, "cuda") == 0 && !set.target)
        set.target = "cuda";
    if (set.tf32 && (!set.target || strcmp(set.target, "cuda") != 0))
        return ir_error(error, IR_REFUSED,
                        "--tf32 is of a GPU's tensor cores; expected --stage cuda as well"),
               IR_REFUSED;
    if (!command_session(&s, argv[0], &set, false))
        *error = s.error;
    else if (command_stage_text(&s, stage, of, kernel, format, &text, error))
        fwrite(text.data, 1, text.size, stdout);
    ir_text_free(&text);
    command_session_free(&s);
    return error->status;
}

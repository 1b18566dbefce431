/*
 * absent: taper play where it was built without what serves the page.
 */
#include "play.h"

int play_serve(const struct play_options *options, struct ir_error *error)
{
    (void)options;
    ir_error(error, IR_UNSUPPORTED,
             "play: taper was built without it; it needs libmicrohttpd-dev, libjs-dygraphs and "
             "libjs-prettify");
    return error->status;
}

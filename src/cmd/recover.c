/* recover: ends what dead processes left. */
#include "cmd/op.h"
#include "cmd/tell.h"

static const struct option_row options[] = {
    { "json", 'j', NULL, "print the counts as a JSON object" },
};

static int run_recover(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct recovered found = { 0 };
    struct err err = { 0 };
    int r = op_open(LEDGER_WRITE, &plane, &err);
    if (r == 0)
        r = plane_recover(plane, &found, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (invocation->values[0])
        printf("{\"failed\":%zu,\"canceled\":%zu,\"resumed\":%zu}\n", found.failed, found.canceled,
               found.resumed);
    else if (found.failed + found.canceled + found.resumed == 0)
        puts("nothing to recover");
    else
        printf("%zu failed, %zu canceled, %zu carried on\n", found.failed, found.canceled,
               found.resumed);
    return EXIT_OK;
}

const struct verb verb_recover = {
    .name = "recover",
    .summary = "End what dead processes left",
    .description = "Finds operations whose process is gone, ends each by the rule of its type, and "
                   "settles what they had reserved. Commands do so by themselves.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_recover,
};

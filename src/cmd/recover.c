/* recover: ends what dead processes left. */
#include "cmd/change_set.h"
#include "cmd/tell.h"

static const struct option_row options[] = {
    { "json", 'j', NULL, "print the counts as a JSON object" },
};

static void print_counts(const struct recovered *found, const struct change_set_recovered *applied)
{
    printf("%zu failed, %zu canceled, %zu carried on\n", found->failed, found->canceled,
           found->resumed);
    if (applied->completed + applied->undone)
        printf("of change sets, %zu applied to their end, %zu undone\n", applied->completed,
               applied->undone);
}

static int run_recover(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct recovered found = { 0 };
    struct change_set_recovered applied = { 0 };
    struct err err = { 0 };
    int r = op_open(LEDGER_WRITE, &plane, &err);
    if (r == 0)
        r = plane_recover(plane, &found, &err);
    if (r == 0)
        r = change_set_recover_all(&applied, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (invocation->values[0])
        printf("{\"failed\":%zu,\"canceled\":%zu,\"resumed\":%zu,\"applied\":%zu,\"undone\":%zu}\n",
               found.failed, found.canceled, found.resumed, applied.completed, applied.undone);
    else if (found.failed + found.canceled + found.resumed + applied.completed + applied.undone ==
             0)
        puts("nothing to recover");
    else
        print_counts(&found, &applied);
    return EXIT_OK;
}

const struct verb verb_recover = {
    .name = "recover",
    .summary = "End what dead processes left",
    .description =
        "Finds operations whose process is gone, ends each by the rule of its type, and "
        "settles what they had reserved. Commands do so by themselves. What was being applied "
        "of a change set is completed, or undone where it had not begun.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_recover,
};

/* doctor_run: what one operation was given and refused, in the form of a preflight. */
#include "cmd/doctor.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "doctor/story_grants.h"

#define NAME_WIDTH  18
#define MORE_COLUMN 12

const struct option_row doctor_run_options[DOCTOR_RUN_OPTION_COUNT] = {
    { "json", 'j', NULL, "print a CapabilityGrantState" },
};

int doctor_story_open(struct plane **ret_plane, struct story **ret, struct err *err)
{
    int r = op_open(LEDGER_READ, ret_plane, err);
    return r < 0 ? r : story_open(plane_ledger(*ret_plane), ret, err);
}

static void print_more(const char *word, struct str text)
{
    char label[MORE_COLUMN + 1];
    snprintf(label, sizeof(label), "      %s", word);
    if (text.len)
        op_print_wrapped(label, MORE_COLUMN, text);
}

static void print_decision(const struct story_decision *decision)
{
    static const struct {
        const char *verdict, *word;
        enum colour colour;
    } words[] = { { "allow", "granted", COLOUR_GOOD },
                  { "ask", "ask", COLOUR_WARN },
                  { "deny", "denied", COLOUR_BAD } };
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    const char *operation;
    const char *capability = story_capability(decision->gate, decision->kind, &operation);
    size_t at = 0;
    while (at < ARRAY_LEN(words) - 1 && !str_equal(decision->verdict, str_from(words[at].verdict)))
        at++;
    printf("  %-*s%s%-8s%s ", NAME_WIDTH, capability, tell_colour(stdout, words[at].colour),
           words[at].word, tell_colour_end(stdout));
    story_add_object(&line, decision);
    if (decision->count > 1)
        buf_addf(&line, ", %llu times", (unsigned long long)decision->count);
    op_print_behind(2 + NAME_WIDTH + 9, buf_str(&line));
    if (at == 0)
        return;
    buf_reset(&line);
    buf_addf(&line, "the %.*s layer, rule %.*s", STR_ARG(decision->layer), STR_ARG(decision->rule));
    print_more("by", buf_str(&line));
    print_more("try", decision->command.len ? decision->command : decision->change);
}

static void print_run(const struct story_grants *grants)
{
    const struct story_run *run = &grants->run;
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    buf_addf(&line, "%.*s: %.*s", STR_ARG(run->operation), STR_ARG(run->state));
    if (run->exit_reason.len)
        buf_addf(&line, ", %.*s with status %lld", STR_ARG(run->exit_reason),
                 (long long)run->exit_status);
    op_print_wrapped("", 0, buf_str(&line));
    if (run->failure.len)
        op_print_wrapped("  ", 2, run->failure);
    if (run->remediation.len)
        op_print_wrapped("  Try: ", 7, run->remediation);
    for (size_t i = 0; i < grants->count; i++)
        print_decision(grants->decisions[i]);
    if (grants->left_out)
        printf("  and %zu more\n", grants->left_out);
}

int run_doctor_run(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(cleanup_story) struct story *story = NULL;
    _cleanup_(cleanup_free) struct story_grants *grants = malloc(sizeof(*grants));
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct err err = { 0 };
    bool is_refused = false;
    int r = grants ? doctor_story_open(&plane, &story, &err)
                   : err_set(&err, ERR_MEMORY, "tell a run", "there is not enough memory");
    if (r == 0)
        r = story_grants(story, str_from(invocation->operands[0]), grants, &err);
    if (r == 0 && invocation->values[0]) {
        r = story_write_grants(grants, &text, &err);
        if (r == 0)
            puts(text.data);
    } else if (r == 0)
        print_run(grants);
    for (size_t i = 0; r == 0 && i < grants->count; i++)
        is_refused |= !str_equal(grants->decisions[i]->verdict, STR("allow"));
    if (r < 0)
        return tell_error(invocation, &err);
    return is_refused ? EXIT_NEGATIVE : EXIT_OK;
}

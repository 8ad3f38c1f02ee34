/* budget: what was used, what is set aside, and what the limits are. */
#include "plane/budget.h"

#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"

#define BAR_COLUMNS 20

static const struct option_row show_options[] = {
    { "json", 'j', NULL, "print a Budget document for each account" },
    { "all", 'a', NULL, "settled accounts too" },
};

struct show {
    const struct invocation *invocation;
    struct ledger *ledger;
    char only[PLANE_URN_MAX]; /* the account or its holder; empty: all */
    size_t shown;
};

/* A bar of what is used (#) and reserved (+), of the limit. */
static void print_bar(int64_t used, int64_t reserved, int64_t limit)
{
    int full = BAR_COLUMNS;
    int used_to = used >= limit ? full : (int)((double)used * full / (double)limit);
    int reserved_to =
        used >= limit - reserved ? full : (int)((double)(used + reserved) * full / (double)limit);
    putchar('[');
    for (int i = 0; i < full; i++)
        putchar(i < used_to ? '#' : i < reserved_to ? '+' : '.');
    putchar(']');
}

static void print_account(struct str id, struct str holder, const struct account *account,
                          const struct exhaustion *exhaustion, bool settled)
{
    struct buf line = BUF_INIT;
    buf_add_str(&line, id);
    buf_addf(&line, "%s", settled ? " (settled)" : "");
    op_print_wrapped("", 0, buf_str(&line));
    op_print_wrapped("  of", 8, holder);
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        int64_t limit = account->limits.of[i];
        if (limit <= 0)
            continue;
        printf("  %-18s ", dimension_names[i]);
        print_bar(account->used.of[i], account->reserved.of[i], limit);
        buf_reset(&line);
        buf_addf(&line, " %lld of %lld", (long long)account->used.of[i], (long long)limit);
        if (account->reserved.of[i])
            buf_addf(&line, ", %lld reserved", (long long)account->reserved.of[i]);
        if (line.len >
            OP_COLUMNS - 21 - BAR_COLUMNS - 2) /* large figures take a line of their own */
            printf("\n%21s", "");
        printf("%s\n", line.data);
    }
    if (exhaustion->account[0] && !settled) {
        buf_reset(&line);
        buf_addf(&line, "%s is used up: the ceiling of %s", dimension_names[exhaustion->dimension],
                 exhaustion->account);
        op_print_wrapped("  !", 4, buf_str(&line));
    }
    buf_release(&line);
}

static int show_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    struct show *show = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct account account;
    struct exhaustion exhaustion;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    struct budget_view view = {
        .id = id,
        .holder = text_of(member(root, "holderRef")),
        .opened_at = text_of(member(root, "openedAt")),
        .settled_at = text_of(member(root, "settledAt")),
    };
    struct str only = str_from(show->only);
    if (only.len ? !str_equal(only, id) && !str_equal(only, view.holder)
                 : view.settled_at.len && !show->invocation->values[1])
        return 0;
    r = ledger_get_account(show->ledger, id, &account, err);
    if (r == 0)
        r = budget_exhaustion(show->ledger, id, &exhaustion, err);
    if (r < 0)
        return r;
    show->shown++;
    if (!show->invocation->values[0]) {
        print_account(id, view.holder, &account, &exhaustion, view.settled_at.len);
        return 0;
    }
    struct buf out = BUF_INIT;
    budget_document(&out, &view, &account, &exhaustion);
    puts(out.data);
    buf_release(&out);
    return 0;
}

static int run_show(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct show show = { .invocation = invocation };
    struct err err = { 0 };
    if (invocation->operand_count)
        op_urn("budget", invocation->operands[0], show.only);
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0) {
        show.ledger = plane_ledger(plane);
        r = ledger_each_document(show.ledger, STR("Budget"), STR(""), show_one, &show, &err);
    }
    if (r == 0 && show.only[0] && !show.shown)
        r = err_set(&err, ERR_NOT_FOUND, "show a budget",
                    "there is no account %s, nor one of it; see `agent-machine budget show --all`",
                    show.only);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

static const struct verb verbs[] = {
    {
        .name = "show",
        .operands = "[ID]",
        .operands_max = 1,
        .summary = "Show what is used, reserved and left",
        .description =
            "Prints the accounts of delegations and operations, or one of them (by its own URN or "
            "that of who holds it): # is used, + is set aside. Where nothing is left, it says in "
            "which dimension and whose ceiling that is.",
        .options = show_options,
        .option_count = ARRAY_LEN(show_options),
        .run = run_show,
    },
};

const struct verb verb_budget = {
    .name = "budget",
    .summary = "Look at budgets",
    .description =
        "Budgets: what delegations and operations may use, have set aside and have used.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};

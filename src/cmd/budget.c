/*
 * budget: what was used, what is set aside, and what the limits are.
 *
 * A look reads the accounts twice where it is for people: first as documents,
 * which also tell whether anything has changed since the last look, and then
 * to print them. To watch is to look whenever the ledger has moved, and to
 * print where that changed an account.
 */
#include "plane/budget.h"

#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"

#define BAR_COLUMNS  20
#define LOOK_MS      1000 /* beside each event: for those whose process died */
#define SCREEN_CLEAR "\033[H\033[2J"

enum { SHOW_JSON, SHOW_ALL, SHOW_WATCH };

static const struct option_row show_options[] = {
    [SHOW_JSON] = { "json", 'j', NULL, "print a Budget document for each account" },
    [SHOW_ALL] = { "all", 'a', NULL, "settled accounts too" },
    [SHOW_WATCH] = { "watch", 'w', NULL, "print again whenever something changes" },
};

struct show {
    const struct invocation *invocation;
    struct ledger *ledger;
    char only[PLANE_URN_MAX]; /* the account or its holder; empty: all */
    size_t shown, open;
    struct buf *documents; /* collected here, where it is not NULL; else printed */
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

static int show_account(struct show *show, const struct budget_view *view, struct err *err)
{
    struct account account;
    struct exhaustion exhaustion;
    int r = ledger_get_account(show->ledger, view->id, &account, err);
    if (r == 0)
        r = budget_exhaustion(show->ledger, view->id, &exhaustion, err);
    if (r < 0)
        return r;
    show->shown++;
    show->open += !view->settled_at.len;
    if (show->documents) {
        budget_document(show->documents, view, &account, &exhaustion);
        buf_add_char(show->documents, '\n');
    } else {
        print_account(view->id, view->holder, &account, &exhaustion, view->settled_at.len);
    }
    return 0;
}

static int show_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    struct show *show = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
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
    bool wanted = only.len ? str_equal(only, id) || str_equal(only, view.holder)
                           : !view.settled_at.len || show->invocation->values[SHOW_ALL];
    return wanted ? show_account(show, &view, err) : 0;
}

/* The accounts as they are now: into `documents`, or printed where that is NULL. */
static int look(struct show *show, struct buf *documents, struct err *err)
{
    show->documents = documents;
    show->shown = show->open = 0;
    int r = ledger_each_document(show->ledger, STR("Budget"), STR(""), show_one, show, err);
    if (r == 0 && documents && documents->error)
        return err_set(err, ERR_MEMORY, "show a budget", "there is not enough memory");
    if (r == 0 && show->only[0] && !show->shown)
        return err_set(err, ERR_NOT_FOUND, "show a budget",
                       "there is no account %s, nor one of it; see `agent-machine budget show "
                       "--all`",
                       show->only);
    return r;
}

static int print_look(struct show *show, struct buf *documents, struct err *err)
{
    int r = look(show, documents, err);
    if (r == 0 && show->invocation->values[SHOW_JSON])
        fwrite(documents->data, 1, documents->len, stdout);
    else if (r == 0)
        r = look(show, NULL, err);
    return r;
}

/* On a terminal each picture takes the place of the last one; else an empty line is between. */
static void begin_picture(const struct show *show, bool is_first)
{
    if (show->invocation->values[SHOW_JSON])
        return;
    if (isatty(STDOUT_FILENO))
        fputs(SCREEN_CLEAR, stdout);
    else if (!is_first)
        putchar('\n');
}

/* Until what was asked for is settled, nobody reads any more, or the user ends it. */
static int watch(struct plane *plane, struct show *show, struct err *err)
{
    struct buf last = BUF_INIT, now = BUF_INIT;
    struct recovered recovered;
    int64_t size = 0;
    int r = 0;
    for (bool is_first = true;; is_first = false) {
        r = plane_recover(plane, &recovered, err);
        if (r == 0)
            r = ledger_size(show->ledger, &size, err);
        buf_reset(&now);
        if (r == 0)
            r = look(show, &now, err);
        if (r == 0 && (is_first || !str_equal(buf_str(&last), buf_str(&now)))) {
            begin_picture(show, is_first);
            buf_reset(&last);
            r = print_look(show, &last, err);
        }
        if (r < 0 || fflush(stdout) != 0 || (show->only[0] && !show->open))
            break;
        r = ledger_wait(show->ledger, size, LOOK_MS, err);
        if (r < 0 && r != -ETIMEDOUT)
            break;
    }
    buf_release(&last);
    buf_release(&now);
    return r;
}

static int run_show(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct buf documents = BUF_INIT;
    struct show show = { .invocation = invocation };
    struct err err = { 0 };
    bool watches = invocation->values[SHOW_WATCH];
    if (invocation->operand_count)
        op_urn("budget", invocation->operands[0], show.only);
    int r = op_open(watches ? LEDGER_WRITE : LEDGER_READ, &plane, &err);
    if (r == 0) {
        show.ledger = plane_ledger(plane);
        r = watches ? watch(plane, &show, &err) : print_look(&show, &documents, &err);
    }
    buf_release(&documents);
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

/* op_decide: what waits for an answer, and the answer. */
#include "cmd/op_decide.h"

#include "base/clock.h"
#include "cmd/tell.h"
#include "cmd/user_rules.h"
#include "contract/rules.h"
#include "plane/card.h"
#include "plane/state.h"

#define LABEL_COLUMNS  13
#define OPTION_COLUMNS 17
#define DIGEST_COLUMNS 23 /* of "sha256:..." */
#define USES_MAX       1000000

/* --- printing one -------------------------------------------------------------------------- */

static void print_row(FILE *stream, const char *label, struct str text)
{
    if (text.len)
        op_tell_wrapped(stream, label, LABEL_COLUMNS, text);
}

/* As much as two of them are told apart by; --json has it whole. */
static void print_digest(FILE *stream, struct str digest)
{
    struct buf line = BUF_INIT;
    if (digest.len)
        buf_addf(&line, "%.*s...", DIGEST_COLUMNS, digest.ptr);
    print_row(stream, "digest", buf_str(&line));
    buf_release(&line);
}

static void print_options(FILE *stream, const yyjson_val *root)
{
    size_t index, count;
    yyjson_val *option;
    yyjson_arr_foreach(member(root, "options"), index, count, option)
    {
        char label[OPTION_COLUMNS + 1];
        struct buf line = BUF_INIT;
        snprintf(label, sizeof(label), "    %.*s", STR_ARG(text_of(member(option, "optionId"))));
        buf_addf(&line, "%.*s: %.*s", STR_ARG(text_of(member(option, "label"))),
                 STR_ARG(text_of(member(option, "consequence"))));
        op_tell_wrapped(stream, label, OPTION_COLUMNS, buf_str(&line));
        buf_release(&line);
    }
}

static void print_answer(FILE *stream, const yyjson_val *answer)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "%.*s, by %.*s at %.*s", STR_ARG(text_of(member(answer, "optionId"))),
             STR_ARG(text_of(member(answer, "answeredByRef"))),
             STR_ARG(text_of(member(answer, "answeredAt"))));
    print_row(stream, "answer", buf_str(&line));
    print_row(stream, "because", text_of(member(answer, "reason")));
    print_row(stream, "holds until", text_of(at(answer, "/lease/expiresAt")));
    print_row(stream, "taken back", text_of(at(answer, "/lease/revokedAt")));
    buf_release(&line);
}

void op_print_card(FILE *stream, const struct card *card)
{
    static const char *const states[] = { [CARD_PENDING] = "pending",
                                          [CARD_ANSWERED] = "answered",
                                          [CARD_EXPIRED] = "expired",
                                          [CARD_WITHDRAWN] = "withdrawn" };
    const yyjson_val *root = card->root;
    enum card_state state = card_state(card);
    size_t index, count;
    yyjson_val *who;
    print_row(stream, "card", text_of(member(root, "id")));
    print_row(stream, "state", str_from(states[state]));
    print_row(stream, "question", text_of(member(root, "question")));
    print_digest(stream, text_of(at(root, "/resource/digest")));
    print_row(stream, "layer", text_of(member(root, "layer")));
    print_row(stream, "operation", text_of(member(root, "operationRef")));
    yyjson_arr_foreach(member(root, "answerableByRefs"), index, count, who)
        print_row(stream, index ? "" : "answered by", text_of(who));
    if (state == CARD_PENDING) {
        print_row(stream, "until", text_of(member(root, "expiresAt")));
        print_options(stream, root);
    }
    if (state == CARD_ANSWERED)
        print_answer(stream, member(root, "answer"));
}

static int print_one(void *context, struct str id, struct str json, int64_t revision,
                     struct err *err)
{
    bool *any = context;
    struct card card = { .revision = revision };
    (void)id;
    int r = json_read(json, &json_limits_default, &card.doc, err);
    if (r < 0)
        return r;
    card.root = yyjson_doc_get_root(card.doc);
    if (*any)
        putchar('\n');
    *any = true;
    op_print_card(stdout, &card);
    card_release(&card);
    return 0;
}

int op_print_cards(struct plane *plane, struct str operation, struct err *err)
{
    bool any = true;
    return ledger_each_document(plane_ledger(plane), STR(CARD_TYPE), operation, print_one, &any,
                                err);
}

/* --- pending ------------------------------------------------------------------------------- */

const struct option_row op_pending_options[OP_PENDING_OPTION_COUNT] = {
    { "json", 'j', NULL, "print a DecisionCard for each" },
    { "follow", 'f', NULL, "go on with each that is queued, and say what became of it" },
};

#define FOLLOWED_MAX 256     /* cards that are known at a time; one beyond is not told of */
#define FOLLOW_MS    3600000 /* the ledger says sooner when something has moved */

struct pending {
    const struct invocation *invocation;
    struct plane *plane;
    bool any;
    char (*known)[PLANE_URN_MAX]; /* that have been printed; NULL: nobody follows */
    size_t known_count;
};

/* Whether it was printed before; it counts as printed from now on. */
static bool is_known(struct pending *pending, struct str urn)
{
    for (size_t i = 0; i < pending->known_count; i++)
        if (str_equal(str_from(pending->known[i]), urn))
            return true;
    if (!pending->known)
        return false;
    if (pending->known_count == FOLLOWED_MAX)
        return true;
    snprintf(pending->known[pending->known_count++], PLANE_URN_MAX, "%.*s", STR_ARG(urn));
    return false;
}

static void print_pending(struct pending *pending, const struct card *card)
{
    struct buf out = BUF_INIT;
    if (pending->invocation->values[0]) {
        json_add_value(&out, card->root, 0);
        puts(out.data);
    } else {
        if (pending->any)
            putchar('\n');
        op_print_card(stdout, card);
    }
    pending->any = true;
    buf_release(&out);
}

static int list_pending(void *context, struct str id, struct str json, int64_t revision,
                        struct err *err)
{
    struct pending *pending = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *marker = NULL;
    struct card card = { 0 };
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &marker, err);
    if (r < 0)
        return r;
    struct str urn = text_of(member(yyjson_doc_get_root(marker), "decisionCardRef"));
    r = card_read(pending->plane, urn, &card, err);
    if (r < 0)
        return r;
    if (card_state(&card) != CARD_PENDING)
        r = card_expire(pending->plane, urn, err);
    else if (!is_known(pending, urn))
        print_pending(pending, &card);
    card_release(&card);
    return r;
}

/* What became of those that were printed: each is told once, and forgotten. */
static int tell_closed(struct pending *pending, struct err *err)
{
    for (size_t i = 0; i < pending->known_count;) {
        struct card card = { 0 };
        int r = card_read(pending->plane, str_from(pending->known[i]), &card, err);
        if (r < 0)
            return r;
        bool is_open = card_state(&card) == CARD_PENDING;
        if (!is_open) {
            print_pending(pending, &card);
            pending->known_count--;
            memmove(pending->known[i], pending->known[i + 1],
                    (pending->known_count - i) * sizeof(pending->known[0]));
        }
        i += is_open;
        card_release(&card);
    }
    return 0;
}

static int look_for_pending(struct pending *pending, struct err *err)
{
    int r = tell_closed(pending, err);
    if (r == 0)
        r = ledger_each_document(plane_ledger(pending->plane), STR(CARD_OPEN_TYPE), STR(""),
                                 list_pending, pending, err);
    fflush(stdout);
    return r;
}

/* Until it is interrupted, or nobody reads it. */
static int follow_pending(struct pending *pending, struct err *err)
{
    struct ledger *ledger = plane_ledger(pending->plane);
    int64_t size;
    pending->known = calloc(FOLLOWED_MAX + 1, sizeof(pending->known[0]));
    int r = pending->known ? 0 : err_set(err, ERR_MEMORY, "follow", "there is not enough memory");
    while (r == 0 && !ferror(stdout)) {
        r = ledger_size(ledger, &size, err);
        if (r == 0)
            r = look_for_pending(pending, err);
        if (r == 0)
            r = ledger_wait(ledger, size, FOLLOW_MS, err);
        r = r == -ETIMEDOUT ? 0 : r;
    }
    free(pending->known);
    return r;
}

int run_op_pending(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct pending pending = { .invocation = invocation };
    struct err err = { 0 };
    int r = op_open(LEDGER_WRITE, &plane, &err);
    pending.plane = plane;
    if (r == 0)
        r = invocation->values[1] ? follow_pending(&pending, &err)
                                  : look_for_pending(&pending, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- decide -------------------------------------------------------------------------------- */

enum {
    DECIDE_JSON,
    DECIDE_REASON,
    DECIDE_SECONDS,
    DECIDE_USES,
    DECIDE_DELEGATION,
    DECIDE_FOR_GOOD
};

const struct option_row op_decide_options[OP_DECIDE_OPTION_COUNT] = {
    [DECIDE_JSON] = { "json", 'j', NULL, "print the card" },
    [DECIDE_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [DECIDE_SECONDS] = { "for", 't', "TIME", "for a shorter time than offered, such as 10m" },
    [DECIDE_USES] = { "uses", 'u', "COUNT", "for so many uses" },
    [DECIDE_FOR_GOOD] = { "for-good", 0, NULL, "also write a rule for it into your layer" },
    [DECIDE_DELEGATION] = { "delegation", 'd', "URN", "by which you answer for the enterprise" },
};

static bool read_count(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long count = text ? strtoll(text, &end, 10) : 0;
    if (text && (errno || *end || end == text || count < 1 || count > USES_MAX))
        return false;
    *ret = count;
    return true;
}

static int find_pending(void *context, struct str id, struct str json, int64_t revision,
                        struct err *err)
{
    char(*found)[PLANE_URN_MAX] = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *marker = NULL;
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &marker, err);
    if (r < 0)
        return r;
    if ((*found)[0])
        return err_set(err, ERR_CONFLICT, "find the card",
                       "several cards are pending: name one; see `agent-machine op pending`");
    snprintf(*found, sizeof(*found), "%.*s",
             STR_ARG(text_of(member(yyjson_doc_get_root(marker), "decisionCardRef"))));
    return 0;
}

/* The card that was named, or the only one. */
static int choose_card(const struct invocation *invocation, struct plane *plane,
                       char ret[PLANE_URN_MAX], struct err *err)
{
    char found[PLANE_URN_MAX] = "";
    if (invocation->operand_count == 2) {
        op_urn("decision-card", invocation->operands[0], ret);
        return 0;
    }
    int r = ledger_each_document(plane_ledger(plane), STR(CARD_OPEN_TYPE), STR(""), find_pending,
                                 &found, err);
    if (r == 0 && !found[0])
        r = err_set(err, ERR_NOT_FOUND, "find the card", "no decision card is pending");
    if (r == 0)
        memcpy(ret, found, sizeof(found));
    return r;
}

/* How it goes on: an operation that still waits goes on by itself. */
static void tell_next(const struct outcome *outcome, const struct card *card, bool is_run)
{
    const yyjson_val *lease = at(card->root, "/answer/lease");
    struct buf line = BUF_INIT;
    if (!lease || member(lease, "revokedAt") || !state_is_end(outcome->state))
        return;
    if (text_is(at(card->root, "/resource/kind"), "held-file"))
        buf_addf(&line, "now: agent-machine worktree apply %.*s",
                 STR_ARG(urn_local(str_from(outcome->operation))));
    else if (text_is(member(lease, "scope"), "run") && is_run)
        buf_addf(&line, "now: agent-machine run --retry %.*s -- COMMAND",
                 STR_ARG(urn_local(str_from(outcome->operation))));
    else if (text_is(member(lease, "scope"), "run"))
        buf_addf(&line, "now: agent-machine op retry %s", outcome->operation);
    else
        buf_add_text(&line, "now give the command again");
    op_print_wrapped("", 0, buf_str(&line));
    buf_release(&line);
}

static bool is_run(struct plane *plane, const char *operation)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct err unknown;
    int64_t revision;
    return ledger_get_document(plane_ledger(plane), str_from(operation), &text, &revision,
                               &unknown) == 0 &&
           json_read(buf_str(&text), &json_limits_default, &doc, &unknown) == 0 &&
           text_is(member(yyjson_doc_get_root(doc), "operationType"),
                   operation_type_names[OPERATION_EXECUTION_START]);
}

static int tell_decided(struct plane *plane, const struct outcome *outcome, const char *urn,
                        bool json, struct err *err)
{
    struct card card = { 0 };
    int r = card_read(plane, str_from(urn), &card, err);
    if (r < 0)
        return r;
    if (json) {
        struct buf out = BUF_INIT;
        json_add_value(&out, card.root, 0);
        puts(out.data);
        buf_release(&out);
    } else {
        op_print_card(stdout, &card);
        tell_next(outcome, &card, is_run(plane, outcome->operation));
    }
    card_release(&card);
    return 0;
}

/*
 * A lease for good is no lease: it is a rule of the user's, written before the answer is given, and
 * only where it would help.
 */
static int let_through_for_good(struct plane *plane, const char *urn, struct str option,
                                struct err *err)
{
    _cleanup_(cleanup_user_rules) struct user_rules rules = { .before = BUF_INIT,
                                                              .after = BUF_INIT };
    struct card card = { 0 };
    int r = card_read(plane, str_from(urn), &card, err);
    if (r < 0)
        return r;
    const yyjson_val *resource = member(card.root, "resource");
    struct user_rule rule = { .subject = text_of(member(card.root, "askedByRef")),
                              .destination = text_of(member(resource, "name")) };
    if (str_equal(option, text_of(member(card.root, "defaultOptionId"))))
        r = err_set(err, ERR_USAGE, "write a rule", "--for-good goes with an answer that allows");
    else if (!text_is(member(resource, "kind"), "host") &&
             !text_is(member(resource, "kind"), "address"))
        r = err_set(err, ERR_UNSUPPORTED, "write a rule", "a rule for good is about a host");
    if (r == 0)
        r = user_rules_propose(&rule, 1, &rules, err);
    if (r == 0 && rule.use == USER_RULE_IN_VAIN)
        r = err_set(err, ERR_DENIED, "write a rule", "no rule of yours lets it through: %s",
                    rule.why);
    if (r == 0 && rule.use == USER_RULE_HELPS) {
        user_rules_print_diff(&rules, stdout);
        r = user_rules_apply(&rules, err);
    }
    card_release(&card);
    return r;
}

int run_op_decide(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    const char *const *values = invocation->values;
    char urn[PLANE_URN_MAX] = "", delegation[PLANE_URN_MAX] = "";
    struct plane_answer answer = { .option = str_from(
                                       invocation->operands[invocation->operand_count - 1]) };
    struct outcome outcome;
    int64_t ms = 0;
    struct err err = { 0 };
    if (values[DECIDE_SECONDS] && !clock_parse_duration(str_from(values[DECIDE_SECONDS]), &ms))
        return tell_usage(invocation->path, "--for takes a duration, such as 10m or 8h");
    if (!read_count(values[DECIDE_USES], &answer.uses))
        return tell_usage(invocation->path, "--uses takes a number from 1 to %d", USES_MAX);
    answer.seconds = ms / 1000;
    if (values[DECIDE_DELEGATION])
        op_urn("delegation", values[DECIDE_DELEGATION], delegation);
    answer.delegation = str_from(delegation);
    answer.reason = str_from(values[DECIDE_REASON] ? values[DECIDE_REASON] : "");
    int r = op_open(LEDGER_WRITE, &plane, &err);
    if (r == 0)
        r = choose_card(invocation, plane, urn, &err);
    answer.card = str_from(urn);
    if (r == 0 && values[DECIDE_FOR_GOOD])
        r = let_through_for_good(plane, urn, answer.option, &err);
    if (r == 0)
        r = plane_write_decide(plane, &answer, &command, &err);
    if (r == 0)
        r = plane_submit(plane, buf_str(&command), NULL, &outcome, &err);
    if (r == 0)
        r = tell_decided(plane, &outcome, urn, values[DECIDE_JSON], &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/*
 * held_ask: see the header.
 *
 * Theory of operation. What is held apart is a rule of the program's own (machine/held.h), and it
 * asks. What is held by its path, kind or mode is asked about in the batch that ends the run; what
 * is held by its contents beside those of the host, when somebody first looks at it to apply it.
 * The cards outlive the run, as that of a question does which ended its operation. An answer that
 * allows is a lease for the run, which whoever applies the change set looks for. What can never be
 * taken is no question.
 *
 * The answer is about the file as it lies in the change set, which nobody writes to any more: its
 * digest stands on the card, and a change set whose list is another one is refused as a whole.
 *
 * Limits: HELD_CARDS_MAX cards of a run, so that an agent cannot bury a person under them; a path
 * that no document can hold has none.
 */
#include "plane/held_ask.h"

#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "contract/rules.h"
#include "machine/held.h"
#include "plane/card.h"
#include "plane/decision.h"
#include "plane/gate_layers.h"

#define STEP_HELD      "ask about what is held apart"
#define KIND_HELD      "held-file"
#define PATH_BYTES_MAX 2048 /* as the schema has it */
#define LEASE_SECONDS  86400
#define OPTION_TAKE    "take"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_HELD, "there is not enough memory");
}

/* --- asking -------------------------------------------------------------------------------- */

struct asking {
    struct work *work;
    const struct held_file *file;
    char path[PATH_BYTES_MAX + 1]; /* on the host */
    char decision[PLANE_URN_MAX], now[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    struct card_found card;
};

static void add_resource(struct buf *json, const struct asking *asking, const char *kind)
{
    char hex[2 * DIGEST_BYTES + 1];
    json_add_name(json, "resource");
    buf_addf(json, "{\"kind\":\"%s\"", kind);
    json_add_text(json, "name", str_from(asking->path));
    if (asking->file->change->has_digest) {
        for (size_t i = 0; i < DIGEST_BYTES; i++)
            snprintf(hex + 2 * i, 3, "%02x", asking->file->change->digest[i]);
        buf_addf(json, ",\"digest\":\"sha256:%s\"", hex);
    }
    buf_add_char(json, '}');
}

static int put_decision(struct asking *asking, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, command = BUF_INIT;
    struct work *work = asking->work;
    char policy[DIGEST_TEXT_SIZE];
    int r = gate_layers_digest(work_plane(work), policy, err);
    if (r < 0)
        return r;
    buf_addf(&json, "{\"id\":\"%s\",\"type\":\"PolicyDecision\",\"specVersion\":\"1.0.0\"",
             asking->decision);
    buf_addf(&json, ",\"gate\":\"%s\",\"verdict\":\"ask\"", gate_names[GATE_ARTIFACT_ACCESS]);
    json_add_text(&json, "subjectRef", work_text(work, WORK_OPERATION, "subjectRef"));
    json_add_text(&json, "operationRef", work_operation(work));
    json_add_text(&json, "taskRef", work_text(work, WORK_TASK, "id"));
    add_resource(&json, asking, "path");
    buf_addf(&json, ",\"decidedBy\":{\"layer\":\"built-in\",\"ruleId\":\"%s\"}",
             asking->file->rule);
    buf_addf(&command, "agent-machine op decide %s " OPTION_TAKE, asking->card.card);
    buf_add_text(&json, ",\"smallestChange\":{\"summary\":\"Answer the decision card.\"");
    json_add_text(&json, "command", buf_str(&command));
    buf_add_char(&json, '}');
    json_add_text(&json, "reason", str_from(asking->file->reason));
    buf_addf(&json, ",\"answers\":[{\"layer\":\"user\",\"answer\":\"ask\",\"ruleId\":\"%s\"}]",
             asking->file->rule);
    json_add_text(&json, "decisionCardRef", str_from(asking->card.card));
    json_add_text(&json, "policyDigest", str_from(policy));
    json_add_text(&json, "decidedAt", str_from(asking->now));
    buf_add_char(&json, '}');
    return json.error || command.error ? no_memory(err)
                                       : decision_bind(work, asking->decision, buf_str(&json),
                                                       GATE_ARTIFACT_ACCESS, "ask", err);
}

static void add_options(struct buf *json, const struct asking *asking)
{
    _cleanup_(buf_release) struct buf taken = BUF_INIT;
    buf_addf(&taken, "agent-machine worktree apply %.*s takes it with the rest, for a day: %s.",
             STR_ARG(urn_local(work_operation(asking->work))), asking->file->reason);
    buf_add_text(json,
                 ",\"options\":[{\"optionId\":\"no\",\"label\":\"No\",\"consequence\":\"It "
                 "stays held apart.\",\"verdict\":\"deny\"},"
                 "{\"optionId\":\"" OPTION_TAKE "\",\"label\":\"Yes, take it\",\"consequence\":");
    json_add_string(json, buf_str(&taken));
    buf_addf(json,
             ",\"verdict\":\"allow\",\"lease\":{\"scope\":\"run\",\"durationSeconds\":%d}}],"
             "\"defaultOptionId\":\"no\"",
             LEASE_SECONDS);
    if (taken.error)
        json->error = taken.error;
}

static int put_card(struct asking *asking, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, question = BUF_INIT;
    struct work *work = asking->work;
    char user[KEY_USER_TEXT_MAX];
    key_user(user);
    buf_addf(&question, "The run has %s %s, which is held apart: %s. May it be taken?",
             asking->file->change->type == CHANGE_DELETED ? "removed"
             : asking->file->change->type == CHANGE_ADDED ? "made"
                                                          : "changed",
             asking->path, asking->file->reason);
    buf_addf(&json,
             "{\"id\":\"%s\",\"type\":\"" CARD_TYPE "\",\"specVersion\":\"1.0.0\","
             "\"state\":\"pending\"",
             asking->card.card);
    json_add_text(&json, "operationRef", work_operation(work));
    json_add_text(&json, "taskRef", work_text(work, WORK_TASK, "id"));
    json_add_text(&json, "askedByRef", work_text(work, WORK_OPERATION, "subjectRef"));
    add_resource(&json, asking, KIND_HELD);
    buf_addf(&json, ",\"gate\":\"%s\",\"layer\":\"user\"", gate_names[GATE_ARTIFACT_ACCESS]);
    json_add_text(&json, "policyDecisionRef", str_from(asking->decision));
    json_add_text(&json, "question", buf_str(&question));
    add_options(&json, asking);
    buf_add_text(&json, ",\"answerableByRefs\":[");
    json_add_string(&json, str_from(user));
    buf_add_char(&json, ']');
    json_add_text(&json, "createdAt", str_from(asking->now));
    json_add_text(&json, "expiresAt", str_from(asking->end));
    buf_add_char(&json, '}');
    return question.error ? no_memory(err) : card_put_new(work, asking->card.card, &json, err);
}

/* Whether it can be named in a document. */
static bool name(struct asking *asking, const struct held_file *file)
{
    int len =
        snprintf(asking->path, sizeof(asking->path), "%s/%s", file->host_path, file->change->path);
    asking->file = file;
    return len > 0 && len <= PATH_BYTES_MAX && utf8_valid(str_from(asking->path));
}

static int ask(struct asking *asking, struct err *err)
{
    char local[40];
    int64_t now_ms = clock_now_ms();
    int r = urn_fresh(local, err);
    if (r == 0)
        r = card_name(&asking->card, err);
    if (r < 0)
        return r;
    clock_text(now_ms, asking->now);
    clock_text(now_ms + CARD_VALID_MS, asking->end);
    urn_make("policy-decision", str_from(local), asking->decision);
    r = put_decision(asking, err);
    return r < 0 ? r : put_card(asking, err);
}

int held_ask_add(struct work *work, const struct changes *changes, const char *host_path,
                 size_t *asked, struct err *err)
{
    struct asking asking = { .work = work };
    int r = 0;
    for (size_t i = 0; i < changes->count && *asked < HELD_CARDS_MAX && r == 0; i++) {
        struct held held = held_by_itself(changes, i);
        struct held_file file = { &changes->items[i], host_path, held.rule, held.reason };
        if (!held.rule || held.never || !name(&asking, &file) ||
            held_is_git_data(file.change->path, changes->of_git))
            continue;
        r = ask(&asking, err);
        (*asked)++;
    }
    return r;
}

/* --- the cards of a run -------------------------------------------------------------------- */

struct looking {
    struct str path; /* empty: of any */
    struct buf pending;
    size_t count, pending_count;
    bool found, allowed; /* a card about the path */
};

static int look_at_card(void *context, struct str id, struct str json, int64_t revision,
                        struct err *err)
{
    struct looking *looking = context;
    struct card card = { .revision = revision };
    int r = json_read(json, &json_limits_default, &card.doc, err);
    card.root = yyjson_doc_get_root(card.doc);
    const yyjson_val *resource = member(card.root, "resource");
    if (r == 0 && text_is(member(resource, "kind"), KIND_HELD)) {
        bool is_pending = card_state(&card) == CARD_PENDING;
        if (is_pending)
            buf_addf(&looking->pending, "%.*s\n", STR_ARG(id));
        looking->count++;
        looking->pending_count += is_pending;
        if (str_equal(text_of(member(resource, "name")), looking->path)) {
            looking->found = true;
            looking->allowed = looking->allowed || card_lease_holds(&card);
        }
    }
    card_release(&card);
    return r;
}

static int look(struct plane *plane, struct str operation, struct looking *looking, struct err *err)
{
    int r =
        ledger_each_document(plane->ledger, STR(CARD_TYPE), operation, look_at_card, looking, err);
    return r == 0 && looking->pending.error ? no_memory(err) : r;
}

/* One more, where nobody was asked about it. */
static int ask_new(struct asking *asking, const struct held_file *file, size_t *ret_pending,
                   struct err *err)
{
    struct work *work = asking->work;
    struct looking looking = { .pending = BUF_INIT };
    bool has_name = name(asking, file);
    looking.path = str_from(asking->path);
    int r = look(work->plane, work_operation(work), &looking, err);
    buf_release(&looking.pending);
    if (r == 0)
        *ret_pending = looking.pending_count;
    if (r < 0 || !has_name || looking.found || looking.count >= HELD_CARDS_MAX)
        return r;
    r = ask(asking, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_CARD, err);
    *ret_pending += r == 0;
    return r;
}

int held_ask_rest(struct plane *plane, struct str operation, const struct held_file *files,
                  size_t count, size_t *ret_pending, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    size_t pending = 0;
    int r = count ? work_load(plane, operation, &work, err) : 0;
    struct asking asking = { .work = work };
    for (size_t i = 0; i < count && r == 0; i++)
        r = ask_new(&asking, &files[i], &pending, err);
    if (r == 0)
        *ret_pending = pending;
    return r;
}

int held_ask_withdraw(struct work *work, struct err *err)
{
    struct looking looking = { .pending = BUF_INIT };
    int r = look(work->plane, work_operation(work), &looking, err);
    struct str rest = buf_str(&looking.pending);
    while (r == 0 && rest.len) {
        struct card card = { 0 };
        size_t end = str_index(rest, '\n', 0);
        r = card_read(work->plane, str_make(rest.ptr, end), &card, err);
        if (r == 0)
            r = card_put_end(work, &card, CARD_WITHDRAWN, err);
        card_release(&card);
        rest = str_from_offset(rest, end + 1);
    }
    buf_release(&looking.pending);
    return r;
}

int held_ask_allows(struct plane *plane, struct str operation, struct str path, struct err *err)
{
    struct looking looking = { .path = path, .pending = BUF_INIT };
    int r = look(plane, operation, &looking, err);
    buf_release(&looking.pending);
    return r < 0 ? r : looking.allowed;
}

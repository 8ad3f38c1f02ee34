/*
 * decide: the answer to a decision card.
 *
 * Theory of operation. A card is answered by an OperationCommand. Who may
 * answer is said by the layer that asks: for the enterprise's questions only
 * somebody to whom the enterprise has delegated the operation (a Delegation
 * that verifies up to the enterprise's key, which lies where only root writes);
 * for all others the user, who is known by being able to open the user's key.
 * The answer stands in the card, with the lease that it gives; command, card
 * and event are one batch, on condition that nobody else has answered since.
 *
 * The same answer given again changes nothing. An answer that denies, given
 * where another has allowed, ends the lease at once; any other second answer
 * is refused. A lease is never wider than the option that was offered.
 */
#include <sys/stat.h>

#include "authority/delegation.h"
#include "authority/key.h"
#include "authority/layers.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/asked.h"
#include "plane/card.h"

#define STEP_DECIDE      "answer a decision card"
#define ENTERPRISE_KEY   LAYERS_SYSTEM_FOLDER "/enterprise/" KEY_PUBLIC_FILE
#define DECIDE_RACES_MAX 16

struct answer_given {
    struct work *work; /* the card's operation */
    const yyjson_val *command;
    struct card card;
    const yyjson_val *option;
    struct str actor;
    bool for_enterprise;
};

/* --- who may ------------------------------------------------------------------------------- */

/* The key by which the enterprise delegates, if nobody but the system could have put it there. */
static int open_enterprise_key(const struct plane *plane, struct sign_public *ret, struct err *err)
{
    const struct plane_options *options = &plane->options;
    const char *path = options->enterprise_key ? options->enterprise_key : ENTERPRISE_KEY;
    struct stat info;
    if (lstat(path, &info) < 0)
        return err_set(err, ERR_DENIED, STEP_DECIDE,
                       "the enterprise asks, and there is no key of it here (%s)", path);
    if (info.st_uid != options->enterprise_owner || !S_ISREG(info.st_mode) ||
        (info.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(err, ERR_DENIED, STEP_DECIDE, "%s could be written by others", path);
    return key_open_public(path, ret, err);
}

static void add_wanted(const struct card *card, struct str *name,
                       struct delegation_request *request)
{
    const yyjson_val *kind = at(card->root, "/resource/kind");
    *name = text_of(at(card->root, "/resource/name"));
    if (text_is(kind, "tool")) {
        request->tools = name;
        request->tool_count = 1;
    } else if (text_is(kind, "model-provider")) {
        request->providers = name;
        request->provider_count = 1;
    } else if (text_is(kind, "network-profile")) {
        request->network_profile = *name;
    }
}

/* A delegation of the enterprise's that covers the operation, to who answers. */
static int check_delegate(const struct answer_given *given, struct err *err)
{
    struct plane *plane = given->work->plane;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    struct str urn = text_of(member(given->command, "delegationRef"));
    struct delegation_source source;
    struct delegation delegation;
    struct sign_public root;
    struct str name;
    struct delegation_request request = {
        .operation_type = given->work->operation_type,
        .subject = given->actor,
        .workspace = work_text(given->work, WORK_OPERATION, "workspaceRef"),
    };
    if (!urn.len)
        return err_set(err, ERR_DENIED, STEP_DECIDE,
                       "the enterprise asks; name the delegation by which you answer for it: "
                       "--delegation URN");
    int r = open_enterprise_key(plane, &root, err);
    if (r < 0)
        return r;
    delegation_source_of(plane->ledger, &root, &source);
    r = source.fetch(source.context, urn, &envelope, err);
    if (r == 0)
        r = delegation_verify(buf_str(&envelope), &source, clock_now_ms(), &delegation, err);
    if (r < 0)
        return r;
    add_wanted(&given->card, &name, &request);
    r = delegation_covers(&delegation, &request, err);
    delegation_release(&delegation);
    return r;
}

static int check_entitled(const struct answer_given *given, struct err *err)
{
    char user[KEY_USER_TEXT_MAX];
    struct sign_key *key;
    key_user(user);
    if (!str_equal(given->actor, str_from(user)))
        return err_set(err, ERR_DENIED, STEP_DECIDE, "only %s can answer here", user);
    if (given->for_enterprise)
        return check_delegate(given, err);
    if (!array_has(member(given->card.root, "answerableByRefs"), given->actor))
        return err_set(err, ERR_DENIED, STEP_DECIDE, "%s is not among those who may answer", user);
    int r = key_open_user(given->work->plane->options.config_folder, &key, err);
    if (r == 0)
        sign_key_free(key);
    return r;
}

/* --- the answer ---------------------------------------------------------------------------- */

static const yyjson_val *find_option(const struct card *card, struct str id)
{
    size_t index, count;
    yyjson_val *option;
    yyjson_arr_foreach(member(card->root, "options"), index, count, option)
    {
        if (str_equal(text_of(member(option, "optionId")), id))
            return option;
    }
    return NULL;
}

/* What was offered, or less where the command says so. */
static uint64_t least(const yyjson_val *offered, const yyjson_val *wanted)
{
    uint64_t most = count_of(offered), less = wanted ? count_of(wanted) : most;
    return !offered || less < most ? less : most;
}

static void put_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, struct str text)
{
    yyjson_mut_obj_add(object, yyjson_mut_str(doc, name),
                       yyjson_mut_strncpy(doc, text.ptr, text.len));
}

static yyjson_mut_val *make_lease(const struct answer_given *given, yyjson_mut_doc *doc,
                                  int64_t now_ms)
{
    const yyjson_val *offer = member(given->option, "lease");
    const yyjson_val *decision = member(given->command, "decision");
    struct str scope = text_of(member(offer, "scope"));
    const yyjson_val *parameters =
        member(member(work_command(given->work), "parameters"), given->work->type->parameters);
    struct str profile = text_of(member(parameters, "profileRef"));
    char until[CLOCK_TEXT_SIZE];
    uint64_t seconds = least(member(offer, "durationSeconds"), member(decision, "durationSeconds"));
    uint64_t uses = least(member(offer, "maxUses"), member(decision, "maxUses"));
    yyjson_mut_val *lease = yyjson_mut_obj(doc);
    clock_text(now_ms + (int64_t)seconds * 1000, until);
    put_text(doc, lease, "scope", scope);
    put_text(doc, lease, "scopeRef",
             str_equal(scope, STR("profile")) ? profile : work_operation(given->work));
    put_text(doc, lease, "expiresAt", str_from(until));
    if (uses)
        yyjson_mut_obj_add_uint(doc, lease, "maxUses", uses);
    const yyjson_val *resource = member(given->card.root, "resource");
    if (text_is(member(resource, "kind"), "tool") && member(resource, "digest"))
        put_text(doc, lease, "toolDigest", text_of(member(resource, "digest")));
    return lease;
}

static yyjson_mut_doc *make_answered(const struct answer_given *given)
{
    yyjson_mut_doc *doc = yyjson_doc_mut_copy(given->card.doc, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *answer = yyjson_mut_obj(doc);
    struct str verdict = text_of(member(given->option, "verdict"));
    struct str reason = text_of(member(given->command, "reason"));
    char now[CLOCK_TEXT_SIZE];
    int64_t now_ms = clock_now_ms();
    clock_text(now_ms, now);
    put_text(doc, answer, "optionId", text_of(member(given->option, "optionId")));
    put_text(doc, answer, "verdict", verdict);
    put_text(doc, answer, "answeredByRef", given->actor);
    put_text(doc, answer, "answeredAt", str_from(now));
    put_text(doc, answer, "commandRef", text_of(member(given->command, "id")));
    if (given->for_enterprise)
        put_text(doc, answer, "delegationRef", text_of(member(given->command, "delegationRef")));
    if (reason.len)
        put_text(doc, answer, "reason", reason);
    if (str_equal(verdict, STR("allow")))
        yyjson_mut_obj_add(answer, yyjson_mut_str(doc, "lease"), make_lease(given, doc, now_ms));
    yyjson_mut_obj_put(root, yyjson_mut_str(doc, "state"), yyjson_mut_str(doc, "answered"));
    if (given->for_enterprise &&
        !array_has(member(given->card.root, "answerableByRefs"), given->actor))
        yyjson_mut_arr_append(yyjson_mut_obj_get(root, "answerableByRefs"),
                              yyjson_mut_strncpy(doc, given->actor.ptr, given->actor.len));
    if (answer && yyjson_mut_obj_put(root, yyjson_mut_str(doc, "answer"), answer))
        return doc;
    yyjson_mut_doc_free(doc);
    return NULL;
}

static yyjson_mut_doc *make_revoked(const struct answer_given *given)
{
    yyjson_mut_doc *doc = yyjson_doc_mut_copy(given->card.doc, NULL);
    yyjson_mut_val *lease = yyjson_mut_doc_ptr_get(doc, "/answer/lease");
    char now[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms(), now);
    if (yyjson_mut_obj_put(lease, yyjson_mut_str(doc, "revokedAt"), yyjson_mut_strcpy(doc, now)))
        return doc;
    yyjson_mut_doc_free(doc);
    return NULL;
}

/* 1: that is how it stands already; 0: it may be written, or a lease ended; or -errno. */
static int check_state(const struct answer_given *given, bool *ret_revokes, struct err *err)
{
    const yyjson_val *answer = member(given->card.root, "answer");
    struct str id = text_of(member(given->card.root, "id"));
    bool denies = text_is(member(given->option, "verdict"), "deny");
    *ret_revokes = false;
    switch (card_state(&given->card)) {
    case CARD_PENDING:
        return 0;
    case CARD_EXPIRED:
        (void)!card_expire(given->work->plane, id, NULL);
        return err_set(err, ERR_CONFLICT, STEP_DECIDE,
                       "its time was over at %.*s, and the default was taken",
                       STR_ARG(text_of(member(given->card.root, "expiresAt"))));
    case CARD_WITHDRAWN:
        return err_set(err, ERR_CONFLICT, STEP_DECIDE, "its operation was cancelled");
    case CARD_ANSWERED:
        break;
    }
    bool same =
        str_equal(text_of(member(answer, "optionId")), text_of(member(given->option, "optionId")));
    if (same || (denies && member(member(answer, "lease"), "revokedAt")))
        return 1;
    *ret_revokes = denies && card_lease_holds(&given->card);
    return *ret_revokes
               ? 0
               : err_set(err, ERR_CONFLICT, STEP_DECIDE, "%.*s answered it with %.*s at %.*s",
                         STR_ARG(text_of(member(answer, "answeredByRef"))),
                         STR_ARG(text_of(member(answer, "optionId"))),
                         STR_ARG(text_of(member(answer, "answeredAt"))));
}

static int write_answer(struct answer_given *given, const struct identity *identity, bool revokes,
                        struct err *err)
{
    struct work *work = given->work;
    struct err inner = { 0 };
    yyjson_mut_doc *changed = revokes ? make_revoked(given) : make_answered(given);
    if (!changed)
        return err_set(err, ERR_MEMORY, STEP_DECIDE, "there is not enough memory");
    work->actor = given->actor;
    int r = card_put(work, &given->card, changed, identity->command,
                     revokes ? "The answer is taken back." : "A person has answered.", err);
    yyjson_mut_doc_free(changed);
    if (r == 0)
        r = identity_put(work, identity, err);
    if (r == 0)
        r = command_put(work, given->command, err);
    if (r < 0)
        return r;
    r = work_commit(work, PLANE_STEP_CARD, &inner);
    if (r == 0 && revokes)
        asked_ring(work->plane->options.state_folder, STR(""));
    if (r < 0 && err)
        *err = inner;
    return r < 0 && inner.code == ERR_CONFLICT ? -EAGAIN : r;
}

/* One try; -EAGAIN where somebody else changed the card meanwhile. */
static int answer_once(struct answer_given *given, const struct identity *identity,
                       struct outcome *ret, struct err *err)
{
    const yyjson_val *decision = member(given->command, "decision");
    struct str option = text_of(member(decision, "optionId"));
    bool revokes;
    int r = check_entitled(given, err);
    if (r < 0)
        return r;
    given->option = find_option(&given->card, option);
    if (!given->option) {
        r = err_set(err, ERR_NOT_FOUND, STEP_DECIDE, "the card has no option %.*s",
                    STR_ARG(option));
        err_where(err, "/decision/optionId");
        return r;
    }
    r = check_state(given, &revokes, err);
    if (r == 0)
        r = write_answer(given, identity, revokes, err);
    if (r < 0)
        return r;
    finish_outcome(given->work, ret);
    ret->repeated = r > 0;
    return 0;
}

static int answer_card(struct plane *plane, const yyjson_val *command,
                       const struct identity *identity, struct outcome *ret, struct err *err)
{
    struct str operation = text_of(member(command, "operationRef"));
    struct answer_given given = { .command = command,
                                  .actor = text_of(member(command, "actorRef")) };
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = work_load(plane, operation, &work, err);
    given.work = work;
    if (r == 0)
        r = card_read(plane, text_of(at(command, "/decision/decisionCardRef")), &given.card, err);
    if (r < 0)
        return r;
    given.for_enterprise = text_is(member(given.card.root, "layer"), layer_names[LAYER_ENTERPRISE]);
    r = str_equal(operation, text_of(member(given.card.root, "operationRef")))
            ? answer_once(&given, identity, ret, err)
            : err_set(err, ERR_CONFLICT, STEP_DECIDE, "the card is about another operation");
    card_release(&given.card);
    return r;
}

int decide_take(struct plane *plane, const yyjson_val *command, struct outcome *ret,
                struct err *err)
{
    _cleanup_(identity_release) struct identity identity = { .key = BUF_INIT };
    struct err inner = { 0 };
    int r = identity_of(command, &identity, err);
    if (r < 0)
        return r;
    buf_reset(&identity.key); /* its card can be answered once, under whatever key */
    r = -EAGAIN;
    for (int race = 0; race < DECIDE_RACES_MAX && r == -EAGAIN; race++) {
        r = identity_find(plane, &identity, ret, err);
        if (r != 0)
            return r < 0 ? r : 0;
        inner = (struct err){ 0 };
        r = answer_card(plane, command, &identity, ret, &inner);
    }
    if (r < 0 && err)
        *err = inner;
    return r;
}

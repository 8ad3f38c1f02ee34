/*
 * asked: what is asked of an operation that runs.
 *
 * Theory of operation. Pausing, resuming, cancelling and taking authority back
 * are all the same thing to the process that carries an operation out: somebody
 * else has made a change durable, and it has to notice. The ledger alone says
 * what is asked; work_control reads it. So that nobody has to look all the
 * time, each effect can have a doorbell, a datagram socket in the state folder
 * (control/OPERATION): whoever has made such a change rings it. A ring carries
 * nothing and proves nothing; one that is lost costs time, and one too many
 * costs a look.
 *
 * Authority is taken back by revoking the delegation under which the operation
 * began, a grant of a tool that it was given, or the answer of a person that it
 * rests on. That a delegation has ended by time does not end what began in time.
 *
 * Limits: a look reads the operation and, while it runs, its verdicts, of which
 * there are at most PLANE_QUESTIONS_MAX for an attempt.
 */
#include "plane/asked.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "authority/key.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/card.h"
#include "plane/grant.h"

#define STEP_CONTROL   "look what is asked of a run"
#define CONTROL_FOLDER "control"
#define LOOK_MS        1000 /* beside each event */
#define REST_MS        20   /* between two looks, whatever happens in the ledger */

/* --- what is asked ------------------------------------------------------------------------- */

static void ask(struct work_asked *ret, enum asked asked, struct str reason)
{
    ret->asked = asked;
    snprintf(ret->reason, sizeof(ret->reason), "%.*s", STR_ARG(reason));
}

/* The last event that asks for the end says how. */
static int read_cancel(void *context, int64_t sequence, struct str json, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)sequence;
    int r = json_read(json, &json_limits_default, &doc, err);
    const yyjson_val *cancel = member(yyjson_doc_get_root(doc), "cancel");
    if (r == 0 && cancel)
        ask(context, text_is(member(cancel, "mode"), "forced") ? ASKED_CANCEL_FORCED : ASKED_CANCEL,
            text_of(member(cancel, "reason")));
    return r;
}

/* 1 where the delegation of the operation, or one above it, was revoked. */
static int is_delegation_revoked(struct work *work, struct work_asked *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    struct delegation_source source;
    struct delegation delegation;
    struct sign_public root;
    struct err inner = { 0 };
    int64_t began;
    if (!clock_parse(work_text(work, WORK_OPERATION, "startedAt"), &began))
        return 0;
    buf_addf(&path, "%s/%s", work->plane->options.config_folder, KEY_PUBLIC_FILE);
    int r = path.error ? err_set(&inner, ERR_MEMORY, STEP_CONTROL, "there is not enough memory")
                       : key_open_public(path.data, &root, &inner);
    if (r == 0) {
        delegation_source_of(work->plane->ledger, &root, &source);
        r = source.fetch(source.context, work_text(work, WORK_OPERATION, "delegationRef"),
                         &envelope, &inner);
    }
    if (r == 0)
        r = delegation_verify(buf_str(&envelope), &source, began, &delegation, &inner);
    if (r == 0) {
        delegation_release(&delegation);
        return 0;
    }
    if (inner.code == ERR_DENIED) {
        ask(ret, ASKED_REVOKED, str_from(inner.cause));
        return 1;
    }
    if (err)
        *err = inner;
    return r;
}

static int is_grant_revoked(struct work *work, struct str record, struct str tool,
                            struct work_asked *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    enum grant_state state = GRANT_IN_FORCE;
    char reason[PLANE_URN_MAX + 64];
    int64_t revision;
    int r = effect_stored(work, record, &doc, &revision, err);
    if (r > 0)
        r = grant_tool_state(work->plane, yyjson_doc_get_root(doc), tool, &state, err);
    if (r < 0 || state != GRANT_REVOKED)
        return r < 0 ? r : 0;
    snprintf(reason, sizeof(reason), "the grant %.*s was revoked", STR_ARG(record));
    ask(ret, ASKED_REVOKED, str_from(reason));
    return 1;
}

static int is_answer_revoked(struct work *work, struct str id, struct work_asked *ret,
                             struct err *err)
{
    struct card card = { 0 };
    char reason[PLANE_URN_MAX + 64];
    int r = card_read(work->plane, id, &card, err);
    if (r < 0)
        return r;
    bool revoked = at(card.root, "/answer/lease/revokedAt") != NULL;
    card_release(&card);
    if (!revoked)
        return 0;
    snprintf(reason, sizeof(reason), "the answer to %.*s was taken back", STR_ARG(id));
    ask(ret, ASKED_REVOKED, str_from(reason));
    return 1;
}

/* 1 where what one verdict rests on was taken back. */
static int is_verdict_revoked(struct work *work, struct str id, struct work_asked *ret,
                              struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    int r = effect_stored(work, id, &doc, &revision, err);
    if (r <= 0)
        return r;
    const yyjson_val *decision = yyjson_doc_get_root(doc);
    struct str card = text_of(member(decision, "decisionCardRef"));
    struct str record = text_of(at(decision, "/decidedBy/documentRef"));
    if (!text_is(member(decision, "verdict"), "allow")) /* of an attempt before */
        return 0;
    if (card.len)
        return is_answer_revoked(work, card, ret, err);
    return text_is(at(decision, "/decidedBy/ruleId"), GRANT_RULE)
               ? is_grant_revoked(work, record, text_of(at(decision, "/resource/name")), ret, err)
               : 0;
}

static int is_revoked(struct work *work, struct work_asked *ret, struct err *err)
{
    yyjson_mut_val *decision,
        *list = yyjson_mut_obj_get(yyjson_mut_doc_get_root(work->records[WORK_OPERATION].doc),
                                   "gateDecisions");
    size_t index, count;
    int r = is_delegation_revoked(work, ret, err);
    yyjson_mut_arr_foreach(list, index, count, decision)
    {
        const char *id = yyjson_mut_get_str(yyjson_mut_obj_get(decision, "policyDecisionRef"));
        if (r == 0 && id)
            r = is_verdict_revoked(work, str_from(id), ret, err);
    }
    return r;
}

int work_control(struct work *work, struct work_asked *ret, struct err *err)
{
    struct work_asked found = { 0 };
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    int r = effect_stored(work, work_operation(work), &doc, &revision, err);
    if (r < 0)
        return r;
    int state = vocabulary_index(state_names, STATE_COUNT,
                                 text_of(member(yyjson_doc_get_root(doc), "state")));
    if (state == STATE_RUNNING)
        r = is_revoked(work, &found, err);
    else if (state == STATE_PAUSED)
        found.asked = ASKED_PAUSE;
    else if (state == STATE_CANCELING)
        r = ledger_each_event(work->plane->ledger, 0, work_operation(work), read_cancel, &found,
                              err);
    else
        ask(&found, ASKED_CANCEL_FORCED, STR("somebody else has ended it"));
    if (r < 0)
        return r;
    *ret = found;
    return 0;
}

int work_control_wait(struct work *work, enum asked known, int timeout_ms, struct work_asked *ret,
                      struct err *err)
{
    int64_t until_ms = clock_now_ms() + timeout_ms;
    for (;;) {
        int64_t size;
        int r = ledger_size(work->plane->ledger, &size, err);
        if (r == 0)
            r = work_control(work, ret, err);
        int64_t left = until_ms - clock_now_ms();
        if (r < 0 || ret->asked != known || left <= 0)
            return r;
        r = ledger_wait(work->plane->ledger, size, (int)(left < LOOK_MS ? left : LOOK_MS), err);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
        usleep(REST_MS * 1000);
    }
}

/* --- the doorbell -------------------------------------------------------------------------- */

/* The folder, by whose descriptor a socket in it has a short name wherever it lies. */
static int open_folder(const char *state_folder, struct err *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/" CONTROL_FOLDER, state_folder) >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_CONTROL, "the state folder's name is too long");
    int r = file_make_folder(path, err);
    if (r < 0)
        return r;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_set_errno(err, errno, STEP_CONTROL, "%s", path) : fd;
}

static bool name_socket(int folder, struct str name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return !memchr(name.ptr, '/', name.len) &&
           snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%.*s", folder,
                    STR_ARG(name)) < (int)sizeof(ret->sun_path);
}

int work_doorbell(struct work *work, struct err *err)
{
    struct sockaddr_un address;
    struct str name = urn_local(work_operation(work));
    if (work->doorbell >= 0)
        return work->doorbell;
    _cleanup_(cleanup_close) int folder = open_folder(work->plane->options.state_folder, err);
    if (folder < 0)
        return folder;
    _cleanup_(cleanup_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, STEP_CONTROL, "a socket");
    if (!name_socket(folder, name, &address))
        return err_set(err, ERR_LIMIT, STEP_CONTROL, "the operation's name is too long");
    /* One of the same operation's earlier attempt may lie there. */
    if (unlinkat(folder, name.ptr, 0) < 0 && errno != ENOENT)
        return err_set_errno(err, errno, STEP_CONTROL, "%s", name.ptr);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set_errno(err, errno, STEP_CONTROL, "%s", name.ptr);
    work->doorbell = TAKE_FD(fd);
    return work->doorbell;
}

void asked_close(struct work *work)
{
    if (work->doorbell < 0)
        return;
    int folder = open_folder(work->plane->options.state_folder, NULL);
    if (folder >= 0) {
        (void)!unlinkat(folder, urn_local(work_operation(work)).ptr, 0);
        close(folder);
    }
    close(work->doorbell);
    work->doorbell = -1;
}

/* Nobody is behind the bell of a process that has died: it is taken away. */
static void ring_one(int fd, int folder, struct str name)
{
    struct sockaddr_un address;
    if (!name_socket(folder, name, &address))
        return;
    if (sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address,
               sizeof(address)) < 0 &&
        errno == ECONNREFUSED)
        (void)!unlinkat(folder, name.ptr, 0);
}

void asked_ring(const char *state_folder, struct str operation)
{
    _cleanup_(cleanup_close) int folder = open_folder(state_folder, NULL);
    _cleanup_(cleanup_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (folder < 0 || fd < 0)
        return;
    if (operation.len) {
        ring_one(fd, folder, urn_local(operation));
        return;
    }
    DIR *entries = fdopendir(fcntl(folder, F_DUPFD_CLOEXEC, 0));
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (entry->d_name[0] != '.')
            ring_one(fd, folder, str_from(entry->d_name));
    if (entries)
        closedir(entries);
}

/* --- pause and resume ---------------------------------------------------------------------- */

static const struct {
    const char *verb;
    enum state from, to;
    const char *message;
} acts[] = {
    { "pause", STATE_RUNNING, STATE_PAUSED, "It is asked to pause." },
    { "resume", STATE_PAUSED, STATE_RUNNING, "It is asked to go on." },
};

/* A run is paused by the person whose plane this is. */
static int check_act(const struct work *work, const yyjson_val *command, struct err *err)
{
    char user[KEY_USER_TEXT_MAX];
    struct sign_key *key;
    key_user(user);
    if (!text_is(member(command, "actorRef"), user))
        return err_set(err, ERR_DENIED, STEP_CONTROL, "only %s can do that here", user);
    if (!str_equal(text_of(member(command, "workspaceRef")),
                   work_text(work, WORK_OPERATION, "workspaceRef")))
        return err_set(err, ERR_DENIED, STEP_CONTROL, "it is another workspace's run");
    if (!operation_is_run(work->operation_type))
        return err_set(err, ERR_CONFLICT, STEP_CONTROL, "it is no run");
    int r = key_open_user(work->plane->options.config_folder, &key, err);
    if (r == 0)
        sign_key_free(key);
    return r;
}

/* One try; -EAGAIN where somebody else changed the operation meanwhile. */
static int act_once(struct plane *plane, const yyjson_val *command, size_t act,
                    const struct identity *identity, struct outcome *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    struct err inner = { 0 };
    int r = work_load(plane, text_of(member(command, "operationRef")), &work, err);
    if (r == 0)
        r = check_act(work, command, err);
    if (r < 0)
        return r;
    enum state state = work_state(work, WORK_OPERATION);
    bool stands = state == acts[act].to;
    struct change change = { .to = acts[act].to,
                             .actor = text_of(member(command, "actorRef")),
                             .command = identity->command,
                             .message = acts[act].message };
    r = stands || state == acts[act].from
            ? 0
            : err_set(err, ERR_CONFLICT, STEP_CONTROL, "%.*s is %s, and not %s",
                      STR_ARG(work_operation(work)), state_names[state],
                      state_names[acts[act].from]);
    if (r == 0 && !stands)
        r = work_change_both(work, &change, err);
    if (r == 0 && !stands)
        r = identity_put(work, identity, err);
    if (r == 0 && !stands)
        r = command_put(work, command, err);
    if (r < 0)
        return r;
    r = stands ? 0 : work_commit(work, PLANE_STEP_ASKED, &inner);
    if (r < 0) {
        if (err)
            *err = inner;
        return inner.code == ERR_CONFLICT ? -EAGAIN : r;
    }
    finish_outcome(work, ret);
    ret->repeated = stands;
    asked_ring(plane->options.state_folder, work_operation(work));
    return 0;
}

int asked_take(struct plane *plane, const yyjson_val *command, struct outcome *ret, struct err *err)
{
    _cleanup_(identity_release) struct identity identity = { .key = BUF_INIT };
    struct err inner = { 0 };
    size_t act = text_is(member(command, "command"), acts[0].verb) ? 0 : 1;
    int r = identity_of(command, &identity, err);
    if (r < 0)
        return r;
    buf_reset(&identity.key);
    r = -EAGAIN;
    for (int race = 0; race < ASKED_RACES_MAX && r == -EAGAIN; race++) {
        r = identity_find(plane, &identity, ret, err);
        if (r != 0)
            return r < 0 ? r : 0;
        inner = (struct err){ 0 };
        r = act_once(plane, command, act, &identity, ret, &inner);
    }
    if (r < 0 && err)
        *err = inner;
    return r;
}

/*
 * engine: see the header.
 *
 * Theory of operation. A command is a child (child.h) with an empty environment
 * whose input is the request in a memory file, so that nothing blocks that it
 * does not read; its answer counts once it has ended with status 0. A socket is
 * asked by one request and read to the end of its line. Either must be in the
 * hands of root or of who runs this program: a command's file by owner and mode,
 * a socket by the process at its other end.
 *
 * Invariants. An engine that fails in any way denies. No answer makes a verdict
 * milder. Nothing of a command is left when its answer is known.
 *
 * Threats: an engine that is slow, prints without end, crashes, or is replaced
 * by another user. What its layer trusts it with is to deny and to ask.
 *
 * Limits: the row's time; ENGINE_ANSWER_BYTES_MAX; GATE_REASON_MAX.
 */
#include "authority/engine.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "authority/child.h"
#include "authority/verdict_internal.h"
#include "base/json.h"
#include "contract/rules.h"

#define STEP_ENGINE        "ask a policy engine"
#define WRITABLE_BY_OTHERS 0022

static const struct json_limits reply_limits = {
    .size_bytes = ENGINE_ANSWER_BYTES_MAX,
    .depth = 2,
    .array_items = 1,
    .members = 2,
    .string_bytes = ENGINE_ANSWER_BYTES_MAX,
    .number_digits = 1,
};

PRINTF_LIKE(2, 3)
static int fail(struct err *err, const char *format, ...)
{
    char cause[ERR_CAUSE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cause, sizeof(cause), format, arguments);
    va_end(arguments);
    return err_set(err, ERR_DENIED, STEP_ENGINE, "%s", cause);
}

/* --- the request and the reply -------------------------------------------------------------- */

static void add_text(struct buf *json, const char *name, struct str text)
{
    buf_addf(json, ",\"%s\":", name);
    json_add_string(json, text);
}

static int write_request(const struct policy *policy, const struct engine_request *request,
                         const struct verdict *verdict, struct buf *ret, struct err *err)
{
    buf_addf(ret, "{\"specVersion\":\"1.0.0\",\"gate\":\"%s\"", gate_names[request->thing->gate]);
    add_text(ret, "name", request->thing->name);
    if (request->thing->digest.len)
        add_text(ret, "digest", request->thing->digest);
    if (request->subject.len)
        add_text(ret, "subjectRef", request->subject);
    if (request->workspace.len)
        add_text(ret, "workspaceRef", request->workspace);
    add_text(ret, "answer", str_from(answer_names[verdict->answer]));
    add_text(ret, "policyDigest", str_from(policy_digest(policy)));
    buf_add_text(ret, "}\n");
    return ret->error ? err_set(err, ERR_MEMORY, STEP_ENGINE, "there is not enough memory") : 0;
}

static bool is_reason(struct str text)
{
    if (text.len > GATE_REASON_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return true;
}

int engine_read_reply(struct str text, struct engine_reply *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    size_t line = str_index(text, '\n', 0);
    if (line + 1 < text.len)
        return fail(err, "it answers with more than one line");
    if (json_read(str_make(text.ptr, line), &reply_limits, &doc, NULL) < 0)
        return fail(err, "what it answers is no JSON object of answer and reason");
    const yyjson_val *root = yyjson_doc_get_root(doc);
    const yyjson_val *reason = member(root, "reason");
    struct str words = text_of(reason);
    int answer = vocabulary_index(answer_names, ANSWER_COUNT, text_of(member(root, "answer")));
    size_t members = 1 + (reason != NULL);
    if (answer <= ANSWER_NOTHING || yyjson_obj_size((yyjson_val *)root) != members ||
        (reason && !yyjson_is_str((yyjson_val *)reason)))
        return fail(err, "what it answers is no JSON object of answer (allow, ask or deny) and "
                         "reason");
    if (!is_reason(words))
        return fail(err, "its reason is not one line of at most %d bytes", GATE_REASON_MAX);
    *ret = (struct engine_reply){ .answer = (enum answer)answer };
    memcpy(ret->reason, words.ptr, words.len);
    return 0;
}

/* Reads some of an answer: 1 more may come, 0 the end. */
static int read_some(int fd, struct buf *answer, struct err *err)
{
    char bytes[ENGINE_ANSWER_BYTES_MAX + 1];
    ssize_t n = read(fd, bytes, sizeof(bytes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 1;
    if (n < 0)
        return fail(err, "what it answers cannot be read: %s", strerror(errno));
    if (answer->len + (size_t)n > ENGINE_ANSWER_BYTES_MAX)
        return fail(err, "it answers with more than %d bytes", ENGINE_ANSWER_BYTES_MAX);
    if (buf_add(answer, bytes, (size_t)n) < 0)
        return fail(err, "there is not enough memory for its answer");
    return n > 0;
}

static int too_late(const struct policy_engine *engine, struct err *err)
{
    return fail(err, "it did not answer within %d ms", engine->row.timeout_ms);
}

/* --- a command ------------------------------------------------------------------------------ */

/* Who else could have changed it. */
static int check_file(const char *path, struct err *err)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return fail(err, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(err, "%s is no regular file", path);
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return fail(err, "%s belongs to another user", path);
    return status.st_mode & WRITABLE_BY_OTHERS ? fail(err, "others can write %s", path) : 0;
}

static int memory_file(struct str text)
{
    int fd = memfd_create("request", MFD_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len &&
                      lseek(fd, 0, SEEK_SET) == 0;
    if (fd >= 0 && !is_written) {
        close(fd);
        return -1;
    }
    return fd;
}

static int read_child(void *context, struct child *child, struct err *err)
{
    return read_some(child->out, context, err);
}

static int check_status(int status, struct err *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return WIFEXITED(status) ? fail(err, "it ended with status %d", WEXITSTATUS(status))
                             : fail(err, "it was ended by signal %d", WTERMSIG(status));
}

static int ask_command(const struct policy_engine *engine, struct str request, struct buf *answer,
                       struct err *err)
{
    const char *arguments[ENGINE_ARGUMENTS_MAX + 1] = { NULL };
    char *environment[] = { NULL };
    struct child child;
    yyjson_arr_iter iterator;
    size_t count = 0;
    yyjson_arr_iter_init((yyjson_val *)engine->row.command, &iterator);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iterator));)
        arguments[count++] = yyjson_get_str(item);
    int r = check_file(arguments[0], err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_close) int in = memory_file(request);
    if (in < 0)
        return fail(err, "the request cannot be handed over: %s", strerror(errno));
    struct child_plan plan = {
        .arguments = arguments, .environment = environment, .in = in, .step = STEP_ENGINE
    };
    r = child_start(&plan, &child, err);
    if (r < 0)
        return r;
    r = child_follow(&child, engine->row.timeout_ms, read_child, answer, err);
    bool has_ended = r == 0;
    child_stop(&child);
    if (r == -ETIME)
        return too_late(engine, err);
    return has_ended ? check_status(child.status, err) : r;
}

/* --- a socket ------------------------------------------------------------------------------- */

static int check_peer(int fd, struct err *err)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return fail(err, "it is not known who answers there: %s", strerror(errno));
    return peer.uid == 0 || peer.uid == geteuid() ? 0 : fail(err, "another user answers there");
}

/* 1 ready; 0 its time is over. */
static int wait_for(int fd, short events, int64_t end_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = events };
    for (;;) {
        int64_t left_ms = end_ms - child_monotonic_ms();
        int ready = left_ms > 0 ? poll(&poll_fd, 1, (int)left_ms) : 0;
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}

static int send_all(int fd, struct str request, int64_t end_ms, struct err *err)
{
    while (request.len) {
        ssize_t n = send(fd, request.ptr, request.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(err, "it does not take the request: %s", strerror(errno));
        if (n < 0 && !wait_for(fd, POLLOUT, end_ms))
            return -ETIME;
        request = str_from_offset(request, n < 0 ? 0 : (size_t)n);
    }
    return 0;
}

static int ask_socket(const struct policy_engine *engine, struct str request, struct buf *answer,
                      struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int64_t end_ms = child_monotonic_ms() + engine->row.timeout_ms;
    _cleanup_(cleanup_close) int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, engine->row.socket, strlen(engine->row.socket));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return fail(err, "nobody answers there: %s", strerror(errno));
    int r = check_peer(fd, err);
    if (r == 0)
        r = send_all(fd, request, end_ms, err);
    for (int more = 1; r == 0 && more;) {
        if (!wait_for(fd, POLLIN, end_ms)) {
            r = -ETIME;
            break;
        }
        more = read_some(fd, answer, err);
        r = more < 0 ? more : 0;
        if (str_index(buf_str(answer), '\n', 0) < answer->len)
            break;
    }
    return r == -ETIME ? too_late(engine, err) : r;
}

/* --- what becomes of it --------------------------------------------------------------------- */

static const char *name_of(const struct policy_engine *engine)
{
    return engine->row.socket
               ? engine->row.socket
               : yyjson_get_str(yyjson_arr_get_first((yyjson_val *)engine->row.command));
}

/* Its layer's answer is now the engine's, and so is the verdict. */
static void narrow(const struct policy *policy, const struct policy_engine *engine,
                   const struct engine_reply *reply, struct verdict *verdict)
{
    const struct policy_document *document = &policy->documents[engine->document];
    struct compiled_rule place = { .place = PLACE_ENGINE, .index = engine->row.index };
    struct layer_answer *here = &verdict->layers[document->layer];
    here->answer = verdict->answer = reply->answer;
    here->document = verdict->document = document->name;
    here->document_id = verdict->document_id = document->id;
    here->rule = verdict->rule = STR("engine");
    verdict->layer = document->layer;
    verdict->built_in = false;
    policy_pointer(&place, here->pointer);
    memcpy(verdict->pointer, here->pointer, sizeof(verdict->pointer));
    struct text reason = text_begin(verdict->reason, sizeof(verdict->reason));
    ADD(&reason, "the policy engine ");
    text_add(&reason, str_from(name_of(engine)));
    ADD(&reason, " of the ");
    text_add(&reason, str_from(layer_names[document->layer]));
    text_add(&reason, reply->answer == ANSWER_ASK ? STR(" layer asks") : STR(" layer denies it"));
    if (reply->reason[0])
        ADD(&reason, ": ");
    text_add(&reason, str_from(reply->reason));
    *reason.at = '\0';
    struct text change = text_begin(verdict->smallest_change, sizeof(verdict->smallest_change));
    ADD(&change, "what that engine decides by, or ");
    text_add(&change, str_make(here->pointer, strlen(here->pointer)));
    ADD(&change, " of ");
    text_add(&change, str_from(document->name));
    *change.at = '\0';
}

static void ask_one(const struct policy *policy, const struct policy_engine *engine,
                    struct str request, struct verdict *verdict, struct engine_record *record)
{
    struct buf answer = BUF_INIT_LIMIT(ENGINE_ANSWER_BYTES_MAX);
    struct engine_reply reply = { 0 };
    struct err why = { 0 };
    int r = engine->row.socket ? ask_socket(engine, request, &answer, &why)
                               : ask_command(engine, request, &answer, &why);
    if (r == 0)
        r = engine_read_reply(buf_str(&answer), &reply, &why);
    if (r < 0) {
        reply.answer = ANSWER_DENY;
        snprintf(reply.reason, sizeof(reply.reason), "it cannot be asked: %.350s", why.cause);
    }
    bool is_narrower = reply.answer > verdict->answer;
    if (!record->answer || is_narrower) {
        snprintf(record->reference, sizeof(record->reference), "%s", name_of(engine));
        record->answer = r < 0 ? "unreachable" : answer_names[reply.answer];
    }
    if (is_narrower)
        narrow(policy, engine, &reply, verdict);
    buf_release(&answer);
}

bool policy_has_engine(const struct policy *policy, enum gate gate)
{
    for (size_t i = 0; i < policy->engine_count; i++)
        if (policy->engines[i].row.gates & (1u << gate))
            return true;
    return false;
}

int policy_ask_engines(const struct policy *policy, const struct engine_request *request,
                       struct verdict *verdict, struct engine_record *ret, struct err *err)
{
    enum gate gate = request->thing->gate;
    *ret = (struct engine_record){ 0 };
    if (verdict->answer == ANSWER_DENY || !policy_has_engine(policy, gate))
        return 0;
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    int r = write_request(policy, request, verdict, &json, err);
    for (size_t i = 0; i < policy->engine_count && r == 0 && verdict->answer != ANSWER_DENY; i++) {
        if (policy->engines[i].row.gates & (1u << gate))
            ask_one(policy, &policy->engines[i], buf_str(&json), verdict, ret);
    }
    return r;
}

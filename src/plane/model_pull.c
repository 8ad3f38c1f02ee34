/*
 * model_pull: see the header.
 *
 * Theory of operation. Three have to agree before anything is fetched: the model's
 * profile (policy.allowModelDownload, or the person's own word for one that is
 * theirs), the layers' rules about the model and its provider (the gate asks them),
 * and the layers' verdict on the registry's host, since who fetches for us goes
 * where we might not. Then one request to the runtime on loopback. What it is about
 * to take is drawn from the budget of disk before it goes on; a signal leaves it,
 * and asked again the runtime goes on from what it has.
 *
 * Done is what the runtime has verified and then lists; where a digest is pinned,
 * with that digest.
 */
#include "plane/model_pull.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "doors/model/look.h"
#include "plane/gate_layers.h"
#include "plane/work.h"

#define STEP_PULL "fetch a model"
#define TURN_MS   1000

struct str model_pull_licence(const struct model_pull *pull)
{
    return text_of(at(pull->profile, "/model/licenseRef"));
}

uint64_t model_pull_size_hint(const struct model_pull *pull)
{
    return count_of(at(pull->profile, "/model/diskSizeHintMb")) << 20;
}

static int fail(struct effect_result *ret, const struct err *why)
{
    ret->end = STATE_FAILED;
    ret->failure = *why;
    return 0;
}

/* --- whether it may be ----------------------------------------------------------------------- */

static int check_profile(struct model_pull *pull, struct err *err)
{
    struct str name = text_of(at(pull->profile, "/model/ollamaRef"));
    if (!str_equal(str_from(pull->provider.class->name), STR("ollama")) || !name.len)
        return err_set(err, ERR_UNSUPPORTED, STEP_PULL,
                       "%.*s is not served by Ollama; this release fetches models through it alone",
                       STR_ARG(pull->provider.id));
    pull->name = name;
    if (yyjson_is_true(at(pull->profile, "/policy/allowModelDownload")) || pull->is_consented)
        return 0;
    return err_set(
        err, ERR_DENIED, STEP_PULL,
        "the profile of %.*s lets nothing be fetched (policy.allowModelDownload); if you "
        "mean it, say so: --allow-download",
        STR_ARG(name));
}

static int check_registry(struct work *work, struct err *err)
{
    const struct policy_destination destination = { .host = STR(MODEL_REGISTRY_HOST),
                                                    .port = MODEL_REGISTRY_PORT,
                                                    .protocol = STR("https"),
                                                    .of_door = true };
    const struct policy *policy;
    struct verdict verdict;
    int r = gate_layers_policy(work_plane(work), work_text(work, WORK_OPERATION, "subjectRef"),
                               &policy, err);
    if (r == 0)
        r = policy_decide(policy, &destination, &verdict, err);
    if (r == 0 && verdict.answer != ANSWER_ALLOW)
        r = err_set(err, ERR_DENIED, STEP_PULL, "%s would be asked for it: %.300s %.300s",
                    MODEL_REGISTRY_HOST, verdict.reason, verdict.smallest_change);
    return r;
}

static int prepare(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct model_pull *pull = context;
    struct err why = { 0 };
    (void)err;
    return check_profile(pull, &why) < 0 || check_registry(work, &why) < 0 ? fail(ret, &why) : 0;
}

/* --- fetching -------------------------------------------------------------------------------- */

struct pulling {
    struct model_pull *pull;
    struct work *work;
    struct loop *loop;
    struct upstream_call *call;
    struct upstream_calls calls;
    struct loop_watch signals;
    uint64_t drawn_bytes;
    unsigned status;
    bool ended;
    struct err why;
};

static void leave(struct pulling *pulling)
{
    if (pulling->call)
        upstream_cancel(TAKE_PTR(pulling->call));
    pulling->ended = true;
}

static void on_head(void *context, const struct upstream_answer *answer)
{
    struct pulling *pulling = context;
    pulling->status = answer->status;
}

/* Bytes that are to come are paid for before they do, as far as the runtime says them. */
static int pay(struct pulling *pulling)
{
    const struct pull_progress *progress = &pulling->pull->progress;
    uint64_t due = progress->total_bytes - progress->first_bytes;
    if (due <= pulling->drawn_bytes)
        return 0;
    int r = budget_draw(pulling->work, DIMENSION_LOCAL_DISK_BYTES,
                        (int64_t)(due - pulling->drawn_bytes), &pulling->why);
    if (r == 0)
        pulling->drawn_bytes = due;
    return r;
}

static bool on_body(void *context, struct str bytes)
{
    struct pulling *pulling = context;
    struct model_pull *pull = pulling->pull;
    int r = pull_progress_feed(&pull->progress, bytes);
    if (r < 0)
        err_set(&pulling->why, ERR_SYNTAX, STEP_PULL, "what answers is no Ollama (status %u)",
                pulling->status);
    else
        r = pay(pulling);
    if (r < 0)
        leave(pulling);
    else if (pull->moved)
        pull->moved(pull->context);
    return true;
}

static void on_ended(void *context, enum upstream_end end, uint64_t sent, const char *cause)
{
    struct pulling *pulling = context;
    (void)sent;
    pulling->call = NULL;
    pulling->ended = true;
    if (end != UPSTREAM_WHOLE)
        err_set(&pulling->why, ERR_IO, STEP_PULL, "%s: %s",
                end == UPSTREAM_UNREACHABLE
                    ? "Ollama does not answer; is it started (ollama serve)?"
                    : "it ended in the midst; asked again it goes on",
                cause);
}

static void take_signal(struct loop_watch *watch, uint32_t events)
{
    struct pulling *pulling = LOOP_OWNER(watch, struct pulling, signals);
    struct signalfd_siginfo info;
    (void)events;
    if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
        return;
    pulling->pull->is_interrupted = true;
    leave(pulling);
}

static void add_root(const struct model_pull *pull, struct buf *url)
{
    struct str base = pull->provider.base_url;
    while (str_ends(base, STR("/")))
        base.len--;
    if (base.len)
        buf_add_str(url, base);
    else
        buf_addf(url, "http://127.0.0.1:%u", pull->provider.default_port);
}

static int ask(struct pulling *pulling, struct upstream *upstream, struct err *err)
{
    _cleanup_(buf_release) struct buf url = BUF_INIT;
    _cleanup_(buf_release) struct buf body = BUF_INIT;
    struct upstream_request request = { .headers = { STR("Content-Type: application/json") },
                                        .header_count = 1,
                                        .piece_count = 1 };
    add_root(pulling->pull, &url);
    buf_add_text(&url, "/api/pull");
    buf_add_text(&body, "{\"stream\":true,\"model\":");
    json_add_string(&body, pulling->pull->name);
    buf_add_char(&body, '}');
    request.url = url.data;
    request.pieces[0] = buf_str(&body);
    pulling->calls = (struct upstream_calls){
        .context = pulling, .head = on_head, .body = on_body, .ended = on_ended
    };
    int r = url.error || body.error ? err_set(err, ERR_MEMORY, STEP_PULL, "no memory") : 0;
    if (r == 0) /* a body so small is copied */
        r = upstream_start(upstream, &request, &pulling->calls, &pulling->call, err);
    return r;
}

static int fetch(struct pulling *pulling, struct err *err)
{
    struct upstream *upstream = NULL;
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    _cleanup_(cleanup_close) int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    pulling->signals = (struct loop_watch){ .fd = -1, .ready = take_signal };
    int r = loop_new(&pulling->loop, err);
    if (r == 0)
        r = upstream_new(pulling->loop, NULL, &upstream, err);
    if (r == 0 &&
        (signals < 0 || loop_watch(pulling->loop, &pulling->signals, signals, EPOLLIN) < 0))
        r = err_set_errno(err, errno, STEP_PULL, "cannot hear signals");
    if (r == 0)
        r = ask(pulling, upstream, err);
    while (r == 0 && !pulling->ended) {
        struct pollfd ready = { .fd = loop_fd(pulling->loop), .events = POLLIN };
        int64_t due = loop_due(pulling->loop), now = clock_passed_ms();
        (void)!poll(&ready, 1,
                    due && due - now < TURN_MS ? due > now ? (int)(due - now) : 0 : TURN_MS);
        loop_turn(pulling->loop);
    }
    upstream_free(upstream);
    loop_free(pulling->loop);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

/* --- what is there then ---------------------------------------------------------------------- */

static int look_what_is_there(struct model_pull *pull, struct err *err)
{
    _cleanup_(buf_release) struct buf url = BUF_INIT;
    struct local_models models = { 0 };
    struct look look = { 0 };
    add_root(pull, &url);
    buf_add_text(&url, local_list_path(LOCAL_LIST_OLLAMA));
    look.request.url = url.data;
    int r = url.error ? err_set(err, ERR_MEMORY, STEP_PULL, "there is not enough memory")
                      : looks_take(&look, 1, NULL, err);
    const struct local_model *found = NULL;
    if (r == 0 && local_models_read(buf_str(&look.body), LOCAL_LIST_OLLAMA, &models) == 0)
        found = local_models_find(&models, pull->name);
    if (found)
        pull->found = *found;
    if (r == 0 && !found)
        r = err_set(err, ERR_DAMAGED, STEP_PULL,
                    "Ollama says that it has fetched %.*s, and has it not", STR_ARG(pull->name));
    if (r == 0 && pull->wanted_digest && strcmp(pull->found.digest, pull->wanted_digest) != 0)
        r = err_set(
            err, ERR_DAMAGED, STEP_PULL,
            "%.*s is there with the digest %s, and %s was wanted: remove it (ollama rm %.*s)",
            STR_ARG(pull->name), pull->found.digest, pull->wanted_digest, STR_ARG(pull->name));
    local_models_release(&models);
    look_release(&look);
    return r;
}

static int judge(struct pulling *pulling, struct err *err)
{
    struct model_pull *pull = pulling->pull;
    if (pulling->why.code) {
        *err = pulling->why;
        return -EIO;
    }
    if (pull->progress.error[0])
        return err_set(err, ERR_IO, STEP_PULL, "Ollama says: %s", pull->progress.error);
    if (!pull->progress.is_whole)
        return err_set(err, ERR_DAMAGED, STEP_PULL,
                       "it ended before the digests were verified; asked again it goes on");
    return look_what_is_there(pull, err);
}

static int tell(const struct model_pull *pull, struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT, text = BUF_INIT;
    struct str licence = model_pull_licence(pull);
    buf_addf(&text, "Fetched %.*s: %llu bytes, of which %llu were there; digest %s; licence %.*s.",
             STR_ARG(pull->name), (unsigned long long)pull->progress.total_bytes,
             (unsigned long long)pull->progress.first_bytes,
             pull->found.digest[0] ? pull->found.digest : "unknown", STR_ARG(licence));
    buf_add_text(&extra, ",\"message\":");
    json_add_string(&extra, buf_str(&text));
    return extra.error || text.error
               ? err_set(err, ERR_MEMORY, STEP_PULL, "there is not enough memory")
               : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

static int start(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct model_pull *pull = context;
    struct pulling pulling = { .pull = pull, .work = work };
    struct err why = { 0 };
    if (pull->begun)
        pull->begun(pull->context);
    int r = fetch(&pulling, &why);
    ret->used.of[DIMENSION_LOCAL_DISK_BYTES] =
        (int64_t)(pull->progress.completed_bytes - pull->progress.first_bytes);
    ret->used.of[DIMENSION_CPU_SECONDS] = 1;
    if (r == 0 && pull->is_interrupted) {
        ret->end = STATE_CANCELED;
        err_set(&ret->failure, ERR_IO, STEP_PULL, "A signal ended it; asked again it goes on.");
        return 0;
    }
    if (r == 0)
        r = judge(&pulling, &why);
    if (r < 0)
        return fail(ret, &why);
    ret->end = STATE_COMPLETED;
    return tell(pull, work, err);
}

void model_pull_plug(struct model_pull *pull, struct plane_options *options)
{
    pull_progress_init(&pull->progress);
    options->execution_prepare = prepare;
    options->execution_start = start;
    options->effect_context = pull;
}

void model_pull_release(struct model_pull *pull)
{
    pull_progress_release(&pull->progress);
}

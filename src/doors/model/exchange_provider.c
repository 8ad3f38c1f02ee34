/*
 * exchange_provider: an exchange on its provider's side.
 *
 * Theory of operation. The candidates are taken one after another: what would leave
 * this machine is looked through for secrets, the call is asked about, paid for and
 * sent; only where nothing of the request had been sent is there a next one. What the
 * provider answers is passed on as it comes, or replaced where a client must not have
 * it: a redirect, and what it says to the credential. One that says that it has done
 * nothing yet is let rest and asked again (retry.h), within the same reservation: a
 * call is charged once, however often it is tried, and what left for each try is
 * counted. Where the sink says that a person who is there has been asked, about the route
 * or about more of a budget, the call is held and asks again until there is an answer;
 * its client waits as it would for a slow model.
 *
 * Invariants: those of exchange.c. These functions are called by libcurl's side, so
 * whatever ends the exchange here leaves its provider first.
 */
#include "doors/model/egress.h"
#include "doors/model/exchange_internal.h"
#include "doors/model/forward.h"
#include "doors/model/retry.h"

#define HELD_LOOK_MS 250
#define HELD_MS      ((int64_t)10 * 60 * 1000)

/* --- trying the candidates ------------------------------------------------------------------- */

static int look_for_secrets(struct exchange *x, bool masks, struct err *err)
{
    struct exchanges *all = x->all;
    int r = all->scanner ? 0 : redact_scanner_new(&all->scanner, err);
    if (r == 0)
        r = egress_scan(all->scanner, exchange_body(x), masks, &x->secrets, &x->masked, err);
    if (r < 0)
        buf_reset(&x->masked);   /* half of a body is none */
    if (r == 0 && x->masked.len) /* members stand elsewhere now */
        r = prompt_read(buf_str(&x->masked), x->place, &x->prompt, err->cause);
    if (r == 0)
        x->record.secrets = &x->secrets;
    return r;
}

/* Whether the prompt may leave this machine, as far as secrets in it go. */
static bool may_leave(struct exchange *x, const struct model_route *route)
{
    bool masks = route->on_secret == EGRESS_MASK;
    bool is_known = x->record.secrets && (!masks || !x->secrets.total || x->masked.len);
    struct buf found = BUF_INIT;
    char text[EXCHANGE_MESSAGE_SIZE / 2];
    struct err why = { 0 };
    if (!route->is_hosted)
        return true;
    if (x->prompt.stores && !route->may_store) {
        exchange_fail(x, FAULT_DENIED,
                      "`store` asks the provider to keep the prompt and its answer, which its "
                      "profile does not let it (policy.storePrompts, policy.storeCompletions): "
                      "leave the member out.");
        return false;
    }
    if (!is_known && look_for_secrets(x, masks, &why) < 0) {
        snprintf(text, sizeof(text), "The prompt could not be looked through for secrets: %.300s",
                 why.cause);
        exchange_fail(x, FAULT_DENIED, text);
        return false;
    }
    if (!x->secrets.total || route->on_secret != EGRESS_DENY)
        return true;
    egress_add_findings(&found, &x->secrets);
    snprintf(text, sizeof(text),
             "The prompt holds what looks like a secret (%.200s), and its route leaves this "
             "machine: take it out, or bind the provider with `mask`.",
             found.data);
    buf_release(&found);
    exchange_fail(x, FAULT_DENIED, text);
    return false;
}

/* Leaves the call where it is until a person has answered. */
static void hold(struct exchange *x)
{
    int64_t now = clock_passed_ms();
    if (!x->held_until_ms)
        x->held_until_ms = now + HELD_MS;
    x->is_held =
        now < x->held_until_ms && loop_timer_set(x->all->loop, &x->again, now + HELD_LOOK_MS) == 0;
    if (!x->is_held)
        exchange_fail(x, FAULT_DENIED, "A person was asked, and has not answered in time.");
}

/* Whether it is; where it is not, it may be held. */
static bool is_permitted(struct exchange *x)
{
    const struct model_sink *sink = x->all->options->sink;
    char text[MODEL_REASON_SIZE] = "";
    struct err why = { 0 };
    int r = sink->permit(sink->context, &x->record, text, &why);
    if (r == 1)
        return true;
    if (r == MODEL_HELD) {
        hold(x);
        return false;
    }
    if (r < 0)
        snprintf(text, sizeof(text),
                 "It could not be decided whether the route may be used: %.300s", why.cause);
    exchange_fail(x, FAULT_DENIED, text);
    return false;
}

static bool can_be_paid(struct exchange *x, const struct model_route *route)
{
    char text[PROMPT_FAULT_SIZE] = "";
    if (!prompt_estimate(&x->prompt, x->place, route, exchange_body(x).len, &x->cost, text)) {
        exchange_fail(x, FAULT_REQUEST, text);
        return false;
    }
    x->record.reserved_calls = 1;
    x->record.reserved_tokens =
        x->cost.input > UINT64_MAX - x->cost.output ? UINT64_MAX : x->cost.input + x->cost.output;
    return true;
}

static bool reserve(struct exchange *x)
{
    const struct model_sink *sink = x->all->options->sink;
    char text[EXCHANGE_MESSAGE_SIZE / 2];
    struct err why = { 0 };
    int r = sink->reserve(sink->context, &x->record, &x->ceiling, &why);
    if (r == 0)
        return x->is_reserved = true;
    if (r == MODEL_HELD)
        hold(x);
    else if (why.code == ERR_BUDGET) {
        snprintf(text, sizeof(text),
                 "The budget does not cover this call: of %s it may take up to %llu, and %llu are "
                 "left (%s).",
                 x->ceiling.dimension, (unsigned long long)x->ceiling.requested,
                 (unsigned long long)x->ceiling.left, x->ceiling.budget_ref);
        exchange_fail(x, FAULT_BUDGET, text);
    } else {
        x->ceiling.dimension[0] = '\0';
        snprintf(text, sizeof(text), "Nothing could be reserved for this call: %.300s", why.cause);
        exchange_fail(x, FAULT_INTERNAL, text);
    }
    return false;
}

/* Whether the request is on its way to a route's provider. */
static bool send_request(struct exchange *x, const struct model_route *route)
{
    struct exchanges *all = x->all;
    const struct references *references = all->options->references;
    char text[EXCHANGE_MESSAGE_SIZE / 2];
    struct forward forward;
    struct err why = { 0 };
    struct http_request request = *http_call_request(x->client);
    int r = 0;
    request.body = x->masked.len ? buf_str(&x->masked) : exchange_body(x);
    if (x->translation) { /* what else it says is of the client's protocol */
        request.header_count = 0;
        request.query = STR("");
    }
    prompt_amend(&x->prompt, x->place, route, x->record.upstream_model, &x->edits);
    if (!all->upstream)
        r = upstream_new(all->loop, references, &all->upstream, &why);
    if (r == 0)
        r = forward_make(&request, x->place, route, x->record.upstream_model, &x->edits, references,
                         &forward, &why);
    if (r == 0) {
        r = upstream_start(all->upstream, &forward.request, &x->calls, &x->provider, &why);
        forward_release(&forward);
    }
    if (r == 0)
        return true;
    exchange_settle(x, x->retries ? CALL_PROVIDER_REFUSED : CALL_UNREACHABLE);
    snprintf(text, sizeof(text), "The provider %.*s could not be asked: %.300s.",
             STR_ARG(route->provider_ref), why.cause);
    exchange_fail(x, FAULT_UPSTREAM, text);
    return false;
}

static bool has_room(struct exchange *x, const struct model_route *route)
{
    char text[EXCHANGE_MESSAGE_SIZE / 2];
    const char *limit = route_use_reached(exchange_use(x), route);
    if (!limit)
        return true;
    snprintf(text, sizeof(text), "The provider %.*s has as many calls as its binding lets it (%s).",
             STR_ARG(route->provider_ref), limit);
    exchange_fail(x, FAULT_RATE, text);
    return false;
}

/* Whether the candidate is being asked, or the call is held: all that a person can have a say in.
 */
static bool ask_candidate(struct exchange *x, const struct model_route *route)
{
    x->is_held = false;
    if (!is_permitted(x))
        return x->is_held;
    if (!reserve(x)) {
        if (!x->is_held)
            x->candidate = x->choice.count; /* the same budget pays for all */
        return x->is_held;
    }
    route_use_begin(exchange_use(x));
    return send_request(x, route);
}

/* Whether the candidate is being asked, or the call is held. */
static bool try_candidate(struct exchange *x)
{
    const struct route_candidate *candidate = &x->choice.candidates[x->candidate];
    const struct model_route *route = &x->all->options->routes[candidate->route];
    x->record.route = route;
    x->record.upstream_model = candidate->upstream_model;
    snprintf(x->reason, sizeof(x->reason), "%s", candidate->reason);
    x->record.route_reason = x->reason;
    x->sent_bytes = x->sent_before = 0;
    x->status = x->retries = 0;
    if (!has_room(x, route) || !exchange_translate(x, candidate))
        return false;
    if (exchange_estimates(x))
        return true;
    return may_leave(x, route) && can_be_paid(x, route) && ask_candidate(x, route);
}

void exchange_try(struct exchange *x)
{
    for (; x->candidate < x->choice.count; x->candidate++)
        if (try_candidate(x))
            return;
    exchange_refuse(x);
}

/* Of a hosted provider's name each address is asked about; a proxy's is the layers' own. */
static bool on_address(void *context, const struct address_range *address)
{
    struct exchange *x = context;
    const struct model_sink *sink = x->all->options->sink;
    return !sink->address || !x->record.route->is_hosted || x->record.route->proxy ||
           sink->address(sink->context, &x->record, address);
}

/* --- once more ------------------------------------------------------------------------------- */

/* What it ran under may have been taken back meanwhile. */
static void try_again(struct loop_timer *timer)
{
    struct exchange *x = LOOP_OWNER(timer, struct exchange, again);
    if (x->is_held) {
        if (has_room(x, x->record.route) && ask_candidate(x, x->record.route))
            return;
        x->candidate++;
        exchange_try(x);
        return;
    }
    if (!x->is_reserved) { /* what is sent now is another request */
        exchange_try(x);
        return;
    }
    if (is_permitted(x) && send_request(x, x->record.route))
        return;
    if (x->is_held) /* what is reserved is not kept from others for so long */
        exchange_fail(x, FAULT_DENIED, "What let the call through has ended meanwhile.");
    exchange_settle(x, CALL_PROVIDER_REFUSED);
    exchange_refuse(x);
}

/* Whether a provider that refused is asked again later: it is left, and the call goes on. */
static bool rests(struct exchange *x, const struct upstream_answer *answer)
{
    int64_t wait = retry_wait_ms(answer->status, answer->headers, x->retries, clock_now_ms(),
                                 x->record.number);
    if (wait < 0 || loop_timer_set(x->all->loop, &x->again, clock_passed_ms() + wait) < 0)
        return false;
    exchange_leave(x);
    x->sent_before = x->sent_bytes;
    x->retries++;
    size_t len = strlen(x->reason);
    snprintf(x->reason + len, sizeof(x->reason) - len, " It answered %u, and was asked again.",
             answer->status);
    return true;
}

/* --- the provider's answer ------------------------------------------------------------------- */

/* Instead of what the provider answered, or did not. The exchange is no more after this. */
static void answer_for_provider(struct exchange *x, enum model_end end, enum model_fault fault,
                                const char *message)
{
    const struct model_problem problem = { fault, str_from(message), NULL };
    exchange_leave(x);
    exchange_settle(x, end);
    exchange_answer_problem(x->client, x->endpoint->protocol, &problem);
    exchange_free(x);
}

static void on_answer_head(void *context, const struct upstream_answer *answer)
{
    struct exchange *x = context;
    struct buf lines = BUF_INIT_LIMIT(UPSTREAM_HEAD_BYTES_MAX);
    struct forward_answer head;
    x->status = answer->status;
    if (rests(x, answer) || exchange_turns_elsewhere(x))
        return;
    if (answer->status / 100 == 3) {
        answer_for_provider(x, CALL_PROVIDER_REFUSED, FAULT_UPSTREAM,
                            "The provider redirects to another place, and redirects are not "
                            "followed: its binding has to name the place itself.");
        return;
    }
    if ((answer->status == 401 || answer->status == 403) && x->record.route->credential_ref.len) {
        answer_for_provider(x, CALL_PROVIDER_REFUSED, FAULT_UPSTREAM,
                            "The provider refuses the credential of its binding: renew it, or see "
                            "what it permits.");
        return;
    }
    if (forward_answer_head(answer->headers, &lines, &head) < 0) {
        buf_release(&lines);
        answer_for_provider(x, CALL_PROVIDER_CUT, FAULT_UPSTREAM,
                            "The head of the provider's answer is too long.");
        return;
    }
    x->has_head = true;
    enum answer_form form = answer_form_of(head.content_type);
    if (x->translation) {
        buf_release(&lines);
        exchange_translate_head(x, form);
        return;
    }
    usage_reader_init(&x->usage, x->endpoint->protocol, x->endpoint->kind, form);
    x->streams = form != ANSWER_DOCUMENT && !head.is_encoded && answer->status < 300;
    answer_stream_init(&x->stream, form, x->edits.asks_usage);
    http_call_answer(x->client, answer->status, buf_str(&lines),
                     x->streams              ? HTTP_LENGTH_UNKNOWN
                     : answer->status == 204 ? 0
                                             : head.length);
    buf_release(&lines);
}

static bool on_answer_body(void *context, struct str bytes)
{
    struct exchange *x = context;
    struct str passed = bytes;
    if (http_call_is_full(x->client))
        return false;
    usage_reader_feed(&x->usage, bytes);
    if (x->translation) {
        exchange_translate_body(x, bytes);
        return true;
    }
    if (x->streams && answer_stream_feed(&x->stream, bytes, &passed) < 0) {
        exchange_leave(x);
        exchange_settle(x, CALL_PROVIDER_CUT);
        http_call_break(x->client);
        exchange_free(x);
        return true;
    }
    x->answer_bytes += passed.len;
    http_call_send(x->client, passed);
    return true;
}

/* The provider's answer ended in its midst. */
static void end_cut(struct exchange *x, enum upstream_end end)
{
    bool is_silent = end == UPSTREAM_SILENT;
    exchange_settle(x, is_silent ? CALL_TIMED_OUT : CALL_PROVIDER_CUT);
    if (!x->translation && (!x->streams || answer_stream_is_within(&x->stream))) {
        http_call_break(x->client);
        exchange_free(x);
        return;
    }
    exchange_tell_cut(x, is_silent ? FAULT_TIMEOUT : FAULT_UPSTREAM,
                      "The provider's answer ended before its end.");
}

static void end_whole(struct exchange *x)
{
    if (x->translation) {
        exchange_translate_whole(x);
        return;
    }
    if (x->streams) {
        struct str rest = answer_stream_rest(&x->stream);
        x->answer_bytes += rest.len;
        http_call_send(x->client, rest);
    }
    exchange_settle(x, x->status >= 400 ? CALL_PROVIDER_REFUSED : CALL_COMPLETED);
    http_call_finish(x->client);
    exchange_free(x);
}

static void on_answer_ended(void *context, enum upstream_end end, uint64_t sent, const char *cause)
{
    struct exchange *x = context;
    char text[EXCHANGE_MESSAGE_SIZE / 2];
    x->provider = NULL;
    x->sent_bytes = x->sent_before + sent;
    snprintf(text, sizeof(text), "The provider %.*s did not answer: %s.",
             STR_ARG(x->record.route->provider_ref), cause);
    if (x->has_head && end == UPSTREAM_WHOLE) {
        end_whole(x);
    } else if (x->has_head) {
        end_cut(x, end);
    } else if (end == UPSTREAM_UNREACHABLE && !x->retries) {
        exchange_settle(x, CALL_UNREACHABLE);
        exchange_fail(x, FAULT_UPSTREAM, text);
        x->candidate++;
        exchange_try(x);
    } else {
        answer_for_provider(x, end == UPSTREAM_SILENT ? CALL_TIMED_OUT : CALL_PROVIDER_CUT,
                            end == UPSTREAM_SILENT ? FAULT_TIMEOUT : FAULT_UPSTREAM, text);
    }
}

void exchange_set_calls(struct exchange *x)
{
    x->calls = (struct upstream_calls){ .context = x,
                                        .address = on_address,
                                        .head = on_answer_head,
                                        .body = on_answer_body,
                                        .ended = on_answer_ended };
    x->again.due = try_again;
}

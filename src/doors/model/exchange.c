/*
 * exchange: see the header.
 *
 * Theory of operation. An exchange begins when a request is whole, and ends with
 * its answer or when its client is gone. In between it goes through the
 * candidates that routes_choose gave: each is asked about, paid for and tried, and
 * the next one is only turned to where nothing of the request had been sent. From
 * the provider's head on there is no other.
 *
 * The functions that libcurl's side calls (on_answer_…) and those of the server
 * (on_…) meet in the exchange; whichever ends it settles, leaves the other side and
 * frees it.
 *
 * Invariants: nothing is sent before permit and reserve have said yes; what was
 * reserved is settled exactly once; of a client that is gone the provider is left
 * at once; no text of a prompt or an answer is kept beyond the exchange, and none
 * of a credential beyond the start of a call.
 */
#include "doors/model/exchange.h"

#include "base/digest.h"
#include "doors/model/answer_stream.h"
#include "doors/model/forward.h"
#include "doors/model/own_answer.h"
#include "doors/model/prompt.h"
#include "doors/model/route_use.h"
#include "doors/model/settle.h"
#include "doors/model/upstream.h"
#include "doors/model/usage.h"

#define STEP_EXCHANGE "answer a client"
#define MESSAGE_SIZE  1024

struct exchanges {
    const struct model_door_options *options;
    struct loop *loop;
    struct http_server_calls calls;
    struct upstream *upstream; /* NULL until it is needed */
    struct route_use *uses;    /* one for each route */
    struct model_door_counts counts;
    uint64_t numbers;
    bool is_closing;
};

struct exchange {
    struct exchanges *all;
    struct http_call *client;
    const struct endpoint *endpoint;
    struct prompt prompt;
    struct prompt_edits edits;
    struct prompt_cost cost;
    struct route_choice choice;
    size_t candidate; /* that is being tried */
    struct model_call record;
    char digest[DIGEST_TEXT_SIZE];

    struct upstream_calls calls;
    struct upstream_call *provider; /* NULL: none is being asked */
    bool is_reserved, has_head, streams;
    unsigned status;
    uint64_t sent_bytes, answer_bytes;
    struct usage_reader usage;
    struct answer_stream stream;

    /* Why no candidate was taken: the first one's fault, and what each said. */
    enum model_fault fault;
    struct model_ceiling ceiling;
    char message[MESSAGE_SIZE];
};

/* --- refusing -------------------------------------------------------------------------------- */

static void answer_problem(struct http_call *client, enum model_protocol protocol,
                           const struct model_problem *problem)
{
    struct buf body = BUF_INIT;
    char headers[128];
    /* The clients' libraries try again by themselves, which would not help here. */
    const bool again = problem->fault == FAULT_RATE || problem->fault == FAULT_OVERLOADED ||
                       problem->fault == FAULT_UPSTREAM || problem->fault == FAULT_TIMEOUT;
    snprintf(headers, sizeof(headers), "Content-Type: application/json\r\n%s",
             problem->fault == FAULT_RATE ? "Retry-After: 1\r\n"
             : again                      ? ""
                                          : "x-should-retry: false\r\n");
    (void)model_problem_add(&body, protocol, problem); /* without memory it is empty */
    http_call_answer(client, model_fault_status(problem->fault), str_from(headers), body.len);
    http_call_send(client, buf_str(&body));
    http_call_finish(client);
    buf_release(&body);
}

static void fail(struct exchange *x, enum model_fault fault, const char *message)
{
    size_t len = strlen(x->message);
    if (!len)
        x->fault = fault;
    snprintf(x->message + len, sizeof(x->message) - len, "%s%s", len ? " " : "", message);
}

static void exchange_free(struct exchange *x)
{
    answer_stream_release(&x->stream);
    free(x);
}

/* Tells the client why, and is done with it. */
static void refuse(struct exchange *x)
{
    const struct model_sink *sink = x->all->options->sink;
    const struct model_problem problem = { x->fault, str_from(x->message),
                                           x->ceiling.dimension[0] ? &x->ceiling : NULL };
    sink->refused(sink->context, &x->record, x->fault, x->message);
    x->all->counts.refused++;
    answer_problem(x->client, x->endpoint->protocol, &problem);
    exchange_free(x);
}

/* --- settling -------------------------------------------------------------------------------- */

static void settle(struct exchange *x, enum model_end end)
{
    const struct model_sink *sink = x->all->options->sink;
    struct model_door_counts *counts = &x->all->counts;
    struct call_outcome outcome = { .end = end,
                                    .status = x->status,
                                    .sent_bytes = x->sent_bytes,
                                    .answer_bytes = x->answer_bytes,
                                    .reserved = x->cost };
    struct model_settlement settlement;
    if (!x->is_reserved)
        return;
    x->is_reserved = false;
    if (x->has_head)
        outcome.usage = usage_reader_result(&x->usage);
    settle_compute(&outcome, &settlement);
    route_use_end(&x->all->uses[x->choice.candidates[x->candidate].route]);
    counts->calls += settlement.calls;
    counts->input_tokens += settlement.input_tokens;
    counts->output_tokens += settlement.output_tokens;
    counts->prompt_bytes += x->record.route->is_hosted ? settlement.sent_bytes : 0;
    sink->settle(sink->context, &x->record, &settlement);
}

/* Leaves the provider, if one is being asked. */
static void leave(struct exchange *x)
{
    if (!x->provider)
        return;
    x->sent_bytes = upstream_sent(x->provider);
    upstream_cancel(TAKE_PTR(x->provider));
}

/* --- trying the candidates ------------------------------------------------------------------- */

static bool may_take(struct exchange *x, const struct model_route *route)
{
    const struct model_sink *sink = x->all->options->sink;
    char text[PROMPT_FAULT_SIZE > MODEL_REASON_SIZE ? PROMPT_FAULT_SIZE : MODEL_REASON_SIZE] = "";
    struct err why = { 0 };
    if (!prompt_estimate(&x->prompt, x->endpoint, route, x->record.prompt_bytes, &x->cost, text)) {
        fail(x, FAULT_REQUEST, text);
        return false;
    }
    x->record.reserved_calls = 1;
    x->record.reserved_tokens =
        x->cost.input > UINT64_MAX - x->cost.output ? UINT64_MAX : x->cost.input + x->cost.output;
    int r = sink->permit(sink->context, &x->record, text, &why);
    if (r > 0)
        return true;
    if (r < 0)
        snprintf(text, sizeof(text),
                 "It could not be decided whether the route may be used: %.300s", why.cause);
    fail(x, FAULT_DENIED, text);
    return false;
}

static bool reserve(struct exchange *x)
{
    const struct model_sink *sink = x->all->options->sink;
    char text[MESSAGE_SIZE / 2];
    struct err why = { 0 };
    int r = sink->reserve(sink->context, &x->record, &x->ceiling, &why);
    if (r == 0)
        return x->is_reserved = true;
    if (why.code == ERR_BUDGET) {
        snprintf(text, sizeof(text),
                 "The budget does not cover this call: of %s it may take up to %llu, and %llu are "
                 "left (%s).",
                 x->ceiling.dimension, (unsigned long long)x->ceiling.requested,
                 (unsigned long long)x->ceiling.left, x->ceiling.budget_ref);
        fail(x, FAULT_BUDGET, text);
    } else {
        x->ceiling.dimension[0] = '\0';
        snprintf(text, sizeof(text), "Nothing could be reserved for this call: %.300s", why.cause);
        fail(x, FAULT_INTERNAL, text);
    }
    return false;
}

/* Whether the request is on its way to a route's provider. */
static bool send_request(struct exchange *x, const struct model_route *route)
{
    struct exchanges *all = x->all;
    const struct references *references = all->options->references;
    char text[MESSAGE_SIZE / 2];
    struct forward forward;
    struct err why = { 0 };
    int r = 0;
    prompt_amend(&x->prompt, x->endpoint, route, x->record.upstream_model, &x->edits);
    if (!all->upstream)
        r = upstream_new(all->loop, references, &all->upstream, &why);
    if (r == 0)
        r = forward_make(http_call_request(x->client), x->endpoint, route, x->record.upstream_model,
                         &x->edits, references, &forward, &why);
    if (r == 0) {
        r = upstream_start(all->upstream, &forward.request, &x->calls, &x->provider, &why);
        forward_release(&forward);
    }
    if (r == 0)
        return true;
    settle(x, CALL_UNREACHABLE);
    snprintf(text, sizeof(text), "The provider %.*s could not be asked: %.300s.",
             STR_ARG(route->provider_ref), why.cause);
    fail(x, FAULT_UPSTREAM, text);
    return false;
}

/* Whether the candidate is being asked. */
static bool try_candidate(struct exchange *x)
{
    const struct route_candidate *candidate = &x->choice.candidates[x->candidate];
    const struct model_route *route = &x->all->options->routes[candidate->route];
    struct route_use *use = &x->all->uses[candidate->route];
    x->record.route = route;
    x->record.upstream_model = candidate->upstream_model;
    x->record.route_reason = candidate->reason;
    if (!route_use_has_room(use, route)) {
        fail(x, FAULT_RATE, "The binding's limit on calls is reached.");
        return false;
    }
    if (!may_take(x, route))
        return false;
    if (!reserve(x)) {
        x->candidate = x->choice.count; /* the same budget pays for all */
        return false;
    }
    route_use_begin(use);
    return send_request(x, route);
}

static void try_candidates(struct exchange *x)
{
    for (; x->candidate < x->choice.count; x->candidate++)
        if (try_candidate(x))
            return;
    refuse(x);
}

/* Of a hosted provider's name each address is asked about; a proxy's is the layers' own. */
static bool on_address(void *context, const struct address_range *address)
{
    struct exchange *x = context;
    const struct model_sink *sink = x->all->options->sink;
    return !sink->address || !x->record.route->is_hosted || x->record.route->proxy ||
           sink->address(sink->context, &x->record, address);
}

/* --- the provider's answer ------------------------------------------------------------------- */

/* Instead of what the provider answered, or did not. The exchange is no more after this. */
static void answer_for_provider(struct exchange *x, enum model_end end, enum model_fault fault,
                                const char *message)
{
    const struct model_problem problem = { fault, str_from(message), NULL };
    leave(x);
    settle(x, end);
    answer_problem(x->client, x->endpoint->protocol, &problem);
    exchange_free(x);
}

static void on_answer_head(void *context, const struct upstream_answer *answer)
{
    struct exchange *x = context;
    struct buf lines = BUF_INIT_LIMIT(UPSTREAM_HEAD_BYTES_MAX);
    struct forward_answer head;
    x->status = answer->status;
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
    usage_reader_init(&x->usage, x->endpoint->protocol, x->endpoint->kind, form);
    x->streams = form != ANSWER_DOCUMENT && !head.is_encoded && answer->status < 300;
    answer_stream_init(&x->stream, form, x->edits.asks_usage);
    http_call_answer(x->client, answer->status, buf_str(&lines),
                     x->streams ? HTTP_LENGTH_UNKNOWN : head.length);
    buf_release(&lines);
}

static bool on_answer_body(void *context, struct str bytes)
{
    struct exchange *x = context;
    struct str passed = bytes;
    if (http_call_is_full(x->client))
        return false;
    usage_reader_feed(&x->usage, bytes);
    if (x->streams && answer_stream_feed(&x->stream, bytes, &passed) < 0) {
        leave(x);
        settle(x, CALL_PROVIDER_CUT);
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
    const struct model_problem problem = { end == UPSTREAM_SILENT ? FAULT_TIMEOUT : FAULT_UPSTREAM,
                                           STR("The provider's answer ended before its end."),
                                           NULL };
    struct buf event = BUF_INIT;
    settle(x, end == UPSTREAM_SILENT ? CALL_TIMED_OUT : CALL_PROVIDER_CUT);
    if (x->streams && !answer_stream_is_within(&x->stream) &&
        model_problem_add_event(&event, x->endpoint->protocol, x->endpoint->kind, &problem) == 0) {
        http_call_send(x->client, buf_str(&event));
        http_call_finish(x->client);
    } else {
        http_call_break(x->client);
    }
    buf_release(&event);
    exchange_free(x);
}

static void end_whole(struct exchange *x)
{
    if (x->streams) {
        struct str rest = answer_stream_rest(&x->stream);
        x->answer_bytes += rest.len;
        http_call_send(x->client, rest);
    }
    settle(x, x->status >= 400 ? CALL_PROVIDER_REFUSED : CALL_COMPLETED);
    http_call_finish(x->client);
    exchange_free(x);
}

static void on_answer_ended(void *context, enum upstream_end end, uint64_t sent, const char *cause)
{
    struct exchange *x = context;
    char text[MESSAGE_SIZE / 2];
    x->provider = NULL;
    x->sent_bytes = sent;
    snprintf(text, sizeof(text), "The provider %.*s did not answer: %s.",
             STR_ARG(x->record.route->provider_ref), cause);
    if (x->has_head && end == UPSTREAM_WHOLE) {
        end_whole(x);
    } else if (x->has_head) {
        end_cut(x, end);
    } else if (end == UPSTREAM_UNREACHABLE) {
        settle(x, CALL_UNREACHABLE);
        fail(x, FAULT_UPSTREAM, text);
        x->candidate++;
        try_candidates(x);
    } else {
        answer_for_provider(x, end == UPSTREAM_SILENT ? CALL_TIMED_OUT : CALL_PROVIDER_CUT,
                            end == UPSTREAM_SILENT ? FAULT_TIMEOUT : FAULT_UPSTREAM, text);
    }
}

/* --- the client's request -------------------------------------------------------------------- */

/* What can be said by the head alone. Whether it is refused. */
static bool refuses_head(struct exchanges *all, const struct http_request *request,
                         const struct endpoint **ret_endpoint, struct model_problem *ret)
{
    bool is_other = false;
    *ret_endpoint = endpoint_find(request->method, request->path, &is_other);
    if (!own_answer_token_fits(request, all->options->token))
        *ret = (struct model_problem){ FAULT_TOKEN, STR("The key is not the one of this door."),
                                       NULL };
    else if (!all->options->route_count)
        *ret = (struct model_problem){
            FAULT_DENIED,
            STR("no model is bound to this run; prompts stay here. On the host, `agent-machine model "
                "bind` binds one."),
            NULL
        };
    else if (!*ret_endpoint && is_other)
        *ret =
            (struct model_problem){ FAULT_METHOD, STR("This place is for another method."), NULL };
    else if (!*ret_endpoint)
        *ret = (struct model_problem){ FAULT_NOT_FOUND, STR("There is no such place."), NULL };
    else if ((*ret_endpoint)->kind == ENDPOINT_REFUSED)
        *ret = (struct model_problem){
            FAULT_DENIED,
            STR("Models are not changed through the door: on the host, `agent-machine model pull` "
                "asks whoever may say so."),
            NULL
        };
    else
        return false;
    return true;
}

static void on_head(void *context, struct http_call *call)
{
    struct exchanges *all = context;
    const struct http_request *request = http_call_request(call);
    const struct endpoint *endpoint;
    struct model_problem problem;
    /* What has no body is whole at once, and its connection can go on. */
    if (!request->has_body || !refuses_head(all, request, &endpoint, &problem))
        return;
    all->counts.refused++;
    answer_problem(call, endpoint_protocol(request->path), &problem);
}

static void answer_own(struct exchanges *all, struct http_call *call,
                       const struct endpoint *endpoint)
{
    const struct http_request *request = http_call_request(call);
    struct buf body = BUF_INIT;
    const struct model_problem missing = { FAULT_NOT_FOUND,
                                           STR("No route answers this model name."), NULL };
    int r = own_answer_add(&body, endpoint, request->path, all->options->routes,
                           all->options->route_count);
    if (r < 0) {
        answer_problem(call, endpoint->protocol, &missing);
    } else {
        http_call_answer(call, 200, STR("Content-Type: application/json\r\n"), body.len);
        http_call_send(call, buf_str(&body));
        http_call_finish(call);
    }
    buf_release(&body);
}

/* Reads the body and looks for routes. Whether there is one. */
static bool begin(struct exchange *x, const struct http_request *request)
{
    char text[PROMPT_FAULT_SIZE];
    struct err why = { 0 };
    const struct model_door_options *options = x->all->options;
    x->record = (struct model_call){ .number = ++x->all->numbers,
                                     .endpoint = x->endpoint,
                                     .prompt_bytes = request->body.len };
    if (digest_text(request->body, x->digest, &why) < 0) {
        fail(x, FAULT_INTERNAL, why.cause);
        return false;
    }
    x->record.prompt_digest = x->digest;
    if (prompt_read(request->body, x->endpoint, &x->prompt, text) < 0) {
        fail(x, FAULT_REQUEST, text);
        return false;
    }
    x->record.model = str_from(x->prompt.model);
    routes_choose(options->routes, options->route_count, x->endpoint->protocol, x->record.model,
                  &x->choice);
    if (!x->choice.count)
        fail(x, x->choice.is_known ? FAULT_DENIED : FAULT_NOT_FOUND, x->choice.refusal);
    return x->choice.count > 0;
}

static void on_whole(void *context, struct http_call *call)
{
    struct exchanges *all = context;
    const struct http_request *request = http_call_request(call);
    const struct endpoint *endpoint;
    struct model_problem problem;
    if (refuses_head(all, request, &endpoint, &problem)) {
        all->counts.refused++;
        answer_problem(call, endpoint_protocol(request->path), &problem);
        return;
    }
    if (!endpoint->suffix) {
        answer_own(all, call, endpoint);
        return;
    }
    struct exchange *x = calloc(1, sizeof(*x));
    if (!x) {
        problem =
            (struct model_problem){ FAULT_INTERNAL, STR("There is not enough memory."), NULL };
        answer_problem(call, endpoint->protocol, &problem);
        return;
    }
    x->all = all;
    x->client = call;
    x->endpoint = endpoint;
    x->calls =
        (struct upstream_calls){ x, on_address, on_answer_head, on_answer_body, on_answer_ended };
    answer_stream_init(&x->stream, ANSWER_DOCUMENT, false);
    http_call_own(call, x);
    if (begin(x, request))
        try_candidates(x);
    else
        refuse(x);
}

static void on_drained(void *context, struct http_call *call)
{
    struct exchange *x = http_call_owner(call);
    (void)context;
    if (x && x->provider)
        upstream_go_on(x->provider);
}

static void on_gone(void *context, struct http_call *call)
{
    struct exchanges *all = context;
    struct exchange *x = http_call_owner(call);
    if (!x) /* its body never became whole */
        return;
    leave(x);
    settle(x, all->is_closing ? CALL_DOOR_CLOSED : CALL_CLIENT_GONE);
    exchange_free(x);
}

static void on_wrong(void *context, struct http_call *call, const struct http_fault *fault)
{
    struct exchanges *all = context;
    const struct model_problem problem = { FAULT_REQUEST, str_from(fault->reason), NULL };
    struct buf body = BUF_INIT;
    all->counts.refused++;
    (void)model_problem_add(&body, endpoint_protocol(http_call_request(call)->path), &problem);
    http_call_answer(call, fault->status,
                     STR("Content-Type: application/json\r\nx-should-retry: false\r\n"), body.len);
    http_call_send(call, buf_str(&body));
    http_call_finish(call);
    buf_release(&body);
}

/* --- all of them ----------------------------------------------------------------------------- */

int exchanges_new(const struct model_door_options *options, struct loop *loop,
                  struct exchanges **ret, struct err *err)
{
    struct exchanges *all = calloc(1, sizeof(*all));
    struct route_use *uses = calloc(options->route_count ? options->route_count : 1, sizeof(*uses));
    if (!all || !uses) {
        free(all);
        free(uses);
        return err_set(err, ERR_MEMORY, STEP_EXCHANGE, "there is not enough memory");
    }
    all->options = options;
    all->loop = loop;
    all->uses = uses;
    all->calls = (struct http_server_calls){ .context = all,
                                             .head = on_head,
                                             .whole = on_whole,
                                             .drained = on_drained,
                                             .gone = on_gone,
                                             .wrong = on_wrong };
    *ret = all;
    return 0;
}

void exchanges_free(struct exchanges *exchanges)
{
    if (!exchanges)
        return;
    upstream_free(exchanges->upstream);
    free(exchanges->uses);
    free(exchanges);
}

void exchanges_close(struct exchanges *exchanges)
{
    exchanges->is_closing = true;
}

const struct http_server_calls *exchanges_calls(const struct exchanges *exchanges)
{
    return &exchanges->calls;
}

struct model_door_counts exchanges_counts(const struct exchanges *exchanges)
{
    return exchanges->counts;
}

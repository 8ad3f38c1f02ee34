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

#include "doors/model/exchange_internal.h"
#include "doors/model/own_answer.h"

#define STEP_EXCHANGE "answer a client"

/* --- refusing -------------------------------------------------------------------------------- */

void exchange_answer_problem(struct http_call *client, enum model_protocol protocol,
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

void exchange_tell_cut(struct exchange *x, enum model_fault fault, const char *message)
{
    const struct model_problem problem = { fault, str_from(message), NULL };
    struct buf event = BUF_INIT;
    if (!x->streams) {
        exchange_answer_problem(x->client, x->endpoint->protocol, &problem);
    } else if (model_problem_add_event(&event, x->endpoint->protocol, x->endpoint->kind,
                                       &problem) == 0) {
        http_call_send(x->client, buf_str(&event));
        http_call_finish(x->client);
    } else {
        http_call_break(x->client);
    }
    buf_release(&event);
    exchange_free(x);
}

void exchange_fail(struct exchange *x, enum model_fault fault, const char *message)
{
    size_t len = strlen(x->message);
    if (!len)
        x->fault = fault;
    snprintf(x->message + len, sizeof(x->message) - len, "%s%s", len ? " " : "", message);
}

void exchange_free(struct exchange *x)
{
    loop_timer_stop(x->all->loop, &x->again);
    answer_stream_release(&x->stream);
    translation_free(x->translation);
    buf_release(&x->masked);
    buf_release(&x->body);
    buf_release(&x->collected);
    free(x);
}

void exchange_refuse(struct exchange *x)
{
    const struct model_sink *sink = x->all->options->sink;
    const struct model_problem problem = { x->fault, str_from(x->message),
                                           x->ceiling.dimension[0] ? &x->ceiling : NULL };
    sink->refused(sink->context, &x->record, x->fault, x->message);
    x->all->counts.refused++;
    exchange_answer_problem(x->client, x->endpoint->protocol, &problem);
    exchange_free(x);
}

/* --- settling -------------------------------------------------------------------------------- */

void exchange_settle(struct exchange *x, enum model_end end)
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
    route_use_end(exchange_use(x));
    counts->calls += settlement.calls;
    counts->input_tokens += settlement.input_tokens;
    counts->output_tokens += settlement.output_tokens;
    counts->prompt_bytes += x->record.route->is_hosted ? settlement.sent_bytes : 0;
    sink->settle(sink->context, &x->record, &settlement);
}

void exchange_leave(struct exchange *x)
{
    if (!x->provider)
        return;
    x->sent_bytes = x->sent_before + upstream_sent(x->provider);
    upstream_cancel(TAKE_PTR(x->provider));
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
        *ret = (struct model_problem){ FAULT_DENIED,
                                       STR("no model is bound to this run; prompts stay here. On "
                                           "the host, `agent-machine model "
                                           "bind` binds one."),
                                       NULL };
    else if (!*ret_endpoint && is_other)
        *ret =
            (struct model_problem){ FAULT_METHOD, STR("This place is for another method."), NULL };
    else if (!*ret_endpoint)
        *ret = (struct model_problem){ FAULT_NOT_FOUND, STR("There is no such place."), NULL };
    else if ((*ret_endpoint)->kind == ENDPOINT_REFUSED)
        *ret = (struct model_problem){ FAULT_DENIED, str_from((*ret_endpoint)->suffix), NULL };
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
    exchange_answer_problem(call, endpoint_protocol(request->path), &problem);
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
        exchange_answer_problem(call, endpoint->protocol, &missing);
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
        exchange_fail(x, FAULT_INTERNAL, why.cause);
        return false;
    }
    x->record.prompt_digest = x->digest;
    if (prompt_read(request->body, x->endpoint, &x->prompt, text) < 0) {
        exchange_fail(x, FAULT_REQUEST, text);
        return false;
    }
    x->record.model = str_from(x->prompt.model);
    x->place = x->endpoint;
    routes_choose(options->routes, options->route_count, x->endpoint, x->record.model, &x->choice);
    if (!x->choice.count)
        exchange_fail(x, x->choice.fault, x->choice.refusal);
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
        exchange_answer_problem(call, endpoint_protocol(request->path), &problem);
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
        exchange_answer_problem(call, endpoint->protocol, &problem);
        return;
    }
    x->all = all;
    x->client = call;
    x->endpoint = endpoint;
    exchange_set_calls(x);
    x->masked = BUF_INIT_LIMIT(2 * HTTP_BODY_BYTES_MAX);
    x->body = BUF_INIT_LIMIT(TRANSLATION_BODY_MAX);
    x->collected = BUF_INIT_LIMIT(TRANSLATION_BODY_MAX);
    answer_stream_init(&x->stream, ANSWER_DOCUMENT, false);
    http_call_own(call, x);
    if (begin(x, request))
        exchange_try(x);
    else
        exchange_refuse(x);
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
    exchange_leave(x);
    exchange_settle(x, all->is_closing ? CALL_DOOR_CLOSED : CALL_CLIENT_GONE);
    exchange_free(x);
}

static void on_wrong(void *context, struct http_call *call, const struct http_fault *fault)
{
    struct exchanges *all = context;
    struct model_problem problem = { FAULT_REQUEST, str_from(fault->reason), NULL };
    struct buf body = BUF_INIT;
    char text[160];
    if (fault->status == 413) {
        snprintf(
            text, sizeof(text),
            "The body is too long: what a call may cost, and where it may go, is known when all "
            "of it is there, and the door holds one of %zu MiB at most.",
            HTTP_BODY_BYTES_MAX >> 20);
        problem = (struct model_problem){ FAULT_TOO_LARGE, str_from(text), NULL };
    } else if (fault->status == 503) {
        problem.fault = FAULT_OVERLOADED;
    }
    all->counts.refused++;
    (void)model_problem_add(&body, endpoint_protocol(http_call_request(call)->path), &problem);
    http_call_answer(call, fault->status,
                     STR("Content-Type: application/json\r\nx-should-retry: false\r\n"), body.len);
    http_call_send(call, buf_str(&body));
    http_call_finish(call);
    buf_release(&body);
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Bindings of one provider have its limits in common. */
static void share_uses(struct exchanges *all)
{
    const struct model_route *routes = all->options->routes;
    for (size_t i = 0; i < all->options->route_count; i++) {
        size_t first = 0;
        while (!str_equal(routes[first].provider_ref, routes[i].provider_ref))
            first++;
        all->use_of[i] = &all->uses[first];
    }
}

struct route_use *exchange_use(const struct exchange *x)
{
    return x->all->use_of[x->choice.candidates[x->candidate].route];
}

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
    share_uses(all);
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
    redact_scanner_free(exchanges->scanner);
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

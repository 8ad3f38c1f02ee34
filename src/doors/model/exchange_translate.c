/*
 * exchange_translate: an exchange whose client and provider speak different protocols.
 *
 * Theory of operation. Before a candidate is asked about and paid for, the client's request is
 * written anew for it (translate/translation.h); from then on that is the body: it is what is
 * looked through for secrets, estimated, amended and sent, without the client's headers. Of the
 * provider's answer whole events, or the whole document, go through the translation; usage is read
 * from what the provider says, as ever. What it refuses is told in the client's words.
 *
 * Invariant: nothing is sent of a request that cannot be carried over whole.
 */
#include "base/clock.h"
#include "doors/model/exchange_internal.h"

#define REFUSAL_BYTES_MAX   65536 /* of a provider's refusal that is read for its sentence */
#define BYTES_FOR_ONE_TOKEN 4     /* of an estimate */

/* --- the request ----------------------------------------------------------------------------- */

struct str exchange_body(const struct exchange *x)
{
    return x->translation ? buf_str(&x->body) : http_call_request(x->client)->body;
}

/* What was found out about another body is forgotten. */
static void forget(struct exchange *x)
{
    translation_free(TAKE_PTR(x->translation));
    buf_reset(&x->body);
    buf_reset(&x->masked);
    x->record.secrets = NULL;
}

static int translate(struct exchange *x, const struct model_route *route, char *ret_text)
{
    int64_t now_ms = clock_now_ms();
    uint64_t number = (uint64_t)now_ms << 20 | (x->record.number & 0xfffff);
    return translation_new(x->endpoint, x->place, route, http_call_request(x->client)->body, number,
                           now_ms / 1000, &x->translation, &x->body, ret_text);
}

/* Where a candidate is asked: at another place than should be, once it has turned out so. */
static const struct endpoint *choose_place(struct exchange *x,
                                           const struct route_candidate *candidate)
{
    const struct model_route *route = &x->all->options->routes[candidate->route];
    bool lacks = exchange_use(x)->lacks >> x->endpoint->kind & 1;
    const struct endpoint *other =
        lacks || x->elsewhere == x->candidate + 1 ? translation_instead(x->endpoint, route) : NULL;
    size_t len = strlen(x->reason);
    if (!other || candidate->place != x->endpoint)
        return candidate->place;
    snprintf(x->reason + len, sizeof(x->reason) - len,
             " Its provider does not know %s; what the client asks is translated to %s.",
             x->endpoint->path, translation_words(other));
    return other;
}

bool exchange_translate(struct exchange *x, const struct route_candidate *candidate)
{
    char text[TRANSLATION_FAULT_SIZE] = "";
    const struct endpoint *before = x->place;
    x->place = choose_place(x, candidate);
    if (before == x->place && x->place == x->endpoint)
        return true;
    forget(x);
    int r = x->place == x->endpoint
                ? 0
                : translate(x, &x->all->options->routes[candidate->route], text);
    if (r < 0)
        exchange_fail(x,
                      r == -EBADMSG      ? FAULT_REQUEST
                      : r == -EOPNOTSUPP ? FAULT_UNSUPPORTED
                                         : FAULT_TOO_LARGE,
                      text);
    else if ((r = prompt_read(exchange_body(x), x->place, &x->prompt, text)) < 0)
        exchange_fail(x, FAULT_REQUEST, text);
    return r == 0;
}

bool exchange_turns_elsewhere(struct exchange *x)
{
    struct route_use *use = exchange_use(x);
    bool is_unknown = x->status == 404 || x->status == 405;
    /* A model that is not there is not there at the other place either: then nothing was learnt. */
    if (x->translation && x->elsewhere == x->candidate + 1 && !is_unknown)
        use->lacks |= 1u << x->endpoint->kind;
    if (x->translation || !is_unknown || !translation_instead(x->endpoint, x->record.route) ||
        loop_timer_set(x->all->loop, &x->again, clock_passed_ms()) < 0)
        return false;
    exchange_leave(x);
    exchange_settle(x, CALL_PROVIDER_REFUSED);
    x->elsewhere = x->candidate + 1;
    return true;
}

bool exchange_estimates(struct exchange *x)
{
    char body[96];
    if (!x->translation || x->endpoint->kind != ENDPOINT_COUNT)
        return false;
    snprintf(body, sizeof(body), "{\"input_tokens\":%zu,\"estimated\":true}",
             (x->body.len + BYTES_FOR_ONE_TOKEN - 1) / BYTES_FOR_ONE_TOKEN);
    http_call_answer(x->client, 200, STR("Content-Type: application/json\r\n"), strlen(body));
    http_call_send(x->client, str_from(body));
    http_call_finish(x->client);
    exchange_free(x);
    return true;
}

/* --- the answer ------------------------------------------------------------------------------ */

void exchange_translate_head(struct exchange *x, enum answer_form form)
{
    char lines[96];
    x->has_head = true;
    x->has_events = form == ANSWER_EVENTS && x->status < 300;
    x->streams = translation_streams(x->translation) && x->status < 300;
    usage_reader_init(&x->usage, x->place->protocol, x->place->kind, form);
    answer_stream_init(&x->stream, form, false);
    if (!x->streams)
        return; /* what is answered is known at the end */
    snprintf(lines, sizeof(lines), "Content-Type: %s\r\nCache-Control: no-cache\r\n",
             translation_type(x->translation));
    http_call_answer(x->client, 200, str_from(lines), HTTP_LENGTH_UNKNOWN);
}

static void send_on(struct exchange *x, struct str bytes)
{
    x->answer_bytes += bytes.len;
    http_call_send(x->client, bytes);
}

/* What there is for the client is sent; a fault ends the exchange. Whether it goes on. */
static bool pass_on(struct exchange *x, int r, struct str out, const char *fault)
{
    if (x->streams && out.len)
        send_on(x, out);
    if (r == 0)
        return true;
    exchange_leave(x);
    exchange_settle(x, CALL_PROVIDER_CUT);
    exchange_tell_cut(x, FAULT_UPSTREAM, fault);
    return false;
}

static bool pass_events(struct exchange *x, struct str events, bool is_within)
{
    char fault[TRANSLATION_FAULT_SIZE] = "An event of the provider's answer is too long.";
    struct str out = STR("");
    int r = is_within ? -EBADMSG : translation_feed(x->translation, true, events, &out, fault);
    return pass_on(x, r, out, fault);
}

void exchange_translate_body(struct exchange *x, struct str bytes)
{
    struct str events = STR("");
    if (x->has_events) {
        int r = answer_stream_feed(&x->stream, bytes, &events);
        pass_events(x, events, r < 0 || answer_stream_is_within(&x->stream));
        return;
    }
    size_t most = x->status < 300 ? TRANSLATION_BODY_MAX : REFUSAL_BYTES_MAX;
    size_t room = most - x->collected.len;
    buf_add_str(&x->collected, bytes.len < room ? bytes : str_make(bytes.ptr, room));
}

/* In the client's words: the status says which fault it is. */
static void tell_refusal(struct exchange *x)
{
    static const struct {
        unsigned status;
        enum model_fault fault;
    } faults[] = { { 401, FAULT_DENIED },     { 403, FAULT_DENIED },    { 404, FAULT_NOT_FOUND },
                   { 408, FAULT_TIMEOUT },    { 413, FAULT_TOO_LARGE }, { 429, FAULT_RATE },
                   { 503, FAULT_OVERLOADED }, { 529, FAULT_OVERLOADED } };
    struct buf text = BUF_INIT_LIMIT(2 * REFUSAL_BYTES_MAX);
    struct model_problem problem = { x->status < 500 ? FAULT_REQUEST : FAULT_UPSTREAM, STR(""),
                                     NULL };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        if (faults[i].status == x->status)
            problem.fault = faults[i].fault;
    buf_addf(&text, "The provider refuses with status %u. ", x->status);
    translation_add_refusal(buf_str(&x->collected), &text);
    problem.message = buf_str(&text);
    exchange_settle(x, CALL_PROVIDER_REFUSED);
    exchange_answer_problem(x->client, x->endpoint->protocol, &problem);
    exchange_free(x);
    buf_release(&text);
}

void exchange_translate_whole(struct exchange *x)
{
    char fault[TRANSLATION_FAULT_SIZE] = "";
    struct str out = STR("");
    if (x->status >= 300) {
        tell_refusal(x);
        return;
    }
    if (x->has_events) {
        if (!pass_events(x, answer_stream_rest(&x->stream), false))
            return;
    } else {
        int r = translation_feed(x->translation, false, buf_str(&x->collected), &out, fault);
        if (!pass_on(x, r, out, fault))
            return;
    }
    int r = translation_end(x->translation, &out, fault);
    if (!pass_on(x, r, out, fault))
        return;
    if (!x->streams) {
        http_call_answer(x->client, 200, STR("Content-Type: application/json\r\n"), out.len);
        send_on(x, out);
    }
    exchange_settle(x, CALL_COMPLETED);
    http_call_finish(x->client);
    exchange_free(x);
}

/*
 * forward: see the header.
 *
 * Theory of operation. The request is made anew: address, headers and body are
 * each put together from the parts that were read, and nothing is copied off the
 * wire. The lists of what stays behind are const; of the names that a client's
 * Connection header lists, none goes on either.
 *
 * Invariants: a local route leads nowhere but to this machine; the credential stands in one line,
 * which is wiped with the rest; no header of the client's that could be a key or a cookie leaves;
 * the provider is asked not to compress, since usage is read in passing.
 *
 * Threats: a client that puts line ends into a value (the reader refuses them), or
 * names the credential's header in its Connection header (the credential is not
 * the client's header and stays).
 */
#include "doors/model/forward.h"

#include <strings.h>

#define STEP_FORWARD      "make the request for the model provider"
#define URL_BYTES_MAX     16384
#define AZURE_API_VERSION "2024-10-21"

static int too_long(struct err *err)
{
    return err_set(err, ERR_LIMIT, STEP_FORWARD, "the request is too long to be sent on");
}

/* --- the address ----------------------------------------------------------------------------- */

static struct str without(struct str base, struct str ending)
{
    return str_ends(base, ending) ? str_make(base.ptr, base.len - ending.len) : base;
}

static bool has_path(struct str base)
{
    size_t authority = str_index(base, ':', 0) + 3;
    return str_index(base, '/', authority) < base.len;
}

static void add_escaped(struct buf *url, struct str text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] && strchr(plain, text.ptr[i]))
            buf_add_char(url, text.ptr[i]);
        else
            buf_addf(url, "%%%02X", (unsigned char)text.ptr[i]);
    }
}

static void add_azure(struct buf *url, struct str base, const struct endpoint *endpoint,
                      struct str model)
{
    base = without(without(base, STR("/v1")), STR("/openai"));
    buf_add_str(url, base);
    if (endpoint->kind == ENDPOINT_RESPONSES) {
        buf_addf(url, "/openai/v1%s", endpoint->suffix);
        return;
    }
    buf_add_text(url, "/openai/deployments/");
    add_escaped(url, model);
    buf_addf(url, "%s?api-version=" AZURE_API_VERSION, endpoint->suffix);
}

int forward_address(const struct model_route *route, const struct endpoint *endpoint,
                    struct str upstream_model, struct str query, struct buf *ret)
{
    struct str base = route->base_url;
    while (str_ends(base, STR("/")))
        base.len--;
    if (route->provider->address == ADDRESS_DEPLOYMENT) {
        add_azure(ret, base, endpoint, upstream_model);
    } else if (endpoint->protocol == MODEL_OLLAMA) {
        buf_add_str(ret, without(without(base, STR("/v1")), STR("/api")));
        buf_addf(ret, "/api%s", endpoint->suffix);
    } else if (endpoint->protocol == MODEL_ANTHROPIC || route->provider->address == ADDRESS_BARE) {
        buf_add_str(ret, without(without(base, STR("/api")), STR("/v1")));
        buf_addf(ret, "/v1%s", endpoint->suffix);
    } else {
        buf_add_str(ret, base);
        buf_addf(ret, "%s%s", has_path(base) ? "" : "/v1", endpoint->suffix);
    }
    if (query.len) {
        buf_add_char(ret, memchr(ret->data, '?', ret->len) ? '&' : '?');
        buf_add_str(ret, query);
    }
    return ret->error;
}

/* --- headers --------------------------------------------------------------------------------- */

/* A name that ends in "*" stands for all that begin with what is before it. */
static bool is_listed(struct str name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(list[i]);
        bool begins = list[i][len - 1] == '*';
        if (begins ? name.len >= len - 1 && strncasecmp(name.ptr, list[i], len - 1) == 0
                   : http_name_equal(name, str_from(list[i])))
            return true;
    }
    return false;
}

/* Whether a Connection header names it as one of the connection's own. */
static bool is_of_connection(const struct http_request *client, struct str name)
{
    for (size_t i = 0; i < client->header_count; i++) {
        struct str list = client->headers[i].value;
        if (!http_name_equal(client->headers[i].name, STR("connection")))
            continue;
        for (size_t from = 0; from < list.len;) {
            size_t to = str_index(list, ',', from);
            struct str word = str_make(list.ptr + from, to - from);
            while (word.len && word.ptr[0] == ' ')
                word = str_from_offset(word, 1);
            while (word.len && word.ptr[word.len - 1] == ' ')
                word.len--;
            if (http_name_equal(word, name))
                return true;
            from = to + 1;
        }
    }
    return false;
}

static bool goes_on(const struct http_request *client, struct str name)
{
    static const char *const stays[] = {
        /* of the connection */
        "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
        "http2-settings", "proxy-*", "host", "content-length", "expect", "via", "forwarded",
        "x-forwarded-*", "x-real-ip", "accept-encoding", "content-encoding",
        /* keys, and whose account they are of */
        "authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "cookie2",
        "openai-organization", "openai-project", "chatgpt-account-id", "x-amz-*",
        "anthropic-dangerous-direct-*",
        /* of a browser */
        "origin", "referer", "sec-*"
    };
    return !is_listed(name, stays, ARRAY_LEN(stays)) && !is_of_connection(client, name);
}

/* A line, as an offset into `lines` for the time being. */
static int begin_line(struct forward *forward)
{
    if (forward->request.header_count == UPSTREAM_HEADERS_MAX)
        return -EMSGSIZE;
    forward->request.headers[forward->request.header_count].len = forward->lines.len;
    forward->request.header_count++;
    return 0;
}

static int add_line(struct forward *forward, struct str name, struct str value)
{
    int r = begin_line(forward);
    buf_add_str(&forward->lines, name);
    /* A header without a value: libcurl takes a semicolon for that. */
    buf_add_text(&forward->lines, value.len ? ": " : ";");
    buf_add_str(&forward->lines, value);
    return r < 0 ? r : forward->lines.error;
}

static int add_client_headers(struct forward *forward, const struct http_request *client,
                              const struct endpoint *endpoint)
{
    bool has_type = false, has_version = false;
    int r = 0;
    for (size_t i = 0; i < client->header_count && r == 0; i++) {
        const struct http_header *header = &client->headers[i];
        if (!goes_on(client, header->name))
            continue;
        has_type |= http_name_equal(header->name, STR("content-type"));
        has_version |= http_name_equal(header->name, STR("anthropic-version"));
        r = add_line(forward, header->name, header->value);
    }
    if (r == 0 && !has_type)
        r = add_line(forward, STR("Content-Type"), STR("application/json"));
    if (r == 0 && !has_version && endpoint->protocol == MODEL_ANTHROPIC)
        r = add_line(forward, STR("anthropic-version"), STR("2023-06-01"));
    return r == 0 ? add_line(forward, STR("Accept-Encoding"), STR("identity")) : r;
}

static bool can_be_shown(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x21 || value.ptr[i] == 0x7f)
            return false;
    return value.len > 0;
}

/* The name of the header in which it is shown, with what stands before it. */
static const char *credential_name(const struct endpoint *endpoint, const struct model_route *route,
                                   enum secret_scheme scheme)
{
    if (scheme != SECRET_KEY)
        return "Authorization: Bearer ";
    return route->provider->credential == CREDENTIAL_API_KEY ? "api-key: "
           : endpoint->protocol == MODEL_ANTHROPIC           ? "x-api-key: "
                                                             : "Authorization: Bearer ";
}

/* What a log-in is shown with. */
static int add_account(struct forward *forward, const struct secret *secret)
{
    struct str account = secret_account(secret);
    if (secret_scheme(secret) == SECRET_CLAUDE_ACCOUNT)
        return add_line(forward, STR("anthropic-beta"), STR("oauth-2025-04-20"));
    return account.len ? add_line(forward, STR("chatgpt-account-id"), account) : 0;
}

static int add_credential(struct forward *forward, const struct endpoint *endpoint,
                          const struct model_route *route, const struct references *references,
                          struct err *err)
{
    struct secret *secret = NULL;
    if (!route->credential_ref.len)
        return 0;
    int r = references_secret(references, route->credential_ref, &secret, err);
    if (r < 0)
        return r;
    if (!can_be_shown(secret_value(secret))) {
        r = err_set(err, ERR_DOCUMENT, STEP_FORWARD,
                    "the secret is empty, or has characters that a header cannot carry");
    } else {
        r = begin_line(forward);
        buf_add_text(&forward->lines, credential_name(endpoint, route, secret_scheme(secret)));
        buf_add_str(&forward->lines, secret_value(secret));
        if (r == 0)
            r = add_account(forward, secret);
        if (r < 0 || forward->lines.error)
            r = too_long(err);
    }
    secret_free(secret);
    return r;
}

/*
 * Whether a base address is one for its route: a local route leads to this machine alone, and
 * prompts leave it by TLS alone. 1: this machine, 0: beyond it.
 */
static int where_to(const struct model_route *route, struct err *err)
{
    int r = url_is_loopback(route->base_url, err);
    if (r < 0)
        return r;
    if (r == 0 && !route->is_hosted)
        return err_set(err, ERR_DENIED, STEP_FORWARD,
                       "its route is local, and its address is beyond this machine");
    if (r == 0 && !str_starts(route->base_url, STR("https://")))
        return err_set(err, ERR_DENIED, STEP_FORWARD, "prompts leave this machine by https alone");
    return r;
}

/* --- the request ----------------------------------------------------------------------------- */

static void add_pieces(struct upstream_request *request, struct str body,
                       const struct prompt_edits *edits)
{
    uint64_t at = 0;
    static_assert(UPSTREAM_PIECES_MAX > 2 * PROMPT_EDITS_MAX, "a piece before and for each edit");
    for (size_t i = 0; i < edits->count; i++) {
        const struct prompt_edit *edit = &edits->edits[i];
        request->pieces[request->piece_count++] = str_make(body.ptr + at, edit->from - at);
        request->pieces[request->piece_count++] = str_from(edit->text);
        at = edit->to;
    }
    request->pieces[request->piece_count++] = str_from_offset(body, at);
}

int forward_make(const struct http_request *client, const struct endpoint *endpoint,
                 const struct model_route *route, struct str upstream_model,
                 const struct prompt_edits *edits, const struct references *references,
                 struct forward *ret, struct err *err)
{
    struct upstream_request *request = &ret->request;
    *ret = (struct forward){ .url = BUF_INIT_LIMIT(URL_BYTES_MAX),
                             .lines = BUF_INIT_LIMIT(2 * HTTP_HEAD_BYTES_MAX + SECRET_BYTES_MAX) };
    /* Room for all that may come: the bytes of a secret are never left behind by a move. */
    int here = where_to(route, err), r = 0;
    if (here < 0)
        return here;
    if (route->credential_ref.len && !buf_reserve(&ret->lines, ret->lines.limit))
        r = -ENOMEM;
    if (r == 0)
        r = add_client_headers(ret, client, endpoint);
    if (r == 0)
        r = forward_address(route, endpoint, upstream_model, client->query, &ret->url);
    r = r < 0 ? too_long(err) : add_credential(ret, endpoint, route, references, err);
    if (r < 0) {
        forward_release(ret);
        return r;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        size_t from = request->headers[i].len;
        size_t to = i + 1 < request->header_count ? request->headers[i + 1].len : ret->lines.len;
        request->headers[i] = str_make(ret->lines.data + from, to - from);
    }
    request->url = ret->url.data;
    request->proxy = here ? NULL : route->proxy;
    request->addresses = route->addresses;
    request->address_count = route->address_count;
    add_pieces(request, client->body, edits);
    return 0;
}

void forward_release(struct forward *forward)
{
    if (forward->lines.capacity)
        explicit_bzero(forward->lines.data, forward->lines.len);
    buf_release(&forward->lines);
    buf_release(&forward->url);
}

/* --- the answer ------------------------------------------------------------------------------ */

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || (unsigned char)name.ptr[i] >= 0x7f)
            return false;
    return name.len > 0;
}

static bool has_controls(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.ptr[i] < ' ' && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
            return true;
    return false;
}

int forward_answer_head(struct str headers, struct buf *ret_lines, struct forward_answer *ret)
{
    static const char *const stays[] = {
        "connection",
        "keep-alive",
        "proxy-*",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "set-cookie*",
        "alt-svc",
        "strict-transport-security",
        "www-authenticate",
        "location",
        "via",
        "openai-organization",
        "openai-project",
        "anthropic-organization-id",
        "report-to",
        "nel",
    };
    *ret = (struct forward_answer){ .content_type = STR(""), .length = UINT64_MAX };
    for (size_t from = 0; from < headers.len;) {
        size_t to = str_index(headers, '\n', from);
        struct str line = str_make(headers.ptr + from, to - from);
        from = to + 1;
        while (line.len && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' '))
            line.len--;
        size_t colon = str_index(line, ':', 0);
        struct str name = str_make(line.ptr, colon), value = str_from_offset(line, colon + 1);
        while (value.len && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
            value = str_from_offset(value, 1);
        if (http_name_equal(name, STR("content-type")))
            ret->content_type = value;
        if (http_name_equal(name, STR("content-encoding")))
            ret->is_encoded = !http_name_equal(value, STR("identity"));
        if (http_name_equal(name, STR("content-length")) && value.len && value.len < 19)
            ret->length = strtoull(value.ptr, NULL, 10); /* a line end follows it */
        if (!is_name(name) || colon == line.len || has_controls(value) ||
            is_listed(name, stays, ARRAY_LEN(stays)))
            continue;
        buf_add_str(ret_lines, line);
        buf_add_text(ret_lines, "\r\n");
    }
    return ret_lines->error;
}

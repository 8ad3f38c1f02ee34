/*
 * prompt: see the header.
 *
 * Theory of operation. One scan over the body (json_scan.h). Which members
 * matter stands in a table, by endpoint; what must not stand twice is noted by a
 * bit. The provider reads the same bytes with a reader of its own: a member that
 * stands twice, or is written in other letters (which some readers take for the
 * same), could mean one thing here and another there, and is refused.
 *
 * The body is amended by edits: bytes that take the place of others. What is not
 * edited leaves as it came.
 *
 * Invariants: an estimate is never below what the bytes and the limits allow, sums
 * that would overflow stay at their greatest; edits do not overlap and are in the
 * order of the body.
 */
#include "doors/model/prompt.h"

#include <strings.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "doors/model/json_scan.h"

enum member {
    MEMBER_MODEL,
    MEMBER_STREAM,
    MEMBER_STORE,
    MEMBER_LIMIT,
    MEMBER_LIMIT_OLD,
    MEMBER_ANSWERS,
    MEMBER_BEST_OF,
    MEMBER_STREAM_OPTIONS,
    MEMBER_INCLUDE_USAGE,
    MEMBER_OPTIONS,
    MEMBER_PREDICT,
};

#define CHAT       (1u << ENDPOINT_CHAT)
#define COMPLETION (1u << ENDPOINT_COMPLETION)
#define RESPONSES  (1u << ENDPOINT_RESPONSES)
#define MESSAGES   (1u << ENDPOINT_MESSAGES)
#define ANY        (~0u)

static const struct {
    enum member member;
    enum model_protocol protocol;
    unsigned kinds; /* bits, by endpoint_kind */
    const char *path;
} members[] = {
    { MEMBER_MODEL, MODEL_OPENAI, ANY, "model" },
    { MEMBER_MODEL, MODEL_ANTHROPIC, ANY, "model" },
    { MEMBER_MODEL, MODEL_OLLAMA, ANY, "model" },
    { MEMBER_STREAM, MODEL_OPENAI, ANY, "stream" },
    { MEMBER_STREAM, MODEL_ANTHROPIC, ANY, "stream" },
    { MEMBER_STREAM, MODEL_OLLAMA, ANY, "stream" },
    { MEMBER_STORE, MODEL_OPENAI, CHAT | RESPONSES, "store" },
    { MEMBER_LIMIT, MODEL_OPENAI, CHAT, "max_completion_tokens" },
    { MEMBER_LIMIT_OLD, MODEL_OPENAI, CHAT, "max_tokens" },
    { MEMBER_LIMIT, MODEL_OPENAI, COMPLETION, "max_tokens" },
    { MEMBER_LIMIT, MODEL_OPENAI, RESPONSES, "max_output_tokens" },
    { MEMBER_LIMIT, MODEL_ANTHROPIC, MESSAGES, "max_tokens" },
    { MEMBER_ANSWERS, MODEL_OPENAI, CHAT | COMPLETION, "n" },
    { MEMBER_BEST_OF, MODEL_OPENAI, COMPLETION, "best_of" },
    { MEMBER_STREAM_OPTIONS, MODEL_OPENAI, CHAT | COMPLETION, "stream_options" },
    { MEMBER_INCLUDE_USAGE, MODEL_OPENAI, CHAT | COMPLETION, "stream_options/include_usage" },
    { MEMBER_OPTIONS, MODEL_OLLAMA, CHAT | COMPLETION, "options" },
    { MEMBER_PREDICT, MODEL_OLLAMA, CHAT | COMPLETION, "options/num_predict" },
};

struct reading {
    const struct endpoint *endpoint;
    struct prompt *prompt;
    char *fault;
    unsigned seen; /* bits, by member */
    uint64_t best_of, prompts;
    bool is_object;
};

static void fault(struct reading *reading, const char *member, const char *what)
{
    if (!reading->fault[0])
        snprintf(reading->fault, PROMPT_FAULT_SIZE, "The member `%s` %s.", member, what);
}

/* --- members --------------------------------------------------------------------------------- */

static void take_model(struct reading *reading, const struct json_scan_value *value)
{
    struct prompt *prompt = reading->prompt;
    if (value->kind != SCAN_STRING || !value->text.len || value->is_cut ||
        value->text.len > MODEL_NAME_BYTES_MAX || memchr(value->text.ptr, 0, value->text.len)) {
        fault(reading, "model", "has to be a name of 1 to 200 bytes");
        return;
    }
    memcpy(prompt->model, value->text.ptr, value->text.len);
    prompt->model_at = (struct prompt_place){ value->from, value->to };
}

/* A limit of Ollama may say that there is none, by a negative number. */
static void take_limit(struct reading *reading, const struct json_scan_value *value,
                       const char *path, bool may_be_none)
{
    struct prompt *prompt = reading->prompt;
    uint64_t limit = 0;
    bool is_none = value->kind == SCAN_NULL ||
                   (may_be_none && value->kind == SCAN_NUMBER && value->text.ptr[0] == '-');
    if (!is_none && (!json_scan_unsigned(value, &limit) || limit > PROMPT_OUTPUT_TOKENS_MAX)) {
        fault(reading, path, "has to be a whole number of tokens");
        return;
    }
    if (is_none) {
        if (!prompt->limit_at.to)
            prompt->limit_at = (struct prompt_place){ value->from, value->to };
        return;
    }
    prompt->has_limit = true;
    if (limit > prompt->limit)
        prompt->limit = limit;
}

static void take_answers(struct reading *reading, const struct json_scan_value *value,
                         const char *path, uint64_t *ret)
{
    uint64_t count;
    if (value->kind == SCAN_NULL)
        return;
    if (!json_scan_unsigned(value, &count) || !count || count > PROMPT_ANSWERS_MAX)
        fault(reading, path, "has to be a number of answers");
    else
        *ret = count;
}

static void take_stream_options(struct prompt *prompt, const struct json_scan_value *value)
{
    prompt->stream_options_is_object = value->kind == SCAN_OBJECT;
    prompt->stream_options_is_empty = true;
    prompt->stream_options_at =
        (struct prompt_place){ value->kind == SCAN_OBJECT ? value->to : value->from, value->to };
}

static void take_member(struct reading *reading, enum member member, const char *path,
                        const struct json_scan_value *value)
{
    struct prompt *prompt = reading->prompt;
    if (reading->seen & (1u << member)) {
        fault(reading, path, "stands twice");
        return;
    }
    reading->seen |= 1u << member;
    switch (member) {
    case MEMBER_MODEL:
        take_model(reading, value);
        break;
    case MEMBER_STREAM:
        if (value->kind == SCAN_TRUE || value->kind == SCAN_FALSE)
            prompt->streams = value->kind == SCAN_TRUE;
        else if (value->kind != SCAN_NULL)
            fault(reading, path, "has to be true or false");
        break;
    case MEMBER_STORE:
        prompt->stores = value->kind == SCAN_TRUE;
        prompt->store_at = (struct prompt_place){ value->from, value->to };
        if (value->kind != SCAN_TRUE && value->kind != SCAN_FALSE && value->kind != SCAN_NULL)
            fault(reading, path, "has to be true or false");
        break;
    case MEMBER_LIMIT:
    case MEMBER_LIMIT_OLD:
    case MEMBER_PREDICT:
        take_limit(reading, value, path, member == MEMBER_PREDICT);
        break;
    case MEMBER_ANSWERS:
        take_answers(reading, value, path, &prompt->answers);
        break;
    case MEMBER_BEST_OF:
        take_answers(reading, value, path, &reading->best_of);
        break;
    case MEMBER_STREAM_OPTIONS:
        take_stream_options(prompt, value);
        break;
    case MEMBER_INCLUDE_USAGE:
        prompt->asks_usage = value->kind == SCAN_TRUE;
        prompt->usage_at = (struct prompt_place){ value->from, value->to };
        break;
    case MEMBER_OPTIONS:
        if (value->kind != SCAN_OBJECT)
            fault(reading, path, "has to be an object");
        prompt->options_at = (struct prompt_place){ value->to, value->to };
        prompt->options_is_empty = true;
        break;
    }
}

/* A member of the body, or of its options, whose name is one of the table's in other letters. */
static void look_at_letters(struct reading *reading, const struct json_scan *scan,
                            const struct json_scan_value *value, const char *path)
{
    struct str all = str_from(path);
    size_t slash = str_index(all, '/', 0);
    struct str last = slash < all.len ? str_from_offset(all, slash + 1) : all;
    bool is_beside = slash < all.len ? value->level == 2 &&
                                           str_equal(json_scan_name(scan, 1), str_make(path, slash))
                                     : value->level == 1;
    if (is_beside && value->name.len == last.len &&
        strncasecmp(value->name.ptr, last.ptr, last.len) == 0)
        fault(reading, path, "is written in other letters");
}

static void look_for_members(struct reading *reading, const struct json_scan *scan,
                             const struct json_scan_value *value)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (members[i].protocol != reading->endpoint->protocol ||
            !(members[i].kinds >> reading->endpoint->kind & 1))
            continue;
        if (json_scan_is_at(scan, value, members[i].path))
            take_member(reading, members[i].member, members[i].path, value);
        else
            look_at_letters(reading, scan, value, members[i].path);
    }
}

/* --- what costs more than its bytes ---------------------------------------------------------- */

static void unbounded(struct reading *reading, struct str name)
{
    struct prompt *prompt = reading->prompt;
    if (!prompt->unbounded[0])
        snprintf(prompt->unbounded, sizeof(prompt->unbounded), "%.*s",
                 (int)(name.len < PROMPT_NAME_SIZE ? name.len : PROMPT_NAME_SIZE - 1), name.ptr);
}

static bool is_one_of(struct str text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(text, str_from(list[i])))
            return true;
    return false;
}

/* The parts of a message, by their `type`. */
static void look_at_part(struct reading *reading, const struct json_scan_value *value)
{
    static const char *const images[] = { "image", "image_url", "input_image" };
    static const char *const others[] = {
        "file",        "input_file", "document",  "container_upload", "input_audio",
        "input_video", "video_url",  "audio_url", "item_reference"
    };
    if (is_one_of(value->text, images, ARRAY_LEN(images)))
        reading->prompt->images++;
    else if (is_one_of(value->text, others, ARRAY_LEN(others)))
        unbounded(reading, value->text);
}

/* Tools that the client itself runs cost what is written of them; those of the provider do not. */
static void look_at_tool(struct reading *reading, const struct json_scan_value *value)
{
    static const char *const own[] = { "function", "custom",      "local_shell",
                                       "shell",    "apply_patch", "namespace" };
    static const char *const hosted[] = { "web_search",  "web_fetch", "code_execution",
                                          "tool_search", "advisor",   "mcp" };
    if (reading->endpoint->protocol == MODEL_OPENAI) {
        if (!is_one_of(value->text, own, ARRAY_LEN(own)))
            unbounded(reading, value->text);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(hosted); i++)
        if (str_starts(value->text, str_from(hosted[i])))
            unbounded(reading, value->text);
}

static void look_for_costs(struct reading *reading, const struct json_scan *scan,
                           const struct json_scan_value *value)
{
    static const char *const held[] = { "previous_response_id", "conversation",
                                        "web_search_options", "mcp_servers", "container" };
    const bool is_openai = reading->endpoint->protocol == MODEL_OPENAI;
    if (value->level == 1 && value->kind != SCAN_NULL && value->kind != SCAN_OBJECT_END &&
        value->kind != SCAN_ARRAY_END &&
        (is_one_of(value->name, held, ARRAY_LEN(held)) ||
         /* A prompt that the provider keeps; of completions it is the prompt itself. */
         (reading->endpoint->kind == ENDPOINT_RESPONSES && str_equal(value->name, STR("prompt")))))
        unbounded(reading, value->name);
    if (value->kind != SCAN_STRING && value->kind != SCAN_ARRAY)
        return;
    if (json_scan_is_at(scan, value, "prompt/") && is_openai)
        reading->prompts++;
    if (value->kind != SCAN_STRING)
        return;
    if (str_equal(value->name, STR("file_id")))
        unbounded(reading, value->name);
    if (json_scan_is_at(scan, value, "images/") ||
        json_scan_is_at(scan, value, "messages//images/"))
        reading->prompt->images++;
    if (!str_equal(value->name, STR("type")))
        return;
    if (json_scan_is_at(scan, value, "tools//type") ||
        json_scan_is_at(scan, value, "tools//tools//type")) /* in a namespace */
        look_at_tool(reading, value);
    else if (!str_equal(json_scan_name(scan, 1), STR("tools")))
        look_at_part(reading, value);
}

/* --- reading --------------------------------------------------------------------------------- */

static void see(void *context, const struct json_scan *scan, const struct json_scan_value *value)
{
    struct reading *reading = context;
    struct prompt *prompt = reading->prompt;
    if (value->level == 0 && value->kind == SCAN_OBJECT) {
        reading->is_object = true;
        prompt->first = value->to;
    }
    if (value->kind == SCAN_OBJECT_END || value->kind == SCAN_ARRAY_END || value->level == 0)
        return;
    if (value->level == 2) {
        prompt->options_is_empty &= !str_equal(json_scan_name(scan, 1), STR("options"));
        prompt->stream_options_is_empty &=
            !str_equal(json_scan_name(scan, 1), STR("stream_options"));
    }
    if (value->level <= 2)
        look_for_members(reading, scan, value);
    look_for_costs(reading, scan, value);
}

int prompt_read(struct str body, const struct endpoint *endpoint, struct prompt *ret,
                char ret_fault[PROMPT_FAULT_SIZE])
{
    struct prompt prompt = { .answers = 1,
                             .streams = endpoint->protocol == MODEL_OLLAMA &&
                                        (endpoint->kind == ENDPOINT_CHAT ||
                                         endpoint->kind == ENDPOINT_COMPLETION) };
    struct reading reading = {
        .endpoint = endpoint, .prompt = &prompt, .fault = ret_fault, .best_of = 1
    };
    struct json_scan scan;
    ret_fault[0] = '\0';
    json_scan_init(&scan, see, &reading);
    if (json_scan_feed(&scan, body) < 0 || json_scan_end(&scan) < 0 || !reading.is_object ||
        !utf8_valid(body))
        snprintf(ret_fault, PROMPT_FAULT_SIZE, "The body is not a JSON object in UTF-8.");
    else if (!(reading.seen & (1u << MEMBER_MODEL)))
        fault(&reading, "model", "is missing");
    if (ret_fault[0])
        return -EBADMSG;
    if (reading.best_of > prompt.answers)
        prompt.answers = reading.best_of;
    prompt.answers *=
        reading.prompts && endpoint->kind == ENDPOINT_COMPLETION ? reading.prompts : 1;
    *ret = prompt;
    return 0;
}

/* --- amending -------------------------------------------------------------------------------- */

static bool makes_tokens(const struct endpoint *endpoint)
{
    return endpoint->kind == ENDPOINT_CHAT || endpoint->kind == ENDPOINT_COMPLETION ||
           endpoint->kind == ENDPOINT_RESPONSES || endpoint->kind == ENDPOINT_MESSAGES;
}

uint64_t prompt_output_limit(const struct prompt *prompt, const struct model_route *route)
{
    if (prompt->has_limit)
        return prompt->limit;
    return route->output_tokens ? route->output_tokens : MODEL_OUTPUT_TOKENS;
}

/* By what name an endpoint knows the limit. */
static const char *limit_name(const struct endpoint *endpoint, const struct model_route *route)
{
    if (endpoint->kind == ENDPOINT_RESPONSES)
        return "max_output_tokens";
    return endpoint->kind == ENDPOINT_CHAT &&
                   provider_counts_completion(route->provider, route->base_url)
               ? "max_completion_tokens"
               : "max_tokens";
}

/* Places an edit by where it stands; of equals, behind those that are there. */
static void edit(struct prompt_edits *edits, uint64_t from, uint64_t to, const char *format, ...)
    PRINTF_LIKE(4, 5);
static void edit(struct prompt_edits *edits, uint64_t from, uint64_t to, const char *format, ...)
{
    size_t at = edits->count++;
    va_list arguments;
    assert(edits->count <= PROMPT_EDITS_MAX);
    for (; at && edits->edits[at - 1].from > from; at--)
        edits->edits[at] = edits->edits[at - 1];
    edits->edits[at].from = from;
    edits->edits[at].to = to;
    va_start(arguments, format);
    vsnprintf(edits->edits[at].text, sizeof(edits->edits[at].text), format, arguments);
    va_end(arguments);
}

static void amend_model(const struct prompt *prompt, struct str upstream,
                        struct prompt_edits *edits)
{
    struct buf name = BUF_INIT;
    if (str_equal(upstream, str_from(prompt->model)))
        return;
    json_add_string(&name, upstream);
    edit(edits, prompt->model_at.from, prompt->model_at.to, "%s", name.data);
    buf_release(&name);
}

static void amend_limit(const struct prompt *prompt, const struct endpoint *endpoint,
                        const struct model_route *route, struct prompt_edits *edits)
{
    unsigned long long limit = prompt_output_limit(prompt, route);
    if (prompt->has_limit || !makes_tokens(endpoint))
        return;
    if (prompt->limit_at.to)
        edit(edits, prompt->limit_at.from, prompt->limit_at.to, "%llu", limit);
    else if (endpoint->protocol != MODEL_OLLAMA)
        edit(edits, prompt->first, prompt->first, "\"%s\":%llu,", limit_name(endpoint, route),
             limit);
    else if (prompt->options_at.to)
        edit(edits, prompt->options_at.from, prompt->options_at.from, "\"num_predict\":%llu%s",
             limit, prompt->options_is_empty ? "" : ",");
    else
        edit(edits, prompt->first, prompt->first, "\"options\":{\"num_predict\":%llu},", limit);
}

static void amend_usage(const struct prompt *prompt, const struct endpoint *endpoint,
                        struct prompt_edits *edits)
{
    if (!prompt->streams || prompt->asks_usage || endpoint->protocol != MODEL_OPENAI ||
        (endpoint->kind != ENDPOINT_CHAT && endpoint->kind != ENDPOINT_COMPLETION))
        return;
    edits->asks_usage = true;
    if (prompt->usage_at.to)
        edit(edits, prompt->usage_at.from, prompt->usage_at.to, "true");
    else if (prompt->stream_options_is_object)
        edit(edits, prompt->stream_options_at.from, prompt->stream_options_at.to,
             "\"include_usage\":true%s", prompt->stream_options_is_empty ? "" : ",");
    else if (prompt->stream_options_at.to)
        edit(edits, prompt->stream_options_at.from, prompt->stream_options_at.to,
             "{\"include_usage\":true}");
    else
        edit(edits, prompt->first, prompt->first, "\"stream_options\":{\"include_usage\":true},");
}

/* Of responses a provider keeps what it is not told to forget. */
static void amend_store(const struct prompt *prompt, const struct endpoint *endpoint,
                        const struct model_route *route, struct prompt_edits *edits)
{
    if (!route->is_hosted || route->may_store || endpoint->kind != ENDPOINT_RESPONSES)
        return;
    if (prompt->store_at.to)
        edit(edits, prompt->store_at.from, prompt->store_at.to, "false");
    else
        edit(edits, prompt->first, prompt->first, "\"store\":false,");
}

void prompt_amend(const struct prompt *prompt, const struct endpoint *endpoint,
                  const struct model_route *route, struct str upstream_model,
                  struct prompt_edits *ret)
{
    ret->count = 0;
    ret->asks_usage = false;
    amend_model(prompt, upstream_model, ret);
    amend_limit(prompt, endpoint, route, ret);
    amend_usage(prompt, endpoint, ret);
    amend_store(prompt, endpoint, route, ret);
}

/* --- the estimate ---------------------------------------------------------------------------- */

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

bool prompt_estimate(const struct prompt *prompt, const struct endpoint *endpoint,
                     const struct model_route *route, uint64_t body_bytes, struct prompt_cost *ret,
                     char ret_fault[PROMPT_FAULT_SIZE])
{
    struct prompt_cost cost = { 0 };
    if (prompt->images && !route->image_tokens) {
        snprintf(ret_fault, PROMPT_FAULT_SIZE,
                 "What an image costs on this route is not known: its binding has to say "
                 "reservation.imageTokens.");
        return false;
    }
    if (prompt->unbounded[0] && !route->held_context_tokens) {
        snprintf(ret_fault, PROMPT_FAULT_SIZE,
                 "What `%s` costs has no bound on this route: its binding has to say "
                 "reservation.heldContextTokens.",
                 prompt->unbounded);
        return false;
    }
    if (makes_tokens(endpoint) || endpoint->kind == ENDPOINT_EMBEDDING) {
        cost.input = add(body_bytes, route->prompt_tokens ? route->prompt_tokens
                                                          : route->provider->prompt_tokens);
        cost.input = add(cost.input, times(prompt->images, route->image_tokens));
        cost.input = add(cost.input, prompt->unbounded[0] ? route->held_context_tokens : 0);
    }
    if (makes_tokens(endpoint))
        cost.output = times(prompt_output_limit(prompt, route), prompt->answers);
    *ret = cost;
    return true;
}

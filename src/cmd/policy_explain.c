/* policy explain, policy test: verdicts for people, for programs, and for tables of cases. */
#include "base/json.h"
#include "cmd/policy.h"
#include "cmd/tell.h"
#include "contract/document.h"

#define TABLE_WIDTH 80
#define LABEL_WIDTH 10
#define LAYER_WIDTH 16
#define RULE_COLUMN 23
#define CASES_MAX   100000

enum {
    EXPLAIN_HOST,
    EXPLAIN_PROTOCOL,
    EXPLAIN_RESOLVED,
    EXPLAIN_LAYERS,
    EXPLAIN_SURFACE,
    EXPLAIN_SUBJECT,
    EXPLAIN_ALLOW,
    EXPLAIN_DENY,
    EXPLAIN_JSON,
};

const struct option_row policy_explain_options[POLICY_EXPLAIN_OPTION_COUNT] = {
    [EXPLAIN_HOST] = { "host", 'H', "HOST[:PORT]", "the destination: a name or an address" },
    [EXPLAIN_PROTOCOL] = { "protocol", 'p', "WORD", "tcp, udp, icmp, http, https or grpc" },
    [EXPLAIN_RESOLVED] = { "resolved", 'r', "ADDRESS", "an address that the name resolved to" },
    [EXPLAIN_LAYERS] = { "layers", 'l', "DIR", "a folder with one for each layer, for trying out" },
    [EXPLAIN_SURFACE] = { "surface", 0, "NAME", "the tool surface that is run" },
    [EXPLAIN_SUBJECT] = { "subject", 0, "URN", "who runs: the subject of firewall rules" },
    [EXPLAIN_ALLOW] = { "allow", 0, "HOST[:PORT]", "as if the run were given --allow" },
    [EXPLAIN_DENY] = { "deny", 0, "HOST[:PORT]", "as if the run were given --deny" },
    [EXPLAIN_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

enum { TEST_LAYERS, TEST_SURFACE, TEST_SUBJECT, TEST_JSON };

const struct option_row policy_test_options[POLICY_TEST_OPTION_COUNT] = {
    [TEST_LAYERS] = { "layers", 'l', "DIR", "a folder with one for each layer, for trying out" },
    [TEST_SURFACE] = { "surface", 0, "NAME", "the tool surface that is run" },
    [TEST_SUBJECT] = { "subject", 0, "URN", "who runs: the subject of firewall rules" },
    [TEST_JSON] = { "json", 'j', NULL, "print a JSON object for each case that differs" },
};

/* --- asking --------------------------------------------------------------------------------- */

/* Reads HOST, HOST:PORT, [ADDRESS]:PORT, or an IPv6 address without brackets. */
static int read_host(const char *text, struct policy_destination *ret, struct err *err)
{
    struct str all = str_from(text);
    size_t colon = str_index(all, ':', 0);
    bool in_brackets = str_starts(all, STR("["));
    if (in_brackets)
        colon = str_index(all, ']', 0) + 1;
    else if (str_index(all, ':', colon + 1) < all.len)
        colon = all.len;
    ret->host = str_make(all.ptr, colon < all.len ? colon : all.len);
    if (colon >= all.len)
        return 0;
    char *end = NULL;
    const char *digits = text + colon + 1;
    unsigned long port = strtoul(digits, &end, 10);
    if (digits[0] < '0' || digits[0] > '9' || *end || !port || port > UINT16_MAX ||
        text[colon] != ':')
        return err_set(err, ERR_USAGE, "read a destination", "`%s` has no port from 1 to 65535",
                       text);
    ret->port = (uint16_t)port;
    return 0;
}

static int read_protocol(const char *text, struct policy_destination *ret, struct err *err)
{
    static const char *const words[] = { "tcp", "udp", "icmp", "http", "https", "grpc" };
    if (vocabulary_index(words, ARRAY_LEN(words), str_from(text)) < 0)
        return err_set(err, ERR_USAGE, "read a destination",
                       "`%s` is none of tcp, udp, icmp, http, https, grpc", text);
    ret->protocol = str_from(text);
    return 0;
}

static int ask(const struct policy *policy, const struct policy_destination *destination,
               const char *resolved, struct verdict *ret, struct err *err)
{
    struct address_range address;
    if (!resolved)
        return policy_decide(policy, destination, ret, err);
    if (strchr(resolved, '/') || !address_range_read(str_from(resolved), &address))
        return err_set(err, ERR_USAGE, "read a destination", "`%s` is no address", resolved);
    return policy_decide_address(policy, destination, &address, ret, err);
}

static int exit_status(enum answer answer)
{
    return answer == ANSWER_ALLOW ? EXIT_OK
           : answer == ANSWER_ASK ? err_exit_status(ERR_PENDING)
                                  : err_exit_status(ERR_DENIED);
}

/* --- for people ----------------------------------------------------------------------------- */

static enum colour colour_of(enum answer answer)
{
    static const enum colour colours[ANSWER_COUNT] = { [ANSWER_NOTHING] = COLOUR_DIM,
                                                       [ANSWER_ALLOW] = COLOUR_GOOD,
                                                       [ANSWER_ASK] = COLOUR_WARN,
                                                       [ANSWER_DENY] = COLOUR_BAD };
    return colours[answer];
}

static void tell_str(struct str text)
{
    char copy[VERDICT_TEXT_SIZE];
    size_t len = text.len < sizeof(copy) - 1 ? text.len : sizeof(copy) - 1;
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    tell_text(stdout, copy);
}

/* A label, and text broken between words so that lines fit the table. */
static void tell_wrapped(const char *label, const char *text)
{
    struct str rest = str_from(text);
    size_t column = LABEL_WIDTH;
    printf("%-*s", LABEL_WIDTH, label);
    while (rest.len) {
        size_t len = str_index(rest, ' ', 0);
        if (column > LABEL_WIDTH && column + 1 + len > TABLE_WIDTH) {
            printf("\n%*s", LABEL_WIDTH, "");
            column = LABEL_WIDTH;
        } else if (column > LABEL_WIDTH) {
            fputc(' ', stdout);
            column++;
        }
        tell_str(str_make(rest.ptr, len));
        column += len;
        rest = str_from_offset(rest, len + 1);
    }
    fputc('\n', stdout);
}

static void tell_layer(const struct layer_answer *answer, int layer)
{
    const char *separator = " ";
    printf("%-*s%s%-*s%s", LAYER_WIDTH, layer_names[layer],
           tell_colour(stdout, colour_of(answer->answer)),
           answer->answer ? RULE_COLUMN - LAYER_WIDTH : 0, answer_names[answer->answer],
           tell_colour_end(stdout));
    tell_str(answer->rule);
    if (answer->document) {
        size_t width = strlen(answer->document) + 1 + strlen(answer->pointer);
        printf("\n%*s%s", RULE_COLUMN, "", tell_colour(stdout, COLOUR_DIM));
        tell_text(stdout, answer->document);
        if (RULE_COLUMN + width > TABLE_WIDTH)
            separator = "\n                       ";
        fputs(answer->pointer[0] ? separator : "", stdout);
        tell_text(stdout, answer->pointer);
        fputs(tell_colour_end(stdout), stdout);
    }
    fputc('\n', stdout);
}

static void tell_notes(const struct loaded_policy *loaded, const struct verdict *verdict)
{
    size_t inert = 0;
    for (size_t i = 0; i < layers_count(loaded->layers); i++)
        inert += layers_at(loaded->layers, i).state == DOCUMENT_INERT;
    if (verdict->some_ports)
        tell_wrapped("note", "some rules are for certain ports: ask about HOST:PORT");
    if (verdict->tls)
        tell_wrapped("note", "as https alone: the server's name is read and must be this one");
    if (verdict->log_only)
        tell_wrapped("note", "a rule that only logs allows it: each use is recorded");
    if (verdict->observed)
        tell_wrapped("note", "a firewall that is only observed would have denied it");
    if (inert)
        tell_wrapped("note", "the repository's own documents are not trusted and say nothing: see "
                             "`agent-machine policy show`");
}

static void tell_verdict(const struct loaded_policy *loaded, const struct verdict *verdict)
{
    printf("%-*s%-*s%s\n", LAYER_WIDTH, "layer", RULE_COLUMN - LAYER_WIDTH, "answer",
           "rule, document");
    for (int layer = 0; layer < LAYER_COUNT; layer++)
        tell_layer(&verdict->layers[layer], layer);
    printf("\n%-*s%s%s%s\n", LABEL_WIDTH, "verdict",
           tell_colour(stdout, colour_of(verdict->answer)), answer_names[verdict->answer],
           tell_colour_end(stdout));
    tell_wrapped("why", verdict->reason);
    tell_wrapped("change", verdict->smallest_change);
    tell_notes(loaded, verdict);
}

/* --- for programs --------------------------------------------------------------------------- */

static void add_member(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
    json_add_string(out, value);
}

static void add_flag(struct buf *out, const char *name, bool value)
{
    buf_addf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void add_document(struct buf *out, const char *document, struct str id, struct str rule,
                         const char *pointer)
{
    add_member(out, "rule", rule);
    if (!document)
        return;
    add_member(out, "document", str_from(document));
    add_member(out, "documentId", id);
    add_member(out, "pointer", str_from(pointer));
}

static void print_json(const struct policy_destination *destination, const struct policy *policy,
                       const struct verdict *verdict)
{
    struct buf out = BUF_INIT;
    buf_add_char(&out, '{');
    add_member(&out, "host", destination->host);
    if (destination->port)
        buf_addf(&out, ",\"port\":%u", destination->port);
    add_member(&out, "answer", str_from(answer_names[verdict->answer]));
    if (verdict->document)
        add_member(&out, "layer", str_from(layer_names[verdict->layer]));
    add_document(&out, verdict->document, verdict->document_id, verdict->rule, verdict->pointer);
    add_flag(&out, "builtIn", verdict->built_in);
    add_flag(&out, "logOnly", verdict->log_only);
    add_flag(&out, "observed", verdict->observed);
    add_flag(&out, "tls", verdict->tls);
    add_flag(&out, "somePorts", verdict->some_ports);
    add_member(&out, "reason", str_from(verdict->reason));
    add_member(&out, "smallestChange", str_from(verdict->smallest_change));
    add_member(&out, "policyDigest", str_from(policy_digest(policy)));
    buf_add_text(&out, ",\"layers\":[");
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        const struct layer_answer *answer = &verdict->layers[layer];
        buf_addf(&out, "%s{", layer ? "," : "");
        add_member(&out, "layer", str_from(layer_names[layer]));
        add_member(&out, "answer",
                   str_from(answer->answer ? answer_names[answer->answer] : "nothing"));
        if (answer->answer)
            add_document(&out, answer->document, answer->document_id, answer->rule,
                         answer->pointer);
        buf_add_char(&out, '}');
    }
    buf_add_text(&out, "]}");
    puts(out.data);
    buf_release(&out);
}

int run_policy_explain(const struct invocation *invocation)
{
    const char *const *values = invocation->values;
    struct policy_request request = { values[EXPLAIN_LAYERS], values[EXPLAIN_SUBJECT],
                                      values[EXPLAIN_SURFACE], values[EXPLAIN_ALLOW],
                                      values[EXPLAIN_DENY] };
    struct policy_destination destination = { 0 };
    struct loaded_policy loaded = { 0 };
    struct verdict verdict;
    struct err err = { 0 };
    if (!values[EXPLAIN_HOST])
        return tell_usage(invocation->path, "say which --host");
    int r = read_host(values[EXPLAIN_HOST], &destination, &err);
    if (r == 0 && values[EXPLAIN_PROTOCOL])
        r = read_protocol(values[EXPLAIN_PROTOCOL], &destination, &err);
    if (r == 0)
        r = loaded_policy_open(&request, &loaded, &err);
    if (r == 0)
        r = ask(loaded.policy, &destination, values[EXPLAIN_RESOLVED], &verdict, &err);
    if (r == 0 && values[EXPLAIN_JSON])
        print_json(&destination, loaded.policy, &verdict);
    else if (r == 0)
        tell_verdict(&loaded, &verdict);
    loaded_policy_close(&loaded);
    return r < 0 ? tell_error(invocation, &err) : exit_status(verdict.answer);
}

/* --- a table of cases ----------------------------------------------------------------------- */

struct test_case {
    struct policy_destination destination;
    const char *resolved;
    enum answer expected;
};

static int wrong(const struct document *document, size_t index, const char *member,
                 const char *what, struct err *err)
{
    char pointer[64];
    snprintf(pointer, sizeof(pointer), "/%zu%s%s", index, member[0] ? "/" : "", member);
    struct json_position at = document_position(document, str_from(pointer), false);
    err_set(err, ERR_DOCUMENT, "read a case", "%s", what);
    err_where(err, "%s:%zu:%zu: %s", document->name, at.line, at.column, pointer);
    return -EBADMSG;
}

static int read_case(const struct document *document, const yyjson_val *row, size_t index,
                     struct test_case *ret, struct err *err)
{
    struct test_case test = { 0 };
    yyjson_obj_iter iterator;
    yyjson_val *key;
    if (!yyjson_is_obj((yyjson_val *)row))
        return wrong(document, index, "", "a case is an object with host and expect", err);
    yyjson_obj_iter_init((yyjson_val *)row, &iterator);
    while ((key = yyjson_obj_iter_next(&iterator))) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        const char *name = yyjson_get_str(key);
        bool is_text = yyjson_is_str(value);
        int answer = is_text ? vocabulary_index(answer_names, ANSWER_COUNT, json_str(value)) : -1;
        if (strcmp(name, "host") == 0 && is_text)
            test.destination.host = json_str(value);
        else if (strcmp(name, "expect") == 0 && answer > ANSWER_NOTHING)
            test.expected = (enum answer)answer;
        else if (strcmp(name, "port") == 0 && yyjson_is_uint(value) && yyjson_get_uint(value) &&
                 yyjson_get_uint(value) <= UINT16_MAX)
            test.destination.port = (uint16_t)yyjson_get_uint(value);
        else if (strcmp(name, "protocol") == 0 && is_text &&
                 read_protocol(yyjson_get_str(value), &test.destination, NULL) == 0)
            continue;
        else if (strcmp(name, "resolved") == 0 && is_text)
            test.resolved = yyjson_get_str(value);
        else if (strcmp(name, "why") != 0 || !is_text)
            return wrong(document, index, name,
                         "a case has host, port (1 to 65535), protocol, resolved, expect (allow, "
                         "ask or deny) and why",
                         err);
    }
    if (!test.destination.host.ptr || !test.expected)
        return wrong(document, index, "", "a case has a host and says what to expect", err);
    *ret = test;
    return 0;
}

static void tell_difference(const struct document *document, size_t index,
                            const struct test_case *test, const struct verdict *verdict,
                            bool as_json)
{
    char pointer[32];
    snprintf(pointer, sizeof(pointer), "/%zu", index);
    struct json_position at = document_position(document, str_from(pointer), false);
    if (as_json) {
        struct buf out = BUF_INIT;
        buf_addf(&out, "{\"case\":%zu,\"line\":%zu", index, at.line);
        add_member(&out, "host", test->destination.host);
        if (test->destination.port)
            buf_addf(&out, ",\"port\":%u", test->destination.port);
        add_member(&out, "expected", str_from(answer_names[test->expected]));
        add_member(&out, "answer", str_from(answer_names[verdict->answer]));
        add_member(&out, "reason", str_from(verdict->reason));
        add_member(&out, "smallestChange", str_from(verdict->smallest_change));
        buf_add_char(&out, '}');
        puts(out.data);
        buf_release(&out);
        return;
    }
    tell_text(stdout, document->name);
    printf(":%zu:%zu: ", at.line, at.column);
    tell_str(test->destination.host);
    if (test->destination.port)
        printf(":%u", test->destination.port);
    printf(" is %s%s%s, expected %s: ", tell_colour(stdout, COLOUR_BAD),
           answer_names[verdict->answer], tell_colour_end(stdout), answer_names[test->expected]);
    tell_text(stdout, verdict->reason);
    fputc('\n', stdout);
}

static int run_cases(const struct invocation *invocation, const struct document *document,
                     const struct policy *policy, size_t *ret_passed, size_t *ret_differing,
                     struct err *err)
{
    yyjson_val *root = yyjson_doc_get_root(document->doc);
    yyjson_arr_iter iterator;
    struct verdict verdict;
    struct test_case test;
    size_t index = 0;
    int r = 0;
    if (!yyjson_is_arr(root) || yyjson_arr_size(root) > CASES_MAX)
        return err_set(err, ERR_DOCUMENT, "read the cases", "%s is no list of at most %d cases",
                       document->name, CASES_MAX);
    yyjson_arr_iter_init(root, &iterator);
    for (yyjson_val *row; r == 0 && (row = yyjson_arr_iter_next(&iterator)); index++) {
        r = read_case(document, row, index, &test, err);
        if (r == 0)
            r = ask(policy, &test.destination, test.resolved, &verdict, err);
        if (r == 0 && verdict.answer == test.expected)
            (*ret_passed)++;
        else if (r == 0) {
            (*ret_differing)++;
            tell_difference(document, index, &test, &verdict, invocation->values[TEST_JSON]);
        }
    }
    return r;
}

int run_policy_test(const struct invocation *invocation)
{
    struct policy_request request = { .folder = invocation->values[TEST_LAYERS],
                                      .subject = invocation->values[TEST_SUBJECT],
                                      .surface = invocation->values[TEST_SURFACE] };
    struct loaded_policy loaded = { 0 };
    struct document document = { 0 };
    struct err err = { 0 };
    size_t passed = 0;
    size_t differing = 0;
    int r = document_read(invocation->operands[0], &json_limits_default, &document, &err);
    if (r == 0)
        r = loaded_policy_open(&request, &loaded, &err);
    if (r == 0)
        r = run_cases(invocation, &document, loaded.policy, &passed, &differing, &err);
    if (r == 0 && !invocation->values[TEST_JSON])
        printf("%zu as expected, %zu otherwise\n", passed, differing);
    loaded_policy_close(&loaded);
    document_release(&document);
    return r < 0 ? tell_error(invocation, &err) : differing ? EXIT_NEGATIVE : EXIT_OK;
}

/* policy test: a table of cases, held against the policy. */
#include "base/json.h"
#include "cmd/op.h"
#include "cmd/policy_ask.h"
#include "cmd/tell.h"
#include "contract/document.h"

#define CASES_MAX 100000

enum { TEST_LAYERS, TEST_SURFACE, TEST_SUBJECT, TEST_PROFILE, TEST_JSON };

const struct option_row policy_test_options[POLICY_TEST_OPTION_COUNT] = {
    [TEST_LAYERS] = { "layers", 'l', "DIR", "a folder with one for each layer, for trying out" },
    [TEST_SURFACE] = { "surface", 0, "NAME", "the tool surface that is run" },
    [TEST_SUBJECT] = { "subject", 0, "URN", "who runs: the subject of firewall rules" },
    [TEST_PROFILE] = { "profile", 0, "PROFILE", "the machine profile that is run under" },
    [TEST_JSON] = { "json", 'j', NULL, "print a JSON object for each case that differs" },
};

/* --- a table of cases ----------------------------------------------------------------------- */

struct test_case {
    struct policy_asked asked;
    unsigned things; /* that it names: one */
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

static int word_of(const char *name)
{
    return vocabulary_index(policy_words, POLICY_WORD_COUNT, str_from(name));
}

/* 1; 0 where a case has no such member. */
static int read_case_member(const char *name, yyjson_val *value, struct test_case *test)
{
    struct policy_asked *asked = &test->asked;
    uint64_t port = yyjson_get_uint(value);
    bool is_text = yyjson_is_str(value);
    int answer = is_text ? vocabulary_index(answer_names, ANSWER_COUNT, json_str(value)) : -1;
    int gate = is_text ? word_of(name) : -1;
    if (strcmp(name, "port") == 0)
        asked->destination.port = (uint16_t)(port <= UINT16_MAX ? port : 0);
    if (gate >= 0 || (strcmp(name, "host") == 0 && is_text))
        test->things++;
    if (gate >= 0)
        return policy_asked_thing((enum gate)gate, json_str(value), asked, NULL) == 0;
    if (strcmp(name, "host") == 0 && is_text)
        asked->destination.host = json_str(value);
    else if (strcmp(name, "expect") == 0 && answer > ANSWER_NOTHING)
        test->expected = (enum answer)answer;
    else if (strcmp(name, "protocol") == 0 && is_text)
        return policy_asked_protocol(yyjson_get_str(value), asked, NULL) == 0;
    else if (strcmp(name, "resolved") == 0 && is_text)
        asked->resolved = yyjson_get_str(value);
    else if (strcmp(name, "port") == 0)
        return asked->destination.port != 0;
    else
        return strcmp(name, "why") == 0 && is_text;
    return 1;
}

static int read_case(const struct document *document, const yyjson_val *row, size_t index,
                     struct test_case *ret, struct err *err)
{
    yyjson_obj_iter iterator;
    yyjson_val *key;
    *ret = (struct test_case){ 0 };
    if (!yyjson_is_obj((yyjson_val *)row))
        return wrong(document, index, "", "a case is an object that says what to expect", err);
    yyjson_obj_iter_init((yyjson_val *)row, &iterator);
    while ((key = yyjson_obj_iter_next(&iterator))) {
        const char *name = yyjson_get_str(key);
        if (!read_case_member(name, yyjson_obj_iter_get_val(key), ret))
            return wrong(document, index, name,
                         "a case has host, tool, model, network, path or image; of a host port (1 "
                         "to 65535), protocol, resolved; expect (allow, ask or deny) and why",
                         err);
    }
    const struct policy_asked *asked = &ret->asked;
    if (ret->things != 1 || !ret->expected)
        return wrong(document, index, "",
                     "a case has one of host, tool, model, network, path, image, and says what to "
                     "expect",
                     err);
    if (asked->of_gate &&
        (asked->destination.port || asked->destination.protocol.len || asked->resolved))
        return wrong(document, index, "", "port, protocol and resolved are of a host", err);
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
        policy_add_member(&out, policy_asked_word(&test->asked), policy_asked_name(&test->asked));
        if (test->asked.destination.port)
            buf_addf(&out, ",\"port\":%u", test->asked.destination.port);
        policy_add_member(&out, "expected", str_from(answer_names[test->expected]));
        policy_add_member(&out, "answer", str_from(answer_names[verdict->answer]));
        policy_add_member(&out, "reason", str_from(verdict->reason));
        policy_add_member(&out, "smallestChange", str_from(verdict->smallest_change));
        buf_add_char(&out, '}');
        puts(out.data);
        buf_release(&out);
        return;
    }
    tell_text(stdout, document->name);
    printf(":%zu:%zu: ", at.line, at.column);
    policy_tell_str(policy_asked_name(&test->asked));
    if (test->asked.destination.port)
        printf(":%u", test->asked.destination.port);
    printf(" is %s%s%s, expected %s: ", tell_colour(stdout, COLOUR_BAD),
           answer_names[verdict->answer], tell_colour_end(stdout), answer_names[test->expected]);
    tell_text(stdout, verdict->reason);
    fputc('\n', stdout);
}

static int run_cases(const struct invocation *invocation, const struct document *document,
                     const struct loaded_policy *loaded, const struct policy_request *request,
                     size_t *ret_passed, size_t *ret_differing, struct err *err)
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
            r = policy_ask(loaded, request, &test.asked, &verdict, err);
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
    char profile[PLANE_URN_MAX];
    struct loaded_policy loaded = { 0 };
    struct document document = { 0 };
    struct err err = { 0 };
    size_t passed = 0;
    size_t differing = 0;
    if (invocation->values[TEST_PROFILE]) {
        op_urn("agent-machine-profile", invocation->values[TEST_PROFILE], profile);
        request.profile = profile;
    }
    int r = document_read(invocation->operands[0], &json_limits_default, &document, &err);
    if (r == 0)
        r = loaded_policy_open(&request, &loaded, &err);
    if (r == 0)
        r = run_cases(invocation, &document, &loaded, &request, &passed, &differing, &err);
    if (r == 0 && !invocation->values[TEST_JSON])
        printf("%zu as expected, %zu otherwise\n", passed, differing);
    loaded_policy_close(&loaded);
    document_release(&document);
    return r < 0 ? tell_error(invocation, &err) : differing ? EXIT_NEGATIVE : EXIT_OK;
}

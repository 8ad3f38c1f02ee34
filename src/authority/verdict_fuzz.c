/*
 * verdict_fuzz: hosts, and documents, that nobody chose.
 *
 * The input's first line is asked about, with and without a port, as a choice
 * and after resolving; what follows, if it is JSON, is compiled as documents
 * of a layer. Without having been held against a schema these may be anything,
 * and still must not be more than refused.
 */
#include "authority/verdict.h"
#include "base/json.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct verdict *verdict)
{
    assert(verdict->answer != ANSWER_NOTHING);
    assert(memchr(verdict->reason, '\0', sizeof(verdict->reason)));
    assert(memchr(verdict->smallest_change, '\0', sizeof(verdict->smallest_change)));
    assert(memchr(verdict->pointer, '\0', sizeof(verdict->pointer)));
    assert(verdict->reason[0] && verdict->smallest_change[0]);
    (void)verdict;
}

static void ask(const struct policy *policy, struct str host)
{
    static struct verdict verdict;
    struct address_range address;
    for (unsigned i = 0; i < 4; i++) {
        struct policy_destination destination = { .host = host,
                                                  .port = i % 2 ? 443 : 0,
                                                  .of_door = i / 2 };
        if (policy_decide(policy, &destination, &verdict, NULL) == 0)
            check(&verdict);
        if (address_range_read(STR("10.1.2.3"), &address) &&
            policy_decide_address(policy, &destination, &address, &verdict, NULL) == 0)
            check(&verdict);
    }
}

static int visit(void *context, const struct policy_rule *rule)
{
    size_t *count = context;
    *count += rule->destination.len + strlen(rule->ports) + strlen(rule->protocols);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_make((const char *)data, size);
    struct str host = str_make(all.ptr, str_index(all, '\n', 0));
    struct policy_builder *builder = NULL;
    struct policy *policy = NULL;
    yyjson_doc *doc = NULL;
    yyjson_arr_iter iterator;
    size_t shown = 0;
    if (size > INPUT_MAX || policy_builder_new(&builder, NULL) < 0)
        return 0;
    int r = json_read(str_from_offset(all, host.len + 1), &json_limits_default, &doc, NULL);
    yyjson_val *root = r == 0 ? yyjson_doc_get_root(doc) : NULL;
    yyjson_arr_iter_init(root, &iterator);
    unsigned layer = 0;
    for (yyjson_val *item; root && (item = yyjson_arr_iter_next(&iterator)); layer++)
        (void)!policy_add(builder, (enum layer)(layer % LAYER_COUNT), "fuzz.json", item, NULL);
    (void)!policy_add_choice(builder, host, size % 2, NULL);
    if (policy_build(builder, &policy, NULL) == 0) {
        ask(policy, host);
        (void)policy_each_rule(policy, visit, &shown);
    }
    policy_free(policy);
    policy_builder_free(builder);
    yyjson_doc_free(doc);
    return 0;
}

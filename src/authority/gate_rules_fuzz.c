/*
 * gate_rules_fuzz: gates documents, and things to ask about, that nobody chose.
 *
 * The first line is asked about at every gate; what follows, if it is JSON, is
 * read as a gates document of each layer in turn. What is read without a fault
 * must be decided about without one.
 */
#include "authority/gate.h"
#include "base/json.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct policy *policy, struct str name)
{
    static struct verdict verdict;
    for (int gate = 0; gate < GATE_COUNT; gate++) {
        struct gate_thing thing = { .gate = (enum gate)gate, .name = name };
        if (policy_decide_gate(policy, &thing, &verdict, NULL) < 0)
            continue;
        assert(verdict.answer != ANSWER_NOTHING);
        assert(verdict.reason[0] && verdict.smallest_change[0] && verdict.rule.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_make((const char *)data, size);
    struct str name = str_make(all.ptr, str_index(all, '\n', 0));
    struct policy_builder *builder = NULL;
    struct policy *policy = NULL;
    yyjson_doc *doc = NULL;
    if (size > INPUT_MAX || policy_builder_new(&builder, NULL) < 0)
        return 0;
    int r = json_read(str_from_offset(all, name.len + 1), &json_limits_default, &doc, NULL);
    const yyjson_val *root = r == 0 ? yyjson_doc_get_root(doc) : NULL;
    for (int layer = 0; root && r == 0 && layer <= LAYER_USER; layer++)
        r = policy_add_gates(builder, (enum layer)layer, "gates.json", root, NULL);
    if (policy_build(builder, &policy, NULL) == 0)
        ask(policy, name);
    policy_free(policy);
    policy_builder_free(builder);
    yyjson_doc_free(doc);
    return 0;
}

/* rules_test: an accepted example, one member changed, and what a rule says of it. */
#ifndef AM_CONTRACT_RULES_TEST_H
#define AM_CONTRACT_RULES_TEST_H

#include "base/file.h"
#include "base/test.h"
#include "contract/rules.h"

struct rule_case {
    const char *example;         /* in examples/ */
    const char *pointer, *value; /* what to put where, as JSON */
    const char *rule;
    const char *expected;  /* the pointer of the rule's first finding; NULL for none */
    const char *companion; /* in examples/, in the set too and unchanged; NULL for none */
};

static yyjson_doc *read_example(const char *name)
{
    char path[512];
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    snprintf(path, sizeof(path), "examples/%s", name);
    if (file_read(path, &text, NULL) < 0 ||
        json_read(buf_str(&text), &json_limits_default, &doc, NULL) < 0)
        test_fail(__FILE__, __LINE__, "%s cannot be read", path);
    buf_release(&text);
    return doc;
}

static yyjson_doc *read_changed(const struct rule_case *c)
{
    yyjson_doc *doc = read_example(c->example), *value = NULL, *changed = NULL;
    if (doc && json_read(str_from(c->value), &json_limits_default, &value, NULL) == 0) {
        yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
        yyjson_mut_doc_ptr_set(copy, c->pointer,
                               yyjson_val_mut_copy(copy, yyjson_doc_get_root(value)));
        changed = yyjson_mut_doc_imut_copy(copy, NULL);
        yyjson_mut_doc_free(copy);
    }
    yyjson_doc_free(doc);
    yyjson_doc_free(value);
    return changed;
}

static void check_rule_case(const struct rule_case *c)
{
    yyjson_doc *doc = read_changed(c), *other = c->companion ? read_example(c->companion) : NULL;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    const struct embedded_schema *schema = doc ? catalogue_type_of(root, NULL) : NULL;
    const char *found = NULL;
    struct lint *lint;
    if (!schema || lint_new(&lint, NULL) < 0) {
        test_fail(__FILE__, __LINE__, "%s cannot be read and changed", c->example);
        yyjson_doc_free(doc);
        yyjson_doc_free(other);
        return;
    }
    CHECK_INT(lint_add(lint, c->example, root, schema, NULL), 0);
    if (other)
        CHECK_INT(lint_add(lint, c->companion, yyjson_doc_get_root(other),
                           catalogue_type_of(yyjson_doc_get_root(other), NULL), NULL),
                  0);
    CHECK_INT(lint_run(lint, NULL), 0);
    for (size_t i = 0; !found && i < lint_finding_count(lint); i++) {
        const struct finding *f = lint_finding(lint, i);
        if (f->document == 0 && strcmp(f->rule->id, c->rule) == 0)
            found = f->pointer;
    }
    if (strcmp(found ? found : "nothing", c->expected ? c->expected : "nothing") != 0)
        test_fail(__FILE__, __LINE__, "%s with %s at %s: %s finds %s, expected %s", c->example,
                  c->value, c->pointer, c->rule, found ? found : "nothing",
                  c->expected ? c->expected : "nothing");
    lint_free(lint);
    yyjson_doc_free(doc);
    yyjson_doc_free(other);
}

static inline void check_rule_cases(const struct rule_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_rule_case(&cases[i]);
}

#endif

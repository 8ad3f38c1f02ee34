/* The rules for every document: credentials wherever they stand, ids, dates. */
#include "contract/rules_test.h"

#include <sys/wait.h>

#include "base/redact.h"
#include "base/redact_test.h"

#define CREDENTIAL "document.no-inline-credential"
#define TOKEN                                                                                      \
    "gh"                                                                                           \
    "p_NotARealTokenNotARealTokenNotARealTo"

/* First in this file: once loaded, the library stays. */
TEST(what_cannot_be_scanned_does_not_pass)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct lint *lint = NULL;
        struct err err = { 0 };
        struct buf text = BUF_INIT;
        buf_add_text(&text, "{\"schemaVersion\":\"v0.1\",\"kind\":\"CachePolicy\",\"notes\":\"");
        while (text.len <= 2 * REDACT_SMALL_BYTES_MAX) /* it takes Vectorscan */
            buf_add_text(&text, "Nothing. ");
        buf_add_text(&text, "\"}");
        yyjson_doc *doc = yyjson_read(text.data, text.len, 0);
        const yyjson_val *root = yyjson_doc_get_root(doc);
        vectorscan_is_missing = true;
        int r = lint_new(&lint, &err);
        if (r == 0)
            r = lint_add(lint, "document", root, catalogue_type_of(root, &err), &err);
        if (r == 0)
            r = lint_run(lint, &err);
        bool right = r == -EOPNOTSUPP && err.code == ERR_UNSUPPORTED && err.cause[0];
        lint_free(lint);
        yyjson_doc_free(doc);
        buf_release(&text);
        _exit(right ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

TEST(a_credential_is_found_in_any_text)
{
    static const struct rule_case cases[] = {
        { "cache-policy.default.json", "/notes", "\"Use " TOKEN ".\"", CREDENTIAL, "/notes" },
        { "cache-policy.default.json", "/notes", "\"https://ada:hunter22@example.com/\"",
          CREDENTIAL, "/notes" },
        { "operation-command.run-0001-start.example.json", "/parameters",
          "{\"a\": [1, {\"b\": \"" TOKEN "\"}]}", CREDENTIAL, "/parameters/a/1/b" },
        { "agent-machine-diagnostic-bundle.run-0001.example.json", "/redactions",
          "{\"" TOKEN "\": 1}", CREDENTIAL, "/redactions/" TOKEN },
        { "agent-workspace-mount.compass-repository.example.json", "/id",
          "\"urn:srcos:agent-workspace-mount:" TOKEN "\"", CREDENTIAL, "/id" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(what_refers_to_a_credential_passes)
{
    static const char *const texts[] = {
        "\"secret://user/northwind-model-gateway\"",
        "\"https://${USER}:${PASSWORD}@example.com/\"",
        "\"https://example.com/?page=2\"",
        "\"sha256:84a516841ba77a5b4648de2cd0dfcb30ea46dbb4a0b6b4b6b6c9d2b5d4c3e2f1\"",
        "\"ghp_\"",
        "\"\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check_rule_case(&(struct rule_case){ "cache-policy.default.json", "/notes", texts[i],
                                             CREDENTIAL, NULL });
}

TEST(both_of_two_documents_with_one_id_are_named)
{
    yyjson_doc *doc = read_example("cache-policy.default.json");
    const yyjson_val *root = yyjson_doc_get_root(doc);
    struct lint *lint;
    size_t found = 0;
    CHECK_INT(lint_new(&lint, NULL), 0);
    CHECK_INT(lint_add(lint, "first", root, catalogue_type_of(root, NULL), NULL), 0);
    CHECK_INT(lint_add(lint, "second", root, catalogue_type_of(root, NULL), NULL), 0);
    CHECK_INT(lint_run(lint, NULL), 0);
    for (size_t i = 0; i < lint_finding_count(lint); i++) {
        const struct finding *f = lint_finding(lint, i);
        if (strcmp(f->rule->id, "document.ids-differ") != 0)
            continue;
        CHECK_TEXT(f->pointer, "/id");
        CHECK(strstr(f->message, f->document == 0 ? "second" : "first") != NULL);
        found++;
    }
    CHECK_INT(found, 2);
    lint_free(lint);
    yyjson_doc_free(doc);
}

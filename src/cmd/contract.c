/* contract: the verbs around the catalogue and the schema engine. */
#include "cmd/contract.h"

#include "base/digest.h"
#include "base/file.h"
#include "cmd/tell.h"
#include "contract/catalogue.h"
#include "contract/document.h"
#include "contract/jcs.h"
#include "contract/suite.h"

/* --- list and show ------------------------------------------------------------------------- */

static const struct option_row list_options[] = {
    { "json", 'j', NULL, "print a JSON object for each type" },
};

static int run_list(const struct invocation *invocation)
{
    for (size_t i = 0; i < embedded_schemas_count; i++) {
        const struct embedded_schema *schema = &embedded_schemas[i];
        if (!invocation->values[0]) {
            printf("%-30s %s\n", schema->type, schema->urn_prefix);
            continue;
        }
        struct buf out = BUF_INIT;
        buf_addf(&out, "{\"type\":\"%s\",\"urnPrefix\":\"%s\",\"description\":", schema->type,
                 schema->urn_prefix);
        json_add_string(&out, str_from(schema->description));
        buf_add_char(&out, '}');
        puts(out.data);
        buf_release(&out);
    }
    return EXIT_OK;
}

static int run_show(const struct invocation *invocation)
{
    const char *type = invocation->operands[0];
    const struct embedded_schema *schema = catalogue_find(str_from(type));
    struct err err = { 0 };
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (!schema) {
        err_set(&err, ERR_NOT_FOUND, "show a type",
                "%s is no type of the catalogue: see `agent-machine contract list`", type);
        return tell_error(invocation, &err);
    }
    if (json_read(str_make(schema->text, schema->len), &json_limits_default, &doc, &err) < 0)
        return tell_error(invocation, &err);
    struct buf out = BUF_INIT;
    json_add_value(&out, yyjson_doc_get_root(doc), 2);
    puts(out.data);
    buf_release(&out);
    return EXIT_OK;
}

/* --- hash ---------------------------------------------------------------------------------- */

enum { HASH_CANONICAL, HASH_LIMITS };

static const struct option_row hash_options[] = {
    [HASH_CANONICAL] = { "canonical", 0, NULL, "print the canonical form itself" },
    [HASH_LIMITS] = LIMIT_OPTIONS,
};

static int hash_document(const struct document *document, bool canonical, bool with_name,
                         struct err *err)
{
    const yyjson_val *root = yyjson_doc_get_root(document->doc);
    char digest[DIGEST_TEXT_SIZE];
    if (canonical) {
        _cleanup_(buf_release) struct buf form = BUF_INIT_LIMIT(JSON_SIZE_MAX);
        int r = jcs_add(&form, root, err);
        if (r == 0)
            fwrite(form.data, 1, form.len, stdout);
        return r;
    }
    int r = jcs_digest(root, digest, err);
    if (r == 0)
        printf("%s%s%s\n", digest, with_name ? "  " : "", with_name ? document->name : "");
    return r;
}

static int run_hash(const struct invocation *invocation)
{
    struct json_limits limits;
    struct err err = { 0 };
    int status = EXIT_OK;
    if (verb_limits(invocation, HASH_LIMITS, &limits, &err) < 0)
        return tell_error(invocation, &err);
    for (int i = 0; i < invocation->operand_count; i++) {
        struct document document = { 0 };
        int r = document_read(invocation->operands[i], &limits, &document, &err);
        if (r == 0)
            r = hash_document(&document, invocation->values[HASH_CANONICAL],
                              invocation->operand_count > 1, &err);
        if (r < 0 && !err.where[0])
            err_where(&err, "%s", invocation->operands[i]);
        if (r < 0)
            status = tell_error(invocation, &err);
        document_release(&document);
    }
    return status;
}

/* --- conformance --------------------------------------------------------------------------- */

enum { CONFORMANCE_REMOTES, CONFORMANCE_FORMATS };

static const struct option_row conformance_options[] = {
    [CONFORMANCE_REMOTES] = { "remotes", 'r', "DIR",
                              "the folder that stands for " SUITE_REMOTES_URI },
    [CONFORMANCE_FORMATS] = { "assert-formats", 'f', NULL,
                              "assert formats everywhere, not only below optional/format" },
};

static void print_failure(void *context, const char *text)
{
    (void)context;
    puts(text);
}

static int run_conformance(const struct invocation *invocation)
{
    struct suite_options options = { .remotes = invocation->values[CONFORMANCE_REMOTES],
                                     .assert_formats = invocation->values[CONFORMANCE_FORMATS],
                                     .failure = print_failure };
    struct suite_result result = { 0 };
    struct err err = { 0 };
    int status = EXIT_OK;
    for (int i = 0; i < invocation->operand_count; i++)
        if (suite_run(invocation->operands[i], &options, &result, &err) < 0)
            status = tell_error(invocation, &err);
    printf("%zu passed, %zu failed\n", result.passed, result.failed);
    return status ? status : result.failed ? EXIT_NEGATIVE : EXIT_OK;
}

/* --- the table ----------------------------------------------------------------------------- */

#define OPERANDS_MAX 1000000

static const struct verb verbs[] = {
    {
        .name = "validate",
        .operands = "FILE…",
        .operand_kind = OPERAND_FILE,
        .operands_max = OPERANDS_MAX,
        .summary = "Check documents against their schemas",
        .description =
            "Checks documents against the schema of the type that each says it has, or against "
            "one that is named. A FILE may be JSON or YAML, a folder (whose .json, .yaml and "
            ".yml files are checked), or - for standard input.\n\n"
            "Each fault is one line: file, line and column, JSON Pointer, what was expected, what "
            "was found, and the likely mend. The exit status is 0 if all are valid, 65 if one is "
            "not.",
        .options = contract_validate_options,
        .option_count = CONTRACT_VALIDATE_OPTION_COUNT,
        .run = run_contract_validate,
    },
    {
        .name = "lint",
        .operands = "FILE…",
        .operand_kind = OPERAND_FILE,
        .operands_max = OPERANDS_MAX,
        .summary = "Check documents against schemas and rules",
        .description =
            "Checks a set of documents as `contract validate` does, and then against the named "
            "rules, which say what a schema cannot: that an enterprise layer comes first, that a "
            "secret is never inline, that references between the documents given resolve. The exit "
            "status is 0 without errors (warnings may stand), 65 with one.",
        .options = contract_lint_options,
        .option_count = CONTRACT_LINT_OPTION_COUNT,
        .run = run_contract_lint,
    },
    {
        .name = "list",
        .summary = "List the document types",
        .description = "Prints each document type of the catalogue with the prefix of its URNs.",
        .options = list_options,
        .option_count = ARRAY_LEN(list_options),
        .run = run_list,
    },
    {
        .name = "show",
        .operands = "TYPE",
        .operand_kind = OPERAND_TYPE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Print the schema of a type",
        .description = "Prints the JSON Schema of a document type.",
        .run = run_show,
    },
    {
        .name = "hash",
        .operands = "FILE…",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = OPERANDS_MAX,
        .summary = "Print the digest of a document",
        .description = "Prints the SHA-256 digest of a document's canonical form (RFC 8785), which "
                       "does not depend on white space, the order of members, or whether it was "
                       "written as JSON or YAML.",
        .options = hash_options,
        .option_count = ARRAY_LEN(hash_options),
        .run = run_hash,
    },
    {
        .name = "conformance",
        .operands = "DIR…",
        .operand_kind = OPERAND_FOLDER,
        .operands_min = 1,
        .operands_max = OPERANDS_MAX,
        .summary = "Run the official JSON Schema test-suite",
        .description = "Runs files, or all files of a folder, in the format of the official JSON "
                       "Schema test-suite, prints each failure, and last the count. The exit "
                       "status is 0 if none failed.",
        .options = conformance_options,
        .option_count = ARRAY_LEN(conformance_options),
        .run = run_conformance,
    },
};

const struct verb verb_contract = {
    .name = "contract",
    .summary = "Work with the documents that say what may be done",
    .description = "The contracts: documents that say what a machine, a door, an operation, a "
                   "delegation may do, their schemas and their rules.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};

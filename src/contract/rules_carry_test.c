/* The carry rules on what the examples do not show: wordings, endpoints, commands. */
#include "contract/rules_test.h"

static void check_texts(const char *example, const char *pointer, const char *rule,
                        const char *const values[], size_t count, const char *expected)
{
    for (size_t i = 0; i < count; i++)
        check_rule_case(&(struct rule_case){ example, pointer, values[i], rule, expected });
}

#define AUTHORITY "carry.no-authority-claim"
#define TUNING    "carry.tuning-needs-consent"

TEST(a_remark_that_claims_authority_is_found)
{
    static const char *const claims[] = {
        "\"It retires models.\"",
        "\"Manages the life cycle of models.\"",
        "\"Model life-cycle management\"",
        "\"PROMOTION IS DONE HERE\"",
        "\"It never retires models. It promotes them.\"",
        "\"It never retires models; it promotes them.\"",
        "\"It never retires models\\nIt promotes them\"",
        "\"Does nothing yet!\\tPromotes models next month.\"",
    };
    check_texts("cache-policy.default.json", "/notes", AUTHORITY, claims, ARRAY_LEN(claims),
                "/notes");
}

TEST(a_remark_that_denies_or_recounts_passes)
{
    static const char *const remarks[] = {
        "\"This document does not promote version 3.2 of anything.\"",
        "\"It doesn't promote anything.\"",
        "\"It doesn\\u2019t promote anything.\"",
        "\"Promotion is none of its business.\"",
        "\"It cannot promote.\"",
        "\"The set was promoted by its publisher and replaces a retired one.\"",
        "\"\"",
        "\".;\\n\"",
    };
    check_texts("cache-policy.default.json", "/notes", AUTHORITY, remarks, ARRAY_LEN(remarks),
                NULL);
}

TEST(a_name_is_read_word_by_word_and_cannot_deny)
{
    static const char *const claims[] = { "\"lifeCycleManager\"", "\"model.promoter\"",
                                          "\"neverPromotes\"", "\"v2promote\"" };
    static const char *const names[] = { "\"compromote\"", "\"promoted\"", "\"lifeboat-cycle\"" };
    check_texts("workstation-hint.summarize.json", "/action", AUTHORITY, claims, ARRAY_LEN(claims),
                "/action");
    check_texts("workstation-hint.summarize.json", "/action", AUTHORITY, names, ARRAY_LEN(names),
                NULL);
}

TEST(a_remark_that_asks_for_tuning_on_people_or_by_right_is_found)
{
    static const char *const claims[] = {
        "\"Learns from your mail.\"",
        "\"Personalises answers to the user\\u2019s style.\"",
        "\"This machine is authorized to fine-tune the model.\"",
        "\"It has the right to retrain the model.\"",
        "\"Prompts are kept for training.\"",
    };
    static const char *const remarks[] = {
        "\"Machine learning on your laptop.\"",
        "\"Its training data ends in 2023.\"",
        "\"An instruction-tuned model for your laptop.\"",
        "\"Your prompts are never used for training.\"",
        "\"Nothing is trained on them.\"",
    };
    check_texts("local-model-profile.llama32-1b.json", "/notes", TUNING, claims, ARRAY_LEN(claims),
                "/notes");
    check_texts("local-model-profile.llama32-1b.json", "/notes", TUNING, remarks,
                ARRAY_LEN(remarks), NULL);
}

TEST(a_name_that_speaks_of_tuning_is_found)
{
    static const char *const claims[] = { "\"fine-tuning\"", "\"styleTuner\"", "\"re-training\"" };
    static const char *const names[] = { "\"learn-spanish\"", "\"ssh-tunnel\"", "\"personality\"" };
    check_texts("signed-service-reference.local-model-door.json", "/function", TUNING, claims,
                ARRAY_LEN(claims), "/function");
    check_texts("signed-service-reference.local-model-door.json", "/function", TUNING, names,
                ARRAY_LEN(names), NULL);
}

#define USE(contract, ledger)                                                                      \
    "{\"purposes\": [\"personal-tuning\"], \"consentContractRef\": " contract                      \
    ", \"evidenceLedgerRef\": " ledger "}"

TEST(consent_and_ledger_are_two_documents_outside_the_family)
{
    static const char *const consented[] = {
        USE("\"urn:srcos:consent-contract:a\"", "\"urn:srcos:evidence-ledger:a\""),
        USE("\"https://example.com/consent\"", "\"urn:srcos:operation-event:a\""),
    };
    static const char *const refused[] = {
        USE("\"urn:example:both\"", "\"urn:example:both\""),
        USE("null", "\"urn:srcos:evidence-ledger:a\""),
        USE("\"urn:srcos:consent-contract:a\"", "null"),
        USE("\"urn:srcos:service-client:a\"", "\"urn:srcos:evidence-ledger:a\""),
        USE("\"urn:srcos:consent-contract:a\"", "\"urn:srcos:model-profile:a\""),
    };
    check_texts("signed-service-reference.local-model-door.json", "/dataUse", TUNING, consented,
                ARRAY_LEN(consented), NULL);
    check_texts("signed-service-reference.local-model-door.json", "/dataUse", TUNING, refused,
                ARRAY_LEN(refused), "/dataUse/purposes/0");
}

TEST(an_endpoint_is_on_this_machine_and_not_only_called_so)
{
    static const char *const loopback[] = {
        "null",
        "\"http://localhost:11434\"",
        "\"http://LocalHost/v1\"",
        "\"https://127.255.0.1?x\"",
        "\"http://127.0.0.1:/\"",
        "\"http://[::1]\"",
        "\"http://[::1]:8080/v1\"",
        "\"http://127.1\"", /* odd spellings of addresses are addresses, as everywhere */
        "\"http://127.0.0.01\"",
        "\"http://2130706433\"",
    };
    static const char *const elsewhere[] = {
        "\"http://127.0.0.1.example.com\"",
        "\"http://localhost.example.com:80\"",
        "\"http://[::1].example.com\"",
        "\"http://[::2]\"",
        "\"http://::1:80\"",
        "\"http://0.0.0.0:11434\"",
        "\"http://0127.0.0.1\"",
        "\"http://127.0.0.256\"",
        "\"http://128.0.0.1\"",
        "\"http://127.0.0.1%2eexample.com\"",
    };
    check_texts("local-model-profile.llama32-1b.json", "/runtime/endpoint",
                "carry.local-model-stays-local", loopback, ARRAY_LEN(loopback), NULL);
    check_texts("local-model-profile.llama32-1b.json", "/runtime/endpoint",
                "carry.local-model-stays-local", elsewhere, ARRAY_LEN(elsewhere),
                "/runtime/endpoint");
}

TEST(a_command_that_can_download_is_warned_of)
{
    static const char *const fetching[] = {
        "\"ollama run llama3.2:1b\"",
        "\"/usr/local/bin/ollama  pull llama3.2:1b\"",
        "\"'/opt/my tools/ollama' run x\"",
        "\"llama-server --hf-repo=ggml-org/model\"",
        "\"sh -c 'curl -sO http://localhost/model'\"",
        "\"true;wget http://localhost/model\"",
        "\"hf download ggml-org/model\"",
    };
    static const char *const starting[] = {
        "null",
        "\"ollama serve\"",
        "\"ollama show run\"",
        "\"llama-server -m /models/hf/download/curl.gguf\"",
    };
    check_texts("local-model-profile.llama32-1b.json", "/runtime/healthCommand",
                "carry.command-may-download", fetching, ARRAY_LEN(fetching),
                "/runtime/healthCommand");
    check_texts("local-model-profile.llama32-1b.json", "/runtime/launchCommand",
                "carry.command-may-download", starting, ARRAY_LEN(starting), NULL);
}

TEST(any_change_of_a_signed_reference_is_seen_and_a_new_signature_is_not)
{
    const char *example = "signed-service-reference.local-model-door.json";
    const char *rule = "carry.digest-covers-document";
    check_rule_case(&(struct rule_case){ example, "/notes", "\"changed\"", rule, "/digest" });
    check_rule_case(&(struct rule_case){ example, "/fallbackRefs", "[]", rule, "/digest" });
    check_rule_case(&(struct rule_case){ example, "/signature/keyId", "\"other\"", rule, NULL });
}

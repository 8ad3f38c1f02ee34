#include "doors/model/egress.h"

#include "base/test.h"

/* An example of the scanner's own table, so that this file has none. */
static void add_key(struct buf *text)
{
    for (size_t i = 0; i < redact_rule_count(); i++) {
        const struct redact_rule *rule = redact_rule_at(i);
        if (rule->kind != REDACT_CODE_HOST_TOKEN || rule->before || rule->after)
            continue;
        buf_add_text(text, rule->example);
        return;
    }
    CHECK(false);
}

static struct redact_scanner *scanner_new(void)
{
    struct redact_scanner *scanner = NULL;
    struct err err = { 0 };
    if (redact_scanner_new(&scanner, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.cause);
    return scanner;
}

TEST(what_is_found_is_counted_and_masked_in_its_place)
{
    struct redact_scanner *scanner = scanner_new();
    struct buf body = BUF_INIT, masked = BUF_INIT, words = BUF_INIT;
    struct egress_findings findings = { 0 };
    buf_add_text(&body, "{ \"a\" : \"caf\\u00e9 \\\"x\\\"\", \"b\":[1.50,\"\\tuse ");
    add_key(&body);
    buf_add_text(&body, " and\\n");
    add_key(&body);
    buf_add_text(&body, "\"] }");
    CHECK_INT(egress_scan(scanner, buf_str(&body), true, &findings, &masked, NULL), 0);
    CHECK_INT(findings.total, 2);
    CHECK_INT(findings.counts[REDACT_CODE_HOST_TOKEN], 2);
    CHECK_TEXT(masked.data, "{ \"a\" : \"caf\\u00e9 \\\"x\\\"\", \"b\":[1.50,\"\\tuse "
                            "[redacted:code-host-token] and\\n[redacted:code-host-token]\"] }");
    egress_add_findings(&words, &findings);
    CHECK_TEXT(words.data, "2 code-host-token");
    buf_release(&words);
    buf_release(&masked);
    buf_release(&body);
    redact_scanner_free(scanner);
}

/* An escape hides nothing: it is the text that counts, not how it is written. */
TEST(escapes_hide_nothing)
{
    struct redact_scanner *scanner = scanner_new();
    struct buf key = BUF_INIT, body = BUF_INIT, masked = BUF_INIT;
    struct egress_findings findings = { 0 };
    add_key(&key);
    buf_add_text(&body, "{\"a\":\"");
    for (size_t i = 0; i < key.len; i++)
        buf_addf(&body, "\\u%04x", (unsigned char)key.data[i]);
    buf_add_text(&body, "\"}");
    CHECK_INT(egress_scan(scanner, buf_str(&body), false, &findings, &masked, NULL), 0);
    CHECK_INT(findings.total, 1);
    CHECK_INT(masked.len, 0);
    CHECK_INT(egress_scan(scanner, buf_str(&body), true, &findings, &masked, NULL), 0);
    CHECK_TEXT(masked.data, "{\"a\":\"[redacted:code-host-token]\"}");
    buf_release(&key);
    buf_release(&body);
    buf_release(&masked);
    redact_scanner_free(scanner);
}

TEST(names_that_would_become_one_are_not_masked)
{
    struct redact_scanner *scanner = scanner_new();
    struct buf body = BUF_INIT, masked = BUF_INIT;
    struct egress_findings findings = { 0 };
    struct err err = { 0 };
    buf_add_text(&body, "{\"");
    add_key(&body);
    buf_add_text(&body, "\":1,\"");
    add_key(&body);
    add_key(&body);
    buf_add_text(&body, "\":2}");
    CHECK_INT(egress_scan(scanner, buf_str(&body), false, &findings, &masked, &err), 0);
    CHECK(findings.total > 1);
    CHECK(egress_scan(scanner, buf_str(&body), true, &findings, &masked, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    buf_release(&body);
    buf_release(&masked);
    redact_scanner_free(scanner);
}

TEST(what_is_clean_stays_as_it_is)
{
    struct redact_scanner *scanner = scanner_new();
    struct buf masked = BUF_INIT;
    struct egress_findings findings = { .total = 9 };
    struct err err = { 0 };
    CHECK_INT(egress_scan(scanner, STR("{\"a\":\"hello\"}"), true, &findings, &masked, NULL), 0);
    CHECK_INT(findings.total, 0);
    CHECK_INT(masked.len, 0);
    CHECK(egress_scan(scanner, STR("{\"a\":"), true, &findings, &masked, &err) < 0);
    CHECK_INT(err.code, ERR_SYNTAX);
    redact_scanner_free(scanner);
}

TEST(words_of_the_contract)
{
    CHECK_INT(egress_on_secret_find(STR("deny")), EGRESS_DENY);
    CHECK_INT(egress_on_secret_find(STR("mask")), EGRESS_MASK);
    CHECK_INT(egress_on_secret_find(STR("report")), EGRESS_REPORT);
    CHECK_INT(egress_on_secret_find(STR("")), EGRESS_DENY);
}

/* A masked body is JSON of the same shape, and none of the secrets that were put in is left. */
#include "base/json.h"
#include "doors/model/egress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t values_of(struct str body)
{
    yyjson_doc *doc = NULL;
    if (json_read(body, &json_limits_default, &doc, NULL) < 0)
        abort();
    size_t count = yyjson_doc_get_val_count(doc);
    yyjson_doc_free(doc);
    return count;
}

/* A secret that needs nothing around it. */
static const char *example(void)
{
    for (size_t i = 0; i < redact_rule_count(); i++)
        if (redact_rule_at(i)->kind == REDACT_CODE_HOST_TOKEN && !redact_rule_at(i)->before)
            return redact_rule_at(i)->example;
    abort();
}

/* Each "@" of the input stands for a secret, so that no corpus has one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redact_scanner *scanner;
    struct buf body = BUF_INIT, masked = BUF_INIT;
    struct egress_findings findings;
    if (!scanner && redact_scanner_new(&scanner, NULL) < 0)
        abort();
    for (size_t i = 0; i < size; i++)
        if (data[i] == '@')
            buf_add_text(&body, example());
        else
            buf_add_char(&body, (char)data[i]);
    int r = egress_scan(scanner, buf_str(&body), true, &findings, &masked, NULL);
    assert(r == 0 || r == -EBADMSG || r == -E2BIG);
    if (r == 0 && findings.total) {
        assert(values_of(buf_str(&masked)) == values_of(buf_str(&body)));
        assert(!memmem(masked.data, masked.len, example(), strlen(example())) ||
               !findings.counts[REDACT_CODE_HOST_TOKEN]);
    }
    buf_release(&body);
    buf_release(&masked);
    return 0;
}

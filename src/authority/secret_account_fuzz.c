/* secret_account_fuzz: files of log-ins of any bytes; what comes out fits its limits. */
#include "authority/secret_internal.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str tools[] = { { "\"claude-code\"", 13 }, { "\"codex\"", 7 } };
    if (size > SECRET_BYTES_MAX)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        struct secret *secret = NULL;
        yyjson_doc *doc = NULL;
        if (json_read(tools[i], &json_limits_default, &doc, NULL) < 0)
            return 0;
        if (secret_account_read(yyjson_doc_get_root(doc), "-", str_make((const char *)data, size),
                                0, &secret, NULL) == 0 &&
            (!secret_value(secret).len || secret_value(secret).len > size))
            abort();
        secret_free(secret);
        yyjson_doc_free(doc);
    }
    return 0;
}

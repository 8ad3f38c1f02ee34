/*
 * An export without its seal, sealed with one known key (whose seed is all zeros, so that a corpus
 * can hold checkpoints of it), and verified. Input that begins with "!" is what follows it, as it
 * is.
 */
#include "base/json.h"
#include "plane/record_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The seed in PKCS#8 and PEM: sixteen fixed bytes and 32 zeros. */
static struct sign_key *known_key(void)
{
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
                              "-----END PRIVATE KEY-----\n";
    struct sign_key *key = NULL;
    if (sign_key_parse(str_from(pem), &key, NULL) < 0)
        abort();
    return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sign_key *key;
    struct str text = str_make((const char *)data, size);
    struct buf sealed = BUF_INIT;
    struct sign_public public;
    struct operation_record record = { 0 };
    struct record_verified verified;
    struct err err = { 0 };
    if (!key)
        key = known_key();
    sign_key_public(key, &public);
    if (str_starts(text, STR("!"))) {
        buf_add_str(&sealed, str_from_offset(text, 1));
    } else {
        buf_add_str(&sealed, text);
        if (record_seal(&sealed, key, &err) < 0) /* no JSON: it stays as it is */
            err = (struct err){ 0 };
    }
    int r = record_verify(buf_str(&sealed), &public, &record, &verified, &err);
    if (r < 0 && !err.cause[0])
        abort(); /* either an export or a reason */
    for (size_t i = 0; r == 0 && i < RECORD_CHECK_COUNT; i++)
        if (verified.outcomes[i] != RECORD_HOLDS)
            abort();
    if (r == 0 && (!record.operation_count || !verified.head.ledger[0]))
        abort();
    record_release(&record);
    buf_release(&sealed);
    return 0;
}

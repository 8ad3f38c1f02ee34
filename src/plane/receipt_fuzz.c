/*
 * A statement, signed with one known key (whose seed is all zeros, so that a
 * corpus can hold checkpoints of it), and verified. Input that begins with "!"
 * is what follows it, taken as an envelope.
 */
#include "plane/receipt.h"

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
    struct receipt receipt;
    struct err err = { 0 };
    if (!key)
        key = known_key();
    sign_key_public(key, &public);
    bool is_envelope = str_starts(text, STR("!"));
    if (!is_envelope && dsse_seal(key, STR(RECEIPT_PAYLOAD_TYPE), text, &sealed, NULL) < 0)
        abort();
    int r = receipt_verify(is_envelope ? str_from_offset(text, 1) : buf_str(&sealed), &public,
                           &receipt, &err);
    if (r < 0 && !err.cause[0])
        abort(); /* either a receipt or a reason */
    for (size_t i = 0; i <= RECEIPT_CHECKPOINT; i++)
        if (r == 0 && receipt.outcomes[i] != RECEIPT_HOLDS)
            abort();
    if (r == 0 && (!receipt.head.ledger[0] || receipt.head.size < 0))
        abort();
    receipt_release(&receipt);
    buf_release(&sealed);
    return 0;
}

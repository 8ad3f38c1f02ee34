/* Input: a public key's 32 bytes, then a proof. Nothing that was not signed may hold. */
#include "ledger/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sign_public key = { { 0 } };
    struct err err = { 0 };
    size_t used = size < sizeof(key.bytes) ? size : sizeof(key.bytes);
    if (used)
        memcpy(key.bytes, data, used);
    if (proof_check(str_make((const char *)data + used, size - used), &key, &err) < 0 &&
        err.code == ERR_NONE)
        abort();
    return 0;
}

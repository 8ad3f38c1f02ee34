/* digest: see the header. */
#include "base/digest.h"

#include <openssl/evp.h>

#include "base/lazy.h"

#define EVP_FUNCTIONS(X) X(EVP_Digest) X(EVP_sha256)
LAZY_LIBRARY(crypto, "libcrypto.so.3", EVP_FUNCTIONS)

#define TEXT_PREFIX "sha256:"

static_assert(DIGEST_TEXT_SIZE == sizeof(TEXT_PREFIX) + 2 * DIGEST_BYTES, "the text must fit");

int digest_sha256(struct str bytes, unsigned char ret_digest[DIGEST_BYTES], struct err *err)
{
    int r = lazy_load(&crypto_library, err);
    if (r < 0)
        return r;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    if (!crypto.EVP_Digest(bytes.ptr, bytes.len, digest, &len, crypto.EVP_sha256(), NULL) ||
        len != DIGEST_BYTES)
        return err_set(err, ERR_UNSUPPORTED, "compute SHA-256",
                       "libcrypto refuses it; its configuration may have it switched off");
    memcpy(ret_digest, digest, DIGEST_BYTES);
    return 0;
}

int digest_text(struct str bytes, char ret_text[DIGEST_TEXT_SIZE], struct err *err)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[DIGEST_BYTES];
    int r = digest_sha256(bytes, digest, err);
    if (r < 0)
        return r;
    char *at = ret_text + strlen(TEXT_PREFIX);
    memcpy(ret_text, TEXT_PREFIX, strlen(TEXT_PREFIX));
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        *at++ = hex[digest[i] >> 4];
        *at++ = hex[digest[i] & 15];
    }
    *at = '\0';
    return 0;
}

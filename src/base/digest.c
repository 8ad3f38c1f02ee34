/* digest: see the header. */
#include "base/digest.h"

#include <nettle/sha2.h>

#include "base/lazy.h"

#define SHA_FUNCTIONS(X)                                                                           \
    X(nettle_sha256_init)                                                                          \
    X(nettle_sha256_update)                                                                        \
    X(nettle_sha256_digest)
LIBRARY(AM_EMBEDS_NETTLE, sha, "libnettle.so.8", SHA_FUNCTIONS)

#define TEXT_PREFIX "sha256:"

static_assert(DIGEST_TEXT_SIZE == sizeof(TEXT_PREFIX) + 2 * DIGEST_BYTES, "the text must fit");
static_assert(DIGEST_BYTES == SHA256_DIGEST_SIZE, "the digest must fit");

int digest_sha256(struct str bytes, unsigned char ret_digest[DIGEST_BYTES], struct err *err)
{
    struct sha256_ctx context;
    int r = lazy_load(&sha_library, err);
    if (r < 0)
        return r;
    sha.nettle_sha256_init(&context);
    sha.nettle_sha256_update(&context, bytes.len, (const uint8_t *)bytes.ptr);
    sha.nettle_sha256_digest(&context, DIGEST_BYTES, ret_digest);
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

/* digest: see the header. */
#include "base/digest.h"

#include <nettle/md5.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include "base/lazy.h"

#define SHA_FUNCTIONS(X)                                                                           \
    X(nettle_sha256_init)                                                                          \
    X(nettle_sha256_update)                                                                        \
    X(nettle_sha256_digest)                                                                        \
    X(nettle_sha1_init)                                                                            \
    X(nettle_sha1_update)                                                                          \
    X(nettle_sha1_digest)                                                                          \
    X(nettle_md5_init)                                                                             \
    X(nettle_md5_update)                                                                           \
    X(nettle_md5_digest)
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

void digest_write(const unsigned char digest[DIGEST_BYTES], char ret_text[DIGEST_TEXT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = ret_text + strlen(TEXT_PREFIX);
    memcpy(ret_text, TEXT_PREFIX, strlen(TEXT_PREFIX));
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        *at++ = hex[digest[i] >> 4];
        *at++ = hex[digest[i] & 15];
    }
    *at = '\0';
}

int digest_text(struct str bytes, char ret_text[DIGEST_TEXT_SIZE], struct err *err)
{
    unsigned char digest[DIGEST_BYTES];
    int r = digest_sha256(bytes, digest, err);
    if (r < 0)
        return r;
    digest_write(digest, ret_text);
    return 0;
}

/* --- streams ------------------------------------------------------------------------------- */

struct digest_stream {
    enum digest_kind kind;
    union {
        struct sha256_ctx sha256;
        struct sha1_ctx sha1;
        struct md5_ctx md5;
    };
};

static void begin(struct digest_stream *stream)
{
    switch (stream->kind) {
    case DIGEST_SHA256:
        sha.nettle_sha256_init(&stream->sha256);
        break;
    case DIGEST_SHA1:
        sha.nettle_sha1_init(&stream->sha1);
        break;
    case DIGEST_MD5:
        sha.nettle_md5_init(&stream->md5);
        break;
    }
}

int digest_stream_new(enum digest_kind kind, struct digest_stream **ret, struct err *err)
{
    int r = lazy_load(&sha_library, err);
    if (r < 0)
        return r;
    struct digest_stream *stream = malloc(sizeof(*stream));
    if (!stream)
        return err_set(err, ERR_MEMORY, "compute a digest", "no room for its state");
    stream->kind = kind;
    begin(stream);
    *ret = stream;
    return 0;
}

void digest_stream_add(struct digest_stream *stream, struct str bytes)
{
    const uint8_t *data = (const uint8_t *)bytes.ptr;
    switch (stream->kind) {
    case DIGEST_SHA256:
        sha.nettle_sha256_update(&stream->sha256, bytes.len, data);
        break;
    case DIGEST_SHA1:
        sha.nettle_sha1_update(&stream->sha1, bytes.len, data);
        break;
    case DIGEST_MD5:
        sha.nettle_md5_update(&stream->md5, bytes.len, data);
        break;
    }
}

void digest_stream_end(struct digest_stream *stream, unsigned char ret_digest[DIGEST_BYTES])
{
    switch (stream->kind) {
    case DIGEST_SHA256:
        sha.nettle_sha256_digest(&stream->sha256, DIGEST_BYTES, ret_digest);
        break;
    case DIGEST_SHA1:
        sha.nettle_sha1_digest(&stream->sha1, DIGEST_SHA1_BYTES, ret_digest);
        break;
    case DIGEST_MD5:
        sha.nettle_md5_digest(&stream->md5, DIGEST_MD5_BYTES, ret_digest);
        break;
    }
    begin(stream);
}

void digest_stream_free(struct digest_stream *stream)
{
    free(stream);
}

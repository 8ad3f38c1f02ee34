/* hash: see the header. */
#include "ledger/hash.h"

#include <nettle/sha2.h>

#include "base/lazy.h"

#define SHA_FUNCTIONS(X)                                                                           \
    X(nettle_sha256_init)                                                                          \
    X(nettle_sha256_update)                                                                        \
    X(nettle_sha256_digest)
LIBRARY(AM_EMBEDS_NETTLE, sha, "libnettle.so.8", SHA_FUNCTIONS)

#define STEP_HASH   "compute SHA-256"
#define TEXT_PREFIX "sha256:"
#define LEAF        0x00
#define NODE        0x01

struct hash {
    struct sha256_ctx context;
};

int hash_new(struct hash **ret, struct err *err)
{
    int r = lazy_load(&sha_library, err);
    if (r < 0)
        return r;
    struct hash *hash = malloc(sizeof(*hash));
    if (!hash)
        return err_set(err, ERR_MEMORY, STEP_HASH, "no memory for it");
    *ret = hash;
    return 0;
}

void hash_free(struct hash *hash)
{
    free(hash);
}

static void begin(struct hash *hash)
{
    sha.nettle_sha256_init(&hash->context);
}

static void add(struct hash *hash, const void *bytes, size_t len)
{
    sha.nettle_sha256_update(&hash->context, len, bytes);
}

static void end(struct hash *hash, unsigned char ret[HASH_BYTES])
{
    sha.nettle_sha256_digest(&hash->context, HASH_BYTES, ret);
}

void hash_message(struct hash *hash, struct str message, unsigned char ret[HASH_BYTES])
{
    begin(hash);
    add(hash, message.ptr, message.len);
    end(hash, ret);
}

void hash_leaf(struct hash *hash, struct str message, unsigned char ret[HASH_BYTES])
{
    static const unsigned char first = LEAF;
    begin(hash);
    add(hash, &first, 1);
    add(hash, message.ptr, message.len);
    end(hash, ret);
}

void hash_node(struct hash *hash, const unsigned char left[HASH_BYTES],
               const unsigned char right[HASH_BYTES], unsigned char ret[HASH_BYTES])
{
    unsigned char message[1 + 2 * HASH_BYTES] = { NODE };
    memcpy(message + 1, left, HASH_BYTES);
    memcpy(message + 1 + HASH_BYTES, right, HASH_BYTES);
    hash_message(hash, str_make((char *)message, sizeof(message)), ret);
}

void hash_hex(const unsigned char hash[HASH_BYTES], char ret[2 * HASH_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        ret[2 * i] = digits[hash[i] >> 4];
        ret[2 * i + 1] = digits[hash[i] & 15];
    }
}

void hash_text(const unsigned char hash[HASH_BYTES], char ret[DIGEST_TEXT_SIZE])
{
    memcpy(ret, TEXT_PREFIX, strlen(TEXT_PREFIX));
    hash_hex(hash, ret + strlen(TEXT_PREFIX));
    ret[DIGEST_TEXT_SIZE - 1] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hash_parse(struct str text, unsigned char ret[HASH_BYTES])
{
    unsigned char hash[HASH_BYTES];
    if (text.len != DIGEST_TEXT_SIZE - 1 || !str_starts(text, STR(TEXT_PREFIX)))
        return false;
    const char *at = text.ptr + strlen(TEXT_PREFIX);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = hex_value(at[2 * i]), low = hex_value(at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(ret, hash, HASH_BYTES);
    return true;
}

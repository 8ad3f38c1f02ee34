/*
 * sign: Ed25519 and DSSE.
 *
 * A private key is its 32-byte seed in locked memory. libcrypto sees it for
 * the length of one call: it gets a key object made from the seed, which it
 * wipes when it is freed.
 */
#include "base/sign.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/random.h>

#include "base/json.h"
#include "base/lazy.h"
#include "base/locked.h"

#define STEP           "use a key"
#define SEED_BYTES     32
#define PEM_BYTES_MAX  4096
#define PUBLIC_PREFIX  "ed25519:"
#define SIGNATURES_MAX 16 /* looked at in one envelope */
#define DSSE_BYTES_MAX ((size_t)16 << 20)

#define CRYPTO_FUNCTIONS(X)                                                                        \
    X(EVP_PKEY_new_raw_private_key)                                                                \
    X(EVP_PKEY_new_raw_public_key)                                                                 \
    X(EVP_PKEY_get_raw_private_key)                                                                \
    X(EVP_PKEY_get_raw_public_key)                                                                 \
    X(EVP_PKEY_get_id)                                                                             \
    X(EVP_PKEY_free)                                                                               \
    X(EVP_MD_CTX_new)                                                                              \
    X(EVP_MD_CTX_free)                                                                             \
    X(EVP_DigestSignInit)                                                                          \
    X(EVP_DigestSign)                                                                              \
    X(EVP_DigestVerifyInit)                                                                        \
    X(EVP_DigestVerify)                                                                            \
    X(BIO_new_mem_buf)                                                                             \
    X(BIO_s_secmem)                                                                                \
    X(BIO_new)                                                                                     \
    X(BIO_free)                                                                                    \
    X(BIO_read)                                                                                    \
    X(PEM_read_bio_PrivateKey)                                                                     \
    X(PEM_write_bio_PKCS8PrivateKey)
LAZY_LIBRARY(crypto, "libcrypto.so.3", CRYPTO_FUNCTIONS)

struct sign_key {
    unsigned char seed[SEED_BYTES];
    unsigned char public[SIGN_PUBLIC_BYTES];
};

/* --- keys ---------------------------------------------------------------------------------- */

static int refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_IO, STEP, "%s", why);
}

/* A key of a seed; its public half is computed. */
static int key_of_seed(const unsigned char *seed, struct sign_key **ret, struct err *err)
{
    struct sign_key *key = locked_alloc(sizeof(*key));
    if (!key)
        return err_set(err, ERR_MEMORY, STEP,
                       "no memory can be locked for the key; see `ulimit -l`");
    memcpy(key->seed, seed, SEED_BYTES);
    EVP_PKEY *pair =
        crypto.EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, SEED_BYTES);
    size_t len = SIGN_PUBLIC_BYTES;
    int ok = pair && crypto.EVP_PKEY_get_raw_public_key(pair, key->public, &len) == 1;
    crypto.EVP_PKEY_free(pair);
    if (!ok) {
        sign_key_free(key);
        return refuse(err, "libcrypto makes no Ed25519 key");
    }
    *ret = key;
    return 0;
}

int sign_key_generate(struct sign_key **ret, struct err *err)
{
    unsigned char seed[SEED_BYTES];
    int r = lazy_load(&crypto_library, err);
    if (r < 0)
        return r;
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return err_set_errno(err, errno, STEP, "the kernel gives no random bytes");
    r = key_of_seed(seed, ret, err);
    explicit_bzero(seed, sizeof(seed));
    return r;
}

int sign_key_parse(struct str pem, struct sign_key **ret, struct err *err)
{
    unsigned char seed[SEED_BYTES];
    size_t len = sizeof(seed);
    int r = lazy_load(&crypto_library, err);
    if (r < 0)
        return r;
    if (pem.len > PEM_BYTES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "a key is no longer than %d bytes", PEM_BYTES_MAX);
    BIO *in = crypto.BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *pair = in ? crypto.PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"") : NULL;
    bool ok = pair && crypto.EVP_PKEY_get_id(pair) == EVP_PKEY_ED25519 &&
              crypto.EVP_PKEY_get_raw_private_key(pair, seed, &len) == 1;
    crypto.EVP_PKEY_free(pair);
    crypto.BIO_free(in);
    r = ok ? key_of_seed(seed, ret, err)
           : err_set(err, ERR_SYNTAX, STEP, "this is no Ed25519 key in PKCS#8 PEM");
    explicit_bzero(seed, sizeof(seed));
    return r;
}

int sign_key_write(const struct sign_key *key, struct buf *ret, struct err *err)
{
    EVP_PKEY *pair =
        crypto.EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, SEED_BYTES);
    BIO *out = crypto.BIO_new(crypto.BIO_s_secmem());
    int ok = pair && out &&
             crypto.PEM_write_bio_PKCS8PrivateKey(out, pair, NULL, NULL, 0, NULL, NULL) == 1;
    char *room = ok ? buf_reserve(ret, PEM_BYTES_MAX) : NULL;
    int len = room ? crypto.BIO_read(out, room, PEM_BYTES_MAX) : 0;
    if (len > 0)
        ret->len += (size_t)len;
    crypto.EVP_PKEY_free(pair);
    crypto.BIO_free(out);
    return len > 0 ? 0 : refuse(err, "libcrypto does not write the key");
}

void sign_key_free(struct sign_key *key)
{
    locked_free(key, sizeof(*key));
}

void sign_key_public(const struct sign_key *key, struct sign_public *ret)
{
    memcpy(ret->bytes, key->public, SIGN_PUBLIC_BYTES);
}

int sign_public_text(const struct sign_public *key, char ret[SIGN_PUBLIC_TEXT_MAX])
{
    struct buf text = BUF_INIT_LIMIT(SIGN_PUBLIC_TEXT_MAX - 1);
    buf_add_text(&text, PUBLIC_PREFIX);
    int r = base64_add(&text, str_make((const char *)key->bytes, SIGN_PUBLIC_BYTES));
    snprintf(ret, SIGN_PUBLIC_TEXT_MAX, "%s", text.data);
    buf_release(&text);
    return r;
}

bool sign_public_parse(struct str text, struct sign_public *ret)
{
    struct buf bytes = BUF_INIT_LIMIT(SIGN_PUBLIC_BYTES + 2);
    bool ok = str_starts(text, STR(PUBLIC_PREFIX)) &&
              base64_decode(str_from_offset(text, strlen(PUBLIC_PREFIX)), &bytes) &&
              bytes.len == SIGN_PUBLIC_BYTES;
    if (ok)
        memcpy(ret->bytes, bytes.data, SIGN_PUBLIC_BYTES);
    buf_release(&bytes);
    return ok;
}

/* --- signatures ---------------------------------------------------------------------------- */

int sign_message(const struct sign_key *key, struct str message,
                 unsigned char ret[SIGN_SIGNATURE_BYTES], struct err *err)
{
    unsigned char signature[SIGN_SIGNATURE_BYTES];
    size_t len = sizeof(signature);
    EVP_PKEY *pair =
        crypto.EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, SEED_BYTES);
    EVP_MD_CTX *context = crypto.EVP_MD_CTX_new();
    bool ok = pair && context && crypto.EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1 &&
              crypto.EVP_DigestSign(context, signature, &len, (const unsigned char *)message.ptr,
                                    message.len) == 1 &&
              len == SIGN_SIGNATURE_BYTES;
    crypto.EVP_MD_CTX_free(context);
    crypto.EVP_PKEY_free(pair);
    if (!ok)
        return refuse(err, "libcrypto does not sign");
    memcpy(ret, signature, SIGN_SIGNATURE_BYTES);
    return 0;
}

int sign_verify(const struct sign_public *key, struct str message,
                const unsigned char signature[SIGN_SIGNATURE_BYTES], struct err *err)
{
    int r = lazy_load(&crypto_library, err);
    if (r < 0)
        return r;
    EVP_PKEY *pair =
        crypto.EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->bytes, SIGN_PUBLIC_BYTES);
    EVP_MD_CTX *context = crypto.EVP_MD_CTX_new();
    bool ready =
        pair && context && crypto.EVP_DigestVerifyInit(context, NULL, NULL, NULL, pair) == 1;
    int found = ready ? crypto.EVP_DigestVerify(context, signature, SIGN_SIGNATURE_BYTES,
                                                (const unsigned char *)message.ptr, message.len)
                      : 0;
    crypto.EVP_MD_CTX_free(context);
    crypto.EVP_PKEY_free(pair);
    return ready ? found == 1 : refuse(err, "libcrypto does not verify");
}

/* --- base64 -------------------------------------------------------------------------------- */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_add(struct buf *ret, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t word = 0;
        for (size_t j = 0; j < 3; j++)
            word = word << 8 | (j < left ? (unsigned char)bytes.ptr[i + j] : 0);
        char four[4];
        for (size_t j = 0; j < 4; j++)
            four[j] = j <= left ? base64_digits[word >> (18 - 6 * j) & 63] : '=';
        buf_add(ret, four, sizeof(four));
    }
    return ret->error;
}

static int base64_value(char c)
{
    const char *digit = c ? strchr(base64_digits, c) : NULL;
    return digit ? (int)(digit - base64_digits) : -1;
}

bool base64_decode(struct str text, struct buf *ret)
{
    if (text.len % 4)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        bool last = i + 4 == text.len;
        size_t padding = !last ? 0 : text.ptr[i + 2] == '=' ? 2 : text.ptr[i + 3] == '=';
        uint32_t word = 0;
        for (size_t j = 0; j < 4; j++) {
            bool pads = j >= 4 - padding;
            int value = pads ? (text.ptr[i + j] == '=' ? 0 : -1) : base64_value(text.ptr[i + j]);
            if (value < 0)
                return false;
            word = word << 6 | (uint32_t)value;
        }
        uint32_t unused = padding == 2 ? 0xffff : padding == 1 ? 0xff : 0;
        if (word & unused)
            return false; /* bits that no encoder leaves: two spellings of one value */
        char three[3] = { (char)(word >> 16), (char)(word >> 8), (char)word };
        if (buf_add(ret, three, 3 - padding) < 0)
            return false;
    }
    return true;
}

/* --- DSSE ---------------------------------------------------------------------------------- */

/* What is signed: the type and the payload, each with its length before it. */
static int add_pre_authentication(struct buf *ret, struct str type, struct str payload)
{
    buf_addf(ret, "DSSEv1 %zu ", type.len);
    buf_add_str(ret, type);
    buf_addf(ret, " %zu ", payload.len);
    return buf_add_str(ret, payload);
}

int dsse_seal(const struct sign_key *key, struct str payload_type, struct str payload,
              struct buf *ret, struct err *err)
{
    unsigned char signature[SIGN_SIGNATURE_BYTES];
    char public_text[SIGN_PUBLIC_TEXT_MAX];
    struct sign_public public;
    _cleanup_(buf_release) struct buf message = BUF_INIT_LIMIT(DSSE_BYTES_MAX);
    if (add_pre_authentication(&message, payload_type, payload) < 0)
        return err_set(err, ERR_LIMIT, STEP, "a payload is no longer than %zu bytes",
                       DSSE_BYTES_MAX);
    int r = sign_message(key, buf_str(&message), signature, err);
    if (r < 0)
        return r;
    sign_key_public(key, &public);
    sign_public_text(&public, public_text);
    buf_add_text(ret, "{\"payload\":\"");
    base64_add(ret, payload);
    buf_add_text(ret, "\",\"payloadType\":");
    json_add_string(ret, payload_type);
    buf_addf(ret, ",\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"", public_text);
    base64_add(ret, str_make((const char *)signature, sizeof(signature)));
    buf_add_text(ret, "\"}]}");
    return ret->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
}

/* The parts of an envelope; the document must be freed by the caller. */
static int read_envelope(struct str envelope, yyjson_doc **ret_doc, yyjson_val **ret_type,
                         struct buf *payload, struct err *err)
{
    struct json_limits limits = json_limits_default;
    limits.size_bytes = DSSE_BYTES_MAX;
    yyjson_doc *doc;
    int r = json_read(envelope, &limits, &doc, err);
    if (r < 0)
        return r;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *text = yyjson_obj_get(root, "payload");
    *ret_type = yyjson_obj_get(root, "payloadType");
    if (!yyjson_is_str(text) || !yyjson_is_str(*ret_type) ||
        !base64_decode(json_str(text), payload)) {
        yyjson_doc_free(doc);
        return err_set(
            err, ERR_DOCUMENT, STEP,
            "this is no DSSE envelope: payload, payloadType and signatures are expected");
    }
    *ret_doc = doc;
    return 0;
}

/* Whether one of the envelope's signatures is the key's. */
static int has_signature(yyjson_val *signatures, const struct sign_public *key, struct str message,
                         struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    int found = 0;
    yyjson_arr_foreach(signatures, index, count, item)
    {
        struct buf bytes = BUF_INIT_LIMIT(SIGN_SIGNATURE_BYTES + 2);
        yyjson_val *text = yyjson_obj_get(item, "sig");
        if (found == 0 && index < SIGNATURES_MAX && yyjson_is_str(text) &&
            base64_decode(json_str(text), &bytes) && bytes.len == SIGN_SIGNATURE_BYTES)
            found = sign_verify(key, message, (const unsigned char *)bytes.data, err);
        buf_release(&bytes);
    }
    return found;
}

int dsse_open(struct str envelope, const struct sign_public *key, struct str payload_type,
              struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DSSE_BYTES_MAX);
    _cleanup_(buf_release) struct buf message = BUF_INIT_LIMIT(DSSE_BYTES_MAX);
    yyjson_val *type;
    int r = read_envelope(envelope, &doc, &type, &payload, err);
    if (r < 0)
        return r;
    if (!str_equal(json_str(type), payload_type))
        return err_set(err, ERR_DENIED, STEP, "the envelope holds %.*s; %.*s is expected",
                       STR_ARG(json_str(type)), STR_ARG(payload_type));
    add_pre_authentication(&message, payload_type, buf_str(&payload));
    yyjson_val *signatures = yyjson_obj_get(yyjson_doc_get_root(doc), "signatures");
    r = has_signature(signatures, key, buf_str(&message), err);
    if (r < 0)
        return r;
    if (r == 0) {
        char text[SIGN_PUBLIC_TEXT_MAX];
        sign_public_text(key, text);
        return err_set(err, ERR_DENIED, STEP, "no signature of %s stands on it", text);
    }
    return buf_add_str(ret, buf_str(&payload));
}

int dsse_peek(struct str envelope, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    yyjson_val *type;
    return read_envelope(envelope, &doc, &type, ret, err);
}

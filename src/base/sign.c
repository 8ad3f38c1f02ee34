/*
 * sign: Ed25519 and DSSE.
 *
 * A private key is its seed and its public half beside one another, as
 * libsodium wants them, in locked memory. libsodium keeps nothing of it: what
 * it derives on the way it wipes before it returns.
 *
 * A key in PEM is always the same 48 bytes of DER, sixteen of them fixed (RFC
 * 8410: PKCS#8, version 1, no attributes), so it is compared and not parsed.
 */
#include "base/sign.h"

#include <sodium.h>
#include <sys/random.h>

#include "base/json.h"
#include "base/lazy.h"
#include "base/locked.h"

#define STEP           "use a key"
#define SEED_BYTES     32
#define PEM_BYTES_MAX  4096
#define PEM_BEGIN      "-----BEGIN PRIVATE KEY-----"
#define PEM_END        "-----END PRIVATE KEY-----"
#define DER_BYTES      48
#define DER_TEXT_BYTES (DER_BYTES / 3 * 4)
#define PUBLIC_PREFIX  "ed25519:"
#define SIGNATURES_MAX 16 /* looked at in one envelope */
#define DSSE_BYTES_MAX ((size_t)16 << 20)

#define SODIUM_FUNCTIONS(X)                                                                        \
    X(sodium_init)                                                                                 \
    X(crypto_sign_seed_keypair)                                                                    \
    X(crypto_sign_detached)                                                                        \
    X(crypto_sign_verify_detached)
LIBRARY(AM_EMBEDS_SODIUM, sodium, "libsodium.so.23|libsodium.so.26", SODIUM_FUNCTIONS)

static const unsigned char der_prefix[DER_BYTES - SEED_BYTES] = {
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
};

struct sign_key {
    unsigned char secret[SEED_BYTES + SIGN_PUBLIC_BYTES];
};

static_assert(sizeof(struct sign_key) == crypto_sign_SECRETKEYBYTES, "a key as libsodium has it");
static_assert(SIGN_SIGNATURE_BYTES == crypto_sign_BYTES, "a signature as libsodium has it");

/* --- keys ---------------------------------------------------------------------------------- */

static int refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_IO, STEP, "%s", why);
}

static int load(struct err *err)
{
    static bool ready;
    int r = ready ? 0 : lazy_load(&sodium_library, err);
    if (r == 0 && !ready && sodium.sodium_init() < 0)
        return refuse(err, "libsodium cannot be used here");
    ready = r == 0;
    return r;
}

/* A key of a seed; its public half is computed. */
static int key_of_seed(const unsigned char *seed, struct sign_key **ret, struct err *err)
{
    unsigned char public[SIGN_PUBLIC_BYTES];
    struct sign_key *key = locked_alloc(sizeof(*key));
    if (!key)
        return err_set(err, ERR_MEMORY, STEP,
                       "no memory can be locked for the key; see `ulimit -l`");
    if (sodium.crypto_sign_seed_keypair(public, key->secret, seed) != 0) {
        sign_key_free(key);
        return refuse(err, "libsodium makes no Ed25519 key");
    }
    *ret = key;
    return 0;
}

int sign_key_generate(struct sign_key **ret, struct err *err)
{
    unsigned char seed[SEED_BYTES];
    int r = load(err);
    if (r < 0)
        return r;
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return err_set_errno(err, errno, STEP, "the kernel gives no random bytes");
    r = key_of_seed(seed, ret, err);
    explicit_bzero(seed, sizeof(seed));
    return r;
}

/* The base64 between the two lines, without its line ends; false where it is not of a key's length.
 */
static bool read_body(struct str pem, char ret[DER_TEXT_BYTES])
{
    size_t len = 0;
    const char *begin = memmem(pem.ptr, pem.len, PEM_BEGIN, strlen(PEM_BEGIN));
    if (!begin || (begin != pem.ptr && begin[-1] != '\n'))
        return false;
    struct str body = str_from_offset(pem, (size_t)(begin - pem.ptr) + strlen(PEM_BEGIN));
    for (; body.len && body.ptr[0] != '-'; body = str_from_offset(body, 1)) {
        if (body.ptr[0] == '\n' || body.ptr[0] == '\r')
            continue;
        if (len == DER_TEXT_BYTES)
            return false;
        ret[len++] = body.ptr[0];
    }
    return len == DER_TEXT_BYTES && str_starts(body, STR(PEM_END));
}

int sign_key_parse(struct str pem, struct sign_key **ret, struct err *err)
{
    char text[DER_TEXT_BYTES];
    struct buf der = BUF_INIT_LIMIT(DER_BYTES);
    int r = load(err);
    if (r < 0)
        return r;
    if (pem.len > PEM_BYTES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "a key is no longer than %d bytes", PEM_BYTES_MAX);
    char *room = buf_reserve(&der, DER_BYTES); /* at once, so that no copy is left behind */
    bool ok = room && read_body(pem, text) && base64_decode(str_make(text, sizeof(text)), &der) &&
              der.len == DER_BYTES && memcmp(der.data, der_prefix, sizeof(der_prefix)) == 0;
    r = ok ? key_of_seed((unsigned char *)der.data + sizeof(der_prefix), ret, err)
           : err_set(err, ERR_SYNTAX, STEP, "this is no Ed25519 key in PKCS#8 PEM");
    explicit_bzero(text, sizeof(text));
    explicit_bzero(der.data, der.len);
    buf_release(&der);
    return r;
}

int sign_key_write(const struct sign_key *key, struct buf *ret, struct err *err)
{
    unsigned char der[DER_BYTES];
    memcpy(der, der_prefix, sizeof(der_prefix));
    memcpy(der + sizeof(der_prefix), key->secret, SEED_BYTES);
    if (buf_reserve(ret, PEM_BYTES_MAX)) { /* at once, so that no copy is left behind */
        buf_add_text(ret, PEM_BEGIN "\n");
        base64_add(ret, str_make((char *)der, sizeof(der)));
        buf_add_text(ret, "\n" PEM_END "\n");
    }
    explicit_bzero(der, sizeof(der));
    return ret->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
}

void sign_key_free(struct sign_key *key)
{
    locked_free(key, sizeof(*key));
}

void sign_key_public(const struct sign_key *key, struct sign_public *ret)
{
    memcpy(ret->bytes, key->secret + SEED_BYTES, SIGN_PUBLIC_BYTES);
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
    if (sodium.crypto_sign_detached(signature, NULL, (const unsigned char *)message.ptr,
                                    message.len, key->secret) != 0)
        return refuse(err, "libsodium does not sign");
    memcpy(ret, signature, SIGN_SIGNATURE_BYTES);
    return 0;
}

int sign_verify(const struct sign_public *key, struct str message,
                const unsigned char signature[SIGN_SIGNATURE_BYTES], struct err *err)
{
    int r = load(err);
    if (r < 0)
        return r;
    return sodium.crypto_sign_verify_detached(signature, (const unsigned char *)message.ptr,
                                              message.len, key->bytes) == 0;
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

/*
 * Two Delegations, one below the other in the input with a line "---" between
 * them. Both are signed with one known key (whose seed is all zeros, so that a
 * corpus can name its public half), the upper is what any reference leads to,
 * and the lower is verified. Input without that line is taken as an envelope.
 */
#include "authority/delegation.h"
#include "base/clock.h"

#define SEPARATOR "\n---\n"
#define NOON      "2026-11-20T12:00:00Z"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A PKCS#8 document around the seed, and PEM around that. */
static struct sign_key *known_key(void)
{
    static const unsigned char head[] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                          0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
    unsigned char document[sizeof(head) + 32] = { 0 };
    struct sign_key *key = NULL;
    struct buf pem = BUF_INIT;
    memcpy(document, head, sizeof(head));
    buf_add_text(&pem, "-----BEGIN PRIVATE KEY-----\n");
    base64_add(&pem, str_make((const char *)document, sizeof(document)));
    buf_add_text(&pem, "\n-----END PRIVATE KEY-----\n");
    if (sign_key_parse(buf_str(&pem), &key, NULL) < 0)
        abort();
    buf_release(&pem);
    return key;
}

static int fetch(void *context, struct str urn, struct buf *ret, struct err *err)
{
    const struct buf *upper = context;
    (void)urn, (void)err;
    return upper->len ? buf_add_str(ret, buf_str(upper)) : -ENOENT;
}

static int revoked(void *context, struct str urn, struct err *err)
{
    (void)context, (void)err;
    return str_ends(urn, STR("revoked"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sign_key *key;
    struct str text = str_make((const char *)data, size);
    struct buf upper = BUF_INIT, lower = BUF_INIT;
    struct delegation_source source = { .fetch = fetch, .revoked = revoked, .context = &upper };
    struct delegation delegation = { 0 };
    struct err err = { 0 };
    int64_t now_ms = 0;
    if (!key)
        key = known_key();
    sign_key_public(key, &source.root);
    if (!clock_parse(STR(NOON), &now_ms))
        abort();
    const char *line = size ? memmem(data, size, SEPARATOR, strlen(SEPARATOR)) : NULL;
    if (line) {
        size_t len = (size_t)(line - text.ptr);
        struct str below = str_from_offset(text, len + strlen(SEPARATOR));
        if (dsse_seal(key, STR(DELEGATION_PAYLOAD_TYPE), str_make(text.ptr, len), &upper, NULL) <
                0 ||
            dsse_seal(key, STR(DELEGATION_PAYLOAD_TYPE), below, &lower, NULL) < 0)
            abort();
        text = buf_str(&lower);
    }
    int r = delegation_verify(text, &source, now_ms, &delegation, &err);
    if (r == 0 ? !delegation.doc || !delegation.chain_count : delegation.doc || !err.cause[0])
        abort(); /* either a delegation or a reason */
    if (r == 0 && (now_ms >= delegation.expires_ms || delegation.id.len >= DELEGATION_ID_MAX))
        abort();
    delegation_release(&delegation);
    buf_release(&upper);
    buf_release(&lower);
    return 0;
}

#include "base/sign.h"
#include "base/test.h"

/* RFC 8032, section 7.1, test 2. */
static const char *const rfc_pem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7"
    "\n-----END PRIVATE KEY-----\n";

static struct sign_key *made_key(void)
{
    struct sign_key *key = NULL;
    CHECK_INT(sign_key_generate(&key, NULL), 0);
    return key;
}

TEST(signatures_hold_for_their_message_and_key_alone)
{
    struct sign_key *key = made_key(), *other = made_key();
    struct sign_public public, stranger;
    unsigned char signature[SIGN_SIGNATURE_BYTES];
    sign_key_public(key, &public);
    sign_key_public(other, &stranger);
    CHECK_INT(sign_message(key, STR("a message"), signature, NULL), 0);
    CHECK_INT(sign_verify(&public, STR("a message"), signature, NULL), 1);
    CHECK_INT(sign_verify(&public, STR("a massage"), signature, NULL), 0);
    CHECK_INT(sign_verify(&stranger, STR("a message"), signature, NULL), 0);
    signature[5] ^= 1;
    CHECK_INT(sign_verify(&public, STR("a message"), signature, NULL), 0);
    sign_key_free(key);
    sign_key_free(other);
}

TEST(keys_are_written_and_read_as_pkcs8)
{
    struct sign_key *key = made_key(), *again = NULL;
    struct sign_public public, same;
    struct buf pem = BUF_INIT;
    CHECK_INT(sign_key_write(key, &pem, NULL), 0);
    CHECK(str_starts(buf_str(&pem), STR("-----BEGIN PRIVATE KEY-----\n")));
    CHECK_INT(sign_key_parse(buf_str(&pem), &again, NULL), 0);
    sign_key_public(key, &public);
    sign_key_public(again, &same);
    CHECK_INT(memcmp(&public, &same, sizeof(public)), 0);
    struct err err = { 0 };
    struct sign_key *none = NULL;
    CHECK(sign_key_parse(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n"), &none, &err) < 0);
    CHECK_INT(err.code, ERR_SYNTAX);
    CHECK(sign_key_parse(str_make(rfc_pem, 40), &none, &err) < 0);
    CHECK(!none);
    explicit_bzero(pem.data, pem.len);
    buf_release(&pem);
    sign_key_free(key);
    sign_key_free(again);
}

#define PEM(body) "-----BEGIN PRIVATE KEY-----\n" body "-----END PRIVATE KEY-----\n"

TEST(a_key_in_pem_may_be_wrapped_and_must_be_ed25519)
{
    static const struct {
        const char *pem;
        bool is_key;
    } cases[] = {
        { PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"), true },
        { PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso/5ba\r\nnbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\r\n"), true },
        { "A key.\n" PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"),
          true },
        { "A key: " PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"),
          false },
        { PEM("MC4CAQAwBQYDK2VuBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"),
          false }, /* X25519 */
        { PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7AAAA\n"), false },
        { PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1P\n"), false },
        { PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuK==\n"), false },
        { PEM("MC4CAQAwBQYDK2VwBCIEIEzNCJso 5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"), false },
        { "-----BEGIN PRIVATE KEY-----\n"
          "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n",
          false },
        { "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", false },
        { "", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sign_key *key = NULL;
        struct sign_public public;
        struct err err = { 0 };
        char text[SIGN_PUBLIC_TEXT_MAX] = "";
        int r = sign_key_parse(str_from(cases[i].pem), &key, &err);
        if ((r == 0) != cases[i].is_key || (r < 0 && err.code != ERR_SYNTAX))
            test_fail(__FILE__, __LINE__, "%s", cases[i].pem);
        if (r < 0)
            continue;
        sign_key_public(key, &public);
        CHECK_INT(sign_public_text(&public, text), 0);
        CHECK_TEXT(text, "ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=");
        sign_key_free(key);
    }
}

TEST(a_known_key_signs_as_the_rfc_says)
{
    struct sign_key *key = NULL;
    struct sign_public public;
    unsigned char signature[SIGN_SIGNATURE_BYTES];
    char text[SIGN_PUBLIC_TEXT_MAX];
    static const unsigned char expected[8] = { 0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8 };
    CHECK_INT(sign_key_parse(str_from(rfc_pem), &key, NULL), 0);
    sign_key_public(key, &public);
    CHECK_INT(sign_public_text(&public, text), 0);
    CHECK_TEXT(text, "ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=");
    CHECK_INT(sign_message(key, STR("\x72"), signature, NULL), 0);
    CHECK_INT(memcmp(signature, expected, sizeof(expected)), 0);
    struct sign_public parsed;
    CHECK(sign_public_parse(str_from(text), &parsed));
    CHECK_INT(memcmp(&parsed, &public, sizeof(parsed)), 0);
    CHECK(!sign_public_parse(STR("ed25519:PUAX"), &parsed));
    CHECK(!sign_public_parse(STR("rsa:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="), &parsed));
    sign_key_free(key);
}

TEST(base64_is_strict_both_ways)
{
    static const struct {
        const char *bytes, *text;
    } pairs[] = { { "", "" },
                  { "f", "Zg==" },
                  { "fo", "Zm8=" },
                  { "foo", "Zm9v" },
                  { "foob", "Zm9vYg==" },
                  { "fooba", "Zm9vYmE=" },
                  { "foobar", "Zm9vYmFy" } };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct buf text = BUF_INIT, bytes = BUF_INIT;
        base64_add(&text, str_from(pairs[i].bytes));
        CHECK_TEXT(text.data, pairs[i].text);
        CHECK(base64_decode(buf_str(&text), &bytes));
        CHECK_STR(buf_str(&bytes), str_from(pairs[i].bytes));
        buf_release(&text);
        buf_release(&bytes);
    }
    static const char *const wrong[] = { "Zg=",  "Zg",   "Z===", "====",
                                         "Zh==", "Zm9=", "Zm 9", "Zg==Zg==" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf bytes = BUF_INIT;
        CHECK(!base64_decode(str_from(wrong[i]), &bytes));
        buf_release(&bytes);
    }
}

TEST(an_envelope_opens_for_its_key_and_type)
{
    struct sign_key *key = made_key(), *other = made_key();
    struct sign_public public, stranger;
    struct buf envelope = BUF_INIT, payload = BUF_INIT;
    struct err err = { 0 };
    sign_key_public(key, &public);
    sign_key_public(other, &stranger);
    CHECK_INT(dsse_seal(key, STR("t/x"), STR("{\"a\":1}"), &envelope, &err), 0);
    CHECK_INT(dsse_open(buf_str(&envelope), &public, STR("t/x"), &payload, &err), 0);
    CHECK_STR(buf_str(&payload), STR("{\"a\":1}"));
    CHECK_INT(dsse_open(buf_str(&envelope), &stranger, STR("t/x"), &payload, &err), -EACCES);
    CHECK_INT(err.code, ERR_DENIED);
    CHECK_INT(dsse_open(buf_str(&envelope), &public, STR("t/y"), &payload, &err), -EACCES);
    CHECK(dsse_open(STR("{\"payload\":\"e30=\"}"), &public, STR("t/x"), &payload, &err) < 0);
    CHECK_INT(err.code, ERR_DOCUMENT);
    CHECK_STR(buf_str(&payload), STR("{\"a\":1}"));
    buf_reset(&payload);
    CHECK_INT(dsse_peek(buf_str(&envelope), &payload, &err), 0);
    CHECK_STR(buf_str(&payload), STR("{\"a\":1}"));
    buf_release(&payload);
    buf_release(&envelope);
    sign_key_free(key);
    sign_key_free(other);
}

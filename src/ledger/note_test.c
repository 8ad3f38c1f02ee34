#include "ledger/note.h"

#include "base/test.h"
#include "ledger/testing.h"

/* The example of Go's package note, whose key and signature were made by others. */
TEST(note_of_another_implementation_is_read)
{
    static const char note[] =
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZ"
        "InNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    struct buf bytes = BUF_INIT;
    struct sign_public key;
    struct str text, name;
    struct err err = { 0 };
    CHECK(base64_decode(STR("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), &bytes));
    CHECK_INT(bytes.len, 1 + SIGN_PUBLIC_BYTES);
    memcpy(key.bytes, bytes.data + 1, SIGN_PUBLIC_BYTES);
    CHECK_OK(note_open(str_from(note), &key, &text, &name, &err));
    CHECK_STR(name, STR("PeterNeumann"));
    CHECK(str_ends(text, STR("problem is.\n")));
    buf_release(&bytes);
}

TEST(note_is_read_back_and_every_change_is_seen)
{
    struct sign_key *key = NULL, *other = NULL;
    struct sign_public public, other_public;
    struct buf note = BUF_INIT;
    struct str text, name;
    struct err err = { 0 };
    CHECK_OK(sign_key_generate(&key, &err));
    CHECK_OK(sign_key_generate(&other, &err));
    sign_key_public(key, &public);
    sign_key_public(other, &other_public);
    CHECK_OK(note_sign(STR("a text\nof two lines\n"), STR("example/name"), key, &note, &err));
    CHECK_OK(note_open(buf_str(&note), &public, &text, &name, &err));
    CHECK_STR(text, STR("a text\nof two lines\n"));
    CHECK_STR(name, STR("example/name"));
    CHECK_INT(note_open(buf_str(&note), &other_public, &text, &name, &err), -EACCES);
    for (size_t i = 0; i < note.len; i++) {
        note.data[i] ^= 1;
        CHECK(note_open(buf_str(&note), &public, &text, &name, &err) < 0);
        note.data[i] ^= 1;
    }
    for (size_t len = 0; len < note.len; len++)
        CHECK(note_open(str_make(note.data, len), &public, &text, &name, &err) < 0);
    buf_release(&note);
    sign_key_free(key);
    sign_key_free(other);
}

TEST(note_with_a_stranger_s_signature_before_ours_is_read)
{
    struct sign_key *key = NULL, *other = NULL;
    struct sign_public public;
    struct buf ours = BUF_INIT, theirs = BUF_INIT;
    struct str body = STR("shared\n"), text, name;
    struct err err = { 0 };
    CHECK_OK(sign_key_generate(&key, &err));
    CHECK_OK(sign_key_generate(&other, &err));
    sign_key_public(key, &public);
    CHECK_OK(note_sign(body, STR("witness"), other, &theirs, &err));
    CHECK_OK(note_sign(body, STR("log"), key, &ours, &err));
    buf_add_str(&theirs, str_from_offset(buf_str(&ours), body.len + 1));
    CHECK_OK(note_open(buf_str(&theirs), &public, &text, &name, &err));
    CHECK_STR(name, STR("log"));
    buf_release(&ours);
    buf_release(&theirs);
    sign_key_free(key);
    sign_key_free(other);
}

TEST(note_that_is_none_is_refused)
{
    static const struct str rows[] = {
        STR(""),
        STR("\n"),
        STR("\n\n"),
        STR("text\n"),
        STR("text\n\n"),
        STR("text\n\n\xe2\x80\x94 name\n"),
        STR("text\n\n\xe2\x80\x94 name \n"),
        STR("text\n\n\xe2\x80\x94 name AAAA\n"),
        STR("text\n\n\xe2\x80\x94 na+me AAAAAAAA\n"),
        STR("text\n\n-- name AAAAAAAA\n"),
        STR("text\r\n\n\xe2\x80\x94 name AAAAAAAA\n"),
        STR("te\xffxt\n\n\xe2\x80\x94 name AAAAAAAA\n"),
    };
    struct sign_public key = { { 1 } };
    struct str text, name;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = { 0 };
        CHECK(note_open(rows[i], &key, &text, &name, &err) < 0);
        CHECK(err.code == ERR_SYNTAX || err.code == ERR_DENIED);
    }
}

#include "base/digest.h"
#include "base/test.h"

/* FIPS 180-2's samples, the empty text, and a length around the block size. */
TEST(digest_knows_the_published_samples)
{
    static const struct {
        struct str bytes;
        const char *text;
    } rows[] = {
        { STR(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { STR("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
          "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[DIGEST_TEXT_SIZE];
        CHECK_INT(digest_text(rows[i].bytes, text, NULL), 0);
        CHECK_TEXT(text, rows[i].text);
    }
}

TEST(digest_of_a_million_bytes)
{
    enum { COUNT = 1000000 };
    _cleanup_(cleanup_free) char *bytes = malloc(COUNT);
    CHECK(bytes);
    memset(bytes, 'a', COUNT);
    unsigned char digest[DIGEST_BYTES];
    CHECK_INT(digest_sha256(str_make(bytes, COUNT), digest, NULL), 0);
    CHECK_INT(digest[0], 0xcd);
    CHECK_INT(digest[31], 0xd0);
    char text[DIGEST_TEXT_SIZE];
    CHECK_INT(digest_text(str_make(bytes, COUNT), text, NULL), 0);
    CHECK_TEXT(text, "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(pieces_give_the_digest_of_the_whole)
{
    struct digest_stream *stream = NULL;
    unsigned char whole[DIGEST_BYTES], pieces[DIGEST_BYTES];
    char text[DIGEST_TEXT_SIZE];
    struct err err = { 0 };
    CHECK_INT(digest_sha256(STR("one and two"), whole, &err), 0);
    CHECK_INT(digest_stream_new(DIGEST_SHA256, &stream, &err), 0);
    for (int i = 0; i < 2; i++) { /* a stream can be used again */
        digest_stream_add(stream, STR("one and"));
        digest_stream_add(stream, STR(""));
        digest_stream_add(stream, STR(" two"));
        digest_stream_end(stream, pieces);
        CHECK(memcmp(whole, pieces, DIGEST_BYTES) == 0);
    }
    digest_stream_free(stream);
    digest_write(pieces, text);
    CHECK(strncmp(text, "sha256:", 7) == 0 && strlen(text) == DIGEST_TEXT_SIZE - 1);
    CHECK_INT(digest_stream_new(DIGEST_SHA1, &stream, &err), 0);
    digest_stream_add(stream, STR("abc"));
    digest_stream_end(stream, pieces);
    CHECK(memcmp(pieces, "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e", 10) == 0);
    digest_stream_free(stream);
    CHECK_INT(digest_stream_new(DIGEST_MD5, &stream, &err), 0);
    digest_stream_add(stream, STR("abc"));
    digest_stream_end(stream, pieces);
    CHECK(memcmp(pieces, "\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96", 10) == 0);
    digest_stream_free(stream);
}

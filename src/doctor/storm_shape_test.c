#include "doctor/storm_shape.h"

#include "base/test.h"

static uint64_t of(const char *text)
{
    return storm_shape(str_from(text));
}

TEST(numbers_do_not_matter)
{
    CHECK(of("took 12 ms") == of("took 34567 ms"));
    CHECK(of("id 0xdeadbeef end") == of("id 0x1 end"));
    CHECK(of("eth0 up") == of("eth12 up"));
    CHECK(of("7") == of("4711"));
}

TEST(everything_else_does)
{
    CHECK(of("took 12 ms") != of("took 12 s"));
    CHECK(of("eth0 up") != of("wlan0 up"));
    CHECK(of("a 1") != of("a "));
    CHECK(of("a 1") != of("a"));
    CHECK(of("1 a") != of("a"));
    CHECK(of("") != of("a"));
    CHECK(of("ab") != of("ba"));
    CHECK(of("a1b2") == of("a1"));
    CHECK(of("a1-b2") != of("a1"));
}

/* The text that storm_shape_text makes is the definition; the hash is held against it. */
TEST(the_hash_is_that_of_the_text)
{
    static const char alphabet[] = "ab9 0-xZ_\xc3";
    char a[200], b[200], a_text[200], b_text[200];
    uint32_t state = 1;
    size_t equal = 0;
    for (int round = 0; round < 20000; round++) {
        size_t len = 0;
        for (; len < 60 + (size_t)round % 130; len++) {
            state = state * 1664525u + 1013904223u;
            a[len] = alphabet[(state >> 16) % (sizeof(alphabet) - 1)];
        }
        /* b: the same with a digit more, or with a byte changed. */
        size_t at = (state >> 8) % len, b_len = len;
        memcpy(b, a, len);
        if (round & 1) {
            memmove(b + at + 1, b + at, len - at);
            b_len++;
        }
        b[at] = round & 2 ? '5' : alphabet[(state >> 4) % (sizeof(alphabet) - 1)];
        size_t a_len = storm_shape_text(str_make(a, len), 1, a_text, sizeof(a_text));
        size_t text_len = storm_shape_text(str_make(b, b_len), 1, b_text, sizeof(b_text));
        bool same = str_equal(str_make(a_text, a_len), str_make(b_text, text_len));
        equal += same;
        CHECK((storm_shape(str_make(a, len)) == storm_shape(str_make(b, b_len))) == same);
    }
    CHECK(equal > 100);
}

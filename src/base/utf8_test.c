#include "base/test.h"
#include "base/utf8.h"

TEST(utf8_knows_what_is_well_formed)
{
    static const struct {
        struct str bytes;
        int32_t code_point; /* of the first sequence; -1 where it is invalid */
    } rows[] = {
        { STR("\0"), 0 },
        { STR("a"), 'a' },
        { STR("\x7f"), 0x7f },
        { STR("\x80"), -1 },
        { STR("\xbf"), -1 },
        { STR("\xc0\x80"), -1 },
        { STR("\xc1\xbf"), -1 },
        { STR("\xc2\x80"), 0x80 },
        { STR("\xdf\xbf"), 0x7ff },
        { STR("\xc2"), -1 },
        { STR("\xc2\x20"), -1 },
        { STR("\xc2\xc2"), -1 },
        { STR("\xe0\x80\x80"), -1 },
        { STR("\xe0\x9f\xbf"), -1 },
        { STR("\xe0\xa0\x80"), 0x800 },
        { STR("\xe2\x82\xac"), 0x20ac },
        { STR("\xe2\x82"), -1 },
        { STR("\xe2\x82\x41"), -1 },
        { STR("\xed\x9f\xbf"), 0xd7ff },
        { STR("\xed\xa0\x80"), -1 },
        { STR("\xed\xbf\xbf"), -1 },
        { STR("\xee\x80\x80"), 0xe000 },
        { STR("\xef\xbf\xbf"), 0xffff },
        { STR("\xf0\x80\x80\x80"), -1 },
        { STR("\xf0\x8f\xbf\xbf"), -1 },
        { STR("\xf0\x90\x80\x80"), 0x10000 },
        { STR("\xf0\x9f\x98\x80"), 0x1f600 },
        { STR("\xf0\x9f\x98"), -1 },
        { STR("\xf4\x8f\xbf\xbf"), 0x10ffff },
        { STR("\xf4\x90\x80\x80"), -1 },
        { STR("\xf5\x80\x80\x80"), -1 },
        { STR("\xff"), -1 },
        { STR(""), -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t offset = 0;
        CHECK_INT(utf8_next(rows[i].bytes, &offset), rows[i].code_point);
        CHECK_INT(offset, rows[i].code_point < 0 ? 0 : rows[i].bytes.len);
        CHECK_INT(utf8_valid(rows[i].bytes), rows[i].code_point >= 0 || rows[i].bytes.len == 0);
    }
}

TEST(utf8_code_points_survive_the_round_trip)
{
    struct buf buf = BUF_INIT;
    for (uint32_t c = 0; c <= 0x110000; c += c < 0x3000 ? 1 : 97) {
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        buf_reset(&buf);
        if (surrogate || c > 0x10ffff) {
            CHECK_INT(utf8_add(&buf, c), -EINVAL);
            CHECK_INT(buf.len, 0);
            continue;
        }
        CHECK_INT(utf8_add(&buf, c), 0);
        size_t offset = 0;
        CHECK_INT(utf8_next(buf_str(&buf), &offset), c);
        CHECK_INT(offset, buf.len);
        CHECK_INT(utf8_length(buf_str(&buf)), 1);
    }
    buf_release(&buf);
}

/* The words of eight bytes and their ends: a fault at any place is seen, and any length counted. */
TEST(utf8_looks_at_every_byte)
{
    for (size_t len = 0; len < 40; len++) {
        char bytes[40];
        memset(bytes, 'a', sizeof(bytes));
        CHECK(utf8_valid(str_make(bytes, len)));
        CHECK_INT(utf8_length(str_make(bytes, len)), len);
        for (size_t i = 0; i + 1 < len; i++) {
            bytes[i] = (char)0xc3;
            CHECK(!utf8_valid(str_make(bytes, len)));
            bytes[i + 1] = (char)0xa4;
            CHECK(utf8_valid(str_make(bytes, len)));
            CHECK_INT(utf8_length(str_make(bytes, len)), len - 1);
            bytes[i] = bytes[i + 1] = 'a';
        }
    }
}

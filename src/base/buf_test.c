#include "base/buf.h"
#include "base/test.h"

TEST(buf_grows_and_stays_terminated)
{
    struct buf buf = BUF_INIT;
    CHECK_TEXT(buf.data, "");
    for (int i = 0; i < 1000; i++)
        buf_addf(&buf, "%d,", i % 10);
    CHECK_INT(buf.error, 0);
    CHECK_INT(buf.len, 2000);
    CHECK_INT(buf.data[2000], 0);
    buf_truncate(&buf, 4);
    CHECK_STR(buf_str(&buf), STR("0,1,"));
    buf_release(&buf);
    CHECK_TEXT(buf.data, "");
}

TEST(buf_formats_what_fits_and_what_it_must_grow_for)
{
    struct buf buf = BUF_INIT_LIMIT(300);
    char expected[512] = "";
    for (int i = 0; i < 40; i++) {
        CHECK_INT(buf_addf(&buf, "%0*d", i % 15, i), 0);
        snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%0*d", i % 15,
                 i);
        CHECK_TEXT(buf.data, expected);
    }
    CHECK_INT(buf_addf(&buf, "%0300d", 1), -EMSGSIZE);
    CHECK_TEXT(buf.data, expected);
    buf_release(&buf);
}

TEST(buf_refuses_past_its_bound_and_remembers)
{
    struct buf buf = BUF_INIT_LIMIT(4);
    CHECK_INT(buf_add_text(&buf, "abc"), 0);
    CHECK_INT(buf_add_text(&buf, "de"), -EMSGSIZE);
    CHECK_INT(buf_add_text(&buf, "f"), -EMSGSIZE);
    CHECK_STR(buf_str(&buf), STR("abc"));
    buf_reset(&buf);
    CHECK_INT(buf_addf(&buf, "%s", "wxyz"), 0);
    CHECK_INT(buf_addf(&buf, "%s", "!"), -EMSGSIZE);
    CHECK_STR(buf_str(&buf), STR("wxyz"));
    buf_release(&buf);
}

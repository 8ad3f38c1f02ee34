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

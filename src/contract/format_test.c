#include "contract/format.h"

#include "contract/suite_cases.h"

struct row {
    const char *format;
    struct str value;
    bool valid;
};

#define YES(format, value)                                                                         \
    {                                                                                              \
        format, { value, sizeof(value) - 1 }, true                                                 \
    }
#define NO(format, value)                                                                          \
    {                                                                                              \
        format, { value, sizeof(value) - 1 }, false                                                \
    }

static const struct row rows[] = {
    YES("date", "2024-02-29"),
    YES("date", "0000-02-29"),
    NO("date", "2023-02-29"),
    NO("date", "1900-02-29"),
    NO("date", "2024-2-29"),
    NO("date", "2024-02-2\0"),
    NO("date", "2024\0-02-2"),
    NO("date", "-024-02-29"),
    YES("time", "00:00:00Z"),
    YES("time", "23:59:60.999z"),
    YES("time", "00:59:60+01:00"),
    NO("time", "00:59:60+00:59"),
    NO("time", "12:00:00.Z"),
    NO("time", "12:00:00+1:000"),
    NO("time", "12:00:00+01"),
    NO("time", "12:00:00Z "),
    NO("time", "12:00:00\0Z"),
    NO("time", "12:00"),
    NO("time", ""),
    YES("date-time", "2024-02-29t23:59:60.5-00:00"),
    NO("date-time", "2024-02-30T00:00:00Z"),
    NO("date-time", "2024-02-29 00:00:00Z"),
    NO("date-time", "2024-02-29"),
    NO("date-time", "2024-02-29T"),
    YES("duration", "P1Y2M3DT4H5M6S"),
    YES("duration", "P0W"),
    YES("duration", "PT5M"),
    YES("duration", "P3DT4H"),
    NO("duration", "P1Y3D"),
    NO("duration", "PT1H1S"),
    NO("duration", "P1M1Y"),
    NO("duration", "P1Y1Y"),
    NO("duration", "P1DT"),
    NO("duration", "P1W1D"),
    NO("duration", "P1D\0"),
    NO("duration", "P1\0"),
    NO("duration", "p1D"),
    YES("email", "\"a\\\"b\\\\ \"@x"),
    YES("email", "a.b+c@[IPv6:2001:db8::1]"),
    YES("email", "!#$%&'*+-/=?^_`{|}~@x-y.z"),
    NO("email", "\"a\"b@x"),
    NO("email", "\"a@x"),
    NO("email", "\"a\x7F\"@x"),
    NO("email", "\"a\"@"),
    NO("email", "a@[IPv6:127.0.0.1]"),
    NO("email", "a@[::1]"),
    NO("email", "a@[x:y]"),
    NO("email", "a@b@c"),
    NO("email", "a@-b"),
    NO("email", "a@b."),
    NO("email", "\xC3\xA9@b"),
    NO("email", "a@\xC3\xA9"),
    NO("email", "a\0@b"),
    NO("email", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345@x"),
    YES("idn-email", "\xC3\xA9@b\xC3\xBC.example"),
    YES("idn-email", "\"\xC3\xA9 \"@[127.0.0.1]"),
    NO("idn-email", "\xC3\xA9@\xE2\x80\x8D"),
    NO("idn-email", "\"\\\xC3\xA9\"@b"),
    YES("hostname", "a"),
    YES("hostname", "A-1.xn--bcher-kva"),
    YES("hostname", "XN--BCHER-KVA"),
    YES("hostname", "ab--c.xn--bcher-kva"),
    NO("hostname", "xn--"),
    NO("hostname", "xn--bcher-kvb"),
    NO("hostname", "b\xC3\xBC"
                   "cher"),
    NO("hostname", "xn--bcher-kva.b\xC3\xBC"),
    NO("hostname", "a..b"),
    NO("hostname", "a.xn--bcher-kva."),
    NO("hostname", "a\0b"),
    NO("hostname", "127.0.0.1/8"),
    NO("hostname", "3com.xn--4db"), /* a Bidi name whose first label starts with a digit */
    YES("idn-hostname", "b\xC3\xBC"
                        "cher.Example"),
    YES("idn-hostname", "a.\xD7\x90"),
    YES("idn-hostname", "\xD8\xA7\xD9\x8B\xE3\x80\x82x"), /* ends with a mark */
    NO("idn-hostname", "B\xC3\x9C"),                      /* upper case is not of IDNA2008 */
    NO("idn-hostname", "ab--c"),
    NO("idn-hostname", "bu\xCC\x88"
                       "cher"), /* not NFC */
    NO("idn-hostname", "a\xD7\x90"),
    NO("idn-hostname", "\xD7\x90-.x"),
    NO("idn-hostname", "-a.\xD7\x90"),
    NO("idn-hostname", "1.\xD7\x90"),
    NO("idn-hostname", "\xD7\x90\0"),
    NO("idn-hostname", "a_b.\xC3\xBC"),
    NO("idn-hostname", "\xF0\x9F\x90\xB2"),
    YES("ipv4", "1.2.3.4"),
    NO("ipv4", "1.2.3.04"),
    NO("ipv4", "1.2.3.4\0"),
    NO("ipv4", "::1"),
    YES("ipv6", "1:2:3:4:5:6:7::"),
    NO("ipv6", "1:2:3:4:5:6:7:8::"),
    NO("ipv6", "::1\0"),
    NO("ipv6", ""),
    NO("ipv6", "1.2.3.4"),
    YES("uri", "a:"),
    NO("uri", "a"),
    NO("uri", ""),
    YES("iri", "a:\xC3\xA9"),
    NO("iri", "\xC3\xA9"),
    YES("uri-reference", "?a#b"),
    NO("uri-reference", "#a#b"),
    YES("iri-reference", "\xC3\xA9"),
    NO("iri-reference", "\xEF\xBF\xBF"),
    YES("uuid", "2eb8aa08-AA98-11ea-b4aa-73b441d16380"),
    NO("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d1638g"),
    YES("uri-template", "{?a,b*,c:10}{/d.e}{%41_}{|x}"),
    YES("uri-template", "a\xC3\xA9\xEE\x80\x80"),
    NO("uri-template", "{a"),
    NO("uri-template", "{a:}"),
    NO("uri-template", "{a:12345}"),
    NO("uri-template", "{a*:1}"),
    NO("uri-template", "{a b}"),
    NO("uri-template", "{+}"),
    NO("uri-template", "{a.}"),
    NO("uri-template", "{%4}"),
    NO("uri-template", "%4"),
    NO("uri-template", "a\0"),
    NO("uri-template", "{\0}"),
    NO("uri-template", "\xEF\xBF\xBF"),
    YES("json-pointer", "/a~0b~1/\0"),
    NO("json-pointer", "/a~"),
    YES("relative-json-pointer", "10/a"),
    YES("relative-json-pointer", "0"),
    NO("relative-json-pointer", "00"),
    NO("relative-json-pointer", "1a"),
    NO("relative-json-pointer", "1#a"),
    YES("regex", "^\\p{L}[^]$"),
    YES("regex", "(?<=a+)b"),
    NO("regex", "(?i)a"),
};

static int check(const char *name, struct str value, struct err *err)
{
    const struct format *format = format_find(str_from(name));
    return format ? format_check(format, value, err) : -ENOENT;
}

TEST(format_tells_values_apart)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = { 0 };
        int r = check(rows[i].format, rows[i].value, &err);
        if (r != rows[i].valid)
            test_fail(__FILE__, __LINE__, "%s \"%.*s\" is %d, expected %d %s", rows[i].format,
                      STR_ARG(rows[i].value), r, rows[i].valid, err.cause);
    }
}

TEST(format_knows_its_names)
{
    CHECK_TEXT(format_name(format_find(STR("relative-json-pointer"))), "relative-json-pointer");
    CHECK(!format_find(STR("")));
    CHECK(!format_find(STR("Date")));
    CHECK(!format_find(STR("date\0")));
    CHECK(!format_find(STR("color")));
}

TEST(format_bounds_host_names)
{
    struct buf buf = BUF_INIT;
    struct err err = { 0 };
    for (int i = 0; i < 63; i++)
        buf_add_text(&buf, "abc.");
    buf_add_text(&buf, "d");
    CHECK_INT(check("hostname", buf_str(&buf), &err), 1);
    CHECK_INT(check("idn-hostname", buf_str(&buf), &err), 1);
    buf_add_text(&buf, "e");
    CHECK_INT(check("hostname", buf_str(&buf), &err), 0);
    CHECK_INT(check("idn-hostname", buf_str(&buf), &err), 0);
    for (int i = 0; i < 100000; i++)
        buf_add_text(&buf, "\xC3\xBC.");
    CHECK_INT(check("idn-hostname", buf_str(&buf), &err), 0);
    buf_release(&buf);
}

static void check_suite_case(struct str name, struct str data, bool valid, const char *description)
{
    const struct format *format = format_find(name);
    struct err err = { 0 };
    int r = format ? format_check(format, data, &err) : 1;
    if (r != valid)
        test_fail(__FILE__, __LINE__, "%.*s: %s: \"%.*s\" is %d %s", STR_ARG(name), description,
                  STR_ARG(data), r, err.cause);
}

TEST(format_agrees_with_the_official_suite)
{
    static const char *const files[] = {
        "date-time", "date",          "duration",     "ecmascript-regex",
        "email",     "hostname",      "idn-email",    "idn-hostname",
        "ipv4",      "ipv6",          "iri",          "iri-reference",
        "regex",     "json-pointer",  "time",         "relative-json-pointer",
        "unknown",   "uri-reference", "uri-template", "uri",
        "uuid",
    };
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[64];
        snprintf(path, sizeof(path), "optional/format/%s.json", files[i]);
        count += suite_each(path, "format", check_suite_case);
        if (!getenv("AM_TEST_DATA"))
            return;
    }
    CHECK(count > 600);
}

#include "contract/uri.h"

#include "base/test.h"

TEST(uri_split_takes_any_text_apart)
{
    struct uri uri = uri_split(STR("http://u@h:8/p/q?a=b?c#f#g"));
    CHECK(uri.has_scheme && uri.has_authority && uri.has_query && uri.has_fragment);
    CHECK_STR(uri.scheme, STR("http"));
    CHECK_STR(uri.authority, STR("u@h:8"));
    CHECK_STR(uri.path, STR("/p/q"));
    CHECK_STR(uri.query, STR("a=b?c"));
    CHECK_STR(uri.fragment, STR("f#g"));

    uri = uri_split(STR("urn:isbn:1#"));
    CHECK(uri.has_scheme && !uri.has_authority && !uri.has_query && uri.has_fragment);
    CHECK_STR(uri.path, STR("isbn:1"));
    CHECK_STR(uri.fragment, STR(""));

    uri = uri_split(STR(""));
    CHECK(!uri.has_scheme && !uri.has_authority && !uri.has_query && !uri.has_fragment);
    CHECK_STR(uri.path, STR(""));

    uri = uri_split(STR(":a b\\"));
    CHECK(!uri.has_scheme);
    CHECK_STR(uri.path, STR(":a b\\"));
}

TEST(uri_parse_follows_the_grammar)
{
    static const struct {
        const char *text;
        bool ascii, international;
    } rows[] = {
        { "", true, true },
        { "a", true, true },
        { "#", true, true },
        { "?", true, true },
        { "//", true, true },
        { "a:", true, true },
        { "a+b-c.1:/x", true, true },
        { "./a:b", true, true },
        { "/a:b@c", true, true },
        { "http://h:", true, true },
        { "http://h:99999999999999999999/", true, true },
        { "http://[::1]:80/", true, true },
        { "http://[::ffff:1.2.3.4]", true, true },
        { "http://[1:2:3:4:5:6:7::]", true, true },
        { "http://[v1.fe:]", true, true },
        { "http://[VAF.x]", true, true },
        { "http://u:p@h/", true, true },
        { "http://h/%e2%82%ac", true, true },
        { "http://h/\xE2\x82\xAC", false, true },
        { "//\xC3\xA9@\xC3\xA9/", false, true },
        { "?\xEE\x80\x80", false, true },      /* U+E000, private, in a query */
        { "?\xF4\x8F\xBF\xBD", false, true },  /* U+10FFFD */
        { "/\xEE\x80\x80", false, false },     /* and in a path */
        { "#\xEE\x80\x80", false, false },     /* and in a fragment */
        { "/\xEF\xBF\xBE", false, false },     /* U+FFFE */
        { "/\xF3\xA0\x80\x80", false, false }, /* U+E0000 */
        { "/\xF3\xA1\x80\x80", false, true },  /* U+E1000 */
        { "/\xC2\x80", false, false },         /* U+0080 */
        { "/\xC3", false, false },             /* cut short */
        { "/\xED\xA0\x80", false, false },     /* a surrogate */
        { ":a", false, false },
        { "1:a", false, false },
        { "a b", false, false },
        { "a b:c", false, false },
        { "h%", false, false },
        { "h%a", false, false },
        { "h%ag", false, false },
        { "http://h:8a", false, false },
        { "http://a@b@c", false, false },
        { "http://[::1", false, false },
        { "http://[::1]x", false, false },
        { "http://[]", false, false },
        { "http://[1::2::3]", false, false },
        { "http://[::01.2.3.4]", false, false },
        { "http://[fe80::1%25eth0]", false, false },
        { "http://[v.x]", false, false },
        { "http://[v1.]", false, false },
        { "http://[v1]", false, false },
        { "http://[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]", false, false },
        { "http://::1/", false, false },
        { "/[a]", false, false },
        { "/a\"", false, false },
        { "\\\\h\\f", false, false },
        { "#a#b", false, false },
        { "/a\n", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct uri uri;
        struct str text = str_from(rows[i].text);
        if (uri_parse(text, URI_ASCII, &uri) != rows[i].ascii)
            test_fail(__FILE__, __LINE__, "URI \"%s\"", rows[i].text);
        if (uri_parse(text, URI_INTERNATIONAL, &uri) != rows[i].international)
            test_fail(__FILE__, __LINE__, "IRI \"%s\"", rows[i].text);
    }
    struct uri uri;
    CHECK(!uri_parse(STR("/a\0b"), URI_ASCII, &uri));
    CHECK(!uri_parse(STR("http://[::1\0]"), URI_ASCII, &uri));
}

TEST(uri_parse_leaves_its_result_alone_on_failure)
{
    struct uri uri = { .has_query = true };
    CHECK(!uri_parse(STR("a b"), URI_ASCII, &uri));
    CHECK(uri.has_query && !uri.path.len);
}

static void check_resolve(const char *base, const char *reference, const char *expected)
{
    struct buf buf = BUF_INIT;
    buf_add_text(&buf, "before ");
    CHECK_INT(uri_resolve(str_from(base), str_from(reference), &buf), 0);
    struct str actual = str_from_offset(buf_str(&buf), strlen("before "));
    if (!str_equal(actual, str_from(expected)))
        test_fail(__FILE__, __LINE__, "\"%s\" at \"%s\" is \"%.*s\", expected \"%s\"", reference,
                  base, STR_ARG(actual), expected);
    buf_release(&buf);
}

TEST(uri_resolves_the_examples_of_rfc_3986)
{
    static const char *const rows[][2] = {
        { "g:h", "g:h" },
        { "g", "http://a/b/c/g" },
        { "./g", "http://a/b/c/g" },
        { "g/", "http://a/b/c/g/" },
        { "/g", "http://a/g" },
        { "//g", "http://g" },
        { "?y", "http://a/b/c/d;p?y" },
        { "g?y", "http://a/b/c/g?y" },
        { "#s", "http://a/b/c/d;p?q#s" },
        { "g#s", "http://a/b/c/g#s" },
        { "g?y#s", "http://a/b/c/g?y#s" },
        { ";x", "http://a/b/c/;x" },
        { "g;x", "http://a/b/c/g;x" },
        { "g;x?y#s", "http://a/b/c/g;x?y#s" },
        { "", "http://a/b/c/d;p?q" },
        { ".", "http://a/b/c/" },
        { "./", "http://a/b/c/" },
        { "..", "http://a/b/" },
        { "../", "http://a/b/" },
        { "../g", "http://a/b/g" },
        { "../..", "http://a/" },
        { "../../", "http://a/" },
        { "../../g", "http://a/g" },
        { "../../../g", "http://a/g" },
        { "../../../../g", "http://a/g" },
        { "/./g", "http://a/g" },
        { "/../g", "http://a/g" },
        { "g.", "http://a/b/c/g." },
        { ".g", "http://a/b/c/.g" },
        { "g..", "http://a/b/c/g.." },
        { "..g", "http://a/b/c/..g" },
        { "./../g", "http://a/b/g" },
        { "./g/.", "http://a/b/c/g/" },
        { "g/./h", "http://a/b/c/g/h" },
        { "g/../h", "http://a/b/c/h" },
        { "g;x=1/./y", "http://a/b/c/g;x=1/y" },
        { "g;x=1/../y", "http://a/b/c/y" },
        { "g?y/./x", "http://a/b/c/g?y/./x" },
        { "g?y/../x", "http://a/b/c/g?y/../x" },
        { "g#s/./x", "http://a/b/c/g#s/./x" },
        { "g#s/../x", "http://a/b/c/g#s/../x" },
        { "http:g", "http:g" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_resolve("http://a/b/c/d;p?q", rows[i][0], rows[i][1]);
}

TEST(uri_resolves_at_other_bases)
{
    check_resolve("", "a/../b", "a/../b");
    check_resolve("http://a", "b", "http://a/b");
    check_resolve("http://a?q", "b", "http://a/b");
    check_resolve("http://a", "?x", "http://a?x");
    check_resolve("http://a/b?q#f", "", "http://a/b?q");
    check_resolve("urn:example:root", "#/$defs/a", "urn:example:root#/$defs/a");
    check_resolve("urn:example:root", "other", "urn:other");
    check_resolve("file:///home/x/schema.json", "part.json#a", "file:///home/x/part.json#a");
    check_resolve("http://a/b/", "urn:x:y", "urn:x:y");
    check_resolve("http://a/b/%2e%2e/c", "d", "http://a/b/%2e%2e/d");
}

TEST(uri_resolution_never_turns_a_path_into_a_host)
{
    check_resolve("a:/b", ".//evil/x", "a:/.//evil/x");
    check_resolve("a:/b", "/.//evil/x", "a:/.//evil/x");
    check_resolve("urn:b", ".///evil/x", "urn:/.//evil/x");
    check_resolve("a://h/b", "..//evil/x", "a://h//evil/x");
}

TEST(uri_resolve_keeps_the_buffer_when_it_does_not_fit)
{
    struct buf buf = BUF_INIT_LIMIT(8);
    buf_add_text(&buf, "keep");
    CHECK_INT(uri_resolve(STR("http://host/"), STR("path"), &buf), -EMSGSIZE);
    CHECK_STR(buf_str(&buf), STR("keep"));
    buf_release(&buf);
}

TEST(uri_percent_decodes)
{
    struct buf buf = BUF_INIT;
    buf_add_text(&buf, "x");
    CHECK(uri_percent_decode(STR("/a%20b%2Fc%00%ff%"
                                 "25"),
                             &buf));
    CHECK_STR(buf_str(&buf), STR("x/a b/c\0\xFF%"));
    static const char *const malformed[] = { "ab%", "ab%2", "ab%2g", "%%20", "%+1" };
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        buf_reset(&buf);
        buf_add_text(&buf, "kept");
        CHECK(!uri_percent_decode(str_from(malformed[i]), &buf));
        CHECK_STR(buf_str(&buf), STR("kept"));
    }
    buf_release(&buf);
}

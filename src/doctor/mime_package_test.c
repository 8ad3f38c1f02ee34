/* Packages of MIME types: as they are, broken, and made to do harm. */
#include "doctor/mime_package.h"

#include "base/buf.h"
#include "base/test.h"

#define NS "http://www.freedesktop.org/standards/shared-mime-info"

static void take_type(void *context, struct str type)
{
    struct buf *types = context;
    buf_add_str(types, type);
    buf_add_char(types, ' ');
}

static const char *fault_of(struct str text, struct buf *types)
{
    const char *fault = "nothing was said";
    struct err err = { 0 };
    CHECK_INT(mime_package_read(text, take_type, types, &fault, &err), 0);
    return fault ? fault : "";
}

TEST(what_is_declared_is_told)
{
    static const struct {
        const char *text, *fault, *types;
    } cases[] = {
        { "<mime-info xmlns='" NS "'><mime-type type='text/x-a'><glob pattern='*.a'/></mime-type>"
          "<mime-type type='application/vnd.b+c'/></mime-info>",
          "", "text/x-a application/vnd.b+c " },
        { "<m:mime-info xmlns:m='" NS "'><m:mime-type type='a/b'/></m:mime-info>", "", "a/b " },
        { "<mime-info xmlns='" NS "'/>", "", "" },
        { "<mime-info xmlns='" NS "'><mime-type><x/></mime-type></mime-info>",
          "MANIFEST_INCOMPLETE", "" },
        { "<mime-info xmlns='" NS "'><mime-type type='text'/></mime-info>", "MANIFEST_INCOMPLETE",
          "" },
        { "<mime-info xmlns='" NS "'><mime-type type='a/b/c'/></mime-info>", "MANIFEST_INCOMPLETE",
          "" },
        { "<mime-info xmlns='" NS "'><mime-type type='../b'/></mime-info>", "MANIFEST_INCOMPLETE",
          "" },
        { "<mime-info xmlns='" NS "'><mime-type type='a/..'/></mime-info>", "MANIFEST_INCOMPLETE",
          "" },
        { "<mime-info xmlns='" NS "'><mime-type type='a/b c'/></mime-info>", "MANIFEST_INCOMPLETE",
          "" },
        { "<mime-info><mime-type type='a/b'/></mime-info>", "MANIFEST_INCOMPLETE", "" },
        { "<mime-info xmlns='http://example.com/'/>", "MANIFEST_INCOMPLETE", "" },
        { "<html xmlns='" NS "'/>", "MANIFEST_INCOMPLETE", "" },
        { "<mime-info xmlns='" NS "'><mime-type type='a/b'>", "MANIFEST_UNREADABLE", "a/b " },
        { "<mime-info xmlns='" NS "'></mime-type></mime-info>", "MANIFEST_UNREADABLE", "" },
        { "no xml", "MANIFEST_UNREADABLE", "" },
        { "", "MANIFEST_UNREADABLE", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_release) struct buf types = BUF_INIT;
        buf_add_text(&types, "");
        CHECK_TEXT(fault_of(str_from(cases[i].text), &types), cases[i].fault);
        CHECK_TEXT(types.data, cases[i].types);
    }
}

TEST(no_entity_is_declared)
{
    static const char *const subsets[] = {
        "<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>",
        "<!ENTITY a SYSTEM 'file:///etc/passwd'>",
        "<!ENTITY % a SYSTEM 'file:///etc/passwd'> %a;",
    };
    for (size_t i = 0; i < ARRAY_LEN(subsets); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT, types = BUF_INIT;
        buf_addf(&text,
                 "<!DOCTYPE mime-info [%s]><mime-info xmlns='" NS
                 "'><mime-type type='a/b'/></mime-info>",
                 subsets[i]);
        CHECK_TEXT(fault_of(buf_str(&text), &types), "MANIFEST_UNREADABLE");
        CHECK_INT(types.len, 0);
    }
}

TEST(a_document_type_may_say_what_elements_have)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT, types = BUF_INIT;
    buf_add_text(&text, "<!DOCTYPE mime-info [");
    for (int i = 0; i < MIME_ATTRIBUTES_MAX; i++)
        buf_addf(&text, "<!ATTLIST glob a%d CDATA '50'>", i);
    size_t here = text.len;
    buf_add_text(&text, "]><mime-info xmlns='" NS "'><mime-type type='a/b'/></mime-info>");
    CHECK_TEXT(fault_of(buf_str(&text), &types), "");
    buf_truncate(&text, here);
    buf_add_text(&text, "<!ATTLIST glob more CDATA '50'>]><mime-info xmlns='" NS "'/>");
    CHECK_TEXT(fault_of(buf_str(&text), &types), "MANIFEST_UNREADABLE");
}

TEST(what_it_has_of_anything_is_bounded)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(2 * MIME_PACKAGE_BYTES_MAX),
                                      types = BUF_INIT;
    for (int depth = MIME_DEPTH_MAX; depth <= MIME_DEPTH_MAX + 1; depth++) {
        buf_reset(&text);
        buf_add_text(&text, "<mime-info xmlns='" NS "'>");
        for (int i = 1; i < depth; i++)
            buf_add_text(&text, "<a>");
        for (int i = 1; i < depth; i++)
            buf_add_text(&text, "</a>");
        buf_add_text(&text, "</mime-info>");
        CHECK_TEXT(fault_of(buf_str(&text), &types),
                   depth == MIME_DEPTH_MAX ? "" : "MANIFEST_UNREADABLE");
    }
    buf_reset(&text);
    buf_add_text(&text, "<mime-info xmlns='" NS "'>");
    for (int i = 0; i < MIME_ELEMENTS_MAX; i++)
        buf_add_text(&text, "<a/>");
    buf_add_text(&text, "</mime-info>");
    CHECK_TEXT(fault_of(buf_str(&text), &types), "MANIFEST_UNREADABLE");
    while (text.len <= MIME_PACKAGE_BYTES_MAX)
        buf_add_text(&text, "<!-- larger than any package that there is -->");
    CHECK_TEXT(fault_of(buf_str(&text), &types), "MANIFEST_UNREADABLE");
}

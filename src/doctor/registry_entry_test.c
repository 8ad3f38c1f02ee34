#include "base/buf.h"
#include "base/test.h"
#include "doctor/registry_entry.h"

static const struct {
    enum registry_entry_kind kind;
    const char *text, *fault, *name, *program;
} rows[] = {
    { ENTRY_DESKTOP, "[Desktop Entry]\nType=Application\nName=Vim\nExec=vim %F\n", NULL, "Vim",
      "vim" },
    { ENTRY_DESKTOP, "[Desktop Entry]\nType=Link\nName=L\nURL=x\n", NULL, "L", "" },
    { ENTRY_DESKTOP, "[Desktop Entry]\nType=Application\nName=V\n", "MANIFEST_INCOMPLETE", "V",
      "" },
    { ENTRY_DESKTOP, "[Desktop Entry]\nType=Application\nName=V\nDBusActivatable=true\n", NULL, "V",
      "" },
    { ENTRY_DESKTOP, "<html>", "MANIFEST_UNREADABLE", "", "" },
    { ENTRY_SERVICE, "[D-BUS Service]\nName=a.b\nExec=/bin/x --y\n", NULL, "a.b", "/bin/x" },
    { ENTRY_SERVICE, "[D-BUS Service]\nName=a.b\nExec=/bin/false\nSystemdService=x.service\n", NULL,
      "a.b", "" },
    { ENTRY_SERVICE, "[D-BUS Service]\nExec=/bin/x\n", "MANIFEST_INCOMPLETE", "", "/bin/x" },
    { ENTRY_UNIT, "[Unit]\nA=b\n[Service]\nExecStart=!/usr/bin/d -x\n", NULL, "", "/usr/bin/d" },
    { ENTRY_UNIT, "[Service]\nExecStart=%h/x\n", NULL, "", "" },
    { ENTRY_UNIT, "nothing", "MANIFEST_UNREADABLE", "", "" },
    { ENTRY_PORTAL, "[portal]\nDBusName=a.b\nInterfaces=x;\n", NULL, "a.b", "" },
    { ENTRY_PORTAL, "[portal]\nDBusName=a.b\n", "MANIFEST_INCOMPLETE", "a.b", "" },
    { ENTRY_NATIVE_HOST,
      "{\"name\":\"a\",\"path\":\"/bin/a\",\"type\":\"stdio\",\"allowed_origins\":[]}", NULL, "a",
      "/bin/a" },
    { ENTRY_NATIVE_HOST, "{\"name\":\"a\",\"path\":\"/bin/a\",\"type\":\"stdio\"}",
      "MANIFEST_INCOMPLETE", "a", "/bin/a" },
    { ENTRY_EXTENSION, "{\"name\":\"a\",\"version\":\"1\",\"manifest_version\":3}", NULL, "a", "" },
    { ENTRY_EXTENSION, "[]", "MANIFEST_UNREADABLE", "", "" },
    { ENTRY_NODE, "{\"name\":\"a\",\"version\":\"1\"}", NULL, "a", "" },
    { ENTRY_NODE, "{\"name\":\"a\"}", "MANIFEST_INCOMPLETE", "a", "" },
};

TEST(registry_entries_say_what_they_need_or_how_they_are_broken)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct registry_entry entry;
        registry_entry_read(rows[i].kind, str_from(rows[i].text), &entry);
        CHECK_TEXT(entry.fault ? entry.fault : "", rows[i].fault ? rows[i].fault : "");
        CHECK_TEXT(entry.name, rows[i].name);
        CHECK_TEXT(entry.program, rows[i].program);
    }
}

TEST(registry_entry_of_a_unit_may_let_its_program_fail)
{
    struct registry_entry entry;
    registry_entry_read(ENTRY_UNIT, STR("[Service]\nExecStart=-/bin/a\n"), &entry);
    CHECK(entry.is_optional);
    registry_entry_read(ENTRY_UNIT,
                        STR("[Unit]\nConditionPathExists=/bin/a\n[Service]\nExecStart=/bin/a\n"),
                        &entry);
    CHECK(entry.is_optional);
    registry_entry_read(ENTRY_DESKTOP,
                        STR("[Desktop Entry]\nType=Application\nName=a\nTryExec=a\nExec=a\n"),
                        &entry);
    CHECK(entry.is_optional);
}

static void add_name(void *context, struct str name)
{
    buf_addf(context, "%.*s ", STR_ARG(name));
}

static void add_program(void *context, struct str name, struct str path)
{
    buf_addf(context, "%.*s=%.*s ", STR_ARG(name), STR_ARG(path));
}

TEST(registry_lists_are_read)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    CHECK(registry_policy_read(STR("{\"NativeMessagingBlocklist\":[\"*\",1,\"a\"]}"),
                               "NativeMessagingBlocklist", add_name, &text));
    CHECK_TEXT(text.data, "* a ");
    buf_reset(&text);
    CHECK(registry_mime_read(
        STR("[MIME Cache]\na/b=x.desktop;y.desktop;\n[Removed Associations]\na/b=z.desktop\n"),
        add_name, &text));
    CHECK_TEXT(text.data, "x.desktop y.desktop ");
    buf_reset(&text);
    CHECK(registry_node_read(STR("{\"name\":\"@s/a\",\"bin\":\"x.js\"}"), add_program, &text));
    CHECK(registry_node_read(STR("{\"bin\":{\"b\":\"y\",\"c\":2}}"), add_program, &text));
    CHECK_TEXT(text.data, "a=x.js b=y ");
    CHECK(!registry_node_read(STR("[]"), add_program, &text));
    CHECK(!registry_policy_read(STR("{"), "x", add_name, &text));
}

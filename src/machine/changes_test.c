#include "machine/changes.h"

#include "base/test.h"

#define FIRST "agent-machine changes 2\n"
#define ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static int append(void *context, struct str piece)
{
    return buf_add_str(context, piece);
}

TEST(a_text_is_read_as_it_was_written)
{
    struct str text = STR(FIRST "added directory 755 0 - - - 1 d\n"
                                "modified file 644 3 " ABC " 600 " ABC " 6 d/a\nb \n"
                                "mode file 755 3 - 644 - 1 e\n"
                                "deleted link 777 9 - 777 - 2 \303\251\n");
    struct changes changes = { 0 };
    struct buf written = BUF_INIT;
    struct err err = { 0 };
    CHECK_INT(changes_parse(text, &changes, &err), 0);
    CHECK_INT(changes.count, 4);
    CHECK_TEXT(changes.items[1].path, "d/a\nb ");
    CHECK_INT(changes.items[1].mode_before, 0600);
    CHECK(changes.items[1].has_before && !changes.items[2].has_before);
    CHECK_INT(changes.items[2].mode_before, 0644);
    CHECK_INT(changes_write_text(&changes, append, &written), 0);
    CHECK_STR(buf_str(&written), text);
    char digest[DIGEST_TEXT_SIZE];
    CHECK_INT(digest_text(text, digest, &err), 0);
    CHECK_TEXT(changes.digest, digest);
    buf_release(&written);
    changes_release(&changes);
}

TEST(what_is_no_list_is_refused)
{
    static const char *const texts[] = {
        "",
        "agent-machine changes 1\n",
        FIRST "added",
        FIRST "added file 644 3 - - - 1 a",
        FIRST "added file 644 3 - - - 2 a\n",
        FIRST "added file 644 3 - 644 - 1 a\n",
        FIRST "modified file 644 3 - - - 1 a\n",
        FIRST "renamed file 644 3 - - - 1 a\n",
        FIRST "added socket 644 3 - - - 1 a\n",
        FIRST "added file 17777 3 - - - 1 a\n",
        FIRST "added file 648 3 - - - 1 a\n",
        FIRST "added file 644 99999999999999999999 - - - 1 a\n",
        FIRST "added file 644 3 " ABC "0 - - 1 a\n",
        FIRST "added file 644 3 ABC - - 1 a\n",
        FIRST "added file 644 3 - - - 4 a/..\n",
        FIRST "added file 644 3 - - - 2 /a\n",
        FIRST "added file 644 3 - - - 2 a/\n",
        FIRST "added file 644 3 - - - 4 a//b\n",
        FIRST "added file 644 3 - - - 1 .\n",
        FIRST "added file 644 3 - - - 0 \n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct changes changes = { 0 };
        struct err err = { 0 };
        CHECK(changes_parse(str_from(texts[i]), &changes, &err) < 0);
        CHECK_INT(err.code, ERR_SYNTAX);
        changes_release(&changes);
    }
}

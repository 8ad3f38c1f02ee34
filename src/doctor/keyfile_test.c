#include "base/buf.h"
#include "base/test.h"
#include "doctor/keyfile.h"

static int add_pair(void *context, const struct keyfile_pair *pair)
{
    buf_addf(context, "%.*s/%.*s=%.*s\n", STR_ARG(pair->group), STR_ARG(pair->key),
             STR_ARG(pair->value));
    return str_equal(pair->key, STR("Stop"));
}

static void check_read(const char *text, int expected, const char *pairs)
{
    _cleanup_(buf_release) struct buf found = BUF_INIT;
    CHECK_INT(keyfile_read(str_from(text), add_pair, &found), expected);
    CHECK_TEXT(found.data, pairs);
}

TEST(keyfile_pairs_are_read_by_group)
{
    check_read("# x\n[A]\nName = one \r\nName[de]=eins\n\n;y\n[B]\nExec=a=b\n", 0,
               "A/Name=one\nB/Exec=a=b\n");
    check_read("[S]\nExecStart=/bin/a \\\n  b=c \\\n# within\n  d\nType=x\n", 0,
               "S/ExecStart=/bin/a \\\nS/Type=x\n");
    check_read("[A]\nStop=1\nb=2\n", 1, "A/Stop=1\n");
}

TEST(keyfile_that_is_none_is_refused)
{
    check_read("Name=x\n", -EBADMSG, "");
    check_read("[A]\nnonsense\n", -EBADMSG, "");
    check_read("[A]\n=x\n", -EBADMSG, "");
    check_read("", 0, "");
}

static void check_program(const char *command, const char *expected)
{
    char program[16] = "";
    CHECK(keyfile_program(str_from(command), program, sizeof(program)) == (expected != NULL));
    if (expected)
        CHECK_TEXT(program, expected);
}

TEST(keyfile_program_is_the_first_word_without_its_quotes)
{
    check_program("vim %F", "vim");
    check_program("  \"/opt/a b\" c", "/opt/a b");
    check_program("/opt/a\\ b c", "/opt/a b");
    check_program("", NULL);
    check_program("\"\" x", NULL);
    check_program("/a/name/that/is/too/long", NULL);
}

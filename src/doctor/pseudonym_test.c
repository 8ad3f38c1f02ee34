#include "doctor/pseudonym.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/test.h"

static char folder[] = "/tmp/pseudonym-test-XXXXXX";

static struct pseudonyms *open_with(bool make)
{
    struct pseudonyms *pseudonyms = NULL;
    struct err err = { 0 };
    if (folder[strlen(folder) - 1] == 'X')
        CHECK(mkdtemp(folder));
    CHECK_INT(pseudonyms_new(folder, make, &pseudonyms, &err), 0);
    CHECK_INT(pseudonyms_add(pseudonyms, PSEUDONYM_USER, STR("ada"), &err), 0);
    CHECK_INT(pseudonyms_add(pseudonyms, PSEUDONYM_USER, STR("Ada Lovelace"), &err), 0);
    CHECK_INT(pseudonyms_add(pseudonyms, PSEUDONYM_HOST, STR("ada-laptop"), &err), 0);
    CHECK_INT(pseudonyms_add(pseudonyms, PSEUDONYM_HOST, STR("ada-laptop.corp.example"), &err), 0);
    CHECK_INT(pseudonyms_add(pseudonyms, PSEUDONYM_USER, STR("agent"), &err), 0);
    return pseudonyms;
}

static void replace(struct pseudonyms *pseudonyms, const char *text, struct buf *ret)
{
    buf_reset(ret);
    CHECK_INT(pseudonyms_replace(pseudonyms, str_from(text), ret, NULL), 0);
}

TEST(names_are_replaced_wherever_they_stand_as_words)
{
    struct pseudonyms *pseudonyms = open_with(false);
    struct buf out = BUF_INIT;
    replace(pseudonyms, "/home/ada/x ada@ADA-LAPTOP.corp.example: Ada Lovelace, adamant, canada",
            &out);
    CHECK(!strcasestr(out.data, "ada/") && !strcasestr(out.data, "laptop"));
    CHECK(!strcasestr(out.data, "lovelace"));
    CHECK(strstr(out.data, "adamant, canada"));
    CHECK_INT(pseudonyms_count(pseudonyms, PSEUDONYM_USER), 3);
    CHECK_INT(pseudonyms_count(pseudonyms, PSEUDONYM_HOST), 1);
    CHECK_INT(pseudonyms_distinct(pseudonyms, PSEUDONYM_USER), 2);
    buf_release(&out);
    pseudonyms_free(pseudonyms);
}

TEST(a_name_that_is_a_common_word_is_replaced_only_where_it_must_be_a_name)
{
    struct pseudonyms *pseudonyms = open_with(false);
    struct buf out = BUF_INIT;
    replace(pseudonyms, "urn:srcos:agent-machine:1 agent", &out);
    CHECK_TEXT(out.data, "urn:srcos:agent-machine:1 agent");
    replace(pseudonyms, "urn:srcos:user:agent /home/agent/x", &out);
    CHECK(!strstr(out.data, "agent"));
    buf_release(&out);
    pseudonyms_free(pseudonyms);
}

TEST(a_name_has_the_same_pseudonym_as_long_as_its_key_is_there)
{
    struct buf first = BUF_INIT, second = BUF_INIT, other = BUF_INIT;
    char path[200];
    struct stat at;
    struct pseudonyms *pseudonyms = open_with(true);
    replace(pseudonyms, "ada", &first);
    pseudonyms_free(pseudonyms);
    pseudonyms = open_with(true);
    replace(pseudonyms, "ada", &second);
    pseudonyms_free(pseudonyms);
    CHECK_TEXT(first.data, second.data);
    CHECK(strncmp(first.data, "user-", 5) == 0 && first.len == 13);
    snprintf(path, sizeof(path), "%s/" PSEUDONYM_KEY_FILE, folder);
    CHECK(stat(path, &at) == 0 && (at.st_mode & 0777) == 0600);
    CHECK_INT(unlink(path), 0);
    pseudonyms = open_with(false);
    replace(pseudonyms, "ada", &other);
    CHECK(strcmp(first.data, other.data) != 0);
    CHECK(stat(path, &at) < 0); /* none was made */
    pseudonyms_free(pseudonyms);
    buf_release(&first);
    buf_release(&second);
    buf_release(&other);
}

TEST(a_key_that_is_none_is_an_error)
{
    struct pseudonyms *pseudonyms = NULL;
    struct err err = { 0 };
    test_put(folder, PSEUDONYM_KEY_FILE, "short");
    CHECK(pseudonyms_new(folder, true, &pseudonyms, &err) < 0);
    CHECK_INT(err.code, ERR_DAMAGED);
    CHECK_INT(file_remove_tree(folder, NULL), 0);
}

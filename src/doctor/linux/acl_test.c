#include "base/test.h"
#include "doctor/linux/acl.h"

#define HEAD             "\2\0\0\0"
#define ENTRY(tag, bits) tag "\0" bits "\0"
#define NOBODY           "\xff\xff\xff\xff"

/* Owner rw-, user 1000 r--, owning group r--, group 50 rw-, mask rw-, others ---. */
static const char list[] =
    HEAD ENTRY("\1", "\6") NOBODY ENTRY("\2", "\4") "\xe8\3\0\0" ENTRY("\4", "\4")
        NOBODY ENTRY("\10", "\6") "\62\0\0\0" ENTRY("\20", "\6") NOBODY ENTRY("\40", "\0") NOBODY;

static void check_decides(uid_t uid, gid_t group, unsigned wanted, enum acl_tag tag, unsigned bits)
{
    static struct acl acl;
    unsigned found = 8;
    const struct acl_asker asker = { uid, 1, 5, &group, 1 };
    CHECK_INT(acl_read(str_make(list, sizeof(list) - 1), &acl), 0);
    const struct acl_entry *entry = acl_decides(&acl, &asker, wanted, &found);
    CHECK(entry && entry->tag == tag);
    CHECK_INT(found, bits);
}

TEST(acl_decides_as_the_kernel_does)
{
    check_decides(1, 9, 2, ACL_OWNER, 6);
    check_decides(1000, 9, 4, ACL_USER, 4);
    check_decides(1000, 50, 2, ACL_USER, 4); /* by name comes before any group */
    check_decides(7, 5, 2, ACL_OWNING_GROUP, 4);
    check_decides(7, 50, 2, ACL_GROUP, 6);
    check_decides(7, 9, 4, ACL_OTHER, 0);
}

TEST(acl_that_is_none_is_refused)
{
    static struct acl acl;
    CHECK_INT(acl_read(STR(""), &acl), -EBADMSG);
    CHECK_INT(acl_read(STR("\3\0\0\0"), &acl), -EBADMSG);
    CHECK_INT(acl_read(STR(HEAD "\1\0\6"), &acl), -EBADMSG);
    CHECK_INT(acl_read(STR(HEAD "\3\0\6\0\0\0\0\0"), &acl), -EBADMSG);
    CHECK_INT(acl_read(STR(HEAD), &acl), 0);
}

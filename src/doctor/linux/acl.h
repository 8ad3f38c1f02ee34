/*
 * acl: the access list of a file (the extended attribute system.posix_acl_access).
 *
 * The bytes come from a file system, which may be anybody's.
 */
#ifndef AM_DOCTOR_LINUX_ACL_H
#define AM_DOCTOR_LINUX_ACL_H

#include <sys/types.h>

#include "base/base.h"
#include "base/str.h"

#define ACL_ENTRIES_MAX 512

enum acl_tag {
    ACL_OWNER = 0x01,
    ACL_USER = 0x02,
    ACL_OWNING_GROUP = 0x04,
    ACL_GROUP = 0x08,
    ACL_MASK = 0x10,
    ACL_OTHER = 0x20,
};

struct acl_entry {
    enum acl_tag tag;
    unsigned bits; /* 4 read, 2 write, 1 execute */
    uint32_t id;   /* of a user or a group */
};

struct acl {
    struct acl_entry entries[ACL_ENTRIES_MAX];
    size_t count;
};

/* 0, -EBADMSG, or -E2BIG past ACL_ENTRIES_MAX. */
int acl_read(struct str bytes, struct acl *ret) MUST_CHECK;

/* Who asks. */
struct acl_asker {
    uid_t uid, owner;
    gid_t owning_group;
    const gid_t *groups; /* the asker's, the effective one among them */
    size_t group_count;
};
/* The entry by which the kernel decides about the asker, and the bits that it leaves them. */
const struct acl_entry *acl_decides(const struct acl *acl, const struct acl_asker *asker,
                                    unsigned wanted, unsigned *ret_bits);

#endif

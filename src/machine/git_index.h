/*
 * git_index: reading git's index, versions 2 to 4, from hostile bytes.
 *
 * Entries come in their order. Nothing is allocated but the name of version 4, which is put
 * together from pieces.
 */
#ifndef AM_MACHINE_GIT_INDEX_H
#define AM_MACHINE_GIT_INDEX_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define GIT_INDEX_BYTES_MAX ((size_t)512 << 20)
#define GIT_NAME_MAX        4095
#define GIT_OID_MAX         32

#define GIT_MODE_TYPE    0170000u
#define GIT_MODE_LINK    0120000u
#define GIT_MODE_GITLINK 0160000u
#define GIT_MODE_TREE    0040000u

struct git_index_entry {
    uint32_t changed_s, changed_ns, modified_s, modified_ns;
    uint32_t inode, mode, uid, gid, size; /* the low 32 bits */
    const unsigned char *oid;
    struct str name; /* until the next entry is read */
    unsigned stage;  /* not 0: in conflict */
    bool assumed;    /* git does not look at the file: assume-unchanged, skip-worktree */
    bool intent;     /* to add: not in any tree */
};

struct git_index {
    struct str text; /* without the checksum at its end */
    size_t at;
    size_t oid_len; /* 20 or 32 */
    unsigned version;
    uint32_t left; /* entries */
    struct buf name;
};

/* What stands behind the entries. */
struct git_index_extensions {
    const unsigned char *tree; /* the tree that the index is, where git knew it; or NULL */
    bool foreign;              /* one that may not be passed over, such as a split index */
};

/* False where it is no index. Release with git_index_release. */
bool git_index_open(struct git_index *index, struct str text, size_t oid_len) MUST_CHECK;
void git_index_release(struct git_index *index);
/* 1 with an entry, 0 after the last, -EBADMSG, -ENOMEM. */
int git_index_next(struct git_index *index, struct git_index_entry *ret) MUST_CHECK;
/* After the last entry. 0 or -EBADMSG. */
int git_index_end(struct git_index *index, struct git_index_extensions *ret) MUST_CHECK;

#endif

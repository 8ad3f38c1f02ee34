/*
 * git_object: what little of git's objects can be had cheaply: the tree of a commit.
 *
 * From a loose object or a pack, without deltas, alternates and replacements. Bytes are hostile.
 */
#ifndef AM_MACHINE_GIT_OBJECT_H
#define AM_MACHINE_GIT_OBJECT_H

#include "base/base.h"
#include "base/str.h"

#define GIT_PACKS_MAX 1024

/*
 * 0 with the name of the commit's tree; -ENOENT where the commit is nowhere here, -EOPNOTSUPP where
 * it is a delta or zlib is missing, -EBADMSG, or another -errno. `objects` is that directory.
 */
int git_commit_tree(int objects, const unsigned char *oid, size_t oid_len,
                    unsigned char *ret_tree) MUST_CHECK;

/* Hexadecimal, in lower case, to bytes; false where it is none of that length. */
bool git_oid_read(struct str hex, unsigned char *ret, size_t oid_len);

/* The offset of an object in a pack by the pack's index (version 2). As git_commit_tree. */
int git_pack_find(int index_fd, const unsigned char *oid, size_t oid_len,
                  uint64_t *ret_offset) MUST_CHECK;
/* The tree that stands in a commit's compressed bytes; `loose` where a header comes first. */
int git_commit_read(struct str bytes, bool loose, size_t oid_len,
                    unsigned char *ret_tree) MUST_CHECK;

#endif

/*
 * acl: see the header.
 *
 * Theory of operation. The order is the kernel's: the owner, a user by name,
 * any group that gives all that is wanted, the others. The mask cuts what
 * named users and all groups are given.
 */
#include "doctor/linux/acl.h"

#include <endian.h>

#define ACL_VERSION     2
#define ACL_HEAD_BYTES  4
#define ACL_ENTRY_BYTES 8

static const enum acl_tag tags[] = { ACL_OWNER, ACL_USER, ACL_OWNING_GROUP,
                                     ACL_GROUP, ACL_MASK, ACL_OTHER };

static bool is_tag(unsigned tag)
{
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if (tags[i] == tag)
            return true;
    return false;
}

int acl_read(struct str bytes, struct acl *ret)
{
    uint32_t version;
    ret->count = 0;
    if (bytes.len < ACL_HEAD_BYTES || (bytes.len - ACL_HEAD_BYTES) % ACL_ENTRY_BYTES != 0)
        return -EBADMSG;
    memcpy(&version, bytes.ptr, sizeof(version));
    if (le32toh(version) != ACL_VERSION)
        return -EBADMSG;
    for (size_t at = ACL_HEAD_BYTES; at < bytes.len; at += ACL_ENTRY_BYTES) {
        uint16_t tag, bits;
        uint32_t id;
        memcpy(&tag, bytes.ptr + at, sizeof(tag));
        memcpy(&bits, bytes.ptr + at + 2, sizeof(bits));
        memcpy(&id, bytes.ptr + at + 4, sizeof(id));
        if (ret->count == ACL_ENTRIES_MAX)
            return -E2BIG;
        if (!is_tag(le16toh(tag)) || le16toh(bits) > 7)
            return -EBADMSG;
        ret->entries[ret->count++] =
            (struct acl_entry){ (enum acl_tag)le16toh(tag), le16toh(bits), le32toh(id) };
    }
    return 0;
}

static const struct acl_entry *find(const struct acl *acl, enum acl_tag tag, uint32_t id)
{
    for (size_t i = 0; i < acl->count; i++) {
        const struct acl_entry *entry = &acl->entries[i];
        if (entry->tag == tag && (tag != ACL_USER || entry->id == id))
            return entry;
    }
    return NULL;
}

static bool is_of_group(const struct acl_asker *asker, gid_t group)
{
    for (size_t i = 0; i < asker->group_count; i++)
        if (asker->groups[i] == group)
            return true;
    return false;
}

const struct acl_entry *acl_decides(const struct acl *acl, const struct acl_asker *asker,
                                    unsigned wanted, unsigned *ret_bits)
{
    const struct acl_entry *mask = find(acl, ACL_MASK, 0), *entry = NULL;
    unsigned left = mask ? mask->bits : 7;
    if (asker->uid == asker->owner && (entry = find(acl, ACL_OWNER, 0))) {
        *ret_bits = entry->bits;
        return entry;
    }
    if ((entry = find(acl, ACL_USER, asker->uid))) {
        *ret_bits = entry->bits & left;
        return entry;
    }
    for (size_t i = 0; i < acl->count; i++) {
        const struct acl_entry *group = &acl->entries[i];
        bool is_group = (group->tag == ACL_GROUP && is_of_group(asker, group->id)) ||
                        (group->tag == ACL_OWNING_GROUP && is_of_group(asker, asker->owning_group));
        if (!is_group)
            continue;
        if (!entry || (group->bits & left & wanted) == wanted) {
            entry = group;
            *ret_bits = group->bits & left;
        }
        if ((*ret_bits & wanted) == wanted)
            return entry;
    }
    if (!entry && (entry = find(acl, ACL_OTHER, 0)))
        *ret_bits = entry->bits;
    return entry;
}

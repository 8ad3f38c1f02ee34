/*
 * mask_cache: what a walk for secrets found, by directory, kept for the next walk.
 *
 * A record belongs to a directory by its device, inode and times; it lists the directories in it,
 * the names that are secrets, and the candidates with what their contents told. One file for each
 * tree, private to the user. A file that is damaged, foreign or of another table of names is as
 * good as none: only time is lost.
 */
#ifndef AM_MACHINE_MASK_CACHE_H
#define AM_MACHINE_MASK_CACHE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define MASK_CACHE_BYTES_MAX ((size_t)128 << 20)

struct mask_stamp {
    uint64_t device, inode;
    int64_t size;
    int64_t changed_ns, modified_ns;
};

enum mask_item_type { MASK_ITEM_DIRECTORY, MASK_ITEM_SECRET, MASK_ITEM_CANDIDATE, MASK_ITEM_COUNT };

struct mask_item {
    enum mask_item_type type;
    uint16_t row;            /* in the table of names */
    bool secret;             /* a candidate's contents */
    struct mask_stamp stamp; /* of a candidate */
    struct str name;
};

struct mask_slot;

struct mask_cache {
    struct buf text;
    struct mask_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

/* Reads a tree's file; an empty cache where there is none that can be used. ERR_MEMORY. */
int mask_cache_load(struct mask_cache *cache, const char *path, struct err *err) MUST_CHECK;
/* As mask_cache_load from bytes, for a file's contents; false where they cannot be used. */
bool mask_cache_read(struct mask_cache *cache, struct str text);
void mask_cache_release(struct mask_cache *cache);

/* A directory's items, one after the other. */
struct mask_cursor {
    const char *at;
    uint32_t left;
};
bool mask_cache_find(const struct mask_cache *cache, const struct mask_stamp *stamp,
                     uint16_t context, struct mask_cursor *ret);
bool mask_cursor_next(struct mask_cursor *cursor, struct mask_item *ret);

/* A new file's text: begun once, then for each directory a record, its items and its end. */
void mask_cache_begin(struct buf *text);
size_t mask_cache_add_record(struct buf *text, const struct mask_stamp *stamp, uint16_t context);
void mask_cache_add_item(struct buf *text, const struct mask_item *item);
void mask_cache_end_record(struct buf *text, size_t record, uint32_t items);
/* Seals the text and puts it in place of the file. ERR_IO, ERR_MEMORY. */
int mask_cache_save(struct buf *text, const char *path, struct err *err) MUST_CHECK;
/* Seals the text, as mask_cache_save does. */
int mask_cache_seal(struct buf *text);

#endif

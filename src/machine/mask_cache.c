/*
 * mask_cache: the file's form, its check, and finding a record in it.
 *
 * Theory of operation. The file is a header, then records one after the other; a record is a fixed
 * part and its items. Numbers are in the host's order: the file never leaves it. The header carries
 * the mark of the table of names and a checksum over the rest; both must fit, or the file is
 * dropped. The checksum is against damage, not against malice: whoever can write the user's cache
 * can do worse. Every length is checked all the same, once, when the file is read
 * (mask_cache_read); after that cursors trust it.
 *
 * A file is written beside its place and renamed: it is there whole or not at all. It is not
 * synced; what a crash tears the checksum finds.
 */
#include "machine/mask_cache.h"

#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "machine/secret_names.h"

#define STEP           "keep what a walk found"
#define MAGIC          0x6b73616d31656d61u /* "ame1mask" */
#define CHECKSUM_SEED  0x9e3779b97f4a7c15u
#define CHECKSUM_PRIME 0xff51afd7ed558ccdu

struct header {
    uint64_t magic, names_hash, checksum, len; /* of what follows */
};

struct record {
    struct mask_stamp stamp;
    uint32_t items, len; /* bytes of all items */
    uint16_t context;
    uint16_t reserved[3];
};

struct item {
    uint16_t row;
    uint8_t type, secret;
    uint16_t name_len;
};

struct mask_slot {
    const char *record; /* NULL: free */
};

static uint64_t checksum(struct str text)
{
    uint64_t sum = CHECKSUM_SEED ^ text.len;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= text.len; at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text.ptr + at, sizeof(word));
        sum = (sum ^ word) * CHECKSUM_PRIME;
        sum ^= sum >> 29;
    }
    for (; at < text.len; at++)
        sum = (sum ^ (unsigned char)text.ptr[at]) * CHECKSUM_PRIME;
    return sum ^ sum >> 32;
}

/* --- finding ------------------------------------------------------------------------------- */

static size_t slot_of(const struct mask_cache *cache, uint64_t device, uint64_t inode)
{
    uint64_t hash = (inode ^ device << 40) * CHECKSUM_PRIME;
    return (size_t)(hash >> 32) & (cache->capacity - 1);
}

static void put_record(struct mask_cache *cache, const char *at, const struct record *record)
{
    size_t i = slot_of(cache, record->stamp.device, record->stamp.inode);
    while (cache->slots[i].record)
        i = (i + 1) & (cache->capacity - 1);
    cache->slots[i].record = at;
}

static bool stamp_equal(const struct mask_stamp *a, const struct mask_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->changed_ns == b->changed_ns &&
           a->modified_ns == b->modified_ns && a->size == b->size;
}

bool mask_cache_find(const struct mask_cache *cache, const struct mask_stamp *stamp,
                     uint16_t context, struct mask_cursor *ret)
{
    if (!cache->capacity)
        return false;
    size_t i = slot_of(cache, stamp->device, stamp->inode);
    for (; cache->slots[i].record; i = (i + 1) & (cache->capacity - 1)) {
        struct record record;
        memcpy(&record, cache->slots[i].record, sizeof(record));
        if (stamp_equal(&record.stamp, stamp) && record.context == context) {
            *ret = (struct mask_cursor){ cache->slots[i].record + sizeof(record), record.items };
            return true;
        }
    }
    return false;
}

bool mask_cursor_next(struct mask_cursor *cursor, struct mask_item *ret)
{
    struct item item;
    struct mask_stamp stamp = { 0 };
    if (!cursor->left)
        return false;
    memcpy(&item, cursor->at, sizeof(item));
    cursor->at += sizeof(item);
    if (item.type == MASK_ITEM_CANDIDATE) {
        memcpy(&stamp, cursor->at, sizeof(stamp));
        cursor->at += sizeof(stamp);
    }
    *ret = (struct mask_item){ .type = (enum mask_item_type)item.type,
                               .row = item.row,
                               .secret = item.secret,
                               .stamp = stamp,
                               .name = str_make(cursor->at, item.name_len) };
    cursor->at += item.name_len;
    cursor->left--;
    return true;
}

/* --- reading ------------------------------------------------------------------------------- */

static bool is_name(struct str name)
{
    return name.len && name.len <= NAME_MAX && !memchr(name.ptr, '/', name.len) &&
           !memchr(name.ptr, '\0', name.len) && !str_equal(name, STR(".")) &&
           !str_equal(name, STR(".."));
}

/* Whether a record's items are whole and fill exactly their bytes. */
static bool check_items(struct str text, uint32_t count)
{
    for (; count; count--) {
        struct item item;
        if (text.len < sizeof(item))
            return false;
        memcpy(&item, text.ptr, sizeof(item));
        text = str_from_offset(text, sizeof(item));
        size_t extra = item.type == MASK_ITEM_CANDIDATE ? sizeof(struct mask_stamp) : 0;
        if (item.type >= MASK_ITEM_COUNT || item.row >= secret_names_count || item.secret > 1)
            return false;
        if (text.len < extra + item.name_len || !is_name(str_make(text.ptr + extra, item.name_len)))
            return false;
        text = str_from_offset(text, extra + item.name_len);
    }
    return text.len == 0;
}

/* Walks the records, checking each; puts them into the slots once there are some. */
static bool walk_records(struct mask_cache *cache, struct str text)
{
    cache->count = 0;
    while (text.len) {
        struct record record;
        if (text.len < sizeof(record))
            return false;
        memcpy(&record, text.ptr, sizeof(record));
        struct str items = str_from_offset(text, sizeof(record));
        if (record.len > items.len || !check_items(str_make(items.ptr, record.len), record.items))
            return false;
        if (cache->slots)
            put_record(cache, text.ptr, &record);
        cache->count++;
        text = str_from_offset(items, record.len);
    }
    return true;
}

bool mask_cache_read(struct mask_cache *cache, struct str text)
{
    struct header header;
    if (text.len < sizeof(header))
        return false;
    memcpy(&header, text.ptr, sizeof(header));
    struct str body = str_from_offset(text, sizeof(header));
    if (header.magic != MAGIC || header.names_hash != secret_names_hash() ||
        header.len != body.len || header.checksum != checksum(body) || !walk_records(cache, body))
        return false;
    for (cache->capacity = 16; cache->capacity < cache->count * 2;)
        cache->capacity *= 2;
    cache->slots = calloc(cache->capacity, sizeof(*cache->slots));
    if (!cache->slots) {
        cache->capacity = 0;
        return false;
    }
    return walk_records(cache, body);
}

int mask_cache_load(struct mask_cache *cache, const char *path, struct err *err)
{
    struct stat status;
    *cache = (struct mask_cache){ .text = BUF_INIT_LIMIT(MASK_CACHE_BYTES_MAX) };
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != geteuid() || (status.st_mode & 077))
        return 0;
    int r = file_read_fd(fd, path, &cache->text, err);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || !mask_cache_read(cache, buf_str(&cache->text)))
        mask_cache_release(cache);
    return 0;
}

void mask_cache_release(struct mask_cache *cache)
{
    buf_release(&cache->text);
    free(cache->slots);
    cache->slots = NULL;
    cache->capacity = cache->count = 0;
}

/* --- writing ------------------------------------------------------------------------------- */

void mask_cache_begin(struct buf *text)
{
    struct header header = { .magic = MAGIC, .names_hash = secret_names_hash() };
    buf_add(text, &header, sizeof(header));
}

size_t mask_cache_add_record(struct buf *text, const struct mask_stamp *stamp, uint16_t context)
{
    struct record record = { .stamp = *stamp, .context = context };
    size_t at = text->len;
    buf_add(text, &record, sizeof(record));
    return at;
}

void mask_cache_add_item(struct buf *text, const struct mask_item *item)
{
    struct item head = { .row = item->row,
                         .type = (uint8_t)item->type,
                         .secret = item->secret,
                         .name_len = (uint16_t)item->name.len };
    buf_add(text, &head, sizeof(head));
    if (item->type == MASK_ITEM_CANDIDATE)
        buf_add(text, &item->stamp, sizeof(item->stamp));
    buf_add_str(text, item->name);
}

void mask_cache_end_record(struct buf *text, size_t at, uint32_t items)
{
    struct record record;
    if (text->error)
        return;
    memcpy(&record, text->data + at, sizeof(record));
    record.items = items;
    record.len = (uint32_t)(text->len - at - sizeof(record));
    memcpy(text->data + at, &record, sizeof(record));
}

int mask_cache_seal(struct buf *text)
{
    struct header header;
    if (text->error)
        return text->error;
    memcpy(&header, text->data, sizeof(header));
    struct str body = str_from_offset(buf_str(text), sizeof(header));
    header.len = body.len;
    header.checksum = checksum(body);
    memcpy(text->data, &header, sizeof(header));
    return 0;
}

static int write_all(int fd, struct str text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            text = str_from_offset(text, (size_t)n);
    }
    return 0;
}

int mask_cache_save(struct buf *text, const char *path, struct err *err)
{
    char beside[PATH_MAX];
    int r = mask_cache_seal(text);
    if (r < 0)
        return err_set_errno(err, -r, STEP, "%s", path);
    if (snprintf(beside, sizeof(beside), "%s.%d", path, (int)getpid()) >= (int)sizeof(beside))
        return err_set_errno(err, ENAMETOOLONG, STEP, "%s", path);
    unlink(beside);
    _cleanup_(cleanup_close) int fd =
        open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, STEP, "%s", beside);
    r = write_all(fd, buf_str(text));
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(beside);
        return err_set_errno(err, -r, STEP, "%s", path);
    }
    return 0;
}

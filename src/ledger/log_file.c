/*
 * log_file: see the header.
 *
 * Theory of operation. SQLite writes a transaction to its log page by page, and
 * each page in two calls: a head of 24 bytes, then the page. Nothing of that
 * counts before the sync that ends the transaction, so what follows on what was
 * written last is gathered here, and written at once when SQLite syncs the
 * file, reads it, asks for its size, or does anything else with it.
 *
 * Who opens the log first reads it from its begin, page by page with its head, while it locks
 * everybody else out; nothing else reads a page so. That is read ahead, into the same place.
 *
 * Invariants.
 * 1. Nobody but this process sees the log without what is gathered: SQLite
 *    publishes a transaction after its sync alone (synchronous is FULL in
 *    every connection that writes), and until then it holds the write lock.
 * 2. What is gathered lies behind one another and is written in the order in
 *    which it came.
 * 3. A write that fails is told to SQLite by the call that caused it, at the
 *    latest by the sync; then SQLite gives the transaction up. What could not
 *    be written is forgotten, as it is where one of SQLite's own writes fails.
 * 4. What was read ahead serves such reads alone, up to the next call of another kind: none of
 *    it is there any more when somebody else can have written.
 */
#include "ledger/log_file.h"

#define GATHERED_BYTES_MAX ((size_t)64 << 10) /* SQLite's VFS takes less than 128 KiB in a call */
#define HEAD_BYTES         24
#define PAGE_BYTES_MIN     512

struct log_file {
    sqlite3_file base;
    char *bytes;
    size_t len;             /* gathered */
    size_t ahead;           /* read ahead; then nothing is gathered */
    sqlite3_int64 at;       /* of the first byte of either */
    sqlite3_int64 system[]; /* SQLite aligns its file objects to eight bytes */
};

static sqlite3_file *system_of(sqlite3_file *file)
{
    return (sqlite3_file *)((struct log_file *)file)->system;
}

static int flush(sqlite3_file *file)
{
    struct log_file *log = (struct log_file *)file;
    sqlite3_file *system = system_of(file);
    size_t len = log->len;
    log->len = log->ahead = 0;
    return len ? system->pMethods->xWrite(system, log->bytes, (int)len, log->at) : SQLITE_OK;
}

static bool has_room(struct log_file *log)
{
    if (!log->bytes)
        log->bytes = malloc(GATHERED_BYTES_MAX);
    return log->bytes != NULL;
}

static int log_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)file;
    sqlite3_file *system = system_of(file);
    size_t len = (size_t)count;
    bool follows = at == log->at + (sqlite3_int64)log->len;
    if (!follows || log->len + len > GATHERED_BYTES_MAX) {
        int r = flush(file);
        if (r != SQLITE_OK)
            return r;
        log->at = at;
    }
    log->ahead = 0;
    if (!has_room(log) || len > GATHERED_BYTES_MAX) /* then nothing is gathered */
        return system->pMethods->xWrite(system, bytes, count, at);
    memcpy(log->bytes + log->len, bytes, len);
    log->len += len;
    return SQLITE_OK;
}

static int log_close(sqlite3_file *file)
{
    struct log_file *log = (struct log_file *)file;
    sqlite3_file *system = system_of(file);
    int flushed = flush(file);
    int r = system->pMethods->xClose(system);
    free(log->bytes);
    log->bytes = NULL;
    return flushed == SQLITE_OK ? r : flushed;
}

/* Whether it is a page, whose size is a power of two, with its head; the log's own is shorter. */
static bool is_with_head(size_t len)
{
    size_t page = len - HEAD_BYTES;
    return len >= PAGE_BYTES_MIN + HEAD_BYTES && (page & (page - 1)) == 0;
}

/* Has it, and what lies behind it, where it lies in the file as a whole. */
static bool read_ahead(sqlite3_file *file, size_t len, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)file;
    sqlite3_file *system = system_of(file);
    sqlite3_int64 size, ahead;
    if (at >= log->at && at + (sqlite3_int64)len <= log->at + (sqlite3_int64)log->ahead)
        return true;
    log->ahead = 0;
    if (!has_room(log) || system->pMethods->xFileSize(system, &size) != SQLITE_OK)
        return false;
    ahead = size - at < (sqlite3_int64)GATHERED_BYTES_MAX ? size - at
                                                          : (sqlite3_int64)GATHERED_BYTES_MAX;
    if (ahead < (sqlite3_int64)len ||
        system->pMethods->xRead(system, log->bytes, (int)ahead, at) != SQLITE_OK)
        return false;
    log->at = at;
    log->ahead = (size_t)ahead;
    return true;
}

static int log_read(sqlite3_file *file, void *ret, int count, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)file;
    size_t len = (size_t)count;
    if (!log->len && is_with_head(len) && read_ahead(file, len, at)) {
        memcpy(ret, log->bytes + (at - log->at), len);
        return SQLITE_OK;
    }
    int r = flush(file);
    return r == SQLITE_OK ? system_of(file)->pMethods->xRead(system_of(file), ret, count, at) : r;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int r = flush(file);
    return r == SQLITE_OK ? system_of(file)->pMethods->xTruncate(system_of(file), size) : r;
}

static int log_sync(sqlite3_file *file, int flags)
{
    int r = flush(file);
    return r == SQLITE_OK ? system_of(file)->pMethods->xSync(system_of(file), flags) : r;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    int r = flush(file);
    return r == SQLITE_OK ? system_of(file)->pMethods->xFileSize(system_of(file), ret) : r;
}

static int log_lock(sqlite3_file *file, int level)
{
    return system_of(file)->pMethods->xLock(system_of(file), level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return system_of(file)->pMethods->xUnlock(system_of(file), level);
}

static int log_check_lock(sqlite3_file *file, int *ret)
{
    return system_of(file)->pMethods->xCheckReservedLock(system_of(file), ret);
}

static int log_control(sqlite3_file *file, int operation, void *argument)
{
    int r = flush(file);
    return r == SQLITE_OK
               ? system_of(file)->pMethods->xFileControl(system_of(file), operation, argument)
               : r;
}

static int log_sector(sqlite3_file *file)
{
    return system_of(file)->pMethods->xSectorSize(system_of(file));
}

static int log_device(sqlite3_file *file)
{
    return system_of(file)->pMethods->xDeviceCharacteristics(system_of(file));
}

size_t log_file_bytes(void)
{
    return sizeof(struct log_file);
}

int log_file_open(sqlite3_vfs *system, const char *name, sqlite3_file *file, int flags,
                  int *ret_flags)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 1,
        .xClose = log_close,
        .xRead = log_read,
        .xWrite = log_write,
        .xTruncate = log_truncate,
        .xSync = log_sync,
        .xFileSize = log_size,
        .xLock = log_lock,
        .xUnlock = log_unlock,
        .xCheckReservedLock = log_check_lock,
        .xFileControl = log_control,
        .xSectorSize = log_sector,
        .xDeviceCharacteristics = log_device,
    };
    struct log_file *log = (struct log_file *)file;
    *log = (struct log_file){ 0 };
    int r = system->xOpen(system, name, system_of(file), flags, ret_flags);
    if (system_of(file)
            ->pMethods) /* SQLite closes what has methods, whether it was opened or not */
        log->base.pMethods = &methods;
    return r;
}

/*
 * db: see the header.
 *
 * Theory of operation. The ledger's modules say what they want by enum
 * statement and get rows; the texts are constant, so that each is prepared
 * once for a connection. Every failure passes through fail(), which tells the
 * few apart that a caller or a person acts on differently. A connection
 * belongs to one thread at a time and to one process: it is never used behind
 * a fork.
 *
 * The write-ahead log is synced at each commit (synchronous FULL) and is moved
 * into the database by db_checkpoint alone, at moments that the ledger
 * chooses; closing neither moves nor removes it, for that would make the end
 * of each short command pay for it.
 */
#include "ledger/db.h"

#include <sqlite3.h>

#include "base/buf.h"
#include "base/lazy.h"
#include "ledger/log_file.h"

#define SQLITE_FUNCTIONS(X)                                                                        \
    X(sqlite3_bind_blob64)                                                                         \
    X(sqlite3_bind_int64)                                                                          \
    X(sqlite3_bind_null)                                                                           \
    X(sqlite3_bind_text64)                                                                         \
    X(sqlite3_busy_timeout)                                                                        \
    X(sqlite3_changes)                                                                             \
    X(sqlite3_close_v2)                                                                            \
    X(sqlite3_column_blob)                                                                         \
    X(sqlite3_column_bytes)                                                                        \
    X(sqlite3_column_int64)                                                                        \
    X(sqlite3_column_type)                                                                         \
    X(sqlite3_db_config)                                                                           \
    X(sqlite3_errmsg)                                                                              \
    X(sqlite3_errstr)                                                                              \
    X(sqlite3_exec)                                                                                \
    X(sqlite3_extended_errcode)                                                                    \
    X(sqlite3_extended_result_codes)                                                               \
    X(sqlite3_finalize)                                                                            \
    X(sqlite3_get_autocommit)                                                                      \
    X(sqlite3_last_insert_rowid)                                                                   \
    X(sqlite3_open_v2)                                                                             \
    X(sqlite3_prepare_v3)                                                                          \
    X(sqlite3_reset)                                                                               \
    X(sqlite3_step)                                                                                \
    X(sqlite3_system_errno)                                                                        \
    X(sqlite3_vfs_find)                                                                            \
    X(sqlite3_vfs_register)                                                                        \
    X(sqlite3_vfs_unregister)                                                                      \
    X(sqlite3_wal_checkpoint_v2)                                                                   \
    X(sqlite3_wal_hook)
LIBRARY(AM_EMBEDS_SQLITE, sqlite, "libsqlite3.so.0", SQLITE_FUNCTIONS)

#define STEP_OPEN "open the ledger"
#define STEP_USE  "use the ledger"
#define VFS_NAME  "agent-machine"

struct db {
    sqlite3 *handle;
    char *path;
    int log_frames;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

/* --- failures ------------------------------------------------------------------------------ */

static int fail_io(struct db *db, int result, struct err *err)
{
    int system_error = db->handle ? sqlite.sqlite3_system_errno(db->handle) : 0;
    if (system_error == ENOSPC || system_error == EDQUOT)
        return err_set_errno(err, ENOSPC, STEP_USE, "%s: nothing of this was written", db->path);
    /* Other numbers mean something else to callers, such as "denied". */
    return err_set(err, ERR_IO, STEP_USE, "%s (SQLite: %s): %s", db->path,
                   sqlite.sqlite3_errstr(result), strerror(system_error ? system_error : EIO));
}

static int fail(struct db *db, int result, struct err *err)
{
    int extended = db->handle ? sqlite.sqlite3_extended_errcode(db->handle) : result;
    if (extended == SQLITE_READONLY_DBMOVED)
        return err_set_errno(err, ESTALE, STEP_USE, "%s was removed or replaced while open",
                             db->path);
    switch (result & 0xff) {
    case SQLITE_FULL:
        return err_set_errno(err, ENOSPC, STEP_USE, "%s: nothing of this was written", db->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set_errno(err, EBUSY, STEP_USE,
                             "another program keeps %s locked; end it and try again", db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(err, ERR_DAMAGED, STEP_USE,
                       "%s is damaged (SQLite: %s); put back a copy, and check it with "
                       "`agent-machine ledger verify`",
                       db->path, sqlite.sqlite3_errstr(extended));
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return err_set_errno(err, EROFS, STEP_USE, "%s cannot be written", db->path);
    case SQLITE_NOMEM:
        return err_set(err, ERR_MEMORY, STEP_USE, "%s", db->path);
    case SQLITE_TOOBIG:
        return err_set(err, ERR_LIMIT, STEP_USE, "SQLite takes no value that large");
    case SQLITE_CONSTRAINT: /* what may be there already is asked for first */
    case SQLITE_ERROR:
        return err_set(err, ERR_DAMAGED, STEP_USE, "%s is not as this program made it (SQLite: %s)",
                       db->path, sqlite.sqlite3_errmsg(db->handle));
    default:
        return fail_io(db, extended, err);
    }
}

/* --- files --------------------------------------------------------------------------------- */

/*
 * SQLite opens the log as if to create it, and therefore syncs the folder as
 * well at the first commit of each process. A log that is there is not
 * created: the system's own VFS is told so. The log's writes are gathered
 * (log_file.c); all else the system's VFS does alone.
 */
static sqlite3_vfs files;

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    sqlite3_vfs *system = vfs->pAppData;
    if ((flags & SQLITE_OPEN_WAL) && name && access(name, F_OK) == 0)
        flags &= ~SQLITE_OPEN_CREATE;
    if (flags & SQLITE_OPEN_WAL)
        return log_file_open(system, name, file, flags, ret_flags);
    return system->xOpen(system, name, file, flags, ret_flags);
}

static int register_files(struct err *err)
{
    sqlite3_vfs *system = sqlite.sqlite3_vfs_find(NULL);
    if (files.pAppData == system)
        return 0;
    if (files.pAppData)
        sqlite.sqlite3_vfs_unregister(&files);
    files = *system;
    files.pNext = NULL;
    files.zName = VFS_NAME;
    files.pAppData = system;
    files.szOsFile += (int)log_file_bytes();
    files.xOpen = open_file;
    return sqlite.sqlite3_vfs_register(&files, 0) == SQLITE_OK
               ? 0
               : err_set(err, ERR_UNSUPPORTED, STEP_OPEN, "SQLite takes no VFS of ours");
}

/* --- connections --------------------------------------------------------------------------- */

static int remember_log(void *context, sqlite3 *handle, const char *name, int frames)
{
    struct db *db = context;
    (void)handle;
    (void)name;
    db->log_frames = frames;
    return SQLITE_OK;
}

static int set_up(struct db *db, enum db_mode mode, struct err *err)
{
    sqlite.sqlite3_extended_result_codes(db->handle, 1);
    db_set_patience(db, DB_PATIENCE_MS);
    sqlite.sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite.sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite.sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite.sqlite3_wal_hook(db->handle, remember_log, db); /* in place of automatic checkpoints */
    return mode == DB_WRITE ? db_exec(db, "PRAGMA synchronous = FULL", err) : 0;
}

/* A URI, for what only URIs can ask for: every byte of the path is escaped. */
static int open_immutable(struct db *db)
{
    _cleanup_(buf_release) struct buf uri = BUF_INIT;
    buf_add_text(&uri, "file:");
    for (const char *c = db->path; *c; c++)
        buf_addf(&uri, "%%%02x", (unsigned char)*c);
    if (buf_add_text(&uri, "?immutable=1") < 0)
        return SQLITE_NOMEM;
    return sqlite.sqlite3_open_v2(
        uri.data, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
}

int db_open(const char *path, enum db_mode mode, struct db **ret, struct err *err)
{
    int r = lazy_load(&sqlite_library, err);
    if (r == 0)
        r = register_files(err);
    if (r < 0)
        return r;
    struct db *db = calloc(1, sizeof(*db));
    if (db)
        db->path = strdup(path);
    if (!db || !db->path) {
        free(db);
        return err_set(err, ERR_MEMORY, STEP_OPEN, "%s", path);
    }
    int flags =
        SQLITE_OPEN_NOMUTEX | (mode == DB_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    int result = mode == DB_IMMUTABLE ? open_immutable(db)
                                      : sqlite.sqlite3_open_v2(path, &db->handle, flags, VFS_NAME);
    r = result == SQLITE_OK ? set_up(db, mode, err) : fail(db, result, err);
    if (r < 0) {
        db_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        if (db->statements[i])
            sqlite.sqlite3_finalize(db->statements[i]);
    if (db->handle)
        sqlite.sqlite3_close_v2(db->handle);
    free(db->path);
    free(db);
}

void db_set_patience(struct db *db, int patience_ms)
{
    sqlite.sqlite3_busy_timeout(db->handle, patience_ms);
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
    int result = sqlite.sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : fail(db, result, err);
}

int db_exec_int(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite.sqlite3_prepare_v3(db->handle, sql, -1, 0, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite.sqlite3_step(statement);
    if (result == SQLITE_ROW)
        *ret = sqlite.sqlite3_column_int64(statement, 0);
    int r = result == SQLITE_ROW    ? 0
            : result == SQLITE_DONE ? err_set(err, ERR_DAMAGED, STEP_USE, "%s has no row", db->path)
                                    : fail(db, result, err);
    sqlite.sqlite3_finalize(statement);
    return r;
}

/* --- statements ---------------------------------------------------------------------------- */

static int bind(struct db *db, sqlite3_stmt *statement, const char *types, va_list arguments,
                struct err *err)
{
    int result = SQLITE_OK;
    for (int i = 0; types[i] && result == SQLITE_OK; i++) {
        if (types[i] == 'i') {
            result = sqlite.sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
        } else if (types[i] == 'n') {
            result = sqlite.sqlite3_bind_null(statement, i + 1);
        } else {
            struct str s = va_arg(arguments, struct str);
            const char *ptr = s.ptr ? s.ptr : "";
            result = types[i] == 't'
                         ? sqlite.sqlite3_bind_text64(statement, i + 1, ptr, s.len, SQLITE_STATIC,
                                                      SQLITE_UTF8)
                         : sqlite.sqlite3_bind_blob64(statement, i + 1, ptr, s.len, SQLITE_STATIC);
        }
    }
    return result == SQLITE_OK ? 0 : fail(db, result, err);
}

int db_prepare(struct db *db, enum statement statement, struct err *err)
{
    sqlite3_stmt **prepared = &db->statements[statement];
    if (*prepared)
        return 0;
    int result = sqlite.sqlite3_prepare_v3(db->handle, statement_texts[statement], -1,
                                           SQLITE_PREPARE_PERSISTENT, prepared, NULL);
    return result == SQLITE_OK ? 0 : fail(db, result, err);
}

int db_query(struct db *db, enum statement statement, struct err *err, const char *types, ...)
{
    int r = db_prepare(db, statement, err);
    if (r < 0)
        return r;
    va_list arguments;
    va_start(arguments, types);
    r = bind(db, db->statements[statement], types, arguments, err);
    va_end(arguments);
    return r < 0 ? r : db_next(db, statement, err);
}

int db_next(struct db *db, enum statement statement, struct err *err)
{
    int result = sqlite.sqlite3_step(db->statements[statement]);
    if (result == SQLITE_ROW)
        return 1;
    int r = result == SQLITE_DONE ? 0 : fail(db, result, err);
    db_reset(db, statement);
    return r;
}

void db_reset(struct db *db, enum statement statement)
{
    sqlite.sqlite3_reset(db->statements[statement]);
}

int64_t db_int(struct db *db, enum statement statement, int column)
{
    return sqlite.sqlite3_column_int64(db->statements[statement], column);
}

struct str db_bytes(struct db *db, enum statement statement, int column)
{
    sqlite3_stmt *prepared = db->statements[statement];
    const void *bytes = sqlite.sqlite3_column_blob(prepared, column);
    int len = sqlite.sqlite3_column_bytes(prepared, column);
    return bytes && len > 0 ? str_make(bytes, (size_t)len) : STR("");
}

bool db_is_null(struct db *db, enum statement statement, int column)
{
    return sqlite.sqlite3_column_type(db->statements[statement], column) == SQLITE_NULL;
}

int64_t db_last_number(struct db *db)
{
    return sqlite.sqlite3_last_insert_rowid(db->handle);
}

int db_changes(struct db *db)
{
    return sqlite.sqlite3_changes(db->handle);
}

bool db_in_transaction(struct db *db)
{
    return !sqlite.sqlite3_get_autocommit(db->handle);
}

void db_undo(struct db *db)
{
    struct err ignored; /* what is not committed is gone with the connection at the latest */
    if (db_in_transaction(db) && db_query(db, SQL_ROLLBACK, &ignored, "") < 0)
        return;
}

int db_log_frames(struct db *db)
{
    return db->log_frames;
}

int db_checkpoint(struct db *db, bool cut, int *ret_left, struct err *err)
{
    int mode = cut ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int frames = -1, moved = -1; /* in the log; they stay so where somebody else is at it */
    int result = sqlite.sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, &frames, &moved);
    if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY)
        return fail(db, result, err);
    *ret_left = frames < 0 ? db->log_frames : frames - moved;
    if (cut && *ret_left == 0)
        db->log_frames = 0;
    return 0;
}

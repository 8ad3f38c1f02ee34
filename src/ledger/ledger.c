/*
 * ledger: opening and closing; see the header for what a ledger is.
 *
 * Theory of operation. A ledger is a folder: `ledger.db` with SQLite's
 * `-wal` and `-shm` beside it, `ledger.queue` (queue.c) and `artifacts/`. The
 * folder is its user's alone (0700), and so are the files. Making one, and
 * bringing an older one up to date, happens under the queue's lock, so that
 * of many first commands one does it and the others wait.
 *
 * The open file is compared with the one under its path before and after
 * whatever counts: a ledger that was removed or replaced is noticed, and what
 * went into it last is not acknowledged.
 *
 * A `struct ledger` belongs to one thread, and not to children after a fork.
 */
#include <sys/stat.h>

#include "base/file.h"
#include "ledger/queue.h"
#include "ledger/schema.h"

#define FILE_MODE  0600
#define LOG_SUFFIX "-wal"

int ledger_check_file(const struct ledger *ledger, struct err *err)
{
    struct stat status;
    if (stat(ledger->path, &status) == 0 && status.st_dev == ledger->device &&
        status.st_ino == ledger->inode)
        return 0;
    return err_set_errno(err, ESTALE, "use the ledger", "%s was removed or replaced while open",
                         ledger->path);
}

int ledger_need_hash(struct ledger *ledger, struct err *err)
{
    return ledger->hash ? 0 : hash_new(&ledger->hash, err);
}

/* --- folders and files --------------------------------------------------------------------- */

static int sync_folder(const char *path, struct err *err)
{
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_set_errno(err, errno, STEP_LEDGER_OPEN, "%s", path);
    return 0;
}

/* The database file itself, so that SQLite does not choose its mode. */
static int make_file(const char *path, struct err *err)
{
    _cleanup_(cleanup_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    return fd < 0 ? err_set_errno(err, errno, STEP_LEDGER_OPEN, "make %s", path) : 0;
}

/* An empty file is as good as none: whoever made it died before it held anything. */
static int look_for(const char *path, bool *ret_there, struct err *err)
{
    struct stat status = { 0 };
    if (stat(path, &status) < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_set_errno(err, errno, STEP_LEDGER_OPEN, "%s", path);
    *ret_there = status.st_size > 0;
    return 0;
}

/* --- making -------------------------------------------------------------------------------- */

static int bring_up(struct ledger *ledger, struct err *err)
{
    bool there = false;
    struct db *db = NULL;
    int r = look_for(ledger->path, &there, err);
    if (r == 0)
        r = make_file(ledger->path, err);
    if (r == 0)
        r = db_open(ledger->path, DB_WRITE, &db, err);
    if (r == 0)
        r = schema_bring_up(db, ledger->path, err);
    db_close(db);
    return r == 0 && !there ? sync_folder(ledger->folder, err) : r;
}

/* Makes the ledger, or brings it up to date, while nobody else does. */
static int bring_up_alone(struct ledger *ledger, struct err *err)
{
    int r = queue_open(ledger->folder, &ledger->queue, err);
    if (r == 0)
        r = queue_lock(ledger->queue, err);
    if (r < 0)
        return r;
    r = bring_up(ledger, err);
    queue_unlock(ledger->queue);
    return r;
}

/* --- opening ------------------------------------------------------------------------------- */

/* A reader that cannot make SQLite's files beside the database reads it as it lies there. */
static enum db_mode read_mode(const struct ledger *ledger)
{
    _cleanup_(buf_release) struct buf log = BUF_INIT;
    if (buf_addf(&log, "%s%s", ledger->path, LOG_SUFFIX) < 0)
        return DB_READ;
    return access(ledger->folder, W_OK) < 0 && access(log.data, F_OK) < 0 ? DB_IMMUTABLE : DB_READ;
}

static int open_database(struct ledger *ledger, struct err *err)
{
    struct stat status;
    if (stat(ledger->path, &status) < 0)
        return err_set_errno(err, errno, STEP_LEDGER_OPEN, "%s", ledger->path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_DAMAGED, STEP_LEDGER_OPEN, "%s is no file", ledger->path);
    ledger->device = status.st_dev;
    ledger->inode = status.st_ino;
    return db_open(ledger->path, ledger->mode == LEDGER_READ ? read_mode(ledger) : DB_WRITE,
                   &ledger->db, err);
}

static int open_parts(struct ledger *ledger, struct err *err)
{
    int64_t version = 0;
    bool there = false;
    int r = look_for(ledger->path, &there, err);
    if (r == 0 && !there && ledger->mode != LEDGER_CREATE)
        r = err_set(err, ERR_NOT_FOUND, STEP_LEDGER_OPEN,
                    "there is no ledger in %s yet; `agent-machine init` makes one", ledger->folder);
    if (r == 0 && !there)
        r = file_make_folder(ledger->folder, err);
    if (r == 0)
        r = filesystem_check(ledger->folder, err);
    if (r == 0 && !there)
        r = bring_up_alone(ledger, err);
    if (r == 0)
        r = open_database(ledger, err);
    if (r == 0)
        r = schema_version(ledger->db, ledger->path, &version, err);
    if (r == 0 && version < LEDGER_SCHEMA_VERSION && ledger->mode != LEDGER_READ)
        r = bring_up_alone(ledger, err);
    else if (r == 0 && version < LEDGER_SCHEMA_VERSION)
        r = err_set(err, ERR_UNSUPPORTED, STEP_LEDGER_OPEN,
                    "%s has an older schema; any command that writes brings it up to date",
                    ledger->path);
    return r;
}

int ledger_open(const char *folder, enum ledger_mode mode, struct ledger **ret, struct err *err)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    if (ledger) {
        ledger->mode = mode;
        ledger->watch = -1;
        ledger->text = BUF_INIT_LIMIT(LEDGER_EVENT_BYTES_MAX);
        ledger->group.bytes = BUF_INIT_LIMIT(QUEUE_FILE_BYTES);
        ledger->folder = strdup(folder);
        if (asprintf(&ledger->path, "%s/%s", folder, LEDGER_FILE) < 0)
            ledger->path = NULL;
    }
    if (!ledger || !ledger->folder || !ledger->path) {
        ledger_close(ledger);
        return err_set(err, ERR_MEMORY, STEP_LEDGER_OPEN, "%s", folder);
    }
    int r = open_parts(ledger, err);
    if (r < 0) {
        ledger_close(ledger);
        return r;
    }
    *ret = ledger;
    return 0;
}

/* In the order in which a run needs them; what it needs before is there by then. */
static const enum statement warmed[] = {
    SQL_HEAD_READ,        SQL_BEGIN,
    SQL_OPERATION_READ,   SQL_OPERATION_ADD,
    SQL_EVENT_ADD,        SQL_OPERATION_WRITE,
    SQL_NAME_ADD,         SQL_DOCUMENT_ADD,
    SQL_ACCOUNT_ADD,      SQL_BALANCE_ADD,
    SQL_RESERVATION_READ, SQL_RESERVATION_ADD,
    SQL_SHARE_ADD,        SQL_BALANCE_READ,
    SQL_BALANCE_WRITE,    SQL_ACCOUNT_READ_BY_NUMBER,
    SQL_HEAD_WRITE,       SQL_COMMIT,
    SQL_RESERVATION_EACH, SQL_SHARE_READ,
    SQL_SHARE_REMOVE,     SQL_RESERVATION_REMOVE,
    SQL_DOCUMENT_WRITE,   SQL_ID_READ,
};

void ledger_warm(struct ledger *ledger)
{
    struct err ignored;
    for (size_t i = 0; i < ARRAY_LEN(warmed); i++)
        (void)!db_prepare(ledger->db, warmed[i], &ignored);
}

void ledger_close(struct ledger *ledger)
{
    if (!ledger)
        return;
    group_leave(ledger);
    queue_group_release(&ledger->group);
    queue_close(ledger->queue);
    db_close(ledger->db);
    hash_free(ledger->hash);
    cleanup_close(&ledger->watch);
    buf_release(&ledger->text);
    free(ledger->folder);
    free(ledger->path);
    free(ledger);
}

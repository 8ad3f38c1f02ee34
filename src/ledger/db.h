/*
 * db: the one place that knows SQLite.
 *
 * A connection to one database file, its statements (each prepared once, on
 * first use), and SQLite's failures as this program's errors. The library is
 * loaded when the first connection is opened.
 *
 * Failures: a full disk is -ENOSPC, a database that somebody else keeps locked
 * -EBUSY, one that was removed or replaced -ESTALE, one that cannot be written
 * -EROFS (all ERR_IO); a damaged one is ERR_DAMAGED.
 */
#ifndef AM_LEDGER_DB_H
#define AM_LEDGER_DB_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define DB_PATIENCE_MS 10000 /* how long a lock that somebody else holds is waited for */

struct db;

/* Every statement there is; the text of each stands in statement.c. */
enum statement {
    SQL_BEGIN,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK, /* see db_undo */
    SQL_SAVEPOINT,
    SQL_SAVEPOINT_KEEP,
    SQL_SAVEPOINT_UNDO,
    SQL_ID_READ,
    SQL_HEAD_READ,
    SQL_HEAD_WRITE,
    SQL_SIZE_READ,
    SQL_COMMITTED_READ,
    SQL_COMMITTED_ADD,
    SQL_COMMITTED_WRITE,
    SQL_COMMITTED_PRUNE,
    SQL_EVENT_ADD,
    SQL_EVENT_READ,
    SQL_EVENT_EACH,
    SQL_EVENT_FIND,
    SQL_EVENT_LAST,
    SQL_SUBTREE_ADD,
    SQL_SUBTREE_READ,
    SQL_OPERATION_READ,
    SQL_OPERATION_ADD,
    SQL_OPERATION_WRITE,
    SQL_OPERATION_EACH,
    SQL_DOCUMENT_READ,
    SQL_DOCUMENT_ADD,
    SQL_DOCUMENT_WRITE,
    SQL_DOCUMENT_EACH,
    SQL_DOCUMENT_EACH_OF_OPERATION,
    SQL_NAME_READ,
    SQL_NAME_ADD,
    SQL_ACCOUNT_READ,
    SQL_ACCOUNT_READ_BY_NUMBER,
    SQL_ACCOUNT_ADD,
    SQL_BALANCE_READ,
    SQL_BALANCE_ADD,
    SQL_BALANCE_WRITE,
    SQL_BALANCE_RAISE,
    SQL_RESERVATION_READ,
    SQL_RESERVATION_ADD,
    SQL_RESERVATION_REMOVE,
    SQL_RESERVATION_EACH,
    SQL_SHARE_READ,
    SQL_SHARE_ADD,
    SQL_SHARE_REMOVE,
    STATEMENT_COUNT
};

extern const char *const statement_texts[STATEMENT_COUNT];

enum db_mode {
    DB_READ,
    DB_WRITE,
    DB_IMMUTABLE, /* nobody writes it: for a folder that cannot be written either */
};

int db_open(const char *path, enum db_mode mode, struct db **ret, struct err *err) MUST_CHECK;
void db_close(struct db *db);
/* Another limit than DB_PATIENCE_MS. */
void db_set_patience(struct db *db, int patience_ms);

/* Runs SQL text of our own that returns nothing, or one number. */
int db_exec(struct db *db, const char *sql, struct err *err) MUST_CHECK;
int db_exec_int(struct db *db, const char *sql, int64_t *ret, struct err *err) MUST_CHECK;

/* Before it is first asked; db_query does it by itself. */
int db_prepare(struct db *db, enum statement statement, struct err *err) MUST_CHECK;
/*
 * Binds the arguments and takes the first step: 1 there is a row, 0 there is
 * none (any more), -errno. One letter for each argument: i int64_t, t struct
 * str as text, b struct str as bytes, n nothing (NULL). What is bound must live
 * until the statement is reset, which happens by itself unless there is a row.
 */
int db_query(struct db *db, enum statement statement, struct err *err, const char *types,
             ...) MUST_CHECK;
/* The next row of a statement: 1, 0, -errno. */
int db_next(struct db *db, enum statement statement, struct err *err) MUST_CHECK;
void db_reset(struct db *db, enum statement statement);

/* Columns of the current row; texts and bytes live until the next step or reset. */
int64_t db_int(struct db *db, enum statement statement, int column);
struct str db_bytes(struct db *db, enum statement statement, int column);
bool db_is_null(struct db *db, enum statement statement, int column);

int64_t db_last_number(struct db *db);
/* How many rows the last statement that writes has changed. */
int db_changes(struct db *db);
/* Whether a transaction is open: after some failures SQLite has ended it already. */
bool db_in_transaction(struct db *db);
/* Ends the open transaction, if there is one, without a trace. */
void db_undo(struct db *db);
/* Frames in the write-ahead log after the last commit of this connection. */
int db_log_frames(struct db *db);
/*
 * Moves what is in the write-ahead log into the database, as far as readers
 * permit; and, if wanted, cuts the log off, where nobody else uses it. Says
 * how many frames are left; where somebody else is at it, all of them.
 */
int db_checkpoint(struct db *db, bool cut, int *ret_left, struct err *err) MUST_CHECK;

#endif

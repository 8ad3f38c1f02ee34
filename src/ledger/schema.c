/*
 * schema: see the header.
 *
 * Theory of operation. `user_version` is the version, `application_id` says
 * that the file is a ledger. migrations[n] leads from version n to n + 1 and
 * is never changed once it was released; the first one makes the tables. A
 * migration and its version are one transaction.
 */
#include "ledger/schema.h"

#define APPLICATION_ID 0x416d4c67 /* "AmLg" */

static const char *const migrations[LEDGER_SCHEMA_VERSION] = {
    /* The chain: its end, and the events. */
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), ledger TEXT NOT NULL,"
    " size INTEGER NOT NULL, digest BLOB NOT NULL, frontier BLOB NOT NULL) STRICT;"
    "INSERT INTO head VALUES (1, lower(hex(randomblob(16))), 0, zeroblob(32), x'');"
    "CREATE TABLE event (sequence INTEGER PRIMARY KEY, previous INTEGER, json TEXT NOT NULL)"
    " STRICT;"
    "CREATE TABLE operation (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " last INTEGER NOT NULL) STRICT;"
    "CREATE TABLE subtree (number INTEGER PRIMARY KEY, root BLOB NOT NULL) STRICT;"
    "CREATE TABLE committed (queue BLOB PRIMARY KEY, size INTEGER NOT NULL,"
    " tickets BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    /* Documents and names. */
    "CREATE TABLE document (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " type TEXT NOT NULL, operation TEXT NOT NULL, revision INTEGER NOT NULL,"
    " json TEXT NOT NULL) STRICT;"
    "CREATE INDEX document_type ON document (type);"
    "CREATE INDEX document_operation ON document (operation, type);"
    "CREATE TABLE name (space TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (space, name)) STRICT, WITHOUT ROWID;"
    /* Accounts and reservations. */
    "CREATE TABLE account (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " parent INTEGER) STRICT;"
    "CREATE TABLE balance (account INTEGER NOT NULL, dimension TEXT NOT NULL,"
    " ceiling INTEGER NOT NULL, reserved INTEGER NOT NULL, used INTEGER NOT NULL,"
    " overshoot INTEGER NOT NULL, PRIMARY KEY (account, dimension)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE reservation (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " account INTEGER NOT NULL, pid INTEGER NOT NULL, startTicks INTEGER NOT NULL,"
    " bootId TEXT NOT NULL) STRICT;"
    "CREATE TABLE share (reservation INTEGER NOT NULL, dimension TEXT NOT NULL,"
    " amount INTEGER NOT NULL, PRIMARY KEY (reservation, dimension)) STRICT, WITHOUT ROWID;",
};

/* The three marks as they were at one moment: another process may be making the ledger now. */
static int read_marks(struct db *db, int64_t *ret_application, int64_t *ret_version,
                      int64_t *ret_tables, struct err *err)
{
    int r = db_query(db, SQL_BEGIN_READ, err, "");
    if (r < 0)
        return r;
    r = db_exec_int(db, "SELECT count(*) FROM sqlite_schema", ret_tables, err);
    if (r == 0)
        r = db_exec_int(db, "PRAGMA application_id", ret_application, err);
    if (r == 0)
        r = db_exec_int(db, "PRAGMA user_version", ret_version, err);
    db_undo(db);
    return r;
}

int schema_version(struct db *db, const char *path, int64_t *ret, struct err *err)
{
    int64_t application = 0, version = 0, tables = 0;
    int r = read_marks(db, &application, &version, &tables, err);
    if (r < 0)
        return r;
    if (application == 0 && version == 0 && tables == 0) {
        *ret = 0;
        return 0;
    }
    if (application != APPLICATION_ID || version < 1)
        return err_set(err, ERR_DAMAGED, STEP_LEDGER_OPEN, "%s is no ledger of this program", path);
    if (version > LEDGER_SCHEMA_VERSION)
        return err_set(err, ERR_UNSUPPORTED, STEP_LEDGER_OPEN,
                       "%s has schema version %lld, and this program knows up to %d: use the newer "
                       "program",
                       path, (long long)version, LEDGER_SCHEMA_VERSION);
    *ret = version;
    return 0;
}

static int migrate(struct db *db, int64_t from, struct err *err)
{
    char mark[96];
    snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %lld",
             APPLICATION_ID, (long long)from + 1);
    int r = db_query(db, SQL_BEGIN, err, "");
    if (r == 0)
        r = db_exec(db, migrations[from], err);
    if (r == 0)
        r = db_exec(db, mark, err);
    if (r == 0)
        r = db_query(db, SQL_COMMIT, err, "");
    if (r < 0)
        db_undo(db);
    return r;
}

int schema_bring_up(struct db *db, const char *path, struct err *err)
{
    int64_t version = 0;
    int r = schema_version(db, path, &version, err);
    if (r == 0 && version == 0) /* from now on a property of the file */
        r = db_exec(db, "PRAGMA journal_mode = WAL", err);
    while (r == 0 && version < LEDGER_SCHEMA_VERSION)
        r = migrate(db, version++, err);
    return r;
}

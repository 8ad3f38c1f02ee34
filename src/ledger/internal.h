/*
 * internal: what the files of this room share and nobody else sees.
 *
 * ledger.c opens and closes; batch.c writes batches down as bytes, in the
 * process that submits them; commit.c makes any number of them durable in one
 * transaction, in whichever process leads; account.c is its arithmetic of
 * budgets; read.c reads.
 */
#ifndef AM_LEDGER_INTERNAL_H
#define AM_LEDGER_INTERNAL_H

#include "ledger/batch.h"
#include "ledger/db.h"
#include "ledger/hash.h"
#include "ledger/ledger.h"
#include "ledger/tree.h"

#define LEDGER_FILE       "ledger.db"
#define LEDGER_ID_LEN     32 /* hex digits */
#define STEP_LEDGER_OPEN  "open the ledger"
#define STEP_LEDGER_WRITE "write to the ledger"
#define STEP_LEDGER_READ  "read the ledger"

struct queue;
struct entry;

/* The batches of one transaction. */
struct queue_group {
    struct entry *entries; /* the leader's own first */
    size_t count, capacity;
    struct buf bytes; /* the batches, copied out of the slots */
};

/* The end of the chain and the tree above it, as the table `head` has them. */
struct head {
    unsigned char digest[HASH_BYTES]; /* of the last event; zeros without one */
    struct frontier frontier;         /* whose size is the ledger's */
};

struct ledger {
    enum ledger_mode mode;
    char *folder, *path;
    dev_t device; /* of the database file, to notice that it was removed */
    ino_t inode;
    struct db *db;
    struct hash *hash;   /* made when it is first needed: loading it costs more than opening */
    struct queue *queue; /* opened by the first commit */
    bool queue_is_stale; /* there is another one by now */
    int watch;           /* readable when somebody has written; -1 until somebody waits */
    struct queue_group group;
    struct buf text; /* an event while it is put together */
};

/* 0, or -ESTALE where the file under the path is no longer the one that is open. */
int ledger_check_file(const struct ledger *ledger, struct err *err) MUST_CHECK;
int ledger_need_hash(struct ledger *ledger, struct err *err) MUST_CHECK;
/* The ledger's own name: hex digits and a NUL. */
int ledger_read_id(struct ledger *ledger, char ret[LEDGER_ID_LEN + 1], struct err *err) MUST_CHECK;
int ledger_read_head(struct ledger *ledger, struct head *ret, struct err *err) MUST_CHECK;

/* What is read between the two is of one moment; end returns r, or its own failure. */
int ledger_snapshot_begin(struct ledger *ledger, struct err *err) MUST_CHECK;
int ledger_snapshot_end(struct ledger *ledger, int r, struct err *err) MUST_CHECK;

/* --- read.c -------------------------------------------------------------------------------- */

#define PIECE_ROWS_MAX  1024
#define PIECE_BYTES_MAX ((size_t)1 << 20)

/* Rows copied out of the database: where their texts stand in `bytes`. */
struct row {
    int64_t number;   /* of an event its sequence */
    int64_t revision; /* of an event the sequence before it in its operation, or -1 */
    size_t id, id_len, json, json_len;
};

struct piece {
    struct buf bytes;
    struct row rows[PIECE_ROWS_MAX];
    size_t count;
};

struct piece *piece_new(void);
void piece_free(struct piece **piece);
/* Fills a piece with events from a sequence on, as many as fit; none at the end. */
int ledger_read_piece(struct ledger *ledger, int64_t from, struct piece *piece,
                      struct err *err) MUST_CHECK;
/* Appends one event: 1, 0 where there is none, -errno. */
int ledger_read_event(struct ledger *ledger, int64_t sequence, struct buf *ret,
                      int64_t *ret_previous, struct err *err) MUST_CHECK;

static inline struct str piece_json(const struct piece *piece, size_t row)
{
    return str_make(piece->bytes.data + piece->rows[row].json, piece->rows[row].json_len);
}

/* --- commit.c ------------------------------------------------------------------------------ */

#define TICKET_BYTES     16
#define COMMIT_SLOTS_MAX 512 /* of a queue */

/* A batch on its way: what it says, and what became of it. */
struct entry {
    struct str bytes;
    int slot; /* where its writer waits, which may outlive the leader; -1: nowhere */
    unsigned char ticket[TICKET_BYTES];
    bool in_doubt; /* a leader that died had it: only the ticket says what became of it */
    bool settled;  /* and it did: the batch is in already */
    int result;
    struct err err;
    struct ledger_position position;
};

/*
 * Makes batches durable in one transaction; those with a result below 0 are
 * left alone, and those whose ticket is in already are found out (settled). 0:
 * each entry says what became of it. -errno: nothing was written, and err goes
 * for all that are not settled. Each slot's last ticket that is in stands under
 * `queue` in the same transaction.
 */
int commit_entries(struct ledger *ledger, struct str queue, struct entry *entries, size_t count,
                   struct err *err) MUST_CHECK;
/* --- group.c ------------------------------------------------------------------------------- */

/* What a process leaves behind for the next one to open: a log that is soon read. */
void group_leave(struct ledger *ledger);

/* --- account.c ----------------------------------------------------------------------------- */

int account_apply_open(struct ledger *ledger, struct batch_reader *reader,
                       struct err *err) MUST_CHECK;
int account_apply_reserve(struct ledger *ledger, struct batch_reader *reader,
                          struct err *err) MUST_CHECK;
int account_apply_raise(struct ledger *ledger, struct batch_reader *reader,
                        struct err *err) MUST_CHECK;
int account_apply_settle(struct ledger *ledger, struct batch_reader *reader,
                         struct err *err) MUST_CHECK;

/* --- filesystem.c -------------------------------------------------------------------------- */

/* 0, or ERR_UNSUPPORTED where the folder lies on a file system that another machine serves. */
int filesystem_check(const char *folder, struct err *err) MUST_CHECK;
/* The name of a refused file system, by statfs's type and mountinfo's name; NULL where it is fine.
 */
const char *filesystem_refused(uint32_t magic, struct str type);

#endif

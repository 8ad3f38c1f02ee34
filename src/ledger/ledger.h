/*
 * ledger: what happened, durable, in order, chained.
 *
 * One header, one engine (SQLite in one file) behind it; another engine can
 * stand behind the same calls. A ledger holds events (append-only, each with
 * the digest of the one before), documents (the current view of operations,
 * tasks, budgets, cards; and documents that are written once), keys (unique
 * names, such as idempotency keys), accounts with reservations, and artifacts
 * (bytes beside the database, named by digest).
 *
 * Everything is written in batches. A batch is all or nothing, and when
 * ledger_commit returns 0 it is on the disk. Batches of many processes that
 * wait at the same time share one durable transaction. Readers never block
 * writers.
 *
 * A ledger that is open belongs to one thread, and to no child of a fork.
 *
 * Failures of the disk are ERR_IO, told apart by what a function returns:
 * -ENOSPC it is full, -EBUSY somebody keeps the ledger locked beyond a limit,
 * -ESTALE its file was removed or replaced while open, -EROFS it cannot be
 * written, -EIO anything else. Nothing is half-written in any of them, and the
 * next call may succeed. Stored data that makes no sense is ERR_DAMAGED.
 */
#ifndef AM_LEDGER_LEDGER_H
#define AM_LEDGER_LEDGER_H

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/vocabulary.h"

#define LEDGER_SCHEMA_VERSION    1
#define LEDGER_BATCH_BYTES_MAX   ((size_t)16 << 20)
#define LEDGER_EVENT_BYTES_MAX   ((size_t)1 << 20)
#define LEDGER_ACCOUNT_DEPTH_MAX 16 /* accounts above one another */

struct ledger;
struct ledger_batch;

enum ledger_mode {
    LEDGER_READ,   /* it must exist */
    LEDGER_WRITE,  /* it must exist */
    LEDGER_CREATE, /* made where it is missing, with its folder (0700) */
};

/*
 * Opens the ledger in a folder. A newer schema version is refused
 * (ERR_UNSUPPORTED), an older one migrated; a network file system is refused
 * (ERR_UNSUPPORTED); a file that is no ledger or is damaged is ERR_DAMAGED.
 */
int ledger_open(const char *folder, enum ledger_mode mode, struct ledger **ret,
                struct err *err) MUST_CHECK;
void ledger_close(struct ledger *ledger);
/*
 * Moves the log into the database where it is longer than the next process to
 * open it should have to read: for a caller who can spare the moment. What it
 * fails at, whoever closes the ledger tries again.
 */
void ledger_shorten_log(struct ledger *ledger);
/*
 * Makes ready what it takes to begin an operation and to end it: for a caller
 * who has to wait anyway. What cannot be made ready fails when it is needed.
 */
void ledger_warm(struct ledger *ledger);

/* --- writing ------------------------------------------------------------------------------- */

int ledger_batch_new(struct ledger_batch **ret, struct err *err) MUST_CHECK;
void ledger_batch_free(struct ledger_batch *batch);
/* How much is in it, by which ledger_batch_cut takes back whatever was added later. */
size_t ledger_batch_size(const struct ledger_batch *batch);
void ledger_batch_cut(struct ledger_batch *batch, size_t size);

/*
 * Adds an event: an OperationEvent as JSON without `sequence` and
 * `previousDigest`, which are given to it when it is committed. It is not
 * held against its schema here.
 */
int ledger_add_event(struct ledger_batch *batch, struct str json, struct err *err) MUST_CHECK;

/* What a document must be like before; else the batch fails with ERR_CONFLICT. */
#define LEDGER_NEW ((int64_t)0)  /* it must not exist */
#define LEDGER_ANY ((int64_t)-1) /* it may exist, in any revision */
/*
 * Puts a document under its id. `revision` is the one it must have now (1 is
 * the first), LEDGER_NEW or LEDGER_ANY. `operation` (may be empty) is the id
 * of the operation it belongs to.
 */
int ledger_put_document(struct ledger_batch *batch, struct str type, struct str id,
                        struct str operation, struct str json, int64_t revision,
                        struct err *err) MUST_CHECK;
/* A name that nobody else may have taken in this space: ERR_CONFLICT otherwise. */
int ledger_put_key(struct ledger_batch *batch, struct str space, struct str key, struct str value,
                   struct err *err) MUST_CHECK;

/* Amounts by enum dimension. */
struct amounts {
    int64_t of[DIMENSION_COUNT];
};

/* Who holds a reservation: recovery releases those whose process is gone. */
struct holder {
    int64_t pid;
    int64_t start_ticks;
    char boot_id[40];
};

/* Opens an account below another one (empty: none); a limit of -1 is no limit of its own. */
int ledger_open_account(struct ledger_batch *batch, struct str account, struct str parent,
                        const struct amounts *limits, struct err *err) MUST_CHECK;
/* Raises the ceilings of an account alone; what it has without a ceiling stays so. */
int ledger_raise(struct ledger_batch *batch, struct str account, const struct amounts *more,
                 struct err *err) MUST_CHECK;
/*
 * Sets amounts aside in an account and in every account above it, or fails
 * the batch with ERR_BUDGET where limit < used + reserved + amount in any of
 * them. Then err.where is "DIMENSION ACCOUNT", whose ceiling it was.
 */
int ledger_reserve(struct ledger_batch *batch, struct str reservation, struct str account,
                   const struct amounts *amounts, const struct holder *holder,
                   struct err *err) MUST_CHECK;
/*
 * Ends a reservation: `used` is charged, the rest is released, in every account
 * above too. What exceeds the reservation is charged and counted as overshoot,
 * which is a part of `used`. For what is only held (memory, concurrency), `used`
 * is 0.
 */
int ledger_settle(struct ledger_batch *batch, struct str reservation, const struct amounts *used,
                  struct err *err) MUST_CHECK;

/* Where a batch came to stand. */
struct ledger_position {
    int64_t sequence;              /* of the last event of the batch; -1 without one */
    char digest[DIGEST_TEXT_SIZE]; /* of that event */
};

/*
 * The batch becomes durable as a whole, or fails as a whole and leaves nothing.
 * Only -EBUSY may be otherwise: where the process that leads all writers is
 * stuck with this batch in its hands, err says that it may yet be written.
 */
int ledger_commit(struct ledger *ledger, struct ledger_batch *batch, struct ledger_position *ret,
                  struct err *err) MUST_CHECK;

/* Stores bytes beside the database, durable when it returns; the same bytes are stored once. */
int ledger_store_artifact(struct ledger *ledger, struct str bytes,
                          char ret_digest[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;
/* Appends the bytes; ERR_DAMAGED where they no longer have their digest. */
int ledger_read_artifact(struct ledger *ledger, const char *digest, struct buf *ret,
                         struct err *err) MUST_CHECK;

/* --- reading ------------------------------------------------------------------------------- */

/*
 * Visitors may use the ledger in any way, also write. A positive return ends
 * the walk with 0, a negative one with itself.
 */

/* Appends the document and says its revision; -ENOENT where there is none. */
int ledger_get_document(struct ledger *ledger, struct str id, struct buf *ret,
                        int64_t *ret_revision, struct err *err) MUST_CHECK;
/* Calls visit for documents of a type (of an operation, if not empty), oldest first. */
typedef int ledger_visit_document(void *context, struct str id, struct str json, int64_t revision,
                                  struct err *err);
int ledger_each_document(struct ledger *ledger, struct str type, struct str operation,
                         ledger_visit_document *visit, void *context, struct err *err) MUST_CHECK;
/* Appends the value of a key; -ENOENT where there is none. */
int ledger_get_key(struct ledger *ledger, struct str space, struct str key, struct buf *ret,
                   struct err *err) MUST_CHECK;

/* Calls visit for events from a sequence on (of one operation, if not empty). */
typedef int ledger_visit_event(void *context, int64_t sequence, struct str json, struct err *err);
int ledger_each_event(struct ledger *ledger, int64_t from, struct str operation,
                      ledger_visit_event *visit, void *context, struct err *err) MUST_CHECK;
/* How many events there are. */
int ledger_size(struct ledger *ledger, int64_t *ret, struct err *err) MUST_CHECK;
/* "sha256:…" of the last event; of an empty ledger all zeros. */
int ledger_last_digest(struct ledger *ledger, char ret[DIGEST_TEXT_SIZE],
                       struct err *err) MUST_CHECK;
/*
 * A number in memory that changes with every commit of anybody: what was read at the same number
 * need not be read again, for a while at least, since who commits may die before it says so. 0:
 * nothing is known.
 */
uint32_t ledger_mark(const struct ledger *ledger);
/* Waits until there are more events than `size`, or the time is over (0, -ETIMEDOUT). */
int ledger_wait(struct ledger *ledger, int64_t size, int timeout_ms, struct err *err) MUST_CHECK;

struct account {
    struct amounts limits, reserved, used, overshoot;
    char parent[512];
};
int ledger_get_account(struct ledger *ledger, struct str account, struct account *ret,
                       struct err *err) MUST_CHECK;
/* Calls visit for each open reservation. */
typedef int ledger_visit_reservation(void *context, struct str reservation, struct str account,
                                     const struct amounts *amounts, const struct holder *holder,
                                     struct err *err);
int ledger_each_reservation(struct ledger *ledger, ledger_visit_reservation *visit, void *context,
                            struct err *err) MUST_CHECK;

#endif

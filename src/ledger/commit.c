/*
 * commit: any number of batches, one durable transaction.
 *
 * Theory of operation. The transaction takes the database's write lock, reads
 * the end of the chain and the tree's frontier, applies the batches in their
 * order, writes both back and commits, which SQLite ends with a sync of its
 * write-ahead log. What is acknowledged is therefore on the disk.
 *
 * Invariants.
 * 1. Event n's `previousDigest` is the digest of event n - 1, `sequence` is n,
 *    and leaf n of the tree is its bytes; row `head` says the same size, last
 *    digest and frontier. All change in the same transaction or not at all.
 * 2. A batch that finds the ledger otherwise than it needs leaves nothing,
 *    and the others do not notice: batches that can fail stand in savepoints
 *    of their own, unless there is one batch alone.
 * 3. The last ticket that is in from each slot of a queue stands in the
 *    queue's row `committed`, written in the same transaction; and no batch
 *    goes in whose ticket stands there. So a batch goes in once, also if its
 *    leader died before it could say so, or its slot was garbled afterwards.
 * 4. An operation's events are linked backwards (`previous`, from row
 *    `operation`), which costs no index page for each operation that is active.
 *
 * A failure of the database itself ends the transaction for everybody in it.
 */
#include "ledger/internal.h"

#define COMMITTED_QUEUES_MAX INT64_C(16) /* of files that were lost, the oldest are forgotten */

#define NUMBER_DIGITS 20 /* of any int64_t that is not negative */

/* A slot's last ticket, and the last event of its batch. */
struct committed {
    unsigned char ticket[TICKET_BYTES];
    int64_t sequence;
};

struct commit {
    struct ledger *ledger;
    struct head head;
    int64_t size_before;
    bool alone;     /* one batch: the transaction is its savepoint */
    size_t written; /* batches */
    struct committed slots[COMMIT_SLOTS_MAX];
    size_t slot_count; /* of them known */
};

/* --- events -------------------------------------------------------------------------------- */

/* Links the event with sequence `next` to its operation; *ret_previous is -1 where it is the first.
 */
static int link_operation(struct ledger *ledger, struct str operation, int64_t next,
                          int64_t *ret_previous, struct err *err)
{
    struct db *db = ledger->db;
    int r = db_query(db, SQL_OPERATION_READ, err, "t", operation);
    if (r < 0)
        return r;
    if (r == 0) {
        *ret_previous = -1;
        return db_query(db, SQL_OPERATION_ADD, err, "ti", operation, next);
    }
    int64_t number = db_int(db, SQL_OPERATION_READ, 0);
    *ret_previous = db_int(db, SQL_OPERATION_READ, 1);
    db_reset(db, SQL_OPERATION_READ);
    return db_query(db, SQL_OPERATION_WRITE, err, "ii", number, next);
}

static void add_number(struct buf *text, int64_t number)
{
    char digits[NUMBER_DIGITS];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    buf_add(text, digits + at, sizeof(digits) - at);
}

/* Puts the event's bytes together for its place. */
static int place_event(struct commit *commit, const struct batch_event *event, struct err *err)
{
    struct buf *text = &commit->ledger->text;
    char digest[2 * HASH_BYTES];
    hash_hex(commit->head.digest, digest);
    buf_reset(text);
    buf_add_str(text, event->before_digest);
    buf_add(text, digest, sizeof(digest));
    buf_add_str(text, event->before_sequence);
    add_number(text, commit->head.frontier.size);
    if (buf_add_str(text, event->rest) < 0)
        return err_set_errno(err, -text->error, STEP_LEDGER_WRITE, "an event");
    return 0;
}

/* The chain and the tree move on by the event that is in the ledger's text. */
static int extend(struct commit *commit, struct err *err)
{
    struct ledger *ledger = commit->ledger;
    struct frontier *frontier = &commit->head.frontier;
    unsigned char leaf[HASH_BYTES], subtree[HASH_BYTES];
    hash_message(ledger->hash, buf_str(&ledger->text), commit->head.digest);
    hash_leaf(ledger->hash, buf_str(&ledger->text), leaf);
    if (!frontier_add(frontier, ledger->hash, leaf, subtree))
        return 0;
    return db_query(ledger->db, SQL_SUBTREE_ADD, err, "ib",
                    frontier->size / TREE_SUBTREE_LEAVES - 1,
                    str_make((char *)subtree, HASH_BYTES));
}

static int apply_event(struct commit *commit, struct batch_reader *reader, struct err *err)
{
    struct ledger *ledger = commit->ledger;
    struct batch_event event;
    int64_t sequence = commit->head.frontier.size, previous = -1;
    batch_read_event(reader, &event);
    if (reader->failed)
        return 0;
    int r = place_event(commit, &event, err);
    if (r == 0 && event.operation.len)
        r = link_operation(ledger, event.operation, sequence, &previous, err);
    if (r == 0)
        r = previous < 0
                ? db_query(ledger->db, SQL_EVENT_ADD, err, "int", sequence, buf_str(&ledger->text))
                : db_query(ledger->db, SQL_EVENT_ADD, err, "iit", sequence, previous,
                           buf_str(&ledger->text));
    return r < 0 ? r : extend(commit, err);
}

/* --- documents and names ------------------------------------------------------------------- */

static int apply_document(struct ledger *ledger, struct batch_reader *reader, struct err *err)
{
    struct db *db = ledger->db;
    struct batch_document document;
    int64_t number = 0, revision = LEDGER_NEW;
    batch_read_document(reader, &document);
    if (reader->failed)
        return 0;
    int r = db_query(db, SQL_DOCUMENT_READ, err, "t", document.id);
    if (r < 0)
        return r;
    if (r > 0) {
        number = db_int(db, SQL_DOCUMENT_READ, 0);
        revision = db_int(db, SQL_DOCUMENT_READ, 1);
        db_reset(db, SQL_DOCUMENT_READ);
    }
    if (document.revision != LEDGER_ANY && document.revision != revision) {
        if (document.revision == LEDGER_NEW)
            return err_set(err, ERR_CONFLICT, STEP_LEDGER_WRITE, "there is a document %.*s already",
                           STR_ARG(document.id));
        return err_set(err, ERR_CONFLICT, STEP_LEDGER_WRITE,
                       "%.*s is in revision %lld by now, not in %lld", STR_ARG(document.id),
                       (long long)revision, (long long)document.revision);
    }
    if (number)
        return db_query(db, SQL_DOCUMENT_WRITE, err, "ittt", number, document.type,
                        document.operation, document.json);
    return db_query(db, SQL_DOCUMENT_ADD, err, "tttt", document.id, document.type,
                    document.operation, document.json);
}

static int apply_name(struct ledger *ledger, struct batch_reader *reader, struct err *err)
{
    struct db *db = ledger->db;
    struct str space = batch_read_str(reader), name = batch_read_str(reader);
    struct str value = batch_read_str(reader);
    if (reader->failed)
        return 0;
    int r = db_query(db, SQL_NAME_READ, err, "tt", space, name);
    if (r > 0) {
        db_reset(db, SQL_NAME_READ);
        return err_set(err, ERR_CONFLICT, STEP_LEDGER_WRITE, "%.*s is taken already among %.*s",
                       STR_ARG(name), STR_ARG(space));
    }
    return r < 0 ? r : db_query(db, SQL_NAME_ADD, err, "ttt", space, name, value);
}

/* --- batches ------------------------------------------------------------------------------- */

static int apply_records(struct commit *commit, struct str bytes, struct ledger_position *ret,
                         struct err *err)
{
    struct ledger *ledger = commit->ledger;
    struct batch_reader reader = batch_read(bytes);
    int64_t before = commit->head.frontier.size;
    int r = 0;
    for (bool more = true; more && r == 0;) {
        switch (batch_next(&reader)) {
        case BATCH_EVENT:
            r = apply_event(commit, &reader, err);
            break;
        case BATCH_DOCUMENT:
            r = apply_document(ledger, &reader, err);
            break;
        case BATCH_NAME:
            r = apply_name(ledger, &reader, err);
            break;
        case BATCH_ACCOUNT:
            r = account_apply_open(ledger, &reader, err);
            break;
        case BATCH_RESERVE:
            r = account_apply_reserve(ledger, &reader, err);
            break;
        case BATCH_SETTLE:
            r = account_apply_settle(ledger, &reader, err);
            break;
        case BATCH_RAISE:
            r = account_apply_raise(ledger, &reader, err);
            break;
        case BATCH_END:
            more = false;
            break;
        }
    }
    if (r == 0 && reader.failed)
        r = err_set(err, ERR_DOCUMENT, STEP_LEDGER_WRITE, "the batch was garbled on its way");
    if (r < 0)
        return r;
    bool has_events = commit->head.frontier.size > before;
    ret->sequence = has_events ? commit->head.frontier.size - 1 : -1;
    if (has_events)
        hash_text(commit->head.digest, ret->digest);
    return 0;
}

/* Whether the batch alone failed, and not the database under all of them. */
static bool is_batch_fault(struct ledger *ledger, const struct err *err)
{
    return db_in_transaction(ledger->db) &&
           (err->code == ERR_CONFLICT || err->code == ERR_BUDGET || err->code == ERR_NOT_FOUND ||
            err->code == ERR_LIMIT || err->code == ERR_DOCUMENT);
}

/* Applies one batch, or leaves everything as it was before it. <0: the transaction is lost. */
static int apply_entry(struct commit *commit, struct entry *entry, struct err *err)
{
    struct ledger *ledger = commit->ledger;
    bool guarded = !commit->alone && batch_is_conditional(entry->bytes);
    struct head before = commit->head;
    int r = guarded ? db_query(ledger->db, SQL_SAVEPOINT, err, "") : 0;
    if (r < 0)
        return r;
    entry->position = (struct ledger_position){ .sequence = -1 };
    entry->result = apply_records(commit, entry->bytes, &entry->position, &entry->err);
    if (entry->result == 0) {
        commit->written++;
        return guarded ? db_query(ledger->db, SQL_SAVEPOINT_KEEP, err, "") : 0;
    }
    if (!is_batch_fault(ledger, &entry->err) || !(guarded || commit->alone)) {
        *err = entry->err;
        return entry->result;
    }
    commit->head = before;
    if (guarded)
        r = db_query(ledger->db, SQL_SAVEPOINT_UNDO, err, "");
    if (guarded && r == 0)
        r = db_query(ledger->db, SQL_SAVEPOINT_KEEP, err, "");
    return r;
}

/* --- the transaction ----------------------------------------------------------------------- */

static int write_head(struct commit *commit, struct err *err)
{
    unsigned char frontier[TREE_FRONTIER_BYTES];
    if (commit->head.frontier.size == commit->size_before)
        return 0;
    size_t len = frontier_write(&commit->head.frontier, frontier);
    return db_query(commit->ledger->db, SQL_HEAD_WRITE, err, "ibb", commit->head.frontier.size,
                    str_make((char *)commit->head.digest, HASH_BYTES),
                    str_make((char *)frontier, len));
}

static int read_tickets(struct commit *commit, struct str queue, struct err *err)
{
    struct db *db = commit->ledger->db;
    int r = db_query(db, SQL_COMMITTED_READ, err, "b", queue);
    if (r <= 0)
        return r;
    struct str tickets = db_bytes(db, SQL_COMMITTED_READ, 0);
    commit->slot_count = tickets.len / sizeof(*commit->slots);
    if (commit->slot_count > COMMIT_SLOTS_MAX)
        commit->slot_count = COMMIT_SLOTS_MAX;
    memcpy(commit->slots, tickets.ptr, commit->slot_count * sizeof(*commit->slots));
    db_reset(db, SQL_COMMITTED_READ);
    return 0;
}

/* The batch is in already: its writer gets the position that it has. */
static int settle(struct commit *commit, struct entry *entry, struct err *err)
{
    struct ledger *ledger = commit->ledger;
    struct ledger_position *position = &entry->position;
    unsigned char digest[HASH_BYTES];
    position->sequence = commit->slots[entry->slot].sequence;
    position->digest[0] = '\0';
    if (position->sequence >= 0) {
        buf_reset(&ledger->text);
        int r = ledger_read_event(ledger, position->sequence, &ledger->text, NULL, err);
        if (r < 0)
            return r;
        hash_message(ledger->hash, buf_str(&ledger->text), digest);
        hash_text(digest, position->digest);
    }
    entry->result = 0;
    entry->settled = true;
    return 0;
}

/* Finds out which batches are in already: a leader died, or a slot was garbled. */
static int settle_entries(struct commit *commit, struct str queue, struct entry *entries,
                          size_t count, struct err *err)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= entries[i].slot >= 0;
    int r = any ? read_tickets(commit, queue, err) : 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        size_t slot = (size_t)entries[i].slot;
        if (entries[i].slot >= 0 && slot < commit->slot_count &&
            memcmp(entries[i].ticket, commit->slots[slot].ticket, TICKET_BYTES) == 0)
            r = settle(commit, &entries[i], err);
    }
    return r;
}

/* Notes what is in, for whoever leads the queue next. */
static int write_tickets(struct commit *commit, struct str queue, const struct entry *entries,
                         size_t count, struct err *err)
{
    struct db *db = commit->ledger->db;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[i];
        if (entry->slot < 0 || entry->settled || entry->result < 0)
            continue;
        size_t slot = (size_t)entry->slot;
        for (; commit->slot_count <= slot; commit->slot_count++)
            commit->slots[commit->slot_count] = (struct committed){ .sequence = -1 };
        memcpy(commit->slots[slot].ticket, entry->ticket, TICKET_BYTES);
        commit->slots[slot].sequence = entry->position.sequence;
        any = true;
    }
    if (!any)
        return 0;
    int64_t size = commit->head.frontier.size;
    struct str tickets =
        str_make((char *)commit->slots, commit->slot_count * sizeof(*commit->slots));
    int r = db_query(db, SQL_COMMITTED_WRITE, err, "bib", queue, size, tickets);
    if (r < 0 || db_changes(db))
        return r;
    r = db_query(db, SQL_COMMITTED_ADD, err, "bib", queue, size, tickets);
    return r < 0 ? r : db_query(db, SQL_COMMITTED_PRUNE, err, "i", COMMITTED_QUEUES_MAX);
}

static int run_transaction(struct commit *commit, struct str queue, struct entry *entries,
                           size_t count, struct err *err)
{
    struct db *db = commit->ledger->db;
    int r = ledger_read_head(commit->ledger, &commit->head, err);
    commit->size_before = commit->head.frontier.size;
    if (r == 0)
        r = settle_entries(commit, queue, entries, count, err);
    for (size_t i = 0; i < count && r == 0; i++)
        if (!entries[i].settled && entries[i].result == 0)
            r = apply_entry(commit, &entries[i], err);
    if (r == 0)
        r = write_head(commit, err);
    if (r == 0)
        r = write_tickets(commit, queue, entries, count, err);
    if (r == 0 && commit->written)
        r = db_query(db, SQL_COMMIT, err, "");
    if (r < 0 || !commit->written)
        db_undo(db);
    return r;
}

int commit_entries(struct ledger *ledger, struct str queue, struct entry *entries, size_t count,
                   struct err *err)
{
    struct commit commit;
    commit.ledger = ledger;
    commit.alone = count == 1;
    commit.written = 0;
    commit.slot_count = 0;
    int r = ledger_check_file(ledger, err);
    if (r == 0)
        r = ledger_need_hash(ledger, err);
    if (r == 0)
        r = db_query(ledger->db, SQL_BEGIN, err, "");
    if (r == 0)
        r = run_transaction(&commit, queue, entries, count, err);
    return r < 0 ? r : ledger_check_file(ledger, err);
}

/*
 * read: the ledger's reading half.
 *
 * Theory of operation. Readers see the last committed state and never wait for
 * a writer. A statement is never left open while a visitor runs: rows are
 * copied, a piece at a time, and the visitor may then use the ledger in any
 * way, also write, and take as long as it likes without keeping the
 * write-ahead log from being emptied. Events never change, so pieces of
 * different moments fit; a document is seen as it was at some moment of the
 * walk.
 */
#include "ledger/internal.h"

#define COPY_BYTES_MAX ((size_t)1 << 30)

int ledger_snapshot_begin(struct ledger *ledger, struct err *err)
{
    return db_query(ledger->db, SQL_BEGIN_READ, err, "");
}

int ledger_snapshot_end(struct ledger *ledger, int r, struct err *err)
{
    int ended = db_in_transaction(ledger->db)
                    ? db_query(ledger->db, SQL_COMMIT, r < 0 ? NULL : err, "")
                    : 0;
    return r < 0 ? r : ended < 0 ? ended : r;
}

int ledger_read_head(struct ledger *ledger, struct head *ret, struct err *err)
{
    struct db *db = ledger->db;
    int r = db_query(db, SQL_HEAD_READ, err, "");
    if (r < 0)
        return r;
    struct str digest = r ? db_bytes(db, SQL_HEAD_READ, 1) : STR("");
    bool fits =
        r && digest.len == HASH_BYTES &&
        frontier_read(&ret->frontier, db_int(db, SQL_HEAD_READ, 0), db_bytes(db, SQL_HEAD_READ, 2));
    if (fits)
        memcpy(ret->digest, digest.ptr, HASH_BYTES);
    if (r)
        db_reset(db, SQL_HEAD_READ);
    return fits ? 0
                : err_set(err, ERR_DAMAGED, STEP_LEDGER_READ,
                          "%s does not say what its last event is", ledger->path);
}

int ledger_read_id(struct ledger *ledger, char ret[LEDGER_ID_LEN + 1], struct err *err)
{
    int r = db_query(ledger->db, SQL_ID_READ, err, "");
    if (r < 0)
        return r;
    struct str id = r ? db_bytes(ledger->db, SQL_ID_READ, 0) : STR("");
    bool fits = id.len == LEDGER_ID_LEN;
    if (fits)
        memcpy(ret, id.ptr, id.len);
    if (r)
        db_reset(ledger->db, SQL_ID_READ);
    if (!fits)
        return err_set(err, ERR_DAMAGED, STEP_LEDGER_READ, "%s has no name", ledger->path);
    ret[LEDGER_ID_LEN] = '\0';
    return 0;
}

int ledger_last_digest(struct ledger *ledger, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    struct head head;
    int r = ledger_check_file(ledger, err);
    if (r == 0)
        r = ledger_read_head(ledger, &head, err);
    if (r == 0)
        hash_text(head.digest, ret);
    return r;
}

int ledger_size(struct ledger *ledger, int64_t *ret, struct err *err)
{
    int r = ledger_check_file(ledger, err);
    if (r == 0)
        r = db_query(ledger->db, SQL_SIZE_READ, err, "");
    if (r == 0)
        r = err_set(err, ERR_DAMAGED, STEP_LEDGER_READ, "%s does not say its size", ledger->path);
    if (r < 0)
        return r;
    *ret = db_int(ledger->db, SQL_SIZE_READ, 0);
    db_reset(ledger->db, SQL_SIZE_READ);
    return 0;
}

/* Appends a column of the current row. */
static int copy_column(struct ledger *ledger, enum statement statement, int column, struct buf *ret,
                       struct err *err)
{
    int r = buf_add_str(ret, db_bytes(ledger->db, statement, column));
    return r < 0 ? err_set_errno(err, -r, STEP_LEDGER_READ, "a value") : 0;
}

int ledger_get_document(struct ledger *ledger, struct str id, struct buf *ret,
                        int64_t *ret_revision, struct err *err)
{
    int r = ledger_check_file(ledger, err);
    if (r == 0)
        r = db_query(ledger->db, SQL_DOCUMENT_READ, err, "t", id);
    if (r == 0)
        return err_set(err, ERR_NOT_FOUND, STEP_LEDGER_READ, "the ledger holds no document %.*s",
                       STR_ARG(id));
    if (r < 0)
        return r;
    r = copy_column(ledger, SQL_DOCUMENT_READ, 2, ret, err);
    if (r == 0 && ret_revision)
        *ret_revision = db_int(ledger->db, SQL_DOCUMENT_READ, 1);
    db_reset(ledger->db, SQL_DOCUMENT_READ);
    return r;
}

int ledger_get_key(struct ledger *ledger, struct str space, struct str key, struct buf *ret,
                   struct err *err)
{
    int r = ledger_check_file(ledger, err);
    if (r == 0)
        r = db_query(ledger->db, SQL_NAME_READ, err, "tt", space, key);
    if (r == 0)
        return err_set(err, ERR_NOT_FOUND, STEP_LEDGER_READ, "there is no %.*s among %.*s",
                       STR_ARG(key), STR_ARG(space));
    if (r < 0)
        return r;
    r = copy_column(ledger, SQL_NAME_READ, 0, ret, err);
    db_reset(ledger->db, SQL_NAME_READ);
    return r;
}

/* --- documents ----------------------------------------------------------------------------- */

void piece_free(struct piece **piece)
{
    if (*piece)
        buf_release(&(*piece)->bytes);
    free(*piece);
}

struct piece *piece_new(void)
{
    struct piece *piece = malloc(sizeof(*piece));
    if (piece) {
        piece->bytes = BUF_INIT_LIMIT(COPY_BYTES_MAX);
        piece->count = 0;
    }
    return piece;
}

static void piece_reset(struct piece *piece)
{
    buf_reset(&piece->bytes);
    piece->count = 0;
}

static int fill_documents(struct ledger *ledger, struct str type, struct str operation,
                          int64_t behind, struct piece *piece, struct err *err)
{
    struct db *db = ledger->db;
    enum statement each = operation.len ? SQL_DOCUMENT_EACH_OF_OPERATION : SQL_DOCUMENT_EACH;
    int r = operation.len ? db_query(db, each, err, "tit", type, behind, operation)
                          : db_query(db, each, err, "ti", type, behind);
    for (; r > 0; r = db_next(db, each, err)) {
        struct row *row = &piece->rows[piece->count];
        row->number = db_int(db, each, 0);
        row->revision = db_int(db, each, 2);
        row->id = piece->bytes.len;
        r = copy_column(ledger, each, 1, &piece->bytes, err);
        row->json = piece->bytes.len;
        if (r == 0)
            r = copy_column(ledger, each, 3, &piece->bytes, err);
        row->id_len = row->json - row->id;
        row->json_len = piece->bytes.len - row->json;
        piece->count++;
        if (r < 0 || piece->count == PIECE_ROWS_MAX || piece->bytes.len >= PIECE_BYTES_MAX) {
            db_reset(db, each);
            break;
        }
    }
    return r;
}

int ledger_each_document(struct ledger *ledger, struct str type, struct str operation,
                         ledger_visit_document *visit, void *context, struct err *err)
{
    _cleanup_(piece_free) struct piece *piece = piece_new();
    int64_t behind = 0;
    if (!piece)
        return err_set(err, ERR_MEMORY, STEP_LEDGER_READ, "no memory for documents");
    for (;;) {
        piece_reset(piece);
        int r = ledger_check_file(ledger, err);
        if (r == 0)
            r = fill_documents(ledger, type, operation, behind, piece, err);
        for (size_t i = 0; i < piece->count && r >= 0; i++) {
            const struct row *row = &piece->rows[i];
            r = visit(context, str_make(piece->bytes.data + row->id, row->id_len),
                      piece_json(piece, i), row->revision, err);
            if (r > 0)
                return 0;
        }
        if (r < 0 || piece->count == 0)
            return r;
        behind = piece->rows[piece->count - 1].number;
    }
}

/* --- events -------------------------------------------------------------------------------- */

int ledger_read_piece(struct ledger *ledger, int64_t from, struct piece *piece, struct err *err)
{
    struct db *db = ledger->db;
    piece_reset(piece);
    int r = db_query(db, SQL_EVENT_EACH, err, "i", from);
    for (; r > 0; r = db_next(db, SQL_EVENT_EACH, err)) {
        struct row *row = &piece->rows[piece->count];
        row->number = db_int(db, SQL_EVENT_EACH, 0);
        row->revision = db_is_null(db, SQL_EVENT_EACH, 1) ? -1 : db_int(db, SQL_EVENT_EACH, 1);
        row->json = piece->bytes.len;
        r = copy_column(ledger, SQL_EVENT_EACH, 2, &piece->bytes, err);
        row->json_len = piece->bytes.len - row->json;
        piece->count++;
        if (r < 0 || piece->count == PIECE_ROWS_MAX || piece->bytes.len >= PIECE_BYTES_MAX) {
            db_reset(db, SQL_EVENT_EACH);
            break;
        }
    }
    return r;
}

static int each_of_all(struct ledger *ledger, int64_t from, ledger_visit_event *visit,
                       void *context, struct err *err)
{
    _cleanup_(piece_free) struct piece *piece = piece_new();
    if (!piece)
        return err_set(err, ERR_MEMORY, STEP_LEDGER_READ, "no memory for events");
    for (;;) {
        int r = ledger_read_piece(ledger, from, piece, err);
        for (size_t i = 0; i < piece->count && r >= 0; i++) {
            const struct row *row = &piece->rows[i];
            r = visit(context, row->number, piece_json(piece, i), err);
            if (r > 0)
                return 0;
        }
        if (r < 0 || piece->count == 0)
            return r;
        from = piece->rows[piece->count - 1].number + 1;
    }
}

int ledger_read_event(struct ledger *ledger, int64_t sequence, struct buf *ret,
                      int64_t *ret_previous, struct err *err)
{
    struct db *db = ledger->db;
    int r = db_query(db, SQL_EVENT_READ, err, "i", sequence);
    if (r <= 0)
        return r;
    if (ret_previous)
        *ret_previous = db_is_null(db, SQL_EVENT_READ, 0) ? -1 : db_int(db, SQL_EVENT_READ, 0);
    r = ret ? copy_column(ledger, SQL_EVENT_READ, 1, ret, err) : 0;
    db_reset(db, SQL_EVENT_READ);
    return r < 0 ? r : 1;
}

/* Appends the sequences of an operation's events, newest first, down to `from`. */
static int list_operation(struct ledger *ledger, int64_t from, struct str operation,
                          struct buf *ret, struct err *err)
{
    struct db *db = ledger->db;
    int r = db_query(db, SQL_OPERATION_READ, err, "t", operation);
    if (r <= 0)
        return r;
    int64_t at = db_int(db, SQL_OPERATION_READ, 1);
    db_reset(db, SQL_OPERATION_READ);
    while (at >= from && at >= 0) {
        int64_t previous;
        if (buf_add(ret, &at, sizeof(at)) < 0)
            return err_set_errno(err, -ret->error, STEP_LEDGER_READ, "an operation's events");
        r = ledger_read_event(ledger, at, NULL, &previous, err);
        if (r == 0 || (r > 0 && previous >= at)) /* backwards alone, so that it ends */
            return err_set(err, ERR_DAMAGED, STEP_LEDGER_READ,
                           "event %lld of %.*s is missing or out of place", (long long)at,
                           STR_ARG(operation));
        if (r < 0)
            return r;
        at = previous;
    }
    return 0;
}

static int each_of_operation(struct ledger *ledger, int64_t from, struct str operation,
                             ledger_visit_event *visit, void *context, struct err *err)
{
    _cleanup_(buf_release) struct buf sequences = BUF_INIT_LIMIT(COPY_BYTES_MAX);
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    int r = list_operation(ledger, from, operation, &sequences, err);
    for (size_t at = sequences.len; r == 0 && at > 0; at -= sizeof(int64_t)) {
        int64_t sequence, previous;
        memcpy(&sequence, sequences.data + at - sizeof(sequence), sizeof(sequence));
        buf_reset(&text);
        r = ledger_read_event(ledger, sequence, &text, &previous, err);
        if (r == 0)
            return err_set(err, ERR_DAMAGED, STEP_LEDGER_READ, "event %lld is missing",
                           (long long)sequence);
        if (r > 0)
            r = visit(context, sequence, buf_str(&text), err);
        if (r > 0)
            return 0;
    }
    return r;
}

int ledger_each_event(struct ledger *ledger, int64_t from, struct str operation,
                      ledger_visit_event *visit, void *context, struct err *err)
{
    int r = ledger_check_file(ledger, err);
    if (r < 0)
        return r;
    if (operation.len)
        return each_of_operation(ledger, from, operation, visit, context, err);
    return each_of_all(ledger, from, visit, context, err);
}

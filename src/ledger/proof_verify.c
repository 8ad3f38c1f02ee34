/*
 * proof_verify: reads every event, and believes nothing else.
 *
 * Theory of operation. Events are read a piece at a time. What depends on an
 * event's own bytes alone (reading it, its digest, its leaf) is examined by
 * worker threads; what ties it to its neighbours is checked in order, by the
 * thread that owns the ledger:
 *
 *     its row is the next one, and `sequence` in its bytes says the same;
 *     `previousDigest` is the digest of the bytes before it;
 *     the row links it to the event before it in its operation;
 *     the leaves add up to the subtrees and the frontier that are stored, and
 *     to the earlier checkpoint, if there is one.
 *
 * The first fault ends it. A break of the chain between two events does not
 * say by itself which of them was changed: the one after them does, which
 * still holds the digest that the second had.
 *
 * The size is that of the moment when it begins; what is appended meanwhile
 * is not looked at.
 */
#include <pthread.h>
#include <sys/sysinfo.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
#include "ledger/internal.h"
#include "ledger/proof.h"

#define STEP_VERIFY      "verify the ledger"
#define WORKERS_MAX      8
#define WORKS_PER_WORKER 2
#define WORKS_MAX        (WORKERS_MAX * WORKS_PER_WORKER)
#define ALONE_EVENTS     INT64_C(4096) /* up to here threads cost more than they bring */

/* What an event's bytes say by themselves. */
struct examined {
    bool readable;
    int64_t sequence;                   /* -1 where it has none */
    unsigned char previous[HASH_BYTES]; /* zeros where it has none */
    unsigned char digest[HASH_BYTES], leaf[HASH_BYTES];
    size_t operation, operation_len; /* in the work's operations */
};

struct work {
    struct piece *piece;
    struct examined events[PIECE_ROWS_MAX];
    struct buf operations;
    bool done;
};

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct work works[WORKS_MAX];  /* a ring */
    size_t capacity;               /* of it used */
    size_t filled, taken, checked; /* how many so far */
    bool stop;
    pthread_t workers[WORKERS_MAX];
    struct hash *hashes[WORKERS_MAX];
    size_t started;
    struct hash *hash; /* of the thread that owns the ledger */
};

/* --- one event ----------------------------------------------------------------------------- */

static void examine_event(struct str json, struct hash *hash, struct buf *operations,
                          struct examined *ret)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    *ret = (struct examined){ .sequence = -1 };
    hash_message(hash, json, ret->digest);
    hash_leaf(hash, json, ret->leaf);
    ret->readable = json_read(json, &json_limits_default, &doc, NULL) == 0 &&
                    yyjson_is_obj(yyjson_doc_get_root(doc));
    if (!ret->readable)
        return;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *sequence = yyjson_obj_get(root, "sequence");
    yyjson_val *previous = yyjson_obj_get(root, "previousDigest");
    yyjson_val *operation = yyjson_obj_get(root, "operationRef");
    if (yyjson_is_uint(sequence) && yyjson_get_uint(sequence) <= INT64_MAX)
        ret->sequence = (int64_t)yyjson_get_uint(sequence);
    if (!yyjson_is_str(previous) || !hash_parse(json_str(previous), ret->previous))
        ret->readable = false;
    ret->operation = operations->len;
    if (yyjson_is_str(operation) && buf_add_str(operations, json_str(operation)) == 0)
        ret->operation_len = operations->len - ret->operation;
}

static void examine(struct work *work, struct hash *hash)
{
    buf_reset(&work->operations);
    for (size_t i = 0; i < work->piece->count; i++)
        examine_event(piece_json(work->piece, i), hash, &work->operations, &work->events[i]);
}

/* --- workers ------------------------------------------------------------------------------- */

static void *run_worker(void *context)
{
    struct pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    struct hash *hash = pool->hashes[pool->started++];
    for (;;) {
        while (!pool->stop && pool->taken == pool->filled)
            pthread_cond_wait(&pool->changed, &pool->mutex);
        if (pool->stop)
            break;
        struct work *work = &pool->works[pool->taken++ % pool->capacity];
        pthread_mutex_unlock(&pool->mutex);
        examine(work, hash);
        pthread_mutex_lock(&pool->mutex);
        work->done = true;
        pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static size_t workers_for(int64_t size)
{
    int processors = get_nprocs();
    if (size <= ALONE_EVENTS || processors < 2)
        return 0;
    return processors < WORKERS_MAX ? (size_t)processors : WORKERS_MAX;
}

static void pool_release(struct pool *pool, size_t workers)
{
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < workers; i++)
        pthread_join(pool->workers[i], NULL);
    for (size_t i = 0; i < WORKERS_MAX; i++)
        hash_free(pool->hashes[i]);
    for (size_t i = 0; i < WORKS_MAX; i++) {
        piece_free(&pool->works[i].piece);
        buf_release(&pool->works[i].operations);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

/* How many workers run; where none can, the caller's own thread does their part. */
static size_t start_workers(struct pool *pool, size_t wanted)
{
    size_t running = 0;
    hash_bytes("", 0); /* what it sets up once is set up before threads share it */
    while (running < wanted) {
        if (hash_new(&pool->hashes[running], NULL) < 0 ||
            pthread_create(&pool->workers[running], NULL, run_worker, pool) != 0)
            break;
        running++;
    }
    return running;
}

static struct pool *pool_new(struct hash *hash, size_t workers, struct err *err)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool) {
        err_set(err, ERR_MEMORY, STEP_VERIFY, "no memory for it");
        return NULL;
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->changed, NULL);
    pool->hash = hash;
    pool->capacity = workers ? workers * WORKS_PER_WORKER : 1;
    for (size_t i = 0; i < pool->capacity; i++) {
        pool->works[i].operations = BUF_INIT;
        pool->works[i].piece = piece_new();
        if (!pool->works[i].piece) {
            pool_release(pool, 0);
            err_set(err, ERR_MEMORY, STEP_VERIFY, "no memory for it");
            return NULL;
        }
    }
    return pool;
}

static void hand_out(struct pool *pool, size_t workers)
{
    struct work *work = &pool->works[pool->filled % pool->capacity];
    if (!workers)
        examine(work, pool->hash);
    pthread_mutex_lock(&pool->mutex);
    work->done = !workers;
    pool->filled++;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

static struct work *wait_for_next(struct pool *pool)
{
    struct work *work = &pool->works[pool->checked++ % pool->capacity];
    pthread_mutex_lock(&pool->mutex);
    while (!work->done)
        pthread_cond_wait(&pool->changed, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return work;
}

/* --- the walk ------------------------------------------------------------------------------ */

struct verify {
    struct ledger *ledger;
    const struct tree_head *against;
    struct head stored;
    struct frontier frontier; /* of what was checked; its size is the next sequence */
    unsigned char digest[HASH_BYTES], digest_before[HASH_BYTES]; /* of the last, and before it */
    struct arena names;
    struct map operations; /* index into `last` */
    int64_t *last;         /* sequence of the operation's newest event so far */
    size_t operation_count, operation_capacity;
    int64_t rows; /* one more than the last row's sequence, when it began */
    uint64_t bytes;
};

static int fault(struct err *err, int64_t sequence, const char *what)
{
    int r = err_set(err, ERR_DAMAGED, STEP_VERIFY, "event %lld %s", (long long)sequence, what);
    err_where(err, "event %lld", (long long)sequence);
    return r;
}

/* Whether the event behind `sequence` (or the ledger's head, at the end) expects this digest. */
static int fits_successor(struct verify *verify, int64_t sequence,
                          const unsigned char digest[HASH_BYTES], bool *ret, bool *ret_shifted,
                          struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, operations = BUF_INIT;
    struct examined next;
    *ret_shifted = false;
    if (sequence + 1 == verify->stored.frontier.size) {
        *ret = memcmp(verify->stored.digest, digest, HASH_BYTES) == 0;
        return 0;
    }
    int r = ledger_read_event(verify->ledger, sequence + 1, &json, NULL, err);
    if (r < 0)
        return r;
    examine_event(buf_str(&json), verify->ledger->hash, &operations, &next);
    *ret = r > 0 && next.readable && memcmp(next.previous, digest, HASH_BYTES) == 0;
    *ret_shifted = r > 0 && next.sequence == sequence;
    return 0;
}

/* The digest that an event would have with another `previousDigest`. */
static bool digest_with(struct verify *verify, struct str json,
                        const unsigned char from[HASH_BYTES], const unsigned char to[HASH_BYTES],
                        unsigned char ret[HASH_BYTES])
{
    _cleanup_(buf_release) struct buf copy = BUF_INIT;
    char from_text[DIGEST_TEXT_SIZE], to_text[DIGEST_TEXT_SIZE];
    hash_text(from, from_text);
    hash_text(to, to_text);
    if (buf_add_str(&copy, json) < 0)
        return false;
    char *at = memmem(copy.data, copy.len, from_text, strlen(from_text));
    if (!at)
        return false;
    memcpy(at, to_text, strlen(to_text));
    hash_message(verify->ledger->hash, buf_str(&copy), ret);
    return true;
}

/* The chain breaks before event n: names the one that was changed. */
static int blame(struct verify *verify, int64_t n, struct str json, const struct examined *examined,
                 struct err *err)
{
    unsigned char mended[HASH_BYTES];
    bool fits, shifted;
    int r = fits_successor(verify, n, examined->digest, &fits, &shifted, err);
    if (r < 0)
        return r;
    if (shifted)
        return fault(err, n, "was inserted");
    if (n > 0 && fits)
        return fault(err, n - 1, "was changed");
    if (n == 0 || !digest_with(verify, json, examined->previous, verify->digest, mended))
        return fault(err, n, "was changed");
    r = fits_successor(verify, n, mended, &fits, &shifted, err);
    if (r < 0)
        return r;
    return fault(err, fits ? n : n - 1, "was changed");
}

static int check_place(struct verify *verify, int64_t row, struct str json,
                       const struct examined *examined, struct err *err)
{
    int64_t n = verify->frontier.size;
    char what[96];
    if (row != n)
        return fault(err, n, "is missing");
    if (!examined->readable)
        return fault(err, n, "was changed: it cannot be read as an event");
    if (examined->sequence == n - 1 &&
        memcmp(examined->previous, verify->digest_before, HASH_BYTES) == 0)
        return fault(err, n - 1, "was inserted");
    if (examined->sequence != n) {
        snprintf(what, sizeof(what), "is not in its place: event %lld stands there",
                 (long long)examined->sequence);
        return fault(err, n, what);
    }
    if (memcmp(examined->previous, verify->digest, HASH_BYTES) != 0)
        return blame(verify, n, json, examined, err);
    return 0;
}

/* The slot that holds an operation's newest event so far. */
static int find_operation(struct verify *verify, struct str operation, int64_t **ret,
                          struct err *err)
{
    uint32_t index;
    if (map_get(&verify->operations, operation, &index)) {
        *ret = &verify->last[index];
        return 0;
    }
    if (verify->operation_count == verify->operation_capacity) {
        size_t capacity = verify->operation_capacity ? 2 * verify->operation_capacity : 64;
        int64_t *last = realloc(verify->last, capacity * sizeof(*last));
        if (!last)
            return err_set(err, ERR_MEMORY, STEP_VERIFY, "no memory for the operations");
        verify->last = last;
        verify->operation_capacity = capacity;
    }
    const char *copy = arena_copy(&verify->names, operation);
    index = (uint32_t)verify->operation_count;
    if (!copy || map_put(&verify->operations, str_make(copy, operation.len), index) < 0)
        return err_set(err, ERR_MEMORY, STEP_VERIFY, "no memory for the operations");
    verify->last[index] = -1;
    verify->operation_count++;
    *ret = &verify->last[index];
    return 0;
}

static int check_link(struct verify *verify, int64_t linked, struct str operation, struct err *err)
{
    int64_t n = verify->frontier.size, *last = NULL;
    int r = operation.len ? find_operation(verify, operation, &last, err) : 0;
    if (r < 0)
        return r;
    if (linked != (last ? *last : -1))
        return fault(err, n, "is not linked to the event before it in its operation");
    if (last)
        *last = n;
    return 0;
}

static int check_subtree(struct verify *verify, const unsigned char root[HASH_BYTES],
                         struct err *err)
{
    struct db *db = verify->ledger->db;
    int64_t number = verify->frontier.size / TREE_SUBTREE_LEAVES - 1;
    int r = db_query(db, SQL_SUBTREE_READ, err, "i", number);
    if (r < 0)
        return r;
    bool same = r > 0 && str_equal(db_bytes(db, SQL_SUBTREE_READ, 0),
                                   str_make((const char *)root, HASH_BYTES));
    if (r > 0)
        db_reset(db, SQL_SUBTREE_READ);
    if (same)
        return 0;
    char what[128];
    snprintf(what, sizeof(what), "or one of the %lld behind it is not as the tree has it",
             (long long)TREE_SUBTREE_LEAVES - 1);
    return fault(err, number * TREE_SUBTREE_LEAVES, what);
}

static int check_against(struct verify *verify, struct err *err)
{
    unsigned char root[HASH_BYTES];
    if (!verify->against || verify->against->size != verify->frontier.size)
        return 0;
    frontier_root(&verify->frontier, verify->ledger->hash, root);
    if (memcmp(root, verify->against->root, HASH_BYTES) == 0)
        return 0;
    return err_set(err, ERR_DAMAGED, STEP_VERIFY,
                   "the first %lld events are not those that the checkpoint was made of",
                   (long long)verify->against->size);
}

static int check_event(struct verify *verify, const struct row *row, struct str json,
                       const struct examined *examined, struct str operation, struct err *err)
{
    unsigned char subtree[HASH_BYTES];
    int r = check_place(verify, row->number, json, examined, err);
    if (r == 0)
        r = check_link(verify, row->revision, operation, err);
    if (r < 0)
        return r;
    memcpy(verify->digest_before, verify->digest, HASH_BYTES);
    memcpy(verify->digest, examined->digest, HASH_BYTES);
    verify->bytes += json.len;
    if (frontier_add(&verify->frontier, verify->ledger->hash, examined->leaf, subtree))
        r = check_subtree(verify, subtree, err);
    return r < 0 ? r : check_against(verify, err);
}

static int check_work(struct verify *verify, const struct work *work, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < work->piece->count && r == 0; i++) {
        const struct examined *examined = &work->events[i];
        if (verify->frontier.size == verify->stored.frontier.size)
            break;
        r = check_event(
            verify, &work->piece->rows[i], piece_json(work->piece, i), examined,
            str_make(work->operations.data + examined->operation, examined->operation_len), err);
    }
    return r;
}

/* --- the end ------------------------------------------------------------------------------- */

/* Each operation's row points at its newest event. Events behind the end count as well. */
static int check_operations(struct verify *verify, struct err *err)
{
    struct db *db = verify->ledger->db;
    size_t seen = 0;
    int r = db_query(db, SQL_OPERATION_EACH, err, "");
    for (; r > 0; r = db_next(db, SQL_OPERATION_EACH, err)) {
        uint32_t index;
        struct str id = db_bytes(db, SQL_OPERATION_EACH, 0);
        int64_t last = db_int(db, SQL_OPERATION_EACH, 1);
        bool known = map_get(&verify->operations, id, &index);
        seen += known;
        if (known ? last == verify->last[index] : last >= verify->frontier.size)
            continue;
        if (known && last >= verify->frontier.size) /* it has gone on since */
            continue;
        r = fault(err, known ? verify->last[index] : last,
                  "is not where its operation's list begins");
        db_reset(db, SQL_OPERATION_EACH);
        return r;
    }
    if (r == 0 && seen < verify->operation_count)
        r = err_set(err, ERR_DAMAGED, STEP_VERIFY, "operations are missing from their list");
    return r;
}

static int check_end(struct verify *verify, struct err *err)
{
    unsigned char computed[TREE_FRONTIER_BYTES], stored[TREE_FRONTIER_BYTES];
    int64_t size = verify->stored.frontier.size;
    if (verify->frontier.size < size)
        return fault(err, verify->frontier.size, "and all behind it are missing");
    if (memcmp(verify->digest, verify->stored.digest, HASH_BYTES) != 0)
        return size ? fault(err, size - 1, "was changed") : fault(err, 0, "is missing");
    if (verify->rows > size)
        return fault(err, size, "stands behind the ledger's end");
    size_t len = frontier_write(&verify->frontier, computed);
    frontier_write(&verify->stored.frontier, stored);
    if (memcmp(computed, stored, len) != 0)
        return err_set(err, ERR_DAMAGED, STEP_VERIFY,
                       "the tree that is stored is not that of the %lld events", (long long)size);
    return check_operations(verify, err);
}

/* What can be said before any event is read. */
static int check_begin(struct verify *verify, struct err *err)
{
    char id[LEDGER_ID_LEN + 1];
    int64_t size = verify->stored.frontier.size;
    int r = db_query(verify->ledger->db, SQL_EVENT_LAST, err, "");
    if (r > 0) {
        verify->rows = db_int(verify->ledger->db, SQL_EVENT_LAST, 0) + 1;
        db_reset(verify->ledger->db, SQL_EVENT_LAST);
    }
    if (r >= 0)
        r = ledger_read_id(verify->ledger, id, err);
    if (r < 0)
        return r;
    if (verify->against && strcmp(verify->against->ledger, id) != 0)
        return err_set(err, ERR_CONFLICT, STEP_VERIFY,
                       "the checkpoint is of ledger %s, and this one is %s",
                       verify->against->ledger, id);
    if (verify->against && verify->against->size > size) {
        char what[128];
        snprintf(what, sizeof(what), "and all up to %lld, which the checkpoint knows, are missing",
                 (long long)verify->against->size - 1);
        return fault(err, size, what);
    }
    return check_against(verify, err);
}

static int walk(struct verify *verify, struct pool *pool, size_t workers, struct err *err)
{
    int64_t from = 0, size = verify->stored.frontier.size;
    bool end = size == 0;
    int r = 0;
    while (r == 0) {
        while (!end && pool->filled - pool->checked < pool->capacity && r == 0) {
            struct piece *piece = pool->works[pool->filled % pool->capacity].piece;
            r = ledger_read_piece(verify->ledger, from, piece, err);
            end = piece->count == 0 || piece->rows[piece->count - 1].number >= size - 1;
            if (r == 0 && piece->count) {
                from = piece->rows[piece->count - 1].number + 1;
                hand_out(pool, workers);
            }
        }
        if (r < 0 || pool->checked == pool->filled)
            break;
        r = check_work(verify, wait_for_next(pool), err);
    }
    return r;
}

static int run(struct verify *verify, struct err *err)
{
    size_t workers = workers_for(verify->stored.frontier.size);
    struct pool *pool = pool_new(verify->ledger->hash, workers, err);
    if (!pool)
        return -ENOMEM;
    workers = start_workers(pool, workers);
    int r = walk(verify, pool, workers, err);
    pool_release(pool, workers);
    return r < 0 ? r : check_end(verify, err);
}

int proof_verify(struct ledger *ledger, const struct tree_head *against, int64_t *ret_events,
                 uint64_t *ret_bytes, struct err *err)
{
    struct verify verify = {
        .ledger = ledger, .against = against, .names = ARENA_INIT, .operations = MAP_INIT
    };
    int r = ledger_check_file(ledger, err);
    if (r == 0)
        r = ledger_need_hash(ledger, err);
    if (r == 0)
        r = ledger_snapshot_begin(ledger, err);
    if (r < 0)
        return r;
    r = ledger_read_head(ledger, &verify.stored, err);
    r = ledger_snapshot_end(ledger, r < 0 ? r : check_begin(&verify, err), err);
    if (r == 0)
        r = run(&verify, err);
    if (r == 0 && ret_events)
        *ret_events = verify.frontier.size;
    if (r == 0 && ret_bytes)
        *ret_bytes = verify.bytes;
    map_release(&verify.operations);
    arena_release(&verify.names);
    free(verify.last);
    return r;
}

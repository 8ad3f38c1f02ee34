/*
 * proof: checkpoints, and proofs that need nothing but a public key.
 *
 * Theory of operation. The tree's head is the ledger's frontier folded
 * together. A checkpoint is a note of three lines: the ledger's name, the
 * tree's size, its root. A proof is a JSON document that holds what it speaks
 * about and the checkpoints it leads to:
 *
 *     { "kind": "agent-machine/ledger-inclusion",
 *       "event": {…}, "path": ["…"], "checkpoint": "…" }
 *     { "kind": "agent-machine/ledger-consistency",
 *       "from": "…", "to": "…", "path": ["…"] }
 *
 * The hashes of a path are read from the database: roots of whole subtrees as
 * they stand there, and the leaves of the one that is not whole. Nothing here
 * checks those; who checks the proof does.
 */
#include "ledger/proof.h"

#include "base/json.h"
#include "contract/jcs.h"
#include "ledger/internal.h"
#include "ledger/note.h"

#define STEP_PROVE       "prove"
#define STEP_CHECK       "check a proof"
#define STEP_CHECKPOINT  "read a checkpoint"
#define ORIGIN           "agent-machine/ledger/"
#define KIND_INCLUSION   "agent-machine/ledger-inclusion"
#define KIND_CONSISTENCY "agent-machine/ledger-consistency"
#define PROOF_BYTES_MAX  ((size_t)4 << 20)
#define SIZE_DIGITS_MAX  18

static_assert(PROOF_LEDGER_SIZE == LEDGER_ID_LEN + 1, "a ledger's name must fit");
static_assert(HASH_BYTES == DIGEST_BYTES, "one hash");

/* Everything that is read for one answer is of one moment. */
static int begin(struct ledger *ledger, struct err *err)
{
    int r = ledger_check_file(ledger, err);
    if (r == 0)
        r = ledger_need_hash(ledger, err);
    return r < 0 ? r : ledger_snapshot_begin(ledger, err);
}

/* --- the tree's head ----------------------------------------------------------------------- */

static int read_head(struct ledger *ledger, struct tree_head *ret, struct err *err)
{
    struct head head;
    struct tree_head found = { 0 };
    int r = ledger_read_id(ledger, found.ledger, err);
    if (r == 0)
        r = ledger_read_head(ledger, &head, err);
    if (r < 0)
        return r;
    found.size = head.frontier.size;
    frontier_root(&head.frontier, ledger->hash, found.root);
    *ret = found;
    return 0;
}

int proof_tree_head(struct ledger *ledger, struct tree_head *ret, struct err *err)
{
    int r = begin(ledger, err);
    return r < 0 ? r : ledger_snapshot_end(ledger, read_head(ledger, ret, err), err);
}

/* --- checkpoints --------------------------------------------------------------------------- */

static int write_checkpoint(const struct tree_head *head, const struct sign_key *key,
                            struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(NOTE_BYTES_MAX);
    buf_addf(&text, ORIGIN "%s", head->ledger);
    size_t origin_len = text.len;
    buf_addf(&text, "\n%lld\n", (long long)head->size);
    base64_add(&text, str_make((const char *)head->root, sizeof(head->root)));
    if (buf_add_char(&text, '\n') < 0)
        return err_set(err, ERR_MEMORY, STEP_PROVE, "no memory for a checkpoint");
    return note_sign(buf_str(&text), str_make(text.data, origin_len), key, ret, err);
}

int proof_checkpoint(struct ledger *ledger, const struct sign_key *key, struct buf *ret,
                     struct err *err)
{
    struct tree_head head;
    int r = proof_tree_head(ledger, &head, err);
    return r < 0 ? r : write_checkpoint(&head, key, ret, err);
}

static struct str next_line(struct str *text)
{
    struct str line = str_make(text->ptr, str_index(*text, '\n', 0));
    *text = str_from_offset(*text, line.len + 1);
    return line;
}

/* A decimal without sign or leading zero. */
static bool read_size(struct str text, int64_t *ret)
{
    int64_t size = 0;
    if (text.len == 0 || text.len > SIZE_DIGITS_MAX || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        size = size * 10 + (text.ptr[i] - '0');
    }
    *ret = size;
    return true;
}

static bool read_hash(struct str text, unsigned char ret[HASH_BYTES])
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(HASH_BYTES);
    if (!base64_decode(text, &bytes) || bytes.len != HASH_BYTES)
        return false;
    memcpy(ret, bytes.data, HASH_BYTES);
    return true;
}

int proof_read_checkpoint(struct str note, const struct sign_public *key, struct tree_head *ret,
                          struct err *err)
{
    struct tree_head head = { 0 };
    struct str text, name;
    int r = note_open(note, key, &text, &name, err);
    if (r < 0)
        return r;
    struct str origin = next_line(&text), size = next_line(&text), root = next_line(&text);
    struct str ledger = str_from_offset(origin, strlen(ORIGIN));
    if (!str_starts(origin, STR(ORIGIN)) || ledger.len != LEDGER_ID_LEN ||
        !str_equal(origin, name) || !read_size(size, &head.size) || !read_hash(root, head.root))
        return err_set(err, ERR_DOCUMENT, STEP_CHECKPOINT,
                       "the note is signed, but is no checkpoint of a ledger");
    memcpy(head.ledger, ledger.ptr, ledger.len);
    *ret = head;
    return 0;
}

/* --- hashes out of the database ------------------------------------------------------------ */

static int hash_at(void *context, bool subtree, int64_t index, unsigned char ret[HASH_BYTES],
                   struct err *err)
{
    struct ledger *ledger = context;
    if (!subtree) {
        buf_reset(&ledger->text);
        int r = ledger_read_event(ledger, index, &ledger->text, NULL, err);
        if (r == 0)
            return err_set(err, ERR_DAMAGED, STEP_PROVE, "event %lld is missing", (long long)index);
        if (r > 0)
            hash_leaf(ledger->hash, buf_str(&ledger->text), ret);
        return r < 0 ? r : 0;
    }
    int r = db_query(ledger->db, SQL_SUBTREE_READ, err, "i", index);
    struct str root = r > 0 ? db_bytes(ledger->db, SQL_SUBTREE_READ, 0) : STR("");
    bool fits = root.len == HASH_BYTES;
    if (fits)
        memcpy(ret, root.ptr, HASH_BYTES);
    if (r > 0)
        db_reset(ledger->db, SQL_SUBTREE_READ);
    if (r >= 0 && !fits)
        return err_set(err, ERR_DAMAGED, STEP_PROVE, "subtree %lld is missing", (long long)index);
    return r < 0 ? r : 0;
}

static struct tree_source source_of(struct ledger *ledger)
{
    return (struct tree_source){ .context = ledger, .hash_at = hash_at };
}

static int add_path(struct buf *ret, const struct tree_path *path)
{
    buf_add_text(ret, "\"path\":[");
    for (size_t i = 0; i < path->count; i++) {
        buf_add_text(ret, i ? ",\"" : "\"");
        base64_add(ret, str_make((const char *)path->node[i], HASH_BYTES));
        buf_add_char(ret, '"');
    }
    return buf_add_char(ret, ']');
}

static int finish(struct buf *ret, struct err *err)
{
    int r = buf_add_char(ret, '}');
    return r < 0 ? err_set_errno(err, -r, STEP_PROVE, "a proof of %zu bytes", ret->len) : 0;
}

/* --- inclusion ----------------------------------------------------------------------------- */

static bool has_id(struct str json, struct str id)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (json_read(json, &json_limits_default, &doc, NULL) < 0)
        return false;
    yyjson_val *found = yyjson_obj_get(yyjson_doc_get_root(doc), "id");
    return yyjson_is_str(found) && str_equal(json_str(found), id);
}

/* The newest event with that id; there is no index of them, so all are looked through. */
static int find_by_id(struct ledger *ledger, struct str id, int64_t *ret, struct err *err)
{
    struct db *db = ledger->db;
    _cleanup_(buf_release) struct buf quoted = BUF_INIT;
    if (json_add_string(&quoted, id) < 0)
        return err_set(err, ERR_MEMORY, STEP_PROVE, "no memory for an id");
    int r = db_query(db, SQL_EVENT_FIND, err, "t", buf_str(&quoted));
    for (; r > 0; r = db_next(db, SQL_EVENT_FIND, err)) {
        if (!has_id(db_bytes(db, SQL_EVENT_FIND, 1), id))
            continue;
        *ret = db_int(db, SQL_EVENT_FIND, 0);
        db_reset(db, SQL_EVENT_FIND);
        return 0;
    }
    return r < 0 ? r
                 : err_set(err, ERR_NOT_FOUND, STEP_PROVE, "the ledger holds no event %.*s",
                           STR_ARG(id));
}

static int find_event(struct ledger *ledger, struct str event, int64_t size, int64_t *ret,
                      struct err *err)
{
    int64_t sequence = 0;
    int r = read_size(event, &sequence) ? 0 : find_by_id(ledger, event, &sequence, err);
    if (r == 0 && sequence >= size)
        r = err_set(err, ERR_NOT_FOUND, STEP_PROVE, "the ledger holds %lld events, from 0 on",
                    (long long)size);
    if (r == 0)
        *ret = sequence;
    return r;
}

static int prove_inclusion(struct ledger *ledger, struct str event, const struct sign_key *key,
                           struct buf *ret, struct err *err)
{
    struct tree_head head;
    struct tree_path path;
    struct tree_source source = source_of(ledger);
    int64_t sequence = 0;
    _cleanup_(buf_release) struct buf note = BUF_INIT_LIMIT(NOTE_BYTES_MAX);
    int r = read_head(ledger, &head, err);
    if (r == 0)
        r = find_event(ledger, event, head.size, &sequence, err);
    if (r == 0)
        r = tree_inclusion(&source, ledger->hash, sequence, head.size, &path, err);
    if (r == 0)
        r = write_checkpoint(&head, key, &note, err);
    if (r < 0)
        return r;
    buf_add_text(ret, "{\"kind\":\"" KIND_INCLUSION "\",\"event\":");
    r = ledger_read_event(ledger, sequence, ret, NULL, err);
    if (r < 0)
        return r;
    buf_add_char(ret, ',');
    add_path(ret, &path);
    buf_add_text(ret, ",\"checkpoint\":");
    json_add_string(ret, buf_str(&note));
    return finish(ret, err);
}

int proof_inclusion(struct ledger *ledger, struct str event, const struct sign_key *key,
                    struct buf *ret, struct err *err)
{
    int r = begin(ledger, err);
    return r < 0 ? r
                 : ledger_snapshot_end(ledger, prove_inclusion(ledger, event, key, ret, err), err);
}

static int prove_paths(struct ledger *ledger, const int64_t *sequences, size_t count,
                       const struct sign_key *key, struct buf *ret_checkpoint,
                       proof_visit_path *visit, void *context, struct err *err)
{
    struct tree_head head;
    struct tree_path path;
    struct tree_source source = source_of(ledger);
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    int r = read_head(ledger, &head, err);
    if (r == 0)
        r = write_checkpoint(&head, key, ret_checkpoint, err);
    for (size_t i = 0; i < count && r == 0; i++) {
        buf_reset(&text);
        r = tree_inclusion(&source, ledger->hash, sequences[i], head.size, &path, err);
        if (r == 0)
            r = add_path(&text, &path) < 0 ? err_set(err, ERR_MEMORY, STEP_PROVE, "no memory")
                                           : visit(context, i, buf_str(&text), err);
    }
    return r;
}

int proof_paths(struct ledger *ledger, const int64_t *sequences, size_t count,
                const struct sign_key *key, struct buf *ret_checkpoint, proof_visit_path *visit,
                void *context, struct err *err)
{
    int r = begin(ledger, err);
    return r < 0 ? r
                 : ledger_snapshot_end(ledger,
                                       prove_paths(ledger, sequences, count, key, ret_checkpoint,
                                                   visit, context, err),
                                       err);
}

/* --- consistency --------------------------------------------------------------------------- */

static int prove_consistency(struct ledger *ledger, int64_t from, int64_t to,
                             const struct sign_key *key, struct buf *ret, struct err *err)
{
    struct tree_head now, early, late;
    struct tree_path path;
    struct tree_source source = source_of(ledger);
    _cleanup_(buf_release) struct buf early_note = BUF_INIT_LIMIT(NOTE_BYTES_MAX);
    _cleanup_(buf_release) struct buf late_note = BUF_INIT_LIMIT(NOTE_BYTES_MAX);
    int r = read_head(ledger, &now, err);
    if (r < 0)
        return r;
    early = late = now;
    early.size = from;
    late.size = to < 0 ? now.size : to;
    if (from < 1 || from > late.size || late.size > now.size)
        return err_set(err, ERR_NOT_FOUND, STEP_PROVE,
                       "sizes must lie between 1 and %lld, the earlier one first",
                       (long long)now.size);
    r = tree_range(&source, ledger->hash, 0, early.size, early.root, err);
    if (r == 0)
        r = tree_range(&source, ledger->hash, 0, late.size, late.root, err);
    if (r == 0)
        r = tree_consistency(&source, ledger->hash, early.size, late.size, &path, err);
    if (r == 0)
        r = write_checkpoint(&early, key, &early_note, err);
    if (r == 0)
        r = write_checkpoint(&late, key, &late_note, err);
    if (r < 0)
        return r;
    buf_add_text(ret, "{\"kind\":\"" KIND_CONSISTENCY "\",\"from\":");
    json_add_string(ret, buf_str(&early_note));
    buf_add_text(ret, ",\"to\":");
    json_add_string(ret, buf_str(&late_note));
    buf_add_char(ret, ',');
    add_path(ret, &path);
    return finish(ret, err);
}

int proof_consistency(struct ledger *ledger, int64_t from, int64_t to, const struct sign_key *key,
                      struct buf *ret, struct err *err)
{
    int r = begin(ledger, err);
    return r < 0 ? r
                 : ledger_snapshot_end(ledger, prove_consistency(ledger, from, to, key, ret, err),
                                       err);
}

/* --- checking ------------------------------------------------------------------------------ */

static int read_path(yyjson_val *proof, struct tree_path *ret, struct err *err)
{
    yyjson_val *path = yyjson_obj_get(proof, "path"), *node;
    size_t i, count;
    ret->count = 0;
    if (!yyjson_is_arr(path) || yyjson_arr_size(path) > TREE_PATH_MAX)
        return err_set(err, ERR_DOCUMENT, STEP_CHECK,
                       "/path: an array of at most %d hashes is "
                       "expected",
                       TREE_PATH_MAX);
    yyjson_arr_foreach(path, i, count, node)
    {
        if (!yyjson_is_str(node) || !read_hash(json_str(node), ret->node[i]))
            return err_set(err, ERR_DOCUMENT, STEP_CHECK, "/path/%zu: a hash in base64 is expected",
                           i);
        ret->count++;
    }
    return 0;
}

static int read_note(yyjson_val *proof, const char *member, const struct sign_public *key,
                     struct tree_head *ret, struct err *err)
{
    yyjson_val *note = yyjson_obj_get(proof, member);
    if (!yyjson_is_str(note))
        return err_set(err, ERR_DOCUMENT, STEP_CHECK, "/%s: a checkpoint is expected", member);
    int r = proof_read_checkpoint(json_str(note), key, ret, err);
    if (r < 0)
        err_where(err, "/%s", member);
    return r;
}

static int check_event(const yyjson_val *event, const struct tree_path *path,
                       const struct tree_head *head, struct hash *hash, struct err *err)
{
    unsigned char leaf[HASH_BYTES];
    _cleanup_(buf_release) struct buf form = BUF_INIT_LIMIT(PROOF_BYTES_MAX);
    yyjson_val *sequence = yyjson_obj_get((yyjson_val *)event, "sequence");
    if (!yyjson_is_uint(sequence) || yyjson_get_uint(sequence) > INT64_MAX)
        return err_set(err, ERR_DOCUMENT, STEP_CHECK, "/event/sequence: an integer is expected");
    int64_t index = (int64_t)yyjson_get_uint(sequence);
    int r = jcs_add(&form, event, err);
    if (r < 0)
        return r;
    hash_leaf(hash, buf_str(&form), leaf);
    if (tree_inclusion_holds(hash, index, head->size, leaf, path, head->root))
        return 0;
    return err_set(
        err, ERR_DAMAGED, STEP_CHECK,
        "event %lld as it stands here is not in the ledger that the checkpoint describes",
        (long long)index);
}

int proof_check_event(const yyjson_val *event, const yyjson_val *holder,
                      const struct tree_head *head, struct err *err)
{
    _cleanup_(hash_cleanup) struct hash *hash = NULL;
    struct tree_path path;
    int r = hash_new(&hash, err);
    if (r == 0)
        r = read_path((yyjson_val *)holder, &path, err);
    return r < 0 ? r : check_event(event, &path, head, hash, err);
}

static int check_inclusion(yyjson_val *proof, const struct sign_public *key, struct hash *hash,
                           struct err *err)
{
    struct tree_head head;
    struct tree_path path;
    int r = read_note(proof, "checkpoint", key, &head, err);
    if (r == 0)
        r = read_path(proof, &path, err);
    return r < 0 ? r : check_event(yyjson_obj_get(proof, "event"), &path, &head, hash, err);
}

static int check_consistency(yyjson_val *proof, const struct sign_public *key, struct hash *hash,
                             struct err *err)
{
    struct tree_head from, to;
    struct tree_path path;
    int r = read_note(proof, "from", key, &from, err);
    if (r == 0)
        r = read_note(proof, "to", key, &to, err);
    if (r == 0)
        r = read_path(proof, &path, err);
    if (r < 0)
        return r;
    if (strcmp(from.ledger, to.ledger) != 0)
        return err_set(err, ERR_DAMAGED, STEP_CHECK, "the checkpoints are of two ledgers");
    if (tree_consistency_holds(hash, from.size, to.size, from.root, to.root, &path))
        return 0;
    return err_set(err, ERR_DAMAGED, STEP_CHECK,
                   "the ledger of %lld events does not continue the one of %lld",
                   (long long)to.size, (long long)from.size);
}

int proof_check(struct str proof, const struct sign_public *key, struct err *err)
{
    struct json_limits limits = json_limits_default;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(hash_cleanup) struct hash *hash = NULL;
    limits.size_bytes = PROOF_BYTES_MAX;
    int r = json_read(proof, &limits, &doc, err);
    if (r == 0)
        r = hash_new(&hash, err);
    if (r < 0)
        return r;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *kind = yyjson_obj_get(root, "kind");
    if (yyjson_equals_str(kind, KIND_INCLUSION))
        return check_inclusion(root, key, hash, err);
    if (yyjson_equals_str(kind, KIND_CONSISTENCY))
        return check_consistency(root, key, hash, err);
    return err_set(err, ERR_DOCUMENT, STEP_CHECK, "/kind: %s or %s is expected", KIND_INCLUSION,
                   KIND_CONSISTENCY);
}

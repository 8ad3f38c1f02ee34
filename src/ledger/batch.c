/*
 * batch: see the header.
 *
 * Theory of operation. An event's canonical form depends on its place in the
 * ledger in two members alone, `previousDigest` and `sequence`. The process
 * that submits it does all the work that does not depend on them: it reads the
 * document, writes the canonical form, and cuts it where those two go. The
 * leader, on whom everybody waits, copies the pieces.
 *
 * Records are a kind, then integers of eight bytes and strings with four bytes
 * of length before them, in the order of this machine: a batch never leaves it.
 */
#include "ledger/batch.h"

#include "base/json.h"
#include "contract/jcs.h"

#define STEP_BATCH        "prepare a batch"
#define EVENT_MEMBERS_MAX 256
#define ID_BYTES_MAX      511 /* of an account: struct account holds one with its NUL */
#define AMOUNT_MAX        (((int64_t)1 << 53) - 1)
#define MEMBER_DIGEST     "previousDigest"
#define MEMBER_SEQUENCE   "sequence"
#define PLACE_BYTES_MAX   128 /* what the two members add to an event */

/* --- writing ------------------------------------------------------------------------------- */

int ledger_batch_new(struct ledger_batch **ret, struct err *err)
{
    struct ledger_batch *batch = malloc(sizeof(*batch));
    if (!batch)
        return err_set(err, ERR_MEMORY, STEP_BATCH, "no memory for a batch");
    batch->bytes = BUF_INIT_LIMIT(LEDGER_BATCH_BYTES_MAX);
    *ret = batch;
    return 0;
}

void ledger_batch_free(struct ledger_batch *batch)
{
    if (!batch)
        return;
    buf_release(&batch->bytes);
    free(batch);
}

size_t ledger_batch_size(const struct ledger_batch *batch)
{
    return batch->bytes.len;
}

void ledger_batch_cut(struct ledger_batch *batch, size_t size)
{
    buf_truncate(&batch->bytes, size);
}

static void put_kind(struct buf *bytes, enum batch_record kind)
{
    buf_add_char(bytes, (char)kind);
}

static void put_int(struct buf *bytes, int64_t value)
{
    buf_add(bytes, &value, sizeof(value));
}

static void put_str(struct buf *bytes, struct str s)
{
    uint32_t len = (uint32_t)s.len;
    if (s.len > LEDGER_BATCH_BYTES_MAX && !bytes->error)
        bytes->error = -EMSGSIZE;
    buf_add(bytes, &len, sizeof(len));
    buf_add_str(bytes, s);
}

static void put_amounts(struct buf *bytes, const struct amounts *amounts)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        put_int(bytes, amounts->of[i]);
}

/* Ends a record that began at `begin`: it stands as a whole, or the batch is as it was. */
static int finish(struct ledger_batch *batch, size_t begin, struct err *err)
{
    int r = batch->bytes.error;
    if (r == 0)
        return 0;
    batch->bytes.error = 0;
    buf_truncate(&batch->bytes, begin);
    if (r == -ENOMEM)
        return err_set(err, ERR_MEMORY, STEP_BATCH, "the batch holds %zu bytes", begin);
    return err_set(err, ERR_LIMIT, STEP_BATCH, "a batch holds at most %zu bytes",
                   LEDGER_BATCH_BYTES_MAX);
}

static int check_amounts(const struct amounts *amounts, int64_t least, struct err *err)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        if (amounts->of[i] < least || amounts->of[i] > AMOUNT_MAX)
            return err_set(err, ERR_LIMIT, STEP_BATCH, "%s: %lld is no amount from %lld to %lld",
                           dimension_names[i], (long long)amounts->of[i], (long long)least,
                           (long long)AMOUNT_MAX);
    return 0;
}

static int check_id(const char *what, struct str id, struct err *err)
{
    if (id.len == 0 || id.len > ID_BYTES_MAX || memchr(id.ptr, '\0', id.len))
        return err_set(err, ERR_LIMIT, STEP_BATCH, "%s must be named by 1 to %d bytes without NUL",
                       what, ID_BYTES_MAX);
    return 0;
}

/* --- events -------------------------------------------------------------------------------- */

/* A member of the event; the two whose values are not known yet have none. */
struct member {
    struct str key;
    const yyjson_val *value;
};

static int compare_members(const void *a, const void *b)
{
    struct str x = ((const struct member *)a)->key, y = ((const struct member *)b)->key;
    size_t shorter = x.len < y.len ? x.len : y.len;
    int order = memcmp(x.ptr, y.ptr, shorter);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* The event's members and the two to come, in canonical order; returns how many. */
static int list_members(yyjson_val *event, struct member ret[EVENT_MEMBERS_MAX + 2],
                        struct err *err)
{
    size_t count = 0;
    if (!yyjson_is_obj(event) || yyjson_obj_size(event) > EVENT_MEMBERS_MAX)
        return err_set(err, ERR_DOCUMENT, STEP_BATCH, "an event is an object of at most %d members",
                       EVENT_MEMBERS_MAX);
    ret[count++].key = STR(MEMBER_DIGEST);
    ret[count++].key = STR(MEMBER_SEQUENCE);
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(event, i, n, key, value)
    {
        struct member member = { json_str(key), value };
        for (size_t j = 0; j < member.key.len; j++)
            if ((unsigned char)member.key.ptr[j] >= 0x80) /* other orders than that of bytes */
                return err_set(err, ERR_DOCUMENT, STEP_BATCH,
                               "members of an event have names in ASCII");
        if (str_equal(member.key, ret[0].key) || str_equal(member.key, ret[1].key))
            return err_set(err, ERR_DOCUMENT, STEP_BATCH,
                           "%.*s is given to an event by the ledger alone", STR_ARG(member.key));
        ret[count++] = member;
    }
    qsort(ret, count, sizeof(*ret), compare_members);
    return (int)count;
}

/* Where the canonical form is cut. */
struct cuts {
    size_t digest, sequence;
};

static int write_canonical(struct buf *buf, const struct member *members, size_t count,
                           struct cuts *ret, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        buf_add_char(buf, i ? ',' : '{');
        json_add_string(buf, members[i].key);
        buf_add_char(buf, ':');
        if (members[i].value) {
            r = jcs_add(buf, members[i].value, err);
        } else if (str_equal(members[i].key, STR(MEMBER_DIGEST))) {
            buf_add_text(buf, "\"sha256:");
            ret->digest = buf->len;
            buf_add_char(buf, '"');
        } else {
            ret->sequence = buf->len;
        }
    }
    buf_add_char(buf, '}');
    if (buf->error == -ENOMEM)
        return err_set(err, ERR_MEMORY, STEP_BATCH, "no memory for an event");
    if (buf->error)
        return err_set(err, ERR_LIMIT, STEP_BATCH, "an event holds at most %zu bytes",
                       LEDGER_EVENT_BYTES_MAX);
    return r;
}

static_assert(sizeof(MEMBER_DIGEST) + DIGEST_TEXT_SIZE + sizeof(MEMBER_SEQUENCE) + 20 <
                  PLACE_BYTES_MAX,
              "the place must fit");

/* At once, instead of by doubling; where it would not fit, what is added says so. */
static void make_room(struct buf *buf, size_t len)
{
    if (buf->len < buf->limit && len <= buf->limit - buf->len)
        buf_reserve(buf, len);
}

int ledger_add_event(struct ledger_batch *batch, struct str json, struct err *err)
{
    struct json_limits limits = json_limits_default;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf form =
        BUF_INIT_LIMIT(LEDGER_EVENT_BYTES_MAX - PLACE_BYTES_MAX);
    struct member members[EVENT_MEMBERS_MAX + 2] = { 0 };
    struct cuts cuts = { 0 };
    limits.size_bytes = LEDGER_EVENT_BYTES_MAX;
    int r = json_read(json, &limits, &doc, err);
    make_room(&form, json.len);
    make_room(&batch->bytes, json.len + PLACE_BYTES_MAX);
    if (r == 0)
        r = list_members(yyjson_doc_get_root(doc), members, err);
    if (r > 0)
        r = write_canonical(&form, members, (size_t)r, &cuts, err);
    if (r < 0)
        return r;
    yyjson_val *operation = yyjson_obj_get(yyjson_doc_get_root(doc), "operationRef");
    size_t begin = batch->bytes.len;
    put_kind(&batch->bytes, BATCH_EVENT);
    put_str(&batch->bytes, yyjson_is_str(operation) ? json_str(operation) : STR(""));
    put_str(&batch->bytes, str_make(form.data, cuts.digest));
    put_str(&batch->bytes, str_make(form.data + cuts.digest, cuts.sequence - cuts.digest));
    put_str(&batch->bytes, str_from_offset(buf_str(&form), cuts.sequence));
    return finish(batch, begin, err);
}

/* --- everything else ----------------------------------------------------------------------- */

int ledger_put_document(struct ledger_batch *batch, struct str type, struct str id,
                        struct str operation, struct str json, int64_t revision, struct err *err)
{
    if (revision < LEDGER_ANY)
        return err_set(err, ERR_LIMIT, STEP_BATCH, "%lld is no revision", (long long)revision);
    size_t begin = batch->bytes.len;
    put_kind(&batch->bytes, BATCH_DOCUMENT);
    put_str(&batch->bytes, type);
    put_str(&batch->bytes, id);
    put_str(&batch->bytes, operation);
    put_str(&batch->bytes, json);
    put_int(&batch->bytes, revision);
    return finish(batch, begin, err);
}

int ledger_put_key(struct ledger_batch *batch, struct str space, struct str key, struct str value,
                   struct err *err)
{
    size_t begin = batch->bytes.len;
    put_kind(&batch->bytes, BATCH_NAME);
    put_str(&batch->bytes, space);
    put_str(&batch->bytes, key);
    put_str(&batch->bytes, value);
    return finish(batch, begin, err);
}

int ledger_open_account(struct ledger_batch *batch, struct str account, struct str parent,
                        const struct amounts *limits, struct err *err)
{
    int r = check_id("an account", account, err);
    if (r == 0 && parent.len)
        r = check_id("the account above", parent, err);
    if (r == 0)
        r = check_amounts(limits, -1, err);
    if (r < 0)
        return r;
    size_t begin = batch->bytes.len;
    put_kind(&batch->bytes, BATCH_ACCOUNT);
    put_str(&batch->bytes, account);
    put_str(&batch->bytes, parent);
    put_amounts(&batch->bytes, limits);
    return finish(batch, begin, err);
}

int ledger_reserve(struct ledger_batch *batch, struct str reservation, struct str account,
                   const struct amounts *amounts, const struct holder *holder, struct err *err)
{
    int r = check_id("a reservation", reservation, err);
    if (r == 0)
        r = check_amounts(amounts, 0, err);
    if (r < 0)
        return r;
    size_t begin = batch->bytes.len;
    put_kind(&batch->bytes, BATCH_RESERVE);
    put_str(&batch->bytes, reservation);
    put_str(&batch->bytes, account);
    put_amounts(&batch->bytes, amounts);
    put_int(&batch->bytes, holder->pid);
    put_int(&batch->bytes, holder->start_ticks);
    put_str(&batch->bytes,
            str_make(holder->boot_id, strnlen(holder->boot_id, sizeof(holder->boot_id))));
    return finish(batch, begin, err);
}

int ledger_settle(struct ledger_batch *batch, struct str reservation, const struct amounts *used,
                  struct err *err)
{
    int r = check_amounts(used, 0, err);
    if (r < 0)
        return r;
    size_t begin = batch->bytes.len;
    put_kind(&batch->bytes, BATCH_SETTLE);
    put_str(&batch->bytes, reservation);
    put_amounts(&batch->bytes, used);
    return finish(batch, begin, err);
}

int ledger_raise(struct ledger_batch *batch, struct str account, const struct amounts *more,
                 struct err *err)
{
    int r = check_id("an account", account, err);
    if (r == 0)
        r = check_amounts(more, 0, err);
    if (r < 0)
        return r;
    size_t begin = batch->bytes.len;
    put_kind(&batch->bytes, BATCH_RAISE);
    put_str(&batch->bytes, account);
    put_amounts(&batch->bytes, more);
    return finish(batch, begin, err);
}

/* --- reading ------------------------------------------------------------------------------- */

struct batch_reader batch_read(struct str bytes)
{
    return (struct batch_reader){ .at = bytes.ptr, .end = bytes.ptr + bytes.len };
}

static const char *take(struct batch_reader *reader, size_t len)
{
    if (reader->failed || len > (size_t)(reader->end - reader->at)) {
        reader->failed = true;
        return NULL;
    }
    const char *at = reader->at;
    reader->at += len;
    return at;
}

enum batch_record batch_next(struct batch_reader *reader)
{
    if (reader->failed || reader->at == reader->end)
        return BATCH_END;
    unsigned char kind = (unsigned char)*take(reader, 1);
    if (kind > BATCH_END && kind <= BATCH_RAISE)
        return (enum batch_record)kind;
    reader->failed = true;
    return BATCH_END;
}

struct str batch_read_str(struct batch_reader *reader)
{
    uint32_t len = 0;
    const char *bytes = take(reader, sizeof(len));
    if (bytes)
        memcpy(&len, bytes, sizeof(len));
    const char *text = bytes ? take(reader, len) : NULL;
    return text ? str_make(text, len) : STR("");
}

int64_t batch_read_int(struct batch_reader *reader)
{
    int64_t value = 0;
    const char *bytes = take(reader, sizeof(value));
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return value;
}

void batch_read_event(struct batch_reader *reader, struct batch_event *ret)
{
    ret->operation = batch_read_str(reader);
    ret->before_digest = batch_read_str(reader);
    ret->before_sequence = batch_read_str(reader);
    ret->rest = batch_read_str(reader);
}

void batch_read_document(struct batch_reader *reader, struct batch_document *ret)
{
    ret->type = batch_read_str(reader);
    ret->id = batch_read_str(reader);
    ret->operation = batch_read_str(reader);
    ret->json = batch_read_str(reader);
    ret->revision = batch_read_int(reader);
}

/* From memory that others can write: an amount that is none fails the batch. */
void batch_read_amounts(struct batch_reader *reader, struct amounts *ret)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        ret->of[i] = batch_read_int(reader);
        reader->failed |= ret->of[i] < -1 || ret->of[i] > AMOUNT_MAX;
    }
}

void batch_read_holder(struct batch_reader *reader, struct holder *ret)
{
    ret->pid = batch_read_int(reader);
    ret->start_ticks = batch_read_int(reader);
    struct str boot_id = batch_read_str(reader);
    reader->failed |= boot_id.len >= sizeof(ret->boot_id);
    memset(ret->boot_id, 0, sizeof(ret->boot_id));
    if (!reader->failed)
        memcpy(ret->boot_id, boot_id.ptr, boot_id.len);
}

bool batch_is_conditional(struct str bytes)
{
    struct batch_reader reader = batch_read(bytes);
    struct batch_event event;
    enum batch_record kind;
    while ((kind = batch_next(&reader)) == BATCH_EVENT)
        batch_read_event(&reader, &event);
    return kind != BATCH_END || reader.failed;
}

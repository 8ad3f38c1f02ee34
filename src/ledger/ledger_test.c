#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/lazy.h"
#include "contract/jcs.h"
#include "ledger/internal.h"
#include "ledger/proof.h"
#include "ledger/testing.h"

/* SQLite as somebody else would use it on the same file. */
#define SQLITE_FUNCTIONS(X) X(sqlite3_open) X(sqlite3_exec) X(sqlite3_close)
LIBRARY(AM_EMBEDS_SQLITE, other, "libsqlite3.so.0", SQLITE_FUNCTIONS)

static sqlite3 *other_open(const struct folder *folder)
{
    sqlite3 *handle = NULL;
    CHECK_INT(lazy_load(&other_library, NULL), 0);
    CHECK_INT(other.sqlite3_open(folder_file(folder, "ledger.db"), &handle), SQLITE_OK);
    return handle;
}

static void other_run(const struct folder *folder, const char *sql)
{
    sqlite3 *handle = other_open(folder);
    char *message = NULL;
    if (other.sqlite3_exec(handle, sql, NULL, NULL, &message) != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "%s: %s", sql, message);
    other.sqlite3_close(handle);
}

/* --- opening ------------------------------------------------------------------------------- */

TEST(ledger_is_made_once_for_its_user_alone)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = NULL;
    struct stat status;
    char below[2 * FOLDER_MAX];
    snprintf(below, sizeof(below), "%s/state/agent-machine", folder.path);
    CHECK_INT(ledger_open(below, LEDGER_READ, &ledger, &err), -ENOENT);
    CHECK_INT(ledger_open(below, LEDGER_WRITE, &ledger, &err), -ENOENT);
    CHECK_OK(ledger_open(below, LEDGER_CREATE, &ledger, &err));
    CHECK_INT(size_of(ledger), 0);
    CHECK_OK(commit_event(ledger, "first", "", NULL, &err));
    ledger_close(ledger);
    CHECK_INT(stat(below, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0700);
    static const char *const files[] = { "ledger.db", "ledger.db-wal", "ledger.queue" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[3 * FOLDER_MAX];
        snprintf(path, sizeof(path), "%s/%s", below, files[i]);
        CHECK_INT(stat(path, &status), 0);
        CHECK_INT(status.st_mode & 0777, 0600);
    }
    CHECK_OK(ledger_open(below, LEDGER_CREATE, &ledger, &err));
    CHECK_INT(size_of(ledger), 1);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(many_first_commands_make_one_ledger)
{
    struct folder folder = folder_make();
    for (int i = 0; i < 16; i++) {
        if (fork() != 0)
            continue;
        struct err err = { 0 };
        struct ledger *ledger = NULL;
        int r = ledger_open(folder.path, LEDGER_CREATE, &ledger, &err);
        if (r == 0)
            r = commit_event(ledger, "one", "urn:srcos:workspace-operation:x", NULL, &err);
        if (r < 0)
            printf("%s: %s\n", err_id(err.code), err.cause);
        ledger_close(ledger);
        _exit(r < 0);
    }
    CHECK_INT(wait_for_children(), 0);
    struct ledger *ledger = ledger_of(&folder, LEDGER_READ);
    CHECK_INT(size_of(ledger), 16);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(newer_schema_version_is_refused_and_left_as_it_is)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    ledger_close(ledger);
    other_run(&folder, "PRAGMA user_version = 99; CREATE TABLE novelty (a)");
    for (int mode = LEDGER_READ; mode <= LEDGER_CREATE; mode++) {
        CHECK_INT(ledger_open(folder.path, (enum ledger_mode)mode, &ledger, &err), -EOPNOTSUPP);
        CHECK_INT(err.code, ERR_UNSUPPORTED);
        CHECK(strstr(err.cause, "99"));
    }
    other_run(&folder, "SELECT * FROM novelty; PRAGMA user_version = 1");
    ledger = ledger_of(&folder, LEDGER_WRITE);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(what_is_no_ledger_is_named_as_damaged)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = NULL;
    FILE *file = fopen(folder_file(&folder, "ledger.db"), "w");
    fputs("this is no database, and long enough to look like one: ", file);
    for (int i = 0; i < 1000; i++)
        fputs("something ", file);
    fclose(file);
    CHECK_INT(ledger_open(folder.path, LEDGER_WRITE, &ledger, &err), -EBADF);
    CHECK_INT(ledger_open(folder.path, LEDGER_CREATE, &ledger, &err), -EBADF);
    CHECK_INT(err.code, ERR_DAMAGED);
    unlink(folder_file(&folder, "ledger.db"));
    other_run(&folder, "CREATE TABLE somebody_elses (a)");
    CHECK_INT(ledger_open(folder.path, LEDGER_CREATE, &ledger, &err), -EBADF);
    CHECK_INT(err.code, ERR_DAMAGED);
    other_run(&folder, "SELECT * FROM somebody_elses");
    folder_remove(&folder);
}

/* --- events -------------------------------------------------------------------------------- */

struct seen {
    int count;
    int64_t first, last;
    struct buf json; /* of the last */
};

static int see_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct seen *seen = context;
    (void)err;
    if (seen->count++ == 0)
        seen->first = sequence;
    seen->last = sequence;
    buf_reset(&seen->json);
    buf_add_str(&seen->json, json);
    return 0;
}

TEST(events_are_canonical_chained_and_numbered)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    char previous[DIGEST_TEXT_SIZE] =
        "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for (int i = 0; i < 12; i++) {
        struct ledger_position position;
        struct seen seen = { .json = BUF_INIT };
        struct buf canonical = BUF_INIT;
        yyjson_doc *doc = NULL;
        char digest[DIGEST_TEXT_SIZE];
        CHECK_OK(commit_event(ledger, "n", "urn:srcos:workspace-operation:x", &position, &err));
        CHECK_INT(position.sequence, i);
        CHECK_OK(ledger_each_event(ledger, i, STR(""), see_event, &seen, &err));
        CHECK_INT(seen.count, 1);
        CHECK_OK(json_read(buf_str(&seen.json), &json_limits_default, &doc, &err));
        yyjson_val *root = yyjson_doc_get_root(doc);
        CHECK_INT(yyjson_get_int(yyjson_obj_get(root, "sequence")), i);
        CHECK_TEXT(yyjson_get_str(yyjson_obj_get(root, "previousDigest")), previous);
        CHECK_OK(jcs_add(&canonical, root, &err));
        CHECK_STR(buf_str(&canonical), buf_str(&seen.json));
        CHECK_OK(digest_text(buf_str(&seen.json), digest, &err));
        CHECK_TEXT(position.digest, digest);
        memcpy(previous, digest, sizeof(previous));
        yyjson_doc_free(doc);
        buf_release(&canonical);
        buf_release(&seen.json);
    }
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(events_of_one_operation_are_found_among_others)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    fill_ledger(ledger, 2500);
    static const struct {
        const char *operation;
        int64_t from;
        int count;
        int64_t first, last;
    } rows[] = {
        { "", 0, 2500, 0, 2499 },
        { "", 2499, 1, 2499, 2499 },
        { "", 2500, 0, 0, 0 },
        { "urn:srcos:workspace-operation:odd", 0, 1250, 1, 2499 },
        { "urn:srcos:workspace-operation:odd", 1001, 750, 1001, 2499 },
        { "urn:srcos:workspace-operation:even", 1001, 749, 1002, 2498 },
        { "urn:srcos:workspace-operation:even", 2499, 0, 0, 0 },
        { "urn:srcos:workspace-operation:none", 0, 0, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen seen = { .json = BUF_INIT };
        CHECK_OK(ledger_each_event(ledger, rows[i].from, str_from(rows[i].operation), see_event,
                                   &seen, &err));
        CHECK_INT(seen.count, rows[i].count);
        CHECK_INT(seen.first, rows[i].first);
        CHECK_INT(seen.last, rows[i].last);
        buf_release(&seen.json);
    }
    ledger_close(ledger);
    folder_remove(&folder);
}

static int stop_at_third(void *context, int64_t sequence, struct str json, struct err *err)
{
    int *count = context;
    (void)json;
    (void)err;
    (void)sequence;
    return ++*count == 3 ? -ECANCELED : 0;
}

/* A visitor may write to the ledger that it is reading. */
struct writing_visitor {
    struct ledger *ledger;
    int count;
};

static int write_while_reading(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct writing_visitor *visitor = context;
    (void)json;
    (void)sequence;
    if (visitor->count++ >= 5)
        return 1;
    return commit_event(visitor->ledger, "while-reading", "", NULL, err);
}

TEST(visitor_may_end_the_walk_and_may_write)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    int count = 0;
    fill_ledger(ledger, 10);
    CHECK_INT(ledger_each_event(ledger, 0, STR(""), stop_at_third, &count, &err), -ECANCELED);
    CHECK_INT(count, 3);
    struct writing_visitor visitor = { .ledger = ledger };
    CHECK_OK(ledger_each_event(ledger, 0, STR(""), write_while_reading, &visitor, &err));
    CHECK_INT(size_of(ledger), 15);
    ledger_close(ledger);
    folder_remove(&folder);
}

/* --- documents and keys -------------------------------------------------------------------- */

static int put(struct ledger *ledger, const char *id, const char *json, int64_t revision,
               struct err *err)
{
    struct ledger_batch *batch = batch_of();
    CHECK_INT(ledger_put_document(batch, STR("WorkspaceOperation"), str_from(id),
                                  STR("urn:srcos:workspace-operation:x"), str_from(json), revision,
                                  err),
              0);
    return commit_batch(ledger, batch, NULL, err);
}

TEST(documents_are_put_only_onto_the_revision_that_was_seen)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct buf json = BUF_INIT;
    int64_t revision = 0;
    CHECK_INT(ledger_get_document(ledger, STR("a"), &json, &revision, &err), -ENOENT);
    CHECK_INT(put(ledger, "a", "{}", 1, &err), -EEXIST);
    CHECK_OK(put(ledger, "a", "{\"n\":1}", LEDGER_NEW, &err));
    CHECK_INT(put(ledger, "a", "{\"n\":2}", LEDGER_NEW, &err), -EEXIST);
    CHECK_INT(err.code, ERR_CONFLICT);
    CHECK_OK(put(ledger, "a", "{\"n\":2}", 1, &err));
    CHECK_INT(put(ledger, "a", "{\"n\":3}", 1, &err), -EEXIST);
    CHECK(strstr(err.cause, "revision 2"));
    CHECK_OK(put(ledger, "a", "{\"n\":3}", LEDGER_ANY, &err));
    CHECK_OK(put(ledger, "b", "{\"n\":9}", LEDGER_ANY, &err));
    CHECK_OK(ledger_get_document(ledger, STR("a"), &json, &revision, &err));
    CHECK_STR(buf_str(&json), STR("{\"n\":3}"));
    CHECK_INT(revision, 3);
    buf_release(&json);
    ledger_close(ledger);
    folder_remove(&folder);
}

static int join_ids(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    (void)err;
    CHECK(json.len > 0);
    CHECK(revision > 0);
    return buf_addf(context, "%.*s ", STR_ARG(id));
}

TEST(documents_are_listed_oldest_first_by_type_and_operation)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct ledger_batch *batch = batch_of();
    static const char *const rows[][3] = {
        { "Budget", "z", "op1" },       { "Budget", "a", "op2" },       { "Budget", "m", "" },
        { "DecisionCard", "c", "op1" }, { "DecisionCard", "b", "op1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_OK(ledger_put_document(batch, str_from(rows[i][0]), str_from(rows[i][1]),
                                     str_from(rows[i][2]), STR("{}"), LEDGER_NEW, &err));
    CHECK_OK(ledger_put_document(batch, STR("Budget"), STR("z"), STR("op1"), STR("[]"), 1, &err));
    CHECK_OK(commit_batch(ledger, batch, NULL, &err));
    static const struct {
        const char *type, *operation, *ids;
    } cases[] = {
        { "Budget", "", "z a m " },    { "Budget", "op1", "z " }, { "DecisionCard", "op1", "c b " },
        { "DecisionCard", "op2", "" }, { "Delegation", "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf ids = BUF_INIT;
        CHECK_OK(ledger_each_document(ledger, str_from(cases[i].type), str_from(cases[i].operation),
                                      join_ids, &ids, &err));
        CHECK_STR(buf_str(&ids), str_from(cases[i].ids));
        buf_release(&ids);
    }
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(two_processes_put_the_same_key_and_one_wins)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    ledger_close(ledger_of(&folder, LEDGER_CREATE));
    enum { ROUNDS = 20, PROCESSES = 8 };
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0)
            continue;
        struct ledger *ledger = ledger_of(&folder, LEDGER_WRITE);
        int faults = 0;
        for (int round = 0; round < ROUNDS; round++) {
            struct ledger_batch *batch = batch_of();
            char key[32], value[32];
            snprintf(key, sizeof(key), "key-%d", round);
            snprintf(value, sizeof(value), "%d", i);
            faults +=
                ledger_put_key(batch, STR("idempotency"), str_from(key), str_from(value), &err) < 0;
            faults += add_event(batch, value, key, &err) < 0;
            int r = commit_batch(ledger, batch, NULL, &err);
            faults += r != 0 && r != -EEXIST;
        }
        ledger_close(ledger);
        _exit(faults);
    }
    CHECK_INT(wait_for_children(), 0);
    /* One event for each key, by the process whose value stands there. */
    struct ledger *ledger = ledger_of(&folder, LEDGER_READ);
    CHECK_INT(size_of(ledger), ROUNDS);
    for (int round = 0; round < ROUNDS; round++) {
        struct buf value = BUF_INIT;
        struct seen seen = { .json = BUF_INIT };
        char key[32], id[64];
        snprintf(key, sizeof(key), "key-%d", round);
        CHECK_OK(ledger_get_key(ledger, STR("idempotency"), str_from(key), &value, &err));
        CHECK_INT(ledger_get_key(ledger, STR("elsewhere"), str_from(key), &value, &err), -ENOENT);
        snprintf(id, sizeof(id), "\"id\":\"urn:srcos:operation-event:%s\"", value.data);
        CHECK_OK(ledger_each_event(ledger, 0, str_from(key), see_event, &seen, &err));
        CHECK_INT(seen.count, 1);
        CHECK(strstr(seen.json.data, id));
        buf_release(&value);
        buf_release(&seen.json);
    }
    ledger_close(ledger);
    folder_remove(&folder);
}

/* --- batches ------------------------------------------------------------------------------- */

TEST(batch_is_all_or_nothing)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct ledger_position position;
    struct buf json = BUF_INIT;
    CHECK_OK(put(ledger, "taken", "{}", LEDGER_NEW, &err));
    struct ledger_batch *batch = batch_of();
    CHECK_OK(add_event(batch, "half", "", &err));
    CHECK_OK(ledger_put_key(batch, STR("s"), STR("half"), STR(""), &err));
    CHECK_OK(ledger_put_document(batch, STR("T"), STR("half"), STR(""), STR("{}"), 0, &err));
    CHECK_OK(ledger_put_document(batch, STR("T"), STR("taken"), STR(""), STR("{}"), 0, &err));
    CHECK_INT(commit_batch(ledger, batch, &position, &err), -EEXIST);
    CHECK_INT(size_of(ledger), 0);
    CHECK_INT(ledger_get_document(ledger, STR("half"), &json, NULL, &err), -ENOENT);
    CHECK_INT(ledger_get_key(ledger, STR("s"), STR("half"), &json, &err), -ENOENT);
    CHECK_OK(commit_event(ledger, "next", "", &position, &err));
    CHECK_INT(position.sequence, 0);
    batch = batch_of();
    CHECK_OK(commit_batch(ledger, batch, &position, &err));
    CHECK_INT(position.sequence, -1);
    buf_release(&json);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(batch_of_many_megabytes_is_committed_and_a_larger_one_refused)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct ledger_batch *batch = batch_of();
    struct buf large = BUF_INIT, found = BUF_INIT;
    char *room = buf_reserve(&large, LEDGER_BATCH_BYTES_MAX);
    CHECK(room);
    memset(room, 'x', LEDGER_BATCH_BYTES_MAX);
    struct str most = str_make(room, LEDGER_BATCH_BYTES_MAX - 4096);
    CHECK_OK(add_event(batch, "before", "", &err));
    CHECK_INT(ledger_put_document(batch, STR("T"), STR("too large"), STR(""),
                                  str_make(room, LEDGER_BATCH_BYTES_MAX), 0, &err),
              -E2BIG);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK_OK(ledger_put_document(batch, STR("T"), STR("large"), STR(""), most, 0, &err));
    CHECK_OK(commit_batch(ledger, batch, NULL, &err));
    CHECK_INT(size_of(ledger), 1);
    CHECK_OK(ledger_get_document(ledger, STR("large"), &found, NULL, &err));
    CHECK(str_equal(buf_str(&found), most));
    buf_release(&large);
    buf_release(&found);
    ledger_close(ledger);
    folder_remove(&folder);
}

/* --- accounts ------------------------------------------------------------------------------ */

static const struct holder somebody = { .pid = 17, .start_ticks = 4711, .boot_id = "boot" };

static int open_account(struct ledger *ledger, const char *account, const char *parent,
                        int64_t tokens, struct err *err)
{
    struct amounts limits;
    struct ledger_batch *batch = batch_of();
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        limits.of[i] = -1;
    limits.of[DIMENSION_TOKENS] = tokens;
    int r = ledger_open_account(batch, str_from(account), str_from(parent), &limits, err);
    if (r == 0)
        return commit_batch(ledger, batch, NULL, err);
    ledger_batch_free(batch);
    return r;
}

static int reserve(struct ledger *ledger, const char *name, const char *account, int64_t tokens,
                   int64_t calls, struct err *err)
{
    struct amounts amounts = { 0 };
    struct ledger_batch *batch = batch_of();
    amounts.of[DIMENSION_TOKENS] = tokens;
    amounts.of[DIMENSION_MODEL_CALLS] = calls;
    int r = ledger_reserve(batch, str_from(name), str_from(account), &amounts, &somebody, err);
    if (r == 0)
        return commit_batch(ledger, batch, NULL, err);
    ledger_batch_free(batch);
    return r;
}

static int settle(struct ledger *ledger, const char *name, int64_t tokens, int64_t calls,
                  struct err *err)
{
    struct amounts used = { 0 };
    struct ledger_batch *batch = batch_of();
    used.of[DIMENSION_TOKENS] = tokens;
    used.of[DIMENSION_MODEL_CALLS] = calls;
    CHECK_INT(ledger_settle(batch, str_from(name), &used, err), 0);
    return commit_batch(ledger, batch, NULL, err);
}

static struct account account_of(struct ledger *ledger, const char *name)
{
    struct err err = { 0 };
    struct account account = { 0 };
    CHECK_OK(ledger_get_account(ledger, str_from(name), &account, &err));
    return account;
}

static int raise_account(struct ledger *ledger, const char *account, int64_t tokens,
                         struct err *err)
{
    struct amounts more = { .of[DIMENSION_TOKENS] = tokens };
    struct ledger_batch *batch = batch_of();
    int r = ledger_raise(batch, str_from(account), &more, err);
    if (r == 0)
        return commit_batch(ledger, batch, NULL, err);
    ledger_batch_free(batch);
    return r;
}

TEST(a_raised_account_bears_more_and_those_above_it_do_not)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    CHECK_OK(open_account(ledger, "top", "", 1000, &err));
    CHECK_OK(open_account(ledger, "free", "top", -1, &err));
    CHECK_OK(open_account(ledger, "run", "top", 800, &err));
    CHECK_INT(reserve(ledger, "r1", "run", 900, 0, &err), -EDQUOT);
    CHECK_OK(raise_account(ledger, "run", 500, &err));
    CHECK_INT(account_of(ledger, "run").limits.of[DIMENSION_TOKENS], 1300);
    CHECK_OK(reserve(ledger, "r1", "run", 900, 0, &err));
    CHECK_INT(reserve(ledger, "r2", "run", 200, 0, &err), -EDQUOT);
    CHECK_TEXT(err.where, "tokens top");
    CHECK_OK(raise_account(ledger, "free", 500, &err));
    CHECK_INT(account_of(ledger, "free").limits.of[DIMENSION_TOKENS], -1);
    CHECK_INT(raise_account(ledger, "nobody", 1, &err), -ENOENT);
    CHECK(raise_account(ledger, "run", -1, &err) < 0);
    CHECK(raise_account(ledger, "run", INT64_MAX, &err) < 0);
    CHECK_INT(account_of(ledger, "run").limits.of[DIMENSION_TOKENS], 1300);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(reservation_counts_in_every_account_above_and_names_whose_ceiling_it_was)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    CHECK_OK(open_account(ledger, "top", "", 1000, &err));
    CHECK_OK(open_account(ledger, "middle", "top", -1, &err));
    CHECK_OK(open_account(ledger, "run", "middle", 800, &err));
    CHECK_OK(open_account(ledger, "other", "top", 800, &err));
    CHECK_INT(open_account(ledger, "run", "", 1, &err), -EEXIST);
    CHECK_INT(open_account(ledger, "orphan", "nobody", 1, &err), -ENOENT);
    CHECK_OK(reserve(ledger, "r1", "run", 700, 3, &err));
    CHECK_INT(reserve(ledger, "r1", "run", 1, 0, &err), -EEXIST);
    CHECK_INT(reserve(ledger, "r2", "run", 101, 0, &err), -EDQUOT);
    CHECK_INT(err.code, ERR_BUDGET);
    CHECK_TEXT(err.where, "tokens run");
    CHECK_INT(reserve(ledger, "r2", "other", 301, 0, &err), -EDQUOT);
    CHECK_TEXT(err.where, "tokens top");
    CHECK_OK(reserve(ledger, "r2", "other", 300, 0, &err));
    CHECK_INT(reserve(ledger, "r3", "nobody", 1, 0, &err), -ENOENT);
    struct account top = account_of(ledger, "top"), run = account_of(ledger, "run");
    CHECK_INT(top.reserved.of[DIMENSION_TOKENS], 1000);
    CHECK_INT(top.reserved.of[DIMENSION_MODEL_CALLS], 3);
    CHECK_INT(top.limits.of[DIMENSION_MODEL_CALLS], -1);
    CHECK_INT(run.reserved.of[DIMENSION_TOKENS], 700);
    CHECK_TEXT(run.parent, "middle");
    CHECK_TEXT(top.parent, "");
    CHECK_OK(settle(ledger, "r1", 100, 3, &err));
    CHECK_INT(settle(ledger, "r1", 100, 3, &err), -ENOENT);
    CHECK_OK(settle(ledger, "r2", 450, 0, &err));
    top = account_of(ledger, "top");
    CHECK_INT(top.reserved.of[DIMENSION_TOKENS], 0);
    CHECK_INT(top.used.of[DIMENSION_TOKENS], 550);
    CHECK_INT(top.overshoot.of[DIMENSION_TOKENS], 150);
    CHECK_INT(top.used.of[DIMENSION_MODEL_CALLS], 3);
    CHECK_INT(account_of(ledger, "run").used.of[DIMENSION_TOKENS], 100);
    CHECK_INT(account_of(ledger, "other").overshoot.of[DIMENSION_TOKENS], 150);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(amounts_neither_wrap_nor_turn_negative)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    const int64_t most = ((int64_t)1 << 53) - 1;
    CHECK_OK(open_account(ledger, "a", "", most, &err));
    CHECK_OK(open_account(ledger, "free", "", -1, &err));
    CHECK_INT(open_account(ledger, "b", "", most + 1, &err), -E2BIG);
    CHECK_INT(open_account(ledger, "b", "", -2, &err), -E2BIG);
    CHECK_INT(reserve(ledger, "r", "a", -1, 0, &err), -E2BIG);
    CHECK_INT(reserve(ledger, "r", "a", most + 1, 0, &err), -E2BIG);
    CHECK_INT(reserve(ledger, "r", "a", INT64_MAX, 0, &err), -E2BIG);
    CHECK_OK(reserve(ledger, "r", "a", most, 0, &err));
    CHECK_INT(reserve(ledger, "s", "a", 1, 0, &err), -EDQUOT);
    for (int i = 0; i < 1023; i++) { /* up to just below 2^63 */
        char name[32];
        snprintf(name, sizeof(name), "free-%d", i);
        CHECK_OK(reserve(ledger, name, "free", most, 0, &err));
    }
    CHECK_INT(reserve(ledger, "more", "free", most, 0, &err), 0);
    CHECK_INT(reserve(ledger, "too much", "free", most, 0, &err), -E2BIG);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(accounts_stand_at_most_sixteen_deep)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    char name[32] = "", parent[32] = "";
    for (int i = 0; i < LEDGER_ACCOUNT_DEPTH_MAX; i++) {
        memcpy(parent, name, sizeof(parent));
        snprintf(name, sizeof(name), "level-%d", i);
        CHECK_OK(open_account(ledger, name, parent, 100, &err));
    }
    CHECK_INT(open_account(ledger, "deeper", name, 100, &err), -E2BIG);
    CHECK_OK(reserve(ledger, "r", name, 60, 0, &err));
    CHECK_INT(account_of(ledger, "level-0").reserved.of[DIMENSION_TOKENS], 60);
    CHECK_INT(reserve(ledger, "s", "level-7", 50, 0, &err), -EDQUOT);
    CHECK_TEXT(err.where, "tokens level-7");
    CHECK_OK(settle(ledger, "r", 60, 0, &err));
    CHECK_INT(account_of(ledger, "level-0").used.of[DIMENSION_TOKENS], 60);
    ledger_close(ledger);
    folder_remove(&folder);
}

struct held {
    int count;
    int64_t tokens;
};

static int see_reservation(void *context, struct str reservation, struct str account,
                           const struct amounts *amounts, const struct holder *holder,
                           struct err *err)
{
    struct held *held = context;
    (void)err;
    CHECK(reservation.len > 0);
    CHECK_STR(account, STR("a"));
    CHECK_INT(holder->pid, 17);
    CHECK_INT(holder->start_ticks, 4711);
    CHECK_TEXT(holder->boot_id, "boot");
    held->count++;
    held->tokens += amounts->of[DIMENSION_TOKENS];
    return 0;
}

TEST(open_reservations_are_listed_with_their_holders)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct held held = { 0 };
    CHECK_OK(open_account(ledger, "a", "", 1000, &err));
    CHECK_OK(reserve(ledger, "r1", "a", 10, 0, &err));
    CHECK_OK(reserve(ledger, "r2", "a", 20, 0, &err));
    CHECK_OK(reserve(ledger, "r3", "a", 40, 0, &err));
    CHECK_OK(settle(ledger, "r2", 0, 0, &err));
    CHECK_OK(ledger_each_reservation(ledger, see_reservation, &held, &err));
    CHECK_INT(held.count, 2);
    CHECK_INT(held.tokens, 50);
    ledger_close(ledger);
    folder_remove(&folder);
}

/* One of many processes that reserve and settle until the ceiling stops them. */
static int spend(const struct folder *folder, int index, int64_t *ret_spent)
{
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(folder, LEDGER_WRITE);
    *ret_spent = 0;
    for (int i = 0;; i++) {
        char name[32];
        int64_t amount = 1 + (index + i) % 7;
        snprintf(name, sizeof(name), "r-%d-%d", index, i);
        int r = reserve(ledger, name, index % 2 ? "odd" : "even", amount, 0, &err);
        if (r == -EDQUOT)
            break;
        if (r < 0 || settle(ledger, name, amount, 0, &err) < 0) {
            printf("process %d: %s: %s\n", index, err_id(err.code), err.cause);
            return 1;
        }
        *ret_spent += amount;
    }
    ledger_close(ledger);
    return 0;
}

TEST(hundreds_of_processes_neither_overspend_nor_lose_a_unit)
{
    enum { PROCESSES = 300 };
    const int64_t ceiling = 5000;
    struct folder folder = folder_make();
    struct err err = { 0 };
    int pipes[2];
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    CHECK_OK(open_account(ledger, "ceiling", "", ceiling, &err));
    CHECK_OK(open_account(ledger, "odd", "ceiling", -1, &err));
    CHECK_OK(open_account(ledger, "even", "ceiling", -1, &err));
    ledger_close(ledger);
    CHECK_INT(pipe(pipes), 0);
    for (int i = 0; i < PROCESSES; i++) {
        int64_t spent;
        if (fork() != 0)
            continue;
        int failed = spend(&folder, i, &spent);
        if (write(pipes[1], &spent, sizeof(spent)) != sizeof(spent))
            failed = 1;
        _exit(failed);
    }
    CHECK_INT(wait_for_children(), 0);
    int64_t total = 0, spent;
    for (int i = 0; i < PROCESSES; i++) {
        CHECK_INT(read(pipes[0], &spent, sizeof(spent)), sizeof(spent));
        total += spent;
    }
    ledger = ledger_of(&folder, LEDGER_READ);
    struct account account = account_of(ledger, "ceiling");
    CHECK_INT(account.used.of[DIMENSION_TOKENS], total);
    CHECK_INT(account.reserved.of[DIMENSION_TOKENS], 0);
    CHECK(total <= ceiling && total > ceiling - 7);
    CHECK_INT(account_of(ledger, "odd").used.of[DIMENSION_TOKENS] +
                  account_of(ledger, "even").used.of[DIMENSION_TOKENS],
              total);
    ledger_close(ledger);
    close(pipes[0]);
    close(pipes[1]);
    folder_remove(&folder);
}

/* --- artifacts ----------------------------------------------------------------------------- */

TEST(artifact_is_stored_once_and_damage_is_seen_and_mended)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct buf found = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE], again[DIGEST_TEXT_SIZE], path[3 * FOLDER_MAX];
    CHECK_OK(ledger_store_artifact(ledger, STR("a change set"), digest, &err));
    CHECK_OK(ledger_store_artifact(ledger, STR("a change set"), again, &err));
    CHECK_TEXT(digest, again);
    CHECK_OK(ledger_read_artifact(ledger, digest, &found, &err));
    CHECK_STR(buf_str(&found), STR("a change set"));
    snprintf(path, sizeof(path), "%s/artifacts/sha256/%.2s/%s", folder.path, digest + 7,
             digest + 9);
    chmod(path, 0600);
    FILE *file = fopen(path, "w");
    CHECK(file);
    fputs("another", file);
    fclose(file);
    buf_reset(&found);
    CHECK_INT(ledger_read_artifact(ledger, digest, &found, &err), -EBADF);
    CHECK_INT(err.code, ERR_DAMAGED);
    CHECK_INT(found.len, 0);
    CHECK_OK(ledger_store_artifact(ledger, STR("a change set"), digest, &err));
    CHECK_OK(ledger_read_artifact(ledger, digest, &found, &err));
    CHECK_STR(buf_str(&found), STR("a change set"));
    CHECK_OK(ledger_store_artifact(ledger, STR(""), digest, &err));
    CHECK_INT(
        ledger_read_artifact(ledger,
                             "sha256:"
                             "1111111111111111111111111111111111111111111111111111111111111111",
                             &found, &err),
        -ENOENT);
    CHECK(ledger_read_artifact(ledger, "../../../etc/passwd", &found, &err) < 0);
    buf_release(&found);
    ledger_close(ledger);
    folder_remove(&folder);
}

/* --- failures ------------------------------------------------------------------------------ */

TEST(ledger_removed_or_replaced_while_open_is_noticed)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    int64_t size;
    CHECK_OK(commit_event(ledger, "one", "", NULL, &err));
    CHECK_INT(rename(folder_file(&folder, "ledger.db"), folder_file(&folder, "away")), 0);
    CHECK_INT(commit_event(ledger, "two", "", NULL, &err), -ESTALE);
    CHECK_INT(ledger_size(ledger, &size, &err), -ESTALE);
    CHECK_INT(rename(folder_file(&folder, "away"), folder_file(&folder, "ledger.db")), 0);
    CHECK_OK(commit_event(ledger, "two", "", NULL, &err));
    CHECK_INT(size_of(ledger), 2);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(ledger_opened_for_reading_refuses_to_write)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    char digest[DIGEST_TEXT_SIZE];
    ledger_close(ledger_of(&folder, LEDGER_CREATE));
    struct ledger *ledger = ledger_of(&folder, LEDGER_READ);
    CHECK_INT(commit_event(ledger, "one", "", NULL, &err), -EROFS);
    CHECK_INT(ledger_store_artifact(ledger, STR("x"), digest, &err), -EROFS);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(ledger_is_read_where_nothing_can_be_written)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    if (geteuid() == 0) { /* to whom modes say nothing */
        if (fork() == 0) {
            NEED(chown(folder.path, 65534, 65534) == 0);
            _exit(setgid(65534) < 0 || setuid(65534) < 0 ? 1 : 0);
        }
        if (wait_for_children()) {
            test_skip("root cannot become somebody else here");
            folder_remove(&folder);
            return;
        }
    }
    if (fork() == 0) {
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(1);
        struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
        fill_ledger(ledger, 100);
        ledger_close(ledger);
        other_run(&folder,
                  "PRAGMA wal_checkpoint(TRUNCATE)"); /* a clean copy, as an auditor gets */
        unlink(folder_file(&folder, "ledger.db-wal"));
        unlink(folder_file(&folder, "ledger.db-shm"));
        chmod(folder.path, 0500);
        chmod(folder_file(&folder, "ledger.db"), 0400);
        ledger = ledger_of(&folder, LEDGER_READ);
        int wrong = size_of(ledger) != 100;
        ledger_close(ledger);
        wrong += ledger_open(folder.path, LEDGER_WRITE, &ledger, &err) == 0 &&
                 commit_event(ledger, "x", "", NULL, &err) == 0;
        chmod(folder.path, 0700);
        _exit(wrong);
    }
    CHECK_INT(wait_for_children(), 0);
    folder_remove(&folder);
}

TEST(database_that_somebody_keeps_locked_is_a_typed_error)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    sqlite3 *handle = other_open(&folder);
    CHECK_INT(other.sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    db_set_patience(ledger->db, 50);
    CHECK_INT(commit_event(ledger, "one", "", NULL, &err), -EBUSY);
    CHECK_INT(err.code, ERR_IO);
    CHECK(strstr(err.cause, "locked"));
    CHECK_INT(size_of(ledger), 0); /* reading goes on */
    CHECK_INT(other.sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    CHECK_OK(commit_event(ledger, "one", "", NULL, &err));
    other.sqlite3_close(handle);
    ledger_close(ledger);
    folder_remove(&folder);
}

/* A small disk of our own, in namespaces of our own; false where the host has none for us. */
static bool mount_small_disk(const char *path)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    const struct {
        const char *file;
        unsigned id;
    } rows[] = { { "/proc/self/setgroups", 0 },
                 { "/proc/self/uid_map", uid },
                 { "/proc/self/gid_map", gid } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int len = i ? snprintf(map, sizeof(map), "0 %u 1", rows[i].id)
                    : snprintf(map, sizeof(map), "deny");
        _cleanup_(cleanup_close) int fd = open(rows[i].file, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, map, (size_t)len) != len)
            return false;
    }
    return mount("none", path, "tmpfs", 0, "size=2m") == 0;
}

/* 0 as it should be, 1 not (NEED), 77 where the host has no small disk for us. */
static int fill_small_disk(const struct folder *folder)
{
    struct err err = { 0 };
    int r = 0, committed = 0;
    if (!mount_small_disk(folder->path))
        return 77;
    struct ledger *ledger = ledger_of(folder, LEDGER_CREATE);
    while (r == 0 && committed < 100000) {
        r = commit_event(ledger, "until-full", "urn:srcos:workspace-operation:x", NULL, &err);
        committed += r == 0;
    }
    NEED(r == -ENOSPC);
    NEED(err.code == ERR_IO);
    NEED(committed > 100);
    NEED(size_of(ledger) == committed);
    ledger_close(ledger);
    /* The next command on the full disk says the same, and once there is room all is well. */
    char digest[DIGEST_TEXT_SIZE];
    static char megabyte[1 << 20];
    ledger = ledger_of(folder, LEDGER_WRITE);
    NEED(size_of(ledger) == committed);
    NEED(commit_event(ledger, "still full", "", NULL, &err) == -ENOSPC);
    NEED(ledger_store_artifact(ledger, str_make(megabyte, sizeof(megabyte)), digest, &err) ==
         -ENOSPC);
    NEED(mount("none", folder->path, "tmpfs", MS_REMOUNT, "size=8m") == 0);
    NEED_OK(commit_event(ledger, "room again", "", NULL, &err));
    NEED(size_of(ledger) == committed + 1);
    NEED_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    ledger_close(ledger);
    return 0;
}

TEST(full_disk_is_a_typed_error_and_the_next_command_works)
{
    struct folder folder = folder_make();
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(fill_small_disk(&folder));
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("no user namespace, or no tmpfs in it");
    else
        CHECK_INT(status, 0);
    folder_remove(&folder);
}

/* --- readers beside writers ---------------------------------------------------------------- */

/* Whoever waits sleeps until somebody writes, however long that takes. */
TEST(who_waits_is_woken_by_what_is_written_and_by_nothing_else)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct rusage before, after;
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    CHECK_INT(getrusage(RUSAGE_THREAD, &before), 0);
    CHECK_INT(ledger_wait(ledger, 0, 1200, &err), -ETIMEDOUT);
    CHECK_INT(getrusage(RUSAGE_THREAD, &after), 0);
    CHECK(after.ru_nvcsw - before.ru_nvcsw <= 2); /* naps of 250 ms would be five */
    pid_t writer = fork();
    if (writer == 0) {
        struct ledger *mine = ledger_of(&folder, LEDGER_WRITE);
        struct ledger_batch *batch = batch_of();
        NEED_OK(add_event(batch, "e", "", &err));
        NEED_OK(commit_batch(mine, batch, NULL, &err));
        ledger_close(mine);
        _exit(0);
    }
    CHECK_INT(ledger_wait(ledger, 0, 20000, &err), 0);
    CHECK_INT(size_of(ledger), 1);
    CHECK_INT(wait_for_children(), 0);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(readers_see_whole_batches_while_others_write)
{
    enum { BATCHES = 200, EVENTS = 5 };
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    pid_t writer = fork();
    if (writer == 0) {
        struct ledger *mine = ledger_of(&folder, LEDGER_WRITE);
        for (int i = 0; i < BATCHES; i++) {
            struct ledger_batch *batch = batch_of();
            for (int j = 0; j < EVENTS; j++)
                NEED_OK(add_event(batch, "e", "", &err));
            NEED_OK(commit_batch(mine, batch, NULL, &err));
        }
        ledger_close(mine);
        _exit(0);
    }
    int64_t size = 0, looks = 0;
    while (size < BATCHES * EVENTS) {
        int r = ledger_wait(ledger, size, 10000, &err);
        CHECK_INT(r, 0);
        if (r < 0)
            break;
        int64_t now = size_of(ledger);
        CHECK(now > size && now % EVENTS == 0);
        size = now;
        looks++;
    }
    CHECK(looks > 1);
    CHECK_INT(ledger_wait(ledger, size, 30, &err), -ETIMEDOUT);
    CHECK_INT(wait_for_children(), 0);
    ledger_close(ledger);
    folder_remove(&folder);
}

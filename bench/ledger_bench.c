/*
 * ledger_bench: what the ledger does in a second, beside plain SQLite.
 *
 *     ledger_bench append  FOLDER WRITERS SECONDS   one event a commit, from many processes
 *     ledger_bench sqlite  FOLDER WRITERS SECONDS   the same rows, a transaction each, by SQLite
 *     ledger_bench reserve FOLDER WRITERS SECONDS   a reservation and its settlement a turn
 *     ledger_bench verify  FOLDER
 *
 * Each writer is a process of its own with its own operation; it counts what
 * was acknowledged. Both engines use a write-ahead log that is synced at each
 * commit (synchronous = FULL). Prints one JSON object.
 */
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/lazy.h"
#include "ledger/proof.h"

#define WRITERS_MAX    1024
#define EVENT_BYTES    800
#define PATIENCE_MS    60000
#define RESERVED_UNITS 5

#define SQLITE_FUNCTIONS(X)                                                                        \
    X(sqlite3_bind_text)                                                                           \
    X(sqlite3_busy_timeout)                                                                        \
    X(sqlite3_close)                                                                               \
    X(sqlite3_exec)                                                                                \
    X(sqlite3_finalize)                                                                            \
    X(sqlite3_open)                                                                                \
    X(sqlite3_prepare_v2)                                                                          \
    X(sqlite3_reset)                                                                               \
    X(sqlite3_step)
LIBRARY(AM_EMBEDS_SQLITE, sqlite, "libsqlite3.so.0", SQLITE_FUNCTIONS)

/* What the writers share. */
struct shared {
    _Atomic int64_t done[WRITERS_MAX];
};

struct bench {
    const char *folder;
    int writers;
    double seconds;
    struct shared *shared;
    int gate[2]; /* a pipe: one byte lets one writer begin */
};

static double now(void)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

static int make_event(char ret[EVENT_BYTES], int writer, int64_t n)
{
    return snprintf(
        ret, EVENT_BYTES,
        "{\"id\":\"urn:srcos:operation-event:%d-%lld\",\"type\":\"OperationEvent\","
        "\"specVersion\":\"1.0.0\",\"occurredAt\":\"2026-11-20T09:05:20.101Z\","
        "\"eventType\":\"progress\","
        "\"operationRef\":\"urn:srcos:workspace-operation:run-%d\","
        "\"actorRef\":\"urn:srcos:component:supervisor\","
        "\"decision\":{\"policyDecisionRef\":\"urn:srcos:policy-decision:run-0001-host\","
        "\"gate\":\"networkProfile\",\"verdict\":\"allow\",\"uses\":{\"count\":1,"
        "\"first\":\"2026-11-20T09:05:20.101Z\",\"last\":\"2026-11-20T09:05:20.101Z\"}},"
        "\"message\":\"api.example.com:443\"}",
        writer, (long long)n, writer);
}

/* Waits for its turn to begin, and counts turns until the time is over or one fails. */
static int64_t count_turns(const struct bench *bench, int writer, int (*turn)(void *, int, int64_t),
                           void *context)
{
    char byte;
    if (read(bench->gate[0], &byte, 1) != 1)
        return -1;
    int64_t done = 0;
    for (double end = now() + bench->seconds; now() < end; done++)
        if (turn(context, writer, done) < 0)
            return -1;
    return done;
}

/* --- the ledger ---------------------------------------------------------------------------- */

static int fail(const struct err *err)
{
    fprintf(stderr, "ledger_bench: %s: %s: %s\n", err_id(err->code), err->where, err->cause);
    return -1;
}

static int commit(struct ledger *ledger, struct ledger_batch *batch, int r, struct err *err)
{
    if (r == 0)
        r = ledger_commit(ledger, batch, NULL, err);
    ledger_batch_free(batch);
    return r < 0 ? fail(err) : 0;
}

static int append_turn(void *context, int writer, int64_t n)
{
    struct err err = { 0 };
    struct ledger_batch *batch;
    char json[EVENT_BYTES];
    int len = make_event(json, writer, n);
    if (ledger_batch_new(&batch, &err) < 0)
        return fail(&err);
    return commit(context, batch, ledger_add_event(batch, str_make(json, (size_t)len), &err), &err);
}

static int reserve_turn(void *context, int writer, int64_t n)
{
    struct err err = { 0 };
    struct ledger_batch *batch;
    struct holder holder = { .pid = getpid() };
    struct amounts amounts = { 0 };
    char name[64];
    int len = snprintf(name, sizeof(name), "%d-%lld", writer, (long long)(n / 2));
    amounts.of[DIMENSION_TOKENS] = RESERVED_UNITS;
    if (ledger_batch_new(&batch, &err) < 0)
        return fail(&err);
    struct str reservation = str_make(name, (size_t)len);
    int r = n % 2 ? ledger_settle(batch, reservation, &amounts, &err)
                  : ledger_reserve(batch, reservation, STR("run"), &amounts, &holder, &err);
    return commit(context, batch, r, &err);
}

static int run_ledger(const struct bench *bench, int writer, int (*turn)(void *, int, int64_t))
{
    struct ledger *ledger;
    struct err err = { 0 };
    if (ledger_open(bench->folder, LEDGER_WRITE, &ledger, &err) < 0)
        return fail(&err);
    bench->shared->done[writer] = count_turns(bench, writer, turn, ledger);
    ledger_close(ledger);
    return 0;
}

static int make_ledger(const char *folder)
{
    struct ledger *ledger;
    struct ledger_batch *batch;
    struct amounts limits;
    struct err err = { 0 };
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        limits.of[i] = (int64_t)1 << 50;
    if (ledger_open(folder, LEDGER_CREATE, &ledger, &err) < 0 || ledger_batch_new(&batch, &err) < 0)
        return fail(&err);
    int r = ledger_open_account(batch, STR("delegation"), STR(""), &limits, &err);
    if (r == 0)
        r = ledger_open_account(batch, STR("run"), STR("delegation"), &limits, &err);
    r = commit(ledger, batch, r, &err);
    ledger_close(ledger);
    return r;
}

static int verify(const char *folder)
{
    struct ledger *ledger;
    struct err err = { 0 };
    int64_t events = 0;
    uint64_t bytes = 0;
    if (ledger_open(folder, LEDGER_READ, &ledger, &err) < 0)
        return fail(&err);
    double begin = now();
    if (proof_verify(ledger, NULL, &events, &bytes, &err) < 0)
        return fail(&err);
    printf("{\"events\": %lld, \"bytes\": %llu, \"seconds\": %.6f}\n", (long long)events,
           (unsigned long long)bytes, now() - begin);
    ledger_close(ledger);
    return 0;
}

/* --- plain SQLite -------------------------------------------------------------------------- */

struct plain {
    sqlite3 *handle;
    sqlite3_stmt *insert;
};

static int plain_open(const char *folder, struct plain *ret)
{
    char path[4096];
    struct err err = { 0 };
    snprintf(path, sizeof(path), "%s/plain.db", folder);
    if (lazy_load(&sqlite_library, &err) < 0)
        return fail(&err);
    if (sqlite.sqlite3_open(path, &ret->handle) != SQLITE_OK)
        return -1;
    sqlite.sqlite3_busy_timeout(ret->handle, PATIENCE_MS);
    return sqlite.sqlite3_exec(ret->handle,
                               "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                               "CREATE TABLE IF NOT EXISTS event"
                               " (sequence INTEGER PRIMARY KEY, json TEXT NOT NULL)",
                               NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : -1;
}

static int plain_turn(void *context, int writer, int64_t n)
{
    struct plain *plain = context;
    char json[EVENT_BYTES];
    int len = make_event(json, writer, n);
    sqlite.sqlite3_bind_text(plain->insert, 1, json, len, SQLITE_STATIC);
    int result = sqlite.sqlite3_step(plain->insert);
    sqlite.sqlite3_reset(plain->insert);
    return result == SQLITE_DONE ? 0 : -1;
}

static int run_plain(const struct bench *bench, int writer)
{
    struct plain plain = { 0 };
    if (plain_open(bench->folder, &plain) < 0 ||
        sqlite.sqlite3_prepare_v2(plain.handle, "INSERT INTO event (json) VALUES (?1)", -1,
                                  &plain.insert, NULL) != SQLITE_OK)
        return -1;
    bench->shared->done[writer] = count_turns(bench, writer, plain_turn, &plain);
    sqlite.sqlite3_finalize(plain.insert);
    sqlite.sqlite3_close(plain.handle);
    return 0;
}

static int make_plain(const char *folder)
{
    struct plain plain = { 0 };
    if ((mkdir(folder, 0700) < 0 && errno != EEXIST) || plain_open(folder, &plain) < 0)
        return -1;
    sqlite.sqlite3_close(plain.handle);
    return 0;
}

/* --- main ---------------------------------------------------------------------------------- */

static int run_writer(const struct bench *bench, const char *what, int writer)
{
    if (strcmp(what, "sqlite") == 0)
        return run_plain(bench, writer);
    return run_ledger(bench, writer, strcmp(what, "append") == 0 ? append_turn : reserve_turn);
}

static int measure(struct bench *bench, const char *what)
{
    static const char go[WRITERS_MAX];
    int r = strcmp(what, "sqlite") == 0 ? make_plain(bench->folder) : make_ledger(bench->folder);
    if (r < 0 || pipe(bench->gate) < 0)
        return -1;
    for (int i = 0; i < bench->writers; i++)
        if (fork() == 0)
            _exit(run_writer(bench, what, i) < 0);
    usleep(100000); /* until all of them stand at the gate */
    double begin = now();
    if (write(bench->gate[1], go, (size_t)bench->writers) != bench->writers)
        return -1;
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    double seconds = now() - begin;
    int64_t total = 0;
    for (int i = 0; i < bench->writers; i++) {
        failed += bench->shared->done[i] < 0;
        total += bench->shared->done[i];
    }
    printf("{\"done\": %lld, \"seconds\": %.6f}\n", (long long)total, seconds);
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct bench bench = { .folder = argc > 2 ? argv[2] : NULL };
    if (argc == 3 && strcmp(argv[1], "verify") == 0)
        return verify(argv[2]) < 0;
    bench.writers = argc == 5 ? (int)strtol(argv[3], NULL, 10) : 0;
    bench.seconds = argc == 5 ? strtod(argv[4], NULL) : 0;
    bench.shared = mmap(NULL, sizeof(*bench.shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bench.writers < 1 || bench.writers > WRITERS_MAX || bench.seconds <= 0) {
        fprintf(stderr, "usage: ledger_bench append|sqlite|reserve FOLDER WRITERS SECONDS\n"
                        "       ledger_bench verify FOLDER\n");
        return 2;
    }
    return measure(&bench, argv[1]) < 0;
}

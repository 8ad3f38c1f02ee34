/*
 * What holds when writers are killed and disks fail. The crash test runs for
 * CRASH_SECONDS, or as long as AM_CRASH_SECONDS says.
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "base/lazy.h"
#include "base/map.h"
#include "ledger/internal.h"
#include "ledger/proof.h"
#include "ledger/testing.h"

#define CRASH_SECONDS 5
#define WRITERS       8
#define COMMITS_MAX   200000 /* by one writer */
#define BATCHES       8      /* onto a disk that fails */

static double now(void)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

/* --- killed writers ------------------------------------------------------------------------ */

/* What the writers tell, in memory that outlives them. */
struct writer_log {
    _Atomic int begun; /* commits so far, the last perhaps not ended */
    _Atomic unsigned char acknowledged[COMMITS_MAX];
};

struct shared_log {
    struct writer_log writers[WRITERS];
};

static int open_accounts(struct ledger *ledger, struct err *err)
{
    struct amounts none;
    struct ledger_batch *batch = batch_of();
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        none.of[i] = -1;
    int r = ledger_open_account(batch, STR("top"), STR(""), &none, err);
    if (r == 0)
        r = ledger_open_account(batch, STR("below"), STR("top"), &none, err);
    return r == 0 ? commit_batch(ledger, batch, NULL, err) : r;
}

/* One commit: an event, a key that can be put once, and every other time a reservation. */
static struct ledger_batch *make_batch(int writer, int n)
{
    struct err err = { 0 };
    struct ledger_batch *batch = batch_of();
    struct amounts amounts = { 0 };
    struct holder holder = { .pid = getpid(), .boot_id = "this" };
    char name[64], before[64], operation[64];
    snprintf(name, sizeof(name), "w-%d-%d", writer, n);
    snprintf(before, sizeof(before), "w-%d-%d", writer, n - 1);
    snprintf(operation, sizeof(operation), "urn:srcos:workspace-operation:%d", writer);
    amounts.of[DIMENSION_TOKENS] = 5;
    NEED_OK(add_event(batch, name, operation, &err));
    NEED_OK(ledger_put_key(batch, STR("once"), str_from(name), STR(""), &err));
    if (n % 2 == 0)
        NEED_OK(ledger_reserve(batch, str_from(name), STR("below"), &amounts, &holder, &err));
    else
        NEED_OK(ledger_settle(batch, str_from(before), &amounts, &err));
    return batch;
}

static void write_until_killed(const struct folder *folder, int writer, struct writer_log *log)
{
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(folder, LEDGER_WRITE);
    int n = log->begun;
    n += n % 2; /* what was reserved before is for recovery to find */
    for (; n < COMMITS_MAX; n++) {
        log->begun = n + 1;
        struct ledger_batch *batch = make_batch(writer, n);
        NEED_OK(commit_batch(ledger, batch, NULL, &err));
        log->acknowledged[n] = 1;
    }
    _exit(0);
}

static pid_t start_writer(const struct folder *folder, int writer, struct shared_log *log)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        write_until_killed(folder, writer, &log->writers[writer]);
    return pid;
}

static int kill_at_random(const struct folder *folder, struct shared_log *log, double seconds)
{
    pid_t pids[WRITERS];
    unsigned seed = (unsigned)getpid();
    int kills = 0;
    for (int i = 0; i < WRITERS; i++)
        pids[i] = start_writer(folder, i, log);
    for (double end = now() + seconds; now() < end; kills++) {
        int status, victim = rand_r(&seed) % WRITERS;
        usleep((useconds_t)(rand_r(&seed) % 20000));
        kill(pids[victim], SIGKILL);
        waitpid(pids[victim], &status, 0);
        CHECK(WIFSIGNALED(status)); /* and not an error of its own before */
        pids[victim] = start_writer(folder, victim, log);
    }
    for (int i = 0; i < WRITERS; i++)
        kill(pids[i], SIGKILL);
    wait_for_children();
    return kills;
}

struct census {
    unsigned char (*present)[COMMITS_MAX];
    int64_t events;
};

/* The numbers behind "…:w-". */
static int count_name(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct census *census = context;
    static const char mark[] = "operation-event:w-";
    const char *at = memmem(json.ptr, json.len, mark, sizeof(mark) - 1);
    (void)sequence;
    (void)err;
    CHECK(at);
    if (!at)
        return -EINVAL;
    char *end;
    long writer = strtol(at + sizeof(mark) - 1, &end, 10), n = strtol(end + 1, &end, 10);
    CHECK(writer >= 0 && writer < WRITERS && n >= 0 && n < COMMITS_MAX);
    census->present[writer][n]++;
    census->events++;
    return 0;
}

struct stranded {
    struct ledger *ledger;
    int64_t tokens;
    int count;
};

/* What recovery does: the holder is gone, so what it held is released. */
static int release(void *context, struct str reservation, struct str account,
                   const struct amounts *amounts, const struct holder *holder, struct err *err)
{
    struct stranded *stranded = context;
    struct amounts nothing = { 0 };
    CHECK_STR(account, STR("below"));
    CHECK(kill((pid_t)holder->pid, 0) < 0 && errno == ESRCH);
    stranded->tokens += amounts->of[DIMENSION_TOKENS];
    stranded->count++;
    struct ledger_batch *batch = batch_of();
    CHECK_INT(ledger_settle(batch, reservation, &nothing, err), 0);
    return commit_batch(stranded->ledger, batch, NULL, err);
}

static void check_accounts(struct ledger *ledger, const struct shared_log *log,
                           unsigned char (*present)[COMMITS_MAX])
{
    struct err err = { 0 };
    struct account account;
    struct stranded stranded = { .ledger = ledger };
    int64_t reserved = 0, settled = 0;
    for (int i = 0; i < WRITERS; i++)
        for (int n = 0; n < log->writers[i].begun; n++)
            *(n % 2 ? &settled : &reserved) += present[i][n];
    CHECK_OK(ledger_get_account(ledger, STR("top"), &account, &err));
    CHECK_INT(account.used.of[DIMENSION_TOKENS], 5 * settled);
    CHECK_INT(account.reserved.of[DIMENSION_TOKENS], 5 * (reserved - settled));
    CHECK_OK(ledger_each_reservation(ledger, release, &stranded, &err));
    CHECK_INT(stranded.count, reserved - settled);
    CHECK_INT(stranded.tokens, 5 * (reserved - settled));
    CHECK_OK(ledger_get_account(ledger, STR("top"), &account, &err));
    CHECK_INT(account.reserved.of[DIMENSION_TOKENS], 0);
    CHECK_INT(account.used.of[DIMENSION_TOKENS], 5 * settled);
}

TEST(writers_killed_at_random_instants_lose_nothing_that_was_acknowledged)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    const char *seconds = getenv("AM_CRASH_SECONDS");
    struct shared_log *log = mmap(NULL, sizeof(*log), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct census census = { .present = calloc(WRITERS, sizeof(*census.present)) };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    CHECK_OK(open_accounts(ledger, &err));
    ledger_close(ledger);
    int kills = kill_at_random(&folder, log, seconds ? strtod(seconds, NULL) : CRASH_SECONDS);
    usleep(10000); /* from then on, what the dead have queued is not let in any more */
    ledger = ledger_of(&folder, LEDGER_WRITE);
    CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    CHECK_OK(ledger_each_event(ledger, 0, STR(""), count_name, &census, &err));
    int64_t acknowledged = 0, lost = 0, twice = 0;
    for (int i = 0; i < WRITERS; i++) {
        for (int n = 0; n < COMMITS_MAX; n++) {
            acknowledged += log->writers[i].acknowledged[n];
            lost += log->writers[i].acknowledged[n] && !census.present[i][n];
            twice += census.present[i][n] > 1;
        }
    }
    printf("%d kills, %lld commits acknowledged, %lld events\n", kills, (long long)acknowledged,
           (long long)census.events);
    CHECK_INT(lost, 0);
    CHECK_INT(twice, 0);
    CHECK(kills > 100 && acknowledged > kills);
    check_accounts(ledger, log, census.present);
    CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    ledger_close(ledger);
    free(census.present);
    munmap(log, sizeof(*log));
    folder_remove(&folder);
}

/* --- a disk that fails --------------------------------------------------------------------- */

/*
 * An SQLite VFS in front of the system's: it counts writes, syncs and
 * truncations and can fail any of them, once or from then on; and it keeps
 * copies of the files as they were when they were last synced, which is what
 * is left when the power goes.
 */
#define SQLITE_FUNCTIONS(X) X(sqlite3_vfs_find) X(sqlite3_vfs_register)
LIBRARY(AM_EMBEDS_SQLITE, sqlite, "libsqlite3.so.0", SQLITE_FUNCTIONS)

struct disk {
    sqlite3_vfs vfs, *system;
    int count;   /* of writes, syncs and truncations so far */
    int fail_at; /* the one that fails, counted from 1; 0: none */
    bool for_good;
    int result;
    const char *durable; /* a folder for what was synced; NULL: none is kept */
};

struct disk_file {
    sqlite3_file file;
    char path[2 * FOLDER_MAX];
    bool kept; /* the database and its log; nothing else must last */
    sqlite3_file below[];
};

static struct disk disk;

static sqlite3_file *below(sqlite3_file *file)
{
    return ((struct disk_file *)file)->below;
}

static bool fails(void)
{
    disk.count++;
    return disk.fail_at &&
           (disk.count == disk.fail_at || (disk.for_good && disk.count > disk.fail_at));
}

static void keep_copy(const struct disk_file *file)
{
    char command[8 * FOLDER_MAX];
    snprintf(command, sizeof(command), "cp %s %s/", file->path, disk.durable);
    CHECK_INT(system(command), 0);
}

static int disk_close(sqlite3_file *file)
{
    return below(file)->pMethods->xClose(below(file));
}

static int disk_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
    return below(file)->pMethods->xRead(below(file), bytes, len, at);
}

static int disk_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    if (fails()) { /* half of it arrives */
        below(file)->pMethods->xWrite(below(file), bytes, len / 2, at);
        return disk.result;
    }
    return below(file)->pMethods->xWrite(below(file), bytes, len, at);
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return fails() ? disk.result : below(file)->pMethods->xTruncate(below(file), size);
}

static int disk_sync(sqlite3_file *file, int flags)
{
    if (fails())
        return SQLITE_IOERR_FSYNC;
    int result = below(file)->pMethods->xSync(below(file), flags);
    if (disk.durable && ((struct disk_file *)file)->kept)
        keep_copy((struct disk_file *)file);
    return result;
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return below(file)->pMethods->xFileSize(below(file), ret);
}

static int disk_lock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xLock(below(file), level);
}

static int disk_unlock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xUnlock(below(file), level);
}

static int disk_check_lock(sqlite3_file *file, int *ret)
{
    return below(file)->pMethods->xCheckReservedLock(below(file), ret);
}

static int disk_control(sqlite3_file *file, int code, void *argument)
{
    return below(file)->pMethods->xFileControl(below(file), code, argument);
}

static int disk_sector_size(sqlite3_file *file)
{
    return below(file)->pMethods->xSectorSize(below(file));
}

static int disk_characteristics(sqlite3_file *file)
{
    return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

static int disk_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    return below(file)->pMethods->xShmMap(below(file), region, size, extend, ret);
}

static int disk_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return below(file)->pMethods->xShmLock(below(file), offset, count, flags);
}

static void disk_shm_barrier(sqlite3_file *file)
{
    below(file)->pMethods->xShmBarrier(below(file));
}

static int disk_shm_unmap(sqlite3_file *file, int delete_it)
{
    return below(file)->pMethods->xShmUnmap(below(file), delete_it);
}

static const sqlite3_io_methods disk_methods = {
    .iVersion = 2,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector_size,
    .xDeviceCharacteristics = disk_characteristics,
    .xShmMap = disk_shm_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_shm_barrier,
    .xShmUnmap = disk_shm_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    struct disk_file *mine = (struct disk_file *)file;
    (void)vfs;
    snprintf(mine->path, sizeof(mine->path), "%s", name ? name : "");
    mine->kept = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL);
    int result = disk.system->xOpen(disk.system, name, mine->below, flags, ret_flags);
    file->pMethods = mine->below->pMethods ? &disk_methods : NULL;
    return result;
}

static void disk_install(void)
{
    CHECK_INT(lazy_load(&sqlite_library, NULL), 0);
    if (disk.system)
        return;
    disk.system = sqlite.sqlite3_vfs_find(NULL);
    disk.vfs = *disk.system;
    disk.vfs.zName = "failing";
    disk.vfs.szOsFile = (int)sizeof(struct disk_file) + disk.system->szOsFile;
    disk.vfs.xOpen = disk_open;
    CHECK_INT(sqlite.sqlite3_vfs_register(&disk.vfs, 1), SQLITE_OK);
}

/* The other tests, and what is looked at afterwards, use the system's own. */
static void disk_remove(void)
{
    disk.fail_at = 0;
    disk.durable = NULL;
    CHECK_INT(sqlite.sqlite3_vfs_register(disk.system, 1), SQLITE_OK);
    disk.system = NULL;
}

static void expect_io(const struct err *err)
{
    if (err->code != ERR_IO)
        test_fail(__FILE__, __LINE__, "%s: %s", err_id(err->code), err->cause);
}

/* Makes a ledger, writes, moves the log into the database, writes on; how many are acknowledged. */
static int write_on_disk(const struct folder *folder)
{
    struct err err = { 0 };
    struct ledger *ledger = NULL;
    int acknowledged = 0;
    if (ledger_open(folder->path, LEDGER_CREATE, &ledger, &err) < 0)
        return 0;
    for (int i = 0; i < BATCHES; i++) {
        struct ledger_batch *batch = batch_of();
        char name[32];
        int r = 0, left;
        snprintf(name, sizeof(name), "e-%d", i);
        for (int j = 0; j < 30 && r == 0; j++)
            r = add_event(batch, name, "urn:srcos:workspace-operation:disk", &err);
        CHECK_INT(r, 0);
        r = ledger_put_key(batch, STR("acknowledged"), str_from(name), STR(""), &err);
        CHECK_INT(r, 0);
        if (commit_batch(ledger, batch, NULL, &err) == 0)
            acknowledged |= 1 << i;
        else
            expect_io(&err);
        if (i % 3 == 2 && db_checkpoint(ledger->db, i % 2, &left, &err) < 0)
            expect_io(&err);
    }
    ledger_close(ledger);
    return acknowledged;
}

/* What was acknowledged is there, whole, and the next command works. */
static void check_after(const struct folder *folder, int acknowledged, const char *what)
{
    struct err err = { 0 };
    struct ledger *ledger = NULL;
    _cleanup_(buf_release) struct buf value = BUF_INIT;
    int64_t size = 0, batches = 0;
    int r = ledger_open(folder->path, LEDGER_CREATE, &ledger, &err);
    if (r == 0)
        r = ledger_size(ledger, &size, &err);
    for (int i = 0; i < BATCHES && r == 0; i++) {
        char name[32];
        snprintf(name, sizeof(name), "e-%d", i);
        bool there = ledger_get_key(ledger, STR("acknowledged"), str_from(name), &value, &err) == 0;
        batches += there;
        if (!there && acknowledged >> i & 1)
            test_fail(__FILE__, __LINE__, "%s: batch %d was acknowledged and is lost", what, i);
    }
    if (r == 0 && size != 30 * batches)
        test_fail(__FILE__, __LINE__, "%s: %lld events in %lld batches", what, (long long)size,
                  (long long)batches);
    if (r == 0)
        r = proof_verify(ledger, NULL, NULL, NULL, &err);
    if (r == 0)
        r = commit_event(ledger, "afterwards", "", NULL, &err);
    if (r < 0)
        test_fail(__FILE__, __LINE__, "%s: %s: %s: %s", what, err_id(err.code), err.where,
                  err.cause);
    ledger_close(ledger);
}

TEST(each_write_sync_and_truncation_that_fails_leaves_what_was_acknowledged)
{
    static const struct {
        bool for_good;
        int result;
    } rows[] = { { false, SQLITE_IOERR_WRITE },
                 { true, SQLITE_IOERR_WRITE },
                 { true, SQLITE_FULL } };
    int operations = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int at = 1;; at++) {
            struct folder folder = folder_make();
            char what[96];
            disk_install();
            disk.count = 0;
            disk.fail_at = at;
            disk.for_good = rows[i].for_good;
            disk.result = rows[i].result;
            int acknowledged = write_on_disk(&folder);
            operations = disk.count;
            disk_remove();
            snprintf(what, sizeof(what), "operation %d failing %s with %d", at,
                     rows[i].for_good ? "for good" : "once", rows[i].result);
            check_after(&folder, acknowledged, what);
            folder_remove(&folder);
            if (operations < at)
                break;
        }
    }
    CHECK(operations > 50);
}

/* What is on the disk at the moment when a commit returns holds that commit. */
TEST(what_is_acknowledged_has_been_synced)
{
    struct folder folder = folder_make(), durable = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = NULL;
    int left;
    disk_install();
    disk.durable = durable.path;
    CHECK_OK(ledger_open(folder.path, LEDGER_CREATE, &ledger, &err));
    for (int i = 0; i < 12; i++) {
        CHECK_OK(commit_event(ledger, "e", "urn:srcos:workspace-operation:disk", NULL, &err));
        if (i % 5 == 4)
            CHECK_OK(db_checkpoint(ledger->db, i % 2, &left, &err));
        /* The power goes: copies of what was synced are all that is left. */
        struct folder after = folder_make();
        char command[8 * FOLDER_MAX];
        snprintf(command, sizeof(command), "cp %s/* %s/", durable.path, after.path);
        CHECK_INT(system(command), 0);
        disk.durable = NULL;
        struct ledger *rest = ledger_of(&after, LEDGER_WRITE);
        CHECK_INT(size_of(rest), i + 1);
        CHECK_OK(proof_verify(rest, NULL, NULL, NULL, &err));
        ledger_close(rest);
        disk.durable = durable.path;
        folder_remove(&after);
    }
    ledger_close(ledger);
    disk_remove();
    folder_remove(&folder);
    folder_remove(&durable);
}

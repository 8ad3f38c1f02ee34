/*
 * group: lead, or be led.
 *
 * Theory of operation. A commit takes the queue's lock if it is free: then it
 * leads, which is to say that it makes its own batch durable together with
 * whatever others have put into the queue by then, and answers them. If the
 * lock is taken, the batch goes into the queue, where the leader of the moment
 * or the next one takes it; that next one is one of those who wait.
 *
 *     alone          lock, transaction of one batch, unlock: no slot, no ticket
 *     under load     slot, sleep, answer: one in so many leads
 *     too large      no slot is large enough: the lock is waited for
 *     in doubt       the leader died, or the slot makes no sense: lock, and
 *                    the ticket in the database says whether it is in
 *
 * Invariants.
 * 1. Only the holder of the lock commits what stands in the queue, and it asks
 *    the database about every ticket it takes before it writes any.
 * 2. A writer is told "durable" by a leader whose commit has returned, or by
 *    the ticket it finds; and "failed" only where the batch is not in and
 *    nobody has it any more. Where neither can be known (the leader is stuck),
 *    the error says so.
 * 3. A leader leads once, for one transaction: nobody works for others longer
 *    than that.
 *
 * The write-ahead log is moved into the database when it is LOG_FRAMES_MAX
 * long: by one process that has just led, without the lock, while others write
 * on; then a leader moves what has come meanwhile under the lock, so that the
 * log is empty for a moment and begins anew in the same place. When nobody has
 * the ledger open, the next to open it reads the log from end to end; so a
 * process that ends empties it, if it has grown beyond LOG_FRAMES_LEFT, and one
 * that has a moment to spare before moves it at LOG_FRAMES_SPARE already. The
 * next commit begins the log anew, for which it syncs once more than usual:
 * that is why it is not done each time.
 */
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <time.h>

#include "ledger/queue.h"

#define LOG_FRAMES_MAX   4000  /* of 4 KiB */
#define LOG_FRAMES_LATE  16000 /* whoever was to move it has died, or is too slow */
#define LOG_FRAMES_RETRY 1000  /* more, where readers have kept it from being moved */
#define LOG_FRAMES_LEFT  400   /* how long it may be when a process ends */
#define LOG_FRAMES_SPARE 320   /* how long, when there is a moment to spare */
#define WATCH_MS         250
#define WRITTEN_MS       10000 /* what was written counts by then, or nobody commits it */

/* What leaders tell each other about the log; else the length at which to try again. */
#define LOG_MOVING (-1) /* somebody moves what there was a moment ago */
#define LOG_MOVED  (-2) /* it is moved: the rest is little */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- leading ------------------------------------------------------------------------------- */

/*
 * Under the lock: says whether this process should move the log once it has
 * freed the lock; or moves the rest, after which the log begins anew.
 */
static bool keep_log_short(struct ledger *ledger)
{
    struct err ignored;
    int frames = db_log_frames(ledger->db), state = queue_log_state(ledger->queue), left = 0;
    if (frames < LOG_FRAMES_MAX || (state > frames && state <= frames + LOG_FRAMES_RETRY) ||
        (state == LOG_MOVING && frames < LOG_FRAMES_LATE))
        return false;
    if (state != LOG_MOVED && state != LOG_MOVING) {
        queue_set_log_state(ledger->queue, LOG_MOVING);
        return true;
    }
    queue_wake(ledger->queue);
    bool moved = db_checkpoint(ledger->db, false, &left, &ignored) == 0 && left == 0;
    queue_set_log_state(ledger->queue, moved ? 0 : frames + LOG_FRAMES_RETRY);
    return false;
}

/* Without the lock, while others write on. */
static void move_log(struct ledger *ledger)
{
    struct err ignored;
    int left;
    if (db_checkpoint(ledger->db, false, &left, &ignored) == 0)
        queue_set_log_state(ledger->queue, LOG_MOVED);
}

void ledger_shorten_log(struct ledger *ledger)
{
    struct err ignored;
    int left;
    if (ledger->db && db_log_frames(ledger->db) >= LOG_FRAMES_SPARE)
        (void)!db_checkpoint(ledger->db, false, &left, &ignored);
}

void group_leave(struct ledger *ledger)
{
    struct err ignored;
    int left = 0;
    if (!ledger->db || !ledger->queue || db_log_frames(ledger->db) < LOG_FRAMES_LEFT ||
        !queue_try_lock(ledger->queue))
        return;
    db_set_patience(ledger->db, 0); /* whoever uses it at this moment leaves it shorter, too */
    if (db_checkpoint(ledger->db, true, &left, &ignored) == 0 && left == 0)
        queue_set_log_state(ledger->queue, 0);
    queue_unlock(ledger->queue);
}

/* Commits the group; where that fails, it fails for all who are not in already. */
static void commit_group(struct ledger *ledger, struct queue_group *group)
{
    struct err err = { 0 };
    int r = commit_entries(ledger, queue_id(ledger->queue), group->entries, group->count, &err);
    for (size_t i = 0; i < group->count && r < 0; i++) {
        struct entry *entry = &group->entries[i];
        if (entry->settled)
            continue;
        entry->result = r;
        entry->err = err;
    }
}

/* Under the lock, which it frees: own and whatever waits become durable. */
static int lead(struct ledger *ledger, struct entry *own, struct err *err)
{
    struct queue_group *group = &ledger->group;
    bool to_move = false;
    ledger->queue_is_stale = !queue_is_current(ledger->queue);
    int r = queue_group_begin(group, own, err);
    if (r == 0)
        r = queue_collect(ledger->queue, group, err);
    if (r == 0) {
        commit_group(ledger, group);
        *own = group->entries[0];
        queue_answer(ledger->queue, group);
        to_move = own->result == 0 && keep_log_short(ledger);
    }
    queue_clear(ledger->queue);
    queue_unlock(ledger->queue);
    if (to_move)
        move_log(ledger);
    return r;
}

static int lock_and_lead(struct ledger *ledger, struct entry *own, struct err *err)
{
    int r = queue_lock(ledger->queue, err);
    return r < 0 ? r : lead(ledger, own, err);
}

/* --- being led ----------------------------------------------------------------------------- */

static int give_up(struct queue *queue, struct err *err)
{
    if (queue_withdraw(queue))
        return err_set_errno(err, EBUSY, STEP_LEDGER_WRITE,
                             "another process has led for more than %d ms; nothing of this was "
                             "written",
                             queue_patience(queue));
    return err_set_errno(err, EBUSY, STEP_LEDGER_WRITE,
                         "the process that leads has not answered for %d ms; it may yet write this",
                         queue_patience(queue));
}

/* Waits in the queue until there is an answer, or leads when the lock is free. */
static int wait_or_lead(struct ledger *ledger, struct entry *own, struct err *err)
{
    struct queue *queue = ledger->queue;
    int64_t end = now_ms() + queue_patience(queue);
    enum queue_state state;
    while ((state = queue_look(queue, own)) == QUEUE_WAITING) {
        if (queue_try_lock(queue)) {
            state = queue_look(queue, own);
            if (state != QUEUE_ANSWERED)
                return lead(ledger, own, err);
            queue_unlock(queue);
            break;
        }
        if (now_ms() > end)
            return give_up(queue, err);
        queue_wait(queue);
    }
    if (state == QUEUE_LOST)
        return lock_and_lead(ledger, own, err);
    if (own->result == -EILSEQ) { /* garbled on its way, so nobody has committed it */
        own->result = 0;
        return lock_and_lead(ledger, own, err);
    }
    queue_clear(queue);
    return 0;
}

/* --- the call ------------------------------------------------------------------------------ */

/* A queue that was removed or mended by others still serves who waits in it; the next goes on. */
static int open_queue(struct ledger *ledger, struct err *err)
{
    if (ledger->queue && !ledger->queue_is_stale)
        return 0;
    ledger->queue_is_stale = false;
    queue_close(ledger->queue);
    ledger->queue = NULL;
    return queue_open(ledger->folder, &ledger->queue, err);
}

/* A leader had the batch and died, and then the database could not be asked. */
static void say_doubt(struct entry *own)
{
    size_t len = strlen(own->err.cause);
    if (own->in_doubt)
        snprintf(own->err.cause + len, sizeof(own->err.cause) - len,
                 "; the process that led before may have written this");
}

int ledger_commit(struct ledger *ledger, struct ledger_batch *batch, struct ledger_position *ret,
                  struct err *err)
{
    struct entry own = { .bytes = buf_str(&batch->bytes), .slot = -1 };
    if (ledger->mode == LEDGER_READ)
        return err_set_errno(err, EROFS, STEP_LEDGER_WRITE, "%s was opened for reading",
                             ledger->path);
    int r = open_queue(ledger, err);
    if (r < 0)
        return r;
    if (queue_try_lock(ledger->queue)) {
        r = lead(ledger, &own, err);
    } else if (queue_put(ledger->queue, own.bytes, &own) == 0) {
        r = wait_or_lead(ledger, &own, err);
    } else {
        r = lock_and_lead(ledger, &own, err);
    }
    if (r == 0 && own.result < 0) {
        say_doubt(&own);
        if (err)
            *err = own.err;
        r = own.result;
    }
    if (r == 0 && ret)
        *ret = own.position;
    return r;
}

/* --- waiting for others -------------------------------------------------------------------- */

/* Opens a descriptor that is readable when somebody has written in the ledger's folder, if it can.
 */
static void open_watch(struct ledger *ledger)
{
    if (ledger->watch >= 0)
        return;
    ledger->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (ledger->watch >= 0 && inotify_add_watch(ledger->watch, ledger->folder, IN_MODIFY) < 0)
        close(TAKE_FD(ledger->watch));
}

/* Whether somebody has written since; what is looked at next is not older. */
static bool was_written(const struct ledger *ledger)
{
    char events[4096];
    bool any = false;
    while (ledger->watch >= 0 && read(ledger->watch, events, sizeof(events)) > 0)
        any = true;
    return any;
}

/* Leaders tell when they have committed; a nap bounds what is missed of that. */
static void nap(struct ledger *ledger, uint32_t seen, int64_t left_ms)
{
    int nap_ms = (int)(left_ms < WATCH_MS ? left_ms : WATCH_MS);
    if (ledger->queue)
        queue_watch(ledger->queue, seen, nap_ms);
    else
        usleep((useconds_t)nap_ms * 1000);
}

/*
 * A batch is written to the log first and counts a moment later, of which no file system tells: so
 * it is looked for closely while somebody has just written, and slept over whatever else.
 */
uint32_t ledger_mark(const struct ledger *ledger)
{
    return ledger->queue && !ledger->queue_is_stale ? queue_commits(ledger->queue) : 0;
}

int ledger_wait(struct ledger *ledger, int64_t size, int timeout_ms, struct err *err)
{
    int64_t end = now_ms() + timeout_ms, near = 0, found = 0;
    struct err ignored;
    open_watch(ledger);
    if (!ledger->queue && open_queue(ledger, &ignored) < 0)
        ledger->queue = NULL;
    for (;;) {
        struct pollfd written = { .fd = ledger->watch, .events = POLLIN };
        if (was_written(ledger))
            near = now_ms() + WRITTEN_MS;
        uint32_t seen = ledger->queue ? queue_commits(ledger->queue) : 0;
        int r = ledger_size(ledger, &found, err);
        if (r < 0 || found > size)
            return r;
        int64_t now = now_ms(), left = end - now;
        if (left <= 0)
            return -ETIMEDOUT;
        if (ledger->watch >= 0 && now >= near)
            (void)!poll(&written, 1, left < INT_MAX ? (int)left : INT_MAX);
        else
            nap(ledger, seen, left);
    }
}

/*
 * queue: see the header.
 *
 * Theory of operation. The file has a head and QUEUE_SLOTS slots. A writer
 * that finds the lock taken writes its batch into its slot, marks the slot's
 * word QUEUED and sleeps; the leader takes what is QUEUED, commits, writes
 * answers, marks the words DONE, frees the lock and wakes the sleepers.
 *
 *     IDLE → QUEUED     writer: the batch, its ticket and checksum are in place
 *     QUEUED → IDLE     writer: withdrawn
 *     QUEUED → TAKEN    leader: it will be in this transaction or be refused
 *     QUEUED → IDLE     leader: its writer has died
 *     TAKEN → DONE      leader: the answer is in place
 *     DONE → IDLE       writer: the answer is read
 *
 * A word carries a generation beside its state, which every new batch and
 * every new owner of the slot raises, so that an answer can only reach the
 * batch it is meant for. A leader that finds TAKEN found what a dead leader
 * left: the lock was free. Whether that one had committed it is answered by
 * the tickets in the database (commit.c), not by anything in this file.
 *
 * Three locks, all of them the kernel's, all freed when their holder dies:
 * flock on the file is leading; an open-file-description lock on byte n makes
 * slot n one's own; a shared one on the last byte says that the file is in
 * use, and whoever has that alone may rebuild the file.
 *
 * Sleepers wait on one of a few counters, chosen so that those whom the same
 * leader will answer share one: one system call wakes them all. Nobody relies
 * on being woken: every sleep ends after NAP_NS.
 *
 * Threats. Any process of the same user can write here. Lengths are checked
 * against the slot, batches and answers against checksums, states and
 * counters are only hints to look again; what a leader takes is copied before
 * it is looked at. Whatever makes no sense sends the writer to the lock and
 * the database. Who cuts the file short under those who have it mapped can
 * still end them by SIGBUS; leaders check its length first.
 *
 * The blocks under a slot are allocated before it is used, because a mapping
 * has no other way to report a full disk than a signal.
 */
#include "ledger/queue.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define STEP_QUEUE         "open the ledger's queue"
#define MAGIC              UINT64_C(0x3165756575516d41) /* "AmQueue1" */
#define FILE_MODE          0600
#define LOCK_BASE          ((off_t)1 << 40) /* beyond what the file holds */
#define IN_USE             (LOCK_BASE + QUEUE_SLOTS)
#define OPEN_ATTEMPTS_MAX  3  /* with files made anew */
#define MAP_ATTEMPTS_MAX   10 /* while somebody may be about to mend the file */
#define MAP_RETRY_US       1000
#define LOCK_RETRY_US      100
#define SECOND_NS          INT64_C(1000000000)
#define IMPATIENCE_NS      INT64_C(50000000)
#define ALIVE_NS           INT64_C(5000000) /* so long a writer counts as alive unseen */
#define NAP_NS             INT64_C(20000000)
#define GATHER_NS          INT64_C(150000) /* how long a leader waits for those who wrote lately */
#define COUNTERS           8               /* a power of two */
#define GROUP_CAPACITY_MIN 16
#define CHECKSUM_SEED      UINT64_C(0x9e3779b97f4a7c15)

enum word_state { IDLE, QUEUED, TAKEN, DONE };
#define STATE_BITS 2u
#define STATE_MASK ((1u << STATE_BITS) - 1)

struct shared_head {
    uint64_t magic;
    uint32_t slots, slot_bytes;
    unsigned char id[QUEUE_ID_BYTES];
    uint64_t checksum;                    /* of what stands above */
    _Alignas(64) _Atomic uint32_t drains; /* how often slots have been collected */
    _Atomic uint32_t leading; /* whether the lock is held: a hint that saves asking the kernel */
    _Atomic uint32_t commits;
    _Atomic uint32_t watchers;
    _Atomic int32_t log_state;
    _Atomic int64_t impatient_until_ns; /* somebody without a slot wants the lock */
    _Atomic uint32_t active;            /* how many wrote at the same time lately */
    _Atomic uint32_t arrivals;          /* how often something was queued */
    _Atomic uint32_t gathering;         /* whether the leader waits for more */
    _Atomic uint32_t wake_at;           /* until there were so many arrivals */
    _Alignas(64) _Atomic uint32_t counters[COUNTERS];
    _Alignas(64) _Atomic uint32_t words[QUEUE_SLOTS];
};

struct shared_answer {
    unsigned char ticket[TICKET_BYTES];
    int64_t sequence;
    char digest[DIGEST_TEXT_SIZE];
    int32_t result;
    uint32_t code;
};

/* Why a batch failed; at the slot's end, so that what succeeds touches few pages. */
struct shared_failure {
    char where[ERR_WHERE_MAX], cause[ERR_CAUSE_MAX];
};

#define BATCH_MAX       (QUEUE_SLOT_BYTES - SLOT_HEAD_BYTES - sizeof(struct shared_failure))
#define SLOT_HEAD_BYTES 256

struct shared_slot {
    uint32_t length;
    _Atomic uint32_t counter; /* which one its writer sleeps on */
    unsigned char ticket[TICKET_BYTES];
    uint64_t checksum; /* of ticket and batch */
    int64_t queued_ns; /* when */
    struct shared_answer answer;
    uint64_t answer_checksum; /* of answer, and of failure where it is one */
};

static_assert(sizeof(struct shared_head) <= QUEUE_HEAD_BYTES, "the file's head must fit");
static_assert(sizeof(struct shared_slot) <= SLOT_HEAD_BYTES, "a slot's head must fit");

struct queue {
    char *path;
    int fd;
    dev_t device;
    ino_t inode;
    char *map; /* NULL where there is a lock alone: others hold a file that makes no sense */
    struct shared_head *head;
    unsigned char id[QUEUE_ID_BYTES];
    int slot; /* this handle's, or -1 */
    uint32_t word;
    uint32_t slept_on, slept_value;
    uint32_t to_wake; /* counters, by bit */
    bool in_doubt;    /* a nap ended by itself: perhaps nobody leads, whatever the hint says */
    int patience_ms;
    unsigned char ticket[TICKET_BYTES];
};

/* --- helpers ------------------------------------------------------------------------------- */

/* Against accident, not against malice; the same in every process. */
static uint64_t checksum_add(uint64_t sum, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    sum ^= len * UINT64_C(0xff51afd7ed558ccd);
    for (; len >= sizeof(uint64_t); at += sizeof(uint64_t), len -= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        sum = (sum ^ word) * UINT64_C(0xc4ceb9fe1a85ec53);
        sum ^= sum >> 29;
    }
    for (; len; at++, len--)
        sum = (sum ^ *at) * UINT64_C(0x100000001b3);
    return sum ^ sum >> 32;
}

static uint64_t head_checksum(const struct shared_head *head)
{
    return checksum_add(CHECKSUM_SEED, head, offsetof(struct shared_head, checksum));
}

static uint64_t answer_checksum(const struct shared_answer *answer,
                                const struct shared_failure *failure)
{
    uint64_t sum = checksum_add(CHECKSUM_SEED, answer, sizeof(*answer));
    return answer->result < 0 ? checksum_add(sum, failure, sizeof(*failure)) : sum;
}

static uint64_t batch_checksum(const unsigned char *ticket, const char *bytes, size_t len)
{
    return checksum_add(checksum_add(CHECKSUM_SEED, ticket, TICKET_BYTES), bytes, len);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* False where the time was over. */
static bool futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t timeout_ns)
{
    struct timespec timeout = { timeout_ns / SECOND_NS, timeout_ns % SECOND_NS };
    return syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0) == 0 || errno != ETIMEDOUT;
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static bool lock_byte(int fd, short type, off_t at)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static struct shared_slot *slot_at(const struct queue *queue, int slot)
{
    return (void *)(queue->map + QUEUE_HEAD_BYTES + (size_t)slot * QUEUE_SLOT_BYTES);
}

static char *slot_batch(const struct queue *queue, int slot)
{
    return (char *)slot_at(queue, slot) + SLOT_HEAD_BYTES;
}

static struct shared_failure *slot_failure(const struct queue *queue, int slot)
{
    return (void *)(slot_batch(queue, slot) + BATCH_MAX);
}

static uint32_t word_with(uint32_t word, enum word_state state)
{
    return (word & ~STATE_MASK) | (uint32_t)state;
}

static uint32_t word_next(uint32_t word, enum word_state state)
{
    return word_with(word + (1u << STATE_BITS), state);
}

/* --- opening ------------------------------------------------------------------------------- */

static bool is_valid(const struct queue *queue)
{
    const struct shared_head *head = queue->head;
    return head->magic == MAGIC && head->slots == QUEUE_SLOTS &&
           head->slot_bytes == QUEUE_SLOT_BYTES && head->checksum == head_checksum(head);
}

static void unmap(struct queue *queue)
{
    if (queue->map)
        munmap(queue->map, QUEUE_FILE_BYTES);
    queue->map = NULL;
    queue->head = NULL;
}

/* Maps the file if it has its length; says whether it makes sense. */
static bool map_valid(struct queue *queue)
{
    struct stat status;
    if (fstat(queue->fd, &status) < 0 || status.st_size != (off_t)QUEUE_FILE_BYTES)
        return false;
    void *map = mmap(NULL, QUEUE_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd, 0);
    if (map == MAP_FAILED)
        return false;
    queue->map = map;
    queue->head = map;
    if (is_valid(queue))
        return true;
    unmap(queue);
    return false;
}

/* Makes the file anew, under the lock that says that nobody else has it. */
static int rebuild(struct queue *queue)
{
    struct shared_head head = { .magic = MAGIC,
                                .slots = QUEUE_SLOTS,
                                .slot_bytes = QUEUE_SLOT_BYTES };
    if (getrandom(head.id, sizeof(head.id), 0) != sizeof(head.id))
        return -EIO;
    head.checksum = head_checksum(&head);
    if (ftruncate(queue->fd, 0) < 0 || ftruncate(queue->fd, (off_t)QUEUE_FILE_BYTES) < 0)
        return -errno;
    ssize_t written = pwrite(queue->fd, &head, sizeof(head), 0);
    return written == sizeof(head) ? 0 : written < 0 ? -errno : -ENOSPC;
}

/*
 * Leaves the handle with a shared lock on the file and a mapping of it.
 * -EBUSY: others hold a file that makes no sense.
 */
static int map_or_rebuild(struct queue *queue)
{
    for (int attempt = 0; attempt < MAP_ATTEMPTS_MAX; attempt++) {
        if (!lock_byte(queue->fd, F_RDLCK, IN_USE)) { /* it is being rebuilt */
            usleep(MAP_RETRY_US);
            continue;
        }
        if (map_valid(queue))
            return 0;
        if (lock_byte(queue->fd, F_WRLCK, IN_USE)) {
            int r = map_valid(queue) ? 0 : rebuild(queue);
            if (r < 0)
                return r;
            unmap(queue);
        } else { /* two who both wait for each other's shared lock would wait for ever */
            lock_byte(queue->fd, F_UNLCK, IN_USE);
            usleep((useconds_t)(MAP_RETRY_US / 2 + getpid() % MAP_RETRY_US));
        }
    }
    return -EBUSY;
}

static int open_file(struct queue *queue, const char *folder)
{
    struct stat status, parent;
    queue->fd = open(queue->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (queue->fd < 0 || fstat(queue->fd, &status) < 0 || stat(folder, &parent) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    /* Made by root in a user's folder, it must still be the user's. */
    if (status.st_uid != parent.st_uid && geteuid() == 0 &&
        fchown(queue->fd, parent.st_uid, parent.st_gid) < 0)
        return -errno;
    queue->device = status.st_dev;
    queue->inode = status.st_ino;
    return 0;
}

/* A file that others hold and that makes no sense is left to them: they will notice. */
static int open_and_map(struct queue *queue, const char *folder)
{
    int r = open_file(queue, folder);
    for (int attempt = 1; r == 0; attempt++) {
        r = map_or_rebuild(queue);
        if (r != -EBUSY || attempt == OPEN_ATTEMPTS_MAX)
            return r == -EBUSY ? 0 : r; /* the lock alone serves as well, only slower */
        close(TAKE_FD(queue->fd));
        unlink(queue->path);
        r = open_file(queue, folder);
    }
    return r;
}

int queue_open(const char *folder, struct queue **ret, struct err *err)
{
    struct queue *queue = calloc(1, sizeof(*queue));
    if (!queue || asprintf(&queue->path, "%s/%s", folder, QUEUE_FILE) < 0) {
        free(queue);
        return err_set(err, ERR_MEMORY, STEP_QUEUE, "%s", folder);
    }
    queue->fd = -1;
    queue->slot = -1;
    queue->patience_ms = QUEUE_PATIENCE_MS;
    int r = open_and_map(queue, folder);
    if (r == 0 && getrandom(queue->ticket, sizeof(queue->ticket), 0) != TICKET_BYTES)
        r = -EIO;
    if (r < 0) {
        r = err_set_errno(err, r == -EDQUOT ? ENOSPC : -r, STEP_QUEUE, "%s", queue->path);
        queue_close(queue);
        return r;
    }
    if (queue->map)
        memcpy(queue->id, queue->head->id, sizeof(queue->id));
    *ret = queue;
    return 0;
}

void queue_close(struct queue *queue)
{
    if (!queue)
        return;
    unmap(queue);
    if (queue->fd >= 0)
        close(queue->fd);
    free(queue->path);
    free(queue);
}

bool queue_is_current(const struct queue *queue)
{
    struct stat status;
    return stat(queue->path, &status) == 0 && status.st_dev == queue->device &&
           status.st_ino == queue->inode && queue->map &&
           status.st_size == (off_t)QUEUE_FILE_BYTES && is_valid(queue) &&
           memcmp(queue->head->id, queue->id, sizeof(queue->id)) == 0;
}

struct str queue_id(const struct queue *queue)
{
    return str_make((const char *)queue->id, sizeof(queue->id));
}

/* --- leading ------------------------------------------------------------------------------- */

static bool take_lock(struct queue *queue)
{
    if (flock(queue->fd, LOCK_EX | LOCK_NB) < 0)
        return false;
    queue->in_doubt = false;
    if (queue->map)
        atomic_store(&queue->head->leading, 1);
    return true;
}

/* While this is in force, those with slots do not take the lock from each other. */
static bool somebody_is_impatient(const struct queue *queue)
{
    int64_t until = queue->map ? atomic_load(&queue->head->impatient_until_ns) : 0;
    if (until == 0)
        return false;
    int64_t left = until - now_ns();
    return left > 0 && left <= IMPATIENCE_NS;
}

bool queue_try_lock(struct queue *queue)
{
    if (queue->map && atomic_load(&queue->head->leading) && !queue->in_doubt)
        return false;
    return !somebody_is_impatient(queue) && take_lock(queue);
}

void queue_set_patience(struct queue *queue, int patience_ms)
{
    queue->patience_ms = patience_ms;
}

int queue_patience(const struct queue *queue)
{
    return queue->patience_ms;
}

int queue_lock(struct queue *queue, struct err *err)
{
    int64_t end = now_ns() + (int64_t)queue->patience_ms * 1000000;
    while (!take_lock(queue)) {
        int64_t now = now_ns();
        if (now > end)
            return err_set_errno(err, EBUSY, STEP_LEDGER_WRITE,
                                 "another process has led for more than %d ms; see who has %s open",
                                 queue->patience_ms, queue->path);
        if (queue->map)
            atomic_store(&queue->head->impatient_until_ns, now + IMPATIENCE_NS);
        usleep(LOCK_RETRY_US);
    }
    if (queue->map)
        atomic_store(&queue->head->impatient_until_ns, 0);
    return 0;
}

/* Somebody whose batch came while the leader was busy is woken to lead in turn. */
static void hand_over(struct queue *queue)
{
    if (somebody_is_impatient(queue))
        return;
    for (int i = 0; i < QUEUE_SLOTS; i++) {
        if ((atomic_load(&queue->head->words[i]) & STATE_MASK) != QUEUED || i == queue->slot)
            continue;
        uint32_t counter = atomic_load(&slot_at(queue, i)->counter) % COUNTERS;
        atomic_fetch_add(&queue->head->counters[counter], 1);
        futex_wake(&queue->head->counters[counter], 1);
        return;
    }
}

void queue_wake(struct queue *queue)
{
    uint32_t to_wake = queue->to_wake;
    queue->to_wake = 0;
    for (unsigned i = 0; i < COUNTERS; i++)
        if (to_wake >> i & 1)
            futex_wake(&queue->head->counters[i], INT32_MAX);
    if (queue->map && atomic_load(&queue->head->watchers))
        futex_wake(&queue->head->commits, INT32_MAX);
}

void queue_unlock(struct queue *queue)
{
    /* Whoever queues sees this, or hand_over sees what was queued. */
    if (queue->map)
        atomic_store(&queue->head->leading, 0);
    flock(queue->fd, LOCK_UN);
    if (queue->map)
        hand_over(queue);
    queue_wake(queue);
}

static struct entry *group_add(struct queue_group *group, int slot, struct err *err)
{
    if (group->count == group->capacity) {
        size_t capacity = group->capacity ? 2 * group->capacity : GROUP_CAPACITY_MIN;
        struct entry *entries = realloc(group->entries, capacity * sizeof(*entries));
        if (!entries) {
            err_set(err, ERR_MEMORY, STEP_LEDGER_WRITE, "%zu batches wait", group->count);
            return NULL;
        }
        group->entries = entries;
        group->capacity = capacity;
    }
    struct entry *entry = &group->entries[group->count++]; /* used before: long texts stay */
    entry->bytes = STR("");
    entry->slot = slot;
    entry->in_doubt = false;
    entry->settled = false;
    entry->result = 0;
    entry->err.code = ERR_NONE;
    entry->err.where[0] = '\0';
    entry->err.cause[0] = '\0';
    entry->position = (struct ledger_position){ .sequence = -1 };
    return entry;
}

int queue_group_begin(struct queue_group *group, const struct entry *own, struct err *err)
{
    group->count = 0;
    buf_reset(&group->bytes);
    struct entry *entry = group_add(group, -1, err);
    if (!entry)
        return -ENOMEM;
    *entry = *own;
    return 0;
}

/*
 * Copies a slot's batch behind the others. One that does not match its
 * checksum stays an entry that says so and holds nothing.
 */
static int copy_slot(const struct queue *queue, struct queue_group *group, size_t index,
                     struct err *err)
{
    struct entry *entry = &group->entries[index];
    const struct shared_slot *shared = slot_at(queue, entry->slot);
    size_t len = shared->length, begin = group->bytes.len;
    uint64_t checksum = shared->checksum;
    memcpy(entry->ticket, shared->ticket, TICKET_BYTES);
    if (len > BATCH_MAX)
        len = 0;
    if (buf_add(&group->bytes, slot_batch(queue, entry->slot), len) < 0)
        return err_set(err, ERR_MEMORY, STEP_LEDGER_WRITE, "%zu batches wait", group->count);
    if (batch_checksum(entry->ticket, group->bytes.data + begin, len) != checksum) {
        buf_truncate(&group->bytes, begin);
        entry->result = -EILSEQ;
        len = 0;
    }
    entry->bytes.len = len;
    return 0;
}

/*
 * Whether the writer of a batch is gone. What it left is not let in later,
 * when nobody expects it any more. Asked only of those who wait unusually long.
 */
static bool is_orphan(const struct queue *queue, int slot)
{
    int64_t waits_ns = now_ns() - slot_at(queue, slot)->queued_ns;
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BASE + slot, .l_len = 1
    };
    if (waits_ns >= 0 && waits_ns < ALIVE_NS)
        return false;
    return fcntl(queue->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

/* Marks what is queued as taken: quickly, so that who comes later knows that it is later. */
static int take_slots(struct queue *queue, struct queue_group *group, struct err *err)
{
    for (int i = 0; i < QUEUE_SLOTS; i++) {
        uint32_t word = atomic_load(&queue->head->words[i]);
        bool taken = (word & STATE_MASK) == TAKEN;
        if ((!taken && (word & STATE_MASK) != QUEUED) || i == queue->slot)
            continue;
        bool orphan = is_orphan(queue, i);
        if (!atomic_compare_exchange_strong(&queue->head->words[i], &word,
                                            word_with(word, orphan ? IDLE : TAKEN)) ||
            orphan)
            continue; /* withdrawn, or nobody's */
        struct entry *entry = group_add(group, i, err);
        if (!entry)
            return -ENOMEM;
        entry->in_doubt = taken;
    }
    atomic_fetch_add(&queue->head->drains, 1);
    return 0;
}

static uint32_t count_queued(const struct queue *queue)
{
    uint32_t count = 0;
    for (int i = 0; i < QUEUE_SLOTS; i++)
        count += (atomic_load(&queue->head->words[i]) & STATE_MASK) == QUEUED;
    return count;
}

/*
 * One sync for all is cheaper than two for halves: whoever was answered a
 * moment ago will be back in a moment, and the last of them wakes the leader.
 */
static void gather(struct queue *queue)
{
    struct shared_head *head = queue->head;
    uint32_t active = atomic_load(&head->active), arrivals = atomic_load(&head->arrivals);
    uint32_t here = 1 + count_queued(queue);
    if (active > QUEUE_SLOTS || here >= active || somebody_is_impatient(queue))
        return;
    atomic_store(&head->wake_at, arrivals + active - here);
    atomic_store(&head->gathering, 1);
    if (atomic_load(&head->arrivals) - arrivals < active - here)
        futex_wait(&head->gathering, 1, GATHER_NS);
    atomic_store(&head->gathering, 0);
}

static void note_arrival(struct queue *queue)
{
    struct shared_head *head = queue->head;
    uint32_t arrivals = atomic_fetch_add(&head->arrivals, 1) + 1;
    if (!atomic_load(&head->gathering) || arrivals != atomic_load(&head->wake_at))
        return;
    atomic_store(&head->gathering, 0);
    futex_wake(&head->gathering, 1);
}

int queue_collect(struct queue *queue, struct queue_group *group, struct err *err)
{
    size_t first = group->count, at = 0;
    if (queue->map)
        gather(queue);
    int r = queue->map ? take_slots(queue, group, err) : 0;
    for (size_t i = first; i < group->count && r == 0; i++)
        r = copy_slot(queue, group, i, err);
    for (size_t i = first; i < group->count && r == 0; i++) { /* the copies move no more */
        group->entries[i].bytes.ptr = group->bytes.data + at;
        at += group->entries[i].bytes.len;
    }
    return r;
}

static void answer_slot(struct queue *queue, const struct entry *entry)
{
    int slot = entry->slot;
    struct shared_slot *shared = slot_at(queue, slot);
    struct shared_answer answer = { .result = entry->result,
                                    .code = entry->err.code,
                                    .sequence = entry->position.sequence };
    memcpy(answer.ticket, entry->ticket, TICKET_BYTES);
    memcpy(answer.digest, entry->position.digest, sizeof(answer.digest));
    if (entry->result < 0)
        snprintf(slot_failure(queue, slot)->where, ERR_WHERE_MAX, "%s", entry->err.where);
    if (entry->result < 0)
        snprintf(slot_failure(queue, slot)->cause, ERR_CAUSE_MAX, "%s", entry->err.cause);
    shared->answer = answer;
    shared->answer_checksum = answer_checksum(&answer, slot_failure(queue, slot));
    uint32_t word = atomic_load(&queue->head->words[slot]);
    if ((word & STATE_MASK) == TAKEN)
        atomic_compare_exchange_strong(&queue->head->words[slot], &word, word_with(word, DONE));
    queue->to_wake |= 1u << atomic_load(&shared->counter) % COUNTERS;
}

void queue_answer(struct queue *queue, const struct queue_group *group)
{
    if (!queue->map)
        return;
    for (size_t i = 1; i < group->count; i++)
        if (!group->entries[i].in_doubt || group->entries[i].result == 0)
            answer_slot(queue, &group->entries[i]);
    for (unsigned i = 0; i < COUNTERS; i++)
        if (queue->to_wake >> i & 1)
            atomic_fetch_add(&queue->head->counters[i], 1);
    atomic_fetch_add(&queue->head->commits, 1);
    atomic_store(&queue->head->active, (uint32_t)group->count + count_queued(queue));
}

void queue_group_release(struct queue_group *group)
{
    free(group->entries);
    buf_release(&group->bytes);
    *group = (struct queue_group){ .bytes = BUF_INIT_LIMIT(QUEUE_FILE_BYTES) };
}

/* --- waiting ------------------------------------------------------------------------------- */

/* Makes a slot this handle's own, with the blocks under it. */
static bool claim(struct queue *queue)
{
    for (int slot = 0; slot < QUEUE_SLOTS; slot++) { /* low numbers: few tickets to keep */
        if (!lock_byte(queue->fd, F_WRLCK, LOCK_BASE + slot))
            continue;
        off_t at = (off_t)(QUEUE_HEAD_BYTES + (size_t)slot * QUEUE_SLOT_BYTES);
        if (fallocate(queue->fd, 0, at, (off_t)QUEUE_SLOT_BYTES) < 0) {
            lock_byte(queue->fd, F_UNLCK, LOCK_BASE + slot);
            return false;
        }
        queue->slot = slot;
        queue->word = word_next(atomic_load(&queue->head->words[slot]), IDLE);
        return true;
    }
    return false;
}

/* Chooses the counter that the batch's leader will raise: this drain's if it is taken already. */
static void choose_counter(struct queue *queue, bool taken)
{
    uint32_t drain = atomic_load(&queue->head->drains) + !taken;
    queue->slept_on = drain % COUNTERS;
    queue->slept_value = atomic_load(&queue->head->counters[queue->slept_on]);
    atomic_store(&slot_at(queue, queue->slot)->counter, queue->slept_on);
}

int queue_put(struct queue *queue, struct str bytes, struct entry *ret)
{
    if (bytes.len > BATCH_MAX)
        return -EMSGSIZE;
    if (!queue->map || (queue->slot < 0 && !claim(queue)))
        return -EBUSY;
    uint64_t number;
    struct shared_slot *shared = slot_at(queue, queue->slot);
    memcpy(&number, queue->ticket, sizeof(number));
    number++;
    memcpy(queue->ticket, &number, sizeof(number));
    memcpy(ret->ticket, queue->ticket, TICKET_BYTES);
    ret->slot = queue->slot;
    queue->word = word_next(queue->word, QUEUED);
    atomic_store(&queue->head->words[queue->slot], word_with(queue->word, IDLE));
    shared->length = (uint32_t)bytes.len;
    memcpy(shared->ticket, queue->ticket, TICKET_BYTES);
    memcpy(slot_batch(queue, queue->slot), bytes.ptr, bytes.len);
    shared->checksum = batch_checksum(queue->ticket, bytes.ptr, bytes.len);
    shared->queued_ns = now_ns();
    choose_counter(queue, false);
    atomic_store(&queue->head->words[queue->slot], queue->word);
    note_arrival(queue);
    return 0;
}

static bool read_answer(const struct queue *queue, struct entry *entry)
{
    struct shared_slot *shared = slot_at(queue, queue->slot);
    struct shared_answer answer = shared->answer;
    struct shared_failure failure;
    if (answer.result < 0)
        failure = *slot_failure(queue, queue->slot);
    if (shared->answer_checksum != answer_checksum(&answer, &failure) ||
        memcmp(answer.ticket, entry->ticket, TICKET_BYTES) != 0)
        return false;
    entry->result = answer.result;
    entry->position.sequence = answer.sequence;
    memcpy(entry->position.digest, answer.digest, sizeof(answer.digest));
    entry->position.digest[sizeof(answer.digest) - 1] = '\0';
    if (answer.result < 0) {
        bool known = answer.code > ERR_NONE && answer.code <= ERR_BUDGET;
        err_set(&entry->err, known ? (enum err_code)answer.code : ERR_IO, STEP_LEDGER_WRITE, "%.*s",
                ERR_CAUSE_MAX - 1, failure.cause);
        err_where(&entry->err, "%.*s", ERR_WHERE_MAX - 1, failure.where);
    }
    return true;
}

enum queue_state queue_look(struct queue *queue, struct entry *entry)
{
    uint32_t word = atomic_load(&queue->head->words[queue->slot]);
    entry->in_doubt = word == word_with(queue->word, TAKEN);
    if (word == queue->word || entry->in_doubt)
        return QUEUE_WAITING;
    bool answered = word == word_with(queue->word, DONE) && read_answer(queue, entry);
    return answered ? QUEUE_ANSWERED : QUEUE_LOST;
}

void queue_wait(struct queue *queue)
{
    queue->in_doubt =
        !futex_wait(&queue->head->counters[queue->slept_on], queue->slept_value, NAP_NS);
    uint32_t word = atomic_load(&queue->head->words[queue->slot]);
    choose_counter(queue, (word & STATE_MASK) == TAKEN);
}

bool queue_withdraw(struct queue *queue)
{
    uint32_t word = queue->word;
    return atomic_compare_exchange_strong(&queue->head->words[queue->slot], &word,
                                          word_with(word, IDLE));
}

void queue_clear(struct queue *queue)
{
    if (!queue->map || queue->slot < 0)
        return;
    slot_at(queue, queue->slot)->checksum = 0; /* should the word come to say otherwise */
    atomic_store(&queue->head->words[queue->slot], word_with(queue->word, IDLE));
}

/* --- watching ------------------------------------------------------------------------------ */

uint32_t queue_commits(const struct queue *queue)
{
    return queue->map ? atomic_load(&queue->head->commits) : 0;
}

void queue_watch(struct queue *queue, uint32_t seen, int timeout_ms)
{
    if (!queue->map) {
        usleep((useconds_t)timeout_ms * 1000);
        return;
    }
    atomic_fetch_add(&queue->head->watchers, 1);
    futex_wait(&queue->head->commits, seen, (int64_t)timeout_ms * 1000000);
    atomic_fetch_sub(&queue->head->watchers, 1);
}

int queue_log_state(const struct queue *queue)
{
    return queue->map ? atomic_load(&queue->head->log_state) : 0;
}

void queue_set_log_state(struct queue *queue, int state)
{
    if (queue->map)
        atomic_store(&queue->head->log_state, state);
}

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
 * on being woken: every sleep ends after NAP_MS.
 *
 * Threats. Any process of the same user can write here. Lengths are checked
 * against the slot, batches and answers against checksums, states and
 * counters are only hints to look again; what a leader takes is copied before
 * it is looked at. Whatever makes no sense sends the writer to the lock and
 * the database. Who cuts the file short under those who have it mapped can
 * still end them by SIGBUS; they check its length before each use.
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

#define STEP_QUEUE        "open the ledger's queue"
#define MAGIC             UINT64_C(0x3165756575516d41) /* "AmQueue1" */
#define FILE_MODE         0600
#define LOCK_BASE         ((off_t)1 << 40) /* beyond what the file holds */
#define IN_USE            (LOCK_BASE + QUEUE_SLOTS)
#define OPEN_ATTEMPTS_MAX 50
#define OPEN_RETRY_US     2000
#define LOCK_RETRY_US     100
#define IMPATIENCE_NS     INT64_C(50000000)
#define NAP_MS            20
#define COUNTERS          8 /* a power of two */
#define GROUP_CAPACITY_MIN 16
#define CHECKSUM_SEED     UINT64_C(0x9e3779b97f4a7c15)

enum word_state { IDLE, QUEUED, TAKEN, DONE };
#define STATE_BITS 2u
#define STATE_MASK ((1u << STATE_BITS) - 1)

struct shared_head {
    uint64_t magic;
    uint32_t slots, slot_bytes;
    unsigned char id[QUEUE_ID_BYTES];
    uint64_t checksum; /* of what stands above */
    _Alignas(64) _Atomic uint32_t drains; /* how often slots have been collected */
    _Atomic uint32_t commits;
    _Atomic uint32_t watchers;
    _Atomic int32_t checkpoint_hint;
    _Atomic int64_t impatient_until_ns; /* somebody without a slot wants the lock */
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

#define BATCH_MAX (QUEUE_SLOT_BYTES - SLOT_HEAD_BYTES - sizeof(struct shared_failure))
#define SLOT_HEAD_BYTES 256

struct shared_slot {
    uint32_t length;
    _Atomic uint32_t counter; /* which one its writer sleeps on */
    unsigned char ticket[TICKET_BYTES];
    uint64_t checksum; /* of ticket and batch */
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
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen, int timeout_ms)
{
    struct timespec timeout = { timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000 };
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
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
    struct shared_head head = { .magic = MAGIC, .slots = QUEUE_SLOTS,
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
 * Leaves the handle with a shared lock on the file and a mapping of it, or
 * without a mapping where others hold a file that makes no sense.
 */
static int map_or_rebuild(struct queue *queue)
{
    for (int attempt = 0; attempt < OPEN_ATTEMPTS_MAX; attempt++) {
        if (!lock_byte(queue->fd, F_RDLCK, IN_USE)) { /* it is being rebuilt */
            usleep(OPEN_RETRY_US);
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
            usleep((useconds_t)(OPEN_RETRY_US / 2 + getpid() % OPEN_RETRY_US));
        }
    }
    return 0;
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
    int r = open_file(queue, folder);
    if (r == 0)
        r = map_or_rebuild(queue);
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

static bool take_lock(const struct queue *queue)
{
    return flock(queue->fd, LOCK_EX | LOCK_NB) == 0;
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
        if (entries)
            group->entries = entries;
        int *slots = entries ? realloc(group->slots, capacity * sizeof(*slots)) : NULL;
        if (!slots) {
            err_set(err, ERR_MEMORY, STEP_LEDGER_WRITE, "%zu batches wait", group->count);
            return NULL;
        }
        group->slots = slots;
        group->capacity = capacity;
    }
    struct entry *entry = &group->entries[group->count]; /* used before: all but long texts anew */
    entry->bytes = STR("");
    entry->has_ticket = false;
    entry->in_doubt = false;
    entry->settled = false;
    entry->result = 0;
    entry->err.code = ERR_NONE;
    entry->err.where[0] = '\0';
    entry->err.cause[0] = '\0';
    entry->position = (struct ledger_position){ .sequence = -1 };
    group->slots[group->count++] = slot;
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
    const struct shared_slot *shared = slot_at(queue, group->slots[index]);
    size_t len = shared->length, begin = group->bytes.len;
    uint64_t checksum = shared->checksum;
    memcpy(entry->ticket, shared->ticket, TICKET_BYTES);
    if (len > BATCH_MAX)
        len = 0;
    if (buf_add(&group->bytes, slot_batch(queue, group->slots[index]), len) < 0)
        return err_set(err, ERR_MEMORY, STEP_LEDGER_WRITE, "%zu batches wait", group->count);
    if (batch_checksum(entry->ticket, group->bytes.data + begin, len) != checksum) {
        buf_truncate(&group->bytes, begin);
        entry->result = -EILSEQ;
        len = 0;
    }
    entry->bytes.len = len;
    return 0;
}

/* Marks what is queued as taken: quickly, so that who comes later knows that it is later. */
static int take_slots(struct queue *queue, struct queue_group *group, struct err *err)
{
    for (int i = 0; i < QUEUE_SLOTS; i++) {
        uint32_t word = atomic_load(&queue->head->words[i]);
        bool taken = (word & STATE_MASK) == TAKEN;
        if ((!taken && (word & STATE_MASK) != QUEUED) || i == queue->slot)
            continue;
        if (!atomic_compare_exchange_strong(&queue->head->words[i], &word, word_with(word, TAKEN)))
            continue; /* withdrawn */
        struct entry *entry = group_add(group, i, err);
        if (!entry)
            return -ENOMEM;
        entry->has_ticket = true;
        entry->in_doubt = taken;
    }
    atomic_fetch_add(&queue->head->drains, 1);
    return 0;
}

int queue_collect(struct queue *queue, struct queue_group *group, struct err *err)
{
    size_t first = group->count, at = 0;
    int r = queue->map ? take_slots(queue, group, err) : 0;
    for (size_t i = first; i < group->count && r == 0; i++)
        r = copy_slot(queue, group, i, err);
    for (size_t i = first; i < group->count && r == 0; i++) { /* the copies move no more */
        group->entries[i].bytes.ptr = group->bytes.data + at;
        at += group->entries[i].bytes.len;
    }
    return r;
}

static void answer_slot(struct queue *queue, int slot, const struct entry *entry)
{
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
    for (size_t i = 0; i < group->count; i++)
        if (group->slots[i] >= 0 && !(group->entries[i].in_doubt && group->entries[i].result < 0))
            answer_slot(queue, group->slots[i], &group->entries[i]);
    for (unsigned i = 0; i < COUNTERS; i++)
        if (queue->to_wake >> i & 1)
            atomic_fetch_add(&queue->head->counters[i], 1);
    atomic_fetch_add(&queue->head->commits, 1);
}

void queue_group_release(struct queue_group *group)
{
    free(group->entries);
    free(group->slots);
    buf_release(&group->bytes);
    *group = (struct queue_group){ .bytes = BUF_INIT_LIMIT(QUEUE_FILE_BYTES) };
}

/* --- waiting ------------------------------------------------------------------------------- */

/* Makes a slot this handle's own, with the blocks under it. */
static bool claim(struct queue *queue)
{
    int first = getpid() % QUEUE_SLOTS;
    for (int i = 0; i < QUEUE_SLOTS; i++) {
        int slot = (first + i) % QUEUE_SLOTS;
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
    queue->word = word_next(queue->word, QUEUED);
    atomic_store(&queue->head->words[queue->slot], word_with(queue->word, IDLE));
    shared->length = (uint32_t)bytes.len;
    memcpy(shared->ticket, queue->ticket, TICKET_BYTES);
    memcpy(slot_batch(queue, queue->slot), bytes.ptr, bytes.len);
    shared->checksum = batch_checksum(queue->ticket, bytes.ptr, bytes.len);
    queue->slept_on = (atomic_load(&queue->head->drains) + 1) % COUNTERS;
    queue->slept_value = atomic_load(&queue->head->counters[queue->slept_on]);
    atomic_store(&shared->counter, queue->slept_on);
    atomic_store(&queue->head->words[queue->slot], queue->word);
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
        err_set(&entry->err, known ? (enum err_code)answer.code : ERR_IO, STEP_LEDGER_WRITE,
                "%.*s", ERR_CAUSE_MAX - 1, failure.cause);
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
    futex_wait(&queue->head->counters[queue->slept_on], queue->slept_value, NAP_MS);
    queue->slept_on = (atomic_load(&queue->head->drains) + 1) % COUNTERS;
    queue->slept_value = atomic_load(&queue->head->counters[queue->slept_on]);
    atomic_store(&slot_at(queue, queue->slot)->counter, queue->slept_on);
}

bool queue_withdraw(struct queue *queue)
{
    uint32_t word = queue->word;
    return atomic_compare_exchange_strong(&queue->head->words[queue->slot], &word,
                                          word_with(word, IDLE));
}

void queue_clear(struct queue *queue)
{
    if (queue->map && queue->slot >= 0)
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
    futex_wait(&queue->head->commits, seen, timeout_ms);
    atomic_fetch_sub(&queue->head->watchers, 1);
}

int queue_checkpoint_hint(const struct queue *queue)
{
    return queue->map ? atomic_load(&queue->head->checkpoint_hint) : 0;
}

void queue_set_checkpoint_hint(struct queue *queue, int frames)
{
    if (queue->map)
        atomic_store(&queue->head->checkpoint_hint, frames);
}

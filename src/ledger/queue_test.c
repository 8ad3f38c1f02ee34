#include "ledger/queue.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "ledger/proof.h"
#include "ledger/testing.h"

static int count_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    (void)sequence;
    (void)json;
    (void)err;
    ++*(int *)context;
    return 0;
}

/* How many events an operation has. */
static int count_of(struct ledger *ledger, const char *operation)
{
    struct err err = { 0 };
    int count = 0;
    CHECK_OK(ledger_each_event(ledger, 0, str_from(operation), count_event, &count, &err));
    return count;
}

/* --- files that make no sense -------------------------------------------------------------- */

static void write_at(const struct folder *folder, long at, const void *bytes, size_t len)
{
    _cleanup_(cleanup_close) int fd = open(folder_file(folder, QUEUE_FILE), O_RDWR | O_CLOEXEC);
    CHECK(pwrite(fd, bytes, len, at) == (ssize_t)len);
}

TEST(queue_file_that_makes_no_sense_is_rebuilt_when_nobody_has_it)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    static unsigned char noise[20000];
    ledger_close(ledger_of(&folder, LEDGER_CREATE));
    for (int i = 0; i < 8; i++) {
        const char *path = folder_file(&folder, QUEUE_FILE);
        CHECK_INT(getrandom(noise, sizeof(noise), 0), sizeof(noise));
        switch (i) {
        case 0:
            CHECK_INT(truncate(path, 0), 0);
            break;
        case 1:
            CHECK_INT(truncate(path, 100), 0);
            break;
        case 2:
            CHECK_INT(truncate(path, (off_t)QUEUE_FILE_BYTES + 1), 0);
            break;
        case 3:
            write_at(&folder, 0, noise, 64);
            break;
        case 4: /* the states of the slots, and the slots */
            write_at(&folder, 64, noise, sizeof(noise));
            break;
        case 5: /* another id, which its checksum does not fit */
            write_at(&folder, 16, noise, 16);
            break;
        case 6:
            CHECK_INT(unlink(path), 0);
            break;
        default:
            break;
        }
        struct ledger *ledger = ledger_of(&folder, LEDGER_WRITE);
        CHECK_OK(commit_event(ledger, "one", "", NULL, &err));
        CHECK_INT(size_of(ledger), i + 1);
        ledger_close(ledger);
    }
    folder_remove(&folder);
}

/* Writes noise all over the file, again and again. */
static void scribble(const struct folder *folder, const volatile int *stop)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd = open(folder_file(folder, QUEUE_FILE), O_RDWR | O_CLOEXEC);
    NEED(fd >= 0 && fstat(fd, &status) == 0);
    while (!*stop) {
        unsigned char noise[256];
        uint32_t at;
        NEED(getrandom(noise, sizeof(noise), 0) == sizeof(noise));
        memcpy(&at, noise, sizeof(at));
        /* Mostly the head and the first slots, where something stands. */
        off_t place = at % 3 ? at % 8192 : at % (uint32_t)(QUEUE_FILE_BYTES - sizeof(noise));
        NEED(pwrite(fd, noise, at % sizeof(noise), place) >= 0);
        usleep(200);
    }
}

TEST(noise_in_the_queue_neither_hangs_nor_ends_nor_deceives_a_writer)
{
    enum { WRITERS = 12, EVENTS = 60 };
    struct folder folder = folder_make();
    struct err err = { 0 };
    volatile int *stop =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    CHECK_OK(commit_event(ledger, "zero", "", NULL, &err));
    fflush(stdout);
    pid_t scribbler = fork();
    if (scribbler == 0) {
        scribble(&folder, stop);
        _exit(0);
    }
    for (int i = 0; i < WRITERS; i++) {
        if (fork() != 0)
            continue;
        struct ledger *mine = ledger_of(&folder, LEDGER_WRITE);
        char name[32];
        snprintf(name, sizeof(name), "writer-%d", i);
        for (int j = 0; j < EVENTS; j++) {
            struct ledger_position position;
            NEED_OK(commit_event(mine, name, name, &position, &err));
            NEED(position.sequence > 0);
        }
        ledger_close(mine);
        _exit(0);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        pid_t ended = wait(&status);
        CHECK(ended != scribbler);
        CHECK_INT(status, 0);
    }
    *stop = 1;
    CHECK_INT(wait_for_children(), 0);
    CHECK_INT(size_of(ledger), 1 + WRITERS * EVENTS);
    for (int i = 0; i < WRITERS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "writer-%d", i);
        CHECK_INT(count_of(ledger, name), EVENTS);
    }
    CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    ledger_close(ledger);
    munmap((void *)stop, 4096);
    folder_remove(&folder);
}

TEST(queue_that_is_removed_under_its_writers_is_made_anew)
{
    enum { WRITERS = 6, EVENTS = 60 };
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    fflush(stdout);
    for (int i = 0; i < WRITERS; i++) {
        if (fork() != 0)
            continue;
        struct ledger *mine = ledger_of(&folder, LEDGER_WRITE);
        for (int j = 0; j < EVENTS; j++)
            NEED_OK(commit_event(mine, "e", "", NULL, &err));
        ledger_close(mine);
        _exit(0);
    }
    for (int i = 0; i < 20; i++) {
        unlink(folder_file(&folder, QUEUE_FILE));
        usleep(5000);
    }
    CHECK_INT(wait_for_children(), 0);
    CHECK_INT(size_of(ledger), WRITERS * EVENTS);
    CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    ledger_close(ledger);
    folder_remove(&folder);
}

/* --- leaders that die ---------------------------------------------------------------------- */

enum death {
    DEATH_BEFORE_TAKING,
    DEATH_AFTER_TAKING,
    DEATH_AFTER_COMMIT,
    DEATH_AFTER_ANSWER,
};

/* Leads like group.c, up to some point, and dies there with the lock. */
static void lead_and_die(const struct folder *folder, enum death death, size_t batches, int ready)
{
    struct err err = { 0 };
    struct queue *queue = NULL;
    struct entry own = { .bytes = STR(""), .slot = -1 };
    struct queue_group group = { .bytes = BUF_INIT };
    struct ledger *ledger = ledger_of(folder, LEDGER_WRITE);
    NEED_OK(queue_open(folder->path, &queue, &err));
    NEED_OK(queue_lock(queue, &err));
    NEED(write(ready, "x", 1) == 1);
    if (death == DEATH_BEFORE_TAKING)
        usleep(50000);
    while (death != DEATH_BEFORE_TAKING && group.count < 1 + batches) {
        NEED_OK(queue_group_begin(&group, &own, &err));
        NEED_OK(queue_collect(queue, &group, &err));
        usleep(1000);
    }
    if (death >= DEATH_AFTER_COMMIT)
        NEED_OK(commit_entries(ledger, queue_id(queue), group.entries, group.count, &err));
    if (death == DEATH_AFTER_ANSWER)
        queue_answer(queue, &group);
    raise(SIGKILL);
}

TEST(leader_that_dies_at_any_step_leaves_every_writer_with_the_truth)
{
    enum { WRITERS = 5 };
    for (int death = DEATH_BEFORE_TAKING; death <= DEATH_AFTER_ANSWER; death++) {
        struct folder folder = folder_make();
        struct err err = { 0 };
        int ready[2], status;
        char byte;
        struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
        CHECK_OK(commit_event(ledger, "zero", "", NULL, &err));
        CHECK_INT(pipe(ready), 0);
        fflush(stdout);
        pid_t leader = fork();
        if (leader == 0)
            lead_and_die(&folder, (enum death)death, WRITERS, ready[1]);
        CHECK_INT(read(ready[0], &byte, 1), 1);
        for (int i = 0; i < WRITERS; i++) {
            if (fork() != 0)
                continue;
            struct ledger *mine = ledger_of(&folder, LEDGER_WRITE);
            struct ledger_batch *batch = batch_of();
            struct ledger_position position;
            char name[32];
            snprintf(name, sizeof(name), "writer-%d", i);
            /* With a key, so that a second commit of the same batch would be refused. */
            NEED_OK(ledger_put_key(batch, STR("once"), str_from(name), STR(""), &err));
            NEED_OK(add_event(batch, name, name, &err));
            NEED_OK(commit_batch(mine, batch, &position, &err));
            NEED(position.sequence > 0 && strlen(position.digest) == DIGEST_TEXT_SIZE - 1);
            ledger_close(mine);
            _exit(0);
        }
        int failed = 0;
        for (int i = 0; i < WRITERS + 1; i++) {
            if (wait(&status) == leader)
                CHECK_INT(WTERMSIG(status), SIGKILL);
            else
                failed += status != 0;
        }
        CHECK_INT(failed, 0);
        CHECK_INT(size_of(ledger), 1 + WRITERS);
        for (int i = 0; i < WRITERS; i++) {
            char name[32];
            snprintf(name, sizeof(name), "writer-%d", i);
            CHECK_INT(count_of(ledger, name), 1);
        }
        CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
        ledger_close(ledger);
        close(ready[0]);
        close(ready[1]);
        folder_remove(&folder);
    }
}

TEST(stuck_leader_is_a_typed_error_that_says_what_is_known)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct queue *other = NULL;
    struct entry own = { .bytes = STR(""), .slot = -1 };
    struct queue_group group = { .bytes = BUF_INIT };
    CHECK_OK(commit_event(ledger, "one", "", NULL, &err));
    CHECK_OK(queue_open(folder.path, &other, &err));
    CHECK_OK(queue_lock(other, &err));
    queue_set_patience(ledger->queue, 100);
    CHECK_INT(commit_event(ledger, "two", "", NULL, &err), -EBUSY);
    CHECK(strstr(err.cause, "nothing of this was written"));
    CHECK_OK(queue_group_begin(&group, &own, &err));
    CHECK_OK(queue_collect(other, &group, &err));
    CHECK_INT(group.count, 1); /* it was withdrawn */
    queue_unlock(other);
    CHECK_OK(commit_event(ledger, "two", "", NULL, &err));
    CHECK_INT(size_of(ledger), 2);
    queue_group_release(&group);
    queue_close(other);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(slot_of_a_writer_that_was_killed_is_used_again_and_its_batch_left_out)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    CHECK_OK(commit_event(ledger, "zero", "", NULL, &err));
    CHECK_OK(queue_lock(ledger->queue, &err));
    enum { KILLED = 600 }; /* more than there are slots */
    for (int i = 0; i < KILLED; i++) {
        struct queue *queue = NULL;
        struct entry entry = { 0 };
        struct ledger_batch *batch = batch_of();
        CHECK_OK(queue_open(folder.path, &queue, &err));
        CHECK_OK(add_event(batch, "killed", "", &err));
        CHECK_INT(queue_put(queue, buf_str(&batch->bytes), &entry), 0);
        ledger_batch_free(batch);
        queue_close(queue); /* frees the slot as a death does, and leaves the batch in it */
    }
    usleep(10000);
    queue_unlock(ledger->queue);
    CHECK_OK(commit_event(ledger, "after", "", NULL, &err));
    CHECK_INT(size_of(ledger), 2); /* what was left is not let in any more */
    CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(batch_without_a_slot_is_not_starved_by_those_with_one)
{
    enum { WRITERS = 8 };
    struct folder folder = folder_make();
    struct err err = { 0 };
    volatile int *stop =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    fflush(stdout);
    for (int i = 0; i < WRITERS; i++) {
        if (fork() != 0)
            continue;
        struct ledger *mine = ledger_of(&folder, LEDGER_WRITE);
        while (!*stop)
            NEED_OK(commit_event(mine, "small", "", NULL, &err));
        ledger_close(mine);
        _exit(0);
    }
    static char large[QUEUE_SLOT_BYTES];
    memset(large, 'x', sizeof(large));
    usleep(50000);
    for (int i = 0; i < 10; i++) {
        struct ledger_batch *batch = batch_of();
        CHECK_OK(ledger_put_document(batch, STR("T"), STR("large"), STR(""),
                                     str_make(large, sizeof(large)), LEDGER_ANY, &err));
        queue_set_patience(ledger->queue, 5000);
        CHECK_OK(commit_batch(ledger, batch, NULL, &err));
    }
    *stop = 1;
    CHECK_INT(wait_for_children(), 0);
    munmap((void *)stop, 4096);
    ledger_close(ledger);
    folder_remove(&folder);
}

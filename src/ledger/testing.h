/* testing: what the tests of this room share. */
#ifndef AM_LEDGER_TESTING_H
#define AM_LEDGER_TESTING_H

#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/test.h"
#include "ledger/ledger.h"

#define FOLDER_MAX 256

struct folder {
    char path[FOLDER_MAX];
};

static inline struct folder folder_make(void)
{
    const char *parent = getenv("TMPDIR");
    struct folder folder;
    snprintf(folder.path, sizeof(folder.path), "%s/agent-machine-test-XXXXXX",
             parent ? parent : "/tmp");
    if (!mkdtemp(folder.path))
        test_fail(__FILE__, __LINE__, "mkdtemp %s: %s", folder.path, strerror(errno));
    return folder;
}

static inline int folder_remove_entry(const char *path, const struct stat *status, int type,
                                      struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static inline void folder_remove(struct folder *folder)
{
    nftw(folder->path, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in the folder, in one of a few static buffers. */
static inline const char *folder_file(const struct folder *folder, const char *name)
{
    static char paths[4][2 * FOLDER_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder->path, name);
    return path;
}

/* Checks that a call succeeded, and shows its error where it did not. */
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        int result_ = (call);                                                                      \
        if (result_ < 0)                                                                           \
            test_fail(__FILE__, __LINE__, "%s: %d, %s: %s: %s", #call, result_, err_id(err.code),  \
                      err.where, err.cause);                                                       \
    } while (0)

/* The same in a child process, which ends with status 1 where one fails. */
#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: in a child: %s\n", __FILE__, __LINE__, #condition);                     \
            fflush(stdout);                                                                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define NEED_OK(call)                                                                              \
    do {                                                                                           \
        int result_ = (call);                                                                      \
        if (result_ < 0) {                                                                         \
            printf("%s:%d: in a child: %s: %d, %s: %s: %s\n", __FILE__, __LINE__, #call, result_,  \
                   err_id(err.code), err.where, err.cause);                                        \
            fflush(stdout);                                                                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static inline struct ledger *ledger_of(const struct folder *folder, enum ledger_mode mode)
{
    struct err err = { 0 };
    struct ledger *ledger = NULL;
    CHECK_OK(ledger_open(folder->path, mode, &ledger, &err));
    return ledger;
}

static inline struct ledger_batch *batch_of(void)
{
    struct err err = { 0 };
    struct ledger_batch *batch = NULL;
    CHECK_OK(ledger_batch_new(&batch, &err));
    return batch;
}

/* Adds an event "urn:…:NAME" of an operation (which may be empty). */
static inline int add_event(struct ledger_batch *batch, const char *name, const char *operation,
                            struct err *err)
{
    struct buf json = BUF_INIT;
    buf_addf(&json,
             "{\"id\":\"urn:srcos:operation-event:%s\",\"type\":\"OperationEvent\","
             "\"specVersion\":\"1.0.0\",\"occurredAt\":\"2026-11-20T09:05:20.101Z\","
             "\"eventType\":\"progress\",\"actorRef\":\"urn:srcos:user:ada\"",
             name);
    if (operation[0])
        buf_addf(&json, ",\"operationRef\":\"%s\"", operation);
    buf_add_text(&json, "}");
    int r = ledger_add_event(batch, buf_str(&json), err);
    buf_release(&json);
    return r;
}

/* Commits a batch and frees it. */
static inline int commit_batch(struct ledger *ledger, struct ledger_batch *batch,
                               struct ledger_position *ret, struct err *err)
{
    int r = ledger_commit(ledger, batch, ret, err);
    ledger_batch_free(batch);
    return r;
}

static inline int commit_event(struct ledger *ledger, const char *name, const char *operation,
                               struct ledger_position *ret, struct err *err)
{
    struct ledger_batch *batch = batch_of();
    int r = add_event(batch, name, operation, err);
    if (r == 0)
        return commit_batch(ledger, batch, ret, err);
    ledger_batch_free(batch);
    return r;
}

/* `count` events, alternating between two operations, in batches of several. */
static inline void fill_ledger(struct ledger *ledger, int count)
{
    struct err err = { 0 };
    for (int i = 0; i < count;) {
        struct ledger_batch *batch = batch_of();
        for (int j = 0; j < 50 && i < count; j++, i++) {
            char name[32];
            snprintf(name, sizeof(name), "filled-%d", i);
            CHECK_OK(add_event(batch, name,
                               i % 2 ? "urn:srcos:workspace-operation:odd"
                                     : "urn:srcos:workspace-operation:even",
                               &err));
        }
        CHECK_OK(commit_batch(ledger, batch, NULL, &err));
    }
}

static inline int64_t size_of(struct ledger *ledger)
{
    struct err err = { 0 };
    int64_t size = -1;
    CHECK_OK(ledger_size(ledger, &size, &err));
    return size;
}

/* Waits for every child; how many ended with another status than 0. */
static inline int wait_for_children(void)
{
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return failed;
}

#endif

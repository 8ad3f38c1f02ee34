/*
 * logs: what a run has printed, as it was kept.
 *
 * Following waits for the folder's notices, and for the end of a connection to
 * the run's supervisor, which is the end of the run.
 */
#include <poll.h>
#include <sys/inotify.h>

#include "cmd/runs.h"
#include "cmd/tell.h"
#include "machine/control.h"
#include "machine/run_log.h"
#include "plane/state.h"

#define STEP_LOGS    "read a run's log"
#define PIECE_BYTES  ((size_t)64 << 10)
#define NOTICE_BYTES 4096

enum { LOGS_FOLLOW };

static const struct option_row logs_options[] = {
    [LOGS_FOLLOW] = { "follow", 'f', NULL, "go on until the run has ended" },
};

struct reader {
    const char *folder;
    int log;        /* -1: there is none yet */
    int notices;    /* of the folder */
    int supervisor; /* a connection that ends with the run */
};

/* 1 where nobody reads any more. */
static int print_rest(struct reader *reader, struct err *err)
{
    char path[PLACE_SIZE + sizeof(RUN_LOG_NAME) + 1], bytes[PIECE_BYTES];
    ssize_t got = 0;
    snprintf(path, sizeof(path), "%s/" RUN_LOG_NAME, reader->folder);
    if (reader->log < 0)
        reader->log = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (reader->log < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, STEP_LOGS, "%s", path);
    while ((got = read(reader->log, bytes, sizeof(bytes))) > 0)
        if (fwrite(bytes, 1, (size_t)got, stdout) < (size_t)got)
            return 1;
    if (got < 0)
        return err_set_errno(err, errno, STEP_LOGS, "%s", path);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int follow(struct reader *reader, struct err *err)
{
    char notices[NOTICE_BYTES];
    struct pollfd polls[] = { { .fd = reader->notices, .events = POLLIN },
                              { .fd = reader->supervisor, .events = POLLIN },
                              { .fd = STDOUT_FILENO } }; /* whose reader may go */
    while (!polls[1].revents && !polls[2].revents) {
        int r = print_rest(reader, err);
        if (r != 0)
            return r;
        if (poll(polls, ARRAY_LEN(polls), -1) < 0 && errno != EINTR)
            return err_set_errno(err, errno, STEP_LOGS, "cannot wait");
        if (polls[0].revents && read(reader->notices, notices, sizeof(notices)) < 0)
            return err_set_errno(err, errno, STEP_LOGS, "cannot read notices of %s",
                                 reader->folder);
    }
    return print_rest(reader, err);
}

/* The notices are asked for before the log is read the first time, so that nothing is missed. */
static int open_following(struct reader *reader, struct err *err)
{
    reader->notices = inotify_init1(IN_CLOEXEC);
    if (reader->notices < 0 ||
        inotify_add_watch(reader->notices, reader->folder, IN_MODIFY | IN_CREATE) < 0)
        return err_set_errno(err, errno, STEP_LOGS, "cannot watch %s", reader->folder);
    return control_connect(reader->folder, &reader->supervisor, err);
}

static int read_log(const struct runs_one *run, bool following, struct err *err)
{
    struct reader reader = { .folder = run->folder, .log = -1, .notices = -1, .supervisor = -1 };
    struct err ended;
    bool alive = following && !state_is_end(run->state) && open_following(&reader, &ended) == 0;
    int r = alive ? follow(&reader, err) : print_rest(&reader, err);
    if (r == 0 && reader.log < 0)
        fprintf(stderr, "agent-machine: the run has printed nothing that was kept\n");
    cleanup_close(&reader.log);
    cleanup_close(&reader.notices);
    cleanup_close(&reader.supervisor);
    return r < 0 ? r : 0;
}

static int run_logs(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct runs_one run = { 0 };
    struct err err = { 0 };
    int r = runs_open(&plane, &err);
    if (r == 0)
        r = runs_find(plane, invocation->operands[0], &run, &err);
    plane_close(TAKE_PTR(plane)); /* a follower may stay for long */
    if (r == 0)
        r = read_log(&run, invocation->values[LOGS_FOLLOW], &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

const struct verb verb_logs = {
    .name = "logs",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "Print what a run has printed",
    .description =
        "Prints what a run's command has printed, output and errors in the order in which they "
        "came, with what looks like a secret masked. It is kept where the profile says so "
        "(evidence.retainOutput), up to the profile's limit. The id may be cut short, as long as "
        "it is one run's.",
    .options = logs_options,
    .option_count = ARRAY_LEN(logs_options),
    .run = run_logs,
};

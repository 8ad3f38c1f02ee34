/*
 * run_log: see the header.
 *
 * Theory of operation. Each channel has a redactor of its own, and both have
 * one scanner; what comes out of them goes to the file and into its digest, so
 * that what is recorded is the digest of the file as it lies there. The
 * redactor holds back a line that is not whole, since a secret may go on in
 * it. A prompt would be held for as long as somebody thinks about it; so a
 * line that nothing was added to for a while is written as it is: soon where
 * it ends in a blank or a mark, and later where it ends in the middle of a
 * word, which a secret could be.
 *
 * Threats. A command that wants to keep a secret from the scanner can: it
 * knows it, and may write it backwards. So can one that stops for seconds in
 * the middle of one. The log is the user's alone for that reason too.
 *
 * Limits. The file is at most as long as the plan's output limit. It is not
 * made durable for itself: after a crash of the host its digest tells whether
 * it is whole.
 */
#include "machine/run_log.h"

#include "base/clock.h"

#define STEP_LOG      "keep a run's output"
#define QUIET_MS      200  /* for the rest of a line that ends between words */
#define QUIET_WORD_MS 2000 /* in one */

struct channel {
    struct redactor *redactor;
    int64_t due_ms; /* 0: its last line is whole */
};

struct run_log {
    char *path;
    int64_t room; /* bytes */
    int fd;       /* -1: nothing has come yet */
    bool ended;   /* no more is kept */
    bool truncated;
    struct redact_scanner *scanner;
    struct digest_stream *digest;
    struct channel channels[RUN_LOG_CHANNELS];
};

int run_log_new(const char *folder, int64_t bytes_max, struct run_log **ret, struct err *err)
{
    struct run_log *log = calloc(1, sizeof(*log));
    if (!log || asprintf(&log->path, "%s/" RUN_LOG_NAME, folder) < 0) {
        free(log);
        return err_set(err, ERR_MEMORY, STEP_LOG, "there is not enough memory");
    }
    log->room = bytes_max;
    log->fd = -1;
    *ret = log;
    return 0;
}

void run_log_free(struct run_log *log)
{
    if (!log)
        return;
    for (size_t i = 0; i < RUN_LOG_CHANNELS; i++)
        redactor_free(log->channels[i].redactor);
    redact_scanner_free(log->scanner);
    digest_stream_free(log->digest);
    cleanup_close(&log->fd);
    free(log->path);
    free(log);
}

static void give_up(struct run_log *log)
{
    log->ended = log->truncated = true;
    for (size_t i = 0; i < RUN_LOG_CHANNELS; i++)
        log->channels[i].due_ms = 0;
}

/* The sink of both redactors. */
static int keep(void *context, struct str bytes, struct err *err)
{
    struct run_log *log = context;
    while (bytes.len) {
        size_t len = (int64_t)bytes.len > log->room ? (size_t)log->room : bytes.len;
        ssize_t written = len ? write(log->fd, bytes.ptr, len) : 0;
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_set_errno(err, errno, STEP_LOG, "%s", log->path);
        if (written == 0)
            return err_set(err, ERR_LIMIT, STEP_LOG, "%s is full", log->path);
        digest_stream_add(log->digest, str_make(bytes.ptr, (size_t)written));
        log->room -= written;
        bytes = str_from_offset(bytes, (size_t)written);
    }
    return 0;
}

static int begin(struct run_log *log, struct err *err)
{
    int r = redact_scanner_new(&log->scanner, err);
    for (size_t i = 0; i < RUN_LOG_CHANNELS && r == 0; i++)
        r = redactor_new(log->scanner, keep, log, &log->channels[i].redactor, err);
    if (r == 0)
        r = digest_stream_new(DIGEST_SHA256, &log->digest, err);
    if (r < 0)
        return r;
    log->fd = open(log->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    return log->fd < 0 ? err_set_errno(err, errno, STEP_LOG, "%s", log->path) : 0;
}

static bool is_of_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("_-+/=.%~", c);
}

void run_log_add(struct run_log *log, size_t channel, struct str bytes)
{
    struct channel *to = &log->channels[channel];
    struct err lost;
    if (log->ended || bytes.len == 0)
        return;
    if ((log->fd < 0 && begin(log, &lost) < 0) || redactor_feed(to->redactor, bytes, &lost) < 0) {
        give_up(log);
        return;
    }
    char last = bytes.ptr[bytes.len - 1];
    to->due_ms =
        last == '\n' ? 0 : clock_passed_ms() + (is_of_word(last) ? QUIET_WORD_MS : QUIET_MS);
}

int64_t run_log_due(const struct run_log *log)
{
    int64_t due = 0;
    for (size_t i = 0; i < RUN_LOG_CHANNELS; i++)
        if (log->channels[i].due_ms && (!due || log->channels[i].due_ms < due))
            due = log->channels[i].due_ms;
    return due;
}

static void flush(struct run_log *log, struct channel *channel)
{
    struct err lost;
    channel->due_ms = 0;
    if (redactor_end(channel->redactor, &lost) < 0)
        give_up(log);
}

void run_log_flush(struct run_log *log, int64_t now_ms)
{
    for (size_t i = 0; i < RUN_LOG_CHANNELS; i++)
        if (log->channels[i].due_ms && log->channels[i].due_ms <= now_ms)
            flush(log, &log->channels[i]);
}

void run_log_finish(struct run_log *log, struct run_log_end *ret)
{
    unsigned char digest[DIGEST_BYTES];
    for (size_t i = 0; i < RUN_LOG_CHANNELS && log->fd >= 0 && !log->ended; i++)
        flush(log, &log->channels[i]);
    log->ended = true;
    *ret = (struct run_log_end){ .kept = log->fd >= 0, .truncated = log->truncated };
    if (!ret->kept)
        return;
    digest_stream_end(log->digest, digest);
    digest_write(digest, ret->digest);
    for (size_t i = 0; i < RUN_LOG_CHANNELS; i++)
        for (enum redact_kind kind = 0; kind < REDACT_KIND_COUNT; kind++)
            ret->masked[kind] += redactor_count_of_kind(log->channels[i].redactor, kind);
}

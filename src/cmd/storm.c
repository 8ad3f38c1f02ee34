/*
 * storm: a log told as a bounded number of storms.
 *
 * One loop reads, and in between tells what changed: at the end of the input,
 * or, while following, whenever a window has passed.
 */
#include "cmd/storm.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/tell.h"
#include "doctor/storm_follow.h"
#include "doctor/storm_reader.h"

#define STEP             "read a log"
#define READ_BYTES       ((size_t)128 << 10) /* still in the cache when it is looked at */
#define GROUPS_BYTES_MAX ((size_t)1 << 30)
#define GROUPS_MAX       65536
#define TOP_DEFAULT      20
#define LOOK_MS          1000 /* between looks at a file that cannot be watched */
#define NUMBER_MAX       1000000000ull

extern char **environ;

enum {
    OPTION_FOLLOW,
    OPTION_JOURNAL,
    OPTION_JSON,
    OPTION_GROUPS,
    OPTION_PASS,
    OPTION_POLICY,
    OPTION_RATE,
    OPTION_WINDOW,
    OPTION_APART,
    OPTION_CALL,
    OPTION_LINK,
    OPTION_SIGNATURES,
    OPTION_TOP,
    OPTION_LEAST,
    OPTION_COMPONENT,
};

static const struct option_row options[] = {
    [OPTION_FOLLOW] = { "follow", 'f', NULL, "go on as the log grows; tell what changes" },
    [OPTION_JOURNAL] = { "journal", 0, NULL, "read this machine's journal (journalctl)" },
    [OPTION_JSON] = { "json", 'j', NULL, "print a DiagnosticStormRecord for each line" },
    [OPTION_GROUPS] = { "groups", 0, NULL, "read lines without header; print each one's group" },
    [OPTION_PASS] = { "pass", 'p', NULL, "print the lines that the policy lets through" },
    [OPTION_POLICY] = { "policy", 0, "POLICY",
                        "none, deduplicate, summarize, suppress, quarantine or escalate" },
    [OPTION_RATE] = { "rate", 0, "N", "events in a window that are no storm yet (10)" },
    [OPTION_WINDOW] = { "window", 0, "SECONDS", "the window (10)" },
    [OPTION_APART] = { "apart", 0, "FILE", "where quarantined lines are appended" },
    [OPTION_CALL] = { "call", 0, "COMMAND", "run when a storm escalates; its line on stdin" },
    [OPTION_LINK] = { "link", 0, "SECONDS", "how long a denial may explain a failure (30)" },
    [OPTION_SIGNATURES] = { "signatures", 0, "N", "how many are kept at a time (4096)" },
    [OPTION_TOP] = { "top", 0, "N", "rows of the table (20)" },
    [OPTION_LEAST] = { "least", 0, "N", "leave out storms with fewer events (1)" },
    [OPTION_COMPONENT] = { "component", 0, "NAME", "the component of lines that name none" },
};
static_assert(ARRAY_LEN(options) <= VERB_OPTIONS_MAX, "a verb has room for its options");

struct run {
    const struct invocation *invocation;
    struct storm_config config;
    struct storm_output output;
    struct storm *storm;
    struct storm_reader *reader;
    char *bytes;
    int signals; /* readable when it is to end; -1 where nothing is followed */
    bool follows;
    bool ended;
    int64_t told_ms;
};

/* --- options -------------------------------------------------------------------------------- */

static int number_option(const struct run *run, int option, uint64_t least, uint64_t *ret,
                         struct err *err)
{
    const char *text = run->invocation->values[option];
    char *end = NULL;
    if (!text)
        return 0;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || number < least || number > NUMBER_MAX)
        return err_set(err, ERR_USAGE, STEP, "--%s has to be a number from %llu to %llu",
                       options[option].name, (unsigned long long)least, NUMBER_MAX);
    *ret = number;
    return 0;
}

static int policy_option(struct run *run, struct err *err)
{
    const char *name = run->invocation->values[OPTION_POLICY];
    if (!name)
        return 0;
    for (size_t i = 0; i < STORM_POLICY_COUNT; i++) {
        if (strcmp(storm_policy_names[i], name) == 0) {
            run->config.policy = (enum storm_policy)i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, STEP,
                   "--policy is none, deduplicate, summarize, suppress, quarantine or escalate");
}

static int read_options(struct run *run, struct err *err)
{
    const char *const *values = run->invocation->values;
    uint64_t signatures = run->config.signatures_max, rate = run->config.rate;
    uint64_t window = 10, link = 30;
    int r = policy_option(run, err);
    if (r == 0)
        r = number_option(run, OPTION_SIGNATURES, STORM_SIGNATURES_MIN, &signatures, err);
    if (r == 0)
        r = number_option(run, OPTION_RATE, 1, &rate, err);
    if (r == 0)
        r = number_option(run, OPTION_WINDOW, 1, &window, err);
    if (r == 0)
        r = number_option(run, OPTION_LINK, 0, &link, err);
    if (r == 0)
        r = number_option(run, OPTION_TOP, 1, &run->output.top, err);
    if (r == 0)
        r = number_option(run, OPTION_LEAST, 1, &run->output.count_min, err);
    if (r < 0)
        return r;
    if (values[OPTION_JSON] && values[OPTION_PASS])
        return err_set(err, ERR_USAGE, STEP, "--json and --pass exclude one another");
    run->config.signatures_max = signatures;
    run->config.rate = rate;
    run->config.window_ms = (int64_t)window * 1000;
    run->config.link_window_ms = (int64_t)link * 1000;
    if (values[OPTION_COMPONENT] && values[OPTION_COMPONENT][0])
        run->config.component = values[OPTION_COMPONENT];
    run->follows = values[OPTION_FOLLOW] != NULL;
    run->output.call = values[OPTION_CALL];
    run->output.telling = values[OPTION_JSON]   ? TELL_JSON
                          : values[OPTION_PASS] ? TELL_PASS
                                                : TELL_TABLE;
    return 0;
}

static int open_run(struct run *run, struct err *err)
{
    const char *apart = run->invocation->values[OPTION_APART];
    int r = redact_scanner_new(&run->output.scanner, err);
    run->config.evicted = storm_tell_evicted;
    run->config.context = &run->output;
    run->output.to_terminal = isatty(STDOUT_FILENO);
    if (r == 0)
        r = storm_new(&run->config, &run->storm, err);
    if (r == 0)
        r = storm_reader_new(run->storm, storm_tell_line, &run->output, &run->reader, err);
    if (r < 0)
        return r;
    storm_set_now(run->storm, clock_now_ms());
    run->output.told = calloc(run->config.signatures_max, sizeof(*run->output.told));
    run->bytes = malloc(READ_BYTES);
    if (!run->output.told || !run->bytes)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    if (run->config.policy != STORM_NONE)
        r = storm_keep_open(&run->config, &run->output.keep, err);
    if (r < 0)
        return r;
    if (apart && !(run->output.apart = fopen(apart, "ae")))
        return err_set_errno(err, errno, STEP, "%s", apart);
    return 0;
}

static void close_run(struct run *run)
{
    storm_reader_free(run->reader);
    storm_free(run->storm);
    redact_scanner_free(run->output.scanner);
    storm_keep_close(run->output.keep);
    free(run->output.told);
    free(run->bytes);
    if (run->output.apart)
        fclose(run->output.apart);
    if (run->signals >= 0)
        close(run->signals);
}

/* --- reading -------------------------------------------------------------------------------- */

/* Waits for bytes, the end of a window, or a signal; says whether there may be bytes. */
static bool wait_for(struct run *run, int fd)
{
    int64_t left_ms = run->told_ms + run->config.window_ms - clock_now_ms();
    struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
                            { .fd = run->signals, .events = POLLIN } };
    left_ms = left_ms < 0 ? 0 : left_ms;
    left_ms = fd < 0 && left_ms > LOOK_MS ? LOOK_MS : left_ms;
    int n = poll(fds, ARRAY_LEN(fds), (int)(left_ms < INT32_MAX ? left_ms : INT32_MAX));
    run->ended |= n > 0 && fds[1].revents;
    return n > 0 && fds[0].revents;
}

static int tell_when_due(struct run *run, struct err *err)
{
    int64_t now_ms = clock_now_ms();
    if (now_ms - run->told_ms < run->config.window_ms)
        return 0;
    run->told_ms = now_ms;
    storm_set_now(run->storm, now_ms);
    return storm_tell_changes(&run->output, run->storm, err);
}

/* While following, what is shown is shown at once. */
static int take_bytes(struct run *run, size_t len, struct err *err)
{
    int r = storm_reader_feed(run->reader, str_make(run->bytes, len), err);
    if (r == 0 && run->follows && fflush(stdout) != 0)
        r = err_set_errno(err, errno, STEP, "standard output");
    return r;
}

static int read_fd(struct run *run, int fd, const char *name, struct err *err)
{
    int r = 0;
    while (r == 0 && !run->ended) {
        if (run->follows) {
            bool ready = wait_for(run, fd);
            r = tell_when_due(run, err);
            if (r < 0 || !ready)
                continue;
        }
        ssize_t n = read(fd, run->bytes, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, STEP, "%s", name);
        if (n == 0)
            break;
        r = take_bytes(run, (size_t)n, err);
    }
    return r == 0 ? storm_reader_end(run->reader, err) : r;
}

static int follow_file(struct run *run, const char *path, struct err *err)
{
    struct storm_follow *follow = NULL;
    int r = storm_follow_open(path, &follow, err);
    while (r == 0 && !run->ended) {
        size_t len = 0;
        bool begins = false;
        r = storm_follow_read(follow, run->bytes, READ_BYTES, &len, &begins, err);
        if (r == 0 && begins)
            r = storm_reader_end(run->reader, err);
        if (r == 0 && len)
            r = take_bytes(run, len, err);
        if (r == 0 && !len && wait_for(run, storm_follow_fd(follow)))
            storm_follow_drain(follow);
        if (r == 0)
            r = tell_when_due(run, err);
    }
    storm_follow_close(follow);
    return r == 0 ? storm_reader_end(run->reader, err) : r;
}

static int read_file(struct run *run, const char *path, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return read_fd(run, STDIN_FILENO, "standard input", err);
    if (run->follows)
        return follow_file(run, path, err);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set_errno(err, errno, STEP, "%s", path);
    return read_fd(run, fd, path, err);
}

/* With no signal blocked, so that it can be ended. */
static int start_journalctl(bool follows, int out, pid_t *ret)
{
    static const char *const words[] = { "journalctl",
                                         "--output=json",
                                         "--no-pager",
                                         "--quiet",
                                         "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,"
                                         "_COMM,_PID,_AUDIT_SESSION,_SYSTEMD_SESSION,OBJECT",
                                         NULL,
                                         NULL };
    const char *arguments[ARRAY_LEN(words)];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    memcpy(arguments, words, sizeof(words));
    arguments[ARRAY_LEN(words) - 2] = follows ? "--follow" : NULL;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int r =
        posix_spawnp(ret, words[0], &actions, &attributes, (char **)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return r;
}

static int read_journal(struct run *run, struct err *err)
{
    int pipe_fds[2], status = 0;
    pid_t pid;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, STEP, "the journal");
    int r = start_journalctl(run->follows, pipe_fds[1], &pid);
    close(pipe_fds[1]);
    if (r != 0) {
        close(pipe_fds[0]);
        return err_set(err, ERR_UNSUPPORTED, STEP,
                       "journalctl cannot be started (%s); give a file, or - for standard input",
                       strerror(r));
    }
    r = read_fd(run, pipe_fds[0], "the journal", err);
    close(pipe_fds[0]);
    if (run->ended || r < 0)
        kill(pid, SIGTERM);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (r == 0 && !run->ended && WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
        !storm_totals(run->storm)->lines)
        return err_set(err, ERR_IO, STEP, "journalctl ended with status %d and no entry",
                       WEXITSTATUS(status));
    return r;
}

/* --- groups --------------------------------------------------------------------------------- */

static int each_line(struct str text, int (*take)(struct run *, struct str, struct err *),
                     struct run *run, struct err *err)
{
    int r = 0;
    while (r == 0 && text.len) {
        size_t end = str_index(text, '\n', 0);
        r = take(run, str_make(text.ptr, end), err);
        text = str_from_offset(text, end + 1);
    }
    return r;
}

static int learn_line(struct run *run, struct str line, struct err *err)
{
    return storm_message(run->storm, line, err);
}

static int label_line(struct run *run, struct str line, struct err *err)
{
    size_t group;
    if (storm_classify(run->storm, line, &group) < 0) {
        int r = storm_message(run->storm, line, err);
        if (r < 0)
            return r;
        if (storm_classify(run->storm, line, &group) < 0)
            return err_set(err, ERR_LIMIT, STEP, "more groups than --signatures allows");
    }
    printf("%zu\n", group);
    return 0;
}

static int tell_groups(struct run *run, const char *path, struct err *err)
{
    struct buf text = BUF_INIT_LIMIT(GROUPS_BYTES_MAX);
    int r = file_read(path, &text, err);
    if (r == 0)
        r = each_line(buf_str(&text), learn_line, run, err);
    if (r == 0)
        r = storm_settle(run->storm, err);
    if (r == 0)
        r = each_line(buf_str(&text), label_line, run, err);
    buf_release(&text);
    return r;
}

/* --- the verb ------------------------------------------------------------------------------- */

/* What it is to end by arrives by a descriptor, so that the last storms are told. */
static int catch_signals(struct run *run, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        (run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return err_set_errno(err, errno, STEP, "wait for signals");
    run->told_ms = clock_now_ms();
    return 0;
}

static int run_storm(const struct invocation *invocation)
{
    struct run run = {
        .invocation = invocation,
        .config = storm_config_default,
        .output = { .top = TOP_DEFAULT, .count_min = 1 },
        .signals = -1,
    };
    struct err err = { 0 };
    const char *path = invocation->operand_count ? invocation->operands[0] : "-";
    bool groups = invocation->values[OPTION_GROUPS], journal = invocation->values[OPTION_JOURNAL];
    if (journal && invocation->operand_count)
        return tell_usage(invocation->path, "--journal takes no file");
    if (groups)
        run.config.signatures_max = GROUPS_MAX;
    run.config.source = journal ? "journal" : strcmp(path, "-") == 0 ? "standard-input" : path;
    int r = read_options(&run, &err);
    if (r == 0)
        r = open_run(&run, &err);
    if (r == 0 && run.follows && !groups)
        r = catch_signals(&run, &err);
    if (r == 0)
        r = groups    ? tell_groups(&run, path, &err)
            : journal ? read_journal(&run, &err)
                      : read_file(&run, path, &err);
    if (r == 0 && !groups) {
        if (run.follows)
            storm_set_now(run.storm, clock_now_ms());
        r = storm_tell_all(&run.output, run.storm, &err);
    }
    if (r == 0 && fflush(stdout) != 0)
        r = err_set_errno(&err, errno, STEP, "standard output");
    close_run(&run);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

const struct verb verb_storm = {
    .name = "storm",
    .operands = "[FILE]",
    .operand_kind = OPERAND_FILE,
    .operands_max = 1,
    .summary = "Tell a log's ten thousand equal lines as one",
    .description =
        "Reads a log (a file, or standard input) and tells it as storms: for each message of each "
        "component how often, from when to when, how fast, how bad, and the denial that brought "
        "it about where the lines state the same process or session and the same object. Counts "
        "are exact; memory is bounded by --signatures. Syslog, journal (JSON and export), macOS, "
        "JSON and plain lines are known by themselves.\n\n"
        "With --pass it is a filter: lines go through until a message comes more often than "
        "--rate in a --window; then --policy decides. deduplicate keeps the first of equal "
        "neighbours; summarize and suppress show no more of it; quarantine takes all lines of the "
        "component out (--apart); escalate calls somebody, once (--call). Whatever is held back "
        "leaves its record's digest, its count and its times in the ledger.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_storm,
};

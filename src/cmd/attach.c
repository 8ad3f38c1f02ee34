/*
 * attach: the streams of a run that goes on by itself.
 *
 * Theory of operation. After the answer the connection carries bytes as they
 * are. Where run and caller both have a terminal, the caller's becomes raw, so
 * that every key is the command's, except the one that leaves; its size is the
 * run's from then on. The end of the connection is the end of the run, as the
 * ledger has it by then.
 */
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include "base/json.h"
#include "cmd/runs.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "machine/control.h"
#include "plane/state.h"

#define STEP_ATTACH "attach to a run"
#define KEY_LEAVE   0x1d /* Ctrl-] */
#define ANSWER_MS   5000
#define PIECE_BYTES ((size_t)16 << 10)

struct attached {
    const char *folder;
    int fd;      /* the connection */
    int signals; /* of the window's size; -1: there is none */
    bool raw, typing, left;
    struct termios before;
    char typed[PIECE_BYTES]; /* what the run has not taken yet */
    size_t off, len;
};

static void take_size(int *ret_rows, int *ret_columns)
{
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col ||
        size.ws_row > CONTROL_SIDE_MAX || size.ws_col > CONTROL_SIDE_MAX)
        return;
    *ret_rows = size.ws_row;
    *ret_columns = size.ws_col;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        len -= (size_t)written;
    }
    return true;
}

/* --- beginning ----------------------------------------------------------------------------- */

static bool is_nothing(int fd)
{
    struct stat status, null;
    return fstat(fd, &status) < 0 || (S_ISCHR(status.st_mode) && stat("/dev/null", &null) == 0 &&
                                      status.st_rdev == null.st_rdev);
}

static int make_raw(struct attached *attached, struct err *err)
{
    struct termios raw;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, NULL);
    attached->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (attached->signals < 0 || tcgetattr(STDIN_FILENO, &attached->before) < 0)
        return err_set_errno(err, errno, STEP_ATTACH, "cannot read the terminal's mode");
    raw = attached->before;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        return err_set_errno(err, errno, STEP_ATTACH, "cannot set the terminal's mode");
    attached->raw = true;
    return 0;
}

static int begin(struct attached *attached, struct err *err)
{
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct control_request request = { .verb = CONTROL_ATTACH };
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (terminal)
        take_size(&request.rows, &request.columns);
    int r = control_connect(attached->folder, &attached->fd, err);
    if (r == 0)
        r = control_ask(attached->fd, &request, ANSWER_MS, &answer, err);
    if (r == 0)
        r = json_read(buf_str(&answer), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    attached->typing =
        yyjson_is_true((yyjson_val *)member(root, "input")) && !is_nothing(STDIN_FILENO);
    return terminal && yyjson_is_true((yyjson_val *)member(root, "terminal"))
               ? make_raw(attached, err)
               : 0;
}

/* --- moving -------------------------------------------------------------------------------- */

/* On a connection of its own: this one carries bytes. */
static void resize(const struct attached *attached)
{
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    _cleanup_(cleanup_close) int fd = -1;
    struct control_request request = { .verb = CONTROL_RESIZE };
    struct signalfd_siginfo info;
    struct err unheard;
    if (read(attached->signals, &info, sizeof(info)) < 0)
        return;
    take_size(&request.rows, &request.columns);
    if (request.rows && control_connect(attached->folder, &fd, &unheard) == 0)
        (void)!control_ask(fd, &request, ANSWER_MS, &answer, &unheard);
}

static void stop_typing(struct attached *attached)
{
    attached->typing = false;
    shutdown(attached->fd, SHUT_WR);
}

static void read_typed(struct attached *attached)
{
    ssize_t got = read(STDIN_FILENO, attached->typed, sizeof(attached->typed));
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        stop_typing(attached);
        return;
    }
    const char *leave = attached->raw ? memchr(attached->typed, KEY_LEAVE, (size_t)got) : NULL;
    attached->left = leave != NULL;
    attached->off = 0;
    attached->len = leave ? (size_t)(leave - attached->typed) : (size_t)got;
}

/* Without waiting: the run may have to be rid of output first. */
static void send_typed(struct attached *attached)
{
    ssize_t sent = send(attached->fd, attached->typed + attached->off,
                        attached->len - attached->off, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        attached->off += (size_t)sent;
    else if (errno != EAGAIN && errno != EINTR)
        stop_typing(attached);
}

/* 0 at the end of the run, or where its caller leaves. */
static int move(struct attached *attached, struct err *err)
{
    char bytes[PIECE_BYTES];
    while (!attached->left) {
        bool waiting = attached->typing && attached->off < attached->len;
        struct pollfd polls[] = {
            { .fd = attached->fd, .events = (short)(POLLIN | (waiting ? POLLOUT : 0)) },
            { .fd = attached->typing && !waiting ? STDIN_FILENO : -1, .events = POLLIN },
            { .fd = attached->signals, .events = POLLIN },
            { .fd = STDOUT_FILENO }, /* whose reader may go */
        };
        if (poll(polls, ARRAY_LEN(polls), -1) < 0 && errno != EINTR)
            return err_set_errno(err, errno, STEP_ATTACH, "cannot wait");
        if (polls[0].revents & ~POLLOUT) {
            ssize_t got = read(attached->fd, bytes, sizeof(bytes));
            if (got == 0 || (got < 0 && errno == ECONNRESET))
                return 0;
            if (got > 0 && !write_all(STDOUT_FILENO, bytes, (size_t)got))
                return err_set_errno(err, errno, STEP_ATTACH, "cannot write");
        }
        if (polls[1].revents)
            read_typed(attached);
        if (attached->typing && attached->off < attached->len)
            send_typed(attached);
        if (polls[2].revents)
            resize(attached);
        attached->left |= polls[3].revents != 0;
    }
    return 0;
}

/* --- the verb ------------------------------------------------------------------------------ */

/* Once the connection has ended: as `run` would have ended. */
static int tell_end(struct runs_one *run)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct outcome outcome;
    struct err unknown;
    if (runs_open(&plane, &unknown) < 0 ||
        plane_outcome(plane, str_from(run->urn), &outcome, &unknown) < 0)
        return EXIT_NEGATIVE;
    if (!state_is_end(outcome.state)) {
        fprintf(stderr, "agent-machine: the run goes on, and has left this terminal\n");
        return EXIT_NEGATIVE;
    }
    int status = runs_status(plane, run);
    return status < 0 ? EXIT_NEGATIVE : status;
}

static int run_attach(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct runs_one run = { 0 };
    struct attached attached = { .folder = run.folder, .fd = -1, .signals = -1 };
    struct err err = { 0 };
    signal(SIGPIPE, SIG_IGN); /* told by what is written */
    int r = runs_open(&plane, &err);
    if (r == 0)
        r = runs_find(plane, invocation->operands[0], &run, &err);
    plane_close(TAKE_PTR(plane));
    if (r == 0)
        r = begin(&attached, &err);
    if (r == 0)
        r = move(&attached, &err);
    if (attached.raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &attached.before);
    cleanup_close(&attached.fd);
    cleanup_close(&attached.signals);
    if (r < 0)
        return tell_error(invocation, &err);
    return attached.left ? EXIT_OK : tell_end(&run);
}

const struct verb verb_attach = {
    .name = "attach",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "Join the streams of a run",
    .description =
        "Prints what a run's command prints from now on, and gives it what is typed, where its "
        "input is open. At a terminal, a run that has one gets every key and this terminal's "
        "size; Ctrl-] leaves the run, which goes on. The id may be cut short, as long as it is "
        "one run's.\n\n"
        "The exit status is 0 where the run was left, and else that of the run, as `run` would "
        "have said it.",
    .run = run_attach,
};

/*
 * relay: three streams, each a pipe or one side of a terminal.
 *
 * Theory of operation. Each stream has one buffer, and nothing is read into it
 * before it is empty, so that a slow reader slows the command and nothing piles
 * up. Nothing here waits for a reader, who might never come, before the command
 * has ended. The caller's own descriptors keep their flags, since others share
 * them: what may block is written in pieces that poll promises room for. Input
 * is the caller's as well as that of those who are attached. Of the output so many bytes are passed
 * on as the plan allows; the rest is counted and dropped. Whoever listens hears all of it.
 *
 * A run on its own has no caller: its output goes to the listener alone, and
 * its input is what those who attach type, or nothing.
 */
#include "machine/relay.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#define RELAY_STREAMS  3
#define STEP_RELAY     "relay the command's streams"
#define BUFFER_BYTES   ((size_t)64 << 10)
#define TERMINAL_PIECE 256 /* what a terminal's queue always has room for when it has any */

enum { INPUT, OUTPUT, ERRORS };

struct stream {
    int from, to;    /* one of them is the caller's, and never closed here; -1: none, or over */
    size_t len, off; /* of what waits to be written */
    size_t piece;    /* how much of it at a time */
    char bytes[BUFFER_BYTES];
};

struct relay {
    struct relay_options options;
    struct stream streams[RELAY_STREAMS];
    int terminal;
    bool is_raw, held;
    struct termios before;
    relay_listener *listener;
    void *listener_context;
    int64_t output_bytes;
    bool truncated;
};

/* --- making -------------------------------------------------------------------------------- */

static bool is_null_device(int fd)
{
    struct stat status, null;
    return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && stat("/dev/null", &null) == 0 &&
           status.st_rdev == null.st_rdev;
}

/* What the caller has closed, or sends nowhere, needs no pipe. */
static int open_nothing(int index, int *ret, struct err *err)
{
    *ret = open("/dev/null", (index == INPUT ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
    return *ret < 0 ? err_set_errno(err, errno, STEP_RELAY, "cannot open /dev/null") : 0;
}

/* How much can be written at once without blocking, where poll says that there is room. */
static size_t piece_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))
        return PIPE_BUF;
    return isatty(fd) ? TERMINAL_PIECE : BUFFER_BYTES;
}

static void set_stream(struct stream *stream, int from, int to)
{
    stream->from = from;
    stream->to = to;
    stream->len = stream->off = 0;
    stream->piece = to < 0 ? 0 : piece_of(to);
}

static int open_stream(struct relay *relay, int index, int *ret_end, struct err *err)
{
    const struct relay_options *options = &relay->options;
    struct stream *stream = &relay->streams[index];
    bool alone = options->alone || fcntl(index, F_GETFD) < 0 || is_null_device(index);
    bool wanted =
        !alone || (index == INPUT ? options->alone && options->interactive : options->listened);
    int ends[2];
    if (!wanted)
        return open_nothing(index, ret_end, err);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, STEP_RELAY, "cannot make a pipe");
    if (index == INPUT) {
        fcntl(ends[1], F_SETFL, O_NONBLOCK); /* the command may never read */
        set_stream(stream, alone ? -1 : INPUT, ends[1]);
        *ret_end = ends[0];
    } else {
        set_stream(stream, ends[0], alone ? -1 : index);
        *ret_end = ends[1];
    }
    return 0;
}

int relay_new(const struct relay_options *options, struct relay **ret, int ret_stdio[3],
              struct err *err)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    int r = relay ? 0 : err_set(err, ERR_MEMORY, STEP_RELAY, "there is not enough memory");
    for (int i = 0; relay && i < RELAY_STREAMS; i++) {
        set_stream(&relay->streams[i], -1, -1);
        ret_stdio[i] = -1;
    }
    if (r < 0)
        return r;
    relay->terminal = -1;
    relay->options = *options;
    for (int i = 0; i < RELAY_STREAMS && r == 0 && !options->terminal; i++)
        r = open_stream(relay, i, &ret_stdio[i], err);
    if (r < 0) {
        for (int i = 0; i < RELAY_STREAMS; i++)
            cleanup_close(&ret_stdio[i]);
        relay_free(relay);
        return r;
    }
    *ret = relay;
    return 0;
}

static void close_stream(struct relay *relay, int index)
{
    struct stream *stream = &relay->streams[index];
    int own = index == INPUT ? stream->to : stream->from;
    if (own >= 0 && own != relay->terminal)
        close(own);
    set_stream(stream, -1, -1);
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    for (int i = 0; i < RELAY_STREAMS; i++)
        close_stream(relay, i);
    if (relay->is_raw)
        tcsetattr(INPUT, TCSADRAIN, &relay->before);
    cleanup_close(&relay->terminal);
    free(relay);
}

/* --- terminals ----------------------------------------------------------------------------- */

int relay_set_terminal(struct relay *relay, int terminal, struct err *err)
{
    bool alone = relay->options.alone;
    struct termios raw;
    relay->terminal = terminal;
    set_stream(&relay->streams[INPUT], alone ? -1 : INPUT, terminal);
    set_stream(&relay->streams[OUTPUT], terminal, alone ? -1 : OUTPUT);
    fcntl(terminal, F_SETFL, O_NONBLOCK);
    relay_resize(relay); /* the caller's terminal is there, even for a run that will be alone */
    if (alone)
        return 0;
    if (tcgetattr(INPUT, &relay->before) < 0)
        return err_set_errno(err, errno, STEP_RELAY, "cannot read the terminal's mode");
    raw = relay->before;
    cfmakeraw(&raw);
    if (tcsetattr(INPUT, TCSADRAIN, &raw) < 0)
        return err_set_errno(err, errno, STEP_RELAY, "cannot set the terminal's mode");
    relay->is_raw = true;
    return 0;
}

void relay_resize(struct relay *relay)
{
    struct winsize size;
    if (relay->terminal >= 0 && ioctl(INPUT, TIOCGWINSZ, &size) == 0)
        ioctl(relay->terminal, TIOCSWINSZ, &size);
}

void relay_set_size(struct relay *relay, int rows, int columns)
{
    struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
    if (relay->terminal >= 0)
        ioctl(relay->terminal, TIOCSWINSZ, &size);
}

/* Lines, with an echo, and no key that is a signal: what is typed is nothing but an answer. */
static bool set_mode_of_lines(const struct relay *relay)
{
    struct termios lines = relay->before;
    lines.c_iflag |= ICRNL;
    lines.c_oflag |= OPOST | ONLCR;
    lines.c_lflag |= ICANON | ECHO | ECHOE | ECHOK;
    lines.c_lflag &= ~(tcflag_t)ISIG;
    lines.c_cc[VEOL] = lines.c_cc[VINTR]; /* which ends the line, and is no answer */
    return tcsetattr(INPUT, TCSAFLUSH, &lines) == 0;
}

bool relay_hold(struct relay *relay, bool held)
{
    struct termios raw = relay->before;
    if (relay->options.alone || !isatty(INPUT))
        return false;
    relay->held = held;
    if (!relay->is_raw)
        return !held || tcflush(INPUT, TCIFLUSH) == 0;
    if (held)
        return set_mode_of_lines(relay);
    cfmakeraw(&raw);
    return tcsetattr(INPUT, TCSAFLUSH, &raw) == 0;
}

/* --- moving -------------------------------------------------------------------------------- */

/* Two polls for each stream: what comes, and what goes. */
static_assert(RELAY_POLLS == 2 * RELAY_STREAMS, "all streams are polled");

static bool is_waiting(const struct stream *stream)
{
    return stream->off < stream->len;
}

void relay_listen(struct relay *relay, relay_listener *listener, void *context)
{
    relay->listener = listener;
    relay->listener_context = context;
}

void relay_ask(const struct relay *relay, bool output, struct pollfd ret[RELAY_POLLS])
{
    for (int i = 0; i < RELAY_STREAMS; i++) {
        const struct stream *stream = &relay->streams[i];
        bool waiting = is_waiting(stream) && !relay->held;
        bool comes = !is_waiting(stream) && !relay->held && (i == INPUT || output);
        ret[2 * i] = (struct pollfd){ .fd = comes ? stream->from : -1, .events = POLLIN };
        ret[2 * i + 1] = (struct pollfd){ .fd = waiting ? stream->to : -1, .events = POLLOUT };
    }
}

/* As much as there is room for now, or comes to be within a time; false where nobody reads. */
static bool write_output(struct stream *stream, int timeout_ms)
{
    while (is_waiting(stream)) {
        struct pollfd room = { .fd = stream->to, .events = POLLOUT };
        size_t len = stream->len - stream->off;
        if (stream->piece < BUFFER_BYTES && poll(&room, 1, timeout_ms) == 0)
            return true;
        ssize_t written = write(stream->to, stream->bytes + stream->off,
                                len < stream->piece ? len : stream->piece);
        if (written < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        stream->off += written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* False at the end of the stream. */
static bool move_output(struct relay *relay, struct stream *stream, int timeout_ms)
{
    ssize_t got = read(stream->from, stream->bytes, sizeof(stream->bytes));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return false;
    int64_t room = relay->options.output_bytes_max - relay->output_bytes;
    size_t passed = got <= room ? (size_t)got : room > 0 ? (size_t)room : 0;
    relay->truncated |= passed < (size_t)got;
    relay->output_bytes += got;
    if (relay->listener)
        relay->listener(relay->listener_context, stream == &relay->streams[ERRORS],
                        str_make(stream->bytes, (size_t)got));
    if (stream->to < 0)
        return true;
    stream->off = 0;
    stream->len = passed;
    return write_output(stream, timeout_ms);
}

static bool fill_input(struct stream *stream)
{
    ssize_t got = read(stream->from, stream->bytes, sizeof(stream->bytes));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    stream->off = 0;
    stream->len = got > 0 ? (size_t)got : 0;
    return got > 0;
}

static bool empty_input(struct stream *stream)
{
    ssize_t written = write(stream->to, stream->bytes + stream->off, stream->len - stream->off);
    if (written > 0)
        stream->off += (size_t)written;
    return written > 0 || errno == EAGAIN || errno == EINTR;
}

bool relay_has_input(const struct relay *relay)
{
    return relay->streams[INPUT].to >= 0;
}

bool relay_takes_input(const struct relay *relay)
{
    const struct stream *input = &relay->streams[INPUT];
    return input->to >= 0 && !is_waiting(input);
}

void relay_type(struct relay *relay, struct str bytes)
{
    struct stream *input = &relay->streams[INPUT];
    assert(relay_takes_input(relay) && bytes.len <= sizeof(input->bytes));
    memcpy(input->bytes, bytes.ptr, bytes.len);
    input->off = 0;
    input->len = bytes.len;
    if (bytes.len == 0 && input->from < 0 && !relay->options.terminal)
        close_stream(relay, INPUT); /* a terminal and a caller may yet say more */
}

void relay_move(struct relay *relay, const struct pollfd polls[RELAY_POLLS])
{
    struct stream *input = &relay->streams[INPUT];
    if (relay->held)
        return;
    if ((polls[2 * INPUT].revents && !fill_input(input)) ||
        (is_waiting(input) && !empty_input(input)))
        close_stream(relay, INPUT);
    for (int i = OUTPUT; i <= ERRORS; i++) {
        struct stream *stream = &relay->streams[i];
        if ((polls[2 * i].revents && !move_output(relay, stream, 0)) ||
            (polls[2 * i + 1].revents && !write_output(stream, 0)))
            close_stream(relay, i);
    }
}

void relay_drain(struct relay *relay, int timeout_ms)
{
    close_stream(relay, INPUT);
    for (int i = OUTPUT; i <= ERRORS; i++) {
        struct stream *stream = &relay->streams[i];
        struct pollfd more = { .fd = stream->from, .events = POLLIN };
        bool goes = !is_waiting(stream) || write_output(stream, timeout_ms);
        /* Asked for more, not for the end: a terminal has none that it would tell. */
        while (goes && !is_waiting(stream) && stream->from >= 0 && poll(&more, 1, 0) > 0)
            goes = move_output(relay, stream, timeout_ms);
        relay->truncated |= goes && is_waiting(stream);
        close_stream(relay, i);
    }
}

int64_t relay_output_bytes(const struct relay *relay)
{
    return relay->output_bytes;
}

bool relay_output_truncated(const struct relay *relay)
{
    return relay->truncated;
}

/*
 * op_notify: see the header.
 *
 * Theory of operation. The process that queued a card may hold a sandbox and a
 * door, so it talks to no bus: it starts this program again, by a child that
 * ends at once, so that the one that speaks belongs to nobody here. What is
 * said is the card's question; letters that a desktop could take for markup are
 * others' text and become "?".
 */
#include "cmd/op_notify.h"

#include <signal.h>
#include <sys/wait.h>

#include "cmd/op_decide.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "doctor/linux/bus.h"
#include "plane/card.h"

#define OWN_PROGRAM "/proc/self/exe"
#define SUMMARY     "agent-machine asks"

static bool has_session(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX];
    if (getenv("DBUS_SESSION_BUS_ADDRESS"))
        return true;
    return runtime && snprintf(path, sizeof(path), "%s/bus", runtime) < (int)sizeof(path) &&
           access(path, F_OK) == 0;
}

_Noreturn static void start_program(const char *card)
{
    char *const argv[] = { (char *)"agent-machine", (char *)"op", (char *)"notify", (char *)card,
                           NULL };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; nothing >= 0 && fd <= STDERR_FILENO; fd++)
        if (dup2(nothing, fd) < 0)
            _exit(EXIT_NEGATIVE);
    setsid();
    execv(OWN_PROGRAM, argv);
    _exit(EXIT_NEGATIVE);
}

void op_notify(void *context, const char *card)
{
    (void)context;
    if (isatty(STDERR_FILENO) || !has_session())
        return;
    pid_t child = fork();
    if (child == 0)
        switch (fork()) {
        case 0:
            start_program(card);
        default:
            _exit(0);
        }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void op_notify_plug(struct plane_options *options)
{
    options->asked = op_notify;
}

/* --- the verb ------------------------------------------------------------------------------ */

static void add_plain(struct buf *ret, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_plain = c >= ' ' && c != 0x7f && c != '<' && c != '>' && c != '&';
        buf_add_char(ret, is_plain ? text.ptr[i] : '?');
    }
}

static void write_body(const struct card *card, struct buf *ret)
{
    add_plain(ret, text_of(member(card->root, "question")));
    buf_add_text(ret, "\nagent-machine op decide ");
    add_plain(ret, urn_local(text_of(member(card->root, "id"))));
    buf_add_text(ret, " OPTION");
}

int run_op_notify(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf body = BUF_INIT;
    struct card card = { 0 };
    struct bus bus;
    char urn[PLANE_URN_MAX];
    struct err err = { 0 };
    op_urn("decision-card", invocation->operands[0], urn);
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = card_read(plane, str_from(urn), &card, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    write_body(&card, &body);
    card_release(&card);
    bus_open(BUS_SESSION, &bus);
    r = body.error ? body.error : bus_notify(&bus, SUMMARY, body.data);
    if (r < 0)
        err_set(&err, ERR_UNSUPPORTED, "show a notification",
                "there is no desktop that shows any: %s",
                bus.state == BUS_OPEN ? strerror(-r) : bus.why);
    bus_close(&bus);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/*
 * control: the socket by which a running machine is spoken to.
 *
 * A Unix stream socket named `control` in a folder that is the user's alone.
 * A request is one line of JSON, `{"verb":"resize","rows":24,"columns":80}`,
 * and is answered by one line, `{"ok":true}` or
 * `{"ok":false,"error":"denied","cause":"…"}`, perhaps with more members.
 * After the answer to `attach` the connection carries bytes as they are: the
 * command's output one way, its input the other.
 *
 * The supervisor's side never blocks and allocates nothing for a message; it
 * is for one thread, driven by an event loop that polls control_fd and each
 * client's descriptor. The asking side blocks, within a time limit.
 */
#ifndef AM_MACHINE_CONTROL_H
#define AM_MACHINE_CONTROL_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define CONTROL_SOCKET      "control" /* its name in the folder of the run */
#define CONTROL_CLIENTS_MAX 16
#define CONTROL_LINE_MAX    2048 /* bytes of a request, with its newline */
#define CONTROL_ANSWER_MAX  8192 /* bytes of an answer, with its newline */
#define CONTROL_TEXT_MAX    512  /* bytes of a text in a request */
#define CONTROL_SIDE_MAX    10000
#define CONTROL_TIMEOUT_MAX 3600000

#define CONTROL_VERB_TABLE(X)                                                                      \
    X(CONTROL_STOP, "stop") /* SIGTERM, and SIGKILL after timeoutMs */                             \
    X(CONTROL_KILL, "kill")                                                                        \
    X(CONTROL_PAUSE, "pause")                                                                      \
    X(CONTROL_RESUME, "resume")                                                                    \
    X(CONTROL_REVOKE, "revoke") /* the delegation `reference` holds no more */                     \
    X(CONTROL_DENY, "deny")     /* the destination `reference` is denied from now on */            \
    X(CONTROL_DECIDE, "decide") /* the DecisionCard `reference` has this `answer` */               \
    X(CONTROL_STATUS, "status")                                                                    \
    X(CONTROL_ATTACH, "attach")                                                                    \
    X(CONTROL_RESIZE, "resize")

enum control_verb {
#define X(verb, name) verb,
    CONTROL_VERB_TABLE(X)
#undef X
        CONTROL_VERB_COUNT
};

const char *control_verb_name(enum control_verb verb);

struct control_request {
    enum control_verb verb;
    char reference[CONTROL_TEXT_MAX + 1]; /* revoke, deny, decide; never empty there */
    bool allow;                           /* decide: the answer is "allow", not "deny" */
    int rows, columns;                    /* resize, and attach at a terminal; else 0 */
    int timeout_ms;                       /* stop; -1: not said */
};

/* Reads a request without its newline. ERR_SYNTAX, ERR_DOCUMENT. */
int control_parse(struct str line, struct control_request *ret, struct err *err) MUST_CHECK;
/* Appends a request with its newline. */
int control_write(const struct control_request *request, struct buf *ret);

/* --- the supervisor's side ----------------------------------------------------------------- */

struct control;
struct control_client; /* owned by its control; gone after control_close */

/*
 * Listens in a folder (mode 0700, the caller's own). What a dead supervisor
 * left there is replaced; where a live one answers it is ERR_CONFLICT.
 */
int control_open(const char *folder, struct control **ret, struct err *err) MUST_CHECK;
/* Closes all clients and removes the socket. */
void control_free(struct control *control);
/* Readable when somebody wants to connect. */
int control_fd(const struct control *control);
/*
 * 1: a client, which the caller polls. 0: nobody, or somebody who was turned
 * away (another user, a process of another user namespace, one too many).
 */
int control_accept(struct control *control, struct control_client **ret,
                   struct err *err) MUST_CHECK;
int control_client_fd(const struct control_client *client);
/*
 * 1: a request; call again before polling. 0: no whole one yet. Negative: the
 * client has gone, or sent what is no request, which was answered; close it.
 */
int control_read(struct control_client *client, struct control_request *ret,
                 struct err *err) MUST_CHECK;
/*
 * Answers the last request. `members` are further members as JSON text without
 * braces (`"state":"running"`), or empty. An answer that the client does not
 * take at once is an error; close it.
 */
int control_answer(struct control_client *client, struct str members) MUST_CHECK;
int control_refuse(struct control_client *client, const struct err *why) MUST_CHECK;
/*
 * After an answered attach: what the client typed (0: nothing now, -EPIPE: it
 * has gone), and how much of the output it took (0: it is full now).
 */
ssize_t control_input(struct control_client *client, void *ret, size_t size) MUST_CHECK;
ssize_t control_output(struct control_client *client, const void *bytes, size_t len) MUST_CHECK;
/* The caller has stopped polling it. */
void control_close(struct control_client *client);

/* --- the asking side ----------------------------------------------------------------------- */

/* ERR_NOT_FOUND where nobody listens in that folder. The caller closes the descriptor. */
int control_connect(const char *folder, int *ret_fd, struct err *err) MUST_CHECK;
/*
 * Asks and appends the answer's line to ret. A refusal is an error with the
 * supervisor's own code and cause. What follows an answer to `attach` is left
 * to be read from the descriptor.
 */
int control_ask(int fd, const struct control_request *request, int timeout_ms, struct buf *ret,
                struct err *err) MUST_CHECK;

#endif

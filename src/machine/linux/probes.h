/*
 * probes: attempts to break out, made from inside the finished sandbox.
 *
 * They run in the child, last before the command: what they find is what the
 * command would find. The caller says in a context what there is outside to
 * be reached; whatever it leaves out is skipped, with a reason. One success
 * stops the launch. Names and outcomes are those of AgentMachineFingerprint.
 */
#ifndef AM_MACHINE_LINUX_PROBES_H
#define AM_MACHINE_LINUX_PROBES_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base/base.h"

#define PROBE_TABLE(X)                                                                             \
    X(PROBE_READ_HOST_SECRET, "read-host-secret", read_host_secret)                                \
    X(PROBE_WRITE_OUTSIDE, "write-outside", write_outside)                                         \
    X(PROBE_CONNECT_PAST_DOOR, "connect-past-door", connect_past_door)                             \
    X(PROBE_SIGNAL_HOST_PROCESS, "signal-host-process", signal_host_process)                       \
    X(PROBE_TRACE_HOST_PROCESS, "trace-host-process", trace_host_process)                          \
    X(PROBE_REGAIN_CAPABILITY, "regain-capability", regain_capability)                             \
    X(PROBE_NEST_NAMESPACE, "nest-namespace", nest_namespace)                                      \
    X(PROBE_REACH_HOST_SOCKET, "reach-host-socket", reach_host_socket)                             \
    X(PROBE_REACH_THROUGH_GROUP, "reach-through-group", reach_through_group)

enum probe {
#define X(probe, name, function) probe,
    PROBE_TABLE(X)
#undef X
        PROBE_COUNT
};

#define PROBE_NONCE_BYTES 16

enum probe_outcome { PROBE_CONTAINED, PROBE_ESCAPED, PROBE_SKIPPED };

/* Plain data: whoever tries them hands it to the supervisor. */
#define PROBE_DETAIL_SIZE 80
struct probe_result {
    enum probe_outcome outcome;
    int error;                      /* of the attempt that was contained; 0 where there was none */
    char detail[PROBE_DETAIL_SIZE]; /* what was reached, or why it was skipped; empty: contained */
};

/* What there is outside. All of it is looked up before the sandbox, and may be left 0 or NULL. */
struct probe_context {
    const char *secret_path;    /* a file that the caller can read, and that is not empty */
    const char *outside_folder; /* a folder that the caller can write to */
    dev_t outside_device;       /* its st_dev and st_ino: another folder of that name is none */
    ino_t outside_inode;
    const struct sockaddr *upstream; /* a listener of the caller's, at an address of this host */
    socklen_t upstream_len;
    bool connections_are_captured; /* by a door: only the listener can tell, see below */
    pid_t host_pid;                /* a process of the caller's that goes on */
    ino_t pid_namespace;           /* st_ino of /proc/self/ns/pid outside */
    const char *abstract_name;     /* of a listener of the caller's, without the leading NUL */
    const char *socket_path;       /* a listener of the caller's in the file system */
    const char *group_path;        /* a file that a supplementary group alone gives access to */
    unsigned char nonce[PROBE_NONCE_BYTES]; /* what the probes say to the caller's listeners */
};

/* Runs them all, without allocating, and returns how many escaped. May change the process where it
 * escapes (a namespace is entered): nothing else may follow then. */
size_t probes_run(const struct probe_context *context, struct probe_result results[PROBE_COUNT]);

/*
 * For the caller, outside, once the probes have run: whether one of them
 * reached its (non-blocking) listener, which it says by the nonce. Others of
 * the host that come by are let go. Behind a door that answers every
 * connection, that is the only evidence there is.
 */
bool probes_reached(int listener, const unsigned char nonce[PROBE_NONCE_BYTES]);

const char *probe_name(enum probe probe);
const char *probe_outcome_name(enum probe_outcome outcome);

#endif

/* supervise: the loop around a running command. See launch.h for what it is part of. */
#ifndef AM_MACHINE_SUPERVISE_H
#define AM_MACHINE_SUPERVISE_H

#include "machine/clients.h"
#include "machine/launch.h"
#include "machine/relay.h"

struct supervised {
    const struct plan *plan;
    const struct sandbox *sandbox;
    int control, pidfd;
    struct limits *limits;
    struct relay *relay;    /* between the caller's streams and the command's */
    struct run_log *log;    /* NULL: what it prints is not kept */
    struct control *socket; /* by which others speak to the run */
};

int supervise(const struct supervised *supervised, const struct run_watch *watch,
              struct run_result *ret, struct err *err) MUST_CHECK;

#endif

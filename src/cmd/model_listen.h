/* model_listen: where `model serve` is reached: a port of loopback, or a Unix socket. */
#ifndef AM_CMD_MODEL_LISTEN_H
#define AM_CMD_MODEL_LISTEN_H

#include "base/base.h"
#include "base/err.h"

#define MODEL_SOCKET_PATH_MAX 107 /* as the kernel has it */

struct model_listener {
    int fd;
    char address[160];                      /* for people and clients */
    char socket[MODEL_SOCKET_PATH_MAX + 1]; /* that goes with it; empty: none */
};

/*
 * A Unix socket that this user alone can connect to, or (`socket` NULL) a port of 127.0.0.1.
 * ERR_CONFLICT: somebody answers there already. A socket whose owner is gone gives way.
 */
int model_listen(const char *socket, const char *port, uint16_t usual_port,
                 struct model_listener *ret, struct err *err) MUST_CHECK;
/* Removes the socket. */
void model_listener_release(struct model_listener *listener);

#endif

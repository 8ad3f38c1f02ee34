/*
 * network_space: see the header.
 *
 * Theory of operation. A namespace belongs to a thread. The one that is begun
 * here leaves for a new network namespace, makes the capture in it, and keeps a
 * descriptor of it; it ends before the process that it belongs to forks or
 * gives anything up, and before the host's /proc, which it needs, is gone.
 *
 * Limits. No thread while another one changes ids: the C library would have
 * both do it. Nothing here asks /proc/self, which speaks of the first thread.
 */
#include "machine/linux/network_space.h"

#include <sched.h>

#define STEP_SPACE  "make the network inside"
#define STACK_BYTES ((size_t)256 << 10)
#define OWN_SPACE   "/proc/thread-self/ns/net"

static void *make(void *context)
{
    struct network_space *space = context;
    if (unshare(CLONE_NEWNET) < 0) {
        space->result =
            err_set_errno(&space->err, errno, STEP_SPACE, "the kernel gives no network namespace");
        return NULL;
    }
    space->result = capture_open(&space->capture, &space->err);
    if (space->result < 0)
        return NULL;
    space->fd = open(OWN_SPACE, O_RDONLY | O_CLOEXEC);
    if (space->fd < 0)
        space->result = err_set_errno(&space->err, errno, STEP_SPACE, "cannot open %s", OWN_SPACE);
    return NULL;
}

void network_space_begin(struct network_space *space)
{
    pthread_attr_t attributes;
    *space = (struct network_space){ .fd = -1 };
    if (pthread_attr_init(&attributes) == 0) {
        space->has_thread = pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
                            pthread_create(&space->thread, &attributes, make, space) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (!space->has_thread)
        make(space);
}

int network_space_enter(struct network_space *space, struct err *err)
{
    if (space->has_thread)
        pthread_join(space->thread, NULL);
    if (space->result < 0) {
        capture_close(&space->capture);
        *err = space->err;
        return space->result;
    }
    int r = space->has_thread ? setns(space->fd, CLONE_NEWNET) : 0;
    if (r < 0) {
        r = err_set_errno(err, errno, STEP_SPACE, "cannot enter the network namespace");
        capture_close(&space->capture);
    }
    cleanup_close(&space->fd);
    return r;
}

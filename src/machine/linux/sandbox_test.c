/* The messages between a sandbox and its supervisor; the sandbox itself: tests/run.sh and tier.sh.
 */
#include "machine/linux/sandbox.h"

#include <sys/socket.h>

#include "base/test.h"

/* A signal for the command crosses with the word that it has ended. */
TEST(what_was_said_arrives_though_its_sender_left_something_unread)
{
    int ends[2], fd;
    struct sandbox_message message = { .kind = SANDBOX_SIGNAL };
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_INT(sandbox_send(ends[0], &message, -1), 0);
    message = (struct sandbox_message){ .kind = SANDBOX_ENDED, .number = 3 << 8 };
    CHECK_INT(sandbox_send(ends[1], &message, -1), 0);
    close(ends[1]);
    message = (struct sandbox_message){ 0 };
    CHECK_INT(sandbox_receive(ends[0], &message, &fd), 1);
    CHECK_INT(message.kind, SANDBOX_ENDED);
    CHECK_INT(message.number, 3 << 8);
    CHECK_INT(sandbox_receive(ends[0], &message, &fd), 0);
    close(ends[0]);
}

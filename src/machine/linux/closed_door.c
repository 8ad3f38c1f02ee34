/*
 * closed_door: see the header.
 *
 * Theory of operation. Whoever connects is answered without being read: all
 * get the same. A connection that is closed with something unread in it would
 * be reset, and its answer lost, so it is kept until others have taken its
 * place, and what has come by then is read away.
 */
#include "machine/linux/closed_door.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define STEP_DOOR "open the closed door"
#define SAYS                                                                                       \
    "no model is bound to this run, and this release of agent-machine reaches none; prompts stay " \
    "here"
#define BODY                                                                                       \
    "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"code\":\"no_model_bound\","    \
    "\"message\":\"" SAYS "\"}}"

int closed_door_open(struct closed_door *door, struct err *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(CLOSED_DOOR_PORT),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    *door = (struct closed_door){ .listener = -1 };
    for (size_t i = 0; i < CLOSED_DOOR_CLIENTS; i++)
        door->clients[i] = -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, CLOSED_DOOR_CLIENTS) < 0) {
        int r = err_set_errno(err, errno, STEP_DOOR, "cannot listen");
        cleanup_close(&fd);
        return r;
    }
    door->listener = fd;
    return 0;
}

static void let_go(int fd)
{
    char unread[4096];
    for (int i = 0; i < CLOSED_DOOR_CLIENTS && recv(fd, unread, sizeof(unread), MSG_DONTWAIT) > 0;
         i++)
        ;
    close(fd);
}

void closed_door_answer(struct closed_door *door)
{
    static const char body[] = BODY;
    char answer[1024];
    int fd;
    int len = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       strlen(body), body);
    for (int i = 0; i < CLOSED_DOOR_CLIENTS; i++) { /* whoever is left is answered next time */
        fd = accept4(door->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        (void)!send(fd, answer, (size_t)len, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        if (door->clients[door->next] >= 0)
            let_go(door->clients[door->next]);
        door->clients[door->next] = fd;
        door->next = (door->next + 1) % CLOSED_DOOR_CLIENTS;
    }
}

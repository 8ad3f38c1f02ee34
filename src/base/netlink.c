/*
 * netlink: see the header.
 *
 * Theory of operation. A message is a header, the family's own header, and
 * attributes; each begins at a multiple of four, and each has its length in
 * front, which is set when what follows has been added. What does not fit
 * marks the buffer full, and a full buffer is never sent.
 */
#include "base/netlink.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/netlink_read.h"

#define ANSWERS_BYTES 16384
#define DUMP_BYTES    65536 /* more than the kernel puts into one datagram */

void netlink_reset(struct netlink *netlink)
{
    netlink->len = netlink->message = 0;
    netlink->sequence = 0;
    netlink->full = false;
}

static void *reserve(struct netlink *netlink, size_t len)
{
    size_t room = NLMSG_ALIGN(len);
    if (netlink->full || room > sizeof(netlink->bytes) - netlink->len) {
        netlink->full = true;
        return NULL;
    }
    void *place = netlink->bytes + netlink->len;
    memset(place, 0, room);
    netlink->len += room;
    return place;
}

static struct nlmsghdr *message_of(struct netlink *netlink)
{
    return (struct nlmsghdr *)(void *)(netlink->bytes + netlink->message);
}

static void set_length(struct netlink *netlink)
{
    if (!netlink->full)
        message_of(netlink)->nlmsg_len = (uint32_t)(netlink->len - netlink->message);
}

void netlink_begin(struct netlink *netlink, uint16_t type, uint16_t flags, const void *header,
                   size_t header_len)
{
    size_t begin = netlink->len;
    struct nlmsghdr *message = reserve(netlink, sizeof(*message));
    if (!message)
        return;
    netlink->message = begin;
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST);
    message->nlmsg_seq = ++netlink->sequence;
    void *place = reserve(netlink, header_len);
    if (place)
        memcpy(place, header, header_len);
    set_length(netlink);
}

void netlink_add(struct netlink *netlink, uint16_t type, const void *data, size_t len)
{
    struct nlattr *attribute = reserve(netlink, sizeof(*attribute) + len);
    if (!attribute)
        return;
    attribute->nla_type = type;
    attribute->nla_len = (uint16_t)(sizeof(*attribute) + len);
    memcpy(attribute + 1, data, len);
    set_length(netlink);
}

void netlink_add_text(struct netlink *netlink, uint16_t type, const char *text)
{
    netlink_add(netlink, type, text, strlen(text) + 1);
}

void netlink_add_be32(struct netlink *netlink, uint16_t type, uint32_t number)
{
    uint32_t in_order = htonl(number);
    netlink_add(netlink, type, &in_order, sizeof(in_order));
}

void netlink_add_u32(struct netlink *netlink, uint16_t type, uint32_t number)
{
    netlink_add(netlink, type, &number, sizeof(number));
}

size_t netlink_open(struct netlink *netlink, uint16_t type)
{
    size_t mark = netlink->len;
    netlink_add(netlink, type | NLA_F_NESTED, "", 0);
    return mark;
}

void netlink_close(struct netlink *netlink, size_t mark)
{
    struct nlattr *attribute = (struct nlattr *)(void *)(netlink->bytes + mark);
    if (!netlink->full)
        attribute->nla_len = (uint16_t)(netlink->len - mark);
}

/* --- sending ------------------------------------------------------------------------------- */

void netlink_want_answer(struct netlink *netlink)
{
    if (!netlink->full)
        message_of(netlink)->nlmsg_flags |= NLM_F_ACK;
}

/* 1 where what came answers; with the refusal, or 0 for what was taken. */
static int read_answer(const void *bytes, size_t len, int *ret)
{
    for (const struct nlmsghdr *message = bytes; NLMSG_OK(message, len);
         message = NLMSG_NEXT(message, len)) {
        const struct nlmsgerr *answer = NLMSG_DATA(message);
        if (message->nlmsg_type == NLMSG_ERROR &&
            message->nlmsg_len >= NLMSG_LENGTH(sizeof(*answer))) {
            *ret = answer->error;
            return 1;
        }
    }
    return 0;
}

int netlink_send(struct netlink *netlink, int fd)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    char answers[ANSWERS_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
    int answer = 0;
    ssize_t len;
    if (netlink->full)
        return -ENOBUFS;
    if (sendto(fd, netlink->bytes, netlink->len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    do {
        len = recv(fd, answers, sizeof(answers), 0);
        if (len < 0 && errno != EINTR)
            return -errno;
    } while (len < 0 || !read_answer(answers, (size_t)len, &answer));
    return answer;
}

/* 1 where the answer is whole; 0 where more comes; -errno. `changed`: the list did. */
static int take_answers(struct str bytes, bool *changed, struct buf *ret)
{
    struct str before = bytes;
    struct netlink_message message;
    for (; netlink_take(&bytes, &message); before = bytes) {
        int32_t error = 0;
        *changed |= message.flags & NLM_F_DUMP_INTR;
        if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) {
            (void)netlink_take_header(&message.body, &error, sizeof(error));
            return error < 0 ? error : 1;
        }
        (void)buf_add(ret, before.ptr, (size_t)(bytes.ptr - before.ptr));
    }
    return 0;
}

int netlink_ask(struct netlink *netlink, int fd, struct buf *ret)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    _cleanup_(cleanup_free) char *answers = malloc(DUMP_BYTES);
    size_t before = ret->len;
    bool changed = false;
    int r = 0;
    if (netlink->full || !answers)
        return answers ? -ENOBUFS : -ENOMEM;
    if (sendto(fd, netlink->bytes, netlink->len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    while (r == 0) {
        ssize_t len = recv(fd, answers, DUMP_BYTES, 0);
        if (len < 0 && errno != EINTR)
            r = -errno;
        else if (len >= 0)
            r = take_answers(str_make(answers, (size_t)len), &changed, ret);
    }
    if (r < 0)
        buf_truncate(ret, before);
    return r < 0 ? r : changed ? -EAGAIN : ret->error;
}

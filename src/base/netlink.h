/*
 * netlink: messages to the kernel about its network, in one buffer of a fixed size.
 *
 * Messages are added one after the other, each with its attributes, and go out
 * together; the kernel answers the last, or the one that it refuses. Nothing is
 * allocated.
 */
#ifndef AM_BASE_NETLINK_H
#define AM_BASE_NETLINK_H

#include <linux/netlink.h>

#include "base/base.h"
#include "base/buf.h"

#define NETLINK_BYTES_MAX 8192

struct netlink {
    unsigned char bytes[NETLINK_BYTES_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
    size_t len, message; /* where the last message begins */
    uint32_t sequence;   /* of the last message */
    bool full;
};

void netlink_reset(struct netlink *netlink);
/* Begins a message, with a header of its family's. */
void netlink_begin(struct netlink *netlink, uint16_t type, uint16_t flags, const void *header,
                   size_t header_len);
void netlink_add(struct netlink *netlink, uint16_t type, const void *data, size_t len);
void netlink_add_text(struct netlink *netlink, uint16_t type, const char *text); /* with its NUL */
void netlink_add_be32(struct netlink *netlink, uint16_t type, uint32_t number);
void netlink_add_u32(struct netlink *netlink, uint16_t type, uint32_t number);
/* What is added up to the end with the same mark stands within an attribute. */
size_t netlink_open(struct netlink *netlink, uint16_t type);
void netlink_close(struct netlink *netlink, size_t mark);

/* It is the last one whose refusal matters: the kernel is to say that it was taken. */
void netlink_want_answer(struct netlink *netlink);

/*
 * Sends all messages and waits for the answer that is wanted: 0, or the first refusal as -errno;
 * -ENOBUFS where they had no room.
 */
int netlink_send(struct netlink *netlink, int fd) MUST_CHECK;
/*
 * Sends one message that asks (NLM_F_DUMP, or with an answer wanted) and appends all that the
 * kernel answers, message by message, without the last, which says how it went. 0, the kernel's
 * refusal as -errno; -EAGAIN where what was listed changed meanwhile; -EMSGSIZE beyond the limit of
 * `ret`.
 */
int netlink_ask(struct netlink *netlink, int fd, struct buf *ret) MUST_CHECK;

#endif

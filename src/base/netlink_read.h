/*
 * netlink_read: what came from the kernel by netlink, message by message and attribute by
 * attribute.
 *
 * Every length is held against what is there; what does not fit ends the walk.
 * Nothing is copied, and no alignment is asked of the bytes.
 */
#ifndef AM_BASE_NETLINK_READ_H
#define AM_BASE_NETLINK_READ_H

#include "base/base.h"
#include "base/str.h"

struct netlink_message {
    uint16_t type, flags;
    struct str body;
};

/* Takes the next message off the front of `bytes`; false where there is no whole one any more. */
bool netlink_take(struct str *bytes, struct netlink_message *ret);
/* Copies a header of the body's front and leaves what follows it in `body`; false: it is shorter.
 */
bool netlink_take_header(struct str *body, void *ret, size_t size);

struct netlink_attribute {
    uint16_t type; /* without the bits that say how it is written */
    struct str data;
};
bool netlink_take_attribute(struct str *bytes, struct netlink_attribute *ret);
/* Of attributes in a row, the first of this type; empty (ptr NULL) where there is none. */
struct str netlink_find(struct str attributes, uint16_t type);

/* What an attribute has; 0, or an empty text, where it is of another length. */
uint32_t netlink_u32(struct str data);
uint16_t netlink_u16(struct str data);
uint8_t netlink_u8(struct str data);
uint64_t netlink_u64(struct str data);
/* A text up to its NUL, or to its end; what is no printable ASCII becomes `?`. */
void netlink_text(struct str data, char *ret, size_t size);

#endif

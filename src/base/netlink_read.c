/* netlink_read: see the header. */
#include "base/netlink_read.h"

#include <linux/netlink.h>

/* Cuts `len` bytes, and what fills them up to a multiple of four, off the front. */
static void cut(struct str *bytes, size_t len)
{
    *bytes = str_from_offset(*bytes, NLMSG_ALIGN(len));
}

bool netlink_take_header(struct str *body, void *ret, size_t size)
{
    if (body->len < size)
        return false;
    memcpy(ret, body->ptr, size);
    cut(body, size);
    return true;
}

bool netlink_take(struct str *bytes, struct netlink_message *ret)
{
    struct nlmsghdr header;
    if (bytes->len < sizeof(header))
        return false;
    memcpy(&header, bytes->ptr, sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > bytes->len)
        return false;
    *ret = (struct netlink_message){ .type = header.nlmsg_type,
                                     .flags = header.nlmsg_flags,
                                     .body = str_make(bytes->ptr + sizeof(header),
                                                      header.nlmsg_len - sizeof(header)) };
    cut(bytes, header.nlmsg_len);
    return true;
}

bool netlink_take_attribute(struct str *bytes, struct netlink_attribute *ret)
{
    struct nlattr header;
    if (bytes->len < sizeof(header))
        return false;
    memcpy(&header, bytes->ptr, sizeof(header));
    if (header.nla_len < sizeof(header) || header.nla_len > bytes->len)
        return false;
    ret->type = header.nla_type & NLA_TYPE_MASK;
    ret->data = str_make(bytes->ptr + sizeof(header), header.nla_len - sizeof(header));
    cut(bytes, header.nla_len);
    return true;
}

struct str netlink_find(struct str attributes, uint16_t type)
{
    struct netlink_attribute attribute;
    while (netlink_take_attribute(&attributes, &attribute))
        if (attribute.type == type)
            return attribute.data;
    return str_make(NULL, 0);
}

#define NUMBER(name, number)                                                                       \
    number name(struct str data)                                                                   \
    {                                                                                              \
        number value = 0;                                                                          \
        if (data.len == sizeof(value))                                                             \
            memcpy(&value, data.ptr, sizeof(value));                                               \
        return value;                                                                              \
    }
NUMBER(netlink_u8, uint8_t)
NUMBER(netlink_u16, uint16_t)
NUMBER(netlink_u32, uint32_t)
NUMBER(netlink_u64, uint64_t)
#undef NUMBER

void netlink_text(struct str data, char *ret, size_t size)
{
    size_t len = 0;
    while (len + 1 < size && len < data.len && data.ptr[len]) {
        unsigned char c = (unsigned char)data.ptr[len];
        ret[len++] = c < ' ' || c > '~' ? '?' : (char)c;
    }
    ret[len] = '\0';
}

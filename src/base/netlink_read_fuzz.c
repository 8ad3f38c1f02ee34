#include "base/netlink_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nested attributes as deep as they go. */
static void walk(struct str bytes, int depth)
{
    struct netlink_attribute attribute;
    char text[32];
    while (netlink_take_attribute(&bytes, &attribute)) {
        netlink_text(attribute.data, text, sizeof(text));
        if (strlen(text) >= sizeof(text) ||
            (attribute.data.len > 4 && netlink_u32(attribute.data)) ||
            (attribute.data.len < 8 && netlink_u64(attribute.data)))
            abort();
        if (depth < 8)
            walk(attribute.data, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_make((const char *)data, size);
    struct netlink_message message;
    while (netlink_take(&bytes, &message)) {
        unsigned char header[16];
        if (message.body.ptr < (const char *)data ||
            message.body.ptr + message.body.len > (const char *)data + size)
            abort();
        if (netlink_take_header(&message.body, header, sizeof(header)))
            walk(message.body, 0);
    }
    return 0;
}

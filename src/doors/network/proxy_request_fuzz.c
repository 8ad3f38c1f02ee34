/*
 * Input: all that a client says to the proxy inside. What is used is within it;
 * a target that comes of it is a host name in its own spelling, or one address;
 * a head that is written anew is text and closes the connection. What is whole
 * was not whole before its last byte.
 */
#include "doors/network/proxy_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(bool condition)
{
    if (!condition)
        abort();
}

static void check_whole(const struct proxy_request *request)
{
    const struct target *target = &request->target;
    struct host_name name;
    insist(target->port && request->answers && !request->first.error);
    if (target->name[0]) {
        insist(host_name_read(str_from(target->name), &name, NULL) == 1);
        insist(strcmp(name.text, target->name) == 0);
    } else {
        insist(target->address.prefix_bits == (target->address.is_ipv6 ? 128 : 32));
    }
    for (size_t i = 0; i < request->first.len; i++) {
        unsigned char c = (unsigned char)request->first.data[i];
        insist((c >= ' ' && c != 0x7f) || c == '\t' || c == '\r' || c == '\n');
    }
    if (request->first.len)
        insist(str_ends(buf_str(&request->first), STR("\r\nConnection: close\r\n\r\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str left = str_make((const char *)data, size);
    enum proxy_request_state state = PROXY_REQUEST_GOES_ON;
    struct proxy_request request;
    proxy_request_init(&request);
    while (state == PROXY_REQUEST_GOES_ON) {
        size_t used = 0, none = 0;
        state = proxy_request_hear(&request, left, &used);
        insist(used <= left.len);
        if (state == PROXY_REQUEST_WHOLE) {
            struct proxy_request shorter;
            check_whole(&request);
            proxy_request_init(&shorter);
            shorter.step = request.step;
            insist(proxy_request_hear(&shorter, str_make(left.ptr, used - 1), &none) ==
                   PROXY_REQUEST_MORE);
            proxy_request_release(&shorter);
        }
        left = str_from_offset(left, used);
    }
    insist(state != PROXY_REQUEST_BAD || request.reply.len);
    proxy_request_release(&request);
    return 0;
}

/*
 * upstream_place: see the header.
 *
 * Theory of operation. An address of loopback is told by its own text: 127.0.0.0/8, ::1, or the
 * name `localhost`, which stands for one of each. No name is ever resolved.
 *
 * Invariant: what is read leads to this machine.
 */
#include "doors/model/upstream_place.h"

#include <arpa/inet.h>

static void add_address(struct upstream_place *place, struct str text)
{
    snprintf(place->addresses[place->address_count++], INET6_ADDRSTRLEN, "%.*s", STR_ARG(text));
}

static bool read_host(struct str host, struct upstream_place *ret)
{
    struct in_addr ipv4;
    if (str_equal(host, STR("localhost"))) {
        add_address(ret, STR("127.0.0.1"));
        add_address(ret, STR("::1"));
    } else if (str_equal(host, STR("[::1]"))) {
        add_address(ret, STR("::1"));
    } else if (str_starts(host, STR("127.")) && host.len < INET_ADDRSTRLEN) {
        add_address(ret, host);
        return inet_pton(AF_INET, ret->addresses[0], &ipv4) == 1;
    }
    return ret->address_count > 0;
}

static bool read_port(struct str text, in_port_t *ret)
{
    uint32_t port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || port > UINT16_MAX)
            return false;
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret = htons((uint16_t)port);
    return port > 0 && port <= UINT16_MAX;
}

/* Nothing that would end a line or a word of the request. */
static bool is_clean(struct str url)
{
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= ' ' || (unsigned char)url.ptr[i] >= 0x7f ||
            url.ptr[i] == '#')
            return false;
    return true;
}

bool upstream_place_read(const char *url, struct upstream_place *ret)
{
    struct str rest = str_from(url), port = STR("80");
    *ret = (struct upstream_place){ .address_count = 0 };
    if (!is_clean(rest) || !str_starts(rest, STR("http://")))
        return false;
    rest = str_from_offset(rest, 7);
    size_t slash = str_index(rest, '/', 0);
    struct str authority = str_make(rest.ptr, slash), host = authority;
    size_t colon =
        str_starts(host, STR("[")) ? str_index(host, ']', 0) + 1 : str_index(host, ':', 0);
    ret->path = slash < rest.len ? str_from_offset(rest, slash) : STR("/");
    if (authority.len >= UPSTREAM_AUTHORITY_SIZE)
        return false;
    if (colon < host.len) {
        port = str_from_offset(host, colon + 1);
        if (host.ptr[colon] != ':')
            return false;
        host.len = colon;
    }
    snprintf(ret->authority, sizeof(ret->authority), "%.*s", STR_ARG(authority));
    return read_port(port, &ret->port) && read_host(host, ret);
}

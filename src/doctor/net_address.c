/* net_address: see the header. */
#include "doctor/net_address.h"

#include <arpa/inet.h>

const char *net_address_text(const struct net_address *address, char ret[NET_ADDRESS_TEXT])
{
    if (!address->family || !inet_ntop(address->family, address->bytes, ret, NET_ADDRESS_TEXT))
        snprintf(ret, NET_ADDRESS_TEXT, "none");
    return ret;
}

bool net_address_parse(struct str text, struct net_address *ret)
{
    char copy[INET6_ADDRSTRLEN];
    struct net_address address = { 0 };
    if (!text.len || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    address.family = inet_pton(AF_INET, copy, address.bytes) == 1    ? AF_INET
                     : inet_pton(AF_INET6, copy, address.bytes) == 1 ? AF_INET6
                                                                     : 0;
    if (address.family)
        *ret = address;
    return address.family;
}

bool net_address_shares(const struct net_address *a, const struct net_address *b, unsigned bits)
{
    unsigned most = a->family == AF_INET ? 32 : 128, whole;
    if (a->family != b->family || !a->family)
        return false;
    bits = bits > most ? most : bits;
    whole = bits / 8;
    if (memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00u >> bits % 8);
    return bits % 8 == 0 || !((a->bytes[whole] ^ b->bytes[whole]) & mask);
}

static bool is_within(const struct net_address *address, const char *range, unsigned bits)
{
    struct net_address of;
    return net_address_parse(str_from(range), &of) && net_address_shares(address, &of, bits);
}

bool net_address_is_loopback(const struct net_address *address)
{
    return is_within(address, "127.0.0.0", 8) || is_within(address, "::1", 128);
}

bool net_address_is_link_local(const struct net_address *address)
{
    return is_within(address, "169.254.0.0", 16) || is_within(address, "fe80::", 10);
}

#include "doctor/resolv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resolv resolv;
    char text[NET_ADDRESS_TEXT];
    resolv_read(str_make((const char *)data, size), &resolv);
    if (resolv.server_count > RESOLV_SERVERS_MAX)
        abort();
    for (size_t i = 0; i < resolv.server_count; i++)
        if (strcmp(net_address_text(&resolv.servers[i], text), "none") == 0)
            abort();
    return 0;
}

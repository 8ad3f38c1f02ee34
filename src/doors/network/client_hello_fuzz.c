/*
 * Input: the first bytes of a connection. What was answered for a beginning
 * stays the answer; a name that was found is a host name in its own spelling.
 */
#include "doors/network/client_hello.h"

#define PREFIXES 64 /* that are tried: each costs a walk */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct host_name name = { "" }, again;
    enum client_hello whole = client_hello_read(str_make((const char *)data, size), &name);
    if (whole == CLIENT_HELLO_NAME && (host_name_read(str_from(name.text), &again, NULL) != 1 ||
                                       strcmp(name.text, again.text) != 0))
        abort();
    if (whole == CLIENT_HELLO_MORE && size >= CLIENT_HELLO_BYTES_MAX)
        abort();
    for (size_t i = 0; i < PREFIXES; i++) {
        struct str prefix = str_make((const char *)data, size * i / PREFIXES);
        enum client_hello found = client_hello_read(prefix, &again);
        if (found != CLIENT_HELLO_MORE && found != whole)
            abort();
    }
    return 0;
}

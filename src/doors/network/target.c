/* target: see the header. */
#include "doors/network/target.h"

void target_host(const struct target *target, char ret[TARGET_HOST_SIZE])
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    if (target->name[0]) {
        memcpy(ret, target->name, sizeof(target->name));
        return;
    }
    address_range_text(&target->address, text);
    snprintf(ret, TARGET_HOST_SIZE, "%.*s", (int)strcspn(text, "/"), text);
}

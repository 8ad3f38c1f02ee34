#include "doctor/linux/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever was read decides about everybody, and gives nobody more than all. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct acl acl;
    const gid_t groups[] = { 0, 1000 };
    unsigned bits = 0;
    if (acl_read(str_make((const char *)data, size), &acl) < 0)
        return 0;
    for (uid_t uid = 0; uid < 2; uid++) {
        struct acl_asker asker = { uid, 1, 1000, groups, ARRAY_LEN(groups) };
        for (unsigned wanted = 0; wanted < 8; wanted++)
            if (acl_decides(&acl, &asker, wanted, &bits) && bits > 7)
                abort();
    }
    return 0;
}

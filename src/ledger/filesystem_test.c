#include "ledger/internal.h"

#include "ledger/testing.h"

TEST(remote_file_systems_are_refused_and_local_ones_are_not)
{
    static const struct {
        uint32_t magic;
        const char *type;
        bool refused;
    } rows[] = {
        { 0xef53, "ext4", false },
        { 0x9123683e, "btrfs", false },
        { 0x58465342, "xfs", false },
        { 0x01021994, "tmpfs", false },
        { 0x794c7630, "overlay", false },
        { 0x2fc12fc1, "zfs", false },
        { 0x6969, "nfs4", true },
        { 0xff534d42, "cifs", true },
        { 0xfe534d42, "smb3", true },
        { 0x01021997, "9p", true },
        { 0x00c36400, "ceph", true },
        { 0x786f4256, "vboxsf", true },
        { 0x65735546, "fuse.sshfs", true },
        { 0x65735546, "virtiofs", true },
        { 0x65735546, "fuse.rclone", true },
        { 0x65735546, "", true },
        { 0x65735546, "fuseblk", false },
        { 0x65735546, "fuse.gocryptfs", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool refused = filesystem_refused(rows[i].magic, str_from(rows[i].type)) != NULL;
        if (refused != rows[i].refused)
            test_fail(__FILE__, __LINE__, "%s is %s", rows[i].type,
                      refused ? "refused" : "allowed");
    }
}

TEST(folder_of_the_tests_lies_on_a_local_file_system)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    CHECK_OK(filesystem_check(folder.path, &err));
    CHECK_INT(filesystem_check(folder_file(&folder, "missing"), &err), -ENOENT);
    folder_remove(&folder);
}

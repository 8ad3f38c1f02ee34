/*
 * filesystem: where a ledger may lie.
 *
 * Locks, mappings and syncs must mean to every writer what they mean to this
 * kernel, and on a file system that another machine serves they do not. Such
 * file systems are refused by the type that statfs reports. Everything in
 * user space reports one and the same type; there mountinfo says the name, and
 * only names that are known to be local are let through.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "ledger/internal.h"

#define MOUNTINFO           "/proc/self/mountinfo"
#define MOUNTINFO_BYTES_MAX ((size_t)4 << 20)
#define FUSE_MAGIC          0x65735546u

static const struct {
    uint32_t magic;
    const char *name;
} remote[] = {
    { 0x6969, "NFS" },
    { 0x517b, "SMB" },
    { 0xff534d42, "CIFS" },
    { 0xfe534d42, "SMB2" },
    { 0x01021997, "9P" },
    { 0x5346414f, "AFS" },
    { 0x6b414653, "AFS" },
    { 0x73757245, "Coda" },
    { 0x00c36400, "Ceph" },
    { 0x0bd00bd0, "Lustre" },
    { 0x47504653, "GPFS" },
    { 0x7461636f, "OCFS2" },
    { 0x01161970, "GFS2" },
    { 0x564c, "NCP" },
    { 0x786f4256, "a VirtualBox folder" },
    { 0xbacbacbc, "a VMware folder" },
    { 0xaad7aaea, "PanFS" },
    { 0x19830326, "BeeGFS" },
};

static const char *const local_fuse[] = {
    "fuseblk",        "fuse.bindfs", "fuse.ecryptfs", "fuse.encfs",   "fuse.fuse-overlayfs",
    "fuse.gocryptfs", "fuse.cryfs",  "fuse.securefs", "fuse.lxcfs",   "fuse.mergerfs",
    "fuse.mhddfs",    "fuse.ntfs",   "fuse.ntfs-3g",  "fuse.exfat",   "fuse.unionfs-fuse",
    "fuse.apfs-fuse", "fuse.zfs",    "fuse.lklfs",    "fuse.vaultfs",
};

const char *filesystem_refused(uint32_t magic, struct str type)
{
    for (size_t i = 0; i < ARRAY_LEN(remote); i++)
        if (remote[i].magic == magic)
            return remote[i].name;
    if (magic != FUSE_MAGIC)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(local_fuse); i++)
        if (str_equal(type, str_from(local_fuse[i])))
            return NULL;
    return "a file system in user space that is not known to be local";
}

/* The n-th word of a line, counted from 0; empty where it has fewer. */
static struct str word_of(struct str line, int n)
{
    size_t begin = 0, end = str_index(line, ' ', 0);
    for (; n > 0 && end < line.len; n--) {
        begin = end + 1;
        end = str_index(line, ' ', begin);
    }
    return n ? STR("") : str_make(line.ptr + begin, end - begin);
}

/* The type of the mount with this device: "36 35 98:0 /root /at options… - TYPE source options". */
static struct str find_type(struct str mountinfo, dev_t device)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%u:%u", major(device), minor(device));
    while (mountinfo.len) {
        struct str line = str_make(mountinfo.ptr, str_index(mountinfo, '\n', 0));
        mountinfo = str_from_offset(mountinfo, line.len + 1);
        const char *dash = memmem(line.ptr, line.len, " - ", 3);
        if (dash && str_equal(word_of(line, 2), str_from(wanted)))
            return word_of(str_from_offset(line, (size_t)(dash - line.ptr) + 3), 0);
    }
    return STR("");
}

int filesystem_check(const char *folder, struct err *err)
{
    _cleanup_(buf_release) struct buf mountinfo = BUF_INIT_LIMIT(MOUNTINFO_BYTES_MAX);
    struct statfs system;
    struct stat status;
    struct str type = STR("");
    if (statfs(folder, &system) < 0 || stat(folder, &status) < 0)
        return err_set_errno(err, errno, STEP_LEDGER_OPEN, "%s", folder);
    uint32_t magic = (uint32_t)system.f_type;
    if (magic == FUSE_MAGIC && file_read(MOUNTINFO, &mountinfo, NULL) == 0)
        type = find_type(buf_str(&mountinfo), status.st_dev);
    const char *refused = filesystem_refused(magic, type);
    if (!refused)
        return 0;
    return err_set(
        err, ERR_UNSUPPORTED, STEP_LEDGER_OPEN,
        "%s lies on %s%s%.*s%s, where locks and syncs are not this machine's own; choose "
        "a folder on a local disk (--state DIR, or XDG_STATE_HOME)",
        folder, refused, type.len ? " (" : "", STR_ARG(type), type.len ? ")" : "");
}

/*
 * probe_files: files, folders, devices and sockets.
 *
 * Theory of operation. The kernel decides; it is asked by opening (for
 * writing into a folder: a file without a name, which goes with its
 * descriptor). Where it refuses, the reason is looked for in the order in
 * which the kernel has it: a folder above that cannot be searched, the mount,
 * the access list or the mode. Where all of these would allow it, a security
 * module or a Landlock domain is what is left.
 *
 * What holds. Nothing is written; a device, a pipe or a socket file is never
 * opened, since that alone may do something: of them the rights are looked at.
 */
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "doctor/capability.h"
#include "doctor/linux/acl.h"

#define ACL_NAME      "system.posix_acl_access"
#define ACL_BYTES_MAX 65536
#define GROUPS_MAX    1024
#define MODULES_FILE  "/sys/kernel/security/lsm"
#define LABEL_FILE    "/proc/self/attr/current"

static const struct {
    unsigned bits;
    int access;
    const char *letters;
} hows[FILE_HOW_COUNT] = {
    [FILE_READ] = { 4, R_OK, "r" },
    [FILE_WRITE] = { 2, W_OK, "w" },
    [FILE_EXECUTE] = { 1, X_OK, "x" },
};

static const char *user_name(uid_t uid, char ret[64])
{
    const struct passwd *user = getpwuid(uid);
    if (user)
        snprintf(ret, 64, "%s", user->pw_name);
    else
        snprintf(ret, 64, "%u", (unsigned)uid);
    return ret;
}

static const char *group_name(gid_t gid, char ret[64])
{
    const struct group *group = getgrgid(gid);
    if (group)
        snprintf(ret, 64, "%s", group->gr_name);
    else
        snprintf(ret, 64, "%u", (unsigned)gid);
    return ret;
}

/* --- why it is refused ---------------------------------------------------------------------- */

static const char *letters_of(unsigned bits, char ret[4])
{
    ret[0] = bits & 4 ? 'r' : '-';
    ret[1] = bits & 2 ? 'w' : '-';
    ret[2] = bits & 1 ? 'x' : '-';
    ret[3] = '\0';
    return ret;
}

/* What mode or access list leave the asker; the clause says by what. */
static unsigned bits_left(const char *path, const struct stat *status, unsigned wanted,
                          char ret_clause[CAPABILITY_TEXT_MAX])
{
    static struct acl acl;
    static char bytes[ACL_BYTES_MAX];
    gid_t groups[GROUPS_MAX + 1];
    char owner[64], group[64], letters[4];
    int count = getgroups(GROUPS_MAX, groups);
    groups[count < 0 ? 0 : count] = getegid();
    struct acl_asker asker = { geteuid(), status->st_uid, status->st_gid, groups,
                               (size_t)(count < 0 ? 0 : count) + 1 };
    ssize_t len = getxattr(path, ACL_NAME, bytes, sizeof(bytes));
    unsigned mode = status->st_mode & 0777, bits = 0;
    if (len > 0 && acl_read(str_make(bytes, (size_t)len), &acl) == 0) {
        const struct acl_entry *entry = acl_decides(&acl, &asker, wanted, &bits);
        bool is_named = entry && (entry->tag == ACL_USER || entry->tag == ACL_GROUP);
        const char *who = !is_named                ? "such a user"
                          : entry->tag == ACL_USER ? user_name(entry->id, owner)
                                                   : group_name(entry->id, group);
        snprintf(ret_clause, CAPABILITY_TEXT_MAX, "its access list gives %s %s", who,
                 letters_of(bits, letters));
        return bits;
    }
    bool is_owner = asker.uid == asker.owner, is_group = false;
    for (size_t i = 0; i < asker.group_count; i++)
        is_group |= groups[i] == status->st_gid;
    bits = is_owner ? mode >> 6 & 7 : is_group ? mode >> 3 & 7 : mode & 7;
    snprintf(ret_clause, CAPABILITY_TEXT_MAX, "owner %s, group %s, mode %04o",
             user_name(status->st_uid, owner), group_name(status->st_gid, group), mode);
    return bits;
}

/* The first folder above that cannot be searched; false where each can. */
static bool find_closed_folder(const char *path, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s", path);
    for (char *slash = strchr(ret + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (faccessat(AT_FDCWD, ret, X_OK, AT_EACCESS) < 0 && errno == EACCES)
            return true;
        *slash = '/';
    }
    return false;
}

static void see_module(const char *path, struct capability_state *ret)
{
    char label[128] = "";
    _cleanup_(cleanup_close) int fd = open(LABEL_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, label, sizeof(label) - 1);
    label[len < 0 ? 0 : strcspn(label, "\n")] = '\0';
    capability_set(
        ret, FOUND_DENIED, SOURCE_KERNEL,
        "mode, access list and mount allow it; a Landlock domain or a security module%s%s%s "
        "does not",
        label[0] ? " (" : "", label, label[0] ? ")" : "");
    capability_remedy(ret,
                      "Start it outside of the sandbox that it is in, or let that sandbox's "
                      "owner add %s.",
                      path);
}

static void explain_refusal(const char *path, int how, struct capability_state *ret)
{
    struct stat status;
    char folder[PATH_MAX], clause[CAPABILITY_TEXT_MAX], me[64], owner[64];
    const char *at = path;
    unsigned wanted = hows[how].bits;
    if (find_closed_folder(path, folder)) {
        at = folder;
        wanted = 1;
    }
    if (stat(at, &status) < 0) {
        capability_set(ret, FOUND_DENIED, SOURCE_KERNEL, "%s: %s", at, strerror(errno));
        capability_remedy(ret, "Ask the owner of %s for access.", at);
        return;
    }
    unsigned bits = bits_left(at, &status, wanted, clause);
    if ((bits & wanted) == wanted) {
        see_module(at, ret);
        return;
    }
    user_name(geteuid(), me);
    capability_set(ret, FOUND_DENIED, SOURCE_KERNEL, "%s%s%s, and this is %s", at == path ? "" : at,
                   at == path ? "" : ": ", clause, me);
    if (status.st_uid == geteuid())
        capability_remedy(ret, "You can: chmod u+%s %s", wanted == 1 ? "x" : hows[how].letters, at);
    else
        capability_remedy(ret, "Its owner, %s, can: setfacl -m u:%s:%s %s",
                          user_name(status.st_uid, owner), me,
                          wanted == 1 ? "x" : hows[how].letters, at);
}

static void see_error(const char *path, int how, int error, struct capability_state *ret)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "there is no %s", path);
        capability_remedy(ret, "Make %s, or name the one that is meant.", path);
        break;
    case EACCES:
    case EPERM:
        explain_refusal(path, how, ret);
        break;
    case EROFS:
        capability_set(ret, FOUND_DENIED, SOURCE_KERNEL, "it is mounted read-only");
        capability_remedy(ret,
                          "Whoever mounted it can: mount -o remount,rw "
                          "\"$(findmnt -no TARGET -T '%s')\"",
                          path);
        break;
    case ENOSPC:
    case EDQUOT:
        capability_set(ret, FOUND_BROKEN, SOURCE_KERNEL, "there is no room: %s", strerror(error));
        capability_remedy(ret, "Make room on the file system of %s.", path);
        break;
    default:
        capability_set(ret, FOUND_BROKEN, SOURCE_KERNEL, "it cannot be used: %s", strerror(error));
        capability_remedy(ret, "Look into the kernel's log: the file system of %s fails.", path);
    }
}

/* --- files ---------------------------------------------------------------------------------- */

/* 0 or an errno. */
static int try_open(const char *path, const struct stat *status, int how)
{
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK, fd = -1;
    if (faccessat(AT_FDCWD, path, hows[how].access, AT_EACCESS) < 0)
        return errno;
    if (how == FILE_READ && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode)))
        fd = open(path, O_RDONLY | flags);
    else if (how == FILE_WRITE && S_ISREG(status->st_mode))
        fd = open(path, O_WRONLY | flags);
    else if (how == FILE_WRITE && S_ISDIR(status->st_mode))
        fd = open(path, O_TMPFILE | O_WRONLY | flags, 0600);
    else
        return 0;
    int error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    /* A file system without nameless files: its rights were looked at. */
    return error == EOPNOTSUPP || error == EISDIR ? 0 : error;
}

static bool is_mounted_noexec(const char *path)
{
    struct statvfs mount;
    return statvfs(path, &mount) == 0 && mount.f_flag & ST_NOEXEC;
}

/* The path from the root on, `~` being the home. */
static bool find_path(const char *object, char ret[PATH_MAX])
{
    char folder[PATH_MAX] = "";
    const char *home = getenv("HOME");
    bool of_home = object[0] == '~' && (object[1] == '/' || !object[1]) && home && home[0] == '/';
    if (object[0] != '/' && !of_home && !getcwd(folder, sizeof(folder)))
        return false;
    bool is_here = strcmp(object, ".") == 0;
    int len = object[0] == '/' ? snprintf(ret, PATH_MAX, "%s", object)
              : of_home        ? snprintf(ret, PATH_MAX, "%s%s", home, object + 1)
              : is_here        ? snprintf(ret, PATH_MAX, "%s", folder)
                               : snprintf(ret, PATH_MAX, "%s/%s", folder, object);
    return len > 0 && len < PATH_MAX;
}

void probe_file(const struct surroundings *around, const struct capability_row *row,
                const char *object, struct capability_state *ret)
{
    char path[PATH_MAX], clause[CAPABILITY_TEXT_MAX];
    struct stat status;
    if (!find_path(object, path)) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "the path cannot be followed");
        capability_remedy(ret, "Name the path from the root on.");
        return;
    }
    snprintf(ret->object, sizeof(ret->object), "%.511s", path);
    observer_add_path(around->observer, path);
    int error = stat(path, &status) < 0 ? errno : try_open(path, &status, row->how);
    if (error == EACCES && row->how == FILE_EXECUTE && is_mounted_noexec(path)) {
        capability_set(ret, FOUND_DENIED, SOURCE_KERNEL, "it is mounted noexec");
        capability_remedy(ret,
                          "Whoever mounted it can: mount -o remount,exec "
                          "\"$(findmnt -no TARGET -T '%s')\"",
                          path);
        return;
    }
    if (error) {
        see_error(path, row->how, error, ret);
        return;
    }
    (void)bits_left(path, &status, hows[row->how].bits, clause);
    capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "%s", clause);
}

/* --- devices -------------------------------------------------------------------------------- */

void probe_device(const struct surroundings *around, const struct capability_row *row,
                  const char *object, struct capability_state *ret)
{
    struct stat status;
    char group[64], me[64];
    (void)row;
    if (!object || object[0] != '/') {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "the contract names no device");
        capability_remedy(ret, "Name it in the contract: device.open:/dev/….");
        return;
    }
    observer_add_path(around->observer, object);
    if (stat(object, &status) < 0) {
        see_error(object, FILE_READ, errno, ret);
        if (ret->found == FOUND_MISSING)
            capability_remedy(ret, "Plug the device in, or load its driver; a container has to be "
                                   "given it.");
        return;
    }
    if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode)) {
        capability_set(ret, FOUND_BROKEN, SOURCE_KERNEL, "it is no device");
        capability_remedy(ret, "Remove %s, and let udev make it anew.", object);
        return;
    }
    if (faccessat(AT_FDCWD, object, R_OK | W_OK, AT_EACCESS) == 0) {
        capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "its mode %04o lets it be opened",
                       (unsigned)status.st_mode & 0777);
        return;
    }
    explain_refusal(object, FILE_WRITE, ret);
    if ((status.st_mode & 060) == 060)
        capability_remedy(ret, "Join its group, then log in anew: sudo usermod -aG %s %s",
                          group_name(status.st_gid, group), user_name(geteuid(), me));
}

/* --- sockets -------------------------------------------------------------------------------- */

static int try_connect(const char *path)
{
    static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int error = ENAMETOOLONG;
    if (strlen(path) >= sizeof(address.sun_path))
        return error;
    memcpy(address.sun_path, path, strlen(path) + 1);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        _cleanup_(cleanup_close) int fd =
            socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        error = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
        if (error != EPROTOTYPE)
            break;
    }
    return error == EAGAIN ? 0 : error; /* its queue is full: somebody is there */
}

void probe_socket(const struct surroundings *around, const struct capability_row *row,
                  const char *object, struct capability_state *ret)
{
    (void)row;
    if (!object || object[0] != '/') {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "the contract names no socket");
        capability_remedy(ret, "Name it in the contract: socket.connect:/run/….");
        return;
    }
    observer_add_path(around->observer, object);
    int error = try_connect(object);
    if (error == 0)
        capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "somebody listens, and may be called");
    else if (error == ECONNREFUSED) {
        capability_set(ret, FOUND_BROKEN, SOURCE_KERNEL, "the socket is there, and nobody listens");
        capability_remedy(ret, "Start the service that listens at %s.", object);
    } else {
        see_error(object, FILE_WRITE, error, ret);
        if (ret->found == FOUND_MISSING)
            capability_remedy(ret, "Start the service that listens at %s.", object);
    }
}

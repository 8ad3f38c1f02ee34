/*
 * view_etc: an /etc of what programs need to start, and of nothing else.
 *
 * Theory of operation. What is listed is taken from the host where it is
 * there: a folder as a read-only mount, a small file as a copy, a link as the
 * link that it is. Who the command is, and what the machine is called, is
 * written here: nothing is read from the host's own passwd, group or hosts.
 */
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "doors/network/linux/capture.h"
#include "machine/linux/mounting.h"
#include "machine/linux/sandbox.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define LINK_BYTES_MAX 4096
#define NOBODY         65534

static const char *const taken[] = {
    "alternatives",    "bash.bashrc",     "crypto-policies", "fonts",           "inputrc",
    "java-17-openjdk", "java-21-openjdk", "ld.so.cache",     "locale.conf",     "localtime",
    "mime.types",      "os-release",      "pki/ca-trust",    "pki/tls/certs",   "profile",
    "protocols",       "services",        "ssl/certs",       "ssl/openssl.cnf", "terminfo",
    "timezone",
};

const char *view_etc_name(size_t index)
{
    return index < ARRAY_LEN(taken) ? taken[index] : NULL;
}

/* --- taken from the host ------------------------------------------------------------------- */

static int take_link(int host, int etc, const char *name, struct err *err)
{
    char target[LINK_BYTES_MAX];
    ssize_t len = readlinkat(host, name, target, sizeof(target) - 1);
    if (len < 0)
        return mounting_failed(err, "cannot read the link", name);
    target[len] = '\0';
    return symlinkat(target, etc, name) < 0 ? mounting_failed(err, "cannot link", name) : 0;
}

/* What only some may read stays outside. */
static int take_file(int host, int etc, const char *name, struct err *err)
{
    _cleanup_(cleanup_close) int fd = openat(host, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return errno == EACCES ? 0 : mounting_failed(err, "cannot open", name);
    if (fstat(fd, &status) < 0)
        return mounting_failed(err, "cannot look at", name);
    if (!(status.st_mode & S_IROTH) || (size_t)status.st_size > FILE_BYTES_MAX)
        return 0;
    _cleanup_(cleanup_close) int copy =
        openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (copy < 0)
        return mounting_failed(err, "cannot make", name);
    return sendfile(copy, fd, NULL, (size_t)status.st_size) < 0
               ? mounting_failed(err, "cannot copy", name)
               : 0;
}

static int take_folder(int host, int etc, const char *name, struct err *err)
{
    int r = mounting_folder(etc, name, 0755, err);
    _cleanup_(cleanup_close) int fd = r < 0 ? r : mounting_open(host, name, err);
    int tree = fd < 0 ? fd
                      : mounting_copy(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                                      name, err);
    return tree < 0 ? tree : mounting_attach(tree, etc, name, err);
}

static int take(int host, int etc, const char *name, struct err *err)
{
    struct stat status;
    if (fstatat(host, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* the host has none */
    const char *slash = strrchr(name, '/');
    if (slash) {
        char above[64];
        snprintf(above, sizeof(above), "%.*s", (int)(slash - name), name);
        int r = mounting_folder(etc, above, 0755, err);
        if (r < 0)
            return r;
    }
    if (S_ISLNK(status.st_mode))
        return take_link(host, etc, name, err);
    if (S_ISREG(status.st_mode))
        return take_file(host, etc, name, err);
    return S_ISDIR(status.st_mode) ? take_folder(host, etc, name, err) : 0;
}

/* --- written here -------------------------------------------------------------------------- */

static int write_file(int etc, const char *name, const struct buf *text, struct err *err)
{
    if (text->error)
        return err_set(err, ERR_MEMORY, STEP_VIEW, "there is not enough memory");
    return mounting_file(etc, name, text->data, text->len, err);
}

static int write_people(int etc, const struct plan *plan, struct err *err)
{
    _cleanup_(buf_release) struct buf users = BUF_INIT, groups = BUF_INIT;
    int uid = (int)plan->inside_uid, gid = (int)plan->inside_gid;
    if (uid != 0) {
        buf_add_text(&users, "root:x:0:0:root:/root:/bin/sh\n");
        buf_add_text(&groups, "root:x:0:\n");
    }
    buf_addf(&users, "%s:x:%d:%d::%s:/bin/sh\n", plan->user, uid, gid, plan->home);
    buf_addf(&users, "nobody:x:%d:%d:nobody:/:/usr/sbin/nologin\n", NOBODY, NOBODY);
    buf_addf(&groups, "%s:x:%d:\nnogroup:x:%d:\n", plan->user, gid, NOBODY);
    int r = write_file(etc, "passwd", &users, err);
    return r < 0 ? r : write_file(etc, "group", &groups, err);
}

int view_etc(struct sandbox *sandbox, struct err *err)
{
    static const struct {
        const char *name, *text;
    } written[] = {
        { "hosts", "127.0.0.1 localhost agent-machine\n::1 localhost ip6-localhost\n" },
        { "hostname", "agent-machine\n" },
        { "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n" },
        { "resolv.conf", "nameserver " CAPTURE_IPV4 "\noptions edns0\n" },
    };
    int r = mounting_folder(sandbox->root, "etc", 0755, err);
    _cleanup_(cleanup_close) int etc = r < 0 ? r : mounting_open(sandbox->root, "etc", err);
    _cleanup_(cleanup_close) int host = etc < 0 ? etc : mounting_open(AT_FDCWD, "/etc", err);
    r = host < 0 ? host : 0;
    for (size_t i = 0; i < ARRAY_LEN(taken) && r == 0; i++)
        r = take(host, etc, taken[i], err);
    for (size_t i = 0; i < ARRAY_LEN(written) && r == 0; i++)
        r = mounting_file(etc, written[i].name, written[i].text, strlen(written[i].text), err);
    if (r == 0 && symlinkat("/proc/self/mounts", etc, "mtab") < 0)
        r = mounting_failed(err, "cannot link", "mtab");
    return r;
}

int view_people(struct sandbox *sandbox, struct err *err)
{
    _cleanup_(cleanup_close) int etc = mounting_open(sandbox->root, "etc", err);
    return etc < 0 ? etc : write_people(etc, sandbox->plan, err);
}

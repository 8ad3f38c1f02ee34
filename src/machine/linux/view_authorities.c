/*
 * view_authorities: certificates that layers name, behind those of the host.
 *
 * Theory of operation. The host's bundle is a file within a folder of its /etc
 * that the view has read-only. A copy of it, with the named certificates behind
 * it, is written into the view's own /etc, and mounted over the host's. Programs
 * find it where they always look, with nothing to configure; what reads the
 * folder of single certificates instead, or brings a bundle of its own, can be
 * pointed to the same file at /etc/ssl/agent-machine.pem.
 *
 * A host that has none of the bundles below is refused: programs would trust
 * the named ones alone, or look in vain.
 */
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "machine/linux/mounting.h"
#include "machine/linux/sandbox.h"

#define BUNDLE_BYTES_MAX ((size_t)3 << 20)
#define WHOLE            "etc/ssl/agent-machine.pem"

/* Of Debian and its kin; of Fedora and its. */
static const char *const bundles[] = {
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

/* 1, with what the bundle has; 0 where the view has no such file. */
static int read_bundle(int root, const char *path, struct buf *ret, struct err *err)
{
    char folder[128];
    struct stat status;
    const char *name = strrchr(path, '/') + 1;
    snprintf(folder, sizeof(folder), "%.*s", (int)(name - path - 1), path);
    _cleanup_(cleanup_close) int inside = mounting_open(root, folder, NULL);
    _cleanup_(cleanup_close) int fd =
        inside < 0 ? -1 : openat(inside, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return 0;
    int r = file_read_fd(fd, path, ret, err);
    return r < 0 ? r : 1;
}

static int cover(int root, const char *path, struct err *err)
{
    _cleanup_(cleanup_close) int whole = mounting_open(root, WHOLE, err);
    int tree = whole < 0
                   ? whole
                   : mounting_copy(whole, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                                   WHOLE, err);
    return tree < 0 ? tree : mounting_attach(tree, root, path, err);
}

int view_authorities(struct sandbox *sandbox, struct err *err)
{
    const char *certificates = sandbox->plan->certificates;
    int r = 0;
    for (size_t i = 0; certificates && i < ARRAY_LEN(bundles) && r == 0; i++) {
        _cleanup_(buf_release) struct buf whole = BUF_INIT_LIMIT(BUNDLE_BYTES_MAX);
        r = read_bundle(sandbox->root, bundles[i], &whole, err);
        if (r <= 0)
            continue;
        if (whole.len && whole.data[whole.len - 1] != '\n')
            buf_add_char(&whole, '\n');
        buf_add_text(&whole, certificates);
        if (whole.error)
            return err_set(err, ERR_LIMIT, STEP_VIEW, "%s is too large to add authorities to",
                           bundles[i]);
        r = mounting_folder(sandbox->root, "etc/ssl", 0755, err);
        if (r == 0)
            r = mounting_file(sandbox->root, WHOLE, whole.data, whole.len, err);
        return r < 0 ? r : cover(sandbox->root, bundles[i], err);
    }
    /* An image without a bundle has no program that would look for one. */
    return r < 0 || !certificates || sandbox->plan->tier == TIER_CONTAINER
               ? r
               : err_set(err, ERR_UNSUPPORTED, STEP_VIEW,
                         "this host has no bundle of certificates to add a layer's authorities to; "
                         "install the package ca-certificates");
}

/* mounting: see the header. The calls are those of Linux 5.12 and later. */
#include "machine/linux/mounting.h"

#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int mounting_failed(struct err *err, const char *what, const char *path)
{
    int number = errno;
    return err_set_errno(err, number, STEP_VIEW, "%s %s", what, path);
}

int mounting_open(int folder, const char *path, struct err *err)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                                       (folder == AT_FDCWD ? 0 : RESOLVE_BENEATH) };
    int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
    return fd < 0 ? mounting_failed(err, "cannot open", path) : fd;
}

int mounting_copy(int fd, uint64_t attributes, const char *path, struct err *err)
{
    struct mount_attr attr = { .attr_set = attributes };
    _cleanup_(cleanup_close) int tree =
        open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    if (tree < 0)
        return mounting_failed(err, "cannot take the mounts of", path);
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return mounting_failed(err, "cannot restrict the mounts of", path);
    return TAKE_FD(tree);
}

int mounting_attach(int tree, int root, const char *path, struct err *err)
{
    _cleanup_(cleanup_close) int owned = tree;
    if (move_mount(owned, "", root, path,
                   MOVE_MOUNT_F_EMPTY_PATH | (path[0] ? 0 : MOVE_MOUNT_T_EMPTY_PATH)) < 0)
        return mounting_failed(err, "cannot mount", path);
    return 0;
}

int mounting_new(const char *type, const struct mounting_option *options, size_t count,
                 uint64_t attributes, struct err *err)
{
    _cleanup_(cleanup_close) int context = fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0)
        return mounting_failed(err, "cannot make a file system of the type", type);
    for (size_t i = 0; i < count; i++) {
        const struct mounting_option *option = &options[i];
        if (fsconfig(context, option->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option->key,
                     option->value, 0) < 0)
            return mounting_failed(err, "the file system does not take the option", option->key);
    }
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return mounting_failed(err, "cannot make a file system of the type", type);
    int tree = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
    return tree < 0 ? mounting_failed(err, "cannot mount a file system of the type", type) : tree;
}

/* One after the other, each opened before the next is made in it. */
int mounting_folder(int root, const char *path, mode_t mode, struct err *err)
{
    _cleanup_(cleanup_close) int above = -1;
    const char *part = path;
    for (;;) {
        char name[NAME_MAX + 1];
        size_t len = strcspn(part, "/");
        if (len >= sizeof(name))
            return err_set(err, ERR_LIMIT, STEP_VIEW, "a name is too long in %.200s", path);
        snprintf(name, sizeof(name), "%.*s", (int)len, part);
        if (mkdirat(above < 0 ? root : above, name, mode) < 0 && errno != EEXIST)
            return mounting_failed(err, "cannot make", path);
        if (!part[len] || !part[len + 1])
            return 0;
        int folder = mounting_open(above < 0 ? root : above, name, err);
        if (folder < 0)
            return folder;
        cleanup_close(&above);
        above = folder;
        part += len + 1;
    }
}

int mounting_file(int root, const char *path, const char *text, size_t len, struct err *err)
{
    _cleanup_(cleanup_close) int fd =
        openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return mounting_failed(err, "cannot make", path);
    if (len && write(fd, text, len) != (ssize_t)len)
        return mounting_failed(err, "cannot write", path);
    return 0;
}

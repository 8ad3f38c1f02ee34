/* tree_testing: what the tests that read trees share. */
#ifndef AM_MACHINE_TREE_TESTING_H
#define AM_MACHINE_TREE_TESTING_H

#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/test.h"

#define TREE_PATH_MAX 64
#define TREE_NOBODY   65534

/* Makes a directory that others may enter, and writes its path. */
static inline void tree_make(char ret[TREE_PATH_MAX])
{
    snprintf(ret, TREE_PATH_MAX, "/tmp/am-tree-XXXXXX");
    if (!mkdtemp(ret) || chmod(ret, 0755) < 0)
        test_fail(__FILE__, __LINE__, "mkdtemp: %s", strerror(errno));
}

/* Runs a shell script in a directory; its exit status, or -1. */
static inline int tree_shell(const char *directory, const char *script)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (chdir(directory) == 0)
            execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void tree_remove(const char *directory)
{
    char script[2 * TREE_PATH_MAX + 32];
    snprintf(script, sizeof(script), "chmod -R u+rwx %s; rm -rf %s", directory, directory);
    tree_shell("/", script);
}

static inline int tree_open(const char *directory)
{
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Writes "text" to a /proc file; false where that fails. */
static inline bool tree_write_proc(const char *path, const char *text)
{
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Becomes an ordinary user where the caller is root, and stays the owner of its own /proc. */
static inline bool tree_drop(void)
{
    return geteuid() != 0 ||
           (setgroups(0, NULL) == 0 && setresgid(TREE_NOBODY, TREE_NOBODY, TREE_NOBODY) == 0 &&
            setresuid(TREE_NOBODY, TREE_NOBODY, TREE_NOBODY) == 0 &&
            prctl(PR_SET_DUMPABLE, 1) == 0);
}

/* Runs a function in a child, as root or as an ordinary user; its checks count there. */
static inline void tree_in_child(bool ordinary, int (*body)(const char *tree), const char *tree)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (ordinary && !tree_drop())
            _exit(120);
        _exit(body(tree));
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), 0);
}

/* A user and a mount namespace in which the caller is root. */
static inline bool tree_enter_namespaces(void)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    snprintf(map, sizeof(map), "0 %u 1", uid);
    if (!tree_write_proc("/proc/self/setgroups", "deny") ||
        !tree_write_proc("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof(map), "0 %u 1", gid);
    return tree_write_proc("/proc/self/gid_map", map);
}

#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        int result_ = (call);                                                                      \
        if (result_ < 0)                                                                           \
            test_fail(__FILE__, __LINE__, "%s: %d, %s: %s: %s", #call, result_, err_id(err.code),  \
                      err.step ? err.step : "", err.cause);                                        \
    } while (0)

#endif

/* What is given up stays given up, by whatever call, and for the programs that follow. */
#include "machine/linux/capabilities.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/test.h"

static int child(int (*body)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(body());
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The faults of a process that ought to have nothing left. */
static int faults_after_drop(bool had_bounding)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = { 0 };
    int faults = syscall(SYS_capget, &header, sets) < 0;
    for (int i = 0; i < 2; i++)
        faults += sets[i].effective || sets[i].permitted || sets[i].inheritable;
    for (unsigned long c = 0; c <= CAP_LAST_CAP; c++) {
        faults += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) == 1;
        faults += had_bounding && prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1;
    }
    sets[0].permitted = 1U << CAP_SYS_ADMIN;
    faults += syscall(SYS_capset, &header, sets) == 0;
    faults += prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0;
    return faults;
}

static int as_root_of_a_namespace(void)
{
    struct err err = { 0 };
    if (unshare(CLONE_NEWUSER) < 0)
        return 100;
    return capabilities_drop(&err) < 0 ? 101 : faults_after_drop(true);
}

static int as_caller(void)
{
    struct err err = { 0 };
    bool had_bounding = getuid() == 0;
    return capabilities_drop(&err) < 0 ? 101 : faults_after_drop(had_bounding);
}

TEST(nothing_is_left_and_nothing_comes_back)
{
    CHECK_INT(child(as_root_of_a_namespace), 0);
    CHECK_INT(child(as_caller), 0);
}

/* User 0, and still so after execve: without capabilities it may not even set the host name. */
static int root_runs_a_program(void)
{
    struct err err = { 0 };
    if (capabilities_drop(&err) < 0)
        return 101;
    execl("/bin/sh", "sh", "-c",
          "test \"$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)\" = 0000000000000000 &&"
          "! chroot / true 2>/dev/null",
          (char *)NULL);
    return 102;
}

TEST(a_program_of_user_0_has_none_either)
{
    CHECK_INT(child(root_runs_a_program), 0);
}

static int drop_twice(void)
{
    return capabilities_drop(NULL) < 0 || capabilities_drop(NULL) < 0;
}

TEST(twice_is_as_good_as_once)
{
    CHECK_INT(child(drop_twice), 0);
}

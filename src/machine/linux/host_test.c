/* What the host gives is found out by trying; where it is taken away, the reason is named. */
#include "machine/linux/host.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/test.h"
#include "machine/linux/landlock.h"
#include "machine/linux/seccomp.h"

static void show(const struct host_fact *facts)
{
    for (size_t i = 0; i < HOST_FACT_COUNT; i++)
        printf("  %s: %s: %s\n", host_fact_names[i], host_state_names[facts[i].state],
               facts[i].evidence);
}

TEST(this_host_gives_namespaces)
{
    struct host_fact facts[HOST_FACT_COUNT];
    host_examine(facts);
    struct host_answer answer = host_gives(facts, TIER_NAMESPACES);
    if (!answer.is_given) {
        show(facts);
        test_skip("it does not: %s", answer.reason);
        return;
    }
    CHECK(host_expects(TIER_NAMESPACES).is_given);
    CHECK_INT(facts[HOST_USER_NAMESPACES].state, HOST_GOOD);
    CHECK_INT(facts[HOST_SECCOMP].state, HOST_GOOD);
    CHECK(host_gives(facts, TIER_PROCESS).is_given == (landlock_abi() >= 6));
    CHECK(!host_gives(facts, TIER_VM).is_given);
    for (size_t i = 0; i < HOST_FACT_COUNT; i++) {
        CHECK(facts[i].evidence[0] && host_meaning((enum host_fact_id)i, facts[i].state));
        CHECK(facts[i].state != HOST_GOOD || !facts[i].remedy);
    }
}

/* Runs body in a child; the number of its faults. */
static int child(int (*body)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int faults = body();
        fflush(stdout);
        _exit(faults);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* As where the setting is 0 on the host: each user namespace has one of its own. */
static int with_namespaces_switched_off(void)
{
    struct host_fact facts[HOST_FACT_COUNT];
    int fd = unshare(CLONE_NEWUSER) < 0
                 ? -1
                 : open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return 100;
    close(fd);
    host_examine(facts);
    struct host_answer found = host_gives(facts, TIER_NAMESPACES);
    struct host_answer expected = host_expects(TIER_NAMESPACES);
    int faults = found.is_given + expected.is_given;
    faults += facts[HOST_USER_NAMESPACES].state != HOST_MISSING;
    faults += !found.remedy || !strstr(found.remedy, "sysctl -w user.max_user_namespaces");
    faults += !expected.remedy || !strstr(expected.remedy, "sysctl -w user.max_user_namespaces");
    faults += !expected.reason || !strstr(expected.reason, "max_user_namespaces");
    faults += host_gives(facts, TIER_PROCESS).is_given != (landlock_abi() >= 6);
    if (faults)
        show(facts);
    return faults;
}

TEST(a_setting_that_forbids_namespaces_is_named)
{
    CHECK_INT(child(with_namespaces_switched_off), 0);
}

/* As in a container whose runtime filters them: no setting says so, only the try does. */
static int under_a_filter(void)
{
    struct host_fact facts[HOST_FACT_COUNT];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_install(SECCOMP_DEFAULT, NULL) < 0)
        return 100;
    host_examine(facts);
    int faults = host_gives(facts, TIER_NAMESPACES).is_given;
    faults += facts[HOST_USER_NAMESPACES].state != HOST_MISSING;
    faults += !strstr(facts[HOST_USER_NAMESPACES].evidence, "making a user namespace");
    faults += !host_expects(TIER_NAMESPACES).is_given;
    if (faults)
        show(facts);
    return faults;
}

TEST(what_only_trying_tells_is_tried)
{
    CHECK_INT(child(under_a_filter), 0);
}

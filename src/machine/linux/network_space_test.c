/* Whose network a process is in afterwards; what is captured there: capture_test.c. */
#include "machine/linux/network_space.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/test.h"

#define NOBODY    65534
#define NO_SPACES 77

static ino_t own_network(void)
{
    struct stat status;
    return stat("/proc/self/ns/net", &status) == 0 ? status.st_ino : 0;
}

/* In a process of nobody's: its status says what was not as it should be. */
static int look(bool with_thread)
{
    struct rlimit none = { 0, 0 };
    struct network_space space;
    struct err err = { 0 };
    ino_t before = own_network();
    if ((geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0) || unshare(CLONE_NEWUSER) < 0)
        return NO_SPACES;
    if (!with_thread && setrlimit(RLIMIT_NPROC, &none) < 0)
        return 1;
    network_space_begin(&space);
    if (space.has_thread != with_thread)
        return 2;
    if (network_space_enter(&space, &err) < 0) {
        fprintf(stderr, "%s\n", err.cause);
        return 3;
    }
    if (own_network() == before || !space.capture.count)
        return 4;
    capture_close(&space.capture);
    return unshare(CLONE_NEWNS) < 0 ? 5 : 0; /* alone again, with all its rights */
}

static int try_in_child(bool with_thread)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(look(with_thread));
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

TEST(a_thread_makes_the_network_and_the_process_enters_it)
{
    int status = try_in_child(true);
    if (status == NO_SPACES)
        test_skip("this host gives no user namespace");
    else
        CHECK_INT(status, 0);
}

TEST(where_no_thread_can_be_had_it_is_made_all_the_same)
{
    int status = try_in_child(false);
    if (status == NO_SPACES)
        test_skip("this host gives no user namespace");
    else
        CHECK_INT(status, 0);
}

/* Without the right to: the thread's failure is the process's. */
TEST(what_the_thread_fails_at_is_told)
{
    struct err err = { 0 };
    struct network_space space;
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
            _exit(1);
        network_space_begin(&space);
        _exit(network_space_enter(&space, &err) < 0 && err.cause[0] ? 0 : 2);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

/*
 * limits_manager: a scope of our own from the service manager.
 *
 * Theory of operation. On a host that systemd manages, groups are made by
 * asking it: the user's manager for an ordinary user, the system's for root,
 * each over the private socket that it listens on for its own tools (there is
 * no bus daemon on the way, and the folder that it lies in is the caller's
 * own). StartTransientUnit is sent with Delegate and this process as the
 * scope's first; the launch goes on, and the answer, a job that has to end as
 * `done`, is waited for when the sandbox needs its group.
 *
 * The scope ends by itself with the last process in it, also after a crash.
 *
 * Limits. WAIT_US for all of it; a manager that does not answer within it is
 * one that is not there, and the run is metered. libsystemd is opened only
 * where the socket exists.
 */
#include <systemd/sd-bus.h>

#include "base/lazy.h"
#include "machine/linux/limits_internal.h"

#define WAIT_US        UINT64_C(250000)
#define SOCKET_MAX     256
#define SYSTEM_SOCKET  "/run/systemd/private"
#define MANAGER        "org.freedesktop.systemd1"
#define MANAGER_PATH   "/org/freedesktop/systemd1"
#define MANAGER_IFACE  "org.freedesktop.systemd1.Manager"
#define JOB_PATH_MAX   128
#define SCOPE_NAME_MAX (GROUP_NAME_MAX + sizeof(".scope"))

#define BUS_FUNCTIONS(X)                                                                           \
    X(sd_bus_new)                                                                                  \
    X(sd_bus_set_address)                                                                          \
    X(sd_bus_start)                                                                                \
    X(sd_bus_close_unref)                                                                          \
    X(sd_bus_match_signal)                                                                         \
    X(sd_bus_message_new_method_call)                                                              \
    X(sd_bus_message_append)                                                                       \
    X(sd_bus_message_read)                                                                         \
    X(sd_bus_message_is_method_error)                                                              \
    X(sd_bus_message_unref)                                                                        \
    X(sd_bus_call_async)                                                                           \
    X(sd_bus_process)                                                                              \
    X(sd_bus_wait)
LAZY_LIBRARY(bus, "libsystemd.so.0", BUS_FUNCTIONS)

struct manager {
    sd_bus *bus;
    int64_t end_ns;
    char job[JOB_PATH_MAX]; /* once the request was accepted */
    bool done;
    int error; /* -errno, once it was refused or the job failed */
};

static const char *find_socket(char ret[SOCKET_MAX])
{
    const char *folder = getenv("XDG_RUNTIME_DIR");
    int len = snprintf(ret, SOCKET_MAX, "%s", SYSTEM_SOCKET);
    if (geteuid() != 0)
        len = folder ? snprintf(ret, SOCKET_MAX, "%s/systemd/private", folder) : SOCKET_MAX;
    /* The address has a syntax of its own, in which these would mean something else. */
    if (len >= SOCKET_MAX || strpbrk(ret, ",;%=") || access(ret, W_OK) < 0)
        return NULL;
    return ret;
}

static int on_answer(sd_bus_message *answer, void *context, sd_bus_error *ret_error)
{
    struct manager *manager = context;
    const char *job;
    (void)ret_error;
    if (bus.sd_bus_message_is_method_error(answer, NULL) ||
        bus.sd_bus_message_read(answer, "o", &job) < 0 || strlen(job) >= JOB_PATH_MAX)
        manager->error = -EACCES;
    else
        snprintf(manager->job, sizeof(manager->job), "%s", job);
    return 0;
}

static int on_job_removed(sd_bus_message *signal, void *context, sd_bus_error *ret_error)
{
    struct manager *manager = context;
    uint32_t id;
    const char *job, *unit, *result;
    (void)ret_error;
    if (bus.sd_bus_message_read(signal, "uoss", &id, &job, &unit, &result) < 0 ||
        strcmp(job, manager->job) != 0)
        return 0;
    manager->done = true;
    if (strcmp(result, "done") != 0)
        manager->error = -EACCES;
    return 0;
}

/* The scope's properties; controllers are delegated where its own accounting is on. */
static int describe(sd_bus_message *message, const char *scope)
{
    char name[SCOPE_NAME_MAX];
    snprintf(name, sizeof(name), "%s.scope", scope);
    return bus.sd_bus_message_append(
        message, "ssa(sv)a(sa(sv))", name, "fail", 6, "Description", "s", "A run of agent-machine",
        "Delegate", "b", 1, "CollectMode", "s", "inactive-or-failed", "MemoryAccounting", "b", 1,
        "TasksAccounting", "b", 1, "PIDs", "au", 1, (uint32_t)getpid(), 0);
}

static int send_request(struct manager *manager, const char *scope, const char *socket)
{
    char address[sizeof("unix:path=") + SOCKET_MAX];
    sd_bus_message *message = NULL;
    snprintf(address, sizeof(address), "unix:path=%s", socket);
    int r = bus.sd_bus_new(&manager->bus);
    if (r >= 0)
        r = bus.sd_bus_set_address(manager->bus, address);
    if (r >= 0)
        r = bus.sd_bus_start(manager->bus);
    if (r >= 0)
        r = bus.sd_bus_match_signal(manager->bus, NULL, NULL, MANAGER_PATH, MANAGER_IFACE,
                                    "JobRemoved", on_job_removed, manager);
    if (r >= 0)
        r = bus.sd_bus_message_new_method_call(manager->bus, &message, MANAGER, MANAGER_PATH,
                                               MANAGER_IFACE, "StartTransientUnit");
    if (r >= 0)
        r = describe(message, scope);
    if (r >= 0)
        r = bus.sd_bus_call_async(manager->bus, NULL, message, on_answer, manager, WAIT_US);
    bus.sd_bus_message_unref(message);
    while (r > 0) /* as far as it goes without waiting */
        r = bus.sd_bus_process(manager->bus, NULL);
    return r;
}

void manager_free(struct manager *manager)
{
    if (!manager)
        return;
    bus.sd_bus_close_unref(manager->bus);
    free(manager);
}

int manager_ask(const char *scope, struct manager **ret, struct err *err)
{
    char path[SOCKET_MAX];
    const char *socket = find_socket(path);
    if (!socket)
        return err_set(err, ERR_UNSUPPORTED, LIMITS_STEP, "there is no service manager");
    int r = lazy_load(&bus_library, err);
    if (r < 0)
        return r;
    struct manager *manager = calloc(1, sizeof(*manager));
    if (!manager)
        return err_set(err, ERR_MEMORY, LIMITS_STEP, "no memory to ask the service manager");
    manager->end_ns = limits_now_ns() + (int64_t)WAIT_US * 1000;
    r = send_request(manager, scope, socket);
    if (r < 0) {
        manager_free(manager);
        return err_set_errno(err, -r, LIMITS_STEP, "the service manager at %s", socket);
    }
    *ret = manager;
    return 0;
}

int manager_wait(struct manager *manager, struct err *err)
{
    int r = 0;
    while (r >= 0 && !manager->done && !manager->error) {
        int64_t left_ns = manager->end_ns - limits_now_ns();
        r = bus.sd_bus_process(manager->bus, NULL);
        if (r == 0 && left_ns > 0)
            r = bus.sd_bus_wait(manager->bus, (uint64_t)left_ns / 1000);
        else if (r == 0)
            r = -ETIMEDOUT;
    }
    if (manager->error)
        r = manager->error;
    manager_free(manager);
    return r >= 0 ? 0 : err_set_errno(err, -r, LIMITS_STEP, "the service manager gives no scope");
}

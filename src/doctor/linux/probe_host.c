/*
 * probe_host: what the kernel gives to every program of this user, or does not.
 *
 * What only doing tells (a user namespace) is done in a child that ends at
 * once; everything else is asked or read.
 */
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "doctor/capability.h"
#include "doctor/linux/bus.h"

#define RADIO_FOLDER   "/sys/class/ieee80211"
#define CONTROL_GROUPS "/sys/fs/cgroup"
#define SMALL_FILE_MAX 8192
#define PATH_BYTES     4096
#define X_SOCKETS      "/tmp/.X11-unix/X"

void probe_netlink(const struct surroundings *around, const struct capability_row *row,
                   const char *object, struct capability_state *ret)
{
    _cleanup_(cleanup_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    (void)around;
    (void)row;
    (void)object;
    if (fd >= 0) {
        capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "the kernel opens a socket for it");
        return;
    }
    capability_set(ret, errno == EACCES || errno == EPERM ? FOUND_DENIED : FOUND_MISSING,
                   errno == EACCES || errno == EPERM ? SOURCE_KERNEL : SOURCE_UNAVAILABLE,
                   "the kernel opens no such socket: %s", strerror(errno));
    capability_remedy(ret, "Start it outside of the sandbox that closes netlink.");
}

void probe_radio(const struct surroundings *around, const struct capability_row *row,
                 const char *object, struct capability_state *ret)
{
    (void)row;
    (void)object;
    observer_add_path(around->observer, RADIO_FOLDER);
    observer_add_network(around->observer); /* that folder tells nobody of its changes */
    if (access(RADIO_FOLDER "/phy0", F_OK) == 0) {
        capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "the kernel has a radio");
        return;
    }
    capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "this host has no radio");
    capability_remedy(ret, "Plug a wireless adapter in, or load its driver.");
}

/* --- namespaces, groups, capabilities ------------------------------------------------------- */

void probe_user_namespace(const struct surroundings *around, const struct capability_row *row,
                          const char *object, struct capability_state *ret)
{
    int status = 0;
    (void)around;
    (void)row;
    (void)object;
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    int error = child < 0 ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    if (error == 0)
        capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "one was made, and ended");
    else {
        bool is_denied = error == EPERM || error == EACCES || error == ENOSPC;
        capability_set(ret, is_denied ? FOUND_DENIED : FOUND_BROKEN, SOURCE_KERNEL,
                       "none can be made: %s", strerror(error));
        capability_remedy(ret,
                          "`agent-machine doctor host` names the setting that forbids it, and the "
                          "command that mends it.");
    }
}

/* The group of this process in the second version's tree; false where it has none. */
static bool find_control_group(char ret[PATH_BYTES])
{
    static const char mark[] = "0::";
    struct buf text = BUF_INIT_LIMIT(SMALL_FILE_MAX);
    bool found = false;
    if (file_read("/proc/self/cgroup", &text, NULL) == 0)
        for (size_t at = 0; !found && at < text.len;) {
            size_t end = str_index(buf_str(&text), '\n', at);
            struct str line = str_make(text.data + at, end - at);
            found = str_starts(line, str_from(mark));
            if (found)
                snprintf(ret, PATH_BYTES, CONTROL_GROUPS "%.*s", (int)line.len - 3, line.ptr + 3);
            at = end + 1;
        }
    buf_release(&text);
    return found && access(CONTROL_GROUPS "/cgroup.controllers", F_OK) == 0;
}

void probe_control_group(const struct surroundings *around, const struct capability_row *row,
                         const char *object, struct capability_state *ret)
{
    const struct bus *bus = &observer_buses(around->observer)[BUS_SESSION];
    char path[PATH_BYTES];
    (void)row;
    (void)object;
    bool has_group = find_control_group(path);
    if (has_group && access(path, W_OK) == 0)
        capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "%.400s may be divided", path);
    else if (bus_has_owner(bus, "org.freedesktop.systemd1") > 0)
        capability_set(ret, FOUND_GRANTED, SOURCE_BROKER, "the user's manager gives groups");
    else if (has_group) {
        capability_set(ret, FOUND_DENIED, SOURCE_KERNEL, "%.400s is another user's", path);
        capability_remedy(ret, "Start it below the user's manager: systemd-run --user --scope -p "
                               "Delegate=yes -- …");
    } else {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE,
                       "this host has no tree of control groups that is divided by its users");
        capability_remedy(ret, "Boot with systemd.unified_cgroup_hierarchy=1.");
    }
}

static const char *const held_names[] = {
    "chown",
    "dac-override",
    "dac-read-search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux-immutable",
    "net-bind-service",
    "net-broadcast",
    "net-admin",
    "net-raw",
    "ipc-lock",
    "ipc-owner",
    "sys-module",
    "sys-rawio",
    "sys-chroot",
    "sys-ptrace",
    "sys-pacct",
    "sys-admin",
    "sys-boot",
    "sys-nice",
    "sys-resource",
    "sys-time",
    "sys-tty-config",
    "mknod",
    "lease",
    "audit-write",
    "audit-control",
    "setfcap",
    "mac-override",
    "mac-admin",
    "syslog",
    "wake-alarm",
    "block-suspend",
    "audit-read",
    "perfmon",
    "bpf",
    "checkpoint-restore",
};

void probe_held(const struct surroundings *around, const struct capability_row *row,
                const char *object, struct capability_state *ret)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    size_t number = 0;
    (void)around;
    (void)row;
    while (object && number < ARRAY_LEN(held_names) && strcmp(held_names[number], object) != 0)
        number++;
    if (!object || number == ARRAY_LEN(held_names)) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "the kernel has no such capability");
        capability_remedy(ret, "Name it as capabilities(7) does, in small letters: "
                               "capability.hold:net-admin.");
        return;
    }
    bool is_held =
        syscall(SYS_capget, &header, data) == 0 && data[number / 32].effective & 1u << number % 32;
    if (is_held) {
        capability_set(ret, FOUND_GRANTED, SOURCE_INHERITED, "it was passed on to this process");
        return;
    }
    capability_set(ret, FOUND_DENIED, SOURCE_KERNEL, "this process does not hold it");
    capability_remedy(ret, "Have a service manager grant it (AmbientCapabilities=), or start it as "
                           "root.");
}

/* --- the display ---------------------------------------------------------------------------- */

void probe_display(const struct surroundings *around, const struct capability_row *row,
                   const char *object, struct capability_state *ret)
{
    const char *wayland = getenv("WAYLAND_DISPLAY"), *x = getenv("DISPLAY");
    const char *folder = getenv("XDG_RUNTIME_DIR");
    char path[PATH_BYTES] = "";
    (void)object;
    if (wayland && wayland[0] == '/')
        snprintf(path, sizeof(path), "%s", wayland);
    else if (wayland && wayland[0] && folder)
        snprintf(path, sizeof(path), "%s/%s", folder, wayland);
    else if (x && x[0] == ':')
        snprintf(path, sizeof(path), X_SOCKETS "%.*s", (int)strcspn(x + 1, "."), x + 1);
    if (!path[0]) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "no display is named");
        capability_remedy(ret, "Start it in a desktop session; there is no clipboard without one.");
        return;
    }
    snprintf(ret->object, sizeof(ret->object), "%.511s", path);
    probe_socket(around, row, path, ret);
    if (ret->found == FOUND_GRANTED)
        capability_set(ret, FOUND_GRANTED, SOURCE_AMBIENT_HOST,
                       "the display gives its clipboard to every program that it shows");
}

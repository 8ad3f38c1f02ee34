/*
 * host_tries: see the header.
 *
 * Theory of operation. Settings say what ought to work; a container, a
 * security module or a kernel built otherwise may see it differently. So each
 * of these does what the sandbox does, and nothing but that, and reports the
 * first step that failed with its error. They run in children of their own
 * (host.c), which end with whatever they made: mounts and networks of private
 * namespaces, and nothing that stays.
 */
#include "machine/linux/host_tries.h"

#include <arpa/inet.h>
#include <linux/mount.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "machine/linux/seccomp.h"

#define SCRATCH "/tmp" /* covered by a tmpfs, in a mount namespace of the child's */

void host_found(struct host_fact *fact, enum host_state state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fact->state = state;
    vsnprintf(fact->evidence, sizeof(fact->evidence), format, arguments);
    va_end(arguments);
}

static bool refused(struct host_fact *fact, const char *step)
{
    host_found(fact, HOST_MISSING, "%s: %s", step, strerror(errno));
    return false;
}

/* ---- namespaces ---- */

static bool write_text(const char *path, const char *text)
{
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A user namespace in which the caller is root, with the further namespaces of `flags`. */
static bool enter(struct host_fact *fact, int flags)
{
    char map[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER) < 0)
        return refused(fact, "making a user namespace");
    snprintf(map, sizeof(map), "0 %u 1", uid);
    if (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", map))
        return refused(fact, "mapping the user");
    snprintf(map, sizeof(map), "0 %u 1", gid);
    if (!write_text("/proc/self/gid_map", map))
        return refused(fact, "mapping the group");
    if (unshare(flags) < 0)
        return refused(fact, "making namespaces inside the user namespace");
    return true;
}

static bool enter_with_scratch(struct host_fact *fact, int flags)
{
    if (!enter(fact, CLONE_NEWNS | flags))
        return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return refused(fact, "making the mounts private");
    if (mount("tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, NULL) < 0)
        return refused(fact, "mounting a tmpfs");
    return true;
}

void host_try_user_namespaces(struct host_fact *fact)
{
    int all = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (enter_with_scratch(fact, all))
        host_found(fact, HOST_GOOD, "made, with mounts, network and processes of its own");
}

/* A container that covers parts of its /proc keeps the kernel from mounting a whole one. */
void host_try_proc(struct host_fact *fact)
{
    if (!enter_with_scratch(fact, CLONE_NEWPID))
        return;
    pid_t pid = fork(); /* the first of the new pid namespace */
    if (pid == 0)
        _exit(mount("proc", SCRATCH, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno
                                                                                         : 0);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        refused(fact, "starting a process");
    else if (status == 0)
        host_found(fact, HOST_GOOD, "mounted in a pid namespace");
    else
        host_found(fact, HOST_MISSING, "mounting proc in a pid namespace: %s",
                   strerror(WIFEXITED(status) ? WEXITSTATUS(status) : EIO));
}

void host_try_overlay(struct host_fact *fact)
{
    static const char *const folders[] = { SCRATCH "/lower", SCRATCH "/upper", SCRATCH "/work",
                                           SCRATCH "/merged" };
    if (!enter_with_scratch(fact, 0))
        return;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (mkdir(folders[i], 0700) < 0)
            refused(fact, "making a folder on tmpfs");
    if (mount("overlay", SCRATCH "/merged", "overlay", MS_NOSUID | MS_NODEV,
              "userxattr,lowerdir=" SCRATCH "/lower,upperdir=" SCRATCH "/upper,workdir=" SCRATCH
              "/work") < 0)
        refused(fact, "mounting an overlay with userxattr");
    else if (mkdir(SCRATCH "/merged/folder", 0700) < 0 || access(SCRATCH "/upper/folder", F_OK) < 0)
        refused(fact, "writing to an overlay");
    else
        host_found(fact, HOST_GOOD, "mounted and written to in a user namespace");
}

/* ---- id-mapped mounts ---- */

/* A user namespace with a map, held open by a child that waits for its end of the pipe. */
static int open_mapped_namespace(void)
{
    int ready[2], done[2];
    char path[64], byte;
    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(done[1]);
        bool is_made = unshare(CLONE_NEWUSER) == 0 && write(ready[1], "x", 1) == 1;
        _exit(is_made && read(done[0], &byte, 1) < 0);
    }
    close(ready[1]);
    int fd = -1;
    if (pid > 0 && read(ready[0], &byte, 1) == 1) {
        snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
        bool is_mapped = write_text(path, "0 1000 1");
        snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
        is_mapped = is_mapped && write_text(path, "0 1000 1");
        snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
        fd = is_mapped ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    }
    close(done[1]);
    close(done[0]);
    close(ready[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return fd;
}

void host_try_id_mapped(struct host_fact *fact)
{
    if (geteuid() != 0) {
        host_found(fact, HOST_GOOD, "not needed: only a launch by root uses them");
        return;
    }
    _cleanup_(cleanup_close) int names = open_mapped_namespace();
    if (names < 0) {
        refused(fact, "making a user namespace with a map");
        return;
    }
    _cleanup_(cleanup_close) int tree =
        (int)syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)names };
    if (tree < 0)
        refused(fact, "taking the mount of the current folder");
    else if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) <
             0)
        refused(fact, "mapping the mount of the current folder");
    else
        host_found(fact, HOST_GOOD, "the file system of the current folder takes them");
}

/* ---- seccomp ---- */

void host_try_seccomp(struct host_fact *fact)
{
    struct err err = { 0 };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        refused(fact, "setting no_new_privs");
    else if (seccomp_install(SECCOMP_DEFAULT, &err) < 0)
        host_found(fact, HOST_MISSING, "%s", err.cause);
    else if (unshare(CLONE_NEWUTS) == 0 || errno != EPERM)
        host_found(fact, HOST_MISSING, "the filter is installed, and does not refuse");
    else
        host_found(fact, HOST_GOOD, "the sandbox's filter is taken, and refuses");
}

/* ---- netfilter ---- */

/* One batch: a table, and in it a chain of NAT on the way out. */
struct batch {
    char bytes[512];
    size_t len;
    struct nlmsghdr *message;
};

static void begin_message(struct batch *batch, int type, int flags, int family, int resource)
{
    batch->message = (struct nlmsghdr *)(void *)(batch->bytes + batch->len);
    *batch->message = (struct nlmsghdr){
        .nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
        .nlmsg_type = (uint16_t)type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
    };
    struct nfgenmsg *head = NLMSG_DATA(batch->message);
    *head =
        (struct nfgenmsg){ .nfgen_family = (uint8_t)family, .res_id = htons((uint16_t)resource) };
    batch->len += batch->message->nlmsg_len;
}

static struct nlattr *add_attribute(struct batch *batch, int type, const void *bytes, size_t len)
{
    struct nlattr *attribute = (struct nlattr *)(void *)(batch->bytes + batch->len);
    attribute->nla_type = (uint16_t)type;
    attribute->nla_len = (uint16_t)(NLA_HDRLEN + len);
    memcpy((char *)attribute + NLA_HDRLEN, bytes, len);
    batch->len += NLA_ALIGN(attribute->nla_len);
    batch->message->nlmsg_len += NLA_ALIGN(attribute->nla_len);
    return attribute;
}

static void write_batch(struct batch *batch)
{
    const uint32_t hook = htonl(NF_INET_LOCAL_OUT), priority = 0;
    const int create = NLM_F_CREATE | NLM_F_ACK;
    const int table = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE;
    const int chain = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN;
    begin_message(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    begin_message(batch, table, create, NFPROTO_INET, 0);
    add_attribute(batch, NFTA_TABLE_NAME, "host", sizeof("host"));
    begin_message(batch, chain, create, NFPROTO_INET, 0);
    add_attribute(batch, NFTA_CHAIN_TABLE, "host", sizeof("host"));
    add_attribute(batch, NFTA_CHAIN_NAME, "out", sizeof("out"));
    struct nlattr *nest = add_attribute(batch, NFTA_CHAIN_HOOK | NLA_F_NESTED, "", 0);
    size_t nest_at = batch->len;
    add_attribute(batch, NFTA_HOOK_HOOKNUM, &hook, sizeof(hook));
    add_attribute(batch, NFTA_HOOK_PRIORITY, &priority, sizeof(priority));
    nest->nla_len = (uint16_t)(NLA_HDRLEN + batch->len - nest_at);
    add_attribute(batch, NFTA_CHAIN_TYPE, "nat", sizeof("nat"));
    begin_message(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

/* 0 when as many messages were acknowledged, or the first error. */
static int read_acknowledgements(int fd, int wanted)
{
    char bytes[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
    for (int seen = 0; seen < wanted;) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n < 0)
            return errno;
        size_t left = (size_t)n;
        struct nlmsghdr *message = (struct nlmsghdr *)(void *)bytes;
        for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type != NLMSG_ERROR)
                continue;
            const struct nlmsgerr *result = NLMSG_DATA(message);
            if (result->error)
                return -result->error;
            seen++;
        }
    }
    return 0;
}

void host_try_netfilter(struct host_fact *fact)
{
    struct batch batch __attribute__((aligned(NLMSG_ALIGNTO))) = { .len = 0 };
    const struct timeval limit = { .tv_sec = 1 };
    if (!enter(fact, CLONE_NEWNET))
        return;
    _cleanup_(cleanup_close) int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd < 0) {
        refused(fact, "speaking to netfilter");
        return;
    }
    write_batch(&batch);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        send(fd, batch.bytes, batch.len, 0) < 0) {
        refused(fact, "speaking to netfilter");
        return;
    }
    errno = read_acknowledgements(fd, 2);
    if (errno)
        refused(fact, "making a NAT chain");
    else
        host_found(fact, HOST_GOOD, "a NAT chain was made in a network namespace");
}

/*
 * handover: see the header.
 *
 * Theory of operation. The memory is mapped before the sandbox's first process
 * is made, so that it stands at the same address in both, and what is copied
 * into it may hold pointers into it. It is copied in one sweep from the
 * supervisor's struct sandbox; descriptors go along with the message that says
 * so, in the order in which both sides find them in that struct.
 *
 * The first process copies what it got, puts the copy in the place of what was
 * shared, and lets go of the rest: what the supervisor does with its memory
 * later is nothing to the sandbox, and the other way round.
 */
#include "machine/linux/handover.h"

#include <sys/mman.h>
#include <sys/socket.h>

#define STEP_HANDOVER   "hand the plan over"
#define HANDOVER_BYTES  ((size_t)16 << 20) /* taken from the host as they are written */
#define DESCRIPTORS_MAX (3 + 2 * PLAN_MOUNTS_MAX + LIMITS_GROUPS_MAX)

struct handover {
    size_t used;
    bool full;
    struct sandbox sandbox;
    _Alignas(max_align_t) unsigned char bytes[];
};

int handover_new(struct handover **ret, struct err *err)
{
    struct handover *handover = mmap(NULL, HANDOVER_BYTES, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (handover == MAP_FAILED)
        return err_set(err, ERR_MEMORY, STEP_HANDOVER, "there is not enough memory");
    handover->used = sizeof(*handover);
    *ret = handover;
    return 0;
}

void handover_free(struct handover *handover)
{
    if (handover)
        munmap(handover, HANDOVER_BYTES);
}

/* --- copies -------------------------------------------------------------------------------- */

static void *take_space(struct handover *handover, size_t size)
{
    size_t aligned = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (aligned < size || aligned > HANDOVER_BYTES - handover->used) {
        handover->full = true;
        return NULL;
    }
    void *space = (unsigned char *)handover + handover->used;
    handover->used += aligned;
    return space;
}

static void *copy_bytes(struct handover *handover, const void *from, size_t size)
{
    void *space = from ? take_space(handover, size) : NULL;
    return space ? memcpy(space, from, size) : NULL;
}

static const char *copy_text(struct handover *handover, const char *text)
{
    return copy_bytes(handover, text, text ? strlen(text) + 1 : 0);
}

static const char *const *copy_list(struct handover *handover, const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    const char **copy = list ? take_space(handover, (count + 1) * sizeof(*copy)) : NULL;
    for (size_t i = 0; copy && i < count; i++)
        copy[i] = copy_text(handover, list[i]);
    if (copy)
        copy[count] = NULL;
    return copy;
}

static const struct plan *copy_plan(struct handover *handover, const struct plan *from)
{
    struct plan *plan = copy_bytes(handover, from, sizeof(*from));
    struct plan_mount *mounts =
        copy_bytes(handover, from->mounts, from->mount_count * sizeof(*mounts));
    if (!plan || !mounts)
        return NULL;
    for (size_t i = 0; i < from->mount_count; i++) {
        mounts[i].ref = copy_text(handover, mounts[i].ref);
        mounts[i].host_path = copy_text(handover, mounts[i].host_path);
        mounts[i].agent_path = copy_text(handover, mounts[i].agent_path);
        mounts[i].include = copy_list(handover, mounts[i].include);
        mounts[i].exclude = copy_list(handover, mounts[i].exclude);
    }
    plan->mounts = mounts;
    plan->profile_id = copy_text(handover, from->profile_id);
    plan->surface = copy_text(handover, from->surface);
    plan->argv = (char *const *)copy_list(handover, (const char *const *)from->argv);
    plan->environment = (char *const *)copy_list(handover, (const char *const *)from->environment);
    plan->certificates = copy_text(handover, from->certificates);
    plan->safe = NULL; /* for the record alone, as are: */
    plan->authorities = NULL;
    plan->image = NULL;
    plan->directory = copy_text(handover, from->directory);
    plan->home = copy_text(handover, from->home);
    plan->user = copy_text(handover, from->user);
    return plan;
}

static const struct mask_list *copy_masks(struct handover *handover, const struct mask_list *from)
{
    struct mask_list *masks = copy_bytes(handover, from, from ? sizeof(*from) : 0);
    struct mask_entry *entries =
        masks ? copy_bytes(handover, from->entries, from->count * sizeof(*entries)) : NULL;
    if (!masks)
        return NULL;
    for (size_t i = 0; entries && i < from->count; i++) {
        entries[i].path = copy_text(handover, entries[i].path);
        entries[i].kind = NULL; /* which it was is the supervisor's to record */
    }
    masks->arena = ARENA_INIT;
    masks->entries = entries;
    return masks;
}

static void copy_probes(struct handover *handover, struct probe_context *probes)
{
    probes->secret_path = copy_text(handover, probes->secret_path);
    probes->outside_folder = copy_text(handover, probes->outside_folder);
    probes->upstream = copy_bytes(handover, probes->upstream, probes->upstream_len);
    probes->abstract_name = copy_text(handover, probes->abstract_name);
    probes->socket_path = copy_text(handover, probes->socket_path);
    probes->group_path = copy_text(handover, probes->group_path);
}

bool handover_write(struct handover *handover, const struct sandbox *from)
{
    struct sandbox *sandbox = &handover->sandbox;
    *sandbox = *from;
    sandbox->plan = copy_plan(handover, from->plan);
    sandbox->private_folder = copy_text(handover, from->private_folder);
    copy_probes(handover, &sandbox->probes);
    for (size_t i = 0; i < from->plan->mount_count; i++) {
        sandbox->mounts[i].layer_path = copy_text(handover, from->mounts[i].layer_path);
        sandbox->mounts[i].copy_path = copy_text(handover, from->mounts[i].copy_path);
        sandbox->mounts[i].mask_path = copy_text(handover, from->mounts[i].mask_path);
        sandbox->mounts[i].masks =
            from->mounts[i].mask_path ? NULL : copy_masks(handover, from->mounts[i].masks);
    }
    return !handover->full;
}

/* --- descriptors --------------------------------------------------------------------------- */

/* Where a struct sandbox has them, each once; returns how many there are. */
static size_t list_descriptors(struct sandbox *sandbox, int *ret[DESCRIPTORS_MAX])
{
    size_t count = 0;
    for (int i = 0; i < 3; i++)
        if (sandbox->stdio[i] >= 0)
            ret[count++] = &sandbox->stdio[i];
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++) {
        if (sandbox->mounts[i].tree >= 0)
            ret[count++] = &sandbox->mounts[i].tree;
        if (sandbox->mounts[i].layer >= 0)
            ret[count++] = &sandbox->mounts[i].layer;
    }
    for (size_t i = 0; i < LIMITS_GROUPS_MAX; i++)
        if (sandbox->inside.groups[i] >= 0)
            ret[count++] = &sandbox->inside.groups[i];
    return count;
}

union descriptor_space {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
};

int handover_send(struct handover *handover, int control, struct err *err)
{
    union descriptor_space space = { 0 };
    int *places[DESCRIPTORS_MAX], numbers[DESCRIPTORS_MAX];
    enum sandbox_kind kind = SANDBOX_PLAN;
    struct iovec part = { .iov_base = &kind, .iov_len = sizeof(kind) };
    struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
    size_t count = list_descriptors(&handover->sandbox, places);
    for (size_t i = 0; i < count; i++)
        numbers[i] = *places[i];
    if (count) {
        header.msg_control = space.bytes;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *extra = CMSG_FIRSTHDR(&header);
        extra->cmsg_level = SOL_SOCKET;
        extra->cmsg_type = SCM_RIGHTS;
        extra->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(extra), numbers, count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(control, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 && errno != EPIPE && errno != ECONNRESET
               ? err_set_errno(err, errno, STEP_HANDOVER, "the sandbox cannot be told its plan")
               : 0;
}

/* --- to a program that is executed --------------------------------------------------------- */

/* Where nothing else lies in a program that has just begun, so that pointers into it hold. */
#define FILE_PLACE ((void *)UINT64_C(0x200000000000))

static struct handover *map_file(int fd, int kind)
{
    struct handover *handover = mmap(FILE_PLACE, HANDOVER_BYTES, PROT_READ | PROT_WRITE,
                                     kind | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, 0);
    return handover == MAP_FAILED || (void *)handover == FILE_PLACE ? handover : MAP_FAILED;
}

int handover_write_file(const struct sandbox *sandbox, int *ret_fd, struct err *err)
{
    _cleanup_(cleanup_close) int fd = memfd_create("plan", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)HANDOVER_BYTES) < 0)
        return err_set_errno(err, errno, STEP_HANDOVER, "there is no memory for the plan");
    struct handover *handover = map_file(fd, MAP_SHARED);
    if (handover == MAP_FAILED)
        return err_set_errno(err, errno, STEP_HANDOVER, "the plan has no place in memory");
    handover->used = sizeof(*handover);
    bool fits = handover_write(handover, sandbox);
    munmap(handover, HANDOVER_BYTES);
    if (!fits)
        return err_set(err, ERR_LIMIT, STEP_HANDOVER, "the plan does not fit");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int handover_read_file(int fd, struct sandbox *ret, struct err *err)
{
    const struct handover *handover = map_file(fd, MAP_PRIVATE);
    if (handover == MAP_FAILED)
        return err_set_errno(err, errno, STEP_HANDOVER, "the plan has no place in memory");
    *ret = handover->sandbox;
    ret->handover = NULL;
    return 0;
}

/* --- in the sandbox ------------------------------------------------------------------------ */

static int receive_plan(struct handover *handover, int control)
{
    union descriptor_space space;
    int *places[DESCRIPTORS_MAX], numbers[DESCRIPTORS_MAX];
    enum sandbox_kind kind;
    struct iovec part = { .iov_base = &kind, .iov_len = sizeof(kind) };
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)
    };
    ssize_t got;
    do
        got = recvmsg(control, &header, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(kind) || kind != SANDBOX_PLAN || header.msg_flags & MSG_CTRUNC)
        return -EBADMSG;
    size_t count = list_descriptors(&handover->sandbox, places);
    const struct cmsghdr *extra = CMSG_FIRSTHDR(&header);
    if (count && (!extra || extra->cmsg_type != SCM_RIGHTS ||
                  extra->cmsg_len != CMSG_LEN(count * sizeof(int))))
        return -EBADMSG;
    if (count)
        memcpy(numbers, CMSG_DATA(extra), count * sizeof(int));
    for (size_t i = 0; i < count; i++)
        *places[i] = numbers[i];
    return 0;
}

/* The same bytes at the same addresses, and nobody else's. */
static int make_own(struct handover *handover)
{
    size_t used = handover->used;
    void *own = mmap(NULL, used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (own == MAP_FAILED)
        return -errno;
    memcpy(own, handover, used);
    return munmap(handover, HANDOVER_BYTES) == 0 &&
                   mremap(own, used, used, MREMAP_MAYMOVE | MREMAP_FIXED, handover) == handover
               ? 0
               : -errno;
}

int handover_take(struct sandbox *sandbox, struct err *err)
{
    struct handover *handover = sandbox->handover;
    int r = receive_plan(handover, sandbox->control);
    if (r == 0)
        r = make_own(handover);
    if (r < 0)
        return err_set_errno(err, -r, STEP_HANDOVER, "the supervisor told no plan");
    const struct sandbox *given = &handover->sandbox;
    sandbox->plan = given->plan;
    memcpy(sandbox->mounts, given->mounts, sizeof(sandbox->mounts));
    memcpy(sandbox->stdio, given->stdio, sizeof(sandbox->stdio));
    sandbox->private_folder = given->private_folder;
    sandbox->probes = given->probes;
    sandbox->inside = given->inside;
    sandbox->handover = NULL; /* there is nothing more to come */
    return 0;
}

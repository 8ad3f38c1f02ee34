/*
 * launch: the ordered steps of the supervisor's side, each with its undo (stops 5 and 7 of a run).
 *
 * Theory of operation. The steps make what the sandbox is built of: the run's
 * folder and its layers, the socket by which others speak to the run, trees of
 * the host where the caller is root, the streams. They are walked forward by launch_begin and
 * backward by launch_end, which undoes those that were done. What a run leaves is its folder, if a
 * change set or a log is in it.
 *
 * The sandbox's first process is there already, where launch_ahead could tell
 * who the command would be: it has its namespaces and what every view has, and
 * is handed the plan by the step `spawn`. Where the plan came out otherwise,
 * that process is ended, and the step spawns one that has the plan.
 */
#include "machine/launch.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "machine/decoys.h"
#include "machine/linux/handover.h"
#include "machine/linux/host.h"
#include "machine/linux/idmap.h"
#include "machine/linux/mounting.h"
#include "machine/linux/overlay.h"
#include "machine/linux/sandbox.h"
#include "machine/oci_config.h"
#include "machine/run_folder.h"
#include "machine/supervise.h"
#include "machine/worktree.h"

#define STEP_LAUNCH     "launch a run"
#define PATH_BYTES_MAX  4096
#define LAYER_BYTES_MAX (PATH_BYTES_MAX + 32)

struct launch {
    struct launch_options options;
    const struct plan *plan;
    char folder[RUN_FOLDER_SIZE];                  /* empty: none */
    char layers[PLAN_MOUNTS_MAX][LAYER_BYTES_MAX]; /* empty: none */
    struct mask_list masks[PLAN_MOUNTS_MAX];
    char mask_paths[PLAN_MOUNTS_MAX][MASK_LAYER_PATH_MAX]; /* empty: none */
    struct launch_copied copied[PLAN_MOUNTS_MAX];
    char copy_paths[PLAN_MOUNTS_MAX][LAYER_BYTES_MAX + 16];
    struct plan expected; /* by launch_ahead */
    struct sandbox sandbox;
    struct relay *relay;
    struct run_log *log;
    struct control *socket;
    struct decoys decoys;
    struct limits *limits;
    char private_folder[LAYER_BYTES_MAX];
    struct buf config;      /* config.json, at the tier `container` */
    struct capture network; /* the sockets that were made inside */
    int denials;            /* what the run reads of its denials; -1: none */
    int control, pidfd;
    int group; /* that its first process was born into; -1: none */
    pid_t pid;
    size_t steps_done;
    bool began;  /* the command was let go */
    bool sweeps; /* the thread that does is to be joined */
    pthread_t sweeper;
    int64_t started_ns; /* then, by the clock of files */
};

struct launch_step {
    const char *name;
    int (*run)(struct launch *launch, struct err *err);
    void (*undo)(struct launch *launch); /* NULL: what it made lies in the folder */
};

static int make_folder(struct launch *launch, struct err *err);
static void remove_folder(struct launch *launch);
static int find_masks(struct launch *launch, struct err *err);
static void forget_masks(struct launch *launch);
static int make_copies(struct launch *launch, struct err *err);
static int open_limits(struct launch *launch, struct err *err);
static void close_limits(struct launch *launch);
static int take_trees(struct launch *launch, struct err *err);
static void close_trees(struct launch *launch);
static int make_bundle(struct launch *launch, struct err *err);
static void close_bundle(struct launch *launch);
static int open_streams(struct launch *launch, struct err *err);
static void close_streams(struct launch *launch);
static int open_decoys(struct launch *launch, struct err *err);
static void close_decoys(struct launch *launch);
static int spawn(struct launch *launch, struct err *err);
static void end_sandbox(struct launch *launch);
static int open_socket(struct launch *launch, struct err *err);
static void close_socket(struct launch *launch);

static const struct launch_step steps[] = {
    { "folder", make_folder, remove_folder }, { "socket", open_socket, close_socket },
    { "masks", find_masks, forget_masks },    { "copies", make_copies, NULL },
    { "limits", open_limits, close_limits },  { "trees", take_trees, close_trees },
    { "bundle", make_bundle, close_bundle },  { "streams", open_streams, close_streams },
    { "decoys", open_decoys, close_decoys },  { "spawn", spawn, end_sandbox },
};

static struct launch *launch_new(void)
{
    struct launch *launch = calloc(1, sizeof(*launch));
    if (!launch)
        return NULL;
    launch->control = launch->pidfd = launch->denials = launch->sandbox.control = -1;
    for (int i = 0; i < 3; i++)
        launch->sandbox.stdio[i] = -1;
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++)
        launch->sandbox.mounts[i].tree = launch->sandbox.mounts[i].layer = -1;
    for (size_t i = 0; i < LIMITS_GROUPS_MAX; i++)
        launch->sandbox.inside.groups[i] = -1;
    launch->sandbox.container.program = launch->sandbox.container.tree = -1;
    launch->config = BUF_INIT;
    return launch;
}

int launch_begin(const struct launch_options *options, struct launch *ahead, struct launch **ret,
                 struct err *err)
{
    struct launch *launch = ahead ?: launch_new();
    int r = launch ? 0 : err_set(err, ERR_MEMORY, STEP_LAUNCH, "there is not enough memory");
    if (r < 0)
        return r;
    launch->options = *options;
    launch->plan = options->plan;
    while (launch->steps_done < ARRAY_LEN(steps) && r == 0) {
        r = steps[launch->steps_done].run(launch, err);
        launch->steps_done++; /* one that failed halfway is undone as well */
    }
    if (r < 0) {
        launch_end(launch);
        return r;
    }
    *ret = launch;
    return 0;
}

void launch_end(struct launch *launch)
{
    if (!launch)
        return;
    end_sandbox(launch); /* before anything of what it uses */
    while (launch->steps_done)
        if (steps[--launch->steps_done].undo)
            steps[launch->steps_done].undo(launch);
    capture_close(&launch->network);
    cleanup_close(&launch->denials);
    close_limits(launch); /* those that were made ahead */
    free(launch);
}

/* --- folder and layers --------------------------------------------------------------------- */

static int make_layer(struct launch *launch, size_t index, struct err *err)
{
    static const char *const parts[] = { "", "/upper", "/work" };
    char *layer = launch->layers[index], path[LAYER_BYTES_MAX + 16];
    snprintf(layer, LAYER_BYTES_MAX, "%s/%zu", launch->folder, index);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        snprintf(path, sizeof(path), "%s%s", layer, parts[i]);
        int r = file_make_folder(path, err);
        if (r < 0)
            return r;
    }
    launch->sandbox.mounts[index].layer_path = layer;
    const char *from = launch->options.continued ? launch->options.continued[index] : NULL;
    return from ? worktree_continue(from, layer, err) : 0;
}

/* At the tier `process`: home and temporary files of the command. */
static int make_private(struct launch *launch, struct err *err)
{
    if (launch->plan->tier != TIER_PROCESS)
        return 0;
    snprintf(launch->private_folder, LAYER_BYTES_MAX, "%s/private", launch->folder);
    launch->sandbox.private_folder = launch->private_folder;
    return file_make_folder(launch->private_folder, err);
}

/* Whether one more change set may be left. */
static int check_kept(const struct launch *launch, struct err *err)
{
    bool staged = false;
    for (size_t i = 0; i < launch->plan->mount_count; i++)
        staged = staged || launch->plan->mounts[i].semantics == MOUNT_STAGED;
    return staged && !launch->options.discard
               ? kept_check(launch->options.state_folder, &launch->plan->limits.kept, err)
               : 0;
}

static int make_folder(struct launch *launch, struct err *err)
{
    if (!run_folder_path(launch->options.state_folder, str_from(launch->options.name),
                         launch->folder))
        return err_set(err, ERR_LIMIT, STEP_LAUNCH, "the run's folder has no path that fits");
    int r = check_kept(launch, err);
    if (r == 0)
        r = run_folder_make(launch->options.state_folder, launch->folder, err);
    for (size_t i = 0; i < launch->plan->mount_count && r == 0; i++)
        if (launch->plan->mounts[i].semantics == MOUNT_STAGED)
            r = make_layer(launch, i, err);
        else if (launch->plan->mounts[i].semantics == MOUNT_CACHE)
            r = file_make_folder(launch->plan->mounts[i].host_path, err);
    return r < 0 ? r : make_private(launch, err);
}

static void remove_folder(struct launch *launch)
{
    if (launch->sweeps)
        pthread_join(launch->sweeper, NULL);
    /* What a run that never began would have gone on from is another one's. */
    run_folder_end(launch->options.state_folder, launch->folder,
                   launch->options.discard || !launch->began);
}

int launch_changes(const struct launch *launch, size_t mount, struct changes *ret, struct err *err)
{
    const struct plan_mount *of = &launch->plan->mounts[mount];
    *ret = (struct changes){ 0 };
    return of->semantics == MOUNT_STAGED ? worktree_keep(launch->layers[mount], of->host_path,
                                                         launch_masks(launch, mount), ret, err)
                                         : 0;
}

int launch_written(const struct launch *launch, size_t mount, struct written *ret, struct err *err)
{
    const struct plan_mount *of = &launch->plan->mounts[mount];
    *ret = (struct written){ 0 };
    return of->semantics == MOUNT_READ_WRITE && !of->of_surface && launch->began
               ? written_read(of->host_path, launch->started_ns, ret, err)
               : 0;
}

const char *launch_folder(const struct launch *launch)
{
    return launch->folder;
}

/* --- what is hidden ------------------------------------------------------------------------ */

static int find_masks(struct launch *launch, struct err *err)
{
    char cache[PATH_BYTES_MAX];
    int r = 0;
    snprintf(cache, sizeof(cache), "%s/masks", launch->options.state_folder);
    for (size_t i = 0; i < launch->plan->mount_count && r == 0; i++) {
        const struct plan_mount *mount = &launch->plan->mounts[i];
        const struct mask_patterns patterns = { mount->include, mount->exclude };
        bool filtered = mount->include || mount->exclude;
        if (!mount->secrets_prohibited && !filtered)
            continue;
        _cleanup_(cleanup_close) int tree = mounting_open(AT_FDCWD, mount->host_path, err);
        r = tree < 0 ? tree : file_make_folder(cache, err);
        launch->sandbox.mounts[i].masks = &launch->masks[i];
        if (r == 0 && mount->secrets_prohibited)
            r = mask_find(tree, cache, &launch->masks[i], err);
        if (r == 0 && filtered)
            r = mask_exclude(tree, &patterns, &launch->masks[i], err);
        if (r == 0 && filtered && mount->semantics == MOUNT_STAGED)
            r = worktree_note_hidden(launch->layers[i], &launch->masks[i], err);
        /* Root's own files the command's identity could not reach. */
        if (r == 0 && mount->semantics == MOUNT_STAGED && !launch->plan->as_root &&
            mask_keep(cache, &launch->masks[i], launch->mask_paths[i]))
            launch->sandbox.mounts[i].mask_path = launch->mask_paths[i];
    }
    return r;
}

static void forget_masks(struct launch *launch)
{
    for (size_t i = 0; i < launch->plan->mount_count; i++)
        if (launch->sandbox.mounts[i].masks)
            mask_list_release(&launch->masks[i]);
}

const struct mask_list *launch_masks(const struct launch *launch, size_t mount)
{
    return launch->sandbox.mounts[mount].masks;
}

/* --- copies -------------------------------------------------------------------------------- */

static int make_copy(struct launch *launch, size_t index, struct err *err)
{
    const struct plan *plan = launch->plan;
    struct launch_copied *copied = &launch->copied[index];
    const char *layer = launch->layers[index], *host_path = plan->mounts[index].host_path;
    if (overlay_is_possible(layer, host_path, plan->as_root, copied->reason))
        return 0;
    if (launch->options.continued && launch->options.continued[index])
        return err_set(err, ERR_UNSUPPORTED, STEP_LAUNCH,
                       "a run goes on from a change set by an overlay, and %s; apply it first",
                       copied->reason);
    snprintf(launch->copy_paths[index], sizeof(launch->copy_paths[index]), "%s/upper", layer);
    launch->sandbox.mounts[index].copy_path = launch->copy_paths[index];
    return worktree_copy(layer, host_path, launch_masks(launch, index), plan->as_root,
                         plan->host_uid, plan->host_gid, &copied->what, err);
}

static int make_copies(struct launch *launch, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < launch->plan->mount_count && r == 0; i++)
        if (launch->plan->mounts[i].semantics == MOUNT_STAGED)
            r = make_copy(launch, i, err);
    return r;
}

const struct launch_copied *launch_copied(const struct launch *launch, size_t mount)
{
    return launch->sandbox.mounts[mount].copy_path ? &launch->copied[mount] : NULL;
}

/* --- limits -------------------------------------------------------------------------------- */

static int watch_folder(struct launch *launch, const char *path, struct err *err)
{
    _cleanup_(cleanup_close) int folder = mounting_open(AT_FDCWD, path, err);
    return folder < 0 ? folder : limits_watch(launch->limits, folder, err);
}

static int open_limits(struct launch *launch, struct err *err)
{
    const struct plan_limits *plan = &launch->plan->limits;
    const struct limits_wanted wanted = {
        .of = { [LIMIT_MEMORY] = plan->budget[DIMENSION_SANDBOX_MEMORY_BYTES],
                [LIMIT_CPU] = plan->budget[DIMENSION_CPU_SECONDS],
                [LIMIT_GPU] = plan->budget[DIMENSION_GPU_SECONDS] ?: -1,
                [LIMIT_WALL_CLOCK] = plan->budget[DIMENSION_WALL_CLOCK_SECONDS],
                [LIMIT_DISK] = plan->budget[DIMENSION_LOCAL_DISK_BYTES],
                [LIMIT_PROCESSES] = plan->processes,
                [LIMIT_OPEN_FILES] = plan->open_files,
                [LIMIT_OUTPUT] = plan->output_bytes },
        .own_users = launch->plan->tier >= TIER_NAMESPACES,
    };
    int r = launch->limits ? limits_complete(launch->limits, &wanted, launch->options.name, err)
                           : limits_new(&wanted, launch->options.name, &launch->limits, err);
    if (r == 0)
        limits_list(launch->limits, &launch->sandbox.inside);
    for (size_t i = 0; i < launch->plan->mount_count && r == 0; i++)
        if (launch->sandbox.mounts[i].layer_path)
            r = watch_folder(launch, launch->layers[i], err);
    return r == 0 && launch->sandbox.private_folder
               ? watch_folder(launch, launch->private_folder, err)
               : r;
}

static void close_limits(struct launch *launch)
{
    limits_free(TAKE_PTR(launch->limits));
}

/* --- trees, for a caller who is root ------------------------------------------------------- */

/* All of a copy is the command's identity's. */
static int take_copy(struct sandbox_mount *mount, struct err *err)
{
    _cleanup_(cleanup_close) int place = mounting_open(AT_FDCWD, mount->copy_path, err);
    mount->tree = place < 0 ? -1 : mounting_copy(place, 0, mount->copy_path, err);
    return mount->tree < 0 ? -EIO : 0;
}

static int take_trees(struct launch *launch, struct err *err)
{
    const struct plan *plan = launch->plan;
    struct idmap map = { .fd = -1 };
    int r = 0;
    for (size_t i = 0; i < plan->mount_count && r == 0 && plan->as_root; i++) {
        struct sandbox_mount *mount = &launch->sandbox.mounts[i];
        if (mount->copy_path) {
            r = take_copy(mount, err);
            continue;
        }
        r = idmap_tree(plan->mounts[i].host_path, plan->host_uid, plan->host_gid, &map,
                       &mount->tree, err);
        if (r == 0 && mount->layer_path)
            r = idmap_tree(mount->layer_path, plan->host_uid, plan->host_gid, &map, &mount->layer,
                           err);
    }
    cleanup_close(&map.fd);
    return r;
}

static void close_trees(struct launch *launch)
{
    for (size_t i = 0; i < launch->plan->mount_count; i++) {
        cleanup_close(&launch->sandbox.mounts[i].tree);
        cleanup_close(&launch->sandbox.mounts[i].layer);
    }
}

/* --- what an OCI runtime is given ---------------------------------------------------------- */

static int make_bundle(struct launch *launch, struct err *err)
{
    struct sandbox_container *container = &launch->sandbox.container;
    const struct plan *plan = launch->plan;
    struct idmap map = { .fd = -1 };
    if (!plan->image)
        return 0;
    int r = oci_config_write(plan, &launch->config, err);
    if (r < 0)
        return r;
    *container = (struct sandbox_container){ .config = launch->config.data,
                                             .config_len = launch->config.len,
                                             .runtime = plan->image->runtime,
                                             .tree_path = plan->image->tree,
                                             .tree = -1 };
    container->program = open(plan->image->runtime_path, O_PATH | O_CLOEXEC);
    if (container->program < 0)
        return err_set_errno(err, errno, STEP_LAUNCH, "cannot open %s", plan->image->runtime_path);
    if (plan->as_root)
        r = idmap_tree(plan->image->tree, plan->host_uid, plan->host_gid, &map, &container->tree,
                       err);
    cleanup_close(&map.fd);
    return r;
}

static void close_bundle(struct launch *launch)
{
    cleanup_close(&launch->sandbox.container.program);
    cleanup_close(&launch->sandbox.container.tree);
    buf_release(&launch->config);
}

struct str launch_config(const struct launch *launch)
{
    return buf_str(&launch->config);
}

/* --- streams and decoys -------------------------------------------------------------------- */

static int open_streams(struct launch *launch, struct err *err)
{
    const struct plan *plan = launch->plan;
    struct relay_options options = { .terminal = plan->terminal,
                                     .listened = plan->retain_output || launch->options.detached,
                                     .alone = launch->options.detached,
                                     .interactive = launch->options.interactive,
                                     .output_bytes_max = plan->limits.output_bytes };
    int r = relay_new(&options, &launch->relay, launch->sandbox.stdio, err);
    return r < 0 || !plan->retain_output
               ? r
               : run_log_new(launch->folder, plan->limits.output_bytes, &launch->log, err);
}

static void close_streams(struct launch *launch)
{
    for (int i = 0; i < 3; i++)
        cleanup_close(&launch->sandbox.stdio[i]);
    relay_free(launch->relay);
    run_log_free(launch->log);
}

static int open_decoys(struct launch *launch, struct err *err)
{
    int r = decoys_open(&launch->decoys, launch->folder, launch->options.secret,
                        &launch->sandbox.probes, err);
    /* A listener of the doors inside may have the decoy's port: the decoy knows who came by. */
    launch->sandbox.probes.connections_are_captured = launch->plan->tier >= TIER_NAMESPACES;
    return r;
}

static void close_decoys(struct launch *launch)
{
    decoys_close(&launch->decoys);
}

/* --- the sandbox --------------------------------------------------------------------------- */

/* The host's settings promised namespaces: where it gives none, that is why nothing starts. */
static int blame_host(const struct launch *launch, int r, struct err *err)
{
    struct host_fact facts[HOST_FACT_COUNT];
    struct host_answer answer = { .is_given = true };
    if (launch->plan->tier >= TIER_NAMESPACES) {
        host_examine(facts);
        answer = host_gives(facts, TIER_NAMESPACES);
    }
    return answer.is_given
               ? r
               : err_set(err, ERR_UNSUPPORTED, STEP_LAUNCH, "this host gives no namespaces: %s%s%s",
                         answer.reason, answer.remedy ? "; to mend it: " : "",
                         answer.remedy ? answer.remedy : "; see doctor host");
}

/* Its first process, with the plan that the launch has by now. */
static int make_sandbox(struct launch *launch, int group, struct err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set_errno(err, errno, STEP_LAUNCH, "cannot make the sandbox's control socket");
    launch->control = ends[0];
    launch->sandbox.control = ends[1];
    launch->group = group;
    int r = sandbox_spawn(&launch->sandbox, group, &launch->pid, &launch->pidfd, err);
    /* The sandbox's end is its own now: where it dies, ours sees it. */
    close(TAKE_FD(launch->sandbox.control));
    return r;
}

/* Where it is gone already, it has said why. */
static void let_go_on(struct launch *launch)
{
    struct sandbox_message map = { .kind = SANDBOX_MAP };
    (void)!sandbox_send(launch->control, &map, -1);
}

struct launch *launch_ahead(void)
{
    /* Root's own groups in the one hierarchy are cheap to be born into, and dear to move to. */
    struct launch *launch = launch_new();
    if (!launch)
        return NULL;
    plan_expect(geteuid(), getegid(), &launch->expected);
    launch->sandbox.plan = &launch->expected;
    if (limits_new_ahead(&launch->limits, NULL) < 0 ||
        handover_new(&launch->sandbox.handover, NULL) < 0 ||
        make_sandbox(launch, launch->limits ? limits_spawn_group(launch->limits) : -1, NULL) < 0) {
        launch_end(launch);
        return NULL; /* the launch itself will say why */
    }
    let_go_on(launch);
    return launch;
}

/* Whether the sandbox that was spawned ahead is the one that the plan wants, and can be told. */
static bool is_suitable(const struct launch *launch)
{
    return launch->pidfd >= 0 && plan_is_as_expected(launch->plan, &launch->expected) &&
           limits_spawn_group(launch->limits) == launch->group &&
           handover_write(launch->sandbox.handover, &launch->sandbox);
}

static int spawn(struct launch *launch, struct err *err)
{
    const struct plan *known = launch->sandbox.plan;
    launch->sandbox.plan = launch->plan;
    bool ahead = is_suitable(launch);
    int r = 0;
    if (!ahead) {
        launch->sandbox.plan = known;
        end_sandbox(launch);
        launch->sandbox.plan = launch->plan;
        /* What the first process cannot end, because somebody has ended it, is to be found below
         * us. */
        if (launch->plan->tier == TIER_PROCESS)
            prctl(PR_SET_CHILD_SUBREAPER, 1);
        r = make_sandbox(launch, limits_spawn_group(launch->limits), err);
        if (r < 0)
            r = blame_host(launch, r, err);
    }
    if (r == 0)
        r = limits_enter(launch->limits, launch->pid, err);
    if (r == 0 && ahead)
        r = handover_send(launch->sandbox.handover, launch->control, err);
    else if (r == 0)
        let_go_on(launch);
    for (int i = 0; i < 3; i++) {
        cleanup_close(&launch->sandbox.stdio[i]);
        launch->sandbox.stdio[i] = -1;
    }
    handover_free(TAKE_PTR(launch->sandbox.handover));
    return r;
}

static void end_sandbox(struct launch *launch)
{
    if (launch->pidfd >= 0) {
        int status = 0;
        sandbox_kill(&launch->sandbox, launch->control, launch->pidfd);
        waitpid(launch->pid, &status, 0); /* with it ends whatever is in there */
        if (launch->sandbox.plan->tier == TIER_PROCESS && WIFSIGNALED(status))
            (void)!limits_kill(launch->limits, NULL); /* somebody else was quicker */
    }
    cleanup_close(&launch->pidfd);
    cleanup_close(&launch->control);
    handover_free(TAKE_PTR(launch->sandbox.handover));
}

static int open_socket(struct launch *launch, struct err *err)
{
    return control_open(launch->folder, &launch->socket, err);
}

static void close_socket(struct launch *launch)
{
    control_free(launch->socket);
}

static int take_ready(struct launch *launch, const struct sandbox_message *message,
                      struct launch_report *ret)
{
    *ret =
        (struct launch_report){ .tier = launch->plan->tier, .landlock_abi = message->landlock_abi };
    memcpy(ret->probes, message->probes, sizeof(ret->probes));
    for (size_t i = 0; i < PROBE_COUNT && !ret->escaped; i++)
        if (ret->probes[i].outcome == PROBE_ESCAPED)
            ret->escaped = probe_name((enum probe)i);
    if (decoys_reached(&launch->decoys) && !ret->escaped)
        ret->escaped = probe_name(PROBE_REACH_HOST_SOCKET);
    decoys_close(&launch->decoys);
    ret->limit_count = limits_rows(launch->limits, ret->limits);
    trace_note(launch->options.trace, "machine/linux/sandbox.c", "sandbox finished, probes tried");
    return 0;
}

static int take_scratch(struct launch *launch, int scratch, struct err *err)
{
    launch->denials = openat(scratch, SANDBOX_DENIALS, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (launch->denials < 0)
        return err_set_errno(err, errno, STEP_LAUNCH, "cannot open what the run is told");
    return limits_watch(launch->limits, scratch, err);
}

int launch_ready(struct launch *launch, struct launch_report *ret, struct err *err)
{
    struct sandbox_message message;
    int fd, r;
    while ((r = sandbox_receive(launch->control, &message, &fd)) == 1) {
        if (message.kind == SANDBOX_READY) {
            _cleanup_(cleanup_close) int scratch = fd;
            r = scratch >= 0 ? take_scratch(launch, scratch, err) : 0;
            return r < 0 ? r : take_ready(launch, &message, ret);
        }
        if (message.kind == SANDBOX_SOCKET && fd >= 0 &&
            launch->network.count < CAPTURE_SOCKETS_MAX) {
            launch->network.sockets[launch->network.count++] =
                (struct capture_socket){ (enum capture_kind)message.number, fd };
            continue;
        }
        if (message.kind == SANDBOX_FAILED) {
            message.err.step = STEP_LAUNCH;
            if (err)
                *err = message.err;
            return blame_host(launch, message.err.code == ERR_NONE ? -EIO : -EPERM, err);
        }
        r = message.kind == SANDBOX_TERMINAL && fd >= 0
                ? relay_set_terminal(launch->relay, fd, err)
                : err_set(err, ERR_IO, STEP_LAUNCH, "the sandbox says what it should not");
        if (r < 0)
            return r;
    }
    return err_set(err, ERR_IO, STEP_LAUNCH, "the sandbox died before it was finished");
}

int launch_take_network(struct launch *launch, struct capture *ret, int *ret_denials,
                        struct err *err)
{
    if (launch->plan->tier != TIER_PROCESS && launch->network.count == 0)
        return err_set(err, ERR_IO, STEP_LAUNCH, "the sandbox gave no socket for the door");
    *ret = launch->network;
    launch->network.count = 0;
    *ret_denials = TAKE_FD(launch->denials);
    return 0;
}

void launch_want_socket(void *launch, int family)
{
    struct sandbox_message message = { .kind = SANDBOX_DIAL, .number = family };
    (void)!sandbox_send(((struct launch *)launch)->control, &message, -1); /* or it is gone */
}

static void *sweep(void *context)
{
    const struct launch *launch = context;
    run_folder_sweep(launch->options.state_folder);
    return NULL;
}

/*
 * What the run before has left, while the command runs. By a thread: a file system may wait for its
 * disk, and the command may have ended by then.
 */
static void begin_sweep(struct launch *launch)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    launch->sweeps = pthread_create(&launch->sweeper, NULL, sweep, launch) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int launch_run(struct launch *launch, const struct run_watch *watch, struct run_result *ret,
               struct err *err)
{
    struct sandbox_message go = { .kind = SANDBOX_GO };
    struct supervised supervised = { .plan = launch->plan,
                                     .sandbox = &launch->sandbox,
                                     .control = launch->control,
                                     .pidfd = launch->pidfd,
                                     .limits = launch->limits,
                                     .relay = launch->relay,
                                     .log = launch->log,
                                     .socket = launch->socket };
    *ret = (struct run_result){ .end = RUN_LOST };
    launch->started_ns = written_now_ns();
    if (sandbox_send(launch->control, &go, -1) < 0)
        return err_set(err, ERR_IO, STEP_LAUNCH, "the sandbox died before its command started");
    launch->began = true;
    trace_note(launch->options.trace, "machine/supervise.c", "command started");
    begin_sweep(launch);
    return supervise(&supervised, watch, ret, err);
}

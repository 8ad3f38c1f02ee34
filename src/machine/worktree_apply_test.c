#include "machine/worktree_apply.h"

#include <signal.h>
#include <sys/mount.h>
#include <time.h>

#include "base/file.h"
#include "machine/tree_testing.h"

#define HOST   "/mnt/host"
#define LAYER  "/mnt/layer"
#define VIEW   "/mnt/view"
#define ROUNDS 40
#define SWAPS  1000

/* --- trees --------------------------------------------------------------------------------- */

/* What a tree is like: kinds, permissions, contents and targets, in the order of paths. */
static void snapshot(const char *root, struct buf *ret)
{
    char script[512];
    snprintf(script, sizeof(script),
             "cd %s && { find . -mindepth 1 -printf '%%P|%%y|%%m|%%l\\n'; "
             "find . -type f -exec sha256sum {} +; } | sort",
             root);
    FILE *out = popen(script, "r");
    char line[4096];
    while (out && fgets(line, sizeof(line), out))
        buf_add_text(ret, line);
    if (!out || pclose(out) != 0)
        buf_add_text(ret, "cannot be read\n");
}

static bool is_like(const char *root, const struct buf *expected)
{
    struct buf now = BUF_INIT;
    snapshot(root, &now);
    bool same = str_equal(buf_str(&now), buf_str(expected));
    if (!same)
        fprintf(stderr, "--- expected\n%s--- found\n%s", expected->data, now.data);
    buf_release(&now);
    return same;
}

static bool fill(const char *directory, const char *script)
{
    return tree_shell(directory, script) == 0;
}

/* A host's tree, and a layer over it that is made when the clock has moved on. */
static bool make_layers(const char *script)
{
    struct timespec filled;
    struct statx layer;
    umask(022);
    if (!tree_enter_namespaces() || mount("tmpfs", "/mnt", "tmpfs", 0, "size=16m") < 0 ||
        mkdir(HOST, 0755) < 0 || mkdir(VIEW, 0755) < 0 || !fill(HOST, script) ||
        clock_gettime(CLOCK_REALTIME, &filled) < 0 || mkdir(LAYER, 0755) < 0)
        return false;
    do {
        rmdir(LAYER "/upper");
        if (mkdir(LAYER "/upper", 0755) < 0 ||
            statx(AT_FDCWD, LAYER "/upper", 0, STATX_BTIME, &layer) < 0)
            return false;
    } while (layer.stx_btime.tv_sec < filled.tv_sec || (layer.stx_btime.tv_sec == filled.tv_sec &&
                                                        layer.stx_btime.tv_nsec <= filled.tv_nsec));
    return mkdir(LAYER "/work", 0755) == 0 && mount("overlay", VIEW, "overlay", 0,
                                                    "lowerdir=" HOST ",upperdir=" LAYER
                                                    "/upper,workdir=" LAYER "/work,userxattr") == 0;
}

/* The run ends: what it saw, and the layer kept. */
static bool end_run(struct buf *ret_seen, struct err *err)
{
    struct changes changes;
    snapshot(VIEW, ret_seen);
    if (umount(VIEW) < 0 || worktree_keep(LAYER, HOST, NULL, &changes, err) < 0)
        return false;
    changes_release(&changes);
    return true;
}

/* --- applying ------------------------------------------------------------------------------ */

static bool always(void *context, const char *path)
{
    (void)context;
    (void)path;
    return true;
}

static const struct apply_options everything = {
    .include_held = true, .name = "run", .chooses = always, .names = always
};

static void tell_conflicts(const struct worktree_apply *planned)
{
    size_t count;
    const struct apply_item *items = worktree_apply_items(planned, &count);
    for (size_t i = 0; i < count; i++)
        if (items[i].fate == FATE_CONFLICT || items[i].fate == FATE_HELD)
            fprintf(stderr, "%s %s: %s\n", change_names[items[i].change->type],
                    items[i].change->path, items[i].why);
}

static int apply(const struct apply_options *options, size_t *ret_conflicts, struct err *err)
{
    struct worktree worktree;
    struct worktree_apply *planned = NULL;
    int r = worktree_open(LAYER, HOST, false, &worktree, err);
    if (r <= 0)
        return r;
    r = worktree_apply_plan(&worktree, options, &planned, err);
    if (r == 0) {
        *ret_conflicts = worktree_apply_count(planned, FATE_CONFLICT);
        tell_conflicts(planned);
        r = worktree_apply_run(planned, err);
    }
    worktree_apply_free(planned);
    worktree_close(&worktree);
    return r;
}

static int tell(const struct err *err)
{
    fprintf(stderr, "%s: %s: %s\n", err_id(err->code), err->step ? err->step : "", err->cause);
    return 1;
}

/* --- random trees and edits ---------------------------------------------------------------- */

static unsigned seed;

static unsigned any(unsigned below)
{
    return (unsigned)rand_r(&seed) % below;
}

/* A path of few names, so that edits meet. */
static void any_path(struct buf *ret)
{
    static const char *const names[] = { "a", "b c", "d\303\251", "e\\", "f\"", "g" };
    buf_reset(ret);
    for (unsigned depth = 1 + any(3); depth; depth--)
        buf_addf(ret, "%s%s", ret->len ? "/" : "", names[any(ARRAY_LEN(names))]);
}

static void any_edit(struct buf *script)
{
    struct buf path = BUF_INIT, other = BUF_INIT;
    any_path(&path);
    any_path(&other);
    buf_addf(script, "p='%s'; q='%s'; ", path.data, other.data);
    switch (any(11)) {
    case 0:
    case 1:
        buf_addf(script, "mkdir -p \"$(dirname \"$p\")\" && echo %u >\"$p\"", any(5));
        break;
    case 2:
        buf_addf(script, "[ -f \"$p\" ] && [ ! -h \"$p\" ] && echo more %u >>\"$p\"", any(99));
        break;
    case 3:
        buf_add_text(script, "rm -rf \"$p\"");
        break;
    case 4:
        buf_add_text(script, "mkdir -p \"$p\"");
        break;
    case 5:
        buf_add_text(script, "[ ! -h \"$p\" ] && [ ! -h \"$q\" ] && mv -T \"$p\" \"$q\"");
        break;
    case 6:
        buf_addf(script, "[ -e \"$p\" ] && chmod %u \"$p\"",
                 (unsigned[]){ 755, 644, 700, 600 }[any(4)]);
        break;
    case 7:
        buf_addf(script, "rm -rf \"$p\" && ln -s x%u \"$p\"", any(3));
        break;
    case 8:
        buf_add_text(script, "rm -rf \"$p\" && mkdir \"$p\" && echo in >\"$p/in\"");
        break;
    case 9:
        buf_add_text(script, "rm -rf \"$p\" && true >\"$p\"");
        break;
    case 10:
        buf_add_text(script, "[ -d \"$p\" ] && touch \"$p\"");
        break;
    }
    buf_add_text(script, "; ");
    buf_release(&path);
    buf_release(&other);
}

static void any_script(struct buf *ret, unsigned edits)
{
    buf_add_text(ret, "exec 2>/dev/null; set +e; ");
    while (edits--)
        any_edit(ret);
    buf_add_text(ret, "true");
}

/* Whatever the run does: all of it applied is what it saw. */
static int apply_anything(const char *number)
{
    struct buf tree = BUF_INIT, edits = BUF_INIT, seen = BUF_INIT, before = BUF_INIT;
    struct err err = { 0 };
    size_t conflicts = 0;
    seed = (unsigned)strtoul(number, NULL, 10);
    any_script(&tree, 25);
    any_script(&edits, 25);
    if (!make_layers(tree.data)) {
        fprintf(stderr, "seed %s\ntree: %s\n", number, tree.data);
        return 2;
    }
    snapshot(HOST, &before);
    if (!fill(VIEW, edits.data) || !end_run(&seen, &err))
        return 3;
    if (!is_like(HOST, &before))
        return 4;
    if (apply(&everything, &conflicts, &err) < 0)
        return tell(&err);
    bool good = is_like(HOST, &seen);
    if (!good)
        fprintf(stderr, "seed %s\ntree: %s\nedits: %s\n", number, tree.data, edits.data);
    buf_release(&tree);
    buf_release(&edits);
    buf_release(&seen);
    buf_release(&before);
    return good ? 0 : 5;
}

TEST(all_of_it_is_the_tree_that_the_run_saw)
{
    char number[16];
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(number, sizeof(number), "%u", i);
        tree_in_child(i % 2, apply_anything, number);
    }
}

/* Whatever the run did: thrown away, the host's tree is byte for byte what it was. */
static int discard_anything(const char *number)
{
    struct buf tree = BUF_INIT, edits = BUF_INIT, seen = BUF_INIT, before = BUF_INIT;
    struct worktree worktree;
    struct err err = { 0 };
    bool gone = false;
    seed = (unsigned)strtoul(number, NULL, 10);
    any_script(&tree, 25);
    any_script(&edits, 25);
    if (!make_layers(tree.data))
        return 2;
    snapshot(HOST, &before);
    if (!fill(VIEW, edits.data) || !end_run(&seen, &err))
        return 3;
    int r = worktree_open(LAYER, HOST, false, &worktree, &err);
    if (r < 0 || (r > 0 && worktree_discard(&worktree, always, NULL, &gone, &err) < 0))
        return tell(&err);
    if (r > 0)
        worktree_close(&worktree);
    /* And is not offered again. */
    r = r > 0 ? worktree_open(LAYER, HOST, false, &worktree, &err) : 0;
    bool good =
        r >= 0 && (r == 0 || (gone && worktree.changes.count == 0)) && is_like(HOST, &before);
    if (r > 0)
        worktree_close(&worktree);
    buf_release(&tree);
    buf_release(&edits);
    buf_release(&seen);
    buf_release(&before);
    return good ? 0 : 5;
}

TEST(nothing_of_what_is_thrown_away_is_on_the_host)
{
    char number[16];
    for (unsigned i = 0; i < ROUNDS / 2; i++) {
        snprintf(number, sizeof(number), "%u", 1000 + i);
        tree_in_child(i % 2, discard_anything, number);
    }
}

/* --- crashes ------------------------------------------------------------------------------- */

#define TREE                                                                                       \
    "mkdir -p d/e k; echo 1 >a; echo 2 >d/b; echo 3 >d/e/c; ln -s a l; echo 4 >k/x; chmod 600 a"
#define EDITS                                                                                      \
    "echo 9 >a; rm -r d; echo new >d; mkdir -p n/o; echo 5 >n/o/p; ln -sfn k l; chmod 755 k/x; "   \
    "chmod 700 k"

static size_t dies_at, moments;

static void die(size_t step)
{
    (void)step;
    if (moments++ == dies_at)
        _exit(42);
}

/* Runs the apply in a child that ends itself; whether it did. */
static bool crash_at(size_t step)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct err err = { 0 };
        size_t conflicts;
        dies_at = step;
        worktree_apply_step_hook = die;
        _exit(apply(&everything, &conflicts, &err) < 0 ? 1 : 0);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static int recover_from(const char *tree, const char *edits, const char *text)
{
    struct buf before = BUF_INIT, seen = BUF_INIT;
    enum apply_recovered recovered;
    struct err err = { 0 };
    size_t conflicts;
    if (!make_layers(tree))
        return 2;
    snapshot(HOST, &before);
    if (!fill(VIEW, edits) || !end_run(&seen, &err))
        return 3;
    if (!crash_at(strtoul(text, NULL, 10)))
        return 77; /* there are no more steps */
    if (worktree_recover(LAYER, &recovered, &err) < 0)
        return tell(&err);
    bool undone = recovered == APPLY_UNDONE;
    if (recovered == APPLY_NOTHING || !is_like(HOST, undone ? &before : &seen))
        return 5;
    if (worktree_recover(LAYER, &recovered, &err) < 0 || recovered != APPLY_NOTHING)
        return 6;
    if (apply(&everything, &conflicts, &err) < 0)
        return tell(&err);
    return is_like(HOST, &seen) ? 0 : 7;
}

static int recover_once(const char *text)
{
    return recover_from(TREE, EDITS, text);
}

/* More than one part of what is staged, by more than one thread. */
static int recover_many(const char *text)
{
    return recover_from("i=0; while [ $i -lt 400 ]; do echo $i >f$i; i=$((i+1)); done",
                        "for f in f*; do echo more >>$f; done; rm f7*; i=0; "
                        "while [ $i -lt 200 ]; do echo $i >n$i; i=$((i+1)); done",
                        text);
}

static int apply_closed(const char *unused)
{
    struct buf seen = BUF_INIT;
    struct err err = { 0 };
    size_t conflicts;
    (void)unused;
    if (!make_layers("true") ||
        !fill(VIEW, "mkdir -p shut/a shut/b; i=0; while [ $i -lt 400 ]; do echo $i >shut/a/$i; "
                    "echo $i >shut/b/$i; i=$((i+1)); done; chmod 600 shut") ||
        !end_run(&seen, &err))
        return 2;
    if (apply(&everything, &conflicts, &err) < 0)
        return tell(&err);
    buf_release(&seen);
    return fill(HOST, "[ $(stat -c %a shut) = 600 ]; chmod 700 shut; [ $(ls shut/a shut/b | wc -l) "
                      "= 803 ]")
               ? 0
               : 4;
}

TEST(nor_that_much_of_it_lies_where_its_owner_cannot_look)
{
    for (int i = 0; i < 5; i++)
        tree_in_child(true, apply_closed, NULL);
}

TEST(nor_does_it_matter_that_much_was_staged)
{
    static const char *const steps[] = { "0", "1", "30", "256", "257", "599", "601", "602" };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        tree_in_child(i % 2, recover_many, steps[i]);
}

static int recover_plain(const char *text)
{
    worktree_apply_plain_renames = true;
    return recover_once(text);
}

static void crash_everywhere(int (*body)(const char *text))
{
    char number[16];
    int status = 0;
    size_t steps = 0;
    for (; status == 0; steps++) {
        pid_t child = fork();
        if (child == 0) {
            snprintf(number, sizeof(number), "%zu", steps);
            _exit(steps % 2 && !tree_drop() ? 120 : body(number));
        }
        CHECK(waitpid(child, &status, 0) == child);
    }
    CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 77);
    CHECK(steps > 15);
}

TEST(a_crash_at_any_step_is_completed_or_undone)
{
    crash_everywhere(recover_once);
}

TEST(also_where_a_file_system_can_only_rename)
{
    crash_everywhere(recover_plain);
}

/* --- a full disk --------------------------------------------------------------------------- */

static int apply_to_full(const char *unused)
{
    struct buf before = BUF_INIT, seen = BUF_INIT;
    struct err err = { 0 };
    size_t conflicts;
    (void)unused;
    if (!make_layers("echo 1 >a; echo 2 >b") ||
        !fill(VIEW, "echo 9 >a; head -c 4000000 /dev/urandom >large; rm b"))
        return 2;
    snapshot(HOST, &before);
    /* What is left is too little for a second copy. */
    if (!end_run(&seen, &err) || !fill("/mnt", "head -c 9000000 /dev/zero >filler || true"))
        return 3;
    int r = apply(&everything, &conflicts, &err);
    if (r >= 0 || !strstr(err.cause, strerror(ENOSPC)))
        return tell(&err);
    if (!is_like(HOST, &before))
        return 4;
    if (unlink("/mnt/filler") < 0 || apply(&everything, &conflicts, &err) < 0)
        return tell(&err);
    return is_like(HOST, &seen) ? 0 : 5;
}

TEST(a_full_disk_leaves_the_tree_as_it_was)
{
    tree_in_child(false, apply_to_full, NULL);
}

/* --- an attacker beside it ----------------------------------------------------------------- */

/* Puts a link that leads out where a directory was, and the directory back, for as long as it
 * lives. */
static pid_t start_swapping(void)
{
    pid_t child = fork();
    while (child == 0) {
        renameat2(AT_FDCWD, HOST "/d", AT_FDCWD, HOST "/link", RENAME_EXCHANGE);
        if (getppid() == 1)
            _exit(0);
    }
    return child;
}

/* The tree as it was, while the attacker holds still. */
static bool restore(pid_t attacker)
{
    kill(attacker, SIGSTOP);
    bool good = waitpid(attacker, NULL, WUNTRACED) == attacker &&
                fill(HOST, "[ ! -h d ] || { mv d was; mv link d; mv was link; }; rm -rf d/e d/n; "
                           "echo 1 >d/x; echo 2 >d/old");
    kill(attacker, SIGCONT);
    return good;
}

static int apply_quietly(struct err *err)
{
    struct apply_options options = everything;
    size_t conflicts;
    options.strategy = APPLY_THEIRS;
    fflush(stderr);
    _cleanup_(cleanup_close) int quiet = dup(STDERR_FILENO);
    _cleanup_(cleanup_close) int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    int r = apply(&options, &conflicts, err);
    dup2(quiet, STDERR_FILENO);
    return r;
}

static int apply_beside_swaps(const char *unused)
{
    struct buf seen = BUF_INIT, outside = BUF_INIT;
    struct err err = { 0 };
    enum apply_recovered recovered;
    size_t applied = 0, refused = 0;
    (void)unused;
    if (!make_layers("mkdir d ../outside; echo 1 >d/x; echo 2 >d/old; ln -s ../outside link") ||
        !fill(VIEW, "echo 9 >d/x; echo new >d/n; rm d/old; mkdir d/e; echo e >d/e/f") ||
        !end_run(&seen, &err))
        return 2;
    pid_t attacker = start_swapping();
    for (int i = 0; i < SWAPS && (i < SWAPS / 10 || !applied || !refused); i++) {
        if (!restore(attacker))
            return 3;
        int r = apply_quietly(&err);
        if (r < 0 && err.code != ERR_CONFLICT && err.code != ERR_IO)
            return tell(&err);
        applied += r == 0;
        refused += r < 0;
        /* An undo that met a link leaves its journal; with the link away it is gone on with. */
        if (!restore(attacker) || kill(attacker, SIGSTOP) < 0 ||
            worktree_recover(LAYER, &recovered, &err) < 0 || kill(attacker, SIGCONT) < 0)
            return tell(&err);
    }
    kill(attacker, SIGKILL);
    waitpid(attacker, NULL, 0);
    snapshot("/mnt/outside", &outside);
    bool good = outside.len == 0 && refused;
    if (!good)
        fprintf(stderr, "%zu applied, %zu refused, outside:\n%s", applied, refused, outside.data);
    buf_release(&seen);
    buf_release(&outside);
    return good ? 0 : 5;
}

TEST(links_swapped_in_meanwhile_lead_nowhere)
{
    tree_in_child(true, apply_beside_swaps, NULL);
    tree_in_child(false, apply_beside_swaps, NULL);
}

static int apply_plainly_beside_swaps(const char *unused)
{
    worktree_apply_plain_renames = true;
    return apply_beside_swaps(unused);
}

TEST(nor_where_a_file_system_can_only_rename)
{
    tree_in_child(true, apply_plainly_beside_swaps, NULL);
}

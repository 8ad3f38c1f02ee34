#include "machine/mask.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>

#include "base/file.h"
#include "machine/tree_testing.h"

#define SETTLES_MS 10000

static const struct mask_entry *entry_of(const struct mask_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].path, path) == 0)
            return &list->entries[i];
    }
    return NULL;
}

static bool hides(const struct mask_list *list, const char *path)
{
    const struct mask_entry *entry = entry_of(list, path);
    return entry && entry->action == MASK_HIDE;
}

static size_t count_of(const struct mask_list *list, const char *kind)
{
    for (size_t i = 0; i < list->kind_count; i++) {
        if (strcmp(list->counts[i].kind, kind) == 0)
            return list->counts[i].count;
    }
    return 0;
}

static struct mask_list find(const char *tree, const char *cache)
{
    struct mask_list list = { 0 };
    struct err err = { 0 };
    _cleanup_(cleanup_close) int fd = tree_open(tree);
    CHECK_OK(mask_find(fd, cache, &list, &err));
    return list;
}

#define SAMPLE                                                                                     \
    "mkdir -p src/deep/er .aws docs .git/objects/ab .git/hooks venv/.env certs .ssh; "             \
    "echo A=1 >.env; echo A=1 >src/.env.local; echo A= >src/.env.example; "                        \
    "echo k >src/deep/er/id_rsa; echo pub >src/deep/er/id_rsa.pub; "                               \
    "echo '//r/:_authToken=abc' >src/.npmrc; echo registry=https://r >docs/.npmrc; "               \
    "echo k >.aws/credentials; echo k >.aws/config; echo k >.ssh/anything; "                       \
    "echo k >.git/objects/ab/id_rsa; echo k >.git/hooks/.env; "                                    \
    "printf -- '-----BEGIN CERTIFICATE-----\\nM\\n' >certs/ca.pem; echo x >certs/own.pem; "        \
    "ln -s /etc/hostname src/.netrc; ln -s / rootlink; "

TEST(finds_what_is_secret_by_name_and_nothing_else)
{
    char tree[TREE_PATH_MAX];
    tree_make(tree);
    CHECK_INT(tree_shell(tree, SAMPLE), 0);
    struct mask_list list = find(tree, NULL);
    CHECK(hides(&list, ".env"));
    CHECK(hides(&list, "src/.env.local"));
    CHECK(!entry_of(&list, "src/.env.example"));
    CHECK(hides(&list, "src/deep/er/id_rsa"));
    CHECK(!entry_of(&list, "src/deep/er/id_rsa.pub"));
    CHECK(hides(&list, "src/.npmrc"));
    CHECK(!entry_of(&list, "docs/.npmrc"));
    CHECK(hides(&list, ".aws/credentials"));
    CHECK(!entry_of(&list, ".aws/config"));
    CHECK(hides(&list, ".ssh"));
    CHECK(!entry_of(&list, ".git/objects/ab/id_rsa"));
    CHECK(hides(&list, ".git/hooks/.env"));
    CHECK(!entry_of(&list, "certs/ca.pem"));
    CHECK(hides(&list, "certs/own.pem"));
    CHECK(hides(&list, "src/.netrc"));
    CHECK(!entry_of(&list, "venv/.env"));
    CHECK_INT(count_of(&list, "env-file"), 3);
    CHECK_INT(count_of(&list, "private-key"), 3);
    CHECK(entry_of(&list, ".netrc") && entry_of(&list, ".netrc")->action == MASK_AHEAD);
    CHECK(entry_of(&list, ".kube") && entry_of(&list, ".kube")->action == MASK_AHEAD);
    struct buf json = BUF_INIT;
    CHECK_INT(mask_write_counts(&list, &json), 0);
    CHECK(str_starts(buf_str(&json), STR("[{\"kind\":\"cloud-credential\",\"count\":1},")));
    buf_release(&json);
    mask_list_release(&list);
    tree_remove(tree);
}

TEST(a_directory_with_the_name_of_a_secret_file_stays_one)
{
    char tree[TREE_PATH_MAX];
    tree_make(tree);
    CHECK_INT(tree_shell(tree, "mkdir -p .env/bin .env/sub; echo k >.env/sub/.env"), 0);
    struct mask_list list = find(tree, NULL);
    CHECK(entry_of(&list, ".env") && entry_of(&list, ".env")->action == MASK_FOLDER);
    CHECK(hides(&list, ".env/sub/.env"));
    mask_list_release(&list);
    tree_remove(tree);
}

TEST(what_lies_too_deep_is_an_error_and_no_promise)
{
    char tree[TREE_PATH_MAX];
    struct mask_list list = { 0 };
    struct err err = { 0 };
    tree_make(tree);
    CHECK_INT(tree_shell(tree, "i=0; while [ $i -lt 140 ]; do mkdir d; cd d; i=$((i+1)); done"), 0);
    _cleanup_(cleanup_close) int fd = tree_open(tree);
    CHECK(mask_find(fd, NULL, &list, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK(strstr(err.cause, "cannot be promised") != NULL);
    CHECK_INT(list.count, 0);
    tree_remove(tree);
}

/* --- the cache ----------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Walks until the tree's times are old enough for everything to come from the cache. */
static struct mask_list find_kept(const char *tree, const char *cache)
{
    int64_t end = now_ms() + SETTLES_MS;
    for (;;) {
        struct mask_list list = find(tree, cache);
        if (list.directories_read == 0 || now_ms() > end)
            return list;
        mask_list_release(&list);
    }
}

TEST(an_unchanged_tree_is_not_read_again)
{
    char tree[TREE_PATH_MAX], cache[TREE_PATH_MAX];
    tree_make(tree);
    tree_make(cache);
    CHECK_INT(tree_shell(tree, SAMPLE), 0);
    struct mask_list first = find(tree, cache);
    CHECK_INT(first.directories_kept, 0);
    struct mask_list again = find_kept(tree, cache);
    CHECK_INT(again.directories_read, 0);
    CHECK_INT(again.directories_kept, first.directories_read);
    CHECK_INT(again.count, first.count);
    for (size_t i = 0; i < first.count && i < again.count; i++) {
        CHECK_TEXT(again.entries[i].path, first.entries[i].path);
        CHECK_TEXT(again.entries[i].kind, first.entries[i].kind);
        CHECK_INT(again.entries[i].action, first.entries[i].action);
    }
    mask_list_release(&first);
    mask_list_release(&again);

    CHECK_INT(tree_shell(tree, "echo k >src/deep/.env"), 0);
    struct mask_list changed = find(tree, cache);
    CHECK_INT(changed.directories_read, 1);
    CHECK(hides(&changed, "src/deep/.env"));
    mask_list_release(&changed);

    CHECK_INT(tree_shell(tree, "echo '//r/:_authToken=abc' >docs/.npmrc"), 0);
    struct mask_list filled = find(tree, cache);
    CHECK(hides(&filled, "docs/.npmrc"));
    mask_list_release(&filled);

    /* the same directory under a name that gives its files another meaning */
    CHECK_INT(tree_shell(tree, "mkdir plain; echo k >plain/credentials"), 0);
    struct mask_list plain = find_kept(tree, cache);
    CHECK(!entry_of(&plain, "plain/credentials"));
    mask_list_release(&plain);
    CHECK_INT(tree_shell(tree, "mv plain src/.aws"), 0);
    struct mask_list named = find(tree, cache);
    CHECK(hides(&named, "src/.aws/credentials"));
    mask_list_release(&named);
    tree_remove(tree);
    tree_remove(cache);
}

TEST(a_damaged_cache_costs_time_and_nothing_else)
{
    char tree[TREE_PATH_MAX], cache[TREE_PATH_MAX], script[256];
    tree_make(tree);
    tree_make(cache);
    CHECK_INT(tree_shell(tree, SAMPLE), 0);
    struct mask_list whole = find_kept(tree, cache);
    CHECK_INT(tree_shell(cache, "[ \"$(stat -c %a mask-*)\" = 600 ] && cp mask-* whole"), 0);
    static const char *const damages[] = {
        "printf X | dd of=\"$f\" bs=1 seek=70 conv=notrunc status=none",
        "printf XXXX | dd of=\"$f\" bs=1 seek=9 conv=notrunc status=none",
        "truncate -s -1 \"$f\"",
        "truncate -s 20 \"$f\"",
        ": >\"$f\"",
        "echo more >>\"$f\"",
        "chmod 644 \"$f\"",
        "rm \"$f\"; mkdir \"$f\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        snprintf(script, sizeof(script), "f=$(echo mask-*); rm -rf \"$f\"; cp -p whole \"$f\"; %s",
                 damages[i]);
        CHECK_INT(tree_shell(cache, script), 0);
        struct mask_list list = find(tree, cache);
        CHECK_INT(list.directories_kept, 0);
        CHECK_INT(list.count, whole.count);
        mask_list_release(&list);
    }
    mask_list_release(&whole);
    tree_remove(tree);
    tree_remove(cache);
}

/* --- in a namespace ------------------------------------------------------------------------ */

#define VIEW "/tmp/view/merged"

/* Builds an overlay of the tree with its mask at VIEW; 0, or a number that says where it failed. */
static int mount_masked(const char *tree)
{
    char options[512];
    struct err err = { 0 };
    struct mask_list list = { 0 };
    _cleanup_(cleanup_close) int fd = tree_open(tree);
    if (!tree_enter_namespaces())
        return 1;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 2;
    if (mask_find(fd, NULL, &list, &err) < 0)
        return 3;
    /* the tree stays reachable below the new tmpfs */
    if (mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0 || mkdir("/mnt/repo", 0755) < 0 ||
        mount(tree, "/mnt/repo", NULL, MS_BIND, NULL) < 0)
        return 4;
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NODEV | MS_NOSUID, NULL) < 0 || mkdir("/tmp/view", 0755))
        return 5;
    mkdir("/tmp/view/mask", 0755);
    mkdir("/tmp/view/upper", 0755);
    mkdir("/tmp/view/work", 0755);
    mkdir(VIEW, 0755);
    _cleanup_(cleanup_close) int layer = tree_open("/tmp/view/mask");
    int r = mask_build(layer, fd, &list, &err);
    mask_list_release(&list);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", err.step, err.cause);
        return 6;
    }
    snprintf(options, sizeof(options),
             "lowerdir=/tmp/view/mask:/mnt/repo,upperdir=/tmp/view/upper,workdir=/tmp/view/work,"
             "userxattr");
    return mount("overlay", VIEW, "overlay", 0, options) < 0 ? 7 : 0;
}

static int look_at_masked(const char *tree)
{
    int r = mount_masked(tree);
    if (r)
        return r;
    /* hidden ones are absent, the rest is there with its mode and times */
    if (tree_shell(
            VIEW,
            "for f in .env src/.env.local src/deep/er/id_rsa .ssh .aws/credentials "
            "src/.netrc certs/own.pem; do ! test -e $f; ! test -L $f; done; "
            "! ls -A . | grep -qx .env; cat src/deep/er/id_rsa.pub .aws/config "
            "docs/.npmrc certs/ca.pem >/dev/null; "
            "[ \"$(stat -c '%a %Y' src/deep)\" = \"$(stat -c '%a %Y' /mnt/repo/src/deep)\" ]"))
        return 20;
    /* what is made inside works and stays inside */
    if (tree_shell(VIEW,
                   "echo mine >.env; echo mine >src/.env.local; mkdir .kube; echo k >.kube/config; "
                   "grep -qx mine .env; grep -qx mine /tmp/view/upper/.env; "
                   "grep -qx mine /tmp/view/upper/src/.env.local; "
                   "grep -qx A=1 /mnt/repo/.env; ! test -e /mnt/repo/.kube; "
                   "rm .env src/.env.local; ! test -e .env; grep -qx A=1 /mnt/repo/.env"))
        return 21;
    return 0;
}

/* What the host replaces or creates in the root shows nothing. */
static int look_after_change(const char *tree)
{
    int r = mount_masked(tree);
    if (r)
        return r;
    return tree_shell("/mnt/repo",
                      "echo new >.env.new; mv .env.new .env; echo new >.netrc; mkdir .kube; "
                      "echo k >.kube/config; rm -rf .envdir; "
                      "cd " VIEW "; ! test -e .env; ! test -e .netrc; ! test -e .kube; "
                      "! test -e .kube/config")
               ? 30
               : 0;
}

/* A mount in the tree, whose place an overlay would show without it. */
static int look_below_mount(const char *tree)
{
    char path[128];
    struct err err = { 0 };
    struct mask_list list = { 0 };
    snprintf(path, sizeof(path), "%s/src", tree);
    if (!tree_enter_namespaces() || mount("tmpfs", path, "tmpfs", 0, NULL) < 0)
        return 40;
    _cleanup_(cleanup_close) int fd = tree_open(tree);
    if (mask_find(fd, NULL, &list, &err) < 0)
        return 41;
    bool good = hides(&list, "src") && count_of(&list, "other-mount") == 1 &&
                !entry_of(&list, "src/.npmrc");
    mask_list_release(&list);
    return good ? 0 : 42;
}

static int look_at_unreadable(const char *tree)
{
    struct err err = { 0 };
    struct mask_list list = { 0 };
    _cleanup_(cleanup_close) int fd = tree_open(tree);
    if (mask_find(fd, NULL, &list, &err) < 0)
        return 50;
    bool good = hides(&list, "closed") && count_of(&list, "unreadable-directory") == 1;
    mask_list_release(&list);
    return good ? 0 : 51;
}

static void with_sample(bool ordinary, const char *more, int (*body)(const char *tree))
{
    char tree[TREE_PATH_MAX];
    tree_make(tree);
    CHECK_INT(tree_shell(tree, SAMPLE), 0);
    if (more)
        CHECK_INT(tree_shell(tree, more), 0);
    if (ordinary && geteuid() == 0)
        CHECK_INT(tree_shell(tree, "chown -hR 65534:65534 ."), 0);
    tree_in_child(ordinary, body, tree);
    tree_remove(tree);
}

TEST(an_overlay_with_the_layer_hides_them)
{
    with_sample(true, NULL, look_at_masked);
    with_sample(false, NULL, look_at_masked);
}

TEST(what_the_host_puts_in_place_later_stays_hidden)
{
    with_sample(true, NULL, look_after_change);
    with_sample(false, NULL, look_after_change);
}

TEST(a_mount_in_the_tree_is_hidden_whole)
{
    with_sample(true, NULL, look_below_mount);
    with_sample(false, NULL, look_below_mount);
}

TEST(a_directory_that_may_not_be_read_is_hidden_whole)
{
    char tree[TREE_PATH_MAX];
    tree_make(tree);
    CHECK_INT(tree_shell(tree, "mkdir -m 0700 closed; chmod 0000 closed"), 0);
    tree_in_child(true, look_at_unreadable, tree);
    tree_remove(tree);
}

/* --- races --------------------------------------------------------------------------------- */

#define WALKS_MIN 200
#define SWAPS_MIN 5000

/* Exchanges a directory with a link to one outside, over and over, and counts. */
static void swap_forever(const char *tree, volatile unsigned *swaps)
{
    if (chdir(tree) < 0)
        _exit(1);
    for (;;) {
        renameat2(AT_FDCWD, "d", AT_FDCWD, "link", RENAME_EXCHANGE);
        renameat2(AT_FDCWD, "x/.npmrc", AT_FDCWD, "x/link", RENAME_EXCHANGE);
        ++*swaps;
    }
}

TEST(links_swapped_during_the_walk_lead_nowhere)
{
    char tree[TREE_PATH_MAX], outside[TREE_PATH_MAX], script[512];
    tree_make(tree);
    tree_make(outside);
    snprintf(script, sizeof(script),
             "mkdir -p %s/sub d/sub x; echo k >%s/outside.key; echo k >%s/sub/outside.key; "
             "echo k >d/inside.key; ln -s %s link; echo registry=r >x/.npmrc; "
             "ln -s %s/outside.key x/link",
             outside, outside, outside, outside, outside);
    CHECK_INT(tree_shell(tree, script), 0);
    volatile unsigned *swaps =
        mmap(NULL, sizeof(*swaps), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0)
        swap_forever(tree, swaps);
    unsigned outside_seen = 0, inside_unseen = 0;
    for (int i = 0; i < WALKS_MIN || *swaps < SWAPS_MIN; i++) {
        struct mask_list list = find(tree, outside);
        for (size_t k = 0; k < list.count; k++)
            outside_seen += strstr(list.entries[k].path, "outside.key") != NULL;
        /* whichever name the directory had, its secret is hidden: by itself, or with it */
        inside_unseen += !hides(&list, "d/inside.key") && !hides(&list, "link/inside.key") &&
                         !hides(&list, "d") && !hides(&list, "link");
        mask_list_release(&list);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK_INT(outside_seen, 0);
    printf("running  %u swaps; the directory went unseen in %u walks\n", *swaps, inside_unseen);
    tree_remove(tree);
    tree_remove(outside);
}

/* --- kept ---------------------------------------------------------------------------------- */

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *entries = opendir(path);
    while (entries && readdir(entries))
        count++;
    if (entries)
        closedir(entries);
    return count < 2 ? 0 : count - 2;
}

TEST(a_layer_of_names_of_the_root_is_kept_and_mended)
{
    static struct mask_entry names[] = { { ".env", "dotenv", MASK_AHEAD },
                                         { "key.pem", "key", MASK_HIDE } };
    const struct mask_list list = { .entries = names, .count = ARRAY_LEN(names) };
    const struct mask_list less = { .entries = names, .count = 1 };
    char cache[] = "/tmp/agent-machine-layers-XXXXXX", path[MASK_LAYER_PATH_MAX],
         again[MASK_LAYER_PATH_MAX], name[MASK_LAYER_PATH_MAX + 16];
    struct stat status;
    CHECK(mkdtemp(cache) != NULL);
    CHECK(mask_keep(cache, &list, path));
    CHECK_INT(count_entries(path), 2);
    snprintf(name, sizeof(name), "%s/.env", path);
    CHECK(lstat(name, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == 0);
    CHECK_INT(unlink(name), 0); /* as a crash may leave it */
    CHECK(mask_keep(cache, &list, again));
    CHECK_TEXT(again, path);
    CHECK_INT(count_entries(path), 2);
    snprintf(name, sizeof(name), "%s/else", path);
    CHECK_INT(mkdir(name, 0700), 0); /* what nobody can account for is not used */
    CHECK(!mask_keep(cache, &list, again));
    CHECK_INT(rmdir(name), 0);
    CHECK(mask_keep(cache, &less, again));
    CHECK(strcmp(again, path) != 0);
    CHECK_INT(count_entries(again), 1);
    CHECK_INT(count_entries(cache), 2);
    CHECK_INT(file_remove_tree(cache, NULL), 0);
}

TEST(a_layer_with_directories_is_not_kept)
{
    static struct mask_entry below[] = { { "a/.env", "dotenv", MASK_HIDE } },
                             folder[] = { { ".env", "dotenv", MASK_FOLDER } };
    char cache[] = "/tmp/agent-machine-layers-XXXXXX", path[MASK_LAYER_PATH_MAX];
    CHECK(mkdtemp(cache) != NULL);
    CHECK(!mask_keep(cache, &(struct mask_list){ .entries = below, .count = 1 }, path));
    CHECK(!mask_keep(cache, &(struct mask_list){ .entries = folder, .count = 1 }, path));
    CHECK_INT(count_entries(cache), 0);
    CHECK_INT(rmdir(cache), 0);
}

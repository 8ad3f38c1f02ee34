#include "machine/changes.h"

#include <sys/mount.h>
#include <sys/xattr.h>

#include "machine/tree_testing.h"

#define VIEW "/mnt/merged"

#define LOWER                                                                                      \
    "mkdir -p src/deep gone/inner keep; echo one >a; echo two >src/b; echo three >src/deep/c; "    \
    "echo g >gone/g; echo h >gone/inner/h; echo k >keep/k; ln -s a link; echo s >.env; "           \
    "echo s >gone/.env; "

static const struct change_case {
    const char *name, *script, *lines;
} cases[] = {
    { "nothing", "true", "" },
    { "a file added", "echo new >n", "added              4  n\n" },
    { "changed, longer and not", "echo longer >a; echo owt >src/b",
      "modified           7  a\nmodified           4  src/b\n" },
    { "copied up and the same", "touch a; echo x >>src/b; echo two >src/b; chmod 644 src/deep/c",
      "" },
    { "mode", "chmod 755 a; chmod 700 src",
      "mode               4  a  0644 to 0755\nmode               0  src/  0755 to 0700\n" },
    { "to run as its owner", "echo x >n; chmod 4755 n; mkdir d; chmod 2700 d",
      "added              0  d/  set-group-id\nadded              2  n  set-user-id\n" },
    { "deleted", "rm a src/deep/c", "deleted            4  a\ndeleted            6  src/deep/c\n" },
    { "a directory deleted, with a hidden file in it", "rm -r gone",
      "deleted            0  gone/\ndeleted            2  gone/g\n"
      "deleted            0  gone/inner/\ndeleted            2  gone/inner/h\n" },
    { "a directory made anew", "rm -r gone; mkdir gone; echo g >gone/g; echo n >gone/n",
      "deleted            0  gone/inner/\ndeleted            2  gone/inner/h\n"
      "added              2  gone/n\n" },
    { "a file for a directory", "rm -r keep; echo f >keep",
      "deleted            0  keep/\ndeleted            2  keep/k\nadded              2  keep\n" },
    { "a directory for a file", "rm a; mkdir a; echo x >a/x",
      "deleted            4  a\nadded              0  a/\nadded              2  a/x\n" },
    { "links", "ln -sfn src/b link; ln -s /etc/shadow out",
      "modified           5  link\nadded             11  out\n" },
    { "renamed", "mv a z; mv keep kept",
      "deleted            4  a\ndeleted            0  keep/\ndeleted            2  keep/k\n"
      "added              0  kept/\nadded              2  kept/k\nadded              4  z\n" },
    { "in the order of paths", "mkdir d; echo 1 >d/x; echo 2 >d-x; echo 3 >d.x",
      "added              0  d/\nadded              2  d/x\nadded              2  d-x\n"
      "added              2  d.x\n" },
    { "a hidden name made inside", "echo mine >.env; echo mine >gone/.env; rm gone/.env",
      "added              5  .env\n" },
    { "what cannot be read", "echo x >n; chmod 000 n; mkdir d; echo y >d/y; chmod 000 d",
      "added              0  d/\nadded              2  d/y\nadded              2  n\n" },
    { "pipes and odd names", "mkfifo p; touch \"$(printf 'a\\033[2J\\nb')\"",
      "added              0  a\\033[2J\\012b\nadded              0  p\n" },
};

static int fill(const char *directory, const char *script)
{
    return tree_shell(directory, script) == 0;
}

/* Mounts an overlay over the lower tree, with a mask that hides .env and gone/.env. */
static bool mount_layers(void)
{
    if (!tree_enter_namespaces() || mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0)
        return false;
    umask(022);
    return fill("/mnt", "mkdir lower mask upper work merged; mkdir mask/gone") &&
           fill("/mnt/lower", LOWER) && mknod("/mnt/mask/.env", S_IFCHR, 0) == 0 &&
           mknod("/mnt/mask/gone/.env", S_IFCHR, 0) == 0 &&
           mount("overlay", VIEW, "overlay", 0,
                 "lowerdir=/mnt/mask:/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work,userxattr") ==
               0;
}

static int read_layers(struct changes *ret, struct err *err)
{
    static struct mask_entry entries[] = { { ".env", "dotenv", MASK_HIDE },
                                           { "gone/.env", "dotenv", MASK_HIDE } };
    static const struct mask_list hidden = { .entries = entries, .count = ARRAY_LEN(entries) };
    _cleanup_(cleanup_close) int upper = tree_open("/mnt/upper");
    _cleanup_(cleanup_close) int lower = tree_open("/mnt/lower");
    return changes_read(upper, lower, &hidden, 0, ret, err);
}

/* In a child: changes the view by a script, and compares the list. */
static int run_case(const char *name)
{
    const struct change_case *row = cases;
    struct changes changes = { 0 }, again = { 0 };
    struct buf lines = BUF_INIT;
    struct err err = { 0 };
    while (strcmp(row->name, name) != 0)
        row++;
    if (!mount_layers())
        return 1;
    if (!fill(VIEW, row->script))
        return 2;
    if (umount(VIEW) < 0)
        return 3;
    if (read_layers(&changes, &err) < 0 || read_layers(&again, &err) < 0) {
        fprintf(stderr, "%s: %s: %s\n", name, err_id(err.code), err.cause);
        return 4;
    }
    changes_write_lines(&changes, &lines);
    bool good = str_equal(buf_str(&lines), str_from(row->lines)) &&
                strcmp(changes.digest, again.digest) == 0;
    if (!good)
        fprintf(stderr, "%s:\n%s", name, lines.data);
    buf_release(&lines);
    changes_release(&changes);
    changes_release(&again);
    return good ? 0 : 5;
}

TEST(lists_what_changed)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tree_in_child(true, run_case, cases[i].name);
        if (i % 3 == 0)
            tree_in_child(false, run_case, cases[i].name);
    }
}

/* --- without an overlay -------------------------------------------------------------------- */

static int read_two(const char *tree, struct changes *ret, struct err *err)
{
    char path[TREE_PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s/upper", tree);
    _cleanup_(cleanup_close) int upper = tree_open(path);
    snprintf(path, sizeof(path), "%s/lower", tree);
    _cleanup_(cleanup_close) int lower = tree_open(path);
    return changes_read(upper, lower, NULL, 0, ret, err);
}

TEST(the_digest_is_over_what_the_header_says)
{
    char tree[TREE_PATH_MAX], expected[DIGEST_TEXT_SIZE];
    struct changes changes = { 0 };
    struct err err = { 0 };
    struct buf json = BUF_INIT;
    tree_make(tree);
    CHECK_INT(tree_shell(tree, "umask 022; mkdir upper lower upper/d; printf abc >upper/d/f; "
                               "ln -s f upper/d/l"),
              0);
    CHECK_OK(read_two(tree, &changes, &err));
    CHECK_OK(digest_text(
        STR("agent-machine changes 2\n"
            "added directory 755 0 - - - 1 d\n"
            "added file 644 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad "
            "- - 3 d/f\n"
            "added link 777 1 252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111 "
            "- - 3 d/l\n"),
        expected, &err));
    CHECK_TEXT(changes.digest, expected);
    CHECK_INT(changes.counts[CHANGE_ADDED], 2);
    CHECK_INT(changes.bytes, 4);
    CHECK_OK(changes_write(&changes, &json));
    CHECK(
        str_starts(buf_str(&json),
                   STR("[{\"path\":\"d\",\"change\":\"added\",\"kind\":\"directory\","
                       "\"mode\":\"0755\",\"size\":0},{\"path\":\"d/f\",\"change\":\"added\","
                       "\"kind\":\"file\",\"mode\":\"0644\",\"size\":3,\"digest\":\"sha256:ba78")));
    buf_release(&json);
    changes_release(&changes);
    tree_remove(tree);
}

TEST(marks_by_attribute_count_as_those_by_device)
{
    char tree[TREE_PATH_MAX], path[TREE_PATH_MAX + 16];
    struct changes changes = { 0 };
    struct err err = { 0 };
    struct buf lines = BUF_INIT;
    tree_make(tree);
    CHECK_INT(tree_shell(tree, "mkdir -p upper/o lower/o; echo x >lower/a; echo x >lower/o/b; "
                               ": >upper/a; : >upper/empty"),
              0);
    snprintf(path, sizeof(path), "%s/upper/a", tree);
    CHECK_INT(setxattr(path, "user.overlay.whiteout", "", 0, 0), 0);
    snprintf(path, sizeof(path), "%s/upper/o", tree);
    CHECK_INT(setxattr(path, "user.overlay.opaque", "y", 1, 0), 0);
    CHECK_OK(read_two(tree, &changes, &err));
    CHECK_INT(changes_write_lines(&changes, &lines), 0);
    CHECK_STR(buf_str(&lines), STR("deleted            2  a\nadded              0  empty\n"
                                   "deleted            2  o/b\n"));
    buf_release(&lines);
    changes_release(&changes);

    CHECK_INT(setxattr(path, "user.overlay.redirect", "/x", 2, 0), 0);
    CHECK_INT(read_two(tree, &changes, &err), -EOPNOTSUPP);
    CHECK_INT(err.code, ERR_UNSUPPORTED);
    tree_remove(tree);
}

TEST(what_lies_too_deep_is_an_error)
{
    char tree[TREE_PATH_MAX];
    struct changes changes = { 0 };
    struct err err = { 0 };
    tree_make(tree);
    CHECK_INT(tree_shell(tree, "mkdir upper lower; cd upper; i=0; "
                               "while [ $i -lt 140 ]; do mkdir d; cd d; i=$((i+1)); done"),
              0);
    CHECK(read_two(tree, &changes, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK_INT(changes.count, 0);
    tree_remove(tree);
}

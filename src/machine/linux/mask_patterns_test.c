/* What the patterns of a mount hide, beside secrets by name. */
#include "machine/mask.h"
#include "machine/tree_testing.h"

static const char *const none[] = { NULL };

static const struct mask_entry *entry_of(const struct mask_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].path, path) == 0)
            return &list->entries[i];
    return NULL;
}

static bool hides(const struct mask_list *list, const char *path)
{
    const struct mask_entry *entry = entry_of(list, path);
    return entry && entry->action == MASK_HIDE && !entry->kind;
}

#define SAMPLE                                                                                     \
    "mkdir -p src/lib dist/js notes/old empty; echo a >a.md; echo b >src/b.md; echo c >src/c.c; "  \
    "echo d >src/lib/d.c; echo e >dist/js/e.js; echo f >notes/old/f.md; echo g >g.log; "           \
    "echo h >src/h.log; ln -s / rootlink; echo A=1 >src/.env"

struct sample {
    char tree[TREE_PATH_MAX];
    struct mask_list list;
};

static void find(struct sample *sample, const char *const *include, const char *const *exclude,
                 bool secrets)
{
    const struct mask_patterns patterns = { .include = include, .exclude = exclude };
    struct err err = { 0 };
    tree_make(sample->tree);
    CHECK_INT(tree_shell(sample->tree, SAMPLE), 0);
    _cleanup_(cleanup_close) int fd = tree_open(sample->tree);
    sample->list = (struct mask_list){ 0 };
    if (secrets)
        CHECK_INT(mask_find(fd, NULL, &sample->list, &err), 0);
    CHECK_INT(mask_exclude(fd, &patterns, &sample->list, &err), 0);
}

static void release(struct sample *sample)
{
    mask_list_release(&sample->list);
    tree_remove(sample->tree);
}

TEST(what_is_excluded_is_hidden_and_all_else_is_not)
{
    static const char *const exclude[] = { "/dist/", "*.log", "/later.txt", "!src/h.log", NULL };
    struct sample sample;
    find(&sample, NULL, exclude, false);
    CHECK(hides(&sample.list, "dist"));
    CHECK(hides(&sample.list, "g.log"));
    CHECK(!entry_of(&sample.list, "src/h.log"));
    CHECK(!entry_of(&sample.list, "dist/js"));
    CHECK(entry_of(&sample.list, "later.txt") &&
          entry_of(&sample.list, "later.txt")->action == MASK_AHEAD);
    CHECK_INT(sample.list.count, 3);
    CHECK_INT(sample.list.excluded, 2);
    release(&sample);
}

TEST(nothing_is_shown_but_what_is_included)
{
    static const char *const include[] = { "*.md", "/src/lib/", NULL };
    static const char *const exclude[] = { "notes/", NULL };
    struct sample sample;
    find(&sample, include, exclude, false);
    CHECK(!entry_of(&sample.list, "a.md"));
    CHECK(!entry_of(&sample.list, "src"));
    CHECK(!entry_of(&sample.list, "src/b.md"));
    CHECK(!entry_of(&sample.list, "src/lib"));
    CHECK(!entry_of(&sample.list, "src/lib/d.c"));
    CHECK(hides(&sample.list, "src/c.c"));
    CHECK(hides(&sample.list, "src/h.log"));
    CHECK(hides(&sample.list, "dist"));  /* nothing in it is shown */
    CHECK(hides(&sample.list, "empty")); /* nor here */
    CHECK(hides(&sample.list, "notes"));
    CHECK(hides(&sample.list, "rootlink"));
    CHECK(!entry_of(&sample.list, "dist/js"));
    release(&sample);
}

TEST(secrets_stay_hidden_whatever_is_included)
{
    static const char *const include[] = { "src/", NULL };
    struct sample sample;
    find(&sample, include, none, true);
    const struct mask_entry *secret = entry_of(&sample.list, "src/.env");
    CHECK(secret && secret->action == MASK_HIDE && secret->kind);
    CHECK(hides(&sample.list, "a.md"));
    CHECK_INT(sample.list.kind_count, 1);
    CHECK_INT(sample.list.counts[0].count, 1);
    release(&sample);
}

TEST(what_cannot_be_looked_into_is_hidden)
{
    static const char *const exclude[] = { "*.log", NULL };
    static const char *const include[] = { "*.md", NULL };
    struct sample sample;
    CHECK(tree_drop());
    find(&sample, NULL, exclude, false);
    mask_list_release(&sample.list);
    CHECK_INT(tree_shell(sample.tree, "chmod 0 notes"), 0);
    const struct mask_patterns with = { .include = include }, without = { .exclude = exclude };
    struct err err = { 0 };
    _cleanup_(cleanup_close) int fd = tree_open(sample.tree);
    CHECK_INT(mask_exclude(fd, &with, &sample.list, &err), 0);
    CHECK(hides(&sample.list, "notes"));
    mask_list_release(&sample.list);
    CHECK_INT(mask_exclude(fd, &without, &sample.list, &err), 0);
    CHECK(hides(&sample.list, "notes"));
    release(&sample);
}

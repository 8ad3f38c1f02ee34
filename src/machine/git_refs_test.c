/* Names of references, and how much of a run's objects is looked at; the rest:
 * tests/worktree_git.sh. */
#include "machine/git_refs.h"

#include "base/test.h"
#include "machine/git_host.h"
#include "machine/tree_testing.h"

TEST(a_name_is_one_that_git_would_take)
{
    static const struct {
        const char *name;
        bool is_name;
    } rows[] = {
        { "refs/heads/main", true },
        { "refs/heads/a/b-1.2", true },
        { "refs/heads/\303\251", true },
        { "HEAD", false },
        { "", false },
        { "refs/", false },
        { "refs/heads/../x", false },
        { "refs/heads/.x", false },
        { "refs/heads//x", false },
        { "refs/heads/x.lock", false },
        { "refs/heads/x.lock/y", false },
        { "refs/heads/x.", false },
        { "refs/heads/x/", false },
        { "refs/heads/a b", false },
        { "refs/heads/a\nb", false },
        { "refs/heads/a~1", false },
        { "refs/heads/@{1}", false },
        { "refs/heads/-x", false },
        { "refs/heads/a\\b", false },
        { "refs/heads/a*", false },
        { "../refs/heads/main", false },
        { "refs/heads/\177", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (git_ref_is_name(rows[i].name) != rows[i].is_name)
            test_fail(__FILE__, __LINE__, "%s", rows[i].name);
}

TEST(more_objects_than_anybody_wants_are_refused_before_they_are_read)
{
    static const struct {
        const char *path;
        uint64_t size;
        enum err_code code;
    } rows[] = {
        { ".git/objects/pack/pack-0123456789012345678901234567890123456789.pack",
          GIT_OBJECT_BYTES_MAX + 1, ERR_LIMIT },
        { ".git/objects/01/23456789012345678901234567890123456789", GIT_OBJECT_BYTES_MAX + 1,
          ERR_LIMIT },
        /* what is not there by now is not what the run left */
        { ".git/objects/01/23456789012345678901234567890123456789", 1, ERR_DAMAGED },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char tree[TREE_PATH_MAX];
        struct changed_path change = {
            .path = rows[i].path, .type = CHANGE_ADDED, .kind = CHANGED_FILE, .size = rows[i].size
        };
        const char *const wanted[] = { "0123456789012345678901234567890123456789" };
        struct worktree worktree = { .changes = { .items = &change, .count = 1 } };
        struct err err = { 0 };
        tree_make(tree);
        CHECK_INT(tree_shell(tree, "mkdir -p upper host/.git/objects"), 0);
        snprintf(worktree.layer, sizeof(worktree.layer), "%s", tree);
        snprintf(worktree.host_path, sizeof(worktree.host_path), "%s/host", tree);
        worktree.host = open(worktree.host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        worktree.upper = openat(worktree.host, "../upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(git_take_objects(&worktree, ".git/", wanted, 1, &err) < 0);
        CHECK_INT(err.code, rows[i].code);
        CHECK_INT(tree_shell(tree, "! ls commits-*.git 2>/dev/null"),
                  0); /* nothing is left behind */
        close(worktree.host);
        close(worktree.upper);
        tree_remove(tree);
    }
}

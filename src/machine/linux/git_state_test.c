#include "machine/git_state.h"

#include "base/file.h"
#include "machine/git_repository.h"
#include "machine/tree_testing.h"

#define ENOUGH_MS 10000

#define GIT                                                                                        \
    "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null HOME=/nonexistent "            \
    "GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a "                       \
    "GIT_COMMITTER_EMAIL=a@example.com; git() { command git -c protocol.file.allow=always "        \
    "-c init.defaultBranch=main -c core.fsync=none -c gc.auto=0 -c advice.detachedHead=false "     \
    "\"$@\"; }; "
#define REPOSITORY                                                                                 \
    GIT "mkdir repo; cd repo; git init -q $FORMAT; mkdir -p src/deep; echo one >a; echo two "      \
        ">src/b; echo three >src/deep/c; ln -s a link; echo x >run.sh; chmod +x run.sh; "          \
        "git add .; git commit -qm one; "

/* What real git says of a repository, a line each: commit, ref, url, and what is changed. */
#define ASK                                                                                        \
    GIT "cd repo; { git rev-parse -q --verify HEAD || echo; git symbolic-ref -q HEAD || echo; "    \
        "git remote get-url origin 2>/dev/null || echo; "                                          \
        "git --no-optional-locks status --porcelain -uno | head -1; } >../said"

static struct str next_line(struct str *text)
{
    struct str line = str_make(text->ptr, str_index(*text, '\n', 0));
    *text = str_from_offset(*text, line.len + 1);
    return line;
}

static const struct git_case {
    const char *name, *script;
    enum git_dirty dirty;
} cases[] = {
    { "nothing yet", GIT "git init -q $FORMAT repo", GIT_CLEAN },
    { "added and never committed", GIT "git init -q $FORMAT repo; cd repo; echo >a; git add a",
      GIT_DIRTY },
    { "committed", REPOSITORY, GIT_CLEAN },
    { "not tracked", REPOSITORY "echo >new", GIT_CLEAN },
    { "longer", REPOSITORY "echo longer >>src/deep/c", GIT_DIRTY },
    { "other of the same size", REPOSITORY "echo eno >a", GIT_DIRTY },
    { "touched", REPOSITORY "touch -d 2001-01-01 a src/b", GIT_CLEAN },
    { "mode", REPOSITORY "chmod -x run.sh", GIT_DIRTY },
    { "modes do not count", REPOSITORY "git config core.fileMode false; chmod -x run.sh",
      GIT_CLEAN },
    { "a file gone", REPOSITORY "rm src/b", GIT_DIRTY },
    { "a directory gone", REPOSITORY "rm -r src", GIT_DIRTY },
    { "a link to the directory", REPOSITORY "mv src moved; ln -s moved src", GIT_DIRTY },
    { "a link for a file", REPOSITORY "mv a b; ln -s b a", GIT_DIRTY },
    { "another link", REPOSITORY "ln -sfn b link", GIT_DIRTY },
    { "a pipe for a file", REPOSITORY "rm a; mkfifo a", GIT_DIRTY },
    { "staged", REPOSITORY "echo more >>a; git add a", GIT_NOT_CHECKED },
    { "staged whole", REPOSITORY "echo more >>a; git commit -qam two; git reset -q --soft HEAD~1",
      GIT_DIRTY },
    { "to be added", REPOSITORY "echo >new; git add -N new", GIT_DIRTY },
    { "conflict",
      REPOSITORY "git checkout -qb other; echo o >a; git commit -qam o; git checkout -q main; "
                 "echo m >a; git commit -qam m; git merge other >/dev/null 2>&1 || true",
      GIT_DIRTY },
    { "detached", REPOSITORY "git checkout -q --detach", GIT_CLEAN },
    { "packed references", REPOSITORY "git branch main2; git pack-refs --all", GIT_CLEAN },
    { "packed objects", REPOSITORY "echo more >>a; git commit -qam two; git gc -q", GIT_CLEAN },
    { "a branch with slashes", REPOSITORY "git checkout -qb feature/x/y-1", GIT_CLEAN },
    { "an orphan", REPOSITORY "git checkout -q --orphan empty", GIT_DIRTY },
    { "version 4 of the index",
      REPOSITORY "for i in $(seq 300); do mkdir -p d$((i % 7))/e; echo $i >d$((i % 7))/e/f$i; "
                 "done; git add .; git update-index --index-version 4; git commit -qm many",
      GIT_CLEAN },
    { "version 4, changed",
      REPOSITORY "for i in $(seq 300); do echo $i >f$i; done; git add .; "
                 "git update-index --index-version 4; git commit -qm many; echo 03x >f299",
      GIT_DIRTY },
    { "skipped files",
      REPOSITORY
      "git update-index --skip-worktree a; git commit -qm x --allow-empty; echo more >>a",
      GIT_CLEAN },
    { "assumed files",
      REPOSITORY
      "git update-index --assume-unchanged a; git commit -qm x --allow-empty; echo more >>a",
      GIT_CLEAN },
    { "split index", REPOSITORY "git update-index --split-index", GIT_NOT_CHECKED },
    { "a linked work tree",
      REPOSITORY "git worktree add -q ../linked -b linked; cd ..; mv repo main; "
                 "git -C main worktree repair ../linked; mv linked repo; "
                 "git -C repo worktree repair 2>/dev/null",
      GIT_CLEAN },
    { "a clone", REPOSITORY "cd ..; mv repo from; git clone -q from repo", GIT_CLEAN },
    { "a copy", REPOSITORY "cd ..; cp -r repo copy; rm -rf repo; mv copy repo", GIT_CLEAN },
    { "a submodule",
      REPOSITORY "cd ..; mv repo inner; git init -q $FORMAT repo; cd repo; "
                 "git submodule --quiet add ../inner sub; git commit -qm sub",
      GIT_CLEAN },
    { "a submodule with a change",
      REPOSITORY "cd ..; mv repo inner; git init -q $FORMAT repo; cd repo; "
                 "git submodule --quiet add ../inner sub; git commit -qm sub; echo >>sub/a",
      GIT_DIRTY },
    { "a submodule at another commit",
      REPOSITORY "cd ..; mv repo inner; git init -q $FORMAT repo; cd repo; "
                 "git submodule --quiet add ../inner sub; git commit -qm sub; "
                 "git -C sub commit -q --allow-empty -m two",
      GIT_DIRTY },
    { "a submodule that is not checked out",
      REPOSITORY "cd ..; mv repo inner; git init -q $FORMAT from; cd from; "
                 "git submodule --quiet add ../inner sub; git commit -qm sub; cd ..; "
                 "git clone -q from repo",
      GIT_CLEAN },
    { "line ends converted",
      REPOSITORY "git config core.autocrlf true; printf 'a\\r\\n' >w; git add w 2>/dev/null; "
                 "git commit -qm w; touch -d 2001-01-01 w",
      GIT_NOT_CHECKED },
    { "attributes",
      REPOSITORY "echo '*.up filter=up' >.gitattributes; git config filter.up.clean 'tr a-z A-Z'; "
                 "git config filter.up.smudge cat; echo abc >z.up; git add .; git commit -qm up; "
                 "touch -d 2001-01-01 z.up",
      GIT_NOT_CHECKED },
    { "a remote", REPOSITORY "git remote add origin https://git.example.com/a/b.git", GIT_CLEAN },
};

static void check_case(const struct git_case *row, const char *format)
{
    char tree[TREE_PATH_MAX], path[TREE_PATH_MAX + 16];
    struct git_state state = { 0 };
    struct err err = { 0 };
    struct buf said = BUF_INIT;
    tree_make(tree);
    setenv("FORMAT", format, 1);
    CHECK_INT(tree_shell(tree, row->script), 0);
    snprintf(path, sizeof(path), "%s/repo", tree);
    CHECK_OK(git_state_read(path, ENOUGH_MS, &state, &err));
    CHECK_INT(tree_shell(tree, ASK), 0);
    CHECK_TEXT(state.root, path);
    snprintf(path, sizeof(path), "%s/said", tree);
    CHECK_OK(file_read(path, &said, &err));
    struct str text = buf_str(&said);
    CHECK_STR(str_from(state.commit), next_line(&text));
    CHECK_STR(str_from(state.ref), next_line(&text));
    CHECK_STR(str_from(state.url), next_line(&text));
    bool git_says_dirty = text.len > 0;
    if (state.dirty != row->dirty ||
        (row->dirty != GIT_NOT_CHECKED && git_says_dirty != (row->dirty == GIT_DIRTY)))
        test_fail(__FILE__, __LINE__, "%s%s: %s (%s), expected %s; git says \"%.*s\"", row->name,
                  format, git_dirty_names[state.dirty], state.reason ? state.reason : "",
                  git_dirty_names[row->dirty], STR_ARG(text));
    buf_release(&said);
    tree_remove(tree);
}

TEST(says_what_git_says)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_case(&cases[i], "");
}

TEST(says_what_git_says_of_sha256)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (strstr(cases[i].script, "submodule") == NULL && i % 4 == 2)
            check_case(&cases[i], "--object-format=sha256");
    }
}

/* Runs a script in a new directory, and reads the state of "repo" in it. */
static int read_after(const char *script, int64_t limit_ms, struct git_state *ret)
{
    char tree[TREE_PATH_MAX], path[TREE_PATH_MAX + 16];
    struct err err = { 0 };
    tree_make(tree);
    setenv("FORMAT", "", 1);
    CHECK_INT(tree_shell(tree, script), 0);
    snprintf(path, sizeof(path), "%s/repo", tree);
    int r = git_state_read(path, limit_ms, ret, &err);
    tree_remove(tree);
    return r;
}

TEST(what_cannot_be_told_is_not_checked)
{
    static const char *const scripts[] = {
        REPOSITORY "rm .git/index; mkfifo .git/index",
        REPOSITORY "mv .git/index ../index; ln -s ../../index .git/index",
        REPOSITORY "truncate -s 100 .git/index",
        REPOSITORY "printf DIRC >.git/index",
        REPOSITORY "rm -r .git/objects/*",
        REPOSITORY "git config extensions.refstorage reftable; echo 'ref: refs/heads/.invalid' "
                   ">.git/HEAD",
    };
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct git_state state = { 0 };
        CHECK_INT(read_after(scripts[i], ENOUGH_MS, &state), 0);
        if (state.dirty != GIT_NOT_CHECKED || !state.reason)
            test_fail(__FILE__, __LINE__, "%s: %s", scripts[i], git_dirty_names[state.dirty]);
    }
    struct git_state state = { 0 };
    CHECK_INT(read_after(REPOSITORY, -1, &state), 0);
    CHECK_INT(state.dirty, GIT_NOT_CHECKED);
    CHECK_TEXT(state.reason, "it took too long");
    CHECK_INT(strlen(state.commit), 40);
}

TEST(a_repository_that_lies_leads_nowhere)
{
    static const char *const scripts[] = {
        REPOSITORY "echo 'ref: ../../secret' >.git/HEAD; echo secret >../secret",
        REPOSITORY "echo 'ref: refs/../../../secret' >.git/HEAD",
        REPOSITORY "echo secret words >.git/HEAD",
        REPOSITORY "echo 'ref: refs/heads/loop' >.git/HEAD; cp .git/HEAD .git/refs/heads/loop",
        REPOSITORY "rm .git/HEAD; mkfifo .git/HEAD",
        REPOSITORY "rm .git/HEAD; ln -s /etc/hostname .git/HEAD",
        REPOSITORY "printf '[core' >.git/config",
    };
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct git_state state = { 0 };
        CHECK(read_after(scripts[i], ENOUGH_MS, &state) < 0);
        CHECK_TEXT(state.commit, "");
        CHECK_TEXT(state.ref, "");
    }
}

TEST(outside_of_a_repository_there_is_none)
{
    char tree[TREE_PATH_MAX], root[PATH_MAX] = "", inner[TREE_PATH_MAX + 16];
    struct err err = { 0 };
    tree_make(tree);
    CHECK_INT(git_find_root(tree, root, &err), -ENOENT);
    CHECK_INT(err.code, ERR_NOT_FOUND);
    CHECK_INT(tree_shell(tree, "mkdir -p .git/refs"), 0); /* no git directory */
    CHECK_INT(git_find_root(tree, root, &err), -ENOENT);
    setenv("FORMAT", "", 1);
    CHECK_INT(tree_shell(tree, REPOSITORY), 0);
    snprintf(inner, sizeof(inner), "%s/repo/src/deep", tree);
    CHECK_OK(git_find_root(inner, root, &err));
    inner[strlen(tree) + 5] = '\0';
    CHECK_TEXT(root, inner);
    tree_remove(tree);
}

TEST(addresses_lose_their_credentials)
{
    static const char *const urls[][2] = {
        { "https://git.example.com/a.git", "https://git.example.com/a.git" },
        { "https://ada:pw@git.example.com/a.git", "https://git.example.com/a.git" },
        { "https://ghp_token@git.example.com/a.git", "https://git.example.com/a.git" },
        { "https://a@b@git.example.com/a.git", "https://git.example.com/a.git" },
        { "https://h.example.com/a?private_token=x", "https://h.example.com/a" },
        { "https://h.example.com/a#x", "https://h.example.com/a" },
        { "ssh://git@git.example.com:22/a.git", "ssh://git@git.example.com:22/a.git" },
        { "ssh://git:pw@git.example.com/a.git", "ssh://git.example.com/a.git" },
        { "git@github.com:a/b.git", "git@github.com:a/b.git" },
        { "/srv/git/a.git", "/srv/git/a.git" },
        { "../a.git", "../a.git" },
        { "ext::sh -c secret", "" },
        { "ext::secret", "" },
        { "other://a:b@c", "" },
        { "https://a/\nb", "" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        char clean[GIT_URL_MAX + 1];
        git_clean_url(str_from(urls[i][0]), clean);
        CHECK_TEXT(clean, urls[i][1]);
    }
}

TEST(an_address_says_which_host_it_leads_to)
{
    static const char *const rows[][2] = {
        { "https://git.example.com/a/b.git", "git.example.com" },
        { "https://GIT.example.com:8443/a", "git.example.com" },
        { "ssh://git@git.example.com:22/a", "git.example.com" },
        { "git@git.example.com:a/b.git", "git.example.com" },
        { "git.example.com:a", "git.example.com" },
        { "/srv/git/a.git", NULL },
        { "../a.git", NULL },
        { "a/b:c", NULL },
        { "", NULL },
        { "file:///srv/a", NULL },
        { "https://[::1]/a", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char host[GIT_HOST_SIZE] = "";
        CHECK_INT(git_url_host(rows[i][0], host), rows[i][1] != NULL);
        CHECK_TEXT(host, rows[i][1] ?: "");
    }
}

TEST(is_written_as_the_fingerprint_wants_it)
{
    struct git_state state = { .url = "https://e.example/\"x\"", .dirty = GIT_NOT_CHECKED };
    struct buf json = BUF_INIT;
    CHECK_INT(git_state_write(&state, &json), 0);
    CHECK_STR(buf_str(&json), STR("{\"url\":\"https://e.example/\\\"x\\\"\",\"ref\":null,"
                                  "\"commit\":null,\"dirtyState\":\"not-checked\"}"));
    buf_release(&json);
}

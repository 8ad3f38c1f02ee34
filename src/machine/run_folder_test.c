/* What of a run's folder the next run gets, and what it never does. */
#include "machine/run_folder.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/test.h"

static char state[64], folder[RUN_FOLDER_SIZE];

static bool is_there(const char *name)
{
    char path[RUN_FOLDER_SIZE + 64];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", state, name);
    return lstat(path, &status) == 0;
}

static void make(const char *name)
{
    char path[2 * RUN_FOLDER_SIZE];
    struct err err = { 0 };
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    CHECK_INT(file_make_folder(path, &err), 0);
}

/* A run of this name, with one layer, as an overlay that was mounted leaves it. */
static void begin(const char *name)
{
    char path[2 * RUN_FOLDER_SIZE];
    struct err err = { 0 };
    CHECK(run_folder_path(state, str_from(name), folder));
    CHECK_INT(run_folder_make(state, folder, &err), 0);
    make("0/upper");
    make("0/work/work/incompat/volatile");
    snprintf(path, sizeof(path), "%s/0/work/work/incompat/volatile/dirty", folder);
    CHECK_INT(mknod(path, S_IFREG | 0600, 0), 0);
    snprintf(path, sizeof(path), "%s/0/work/work/incompat", folder);
    CHECK_INT(chmod(path, 0), 0);
}

static void set_up(void)
{
    snprintf(state, sizeof(state), "/tmp/agent-machine-folder-XXXXXX");
    CHECK(mkdtemp(state) != NULL);
}

static void tear_down(void)
{
    CHECK_INT(file_remove_tree(state, NULL), 0);
}

TEST(a_bare_folder_is_the_next_run_s)
{
    struct err err = { 0 };
    set_up();
    begin("one");
    run_folder_end(state, folder, false);
    CHECK(!is_there("runs/one"));
    CHECK(!is_there("spare"));
    run_folder_sweep(state);
    CHECK(is_there("spare/0/work"));
    CHECK(!is_there("spare/0/upper"));
    CHECK(!is_there("spare.used"));
    CHECK(!is_there("spare/0/work/work"));
    CHECK(run_folder_path(state, STR("two"), folder));
    CHECK_INT(run_folder_make(state, folder, &err), 0);
    CHECK(is_there("runs/two/0/work"));
    CHECK(!is_there("spare"));
    tear_down();
}

TEST(two_that_end_at_once_leave_one)
{
    char first[RUN_FOLDER_SIZE];
    set_up();
    begin("one");
    memcpy(first, folder, sizeof(first));
    begin("two");
    run_folder_end(state, folder, false);
    run_folder_end(state, first, false);
    CHECK(is_there("spare.used/0/work"));
    CHECK(!is_there("runs/one"));
    CHECK(!is_there("runs/two"));
    run_folder_sweep(state);
    begin("three");
    run_folder_end(state, folder, false);
    begin("four");
    run_folder_sweep(state);
    run_folder_end(state, folder, false);
    run_folder_sweep(state); /* there is one already */
    CHECK(is_there("spare/0/work"));
    CHECK(!is_there("spare.used"));
    tear_down();
}

TEST(what_a_run_left_is_nobody_elses)
{
    static const char *const left[] = { "0/upper/file", "log", "1/upper/file", "0/work/work/file" };
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        set_up();
        begin("one");
        make(left[i]);
        run_folder_end(state, folder, false);
        run_folder_sweep(state);
        CHECK(!is_there("spare"));
        CHECK(!is_there("spare.used"));
        CHECK(is_there("runs/one") == (i != 3)); /* what the kernel did not clear goes */
        tear_down();
    }
}

TEST(a_discarded_change_set_is_gone)
{
    set_up();
    begin("one");
    make("0/upper/file");
    run_folder_end(state, folder, true);
    run_folder_sweep(state);
    CHECK(!is_there("runs/one"));
    CHECK(!is_there("spare"));
    tear_down();
}

/*
 * kept: see the header.
 *
 * Theory of operation. Beside the folders of the runs there is one with an empty file for each that
 * has left a change set, whose name is the run's and how large that is: so a launch reads one
 * folder, however many runs have left a log. A crash may leave a name without layers, or layers
 * without a name. The first is found when the limit is reached, before anybody is refused; the
 * second is one that does not count.
 */
#include "machine/kept.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#include "machine/run_folder.h"

#define STEP_KEPT      "count the change sets that are kept"
#define FOLDER         "kept"
#define PATH_BYTES_MAX (4096 + NAME_MAX + 32)
#define ENTRIES_MAX    1000000

/* "RUN.BYTES" */
static bool read_entry(const char *name, struct str *ret_run, int64_t *ret_bytes)
{
    const char *dot = strrchr(name, '.');
    char *end = NULL;
    if (!dot || dot == name || dot[1] < '0' || dot[1] > '9')
        return false;
    errno = 0;
    *ret_bytes = strtoll(dot + 1, &end, 10);
    *ret_run = str_make(name, (size_t)(dot - name));
    return *end == '\0' && errno == 0;
}

void kept_note(const char *state_folder, struct str run, int64_t bytes)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/" FOLDER, state_folder);
    (void)!mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/" FOLDER "/%.*s.%" PRId64, state_folder, STR_ARG(run), bytes);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    cleanup_close(&fd);
}

/* Calls with each entry; false ends it. */
static void each(const char *state_folder,
                 bool (*visit)(void *context, int folder, const char *name, struct str run,
                               int64_t bytes),
                 void *context)
{
    char path[PATH_BYTES_MAX];
    struct dirent *entry;
    struct str run;
    int64_t bytes;
    size_t seen = 0;
    snprintf(path, sizeof(path), "%s/" FOLDER, state_folder);
    DIR *entries = opendir(path);
    while (entries && (entry = readdir(entries)) && seen++ < ENTRIES_MAX)
        if (read_entry(entry->d_name, &run, &bytes) &&
            !visit(context, dirfd(entries), entry->d_name, run, bytes))
            break;
    if (entries)
        closedir(entries);
}

static bool forget(void *context, int folder, const char *name, struct str run, int64_t bytes)
{
    (void)bytes;
    if (str_equal(run, str_from(context)))
        unlinkat(folder, name, 0);
    return true;
}

void kept_forget(const char *run_folder)
{
    char state_folder[PATH_BYTES_MAX];
    const char *name = strrchr(run_folder, '/');
    const char *runs = name ? memrchr(run_folder, '/', (size_t)(name - run_folder)) : NULL;
    if (!runs || runs == run_folder)
        return;
    char *run = strdup(name + 1);
    snprintf(state_folder, sizeof(state_folder), "%.*s", (int)(runs - run_folder), run_folder);
    if (run)
        each(state_folder, forget, run);
    free(run);
}

struct wanted {
    struct str run;
    int64_t bytes;
};

static bool find(void *context, int folder, const char *name, struct str run, int64_t bytes)
{
    struct wanted *wanted = context;
    (void)folder;
    (void)name;
    if (!str_equal(run, wanted->run))
        return true;
    wanted->bytes = bytes;
    return false;
}

int64_t kept_bytes(const char *state_folder, struct str run)
{
    struct wanted wanted = { run, -1 };
    each(state_folder, find, &wanted);
    return wanted.bytes;
}

static bool add(void *context, int folder, const char *name, struct str run, int64_t bytes)
{
    struct kept_sum *sum = context;
    (void)folder;
    (void)name;
    (void)run;
    sum->count++;
    sum->bytes = bytes > INT64_MAX - sum->bytes ? INT64_MAX : sum->bytes + bytes;
    return true;
}

struct counting {
    struct kept_sum sum;
    const char *state_folder;
};

static bool add_if_there(void *context, int folder, const char *name, struct str run, int64_t bytes)
{
    struct counting *counting = context;
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/runs/%.*s", counting->state_folder, STR_ARG(run));
    if (!run_folder_has_layers(path)) {
        unlinkat(folder, name, 0);
        return true;
    }
    return add(&counting->sum, folder, name, run, bytes);
}

struct kept_sum kept_count(const char *state_folder)
{
    struct counting counting = { .state_folder = state_folder };
    each(state_folder, add_if_there, &counting);
    return counting.sum;
}

static bool is_within(const struct kept_sum *sum, const struct kept_sum *limits)
{
    return sum->count < limits->count && sum->bytes < limits->bytes;
}

int kept_check(const char *state_folder, const struct kept_sum *limits, struct err *err)
{
    struct kept_sum sum = { 0 };
    each(state_folder, add, &sum);
    if (is_within(&sum, limits))
        return 0;
    sum = kept_count(state_folder);
    if (is_within(&sum, limits))
        return 0;
    return err_set(err, ERR_LIMIT, STEP_KEPT,
                   "%" PRId64 " change sets of %" PRId64 " MiB together are kept, and the profile "
                   "allows %" PRId64 " of %" PRId64
                   " MiB: take or throw away some of `agent-machine "
                   "worktree list`, or run with --discard",
                   sum.count, sum.bytes >> 20, limits->count, limits->bytes >> 20);
}

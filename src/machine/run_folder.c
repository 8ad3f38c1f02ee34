/* run_folder: see the header. What it looks for is what launch.c and control.c make. */
#include "machine/run_folder.h"

#include <dirent.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "machine/control.h"
#include "machine/kept.h"
#include "machine/layer.h"

#define PATH_BYTES_MAX (RUN_FOLDER_SIZE + NAME_MAX + 16)
#define FIRST_LAYER    "0"
#define SPARE          "spare"      /* for the next run */
#define USED           "spare.used" /* to be swept first */
#define KERNEL_WORK    FIRST_LAYER "/work/work"

static bool is_plain_word(struct str name)
{
    return name.len && name.ptr[0] != '.' && str_index(name, '/', 0) == name.len &&
           name.len < NAME_MAX;
}

bool run_folder_has_layers(const char *folder)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;
    bool found = !entries && errno != ENOENT;
    while (entries && !found && (entry = readdir(entries)))
        found = entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
    if (entries)
        closedir(entries);
    return found;
}

bool run_folder_path(const char *state_folder, struct str name, char ret[RUN_FOLDER_SIZE])
{
    if (is_plain_word(name) && snprintf(ret, RUN_FOLDER_SIZE, "%s/runs/%.*s", state_folder,
                                        STR_ARG(name)) < RUN_FOLDER_SIZE)
        return true;
    ret[0] = '\0';
    return false;
}

/* --- for the next run ---------------------------------------------------------------------- */

static bool place_in(const char *state_folder, const char *name, char ret[RUN_FOLDER_SIZE])
{
    return snprintf(ret, RUN_FOLDER_SIZE, "%s/%s", state_folder, name) < RUN_FOLDER_SIZE;
}

int run_folder_make(const char *state_folder, const char *folder, struct err *err)
{
    char spare[RUN_FOLDER_SIZE];
    if (place_in(state_folder, SPARE, spare) && rename(spare, folder) == 0)
        return 0;
    return file_make_folder(folder, err);
}

/* Whether a folder holds nothing but what is named. */
static bool holds_only(int folder, const char *path, const char *one, const char *other)
{
    int fd = openat(folder, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool only = entries != NULL;
    while (entries && only && (entry = readdir(entries)))
        only = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
               strcmp(entry->d_name, one) == 0 || strcmp(entry->d_name, other) == 0;
    if (entries)
        closedir(entries);
    else
        cleanup_close(&fd);
    return only;
}

static bool put_aside(const char *state_folder, const char *path)
{
    char used[RUN_FOLDER_SIZE];
    _cleanup_(cleanup_close) int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return folder >= 0 && holds_only(folder, FIRST_LAYER "/upper", "", "") &&
           holds_only(folder, FIRST_LAYER, "upper", "work") &&
           holds_only(folder, ".", FIRST_LAYER, "") && place_in(state_folder, USED, used) &&
           rename(path, used) == 0;
}

void run_folder_end(const char *state_folder, const char *folder, bool discard)
{
    if (folder[0] && !put_aside(state_folder, folder))
        run_folder_clear(folder, discard);
}

/* What the kernel leaves of an overlay in its `work`; it lets nobody in there. */
static void sweep_work(int folder)
{
    static const char *const left[] = { KERNEL_WORK, KERNEL_WORK "/incompat",
                                        KERNEL_WORK "/incompat/volatile" };
    for (size_t i = 0; i < ARRAY_LEN(left); i++)
        (void)!fchmodat(folder, left[i], 0700, 0);
    (void)!unlinkat(folder, KERNEL_WORK "/incompat/volatile/dirty", 0);
    for (size_t i = ARRAY_LEN(left); i > 0; i--)
        (void)!unlinkat(folder, left[i - 1], AT_REMOVEDIR);
}

/* Who has the lock of the folder that lies there sweeps it: once it is spare, it may be in use. */
static bool may_sweep(int folder, const char *path)
{
    struct stat ours, there;
    return flock(folder, LOCK_EX | LOCK_NB) == 0 && fstat(folder, &ours) == 0 &&
           stat(path, &there) == 0 && ours.st_ino == there.st_ino;
}

void run_folder_sweep(const char *state_folder)
{
    char used[RUN_FOLDER_SIZE], spare[RUN_FOLDER_SIZE];
    if (!place_in(state_folder, USED, used) || !place_in(state_folder, SPARE, spare))
        return;
    _cleanup_(cleanup_close) int folder = open(used, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || !may_sweep(folder, used))
        return;
    sweep_work(folder);
    (void)!unlinkat(folder, FIRST_LAYER "/upper", AT_REMOVEDIR);
    if (!holds_only(folder, FIRST_LAYER "/work", "", "") || rename(used, spare) < 0)
        (void)!file_remove_tree(used, NULL); /* the kernel left more; or there is one already */
}

/* --- away with it -------------------------------------------------------------------------- */

/*
 * What the kernel made for the overlay; and the layer, where nothing is to be kept of it. Whether
 * it is gone.
 */
static bool clear_layer(const char *folder, const char *layer, bool discard)
{
    char path[PATH_BYTES_MAX];
    if (discard) {
        snprintf(path, sizeof(path), "%s/%s", folder, layer);
        layer_empty(path);
        return file_remove_tree(path, NULL) == 0;
    }
    snprintf(path, sizeof(path), "%s/%s/work", folder, layer);
    (void)!file_remove_tree(path, NULL);
    snprintf(path, sizeof(path), "%s/%s/upper", folder, layer);
    if (rmdir(path) == 0 || errno == ENOENT) {
        snprintf(path, sizeof(path), "%s/%s/continued", folder, layer);
        unlink(path); /* what it went on from was undone */
        snprintf(path, sizeof(path), "%s/%s/hidden", folder, layer);
        unlink(path);
        snprintf(path, sizeof(path), "%s/%s/copied", folder, layer);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/%s", folder, layer);
    return rmdir(path) == 0; /* stays where the layer has something in it */
}

void run_folder_clear(const char *folder, bool discard)
{
    char path[PATH_BYTES_MAX];
    struct dirent *entry;
    DIR *entries = folder[0] ? opendir(folder) : NULL;
    bool gone = true;
    if (!entries)
        return;
    while ((entry = readdir(entries)))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            gone = clear_layer(folder, entry->d_name, discard) && gone;
    if (gone)
        kept_forget(folder);
    unlinkat(dirfd(entries), CONTROL_SOCKET, 0);
    closedir(entries);
    snprintf(path, sizeof(path), "%s/private", folder);
    (void)!file_remove_tree(path, NULL);
    rmdir(folder); /* stays where a change set or a log is in it */
}

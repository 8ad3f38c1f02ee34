/* run_folder: see the header. What it looks for is what launch.c and control.c make. */
#include "machine/run_folder.h"

#include <dirent.h>
#include <limits.h>

#include "base/file.h"

#define PATH_BYTES_MAX (RUN_FOLDER_SIZE + NAME_MAX + 16)

static bool is_plain_word(struct str name)
{
    return name.len && name.ptr[0] != '.' && str_index(name, '/', 0) == name.len &&
           name.len < NAME_MAX;
}

bool run_folder_path(const char *state_folder, struct str name, char ret[RUN_FOLDER_SIZE])
{
    if (is_plain_word(name) && snprintf(ret, RUN_FOLDER_SIZE, "%s/runs/%.*s", state_folder,
                                        STR_ARG(name)) < RUN_FOLDER_SIZE)
        return true;
    ret[0] = '\0';
    return false;
}

/* What the kernel made for the overlay; and the layer, where nothing is to be kept of it. */
static void clear_layer(const char *folder, const char *layer, bool discard)
{
    char path[PATH_BYTES_MAX];
    if (discard) {
        snprintf(path, sizeof(path), "%s/%s", folder, layer);
        (void)!file_remove_tree(path, NULL);
        return;
    }
    snprintf(path, sizeof(path), "%s/%s/work", folder, layer);
    (void)!file_remove_tree(path, NULL);
    snprintf(path, sizeof(path), "%s/%s/upper", folder, layer);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/%s", folder, layer);
    rmdir(path); /* stays where the layer has something in it */
}

void run_folder_clear(const char *folder, bool discard)
{
    char path[PATH_BYTES_MAX];
    struct dirent *entry;
    DIR *entries = folder[0] ? opendir(folder) : NULL;
    if (!entries)
        return;
    while ((entry = readdir(entries)))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            clear_layer(folder, entry->d_name, discard);
    unlinkat(dirfd(entries), "control", 0);
    unlinkat(dirfd(entries), "probe", 0);
    closedir(entries);
    snprintf(path, sizeof(path), "%s/private", folder);
    (void)!file_remove_tree(path, NULL);
    rmdir(folder); /* stays where a change set or a log is in it */
}

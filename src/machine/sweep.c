/* sweep: see the header. What it looks for is what launch.c makes. */
#include "machine/sweep.h"

#include <dirent.h>
#include <limits.h>

#include "base/file.h"

#define PATH_BYTES_MAX 4096

static bool is_plain_word(struct str name)
{
    return name.len && name.ptr[0] != '.' && str_index(name, '/', 0) == name.len &&
           name.len < NAME_MAX;
}

/* What the kernel made for the overlay; and the layer, where nothing was written. */
static void sweep_layer(int folder, const char *path, const char *layer)
{
    char part[PATH_BYTES_MAX];
    if (snprintf(part, sizeof(part), "%s/%s/work", path, layer) >= (int)sizeof(part))
        return;
    (void)!file_remove_tree(part, NULL);
    snprintf(part, sizeof(part), "%s/upper", layer);
    if (unlinkat(folder, part, AT_REMOVEDIR) == 0)
        unlinkat(folder, layer, AT_REMOVEDIR);
}

void run_sweep(const char *state_folder, struct str name)
{
    char path[PATH_BYTES_MAX], part[PATH_BYTES_MAX + 16];
    struct dirent *entry;
    if (!is_plain_word(name) || snprintf(path, sizeof(path), "%s/runs/%.*s", state_folder,
                                         STR_ARG(name)) >= (int)sizeof(path))
        return;
    DIR *folder = opendir(path);
    if (!folder)
        return;
    while ((entry = readdir(folder)))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            sweep_layer(dirfd(folder), path, entry->d_name);
    unlinkat(dirfd(folder), "control", 0);
    unlinkat(dirfd(folder), "probe", 0);
    closedir(folder);
    snprintf(part, sizeof(part), "%s/private", path);
    (void)!file_remove_tree(part, NULL);
    rmdir(path);
}

/*
 * image_testing: what the fuzz targets that unpack layers share: a folder with a tree in it, and
 * beside the tree what no layer may touch.
 *
 * While a layer is unpacked the working folder is the one that holds both, so that an input knows
 * ways out without knowing names: `../outside/victim` and `/proc/self/cwd/outside/victim`.
 */
#ifndef AM_MACHINE_IMAGE_TESTING_H
#define AM_MACHINE_IMAGE_TESTING_H

#include <ftw.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/file.h"

#define IMAGE_PLACE_FOLDERS 16 /* open at once, while the tree is walked */

struct image_place {
    char path[32];
    int before; /* the working folder */
    int tree;
    struct stat folder, outside, victim;
};

static inline void image_place_look(struct stat *ret_folder, struct stat *ret_outside,
                                    struct stat *ret_victim)
{
    if (lstat(".", ret_folder) < 0 || lstat("outside", ret_outside) < 0 ||
        lstat("outside/victim", ret_victim) < 0)
        abort();
}

/* What is there now is what is to stay. */
static inline void image_place_note(struct image_place *place)
{
    image_place_look(&place->folder, &place->outside, &place->victim);
}

static inline void image_place_enter(struct image_place *ret)
{
    snprintf(ret->path, sizeof(ret->path), "/tmp/am-image-XXXXXX");
    ret->before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (ret->before < 0 || !mkdtemp(ret->path) || chdir(ret->path) < 0 || mkdir("tree", 0700) < 0 ||
        mkdir("outside", 0700) < 0)
        abort();
    _cleanup_(cleanup_close) int victim =
        open("outside/victim", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ret->tree = open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (victim < 0 || write(victim, "victim", 6) != 6 || ret->tree < 0)
        abort();
    image_place_note(ret);
}

/* What stands in a tree is plain: files, folders and links without any power of their own. */
static inline int image_place_visit(const char *path, const struct stat *status, int kind,
                                    struct FTW *walk)
{
    mode_t mode = status->st_mode;
    (void)path;
    (void)walk;
    if (kind == FTW_NS || kind == FTW_DNR || (mode & (S_ISUID | S_ISGID)) ||
        status->st_uid != geteuid() || !(S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode)))
        abort();
    return 0;
}

static inline bool image_place_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_nlink == b->st_nlink &&
           a->st_size == b->st_size && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Aborts if anything but the tree has changed: times of change too, which nobody can set back. */
static inline void image_place_leave(struct image_place *place)
{
    struct stat folder, outside, victim;
    image_place_look(&folder, &outside, &victim);
    if (!image_place_is_same(&folder, &place->folder) ||
        !image_place_is_same(&outside, &place->outside) ||
        !image_place_is_same(&victim, &place->victim) ||
        nftw("tree", image_place_visit, IMAGE_PLACE_FOLDERS, FTW_PHYS | FTW_MOUNT) != 0)
        abort();
    close(place->tree);
    if (fchdir(place->before) < 0 || file_remove_tree(place->path, NULL) < 0)
        abort();
    close(place->before);
}

#endif

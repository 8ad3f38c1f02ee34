/*
 * image: see the header.
 *
 * Theory of operation. A tree is known by the digests of its layers and of their
 * contents, and lies in the state folder under that name once it is whole: it
 * is made beside its place, verified, and renamed into it. So whoever names
 * another's contents has to bring them.
 *
 * What had to be brought (by skopeo, in the form of its `dir:`) is kept without
 * its layers, under the digest of its manifest: who pins that needs neither
 * skopeo nor a network again. Two that make
 * the same one at the same time do so apart, and the later one's goes.
 */
#include "machine/image.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"

#define STEP_IMAGE  "open the image"
#define TREES       "images/trees"
#define BROUGHT     "images/brought"
#define NAME_DIGITS (2 * DIGEST_BYTES)

void image_release(struct image *image)
{
    arena_release(&image->arena);
}

/* By the layers as they lie there and by what is in them, so that a tree stands for both. */
static int name_tree(const struct image *image, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT;
    for (size_t i = 0; i < image->layer_count; i++)
        buf_addf(&list, "%s %s\n", image->layers[i], image->diffs[i]);
    return list.error ? err_set(err, ERR_MEMORY, STEP_IMAGE, "there is not enough memory")
                      : digest_text(buf_str(&list), ret, err);
}

static int unpack_into(const struct image *image, const char *path, struct err *err)
{
    _cleanup_(cleanup_close) int folder =
        open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return err_set_errno(err, errno, STEP_IMAGE, "cannot open %s", path);
    int r = image_unpack(image, folder, err);
    if (r == 0 && (fchmod(folder, 0755) < 0 || syncfs(folder) < 0))
        r = err_set_errno(err, errno, STEP_IMAGE, "cannot finish %s", path);
    return r;
}

/* The tree, made where nobody has made it yet. */
static int find_tree(struct image *image, const char *state_folder, struct err *err)
{
    char name[DIGEST_TEXT_SIZE], trees[IMAGE_PATH_SIZE], making[IMAGE_PATH_SIZE + 32];
    int r = name_tree(image, name, err);
    int len = snprintf(trees, sizeof(trees), "%s/" TREES, state_folder);
    if (r < 0)
        return r;
    if (len < 0 || (size_t)len + NAME_DIGITS + 32 > sizeof(trees))
        return err_set(err, ERR_LIMIT, STEP_IMAGE, "the path of the state folder is too long");
    snprintf(image->tree, sizeof(image->tree), "%.*s/%s", len, trees, strchr(name, ':') + 1);
    if (access(image->tree, F_OK) == 0)
        return 0;
    r = file_make_folder(trees, err);
    snprintf(making, sizeof(making), "%s/.new-XXXXXX", trees);
    if (r == 0 && !mkdtemp(making))
        r = err_set_errno(err, errno, STEP_IMAGE, "cannot make a folder in %s", trees);
    if (r < 0)
        return r;
    r = unpack_into(image, making, err);
    if (r == 0 && rename(making, image->tree) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        r = err_set_errno(err, errno, STEP_IMAGE, "cannot name %s", image->tree);
    (void)!file_remove_tree(making, NULL); /* where it did not become the tree */
    return r;
}

/* --- what is brought ----------------------------------------------------------------------- */

/* The layers' bytes are not needed once they are a tree. */
static void forget_layers(const struct image *image)
{
    for (size_t i = 0; i < image->layer_count; i++)
        unlink(image->blobs[i]);
}

static int place_brought(const char *state_folder, const char *name, char ret[IMAGE_PATH_SIZE],
                         struct err *err)
{
    int len = snprintf(ret, IMAGE_PATH_SIZE, "%s/" BROUGHT "%s%s", state_folder, name ? "/" : "",
                       name ? name : "");
    return len < IMAGE_PATH_SIZE - 32
               ? 0
               : err_set(err, ERR_LIMIT, STEP_IMAGE, "the path of the state folder is too long");
}

static int bring(const struct image_name *name, image_fetch *fetch, void *context,
                 const char *folder, struct err *err)
{
    if (name->source != IMAGE_REGISTRY)
        return image_copy(name, folder, err);
    return fetch ? fetch(context, name, folder, err)
                 : err_set(err, ERR_UNSUPPORTED, STEP_IMAGE, "%s is not here", name->reference);
}

/* 1 where it was brought before, and its tree is there. */
static int find_brought(const struct image_name *name, const char *state_folder,
                        struct image *image, struct err *err)
{
    char place[IMAGE_PATH_SIZE];
    if (!name->digest[0])
        return 0;
    int r = place_brought(state_folder, strchr(name->digest, ':') + 1, place, err);
    if (r < 0 || access(place, F_OK) < 0)
        return r;
    r = image_directory_read(place, name, image, NULL);
    if (r == 0)
        r = find_tree(image, state_folder, NULL);
    if (r == 0)
        return 1;
    image->layer_count = 0; /* it is brought again */
    return 0;
}

static int open_brought(const struct image_name *name, const char *state_folder, image_fetch *fetch,
                        void *context, struct image *image, struct err *err)
{
    char above[IMAGE_PATH_SIZE], making[IMAGE_PATH_SIZE + 32], place[IMAGE_PATH_SIZE];
    int r = find_brought(name, state_folder, image, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = place_brought(state_folder, NULL, above, err);
    if (r == 0)
        r = file_make_folder(above, err);
    snprintf(making, sizeof(making), "%s/.new-XXXXXX", above);
    if (r == 0 && !mkdtemp(making))
        r = err_set_errno(err, errno, STEP_IMAGE, "cannot make a folder in %s", above);
    if (r < 0)
        return r;
    r = bring(name, fetch, context, making, err);
    if (r == 0)
        r = image_directory_read(making, name, image, err);
    if (r == 0)
        r = find_tree(image, state_folder, err);
    if (r == 0)
        r = place_brought(state_folder, strchr(image->digest, ':') + 1, place, err);
    if (r == 0) {
        forget_layers(image);
        if (rename(making, place) < 0 && errno != EEXIST && errno != ENOTEMPTY)
            r = err_set_errno(err, errno, STEP_IMAGE, "cannot name %s", place);
    }
    (void)!file_remove_tree(making, NULL); /* where it did not become the place */
    return r;
}

/* --- opening ------------------------------------------------------------------------------- */

/* A root directory says nothing of itself but what it is. */
static int open_root(const struct image_name *name, struct image *image, struct err *err)
{
    static const char *const none[] = { NULL };
    int r = image_tree_digest(name->path, image->digest, err);
    if (r == 0 && name->digest[0] && strcmp(name->digest, image->digest) != 0)
        r = err_set(err, ERR_DENIED, STEP_IMAGE, "%s is pinned to %s, and is %s there",
                    name->reference, name->digest, image->digest);
    snprintf(image->tree, sizeof(image->tree), "%s", name->path);
    image->user = image->directory = "";
    image->environment = image->entrypoint = image->command = none;
    image->layers = arena_array(&image->arena, const char *, 1);
    return r == 0 && !image->layers
               ? err_set(err, ERR_MEMORY, STEP_IMAGE, "there is not enough memory")
               : r;
}

int image_open(const struct image_name *name, const char *state_folder, image_fetch *fetch,
               void *context, struct image *ret, struct err *err)
{
    struct image image = { .arena = ARENA_INIT, .source = name->source };
    image.reference = arena_copy(&image.arena, str_from(name->reference));
    image.pinned = name->digest[0] != '\0';
    int r =
        image.reference ? 0 : err_set(err, ERR_MEMORY, STEP_IMAGE, "there is not enough memory");
    if (r == 0 && name->source == IMAGE_ROOT_DIRECTORY)
        r = open_root(name, &image, err);
    else if (r == 0 && name->source == IMAGE_OCI) {
        r = image_layout_read(name->path, name, &image, err);
        if (r == 0)
            r = find_tree(&image, state_folder, err);
    } else if (r == 0)
        r = open_brought(name, state_folder, fetch, context, &image, err);
    if (r < 0) {
        image_release(&image);
        return r;
    }
    *ret = image;
    return 0;
}

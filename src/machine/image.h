/*
 * image: a container image, from the name that a person gave it to a tree that a container can
 * stand on.
 *
 * What an image says is verified by digests from its manifest down to each
 * layer's contents, unpacked once without any privilege, and kept by the digest
 * of its contents: every run of it, and of each image with the same layers,
 * shares one tree, which nothing ever writes to.
 */
#ifndef AM_MACHINE_IMAGE_H
#define AM_MACHINE_IMAGE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

#define IMAGE_LAYERS_MAX    127
#define IMAGE_DOCUMENT_MAX  ((size_t)4 << 20) /* bytes of an index, a manifest or a config */
#define IMAGE_LIST_MAX      4096              /* of words or variables in a config */
#define IMAGE_REFERENCE_MAX 1024              /* bytes, as the schema has it */
#define IMAGE_PATH_SIZE     4096
#define IMAGE_LAYER_MAX     ((int64_t)16 << 30)  /* bytes of one layer as it lies there */
#define IMAGE_UNPACKED_MAX  ((int64_t)32 << 30)  /* bytes of all layers unpacked */
#define IMAGE_ENTRIES_MAX   4000000              /* files, folders and links of all layers */
#define IMAGE_RATIO_MAX     1000                 /* unpacked bytes for each of a layer's, */
#define IMAGE_RATIO_FROM    ((int64_t)256 << 20) /* once it has unpacked so much */

/* The words are those of the contracts. */
#define IMAGE_SOURCE_TABLE(X)                                                                      \
    X(IMAGE_OCI, "oci", "oci:")                                                                    \
    X(IMAGE_DOCKER_ARCHIVE, "docker-archive", "docker-archive:")                                   \
    X(IMAGE_STORAGE, "containers-storage", "containers-storage:")                                  \
    X(IMAGE_ROOT_DIRECTORY, "root-directory", "rootfs:")                                           \
    X(IMAGE_REGISTRY, "registry", "docker://")

#define IMAGE_ENUM(name, text, scheme) name,
enum image_source { IMAGE_SOURCE_TABLE(IMAGE_ENUM) IMAGE_SOURCE_COUNT };
#undef IMAGE_ENUM
extern const char *const image_source_names[IMAGE_SOURCE_COUNT];

/* --- names --------------------------------------------------------------------------------- */

struct image_name {
    enum image_source source;
    char reference[IMAGE_REFERENCE_MAX + 1]; /* for documents: without what pins it */
    char path[IMAGE_PATH_SIZE];              /* of what lies on this host; else empty */
    char tag[256];                           /* in a layout or an archive; may be empty */
    char digest[DIGEST_TEXT_SIZE];           /* that pins it; empty: nothing does */
};

/*
 * SCHEME:NAME, with @sha256:… behind it where it is pinned; a path is resolved. ERR_USAGE says what
 * can be written, ERR_NOT_FOUND that there is no such path.
 */
int image_name_read(const char *text, struct image_name *ret, struct err *err) MUST_CHECK;

/* --- images -------------------------------------------------------------------------------- */

struct image {
    struct arena arena; /* owns what is below */
    enum image_source source;
    const char *reference;
    char digest[DIGEST_TEXT_SIZE]; /* of the manifest, or of the root directory */
    bool pinned;
    char tree[IMAGE_PATH_SIZE]; /* where it lies unpacked */
    size_t layer_count;
    const char **layers;          /* their digests, lowest first */
    const char **diffs;           /* the digests of what is in them */
    const char **blobs;           /* where they lie, */
    int64_t *sizes;               /* and how large they are */
    const char *user, *directory; /* empty: the image says nothing */
    const char *const *environment, *const *entrypoint, *const *command; /* NULL-terminated */
};

/* Brings an image from a registry into a folder, as skopeo would; the caller's. */
typedef int image_fetch(void *context, const struct image_name *name, const char *folder,
                        struct err *err);

/*
 * Opens an image and unpacks it below the state folder, unless it lies there. What is no layout and
 * no root directory is brought into a folder there first, unless its digest says that it was
 * before; from a registry by `fetch`. ERR_NOT_FOUND;
 * ERR_DOCUMENT, ERR_LIMIT, ERR_DENIED for an image that is not what it says or
 * not what a tree can be made of; ERR_UNSUPPORTED for want of a program.
 */
int image_open(const struct image_name *name, const char *state_folder, image_fetch *fetch,
               void *context, struct image *ret, struct err *err) MUST_CHECK;
void image_release(struct image *image);

/* --- parts --------------------------------------------------------------------------------- */

/* Reads what a layout has of an image: all but its tree. */
int image_layout_read(const char *folder, const struct image_name *name, struct image *ret,
                      struct err *err) MUST_CHECK;
/* The same of a folder that skopeo has made. */
int image_directory_read(const char *folder, const struct image_name *name, struct image *ret,
                         struct err *err) MUST_CHECK;
/* Has skopeo copy an image of an archive or a storage into a folder, as the caller. */
int image_copy(const struct image_name *name, const char *folder, struct err *err) MUST_CHECK;
/* A config's settings; its layers' contents are to be as many as the manifest has layers. */
int image_config_read(struct str json, struct image *ret, struct err *err) MUST_CHECK;
/* Unpacks the layers into an empty folder. */
int image_unpack(const struct image *image, int folder, struct err *err) MUST_CHECK;
/* The digest of a root directory, by names, kinds, modes and contents. */
int image_tree_digest(const char *path, char ret[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;

#endif

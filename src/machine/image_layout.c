/*
 * image_layout: an image in an OCI layout, from index.json to its config; or in
 * a folder as skopeo makes it (`dir:`), which has the manifest itself and the
 * blobs beside it.
 *
 * Theory of operation. index.json names manifests by digest; whatever is read
 * behind it is a blob whose bytes have the digest and the length by which it
 * was named, or it is refused. An index within the index is followed to the
 * manifest for this machine. Layers are only named here: their bytes are
 * verified as they are unpacked.
 *
 * Limits: IMAGE_DOCUMENT_MAX, IMAGE_LAYERS_MAX, IMAGE_LIST_MAX, INDEX_DEPTH_MAX.
 */
#include <sys/utsname.h>

#include "base/file.h"
#include "base/json.h"
#include "contract/rules.h"
#include "machine/image.h"

#define STEP_LAYOUT     "read the image"
#define INDEX_DEPTH_MAX 4
#define DIGEST_DIGITS   (2 * DIGEST_BYTES)
#define NAME_NOTE       "org.opencontainers.image.ref.name"

static int refuse(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

static int refuse(struct err *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = err_setv(err, ERR_DOCUMENT, STEP_LAYOUT, format, arguments);
    va_end(arguments);
    return r;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_LAYOUT, "there is not enough memory");
}

/* Where an image lies. */
struct layout {
    const char *folder;
    bool flat; /* as skopeo's `dir:` */
};

/* --- blobs --------------------------------------------------------------------------------- */

static bool is_digest(struct str text)
{
    if (text.len != strlen("sha256:") + DIGEST_DIGITS || !str_starts(text, STR("sha256:")))
        return false;
    for (size_t i = strlen("sha256:"); i < text.len; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    return true;
}

static int name_blob(const struct layout *layout, struct str digest, char ret[IMAGE_PATH_SIZE],
                     struct err *err)
{
    if (!is_digest(digest))
        return refuse(err, "%.*s is no digest by SHA-256, which alone is read here",
                      (int)(digest.len < 100 ? digest.len : 100), digest.ptr);
    int len = snprintf(ret, IMAGE_PATH_SIZE, "%s/%s%.*s", layout->folder,
                       layout->flat ? "" : "blobs/sha256/", DIGEST_DIGITS,
                       digest.ptr + strlen("sha256:"));
    return len < IMAGE_PATH_SIZE ? 0 : err_set(err, ERR_LIMIT, STEP_LAYOUT, "its path is too long");
}

/* A document, by its descriptor. */
static int read_blob(const struct layout *layout, const yyjson_val *descriptor, yyjson_doc **ret,
                     struct buf *ret_text, struct err *err)
{
    struct str named = text_of(member(descriptor, "digest"));
    char path[IMAGE_PATH_SIZE], digest[DIGEST_TEXT_SIZE];
    int r = name_blob(layout, named, path, err);
    if (r == 0)
        r = file_read(path, ret_text, err);
    if (r == 0)
        r = digest_text(buf_str(ret_text), digest, err);
    if (r < 0)
        return r;
    if (!str_equal(named, str_from(digest)))
        return refuse(err, "%s has other bytes than its digest says", path);
    if (count_of(member(descriptor, "size")) != ret_text->len)
        return refuse(err, "%s is %zu bytes long, and was named with %llu", path, ret_text->len,
                      (unsigned long long)count_of(member(descriptor, "size")));
    r = json_read(buf_str(ret_text), &json_limits_default, ret, err);
    if (r < 0)
        err_where(err, "%s", path);
    return r;
}

/* --- which manifest ------------------------------------------------------------------------ */

static bool is_index(const yyjson_val *descriptor)
{
    struct str type = text_of(member(descriptor, "mediaType"));
    return str_equal(type, STR("application/vnd.oci.image.index.v1+json")) ||
           str_equal(type, STR("application/vnd.docker.distribution.manifest.list.v2+json"));
}

/* As Go calls what the kernel calls otherwise. */
static bool is_this_machine(struct str name)
{
    static const char *const names[][2] = { { "x86_64", "amd64" },    { "aarch64", "arm64" },
                                            { "armv7l", "arm" },      { "ppc64le", "ppc64le" },
                                            { "riscv64", "riscv64" }, { "s390x", "s390x" } };
    struct utsname host;
    if (uname(&host) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(host.machine, names[i][0]) == 0)
            return str_equal(name, str_from(names[i][1]));
    return str_equal(name, str_from(host.machine));
}

static bool fits_this_machine(const yyjson_val *descriptor)
{
    const yyjson_val *platform = member(descriptor, "platform");
    return !platform || (text_is(member(platform, "os"), "linux") &&
                         is_this_machine(text_of(member(platform, "architecture"))));
}

/* Of an index that is an image's own: the one for this machine. */
static const yyjson_val *find_for_machine(const yyjson_val *index, const char *digest)
{
    size_t i, count;
    yyjson_val *item, *list = member(index, "manifests");
    if (!list)
        return NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        bool wanted = digest[0] ? text_is(member(item, "digest"), digest) : fits_this_machine(item);
        if (wanted)
            return item;
    }
    return digest[0] ? find_for_machine(index, "") : NULL;
}

/* Of the layout's: the one that is named; without a name the only one, or `latest`. */
static int find_named(const yyjson_val *index, const struct image_name *name,
                      const yyjson_val **ret, struct err *err)
{
    size_t i, count;
    yyjson_val *item, *list = member(index, "manifests");
    const yyjson_val *found = NULL;
    size_t total = yyjson_arr_size(list);
    const char *tag = name->tag[0] ? name->tag : total == 1 ? NULL : "latest";
    if (list)
        yyjson_arr_foreach(list, i, count, item)
        {
            const yyjson_val *note = member(member(item, "annotations"), NAME_NOTE);
            bool is_pinned =
                name->digest[0] && !name->tag[0] && text_is(member(item, "digest"), name->digest);
            if (is_pinned || (!found && (!tag || text_is(note, tag))))
                found = item;
        }
    *ret = found;
    if (found)
        return 0;
    return err_set(err, ERR_NOT_FOUND, STEP_LAYOUT,
                   "%s has no image %s; write :TAG or @sha256:... behind it", name->path,
                   tag ? tag : "at all");
}

/* --- config -------------------------------------------------------------------------------- */

static int copy_text(struct image *image, const yyjson_val *value, const char **ret,
                     struct err *err)
{
    struct str text = text_of(value);
    if (memchr(text.ptr, '\0', text.len))
        return refuse(err, "the image's config has a text with a NUL in it");
    *ret = arena_copy(&image->arena, text);
    return *ret ? 0 : no_memory(err);
}

static int copy_list(struct image *image, const yyjson_val *value, const char *const **ret,
                     struct err *err)
{
    size_t i, count = yyjson_arr_size((yyjson_val *)value);
    yyjson_val *item;
    if (count > IMAGE_LIST_MAX)
        return err_set(err, ERR_LIMIT, STEP_LAYOUT, "a list in the image's config has %zu items",
                       count);
    const char **list = arena_array(&image->arena, const char *, count + 1);
    if (!list)
        return no_memory(err);
    int r = 0;
    if (count)
        yyjson_arr_foreach((yyjson_val *)value, i, count, item) if (r == 0) r =
            copy_text(image, item, &list[i], err);
    *ret = list;
    return r;
}

static int copy_diffs(struct image *image, const yyjson_val *root, struct err *err)
{
    size_t i, count;
    yyjson_val *item, *list = at(root, "/rootfs/diff_ids");
    int r = 0;
    if (yyjson_arr_size(list) != image->layer_count)
        return refuse(err, "the image's config has the digests of %zu layers, and its manifest %zu",
                      yyjson_arr_size(list), image->layer_count);
    image->diffs = arena_array(&image->arena, const char *, image->layer_count + 1);
    if (!image->diffs)
        return no_memory(err);
    if (list)
        yyjson_arr_foreach(list, i, count, item) if (r == 0)
        {
            if (!is_digest(text_of(item)))
                r = refuse(err, "the image's config has a layer without a digest by SHA-256");
            else
                r = copy_text(image, item, &image->diffs[i], err);
        }
    return r;
}

int image_config_read(struct str json, struct image *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json_read(json, &json_limits_default, &doc, err);
    const yyjson_val *root = yyjson_doc_get_root(doc), *config = member(root, "config");
    if (r < 0)
        return r;
    struct str machine = text_of(member(root, "architecture"));
    if (machine.len && !is_this_machine(machine))
        return err_set(err, ERR_UNSUPPORTED, STEP_LAYOUT, "the image is for %.*s",
                       (int)(machine.len < 100 ? machine.len : 100), machine.ptr);
    r = copy_diffs(ret, root, err);
    if (r == 0)
        r = copy_text(ret, member(config, "User"), &ret->user, err);
    if (r == 0)
        r = copy_text(ret, member(config, "WorkingDir"), &ret->directory, err);
    if (r == 0)
        r = copy_list(ret, member(config, "Env"), &ret->environment, err);
    if (r == 0)
        r = copy_list(ret, member(config, "Entrypoint"), &ret->entrypoint, err);
    return r < 0 ? r : copy_list(ret, member(config, "Cmd"), &ret->command, err);
}

/* --- manifest ------------------------------------------------------------------------------ */

static int add_layer(struct image *image, const struct layout *layout, const yyjson_val *descriptor,
                     struct err *err)
{
    char path[IMAGE_PATH_SIZE];
    size_t index = image->layer_count;
    struct str digest = text_of(member(descriptor, "digest"));
    uint64_t size = count_of(member(descriptor, "size"));
    int r = name_blob(layout, digest, path, err);
    if (r < 0)
        return r;
    if (size > (uint64_t)IMAGE_LAYER_MAX)
        return err_set(err, ERR_LIMIT, STEP_LAYOUT,
                       "a layer of the image has %llu bytes, and at "
                       "most %lld are read",
                       (unsigned long long)size, (long long)IMAGE_LAYER_MAX);
    image->layers[index] = arena_copy(&image->arena, digest);
    image->blobs[index] = arena_copy(&image->arena, str_from(path));
    image->sizes[index] = (int64_t)size;
    image->layer_count++;
    return image->layers[index] && image->blobs[index] ? 0 : no_memory(err);
}

static int read_layers(struct image *image, const struct layout *layout, const yyjson_val *manifest,
                       struct err *err)
{
    size_t i, count;
    yyjson_val *item, *list = member(manifest, "layers");
    size_t total = yyjson_arr_size(list);
    int r = 0;
    if (total > IMAGE_LAYERS_MAX)
        return err_set(err, ERR_LIMIT, STEP_LAYOUT,
                       "the image has %zu layers, and at most %d can "
                       "be unpacked",
                       total, IMAGE_LAYERS_MAX);
    image->layers = arena_array(&image->arena, const char *, total + 1);
    image->blobs = arena_array(&image->arena, const char *, total + 1);
    image->sizes = arena_array(&image->arena, int64_t, total + 1);
    if (!image->layers || !image->blobs || !image->sizes)
        return no_memory(err);
    if (list)
        yyjson_arr_foreach(list, i, count, item) if (r == 0) r =
            add_layer(image, layout, item, err);
    return r;
}

/* The manifest is known to be what is recorded: its layers and its config. */
static int read_manifest(const struct layout *layout, const yyjson_val *manifest, struct str digest,
                         struct image *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *config = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(IMAGE_DOCUMENT_MAX);
    snprintf(ret->digest, sizeof(ret->digest), "%.*s", STR_ARG(digest));
    int r = read_layers(ret, layout, manifest, err);
    if (r == 0)
        r = read_blob(layout, member(manifest, "config"), &config, &text, err);
    return r < 0 ? r : image_config_read(buf_str(&text), ret, err);
}

static int refuse_pin(const struct image_name *name, struct str digest, struct err *err)
{
    return err_set(err, ERR_DENIED, STEP_LAYOUT, "%s is pinned to %s, and is %.*s there",
                   name->reference, name->digest, STR_ARG(digest));
}

/* Down to the manifest for this machine. */
static int follow(const struct layout *layout, const struct image_name *name,
                  const yyjson_val *descriptor, struct image *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL, *above = NULL;
    bool pinned = !name->digest[0];
    for (int depth = 0;; depth++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(IMAGE_DOCUMENT_MAX);
        pinned = pinned || text_is(member(descriptor, "digest"), name->digest);
        int r = depth < INDEX_DEPTH_MAX
                    ? read_blob(layout, descriptor, &doc, &text, err)
                    : err_set(err, ERR_LIMIT, STEP_LAYOUT, "the image's indexes lie too deep");
        if (r < 0)
            return r;
        if (!is_index(descriptor))
            break;
        const yyjson_val *next = find_for_machine(yyjson_doc_get_root(doc), name->digest);
        if (!next)
            return err_set(err, ERR_UNSUPPORTED, STEP_LAYOUT, "%s has no image for this machine",
                           name->reference);
        yyjson_doc_free(above);
        above = TAKE_PTR(doc); /* which holds the descriptor */
        descriptor = next;
    }
    struct str digest = text_of(member(descriptor, "digest"));
    return pinned ? read_manifest(layout, yyjson_doc_get_root(doc), digest, ret, err)
                  : refuse_pin(name, digest, err);
}

int image_directory_read(const char *folder, const struct image_name *name, struct image *ret,
                         struct err *err)
{
    const struct layout layout = { folder, true };
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(IMAGE_DOCUMENT_MAX);
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char path[IMAGE_PATH_SIZE], digest[DIGEST_TEXT_SIZE];
    if ((size_t)snprintf(path, sizeof(path), "%s/manifest.json", folder) >= sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_LAYOUT, "its path is too long");
    int r = file_read(path, &text, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r == 0)
        r = digest_text(buf_str(&text), digest, err);
    if (r < 0)
        return r;
    return name->digest[0] && strcmp(name->digest, digest) != 0
               ? refuse_pin(name, str_from(digest), err)
               : read_manifest(&layout, yyjson_doc_get_root(doc), str_from(digest), ret, err);
}

int image_layout_read(const char *folder, const struct image_name *name, struct image *ret,
                      struct err *err)
{
    const struct layout layout = { folder, false };
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(IMAGE_DOCUMENT_MAX);
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    const yyjson_val *descriptor = NULL;
    char path[IMAGE_PATH_SIZE];
    if ((size_t)snprintf(path, sizeof(path), "%s/index.json", folder) >= sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_LAYOUT, "its path is too long");
    int r = file_read(path, &text, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0) {
        err_where(err, "%s", path);
        return r;
    }
    r = find_named(yyjson_doc_get_root(doc), name, &descriptor, err);
    return r < 0 ? r : follow(&layout, name, descriptor, ret, err);
}

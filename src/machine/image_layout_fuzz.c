/*
 * Input: documents with a line "---" between them: an index or a manifest, and what it leads to.
 * In each, DIGEST and SIZE stand for those of the one behind it, so that what comes after digests
 * is what is tried. They are read as an OCI layout and as a folder of skopeo's (`dir:`). What is
 * accepted leads nowhere but below its folder, and is nothing else than it was pinned to.
 */
#include "base/file.h"
#include "machine/image.h"

#define DOCUMENTS_MAX 8
#define INPUT_MAX     ((size_t)64 << 10)
#define NO_DIGEST     "sha256:0000000000000000000000000000000000000000000000000000000000000000"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int layout_read(const char *folder, const struct image_name *name, struct image *ret,
                        struct err *err);

static void put(const char *folder, const char *name, struct str text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    _cleanup_(cleanup_close) int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, text.ptr, text.len) != (ssize_t)text.len)
        abort();
}

/* The document with the words filled in. */
static void fill(struct str text, const char *digest, size_t size, struct buf *ret)
{
    while (text.len) {
        size_t rest = text.len;
        if (str_starts(text, STR("DIGEST"))) {
            buf_add_text(ret, digest);
            rest -= strlen("DIGEST");
        } else if (str_starts(text, STR("SIZE"))) {
            buf_addf(ret, "%zu", size);
            rest -= strlen("SIZE");
        } else {
            buf_add_char(ret, text.ptr[0]);
            rest--;
        }
        text = str_from_offset(text, text.len - rest);
    }
}

/* The last document first; each lies where its digest says, and the first one on top as well. */
static void write_documents(const char *folder, struct str text)
{
    static const char line[] = "---\n";
    struct str documents[DOCUMENTS_MAX];
    char digest[DIGEST_TEXT_SIZE] = NO_DIGEST;
    size_t count = 0, behind = 0;
    for (const char *at = text.ptr; at && count < DOCUMENTS_MAX; count++) {
        struct str rest = str_from_offset(text, (size_t)(at - text.ptr));
        const char *end = rest.len ? memmem(rest.ptr, rest.len, line, strlen(line)) : NULL;
        documents[count] = end ? str_make(rest.ptr, (size_t)(end - rest.ptr)) : rest;
        at = end ? end + strlen(line) : NULL;
    }
    for (size_t i = count; i-- > 0;) {
        _cleanup_(buf_release) struct buf document = BUF_INIT;
        fill(documents[i], digest, behind, &document);
        behind = document.len;
        if (digest_text(buf_str(&document), digest, NULL) < 0)
            abort();
        put(folder, digest + strlen("sha256:"), buf_str(&document));
        if (i == 0) {
            put(folder, "index.json", buf_str(&document));
            put(folder, "manifest.json", buf_str(&document));
        }
    }
}

static void check_list(const char *const *list)
{
    size_t count = 0;
    while (list[count])
        count += strlen(list[count]) < INPUT_MAX;
    if (count > IMAGE_LIST_MAX)
        abort();
}

static void check_image(const struct image *image, const char *folder)
{
    size_t len = strlen(folder);
    if (strlen(image->digest) + 1 != DIGEST_TEXT_SIZE || image->layer_count > IMAGE_LAYERS_MAX ||
        strlen(image->user) > INPUT_MAX || strlen(image->directory) > INPUT_MAX)
        abort();
    for (size_t i = 0; i < image->layer_count; i++)
        if (strncmp(image->blobs[i], folder, len) != 0 || strstr(image->blobs[i] + len, "..") ||
            strlen(image->layers[i]) + 1 != DIGEST_TEXT_SIZE ||
            strlen(image->diffs[i]) + 1 != DIGEST_TEXT_SIZE || image->sizes[i] < 0 ||
            image->sizes[i] > IMAGE_LAYER_MAX)
            abort();
    check_list(image->environment);
    check_list(image->entrypoint);
    check_list(image->command);
}

static void try_reading(layout_read *read_image, const char *folder)
{
    struct image_name name = { .reference = "oci:image" };
    struct image image = { 0 }, again = { 0 }, other = { 0 };
    if (read_image(folder, &name, &image, NULL) == 0) {
        check_image(&image, folder);
        snprintf(name.digest, sizeof(name.digest), "%s", image.digest);
        if (read_image(folder, &name, &again, NULL) == 0 && strcmp(again.digest, image.digest) != 0)
            abort();
        snprintf(name.digest, sizeof(name.digest), "%s", NO_DIGEST);
        if (read_image(folder, &name, &other, NULL) == 0)
            abort();
    }
    image_release(&image);
    image_release(&again);
    image_release(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/am-layout-XXXXXX", path[64];
    if (size > INPUT_MAX || !mkdtemp(folder))
        return 0;
    /* Both kinds of folders in one. */
    snprintf(path, sizeof(path), "%s/blobs", folder);
    int r = symlink(".", path);
    snprintf(path, sizeof(path), "%s/sha256", folder);
    if (r < 0 || symlink(".", path) < 0)
        abort();
    write_documents(folder, str_make((const char *)data, size));
    try_reading(image_layout_read, folder);
    try_reading(image_directory_read, folder);
    if (file_remove_tree(folder, NULL) < 0)
        abort();
    return 0;
}

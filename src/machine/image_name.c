/* image_name: see image.h. */
#include <limits.h>

#include "machine/image.h"

#define STEP_NAME     "read the image's name"
#define PIN           "@sha256:"
#define DIGEST_DIGITS (2 * DIGEST_BYTES)

#define X(source, name, scheme) [source] = name,
const char *const image_source_names[IMAGE_SOURCE_COUNT] = { IMAGE_SOURCE_TABLE(X) };
#undef X
#define X(source, name, scheme) [source] = scheme,
static const char *const schemes[IMAGE_SOURCE_COUNT] = { IMAGE_SOURCE_TABLE(X) };
#undef X

static int refuse(struct err *err, const char *text)
{
    return err_set(err, ERR_USAGE, STEP_NAME,
                   "%.200s is no image; write oci:FOLDER[:TAG], docker-archive:FILE, "
                   "containers-storage:NAME, rootfs:FOLDER or docker://REGISTRY/NAME[:TAG], "
                   "and @sha256:... behind it to pin it",
                   text);
}

/* Blanks, control characters and a second @ stand in no reference. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == '@' || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0;
}

/* Cuts the digest off, where the text ends with one. */
static bool take_pin(struct str *text, char ret[DIGEST_TEXT_SIZE])
{
    size_t at = str_index(*text, '@', 0);
    if (at == text->len)
        return true;
    struct str pin = str_from_offset(*text, at);
    if (pin.len != strlen(PIN) + DIGEST_DIGITS || !str_starts(pin, STR(PIN)) ||
        strspn(pin.ptr + strlen(PIN), "0123456789abcdef") != DIGEST_DIGITS)
        return false;
    snprintf(ret, DIGEST_TEXT_SIZE, "%.*s", (int)(pin.len - 1), pin.ptr + 1);
    text->len = at;
    return true;
}

/* Behind the last ":" that no "/" follows. */
static struct str take_tag(struct str *text)
{
    for (size_t i = text->len; i-- > 0 && text->ptr[i] != '/';)
        if (text->ptr[i] == ':') {
            struct str tag = str_from_offset(*text, i + 1);
            text->len = i;
            return tag;
        }
    return STR("");
}

static int resolve(struct str path, struct image_name *ret, struct err *err)
{
    char written[IMAGE_PATH_SIZE], resolved[PATH_MAX];
    if (path.len >= sizeof(written))
        return err_set(err, ERR_LIMIT, STEP_NAME, "the path of the image is too long");
    snprintf(written, sizeof(written), "%.*s", STR_ARG(path));
    if (!realpath(written, resolved) || strlen(resolved) >= sizeof(ret->path))
        return err_set(err, ERR_NOT_FOUND, STEP_NAME, "there is no image at %s: %s", written,
                       strerror(errno));
    if (!is_plain(str_from(resolved)))
        return err_set(err, ERR_USAGE, STEP_NAME,
                       "%s cannot be named in a document; move it to a path without blanks and @",
                       resolved);
    memcpy(ret->path, resolved, strlen(resolved) + 1);
    return 0;
}

int image_name_read(const char *text, struct image_name *ret, struct err *err)
{
    struct str rest = str_from(text);
    struct image_name name = { .source = IMAGE_SOURCE_COUNT };
    for (size_t i = 0; i < IMAGE_SOURCE_COUNT && name.source == IMAGE_SOURCE_COUNT; i++)
        if (str_starts(rest, str_from(schemes[i])))
            name.source = (enum image_source)i;
    if (name.source == IMAGE_SOURCE_COUNT)
        return refuse(err, text);
    rest = str_from_offset(rest, strlen(schemes[name.source]));
    if (!take_pin(&rest, name.digest) || !is_plain(rest))
        return refuse(err, text);
    bool is_path = name.source == IMAGE_OCI || name.source == IMAGE_DOCKER_ARCHIVE ||
                   name.source == IMAGE_ROOT_DIRECTORY;
    struct str tag =
        name.source == IMAGE_OCI || name.source == IMAGE_DOCKER_ARCHIVE ? take_tag(&rest) : STR("");
    if (tag.len >= sizeof(name.tag))
        return refuse(err, text);
    snprintf(name.tag, sizeof(name.tag), "%.*s", STR_ARG(tag));
    int r = is_path ? resolve(rest, &name, err) : 0;
    if (r < 0)
        return r;
    int len = is_path ? snprintf(name.reference, sizeof(name.reference), "%s%s%s%s",
                                 schemes[name.source], name.path, tag.len ? ":" : "", name.tag)
                      : snprintf(name.reference, sizeof(name.reference), "%.*s", STR_ARG(rest));
    if (len < 0 || (size_t)len >= sizeof(name.reference))
        return err_set(err, ERR_LIMIT, STEP_NAME, "the name of an image has at most %d bytes",
                       IMAGE_REFERENCE_MAX);
    *ret = name;
    return 0;
}

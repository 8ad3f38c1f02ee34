/* run_image: see the header. */
#include "cmd/run_image.h"

#include "base/json.h"
#include "contract/rules.h"

#define STEP_IMAGE "open the image"

int run_image_name(const yyjson_val *image, struct buf *ret, struct err *err)
{
    static const char *const schemes[IMAGE_SOURCE_COUNT] = {
#define X(source, name, scheme) [source] = scheme,
        IMAGE_SOURCE_TABLE(X)
#undef X
    };
    struct str reference = text_of(member(image, "reference"));
    struct str digest = text_of(member(image, "digest"));
    int source =
        vocabulary_index(image_source_names, IMAGE_SOURCE_COUNT, text_of(member(image, "source")));
    if (source < 0)
        return err_set(err, ERR_DOCUMENT, STEP_IMAGE, "the image has no source");
    if (!str_starts(reference, str_from(schemes[source])))
        buf_add_text(ret, schemes[source]);
    buf_add_str(ret, reference);
    if (digest.len && str_index(reference, '@', 0) == reference.len)
        buf_addf(ret, "@%.*s", STR_ARG(digest));
    return ret->error ? err_set(err, ERR_MEMORY, STEP_IMAGE, "there is not enough memory") : 0;
}

static int name_by_profile(const yyjson_val *profile, struct image_name *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    int r = run_image_name(at(profile, "/containerPlane/rootFilesystem/image"), &text, err);
    return r < 0 ? r : image_name_read(text.data, ret, err);
}

/* Of the profile, or of the command where the profile leaves the choice. */
static int find_runtime(const struct run_image_place *place, struct oci_runtime_found *ret,
                        struct err *err)
{
    struct str own = text_of(at(place->profile, "/containerPlane/runtime"));
    struct str asked = str_from(place->runtime ? place->runtime : "");
    bool is_free = !own.len || str_equal(own, STR("none"));
    if (asked.len && !is_free && !str_equal(own, asked))
        return err_set(err, ERR_DENIED, STEP_IMAGE, "the profile starts images by %.*s, not by %s",
                       STR_ARG(own), place->runtime);
    return oci_runtime_find(asked.len ? asked : own, place->state_folder, place->digests_folder,
                            ret, err);
}

int run_image_open(struct run_image *image, const char *option, const struct run_image_place *place,
                   image_fetch *fetch, void *context, struct plan_request *request, struct err *err)
{
    const yyjson_val *profile = place->profile;
    bool by_profile = text_is(at(profile, "/containerPlane/rootFilesystem/kind"), "oci-image");
    if (!option && !by_profile)
        return 0;
    int r = option ? image_name_read(option, &image->name, err)
                   : name_by_profile(profile, &image->name, err);
    if (r == 0)
        r = find_runtime(place, &image->runtime, err);
    if (r == 0)
        r = image_open(&image->name, place->state_folder, fetch, context, &image->image, err);
    if (r < 0)
        return r;
    image->is_open = true;
    request->image = &image->image;
    request->runtime = &image->runtime;
    return 0;
}

void run_image_write(const struct run_image *image, struct buf *ret)
{
    buf_add_text(ret, "{");
    json_add_text(ret, "reference", str_from(image->name.reference));
    json_add_text(ret, "source", str_from(image_source_names[image->name.source]));
    if (image->name.digest[0])
        json_add_text(ret, "digest", str_from(image->name.digest));
    buf_add_char(ret, '}');
}

void run_image_release(struct run_image *image)
{
    if (image->is_open)
        image_release(&image->image);
}

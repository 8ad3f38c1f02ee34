/* run_image: see the header. */
#include "cmd/run_image.h"

#include "base/json.h"
#include "contract/rules.h"

#define STEP_IMAGE "open the image"

/* A profile's image as it would be written on the command line. */
static int name_by_profile(const yyjson_val *profile, struct image_name *ret, struct err *err)
{
    static const char *const schemes[IMAGE_SOURCE_COUNT] = {
#define X(source, name, scheme) [source] = scheme,
        IMAGE_SOURCE_TABLE(X)
#undef X
    };
    const yyjson_val *image = at(profile, "/containerPlane/rootFilesystem/image");
    struct str reference = text_of(member(image, "reference"));
    struct str digest = text_of(member(image, "digest"));
    int source =
        vocabulary_index(image_source_names, IMAGE_SOURCE_COUNT, text_of(member(image, "source")));
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    if (source < 0)
        return err_set(err, ERR_DOCUMENT, STEP_IMAGE, "the profile's image has no source");
    if (!str_starts(reference, str_from(schemes[source])))
        buf_add_text(&text, schemes[source]);
    buf_add_str(&text, reference);
    if (digest.len && str_index(reference, '@', 0) == reference.len)
        buf_addf(&text, "@%.*s", STR_ARG(digest));
    return text.error ? err_set(err, ERR_MEMORY, STEP_IMAGE, "there is not enough memory")
                      : image_name_read(text.data, ret, err);
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
        r = oci_runtime_find(text_of(at(profile, "/containerPlane/runtime")), place->state_folder,
                             place->digests_folder, &image->runtime, err);
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

/*
 * plan_image: what of an image a plan takes over.
 *
 * An image asks for a user, a program, a directory and variables. Who the
 * command is, is the profile's to say: an image's user takes effect where it is
 * the one that the command is anyway. What it cannot have is said with its
 * reason, in the plan and in the record. A refusal names a rule:
 *
 *   image-not-pinned      it is named without a digest, and the profile gives no leave
 */
#include "base/arena.h"
#include "contract/rules.h"
#include "machine/plan_internal.h"

#define PLAN_NAME(name, text) [name] = text,
const char *const image_setting_names[IMAGE_SETTING_COUNT] = { IMAGE_SETTING_TABLE(PLAN_NAME) };
#undef PLAN_NAME

/* What is named by a tag is what somebody else says that it is. */
static int check_pin(const struct plan_context *context, struct err *err)
{
    const struct image *image = context->request->image;
    const yyjson_val *profile = context->request->profile;
    if (image->pinned ||
        yyjson_get_bool(at(profile, "/containerPlane/rootFilesystem/allowUnpinnedImage")))
        return 0;
    int r = err_set(err, ERR_DENIED, STEP_PLAN,
                    "%s is not pinned, and the profile gives no leave for that", image->reference);
    err_remedy(err,
               "write @%s behind it, which is what it is now, or set allowUnpinnedImage in the "
               "profile's containerPlane.rootFilesystem: agent-machine profile edit %.*s",
               image->digest, STR_ARG(text_of(member(profile, "id"))));
    err_rule(err, "image-not-pinned", "image", str_from(image->reference));
    return r;
}

static int copy_runtime(struct plan_context *context, struct plan_image *image, struct err *err)
{
    const struct oci_runtime_found *found = context->request->runtime;
    image->runtime = found->runtime;
    image->runtime_path = plan_copy(context, str_from(found->path));
    image->runtime_version = plan_copy(context, str_from(found->version));
    image->runtime_digest = plan_copy(context, str_from(found->digest));
    return image->runtime_path && image->runtime_version && image->runtime_digest
               ? 0
               : plan_no_memory(err);
}

int plan_add_image(struct plan_context *context, struct err *err)
{
    const struct image *from = context->request->image;
    struct plan_image *image;
    if (!from)
        return 0;
    int r = check_pin(context, err);
    if (r < 0)
        return r;
    image = arena_new(&context->planning->arena, struct plan_image);
    if (!image)
        return plan_no_memory(err);
    image->source = from->source;
    image->pinned = from->pinned;
    image->reference = plan_copy(context, str_from(from->reference));
    image->digest = plan_copy(context, str_from(from->digest));
    image->tree = plan_copy(context, str_from(from->tree));
    if (!image->reference || !image->digest || !image->tree)
        return plan_no_memory(err);
    image->settings[IMAGE_USER].asked = from->user[0] != '\0';
    image->settings[IMAGE_DIRECTORY].asked = from->directory[0] != '\0';
    image->settings[IMAGE_ENVIRONMENT].asked = from->environment[0] != NULL;
    image->settings[IMAGE_ENTRYPOINT].asked = from->entrypoint[0] || from->command[0];
    context->planning->plan.image = context->image = image;
    r = plan_copy_list(context, from->layers, IMAGE_LAYERS_MAX, &image->layers, err);
    return r < 0 ? r : copy_runtime(context, image, err);
}

/* "0", "root:root", "1000:1000", "node": the user alone decides, by number where it is one. */
static bool is_user(const struct plan *plan, struct str user)
{
    char number[32];
    struct str name = str_make(user.ptr, str_index(user, ':', 0));
    struct str group = str_from_offset(user, name.len + 1);
    snprintf(number, sizeof(number), "%u", plan->inside_uid);
    bool same = str_equal(name, str_from(number)) || str_equal(name, str_from(plan->user)) ||
                (plan->inside_uid == 0 && str_equal(name, STR("root")));
    snprintf(number, sizeof(number), "%u", plan->inside_gid);
    return same && (!group.len || str_equal(group, str_from(number)) ||
                    str_equal(group, str_from(plan->user)) ||
                    (plan->inside_gid == 0 && str_equal(group, STR("root"))));
}

int plan_image_identity(struct plan_context *context, struct err *err)
{
    const struct plan *plan = &context->planning->plan;
    const struct image *from = context->request->image;
    char reason[256];
    if (!from || !from->user[0] || is_user(plan, str_from(from->user)))
        return 0;
    snprintf(reason, sizeof(reason),
             "The image asks for the user %.64s; by the profile's userMapping the command is %u.",
             from->user, plan->inside_uid);
    const char *copy = plan_copy(context, str_from(reason));
    context->image->settings[IMAGE_USER].reason = copy;
    return copy ? 0 : plan_no_memory(err);
}

int plan_image_command(struct plan_context *context, char *const **ret, struct err *err)
{
    const struct image *image = context->request->image;
    const char *const *argv = context->request->argv;
    const char *const *rest = argv && argv[0] ? argv : image->command;
    size_t count = 0;
    const char **words =
        arena_array(&context->planning->arena, const char *, PLAN_ARGUMENTS_MAX + 2);
    if (!words)
        return plan_no_memory(err);
    for (size_t i = 0; image->entrypoint[i] && count <= PLAN_ARGUMENTS_MAX; i++)
        words[count++] = image->entrypoint[i];
    for (size_t i = 0; rest[i] && count <= PLAN_ARGUMENTS_MAX; i++)
        words[count++] = rest[i];
    if (!count || !words[0][0])
        return err_set(err, ERR_USAGE, STEP_PLAN,
                       "the image names no program to start; write one behind --");
    return plan_copy_list(context, words, PLAN_ARGUMENTS_MAX, ret, err);
}

const char *plan_image_directory(struct plan_context *context)
{
    const struct image *image = context->request->image;
    if (!image || strcmp(image->directory, "/") == 0 || !image->directory[0])
        return NULL;
    if (context->request->directory) {
        context->image->settings[IMAGE_DIRECTORY].reason = "The command names another.";
        return NULL;
    }
    if (image->directory[0] == '/')
        return image->directory;
    context->image->settings[IMAGE_DIRECTORY].reason = "It is no absolute path.";
    return NULL;
}

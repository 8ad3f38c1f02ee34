/* profile: machine profiles, made from built-in kinds, looked at and compared. */
#include "cmd/profile.h"

#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/document.h"
#include "contract/rules.h"

#define STEP "read the options"

/* --- what the verbs share ------------------------------------------------------------------- */

int profiles_open(enum ledger_mode mode, struct profiles *ret, struct err *err)
{
    struct profiles profiles = { 0 };
    struct layers_places places;
    int r = layers_places_default(NULL, &places, err);
    if (r == 0)
        r = layers_open(&places, &profiles.layers, err);
    if (r == 0)
        r = op_open(mode, &profiles.plane, err);
    if (r < 0)
        profiles_close(&profiles);
    else
        *ret = profiles;
    return r;
}

void profiles_close(struct profiles *profiles)
{
    plane_close(profiles->plane);
    layers_close(profiles->layers);
    *profiles = (struct profiles){ 0 };
}

int profiles_find(const struct profiles *profiles, const char *name, struct profile *ret,
                  struct err *err)
{
    char urn[PLANE_URN_MAX];
    op_urn("agent-machine-profile", name, urn);
    return profile_find(profiles->plane, profiles->layers, urn, ret, err);
}

/* A file where there is one of that path, else a profile by its name. */
static int find_or_read(const struct profiles *profiles, const char *name, struct profile *ret,
                        struct err *err)
{
    struct document document = { 0 };
    if (access(name, F_OK) < 0 && strcmp(name, "-") != 0)
        return profiles_find(profiles, name, ret, err);
    int r = document_read(name, &json_limits_default, &document, err);
    if (r == 0)
        *ret = (struct profile){ .root = yyjson_doc_get_root(document.doc),
                                 .layer = LAYER_USER,
                                 .doc = TAKE_PTR(document.doc) };
    document_release(&document);
    return r;
}

int profile_tell_managed(const struct invocation *invocation, const struct layers *layers,
                         const char *urn)
{
    struct err err = { 0 };
    int index = profile_managed(layers, urn);
    if (index < 0)
        return EXIT_OK;
    struct layer_document document = layers_at(layers, (size_t)index);
    err_set(&err, ERR_DENIED, STEP,
            "%s is managed by the %s; whoever manages this machine changes it there", urn,
            layer_names[document.layer]);
    err_where(&err, "%s", document.path);
    return tell_error(invocation, &err);
}

/* --- create -------------------------------------------------------------------------------- */

enum { CREATE_KIND, CREATE_NAME, CREATE_WITHOUT, CREATE_WORKSPACE, CREATE_JSON };

static const struct option_row create_options[] = {
    [CREATE_KIND] = { "kind", 'k', "KIND", "what it is for" },
    [CREATE_NAME] = { "name", 'n', "NAME", "its name (the kind's)" },
    [CREATE_WITHOUT] = { "without", 0, "LIST", "presets to leave out: git-forges, npm, pip, apt" },
    [CREATE_WORKSPACE] = { "workspace", 'w', "ID", "in which workspace (personal)" },
    [CREATE_JSON] = { "json", 'j', NULL, "print the profile" },
};

static int read_without(const char *list, unsigned *ret, struct err *err)
{
    struct str rest = str_from(list ? list : "");
    unsigned presets = PROFILE_PRESETS_ALL;
    while (rest.len) {
        struct str name = str_make(rest.ptr, str_index(rest, ',', 0));
        int preset = profile_preset_find(name);
        if (preset < 0)
            return err_set(err, ERR_USAGE, STEP,
                           "there is no preset %.*s; there are git-forges, npm, pip, apt",
                           STR_ARG(name));
        presets &= ~(1u << preset);
        rest = str_from_offset(rest, name.len + 1);
    }
    *ret = presets;
    return 0;
}

static int print_document(const yyjson_val *root)
{
    struct buf out = BUF_INIT;
    json_add_value(&out, root, 2);
    puts(out.data);
    buf_release(&out);
    return EXIT_OK;
}

static int create(const struct invocation *invocation, const struct profile_kind *kind,
                  unsigned presets, struct err *err)
{
    _cleanup_(profiles_close) struct profiles profiles = { 0 };
    _cleanup_(profile_release) struct profile made = { 0 };
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    const char *name = invocation->values[CREATE_NAME];
    const char *given = invocation->values[CREATE_WORKSPACE];
    char urn[PLANE_URN_MAX], workspace[PLANE_URN_MAX] = "";
    op_urn("agent-machine-profile", name ? name : kind->name, urn);
    if (given)
        op_urn("workspace", given, workspace);
    int r = profiles_open(LEDGER_CREATE, &profiles, err);
    if (r < 0)
        return tell_error(invocation, err);
    int status = profile_tell_managed(invocation, profiles.layers, urn);
    if (status != EXIT_OK)
        return status;
    r = profile_write_create(&json, kind, str_from(urn), presets, err);
    if (r == 0)
        r = profile_submit(profiles.plane, buf_str(&json), str_from(workspace), err);
    if (r == 0 && invocation->values[CREATE_JSON])
        r = profiles_find(&profiles, urn, &made, err);
    if (r < 0)
        return tell_error(invocation, err);
    if (made.root)
        return print_document(made.root);
    puts(urn);
    return EXIT_OK;
}

static int run_create(const struct invocation *invocation)
{
    const char *wanted = invocation->values[CREATE_KIND];
    const struct profile_kind *kind = wanted ? profile_kind_find(str_from(wanted)) : NULL;
    unsigned presets = 0;
    struct err err = { 0 };
    if (!kind)
        return tell_usage(invocation->path,
                          "--kind takes personal, corporate-firewall, multi-corporate-firewall, "
                          "local-model-provider, hosted-model-provider, airgapped-local-only or "
                          "user-owned-model");
    if (read_without(invocation->values[CREATE_WITHOUT], &presets, &err) < 0)
        return tell_usage(invocation->path, "%s", err.cause);
    return create(invocation, kind, presets, &err);
}

/* --- list and show ------------------------------------------------------------------------- */

static const struct option_row list_options[] = {
    { "json", 'j', NULL, "print a JSON object for each, with its store and the document" },
};

struct list {
    struct plane *plane;
    const struct layers *layers;
    bool as_json;
    size_t count;
};

/* Each store has a heading of its own, above the first that is in it. */
static void list_profile(struct list *list, const char *heading, const struct profile *profile)
{
    struct buf line = BUF_INIT;
    struct str id = text_of(member(profile->root, "id"));
    if (list->as_json) {
        buf_addf(&line, "{\"store\":\"%s\"", profile->path ? layer_names[profile->layer] : "user");
        if (profile->path) {
            buf_add_text(&line, ",\"path\":");
            json_add_string(&line, str_from(profile->path));
        }
        buf_add_text(&line, ",\"profile\":");
        json_add_value(&line, profile->root, 0);
        buf_add_char(&line, '}');
        puts(line.data);
        buf_release(&line);
        return;
    }
    if (list->count++ == 0)
        puts(heading);
    buf_addf(&line, "%.*s (%.*s)", STR_ARG(urn_local(id)),
             STR_ARG(text_of(member(profile->root, "profileKind"))));
    op_print_wrapped("", 2, buf_str(&line));
    if (profile->path)
        op_print_wrapped("", 4, str_from(profile->path));
    buf_release(&line);
}

/* A document that cannot be used may be a profile, and no profile is found while it is there. */
static void list_unusable(const struct list *list, const struct layer_document *document)
{
    struct buf line = BUF_INIT;
    if (list->as_json) {
        buf_addf(&line, "{\"store\":\"%s\",\"path\":", layer_names[document->layer]);
        json_add_string(&line, str_from(document->path));
        buf_add_text(&line, ",\"unusable\":");
        json_add_string(&line, str_from(document->why));
        buf_add_char(&line, '}');
        puts(line.data);
    } else {
        printf("unusable, so that no profile is found (%s)\n", layer_names[document->layer]);
        op_print_wrapped("", 2, str_from(document->why));
    }
    buf_release(&line);
}

static void list_managed(struct list *list)
{
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        char heading[64];
        list->count = 0;
        snprintf(heading, sizeof(heading), "managed by the %s", layer_names[layer]);
        for (size_t i = 0; i < layers_count(list->layers); i++) {
            struct layer_document document = layers_at(list->layers, i);
            struct profile profile = { .root = document.root,
                                       .layer = document.layer,
                                       .path = document.path };
            if ((int)document.layer != layer)
                continue;
            if (profile_is_managed(&document))
                list_profile(list, heading, &profile);
            else if (document.state == DOCUMENT_UNUSABLE)
                list_unusable(list, &document);
        }
    }
}

static int list_own(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    struct list *list = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)revision;
    int r = profile_is_archived(list->plane, id, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = json_read(json, &json_limits_default, &doc, err);
    struct profile profile = { .root = yyjson_doc_get_root(doc), .layer = LAYER_USER };
    if (r == 0)
        list_profile(list, "yours", &profile);
    return r;
}

static int run_list(const struct invocation *invocation)
{
    _cleanup_(profiles_close) struct profiles profiles = { 0 };
    struct err err = { 0 };
    int r = profiles_open(LEDGER_READ, &profiles, &err);
    struct list list = { .layers = profiles.layers,
                         .plane = profiles.plane,
                         .as_json = invocation->values[0] };
    if (r == 0) {
        list_managed(&list);
        list.count = 0;
        r = ledger_each_document(plane_ledger(profiles.plane), STR(PROFILE_TYPE), STR(""), list_own,
                                 &list, &err);
    }
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

enum { SHOW_EFFECTIVE, SHOW_JSON };

static const struct option_row show_options[] = {
    [SHOW_EFFECTIVE] = { "effective", 'e', NULL, "what the layers make of it, and which decided" },
    [SHOW_JSON] = { "json", 'j', NULL, "with --effective: print a JSON object" },
};

static int run_show(const struct invocation *invocation)
{
    _cleanup_(profiles_close) struct profiles profiles = { 0 };
    _cleanup_(profile_release) struct profile profile = { 0 };
    struct err err = { 0 };
    int r = profiles_open(LEDGER_READ, &profiles, &err);
    if (r == 0)
        r = profiles_find(&profiles, invocation->operands[0], &profile, &err);
    if (r == 0 && invocation->values[SHOW_EFFECTIVE])
        r = profile_show_effective(&profiles, &profile, invocation->values[SHOW_JSON], &err);
    else if (r == 0)
        print_document(profile.root);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- validate and diff --------------------------------------------------------------------- */

static int run_validate(const struct invocation *invocation)
{
    _cleanup_(profiles_close) struct profiles profiles = { 0 };
    _cleanup_(profile_release) struct profile profile = { 0 };
    struct err err = { 0 };
    int r = profiles_open(LEDGER_READ, &profiles, &err);
    if (r == 0)
        r = find_or_read(&profiles, invocation->operands[0], &profile, &err);
    if (r == 0)
        r = profile_check(profiles.plane, profile.root, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    puts("valid");
    return EXIT_OK;
}

static int run_diff(const struct invocation *invocation)
{
    _cleanup_(profiles_close) struct profiles profiles = { 0 };
    _cleanup_(profile_release) struct profile a = { 0 }, b = { 0 };
    struct err err = { 0 };
    int r = profiles_open(LEDGER_READ, &profiles, &err);
    if (r == 0)
        r = find_or_read(&profiles, invocation->operands[0], &a, &err);
    if (r == 0)
        r = find_or_read(&profiles, invocation->operands[1], &b, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    return profile_print_diff(a.root, b.root, invocation->values[0]) ? EXIT_NEGATIVE : EXIT_OK;
}

static const struct option_row diff_options[] = {
    { "json", 'j', NULL, "print a JSON object for each difference" },
};

/* --- the table ----------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {
        .name = "create",
        .summary = "Make a profile of a built-in kind",
        .description =
            "Makes a profile, and the network profile to which it refers, and prints its name. "
            "The kinds: personal, corporate-firewall, multi-corporate-firewall, "
            "local-model-provider, hosted-model-provider, airgapped-local-only, "
            "user-owned-model.\n\n"
            "The hosts that most work needs are presets, each of which can be left out: "
            "git-forges, npm, pip, apt. An airgapped profile has none of them.",
        .options = create_options,
        .option_count = ARRAY_LEN(create_options),
        .run = run_create,
    },
    {
        .name = "list",
        .summary = "List the profiles",
        .description = "Prints the name and the kind of each profile: first those that the "
                       "enterprise or the device manages, by files of root's, then your own, "
                       "which stand in the ledger.",
        .options = list_options,
        .option_count = ARRAY_LEN(list_options),
        .run = run_list,
    },
    {
        .name = "show",
        .operands = "NAME",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Print a profile",
        .description = "Prints a profile as the document that it is. With --effective, says for "
                       "each section whose word it is, and for each tool, model provider, network "
                       "profile, image, path and host that it names which layer allows or denies "
                       "it, and by which rule. A path is asked about as if all of it were mounted.",
        .options = show_options,
        .option_count = ARRAY_LEN(show_options),
        .run = run_show,
    },
    {
        .name = "edit",
        .operands = "NAME",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Change a profile of yours",
        .description =
            "Opens the profile in $VISUAL or $EDITOR (vi, if neither is set). What comes "
            "back is checked, shown as a difference, and stored as a new revision by a "
            "recorded operation. What is refused stays in its file, which is named, "
            "and can be given again with --from.",
        .options = profile_edit_options,
        .option_count = PROFILE_EDIT_OPTION_COUNT,
        .run = run_profile_edit,
    },
    {
        .name = "mount",
        .operands = "NAME [FILE...]",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 64,
        .summary = "Name the directories that a profile mounts",
        .description =
            "Stores the AgentWorkspaceMount of each FILE and names it in the profile, by one "
            "recorded operation: every launch under the profile mounts it. One of the same name "
            "takes the place of the one before. Prints the mounts that the profile names; without "
            "a FILE does nothing else. To take one out, `profile edit` removes it from "
            "worktreePlane.mountRefs.",
        .options = profile_mount_options,
        .option_count = PROFILE_MOUNT_OPTION_COUNT,
        .run = run_profile_mount,
    },
    {
        .name = "validate",
        .operands = "NAME",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Check a profile against schema and rules",
        .description = "Checks a profile, by name or in a file. The exit status is 65 where "
                       "something is wrong with it.",
        .run = run_validate,
    },
    {
        .name = "diff",
        .operands = "A B",
        .operand_kind = OPERAND_FILE,
        .operands_min = 2,
        .operands_max = 2,
        .summary = "Compare two profiles",
        .description = "Prints what A has (-) and B has instead (+), by name or in files. The "
                       "exit status is 1 where they differ.",
        .options = diff_options,
        .option_count = ARRAY_LEN(diff_options),
        .run = run_diff,
    },
};

const struct verb verb_profile = {
    .name = "profile",
    .summary = "Work with machine profiles",
    .description = "Profiles: how agents run on one kind of machine, what they may reach and how "
                   "much they may use.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};

/* profile: machine profiles, made from built-in kinds, looked at and compared. */
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/document.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/profile_presets.h"
#include "plane/work.h"

#define STEP              "read the options"
#define PROFILE_TYPE      "AgentMachineProfile"
#define WORKSPACE_DEFAULT "personal"

/* A profile of the ledger by URN or name; ERR_NOT_FOUND. */
static int read_stored(struct plane *plane, const char *name, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char urn[PLANE_URN_MAX];
    int64_t revision;
    op_urn("agent-machine-profile", name, urn);
    int r = ledger_get_document(plane_ledger(plane), str_from(urn), &text, &revision, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, "find a profile",
                       "there is no profile %s; see `agent-machine profile list`", urn);
    return r < 0 ? r : json_read(buf_str(&text), &json_limits_default, ret, err);
}

/* A file where there is one of that path, else one of the ledger. */
static int read_named(struct plane *plane, const char *name, yyjson_doc **ret, struct err *err)
{
    struct document document = { 0 };
    if (access(name, F_OK) < 0 && strcmp(name, "-") != 0)
        return read_stored(plane, name, ret, err);
    int r = document_read(name, &json_limits_default, &document, err);
    if (r == 0)
        *ret = TAKE_PTR(document.doc);
    document_release(&document);
    return r;
}

/* --- create -------------------------------------------------------------------------------- */

enum { CREATE_KIND, CREATE_NAME, CREATE_WITHOUT, CREATE_WORKSPACE, CREATE_JSON };

static const struct option_row create_options[] = {
    [CREATE_KIND] = { "kind", 'k', "KIND", "what it is for" },
    [CREATE_NAME] = { "name", 'n', "NAME", "its name (the kind's)" },
    [CREATE_WITHOUT] = { "without", 0, "LIST", "presets to leave out: git-forges, npm, pip, apt" },
    [CREATE_WORKSPACE] = { "workspace", 'w', "ID", "in which workspace (" WORKSPACE_DEFAULT ")" },
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

static int write_create(struct buf *json, const struct profile_kind *kind, const char *urn,
                        unsigned presets, struct err *err)
{
    _cleanup_(buf_release) struct buf profile = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char digest[DIGEST_TEXT_SIZE];
    const char *separator = "";
    profile_write(&profile, kind, str_from(urn));
    int r = json_read(buf_str(&profile), &json_limits_default, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r < 0)
        return r;
    buf_addf(json, "{\"profileKind\":\"%s\",\"profileRef\":", kind->name);
    json_add_string(json, str_from(urn));
    buf_addf(json, ",\"profileDigest\":\"%s\",\"store\":\"user\",\"presets\":[", digest);
    for (unsigned i = 0; i < PROFILE_PRESET_COUNT; i++) {
        if (!(presets & (1u << i)))
            continue;
        buf_addf(json, "%s\"%s\"", separator, profile_presets[i].name);
        separator = ",";
    }
    buf_add_text(json, "]}");
    return 0;
}

static int print_document(const yyjson_doc *doc)
{
    struct buf out = BUF_INIT;
    json_add_value(&out, yyjson_doc_get_root((yyjson_doc *)doc), 2);
    puts(out.data);
    buf_release(&out);
    return EXIT_OK;
}

static int create(const struct invocation *invocation, const struct profile_kind *kind,
                  unsigned presets, struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf json = BUF_INIT, command = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    const char *name = invocation->values[CREATE_NAME];
    const char *given = invocation->values[CREATE_WORKSPACE];
    char urn[PLANE_URN_MAX], workspace[PLANE_URN_MAX];
    struct outcome outcome;
    op_urn("agent-machine-profile", name ? name : kind->name, urn);
    op_urn("workspace", given ? given : WORKSPACE_DEFAULT, workspace);
    int r = op_open(LEDGER_CREATE, &plane, err);
    if (r == 0)
        r = write_create(&json, kind, urn, presets, err);
    struct submission submission = { .type = OPERATION_PROFILE_CREATE,
                                     .workspace = str_from(workspace),
                                     .parameters = buf_str(&json) };
    if (r == 0)
        r = plane_write_submit(&submission, &command, err);
    if (r == 0)
        r = plane_submit(plane, buf_str(&command), NULL, &outcome, err);
    if (r < 0)
        return tell_error(invocation, err);
    if (outcome.failure.code)
        return tell_error(invocation, &outcome.failure);
    if (!invocation->values[CREATE_JSON]) {
        puts(urn);
        return EXIT_OK;
    }
    r = read_stored(plane, urn, &doc, err);
    return r < 0 ? tell_error(invocation, err) : print_document(doc);
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

static const struct option_row json_options[] = {
    { "json", 'j', NULL, "print each document on a line" },
};

static int list_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    const struct invocation *invocation = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct buf line = BUF_INIT;
    (void)revision;
    if (invocation->values[0]) {
        printf("%.*s\n", STR_ARG(json));
        return 0;
    }
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    buf_addf(&line, "%.*s (%.*s)", STR_ARG(urn_local(id)),
             STR_ARG(text_of(member(root, "profileKind"))));
    op_print_wrapped("", 0, buf_str(&line));
    buf_release(&line);
    return 0;
}

static int run_list(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct err err = { 0 };
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = ledger_each_document(plane_ledger(plane), STR(PROFILE_TYPE), STR(""), list_one,
                                 (void *)invocation, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

static int run_show(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct err err = { 0 };
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = read_stored(plane, invocation->operands[0], &doc, &err);
    return r < 0 ? tell_error(invocation, &err) : print_document(doc);
}

/* --- validate and diff --------------------------------------------------------------------- */

static int run_validate(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct err err = { 0 };
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = read_named(plane, invocation->operands[0], &doc, &err);
    if (r == 0)
        r = effect_check(plane, yyjson_doc_get_root(doc), PROFILE_TYPE, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    puts("valid");
    return EXIT_OK;
}

/* Two documents that are compared; json_read has bounded how deep they are. */
struct comparison {
    struct buf pointer;
    size_t differences;
};

static void print_side(const struct comparison *comparison, const char *sign,
                       const yyjson_val *value)
{
    struct buf line = BUF_INIT;
    if (!value)
        return;
    buf_addf(&line, "%s ", comparison->pointer.len ? comparison->pointer.data : "/");
    json_add_value(&line, value, 0);
    op_print_wrapped(sign, 2, buf_str(&line));
    buf_release(&line);
}

static void compare(struct comparison *comparison, const yyjson_val *a, const yyjson_val *b);

static void compare_member(struct comparison *comparison, struct str name, const yyjson_val *a,
                           const yyjson_val *b)
{
    size_t len = comparison->pointer.len;
    json_pointer_add(&comparison->pointer, name);
    compare(comparison, a, b);
    buf_truncate(&comparison->pointer, len);
}

static void compare(struct comparison *comparison, const yyjson_val *a, const yyjson_val *b)
{
    size_t index, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj((yyjson_val *)a) || !yyjson_is_obj((yyjson_val *)b)) {
        if (a && b && yyjson_equals((yyjson_val *)a, (yyjson_val *)b))
            return;
        print_side(comparison, "-", a);
        print_side(comparison, "+", b);
        comparison->differences++;
        return;
    }
    yyjson_obj_foreach((yyjson_val *)a, index, count, key, value)
    {
        struct str name = json_str(key);
        compare_member(comparison, name, value,
                       yyjson_obj_getn((yyjson_val *)b, name.ptr, name.len));
    }
    yyjson_obj_foreach((yyjson_val *)b, index, count, key, value)
    {
        struct str name = json_str(key);
        if (!yyjson_obj_getn((yyjson_val *)a, name.ptr, name.len))
            compare_member(comparison, name, NULL, value);
    }
}

static int run_diff(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(cleanup_json_doc) yyjson_doc *a = NULL, *b = NULL;
    struct comparison comparison = { .pointer = BUF_INIT };
    struct err err = { 0 };
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = read_named(plane, invocation->operands[0], &a, &err);
    if (r == 0)
        r = read_named(plane, invocation->operands[1], &b, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    compare(&comparison, yyjson_doc_get_root(a), yyjson_doc_get_root(b));
    buf_release(&comparison.pointer);
    return comparison.differences ? EXIT_NEGATIVE : EXIT_OK;
}

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
        .description = "Prints the name and the kind of each profile of yours.",
        .options = json_options,
        .option_count = ARRAY_LEN(json_options),
        .run = run_list,
    },
    {
        .name = "show",
        .operands = "NAME",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Print a profile",
        .description = "Prints a profile as the document that it is.",
        .run = run_show,
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

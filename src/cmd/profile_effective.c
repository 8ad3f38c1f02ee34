/*
 * profile show --effective: what the layers make of a profile.
 *
 * Of each section it says whose word it is: a section stands as its profile
 * has it, and so is the user's, or that of the layer which manages the profile.
 * What a section names (tools, model providers, a network profile, an image,
 * paths) is asked of the gates as a launch would ask, with the verdict below
 * the section; a path as if all of it were mounted. So are the hosts that its
 * network profile lists: the user's own documents join the user's layer. Every
 * verdict has the layer, the rule and the place that decided.
 */
#include "authority/engine.h"
#include "base/json.h"
#include "cmd/op.h"
#include "cmd/policy_ask.h"
#include "cmd/profile.h"
#include "contract/host_path.h"
#include "contract/rules.h"

#define PORT_ASKED 443

static const char *const sections[] = { "hostPlane",     "machinePlane", "containerPlane",
                                        "worktreePlane", "userPlane",    "agentPlane",
                                        "evidence" };

/* What a section names that a gate guards: a text, a list of them, or an image. */
static const struct {
    const char *section, *pointer;
    enum gate gate;
} named[] = {
    { "containerPlane", "/containerPlane/rootFilesystem/image", GATE_CONTAINER_EXECUTION },
    { "worktreePlane", "/worktreePlane/allowedPaths", GATE_ARTIFACT_ACCESS },
    { "agentPlane", "/agentPlane/toolSurfaceRefs", GATE_TOOL_GRANT },
    { "agentPlane", "/agentPlane/modelProviderRefs", GATE_MODEL_PROVIDER_USE },
    { "agentPlane", "/agentPlane/networkAccessProfileRef", GATE_NETWORK_PROFILE },
};

struct effective {
    const struct profile *profile;
    yyjson_doc *own_network;   /* of the ledger */
    const yyjson_val *network; /* NULL: the profile adds nothing to what the layers say */
    struct str network_id;
    struct policy *policy;
    bool as_json;
    struct buf json; /* all of it, so that an error leaves no half of an object */
};

/* --- the policy that a launch would have --------------------------------------------------- */

/* The network profile that the profile names: of the layers, else of the ledger. */
static int find_network(const struct profiles *profiles, struct effective *effective,
                        struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct str id = text_of(at(effective->profile->root, "/agentPlane/networkAccessProfileRef"));
    int64_t revision;
    effective->network_id = id;
    if (!id.len)
        return 0;
    for (size_t i = 0; i < layers_count(profiles->layers); i++) {
        struct layer_document document = layers_at(profiles->layers, i);
        if (document.root && str_equal(text_of(member(document.root, "id")), id)) {
            effective->network = document.root;
            return 0;
        }
    }
    struct err inner = { 0 };
    int r = ledger_get_document(plane_ledger(profiles->plane), id, &text, &revision, &inner);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &effective->own_network, &inner);
    effective->network = yyjson_doc_get_root(effective->own_network);
    if (r < 0 && r != -ENOENT && err)
        *err = inner;
    return r == -ENOENT ? 0 : r; /* what cannot be found lets nothing out */
}

static int build_policy(const struct profiles *profiles, struct effective *effective,
                        struct err *err)
{
    struct policy_builder *builder = NULL;
    int r = policy_builder_new(&builder, err);
    if (r == 0)
        r = layers_add(profiles->layers, NULL, builder, err);
    if (r == 0 && !effective->profile->path)
        r = policy_add(builder, LAYER_USER, "the ledger", effective->profile->root, err);
    if (r == 0 && effective->own_network)
        r = policy_add(builder, LAYER_USER, "the ledger", effective->network, err);
    if (r == 0)
        r = policy_build(builder, &effective->policy, err);
    policy_builder_free(builder);
    return r;
}

/* --- words --------------------------------------------------------------------------------- */

static const char *layer_of(const struct profile *profile)
{
    return layer_names[profile->layer];
}

/* A value in words: texts as they are, lists by commas, members with their names. */
static void add_words(struct buf *line, const yyjson_val *value)
{
    size_t index, count;
    yyjson_val *key, *item;
    if (yyjson_is_str((yyjson_val *)value)) {
        buf_add_str(line, json_str(value));
    } else if (yyjson_is_obj((yyjson_val *)value)) {
        yyjson_obj_foreach((yyjson_val *)value, index, count, key, item)
        {
            buf_addf(line, "%s%.*s ", index ? ", " : "", STR_ARG(json_str(key)));
            add_words(line, item);
        }
    } else if (yyjson_is_arr((yyjson_val *)value)) {
        yyjson_arr_foreach((yyjson_val *)value, index, count, item)
        {
            buf_add_text(line, index ? ", " : "");
            add_words(line, item);
        }
        if (count == 0)
            buf_add_text(line, "none");
    } else {
        json_add_value(line, value, 0);
    }
}

static void print_members(const struct effective *effective, const char *name)
{
    const yyjson_val *value = member(effective->profile->root, name);
    size_t index, count;
    yyjson_val *key, *item;
    op_print_wrapped(name, 16, str_from(layer_of(effective->profile)));
    yyjson_obj_foreach((yyjson_val *)value, index, count, key, item)
    {
        struct buf line = BUF_INIT;
        char label[40];
        snprintf(label, sizeof(label), "  %.*s", STR_ARG(json_str(key)));
        add_words(&line, item);
        op_print_wrapped(label, 27, buf_str(&line));
        buf_release(&line);
    }
}

static void add_text(struct buf *out, const char *name, struct str text)
{
    if (!text.len)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_add_string(out, text);
}

/* --- verdicts ------------------------------------------------------------------------------ */

static const char *decider_of(const struct verdict *verdict)
{
    return verdict->built_in ? "built in" : layer_names[verdict->layer];
}

static void add_verdict(struct buf *out, const char *word, struct str name,
                        const struct verdict *verdict)
{
    buf_addf(out, "%s{\"%s\":", out->data[out->len - 1] == '[' ? "" : ",", word);
    json_add_string(out, name);
    buf_addf(out, ",\"answer\":\"%s\",\"layer\":\"%s\"", answer_names[verdict->answer],
             decider_of(verdict));
    add_text(out, "rule", verdict->rule);
    add_text(out, "document", str_from(verdict->document ? verdict->document : ""));
    add_text(out, "pointer", str_from(verdict->pointer));
    buf_add_char(out, '}');
}

/* A host stands below its network profile and needs no word; nor a place, where it is allowed. */
static void print_verdict(const char *word, struct str name, const struct verdict *verdict)
{
    struct buf line = BUF_INIT;
    char label[64];
    snprintf(label, sizeof(label), "  %-5s %-13s", answer_names[verdict->answer],
             decider_of(verdict));
    buf_addf(&line, "%s%s", word ? word : "", word ? " " : "");
    buf_add_str(&line, name);
    op_print_wrapped(label, 22, buf_str(&line));
    buf_reset(&line);
    if (word)
        buf_add_str(&line, verdict->rule);
    if (verdict->document && (word || verdict->answer != ANSWER_ALLOW))
        buf_addf(&line, "%s%s %s", word ? ": " : "", verdict->document, verdict->pointer);
    if (line.len && (verdict->document || verdict->answer != ANSWER_ALLOW))
        op_print_wrapped("", 24, buf_str(&line));
    buf_release(&line);
}

static int tell_thing(struct effective *effective, const struct gate_thing *thing,
                      struct str written, struct err *err)
{
    struct engine_request request = { .thing = thing };
    struct engine_record record;
    struct verdict verdict;
    int r = policy_decide_gate_here(effective->policy, thing, &verdict, err);
    if (r == 0)
        r = policy_ask_engines(effective->policy, &request, &verdict, &record, err);
    if (r == 0 && effective->as_json)
        add_verdict(&effective->json, policy_words[thing->gate], written, &verdict);
    else if (r == 0)
        print_verdict(policy_words[thing->gate], written, &verdict);
    return r;
}

static int ask_thing(struct effective *effective, enum gate gate, const yyjson_val *item,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(GATE_NAME_MAX);
    const char *home = getenv("HOME");
    struct str source = text_of(member(item, "source"));
    struct str written =
        yyjson_is_obj((yyjson_val *)item) ? text_of(member(item, "reference")) : text_of(item);
    struct gate_thing thing = { .gate = gate,
                                .name = written,
                                .digest = text_of(member(item, "digest")),
                                .is_local = source.len && !str_equal(source, STR("registry")),
                                .profile = text_of(member(effective->profile->root, "id")) };
    if (gate == GATE_NETWORK_PROFILE && !written.len) /* to have none is a decision too */
        thing.name = written = STR(GATE_NO_NETWORK);
    if (gate == GATE_ARTIFACT_ACCESS) {
        if (host_path_expand(written, home ? home : "", &path) < 0)
            return err_set(err, ERR_LIMIT, "ask the layers", "the path %.*s is too long",
                           STR_ARG(written));
        thing.name = path.len ? buf_str(&path) : STR("/");
    }
    return tell_thing(effective, &thing, written, err);
}

static int ask_section(struct effective *effective, const char *section, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(named) && r == 0; i++) {
        const yyjson_val *value = at(effective->profile->root, named[i].pointer);
        yyjson_arr_iter items;
        if (strcmp(named[i].section, section) != 0)
            continue;
        if (!yyjson_arr_iter_init((yyjson_val *)value, &items)) {
            if (value || named[i].gate == GATE_NETWORK_PROFILE)
                r = ask_thing(effective, named[i].gate, value, err);
            continue;
        }
        for (const yyjson_val *item; r == 0 && (item = yyjson_arr_iter_next(&items));)
            r = ask_thing(effective, named[i].gate, item, err);
    }
    return r;
}

static int ask_host(struct effective *effective, struct str text, struct err *err)
{
    char name[POLICY_HOST_MAX];
    struct verdict verdict;
    bool is_pattern = str_starts(text, STR("*.")) || str_starts(text, STR("."));
    snprintf(name, sizeof(name), "%s%.*s", is_pattern ? "any" : "",
             STR_ARG(str_from_offset(text, text.ptr[0] == '*')));
    struct policy_destination destination = { .host = str_from(name), .port = PORT_ASKED };
    int r = policy_decide(effective->policy, &destination, &verdict, err);
    if (r == 0 && effective->as_json)
        add_verdict(&effective->json, "host", text, &verdict);
    else if (r == 0)
        print_verdict(NULL, text, &verdict);
    return r;
}

/* Each host that an entry lists; a pattern is asked for by a name that it would match. */
static int ask_hosts(struct effective *effective, struct err *err)
{
    size_t i, entries, j, hosts;
    yyjson_val *entry, *host;
    yyjson_arr_foreach((yyjson_val *)member(effective->network, "profiles"), i, entries, entry)
    {
        yyjson_arr_foreach((yyjson_val *)member(entry, "allowDomains"), j, hosts, host)
        {
            struct str text = text_of(host);
            int r = text.len && !str_equal(text, STR("*")) ? ask_host(effective, text, err) : 0;
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* --- all of it ----------------------------------------------------------------------------- */

static int print_words(struct effective *effective, struct err *err)
{
    const struct profile *profile = effective->profile;
    struct str id = effective->network_id;
    int r = 0;
    op_print_wrapped("profile", 16, text_of(member(profile->root, "id")));
    op_print_wrapped("from", 16, str_from(profile->path ? profile->path : "the ledger"));
    for (size_t i = 0; i < ARRAY_LEN(sections) && r == 0; i++) {
        print_members(effective, sections[i]);
        r = ask_section(effective, sections[i], err);
    }
    if (r < 0)
        return r;
    op_print_wrapped("network", 16,
                     !id.len              ? STR("as the layers say")
                     : effective->network ? id
                                          : STR("its network profile is not there"));
    return ask_hosts(effective, err);
}

static int print_json(struct effective *effective, struct err *err)
{
    const struct profile *profile = effective->profile;
    struct buf *out = &effective->json;
    int r = 0;
    buf_add_text(out, "{\"profile\":");
    json_add_string(out, text_of(member(profile->root, "id")));
    add_text(out, "path", str_from(profile->path ? profile->path : ""));
    buf_add_text(out, ",\"sections\":[");
    for (size_t i = 0; i < ARRAY_LEN(sections) && r == 0; i++) {
        buf_addf(out, "%s{\"section\":\"%s\",\"layer\":\"%s\",\"value\":", i ? "," : "",
                 sections[i], layer_of(profile));
        json_add_value(out, member(profile->root, sections[i]), 0);
        buf_add_text(out, ",\"verdicts\":[");
        r = ask_section(effective, sections[i], err);
        buf_add_text(out, "]}");
    }
    buf_add_text(out, "],\"hosts\":[");
    if (r == 0)
        r = ask_hosts(effective, err);
    buf_add_text(out, "]}");
    if (r == 0 && out->error)
        return err_set(err, ERR_MEMORY, "show a profile", "there is not enough memory");
    if (r == 0)
        puts(out->data);
    return r;
}

int profile_show_effective(const struct profiles *profiles, const struct profile *profile,
                           bool as_json, struct err *err)
{
    struct effective effective = { .profile = profile, .as_json = as_json, .json = BUF_INIT };
    int r = find_network(profiles, &effective, err);
    if (r == 0)
        r = build_policy(profiles, &effective, err);
    if (r == 0)
        r = as_json ? print_json(&effective, err) : print_words(&effective, err);
    policy_free(effective.policy);
    yyjson_doc_free(effective.own_network);
    buf_release(&effective.json);
    return r;
}

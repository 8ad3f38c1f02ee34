/*
 * profile show --effective: what the layers make of a profile.
 *
 * Of each section it says whose word it is: a section stands as its profile
 * has it, and so is the user's, or that of the layer which manages the profile.
 * What a profile lets out is then asked of the layers, as a launch would ask:
 * the profile's network profile joins the user's layer, and each host that it
 * lists gets its verdict, with the layer and the place that decided.
 */
#include "authority/verdict.h"
#include "base/json.h"
#include "cmd/op.h"
#include "cmd/profile.h"
#include "contract/rules.h"

#define PORT_ASKED 443

static const char *const sections[] = { "hostPlane",     "machinePlane", "containerPlane",
                                        "worktreePlane", "userPlane",    "agentPlane",
                                        "evidence" };

struct effective {
    const struct profile *profile;
    yyjson_doc *own_network;   /* of the ledger */
    const yyjson_val *network; /* NULL: the profile adds nothing to what the layers say */
    struct str network_id;
    struct policy *policy;
    bool as_json;
    size_t count;
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

static void print_section(const struct effective *effective, const char *name)
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

static void print_host(struct effective *effective, struct str host, const struct verdict *verdict)
{
    struct buf line = BUF_INIT;
    const char *layer = verdict->built_in ? "built in" : layer_names[verdict->layer];
    const char *document = verdict->document ? verdict->document : "";
    if (effective->as_json) {
        buf_add_text(&line, effective->count++ ? ",{\"host\":" : "{\"host\":");
        json_add_string(&line, host);
        buf_addf(&line, ",\"answer\":\"%s\",\"layer\":\"%s\"", answer_names[verdict->answer],
                 layer);
        add_text(&line, "rule", verdict->rule);
        add_text(&line, "document", str_from(document));
        add_text(&line, "pointer", str_from(verdict->pointer));
        buf_add_char(&line, '}');
        fputs(line.data, stdout);
        buf_release(&line);
        return;
    }
    char label[64];
    snprintf(label, sizeof(label), "  %-5s %-13s", answer_names[verdict->answer], layer);
    buf_add_str(&line, host);
    op_print_wrapped(label, 22, buf_str(&line));
    if (verdict->answer != ANSWER_ALLOW && document[0]) {
        buf_reset(&line);
        buf_addf(&line, "%s %s", document, verdict->pointer);
        op_print_wrapped("", 24, buf_str(&line));
    }
    buf_release(&line);
}

/* Each host that an entry lists; a pattern is asked for by a name that it would match. */
static int print_hosts(struct effective *effective, struct err *err)
{
    size_t i, entries, j, hosts;
    yyjson_val *entry, *host;
    yyjson_arr_foreach((yyjson_val *)member(effective->network, "profiles"), i, entries, entry)
    {
        yyjson_arr_foreach((yyjson_val *)member(entry, "allowDomains"), j, hosts, host)
        {
            char name[POLICY_HOST_MAX];
            struct verdict verdict;
            struct str text = text_of(host);
            bool is_pattern = str_starts(text, STR("*.")) || str_starts(text, STR("."));
            snprintf(name, sizeof(name), "%s%.*s", is_pattern ? "any" : "",
                     STR_ARG(str_from_offset(text, text.ptr[0] == '*')));
            struct policy_destination destination = { .host = str_from(name), .port = PORT_ASKED };
            if (text.len == 0 || str_equal(text, STR("*")))
                continue;
            int r = policy_decide(effective->policy, &destination, &verdict, err);
            if (r < 0)
                return r;
            print_host(effective, text, &verdict);
        }
    }
    return 0;
}

static int print_words(struct effective *effective, struct err *err)
{
    const struct profile *profile = effective->profile;
    struct str id = effective->network_id;
    op_print_wrapped("profile", 16, text_of(member(profile->root, "id")));
    op_print_wrapped("from", 16, str_from(profile->path ? profile->path : "the ledger"));
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        print_section(effective, sections[i]);
    op_print_wrapped("network", 16,
                     !id.len              ? STR("as the layers say")
                     : effective->network ? id
                                          : STR("its network profile is not there"));
    return print_hosts(effective, err);
}

static int print_json(struct effective *effective, struct err *err)
{
    const struct profile *profile = effective->profile;
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"profile\":");
    json_add_string(&out, text_of(member(profile->root, "id")));
    add_text(&out, "path", str_from(profile->path ? profile->path : ""));
    buf_add_text(&out, ",\"sections\":[");
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        buf_addf(&out, "%s{\"section\":\"%s\",\"layer\":\"%s\",\"value\":", i ? "," : "",
                 sections[i], layer_of(profile));
        json_add_value(&out, member(profile->root, sections[i]), 0);
        buf_add_char(&out, '}');
    }
    buf_add_text(&out, "],\"hosts\":[");
    fputs(out.data, stdout);
    buf_release(&out);
    int r = print_hosts(effective, err);
    puts("]}");
    return r;
}

int profile_show_effective(const struct profiles *profiles, const struct profile *profile,
                           bool as_json, struct err *err)
{
    struct effective effective = { .profile = profile, .as_json = as_json };
    int r = find_network(profiles, &effective, err);
    if (r == 0)
        r = build_policy(profiles, &effective, err);
    if (r == 0)
        r = as_json ? print_json(&effective, err) : print_words(&effective, err);
    policy_free(effective.policy);
    yyjson_doc_free(effective.own_network);
    return r;
}

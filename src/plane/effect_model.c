/*
 * effect_model: agent_machine.model_provider.bind, which unbinds too.
 *
 * Theory of operation. A binding is a record that is written once; to undo it
 * is to write another one that names it. A provider is bound to a profile once:
 * who wants it otherwise unbinds it first. The provider's profile may come with
 * the command, and is stored beside the binding; another one of its name gives
 * way only while nothing is bound to it, so that no binding changes its meaning.
 * What documents forbid (a profile whose prompts stay, terms that nobody has
 * accepted) is refused here already, and asked again for each call. The record
 * takes its name from the operation, so that one which is carried out again
 * finds what it wrote.
 */
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/asked.h"
#include "plane/model_binding.h"
#include "plane/profile.h"
#include "plane/work.h"

#define STEP_BIND   "bind a model provider"
#define STEP_UNBIND "unbind a model provider"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_BIND, "there is not enough memory");
}

static void add_text(struct buf *json, const char *name, struct str text)
{
    json_add_name(json, name);
    json_add_string(json, text);
}

/* A member as the command, or the binding that is undone, has it; nothing where it has none. */
static void add_as_it_is(struct buf *json, const char *name, const yyjson_val *value)
{
    if (!value)
        return;
    json_add_name(json, name);
    json_add_value(json, value, 0);
}

/* --- the record ---------------------------------------------------------------------------- */

static void add_decisions(struct buf *json, const struct work *work)
{
    yyjson_mut_val *decision,
        *list = yyjson_mut_obj_get(yyjson_mut_doc_get_root(work->records[WORK_OPERATION].doc),
                                   "gateDecisions");
    size_t index, count;
    if (!list)
        return;
    buf_add_text(json, ",\"policyDecisionRefs\":[");
    yyjson_mut_arr_foreach(list, index, count, decision)
    {
        const char *id = yyjson_mut_get_str(yyjson_mut_obj_get(decision, "policyDecisionRef"));
        buf_add_text(json, index ? "," : "");
        json_add_string(json, str_from(id ? id : ""));
    }
    buf_add_char(json, ']');
}

/* What both kinds of record say of the operation. */
static void add_origin(struct buf *json, const struct work *work)
{
    const yyjson_val *command = work_command(work);
    char now[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms(), now);
    buf_add_text(json, ",\"evidence\":{\"promptHashOnly\":true}");
    add_text(json, "actorRef", text_of(member(command, "actorRef")));
    add_text(json, "delegationRef", work_text(work, WORK_OPERATION, "delegationRef"));
    add_text(json, "operationRef", work_operation(work));
    add_decisions(json, work);
    add_text(json, "recordedAt", str_from(now));
    add_as_it_is(json, "reason", member(command, "reason"));
}

static void begin_record(struct buf *json, const char *id, const char *action)
{
    buf_addf(json,
             "{\"id\":\"%s\",\"type\":\"" MODEL_BINDING_TYPE "\",\"specVersion\":\"1.0.0\","
             "\"action\":\"%s\"",
             id, action);
}

/* --- bind ---------------------------------------------------------------------------------- */

struct bind {
    struct work *work;
    const yyjson_val *parameters;
    struct str profile_id, provider_id;
    struct model_document profile, provider;
    struct model_provider facts;
    struct model_bound bound;
    bool is_brought; /* the provider's profile comes with the command */
};

static void bind_release(struct bind *bind)
{
    model_document_release(&bind->profile);
    model_document_release(&bind->provider);
    model_bound_release(&bind->bound);
}

static struct str subject_of(const struct work *work)
{
    return work_text(work, WORK_OPERATION, "subjectRef");
}

static int read_brought(struct bind *bind, struct str text, struct err *err)
{
    const struct embedded_schema *schema;
    struct model_document managed = { 0 };
    int r = json_read(text, &json_limits_default, &bind->provider.doc, err);
    if (r < 0)
        return r;
    bind->is_brought = true;
    bind->provider.root = yyjson_doc_get_root(bind->provider.doc);
    schema = catalogue_type_of(bind->provider.root, err);
    if (!schema)
        return -EBADMSG;
    r = plane_check_document(bind->work->plane, bind->provider.root, schema->type, STEP_BIND, err);
    if (r < 0)
        return r;
    if (!str_equal(catalogue_id_of(bind->provider.root), bind->provider_id))
        return err_set(err, ERR_DOCUMENT, STEP_BIND,
                       "the document has another id than the command says");
    r = model_document_find(bind->work->plane, subject_of(bind->work), bind->provider_id, &managed,
                            NULL);
    /* The command may have brought it to its own gates too. */
    bool is_managed = r == 0 && managed.is_managed &&
                      !yyjson_equals((yyjson_val *)managed.root, (yyjson_val *)bind->provider.root);
    model_document_release(&managed);
    return is_managed ? err_set(err, ERR_CONFLICT, STEP_BIND,
                                "a layer of policy has %.*s; bind that, without a document",
                                STR_ARG(bind->provider_id))
                      : 0;
}

static int read_bind(struct bind *bind, struct err *err)
{
    struct work *work = bind->work;
    struct str text = text_of(member(bind->parameters, "document"));
    int r =
        model_document_find(work->plane, subject_of(work), bind->profile_id, &bind->profile, err);
    if (r == 0 && !text_is(member(bind->profile.root, "type"), PROFILE_TYPE))
        r = err_set(err, ERR_NOT_FOUND, STEP_BIND, "%.*s is no machine profile",
                    STR_ARG(bind->profile_id));
    if (r == 0 && !bind->profile.is_managed) {
        int archived = profile_is_archived(work->plane, bind->profile_id, err);
        r = archived > 0 ? err_set(err, ERR_NOT_FOUND, STEP_BIND, "the profile %.*s was archived",
                                   STR_ARG(bind->profile_id))
                         : archived;
    }
    if (r == 0)
        r = text.len ? read_brought(bind, text, err)
                     : model_document_find(work->plane, subject_of(work), bind->provider_id,
                                           &bind->provider, err);
    if (r == 0)
        r = model_provider_read(bind->provider.root, &bind->facts, err);
    return r < 0 ? r : model_bound_read(work->plane, bind->profile_id, &bind->bound, err);
}

static int check_bind(const struct bind *bind, struct err *err)
{
    static const char *const names[] = { "name" };
    yyjson_val *models = member(bind->parameters, "models");
    const char *obstacle =
        model_obstacle(&bind->facts, bind->provider.root, bind->parameters, bind->profile.root);
    struct str other = model_bound_find(&bind->bound, bind->provider_id);
    if (obstacle)
        return err_set(err, ERR_DENIED, STEP_BIND, "%.*s cannot be bound: %s",
                       STR_ARG(bind->provider_id), obstacle);
    if (other.len)
        return err_set(err, ERR_CONFLICT, STEP_BIND,
                       "it is bound to this profile by %.*s; see `agent-machine model unbind`",
                       STR_ARG(other));
    if (yyjson_arr_size(bind->bound.list) >= MODEL_ROUTES_MAX)
        return err_set(err, ERR_LIMIT, STEP_BIND, "a profile has at most %d bindings",
                       MODEL_ROUTES_MAX);
    for (size_t i = 0; i < yyjson_arr_size(models); i++) {
        const yyjson_val *model = yyjson_arr_get(models, i);
        if (stands_earlier(models, model, names, ARRAY_LEN(names)))
            return err_set(err, ERR_DOCUMENT, STEP_BIND, "the model %.*s is named twice",
                           STR_ARG(text_of(member(model, "name"))));
    }
    return 0;
}

/* The provider's profile goes into the batch, with the event that binds it; its bytes, or -errno.
 */
static int put_provider(struct bind *bind, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT, json = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *before = NULL;
    const struct embedded_schema *schema = catalogue_type_of(bind->provider.root, err);
    char digest[DIGEST_TEXT_SIZE], old[DIGEST_TEXT_SIZE] = "";
    int64_t revision = LEDGER_NEW;
    struct work *work = bind->work;
    if (!schema)
        return -EBADMSG;
    json_add_value(&json, bind->provider.root, 0);
    int r = jcs_digest(bind->provider.root, digest, err);
    if (r == 0)
        r = effect_stored(work, bind->provider_id, &before, &revision, err);
    if (r > 0)
        r = jcs_digest(yyjson_doc_get_root(before), old, err);
    if (r < 0 || strcmp(old, digest) == 0)
        return r;
    r = before ? model_provider_is_bound(work->plane, bind->provider_id, err) : 0;
    if (r > 0)
        return err_set(err, ERR_CONFLICT, STEP_BIND,
                       "another %.*s is bound; unbind it first, or give this one another name",
                       STR_ARG(bind->provider_id));
    if (r == 0)
        r = json.error ? no_memory(err)
                       : ledger_put_document(work->batch, str_from(schema->type), bind->provider_id,
                                             work_operation(work), buf_str(&json), revision, err);
    if (r < 0)
        return r;
    buf_add_text(&extra, ",\"documents\":[{\"documentRef\":");
    json_add_string(&extra, bind->provider_id);
    buf_addf(&extra, ",\"digest\":\"%s\"}]", digest);
    r = extra.error ? no_memory(err) : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
    return r < 0 ? r : (int)json.len;
}

static int write_bind(const struct bind *bind, const char *id, struct buf *json, struct err *err)
{
    static const char *const given[] = { "models", "promptEgress", "fallbackBindingRefs",
                                         "terms",  "reservation",  "limits" };
    bool is_hosted = bind->facts.is_hosted;
    struct str network = bind->facts.network_profile;
    if (!network.len)
        network = text_of(at(bind->profile.root, "/agentPlane/networkAccessProfileRef"));
    if (is_hosted && !network.len)
        return err_set(err, ERR_DOCUMENT, STEP_BIND,
                       "neither the provider nor the machine profile names a NetworkAccessProfile, "
                       "whose verdict a hosted route needs");
    begin_record(json, id, "bind");
    add_text(json, "agentMachineProfileRef", bind->profile_id);
    add_text(json, "providerRef", bind->provider_id);
    add_text(json, "route", is_hosted ? STR("hosted") : STR("local"));
    add_text(json, "protocol", str_from(model_protocol_name(bind->facts.protocol)));
    buf_addf(json, ",\"priority\":%llu",
             (unsigned long long)count_of(member(bind->parameters, "priority")));
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        add_as_it_is(json, given[i], member(bind->parameters, given[i]));
    if (is_hosted)
        add_text(json, "networkAccessProfileRef", network);
    add_origin(json, bind->work);
    buf_add_char(json, '}');
    return json->error ? no_memory(err) : 0;
}

static int carry_out_bind(struct work *work, const char *id, const yyjson_val *parameters,
                          struct effect_result *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    _cleanup_(bind_release) struct bind bind = {
        .work = work,
        .parameters = parameters,
        .profile_id = text_of(member(parameters, "agentMachineProfileRef")),
        .provider_id = text_of(member(parameters, "providerRef")),
    };
    int64_t room = work->type->need.of[DIMENSION_LOCAL_DISK_BYTES];
    int r = read_bind(&bind, err);
    if (r == 0)
        r = check_bind(&bind, err);
    if (r == 0)
        r = write_bind(&bind, id, &json, err);
    int taken = r == 0 && bind.is_brought ? put_provider(&bind, err) : r;
    if (taken >= 0 && (int64_t)json.len + taken > room)
        taken = err_set(err, ERR_LIMIT, STEP_BIND,
                        "with its provider it would take %zu bytes, and %lld are set aside",
                        json.len + (size_t)taken, (long long)room);
    if (taken < 0)
        return taken;
    r = model_bound_put(work->batch, bind.profile_id, &bind.bound, bind.provider_id, str_from(id),
                        err);
    if (r == 0)
        r = effect_store(work, MODEL_BINDING_TYPE, str_from(id), buf_str(&json), LEDGER_NEW, ret,
                         err);
    ret->used.of[DIMENSION_LOCAL_DISK_BYTES] += r == 0 ? taken : 0;
    return r;
}

/* --- unbind -------------------------------------------------------------------------------- */

static int write_unbind(struct work *work, const char *id, const yyjson_val *binding,
                        struct buf *json, struct err *err)
{
    static const char *const kept[] = {
        "agentMachineProfileRef",
        "providerRef",
        "route",
        "protocol",
        "models",
        "priority",
        "promptEgress",
        "terms",
        "networkAccessProfileRef",
    };
    begin_record(json, id, "unbind");
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        add_as_it_is(json, kept[i], member(binding, kept[i]));
    add_text(json, "unbindsRef", text_of(member(binding, "id")));
    add_origin(json, work);
    buf_add_char(json, '}');
    return json->error ? no_memory(err) : 0;
}

static int carry_out_unbind(struct work *work, const char *id, const yyjson_val *parameters,
                            struct effect_result *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    _cleanup_(cleanup_model_bound) struct model_bound bound = { 0 };
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct str profile = text_of(member(parameters, "agentMachineProfileRef"));
    struct str provider = text_of(member(parameters, "providerRef"));
    struct str compensates = text_of(member(work_command(work), "compensatesRef"));
    int64_t revision;
    int r = model_bound_read(work->plane, profile, &bound, err);
    struct str binding = model_bound_find(&bound, provider);
    if (r < 0)
        return r;
    if (!binding.len || (compensates.len && !str_equal(urn_local(binding), urn_local(compensates))))
        return err_set(err, ERR_NOT_FOUND, STEP_UNBIND,
                       "%.*s is not bound so to %.*s; see `agent-machine model list`",
                       STR_ARG(provider), STR_ARG(profile));
    r = effect_stored(work, binding, &doc, &revision, err);
    if (r == 0)
        return err_set(err, ERR_DAMAGED, STEP_UNBIND, "the ledger has lost %.*s", STR_ARG(binding));
    if (r > 0)
        r = write_unbind(work, id, yyjson_doc_get_root(doc), &json, err);
    if (r == 0)
        r = model_bound_put(work->batch, profile, &bound, provider, STR(""), err);
    return r < 0 ? r
                 : effect_store(work, MODEL_BINDING_TYPE, str_from(id), buf_str(&json), LEDGER_NEW,
                                ret, err);
}

/* --- both ---------------------------------------------------------------------------------- */

int effect_model_bind(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *before = NULL;
    const yyjson_val *parameters = at(work_command(work), "/parameters/modelProviderBind");
    bool unbinds = text_is(member(parameters, "action"), "unbind");
    char id[PLANE_URN_MAX];
    int64_t revision;
    struct err inner = { 0 };
    (void)context;
    urn_make("model-provider-binding", urn_local(work_operation(work)), id);
    int r = effect_stored(work, str_from(id), &before, &revision, &inner);
    if (r == 0)
        r = unbinds ? carry_out_unbind(work, id, parameters, ret, &inner)
                    : carry_out_bind(work, id, parameters, ret, &inner);
    if (r < 0)
        return effect_refuse(work, ret, &inner, err);
    ret->end = STATE_COMPLETED;
    return 0;
}

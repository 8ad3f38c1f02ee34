/*
 * effect_profile: agent_machine.profile.create.
 *
 * The command says kind, name, presets and digest; the effect writes the
 * profile of that kind anew and stores it, with the network profile to which
 * it refers, if it has that digest. A profile is written once: the same one
 * again is nothing new, and another one under its name is refused.
 */
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/profile_presets.h"
#include "plane/work.h"

#define STEP_PROFILE "create a profile"

static int digest_of(const struct buf *json, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json->error ? err_set(err, ERR_MEMORY, STEP_PROFILE, "there is not enough memory")
                        : json_read(buf_str(json), &json_limits_default, &doc, err);
    return r < 0 ? r : jcs_digest(yyjson_doc_get_root(doc), ret, err);
}

/* 1: this very document is there; 0: none is; ERR_CONFLICT: another one is. */
static int is_there(struct work *work, struct str urn, const char *digest, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char found[DIGEST_TEXT_SIZE];
    int r = effect_stored(work, urn, &doc, err);
    if (r <= 0)
        return r;
    r = jcs_digest(yyjson_doc_get_root(doc), found, err);
    if (r < 0)
        return r;
    if (strcmp(found, digest) != 0)
        return err_set(err, ERR_CONFLICT, STEP_PROFILE,
                       "there is another %.*s; give the new one another name", STR_ARG(urn));
    return 1;
}

static int read_presets(const yyjson_val *parameters, unsigned *ret, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    unsigned presets = 0;
    yyjson_arr_foreach(member(parameters, "presets"), index, count, item)
    {
        int preset = profile_preset_find(text_of(item));
        if (preset < 0)
            return err_set(err, ERR_NOT_FOUND, STEP_PROFILE, "there is no preset %.*s",
                           STR_ARG(text_of(item)));
        presets |= 1u << preset;
    }
    *ret = presets;
    return 0;
}

/* The network profile goes into the batch, with the event that binds it. */
static int put_network(struct work *work, const struct profile_kind *kind, struct str urn,
                       unsigned presets, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, extra = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char network[PLANE_URN_MAX], digest[DIGEST_TEXT_SIZE];
    profile_network_urn(urn, network);
    profile_write_network(&json, kind, urn, presets);
    int r = digest_of(&json, digest, err);
    if (r == 0)
        r = is_there(work, str_from(network), digest, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = json_read(buf_str(&json), &json_limits_default, &doc, err);
    if (r == 0)
        r = effect_check(work->plane, yyjson_doc_get_root(doc), "NetworkAccessProfile", err);
    if (r == 0)
        r = ledger_put_document(work->batch, STR("NetworkAccessProfile"), str_from(network),
                                work_operation(work), buf_str(&json), LEDGER_NEW, err);
    if (r < 0)
        return r;
    buf_add_text(&extra, ",\"documents\":[{\"documentRef\":");
    json_add_string(&extra, str_from(network));
    buf_addf(&extra, ",\"digest\":\"%s\"}]", digest);
    return work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

static int create(struct work *work, struct effect_result *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    const yyjson_val *parameters = at(work_command(work), "/parameters/profileCreate");
    const struct profile_kind *kind = profile_kind_find(text_of(member(parameters, "profileKind")));
    struct str urn = text_of(member(parameters, "profileRef"));
    char digest[DIGEST_TEXT_SIZE];
    unsigned presets = 0;
    if (!text_is(member(parameters, "store"), "user"))
        return err_set(err, ERR_UNSUPPORTED, STEP_PROFILE,
                       "an enterprise's profiles are put in place by whoever manages the machine");
    if (!kind || urn.len >= PLANE_URN_MAX)
        return err_set(err, ERR_NOT_FOUND, STEP_PROFILE, "there is no such kind or name");
    int r = read_presets(parameters, &presets, err);
    profile_write(&json, kind, urn);
    if (r == 0)
        r = digest_of(&json, digest, err);
    if (r < 0)
        return r;
    if (!text_is(member(parameters, "profileDigest"), digest))
        return err_set(err, ERR_DOCUMENT, STEP_PROFILE,
                       "the profile of this kind and name has the digest %s", digest);
    r = is_there(work, urn, digest, err);
    if (r < 0)
        return r;
    int other = put_network(work, kind, urn, presets, err);
    if (other < 0 || r > 0)
        return other;
    return effect_store(work, "AgentMachineProfile", urn, buf_str(&json), ret, err);
}

int effect_profile_create(void *context, struct work *work, struct effect_result *ret,
                          struct err *err)
{
    struct err inner = { 0 };
    (void)context;
    if (create(work, ret, &inner) < 0)
        return effect_refuse(work, ret, &inner, err);
    ret->end = STATE_COMPLETED;
    return 0;
}

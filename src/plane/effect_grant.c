/*
 * effect_grant: agent_machine.tool_grant.apply and .revoke.
 *
 * Theory of operation. A grant is a record that is written once; to take it
 * back is to write another one that names it. A grant lasts no longer than the
 * delegation under which it is given, and has no tool that this one has not
 * (the gate has seen to that). Each tool is pinned: by the command, or by the
 * program of the tool's name that is found now. The record takes its name from
 * the operation, so that one which is carried out again finds what it wrote.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/sign.h"
#include "contract/rules.h"
#include "plane/asked.h"
#include "plane/grant.h"
#include "plane/work.h"

#define STEP_APPLY  "grant tools"
#define STEP_REVOKE "take a grant back"

static void add_text(struct buf *json, const char *name, struct str text)
{
    buf_addf(json, ",\"%s\":", name);
    json_add_string(json, text);
}

/* What both kinds of record begin with, up to the tools. */
static void begin_record(struct buf *json, const struct work *work, const char *id,
                         const char *action, struct str subject)
{
    const yyjson_val *command = work_command(work);
    char now[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms(), now);
    buf_addf(json, "{\"id\":\"%s\",\"type\":\"" GRANT_RECORD_TYPE "\",\"specVersion\":\"1.0.0\"",
             id);
    add_text(json, "action", str_from(action));
    add_text(json, "subjectRef", subject);
    add_text(json, "workspaceRef", text_of(member(command, "workspaceRef")));
    add_text(json, "actorRef", text_of(member(command, "actorRef")));
    add_text(json, "delegationRef", work_text(work, WORK_OPERATION, "delegationRef"));
    add_text(json, "operationRef", work_operation(work));
    add_text(json, "recordedAt", str_from(now));
}

static int check_record(const struct buf *json, const char *step, struct err *err)
{
    return json->error ? err_set(err, ERR_MEMORY, step, "there is not enough memory") : 0;
}

/* 1: the operation had written its record before it was interrupted. */
static int written_before(struct work *work, const char *id, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    return effect_stored(work, str_from(id), &doc, &revision, err);
}

/* --- apply --------------------------------------------------------------------------------- */

/* A grant ends, and not after the delegation under which it is given. */
static int check_end(struct work *work, struct str until, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t end;
    if (!clock_parse(until, &end))
        return err_set(err, ERR_DOCUMENT, STEP_APPLY, "%.*s is no time", STR_ARG(until));
    if (end <= clock_now_ms())
        return err_set(err, ERR_DOCUMENT, STEP_APPLY, "%.*s is over already", STR_ARG(until));
    int r = delegation_get(work->plane->ledger, work_text(work, WORK_OPERATION, "delegationRef"),
                           &doc, err);
    if (r < 0)
        return r;
    struct str above = text_of(member(yyjson_doc_get_root(doc), "expiresAt"));
    if (instant_compare(until, above) > 0)
        return err_set(err, ERR_DENIED, STEP_APPLY,
                       "the delegation ends at %.*s; grant no longer than that, or under one that "
                       "lasts longer",
                       STR_ARG(above));
    return 0;
}

/* A tool without a pin in the command: the program of its name. */
static int add_found_pin(struct buf *json, struct str tool, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    if (!str_starts(tool, STR("urn:srcos:agent-tool-surface:")))
        return err_set(err, ERR_UNSUPPORTED, STEP_APPLY,
                       "the version of %.*s cannot be found out here; give its pin", STR_ARG(tool));
    int r = grant_pin(urn_local(tool), digest, err);
    if (r == 0)
        buf_addf(json, "{\"kind\":\"executable\",\"digest\":\"%s\"}", digest);
    return r;
}

static int add_tools(struct buf *json, const yyjson_val *tools, struct err *err)
{
    static const char *const names[] = { "toolRef" };
    size_t index, count;
    yyjson_val *tool;
    buf_add_text(json, ",\"tools\":[");
    yyjson_arr_foreach((yyjson_val *)tools, index, count, tool)
    {
        const yyjson_val *pin = member(tool, "pin");
        struct str name = text_of(member(tool, "toolRef"));
        if (stands_earlier(tools, tool, names, ARRAY_LEN(names)))
            return err_set(err, ERR_DOCUMENT, STEP_APPLY, "%.*s is named twice", STR_ARG(name));
        buf_addf(json, "%s{\"toolRef\":", index ? "," : "");
        json_add_string(json, name);
        buf_add_text(json, ",\"pin\":");
        int r = pin ? 0 : add_found_pin(json, name, err);
        if (r < 0)
            return r;
        if (pin)
            json_add_value(json, pin, 0);
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
    return 0;
}

/* The decision of this attempt's gate: the last there is. */
static struct str last_decision(const struct work *work)
{
    yyjson_mut_val *decision,
        *list = yyjson_mut_obj_get(yyjson_mut_doc_get_root(work->records[WORK_OPERATION].doc),
                                   "gateDecisions");
    const char *found = "";
    size_t index, count;
    yyjson_mut_arr_foreach(list, index, count,
                           decision) if (yyjson_mut_equals_str(yyjson_mut_obj_get(decision, "gate"),
                                                               gate_names[GATE_TOOL_GRANT])) found =
        yyjson_mut_get_str(yyjson_mut_obj_get(decision, "policyDecisionRef"));
    return str_from(found);
}

static int apply_grant(struct work *work, const char *id, struct effect_result *ret,
                       struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    const yyjson_val *parameters = at(work_command(work), "/parameters/toolGrantApply");
    struct str until = text_of(member(parameters, "expiresAt"));
    struct str reason = text_of(member(work_command(work), "reason"));
    int r = check_end(work, until, err);
    if (r < 0)
        return r;
    begin_record(&json, work, id, "apply", text_of(member(parameters, "granteeRef")));
    add_text(&json, "policyDecisionRef", last_decision(work));
    add_text(&json, "expiresAt", until);
    if (reason.len)
        add_text(&json, "reason", reason);
    r = add_tools(&json, member(parameters, "tools"), err);
    buf_add_char(&json, '}');
    if (r == 0)
        r = check_record(&json, STEP_APPLY, err);
    return r < 0 ? r
                 : effect_store(work, GRANT_RECORD_TYPE, str_from(id), buf_str(&json), LEDGER_NEW,
                                ret, err);
}

/* --- revoke -------------------------------------------------------------------------------- */

/* The grant that the command names, which must be one of its workspace. */
static int read_grant(struct work *work, struct str id, yyjson_doc **ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    int r = effect_stored(work, id, &doc, &revision, err);
    if (r < 0)
        return r;
    const yyjson_val *grant = yyjson_doc_get_root(doc);
    if (!text_is(member(grant, "type"), GRANT_RECORD_TYPE) ||
        !text_is(member(grant, "action"), "apply"))
        return err_set(err, ERR_NOT_FOUND, STEP_REVOKE,
                       "there is no grant %.*s; see `agent-machine grant list`", STR_ARG(id));
    if (!str_equal(text_of(member(grant, "workspaceRef")),
                   text_of(member(work_command(work), "workspaceRef"))))
        return err_set(err, ERR_DENIED, STEP_REVOKE, "%.*s is of another workspace", STR_ARG(id));
    *ret = TAKE_PTR(doc);
    return 0;
}

/* Whether a tool of the grant is to be taken back: named, or none is, and still granted. */
static int is_wanted(struct work *work, const yyjson_val *grant, struct str tool,
                     const yyjson_val *only, struct err *err)
{
    _cleanup_(buf_release) struct buf key = BUF_INIT, value = BUF_INIT;
    struct err inner = { 0 };
    if (only && !array_has(only, tool))
        return 0;
    grant_key(&key, text_of(member(grant, "id")), tool);
    int r = key.error ? err_set(&inner, ERR_MEMORY, STEP_REVOKE, "there is not enough memory")
                      : ledger_get_key(work->plane->ledger, STR(GRANT_REVOCATION_SPACE),
                                       buf_str(&key), &value, &inner);
    if (r < 0 && r != -ENOENT && err)
        *err = inner;
    return r == -ENOENT ? 1 : r < 0 ? r : 0;
}

static int take_back(struct work *work, const yyjson_val *grant, const yyjson_val *tool,
                     const char *id, struct err *err)
{
    _cleanup_(buf_release) struct buf key = BUF_INIT;
    grant_key(&key, text_of(member(grant, "id")), text_of(member(tool, "toolRef")));
    return key.error ? err_set(err, ERR_MEMORY, STEP_REVOKE, "there is not enough memory")
                     : ledger_put_key(work->batch, STR(GRANT_REVOCATION_SPACE), buf_str(&key),
                                      str_from(id), err);
}

/* The tools as they were granted, with their names in the ledger; how many, or -errno. */
static int add_revoked(struct work *work, struct buf *json, const yyjson_val *grant,
                       const yyjson_val *only, const char *id, struct err *err)
{
    size_t index, count;
    yyjson_val *tool;
    int taken = 0;
    buf_add_text(json, ",\"tools\":[");
    yyjson_arr_foreach(member(grant, "tools"), index, count, tool)
    {
        int r = is_wanted(work, grant, text_of(member(tool, "toolRef")), only, err);
        if (r > 0) {
            if (taken++)
                buf_add_char(json, ',');
            json_add_value(json, tool, 0);
            r = take_back(work, grant, tool, id, err);
        }
        if (r < 0)
            return r;
    }
    buf_add_char(json, ']');
    return taken;
}

static int revoke_grant(struct work *work, const char *id, struct effect_result *ret,
                        struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    const yyjson_val *parameters = at(work_command(work), "/parameters/toolGrantRevoke");
    const yyjson_val *only = member(parameters, "toolRefs");
    struct str name = text_of(member(parameters, "toolGrantRecordRef"));
    struct str reason = text_of(member(work_command(work), "reason"));
    size_t index, count;
    yyjson_val *item;
    int r = read_grant(work, name, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *grant = yyjson_doc_get_root(doc);
    yyjson_arr_foreach(
        (yyjson_val *)only, index, count,
        item) if (!array_has_member(member(grant, "tools"), "toolRef",
                                    text_of(item))) return err_set(err, ERR_NOT_FOUND, STEP_REVOKE,
                                                                   "%.*s does not grant %.*s",
                                                                   STR_ARG(name),
                                                                   STR_ARG(text_of(item)));
    begin_record(&json, work, id, "revoke", text_of(member(grant, "subjectRef")));
    add_text(&json, "revokesRef", name);
    add_text(&json, "reason", reason.len ? reason : STR("No reason was given."));
    r = add_revoked(work, &json, grant, only, id, err);
    if (r == 0)
        return err_set(err, ERR_CONFLICT, STEP_REVOKE, "%.*s has been taken back already",
                       STR_ARG(name));
    buf_add_char(&json, '}');
    if (r > 0)
        r = check_record(&json, STEP_REVOKE, err);
    return r < 0 ? r
                 : effect_store(work, GRANT_RECORD_TYPE, str_from(id), buf_str(&json), LEDGER_NEW,
                                ret, err);
}

/* --- both ---------------------------------------------------------------------------------- */

typedef int grant_effect(struct work *work, const char *id, struct effect_result *ret,
                         struct err *err);

static int carry_out(struct work *work, grant_effect *effect, struct effect_result *ret,
                     struct err *err)
{
    char id[PLANE_URN_MAX];
    struct err inner = { 0 };
    urn_make("tool-grant-record", urn_local(work_operation(work)), id);
    int r = written_before(work, id, &inner);
    if (r == 0)
        r = effect(work, id, ret, &inner);
    if (r >= 0) {
        ret->end = STATE_COMPLETED;
        return 0;
    }
    return effect_refuse(work, ret, &inner, err);
}

int effect_tool_grant_apply(void *context, struct work *work, struct effect_result *ret,
                            struct err *err)
{
    (void)context;
    return carry_out(work, apply_grant, ret, err);
}

int effect_tool_grant_revoke(void *context, struct work *work, struct effect_result *ret,
                             struct err *err)
{
    (void)context;
    int r = carry_out(work, revoke_grant, ret, err);
    if (r == 0 && ret->end == STATE_COMPLETED)
        asked_ring(work->plane->options.state_folder, STR("")); /* whoever runs under it */
    return r;
}

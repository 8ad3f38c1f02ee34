/*
 * run_command: a run as a document, an OperationCommand. Of its arguments and variables it has what
 * the contracts let stand there: digests where they may be secrets, and names.
 */
#include "cmd/op.h"
#include "cmd/run_internal.h"
#include "cmd/run_refusal.h"
#include "contract/rules.h"

static void add_list(struct buf *json, const char *name, const char *const *items)
{
    buf_addf(json, ",\"%s\":[", name);
    for (size_t i = 0; items[i]; i++) {
        struct str item = str_from(items[i]);
        buf_add_text(json, i ? "," : "");
        json_add_string(json, str_make(item.ptr, str_index(item, '=', 0)));
    }
    buf_add_char(json, ']');
}

static void add_choices(struct buf *json, const struct running *run, const char *name, bool allow)
{
    const char *separator = "";
    for (size_t i = 0; i < run->given.choice_count; i++) {
        if (run->given.choices[i].allow != allow)
            continue;
        if (!separator[0])
            buf_addf(json, ",\"%s\":[", name);
        buf_add_text(json, separator);
        json_add_string(json, str_from(run->given.choices[i].destination));
        separator = ",";
    }
    buf_add_text(json, separator[0] ? "]" : "");
}

static int write_parameters(const struct running *run, struct buf *ret, struct err *err)
{
    const struct plan *plan = run->plan;
    bool alone = run->invocation->values[OPTION_ALONE];
    buf_add_text(ret, "{\"profileRef\":");
    json_add_string(ret, str_from(plan->profile_id));
    if (plan->surface) {
        buf_add_text(ret, ",\"toolSurfaceRef\":");
        json_add_string(ret, str_from(plan->surface));
    }
    buf_add_text(ret, ",\"executable\":");
    json_add_string(ret, str_from(plan->argv[0]));
    buf_add_text(ret, ",\"arguments\":");
    int r = plan_write_arguments(plan, ret, err);
    if (r < 0)
        return r;
    buf_add_text(ret, ",\"workingDirectory\":");
    json_add_string(ret, str_from(plan->directory));
    if (alone)
        buf_addf(ret, ",\"runtime\":\"%s\"", plan->image->runtime->name);
    else
        buf_addf(ret, ",\"minimumIsolationTier\":\"%s\"", tier_names[plan->minimum_tier]);
    if (plan->image) {
        buf_add_text(ret, ",\"image\":");
        run_image_write(&run->image, ret);
    }
    if (run->given.variables[0])
        add_list(ret, "environmentNames", run->given.variables);
    if (run->given.mounts.named[0])
        add_list(ret, "mountRefs", run->given.mounts.named);
    add_choices(ret, run, "allowDestinations", true);
    add_choices(ret, run, "denyDestinations", false);
    if (run->invocation->values[OPTION_DETACH])
        buf_add_text(ret, ",\"detached\":true");
    if (run->from.urn[0]) {
        buf_add_text(ret, ",\"continueChangeSetRef\":");
        json_add_string(ret, str_from(run->from.urn));
    }
    buf_add_char(ret, '}');
    return 0;
}

static int write_command(const struct running *run, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT, ceiling = BUF_INIT;
    const struct invocation *invocation = run->invocation;
    const char *key = invocation->values[OPTION_KEY], *reason = invocation->values[OPTION_REASON];
    const char *delegation =
        op_delegation(invocation->values[OPTION_DELEGATION], run->profile.root);
    char workspace[PLANE_URN_MAX], urn[PLANE_URN_MAX];
    if (run->submitted.len)
        return buf_add_str(ret, run->submitted) < 0
                   ? err_set(err, ERR_LIMIT, STEP_RUN, "the command is too long")
                   : 0;
    int r = write_parameters(run, &parameters, err);
    if (r == 0)
        r = run_workspace(run->facts.repository, workspace, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        buf_addf(&ceiling, "%s\"%s\":%lld", i ? "," : "{", dimension_names[i],
                 (long long)run->plan->limits.budget[i]);
    buf_add_char(&ceiling, '}');
    if (delegation)
        op_urn("delegation", delegation, urn);
    struct submission submission = {
        .type =
            invocation->values[OPTION_ALONE] ? OPERATION_CONTAINER_RUN : OPERATION_EXECUTION_START,
        .workspace = str_from(workspace),
        .parameters = buf_str(&parameters),
        .ceiling = buf_str(&ceiling),
        .delegation = delegation ? str_from(urn) : STR(""),
        .key = str_from(key ? key : ""),
        .reason = str_from(reason ? reason : ""),
    };
    if (!invocation->values[OPTION_RETRY])
        return plane_write_submit(&submission, ret, err);
    op_urn("workspace-operation", invocation->values[OPTION_RETRY], urn);
    return plane_write_retry_of(run->plane, str_from(urn), &submission, ret, err);
}

/* The run's name: the part of the command's id that its operation will have too, or has. */
static void name_run(struct running *run, struct str command)
{
    static const char before[] = "{\"id\":\"urn:srcos:operation-command:";
    const char *retried = run->invocation->values[OPTION_RETRY];
    char urn[PLANE_URN_MAX];
    if (run->name[0]) /* it stood in the command that was submitted */
        return;
    struct str rest = str_from_offset(command, strlen(before));
    struct str name = str_make(rest.ptr, str_index(rest, '"', 0));
    if (retried) {
        op_urn("workspace-operation", retried, urn);
        name = urn_local(str_from(urn));
    }
    snprintf(run->name, sizeof(run->name), "%.*s", STR_ARG(name));
}

int run_command_write(struct running *run, struct buf *ret, struct err *err)
{
    int r = write_command(run, ret, err);
    if (r == 0)
        name_run(run, buf_str(ret));
    return r;
}

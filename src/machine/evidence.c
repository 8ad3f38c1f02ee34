/* evidence: see the header. Members stand in the order of their schemas. */
#include "machine/evidence.h"

#include <sys/utsname.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#define STEP_EVIDENCE    "write a run's evidence"
#define OS_RELEASE_FILE  "/etc/os-release"
#define OS_RELEASE_BYTES ((size_t)16 << 10)

static void add_str(struct buf *ret, const char *name, struct str text)
{
    json_add_name(ret, name);
    json_add_string(ret, text);
}

static void add_text(struct buf *ret, const char *name, const char *text)
{
    add_str(ret, name, str_from(text));
}

static void add_count(struct buf *ret, const char *name, int64_t value)
{
    json_add_name(ret, name);
    buf_addf(ret, "%lld", (long long)value);
}

static void add_moment(struct buf *ret, const char *name, int64_t moment_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(moment_ms, text);
    add_text(ret, name, text);
}

static void begin_document(struct buf *ret, const char *id, const char *type)
{
    buf_add_char(ret, '{');
    add_text(ret, "id", id);
    add_text(ret, "type", type);
    add_text(ret, "specVersion", "1.0.0");
}

static int done(const struct buf *ret, struct err *err)
{
    return ret->error ? err_set(err, ERR_MEMORY, STEP_EVIDENCE, "there is not enough memory") : 0;
}

/* --- the fingerprint ----------------------------------------------------------------------- */

/* PRETTY_NAME of os-release, or the kernel's own name. */
static void add_system(struct buf *ret, const struct utsname *kernel)
{
    static const char key[] = "\nPRETTY_NAME=";
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(OS_RELEASE_BYTES);
    buf_add_char(&text, '\n');
    const char *at = file_read(OS_RELEASE_FILE, &text, NULL) < 0 ? NULL : strstr(text.data, key);
    if (!at) {
        add_text(ret, "operatingSystem", kernel->sysname);
        return;
    }
    at += strlen(key);
    at += *at == '"';
    add_str(ret, "operatingSystem", str_make(at, strcspn(at, "\"\n")));
}

static void add_host(struct buf *ret)
{
    struct utsname kernel;
    uname(&kernel);
    json_add_name(ret, "host");
    buf_add_char(ret, '{');
    add_text(ret, "adapter", "linux-native");
    add_text(ret, "architecture", kernel.machine);
    add_system(ret, &kernel);
    add_text(ret, "kernel", kernel.release);
    buf_add_char(ret, '}');
}

static void add_isolation(struct buf *ret, const struct evidence *evidence)
{
    const struct plan *plan = evidence->plan;
    json_add_name(ret, "isolation");
    buf_add_char(ret, '{');
    add_text(ret, "tier", tier_names[evidence->report->tier]);
    add_text(ret, "minimumTier", tier_names[plan->minimum_tier]);
    add_count(ret, "landlockAbi", evidence->report->landlock_abi);
    add_text(ret, "supplementaryGroups",
             plan->has_groups ? "kept"
             : plan->as_root  ? "dropped"
                              : "none");
    json_add_name(ret, "limits");
    buf_add_char(ret, '[');
    for (size_t i = 0; i < evidence->report->limit_count; i++) {
        const struct limit_row *row = &evidence->report->limits[i];
        buf_addf(ret, "%s{\"limit\":\"%s\",\"value\":%lld,\"mechanism\":\"%s\"", i ? "," : "",
                 limit_name(row->limit), (long long)row->value,
                 limit_mechanism_name(row->mechanism));
        if (row->mechanism == LIMIT_BY_METERING)
            add_count(ret, "largestOvershoot", row->largest_overshoot);
        buf_add_char(ret, '}');
    }
    buf_add_text(ret, "]}");
}

static void add_container(struct buf *ret, const struct plan *plan)
{
    const struct plan_image *image = plan->image;
    json_add_name(ret, "container");
    if (image) {
        buf_addf(ret, "{\"runtime\":\"%s\",\"runtimeVersion\":\"%s\",", image->runtime->name,
                 image->runtime_version);
        buf_add_text(ret, "\"rootFilesystem\":\"oci-image\",\"image\":");
        plan_write_image(image, ret);
    } else {
        buf_add_text(ret, "{\"runtime\":\"none\",\"rootFilesystem\":\"host-view\"");
    }
    buf_addf(ret, ",\"userMapping\":\"%s\",\"seccompProfile\":\"%s\",\"capabilities\":[]}",
             plan->inside_uid == 0 ? "mapped-root" : "keep-id",
             plan->no_sockets ? "no-sockets" : "default");
}

static void add_mounts(struct buf *ret, const struct evidence *evidence)
{
    json_add_name(ret, "mounts");
    buf_add_char(ret, '[');
    for (size_t i = 0; i < evidence->plan->mount_count; i++) {
        const struct plan_mount *mount = &evidence->plan->mounts[i];
        const struct mask_list *masks = launch_masks(evidence->launch, i);
        buf_add_text(ret, i ? ",{" : "{");
        if (mount->ref)
            add_text(ret, "mountRef", mount->ref);
        add_text(ret, "hostPath", mount->host_path);
        add_text(ret, "agentPath", mount->agent_path);
        add_text(ret, "semantics", semantics_names[mount->semantics]);
        json_add_name(ret, "secretsProhibited");
        buf_add_text(ret, mount->secrets_prohibited ? "true" : "false");
        if (mount->secrets_prohibited) {
            json_add_name(ret, "maskedCounts");
            if (masks)
                mask_write_counts(masks, ret);
            else
                buf_add_text(ret, "[]");
        }
        const struct launch_copied *copied = launch_copied(evidence->launch, i);
        if (copied) {
            add_text(ret, "stagedBy", copied->what.shared ? "reflink" : "copy");
            add_text(ret, "stagedReason", copied->reason);
        }
        if (mount->include || mount->exclude)
            add_count(ret, "excludedCount", masks ? (int64_t)masks->excluded : 0);
        buf_add_char(ret, '}');
    }
    buf_add_char(ret, ']');
}

static void add_probes(struct buf *ret, const struct launch_report *report)
{
    json_add_name(ret, "probes");
    buf_add_char(ret, '[');
    for (size_t i = 0; i < PROBE_COUNT; i++) {
        const struct probe_result *probe = &report->probes[i];
        buf_addf(ret, "%s{\"probe\":\"%s\",\"outcome\":\"%s\"", i ? "," : "",
                 probe_name((enum probe)i), probe_outcome_name(probe->outcome));
        if (probe->detail[0])
            add_text(ret, "detail", probe->detail);
        buf_add_char(ret, '}');
    }
    buf_add_char(ret, ']');
}

static void add_amounts(struct buf *ret, const char *name, const int64_t amounts[DIMENSION_COUNT])
{
    json_add_name(ret, name);
    buf_add_char(ret, '{');
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        add_count(ret, dimension_names[i], amounts[i]);
    buf_add_char(ret, '}');
}

/* The last part of a command's path. */
static const char *tool_name(const struct plan *plan)
{
    const char *slash = strrchr(plan->argv[0], '/');
    return slash && slash[1] ? slash + 1 : plan->argv[0];
}

int evidence_write_fingerprint(const struct evidence *evidence, struct buf *ret, struct err *err)
{
    const struct plan *plan = evidence->plan;
    begin_document(ret, evidence->fingerprint, "AgentMachineFingerprint");
    add_moment(ret, "takenAt", clock_now_ms());
    add_text(ret, "profileRef", plan->profile_id);
    add_text(ret, "profileDigest", evidence->profile_digest);
    add_str(ret, "operationRef", evidence->operation);
    add_str(ret, "taskRef", evidence->task);
    add_str(ret, "delegationRef", evidence->delegation);
    add_text(ret, "previousEventDigest", evidence->previous_event);
    add_text(ret, "planDigest", evidence->plan_digest);
    buf_addf(ret, ",\"program\":{\"version\":\"%s\",\"digest\":\"%s\"}", AM_VERSION,
             evidence->program_digest);
    json_add_name(ret, "launch");
    if (evidence->report->escaped)
        buf_addf(ret, "{\"outcome\":\"stopped\",\"reason\":\"The probe %s escaped.\"}",
                 evidence->report->escaped);
    else
        buf_add_text(ret, "{\"outcome\":\"proceed\"}");
    add_isolation(ret, evidence);
    add_host(ret);
    buf_add_text(ret, ",\"machine\":{\"provider\":\"none\"}");
    add_container(ret, plan);
    if (evidence->repository) {
        json_add_name(ret, "repository");
        git_state_write(evidence->repository, ret);
    }
    add_mounts(ret, evidence);
    buf_addf(ret, ",\"policy\":{\"digest\":\"%s\",\"layers\":%.*s}", evidence->policy_digest,
             STR_ARG(evidence->policy_layers));
    json_add_name(ret, "tools");
    buf_add_char(ret, '[');
    if (evidence->command_digest[0]) {
        buf_add_char(ret, '{');
        if (plan->surface)
            add_text(ret, "toolSurfaceRef", plan->surface);
        add_text(ret, "name", tool_name(plan));
        add_text(ret, "digest", evidence->command_digest);
        buf_add_char(ret, '}');
    }
    buf_addf(ret, "],\"openDoors\":[%s]",
             evidence->report->tier == TIER_PROCESS ? "" : "\"network\",\"model\"");
    add_probes(ret, evidence->report);
    add_str(ret, "budgetRef", evidence->budget);
    add_amounts(ret, "budget", plan->limits.budget);
    buf_add_char(ret, '}');
    return done(ret, err);
}

/* --- the execution ------------------------------------------------------------------------- */

static void add_failure(struct buf *ret, const struct err *failure)
{
    json_add_name(ret, "failure");
    buf_addf(ret, "{\"code\":\"%s\",\"message\":", err_id(failure->code));
    json_add_string(ret, str_from(failure->cause));
    buf_add_char(ret, '}');
}

static void add_exit(struct buf *ret, const struct evidence *evidence,
                     const struct run_result *result)
{
    static const char *const reasons[] = {
        [RUN_EXITED] = "exited",
        [RUN_SIGNALED] = "signaled",
        [RUN_EXHAUSTED] = "budget-exhausted",
        [RUN_CANCELLED] = "cancelled",
        [RUN_REFUSED] = "refused",
        [RUN_LOST] = "lost",
    };
    json_add_name(ret, "exit");
    buf_addf(ret, "{\"reason\":\"%s\"", reasons[result->end]);
    if (result->end != RUN_LOST)
        add_count(ret, "status", result->status);
    if (result->end == RUN_SIGNALED)
        add_count(ret, "signal", result->signal);
    if (result->end == RUN_EXHAUSTED) {
        buf_addf(ret, ",\"exhaustion\":{\"dimension\":\"%s\"", dimension_names[result->dimension]);
        add_str(ret, "budgetRef", evidence->budget);
        add_moment(ret, "at", result->ended_ms);
        buf_add_char(ret, '}');
    }
    if (result->end == RUN_REFUSED)
        add_failure(ret, &result->err);
    buf_add_char(ret, '}');
}

static void add_output(struct buf *ret, const struct run_result *result)
{
    const struct run_log_end *log = &result->log;
    json_add_name(ret, "output");
    buf_addf(ret, "{\"bytes\":%lld", (long long)result->output_bytes);
    if (log->kept)
        add_text(ret, "digest", log->digest);
    buf_addf(ret, ",\"truncated\":%s",
             result->output_truncated || log->truncated ? "true" : "false");
    json_add_name(ret, "redactions");
    buf_add_char(ret, '{');
    for (enum redact_kind kind = 0; kind < REDACT_KIND_COUNT; kind++)
        if (log->masked[kind])
            add_count(ret, redact_kind_name(kind), (int64_t)log->masked[kind]);
    buf_add_text(ret, "}}");
}

/* What passed the doors, and what it left in the mounts. */
static void add_reach(struct buf *ret, const struct evidence *evidence)
{
    if (evidence->network.len) {
        json_add_name(ret, "network");
        buf_add_str(ret, evidence->network);
    }
    json_add_name(ret, "promptEgress");
    buf_add_str(ret, evidence->prompt_egress.len
                         ? evidence->prompt_egress
                         : STR("{\"bytes\":0,\"calls\":0,\"destinations\":[]}"));
    json_add_name(ret, "denials");
    buf_addf(ret, "[%.*s]", STR_ARG(evidence->denials));
    if (evidence->written.len) {
        json_add_name(ret, "writtenMounts");
        buf_addf(ret, "[%.*s]", STR_ARG(evidence->written));
    }
    if (evidence->change_set.len) {
        json_add_name(ret, "changeSet");
        buf_add_str(ret, evidence->change_set);
    }
}

int evidence_write_execution(const struct evidence *evidence, const struct run_result *result,
                             const int64_t usage[DIMENSION_COUNT], struct buf *ret, struct err *err)
{
    const struct plan *plan = evidence->plan;
    begin_document(ret, evidence->execution, "LocalAgentExecution");
    add_str(ret, "operationRef", evidence->operation);
    add_str(ret, "taskRef", evidence->task);
    add_str(ret, "subjectRef", evidence->subject);
    add_str(ret, "delegationRef", evidence->delegation);
    add_text(ret, "profileRef", plan->profile_id);
    if (plan->surface)
        add_text(ret, "toolSurfaceRef", plan->surface);
    add_text(ret, "fingerprintRef", evidence->fingerprint);
    add_text(ret, "isolationTier", tier_names[evidence->report->tier]);
    add_text(ret, "planDigest", evidence->plan_digest);
    add_text(ret, "policyDigest", evidence->policy_digest);
    json_add_name(ret, "command");
    buf_add_char(ret, '{');
    add_text(ret, "executable", plan->argv[0]);
    if (evidence->command_digest[0])
        add_text(ret, "executableDigest", evidence->command_digest);
    json_add_name(ret, "arguments");
    int r = plan_write_arguments(plan, ret, err);
    if (r < 0)
        return r;
    buf_add_char(ret, '}');
    add_moment(ret, "startedAt", result->started_ms ? result->started_ms : result->ended_ms);
    add_moment(ret, "endedAt", result->ended_ms);
    add_exit(ret, evidence, result);
    add_amounts(ret, "usage", usage);
    add_reach(ret, evidence);
    if (result->output_bytes)
        add_output(ret, result);
    if (evidence->container)
        add_text(ret, "containerExecutionRecordRef", evidence->container);
    buf_add_char(ret, '}');
    return done(ret, err);
}

/* --- the container ------------------------------------------------------------------------- */

static void add_runtime(struct buf *ret, const struct plan *plan)
{
    const struct plan_image *image = plan->image;
    buf_addf(ret,
             ",\"runtime\":{\"name\":\"%s\",\"version\":\"%s\",\"digest\":\"%s\",\"rootless\":%s}",
             image->runtime->name, image->runtime_version, image->runtime_digest,
             plan->as_root ? "false" : "true");
}

static void add_image(struct buf *ret, const struct evidence *evidence)
{
    const struct plan_image *image = evidence->plan->image;
    json_add_name(ret, "image");
    plan_write_image(image, ret);
    buf_addf(ret, ",\"pinned\":%s", image->pinned ? "true" : "false");
    if (!image->pinned) {
        buf_add_text(ret, ",\"unpinnedAllowedBy\":{");
        add_text(ret, "layer", evidence->image_leave);
        add_text(ret, "ruleId", evidence->image_leave_rule);
        buf_add_char(ret, '}');
    }
    json_add_name(ret, "layerDigests");
    buf_add_char(ret, '[');
    for (size_t i = 0; image->layers[i]; i++)
        buf_addf(ret, "%s\"%s\"", i ? "," : "", image->layers[i]);
    buf_add_char(ret, ']');
}

int evidence_write_container(const struct evidence *evidence, const struct run_result *result,
                             const int64_t usage[DIMENSION_COUNT], struct buf *ret, struct err *err)
{
    const struct plan *plan = evidence->plan;
    char config[DIGEST_TEXT_SIZE];
    int r = digest_text(launch_config(evidence->launch), config, err);
    if (r < 0)
        return r;
    begin_document(ret, evidence->container, "ContainerExecutionRecord");
    add_str(ret, "operationRef", evidence->operation);
    add_str(ret, "taskRef", evidence->task);
    add_str(ret, "subjectRef", evidence->subject);
    add_str(ret, "delegationRef", evidence->delegation);
    add_text(ret, "profileRef", plan->profile_id);
    add_text(ret, evidence->alone ? "fingerprintRef" : "localAgentExecutionRef",
             evidence->alone ? evidence->fingerprint : evidence->execution);
    add_text(ret, "fingerprintDigest", evidence->fingerprint_digest);
    add_text(ret, "isolationTier", tier_names[evidence->report->tier]);
    add_image(ret, evidence);
    add_runtime(ret, plan);
    add_text(ret, "planDigest", evidence->plan_digest);
    add_text(ret, "configDigest", config);
    json_add_name(ret, "imageSettings");
    plan_write_image_settings(plan->image, ret);
    json_add_name(ret, "arguments");
    r = plan_write_arguments(plan, ret, err);
    if (r < 0)
        return r;
    add_moment(ret, "startedAt", result->started_ms ? result->started_ms : result->ended_ms);
    add_moment(ret, "endedAt", result->ended_ms);
    add_exit(ret, evidence, result);
    add_amounts(ret, "usage", usage);
    if (evidence->alone)
        add_reach(ret, evidence);
    buf_add_char(ret, '}');
    return done(ret, err);
}

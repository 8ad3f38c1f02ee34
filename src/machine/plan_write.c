/*
 * plan_write: a plan as a document.
 *
 * Of arguments and variables a document holds how many, how long and their
 * digest, and names; their text is the caller's, but for the arguments that a
 * tool surface declares safe.
 */
#include "base/digest.h"
#include "base/json.h"
#include "base/utf8.h"
#include "machine/plan.h"

#define STEP_WRITE     "write the plan"
#define SAFE_MAX       1000 /* as the schema has it */
#define SAFE_BYTES_MAX 4000

static void add_safe(struct buf *ret, const struct plan *plan)
{
    size_t shown = 0;
    for (size_t i = 1; plan->safe && plan->argv[i] && shown < SAFE_MAX; i++) {
        struct str text = str_from(plan->argv[i]);
        if (!plan->safe[i] || text.len > SAFE_BYTES_MAX || !utf8_valid(text))
            continue;
        buf_addf(ret, "%s{\"index\":%zu,\"text\":", shown++ ? "," : ",\"safe\":[", i - 1);
        json_add_string(ret, text);
        buf_add_char(ret, '}');
    }
    buf_add_text(ret, shown ? "]" : "");
}

int plan_write_arguments(const struct plan *plan, struct buf *ret, struct err *err)
{
    char *const *argv = plan->argv + 1;
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(2 * PLAN_ARGUMENT_BYTES);
    char digest[DIGEST_TEXT_SIZE];
    size_t count = 0;
    for (; argv[count]; count++)
        buf_add(&bytes, argv[count], strlen(argv[count]) + 1);
    if (bytes.error)
        return err_set(err, ERR_LIMIT, STEP_WRITE, "the arguments do not fit");
    int r = digest_text(buf_str(&bytes), digest, err);
    if (r < 0)
        return r;
    buf_addf(ret, "{\"count\":%zu,\"digest\":\"%s\",\"lengthBytes\":%zu", count, digest,
             bytes.len - count);
    add_safe(ret, plan);
    buf_add_char(ret, '}');
    return 0;
}

static void add_text(struct buf *ret, const char *name, const char *text)
{
    json_add_name(ret, name);
    json_add_string(ret, str_from(text));
}

static void add_texts(struct buf *ret, const char *name, const char *const *texts)
{
    if (!texts)
        return;
    json_add_name(ret, name);
    buf_add_char(ret, '[');
    for (size_t i = 0; texts[i]; i++) {
        buf_add_text(ret, i ? "," : "");
        json_add_string(ret, str_from(texts[i]));
    }
    buf_add_char(ret, ']');
}

static void add_mounts(struct buf *ret, const struct plan *plan)
{
    buf_add_text(ret, ",\"mounts\":[");
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct plan_mount *mount = &plan->mounts[i];
        buf_add_text(ret, i ? ",{" : "{");
        if (mount->ref)
            add_text(ret, "mountRef", mount->ref);
        add_text(ret, "hostPath", mount->host_path);
        add_text(ret, "agentPath", mount->agent_path);
        add_text(ret, "semantics", semantics_names[mount->semantics]);
        buf_addf(ret, ",\"secretsProhibited\":%s", mount->secrets_prohibited ? "true" : "false");
        add_texts(ret, "includePatterns", mount->include);
        add_texts(ret, "excludePatterns", mount->exclude);
        buf_add_char(ret, '}');
    }
    buf_add_char(ret, ']');
}

static void add_variables(struct buf *ret, const struct plan *plan)
{
    buf_add_text(ret, ",\"environmentNames\":[");
    for (size_t i = 0; plan->environment[i]; i++) {
        struct str variable = str_from(plan->environment[i]);
        buf_add_text(ret, i ? "," : "");
        json_add_string(ret, str_make(variable.ptr, str_index(variable, '=', 0)));
    }
    buf_add_char(ret, ']');
}

static void add_limits(struct buf *ret, const struct plan_limits *limits)
{
    buf_addf(ret, ",\"limits\":{\"processes\":%lld,\"openFiles\":%lld,\"outputBytes\":%lld}",
             (long long)limits->processes, (long long)limits->open_files,
             (long long)limits->output_bytes);
    buf_add_text(ret, ",\"budget\":{");
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        buf_addf(ret, "%s\"%s\":%lld", i ? "," : "", dimension_names[i],
                 (long long)limits->budget[i]);
    buf_add_char(ret, '}');
}

static int add_authorities(struct buf *ret, const struct plan *plan, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = plan->certificates ? digest_text(str_from(plan->certificates), digest, err) : 0;
    if (r < 0 || !plan->certificates)
        return r;
    add_texts(ret, "authorities", (const char *const *)plan->authorities);
    add_text(ret, "authoritiesDigest", digest);
    return 0;
}

void plan_write_image(const struct plan_image *image, struct buf *ret)
{
    buf_add_char(ret, '{');
    add_text(ret, "reference", image->reference);
    add_text(ret, "source", image_source_names[image->source]);
    add_text(ret, "digest", image->digest);
    buf_add_char(ret, '}');
}

void plan_write_image_settings(const struct plan_image *image, struct buf *ret)
{
    buf_add_char(ret, '[');
    for (size_t i = 0; i < IMAGE_SETTING_COUNT; i++) {
        const char *reason = image->settings[i].reason;
        if (!image->settings[i].asked)
            continue;
        buf_addf(ret, "%s{\"setting\":\"%s\",\"honoured\":%s",
                 ret->data[ret->len - 1] == '[' ? "" : ",", image_setting_names[i],
                 reason ? "false" : "true");
        if (reason)
            add_text(ret, "reason", reason);
        buf_add_char(ret, '}');
    }
    buf_add_char(ret, ']');
}

static void add_image(struct buf *ret, const struct plan_image *image)
{
    json_add_name(ret, "image");
    plan_write_image(image, ret);
    buf_addf(ret, ",\"pinned\":%s", image->pinned ? "true" : "false");
    add_texts(ret, "layerDigests", (const char *const *)image->layers);
    json_add_name(ret, "runtime");
    buf_addf(ret, "{\"name\":\"%s\",\"version\":\"%s\",\"digest\":\"%s\"}", image->runtime->name,
             image->runtime_version, image->runtime_digest);
    json_add_name(ret, "imageSettings");
    plan_write_image_settings(image, ret);
}

int plan_write(const struct plan *plan, struct buf *ret, struct err *err)
{
    buf_add_char(ret, '{');
    add_text(ret, "profileRef", plan->profile_id);
    if (plan->surface)
        add_text(ret, "toolSurfaceRef", plan->surface);
    add_text(ret, "isolationTier", tier_names[plan->tier]);
    add_text(ret, "minimumIsolationTier", tier_names[plan->minimum_tier]);
    if (plan->image)
        add_image(ret, plan->image);
    add_text(ret, "executable", plan->argv[0]);
    buf_add_text(ret, ",\"arguments\":");
    int r = plan_write_arguments(plan, ret, err);
    if (r < 0)
        return r;
    add_text(ret, "workingDirectory", plan->directory);
    if (plan->tier != TIER_PROCESS) /* there it is a folder of the run's own */
        add_text(ret, "home", plan->home);
    add_text(ret, "user", plan->user);
    buf_addf(ret, ",\"userId\":%lld,\"groupId\":%lld", (long long)plan->inside_uid,
             (long long)plan->inside_gid);
    add_text(ret, "seccompProfile", plan->no_sockets ? "no-sockets" : "default");
    add_text(ret, "network", plan->tier == TIER_PROCESS ? "none" : "door");
    r = add_authorities(ret, plan, err);
    if (r < 0)
        return r;
    add_mounts(ret, plan);
    add_variables(ret, plan);
    add_limits(ret, &plan->limits);
    buf_addf(ret, ",\"terminal\":%s,\"retainOutput\":%s,\"receipt\":%s}",
             plan->terminal ? "true" : "false", plan->retain_output ? "true" : "false",
             plan->receipt ? "true" : "false");
    return ret->error ? err_set(err, ERR_LIMIT, STEP_WRITE, "the plan does not fit") : 0;
}

/*
 * effect_diagnostics: agent_machine.diagnostics.export_redacted.
 *
 * Theory of operation. The bundle is collected, masked and packed in memory
 * (diagnostics.c), written to the state folder for its owner alone, and its
 * manifest stored as the operation's artifact. Of a state that was exported
 * before, and whose bundle is still there, nothing new is made: the operation
 * gets the same bundle as its artifact, since it is the same bytes but for a
 * manifest that would say another operation. So two exports of one state are
 * equal to the last byte.
 *
 * The file is durable before the ledger says that it is stored. One that is
 * left without a manifest (a crash between both) is overwritten by nobody and
 * named by nothing; it holds nothing that a bundle does not.
 */
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/diagnostics.h"
#include "plane/work.h"

#define STEP "export diagnostics"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int64_t cpu_ms(void)
{
    struct rusage usage = { 0 };
    getrusage(RUSAGE_SELF, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* --- the manifest -------------------------------------------------------------------------- */

static int write_manifest(const struct work *work, const struct diagnostics *diagnostics,
                          const char *id, const char *digest, size_t bytes, struct buf *json,
                          struct err *err)
{
    const yyjson_val *about = at(work_command(work), "/parameters/diagnosticsExportRedacted/about");
    char now[CLOCK_TEXT_SIZE], rules[DIGEST_TEXT_SIZE];
    int r = diagnostics_rules_digest(rules, err);
    if (r < 0)
        return r;
    clock_text(clock_now_ms(), now);
    buf_addf(json, "{\"id\":\"%s\",\"type\":\"" DIAGNOSTICS_TYPE "\",\"specVersion\":\"1.0.0\"",
             id);
    json_add_text(json, "operationRef", work_operation(work));
    json_add_text(json, "subjectRef", str_from(diagnostics->subject));
    json_add_text(json, "delegationRef", work_text(work, WORK_OPERATION, "delegationRef"));
    if (about) {
        json_add_name(json, "aboutRefs");
        json_add_value(json, about, 0);
    }
    json_add_text(json, "createdAt", str_from(now));
    json_add_text(json, "programVersion", STR(AM_VERSION));
    buf_addf(json,
             ",\"format\":\"tar.zst\",\"bundleDigest\":\"%s\",\"bundleBytes\":%zu,"
             "\"maxBytes\":%zu,\"policyDigest\":\"%s\"",
             digest, bytes, diagnostics->max_bytes, diagnostics->policy_digest);
    r = bundle_write_contents(diagnostics->bundle, json, err);
    buf_addf(json, ",\"scanner\":{\"version\":\"" AM_VERSION "\",\"rulesDigest\":\"%s\"}}", rules);
    return r < 0 ? r : json->error ? no_memory(err) : 0;
}

/* What says of a manifest that it is about these very bytes. */
struct earlier {
    struct plane *plane;
    const char *digest;
    size_t max_bytes;
    const yyjson_val *about;
    struct str subject;
    char id[PLANE_URN_MAX]; /* empty: none was found */
    char manifest_digest[DIGEST_TEXT_SIZE];
};

static bool is_same(const struct earlier *earlier, const yyjson_val *manifest)
{
    yyjson_val *about = member(manifest, "aboutRefs");
    bool about_is_same = about
                             ? earlier->about && yyjson_equals(about, (yyjson_val *)earlier->about)
                             : !earlier->about;
    return about_is_same && text_is(member(manifest, "bundleDigest"), earlier->digest) &&
           text_is(member(manifest, "programVersion"), AM_VERSION) &&
           str_equal(text_of(member(manifest, "subjectRef")), earlier->subject) &&
           yyjson_get_uint(member(manifest, "maxBytes")) == earlier->max_bytes;
}

static int look_at_earlier(void *context, struct str id, struct str json, int64_t revision,
                           struct err *err)
{
    struct earlier *earlier = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char path[PLACE_SIZE];
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0 || id.len >= sizeof(earlier->id) || !is_same(earlier, yyjson_doc_get_root(doc)))
        return r;
    r = diagnostics_path(earlier->plane, id, path, sizeof(path), err);
    if (r < 0 || access(path, R_OK) < 0)
        return r;
    snprintf(earlier->id, sizeof(earlier->id), "%.*s", STR_ARG(id));
    r = jcs_digest(yyjson_doc_get_root(doc), earlier->manifest_digest, err);
    return r < 0 ? r : 1;
}

/* --- the file ------------------------------------------------------------------------------ */

static int write_all(int fd, struct str bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_file(struct plane *plane, const char *id, struct str manifest_frame,
                      struct str archive, struct err *err)
{
    char folder[PLACE_SIZE], path[PLACE_SIZE], partial[PLACE_SIZE + 8];
    int r = diagnostics_path(plane, str_from(id), path, sizeof(path), err);
    if (r < 0)
        return r;
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(partial, sizeof(partial), "%s.part", path);
    r = file_make_folder(folder, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_close) int fd =
        open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, STEP, "%s", partial);
    r = write_all(fd, manifest_frame);
    if (r == 0)
        r = write_all(fd, archive);
    if (r == 0 && (fsync(fd) < 0 || rename(partial, path) < 0))
        r = -errno;
    if (r < 0) {
        unlink(partial);
        return err_set_errno(err, -r, STEP, "%s", path);
    }
    return 0;
}

/* --- the effect ---------------------------------------------------------------------------- */

/* The same state was exported before: its bundle is this operation's too. */
static int name_earlier(struct work *work, const struct earlier *earlier, struct err *err)
{
    return effect_name(work, DIAGNOSTICS_TYPE, str_from(earlier->id), earlier->manifest_digest,
                       err);
}

static int store_new(struct work *work, const struct diagnostics *diagnostics, const char *digest,
                     struct str archive, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(BUNDLE_MANIFEST_BYTES_MAX);
    _cleanup_(buf_release) struct buf frame = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char id[PLANE_URN_MAX];
    urn_make(DIAGNOSTICS_URN, urn_local(work_operation(work)), id);
    int r = write_manifest(work, diagnostics, id, digest, archive.len, &json, err);
    if (r == 0)
        r = json_read(buf_str(&json), &json_limits_default, &doc, err);
    if (r == 0)
        r = plane_check_document(work->plane, yyjson_doc_get_root(doc), DIAGNOSTICS_TYPE, STEP,
                                 err);
    if (r == 0)
        r = bundle_pack_manifest(buf_str(&json), &frame, err);
    if (r == 0)
        r = budget_draw(work, DIMENSION_LOCAL_DISK_BYTES,
                        (int64_t)(archive.len + frame.len + json.len), err);
    if (r == 0)
        r = write_file(work->plane, id, buf_str(&frame), archive, err);
    return r < 0 ? r : effect_add(work, DIAGNOSTICS_TYPE, str_from(id), buf_str(&json), err);
}

static int export(struct work *work, struct diagnostics *diagnostics, struct err *err)
{
    _cleanup_(buf_release) struct buf archive = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = bundle_pack(diagnostics->bundle, &archive, digest, err);
    if (r < 0)
        return r;
    struct earlier earlier = {
        .plane = work->plane,
        .digest = digest,
        .max_bytes = diagnostics->max_bytes,
        .about = at(work_command(work), "/parameters/diagnosticsExportRedacted/about"),
        .subject = str_from(diagnostics->subject),
    };
    r = ledger_each_document(work->plane->ledger, STR(DIAGNOSTICS_TYPE), STR(""), look_at_earlier,
                             &earlier, err);
    if (r == 0)
        r = earlier.id[0] ? name_earlier(work, &earlier, err)
                          : store_new(work, diagnostics, digest, buf_str(&archive), err);
    return r < 0 ? r : work_commit(work, PLANE_STEP_STORED, err);
}

int effect_diagnostics_export(void *context, struct work *work, struct effect_result *ret,
                              struct err *err)
{
    const yyjson_val *parameters = at(work_command(work), "/parameters/diagnosticsExportRedacted");
    struct diagnostics diagnostics = { 0 };
    struct err inner = { 0 };
    int64_t begin = cpu_ms();
    (void)context;
    int r = diagnostics_open(work->plane, parameters, true,
                             work_text(work, WORK_OPERATION, "subjectRef"), &diagnostics, &inner);
    if (r == 0)
        r = export(work, &diagnostics, &inner);
    ret->used.of[DIMENSION_CPU_SECONDS] = (cpu_ms() - begin + 999) / 1000;
    ret->end = diagnostics.unresolved ? STATE_COMPLETED_WITH_WARNINGS : STATE_COMPLETED;
    if (diagnostics.unresolved)
        snprintf(ret->warning, sizeof(ret->warning),
                 "%zu of %zu secrets that references.yaml names could not be had, and were not "
                 "looked for",
                 diagnostics.unresolved, diagnostics.secrets);
    diagnostics_close(&diagnostics);
    return r < 0 ? effect_refuse(work, ret, &inner, err) : 0;
}

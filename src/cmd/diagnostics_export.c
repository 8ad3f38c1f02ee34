/* diagnostics_export: from options to the operation, and its bundle to where it was asked for. */
#include "cmd/diagnostics.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "machine/run_folder.h"
#include "machine/run_log.h"
#include "plane/diagnostics.h"
#include "plane/profile.h"

#define STEP "export diagnostics"

enum {
    EXPORT_OUTPUT,
    EXPORT_DRY_RUN,
    EXPORT_SINCE,
    EXPORT_FILE,
    EXPORT_LOG,
    EXPORT_MAX_SIZE,
    EXPORT_DELEGATION,
    EXPORT_KEY,
    EXPORT_REASON,
    EXPORT_JSON,
};

const struct option_row diagnostics_export_options[DIAGNOSTICS_EXPORT_OPTION_COUNT] = {
    [EXPORT_OUTPUT] = { "output", 'o', "FILE", "where to write it; - is standard output" },
    [EXPORT_DRY_RUN] = { "dry-run", 'n', NULL, "list what would be in it, and write nothing" },
    [EXPORT_SINCE] = { "since", 's', "TIME", "leave out older operations: 8h, 7d, or a timestamp" },
    [EXPORT_FILE] = { "file", 'f', "FILE", "include this file too, through the scanner" },
    [EXPORT_LOG] = { "log", 'l', "OPERATION", "include what this run printed" },
    [EXPORT_MAX_SIZE] = { "max-size", 0, "BYTES", "the largest size, before it is packed too" },
    [EXPORT_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [EXPORT_KEY] = { "key", 'k', "KEY", "the same key and command again do nothing" },
    [EXPORT_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [EXPORT_JSON] = { "json", 'j', NULL, "print the manifest as a JSON object" },
};

/* --- the command --------------------------------------------------------------------------- */

static void add_about(const struct invocation *invocation, struct buf *json)
{
    for (int i = 0; i < invocation->operand_count; i++) {
        char urn[PLANE_URN_MAX];
        op_urn("workspace-operation", invocation->operands[i], urn);
        buf_add_text(json, i ? "," : "\"about\":[");
        json_add_string(json, str_from(urn));
    }
    buf_add_text(json, invocation->operand_count ? "]" : "");
}

static int add_since(const char *text, struct buf *json, struct err *err)
{
    int64_t moment, duration;
    char since[CLOCK_TEXT_SIZE];
    if (clock_parse_duration(str_from(text), &duration))
        moment = clock_now_ms() - duration;
    else if (!clock_parse(str_from(text), &moment))
        return err_set(err, ERR_USAGE, STEP,
                       "--since takes a duration such as 8h, or a timestamp such as "
                       "2026-11-20T09:00:00Z");
    clock_text(moment, since);
    json_add_text(json, "sinceAt", str_from(since));
    return 0;
}

static int add_max(const char *text, struct buf *json, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long long bytes = strtoull(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || bytes == 0 || bytes > BUNDLE_BYTES_MAX)
        return err_set(err, ERR_USAGE, STEP, "--max-size takes bytes from 1 to %zu",
                       BUNDLE_BYTES_MAX);
    json_add_name(json, "maxBytes");
    buf_addf(json, "%llu", bytes);
    return 0;
}

static int add_path(const char *path, struct buf *json, struct err *err)
{
    _cleanup_(cleanup_free) char *whole = realpath(path, NULL);
    if (!whole)
        return err_set_errno(err, errno, STEP, "%s", path);
    buf_add_text(json, json->data[json->len - 1] == '[' ? "" : ",");
    json_add_string(json, str_from(whole));
    return 0;
}

/* The log of a run, by the run's name. */
static int add_log(const char *name, struct buf *json, struct err *err)
{
    char state[PLACE_SIZE], folder[RUN_FOLDER_SIZE], path[RUN_FOLDER_SIZE + 8], urn[PLANE_URN_MAX];
    op_urn("workspace-operation", name, urn);
    int r = place_state(state, sizeof(state), err);
    if (r < 0)
        return r;
    if (!run_folder_path(state, urn_local(str_from(urn)), folder))
        return err_set(err, ERR_NOT_FOUND, STEP, "%s is no run", name);
    snprintf(path, sizeof(path), "%s/" RUN_LOG_NAME, folder);
    if (access(path, R_OK) < 0)
        return err_set(err, ERR_NOT_FOUND, STEP, "the run %s left no log", name);
    return add_path(path, json, err);
}

static int add_named(const struct invocation *invocation, struct buf *json, struct err *err)
{
    int r = 0;
    size_t count = 0;
    for (size_t i = 0; r == 0 && i < invocation->given_count; i++) {
        size_t option = invocation->given[i].option;
        if (option != EXPORT_FILE && option != EXPORT_LOG)
            continue;
        if (count++ == 0) {
            json_add_name(json, "namedFiles");
            buf_add_char(json, '[');
        }
        r = option == EXPORT_LOG ? add_log(invocation->given[i].value, json, err)
                                 : add_path(invocation->given[i].value, json, err);
    }
    buf_add_text(json, count ? "]" : "");
    return r;
}

static int write_parameters(const struct invocation *invocation, struct buf *json, struct err *err)
{
    int r = 0;
    buf_add_char(json, '{');
    add_about(invocation, json);
    if (invocation->values[EXPORT_SINCE])
        r = add_since(invocation->values[EXPORT_SINCE], json, err);
    if (r == 0 && invocation->values[EXPORT_MAX_SIZE])
        r = add_max(invocation->values[EXPORT_MAX_SIZE], json, err);
    if (r == 0)
        r = add_named(invocation, json, err);
    buf_add_char(json, '}');
    return r == 0 && json->error ? err_set(err, ERR_LIMIT, STEP, "the command is too long") : r;
}

/* --- export -------------------------------------------------------------------------------- */

static int tell_contents(struct plane *plane, struct str parameters, bool as_json, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL, *contents = NULL;
    _cleanup_(buf_release) struct buf json = BUF_INIT, archive = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    struct diagnostics diagnostics = { 0 };
    int r = json_read(parameters, &json_limits_default, &doc, err);
    if (r == 0)
        r = diagnostics_open(plane, yyjson_doc_get_root(doc), false, STR("urn:srcos:user:you"),
                             &diagnostics, err);
    if (r < 0)
        return r;
    r = bundle_pack(diagnostics.bundle, &archive, digest, err);
    buf_add_text(&json, "{\"dryRun\":true");
    if (r == 0)
        r = bundle_write_contents(diagnostics.bundle, &json, err);
    buf_add_char(&json, '}');
    if (r == 0)
        r = json_read(buf_str(&json), &json_limits_default, &contents, err);
    if (r == 0 && as_json) {
        puts(json.data);
    } else if (r == 0) {
        diagnostics_print_files(yyjson_doc_get_root(contents));
        printf("%zu files, about %zu bytes packed; secrets of yours are looked for at the export\n",
               bundle_file_count(diagnostics.bundle), archive.len);
    }
    diagnostics_close(&diagnostics);
    return r;
}

/* The manifest that an operation has as its artifact. */
static int read_manifest(struct plane *plane, const char *operation, yyjson_doc **ret,
                         struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT, manifest = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    int r = ledger_get_document(plane_ledger(plane), str_from(operation), &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    struct str id = text_of(at(yyjson_doc_get_root(doc), "/artifacts/0/artifactRef"));
    r = ledger_get_document(plane_ledger(plane), id, &manifest, &revision, err);
    return r < 0 ? r : json_read(buf_str(&manifest), &json_limits_default, ret, err);
}

static int write_to(const char *path, struct str bytes, struct err *err)
{
    char partial[PLACE_SIZE];
    if (strcmp(path, "-") == 0)
        return fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len && fflush(stdout) == 0
                   ? 0
                   : err_set_errno(err, errno, STEP, "standard output");
    int len = snprintf(partial, sizeof(partial), "%s.part", path);
    if (len < 0 || (size_t)len >= sizeof(partial))
        return err_set(err, ERR_LIMIT, STEP, "the path is too long");
    FILE *file = NULL;
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !(file = fdopen(fd, "w")))
        return err_set_errno(err, errno, STEP, "%s", partial);
    bool written = fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len;
    written = fclose(file) == 0 && written && rename(partial, path) == 0;
    int error = errno;
    if (!written)
        unlink(partial);
    return written ? 0 : err_set_errno(err, error, STEP, "%s", path);
}

static int hand_out(const struct invocation *invocation, struct plane *plane,
                    const struct outcome *outcome, struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(2 * BUNDLE_BYTES_MAX);
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char kept[PLACE_SIZE], own[PLACE_SIZE];
    const char *path = invocation->values[EXPORT_OUTPUT];
    int r = read_manifest(plane, outcome->operation, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *manifest = yyjson_doc_get_root(doc);
    struct str id = text_of(member(manifest, "id"));
    snprintf(own, sizeof(own), "diagnostics-%.*s.tar.zst", STR_ARG(urn_local(id)));
    path = path ? path : own;
    r = diagnostics_path(plane, id, kept, sizeof(kept), err);
    if (r == 0)
        r = file_read(kept, &bytes, err);
    if (r == 0)
        r = write_to(path, buf_str(&bytes), err);
    if (r < 0 || strcmp(path, "-") == 0)
        return r;
    if (invocation->values[EXPORT_JSON]) {
        _cleanup_(buf_release) struct buf json = BUF_INIT;
        json_add_value(&json, manifest, 0);
        puts(json.data);
        return 0;
    }
    tell_text(stdout, path);
    printf(": %zu files, %zu bytes", yyjson_arr_size(member(manifest, "files")), bytes.len);
    diagnostics_print_removed(member(manifest, "redactions"), "\nremoved: ");
    putchar('\n');
    return 0;
}

static struct str value_of(const struct invocation *invocation, int option)
{
    return str_from(invocation->values[option] ? invocation->values[option] : "");
}

static int submit(const struct invocation *invocation, struct plane *plane, struct str parameters,
                  struct outcome *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf command = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    char delegation[PLANE_URN_MAX] = "";
    if (invocation->values[EXPORT_DELEGATION])
        op_urn("delegation", invocation->values[EXPORT_DELEGATION], delegation);
    struct submission submission = { .type = OPERATION_DIAGNOSTICS_EXPORT,
                                     .workspace = STR(PROFILE_WORKSPACE),
                                     .parameters = parameters,
                                     .delegation = str_from(delegation),
                                     .key = value_of(invocation, EXPORT_KEY),
                                     .reason = value_of(invocation, EXPORT_REASON) };
    int r = plane_write_submit(&submission, &command, err);
    return r < 0 ? r : plane_submit(plane, buf_str(&command), NULL, ret, err);
}

int run_diagnostics_export(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf parameters = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    bool is_dry = invocation->values[EXPORT_DRY_RUN];
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    int r = write_parameters(invocation, &parameters, &err);
    if (r < 0 && err.code == ERR_USAGE)
        return tell_usage(invocation->path, "%s", err.cause);
    if (r == 0)
        r = op_open(is_dry ? LEDGER_READ : LEDGER_CREATE, &plane, &err);
    if (r == 0 && is_dry)
        r = tell_contents(plane, buf_str(&parameters), invocation->values[EXPORT_JSON], &err);
    else if (r == 0)
        r = submit(invocation, plane, buf_str(&parameters), &outcome, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (is_dry)
        return EXIT_OK;
    if (outcome.failure.code)
        return tell_error(invocation, &outcome.failure);
    return hand_out(invocation, plane, &outcome, &err) < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

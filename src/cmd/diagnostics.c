/* diagnostics: what is in a bundle, and whether it is what its manifest says. */
#include "cmd/diagnostics.h"

#include "base/file.h"
#include "base/json.h"
#include "cmd/tell.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "contract/rules.h"
#include "contract/validate.h"
#include "plane/diagnostics.h"

#define STEP       "look into a bundle"
#define PATH_WIDTH 44

/* --- telling ------------------------------------------------------------------------------- */

void diagnostics_print_removed(yyjson_val *removed, const char *before)
{
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(removed, index, count, key, value)
    {
        printf("%s%llu ", index ? ", " : before, (unsigned long long)yyjson_get_uint(value));
        tell_text(stdout, yyjson_get_str(key));
    }
}

static void print_file(const char *path, unsigned long long bytes, const char *contents,
                       yyjson_val *removed)
{
    tell_text(stdout, path);
    size_t len = strlen(path);
    printf("%*s %9llu  %s", len < PATH_WIDTH ? (int)(PATH_WIDTH - len) : 0, "", bytes, contents);
    diagnostics_print_removed(removed, "; removed ");
    putchar('\n');
}

void diagnostics_print_files(const yyjson_val *manifest)
{
    size_t index, count;
    yyjson_val *file, *files = member(manifest, "files");
    yyjson_arr_foreach(files, index, count, file)
    {
        const char *path = yyjson_get_str(member(file, "path"));
        const char *contents = yyjson_get_str(member(file, "contents"));
        print_file(path ? path : "", yyjson_get_uint(member(file, "bytes")),
                   contents ? contents : "", member(file, "redactions"));
    }
}

/* --- inspect ------------------------------------------------------------------------------- */

enum { INSPECT_JSON };

static const struct option_row inspect_options[] = {
    [INSPECT_JSON] = { "json", 'j', NULL, "print the manifest as a JSON object" },
};

/* How a file of the archive stands to what the manifest says of it. */
static const char *judge(const struct bundle_view *view, const yyjson_val *file)
{
    struct str path = text_of(member(file, "path"));
    for (size_t i = 1; i < view->entry_count; i++) {
        const struct bundle_view_entry *entry = &view->entries[i];
        if (!str_equal(path, str_from(entry->path)))
            continue;
        return text_is(member(file, "digest"), entry->digest) &&
                       yyjson_get_uint(member(file, "bytes")) == entry->bytes
                   ? NULL
                   : "is otherwise than the manifest says";
    }
    return "is missing";
}

static size_t tell_faults(const struct bundle_view *view)
{
    const yyjson_val *manifest = yyjson_doc_get_root(view->manifest);
    yyjson_val *file, *files = member(manifest, "files");
    size_t index, count, faults = 0;
    if (!text_is(member(manifest, "bundleDigest"), view->archive_digest) ||
        yyjson_get_uint(member(manifest, "bundleBytes")) != view->archive_bytes) {
        fprintf(stderr, "the archive is otherwise than its manifest says\n");
        faults++;
    }
    yyjson_arr_foreach(files, index, count, file)
    {
        const char *path = yyjson_get_str(member(file, "path")), *fault = judge(view, file);
        if (!fault)
            continue;
        tell_text(stderr, path ? path : "a file");
        fprintf(stderr, " %s\n", fault);
        faults++;
    }
    if (yyjson_arr_size(files) + 1 != view->entry_count) {
        fprintf(stderr, "the archive has %zu files, and its manifest %zu\n", view->entry_count - 1,
                yyjson_arr_size(files));
        faults++;
    }
    return faults;
}

static void print_bundle(const struct bundle_view *view, size_t faults)
{
    static const char *const labels[][2] = { { "operation", "operationRef" },
                                             { "made", "createdAt" },
                                             { "by program", "programVersion" },
                                             { "digest", "bundleDigest" } };
    const yyjson_val *manifest = yyjson_doc_get_root(view->manifest);
    diagnostics_print_files(manifest);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        const char *text = yyjson_get_str(member(manifest, labels[i][1]));
        printf("%-11s ", labels[i][0]);
        tell_text(stdout, text ? text : "");
        putchar('\n');
    }
    diagnostics_print_removed(member(manifest, "redactions"), "removed     ");
    if (yyjson_obj_size(member(manifest, "redactions")))
        putchar('\n');
    puts(faults ? "NOT what its manifest says" : "every digest is as its manifest says");
}

/* It comes from anyone: it is held against its schema and rules before a word of it is shown. */
static int check_manifest(const yyjson_val *manifest, struct err *err)
{
    static const struct compile_options strict = { .assert_formats = true };
    const struct embedded_schema *schema = catalogue_find(STR(DIAGNOSTICS_TYPE));
    const struct program *program;
    struct catalogue *catalogue = NULL;
    int r = catalogue_new(&strict, &catalogue, err);
    if (r == 0)
        r = catalogue_program(catalogue, schema, &program, err);
    if (r == 0)
        r = explain_check(program, manifest, DIAGNOSTICS_TYPE, STEP, err);
    if (r == 0)
        r = lint_alone(manifest, schema, STEP, err);
    catalogue_free(catalogue);
    return r;
}

static int run_inspect(const struct invocation *invocation)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(2 * BUNDLE_BYTES_MAX);
    struct bundle_view view = { 0 };
    struct err err = { 0 };
    int r = file_read(invocation->operands[0], &bytes, &err);
    if (r == 0)
        r = bundle_open(buf_str(&bytes), &view, &err);
    if (r == 0)
        r = check_manifest(yyjson_doc_get_root(view.manifest), &err);
    if (r < 0) {
        bundle_close(&view);
        return tell_error(invocation, &err);
    }
    size_t faults = tell_faults(&view);
    if (invocation->values[INSPECT_JSON]) {
        _cleanup_(buf_release) struct buf json = BUF_INIT;
        json_add_value(&json, yyjson_doc_get_root(view.manifest), 0);
        puts(json.data);
    } else {
        print_bundle(&view, faults);
    }
    bundle_close(&view);
    return faults ? EXIT_NEGATIVE : EXIT_OK;
}

static const struct verb diagnostics_verbs[] = {
    {
        .name = "export",
        .operands = "[OPERATION…]",
        .operands_max = 1000,
        .summary = "Write a redacted bundle for whoever is to help",
        .description =
            "Writes a `.tar.zst` with versions, the host and its isolation tier, what the doctor "
            "finds, the policy in force (documents by digest, and rules), and the latest "
            "operations with their events; or those named. Everything passes the scanner, which "
            "also looks for the values behind your own secret references, in every likely form. "
            "Names of people and hosts become pseudonyms that stay the same on this "
            "installation. Words stay home: reasons, messages, arguments and prompts are left "
            "out, and so is what runs printed, unless --log or --file names it.\n\n"
            "The bundle is reproducible: of one state it has the same bytes. Its manifest (an "
            "AgentMachineDiagnosticBundle, kept in the ledger too) has every file's digest and "
            "what was removed from it, by kind. Exports themselves are not in it.",
        .options = diagnostics_export_options,
        .option_count = DIAGNOSTICS_EXPORT_OPTION_COUNT,
        .run = run_diagnostics_export,
    },
    {
        .name = "inspect",
        .operands = "FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "List a bundle, verify its digests, say what was removed",
        .description =
            "Looks into a bundle of anyone's without writing anything: links, devices, paths that "
            "lead elsewhere and archives that unpack to more than their limit are refused. The "
            "exit status is 0 where every digest is as the manifest says, 1 where one is not, and "
            "65 where it is no bundle.",
        .options = inspect_options,
        .option_count = ARRAY_LEN(inspect_options),
        .run = run_inspect,
    },
};

const struct verb verb_diagnostics = {
    .name = "diagnostics",
    .summary = "Export a redacted bundle, or look into one",
    .description = "Collects what this installation knows about itself into one redacted file, and "
                   "looks into such files.",
    .verbs = diagnostics_verbs,
    .verb_count = ARRAY_LEN(diagnostics_verbs),
};

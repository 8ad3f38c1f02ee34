/*
 * ps: the runs, and what each of them is.
 *
 * What runs is found by its Supervision document, so that it costs the same
 * however much ever ran. Mounts and tier are those of the fingerprint: what
 * was built, and not what was asked for.
 */
#include "base/clock.h"
#include "cmd/runs.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "plane/work.h"

enum { PS_JSON, PS_ALL };

static const struct option_row ps_options[] = {
    [PS_JSON] = { "json", 'j', NULL, "print a JSON object for each run" },
    [PS_ALL] = { "all", 'a', NULL, "also those that have ended" },
};

struct listing {
    struct plane *plane;
    bool json;
};

/* What is told of one run; roots are NULL where a document is not there yet. */
struct told {
    const yyjson_val *operation, *command, *fingerprint;
    struct str executable, tier;
    int64_t age_seconds;
};

/* An empty result where there is none. */
static yyjson_doc *read_document(struct plane *plane, struct str urn)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    struct err unknown;
    int64_t revision;
    if (!urn.len || ledger_get_document(plane_ledger(plane), urn, &text, &revision, &unknown) < 0 ||
        json_read(buf_str(&text), &json_limits_default, &doc, &unknown) < 0)
        return NULL;
    return doc;
}

/* --- for people ---------------------------------------------------------------------------- */

static void print_safe(struct str text)
{
    _cleanup_(buf_release) struct buf copy = BUF_INIT;
    buf_add_str(&copy, text);
    tell_text(stdout, copy.data);
}

static struct str last_part(struct str path)
{
    const char *slash = memrchr(path.ptr, '/', path.len);
    return slash ? str_from_offset(path, (size_t)(slash - path.ptr) + 1) : path;
}

static void print_run(const struct told *told)
{
    char age[TELL_AGE_SIZE];
    size_t index, count;
    yyjson_val *mount, *mounts = (yyjson_val *)member(told->fingerprint, "mounts");
    tell_age(told->age_seconds, age);
    printf("%-28.*s %-23.*s %4s %-10.*s ",
           STR_ARG(urn_local(text_of(member(told->operation, "id")))),
           STR_ARG(text_of(member(told->operation, "state"))), age, STR_ARG(told->tier));
    print_safe(last_part(told->executable));
    putchar('\n');
    if (!mounts)
        return;
    yyjson_arr_foreach(mounts, index, count, mount)
    {
        printf("    %-10.*s ", STR_ARG(text_of(member(mount, "semantics"))));
        print_safe(text_of(member(mount, "agentPath")));
        putchar('\n');
    }
}

/* --- for programs -------------------------------------------------------------------------- */

static void add(struct buf *out, const char *name, struct str text)
{
    if (!text.len)
        return;
    buf_addf(out, "%s\"%s\":", out->len ? "," : "{", name);
    json_add_string(out, text);
}

static int print_json(const struct told *told, struct err *err)
{
    static const char *const moments[] = { "createdAt", "startedAt", "endedAt" };
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    const yyjson_val *mounts = member(told->fingerprint, "mounts");
    add(&out, "operation", text_of(member(told->operation, "id")));
    add(&out, "state", text_of(member(told->operation, "state")));
    for (size_t i = 0; i < ARRAY_LEN(moments); i++)
        add(&out, moments[i], text_of(member(told->operation, moments[i])));
    add(&out, "executable", told->executable);
    add(&out, "isolationTier", told->tier);
    buf_addf(&out, ",\"ageSeconds\":%lld,\"detached\":%s", (long long)told->age_seconds,
             yyjson_is_true((yyjson_val *)member(runs_parameters(told->command), "detached"))
                 ? "true"
                 : "false");
    if (mounts) {
        buf_add_text(&out, ",\"mounts\":");
        json_add_value(&out, mounts, 0);
    }
    buf_add_char(&out, '}');
    if (out.error)
        return err_set(err, ERR_MEMORY, "list the runs", "there is not enough memory");
    puts(out.data);
    return 0;
}

/* --- the runs ------------------------------------------------------------------------------ */

static int64_t age_of(const yyjson_val *operation)
{
    int64_t began;
    if (!clock_parse(text_of(member(operation, "createdAt")), &began))
        return 0;
    int64_t age_ms = clock_now_ms() - began;
    return age_ms > 0 ? age_ms / 1000 : 0;
}

static int tell_run(const struct listing *listing, const yyjson_val *operation, struct err *err)
{
    char urn[PLANE_URN_MAX];
    urn_make("agent-machine-fingerprint", urn_local(text_of(member(operation, "id"))), urn);
    _cleanup_(cleanup_json_doc) yyjson_doc *command =
        read_document(listing->plane, text_of(member(operation, "commandRef")));
    _cleanup_(cleanup_json_doc) yyjson_doc *fingerprint =
        read_document(listing->plane, str_from(urn));
    struct told told = { .operation = operation,
                         .command = yyjson_doc_get_root(command),
                         .fingerprint = yyjson_doc_get_root(fingerprint),
                         .age_seconds = age_of(operation) };
    told.executable = text_of(member(runs_parameters(told.command), "executable"));
    told.tier = text_of(at(told.fingerprint, "/isolation/tier"));
    if (listing->json)
        return print_json(&told, err);
    print_run(&told);
    return 0;
}

static int tell_operation(void *context, struct str id, struct str json, int64_t revision,
                          struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    return r < 0 || !runs_is(root) ? r : tell_run(context, root, err);
}

static int tell_supervised(void *context, struct str id, struct str json, int64_t revision,
                           struct err *err)
{
    const struct listing *listing = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf operation = BUF_INIT;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r == 0)
        r = ledger_get_document(plane_ledger(listing->plane),
                                text_of(member(yyjson_doc_get_root(doc), "operationRef")),
                                &operation, &revision, err);
    return r < 0 ? r : tell_operation(context, id, buf_str(&operation), revision, err);
}

static int run_ps(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    bool all = invocation->values[PS_ALL];
    struct err err = { 0 };
    int r = runs_open(&plane, &err);
    if (r < 0 && err.code == ERR_NOT_FOUND)
        return EXIT_OK; /* where nothing ever ran */
    struct listing listing = { .plane = plane, .json = invocation->values[PS_JSON] };
    if (r == 0)
        r = ledger_each_document(plane_ledger(plane),
                                 all ? STR("WorkspaceOperation") : STR(SUPERVISION_OPEN), STR(""),
                                 all ? tell_operation : tell_supervised, &listing, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

const struct verb verb_ps = {
    .name = "ps",
    .summary = "List the runs",
    .description = "Prints each run's id, state, age, isolation tier and command, and below it its "
                   "mounts, oldest first.",
    .options = ps_options,
    .option_count = ARRAY_LEN(ps_options),
    .run = run_ps,
};

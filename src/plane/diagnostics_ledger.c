/*
 * diagnostics_ledger: operations and their events, from the latest back.
 *
 * Theory of operation. The ledger's operations are listed once. Those that are
 * named are taken, or the latest DIAGNOSTICS_OPERATIONS_MAX that are not older
 * than asked for; exports never, nor what was issued for one. Each becomes two
 * files: its documents and its events, both without words. What does not fit
 * any more is left out, and how many that are is said in operations.json.
 *
 * Of a command only what its operation has anyway: it is where people write.
 * Of what a run printed, its record has length and digest; the log itself goes
 * in only where somebody names it.
 */
#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/diagnostics.h"
#include "plane/work.h"

#define STEP "collect operations"

struct listed {
    char id[PLANE_URN_MAX];
};

struct listing {
    struct listed *items;
    size_t count, capacity;
    int64_t since_ms;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int list_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    struct listing *listing = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t created = 0;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    bool is_dated = clock_parse(text_of(member(root, "createdAt")), &created);
    if (text_is(member(root, "operationType"),
                operation_type_names[OPERATION_DIAGNOSTICS_EXPORT]) ||
        (is_dated && created < listing->since_ms) || id.len >= PLANE_URN_MAX)
        return 0;
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
        struct listed *items = realloc(listing->items, capacity * sizeof(*items));
        if (!items)
            return no_memory(err);
        listing->items = items;
        listing->capacity = capacity;
    }
    snprintf(listing->items[listing->count++].id, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

/* --- one operation ------------------------------------------------------------------------- */

struct documents {
    struct buf json;
    size_t count;
};

static int add_document(void *context, struct str id, struct str json, int64_t revision,
                        struct err *err)
{
    struct documents *documents = context;
    (void)id, (void)revision;
    buf_add_text(&documents->json, documents->count++ ? "," : "");
    buf_add_str(&documents->json, json);
    return documents->json.error ? no_memory(err) : 0;
}

static int add_documents(struct diagnostics *diagnostics, struct ledger *ledger, struct str id,
                         struct err *err)
{
    static const char *const types[] = {
        "WorkspaceOperation",
        "OperationTask",
        "PolicyDecision",
        "DecisionCard",
        "LocalAgentExecution",
        "ContainerExecutionRecord",
        "AgentMachineFingerprint",
        "ToolGrantRecord",
        "ModelProviderBinding",
        "DiagnosticStormRecord",
        "RuntimeRegistryIntegrityRecord",
    };
    struct documents documents = { .json = BUF_INIT };
    char path[BUNDLE_PATH_BYTES_MAX];
    int r = 0;
    buf_add_char(&documents.json, '[');
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(types); i++)
        r = ledger_each_document(ledger, str_from(types[i]), id, add_document, &documents, err);
    buf_add_char(&documents.json, ']');
    snprintf(path, sizeof(path), "operations/%.*s.json", STR_ARG(urn_local(id)));
    if (r == 0)
        r = diagnostics_add_text(diagnostics, BUNDLE_OPERATIONS, path, &documents.json, true, err);
    buf_release(&documents.json);
    return r;
}

static int add_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct buf *lines = context;
    (void)sequence;
    buf_add_str(lines, json);
    buf_add_char(lines, '\n');
    return lines->error ? no_memory(err) : 0;
}

static int add_events(struct diagnostics *diagnostics, struct ledger *ledger, struct str id,
                      struct err *err)
{
    _cleanup_(buf_release) struct buf lines = BUF_INIT;
    char path[BUNDLE_PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "events/%.*s.jsonl", STR_ARG(urn_local(id)));
    int r = ledger_each_event(ledger, 0, id, add_event, &lines, err);
    return r < 0 ? r
                 : bundle_add_lines(diagnostics->bundle, BUNDLE_EVENTS, path, buf_str(&lines), true,
                                    err);
}

/* 1 where it was taken in, 0 where it does not fit any more. */
static int add_operation(struct diagnostics *diagnostics, struct ledger *ledger, struct str id,
                         struct err *err)
{
    struct err inner = { 0 };
    int r = bundle_file_count(diagnostics->bundle) + 3 > BUNDLE_FILES_MAX
                ? err_set(&inner, ERR_LIMIT, STEP, "there are too many files")
                : add_documents(diagnostics, ledger, id, &inner);
    if (r == 0)
        r = add_events(diagnostics, ledger, id, &inner);
    if (r < 0 && inner.code == ERR_LIMIT)
        return 0;
    if (r < 0 && err)
        *err = inner;
    return r < 0 ? r : 1;
}

/* --- all of them --------------------------------------------------------------------------- */

static int add_about(struct diagnostics *diagnostics, struct ledger *ledger, yyjson_val *about,
                     size_t *taken, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < yyjson_arr_size(about); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        struct str id = text_of(yyjson_arr_get(about, i));
        int64_t revision;
        r = ledger_get_document(ledger, id, &text, &revision, err);
        if (r == -ENOENT)
            return err_set(err, ERR_NOT_FOUND, STEP, "there is no operation %.*s", STR_ARG(id));
        if (r == 0)
            r = add_operation(diagnostics, ledger, id, err);
        if (r == 0)
            return err_set(err, ERR_LIMIT, STEP, "%.*s does not fit into the bundle's %zu bytes",
                           STR_ARG(id), diagnostics->max_bytes);
        *taken += r > 0;
    }
    return r < 0 ? r : 0;
}

static int add_recent(struct diagnostics *diagnostics, struct ledger *ledger,
                      const yyjson_val *parameters, size_t *taken, struct err *err)
{
    struct listing listing = { .since_ms = INT64_MIN };
    struct str since = text_of(member(parameters, "sinceAt"));
    if (since.len && !clock_parse(since, &listing.since_ms))
        return err_set(err, ERR_DOCUMENT, STEP, "sinceAt is no moment");
    int r =
        ledger_each_document(ledger, STR("WorkspaceOperation"), STR(""), list_one, &listing, err);
    bool fits = true;
    for (size_t i = listing.count; r >= 0 && i-- > 0;) {
        if (fits && *taken < DIAGNOSTICS_OPERATIONS_MAX) {
            r = add_operation(diagnostics, ledger, str_from(listing.items[i].id), err);
            fits = r > 0;
            *taken += fits;
        }
    }
    diagnostics->left_out = listing.count - *taken;
    free(listing.items);
    return r < 0 ? r : 0;
}

int diagnostics_add_ledger(struct diagnostics *diagnostics, struct plane *plane,
                           const yyjson_val *parameters, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct ledger *ledger = plane_ledger(plane);
    yyjson_val *about = member(parameters, "about");
    size_t taken = 0;
    int r = about ? add_about(diagnostics, ledger, about, &taken, err)
                  : add_recent(diagnostics, ledger, parameters, &taken, err);
    if (r < 0)
        return r;
    buf_addf(&json, "{\"included\":%zu,\"leftOut\":%zu}", taken, diagnostics->left_out);
    return diagnostics_add_text(diagnostics, BUNDLE_OPERATIONS, "operations.json", &json, false,
                                err);
}

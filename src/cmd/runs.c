/* runs: see the header. */
#include "cmd/runs.h"

#include "contract/rules.h"
#include "contract/vocabulary.h"
#include "plane/operation_types.h"

#define STEP_RUNS "find a run"

bool runs_is(const yyjson_val *operation)
{
    int type = vocabulary_index(operation_type_names, OPERATION_TYPE_COUNT,
                                text_of(member(operation, "operationType")));
    return type >= 0 && operation_is_run((enum operation_type)type);
}

const yyjson_val *runs_parameters(const yyjson_val *command)
{
    const yyjson_val *parameters = member(command, "parameters");
    const yyjson_val *start = member(parameters, "executionStart");
    return start ? start : member(parameters, "containerRun");
}

struct search {
    struct str given;
    char (*urn)[PLANE_URN_MAX];
    size_t count;
};

/* The whole id wins over those that begin with it. */
static int match(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    struct search *search = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct str local = urn_local(id);
    (void)revision;
    if (!str_starts(local, search->given))
        return 0;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0 || !runs_is(yyjson_doc_get_root(doc)))
        return r;
    snprintf(*search->urn, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    if (local.len == search->given.len) {
        search->count = 1;
        return 1;
    }
    search->count++;
    return 0;
}

int runs_find(struct plane *plane, const char *given, struct runs_one *ret, struct err *err)
{
    char state[PLACE_SIZE];
    struct outcome outcome;
    struct search search = { .given = str_from(given), .urn = &ret->urn };
    if (str_starts(search.given, STR("urn:")))
        search.given = urn_local(search.given);
    int r = search.given.len ? ledger_each_document(plane_ledger(plane), STR("WorkspaceOperation"),
                                                    STR(""), match, &search, err)
                             : 0;
    if (r < 0)
        return r;
    if (search.count == 0)
        return err_set(err, ERR_NOT_FOUND, STEP_RUNS,
                       "there is no run %s; see `agent-machine ps --all`", given);
    if (search.count > 1)
        return err_set(err, ERR_CONFLICT, STEP_RUNS, "%zu runs begin with %s; give more of the id",
                       search.count, given);
    r = plane_outcome(plane, str_from(ret->urn), &outcome, err);
    if (r == 0)
        r = place_state(state, sizeof(state), err);
    if (r < 0)
        return r;
    ret->state = outcome.state;
    struct str local = urn_local(str_from(ret->urn));
    int len = snprintf(ret->folder, sizeof(ret->folder), "%s/runs/%.*s", state, STR_ARG(local));
    return len < (int)sizeof(ret->folder)
               ? 0
               : err_set(err, ERR_LIMIT, STEP_RUNS, "the path of the run's folder is too long");
}

int runs_open(struct plane **ret, struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct recovered recovered;
    int r = op_open(LEDGER_WRITE, &plane, err);
    if (r == 0)
        r = plane_recover(plane, &recovered, err);
    if (r == 0)
        *ret = TAKE_PTR(plane);
    return r;
}

int runs_status(struct plane *plane, const struct runs_one *run)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    /* One is what a run leaves, the other a container of its own. */
    static const char *const types[] = { "local-agent-execution", "container-execution-record" };
    struct err unknown;
    int64_t revision;
    for (size_t i = 0; i < ARRAY_LEN(types) && !text.len; i++) {
        char urn[PLANE_URN_MAX];
        snprintf(urn, sizeof(urn), "urn:srcos:%s:%.*s", types[i],
                 STR_ARG(urn_local(str_from(run->urn))));
        (void)!ledger_get_document(plane_ledger(plane), str_from(urn), &text, &revision, &unknown);
    }
    if (!text.len || json_read(buf_str(&text), &json_limits_default, &doc, &unknown) < 0)
        return -1;
    const yyjson_val *status = at(yyjson_doc_get_root(doc), "/exit/status");
    return status ? (int)count_of(status) : -1;
}

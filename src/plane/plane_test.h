/* plane_test: a plane in a folder of its own, commands for it, and what must hold of its ledger. */
#ifndef AM_PLANE_PLANE_TEST_H
#define AM_PLANE_PLANE_TEST_H

#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "authority/key.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/test.h"
#include "contract/catalogue.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "contract/validate.h"
#include "plane/work.h"

#define TEST_WORKSPACE "urn:srcos:workspace:compass"
#define TEST_AGENT     "urn:srcos:agent:codex"
#define TEST_PROFILE   "urn:srcos:agent-machine-profile:personal-linux"

struct stage {
    char folder[64];
    struct plane_options options;
    struct plane *plane;
    char state[96], config[96], user[KEY_USER_TEXT_MAX];
    unsigned commands;
};

/* --- building ------------------------------------------------------------------------------ */

static inline bool stage_open(struct stage *stage)
{
    struct err err = { 0 };
    if (plane_open(&stage->options, &stage->plane, &err) == 0)
        return true;
    test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
    return false;
}

static inline bool stage_begin(struct stage *stage)
{
    struct err err = { 0 };
    bool made;
    *stage = (struct stage){ .folder = "/tmp/plane-test-XXXXXX" };
    if (!mkdtemp(stage->folder)) {
        test_fail(__FILE__, __LINE__, "no folder");
        return false;
    }
    snprintf(stage->state, sizeof(stage->state), "%s/state", stage->folder);
    snprintf(stage->config, sizeof(stage->config), "%s/config", stage->folder);
    key_user(stage->user);
    if (key_init(stage->config, &made, &err) < 0) {
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
        return false;
    }
    stage->options = (struct plane_options){ .state_folder = stage->state,
                                             .config_folder = stage->config,
                                             .mode = LEDGER_CREATE };
    return stage_open(stage);
}

static inline int stage_remove(const char *path, const struct stat *info, int kind,
                               struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline void stage_end(struct stage *stage)
{
    plane_close(stage->plane);
    nftw(stage->folder, stage_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- commands ------------------------------------------------------------------------------ */

/* A submit; `extra` are further members, each with a comma before it. */
static inline void command_make(struct stage *stage, struct buf *ret, const char *type,
                                const char *subject, const char *parameters, const char *extra)
{
    char digest[DIGEST_TEXT_SIZE] = "";
    yyjson_doc *doc = NULL;
    if (json_read(str_from(parameters), &json_limits_default, &doc, NULL) < 0 ||
        jcs_digest(yyjson_doc_get_root(doc), digest, NULL) < 0)
        test_fail(__FILE__, __LINE__, "parameters: %s", parameters);
    yyjson_doc_free(doc);
    buf_reset(ret);
    buf_addf(ret,
             "{\"id\":\"urn:srcos:operation-command:test-%d-%u\",\"type\":\"OperationCommand\","
             "\"specVersion\":\"1.0.0\",\"command\":\"submit\",\"operationType\":\"%s\","
             "\"workspaceRef\":\"" TEST_WORKSPACE "\",\"actorRef\":\"%s\",\"subjectRef\":\"%s\","
             "\"surface\":\"cli\",\"issuedAt\":\"2026-11-20T09:00:00Z\",\"parameters\":%s,"
             "\"parametersDigest\":\"%s\"%s}",
             (int)getpid(), ++stage->commands, type, stage->user, subject, parameters, digest,
             extra);
}

#define START_PARAMETERS                                                                           \
    "{\"executionStart\":{\"profileRef\":\"" TEST_PROFILE "\",\"executable\":\"true\","            \
    "\"arguments\":{\"count\":0,\"lengthBytes\":0,\"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996" \
    "fb92427ae41e4649b934ca495991b7852b855\"}}}"

static inline void command_start(struct stage *stage, struct buf *ret, const char *extra)
{
    command_make(stage, ret, "agent_machine.execution.start", TEST_AGENT, START_PARAMETERS, extra);
}

static inline void command_cancel(struct stage *stage, struct buf *ret, const char *operation,
                                  const char *mode, int grace_seconds)
{
    char parameters[1024];
    snprintf(parameters, sizeof(parameters),
             "{\"executionCancel\":{\"executionOperationRef\":\"%s\",\"mode\":\"%s\","
             "\"gracePeriodSeconds\":%d}}",
             operation, mode, grace_seconds);
    command_make(stage, ret, "agent_machine.execution.cancel", stage->user, parameters, "");
}

static inline void command_retry(struct stage *stage, struct buf *ret, const char *operation,
                                 const char *key)
{
    buf_reset(ret);
    buf_addf(ret,
             "{\"id\":\"urn:srcos:operation-command:test-%d-%u\",\"type\":\"OperationCommand\","
             "\"specVersion\":\"1.0.0\",\"command\":\"retry\",\"operationRef\":\"%s\","
             "\"workspaceRef\":\"" TEST_WORKSPACE "\",\"actorRef\":\"%s\","
             "\"subjectRef\":\"" TEST_AGENT "\",\"surface\":\"cli\","
             "\"issuedAt\":\"2026-11-20T09:00:00Z\",\"idempotencyKey\":\"%s\"}",
             (int)getpid(), ++stage->commands, operation, stage->user, key);
}

/* Submits, and fails the test where nothing was recorded. */
static inline struct outcome stage_submit(struct stage *stage, const struct buf *command)
{
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    if (plane_submit(stage->plane, buf_str(command), NULL, &outcome, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
    return outcome;
}

/* --- what must hold ------------------------------------------------------------------------ */

#define COLLECTED_MAX 32768

struct collection {
    yyjson_doc *docs[COLLECTED_MAX];
    size_t count, events, operations, failures;
    bool only_count_open;
    size_t open;
};

static inline void collect_json(struct collection *collection, struct str json)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    if (collection->count == COLLECTED_MAX ||
        json_read(json, &json_limits_default, &doc, &err) < 0) {
        test_fail(__FILE__, __LINE__, "cannot be collected: %s", err.cause);
        return;
    }
    collection->docs[collection->count++] = doc;
}

static inline int collect_document(void *context, struct str id, struct str json, int64_t revision,
                                   struct err *err)
{
    (void)id;
    (void)revision;
    (void)err;
    collect_json(context, json);
    return 0;
}

static inline int collect_envelope(void *context, struct str id, struct str json, int64_t revision,
                                   struct err *err)
{
    struct buf payload = BUF_INIT;
    (void)id;
    (void)revision;
    int r = dsse_peek(json, &payload, err);
    if (r == 0)
        collect_json(context, buf_str(&payload));
    buf_release(&payload);
    return r;
}

static inline int collect_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct collection *collection = context;
    (void)sequence;
    (void)err;
    collection->events++;
    collect_json(collection, json);
    return 0;
}

static inline int collect_example(void *context, const char *path, struct err *err)
{
    struct buf text = BUF_INIT;
    int r = strstr(path, "/operation-contract.") && !strstr(path, "/refused/")
                ? file_read(path, &text, err)
                : 0;
    if (r == 0 && text.len)
        collect_json(context, buf_str(&text));
    buf_release(&text);
    return r;
}

static inline int count_reservation(void *context, struct str reservation, struct str account,
                                    const struct amounts *amounts, const struct holder *holder,
                                    struct err *err)
{
    (void)account;
    (void)amounts;
    (void)holder;
    (void)err;
    ++*(size_t *)context;
    test_fail(__FILE__, __LINE__, "%.*s is left", STR_ARG(reservation));
    return 0;
}

static inline int count_open(void *context, struct str id, struct str json, int64_t revision,
                             struct err *err)
{
    (void)json;
    (void)revision;
    (void)err;
    ++*(size_t *)context;
    test_fail(__FILE__, __LINE__, "%.*s is open", STR_ARG(id));
    return 0;
}

static inline void check_collected(struct collection *collection)
{
    static const struct compile_options strict = { .assert_formats = true };
    struct catalogue *catalogue = NULL;
    struct lint *lint = NULL;
    struct err err = { 0 };
    CHECK_INT(catalogue_new(&strict, &catalogue, &err), 0);
    CHECK_INT(lint_new(&lint, &err), 0);
    for (size_t i = 0; i < collection->count; i++) {
        const yyjson_val *root = yyjson_doc_get_root(collection->docs[i]);
        const struct embedded_schema *schema = catalogue_type_of(root, &err);
        const struct program *program;
        if (!schema || catalogue_program(catalogue, schema, &program, &err) < 0) {
            test_fail(__FILE__, __LINE__, "no schema: %s", err.cause);
            continue;
        }
        if (validate(program, root, &err) != 1) {
            struct buf text = BUF_INIT;
            json_add_value(&text, root, 0);
            test_fail(__FILE__, __LINE__, "not a valid %s: %s", schema->type, text.data);
            buf_release(&text);
        }
        CHECK_INT(lint_add(lint, schema->type, root, schema, &err), 0);
    }
    CHECK_INT(lint_run(lint, &err), 0);
    for (size_t i = 0; i < lint_finding_count(lint); i++) {
        const struct finding *finding = lint_finding(lint, i);
        if (strcmp(finding->rule->id, "document.references-resolve") != 0)
            test_fail(__FILE__, __LINE__, "%s %s: %s", finding->rule->id, finding->pointer,
                      finding->message);
    }
    lint_free(lint);
    catalogue_free(catalogue);
}

/* Every document and event is valid and every rule holds; no reservation and nothing open is left.
 */
static inline void stage_check(struct stage *stage)
{
    struct ledger *ledger = plane_ledger(stage->plane);
    struct collection *collection = calloc(1, sizeof(*collection));
    size_t left = 0;
    for (size_t i = 0; i < embedded_schemas_count; i++)
        CHECK_INT(ledger_each_document(ledger, str_from(embedded_schemas[i].type), STR(""),
                                       collect_document, collection, NULL),
                  0);
    CHECK_INT(ledger_each_document(ledger, STR(DELEGATION_ENVELOPE_TYPE), STR(""), collect_envelope,
                                   collection, NULL),
              0);
    CHECK_INT(ledger_each_event(ledger, 0, STR(""), collect_event, collection, NULL), 0);
    CHECK(collection->events > 0);
    CHECK_INT(file_walk("examples", collect_example, collection, NULL), 0);
    check_collected(collection);
    CHECK_INT(ledger_each_reservation(ledger, count_reservation, &left, NULL), 0);
    CHECK_INT(ledger_each_document(ledger, STR(SUPERVISION_OPEN), STR(""), count_open, &left, NULL),
              0);
    CHECK_INT(left, 0);
    for (size_t i = 0; i < collection->count; i++)
        yyjson_doc_free(collection->docs[i]);
    free(collection);
}

/* How many documents of a type there are. */
static inline int count_one(void *context, struct str id, struct str json, int64_t revision,
                            struct err *err)
{
    (void)id;
    (void)json;
    (void)revision;
    (void)err;
    ++*(size_t *)context;
    return 0;
}

static inline size_t stage_count(struct stage *stage, const char *type)
{
    size_t count = 0;
    CHECK_INT(ledger_each_document(plane_ledger(stage->plane), str_from(type), STR(""), count_one,
                                   &count, NULL),
              0);
    return count;
}

/* A member of a stored document, for comparison; empty where there is none. */
static inline void stage_text(struct stage *stage, const char *id, const char *pointer, char *ret,
                              size_t size)
{
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    int64_t revision;
    bool found =
        ledger_get_document(plane_ledger(stage->plane), str_from(id), &text, &revision, NULL) == 0;
    ret[0] = '\0'; /* not before: it may be the id */
    if (found && json_read(buf_str(&text), &json_limits_default, &doc, NULL) == 0)
        snprintf(ret, size, "%.*s", STR_ARG(text_of(at(yyjson_doc_get_root(doc), pointer))));
    yyjson_doc_free(doc);
    buf_release(&text);
}

#endif

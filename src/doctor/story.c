/*
 * story: see the header.
 *
 * Theory of operation. The ledger is read once: decisions, executions and
 * operations, a few texts of each. How often a verdict was met stands in the
 * execution's record, where equal denials are counted together; a verdict that
 * no execution counts was met once.
 *
 * A question fits a decision by its operation, by the name of the thing (also
 * where only the name's digest was kept), by the place of a path, or by the
 * capability. A line of a log is taken apart into words, and the first word
 * that fits decides.
 */
#include "doctor/story.h"

#include "base/json.h"
#include "base/map.h"
#include "contract/rules.h"

#define STEP_STORY "read the story of a denial"
#define OPERATION  "urn:srcos:workspace-operation:"

struct story {
    struct arena arena;
    struct story_decision *decisions;
    size_t count, capacity;
    struct story_run *runs;
    size_t run_count, run_capacity;
    struct map by_id;        /* decision → index */
    struct map by_operation; /* run → index */
    bool no_memory, is_full;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_STORY, "there is not enough memory");
}

/* --- reading -------------------------------------------------------------------------------- */

static struct str keep(struct story *story, const yyjson_val *value)
{
    struct str text = text_of(value);
    const char *copy = text.len ? arena_copy(&story->arena, text) : "";
    story->no_memory |= !copy;
    return copy ? str_make(copy, text.len) : STR("");
}

/* Makes room for one more. */
static bool grow(void **items, size_t size, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return true;
    size_t larger = *capacity ? *capacity * 2 : 256;
    void *more = realloc(*items, larger * size);
    if (!more)
        return false;
    *items = more;
    *capacity = larger;
    return true;
}

static void take_decision(struct story *story, const yyjson_val *root)
{
    if (story->count == STORY_DECISIONS_MAX) {
        story->is_full = true;
        return;
    }
    if (!grow((void **)&story->decisions, sizeof(*story->decisions), story->count,
              &story->capacity)) {
        story->no_memory = true;
        return;
    }
    struct str at_text = keep(story, member(root, "decidedAt"));
    struct story_decision decision = {
        .id = keep(story, member(root, "id")),
        .gate = keep(story, member(root, "gate")),
        .verdict = keep(story, member(root, "verdict")),
        .kind = keep(story, at(root, "/resource/kind")),
        .name = keep(story, at(root, "/resource/name")),
        .name_digest = keep(story, at(root, "/resource/nameDigest")),
        .protocol = keep(story, at(root, "/resource/protocol")),
        .port = yyjson_get_uint(at(root, "/resource/port")),
        .layer = keep(story, at(root, "/decidedBy/layer")),
        .rule = keep(story, at(root, "/decidedBy/ruleId")),
        .document = keep(story, at(root, "/decidedBy/documentRef")),
        .pointer = keep(story, at(root, "/decidedBy/pointer")),
        .reason = keep(story, member(root, "reason")),
        .change = keep(story, at(root, "/smallestChange/summary")),
        .command = keep(story, at(root, "/smallestChange/command")),
        .operation = keep(story, member(root, "operationRef")),
        .subject = keep(story, member(root, "subjectRef")),
        .card = keep(story, member(root, "decisionCardRef")),
        .policy_digest = keep(story, member(root, "policyDigest")),
        .at = at_text,
        .first = at_text,
        .last = at_text,
        .count = 1,
    };
    if (map_put(&story->by_id, decision.id, (uint32_t)story->count) == -ENOMEM)
        story->no_memory = true;
    story->decisions[story->count++] = decision;
}

static struct story_run *run_of(struct story *story, struct str operation)
{
    uint32_t known;
    if (map_get(&story->by_operation, operation, &known))
        return &story->runs[known];
    const char *copy = arena_copy(&story->arena, operation);
    if (!copy || !grow((void **)&story->runs, sizeof(*story->runs), story->run_count,
                       &story->run_capacity)) {
        story->no_memory = true;
        return NULL;
    }
    struct story_run *run = &story->runs[story->run_count];
    *run = (struct story_run){ .operation = str_make(copy, operation.len) };
    if (map_put(&story->by_operation, run->operation, (uint32_t)story->run_count++) == -ENOMEM)
        story->no_memory = true;
    return run;
}

static void take_execution(struct story *story, const yyjson_val *root)
{
    struct story_run *run = run_of(story, text_of(member(root, "operationRef")));
    size_t index, count;
    yyjson_val *denial;
    uint32_t known;
    if (!run)
        return;
    run->profile = keep(story, member(root, "profileRef"));
    run->exit_reason = keep(story, at(root, "/exit/reason"));
    run->exit_status = yyjson_get_sint(at(root, "/exit/status"));
    run->ended = keep(story, member(root, "endedAt"));
    yyjson_arr_foreach(member(root, "denials"), index, count, denial)
    {
        if (!map_get(&story->by_id, text_of(member(denial, "policyDecisionRef")), &known))
            continue;
        struct story_decision *decision = &story->decisions[known];
        decision->count = count_of(at(denial, "/uses/count"));
        decision->first = keep(story, at(denial, "/uses/firstAt"));
        decision->last = keep(story, at(denial, "/uses/lastAt"));
    }
}

static void take_operation(struct story *story, const yyjson_val *root)
{
    struct story_run *run = run_of(story, text_of(member(root, "id")));
    if (!run)
        return;
    run->type = keep(story, member(root, "operationType"));
    run->subject = keep(story, member(root, "subjectRef"));
    run->state = keep(story, member(root, "state"));
    run->failure = keep(story, at(root, "/failure/message"));
    run->remediation = keep(story, at(root, "/failure/remediation"));
    if (!run->remediation.len)
        run->remediation = keep(story, at(root, "/blocked/remediation"));
    if (!run->ended.len)
        run->ended = keep(story, member(root, "endedAt"));
}

static void take_task(struct story *story, const yyjson_val *root)
{
    struct story_run *run = run_of(story, text_of(member(root, "operationRef")));
    if (run && at(root, "/supervisor/bootId"))
        run->boot = keep(story, at(root, "/supervisor/bootId"));
}

/* Decisions before executions, which count them. */
static const struct {
    const char *type;
    void (*take)(struct story *story, const yyjson_val *root);
} types[] = {
    { "PolicyDecision", take_decision },
    { "LocalAgentExecution", take_execution },
    { "WorkspaceOperation", take_operation },
    { "OperationTask", take_task },
};

struct reading {
    struct story *story;
    void (*take)(struct story *story, const yyjson_val *root);
};

static int read_document(void *context, struct str id, struct str json, int64_t revision,
                         struct err *err)
{
    struct reading *reading = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    reading->take(reading->story, yyjson_doc_get_root(doc));
    if (reading->story->is_full)
        return err_set(err, ERR_LIMIT, STEP_STORY, "the ledger has more than %d decisions",
                       STORY_DECISIONS_MAX);
    return reading->story->no_memory ? no_memory(err) : 0;
}

int story_open(struct ledger *ledger, struct story **ret, struct err *err)
{
    _cleanup_(cleanup_story) struct story *story = calloc(1, sizeof(*story));
    int r = story ? 0 : no_memory(err);
    for (size_t i = 0; i < ARRAY_LEN(types) && r == 0; i++) {
        struct reading reading = { story, types[i].take };
        r = ledger_each_document(ledger, str_from(types[i].type), STR(""), read_document, &reading,
                                 err);
    }
    if (r == 0)
        *ret = TAKE_PTR(story);
    return r;
}

void story_free(struct story *story)
{
    if (!story)
        return;
    map_release(&story->by_id);
    map_release(&story->by_operation);
    free(story->decisions);
    free(story->runs);
    arena_release(&story->arena);
    free(story);
}

/* --- what a question fits ------------------------------------------------------------------- */

static const struct {
    const char *gate, *kind; /* kind NULL: any */
    const char *capability, *operation;
} capabilities[] = {
    { "networkProfile", NULL, "network.connect", "connect" },
    { "modelProviderUse", NULL, "model.call", "call" },
    { "toolGrant", NULL, "tool.use", "use" },
    { "containerExecution", NULL, "container.run", "run" },
    { "artifactAccess", "path", "files.mount", "mount" },
    { "artifactAccess", NULL, "artifact.use", "use" },
};

const char *story_capability(struct str gate, struct str kind, const char **ret_operation)
{
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        if (!str_equal(gate, str_from(capabilities[i].gate)) ||
            (capabilities[i].kind && !str_equal(kind, str_from(capabilities[i].kind))))
            continue;
        *ret_operation = capabilities[i].operation;
        return capabilities[i].capability;
    }
    *ret_operation = "use";
    return "unknown";
}

static bool is_local_part(struct str urn, struct str local)
{
    return str_starts(urn, STR("urn:")) && urn.len > local.len && local.len &&
           str_ends(urn, local) && urn.ptr[urn.len - local.len - 1] == ':';
}

/* An image, without where it comes from: "oci:", "rootfs:". */
static bool is_image(const struct story_decision *decision, struct str word)
{
    size_t colon = str_index(decision->name, ':', 0);
    return str_equal(decision->kind, STR("image")) && word.len &&
           str_equal(str_from_offset(decision->name, colon + 1), word);
}

static bool is_within(struct str path, struct str folder)
{
    while (folder.len > 1 && folder.ptr[folder.len - 1] == '/')
        folder.len--;
    return str_starts(path, folder) &&
           (path.len == folder.len || path.ptr[folder.len] == '/' || folder.len == 1);
}

static struct str lower(struct str text, char ret[STORY_QUESTION_MAX])
{
    size_t len = text.len < STORY_QUESTION_MAX ? text.len : STORY_QUESTION_MAX;
    for (size_t i = 0; i < len; i++) {
        char c = text.ptr[i];
        ret[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return str_make(ret, len);
}

/* host or host:port; the last part where it is a port. */
static struct str split_port(struct str word, uint64_t *ret_port)
{
    size_t colon = word.len;
    uint64_t port = 0;
    *ret_port = 0;
    while (colon > 0 && word.ptr[colon - 1] >= '0' && word.ptr[colon - 1] <= '9')
        colon--;
    if (colon == word.len || word.len - colon > 5 || colon < 2 || word.ptr[colon - 1] != ':' ||
        memchr(word.ptr, ':', colon - 1))
        return word;
    for (size_t i = colon; i < word.len; i++)
        port = port * 10 + (uint64_t)(word.ptr[i] - '0');
    *ret_port = port;
    return str_make(word.ptr, colon - 1);
}

static bool names_thing(const struct story_decision *decision, struct str word)
{
    char folded[STORY_QUESTION_MAX], digest[DIGEST_TEXT_SIZE];
    uint64_t port;
    struct str host = split_port(lower(word, folded), &port);
    if (str_equal(decision->kind, STR("path")))
        return word.ptr[0] == '/' && decision->name.len &&
               (is_within(word, decision->name) || is_within(decision->name, word));
    if (port && decision->port && port != decision->port)
        return false;
    if (decision->name.len)
        return str_equal(decision->name, word) || str_equal(decision->name, host) ||
               is_local_part(decision->name, word) || is_image(decision, word);
    return decision->name_digest.len && digest_text(host, digest, NULL) == 0 &&
           str_equal(decision->name_digest, str_from(digest));
}

/* A capability, with its object behind a colon or without; or the gate itself. */
static bool names_capability(const struct story_decision *decision, struct str word)
{
    const char *operation;
    const char *capability = story_capability(decision->gate, decision->kind, &operation);
    size_t colon = str_index(word, ':', 0);
    struct str object = str_from_offset(word, colon + 1);
    if (str_equal(word, decision->gate))
        return true;
    return str_equal(str_make(word.ptr, colon), str_from(capability)) &&
           (!object.len || names_thing(decision, object));
}

static bool names_operation(const struct story_decision *decision, struct str word)
{
    return str_equal(decision->operation, word) || is_local_part(decision->operation, word) ||
           str_equal(decision->id, word) || str_equal(decision->card, word);
}

static bool fits(const struct story_decision *decision, struct str word)
{
    return word.len && (names_operation(decision, word) || names_thing(decision, word) ||
                        names_capability(decision, word));
}

/* --- words of a line ------------------------------------------------------------------------ */

/* A URL's host and port; any other word as it is. */
static struct str host_of_url(struct str word)
{
    const char *scheme = word.len ? memmem(word.ptr, word.len, "://", 3) : NULL;
    if (!scheme)
        return word;
    struct str rest = str_from_offset(word, (size_t)(scheme - word.ptr) + 3);
    rest.len = str_index(rest, '/', 0);
    size_t user = str_index(rest, '@', 0);
    return user < rest.len ? str_from_offset(rest, user + 1) : rest;
}

int story_each_word(struct str line, story_visit_word *visit, void *context)
{
    static const char around[] = " \t\r\n\"'`()[]{}<>,;|";
    int r = 0;
    for (size_t i = 0; r == 0 && i < line.len;) {
        size_t start = i;
        while (i < line.len && !memchr(around, line.ptr[i], sizeof(around) - 1))
            i++;
        struct str word = str_make(line.ptr + start, i - start);
        while (word.len && strchr(".:!?=", word.ptr[word.len - 1]) && word.ptr[word.len - 1])
            word.len--;
        struct str host = host_of_url(word);
        size_t equals = str_index(word, '=', 0); /* key=value */
        if (host.len == word.len && equals < word.len)
            host = host_of_url(str_from_offset(word, equals + 1));
        word = host;
        if (word.len > 1 && word.len < STORY_QUESTION_MAX)
            r = visit(context, word);
        i += i == start || i < line.len;
    }
    return r;
}

/* --- answers -------------------------------------------------------------------------------- */

static bool says_same(const struct story_decision *a, const struct story_decision *b)
{
    return str_equal(a->gate, b->gate) && str_equal(a->verdict, b->verdict) &&
           str_equal(a->kind, b->kind) && str_equal(a->name, b->name) &&
           str_equal(a->name_digest, b->name_digest) && a->port == b->port &&
           str_equal(a->layer, b->layer) && str_equal(a->rule, b->rule);
}

static bool is_allow(const struct story_decision *decision)
{
    return str_equal(decision->verdict, STR("allow"));
}

/* The latest decision that a word fits; one that refuses or asks before one that allows. */
static const struct story_decision *latest(const struct story *story, struct str word,
                                           size_t *ret_others)
{
    const struct story_decision *found = NULL;
    *ret_others = 0;
    for (size_t i = 0; i < story->count; i++) {
        const struct story_decision *decision = &story->decisions[i];
        if (!fits(decision, word))
            continue;
        if (!found || is_allow(found) || !is_allow(decision))
            found = decision;
    }
    for (size_t i = 0; found && i < story->count; i++)
        *ret_others += !is_allow(&story->decisions[i]) && !says_same(found, &story->decisions[i]) &&
                       fits(&story->decisions[i], word);
    return found;
}

static void add_operation(struct story_answer *answer, struct str operation)
{
    for (size_t i = 0; i < answer->operation_count; i++)
        if (str_equal(answer->operations[i], operation))
            return;
    if (answer->operation_count < STORY_OPERATIONS_MAX)
        answer->operations[answer->operation_count++] = operation;
}

static void gather(const struct story *story, struct story_answer *answer)
{
    for (size_t i = story->count; i-- > 0;) { /* the ledger has the oldest first */
        const struct story_decision *decision = &story->decisions[i];
        if (!says_same(decision, answer->decision))
            continue;
        answer->count += decision->count;
        answer->first = decision->first;
        if (!answer->last.len)
            answer->last = decision->last;
        add_operation(answer, decision->operation);
    }
}

struct asking {
    const struct story *story;
    struct story_answer *answer;
};

static int ask_word(void *context, struct str word)
{
    struct asking *asking = context;
    asking->answer->decision = latest(asking->story, word, &asking->answer->others);
    return asking->answer->decision != NULL;
}

int story_find(const struct story *story, struct str question, struct story_answer *ret)
{
    struct story_answer answer = { 0 };
    struct asking asking = { story, &answer };
    if (question.len < STORY_QUESTION_MAX)
        answer.decision = latest(story, question, &answer.others);
    if (!answer.decision)
        (void)story_each_word(question, ask_word, &asking);
    if (!answer.decision)
        return -ENOENT;
    gather(story, &answer);
    *ret = answer;
    return 0;
}

struct str story_object(const struct story_decision *decision)
{
    return decision->name.len ? decision->name : decision->name_digest;
}

bool story_run_of(const struct story *story, struct str operation, struct story_run *ret)
{
    uint32_t known;
    if (!map_get(&story->by_operation, operation, &known))
        return false;
    *ret = story->runs[known];
    return true;
}

bool story_run_named(const struct story *story, struct str name, struct story_run *ret)
{
    char urn[STORY_QUESTION_MAX];
    bool is_urn = str_starts(name, STR("urn:"));
    int len = snprintf(urn, sizeof(urn), "%s%.*s", is_urn ? "" : OPERATION, STR_ARG(name));
    return len >= 0 && (size_t)len < sizeof(urn) && story_run_of(story, str_from(urn), ret);
}

int story_of_operation(const struct story *story, struct str operation, struct story_run *ret_run,
                       story_visit *visit, void *context, struct err *err)
{
    if (!story_run_named(story, operation, ret_run))
        return err_set(err, ERR_NOT_FOUND, STEP_STORY,
                       "there is no operation %.*s; see `agent-machine op list`",
                       STR_ARG(operation));
    for (size_t i = 0; i < story->count; i++)
        if (str_equal(story->decisions[i].operation, ret_run->operation))
            visit(context, &story->decisions[i]);
    return 0;
}

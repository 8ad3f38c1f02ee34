/*
 * doctor_why: the story of a denial, in at most a screen.
 *
 * First what the ledger has: who asked, who decided, by which rule, when and
 * how often, what came after it. Then what would be answered now, since a
 * policy may have changed; and where the ledger has nothing, that alone. What
 * came later is told on stated evidence: how the same run ended, and the first
 * line of its own output that names the same thing.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/place.h"
#include "cmd/doctor.h"
#include "cmd/op.h"
#include "cmd/policy.h"
#include "cmd/policy_ask.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "doctor/capability.h"
#include "doctor/net_glance.h"
#include "doctor/storm_class.h"
#include "doctor/story_grants.h"
#include "machine/run_log.h"

#define STEP          "tell why"
#define LABEL_WIDTH   10
#define RUNS_SHOWN    3
#define LOG_BYTES_MAX ((size_t)64 << 20)
#define PERSONAL      "urn:srcos:agent-machine-profile:personal"
#define NOTHING       "Nothing: it is allowed now; try it again."

const struct option_row doctor_why_options[DOCTOR_WHY_OPTION_COUNT] = {
    { "json", 'j', NULL, "print the story as a JSON object" },
};

/* Everything that is told; empty texts are left out. */
struct telling {
    struct str question;
    struct story_answer answer;
    bool is_known; /* to the ledger */
    struct story_run run;
    struct buf asked, decided, when, later, now, todo;
    char log_line[256];
};

static void release(struct telling *telling)
{
    struct buf *const texts[] = { &telling->asked, &telling->decided, &telling->when,
                                  &telling->later, &telling->now,     &telling->todo };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        buf_release(texts[i]);
}

/* --- what the ledger has -------------------------------------------------------------------- */

static void describe_asked(struct telling *telling)
{
    const struct story_decision *decision = telling->answer.decision;
    const char *operation;
    const char *capability = story_capability(decision->gate, decision->kind, &operation);
    buf_addf(&telling->asked, "%s (%s %.*s ", capability, operation, STR_ARG(decision->kind));
    story_add_object(&telling->asked, decision);
    buf_addf(&telling->asked, ") by %.*s", STR_ARG(decision->subject));
}

static void describe_decided(struct telling *telling)
{
    static const struct {
        const char *verdict, *word;
    } words[] = { { "allow", "allowed" }, { "ask", "left to a person" }, { "deny", "denied" } };
    const struct story_decision *decision = telling->answer.decision;
    const char *word = "decided";
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal(decision->verdict, str_from(words[i].verdict)))
            word = words[i].word;
    buf_addf(&telling->decided, "%s by the %.*s layer, rule %.*s", word, STR_ARG(decision->layer),
             STR_ARG(decision->rule));
    if (decision->document.len)
        buf_addf(&telling->decided, ": %.*s of %.*s", STR_ARG(decision->pointer),
                 STR_ARG(decision->document));
}

static void describe_when(struct telling *telling)
{
    const struct story_answer *answer = &telling->answer;
    buf_addf(&telling->when, "first %.*s", STR_ARG(answer->first));
    if (answer->count > 1)
        buf_addf(&telling->when, ", last %.*s, %llu times", STR_ARG(answer->last),
                 (unsigned long long)answer->count);
    buf_addf(&telling->when, ", in %zu operation%s", answer->operation_count,
             answer->operation_count == 1 ? "" : "s");
    for (size_t i = 0; i < answer->operation_count && i < RUNS_SHOWN; i++) {
        struct str urn = answer->operations[i];
        buf_addf(&telling->when, "%s%.*s", i ? ", " : ": ", STR_ARG(urn_local(urn)));
    }
    if (answer->operation_count > RUNS_SHOWN)
        buf_addf(&telling->when, " and %zu more", answer->operation_count - RUNS_SHOWN);
}

/* The first line of the run's own output that names the thing. */
static void find_in_log(struct telling *telling)
{
    struct str object = story_object(telling->answer.decision);
    struct str local = urn_local(telling->answer.decision->operation);
    struct buf text = BUF_INIT_LIMIT(LOG_BYTES_MAX);
    char state[PLACE_SIZE], path[2 * PLACE_SIZE];
    const char *hit = NULL;
    int len = -1;
    if (place_state(state, sizeof(state), NULL) == 0)
        len = snprintf(path, sizeof(path), "%s/runs/%.*s/" RUN_LOG_NAME, state, STR_ARG(local));
    if (len > 0 && (size_t)len < sizeof(path) && !memchr(local.ptr, '/', local.len) &&
        file_read(path, &text, NULL) == 0 && object.len)
        hit = memmem(text.data, text.len, object.ptr, object.len);
    if (hit) {
        const char *start = hit;
        while (start > text.data && start[-1] != '\n')
            start--;
        snprintf(telling->log_line, sizeof(telling->log_line), "%.*s", (int)strcspn(start, "\n"),
                 start);
    }
    buf_release(&text);
}

static void describe_outcome(struct telling *telling)
{
    const struct story_run *run = &telling->run;
    bool has_failed = run->exit_reason.len &&
                      (run->exit_status != 0 || !str_equal(run->exit_reason, STR("exited")));
    if (has_failed)
        buf_addf(&telling->later, "the command ended: %.*s, status %lld", STR_ARG(run->exit_reason),
                 (long long)run->exit_status);
    else if (run->failure.len)
        buf_addf(&telling->later, "the operation is %.*s: %.*s", STR_ARG(run->state),
                 STR_ARG(run->failure));
    else
        buf_addf(&telling->later, "nothing else that the ledger knows: the operation is %.*s",
                 STR_ARG(run->state));
}

static void describe_later(struct telling *telling)
{
    find_in_log(telling);
    if (telling->log_line[0])
        buf_addf(&telling->later, "its output says: %s; ", telling->log_line);
    describe_outcome(telling);
    if (telling->answer.others)
        buf_addf(&telling->later, "; %zu more refusal%s: agent-machine doctor run %.*s",
                 telling->answer.others, telling->answer.others == 1 ? "" : "s",
                 STR_ARG(urn_local(telling->answer.decision->operation)));
}

/* Of what nobody refused: how it went on all the same. */
static void describe_to_do(struct telling *telling)
{
    const struct story_run *run = &telling->run;
    bool has_failed = run->failure.len || (run->exit_reason.len && run->exit_status != 0);
    if (run->remediation.len)
        buf_add_str(&telling->todo, run->remediation);
    else if (str_equal(run->exit_reason, STR("budget-exhausted")))
        buf_addf(&telling->todo,
                 "Have more of it in the profile's agentPlane.budget; which ceiling it was: "
                 "agent-machine op show %.*s",
                 STR_ARG(urn_local(run->operation)));
    else if (has_failed)
        buf_addf(&telling->todo,
                 "Nobody refused it anything; what it said: agent-machine logs %.*s",
                 STR_ARG(urn_local(run->operation)));
    else
        buf_add_text(&telling->todo, "Nothing: it was allowed.");
}

/* An operation that was refused nothing, or that asked nobody. */
static void describe_operation(struct telling *telling)
{
    const struct story_run *run = &telling->run;
    buf_addf(&telling->asked, "%.*s by %.*s", STR_ARG(run->type), STR_ARG(run->subject));
    buf_add_text(&telling->decided, telling->is_known
                                        ? "allowed: nothing that it asked for was refused"
                                        : "no gate was asked about anything");
    if (run->ended.len)
        buf_addf(&telling->when, "ended %.*s", STR_ARG(run->ended));
    describe_outcome(telling);
    describe_to_do(telling);
}

static void describe_known(const struct story *story, struct telling *telling)
{
    const struct story_decision *decision = telling->answer.decision;
    (void)story_run_of(story, decision->operation, &telling->run);
    describe_asked(telling);
    describe_decided(telling);
    describe_when(telling);
    describe_later(telling);
    if (str_equal(decision->verdict, STR("allow"))) {
        describe_to_do(telling);
        return;
    }
    if (!decision->command.len && str_starts(decision->change, STR("--"))) /* an option of a run */
        buf_add_text(&telling->todo, "agent-machine run ");
    buf_add_str(&telling->todo, decision->command.len ? decision->command : decision->change);
    if (decision->card.len && str_equal(decision->verdict, STR("ask")))
        buf_addf(&telling->todo, "%sagent-machine op decide %.*s OPTION",
                 telling->todo.len ? "; or answer: " : "", STR_ARG(urn_local(decision->card)));
}

/* --- what would be answered now ------------------------------------------------------------- */

/* A name with a dot and a letter in its last part, or four numbers; with a port or without. */
static bool looks_like_host(struct str word)
{
    size_t dots = 0, last = 0;
    bool has_letter = false;
    word.len = str_index(word, ':', 0);
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == '.') {
            dots++;
            last = i + 1;
            has_letter = false;
        } else if (!is_letter && !(c >= '0' && c <= '9') && c != '-')
            return false;
        has_letter |= is_letter;
    }
    return last < word.len && dots > 0 && word.ptr[0] != '.' && (has_letter || dots == 3);
}

static void ask_layers(struct telling *telling, const char *host)
{
    struct loaded_policy loaded = { 0 };
    struct policy_asked asked = { 0 };
    struct verdict verdict;
    struct err err = { 0 };
    char profile[PLANE_URN_MAX];
    struct str named = telling->run.profile;
    snprintf(profile, sizeof(profile), "%.*s", (int)(named.len ? named.len : strlen(PERSONAL)),
             named.len ? named.ptr : PERSONAL);
    struct policy_request request = { .profile = profile };
    int r = policy_asked_host(host, &asked, &err);
    if (r == 0)
        r = loaded_policy_open(&request, &loaded, &err);
    if (r == 0)
        r = policy_decide(loaded.policy, &asked.destination, &verdict, &err);
    if (r < 0)
        buf_addf(&telling->now, "nobody can say: %s", err.cause);
    else {
        struct net_glance glance;
        bool is_cut_off =
            verdict.answer == ANSWER_ALLOW && net_glance(asked.destination.host, &glance);
        buf_addf(&telling->now, "%s: %s", answer_names[verdict.answer], verdict.reason);
        if (is_cut_off) {
            buf_addf(&telling->now, "; and the network does not lead there: %s", glance.summary);
            buf_reset(&telling->todo);
            buf_add_text(&telling->todo, glance.remedy);
        } else if (verdict.answer == ANSWER_ALLOW || !telling->todo.len) {
            buf_reset(&telling->todo);
            buf_add_text(&telling->todo,
                         verdict.answer == ANSWER_ALLOW ? NOTHING : verdict.smallest_change);
        }
    }
    loaded_policy_close(&loaded);
}

static void ask_host(struct telling *telling, const char *capability)
{
    struct observer *observer = NULL;
    const struct capability_row *row;
    struct capability_state state;
    struct err err = { 0 };
    if (observer_new(false, &observer, &err) < 0) {
        buf_addf(&telling->now, "nobody can say: %s", err.cause);
        return;
    }
    struct surroundings around = { .observer = observer };
    capability_look(&around, str_from(capability), &row, &state);
    buf_addf(&telling->now, "%s %s: %s", capability, found_words[state.found], state.seen);
    if (!telling->todo.len)
        buf_add_text(&telling->todo, state.found == FOUND_GRANTED ? NOTHING : state.remedy);
    observer_free(observer);
}

/* The first word of a question that can be asked about now. */
static int ask_now(void *context, struct str word)
{
    struct telling *telling = context;
    char text[STORY_QUESTION_MAX], capability[STORY_QUESTION_MAX + 16];
    size_t colon = str_index(word, ':', 0);
    snprintf(text, sizeof(text), "%.*s", STR_ARG(word));
    snprintf(capability, sizeof(capability), "files.read:%s", text);
    if (word.ptr[0] == '/')
        ask_host(telling, capability);
    else if (capability_find(str_make(word.ptr, colon)))
        ask_host(telling, text);
    else if (!str_starts(word, STR("urn:")) && looks_like_host(word))
        ask_layers(telling, text);
    return telling->now.len > 0;
}

static void describe_now(struct telling *telling)
{
    const struct story_decision *decision = telling->answer.decision;
    _cleanup_(buf_release) struct buf object = BUF_INIT;
    if (telling->is_known && str_equal(decision->gate, STR("networkProfile")) &&
        decision->name.len && looks_like_host(decision->name)) {
        story_add_object(&object, decision);
        ask_layers(telling, object.data);
    } else if (!telling->is_known)
        (void)story_each_word(telling->question, ask_now, telling);
}

/* A line that nobody knows may still say by itself what kind of failure it tells of. */
static bool describe_class(struct telling *telling)
{
    enum storm_class class;
    enum storm_severity severity;
    storm_classify_text(STR(""), telling->question, &class, &severity);
    if (class == STORM_UNKNOWN)
        return false;
    buf_addf(&telling->decided, "not in the ledger; it reads like a %s", storm_class_names[class]);
    if (!telling->todo.len)
        buf_add_text(&telling->todo, storm_class_remedies[class]);
    return true;
}

/* --- telling -------------------------------------------------------------------------------- */

static const struct {
    const char *label, *name;
    size_t offset;
} lines[] = {
    { "asked", "asked", offsetof(struct telling, asked) },
    { "decided", "decided", offsetof(struct telling, decided) },
    { "when", "when", offsetof(struct telling, when) },
    { "later", "later", offsetof(struct telling, later) },
    { "now", "now", offsetof(struct telling, now) },
    { "do", "toDo", offsetof(struct telling, todo) },
};

static const struct buf *text_at(const struct telling *telling, size_t line)
{
    return (const struct buf *)((const char *)telling + lines[line].offset);
}

static void print_story(const struct telling *telling)
{
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (text_at(telling, i)->len)
            op_print_wrapped(lines[i].label, LABEL_WIDTH, buf_str(text_at(telling, i)));
}

static int print_json(const struct telling *telling, struct err *err)
{
    const struct story_answer *answer = &telling->answer;
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    buf_add_text(&json, "{\"question\":");
    json_add_string(&json, telling->question);
    buf_addf(&json, ",\"known\":%s", telling->is_known ? "true" : "false");
    if (telling->is_known) {
        buf_add_text(&json, ",\"policyDecisionRef\":");
        json_add_string(&json, answer->decision->id);
        buf_addf(&json,
                 ",\"verdict\":\"%.*s\",\"count\":%llu,\"firstAt\":\"%.*s\",\"lastAt\":\"%.*s\"",
                 STR_ARG(answer->decision->verdict), (unsigned long long)answer->count,
                 STR_ARG(answer->first), STR_ARG(answer->last));
        buf_add_text(&json, ",\"operationRefs\":[");
        for (size_t i = 0; i < answer->operation_count; i++) {
            buf_add_text(&json, i ? "," : "");
            json_add_string(&json, answer->operations[i]);
        }
        buf_add_char(&json, ']');
    }
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (!text_at(telling, i)->len)
            continue;
        json_add_name(&json, lines[i].name);
        json_add_string(&json, buf_str(text_at(telling, i)));
    }
    buf_add_char(&json, '}');
    if (json.error)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    puts(json.data);
    return 0;
}

/* Without a ledger there is nothing that was denied: what would be answered now is told alone. */
static int open_story(struct plane **plane, struct story **story, struct err *err)
{
    struct err inner = { 0 };
    int r = doctor_story_open(plane, story, &inner);
    if (r < 0 && inner.code == ERR_NOT_FOUND)
        return 0;
    if (r < 0)
        *err = inner;
    return r;
}

static bool is_allowed(const struct telling *telling)
{
    return str_equal(telling->answer.decision->verdict, STR("allow"));
}

static int tell(struct telling *telling, const struct invocation *invocation, struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(cleanup_story) struct story *story = NULL;
    int r = open_story(&plane, &story, err);
    if (r < 0)
        return r;
    telling->is_known = story && story_find(story, telling->question, &telling->answer) == 0;
    bool is_refused = telling->is_known && !is_allowed(telling);
    bool is_operation =
        story && !is_refused && story_run_named(story, telling->question, &telling->run);
    if (is_operation)
        describe_operation(telling);
    else if (telling->is_known)
        describe_known(story, telling);
    if (!is_operation)
        describe_now(telling);
    bool is_classed = !telling->is_known && !is_operation && describe_class(telling);
    if (!telling->is_known && !is_operation && !telling->now.len && !is_classed)
        return err_set(err, ERR_NOT_FOUND, STEP,
                       "nothing in the ledger fits `%.*s`, and it is no host, path or capability "
                       "that could be asked about now; see `agent-machine op list`",
                       STR_ARG(telling->question));
    if (!telling->is_known && !is_operation && !is_classed)
        buf_add_text(&telling->decided, "nothing of it is in the ledger");
    if (invocation->values[0])
        return print_json(telling, err);
    print_story(telling);
    return 0;
}

int run_doctor_why(const struct invocation *invocation)
{
    _cleanup_(buf_release) struct buf question = BUF_INIT_LIMIT(STORY_QUESTION_MAX);
    struct telling telling = { .asked = BUF_INIT,
                               .decided = BUF_INIT,
                               .when = BUF_INIT,
                               .later = BUF_INIT,
                               .now = BUF_INIT,
                               .todo = BUF_INIT };
    struct err err = { 0 };
    for (int i = 0; i < invocation->operand_count; i++)
        buf_addf(&question, "%s%s", i ? " " : "", invocation->operands[i]);
    if (question.error)
        return tell_usage(invocation->path, "the question is longer than %d bytes",
                          STORY_QUESTION_MAX);
    telling.question = buf_str(&question);
    int r = tell(&telling, invocation, &err);
    release(&telling);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

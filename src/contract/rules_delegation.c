/*
 * rules_delegation: the checks of what one party lets another do.
 *
 * Theory of operation. Delegations, grants, budgets, verdicts and the cards
 * that ask people have one thing in common: what is passed on is never wider
 * than what it comes from. A delegation is compared with the one above it, a
 * grant with its delegation, a budget with its parent, a verdict with the
 * answers of the layers, an answer with the option that was offered. A schema
 * has accepted each document alone; what is above it is looked up in the set,
 * and where the set does not have it, nothing is compared.
 *
 * Amounts that are absent are zero, as the schemas say: what a document does
 * not name is not given.
 *
 * Limits: lists have at most 1,000 items by their schemas, integers are at
 * most 2^53, so that two amounts can be added.
 */
#include <inttypes.h>
#include <time.h>

#include "contract/narrow.h"
#include "contract/rules_table.h"
#include "contract/vocabulary.h"

/* --- delegations ---------------------------------------------------------------------------- */

int check_delegation_window(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, struct err *err)
{
    struct str begin = text_of(member(document->root, "notBefore"));
    (void)err;
    if (instant_compare(begin, text_of(member(document->root, "expiresAt"))) >= 0)
        lint_find(lint, rule, document, "/expiresAt",
                  "it expires before it begins, at %.*s; give it a later end", STR_ARG(begin));
    return 0;
}

/* The check under way, for what narrow_compare finds. */
struct narrowing {
    struct lint *lint;
    const struct rule *rule;
    const struct lint_document *document;
};

static int find_wider(void *context, const char *pointer, const char *message)
{
    const struct narrowing *n = context;
    lint_find(n->lint, n->rule, n->document, pointer, "%s", message);
    return 0;
}

int check_delegation_narrows(struct lint *lint, const struct rule *rule,
                             const struct lint_document *document, struct err *err)
{
    const yyjson_val *inner = document->root;
    const yyjson_val *outer =
        lint_resolve_as(lint, at(inner, "/parent/delegationRef"), "Delegation");
    struct narrowing narrowing = { lint, rule, document };
    int r = outer ? narrow_compare(outer, inner, find_wider, &narrowing) : 0;
    return r < 0 || !outer ? r
                           : match_digest(lint, rule, document, "/parent/digest", outer,
                                          "the delegation above", err);
}

int check_grant_within_delegation(struct lint *lint, const struct rule *rule,
                                  const struct lint_document *document, struct err *err)
{
    const yyjson_val *grant = document->root;
    const yyjson_val *delegation =
        lint_resolve_as(lint, member(grant, "delegationRef"), "Delegation");
    struct str end = text_of(member(delegation, "expiresAt"));
    size_t index, count;
    yyjson_val *tool;
    (void)err;
    if (!delegation || !text_is(member(grant, "action"), "apply"))
        return 0;
    if (instant_compare(text_of(member(grant, "expiresAt")), end) > 0)
        lint_find(lint, rule, document, "/expiresAt",
                  "the delegation expires at %.*s; grant no longer than that", STR_ARG(end));
    yyjson_arr_foreach(member(grant, "tools"), index, count, tool)
    {
        struct str name = text_of(member(tool, "toolRef"));
        if (!array_has(at(delegation, "/scope/toolRefs"), name))
            lint_find(lint, rule, document, pointer_to("/tools/%zu/toolRef", index).text,
                      "the delegation does not have %.*s; leave it out, or grant it under one that "
                      "does",
                      STR_ARG(name));
    }
    return 0;
}

/* --- budgets -------------------------------------------------------------------------------- */

int check_budget_balance(struct lint *lint, const struct rule *rule,
                         const struct lint_document *document, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        struct pointer pointer = pointer_to("/dimensions/%s", dimension_names[i]);
        const yyjson_val *account = at(document->root, pointer.text);
        uint64_t spent = count_of(member(account, "used")) + count_of(member(account, "reserved"));
        uint64_t limit = count_of(member(account, "limit"));
        if (spent > limit + count_of(member(account, "overshoot")))
            lint_find(lint, rule, document, pointer.text,
                      "%" PRIu64 " are used and set aside, and the limit is %" PRIu64
                      "; state the overshoot, or mend the figures",
                      spent, limit);
    }
    return 0;
}

int check_budget_within_parent(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    const yyjson_val *parent =
        lint_resolve_as(lint, member(document->root, "parentBudgetRef"), "Budget");
    (void)err;
    for (size_t i = 0; parent && i < DIMENSION_COUNT; i++) {
        struct pointer pointer = pointer_to("/dimensions/%s/limit", dimension_names[i]);
        uint64_t limit = count_of(at(parent, pointer.text));
        if (count_of(at(document->root, pointer.text)) > limit)
            lint_find(lint, rule, document, pointer.text,
                      "the limit of the account above is %" PRIu64 "; set none higher", limit);
    }
    return 0;
}

/* --- verdicts ------------------------------------------------------------------------------- */

/* Each narrower than the one before it. */
enum narrowness { ALLOWS, ASKS, DENIES, NARROWNESS_COUNT };
static const char *const narrowness_names[NARROWNESS_COUNT] = {
    [ALLOWS] = "allow", [ASKS] = "ask", [DENIES] = "deny"
};

/* -1 where the answer is none of them. */
static int narrowness_of(const yyjson_val *answer)
{
    return vocabulary_index(narrowness_names, NARROWNESS_COUNT, text_of(answer));
}

/* What the answers in force leave: a denial where there is none, or where an engine is silent. */
static int narrowest_answer(const yyjson_val *decision)
{
    const yyjson_val *engine = at(decision, "/externalEngine/answer");
    int narrowest = -1;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(member(decision, "answers"), index, count, item)
    {
        int verdict = narrowness_of(member(item, "answer"));
        if (verdict > narrowest && !yyjson_is_false(member(item, "enforced")))
            narrowest = verdict;
    }
    if (narrowest < 0 || text_is(engine, "unreachable"))
        return DENIES;
    return narrowness_of(engine) > narrowest ? narrowness_of(engine) : narrowest;
}

/* Whether a decision rests on a card that, where the set has it, was answered with an allow. */
static bool is_lifted(const struct lint *lint, const yyjson_val *decision)
{
    const yyjson_val *reference = member(decision, "decisionCardRef");
    const yyjson_val *card = lint_resolve_as(lint, reference, "DecisionCard");
    return text_of(reference).len && (!card || text_is(at(card, "/answer/verdict"), "allow"));
}

int check_verdict_never_wider(struct lint *lint, const struct rule *rule,
                              const struct lint_document *document, struct err *err)
{
    const yyjson_val *policy = member(document->root, "conflictPolicy");
    int narrowest = narrowest_answer(document->root);
    int verdict = narrowness_of(member(document->root, "verdict"));
    (void)err;
    if (text_is(policy, "enterprise-wins") || text_is(policy, "user-wins"))
        return 0; /* then one layer's answer takes the place of the narrowest */
    if (verdict >= narrowest)
        return 0;
    if (verdict == ALLOWS && narrowest == ASKS && is_lifted(lint, document->root))
        return 0;
    return lint_find(lint, rule, document, "/verdict",
                     "the answers in force come to %s; say that%s", narrowness_names[narrowest],
                     narrowest == ASKS ? ", or name the card whose answer allows it" : "");
}

/* --- cards ---------------------------------------------------------------------------------- */

static const yyjson_val *option_of(const yyjson_val *card, const yyjson_val *id)
{
    size_t index, count;
    yyjson_val *option;
    yyjson_arr_foreach(member(card, "options"), index, count, option)
    {
        if (str_equal(text_of(member(option, "optionId")), text_of(id)))
            return option;
    }
    return NULL;
}

int check_decision_default_denies(struct lint *lint, const struct rule *rule,
                                  const struct lint_document *document, struct err *err)
{
    static const char *const key[] = { "optionId" };
    const yyjson_val *options = member(document->root, "options");
    const yyjson_val *id = member(document->root, "defaultOptionId");
    size_t index, count;
    yyjson_val *option;
    (void)err;
    yyjson_arr_foreach((yyjson_val *)options, index, count, option)
    {
        if (stands_earlier(options, option, key, ARRAY_LEN(key)))
            lint_find(lint, rule, document, pointer_to("/options/%zu/optionId", index).text,
                      "%.*s stands further up already; give this option another id",
                      STR_ARG(text_of(member(option, "optionId"))));
    }
    if (!text_is(member(option_of(document->root, id), "verdict"), "deny"))
        lint_find(lint, rule, document, "/defaultOptionId",
                  "%.*s is no option that denies; name one that does", STR_ARG(text_of(id)));
    return 0;
}

/* A moment as seconds since 1970 and what is beyond the whole second. */
static struct timespec time_of(struct str instant)
{
    struct tm calendar = { 0 };
    const char *fraction = strptime(instant.ptr, "%Y-%m-%dT%H:%M:%S", &calendar);
    struct timespec time = { .tv_sec = timegm(&calendar) };
    long unit = 100000000;
    for (size_t i = 1; fraction && *fraction == '.' && fraction[i] != 'Z'; i++, unit /= 10)
        time.tv_nsec += (fraction[i] - '0') * unit;
    return time;
}

/* Whether there are more than so many seconds from one instant to another. */
static bool lasts_longer(struct str from, struct str to, uint64_t seconds)
{
    struct timespec begin = time_of(from), end = time_of(to);
    int64_t over = end.tv_sec - begin.tv_sec - (int64_t)seconds;
    return over > 0 || (over == 0 && end.tv_nsec > begin.tv_nsec);
}

static void check_lease(struct lint *lint, const struct rule *rule,
                        const struct lint_document *document, const yyjson_val *offered)
{
    static const char *const scopes[] = { "flow", "run", "profile" }; /* each wider */
    const yyjson_val *answer = member(document->root, "answer");
    const yyjson_val *lease = member(answer, "lease");
    struct str widest = text_of(member(offered, "scope"));
    uint64_t seconds = count_of(member(offered, "durationSeconds"));
    uint64_t uses = count_of(member(offered, "maxUses"));
    if (vocabulary_index(scopes, ARRAY_LEN(scopes), text_of(member(lease, "scope"))) >
        vocabulary_index(scopes, ARRAY_LEN(scopes), widest))
        lint_find(lint, rule, document, "/answer/lease/scope",
                  "the option offers a lease of the %.*s and no wider; lease that",
                  STR_ARG(widest));
    if (lasts_longer(text_of(member(answer, "answeredAt")), text_of(member(lease, "expiresAt")),
                     seconds))
        lint_find(lint, rule, document, "/answer/lease/expiresAt",
                  "the option offers %" PRIu64 " seconds from the answer on; end the lease then",
                  seconds);
    if (uses && !member(lease, "maxUses"))
        lint_find(lint, rule, document, "/answer/lease",
                  "the option offers %" PRIu64 " uses; state maxUses", uses);
    else if (uses && count_of(member(lease, "maxUses")) > uses)
        lint_find(lint, rule, document, "/answer/lease/maxUses",
                  "the option offers %" PRIu64 " uses; lease no more", uses);
}

int check_decision_answer_offered(struct lint *lint, const struct rule *rule,
                                  const struct lint_document *document, struct err *err)
{
    const yyjson_val *answer = member(document->root, "answer");
    const yyjson_val *id = member(answer, "optionId");
    const yyjson_val *option = option_of(document->root, id);
    struct str verdict = text_of(member(option, "verdict"));
    (void)err;
    if (!answer)
        return 0;
    if (!option)
        lint_find(lint, rule, document, "/answer/optionId",
                  "%.*s is none of the options; answer with one of them", STR_ARG(text_of(id)));
    else if (!str_equal(text_of(member(answer, "verdict")), verdict))
        lint_find(lint, rule, document, "/answer/verdict",
                  "the option says %.*s; answer that, or with another option", STR_ARG(verdict));
    else if (member(answer, "lease"))
        check_lease(lint, rule, document, member(option, "lease"));
    return 0;
}

int check_decision_answered_by_entitled(struct lint *lint, const struct rule *rule,
                                        const struct lint_document *document, struct err *err)
{
    struct str answerer = text_of(at(document->root, "/answer/answeredByRef"));
    (void)err;
    if (answerer.len && !array_has(member(document->root, "answerableByRefs"), answerer))
        lint_find(lint, rule, document, "/answer/answeredByRef",
                  "%.*s may not answer this card; have one of answerableByRefs do it",
                  STR_ARG(answerer));
    return 0;
}

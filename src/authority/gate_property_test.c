/*
 * gate_property: what holds of every set of gates documents, over thousands of random ones.
 *
 * A set is rendered as documents and compiled; beside it stands a naive
 * evaluator that goes through all rules for every question. It was written from
 * decision 6, without tries, spellings or sorting. AM_TEST_SEED begins at
 * another set.
 */
#include "authority/gate.h"
#include "authority/verdict_test.h"

#define SETS          1500
#define DOCUMENTS_MAX 6
#define RULES_MAX     6
#define SURFACE_URN   "urn:srcos:agent-tool-surface:"

/* --- the world ------------------------------------------------------------------------------ */

enum kind { TOOLS, PATHS, IMAGES, KIND_COUNT };
static const enum gate kind_gates[KIND_COUNT] = { GATE_TOOL_GRANT, GATE_ARTIFACT_ACCESS,
                                                  GATE_CONTAINER_EXECUTION };

#define NAMES_MAX 6
static const char *const names[KIND_COUNT][NAMES_MAX] = {
    [TOOLS] = { SURFACE_URN "codex", SURFACE_URN "cook", SURFACE_URN "shell", "codex", "c" },
    [PATHS] = { "/", "/a", "/a/b", "/a/b/c", "/ab", "/z" },
    [IMAGES] = { "debian", "debian:12", "debian:12@sha256:0", "debian@sha256:0", "ghcr.io/x/y:1" },
};
/* An image's names: in full, without the digest, without the tag. */
static const char *const image_names[NAMES_MAX][3] = {
    { "docker.io/library/debian", "docker.io/library/debian", "docker.io/library/debian" },
    { "docker.io/library/debian:12", "docker.io/library/debian:12", "docker.io/library/debian" },
    { "docker.io/library/debian:12@sha256:0", "docker.io/library/debian:12",
      "docker.io/library/debian" },
    { "docker.io/library/debian@sha256:0", "docker.io/library/debian", "docker.io/library/debian" },
    { "ghcr.io/x/y:1", "ghcr.io/x/y:1", "ghcr.io/x/y" },
};

#define PATTERNS_MAX 7
/* As they are written, and as they are meant. */
static const char *const patterns[KIND_COUNT][PATTERNS_MAX][2] = {
    [TOOLS] = { { "codex", "codex" },
                { SURFACE_URN "codex", SURFACE_URN "codex" },
                { "co*", "co*" },
                { SURFACE_URN "co*", SURFACE_URN "co*" },
                { "c*", "c*" },
                { "*", "*" },
                { "urn:*", "urn:*" } },
    [PATHS] = { { "/", "/" },
                { "/a", "/a" },
                { "/a/b/", "/a/b" },
                { "/a/b/c", "/a/b/c" },
                { "/ab", "/ab" },
                { "*", "*" },
                { "/z/y", "/z/y" } },
    [IMAGES] = { { "debian", "docker.io/library/debian" },
                 { "docker.io/debian:12", "docker.io/library/debian:12" },
                 { "docker.io/library/*", "docker.io/library/*" },
                 { "docker.io/*", "docker.io/*" },
                 { "ghcr.io/x/y", "ghcr.io/x/y" },
                 { "*", "*" },
                 { "docker.io/library/debian:12@sha256:0",
                   "docker.io/library/debian:12@sha256:0" } },
};

struct fact {
    enum kind kind;
    unsigned pattern;
    enum answer answer;
    bool unpinned;
};

struct model_document {
    enum layer layer;
    struct fact facts[RULES_MAX];
    unsigned count;
};

struct model {
    struct model_document documents[DOCUMENTS_MAX + 1];
    unsigned count;
    unsigned conflict;
};

static const char *const conflicts[] = { "most-restrictive-wins", "enterprise-wins", "user-wins",
                                         "deny-on-conflict" };

static uint64_t random_state;

static unsigned pick(unsigned below)
{
    random_state += 0x9e3779b97f4a7c15ull;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (unsigned)((z ^ (z >> 31)) % below);
}

static struct fact random_fact(void)
{
    struct fact fact = { .kind = (enum kind)pick(KIND_COUNT),
                         .pattern = pick(PATTERNS_MAX),
                         .answer = (enum answer)(1 + pick(3)) };
    fact.unpinned = fact.kind == IMAGES && !pick(3);
    return fact;
}

static void random_model(struct model *model)
{
    *model = (struct model){ .count = 1 + pick(DOCUMENTS_MAX), .conflict = pick(4) };
    for (unsigned i = 0; i < model->count; i++) {
        struct model_document *document = &model->documents[i];
        document->layer = (enum layer)pick(LAYER_USER + 1);
        document->count = pick(RULES_MAX);
        for (unsigned j = 0; j < document->count; j++)
            document->facts[j] = random_fact();
    }
}

/* --- compiling it --------------------------------------------------------------------------- */

static void render(const struct model_document *document, struct buf *out)
{
    buf_reset(out);
    buf_add_text(out, "{'rules':[");
    for (unsigned i = 0; i < document->count; i++) {
        const struct fact *fact = &document->facts[i];
        buf_addf(out, "%s{'gate':'%s','match':'%s','answer':'%s'%s}", i ? "," : "",
                 gate_names[kind_gates[fact->kind]], patterns[fact->kind][fact->pattern][0],
                 answer_names[fact->answer], fact->unpinned ? ",'unpinned':true" : "");
    }
    buf_add_text(out, "]}");
    buf_add_char(out, '\0');
}

/* `backwards`: the documents are added in the other order. */
static void compile(struct fixture *fixture, const struct model *model, bool backwards)
{
    struct buf text = BUF_INIT;
    char rules[256], name[32];
    fixture_init(fixture);
    snprintf(rules, sizeof(rules),
             "{'type':'FirewallBindingProfile','mode':'enforce','conflictPolicy':'%s','rules':[]}",
             conflicts[model->conflict]);
    fixture_add(fixture, LAYER_DEVICE, "conflict", rules);
    for (unsigned i = 0; i < model->count; i++) {
        unsigned at = backwards ? model->count - 1 - i : i;
        struct err err = { 0 };
        render(&model->documents[at], &text);
        snprintf(name, sizeof(name), "gates.%u.yaml", at);
        yyjson_doc *doc = fixture_read(fixture, text.data);
        if (policy_add_gates(fixture->builder, model->documents[at].layer, name,
                             yyjson_doc_get_root(doc), &err) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s: %s", err.where, err.cause, text.data);
    }
    fixture_build(fixture);
    buf_release(&text);
}

static enum answer ask(struct fixture *fixture, enum kind kind, unsigned name)
{
    struct gate_thing thing = { .gate = kind_gates[kind], .name = str_from(names[kind][name]) };
    CHECK_INT(policy_decide_gate(fixture->policy, &thing, &fixture->verdict, NULL), 0);
    return fixture->verdict.built_in && fixture->verdict.answer == ANSWER_ALLOW
               ? ANSWER_NOTHING
               : fixture->verdict.answer;
}

/* --- the naive evaluator -------------------------------------------------------------------- */

#define FAR 10000

static bool begins(const char *text, const char *start, size_t len)
{
    return strncmp(text, start, len) == 0;
}

/* How much of one spelling a pattern leaves open; FAR: it does not match. */
static int open_of(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);
    if (pattern[len - 1] == '*')
        return begins(name, pattern, len - 1) ? 2 * (int)(strlen(name) - (len - 1)) + 1 : FAR;
    return strcmp(pattern, name) == 0 ? 0 : FAR;
}

static int open_of_path(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);
    bool is_below = begins(name, pattern, len) && (len == 1 || name[len] == '/');
    if (strcmp(pattern, "*") == 0 || strcmp(pattern, name) == 0 || !is_below)
        return open_of(pattern, name);
    return 2 * (int)(strlen(name) - len) + 1;
}

static int nearest(int a, int b)
{
    return a < b ? a : b;
}

static int distance(const struct fact *fact, unsigned name)
{
    const char *pattern = patterns[fact->kind][fact->pattern][1];
    const char *whole = names[fact->kind][name];
    int best = FAR;
    if (fact->kind == PATHS)
        return open_of_path(pattern, whole);
    if (fact->kind == TOOLS) {
        const char *last = strrchr(whole, ':');
        return nearest(open_of(pattern, whole), last ? open_of(pattern, last + 1) : FAR);
    }
    if (fact->unpinned && strchr(whole, '@'))
        return FAR;
    for (int i = 0; i < 3; i++) {
        int away = (int)(strlen(image_names[name][0]) - strlen(image_names[name][i]));
        int open = open_of(pattern, image_names[name][i]);
        best = nearest(best, open == FAR ? FAR : open + 2 * away);
    }
    return best;
}

static bool lies_below(const struct fact *fact, unsigned name)
{
    const char *pattern = patterns[PATHS][fact->pattern][1];
    const char *folder = names[PATHS][name];
    size_t len = strlen(folder);
    return fact->kind == PATHS && strlen(pattern) > len && begins(pattern, folder, len) &&
           (len == 1 || pattern[len] == '/');
}

/* What the documents of one layer (of the enterprise, one document) say together. */
static enum answer naive_unit(const struct model *model, enum layer layer, int only, enum kind kind,
                              unsigned name)
{
    enum answer answer = ANSWER_NOTHING;
    int best = FAR;
    for (unsigned i = 0; i < model->count; i++) {
        const struct model_document *document = &model->documents[i];
        if (document->layer != layer || (only >= 0 && (unsigned)only != i))
            continue;
        for (unsigned j = 0; j < document->count; j++) {
            const struct fact *fact = &document->facts[j];
            int here = fact->kind == kind ? distance(fact, name) : FAR;
            if (here < best)
                answer = fact->answer;
            else if (here == best && here < FAR && fact->answer > answer)
                answer = fact->answer;
            best = nearest(here, best);
        }
    }
    return answer;
}

static enum answer naive_below(const struct model *model, enum layer layer, unsigned name)
{
    enum answer answer = ANSWER_NOTHING;
    for (unsigned i = 0; i < model->count; i++) {
        for (unsigned j = 0; model->documents[i].layer == layer && j < model->documents[i].count;
             j++) {
            const struct fact *fact = &model->documents[i].facts[j];
            if (lies_below(fact, name) && fact->answer > ANSWER_ALLOW && fact->answer > answer)
                answer = fact->answer;
        }
    }
    return answer;
}

static enum answer naive_layer(const struct model *model, enum layer layer, enum kind kind,
                               unsigned name)
{
    enum answer answer = ANSWER_NOTHING;
    for (unsigned i = 0; layer == LAYER_ENTERPRISE && i < model->count; i++) {
        enum answer one = naive_unit(model, layer, (int)i, kind, name);
        answer = one > answer ? one : answer;
    }
    if (layer != LAYER_ENTERPRISE)
        answer = naive_unit(model, layer, -1, kind, name);
    enum answer below = kind == PATHS ? naive_below(model, layer, name) : ANSWER_NOTHING;
    return below > answer ? below : answer;
}

static enum answer naive(const struct model *model, enum kind kind, unsigned name)
{
    enum answer answers[LAYER_COUNT] = { 0 };
    enum answer strictest = ANSWER_NOTHING;
    bool differ = false;
    for (int layer = 0; layer < LAYER_COUNT; layer++)
        answers[layer] = naive_layer(model, (enum layer)layer, kind, name);
    if (model->conflict == 2 && answers[LAYER_USER])
        answers[LAYER_WORKSPACE] = answers[LAYER_DEVICE] = ANSWER_NOTHING;
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        bool stands = model->conflict == 1 && answers[LAYER_ENTERPRISE] > ANSWER_ALLOW;
        if (!answers[layer] || (stands && layer != LAYER_ENTERPRISE))
            continue;
        differ = differ || (strictest && strictest != answers[layer]);
        strictest = answers[layer] > strictest ? answers[layer] : strictest;
    }
    return differ && model->conflict == 3 ? ANSWER_DENY : strictest;
}

/* --- the properties ------------------------------------------------------------------------- */

typedef void check_model(struct model *model, struct fixture *fixture, unsigned set);

static void each_model(check_model *check)
{
    const char *seed = getenv("AM_TEST_SEED");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
    for (unsigned set = 0; set < SETS; set++) {
        struct fixture fixture;
        struct model model;
        random_state = (first + set) * 0x9e3779b97f4a7c15ull;
        random_model(&model);
        compile(&fixture, &model, false);
        check(&model, &fixture, set);
        fixture_release(&fixture);
    }
}

static void expect(unsigned set, enum kind kind, unsigned name, enum answer got, bool holds,
                   const char *what)
{
    if (!holds)
        test_fail(__FILE__, __LINE__, "set %u: %s is %s, %s", set, names[kind][name],
                  answer_names[got], what);
}

static void check_naive(struct model *model, struct fixture *fixture, unsigned set)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (unsigned name = 0; name < NAMES_MAX && names[kind][name]; name++) {
            enum answer got = ask(fixture, (enum kind)kind, name);
            enum answer wanted = naive(model, (enum kind)kind, name);
            expect(set, (enum kind)kind, name, got, got == wanted, answer_names[wanted]);
        }
    }
}

TEST(the_compiled_verdict_of_a_gate_is_that_of_a_naive_evaluator)
{
    each_model(check_naive);
}

/* An allow, or silence, which allows what is delegated, are one here. */
static enum answer strictness(enum answer answer)
{
    return answer == ANSWER_NOTHING ? ANSWER_ALLOW : answer;
}

static void check_denies(struct model *model, struct fixture *fixture, unsigned set)
{
    struct fixture more;
    struct model denied = *model;
    struct model_document *document = &denied.documents[denied.count];
    bool is_new = !model->count || pick(2);
    if (!is_new)
        document = &denied.documents[pick(model->count)];
    else
        *document = (struct model_document){ .layer = (enum layer)pick(LAYER_USER + 1) };
    if (document->count == RULES_MAX)
        return;
    document->facts[document->count] = random_fact();
    document->facts[document->count++].answer = ANSWER_DENY;
    denied.count += is_new;
    compile(&more, &denied, false);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (unsigned name = 0; name < NAMES_MAX && names[kind][name]; name++) {
            enum answer before = strictness(ask(fixture, (enum kind)kind, name));
            enum answer after = strictness(ask(&more, (enum kind)kind, name));
            expect(set, (enum kind)kind, name, after, after >= before, "less strict by a denial");
        }
    }
    fixture_release(&more);
}

TEST(adding_a_rule_that_denies_at_any_gate_never_turns_anything_into_allow)
{
    each_model(check_denies);
}

static bool remove_allow(struct model *model)
{
    for (int tries = 0; tries < 20 && model->count; tries++) {
        struct model_document *document = &model->documents[pick(model->count)];
        unsigned at = document->count ? pick(document->count) : 0;
        if (!document->count || document->facts[at].answer != ANSWER_ALLOW)
            continue;
        document->facts[at] = document->facts[--document->count];
        return true;
    }
    return false;
}

static void check_allows(struct model *model, struct fixture *fixture, unsigned set)
{
    struct fixture less;
    struct model left = *model;
    if (!remove_allow(&left))
        return;
    compile(&less, &left, false);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (unsigned name = 0; name < NAMES_MAX && names[kind][name]; name++) {
            enum answer before = strictness(ask(fixture, (enum kind)kind, name));
            enum answer after = strictness(ask(&less, (enum kind)kind, name));
            expect(set, (enum kind)kind, name, after,
                   after != ANSWER_ALLOW || before == ANSWER_ALLOW, "by one allow less");
        }
    }
    fixture_release(&less);
}

TEST(removing_an_allow_at_any_gate_never_turns_anything_into_allow)
{
    each_model(check_allows);
}

static void check_enterprise(struct model *model, struct fixture *fixture, unsigned set)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (unsigned name = 0; name < NAMES_MAX && names[kind][name]; name++) {
            if (naive_layer(model, LAYER_ENTERPRISE, (enum kind)kind, name) != ANSWER_DENY)
                continue;
            enum answer got = ask(fixture, (enum kind)kind, name);
            expect(set, (enum kind)kind, name, got, got == ANSWER_DENY, "denied by the enterprise");
        }
    }
}

TEST(a_denial_of_the_enterprise_at_a_gate_survives_every_layer_and_conflict_policy)
{
    each_model(check_enterprise);
}

static void check_order(struct model *model, struct fixture *fixture, unsigned set)
{
    struct fixture other;
    compile(&other, model, true);
    CHECK_TEXT(policy_digest(fixture->policy), policy_digest(other.policy));
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (unsigned name = 0; name < NAMES_MAX && names[kind][name]; name++) {
            enum answer one = ask(fixture, (enum kind)kind, name);
            enum answer two = ask(&other, (enum kind)kind, name);
            expect(set, (enum kind)kind, name, one, one == two, "otherwise in another order");
            CHECK_TEXT(fixture->verdict.reason, other.verdict.reason);
        }
    }
    fixture_release(&other);
}

TEST(the_order_of_gates_documents_does_not_matter)
{
    each_model(check_order);
}

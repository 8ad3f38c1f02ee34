/*
 * gate: see the header.
 *
 * Theory of operation. Rules are sorted by gate and match, and every distinct
 * match knows the longest other that it begins with. The last match that does
 * not sort behind a name has all that the name begins with among its parents:
 * one search and a short climb find every rule that can apply. A name has up
 * to four spellings (a URN and its last part; an image with digest, with tag,
 * without either, and the path where it lies), which are climbed beside one
 * another, nearest match first.
 * In each unit the nearest rule decides; of equally near ones the strictest.
 *
 * A path stands for all below it, because a mount shows all of it. So a rule
 * for something within the path counts too, if it denies or asks.
 *
 * What else has a say about a thing (a provider's profile, the layers' word on
 * a host) joins the answer of its layer, and the strictest holds there; the
 * conflict policy makes one answer of all, as it does for hosts.
 *
 * Invariants. Adding a rule that denies never makes a verdict less strict. A
 * path with parts of dots is denied.
 *
 * Limits: GATE_NAME_MAX. The rules below a path are looked at one by one.
 */
#include "authority/gate.h"

#include "authority/verdict_internal.h"
#include "base/buf.h"
#include "contract/jcs.h"
#include "contract/rules.h"

#define SPELLINGS_MAX 4
#define RULE_NAME_MAX 200 /* bytes, as a PolicyDecision has it */
#define REGISTRY_PORT 443
#define STEP_DECIDE   "ask the layers"
#define STEP_COMPILE  "compile a policy"

static int no_memory(const char *step, struct err *err)
{
    return err_set(err, ERR_MEMORY, step, "there is not enough memory");
}

/* --- compiling ------------------------------------------------------------------------------ */

struct adding {
    struct policy_builder *builder;
    uint32_t document, unit;
};

/* A match as names are compared: without its `*`, an image's in full. */
static int copy_match(struct adding *adding, const struct gate_row *row, struct str *ret)
{
    struct arena *arena = &adding->builder->policy->arena;
    struct str match = row->match;
    _cleanup_(buf_release) struct buf full = BUF_INIT_LIMIT(GATE_NAME_MAX * 2);
    size_t repository, tagged;
    if (row->form == GATE_BEGINNING)
        match.len--;
    if (row->gate == GATE_CONTAINER_EXECUTION && match.len) {
        if (gate_image_name(match, &full, &repository, &tagged) < 0)
            return -ENOMEM;
        match = buf_str(&full);
    }
    const char *copy = arena_copy(arena, match);
    *ret = str_make(copy, match.len);
    return copy ? 0 : -ENOMEM;
}

/* A rule goes by its gate and its match. */
static int name_rule(struct adding *adding, const struct gate_row *row, struct str *ret)
{
    char name[RULE_NAME_MAX + 1];
    struct text text = text_begin(name, sizeof(name));
    text_add(&text, str_from(gate_names[row->gate]));
    ADD(&text, " ");
    text_add(&text, row->match);
    if (row->unpinned)
        ADD(&text, " unpinned");
    size_t len = (size_t)(text.at - name);
    const char *copy = arena_copy(&adding->builder->policy->arena, str_make(name, len));
    *ret = str_make(copy, len);
    return copy ? 0 : -ENOMEM;
}

static int add_row(void *context, const struct gate_row *row, struct err *err)
{
    struct adding *adding = context;
    struct policy *policy = adding->builder->policy;
    struct gate_rule rule = { .gate = (uint8_t)row->gate, .unpinned = row->unpinned };
    rule.rule = (struct compiled_rule){ .place = PLACE_GATE_RULE,
                                        .form = (uint8_t)row->form,
                                        .answer = (uint8_t)row->answer,
                                        .reason = row->reason,
                                        .pattern = row->match,
                                        .unit = adding->unit,
                                        .document = adding->document,
                                        .index = row->index };
    int r = builder_grow(&policy->gate_rules, sizeof(*policy->gate_rules), policy->gate_rule_count,
                         &adding->builder->gate_rule_capacity, POLICY_RULES_MAX, err);
    if (r < 0)
        return r;
    if (copy_match(adding, row, &rule.match) < 0 || name_rule(adding, row, &rule.rule.id) < 0)
        return no_memory(STEP_COMPILE, err);
    policy->gate_rules[policy->gate_rule_count++] = rule;
    return 0;
}

static int add_engine(void *context, const struct engine_row *row, struct err *err)
{
    struct adding *adding = context;
    struct policy *policy = adding->builder->policy;
    if (policy->engine_count == GATE_ENGINES_MAX)
        return err_set(err, ERR_LIMIT, STEP_COMPILE, "there are more than %d policy engines",
                       GATE_ENGINES_MAX);
    policy->engines[policy->engine_count++] =
        (struct policy_engine){ .row = *row, .document = adding->document };
    return 0;
}

int policy_add_gates(struct policy_builder *builder, enum layer layer, const char *name,
                     const yyjson_val *root, struct err *err)
{
    struct policy_document document = { .root = root, .layer = layer };
    struct adding adding = { .builder = builder, .unit = (uint32_t)layer };
    struct gate_visitor visitor = { .rule = add_row, .engine = add_engine, .context = &adding };
    document.name = arena_copy(&builder->policy->arena, str_from(name));
    if (!document.name)
        return no_memory(STEP_COMPILE, err);
    int r = jcs_digest(root, document.digest, err);
    if (r == 0)
        r = builder_add_document(builder, &document, &adding.document, err);
    if (r == 0 && layer == LAYER_ENTERPRISE)
        r = builder_add_unit(builder, layer, UNIT_IN_FORCE, &adding.unit, err);
    return r < 0 ? r : gate_rules_read(document.name, layer, root, &visitor, err);
}

int builder_add_provider(struct policy_builder *builder, const struct policy_provider *provider,
                         struct err *err)
{
    struct policy *policy = builder->policy;
    int r = builder_grow(&policy->providers, sizeof(*policy->providers), policy->provider_count,
                         &builder->provider_capacity, POLICY_DOCUMENTS_MAX, err);
    if (r == 0)
        policy->providers[policy->provider_count++] = *provider;
    return r;
}

int builder_add_profile(struct policy_builder *builder, const struct policy_profile *profile,
                        struct err *err)
{
    struct policy *policy = builder->policy;
    int r = builder_grow(&policy->profiles, sizeof(*policy->profiles), policy->profile_count,
                         &builder->profile_capacity, POLICY_DOCUMENTS_MAX, err);
    if (r == 0)
        policy->profiles[policy->profile_count++] = *profile;
    return r;
}

static int compare_text(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int r = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

static int compare_gate_rules(const void *a, const void *b, void *context)
{
    const struct policy_document *documents = context;
    const struct gate_rule *one = a;
    const struct gate_rule *other = b;
    if (one->gate != other->gate)
        return one->gate < other->gate ? -1 : 1;
    int r = compare_text(one->match, other->match);
    if (r == 0) {
        uint32_t one_rank = documents[one->rule.document].order;
        uint32_t other_rank = documents[other->rule.document].order;
        r = (one_rank > other_rank) - (one_rank < other_rank);
    }
    return r ? r : (one->rule.index > other->rule.index) - (one->rule.index < other->rule.index);
}

/* The node before a new one that it begins with. */
static uint32_t find_parent(const struct policy *policy, uint32_t first, uint32_t node)
{
    uint32_t parent = node > first ? node - 1 : NO_NODE;
    while (parent != NO_NODE &&
           !str_starts(policy->gate_nodes[node].match, policy->gate_nodes[parent].match))
        parent = policy->gate_nodes[parent].parent;
    return parent;
}

static int compare_engines(const void *a, const void *b, void *context)
{
    const struct policy_document *documents = context;
    const struct policy_engine *one = a;
    const struct policy_engine *other = b;
    uint32_t one_rank = documents[one->document].order;
    uint32_t other_rank = documents[other->document].order;
    int r = (one_rank > other_rank) - (one_rank < other_rank);
    return r ? r : (one->row.index > other->row.index) - (one->row.index < other->row.index);
}

int gate_index(struct policy *policy, struct err *err)
{
    size_t at = 0;
    uint32_t node = 0;
    policy->gate_nodes = calloc(policy->gate_rule_count + 1, sizeof(*policy->gate_nodes));
    if (!policy->gate_nodes)
        return no_memory(STEP_COMPILE, err);
    if (policy->gate_rule_count)
        qsort_r(policy->gate_rules, policy->gate_rule_count, sizeof(*policy->gate_rules),
                compare_gate_rules, policy->documents);
    qsort_r(policy->engines, policy->engine_count, sizeof(*policy->engines), compare_engines,
            policy->documents);
    for (int gate = 0; gate < GATE_COUNT; gate++) {
        uint32_t first = node;
        policy->first_gate_node[gate] = first;
        for (; at < policy->gate_rule_count && policy->gate_rules[at].gate == gate; at++) {
            struct str match = policy->gate_rules[at].match;
            if (node > first && str_equal(match, policy->gate_nodes[node - 1].match))
                continue;
            policy->gate_nodes[node] = (struct gate_node){ .match = match, .first = (uint32_t)at };
            policy->gate_nodes[node].parent = find_parent(policy, first, node);
            node++;
        }
    }
    policy->first_gate_node[GATE_COUNT] = node;
    policy->gate_nodes[node].first = (uint32_t)at;
    return 0;
}

/* --- what is asked -------------------------------------------------------------------------- */

/* One way to write a name; `away` is what it leaves out at the end of the longest. */
struct spelling {
    struct str name;
    size_t away;
};

struct gate_question {
    const struct gate_thing *thing;
    struct buf text, place; /* keep what the spellings view; the latter where an image lies */
    struct spelling spellings[SPELLINGS_MAX];
    size_t count;
    bool is_path, unpinned;
    bool is_nothing; /* to have no network */
};

static void add_spelling(struct gate_question *question, size_t len)
{
    struct str whole = buf_str(&question->text);
    if (question->count && question->spellings[question->count - 1].name.len == len)
        return;
    question->spellings[question->count++] =
        (struct spelling){ .name = str_make(whole.ptr, len), .away = whole.len - len };
}

/* Without empty parts and parts of one dot; 0 where there is one of two. */
static int add_path(struct buf *ret, struct str path)
{
    for (size_t start = 1; start < path.len;) {
        size_t end = str_index(path, '/', start);
        struct str part = str_make(path.ptr + start, end - start);
        if (str_equal(part, STR("..")))
            return 0;
        if (part.len && !str_equal(part, STR("."))) {
            buf_add_char(ret, '/');
            buf_add_str(ret, part);
        }
        start = end + 1;
    }
    if (!ret->len)
        buf_add_char(ret, '/');
    return 1;
}

static struct str last_part(struct str urn)
{
    size_t at = 0;
    for (int colons = 0; colons < 3 && at < urn.len; colons++)
        at = str_index(urn, ':', at) + 1;
    return str_from_offset(urn, at);
}

/* 1; 0 where it is said to lie in a place that is none. */
static int ask_image(struct gate_question *question, const struct gate_thing *thing)
{
    struct str place = gate_image_path(thing->name);
    size_t repository = 0, tagged = 0;
    if (gate_image_name(thing->name, &question->text, &repository, &tagged) < 0)
        return 1;
    bool is_pinned = tagged < question->text.len || thing->digest.len;
    if (tagged == question->text.len && thing->digest.len && !gate_is_path(thing->name)) {
        buf_add_char(&question->text, '@');
        buf_add_str(&question->text, thing->digest);
    }
    question->unpinned = !is_pinned;
    if (question->text.error)
        return 1;
    add_spelling(question, question->text.len);
    add_spelling(question, tagged);
    add_spelling(question, repository);
    if (!place.len)
        return 1;
    int r = add_path(&question->place, place);
    question->spellings[question->count++] = (struct spelling){ buf_str(&question->place), 0 };
    return r;
}

static void release_question(struct gate_question *question)
{
    buf_release(&question->text);
    buf_release(&question->place);
}

/* 1; 0 where the name is none that can be decided about. */
static int ask_gate(const struct gate_thing *thing, struct gate_question *ret, struct err *err)
{
    struct gate_question question = { .thing = thing,
                                      .text = BUF_INIT_LIMIT(GATE_NAME_MAX * 2),
                                      .place = BUF_INIT_LIMIT(GATE_NAME_MAX * 2) };
    int r = 1;
    if (thing->name.len > GATE_NAME_MAX || thing->digest.len > GATE_NAME_MAX)
        return err_set(err, ERR_LIMIT, STEP_DECIDE, "a name has %d bytes at most", GATE_NAME_MAX);
    question.is_path = gate_is_path(thing->name);
    question.is_nothing =
        thing->gate == GATE_NETWORK_PROFILE && str_equal(thing->name, STR(GATE_NO_NETWORK));
    if (thing->gate == GATE_CONTAINER_EXECUTION && !question.is_path) {
        r = ask_image(&question, thing);
    } else if (question.is_path) {
        r = add_path(&question.text, thing->name);
        add_spelling(&question, question.text.len);
        question.unpinned = !thing->digest.len;
    } else {
        buf_add_str(&question.text, thing->name);
        add_spelling(&question, question.text.len);
        struct str last = last_part(buf_str(&question.text));
        if (str_starts(thing->name, STR("urn:")) && last.len)
            question.spellings[question.count++] = (struct spelling){ last, 0 };
    }
    if (question.text.error || question.place.error) {
        release_question(&question);
        return no_memory(STEP_DECIDE, err);
    }
    *ret = question;
    return thing->name.len ? r : 0;
}

/* --- which rules apply ---------------------------------------------------------------------- */

/* The first node of a gate that sorts behind a text. */
static uint32_t node_behind(const struct policy *policy, enum gate gate, struct str text)
{
    uint32_t low = policy->first_gate_node[gate];
    uint32_t high = policy->first_gate_node[gate + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_text(policy->gate_nodes[middle].match, text) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool applies(const struct gate_question *question, struct str name,
                    const struct gate_rule *rule)
{
    size_t len = rule->match.len;
    if (rule->unpinned && !question->unpinned)
        return false;
    switch ((enum gate_form)rule->rule.form) {
    case GATE_WHOLE:
        return len == name.len;
    case GATE_BEGINNING:
        return !question->is_nothing;
    case GATE_TREE:
        return len == name.len || len == 1 || name.ptr[len] == '/';
    }
    return false;
}

/* A rule that applies, and how far its match is from the name: what it leaves open of it. */
struct candidate {
    const struct compiled_rule *rule;
    size_t distance;
};

struct candidates {
    struct candidate *items;
    size_t count, capacity;
};

static int add_candidate(struct candidates *candidates, const struct compiled_rule *rule,
                         size_t distance, struct err *err)
{
    int r = builder_grow(&candidates->items, sizeof(*candidates->items), candidates->count,
                         &candidates->capacity, POLICY_RULES_MAX, err);
    if (r == 0)
        candidates->items[candidates->count++] = (struct candidate){ rule, distance };
    return r;
}

/* All that a spelling is, or begins with. A match that leaves more open comes behind one that
 * leaves the same open and names the whole. */
static int find_above(const struct policy *policy, const struct gate_question *question,
                      const struct spelling *spelling, struct candidates *ret, struct err *err)
{
    enum gate gate = question->thing->gate;
    uint32_t behind = node_behind(policy, gate, spelling->name);
    uint32_t at = behind > policy->first_gate_node[gate] ? behind - 1 : NO_NODE;
    int r = 0;
    for (; at != NO_NODE && r == 0; at = policy->gate_nodes[at].parent) {
        const struct gate_node *node = &policy->gate_nodes[at];
        if (!str_starts(spelling->name, node->match))
            continue;
        size_t open = spelling->name.len - node->match.len;
        for (uint32_t i = node[0].first; i < node[1].first && r == 0; i++) {
            const struct gate_rule *rule = &policy->gate_rules[i];
            bool is_whole = open == 0 && rule->rule.form != GATE_BEGINNING;
            if (applies(question, spelling->name, rule))
                r = add_candidate(ret, &rule->rule, 2 * (open + spelling->away) + !is_whole, err);
        }
    }
    return r;
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *one = a;
    const struct candidate *other = b;
    if (one->distance != other->distance)
        return one->distance < other->distance ? -1 : 1;
    if (one->rule->answer != other->rule->answer)
        return one->rule->answer > other->rule->answer ? -1 : 1;
    return (one->rule > other->rule) - (one->rule < other->rule);
}

/* --- what the layers answer ----------------------------------------------------------------- */

static void take(const struct policy *policy, const struct compiled_rule *rule,
                 struct answers *answers)
{
    const struct compiled_rule **layer = &answers->layers[policy->units[rule->unit].layer];
    if (!*layer || rule->answer > (*layer)->answer)
        *layer = rule;
}

/* In each unit the nearest rule, and of equally near ones the strictest. */
static int ask_rules(const struct policy *policy, const struct gate_question *question,
                     struct answers *answers, struct err *err)
{
    struct candidates found = { 0 };
    struct seen seen;
    int r = 0;
    for (size_t i = 0; i < question->count && r == 0; i++)
        r = find_above(policy, question, &question->spellings[i], &found, err);
    if (found.count)
        qsort(found.items, found.count, sizeof(*found.items), compare_candidates);
    seen_clear(&seen, policy);
    for (size_t i = 0; i < found.count && r == 0; i++) {
        if (seen_has(&seen, found.items[i].rule->unit))
            continue;
        seen_set(&seen, found.items[i].rule->unit);
        take(policy, found.items[i].rule, answers);
    }
    free(found.items);
    return r;
}

/* A mount shows what lies below it, so that what is said about that counts, unless it allows. */
static void ask_below(const struct policy *policy, const struct gate_question *question,
                      struct answers *answers)
{
    enum gate gate = question->thing->gate;
    struct str path = question->spellings[0].name;
    uint32_t end = policy->first_gate_node[gate + 1];
    for (uint32_t node = node_behind(policy, gate, path); node < end; node++) {
        struct str match = policy->gate_nodes[node].match;
        if (!str_starts(match, path))
            return;
        if (path.len > 1 && match.ptr[path.len] != '/')
            continue;
        for (uint32_t at = policy->gate_nodes[node].first; at < policy->gate_nodes[node + 1].first;
             at++) {
            if (policy->gate_rules[at].rule.answer > ANSWER_ALLOW)
                take(policy, &policy->gate_rules[at].rule, answers);
        }
    }
}

static int ask_host(const struct policy *policy, struct str host, uint16_t port,
                    struct answers *answers, struct err *err)
{
    struct policy_destination destination = {
        .host = host, .port = port, .protocol = STR("https"), .of_door = true
    };
    struct answers here = { 0 };
    int r = verdict_ask_host(policy, &destination, &here, err);
    for (int layer = 0; r > 0 && layer < LAYER_COUNT; layer++) {
        if (here.layers[layer])
            take(policy, here.layers[layer], answers);
    }
    return r < 0 ? r : 0;
}

/* The profiles of a provider, and the host where it answers. */
static int ask_provider(const struct policy *policy, const struct gate_question *question,
                        struct answers *answers, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < policy->provider_count && r == 0; i++) {
        const struct policy_provider *provider = &policy->providers[i];
        if (!str_equal(provider->id, question->thing->name) &&
            !str_equal(last_part(provider->id), question->thing->name))
            continue;
        if (provider->rule.answer != ANSWER_NOTHING)
            take(policy, &provider->rule, answers);
        if (provider->port)
            r = ask_host(policy, provider->host, provider->port, answers, err);
    }
    return r;
}

static int ask_registry(const struct policy *policy, const struct gate_question *question,
                        struct answers *answers, struct err *err)
{
    struct str name = question->spellings[0].name;
    struct str registry = str_make(name.ptr, str_index(name, '/', 0));
    struct str host;
    uint16_t port;
    if (question->thing->is_local || question->is_path ||
        !destination_split_port(registry, &host, &port))
        return 0;
    return ask_host(policy, host, port ? port : REGISTRY_PORT, answers, err);
}

/* --- the machine profile of the run ---------------------------------------------------------- */

static bool lists_name(const yyjson_val *list, struct str name)
{
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init((yyjson_val *)list, &iterator);
    for (const yyjson_val *item; (item = yyjson_arr_iter_next(&iterator));) {
        if (str_equal(text_of(item), name) || str_equal(last_part(text_of(item)), name))
            return true;
    }
    return false;
}

/* Whether a path is, or lies below, one of a list, whose `~` is the caller's home. */
static bool lists_path(const yyjson_val *list, struct str path)
{
    const char *home = getenv("HOME");
    yyjson_arr_iter iterator;
    bool found = false;
    yyjson_arr_iter_init((yyjson_val *)list, &iterator);
    for (const yyjson_val *item; !found && (item = yyjson_arr_iter_next(&iterator));) {
        _cleanup_(buf_release) struct buf full = BUF_INIT_LIMIT(GATE_NAME_MAX * 2);
        _cleanup_(buf_release) struct buf plain = BUF_INIT_LIMIT(GATE_NAME_MAX * 2);
        struct str text = text_of(item);
        if (str_starts(text, STR("~")) && home)
            buf_add_text(&full, home);
        buf_add_str(&full, str_from_offset(text, str_starts(text, STR("~"))));
        if (!gate_is_path(buf_str(&full)) || !add_path(&plain, buf_str(&full)) || plain.error)
            continue;
        found = str_starts(path, buf_str(&plain)) &&
                (path.len == plain.len || plain.len == 1 || path.ptr[plain.len] == '/');
    }
    return found;
}

/* Whether a profile denies what is asked about; what it has no list for it says nothing of. */
static bool profile_denies(const struct policy_profile *profile,
                           const struct gate_question *question)
{
    struct str name = question->thing->name;
    const yyjson_val *root = profile->root;
    switch (question->thing->gate) {
    case GATE_TOOL_GRANT:
        return (str_starts(name, STR("urn:srcos:agent-tool-surface:")) ||
                !str_starts(name, STR("urn:"))) &&
               !lists_name(at(root, "/agentPlane/toolSurfaceRefs"), name);
    case GATE_MODEL_PROVIDER_USE:
        return !lists_name(at(root, "/agentPlane/modelProviderRefs"), name);
    case GATE_NETWORK_PROFILE: {
        struct str own = text_of(at(root, "/agentPlane/networkAccessProfileRef"));
        return !question->is_nothing && !str_equal(own, name) && !str_equal(last_part(own), name);
    }
    case GATE_CONTAINER_EXECUTION:
        return question->unpinned &&
               !yyjson_is_true(at(root, "/containerPlane/rootFilesystem/allowUnpinnedImage"));
    case GATE_ARTIFACT_ACCESS:
        return question->is_path &&
               !lists_path(at(root, "/worktreePlane/allowedPaths"), question->spellings[0].name);
    case GATE_COUNT:
        break;
    }
    return false;
}

static void ask_profile(const struct policy *policy, const struct gate_question *question,
                        struct answers *answers)
{
    for (size_t i = 0; i < policy->profile_count && question->thing->profile.len; i++) {
        const struct policy_profile *profile = &policy->profiles[i];
        if (str_equal(profile->id, question->thing->profile) && profile_denies(profile, question))
            take(policy, &profile->rules[question->thing->gate], answers);
    }
}

/* --- the verdict ---------------------------------------------------------------------------- */

static void add_remedy(struct text *text, const struct policy *policy, int layer,
                       const struct compiled_rule *rule, const struct gate_question *question)
{
    const char *name = policy->documents[rule->document].name;
    bool is_default = rule->place == PLACE_DEFAULT_EGRESS || rule->place == PLACE_DEFAULT_DECISION;
    bool below = rule->place == PLACE_GATE_RULE && question->is_path &&
                 rule->pattern.len > question->spellings[0].name.len;
    if (layer == LAYER_ENTERPRISE && rule->answer == ANSWER_ASK)
        ADD(text, "someone to whom the enterprise delegated it answers; or ");
    if (below) {
        ADD(text, "choose a folder that does not hold ");
        text_add(text, rule->pattern);
        ADD(text, ", or take out ");
        verdict_add_place(text, policy, rule);
    } else if (rule->place == PLACE_GATE_RULE && rule->form != GATE_WHOLE) {
        ADD(text, "allow ");
        text_add(text, question->thing->name);
        ADD(text, " by a rule of its own in ");
        text_add(text, str_from(name));
    } else if (rule->place == PLACE_PROFILE_IMAGE) {
        ADD(text, "name it with its digest, or set allowUnpinnedImage in ");
        verdict_add_place(text, policy, rule);
    } else if (rule->place >= PLACE_PROFILE_TOOLS && rule->place <= PLACE_PROFILE_PATHS) {
        ADD(text, "list it in ");
        verdict_add_place(text, policy, rule);
    } else if (is_default) {
        ADD(text, "list its host in ");
        text_add(text, str_from(name));
    } else {
        ADD(text, "take out or change ");
        verdict_add_place(text, policy, rule);
    }
}

static void tell(const struct policy *policy, const struct answers *answers,
                 const struct gate_question *question, int layer, struct verdict *verdict)
{
    struct text change = text_begin(verdict->smallest_change, sizeof(verdict->smallest_change));
    bool is_first = true;
    verdict_tell_layer(policy, answers, layer, verdict);
    for (int i = 0; i < LAYER_COUNT && verdict->answer != ANSWER_ALLOW; i++) {
        if (verdict_answer_of(answers, i) <= ANSWER_ALLOW || !verdict_counts(policy, answers, i))
            continue;
        if (!is_first)
            ADD(&change, "; and ");
        add_remedy(&change, policy, i, answers->layers[i], question);
        is_first = false;
    }
    if (verdict->answer == ANSWER_ALLOW)
        ADD(&change, "a rule that denies it in gates.yaml of the user's layer");
    *change.at = '\0';
}

static void decide(const struct policy *policy, const struct answers *answers,
                   const struct gate_question *question, struct verdict *ret)
{
    int layer = verdict_combine(policy, answers, &ret->answer);
    verdict_fill_layers(policy, answers, ret);
    if (layer < LAYER_COUNT) {
        tell(policy, answers, question, layer, ret);
        return;
    }
    verdict_deny_built_in(ret, STR(GATE_RULE_SILENCE),
                          STR("no layer says anything about it: what is delegated stands"),
                          STR("a rule that denies it in gates.yaml of a layer"));
    ret->answer = ANSWER_ALLOW;
}

int policy_decide_gate(const struct policy *policy, const struct gate_thing *thing,
                       struct verdict *ret, struct err *err)
{
    struct gate_question question;
    struct answers answers = { 0 };
    int r = ask_gate(thing, &question, err);
    if (r < 0)
        return r;
    verdict_clear(ret);
    if (policy->unreadable != NO_DOCUMENT) {
        verdict_deny_unreadable(policy, ret);
    } else if (r == 0) {
        verdict_deny_built_in(ret, STR(GATE_RULE_MALFORMED),
                              STR("nothing goes by that name: it is empty, or a path with `..`"),
                              STR("write the path as it is, from / on and without dots"));
    } else {
        r = ask_rules(policy, &question, &answers, err);
        if (r == 0 && question.is_path)
            ask_below(policy, &question, &answers);
        if (r == 0 && thing->gate == GATE_MODEL_PROVIDER_USE)
            r = ask_provider(policy, &question, &answers, err);
        if (r == 0 && thing->gate == GATE_CONTAINER_EXECUTION)
            r = ask_registry(policy, &question, &answers, err);
        ask_profile(policy, &question, &answers);
        if (r == 0)
            decide(policy, &answers, &question, ret);
    }
    release_question(&question);
    return r < 0 ? r : 0;
}

int policy_decide_gate_here(const struct policy *policy, const struct gate_thing *thing,
                            struct verdict *ret, struct err *err)
{
    char path[GATE_NAME_MAX + 1];
    struct gate_thing real_thing = *thing;
    struct str written_path = gate_is_path(thing->name) ? thing->name
                              : thing->gate == GATE_CONTAINER_EXECUTION
                                  ? gate_image_path(thing->name)
                                  : STR("");
    struct verdict written, real;
    int r = policy_decide_gate(policy, thing, &written, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%.*s", STR_ARG(written_path));
    _cleanup_(cleanup_free) char *resolved = written_path.len ? realpath(path, NULL) : NULL;
    if (resolved && !str_equal(str_from(resolved), written_path)) {
        real_thing.name = str_from(resolved);
        r = policy_decide_gate(policy, &real_thing, &real, err);
        if (r == 0 && real.answer > written.answer)
            written = real;
    }
    if (r == 0)
        *ret = written;
    return r;
}

/*
 * verdict: deciding, and saying why.
 *
 * Theory of operation. What is asked about is read once: a name as names are
 * compared, or an address. Its path in a trie is walked from the most specific
 * node to the root; in each unit (policy.h) the first rule that applies
 * decides, so that more specific rules win, and of equally specific ones that
 * which denies. The answers of units become those of layers (every document of
 * the enterprise is asked, and the strictest holds), and these become one by
 * the conflict policy. Built-in rules stand outside that: an unreadable
 * document denies everything; model providers are for the Model Door; a
 * special address is denied unless a rule names it.
 *
 * Invariants. A verdict is never NOTHING. Adding a rule that denies never makes
 * a verdict less strict. No answer of another layer, and no conflict policy,
 * lifts a denial by the enterprise.
 *
 * Nothing is allocated and no text is formatted by the C library: a decision
 * stands on the way of every connection.
 */
#include <arpa/inet.h>
#include <endian.h>

#include "authority/verdict_internal.h"

#define RULE_UNREADABLE "built-in.unreadable-document"
#define RULE_SILENCE    "built-in.no-layer-allows"
#define RULE_SPECIAL    "built-in.special-addresses"
#define RULE_MALFORMED  "built-in.no-host"

#define PORT_HTTP  80
#define PORT_HTTPS 443

/* --- special addresses ---------------------------------------------------------------------- */

struct special {
    uint8_t space, bits;
    uint64_t high, low;
    const char *what;
};

#define IPV4(a, b, c, d)                                                                           \
    (((uint64_t)(a) << 56) | ((uint64_t)(b) << 48) | ((uint64_t)(c) << 40) | ((uint64_t)(d) << 32))

/* Each before what contains it. */
static const struct special specials[] = {
    { SPACE_IPV4, 32, IPV4(169, 254, 169, 254), 0, "metadata" },
    { SPACE_IPV4, 32, IPV4(169, 254, 170, 2), 0, "metadata" },
    { SPACE_IPV4, 32, IPV4(100, 100, 100, 200), 0, "metadata" },
    { SPACE_IPV4, 32, IPV4(192, 0, 0, 192), 0, "metadata" },
    { SPACE_IPV4, 32, IPV4(168, 63, 129, 16), 0, "metadata" },
    { SPACE_IPV4, 8, IPV4(127, 0, 0, 0), 0, "loopback" },
    { SPACE_IPV4, 8, IPV4(0, 0, 0, 0), 0, "loopback" }, /* 0.0.0.0 reaches this machine */
    { SPACE_IPV4, 8, IPV4(10, 0, 0, 0), 0, "private" },
    { SPACE_IPV4, 12, IPV4(172, 16, 0, 0), 0, "private" },
    { SPACE_IPV4, 16, IPV4(192, 168, 0, 0), 0, "private" },
    { SPACE_IPV4, 24, IPV4(192, 0, 0, 0), 0, "private" },
    { SPACE_IPV4, 10, IPV4(100, 64, 0, 0), 0, "shared" },
    { SPACE_IPV4, 16, IPV4(169, 254, 0, 0), 0, "link-local" },
    { SPACE_IPV4, 4, IPV4(224, 0, 0, 0), 0, "multicast" },
    { SPACE_IPV4, 4, IPV4(240, 0, 0, 0), 0, "reserved" },
    { SPACE_IPV6, 128, 0xfd000ec200000000, 0x254, "metadata" },
    { SPACE_IPV6, 128, 0, 1, "loopback" },
    { SPACE_IPV6, 96, 0, 0, "loopback" }, /* :: too, and IPv4 in an abandoned form */
    { SPACE_IPV6, 10, 0xfe80000000000000, 0, "link-local" },
    { SPACE_IPV6, 10, 0xfec0000000000000, 0, "private" },
    { SPACE_IPV6, 7, 0xfc00000000000000, 0, "private" },
    { SPACE_IPV6, 48, 0x0064ff9b00010000, 0, "private" }, /* a network's own NAT64 */
    { SPACE_IPV6, 8, 0xff00000000000000, 0, "multicast" },
};

/* Prefixes that carry an IPv4 address: its first bit. NAT64 and 6to4. */
static const struct {
    struct prefix prefix;
    unsigned at;
} carriers[] = {
    { { 0x0064ff9b00000000, 0, 96 }, 96 },
    { { 0x2002000000000000, 0, 16 }, 16 },
};

static const struct special *find_special_in(enum space space, struct prefix address)
{
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        const struct special *special = &specials[i];
        if (special->space == space &&
            prefix_covers((struct prefix){ special->high, special->low, special->bits }, address))
            return special;
    }
    return NULL;
}

/*
 * *ret_bits: how long a rule's range must be to name the address. An address that carries a
 * special IPv4 address is special as a whole.
 */
static const struct special *find_special(enum space space, struct prefix address,
                                          unsigned *ret_bits)
{
    const struct special *special = find_special_in(space, address);
    *ret_bits = special ? special->bits : 0;
    for (size_t i = 0; !special && space == SPACE_IPV6 && i < ARRAY_LEN(carriers); i++) {
        if (!prefix_covers(carriers[i].prefix, address))
            continue;
        uint64_t high = carriers[i].at == 96 ? address.low << 32 : address.high << 16;
        special =
            find_special_in(SPACE_IPV4, (struct prefix){ high & IPV4(255, 255, 255, 255), 0, 32 });
        *ret_bits = special ? carriers[i].at + special->bits : 0;
    }
    return special;
}

/* --- what is asked -------------------------------------------------------------------------- */

/* Which rules that list ports count. */
enum ports_mode { PORT_KNOWN, PORT_MAY_ALLOW, PORT_MAY_ASK };

struct question {
    const struct policy_destination *destination;
    enum space space; /* SPACE_NAMES: a name */
    struct str name;
    struct prefix address;
    enum ports_mode mode;
    unsigned protocols; /* bits: tcp or another, and of what TCP carries what it may be */
    const struct address_range *resolved; /* of a name: the address that is asked about */
    const struct special *special;
    unsigned special_bits;
};

static unsigned protocols_of(struct str word, uint16_t port)
{
    unsigned tcp = PROTOCOL_BIT(PROTOCOL_TCP);
    int protocol = word.len ? vocabulary_index(protocol_names, PROTOCOL_COUNT, word) : PROTOCOL_TCP;
    if (protocol < 0)
        return PROTOCOL_BIT(PROTOCOL_OTHER);
    if (protocol != PROTOCOL_TCP)
        return PROTOCOL_BIT(protocol) | (PROTOCOL_BIT(protocol) & PROTOCOLS_OVER_TCP ? tcp : 0);
    if (port == PORT_HTTPS)
        return tcp | (PROTOCOLS_OVER_TCP & ~PROTOCOL_BIT(PROTOCOL_HTTP));
    if (port == PORT_HTTP)
        return tcp | (PROTOCOLS_OVER_TCP & ~PROTOCOL_BIT(PROTOCOL_HTTPS));
    return tcp | PROTOCOLS_OVER_TCP;
}

static void ask_address(struct question *question, const struct address_range *address)
{
    question->space = address->is_ipv6 ? SPACE_IPV6 : SPACE_IPV4;
    question->address = prefix_of(address);
    question->special = find_special(question->space, question->address, &question->special_bits);
}

/* 1; 0 where the host is neither a name nor an address. `name` keeps what the question views. */
static int ask_host(const struct policy_destination *destination, struct host_name *name,
                    struct question *ret, struct err *err)
{
    struct str host = destination->host;
    struct address_range address;
    *ret = (struct question){ .destination = destination };
    ret->protocols = protocols_of(destination->protocol, destination->port);
    ret->mode = destination->port ? PORT_KNOWN : PORT_MAY_ALLOW;
    if (host.len > POLICY_HOST_MAX)
        return err_set(err, ERR_LIMIT, "decide", "a host has %d bytes at most", POLICY_HOST_MAX);
    if (str_starts(host, STR("[")) && str_ends(host, STR("]")) && host.len > 2)
        host = str_make(host.ptr + 1, host.len - 2);
    bool may_be_address =
        host.len && ((host.ptr[host.len - 1] >= '0' && host.ptr[host.len - 1] <= '9') ||
                     memchr(host.ptr, ':', host.len));
    if (may_be_address && str_index(host, '/', 0) == host.len &&
        address_range_read(host, &address)) {
        ask_address(ret, &address);
        return 1;
    }
    int r = host_name_read(host, name, err);
    if (r <= 0)
        return r;
    ret->name = str_from(name->text);
    if (name->text[0] >= '0' && name->text[0] <= '9' && address_read_odd(name, &address))
        ask_address(ret, &address);
    return 1;
}

/* --- what the units answer ------------------------------------------------------------------ */

static bool ports_apply(const struct policy *policy, const struct compiled_rule *rule,
                        const struct question *question, struct answers *answers)
{
    size_t low = 0;
    size_t high = rule->port_count;
    if (!high)
        return true;
    const uint16_t *ports = policy->ports + rule->first_port;
    if (question->mode != PORT_KNOWN) {
        answers->some_ports = true;
        return rule->answer == ANSWER_ALLOW ||
               (rule->answer == ANSWER_ASK && question->mode == PORT_MAY_ASK);
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ports[middle] < question->destination->port)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rule->port_count && ports[low] == question->destination->port;
}

/* Whether a name has what stands before and behind the "*" of a pattern, and something between. */
static bool glob_has(struct str pattern, struct str name)
{
    size_t star = str_index(pattern, '*', 0);
    struct str tail = str_from_offset(pattern, star + 1);
    return name.len > star + tail.len && str_starts(name, str_make(pattern.ptr, star)) &&
           str_ends(name, tail);
}

static bool applies(const struct policy *policy, const struct compiled_rule *rule,
                    const struct question *question, struct answers *answers)
{
    bool of_door = question->destination->of_door;
    if (rule->asker != ASKER_ANY && (rule->asker == ASKER_DOOR) != of_door)
        return false;
    if (rule->protocols && !(rule->protocols & question->protocols))
        return false;
    if (rule->glob && !glob_has(rule->pattern, question->name))
        return false;
    return ports_apply(policy, rule, question, answers);
}

/* Whether a rule is for https and no plainer protocol, which is not known to be spoken. */
static bool rests_on_tls(const struct compiled_rule *rule, const struct question *question)
{
    const unsigned open = PROTOCOL_BIT(PROTOCOL_TCP) | PROTOCOL_BIT(PROTOCOL_HTTP);
    return rule->protocols & PROTOCOL_BIT(PROTOCOL_HTTPS) && !(rule->protocols & open) &&
           question->protocols & PROTOCOL_BIT(PROTOCOL_HTTPS);
}

/* A unit's answer becomes part of its layer's. */
static void take(const struct policy *policy, const struct compiled_rule *rule,
                 const struct question *question, struct seen *seen, struct answers *answers)
{
    const struct policy_unit *unit = &policy->units[rule->unit];
    const struct compiled_rule **layer = &answers->layers[unit->layer];
    seen_set(seen, rule->unit);
    switch (unit->kind) {
    case UNIT_IN_FORCE:
        if (!*layer || rule->answer > (*layer)->answer)
            *layer = rule;
        answers->named = answers->named || (rule->answer != ANSWER_DENY && question->special &&
                                            rule->prefix_bits >= question->special_bits);
        answers->log_only = answers->log_only || rule->log_only;
        answers->tls =
            answers->tls || (rule->answer == ANSWER_ALLOW && rests_on_tls(rule, question));
        break;
    case UNIT_OBSERVING:
        answers->observed = answers->observed || rule->answer == ANSWER_DENY;
        break;
    case UNIT_BUILT_IN:
        answers->model_host = rule;
        break;
    }
}

/* Reads the rules of a node, for what it names itself or for what lies below. */
static void read_node(const struct policy *policy, enum space space, uint32_t node, bool is_whole,
                      const struct question *question, const struct seen *skipped,
                      struct seen *seen, struct answers *answers)
{
    const uint32_t *first = policy->first[space];
    for (uint32_t i = first[node]; i < first[node + 1]; i++) {
        const struct compiled_rule *rule = &policy->rules[i];
        if (rule->form == (is_whole ? DESTINATION_BELOW : DESTINATION_ITSELF))
            continue;
        if (seen_has(seen, rule->unit) || (skipped && seen_has(skipped, rule->unit)))
            continue;
        if (applies(policy, rule, question, answers))
            take(policy, rule, question, seen, answers);
    }
}

static void read_path(const struct policy *policy, const struct question *question,
                      const struct seen *listed, struct seen *seen, struct answers *answers)
{
    uint32_t path[MATCH_PATH_MAX];
    bool is_whole = false;
    bool is_name = question->space == SPACE_NAMES;
    size_t count =
        is_name ? name_trie_path(&policy->names, question->name, path, &is_whole)
                : prefix_trie_path(&policy->ranges[question->space], question->address, path);
    while (count > 1) {
        count--;
        read_node(policy, question->space, path[count], is_whole, question, NULL, seen, answers);
        is_whole = false;
    }
    if (!is_name)
        read_node(policy, question->space, 0, false, question, listed, seen, answers);
}

/* What all units answer to one question: what they list, and then what they say of the rest. */
static void answer(const struct policy *policy, const struct question *question,
                   struct seen *ret_listed, struct answers *ret)
{
    struct seen seen;
    *ret = (struct answers){ 0 };
    seen_clear(&seen, policy);
    read_path(policy, question, NULL, &seen, ret);
    if (ret_listed)
        memcpy(ret_listed->words, seen.words,
               (policy->unit_count + SEEN_WORD_BITS - 1) / SEEN_WORD_BITS * sizeof(uint64_t));
    read_node(policy, SPACE_NAMES, 0, false, question, NULL, &seen, ret);
}

/* What the units list about the address that the name resolved to; it can only narrow. */
static void narrow(const struct policy *policy, const struct question *question,
                   const struct seen *listed, struct answers *answers)
{
    struct seen seen;
    struct answers here = { 0 };
    seen_clear(&seen, policy);
    read_path(policy, question, listed, &seen, &here);
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        const struct compiled_rule *rule = here.layers[layer];
        const struct compiled_rule *old = answers->layers[layer];
        if (rule && rule->answer > (old ? old->answer : ANSWER_ALLOW))
            answers->layers[layer] = rule;
    }
    if (here.model_host)
        answers->model_host = here.model_host;
    answers->named = here.named;
    answers->observed = answers->observed || here.observed;
    answers->some_ports = answers->some_ports || here.some_ports;
    answers->log_only = answers->log_only || here.log_only;
}

int verdict_ask_host(const struct policy *policy, const struct policy_destination *destination,
                     struct answers *ret, struct err *err)
{
    struct question question;
    struct host_name name;
    int r = ask_host(destination, &name, &question, err);
    if (r > 0)
        answer(policy, &question, NULL, ret);
    return r;
}

/* --- across layers -------------------------------------------------------------------------- */

enum answer verdict_answer_of(const struct answers *answers, int layer)
{
    return answers->layers[layer] ? (enum answer)answers->layers[layer]->answer : ANSWER_NOTHING;
}

bool verdict_counts(const struct policy *policy, const struct answers *answers, int layer)
{
    if (policy->conflict == CONFLICT_ENTERPRISE && layer != LAYER_ENTERPRISE)
        return verdict_answer_of(answers, LAYER_ENTERPRISE) <= ANSWER_ALLOW;
    if (policy->conflict == CONFLICT_USER && (layer == LAYER_WORKSPACE || layer == LAYER_DEVICE))
        return !answers->layers[LAYER_USER];
    return true;
}

int verdict_combine(const struct policy *policy, const struct answers *answers, enum answer *ret)
{
    enum answer strictest = ANSWER_NOTHING;
    int highest = LAYER_COUNT;
    bool differ = false;
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        enum answer here = verdict_answer_of(answers, layer);
        if (here == ANSWER_NOTHING || !verdict_counts(policy, answers, layer))
            continue;
        differ = differ || (strictest != ANSWER_NOTHING && here != strictest);
        if (here > strictest) {
            strictest = here;
            highest = layer;
        }
    }
    bool denied = strictest == ANSWER_NOTHING || (differ && policy->conflict == CONFLICT_DENY);
    *ret = denied ? ANSWER_DENY : strictest;
    return highest;
}

/* The verdict's answer, the built-in rules included. */
static enum answer settle(const struct policy *policy, const struct answers *answers,
                          const struct question *question)
{
    enum answer ret;
    (void)verdict_combine(policy, answers, &ret);
    bool is_closed = answers->model_host || (question->special && !answers->named);
    return is_closed ? ANSWER_DENY : ret;
}

/* --- saying why ----------------------------------------------------------------------------- */

void text_add(struct text *text, struct str s)
{
    size_t room = (size_t)(text->end - text->at);
    size_t len = s.len < room ? s.len : room;
    if (len < s.len) { /* not within a character */
        while (len && ((unsigned char)s.ptr[len] & 0xc0) == 0x80)
            len--;
        text->end = text->at + len;
    }
    if (len)
        memcpy(text->at, s.ptr, len);
    text->at += len;
}

static void add_port(struct text *text, uint16_t port)
{
    char digits[6];
    size_t at = sizeof(digits);
    if (!port)
        return;
    for (unsigned rest = port; rest; rest /= 10)
        digits[--at] = (char)('0' + rest % 10);
    ADD(text, ":");
    text_add(text, str_make(digits + at, sizeof(digits) - at));
}

/* What a choice would have to name: the destination, or the address that it resolved to. */
static void add_destination(struct text *text, const struct question *question, bool of_address)
{
    char address[INET6_ADDRSTRLEN];
    const struct address_range *resolved = of_address ? question->resolved : NULL;
    struct str host = question->destination->host;
    if (resolved) {
        inet_ntop(resolved->is_ipv6 ? AF_INET6 : AF_INET, resolved->address, address,
                  sizeof(address));
        host = str_from(address);
    }
    bool in_brackets = question->destination->port && host.len && host.ptr[0] != '[' &&
                       memchr(host.ptr, ':', host.len);
    if (in_brackets)
        ADD(text, "[");
    text_add(text, host);
    if (in_brackets)
        ADD(text, "]");
    add_port(text, question->destination->port);
}

void verdict_add_place(struct text *text, const struct policy *policy,
                       const struct compiled_rule *rule)
{
    char pointer[VERDICT_POINTER_SIZE];
    size_t len = policy_pointer(rule, pointer);
    text_add(text, str_make(pointer, len));
    if (len)
        ADD(text, " of ");
    text_add(text, str_from(policy->documents[rule->document].name));
}

static void add_layer_answer(struct text *text, const struct policy *policy, int layer,
                             const struct compiled_rule *rule)
{
    static const struct str words[ANSWER_COUNT] = {
        [ANSWER_NOTHING] = { " says nothing", 13 },
        [ANSWER_ALLOW] = { " allows it", 10 },
        [ANSWER_ASK] = { " asks", 5 },
        [ANSWER_DENY] = { " denies it", 10 },
    };
    ADD(text, "the ");
    text_add(text, str_from(layer_names[layer]));
    ADD(text, " layer");
    text_add(text, words[rule->answer]);
    if (rule->place == PLACE_DEFAULT_EGRESS || rule->place == PLACE_DEFAULT_DECISION)
        ADD(text, " as it does all that it does not list");
    ADD(text, ": ");
    text_add(text, rule->id);
    ADD(text, ", ");
    verdict_add_place(text, policy, rule);
    if (rule->reason.len) {
        ADD(text, " (");
        text_add(text, rule->reason);
        ADD(text, ")");
    }
}

/* What would take away one layer's denial or question. */
static void add_remedy(struct text *text, const struct policy *policy, int layer,
                       const struct compiled_rule *rule, const struct question *question)
{
    bool is_default = rule->place == PLACE_DEFAULT_EGRESS || rule->place == PLACE_DEFAULT_DECISION;
    bool is_exact = rule->space == SPACE_NAMES ? rule->form == DESTINATION_ITSELF
                                               : rule->prefix_bits == question->address.bits;
    bool choice_lifts = layer == LAYER_USER && (!is_exact || rule->answer == ANSWER_ASK);
    if (layer == LAYER_ENTERPRISE && rule->answer == ANSWER_ASK) {
        ADD(text, "someone to whom the enterprise delegated it answers; or allow it in ");
        verdict_add_place(text, policy, rule);
    } else if (rule->place == PLACE_CHOICE) {
        ADD(text, "leave out ");
        text_add(text, str_from(policy->documents[rule->document].name));
    } else if (choice_lifts) {
        ADD(text, "--allow ");
        add_destination(text, question, rule->space != SPACE_NAMES);
    } else if (rule->place == PLACE_DEFAULT_DECISION) {
        ADD(text, "list it in an entry of ");
        text_add(text, str_from(policy->documents[rule->document].name));
    } else if (is_default) {
        ADD(text, "list it in the entry that has ");
        verdict_add_place(text, policy, rule);
    } else {
        ADD(text, "take out or narrow ");
        verdict_add_place(text, policy, rule);
    }
}

/* All layers that stand in the way have to change. */
static void add_remedies(struct text *text, const struct policy *policy,
                         const struct answers *answers, const struct question *question)
{
    bool is_first = true;
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        const struct compiled_rule *rule = answers->layers[layer];
        if (verdict_answer_of(answers, layer) <= ANSWER_ALLOW ||
            !verdict_counts(policy, answers, layer))
            continue;
        if (!is_first)
            ADD(text, "; and ");
        add_remedy(text, policy, layer, rule, question);
        is_first = false;
    }
}

/* --- the verdict ---------------------------------------------------------------------------- */

void verdict_clear(struct verdict *verdict)
{
    verdict->answer = ANSWER_DENY;
    verdict->layer = LAYER_ENTERPRISE;
    verdict->built_in = true;
    verdict->rule = verdict->document_id = STR("");
    verdict->document = NULL;
    verdict->log_only = verdict->observed = verdict->tls = verdict->some_ports = false;
    verdict->pointer[0] = verdict->reason[0] = verdict->smallest_change[0] = '\0';
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        struct layer_answer *here = &verdict->layers[layer];
        here->answer = ANSWER_NOTHING;
        here->document = NULL;
        here->document_id = here->rule = STR("");
        here->pointer[0] = '\0';
    }
}

void verdict_fill_layers(const struct policy *policy, const struct answers *answers,
                         struct verdict *verdict)
{
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        const struct compiled_rule *rule = answers->layers[layer];
        struct layer_answer *here = &verdict->layers[layer];
        if (!rule)
            continue;
        here->answer = (enum answer)rule->answer;
        here->document = policy->documents[rule->document].name;
        here->document_id = policy->documents[rule->document].id;
        here->rule = rule->id;
        policy_pointer(rule, here->pointer);
    }
}

void verdict_deny_built_in(struct verdict *verdict, struct str rule, struct str reason,
                           struct str change)
{
    struct text text = text_begin(verdict->reason, sizeof(verdict->reason));
    verdict->answer = ANSWER_DENY;
    verdict->built_in = true;
    verdict->log_only = verdict->tls = false;
    verdict->rule = rule;
    verdict->document = NULL;
    verdict->document_id = STR("");
    verdict->pointer[0] = '\0';
    text_add(&text, reason);
    *text.at = '\0';
    text = text_begin(verdict->smallest_change, sizeof(verdict->smallest_change));
    text_add(&text, change);
    *text.at = '\0';
}

void verdict_deny_unreadable(const struct policy *policy, struct verdict *verdict)
{
    const struct policy_document *document = &policy->documents[policy->unreadable];
    struct text text = text_begin(verdict->reason, sizeof(verdict->reason));
    verdict->layer = document->layer;
    verdict->rule = STR(RULE_UNREADABLE);
    verdict->document = document->name;
    verdict->layers[document->layer].answer = ANSWER_DENY;
    verdict->layers[document->layer].document = document->name;
    verdict->layers[document->layer].rule = verdict->rule;
    ADD(&text, "the ");
    text_add(&text, str_from(layer_names[document->layer]));
    ADD(&text, " layer has a document that cannot be used, so that everything is denied: ");
    text_add(&text, str_from(document->name));
    ADD(&text, " (");
    text_add(&text, str_from(policy->unreadable_why));
    ADD(&text, ")");
    *text.at = '\0';
    text = text_begin(verdict->smallest_change, sizeof(verdict->smallest_change));
    ADD(&text, "mend or remove ");
    text_add(&text, str_from(document->name));
    *text.at = '\0';
}

static void deny_special(const struct question *question, struct verdict *verdict)
{
    struct text text;
    verdict_deny_built_in(verdict, STR(RULE_SPECIAL), STR(""), STR(""));
    text = text_begin(verdict->reason, sizeof(verdict->reason));
    ADD(&text, "a ");
    text_add(&text, str_from(question->special->what));
    ADD(&text, " address is denied unless a rule names it or its range");
    *text.at = '\0';
    text = text_begin(verdict->smallest_change, sizeof(verdict->smallest_change));
    ADD(&text, "--allow ");
    add_destination(&text, question, true);
    *text.at = '\0';
}

void verdict_tell_layer(const struct policy *policy, const struct answers *answers, int layer,
                        struct verdict *verdict)
{
    const struct compiled_rule *rule = answers->layers[layer];
    struct text reason = text_begin(verdict->reason, sizeof(verdict->reason));
    verdict->built_in = false;
    verdict->layer = (enum layer)layer;
    verdict->rule = rule->id;
    verdict->document = policy->documents[rule->document].name;
    verdict->document_id = policy->documents[rule->document].id;
    memcpy(verdict->pointer, verdict->layers[layer].pointer, sizeof(verdict->pointer));
    if (verdict->answer != (enum answer)rule->answer)
        ADD(&reason, "the layers differ, and deny-on-conflict holds; ");
    add_layer_answer(&reason, policy, layer, rule);
    *reason.at = '\0';
}

static void tell_layers(const struct policy *policy, const struct answers *answers,
                        const struct question *question, int layer, struct verdict *verdict)
{
    struct text change = text_begin(verdict->smallest_change, sizeof(verdict->smallest_change));
    verdict_tell_layer(policy, answers, layer, verdict);
    if (verdict->answer == ANSWER_ALLOW) {
        ADD(&change, "--deny ");
        add_destination(&change, question, false);
    } else {
        add_remedies(&change, policy, answers, question);
    }
    *change.at = '\0';
}

static void tell_silence(const struct question *question, struct verdict *verdict)
{
    struct text text;
    verdict_deny_built_in(verdict, STR(RULE_SILENCE),
                          STR("no layer allows it, and what no layer allows is "
                              "denied"),
                          STR(""));
    text = text_begin(verdict->smallest_change, sizeof(verdict->smallest_change));
    ADD(&text, "--allow ");
    add_destination(&text, question, false);
    *text.at = '\0';
}

/* From the answers of the layers to the verdict. */
static void decide(const struct policy *policy, const struct answers *answers,
                   const struct question *question, struct verdict *ret)
{
    int layer = verdict_combine(policy, answers, &ret->answer);
    verdict_fill_layers(policy, answers, ret);
    ret->observed = answers->observed;
    ret->some_ports = answers->some_ports;
    if (answers->model_host) {
        verdict_deny_built_in(
            ret, answers->model_host->id,
            STR("a model provider answers there, and is reached through the Model Door "
                "alone"),
            STR("send the prompt to the Model Door, whose address the run finds in its "
                "environment"));
    } else if (layer == LAYER_COUNT) {
        tell_silence(question, ret);
    } else if (ret->answer != ANSWER_DENY && question->special && !answers->named) {
        deny_special(question, ret);
    } else {
        tell_layers(policy, answers, question, layer, ret);
        ret->tls = ret->answer == ANSWER_ALLOW && answers->tls;
        ret->log_only = ret->answer == ANSWER_ALLOW && answers->log_only;
    }
}

/* 1 where there is a question to decide; 0 where the verdict stands already. */
static int begin(const struct policy *policy, const struct policy_destination *destination,
                 struct host_name *name, struct question *ret_question, struct verdict *ret,
                 struct err *err)
{
    int r = ask_host(destination, name, ret_question, err);
    if (r < 0)
        return r;
    verdict_clear(ret);
    if (policy->unreadable != NO_DOCUMENT) {
        verdict_deny_unreadable(policy, ret);
        return 0;
    }
    if (r == 0)
        verdict_deny_built_in(ret, STR(RULE_MALFORMED),
                              STR("that is neither a host name nor an address"),
                              STR("write the host as a name or an address"));
    return r;
}

int policy_decide(const struct policy *policy, const struct policy_destination *destination,
                  struct verdict *ret, struct err *err)
{
    struct question question;
    struct host_name name;
    struct answers answers;
    int r = begin(policy, destination, &name, &question, ret, err);
    if (r <= 0)
        return r;
    answer(policy, &question, NULL, &answers);
    if (answers.some_ports && settle(policy, &answers, &question) == ANSWER_DENY) {
        struct answers asked;
        question.mode = PORT_MAY_ASK;
        answer(policy, &question, NULL, &asked);
        if (settle(policy, &asked, &question) == ANSWER_ASK)
            answers = asked;
    }
    decide(policy, &answers, &question, ret);
    return 0;
}

int policy_decide_address(const struct policy *policy, const struct policy_destination *destination,
                          const struct address_range *address, struct verdict *ret, struct err *err)
{
    struct question question;
    struct host_name name;
    struct answers answers;
    struct seen listed;
    int r = begin(policy, destination, &name, &question, ret, err);
    if (r <= 0)
        return r;
    answer(policy, &question, &listed, &answers);
    if (question.space == SPACE_NAMES && settle(policy, &answers, &question) != ANSWER_DENY) {
        ask_address(&question, address);
        question.resolved = address;
        narrow(policy, &question, &listed, &answers);
    }
    decide(policy, &answers, &question, ret);
    return 0;
}

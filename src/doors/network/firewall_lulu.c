/*
 * firewall_lulu: a plan as the JSON that Objective-See's LuLu imports.
 *
 * Theory of operation. LuLu keeps a list of rules for each program, and one
 * ("*") for all of them, whose rules it looks at before the program's own. A
 * rule names an address (or a regular expression over it) and a port, either
 * of which may be "*". Of those that match, one with both beats one with
 * either, and that one beats one with neither; within each of these classes
 * the last one holds. Where none matches it asks.
 *
 * So each program's list has all rules about it, also those for every program:
 * those about everything, ranges that are allowed, names, ranges that are
 * denied (which narrow names); of each the least specific first, and denials
 * last among equals. What a denied range's own unit allows within it is left
 * out of its expression. A rule without ports
 * is written once for "*" and once more for every port that any rule names: so
 * that each class is complete, and in each the order above decides. What
 * another unit denies or asks about is not written as allowed in the first
 * place. A question is left to LuLu by writing nothing, unless a wider rule
 * would answer it; then it is denied.
 *
 * LuLu takes the members it knows and passes over others: `ruleId` is for
 * people. Importing replaces all rules, as LuLu's import does.
 *
 * Limits: LuLu sees neither protocols nor what comes in, and no IPv6 ranges.
 */
#include "base/digest.h"
#include "base/json.h"
#include "doors/network/firewall_rule.h"
#include "doors/network/firewall_text.h"

#define STEP           "plan a firewall for LuLu"
#define PORTS_MAX      256 /* that the rules of a plan name */
#define PROGRAMS_MAX   1000
#define ANY            "*"
#define ACTION_BLOCK   "0"
#define ACTION_ALLOW   "1"
#define TYPE_USER      "3"
#define SCOPE_ENDPOINT "1"
#define UUID_SIZE      37
#define ENDPOINT_SIZE  2048
/* A host in a regular expression: what is matched may also be a URL. */
#define ICASE  "(?i)^"
#define LABELS "[^/:?#@]+\\\\."

struct writing {
    struct firewall_plan *plan;
    struct buf *out;
    uint16_t ports[PORTS_MAX]; /* ascending */
    size_t port_count;
    uint16_t other_port; /* one that no rule names */
    struct str program;
    bool has_rule; /* of this program */
    struct err *err;
};

/* --- ports --------------------------------------------------------------------------------- */

static bool ranges_have(const struct port_ranges *ranges, uint16_t port)
{
    for (size_t i = 0; i < ranges->count; i++) {
        if (ranges->of[i].low <= port && port <= ranges->of[i].high)
            return true;
    }
    return false;
}

static bool is_at(const struct firewall_transport *transport, uint16_t port)
{
    return ranges_have(&transport->tcp, port) || ranges_have(&transport->udp, port);
}

static int add_port(struct writing *w, uint16_t port)
{
    size_t at = 0;
    while (at < w->port_count && w->ports[at] < port)
        at++;
    if (at < w->port_count && w->ports[at] == port)
        return 0;
    if (w->port_count == PORTS_MAX)
        return err_set(w->err, ERR_LIMIT, STEP, "the rules name more than %d ports", PORTS_MAX);
    memmove(w->ports + at + 1, w->ports + at, (w->port_count - at) * sizeof(*w->ports));
    w->ports[at] = port;
    w->port_count++;
    return 0;
}

static int gather_ports(struct writing *w)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < w->plan->rule_count; i++) {
        const struct firewall_rule *rule = &w->plan->rules[i];
        for (size_t p = 0; r == 0 && p < rule->port_count; p++)
            r = add_port(w, rule->ports[p]);
        if (rule->protocols & PROTOCOLS_OVER_TCP && r == 0)
            r = add_port(w, 80);
        if (rule->protocols & PROTOCOLS_OVER_TCP && r == 0)
            r = add_port(w, 443);
    }
    w->other_port = 1;
    for (size_t i = 0; i < w->port_count && w->ports[i] == w->other_port; i++)
        w->other_port++;
    return r;
}

/* --- one rule ------------------------------------------------------------------------------ */

/* Whether it is for the program whose list is written. */
static bool is_for(struct writing *w, const struct firewall_rule *rule)
{
    if (!rule->egress)
        return false;
    if (rule->who == FIREWALL_PROGRAM)
        return str_equal(rule->subject, w->program);
    return firewall_subject_applies(w->plan, rule, "LuLu");
}

static void add_escaped(struct buf *buf, struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        buf_addf(buf, name.ptr[i] == '.' ? "\\\\." : "%c", name.ptr[i]);
}

static void add_glob(struct buf *buf, struct str pattern)
{
    size_t star = str_index(pattern, '*', 0);
    buf_add_text(buf, ICASE);
    add_escaped(buf, str_make(pattern.ptr, star));
    buf_add_text(buf, "[^/:?#@]+");
    add_escaped(buf, str_from_offset(pattern, star + 1));
    buf_add_char(buf, '$');
}

static void add_name(struct buf *buf, const struct firewall_rule *rule)
{
    switch (rule->destination.form) {
    case DESTINATION_ITSELF:
        buf_add_str(buf, rule->name);
        return;
    case DESTINATION_BELOW:
        buf_add_text(buf, ICASE LABELS);
        break;
    case DESTINATION_ITSELF_AND_BELOW:
        buf_add_text(buf, ICASE "(" LABELS ")?");
        break;
    }
    add_escaped(buf, rule->name);
    buf_add_char(buf, '$');
}

/* One part of an IPv4 address of which the first `bits` are given. */
static void add_octet(struct buf *buf, unsigned char first, unsigned bits)
{
    unsigned last = first + (0xffu >> bits);
    if (bits == 0) {
        buf_add_text(buf, "[0-9]{1,3}");
        return;
    }
    buf_addf(buf, bits == 8 ? "%u" : "(%u", first);
    for (unsigned number = first + 1u; number <= last; number++)
        buf_addf(buf, "|%u", number);
    buf_add_text(buf, bits == 8 ? "" : ")");
}

/* False where LuLu has no way to say it. */
static bool add_range(struct buf *buf, const struct address_range *range)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    address_range_text(range, text);
    if (range->prefix_bits == (range->is_ipv6 ? 128u : 32u)) {
        buf_add_str(buf, str_make(text, str_index(str_from(text), '/', 0)));
        return true;
    }
    if (range->is_ipv6) {
        buf_add_text(buf, range->prefix_bits ? "" : "^[0-9A-Fa-f]*:[0-9A-Fa-f:.%]*$");
        return range->prefix_bits == 0;
    }
    buf_add_char(buf, '^');
    for (unsigned i = 0; i < 4; i++) {
        unsigned bits = range->prefix_bits > i * 8 ? range->prefix_bits - i * 8 : 0;
        buf_add_text(buf, i ? "\\\\." : "");
        add_octet(buf, range->address[i], bits > 8 ? 8 : bits);
    }
    buf_add_char(buf, '$');
    return true;
}

/* What the unit of a denied range allows within it at a port, so that it is not denied. */
static void add_exceptions(const struct writing *w, const struct firewall_rule *denial,
                           uint16_t port, struct buf *buf)
{
    struct firewall_transport transport;
    const char *separator = "(?!(";
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *allow = &w->plan->rules[i];
        _cleanup_(buf_release) struct buf range = BUF_INIT_LIMIT(ENDPOINT_SIZE);
        firewall_transport(allow, &transport);
        if (allow->answer != ANSWER_ALLOW || allow->skipped || allow->unit != denial->unit ||
            firewall_compare(allow, denial) > 0 || !firewall_covers(denial, allow) ||
            !is_at(&transport, port) || !add_range(&range, &allow->range))
            continue;
        bool has_anchors = range.data[0] == '^';
        buf_add_text(buf, separator);
        buf_add_str(buf, str_make(range.data + has_anchors, range.len - 2 * has_anchors));
        separator = "|";
    }
    buf_add_text(buf, separator[0] == '|' ? ")$)" : "");
}

/* The address, ready for JSON; false where there is none. */
static bool write_endpoint(const struct writing *w, const struct firewall_rule *rule, uint16_t port,
                           struct buf *ret, bool *ret_is_regex)
{
    _cleanup_(buf_release) struct buf range = BUF_INIT_LIMIT(ENDPOINT_SIZE);
    bool can = true;
    switch (rule->space) {
    case FIREWALL_ALL:
        buf_add_text(ret, ANY);
        break;
    case FIREWALL_RANGE:
        can = add_range(&range, &rule->range);
        if (can && range.data[0] == '^' && rule->answer != ANSWER_ALLOW) {
            buf_add_char(ret, '^');
            add_exceptions(w, rule, port, ret);
        }
        buf_add_str(ret, str_from_offset(buf_str(&range), ret->len != 0));
        break;
    case FIREWALL_NAME:
        add_name(ret, rule);
        break;
    case FIREWALL_GLOB:
        add_glob(ret, rule->name);
        break;
    case FIREWALL_SPACE_COUNT:
        break;
    }
    *ret_is_regex = ret->len && (ret->data[0] == '^' || ret->data[0] == '(');
    return can;
}

/* A UUID that is the same for the same rule. */
static int write_uuid(const struct writing *w, const struct firewall_rule *rule, const char *port,
                      char ret[UUID_SIZE])
{
    _cleanup_(buf_release) struct buf all = BUF_INIT;
    unsigned char d[DIGEST_BYTES];
    buf_add_str(&all, w->program);
    buf_addf(&all, "%c%u%c", '\0', rule->place, '\0');
    buf_add_str(&all, rule->document);
    buf_add_char(&all, '\0');
    buf_add_str(&all, rule->id);
    buf_addf(&all, "%c%s", '\0', port);
    int r = digest_sha256(buf_str(&all), d, w->err);
    if (r < 0)
        return r;
    d[6] = (unsigned char)((d[6] & 0x0f) | 0x80); /* version 8: of one's own making */
    d[8] = (unsigned char)((d[8] & 0x3f) | 0x80);
    snprintf(ret, UUID_SIZE, "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X",
             d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13],
             d[14], d[15]);
    return 0;
}

static void add_text(struct buf *out, const char *name, struct str value)
{
    json_add_name(out, name);
    json_add_string(out, value);
}

/* One rule of LuLu's; port 0 is "*". */
static int add_row(struct writing *w, const struct firewall_rule *rule, uint16_t number,
                   bool allows)
{
    _cleanup_(buf_release) struct buf endpoint = BUF_INIT;
    char uuid[UUID_SIZE], port[8] = ANY;
    bool is_regex;
    if (!write_endpoint(w, rule, number ? number : w->other_port, &endpoint, &is_regex))
        return -EOPNOTSUPP;
    if (number)
        snprintf(port, sizeof(port), "%u", number);
    size_t slash = w->program.len;
    while (slash && w->program.ptr[slash - 1] != '/')
        slash--;
    int r = write_uuid(w, rule, port, uuid);
    if (r < 0)
        return r;
    buf_add_text(w->out, w->has_rule ? ",\n    " : "[\n    ");
    w->has_rule = true;
    buf_add_char(w->out, '{');
    add_text(w->out, "ruleId", rule->id);
    add_text(w->out, "key", w->program);
    add_text(w->out, "uuid", str_from(uuid));
    add_text(w->out, "path", w->program);
    add_text(w->out, "name", str_from_offset(w->program, slash));
    buf_addf(w->out, ",\"endpointAddr\":\"%s\"", endpoint.data);
    add_text(w->out, "endpointPort", str_from(port));
    buf_addf(w->out,
             ",\"isEndpointAddrRegex\":\"%d\",\"type\":\"" TYPE_USER
             "\",\"scope\":\"" SCOPE_ENDPOINT "\",\"action\":\"%s\"}",
             is_regex, allows ? ACTION_ALLOW : ACTION_BLOCK);
    return endpoint.error ? endpoint.error : w->out->error;
}

/* --- what others say ----------------------------------------------------------------------- */

/* Whether a rule that LuLu would find answers where this one wants to ask. */
static bool answers(const struct firewall_rule *other, const struct firewall_rule *question)
{
    bool is_name = other->space == FIREWALL_NAME || other->space == FIREWALL_GLOB;
    if (other->answer == ANSWER_ASK || other->skipped || !firewall_ports_meet(other, question))
        return false;
    if (firewall_covers(question, other) && other->unit == question->unit &&
        firewall_compare(question, other) < 0)
        return true;
    return firewall_covers(other, question) || /* or a name that resolves into the range */
           (is_name && other->answer == ANSWER_ALLOW && question->space == FIREWALL_RANGE &&
            question->range.prefix_bits);
}

static bool is_answered(const struct writing *w, const struct firewall_rule *question)
{
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        if (answers(&w->plan->rules[i], question))
            return true;
    }
    return false;
}

/* --- a program's list ---------------------------------------------------------------------- */

/* Notes what LuLu cannot see; false where the rule is not written at all. */
static bool can_say(struct writing *w, const struct firewall_rule *rule,
                    const struct firewall_transport *transport)
{
    const unsigned tcp = PROTOCOL_BIT(PROTOCOL_TCP) | PROTOCOLS_OVER_TCP;
    bool allows = rule->answer == ANSWER_ALLOW;
    if (!transport->tcp.count && !transport->udp.count) {
        firewall_note(w->plan, allows ? FIREWALL_LEFT_OUT : FIREWALL_NOT_HELD, rule,
                      "LuLu sees TCP and UDP alone");
        return false;
    }
    if (rule->answer == ANSWER_ASK && !is_answered(w, rule)) {
        firewall_note(w->plan, FIREWALL_ELSEWHERE, rule, "LuLu asks wherever no rule matches");
        return false;
    }
    firewall_note_transport(w->plan, rule);
    if (rule->answer == ANSWER_ASK)
        firewall_note(w->plan, FIREWALL_STRICTER, rule,
                      "LuLu asks only where no rule matches, and a wider one does: it is denied");
    if (rule->log_only)
        firewall_note(w->plan, FIREWALL_LOOSER, rule, "LuLu allows it without a record");
    if (allows && rule->space == FIREWALL_RANGE)
        firewall_note_range(w->plan);
    if (rule->protocols && (!(rule->protocols & tcp) || !transport->udp.count))
        firewall_note(w->plan, allows ? FIREWALL_LOOSER : FIREWALL_STRICTER, rule,
                      "LuLu does not tell TCP from UDP: it holds for both");
    return true;
}

static bool remains(const struct firewall_remainder *remainder, uint16_t port)
{
    return port_set_has(&remainder->tcp, port) || port_set_has(&remainder->udp, port);
}

static bool is_asked_elsewhere(const struct writing *w, const struct firewall_rule *rule)
{
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *other = &w->plan->rules[i];
        if (other->unit != rule->unit && other->answer == ANSWER_ASK && !other->skipped &&
            firewall_covers(other, rule))
            return true;
    }
    return false;
}

/* A row for the ports that no rule names, and one for each that some rule does. */
static int write_rows(struct writing *w, const struct firewall_rule *rule,
                      const struct firewall_transport *transport)
{
    struct firewall_remainder remainder; /* after what other units deny */
    bool allows = rule->answer == ANSWER_ALLOW, is_all = true;
    int r = 0;
    firewall_remain(w->plan, rule, false, &remainder);
    bool is_other = allows ? remains(&remainder, w->other_port) : is_at(transport, w->other_port);
    if (is_other)
        r = add_row(w, rule, 0, allows);
    for (size_t i = 0; r == 0 && i < w->port_count; i++) {
        uint16_t port = w->ports[i];
        is_all = is_all && is_at(transport, port);
        if (allows ? remains(&remainder, port) : is_at(transport, port))
            r = add_row(w, rule, port, allows);
    }
    if (r == 0 && is_other && !is_all)
        firewall_note(w->plan, FIREWALL_STRICTER, rule,
                      "LuLu cannot leave ports out: it holds for every port that no other rule "
                      "names");
    return r;
}

/*
 * Where an allow is for "*", the ports that another unit takes away are blocked, before all else:
 * the "*" would hold for them too, and what is more specific comes behind.
 */
static int block_taken(struct writing *w, const struct firewall_rule *rule)
{
    struct firewall_remainder remainder;
    bool is_taken = false;
    int r = 0;
    if (rule->skipped || rule->answer != ANSWER_ALLOW)
        return 0;
    firewall_remain(w->plan, rule, false, &remainder);
    for (size_t i = 0; r == 0 && remains(&remainder, w->other_port) && i < w->port_count; i++) {
        bool is_here = !remains(&remainder, w->ports[i]);
        is_taken = is_taken || is_here;
        r = is_here ? add_row(w, rule, w->ports[i], false) : 0;
    }
    if (is_taken && is_asked_elsewhere(w, rule))
        firewall_note(w->plan, FIREWALL_STRICTER, rule,
                      "at ports at which another document asks it is denied");
    return r == -EOPNOTSUPP ? 0 : r; /* then nothing of it is written */
}

static int write_rule(struct writing *w, const struct firewall_rule *rule)
{
    struct firewall_transport transport;
    firewall_transport(rule, &transport);
    int r = can_say(w, rule, &transport) ? write_rows(w, rule, &transport) : 0;
    if (r != -EOPNOTSUPP)
        return r;
    firewall_note(w->plan, rule->answer == ANSWER_ALLOW ? FIREWALL_LEFT_OUT : FIREWALL_NOT_HELD,
                  rule, "LuLu has no ranges of IPv6 addresses");
    return 0;
}

/* What narrows comes behind what it narrows. */
static int class_of(const struct firewall_rule *rule)
{
    if (rule->space == FIREWALL_ALL ||
        (rule->space == FIREWALL_RANGE && rule->range.prefix_bits == 0))
        return 0;
    if (rule->space == FIREWALL_RANGE)
        return rule->answer == ANSWER_ALLOW ? 1 : 3;
    return 2;
}

/* The least specific first; denials last among equals. */
static int compare_last_wins(const void *a, const void *b)
{
    const struct firewall_rule *left = *(const struct firewall_rule *const *)a;
    const struct firewall_rule *right = *(const struct firewall_rule *const *)b;
    int order = class_of(left) - class_of(right);
    order = order ? order : firewall_compare(right, left);
    return order ? order : (left->place > right->place) - (left->place < right->place);
}

static int write_program(struct writing *w, struct str program,
                         const struct firewall_rule *const *rules)
{
    int r = 0;
    size_t before = w->out->len;
    w->program = program;
    w->has_rule = false;
    buf_add_text(w->out, "  ");
    json_add_string(w->out, program);
    buf_add_text(w->out, ": ");
    for (size_t i = 0; i < w->plan->rule_count; i++)
        w->plan->rules[i].skipped = !is_for(w, &w->plan->rules[i]);
    for (size_t i = 0; r == 0 && i < w->plan->rule_count; i++)
        r = block_taken(w, rules[i]);
    for (size_t i = 0; r == 0 && i < w->plan->rule_count; i++) {
        if (!rules[i]->skipped)
            r = write_rule(w, rules[i]);
    }
    if (w->has_rule)
        buf_add_text(w->out, "\n  ],\n");
    else
        buf_truncate(w->out, before);
    return r;
}

static bool is_listed(const struct str *programs, size_t count, struct str program)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(programs[i], program))
            return true;
    }
    return false;
}

static int write_all(struct writing *w, const struct firewall_rule **rules, struct str *programs)
{
    size_t count = 0;
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *rule = rules[i] = &w->plan->rules[i];
        if (!rule->egress)
            firewall_note(w->plan,
                          rule->answer == ANSWER_ALLOW ? FIREWALL_LEFT_OUT : FIREWALL_NOT_HELD,
                          rule, "LuLu watches what leaves and not what comes in");
        if (rule->who != FIREWALL_PROGRAM || is_listed(programs, count, rule->subject))
            continue;
        if (count == PROGRAMS_MAX)
            return err_set(w->err, ERR_LIMIT, STEP, "the rules name more than %d programs",
                           PROGRAMS_MAX);
        programs[count++] = rule->subject;
    }
    qsort(rules, w->plan->rule_count, sizeof(*rules), compare_last_wins);
    int r = gather_ports(w);
    if (r == 0)
        r = write_program(w, STR(ANY), rules);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_program(w, programs[i], rules);
    buf_add_text(w->out, "  \"// end\": []\n}\n");
    return r;
}

int firewall_lulu(struct firewall_plan *plan, struct buf *ret, struct err *err)
{
    struct writing w = { .plan = plan, .out = ret, .err = err };
    _cleanup_(cleanup_free) const struct firewall_rule **rules =
        calloc(plan->rule_count + 1, sizeof(struct firewall_rule *));
    _cleanup_(cleanup_free) struct str *programs = calloc(PROGRAMS_MAX, sizeof(*programs));
    return rules && programs ? write_all(&w, rules, programs)
                             : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

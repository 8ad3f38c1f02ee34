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
 * out of its expression. A rule without ports is written once for "*" and once
 * more for every port that any rule names: so that each class is complete, and
 * in each the order above decides. What another unit denies or asks about is
 * not written as allowed in the first place. A question is left to LuLu by
 * writing nothing, unless a wider rule would answer it; then it is denied.
 *
 * LuLu takes the members it knows and passes over others: `ruleId` is for
 * people. Importing replaces all rules, as LuLu's import does.
 *
 * Limits: LuLu sees neither protocols nor what comes in, and no IPv6 ranges.
 */
#include "doors/network/firewall_lulu.h"
#include "base/json.h"

#define STEP         "plan a firewall for LuLu"
#define PROGRAMS_MAX 1000

/* --- ports --------------------------------------------------------------------------------- */

static int add_port(struct lulu_writing *w, uint16_t port)
{
    size_t at = 0;
    while (at < w->port_count && w->ports[at] < port)
        at++;
    if (at < w->port_count && w->ports[at] == port)
        return 0;
    if (w->port_count == LULU_PORTS_MAX)
        return err_set(w->err, ERR_LIMIT, STEP, "the rules name more than %d ports",
                       LULU_PORTS_MAX);
    memmove(w->ports + at + 1, w->ports + at, (w->port_count - at) * sizeof(*w->ports));
    w->ports[at] = port;
    w->port_count++;
    return 0;
}

static int gather_ports(struct lulu_writing *w)
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
static bool is_for(struct lulu_writing *w, const struct firewall_rule *rule)
{
    if (!rule->egress)
        return false;
    if (rule->who == FIREWALL_PROGRAM)
        return str_equal(rule->subject, w->program);
    return firewall_subject_applies(w->plan, rule, "LuLu");
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

static bool is_answered(const struct lulu_writing *w, const struct firewall_rule *question)
{
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        if (answers(&w->plan->rules[i], question))
            return true;
    }
    return false;
}

/* --- a program's list ---------------------------------------------------------------------- */

/* Notes what LuLu cannot see; false where the rule is not written at all. */
static bool can_say(struct lulu_writing *w, const struct firewall_rule *rule,
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

static bool is_asked_elsewhere(const struct lulu_writing *w, const struct firewall_rule *rule)
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
static int write_rows(struct lulu_writing *w, const struct firewall_rule *rule,
                      const struct firewall_transport *transport)
{
    struct firewall_remainder remainder; /* after what other units deny */
    bool allows = rule->answer == ANSWER_ALLOW, is_all = true;
    int r = 0;
    firewall_remain(w->plan, rule, false, &remainder);
    bool is_other =
        allows ? remains(&remainder, w->other_port) : lulu_is_at(transport, w->other_port);
    if (is_other)
        r = lulu_add_row(w, rule, 0, allows);
    for (size_t i = 0; r == 0 && i < w->port_count; i++) {
        uint16_t port = w->ports[i];
        is_all = is_all && lulu_is_at(transport, port);
        if (allows ? remains(&remainder, port) : lulu_is_at(transport, port))
            r = lulu_add_row(w, rule, port, allows);
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
static int block_taken(struct lulu_writing *w, const struct firewall_rule *rule)
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
        r = is_here ? lulu_add_row(w, rule, w->ports[i], false) : 0;
    }
    if (is_taken && is_asked_elsewhere(w, rule))
        firewall_note(w->plan, FIREWALL_STRICTER, rule,
                      "at ports at which another document asks it is denied");
    return r == -EOPNOTSUPP ? 0 : r; /* then nothing of it is written */
}

static int write_rule(struct lulu_writing *w, const struct firewall_rule *rule)
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
    if (rule->is_way)
        return 4;
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

static int write_program(struct lulu_writing *w, struct str program,
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

static int write_all(struct lulu_writing *w, const struct firewall_rule **rules,
                     struct str *programs)
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
        r = write_program(w, STR(LULU_ANY), rules);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_program(w, programs[i], rules);
    buf_add_text(w->out, "  \"# end\": []\n}\n");
    return w->out->error ? 0 : r; /* what does not fit is for the caller to say */
}

int firewall_lulu(struct firewall_plan *plan, struct buf *ret, struct err *err)
{
    struct lulu_writing w = { .plan = plan, .out = ret, .err = err };
    _cleanup_(cleanup_free) const struct firewall_rule **rules =
        calloc(plan->rule_count + 1, sizeof(struct firewall_rule *));
    _cleanup_(cleanup_free) struct str *programs = calloc(PROGRAMS_MAX, sizeof(*programs));
    return rules && programs ? write_all(&w, rules, programs)
                             : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

/*
 * probe_network: whether the layers allow a host, and the network leads anywhere.
 *
 * Without any document of the layers, every program of this user reaches what
 * the host reaches: that is ambient, and no grant to an agent. What is allowed
 * and has no way there is broken, which is no denial.
 */
#include "doctor/capability.h"
#include "doctor/net_glance.h"

/* host, host:port, [address]:port. */
static struct policy_destination read_destination(const char *object)
{
    struct str all = str_from(object);
    size_t colon = all.len;
    while (colon > 0 && all.ptr[colon - 1] != ':')
        colon--;
    bool is_bracketed = str_starts(all, STR("["));
    bool has_port = colon > 1 && (is_bracketed ? all.ptr[colon - 2] == ']'
                                               : str_index(all, ':', 0) == colon - 1);
    char *end = NULL;
    unsigned long port = has_port ? strtoul(object + colon, &end, 10) : 0;
    if (!has_port || *end || port > UINT16_MAX)
        return (struct policy_destination){ .host = all };
    return (struct policy_destination){ .host = str_make(all.ptr, colon - 1),
                                        .port = (uint16_t)port };
}

static void take_verdict(const struct verdict *verdict, struct capability_state *ret)
{
    static const enum found founds[ANSWER_COUNT] = {
        [ANSWER_NOTHING] = FOUND_DENIED,
        [ANSWER_ALLOW] = FOUND_GRANTED,
        [ANSWER_ASK] = FOUND_ASK,
        [ANSWER_DENY] = FOUND_DENIED,
    };
    capability_set(ret, founds[verdict->answer], SOURCE_POLICY, "%s", verdict->reason);
    if (ret->found != FOUND_GRANTED)
        capability_remedy(ret, "%s",
                          verdict->smallest_change[0] ? verdict->smallest_change
                                                      : "Add it to a layer's network document.");
    if (verdict->rule.len)
        snprintf(ret->rule, sizeof(ret->rule), "%.*s", STR_ARG(verdict->rule));
}

/* Of what is allowed: whether there is a way. */
static void look_for_way(struct str host, struct capability_state *ret)
{
    struct net_glance glance;
    if (ret->found != FOUND_GRANTED || !net_glance(host, &glance))
        return;
    capability_set(ret, FOUND_BROKEN, SOURCE_KERNEL, "it is allowed, and cannot be reached: %.400s",
                   glance.summary);
    capability_remedy(ret, "%s", glance.remedy);
}

void probe_network(const struct surroundings *around, const struct capability_row *row,
                   const char *object, struct capability_state *ret)
{
    struct verdict verdict;
    struct err err = { 0 };
    (void)row;
    observer_add_network(around->observer);
    if (!around->policy) {
        capability_set(ret, FOUND_GRANTED, SOURCE_AMBIENT_HOST,
                       "no layer says anything about networks");
        look_for_way(object ? read_destination(object).host : STR(""), ret);
        return;
    }
    if (!object) {
        capability_set(ret, FOUND_PARTLY, SOURCE_POLICY, "the layers decide host by host");
        capability_remedy(ret, "Name the host in the contract: network.connect:HOST:PORT.");
        return;
    }
    struct policy_destination destination = read_destination(object);
    if (policy_decide(around->policy, &destination, &verdict, &err) < 0) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "%.400s", err.cause);
        capability_remedy(ret, "Name a host, or an address, with a port or without.");
        return;
    }
    take_verdict(&verdict, ret);
    look_for_way(destination.host, ret);
}

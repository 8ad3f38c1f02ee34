/*
 * net_judge_link: the device, its radio, what it has joined, and whether it was let in.
 *
 * A cable has no radio: that its other end is there counts as joined, and
 * that nobody has asked who the machine is leaves authentication unknown. A
 * link of a container ends in another namespace, where its radio is.
 */
#include <linux/if_arp.h>
#include <linux/nl80211.h>
#include <linux/rtnetlink.h>

#include "doctor/net_truth.h"

#define UNSTABLE_COUNT    3 /* times that a network was lost… */
#define UNSTABLE_MS       60000
#define REF_LINKS         "netlink:route/links"
#define REF_RADIO         "netlink:nl80211"
#define REF_SWITCHES      "device:/dev/rfkill"
#define IS(station, flag) ((station)->flags & (1u << NL80211_STA_FLAG_##flag))

/* --- the device ----------------------------------------------------------------------------- */

static bool is_hardware(const struct net_link *link)
{
    return link->hardware == ARPHRD_ETHER && !link->kind[0] && !link->lower && !link->master;
}

static const struct net_radio *radio_of(const struct net_facts *facts, const struct net_link *link)
{
    for (size_t i = 0; link && i < facts->radios_count; i++)
        if (facts->radios[i].link == link->index)
            return &facts->radios[i];
    return NULL;
}

/* One radio may have several interfaces. */
static bool is_same_radio(const struct net_facts *facts, const struct net_link *a,
                          const struct net_link *b)
{
    const struct net_radio *left = radio_of(facts, a), *right = radio_of(facts, b);
    return left && right && left->device == right->device;
}

/* Another device that answers to the same identity. */
static const struct net_link *twin_of(const struct net_facts *facts, const struct net_link *link)
{
    for (size_t i = 0; is_hardware(link) && i < facts->links_count; i++) {
        const struct net_link *other = &facts->links[i];
        if (other != link && is_hardware(other) && other->identity_len == link->identity_len &&
            memcmp(other->identity, link->identity, link->identity_len) == 0 &&
            !is_same_radio(facts, link, other))
            return other;
    }
    return NULL;
}

static bool is_blank(const struct net_link *link)
{
    for (size_t i = 0; i < link->identity_len; i++)
        if (link->identity[i])
            return false;
    return true;
}

static void judge_device(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    const struct net_link *link = truth->link, *twin;
    if (facts->errors[NET_LINKS]) {
        net_find(truth, NET_DEVICE, "unknown");
        net_saw(truth, NET_DEVICE, "", "the links cannot be listed: %s",
                strerror(facts->errors[NET_LINKS]));
        return;
    }
    if (!link) {
        net_find(truth, NET_DEVICE, "missing");
        if (facts->record->wish)
            net_say(truth, NET_DEVICE, "There is no interface %.15s.", facts->record->wish);
        net_saw(truth, NET_DEVICE, REF_LINKS, "%zu links, none of which leads out",
                facts->links_count);
        return;
    }
    bool has_identity = link->hardware == ARPHRD_ETHER;
    twin = has_identity && link->identity_len ? twin_of(facts, link) : NULL;
    net_find(truth, NET_DEVICE,
             has_identity && is_blank(link) ? "nil"
             : twin                         ? "ambiguous"
                                            : "present");
    net_saw(truth, NET_DEVICE, REF_LINKS, "%s is %s%s%s%s%s", link->name,
            link->flags & IFF_UP ? "up" : "down", link->kind[0] ? ", a link of kind " : "",
            link->kind, twin ? ", with the same address as " : "", twin ? twin->name : "");
}

/* --- the radio ------------------------------------------------------------------------------ */

/* The first switch that holds a radio back. */
static const struct net_switch *switch_off(const struct net_facts *facts)
{
    for (size_t i = 0; i < facts->switches_count; i++)
        if (facts->switches[i].is_radio &&
            (facts->switches[i].is_soft_off || facts->switches[i].is_hard_off))
            return &facts->switches[i];
    return NULL;
}

static bool has_radio_switch(const struct net_facts *facts)
{
    for (size_t i = 0; i < facts->switches_count; i++)
        if (facts->switches[i].is_radio)
            return true;
    return false;
}

static void judge_switched_off(struct net_truth *truth, const struct net_switch *off)
{
    net_find(truth, NET_RADIO, "off");
    net_saw(truth, NET_RADIO, REF_SWITCHES, "switch %u holds the radio off, by %s", off->number,
            off->is_hard_off ? "a key or the firmware" : "a program");
    net_mend(truth, NET_RADIO, "%s",
             off->is_hard_off ? "Turn the radio on with its key, or in the firmware's settings."
                              : "Switch the radio on: rfkill unblock wlan.");
}

/* A link that is no radio. */
static void judge_cable(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    const struct net_switch *off = switch_off(facts);
    if (!truth->link && off) {
        judge_switched_off(truth, off);
    } else if (!truth->link && has_radio_switch(facts)) {
        net_find(truth, NET_RADIO, "resetting");
        net_saw(truth, NET_RADIO, REF_SWITCHES, "a radio's switch is there, and no radio");
    } else if (truth->link && truth->link->leads_elsewhere) {
        net_find(truth, NET_RADIO, "unknown");
        net_saw(truth, NET_RADIO, REF_LINKS,
                "the other end of %s lies in another namespace; the layers below are seen there",
                truth->link->name);
        net_mend(truth, NET_RADIO, "Run the doctor on the host to see the layers below.");
    } else {
        net_find(truth, NET_RADIO, "unavailable");
        if (truth->link)
            net_saw(truth, NET_RADIO, REF_LINKS, "%s has no radio", truth->link->name);
    }
}

/* Whether the radio went away, and did not come back. */
static bool is_gone(const struct net_facts *facts)
{
    bool gone = false;
    for (size_t i = 0; i < facts->events_count; i++) {
        gone |= facts->events[i].what == NET_RADIO_GONE;
        gone &= facts->events[i].what != NET_RADIO_CAME;
    }
    return gone;
}

static void judge_radio(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    const struct net_radio *radio = radio_of(facts, truth->link);
    const struct net_switch *off = switch_off(facts);
    if (is_gone(facts) && !radio) {
        net_find(truth, NET_RADIO, "resetting");
        net_saw(truth, NET_RADIO, REF_RADIO, "the radio went away and has not come back");
    } else if (facts->errors[NET_RADIOS] && facts->errors[NET_RADIOS] != ENOENT) {
        net_find(truth, NET_RADIO, "unknown");
        net_saw(truth, NET_RADIO, "", "the kernel does not tell of radios: %s",
                strerror(facts->errors[NET_RADIOS]));
    } else if (!radio) {
        judge_cable(truth);
    } else if (off) {
        judge_switched_off(truth, off);
    } else if (truth->link->state == IF_OPER_NOTPRESENT) {
        net_find(truth, NET_RADIO, "resetting");
        net_saw(truth, NET_RADIO, REF_LINKS, "%s is there, and its device is not",
                truth->link->name);
    } else if (!(truth->link->flags & IFF_UP)) {
        net_find(truth, NET_RADIO, "off");
        net_saw(truth, NET_RADIO, REF_LINKS, "%s is down", truth->link->name);
        net_mend(truth, NET_RADIO, "Switch it on: ip link set %s up.", truth->link->name);
    } else {
        net_find(truth, NET_RADIO, "on");
        net_saw(truth, NET_RADIO, REF_RADIO, "%s is a radio, and on", truth->link->name);
    }
}

/* --- joining -------------------------------------------------------------------------------- */

static const struct net_station *station_of(const struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    for (size_t i = 0; truth->link && i < facts->stations_count; i++)
        if (strcmp(facts->stations[i].of, truth->link->name) == 0)
            return &facts->stations[i];
    return NULL;
}

/* How often the network was lost within UNSTABLE_MS before the observation's end, and when first.
 */
static size_t losses(const struct net_truth *truth, int64_t *ret_first_ms)
{
    const struct net_facts *facts = truth->facts;
    size_t count = 0;
    for (size_t i = 0; i < facts->events_count; i++) {
        const struct net_event *event = &facts->events[i];
        if (event->what != NET_LEFT || event->link != truth->link->index ||
            event->at_ms + UNSTABLE_MS < facts->record->at_ms)
            continue;
        if (!count++)
            *ret_first_ms = event->at_ms;
    }
    return count;
}

static void judge_joining_by_radio(struct net_truth *truth, const struct net_radio *radio)
{
    const struct net_station *station = station_of(truth);
    int64_t first_ms = 0;
    size_t lost = losses(truth, &first_ms);
    const char *state = "not-associated";
    if (lost >= UNSTABLE_COUNT) {
        state = "unstable";
        net_holds_until(truth, first_ms + UNSTABLE_MS);
    } else if (station ? IS(station, ASSOCIATED) != 0 : truth->link->has_carrier)
        state = "associated";
    else if (station && IS(station, AUTHENTICATED))
        state = "associating";
    if (strcmp(truth->layers[NET_RADIO].state, "on") != 0)
        state = "not-associated";
    net_find(truth, NET_ASSOCIATION, state);
    if (lost)
        net_saw(truth, NET_ASSOCIATION, REF_RADIO, "the network was lost %zu times within %d s",
                lost, UNSTABLE_MS / 1000);
    if (strcmp(state, "associated") == 0)
        net_saw(truth, NET_ASSOCIATION, REF_RADIO, "%s has joined %s%s", truth->link->name,
                radio->network[0] ? radio->network : "a network",
                station && station->signal_dbm < -80 ? ", whose signal is weak" : "");
    else
        net_saw(truth, NET_ASSOCIATION, REF_RADIO, "%s has joined no network", truth->link->name);
}

static void judge_joining(struct net_truth *truth)
{
    const struct net_link *link = truth->link;
    const struct net_radio *radio = radio_of(truth->facts, link);
    if (!link) {
        net_find(truth, NET_ASSOCIATION, "unknown");
        truth->layers[NET_ASSOCIATION].grade = NET_UNUSED; /* the device is what is missing */
    } else if (radio && radio->kind != NL80211_IFTYPE_STATION &&
               radio->kind != NL80211_IFTYPE_P2P_CLIENT) {
        net_find(truth, NET_ASSOCIATION, "associated");
        net_saw(truth, NET_ASSOCIATION, REF_RADIO, "%s makes a network of its own", link->name);
    } else if (radio) {
        judge_joining_by_radio(truth, radio);
    } else if (link->flags & IFF_UP && link->has_carrier) {
        net_find(truth, NET_ASSOCIATION, "associated");
        net_saw(truth, NET_ASSOCIATION, REF_LINKS, "the other end of %s is there", link->name);
    } else {
        bool is_up = link->flags & IFF_UP;
        net_find(truth, NET_ASSOCIATION, "not-associated");
        net_saw(truth, NET_ASSOCIATION, REF_LINKS, "%s %s", link->name,
                is_up ? "has no carrier" : "is down");
        net_say(truth, NET_ASSOCIATION,
                is_up ? "The other end of %s is not there: no carrier." : "%s is switched off.",
                link->name);
        net_mend(truth, NET_ASSOCIATION,
                 is_up ? "Plug the cable of %s in, or start what is at its other end."
                       : "Switch it on: ip link set %s up.",
                 link->name);
    }
}

/* --- being let in --------------------------------------------------------------------------- */

/* Reasons that say that the machine or its user was not believed. */
static bool is_refusal(const struct net_event *event)
{
    static const uint16_t reasons[] = { 2, 14, 15, 23 };
    bool listed = event->what == NET_REFUSED;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        listed |= event->what == NET_LEFT && event->code == reasons[i];
    return listed;
}

/* The last event of the link. */
static const struct net_event *last_event(const struct net_truth *truth)
{
    const struct net_event *last = NULL;
    for (size_t i = 0; i < truth->facts->events_count; i++)
        if (truth->facts->events[i].link == truth->link->index)
            last = &truth->facts->events[i];
    return last;
}

static void judge_acceptance(struct net_truth *truth)
{
    const struct net_link *link = truth->link;
    const struct net_station *station = station_of(truth);
    const struct net_event *last = link ? last_event(truth) : NULL;
    bool is_radio = radio_of(truth->facts, link) != NULL;
    bool has_joined = strcmp(truth->layers[NET_ASSOCIATION].state, "associated") == 0;
    const char *state = "unknown", *seen = "nobody could be seen to ask who this machine is";
    if (!link)
        seen = "there is no link";
    else if (last && is_refusal(last)) {
        state = "failed";
        seen = "the network ended it for want of a proof";
    } else if (is_radio && !has_joined) {
        state = "not-authenticated";
        seen = "no network is joined";
    } else if (link->state == IF_OPER_DORMANT ||
               (station && !IS(station, AUTHORIZED) && IS(station, ASSOCIATED))) {
        state = "authenticating";
        seen = "the link waits to be let in";
    } else if (is_radio && (station ? IS(station, AUTHORIZED) != 0 : link->state == IF_OPER_UP)) {
        state = "authenticated";
        seen = "the network lets traffic through";
    }
    net_find(truth, NET_AUTHENTICATION, state);
    net_saw(truth, NET_AUTHENTICATION, is_radio ? REF_RADIO : REF_LINKS, "%s", seen);
}

void net_judge_link(struct net_truth *truth)
{
    judge_device(truth);
    judge_radio(truth);
    judge_joining(truth);
    judge_acceptance(truth);
}

/* net_glance: see the header. */
#include "doctor/net_glance.h"

#include "contract/destination.h"
#include "doctor/net_look.h"

static bool is_this_machine(struct str host)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination destination;
    return destination_read(host, path, &destination, NULL) > 0 &&
           destination_is_loopback(&destination);
}

static bool judge(const struct net_record *record, struct net_glance *ret)
{
    struct net_facts facts;
    struct net_truth truth;
    if (net_facts_read(record, &facts, NULL) < 0)
        return false;
    net_truth_derive(&facts, &truth);
    enum net_layer lowest = net_truth_lowest(&truth);
    /* Who has a route has what lies below it; what limps carries still. */
    bool fails = lowest <= NET_ROUTING && truth.layers[NET_ROUTING].grade == NET_FAILS;
    if (fails) {
        net_truth_summary(&truth, ret->summary);
        snprintf(ret->remedy, sizeof(ret->remedy), "%s", net_truth_remedy(&truth));
    }
    net_facts_release(&facts);
    return fails;
}

bool net_glance(struct str host, struct net_glance *ret)
{
    _cleanup_(cleanup_net_looking) struct net_looking *looking = NULL;
    struct net_record record;
    if (is_this_machine(host) || net_look_new(false, NULL, NULL, &looking, NULL) < 0 ||
        net_look(looking, &record, NULL) < 0)
        return false;
    bool fails = judge(&record, ret);
    net_record_release(&record);
    return fails;
}

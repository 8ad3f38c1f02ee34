/*
 * door: see the header.
 *
 * Theory of operation. The resolver and the flows do the work; here is what
 * they ask (struct door_asks). Each question goes to the policy, and its
 * answer to the list of uses: what is met for the first time is handed to the
 * sink, which makes it durable before anything is done; what is met again is
 * counted. A name is asked about without a port when it is resolved, and with
 * one when somebody connects; only the second permits anything, so only a
 * denial of the first is written down.
 *
 * Invariants: nothing is permitted that the sink has not taken; a question
 * that cannot be decided is a denial; the door writes no ledger and asks
 * nobody outside before a verdict has allowed it.
 */
#include "doors/network/door.h"

#include <sys/resource.h>

#include "base/clock.h"
#include "base/loop.h"
#include "doors/network/denial_log.h"
#include "doors/network/flow.h"
#include "doors/network/inside_proxy.h"
#include "doors/network/names.h"
#include "doors/network/outside.h"
#include "doors/network/resolver.h"
#include "doors/network/routes.h"

#define STEP_DOOR          "open the network door"
#define DESCRIPTORS_WANTED (3 * FLOWS_MAX)

struct network_door {
    struct network_door_options options;
    struct capture sockets; /* that were made inside */
    struct door_asks asks;
    struct loop *loop;
    struct uses *uses;
    struct names *names;
    struct resolver *resolver;
    struct outside *outside;
    struct flows *flows;
    struct inside_proxy *proxy;
    struct routes *routes;
    struct publish *publish; /* NULL: nothing is published */
    /* What somebody has denied while it runs, and the policy that says so; NULL: nothing. */
    struct buf denied[NETWORK_DENIALS_MAX];
    size_t denied_count;
    struct policy *denying;
    struct denial_log denials;
};

/* --- verdicts ------------------------------------------------------------------------------ */

/* What cannot be decided is denied. */
static void deny_undecided(const struct err *why, struct verdict *ret)
{
    *ret = (struct verdict){ .answer = ANSWER_DENY, .built_in = true, .rule = STR("undecided") };
    snprintf(ret->reason, sizeof(ret->reason), "It could not be decided: %.300s", why->cause);
    snprintf(ret->smallest_change, sizeof(ret->smallest_change),
             "Mend what is wrong, and run it again.");
}

static int ask_policy(const struct policy *policy, const struct policy_destination *destination,
                      const struct address_range *address, struct verdict *ret, struct err *err)
{
    return address ? policy_decide_address(policy, destination, address, ret, err)
                   : policy_decide(policy, destination, ret, err);
}

/* What somebody has denied while it runs comes before what the layers say. */
static void decide(struct network_door *door, const struct target *target,
                   const struct address_range *address, struct verdict *ret)
{
    char host[TARGET_HOST_SIZE];
    target_host(target, host);
    const struct policy_destination destination = { .host = str_from(host),
                                                    .port = target->port,
                                                    .protocol = STR("tcp") };
    struct err why = { 0 };
    int r = 0;
    if (door->denying)
        r = ask_policy(door->denying, &destination, address, ret, &why);
    if (r == 0 && door->denying && ret->layers[LAYER_USER].answer == ANSWER_DENY)
        return;
    if (r == 0)
        r = ask_policy(door->options.policy, &destination, address, ret, &why);
    if (r < 0)
        deny_undecided(&why, ret);
}

/* --- what is written down ------------------------------------------------------------------ */

/* Of what was denied beyond what is kept apart. */
static const struct verdict *verdict_of_others(struct verdict *ret)
{
    *ret = (struct verdict){ .answer = ANSWER_DENY,
                             .built_in = true,
                             .rule = STR("built-in.many-denials") };
    snprintf(ret->reason, sizeof(ret->reason),
             "More destinations were denied than are kept apart; here the others are counted.");
    snprintf(ret->smallest_change, sizeof(ret->smallest_change),
             "See what the run tries; it may be looking for a way out.");
    return ret;
}

/* Who is denied a repository's own server may have wanted to push. */
static const struct verdict *verdict_of_push(const struct verdict *verdict, struct verdict *ret)
{
    size_t len = strlen(verdict->smallest_change);
    *ret = *verdict;
    snprintf(ret->smallest_change + len, sizeof(ret->smallest_change) - len,
             "%sa push happens on the host, after `agent-machine worktree apply --commits`",
             len ? "; " : "");
    return ret;
}

/* Meets a thing, and has it on record; NULL where it could not be. */
static struct use_entry *note(struct network_door *door, const struct target *target,
                              const struct verdict *verdict, enum door_refusal refusal)
{
    const struct network_sink *sink = door->options.sink;
    struct verdict changed;
    struct err unwritten;
    bool is_new;
    struct use_entry *entry =
        uses_meet(door->uses, target, verdict->answer, refusal, clock_now_ms(), &is_new);
    if (entry && strcmp(entry->target.name, USES_OTHERS) == 0)
        verdict = verdict_of_others(&changed);
    else if (entry && door->options.git_host && verdict->answer != ANSWER_ALLOW &&
             strcmp(entry->target.name, door->options.git_host) == 0)
        verdict = verdict_of_push(verdict, &changed);
    bool is_answered = entry && !is_new && entry->answer == ANSWER_ASK &&
                       sink->is_answered(sink->context, entry->record);
    if (entry && (is_new || is_answered)) {
        int r = sink->verdict(sink->context, &entry->target, verdict, &entry->record, &unwritten);
        if (r < 0 && is_new)
            uses_forget_last(door->uses);
        if (r < 0)
            return NULL;
        bool is_told = !is_new && !entry->permitted && !entry->asked;
        entry->rule = verdict->rule;
        entry->layer = verdict->layer;
        entry->permitted = r == NETWORK_PERMITTED;
        entry->asked = r == NETWORK_ASKED;
        if (!entry->permitted && !entry->asked && !is_told)
            denial_log_add(&door->denials, entry, verdict);
    } else if (entry && !entry->permitted && !entry->asked) {
        denial_log_repeat(&door->denials, entry);
    }
    return entry;
}

static bool is_permitted(const struct use_entry *entry)
{
    return entry && entry->permitted;
}

/* --- the questions ------------------------------------------------------------------------- */

static bool ask_name(void *context, const char *name)
{
    struct network_door *door = context;
    struct target target = { 0 };
    struct permit permit = { 0 };
    struct verdict verdict;
    snprintf(target.name, sizeof(target.name), "%s", name);
    decide(door, &target, NULL, &verdict);
    routes_apply(door->routes, &target, &verdict, &permit);
    if (verdict.answer == ANSWER_ALLOW)
        return true;
    /* While a person is asked it has an address of the run's own: nothing of it leaves. */
    const struct use_entry *entry = note(door, &target, &verdict, REFUSED_BY_POLICY);
    return is_permitted(entry) || (entry && entry->asked);
}

/* What a connection turned out to be; a connection that merely failed is nobody's denial. */
static void take_refusal(void *context, const struct target *target, enum door_refusal refusal,
                         const char *detail)
{
    static const struct {
        const char *rule, *reason, *change; /* NULL: the detail is what to mend */
    } refusals[REFUSAL_COUNT] = {
        [REFUSED_BY_POLICY] = { "built-in.own-address",
                                "It is an address of the run's own, or stands for no name",
                                "Connect to a host by its name." },
        [REFUSED_NO_NAME] = { "built-in.server-name",
                              "The rule is for https, and the client names no server",
                              "Allow the host with the protocol tcp as well." },
        [REFUSED_OTHER_NAME] = { "built-in.server-name",
                                 "The client names a server other than the one it dialled",
                                 "Connect to the server by its own name." },
        [REFUSED_NOT_TLS] = { "built-in.server-name", "The rule is for https, and this is not TLS",
                              "Allow the host with the protocol tcp as well." },
        [REFUSED_BY_PROXY] = { "built-in.proxy", "The proxy that the layers name does not carry it",
                               NULL },
        [REFUSED_BUDGET] = { "built-in.budget", "The run's connector calls are used up",
                             "Give it more: --budget connectorCalls=N, or the profile's budget." },
        [REFUSED_LIMIT] = { "built-in.limit", "A limit of the door was reached",
                            "Open fewer connections at once, and close those that are not used." },
    };
    struct network_door *door = context;
    if (!refusals[refusal].rule)
        return;
    struct verdict verdict = { .answer = ANSWER_DENY,
                               .built_in = true,
                               .rule = str_from(refusals[refusal].rule) };
    snprintf(verdict.reason, sizeof(verdict.reason), "%s%s%.200s.", refusals[refusal].reason,
             detail ? ": " : "", detail ? detail : "");
    snprintf(verdict.smallest_change, sizeof(verdict.smallest_change), "%s%.400s",
             refusals[refusal].change ? refusals[refusal].change : "mend what the proxy wants: ",
             !refusals[refusal].change && detail ? detail : "");
    (void)note(door, target, &verdict, refusal);
}

/* What a connection costs, beyond its bytes. */
static bool can_afford(struct network_door *door, const struct target *target)
{
    char host[TARGET_HOST_SIZE];
    struct err why = { 0 };
    target_host(target, host);
    if (!references_is_connector(door->options.references, str_from(host)) ||
        door->options.sink->connector_call(door->options.sink->context, &why) == 0)
        return true;
    take_refusal(door, target, REFUSED_BUDGET, why.cause);
    return false;
}

static void ask_connect(void *context, const struct target *target, struct permit *ret)
{
    struct network_door *door = context;
    struct verdict verdict;
    decide(door, target, NULL, &verdict);
    *ret = (struct permit){ 0 };
    routes_apply(door->routes, target, &verdict, ret); /* which may find that there is no way */
    struct use_entry *entry = note(door, target, &verdict, REFUSED_BY_POLICY);
    ret->asked = entry && entry->asked;
    if (!is_permitted(entry) || !can_afford(door, target))
        return;
    ret->allowed = true;
    ret->tls = verdict.tls;
    ret->use = &entry->use;
}

/* What the person has allowed for the name is not asked again for its address by the same rule. */
static bool is_same_question(const struct network_door *door, const struct target *target,
                             const struct verdict *verdict)
{
    const struct use_entry *entry = uses_find(door->uses, target, ANSWER_ASK, REFUSED_BY_POLICY);
    return verdict->answer == ANSWER_ASK && is_permitted(entry) && entry->layer == verdict->layer &&
           str_equal(entry->rule, verdict->rule);
}

static bool ask_address(void *context, const struct target *target,
                        const struct address_range *address)
{
    struct network_door *door = context;
    struct verdict verdict;
    decide(door, target, address, &verdict);
    return verdict.answer == ANSWER_ALLOW || is_same_question(door, target, &verdict) ||
           is_permitted(note(door, target, &verdict, REFUSED_ADDRESS));
}

static int authorize(void *context, const struct route *route, struct secret **ret, struct err *err)
{
    const struct network_door *door = context;
    return routes_authorize(door->routes, route, ret, err);
}

/* Of this machine or of the run: it is no way out, whoever names it to a proxy. */
static bool is_own(const struct address_range *address)
{
    static const unsigned char nothing[16];
    static const unsigned char loopback[16] = { [15] = 1 };
    const unsigned char *bytes = address->address;
    return address->is_ipv6 ? memcmp(bytes, nothing, 16) == 0 || memcmp(bytes, loopback, 16) == 0
                            : bytes[0] == 127 || bytes[0] == 0;
}

/* Whom a client meant by the address that it dialled. False: nobody, by one of ours. */
static bool find_target(void *context, const struct address_range *dialled, uint16_t port,
                        struct target *ret)
{
    struct network_door *door = context;
    const char *name = names_find(door->names, dialled);
    *ret = (struct target){ .address = *dialled, .port = port };
    if (name)
        snprintf(ret->name, sizeof(ret->name), "%s", name);
    return name || !(names_is_ours(dialled) || is_own(dialled));
}

/* --- opening ------------------------------------------------------------------------------- */

static int serve_names(struct network_door *door, struct err *err)
{
    const struct capture *sockets = &door->sockets;
    int udp[CAPTURE_SOCKETS_MAX], tcp[CAPTURE_SOCKETS_MAX];
    struct resolver_options options = {
        .loop = door->loop, .names = door->names, .asks = &door->asks, .udp = udp, .tcp = tcp
    };
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->sockets[i].kind == CAPTURE_NAMES_UDP)
            udp[options.udp_count++] = sockets->sockets[i].fd;
        else if (sockets->sockets[i].kind == CAPTURE_NAMES_TCP)
            tcp[options.tcp_count++] = sockets->sockets[i].fd;
    }
    int r = resolver_new(&options, &door->resolver, err);
    for (size_t i = 0; i < sockets->count && r == 0; i++)
        if (sockets->sockets[i].kind == CAPTURE_NAMES_UDP ||
            sockets->sockets[i].kind == CAPTURE_NAMES_TCP)
            door->sockets.sockets[i].fd = -1; /* the resolver's */
    return r;
}

static int serve_flows(struct network_door *door, struct err *err)
{
    const struct flows_options options = { .loop = door->loop,
                                           .outside = door->outside,
                                           .asks = &door->asks,
                                           .context = door,
                                           .target_of = find_target,
                                           .references = door->options.references };
    int r = flows_new(&options, &door->flows, err);
    for (size_t i = 0; i < door->sockets.count && r == 0; i++)
        if (door->sockets.sockets[i].kind == CAPTURE_FLOWS)
            r = flows_accept_from(door->flows, door->sockets.sockets[i].fd, err);
    return r;
}

static int serve_proxy(struct network_door *door, struct err *err)
{
    const struct capture *sockets = &door->sockets;
    int r = 0;
    for (size_t i = 0; i < sockets->count && r == 0 && !door->proxy; i++)
        if (sockets->sockets[i].kind == CAPTURE_PROXY)
            r = inside_proxy_new(door->loop, door->flows, sockets->sockets[i].fd, &door->proxy,
                                 err);
    return r;
}

static int publish_ports(struct network_door *door, struct err *err)
{
    const struct publish_options options = { .loop = door->loop,
                                             .ports = door->options.ports,
                                             .count = door->options.port_count,
                                             .context = door->options.want_context,
                                             .want = door->options.want_socket };
    return options.count ? publish_new(&options, &door->publish, err) : 0;
}

/*
 * A connection takes two descriptors, and the soft limit is low by custom alone. The sandbox is
 * there by now, with a limit of its own.
 */
static void take_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* where it is refused there is room for fewer */
}

int network_door_open(const struct network_door_options *options, struct network_door **ret,
                      struct err *err)
{
    struct network_door *door = calloc(1, sizeof(*door));
    int r = door ? 0 : err_set(err, ERR_MEMORY, STEP_DOOR, "there is not enough memory");
    if (r < 0)
        return r;
    door->options = *options;
    door->denials.fd = -1;
    door->asks = (struct door_asks){ .context = door,
                                     .name = ask_name,
                                     .connect = ask_connect,
                                     .address = ask_address,
                                     .refused = take_refusal,
                                     .authorize = authorize };
    r = loop_new(&door->loop, err);
    if (r == 0)
        r = routes_new(options->policy, options->references, &door->routes, err);
    if (r == 0 && options->keeps_here)
        routes_keep_here(door->routes);
    if (r == 0)
        r = uses_new(&door->uses, err);
    if (r == 0)
        r = names_new(&door->names, err);
    if (r == 0)
        r = outside_new(door->loop, &door->outside, err);
    if (r == 0)
        r = publish_ports(door, err);
    if (r < 0)
        network_door_close(door);
    else
        *ret = door;
    return r;
}

int network_door_serve(struct network_door *door, const struct capture *sockets, int denials,
                       struct err *err)
{
    door->sockets = *sockets;
    door->denials.fd = denials;
    take_descriptors();
    int r = serve_names(door, err);
    if (r == 0)
        r = serve_flows(door, err);
    return r < 0 ? r : serve_proxy(door, err);
}

void network_door_close(struct network_door *door)
{
    if (!door)
        return;
    publish_free(door->publish);
    inside_proxy_free(door->proxy);
    flows_free(door->flows);
    outside_free(door->outside);
    resolver_free(door->resolver);
    names_free(door->names);
    uses_free(door->uses);
    routes_free(door->routes);
    policy_free(door->denying);
    for (size_t i = 0; i < door->denied_count; i++)
        buf_release(&door->denied[i]);
    loop_free(door->loop);
    capture_close(&door->sockets);
    cleanup_close(&door->denials.fd);
    free(door);
}

struct loop *network_door_loop(const struct network_door *door)
{
    return door->loop;
}

int network_door_deny(struct network_door *door, struct str destination, struct err *err)
{
    struct policy_builder *builder = NULL;
    struct policy *policy = NULL;
    if (door->denied_count == NETWORK_DENIALS_MAX)
        return err_set(err, ERR_LIMIT, STEP_DOOR, "a run takes %d denials", NETWORK_DENIALS_MAX);
    struct buf *kept = &door->denied[door->denied_count];
    *kept = BUF_INIT;
    int r = buf_add_str(kept, destination) < 0
                ? err_set(err, ERR_MEMORY, STEP_DOOR, "there is not enough memory")
                : policy_builder_new(&builder, err);
    for (size_t i = 0; i <= door->denied_count && r == 0; i++)
        r = policy_add_choice(builder, buf_str(&door->denied[i]), false, err);
    if (r == 0)
        r = policy_build(builder, &policy, err);
    policy_builder_free(builder);
    if (r < 0) {
        buf_release(kept);
        return r;
    }
    door->denied_count++;
    policy_free(door->denying);
    door->denying = policy;
    flows_ask_again(door->flows);
    return 0;
}

/* A name that was given an address while a person was asked is not asked for again. */
static void hear_answers_for_names(struct network_door *door)
{
    const struct network_sink *sink = door->options.sink;
    struct verdict verdict;
    struct err unwritten;
    for (size_t i = 0; i < uses_count(door->uses); i++) {
        struct use_entry *entry = uses_at(door->uses, i);
        if (!entry->asked || entry->target.port || !sink->is_answered(sink->context, entry->record))
            continue;
        decide(door, &entry->target, NULL, &verdict);
        int r = sink->verdict(sink->context, &entry->target, &verdict, &entry->record, &unwritten);
        entry->permitted = r == NETWORK_PERMITTED;
        entry->asked = r == NETWORK_ASKED;
    }
}

void network_door_answered(struct network_door *door)
{
    hear_answers_for_names(door);
    if (door->flows)
        flows_go_on_asked(door->flows);
}

void network_door_take(struct network_door *door, int fd)
{
    if (door->publish)
        publish_take(door->publish, fd);
    else
        close(fd);
}

const struct uses *network_door_uses(const struct network_door *door)
{
    return door->uses;
}

/*
 * net_look: see the header.
 *
 * Theory of operation. A look is three steps: the network as it is, whose epoch
 * is written down; what may be sent; the network as it is then, which is what
 * the record has. Where nothing may be sent the first two fall away. In an
 * epoch that was probed already, the probes' answers are taken over from the
 * last record: what they themselves stir up (a gateway that was found) leads to
 * no new ones.
 *
 * Waiting is for what net_events hears, and ends when that has settled.
 */
#include "doctor/net_look.h"

#include <poll.h>

#include "base/clock.h"
#include "doctor/linux/net_events.h"
#include "doctor/linux/net_files.h"
#include "doctor/linux/net_kernel.h"
#include "doctor/net_probe.h"

#define STEP_LOOK   "look at the network"
#define LOOKS       3
#define EVENTS_KEPT 32

struct net_looking {
    const struct net_targets *targets;
    const char *wish;
    struct net_events *heard; /* NULL: nobody will wait */
    /* The last things that happened to radios, the oldest first. */
    struct {
        char *bytes;
        size_t len;
        int64_t at_ms;
    } events[EVENTS_KEPT];
    size_t event_count;
    /* The answers of the epoch that was probed last. */
    struct net_record probed;
    char probed_epoch[DIGEST_TEXT_SIZE];
};

/* --- opening -------------------------------------------------------------------------------- */

static void keep_event(void *context, struct str bytes)
{
    struct net_looking *looking = context;
    char *copy = malloc(bytes.len + 1);
    if (!copy)
        return;
    memcpy(copy, bytes.ptr, bytes.len);
    if (looking->event_count == EVENTS_KEPT) {
        free(looking->events[0].bytes);
        memmove(&looking->events[0], &looking->events[1],
                sizeof(looking->events) - sizeof(looking->events[0]));
        looking->event_count--;
    }
    looking->events[looking->event_count].bytes = copy;
    looking->events[looking->event_count].len = bytes.len;
    looking->events[looking->event_count++].at_ms = clock_now_ms();
}

int net_look_new(bool listens, const struct net_targets *targets, const char *wish,
                 struct net_looking **ret, struct err *err)
{
    _cleanup_(cleanup_net_looking) struct net_looking *looking = calloc(1, sizeof(*looking));
    if (!looking)
        return err_set(err, ERR_MEMORY, STEP_LOOK, "there is not enough memory");
    looking->targets = targets;
    looking->wish = wish;
    int r = listens ? net_events_new(keep_event, looking, &looking->heard, err) : 0;
    if (r < 0)
        return r;
    *ret = TAKE_PTR(looking);
    return 0;
}

void net_look_free(struct net_looking *looking)
{
    if (!looking)
        return;
    net_events_free(looking->heard);
    for (size_t i = 0; i < looking->event_count; i++)
        free(looking->events[i].bytes);
    net_record_release(&looking->probed);
    free(looking);
}

/* --- looking -------------------------------------------------------------------------------- */

static void look_once(const struct net_looking *looking, struct net_record *record)
{
    net_files_read(record);
    net_kernel_routes(record, looking->targets);
    net_kernel_radios(record);
    net_kernel_wireguard(record);
    for (size_t i = 0; i < looking->event_count; i++)
        net_record_add(record, NET_RADIO_EVENT, "", 0,
                       str_make(looking->events[i].bytes, looking->events[i].len))
            ->at_ms = looking->events[i].at_ms;
    for (size_t i = 0; looking->targets && i < looking->targets->mesh_count; i++) {
        const struct net_mesh *mesh = &looking->targets->meshes[i];
        char name[NET_NAME_MAX];
        snprintf(name, sizeof(name), "%.*s", STR_ARG(mesh->id));
        net_record_add(record, NET_MESH, name, 0, STR(""))->scope = mesh->scope;
    }
    record->wish = looking->wish;
}

static bool is_probe(enum net_item_kind kind)
{
    return kind == NET_QUERY || kind == NET_CONNECT || kind == NET_FETCH || kind == NET_EPOCH;
}

/* Sends what may be sent, in this epoch, and keeps what came. */
static int probe(struct net_looking *looking, const struct net_facts *facts, struct err *err)
{
    struct net_record answers;
    int r = net_record_init(&answers, err);
    if (r < 0)
        return r;
    net_record_add(&answers, NET_EPOCH, "", 0, str_from(facts->epoch));
    r = net_probe(looking->targets, &facts->resolv, &answers, err);
    if (r < 0) {
        net_record_release(&answers);
        return r;
    }
    net_record_release(&looking->probed);
    looking->probed = answers;
    memcpy(looking->probed_epoch, facts->epoch, sizeof(looking->probed_epoch));
    return 0;
}

static void take_over(const struct net_record *from, struct net_record *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct net_item *item = &from->items[i];
        if (!is_probe(item->kind))
            continue;
        struct net_item *copy =
            net_record_add(to, item->kind, item->name, item->error, item->bytes);
        copy->scope = item->scope;
        copy->took_ms = item->took_ms;
        copy->status = item->status;
    }
}

/* The epoch of the network as it is; probes where it has none of it yet. */
static int look_and_probe(struct net_looking *looking, struct err *err)
{
    struct net_record before;
    struct net_facts facts;
    int r = net_record_init(&before, err);
    if (r < 0)
        return r;
    look_once(looking, &before);
    r = net_facts_read(&before, &facts, err);
    if (r == 0) {
        if (strcmp(facts.epoch, looking->probed_epoch) != 0)
            r = probe(looking, &facts, err);
        net_facts_release(&facts);
    }
    net_record_release(&before);
    return r;
}

static int is_of_one_epoch(const struct net_record *record, bool *ret, struct err *err)
{
    struct net_facts facts;
    int r = net_facts_read(record, &facts, err);
    if (r == 0) {
        *ret = !facts.is_stale;
        net_facts_release(&facts);
    }
    return r;
}

int net_look(struct net_looking *looking, struct net_record *ret, struct err *err)
{
    bool sends = looking->targets && looking->targets->count, is_one = false;
    int r = 0;
    for (int i = 0; i < LOOKS && r == 0 && !is_one; i++) {
        if (sends)
            r = look_and_probe(looking, err);
        if (i > 0)
            net_record_release(ret);
        *ret = (struct net_record){ 0 };
        if (r == 0)
            r = net_record_init(ret, err);
        if (r < 0)
            break;
        look_once(looking, ret);
        take_over(&looking->probed, ret);
        ret->at_ms = clock_now_ms();
        r = is_of_one_epoch(ret, &is_one, err);
    }
    if (r < 0)
        net_record_release(ret);
    return r;
}

/* --- waiting -------------------------------------------------------------------------------- */

/* 1: something has changed; 0: the time is over. */
static int wait_once(struct net_looking *looking, int timeout_ms, struct err *err)
{
    struct pollfd fds[NET_EVENTS_SOURCES];
    net_events_fds(looking->heard, fds);
    int n = poll(fds, ARRAY_LEN(fds), timeout_ms);
    if (n < 0 && errno != EINTR)
        return err_set_errno(err, errno, STEP_LOOK, "wait for a change");
    if (n > 0 && net_events_take(looking->heard, fds))
        return 1;
    return n == 0 ? 0 : -EAGAIN;
}

int net_look_wait(struct net_looking *looking, int64_t until_ms, struct err *err)
{
    int r;
    assert(looking->heard);
    do {
        int64_t left = until_ms ? until_ms - clock_now_ms() : -1;
        r = wait_once(looking,
                      until_ms && left < 0   ? 0
                      : left > INT32_MAX / 2 ? INT32_MAX / 2
                                             : (int)left,
                      err);
        if (r == 0 && until_ms && clock_now_ms() < until_ms)
            r = -EAGAIN;
    } while (r == -EAGAIN);
    if (r > 0)
        net_events_settle(looking->heard);
    return r < 0 ? r : 0;
}

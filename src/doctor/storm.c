/*
 * storm: from a line to a count.
 *
 * Theory of operation. A line whose shape (storm_shape) is known leads to its
 * signature by one look into a table; then its time is read and it is
 * counted. Only a line of an unknown shape is taken apart: header
 * (storm_header), form (storm_mask), signature (storm_group). The table of
 * shapes is a cache: an entry that was displaced, or whose signature was
 * merged or evicted since (its generation changed), is found anew the long way.
 *
 * Invariants: (1) every line is counted in exactly one signature, or in
 * `evicted_events` when its signature went, or waits (storm_group); so after
 * storm_settle `lines` is the sum of both.
 * (2) A signature's first and last time are the smallest and the largest that
 * its events had, in whatever order they came. (3) Memory is bounded by
 * `signatures_max`: about 4 KiB for each.
 *
 * Threats: streams made so that every line is new. They cost a table's turn,
 * never memory; what is rare goes before what is frequent.
 */
#include "doctor/storm_internal.h"

#include "doctor/storm_hash.h"
#include "doctor/storm_shape.h"

#define STEP          "count events"
#define MS_PER_SECOND 1000

const char *const storm_policy_names[STORM_POLICY_COUNT] = {
    [STORM_NONE] = "none",
    [STORM_DEDUPLICATE] = "deduplicate",
    [STORM_SUMMARIZE] = "summarize",
    [STORM_SUPPRESS] = "suppress",
    [STORM_QUARANTINE] = "quarantine",
    [STORM_ESCALATE] = "escalate",
};

const struct storm_config storm_config_default = {
    .signatures_max = STORM_SIGNATURES_DEFAULT,
    .source = "stream",
    .component = "unknown",
    .policy = STORM_NONE,
    .rate = 10,
    .window_ms = 10000,
    .link_window_ms = 30000,
};

static size_t power_of_two(size_t least)
{
    size_t power = 1;
    while (power < least)
        power *= 2;
    return power;
}

int storm_new(const struct storm_config *config, struct storm **ret, struct err *err)
{
    size_t max = config->signatures_max;
    if (max < STORM_SIGNATURES_MIN || max > STORM_SIGNATURES_MAX)
        return err_set(err, ERR_USAGE, STEP, "the number of signatures has to be %d to %d",
                       STORM_SIGNATURES_MIN, STORM_SIGNATURES_MAX);
    struct storm *storm = calloc(1, sizeof(*storm));
    if (!storm)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    size_t buckets = power_of_two(max * 2);
    size_t sets = power_of_two(max * STORM_SHAPES_PER_SLOT / STORM_SHAPE_WAYS);
    storm->config = *config;
    storm->groups = calloc(max, sizeof(*storm->groups));
    storm->index = calloc(max, sizeof(*storm->index));
    storm->free_slots = malloc(max * sizeof(*storm->free_slots));
    storm->buckets = malloc(buckets * sizeof(*storm->buckets));
    storm->shapes = calloc(sets * STORM_SHAPE_WAYS, sizeof(*storm->shapes));
    storm->shape_tags = calloc(sets, sizeof(*storm->shape_tags));
    if (!storm->groups || !storm->index || !storm->free_slots || !storm->buckets ||
        !storm->shapes || !storm->shape_tags) {
        storm_free(storm);
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    }
    memset(storm->buckets, 0xff, buckets * sizeof(*storm->buckets)); /* STORM_NO_SLOT */
    storm->bucket_mask = buckets - 1;
    storm->shape_mask = sets - 1;
    for (size_t i = 0; i < max; i++)
        storm->free_slots[storm->free_count++] = (uint32_t)(max - 1 - i);
    storm->previous_slot = STORM_NO_SLOT;
    storm->random = storm_seed();
    storm->settle_interval = 64;
    *ret = storm;
    return 0;
}

void storm_free(struct storm *storm)
{
    if (!storm)
        return;
    for (size_t i = 0; storm->groups && i < storm->config.signatures_max; i++)
        free(storm->groups[i].tokens);
    free(storm->groups);
    free(storm->index);
    free(storm->free_slots);
    free(storm->buckets);
    free(storm->shapes);
    free(storm->shape_tags);
    free(storm);
}

/* --- shapes --------------------------------------------------------------------------------- */

static size_t set_of(const struct storm *storm, uint64_t shape)
{
    return shape >> 20 & storm->shape_mask;
}

static struct storm_shape_entry *shape_set(struct storm *storm, uint64_t shape)
{
    return &storm->shapes[set_of(storm, shape) * STORM_SHAPE_WAYS];
}

/* Whether a set has the tag of a shape: one of its four bytes. */
static bool may_be_known(const struct storm *storm, uint64_t shape)
{
    uint32_t tag = (uint32_t)(shape >> 56) * 0x01010101u;
    uint32_t apart = storm->shape_tags[set_of(storm, shape)] ^ tag;
    return (apart - 0x01010101u) & ~apart & 0x80808080u;
}

/* Of a shape that may be known. */
static uint32_t shape_get(struct storm *storm, uint64_t shape)
{
    const struct storm_shape_entry *set = shape_set(storm, shape);
    for (size_t i = 0; i < STORM_SHAPE_WAYS; i++)
        if (set[i].shape == shape)
            return storm->index[set[i].slot].generation == set[i].generation ? set[i].slot
                                                                             : STORM_NO_SLOT;
    return STORM_NO_SLOT;
}

static void shape_put(struct storm *storm, uint64_t shape, uint32_t slot)
{
    struct storm_shape_entry *set = shape_set(storm, shape);
    size_t way = STORM_SHAPE_WAYS;
    for (size_t i = 0; i < STORM_SHAPE_WAYS && way == STORM_SHAPE_WAYS; i++)
        if (set[i].shape == shape || !set[i].shape ||
            storm->index[set[i].slot].generation != set[i].generation)
            way = i;
    if (way == STORM_SHAPE_WAYS)
        way = storm->way++ % STORM_SHAPE_WAYS;
    set[way] = (struct storm_shape_entry){ shape, slot, storm->index[slot].generation };
    uint32_t *tags = &storm->shape_tags[set_of(storm, shape)], shift = (uint32_t)way * 8;
    *tags = (*tags & ~(0xffu << shift)) | (uint32_t)(shape >> 56) << shift;
}

/* --- counting ------------------------------------------------------------------------------- */

/* The step of a distance: below 8 ms each by itself, then eight steps for each doubling. */
static size_t interval_step(int64_t ms)
{
    if (ms < 8)
        return (size_t)ms;
    unsigned top = 63 - (unsigned)__builtin_clzll((uint64_t)ms);
    size_t step = (size_t)(top - 2) * 8 + ((uint64_t)ms >> (top - 3) & 7);
    return step < STORM_INTERVALS ? step : STORM_INTERVALS - 1;
}

static enum storm_action decide(struct storm *storm, struct storm_group *group, uint32_t slot,
                                int64_t time_ms)
{
    enum storm_policy policy = storm->config.policy;
    if (policy == STORM_NONE)
        return STORM_SHOW;
    if (policy == STORM_DEDUPLICATE)
        return slot == storm->previous_slot ? STORM_HIDE : STORM_SHOW;
    if (time_ms - group->window_start_ms >= storm->config.window_ms ||
        time_ms < group->window_start_ms || !group->in_window) {
        group->engaged = group->in_window > storm->config.rate &&
                         time_ms - group->window_start_ms < 2 * storm->config.window_ms;
        group->window_start_ms = time_ms;
        group->in_window = 0;
    }
    group->in_window++;
    bool begins = !group->engaged && group->in_window > storm->config.rate;
    group->engaged |= begins;
    struct str component = storm_group_component(group);
    uint64_t name = storm_hash(component.ptr, component.len) | 1;
    uint64_t *apart = &storm->apart[name % STORM_DENIALS_MAX];
    if (policy == STORM_QUARANTINE && begins)
        *apart = name;
    if (policy == STORM_QUARANTINE && *apart == name)
        return STORM_APART;
    if (!group->engaged)
        return STORM_SHOW;
    return policy == STORM_ESCALATE && begins ? STORM_CALL : STORM_HIDE;
}

static void count_interval(struct storm *storm, struct storm_group *group, int64_t time_ms)
{
    int64_t distance_ms = time_ms - group->previous_ms;
    if (distance_ms < 0)
        storm->totals.backwards++;
    else
        group->intervals[interval_step(distance_ms)]++;
    group->previous_ms = time_ms;
}

static void count_second(struct storm_group *group, int64_t time_ms)
{
    int64_t second = time_ms / MS_PER_SECOND;
    if (second == group->second) {
        group->in_second++;
    } else if (second > group->second || !group->count) {
        group->second = second;
        group->in_second = 1;
    }
    if (group->in_second > group->peak)
        group->peak = group->in_second;
}

static enum storm_action count_event(struct storm *storm, uint32_t slot, struct storm_sample sample)
{
    struct storm_group *group = &storm->groups[slot];
    int64_t time_ms = sample.time_ms;
    count_second(group, time_ms);
    if (group->count++ == 0) {
        group->first_ms = group->last_ms = group->previous_ms = time_ms;
        group->first = group->middle = sample;
    } else {
        count_interval(storm, group, time_ms);
        group->first_ms = time_ms < group->first_ms ? time_ms : group->first_ms;
        group->last_ms = time_ms > group->last_ms ? time_ms : group->last_ms;
        if ((group->count & (group->count - 1)) == 0)
            group->middle = group->last;
    }
    group->last = sample;
    enum storm_action action = decide(storm, group, slot, time_ms);
    if (action != STORM_SHOW) {
        group->held++;
        storm->totals.held++;
    }
    storm->previous_slot = slot;
    return action;
}

/* The time of an event that has none is that of the one before, else that of reading. */
static int64_t time_of(struct storm *storm, const struct storm_event *event)
{
    if (event->has_time) {
        storm->last_time_ms = event->time_ms;
        storm->has_last_time = true;
        return event->time_ms;
    }
    storm->totals.untimed++;
    if (!storm->has_last_time)
        return storm->now_ms;
    return storm->last_time_ms;
}

static void raise_severity(struct storm_group *group, const struct storm_event *event)
{
    if (event->has_severity && event->severity > group->severity)
        group->severity = event->severity;
}

/* The signature of an event of an unknown shape; what waited of it is counted. */
static int find_group(struct storm *storm, const struct storm_event *event, uint64_t shape,
                      uint32_t *ret, struct err *err)
{
    struct storm_sample before;
    int r = storm_group_of(storm, event, ret, &before, err);
    if (r < 0 || *ret == STORM_NO_SLOT)
        return r;
    if (before.number)
        (void)count_event(storm, *ret, before);
    shape_put(storm, shape, *ret);
    return 0;
}

static enum storm_action count_known(struct storm *storm, uint32_t slot, int64_t time_ms)
{
    return count_event(storm, slot, (struct storm_sample){ storm->totals.lines, time_ms });
}

int storm_event(struct storm *storm, const struct storm_event *event, size_t bytes,
                enum storm_action *ret, struct err *err)
{
    uint64_t shape = storm_fold(storm_shape(event->message), storm_shape(event->component), 1) | 1;
    uint32_t slot = may_be_known(storm, shape) ? shape_get(storm, shape) : STORM_NO_SLOT;
    struct storm_event timed = *event;
    storm->totals.lines++;
    storm->totals.bytes += bytes;
    timed.time_ms = time_of(storm, event);
    if (slot == STORM_NO_SLOT) {
        int r = find_group(storm, &timed, shape, &slot, err);
        *ret = STORM_SHOW;
        if (r < 0 || slot == STORM_NO_SLOT)
            return r;
    }
    raise_severity(&storm->groups[slot], event);
    if (storm_link_wants(storm, slot, timed.time_ms))
        storm_link(storm, slot, &timed);
    *ret = count_known(storm, slot, timed.time_ms);
    return 0;
}

/* The shape of a line; of one that is equal to the line before it is known. */
static uint64_t shape_of(struct storm *storm, struct str line)
{
    if (line.len && line.len == storm->before_len && memcmp(line.ptr, storm->before, line.len) == 0)
        return storm->before_shape;
    uint64_t shape = storm_shape(line);
    if (line.len && line.len <= sizeof(storm->before)) {
        memcpy(storm->before, line.ptr, line.len);
        storm->before_len = line.len;
        storm->before_shape = shape;
    }
    return shape;
}

int storm_line(struct storm *storm, struct str line, enum storm_action *ret, struct err *err)
{
    struct storm_event event = { 0 };
    uint64_t shape = shape_of(storm, line);
    size_t end;
    bool maybe = may_be_known(storm, shape);
    if (maybe)
        __builtin_prefetch(shape_set(storm, shape)); /* while the time is read */
    storm->totals.lines++;
    storm->totals.bytes += line.len + 1;
    event.has_time = storm_header_time(&storm->time, line, &event.time_ms, &end);
    uint32_t slot = maybe ? shape_get(storm, shape) : STORM_NO_SLOT;
    bool is_read = slot == STORM_NO_SLOT || (line.len && line.ptr[0] == '<');
    if (is_read && storm_is_binary(line))
        event.message = line;
    else if (is_read)
        storm_header_read(&storm->time, line, &event);
    int64_t time_ms = event.time_ms = time_of(storm, &event);
    if (slot == STORM_NO_SLOT) {
        int r = find_group(storm, &event, shape, &slot, err);
        *ret = STORM_SHOW;
        if (r < 0 || slot == STORM_NO_SLOT)
            return r;
    }
    if (is_read)
        raise_severity(&storm->groups[slot], &event);
    if (storm_link_wants(storm, slot, time_ms)) {
        if (!is_read)
            storm_header_read(&storm->time, line, &event);
        event.time_ms = time_ms;
        storm_link(storm, slot, &event);
    }
    *ret = count_known(storm, slot, time_ms);
    return 0;
}

int storm_message(struct storm *storm, struct str message, struct err *err)
{
    struct storm_event event = { .message = message };
    enum storm_action action;
    return storm_event(storm, &event, message.len + 1, &action, err);
}

int storm_classify(struct storm *storm, struct str message, size_t *ret)
{
    storm_mask(message, &storm->form);
    uint32_t slot = storm_group_find(storm, &storm->form, STR(""));
    if (slot == STORM_NO_SLOT)
        return -ENOENT;
    *ret = slot;
    return 0;
}

void storm_line_was_cut(struct storm *storm, uint64_t bytes)
{
    storm->totals.cut++;
    storm->totals.bytes += bytes;
}

void storm_set_now(struct storm *storm, int64_t now_ms)
{
    storm->now_ms = now_ms;
}

const struct storm_totals *storm_totals(const struct storm *storm)
{
    return &storm->totals;
}

int storm_settle(struct storm *storm, struct err *err)
{
    storm_group_forget_parked(storm);
    return storm_group_merge(storm, err);
}

static int by_count(const void *a, const void *b, void *context)
{
    const struct storm *storm = context;
    const struct storm_group *first = &storm->groups[*(const size_t *)a];
    const struct storm_group *second = &storm->groups[*(const size_t *)b];
    if (first->count != second->count)
        return first->count < second->count ? 1 : -1;
    return (first->first.number > second->first.number) -
           (first->first.number < second->first.number);
}

int storm_slots(const struct storm *storm, size_t **ret, size_t *ret_count, struct err *err)
{
    size_t count = 0;
    size_t *slots = malloc((storm->totals.signatures + 1) * sizeof(*slots));
    if (!slots)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    for (size_t i = 0; i < storm->config.signatures_max; i++)
        if (storm->groups[i].live)
            slots[count++] = i;
    qsort_r(slots, count, sizeof(*slots), by_count, (void *)(uintptr_t)storm);
    *ret = slots;
    *ret_count = count;
    return 0;
}

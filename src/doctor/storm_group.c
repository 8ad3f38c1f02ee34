/*
 * storm_group: which forms are one signature.
 *
 * Theory of operation. Masking leaves words in place that are values: a
 * user's name, a queue's. They are found by comparing forms of one component
 * and length. Take one place out of a form; forms that are equal in all else
 * share that context. Where a context has seen VALUES_MIN different words, the
 * place varies, and they become one signature with a blank there. What stands
 * before such a place ("for user") is remembered: in other forms two words
 * behind the same beginning are enough. The first word of a message says what
 * it is about and never varies; words in capitals are states, and are never
 * reason enough.
 *
 * A form's key is a sum over its tokens, each mixed with its place, so that
 * the key with one token exchanged costs one subtraction and one addition:
 * merging looks at each place of each signature once, and a new form finds a
 * signature with blanks by the few sets of places that are known to vary for
 * its component and length.
 *
 * When the table is full, forms are drawn together first; if that frees
 * nothing, the least of a few signatures chosen at random goes (few events,
 * long ago), after `evicted` was told.
 *
 * Invariants: (1) no two live groups have one key; (2) a key is
 * `base + sum of part(place, token)` of the tokens that the group has now;
 * (3) merging never loses an event: counts add up.
 */
#include "doctor/storm_internal.h"

#include "doctor/storm_hash.h"
#include "doctor/storm_shape.h"

#define STEP "group events"
/* Different words at a place before it counts as one that varies. */
#define VALUES_MIN 4
/* The same behind a beginning that is known to introduce a value. */
#define VALUES_MIN_KNOWN    2
#define ROUNDS_MAX          6
#define CANDIDATES          8  /* looked at before one is evicted */
#define MASKS_TRIED_MAX     16 /* for one form */
#define SETTLE_INTERVAL     64
#define SETTLE_INTERVAL_MAX 65536
/* Drawing together was in vain so often that what is new is a flood. */
#define FLOOD_INTERVAL (SETTLE_INTERVAL * 16)
#define FLOOD_ADMITTED 16 /* one in so many new forms is kept at once even then */

/* A form with one place taken out. */
struct context {
    uint64_t key; /* 0: empty */
    uint32_t values;
    bool varies;
};

struct contexts {
    struct context *slots;
    size_t mask;
};

/* --- keys ----------------------------------------------------------------------------------- */

static uint64_t base_of(struct str component, size_t count)
{
    return storm_fold(storm_hash(component.ptr, component.len), count + 1, storm_seed());
}

static uint64_t part(size_t place, uint64_t token_hash)
{
    return storm_fold(storm_seed(), token_hash, place + 1);
}

static uint64_t key_of(uint64_t base, const struct storm_token *tokens, size_t count)
{
    uint64_t key = base;
    for (size_t i = 0; i < count; i++)
        key += part(i, tokens[i].hash);
    return key;
}

static bool is_wild(const uint64_t *places, size_t place)
{
    return places[place / 64] >> (place % 64) & 1;
}

static void set_wild(uint64_t *places, size_t place)
{
    places[place / 64] |= 1ull << (place % 64);
}

/* --- the index ------------------------------------------------------------------------------ */

static uint32_t index_find(const struct storm *storm, uint64_t key)
{
    uint32_t slot = storm->buckets[key & storm->bucket_mask];
    while (slot != STORM_NO_SLOT && storm->index[slot].key != key)
        slot = storm->index[slot].next;
    return slot;
}

static void index_add(struct storm *storm, uint32_t slot)
{
    uint32_t *head = &storm->buckets[storm->index[slot].key & storm->bucket_mask];
    storm->index[slot].next = *head;
    *head = slot;
}

static void index_remove(struct storm *storm, uint32_t slot)
{
    uint32_t *link = &storm->buckets[storm->index[slot].key & storm->bucket_mask];
    while (*link != slot)
        link = &storm->index[*link].next;
    *link = storm->index[slot].next;
}

static void masks_add(struct storm *storm, uint64_t base, const uint64_t *places)
{
    size_t i = base % STORM_MASKS_MAX;
    base |= 1;
    if (storm->mask_count > STORM_MASKS_MAX / 2)
        return;
    for (; storm->masks[i].base; i = (i + 1) % STORM_MASKS_MAX)
        if (storm->masks[i].base == base &&
            memcmp(storm->masks[i].places, places, sizeof(storm->masks[i].places)) == 0)
            return;
    storm->masks[i].base = base;
    memcpy(storm->masks[i].places, places, sizeof(storm->masks[i].places));
    storm->mask_count++;
}

/* The signature of a form whose key is that. */
static uint32_t find(struct storm *storm, const struct storm_form *form, uint64_t base,
                     uint64_t key)
{
    uint32_t slot = index_find(storm, key);
    uint64_t blank = storm_blank_hash();
    size_t i = base % STORM_MASKS_MAX;
    for (size_t tried = 0; slot == STORM_NO_SLOT && storm->masks[i].base && tried < MASKS_TRIED_MAX;
         i = (i + 1) % STORM_MASKS_MAX) {
        if (storm->masks[i].base != (base | 1))
            continue;
        uint64_t other = key;
        for (size_t word = 0; word < STORM_WILD_WORDS; word++) {
            for (uint64_t bits = storm->masks[i].places[word]; bits; bits &= bits - 1) {
                size_t place = word * 64 + (size_t)__builtin_ctzll(bits);
                if (place < form->count)
                    other += part(place, blank) - part(place, form->tokens[place].hash);
            }
        }
        slot = index_find(storm, other);
        tried++;
    }
    return slot;
}

size_t storm_component_text(struct str component, char ret[STORM_COMPONENT_MAX])
{
    return storm_shape_text(component, STORM_BLANK, ret, STORM_COMPONENT_MAX);
}

uint32_t storm_group_find(struct storm *storm, const struct storm_form *form, struct str component)
{
    uint64_t base = base_of(component, form->count);
    return find(storm, form, base, key_of(base, form->tokens, form->count));
}

/* --- life and death ------------------------------------------------------------------------- */

void storm_group_release(struct storm *storm, uint32_t slot)
{
    struct storm_group *group = &storm->groups[slot];
    index_remove(storm, slot);
    free(group->tokens);
    memset(group, 0, sizeof(*group));
    storm->index[slot].generation++;
    storm->free_slots[storm->free_count++] = slot;
    storm->totals.signatures--;
    if (storm->previous_slot == slot)
        storm->previous_slot = STORM_NO_SLOT;
}

static uint32_t next_random(struct storm *storm)
{
    storm->random = storm->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(storm->random >> 33);
}

/* How much a signature is worth keeping: its events, by how long ago the last one was. */
static double worth(const struct storm *storm, const struct storm_group *group)
{
    return (double)group->count / (double)(storm->totals.lines - group->last.number + 1);
}

static int evict(struct storm *storm, struct err *err)
{
    uint32_t chosen = STORM_NO_SLOT;
    for (size_t i = 0; i < CANDIDATES; i++) {
        uint32_t slot = next_random(storm) % (uint32_t)storm->config.signatures_max;
        const struct storm_group *group = &storm->groups[slot];
        if (group->live &&
            (chosen == STORM_NO_SLOT || worth(storm, group) < worth(storm, &storm->groups[chosen])))
            chosen = slot;
    }
    /* The table is full: every slot is live. */
    if (storm->config.evicted) {
        int r = storm->config.evicted(storm->config.context, storm, chosen, err);
        if (r < 0)
            return r;
    }
    storm_link_moved(storm, chosen, STORM_NO_SLOT);
    storm->totals.evicted_signatures++;
    storm->totals.evicted_events += storm->groups[chosen].count;
    storm_group_release(storm, chosen);
    return 0;
}

static int make_room(struct storm *storm, struct err *err)
{
    int r = 0;
    bool is_full = storm->free_count == 0;
    if (storm->new_groups >= storm->settle_interval) {
        uint64_t before = storm->totals.signatures;
        storm->new_groups = 0;
        r = storm_group_merge(storm, err);
        /* What gains little is tried less often. */
        bool gained = storm->totals.signatures + before / 32 < before;
        size_t interval = gained ? SETTLE_INTERVAL : storm->settle_interval * 2;
        storm->settle_interval = interval < SETTLE_INTERVAL_MAX ? interval : SETTLE_INTERVAL_MAX;
        is_full = storm->free_count == 0;
    }
    return r == 0 && is_full ? evict(storm, err) : r;
}

static enum storm_role role_of(enum storm_class class, enum storm_severity severity)
{
    if (class == STORM_CAPABILITY_DENIAL)
        return ROLE_DENIAL;
    return class != STORM_UNKNOWN || severity >= STORM_ERROR ? ROLE_FAILURE : ROLE_NONE;
}

static int make_group(struct storm *storm, const struct storm_event *event, struct str component,
                      uint64_t key, uint32_t *ret, struct err *err)
{
    const struct storm_form *form = &storm->form;
    size_t tokens_size = form->count * sizeof(*form->tokens);
    char *block = malloc(tokens_size + form->text_len + component.len + 1);
    if (!block)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    uint32_t slot = storm->free_slots[--storm->free_count];
    struct storm_group *group = &storm->groups[slot];
    group->live = true;
    group->tokens = (struct storm_token *)(void *)block;
    group->text = block + tokens_size;
    group->token_count = form->count;
    group->text_len = form->text_len;
    group->component_len = (uint8_t)component.len;
    group->cut = form->cut;
    memcpy(group->tokens, form->tokens, tokens_size);
    memcpy(group->text, form->text, form->text_len);
    memcpy(group->text + form->text_len, component.ptr, component.len);
    storm->index[slot].key = key;
    storm_classify_text(component, event->message, &group->class, &group->severity);
    group->severity = event->has_severity ? event->severity : group->severity;
    group->role = role_of(group->class, group->severity);
    index_add(storm, slot);
    storm->totals.signatures++;
    storm->new_groups++;
    *ret = slot;
    return 0;
}

/*
 * A flood of ever new forms: when the table is full and drawing together gains
 * nothing, most of what is new waits here until it comes a second time.
 */
static bool is_flood(const struct storm *storm)
{
    return storm->free_count == 0 && storm->settle_interval >= FLOOD_INTERVAL;
}

static void forget_parked(struct storm *storm, struct storm_parked *parked)
{
    storm->totals.evicted_signatures += parked->key != 0;
    storm->totals.evicted_events += parked->key != 0;
    parked->key = 0;
}

void storm_group_forget_parked(struct storm *storm)
{
    for (size_t i = 0; i < STORM_PARKED_MAX; i++)
        forget_parked(storm, &storm->parked[i]);
}

/* The event that waited for another of its form; its number is 0 where none did. */
static struct storm_sample take_parked(struct storm *storm, uint64_t key)
{
    struct storm_parked *parked = &storm->parked[key % STORM_PARKED_MAX];
    if (parked->key != (key | 1))
        return (struct storm_sample){ 0 };
    parked->key = 0;
    return parked->sample;
}

static void park(struct storm *storm, uint64_t key, const struct storm_event *event)
{
    struct storm_parked *parked = &storm->parked[key % STORM_PARKED_MAX];
    forget_parked(storm, parked);
    *parked = (struct storm_parked){ key | 1, { storm->totals.lines, event->time_ms } };
}

int storm_group_of(struct storm *storm, const struct storm_event *event, uint32_t *ret,
                   struct storm_sample *ret_before, struct err *err)
{
    char name[STORM_COMPONENT_MAX];
    struct str component = str_make(name, storm_component_text(event->component, name));
    storm_mask(event->message, &storm->form);
    uint64_t base = base_of(component, storm->form.count);
    uint64_t key = key_of(base, storm->form.tokens, storm->form.count);
    uint32_t slot = find(storm, &storm->form, base, key);
    *ret_before = slot == STORM_NO_SLOT ? take_parked(storm, key) : (struct storm_sample){ 0 };
    if (slot == STORM_NO_SLOT && !ret_before->number && is_flood(storm) &&
        next_random(storm) % FLOOD_ADMITTED) {
        park(storm, key, event);
        *ret = STORM_NO_SLOT;
        return 0;
    }
    if (slot == STORM_NO_SLOT &&
        (storm->new_groups >= storm->settle_interval || storm->free_count == 0)) {
        int r = make_room(storm, err);
        if (r < 0)
            return r;
        slot = find(storm, &storm->form, base, key); /* drawing together may have made its place */
    }
    if (slot == STORM_NO_SLOT)
        return make_group(storm, event, component, key, ret, err);
    *ret = slot;
    return 0;
}

/* --- drawing together ----------------------------------------------------------------------- */

static struct context *context_at(const struct contexts *contexts, uint64_t key)
{
    size_t i = key & contexts->mask;
    while (contexts->slots[i].key && contexts->slots[i].key != key)
        i = (i + 1) & contexts->mask;
    return &contexts->slots[i];
}

static bool may_vary(const struct storm_token *token)
{
    return token->word || token->blank;
}

static uint64_t context_key(const struct storm *storm, size_t slot, size_t place)
{
    const struct storm_group *group = &storm->groups[slot];
    return (storm->index[slot].key - part(place, group->tokens[place].hash)) | 1;
}

/* What stands before a place. */
static uint64_t beginning(const struct storm_group *group, size_t place)
{
    uint64_t before = place > 1 ? group->tokens[place - 2].hash : 0;
    return storm_fold(storm_seed(), before, group->tokens[place - 1].hash) | 1;
}

static bool beginning_known(const struct storm *storm, uint64_t beginning)
{
    size_t i = beginning % STORM_CONTEXTS_MAX;
    while (storm->contexts[i] && storm->contexts[i] != beginning)
        i = (i + 1) % STORM_CONTEXTS_MAX;
    return storm->contexts[i] != 0;
}

static void beginning_learn(struct storm *storm, uint64_t beginning)
{
    size_t i = beginning % STORM_CONTEXTS_MAX;
    while (storm->contexts[i] && storm->contexts[i] != beginning)
        i = (i + 1) % STORM_CONTEXTS_MAX;
    if (storm->contexts[i] || storm->context_count > STORM_CONTEXTS_MAX / 2)
        return;
    storm->contexts[i] = beginning;
    storm->context_count++;
}

static void fill_contexts(struct storm *storm, const struct contexts *contexts)
{
    for (size_t slot = 0; slot < storm->config.signatures_max; slot++) {
        const struct storm_group *group = &storm->groups[slot];
        for (size_t place = 1; group->live && place < group->token_count; place++) {
            if (!may_vary(&group->tokens[place]))
                continue;
            struct context *context = context_at(contexts, context_key(storm, slot, place));
            context->key = context_key(storm, slot, place);
            context->values += !group->tokens[place].state;
            context->varies |= is_wild(group->wild, place);
        }
    }
    for (size_t slot = 0; slot < storm->config.signatures_max; slot++) {
        const struct storm_group *group = &storm->groups[slot];
        for (size_t place = 1; group->live && place < group->token_count; place++) {
            if (!may_vary(&group->tokens[place]))
                continue;
            struct context *context = context_at(contexts, context_key(storm, slot, place));
            context->varies |= context->values >= VALUES_MIN;
            if (context->varies)
                beginning_learn(storm, beginning(group, place));
        }
    }
}

/* The places of a group that vary by now and did not before; returns whether there are any. */
static bool find_places(const struct storm *storm, const struct contexts *contexts, size_t slot,
                        uint64_t *ret)
{
    const struct storm_group *group = &storm->groups[slot];
    bool found = false;
    for (size_t place = 1; place < group->token_count; place++) {
        const struct storm_token *token = &group->tokens[place];
        if (!may_vary(token) || is_wild(group->wild, place))
            continue;
        const struct context *context = context_at(contexts, context_key(storm, slot, place));
        bool varies = context->varies || (context->values >= VALUES_MIN_KNOWN && !token->state &&
                                          beginning_known(storm, beginning(group, place)));
        if (varies)
            set_wild(ret, place);
        found |= varies;
    }
    return found;
}

static void merge_into(struct storm_group *to, const struct storm_group *from)
{
    if (from->second == to->second)
        to->in_second += from->in_second;
    else if (from->second > to->second) {
        to->second = from->second;
        to->in_second = from->in_second;
    }
    to->peak = from->peak > to->peak ? from->peak : to->peak;
    to->peak = to->in_second > to->peak ? to->in_second : to->peak;
    to->count += from->count;
    to->held += from->held;
    for (size_t i = 0; i < STORM_INTERVALS; i++)
        to->intervals[i] += from->intervals[i];
    to->first_ms = from->first_ms < to->first_ms ? from->first_ms : to->first_ms;
    to->last_ms = from->last_ms > to->last_ms ? from->last_ms : to->last_ms;
    if (from->first.number < to->first.number)
        to->first = from->first;
    if (from->last.number > to->last.number) {
        to->middle = to->last;
        to->last = from->last;
        to->previous_ms = from->previous_ms;
    }
    to->severity = from->severity > to->severity ? from->severity : to->severity;
    to->engaged |= from->engaged;
    to->in_window += from->in_window;
    if (from->cause.linked > to->cause.linked)
        to->cause = from->cause;
}

/* Gives a group its blanks, and joins it with the one that has the same form by then. */
static void apply(struct storm *storm, uint32_t slot, const uint64_t *places)
{
    struct storm_group *group = &storm->groups[slot];
    struct str component = storm_group_component(group);
    uint64_t base = base_of(component, group->token_count);
    index_remove(storm, slot);
    for (size_t place = 1; place < group->token_count; place++) {
        struct storm_token *token = &group->tokens[place];
        if (!is_wild(places, place))
            continue;
        set_wild(group->wild, place);
        group->text[token->offset] = STORM_BLANK;
        *token = (struct storm_token){ .hash = storm_blank_hash(),
                                       .offset = token->offset,
                                       .len = 1,
                                       .spaced = token->spaced,
                                       .blank = true };
    }
    storm->index[slot].key = key_of(base, group->tokens, group->token_count);
    uint32_t other = index_find(storm, storm->index[slot].key);
    masks_add(storm, base, group->wild);
    if (other == STORM_NO_SLOT) {
        index_add(storm, slot);
        return;
    }
    struct storm_group *to = &storm->groups[other];
    for (size_t word = 0; word < STORM_WILD_WORDS; word++)
        to->wild[word] |= group->wild[word];
    merge_into(to, group);
    storm_link_moved(storm, slot, other);
    index_add(storm, slot); /* only to be released like any other */
    storm_group_release(storm, slot);
}

/* One round; returns whether anything changed, or -ENOMEM. */
static int merge_round(struct storm *storm)
{
    struct contexts contexts = { 0 };
    size_t places_count = 16;
    for (size_t slot = 0; slot < storm->config.signatures_max; slot++)
        places_count += storm->groups[slot].token_count;
    size_t capacity = 16;
    while (capacity < places_count * 2)
        capacity *= 2;
    contexts.slots = calloc(capacity, sizeof(*contexts.slots));
    uint64_t(*places)[STORM_WILD_WORDS] = calloc(storm->config.signatures_max, sizeof(*places));
    bool *found = calloc(storm->config.signatures_max, sizeof(*found));
    int r = contexts.slots && places && found ? 0 : -ENOMEM;
    contexts.mask = capacity - 1;
    if (r == 0)
        fill_contexts(storm, &contexts);
    for (size_t slot = 0; r >= 0 && slot < storm->config.signatures_max; slot++)
        found[slot] = storm->groups[slot].live && find_places(storm, &contexts, slot, places[slot]);
    for (uint32_t slot = 0; r >= 0 && slot < storm->config.signatures_max; slot++) {
        if (!found[slot])
            continue;
        apply(storm, slot, places[slot]);
        r = 1;
    }
    free(contexts.slots);
    free(places);
    free(found);
    return r;
}

int storm_group_merge(struct storm *storm, struct err *err)
{
    int r = 1;
    for (size_t round = 0; r > 0 && round < ROUNDS_MAX; round++)
        r = merge_round(storm);
    return r < 0 ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
}

/* storm_internal: what the storm's parts share. Nobody else includes it. */
#ifndef AM_DOCTOR_STORM_INTERNAL_H
#define AM_DOCTOR_STORM_INTERNAL_H

#include "doctor/storm.h"
#include "doctor/storm_mask.h"
#include "doctor/storm_time.h"

#define STORM_NO_SLOT UINT32_MAX
/* Distances of events: eight steps for each doubling, up to 2^41 ms. */
#define STORM_INTERVALS       320
#define STORM_OBJECT_MAX      ((size_t)96)
#define STORM_WILD_WORDS      ((STORM_TOKENS_MAX + 63) / 64)
#define STORM_MASKS_MAX       1024
#define STORM_CONTEXTS_MAX    1024
#define STORM_DENIALS_MAX     256
#define STORM_BEFORE_MAX      512
#define STORM_PARKED_MAX      4096
#define STORM_SHAPES_PER_SLOT 8
#define STORM_SHAPE_WAYS      4

enum storm_role { ROLE_NONE, ROLE_DENIAL, ROLE_FAILURE };

struct storm_sample {
    uint64_t number; /* of the event in the stream, from 1 */
    int64_t time_ms;
};

/* A denial that a failure goes back to. */
struct storm_cause {
    uint32_t slot; /* while its generation is this one, else what follows is what is left of it */
    uint32_t generation;
    char id[STORM_ID_SIZE];
    int64_t first_ms;
    uint64_t linked; /* 0: there is none */
    bool by_process;
    char object[STORM_OBJECT_MAX];
    size_t object_len;
};

struct storm_group {
    bool live;
    /* One block: tokens, then text, then component. */
    struct storm_token *tokens;
    char *text;
    uint16_t token_count;
    uint16_t text_len;
    uint8_t component_len;
    bool cut;
    uint64_t wild[STORM_WILD_WORDS]; /* places that were found to vary */

    uint64_t count;
    uint64_t held;
    int64_t first_ms, last_ms, previous_ms;
    int64_t second;
    uint64_t in_second, peak;
    uint32_t intervals[STORM_INTERVALS];
    struct storm_sample first, middle, last;
    enum storm_severity severity;
    enum storm_class class;
    enum storm_role role;
    struct storm_cause cause;

    int64_t window_start_ms;
    uint64_t in_window;
    bool engaged;
};

/* What is looked at to find a signature; apart from the rest, which is a hundred times as large. */
struct storm_index_entry {
    uint64_t key;
    uint32_t next;       /* in its bucket */
    uint32_t generation; /* changes whenever the slot gets another signature */
};

struct storm_shape_entry {
    uint64_t shape; /* 0: empty */
    uint32_t slot;
    uint32_t generation;
};

/* Places that vary in messages of one component and length. */
struct storm_wild_mask {
    uint64_t base; /* 0: empty */
    uint64_t places[STORM_WILD_WORDS];
};

/* One event of a form that is not kept yet. */
struct storm_parked {
    uint64_t key; /* 0: empty */
    struct storm_sample sample;
};

struct storm_denial {
    uint64_t object; /* hash; 0: empty */
    uint64_t session;
    int64_t time_ms;
    uint32_t pid;
    uint32_t slot;
    uint32_t generation;
    char text[STORM_OBJECT_MAX];
    size_t text_len;
};

struct storm {
    struct storm_config config;
    struct storm_totals totals;
    struct storm_group *groups;
    struct storm_index_entry *index; /* beside groups */
    uint32_t *free_slots;
    size_t free_count;
    uint32_t *buckets;
    size_t bucket_mask;
    struct storm_shape_entry *shapes;
    uint32_t *shape_tags; /* of each set: a byte of each way's shape, to look no further for most */
    size_t shape_mask;    /* of sets */
    struct storm_wild_mask masks[STORM_MASKS_MAX];
    size_t mask_count;
    uint64_t contexts[STORM_CONTEXTS_MAX]; /* what stands before places that vary */
    size_t context_count;
    struct storm_denial denials[STORM_DENIALS_MAX];
    struct storm_parked parked[STORM_PARKED_MAX];
    bool has_causes;
    bool has_denials;
    int64_t last_denial_ms;
    uint64_t apart[STORM_DENIALS_MAX]; /* components in quarantine, by hash */

    char before[STORM_BEFORE_MAX]; /* the line before, where it is no longer than this */
    size_t before_len;             /* 0: there is none */
    uint64_t before_shape;
    struct storm_time_reader time;
    int64_t last_time_ms; /* of the event before; what untimed lines are given */
    bool has_last_time;
    int64_t now_ms;
    uint32_t previous_slot;
    uint32_t way;           /* of shapes, turning */
    uint64_t random;        /* for choosing what is evicted */
    size_t new_groups;      /* since signatures were last drawn together */
    size_t settle_interval; /* how many of them there are between two attempts */
    struct storm_form form;
};

/* The signature of a message: found, or made (then others may have to go). */
/*
 * STORM_NO_SLOT: it waits, in a flood, until it comes again. Where it has come again,
 * ret_before is the event that waited; its number is 0 where there is none. The event has its
 * time.
 */
int storm_group_of(struct storm *storm, const struct storm_event *event, uint32_t *ret,
                   struct storm_sample *ret_before, struct err *err) MUST_CHECK;
/* Counts all that waits as forgotten. */
void storm_group_forget_parked(struct storm *storm);
/* As found by form alone; STORM_NO_SLOT where there is none. */
uint32_t storm_group_find(struct storm *storm, const struct storm_form *form, struct str component);
/* Draws together what turns out to be one. */
int storm_group_merge(struct storm *storm, struct err *err) MUST_CHECK;
void storm_group_release(struct storm *storm, uint32_t slot);

static inline struct str storm_group_component(const struct storm_group *group)
{
    return str_make(group->text + group->text_len, group->component_len);
}

/* The session-wide name of a component: numbers as STORM_BLANK. */
size_t storm_component_text(struct str component, char ret[STORM_COMPONENT_MAX]);

/* The identity of a signature's record; stable from one run to the next. */
void storm_group_id(const struct storm_group *group, char ret[STORM_ID_SIZE]);

/* Whether an event of this signature, now, may be part of a story. */
bool storm_link_wants(const struct storm *storm, uint32_t slot, int64_t time_ms);
/* The signature in a slot goes: into another one, or (STORM_NO_SLOT) altogether. */
void storm_link_moved(struct storm *storm, uint32_t slot, uint32_t to);
/* Remembers a denial, or looks for the one that a failure goes back to. */
void storm_link(struct storm *storm, uint32_t slot, const struct storm_event *event);

#endif

/*
 * uses: see the header.
 *
 * Theory of operation. Entries stand one behind the other in blocks, so that
 * none moves while flows count on it, and are found by a hash table of numbers
 * that is grown before it is half full.
 */
#include "doors/network/uses.h"

#define STEP_USES   "keep what the network is used for"
#define BLOCK       64
#define BLOCKS_MAX  ((USES_ALLOWED_MAX + USES_DENIED_MAX) / BLOCK)
#define SLOTS       (1u << 14) /* more than twice as many as there are entries */
#define HASH_OFFSET UINT64_C(0xcbf29ce484222325)
#define HASH_FACTOR UINT64_C(0x100000001b3)

static_assert(SLOTS > 2 * BLOCKS_MAX * BLOCK, "the table stays less than half full");

struct uses {
    struct use_entry *blocks[BLOCKS_MAX];
    size_t count, allowed, denied;
    uint16_t slots[SLOTS]; /* number of the entry and one; 0: free */
};

int uses_new(struct uses **ret, struct err *err)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : err_set(err, ERR_MEMORY, STEP_USES, "there is not enough memory");
}

void uses_free(struct uses *uses)
{
    if (!uses)
        return;
    for (size_t i = 0; i < BLOCKS_MAX; i++)
        free(uses->blocks[i]);
    free(uses);
}

static struct use_entry *entry_at(const struct uses *uses, size_t index)
{
    return &uses->blocks[index / BLOCK][index % BLOCK];
}

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ byte[i]) * HASH_FACTOR;
    return hash;
}

static uint32_t slot_of(const struct target *target, enum answer answer, enum door_refusal refusal)
{
    uint64_t hash = add_bytes(HASH_OFFSET, target->name, strlen(target->name));
    if (!target->name[0])
        hash = add_bytes(hash, target->address.address, sizeof(target->address.address));
    hash = add_bytes(hash, &target->port, sizeof(target->port));
    hash = add_bytes(hash, &answer, sizeof(answer));
    hash = add_bytes(hash, &refusal, sizeof(refusal));
    return (uint32_t)(hash ^ hash >> 32) & (SLOTS - 1);
}

static bool is_same(const struct target *a, const struct target *b)
{
    return a->port == b->port && strcmp(a->name, b->name) == 0 &&
           (a->name[0] ||
            (a->address.is_ipv6 == b->address.is_ipv6 &&
             memcmp(a->address.address, b->address.address, sizeof(a->address.address)) == 0));
}

/* The slot of the thing, or the free one where it would stand. */
static uint32_t find(const struct uses *uses, const struct target *target, enum answer answer,
                     enum door_refusal refusal)
{
    uint32_t slot = slot_of(target, answer, refusal);
    for (; uses->slots[slot]; slot = (slot + 1) & (SLOTS - 1)) {
        const struct use_entry *entry = entry_at(uses, uses->slots[slot] - 1u);
        if (entry->answer == answer && entry->refusal == refusal && is_same(&entry->target, target))
            break;
    }
    return slot;
}

static struct use_entry *make(struct uses *uses, const struct target *target, enum answer answer)
{
    size_t *of_kind = answer == ANSWER_ALLOW ? &uses->allowed : &uses->denied;
    bool is_others = strcmp(target->name, USES_OTHERS) == 0;
    size_t room = answer == ANSWER_ALLOW ? USES_ALLOWED_MAX : USES_DENIED_MAX - !is_others;
    struct use_entry **block = &uses->blocks[uses->count / BLOCK];
    if (*of_kind >= room)
        return NULL;
    if (!*block)
        *block = calloc(BLOCK, sizeof(**block));
    if (!*block)
        return NULL;
    (*of_kind)++;
    return entry_at(uses, uses->count++);
}

static struct use_entry *meet(struct uses *uses, const struct target *target, enum answer answer,
                              enum door_refusal refusal, int64_t now_ms, bool *ret_is_new)
{
    uint32_t slot = find(uses, target, answer, refusal);
    bool is_new = !uses->slots[slot];
    struct use_entry *entry =
        is_new ? make(uses, target, answer) : entry_at(uses, uses->slots[slot] - 1u);
    if (!entry)
        return NULL;
    if (is_new) {
        *entry = (struct use_entry){
            .target = *target, .answer = answer, .refusal = refusal, .first_ms = now_ms
        };
        uses->slots[slot] = (uint16_t)uses->count;
    }
    entry->count++;
    entry->last_ms = now_ms;
    *ret_is_new = is_new;
    return entry;
}

struct use_entry *uses_meet(struct uses *uses, const struct target *target, enum answer answer,
                            enum door_refusal refusal, int64_t now_ms, bool *ret_is_new)
{
    static const struct target others = { .name = USES_OTHERS };
    struct use_entry *entry = meet(uses, target, answer, refusal, now_ms, ret_is_new);
    return entry || answer == ANSWER_ALLOW
               ? entry
               : meet(uses, &others, ANSWER_DENY, REFUSED_LIMIT, now_ms, ret_is_new);
}

const struct use_entry *uses_find(const struct uses *uses, const struct target *target,
                                  enum answer answer, enum door_refusal refusal)
{
    uint16_t number = uses->slots[find(uses, target, answer, refusal)];
    return number ? entry_at(uses, number - 1u) : NULL;
}

void uses_forget_last(struct uses *uses)
{
    const struct use_entry *last = entry_at(uses, uses->count - 1);
    /* It was the last that was put, so that nothing stands behind it because of it. */
    uses->slots[find(uses, &last->target, last->answer, last->refusal)] = 0;
    *(last->answer == ANSWER_ALLOW ? &uses->allowed : &uses->denied) -= 1;
    uses->count--;
}

size_t uses_count(const struct uses *uses)
{
    return uses->count;
}

struct use_entry *uses_at(const struct uses *uses, size_t index)
{
    return entry_at(uses, index);
}

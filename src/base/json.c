/*
 * json: reading.
 *
 * Theory of operation. yyjson parses (strictly: no comments, no trailing
 * content, no byte order mark, valid UTF-8) and leaves every number as its own
 * text. One linear walk over its values, which lie in one array in document
 * order, then does what yyjson does not: it checks the limits, refuses
 * duplicate keys, and turns into binary each number for which that is exact.
 * Where things stand in the text is found only when there is an error to
 * report, by json_text.
 *
 * Invariants:
 *   1. The size is checked before anything is parsed. yyjson parses without
 *      recursion, and no byte of text costs it more than one value of 16 bytes
 *      (as much again while its array grows), so that the size bounds the
 *      memory too.
 *   2. What json_read returns is nested no deeper than limits->depth.
 *   3. A number that is not RAW is exact: an integer of the text's very value,
 *      or the double nearest to a decimal of at most 15 significant digits,
 *      which "%.15g" turns back into that decimal.
 *   4. Words of eight bytes are loaded only from where eight bytes of the
 *      doc's copy of the text are left (walk->word_last); keys and numbers
 *      nearer to its end are read byte by byte.
 *
 * Threats: keys that collide on purpose. Keys are first told apart by cheap
 * signatures, and where those collide too often, by hashes that are seeded in
 * each process; pairs are compared only up to KEYS_PAIRWISE_MAX members.
 */
#include "base/json.h"

#include <endian.h>
#include <float.h>

#include "base/json_text.h"
#include "base/map.h"

#define KEYS_PAIRWISE_MAX 8   /* members of an object whose keys are compared in pairs */
#define KEYS_SIGNED_MAX   100 /* members of one whose keys are looked up by signature */
#define SIGNATURE_BITS    8   /* of a signature, select a slot */
#define SLOTS_MIN         256 /* of the set of hashed keys */
#define ENDS_INLINE       64  /* levels of nesting before the stack moves to the heap */
#define KEY_SHOWN_BYTES   80  /* of a duplicate key, in a message */
#define WORD_BYTES        sizeof(uint64_t)
#define STEP_READ         "read JSON"

#define HASH_MULTIPLIER      0x9e3779b97f4a7c15ull
#define DECIMAL_MANTISSA_END 1000000000000000u /* the first of more than 15 digits */
#define POWER_EXACT_MAX      22                /* 10^22 is the last power that a double holds */
#define UINT64_DIGITS_SAFE   19                /* any number of so many digits fits uint64_t */
#define EXPONENT_READ_MAX    100000            /* larger ones never become binary */

static_assert(FLT_EVAL_METHOD == 0, "double arithmetic must round once");
static_assert(KEYS_SIGNED_MAX <= UINT8_MAX && KEYS_SIGNED_MAX <= 1 << (SIGNATURE_BITS - 1),
              "a slot holds a member's number, and half of them stay empty");

const struct json_limits json_limits_default = {
    .size_bytes = JSON_SIZE_MAX,
    .depth = JSON_DEPTH_MAX,
    .array_items = JSON_ARRAY_ITEMS_MAX,
    .members = JSON_MEMBERS_MAX,
    .string_bytes = JSON_STRING_BYTES_MAX,
    .number_digits = JSON_NUMBER_DIGITS_MAX,
};

enum limit { LIMIT_SIZE, LIMIT_DEPTH, LIMIT_ARRAY, LIMIT_MEMBERS, LIMIT_STRING, LIMIT_DIGITS };

static const struct limit_words {
    const char *subject, *unit, *flag;
} limit_words[] = {
    [LIMIT_SIZE] = { "the text", "bytes", "--max-size" },
    [LIMIT_DEPTH] = { "the nesting", "levels", "--max-depth" },
    [LIMIT_ARRAY] = { "the array", "items", "--max-array" },
    [LIMIT_MEMBERS] = { "the object", "members", "--max-members" },
    [LIMIT_STRING] = { "the string", "bytes", "--max-string" },
    [LIMIT_DIGITS] = { "the number", "characters", "--max-digits" },
};
static_assert(ARRAY_LEN(limit_words) == LIMIT_DIGITS + 1, "every limit has its words");

/* One slot of the set of keys; an empty one has no key. */
struct key_slot {
    yyjson_val *key;
    uint64_t hash;
};

struct walk {
    struct str text;
    const struct json_limits *limits;
    struct err *err;
    yyjson_val *root;
    const char *word_last; /* invariant 4 */
    yyjson_val **ends;     /* of each container around the last one entered, the value behind it */
    size_t ends_capacity;
    yyjson_val *ends_inline[ENDS_INLINE];
    struct key_slot *slots; /* reused from object to object */
    size_t slots_capacity;
};

static int explain_syntax(struct str text, const struct json_limits *limits,
                          const yyjson_read_err *error, struct err *err);
static int refuse_limit(struct err *err, enum limit limit, size_t found, size_t allowed);
static void walk_init(struct walk *walk, struct str text, const struct json_limits *limits,
                      struct err *err);
static int walk_values(struct walk *walk, const yyjson_doc *doc);

int json_read(struct str text, const struct json_limits *limits, yyjson_doc **ret_doc,
              struct err *err)
{
    if (text.len > limits->size_bytes)
        return refuse_limit(err, LIMIT_SIZE, text.len, limits->size_bytes);
    yyjson_read_err error;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc =
        yyjson_read_opts((char *)text.ptr, text.len, YYJSON_READ_NUMBER_AS_RAW, NULL, &error);
    if (!doc)
        return explain_syntax(text, limits, &error, err);
    struct walk walk;
    walk_init(&walk, text, limits, err);
    int r = walk_values(&walk, doc);
    if (walk.ends != walk.ends_inline)
        free(walk.ends);
    free(walk.slots);
    if (r < 0)
        return r;
    *ret_doc = TAKE_PTR(doc);
    return 0;
}

static int refuse_limit(struct err *err, enum limit limit, size_t found, size_t allowed)
{
    const struct limit_words *words = &limit_words[limit];
    return err_set(err, ERR_LIMIT, STEP_READ, "%s has %zu %s; the limit is %zu (%s raises it)",
                   words->subject, found, words->unit, allowed, words->flag);
}

/* yyjson has refused the text; says where and why in our words. */
static int explain_syntax(struct str text, const struct json_limits *limits,
                          const yyjson_read_err *error, struct err *err)
{
    if (error->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return err_set(err, ERR_MEMORY, STEP_READ, "a text of %zu bytes", text.len);
    /* Where json_fault_find sees nothing wrong, yyjson's own words must do. */
    struct json_fault fault = { .offset = error->pos };
    int r = json_fault_find(text, limits->depth, &fault);
    if (r == -ENOMEM)
        return err_set(err, ERR_MEMORY, STEP_READ, "a text of %zu bytes", text.len);
    if (r == -E2BIG)
        r = refuse_limit(err, LIMIT_DEPTH, limits->depth + 1, limits->depth);
    else
        r = err_set(err, ERR_SYNTAX, STEP_READ, "%s", r < 0 ? error->msg : fault.cause);
    struct json_position at = json_position(text, fault.offset);
    err_where(err, "%zu:%zu", at.line, at.column);
    return r;
}

/* --- the walk ----------------------------------------------------------- */

/* ends_inline stays as it is: small documents must not pay for clearing it. */
static void walk_init(struct walk *walk, struct str text, const struct json_limits *limits,
                      struct err *err)
{
    walk->text = text;
    walk->limits = limits;
    walk->err = err;
    walk->ends = walk->ends_inline;
    walk->ends_capacity = ENDS_INLINE;
    walk->slots = NULL;
    walk->slots_capacity = 0;
}

static int refuse_value(struct walk *walk, const yyjson_val *value, enum limit limit, size_t found,
                        size_t allowed)
{
    int r = refuse_limit(walk->err, limit, found, allowed);
    size_t offset = json_value_offset(walk->text, (size_t)(value - walk->root));
    struct json_position at = json_position(walk->text, offset);
    err_where(walk->err, "%zu:%zu", at.line, at.column);
    return r;
}

static int grow_ends(struct walk *walk)
{
    size_t capacity = walk->ends_capacity * 2;
    bool is_inline = walk->ends == walk->ends_inline;
    yyjson_val **ends = realloc(is_inline ? NULL : walk->ends, capacity * sizeof(*ends));
    if (!ends)
        return err_set(walk->err, ERR_MEMORY, STEP_READ, "%zu levels of nesting", capacity);
    if (is_inline)
        memcpy(ends, walk->ends_inline, sizeof(walk->ends_inline));
    walk->ends = ends;
    walk->ends_capacity = capacity;
    return 0;
}

static int check_keys(struct walk *walk, yyjson_val *object, size_t members);
static inline void number_to_binary(yyjson_val *value, const char *word_last);

/* A container is entered: its own limits, and the stack of those around it. */
static int enter(struct walk *walk, yyjson_val *value, size_t *depth)
{
    const struct json_limits *limits = walk->limits;
    size_t len = unsafe_yyjson_get_len(value);
    int r = 0;
    while (*depth && walk->ends[*depth - 1] <= value)
        --*depth;
    if (*depth >= limits->depth)
        return refuse_value(walk, value, LIMIT_DEPTH, *depth + 1, limits->depth);
    if (unsafe_yyjson_is_arr(value)) {
        if (len > limits->array_items)
            return refuse_value(walk, value, LIMIT_ARRAY, len, limits->array_items);
    } else {
        if (len > limits->members)
            return refuse_value(walk, value, LIMIT_MEMBERS, len, limits->members);
        r = len > 1 ? check_keys(walk, value, len) : 0;
    }
    if (r == 0 && *depth == walk->ends_capacity)
        r = grow_ends(walk);
    if (r == 0)
        walk->ends[(*depth)++] = unsafe_yyjson_get_next(value);
    return r;
}

/* Most values need no look beyond their type. Keys are values here, and strings like others. */
static int walk_values(struct walk *walk, const yyjson_doc *doc)
{
    const struct json_limits *limits = walk->limits;
    const yyjson_val *stop = doc->root + doc->val_read;
    walk->root = doc->root;
    walk->word_last = doc->str_pool && walk->text.len >= WORD_BYTES
                          ? doc->str_pool + (walk->text.len - WORD_BYTES)
                          : NULL;
    unsigned wanted = 1u << YYJSON_TYPE_RAW | 1u << YYJSON_TYPE_ARR | 1u << YYJSON_TYPE_OBJ;
    if (walk->text.len > limits->string_bytes)
        wanted |= 1u << YYJSON_TYPE_STR;
    size_t depth = 0;
    int r = 0;
    for (yyjson_val *value = doc->root; value < stop && r == 0; value++) {
        yyjson_type type = unsafe_yyjson_get_type(value);
        if (!(wanted >> type & 1))
            continue;
        size_t len = unsafe_yyjson_get_len(value);
        if (type >= YYJSON_TYPE_ARR)
            r = enter(walk, value, &depth);
        else if (type == YYJSON_TYPE_STR && len > limits->string_bytes)
            r = refuse_value(walk, value, LIMIT_STRING, len, limits->string_bytes);
        else if (type == YYJSON_TYPE_RAW && len > limits->number_digits)
            r = refuse_value(walk, value, LIMIT_DIGITS, len, limits->number_digits);
        else if (type == YYJSON_TYPE_RAW)
            number_to_binary(value, walk->word_last);
    }
    return r;
}

/* --- duplicate keys ----------------------------------------------------- */

static int refuse_duplicate(struct walk *walk, const yyjson_val *a, const yyjson_val *b)
{
    const yyjson_val *first = a < b ? a : b, *second = a < b ? b : a;
    size_t offset = json_value_offset(walk->text, (size_t)(first - walk->root));
    struct json_position before = json_position(walk->text, offset);
    offset = json_value_offset(walk->text, (size_t)(second - walk->root));
    struct json_position at = json_position(walk->text, offset);
    struct str name = json_str(second);
    bool cut = name.len > KEY_SHOWN_BYTES;
    if (cut)
        name.len = KEY_SHOWN_BYTES;
    while (cut && (name.ptr[name.len] & 0xc0) == 0x80) /* not within a character */
        name.len--;
    _cleanup_(buf_release) struct buf shown = BUF_INIT;
    json_add_string(&shown, name);
    int r = err_set(walk->err, ERR_SYNTAX, STEP_READ,
                    "the key %s%s stands twice in one object, first at %zu:%zu; keys are unique",
                    shown.data, cut ? "…" : "", before.line, before.column);
    err_where(walk->err, "%zu:%zu", at.line, at.column);
    return r;
}

static inline bool can_load_word(const char *p, const char *word_last)
{
    return (uintptr_t)p <= (uintptr_t)word_last;
}

/* Eight bytes, the first of them lowest. */
static inline uint64_t load_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return le64toh(word);
}

/* Equal for equal keys; differs for most that differ in length or in a byte near either end. */
static inline uint64_t key_signature(struct str key, const char *word_last)
{
    uint64_t head = 0, tail;
    if (can_load_word(key.ptr, word_last)) {
        head = load_word(key.ptr);
    } else {
        memcpy(&head, key.ptr, key.len < WORD_BYTES ? key.len : WORD_BYTES);
        head = le64toh(head);
    }
    if (key.len < WORD_BYTES) {
        head &= ((uint64_t)1 << (8 * key.len)) - 1;
        tail = 0;
    } else {
        tail = load_word(key.ptr + (key.len - WORD_BYTES));
    }
    return (head ^ (tail << 31 | tail >> 33)) + key.len;
}

static inline bool key_equal(const yyjson_val *a, const yyjson_val *b)
{
    return str_equal(json_str(a), json_str(b));
}

static int check_keys_pairwise(struct walk *walk, yyjson_val *object, size_t members)
{
    uint64_t signatures[KEYS_PAIRWISE_MAX];
    yyjson_val *keys[KEYS_PAIRWISE_MAX];
    yyjson_val *key = object + 1;
    for (size_t i = 0; i < members; i++) {
        uint64_t signature = key_signature(json_str(key), walk->word_last);
        for (size_t j = 0; j < i; j++)
            if (signatures[j] == signature && key_equal(keys[j], key))
                return refuse_duplicate(walk, keys[j], key);
        signatures[i] = signature;
        keys[i] = key;
        key = unsafe_yyjson_get_next(key + 1);
    }
    return 0;
}

/* 0 every key differs, 1 undecided: too many signatures went to the same slots. */
static int check_keys_signed(struct walk *walk, yyjson_val *object, size_t members)
{
    uint8_t slots[1 << SIGNATURE_BITS] = { 0 }; /* one more than the member's number; 0 is empty */
    uint64_t signatures[KEYS_SIGNED_MAX + 1];
    yyjson_val *keys[KEYS_SIGNED_MAX + 1];
    yyjson_val *key = object + 1;
    size_t collisions = 0;
    for (size_t i = 1; i <= members; i++) {
        uint64_t signature = key_signature(json_str(key), walk->word_last);
        uint8_t at = (uint8_t)(signature * HASH_MULTIPLIER >> (64 - SIGNATURE_BITS));
        for (uint8_t other; (other = slots[at]) != 0; at++) {
            if (signatures[other] == signature && key_equal(keys[other], key))
                return refuse_duplicate(walk, keys[other], key);
            if (++collisions > 2 * members)
                return 1;
        }
        slots[at] = (uint8_t)i;
        signatures[i] = signature;
        keys[i] = key;
        key = unsafe_yyjson_get_next(key + 1);
    }
    return 0;
}

/* `count` empty slots; those of an earlier object are used again. */
static int clear_slots(struct walk *walk, size_t count)
{
    if (count > walk->slots_capacity) {
        free(walk->slots);
        walk->slots_capacity = 0;
        walk->slots = malloc(count * sizeof(*walk->slots));
        if (!walk->slots)
            return err_set(walk->err, ERR_MEMORY, STEP_READ, "%zu keys of one object", count / 2);
        walk->slots_capacity = count;
    }
    memset(walk->slots, 0, count * sizeof(*walk->slots));
    return 0;
}

static int check_keys_hashed(struct walk *walk, yyjson_val *object, size_t members)
{
    size_t count = SLOTS_MIN;
    while (count < 2 * members)
        count *= 2;
    int r = clear_slots(walk, count);
    if (r < 0)
        return r;
    yyjson_val *key = object + 1;
    for (size_t i = 0; i < members; i++) {
        struct str s = json_str(key);
        uint64_t hash = hash_bytes(s.ptr, s.len);
        size_t at = hash & (count - 1);
        for (; walk->slots[at].key; at = (at + 1) & (count - 1))
            if (walk->slots[at].hash == hash && key_equal(walk->slots[at].key, key))
                return refuse_duplicate(walk, walk->slots[at].key, key);
        walk->slots[at] = (struct key_slot){ .key = key, .hash = hash };
        key = unsafe_yyjson_get_next(key + 1);
    }
    return 0;
}

static int check_keys(struct walk *walk, yyjson_val *object, size_t members)
{
    if (members <= KEYS_PAIRWISE_MAX)
        return check_keys_pairwise(walk, object, members);
    int r = members <= KEYS_SIGNED_MAX ? check_keys_signed(walk, object, members) : 1;
    return r == 1 ? check_keys_hashed(walk, object, members) : r;
}

/* --- numbers ------------------------------------------------------------ */

static const double powers_of_ten[POWER_EXACT_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number that eight digits are, each in its byte, the first one lowest. */
static inline uint64_t word_value(uint64_t digits)
{
    const uint64_t pairs = 0x000000ff000000ff; /* each other of the four */
    digits = digits * 10 + (digits >> 8);
    uint64_t first_and_third = (digits & pairs) * (100 + ((uint64_t)1000000 << 32));
    uint64_t second_and_fourth = (digits >> 16 & pairs) * (1 + ((uint64_t)10000 << 32));
    return (first_and_third + second_and_fourth) >> 32;
}

/* Appends the digits at p to the mantissa, which wraps, and returns their end. */
static inline const char *read_digits(const char *p, const char *end, const char *word_last,
                                      uint64_t *mantissa)
{
    static const uint32_t powers[] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000
    };
    while (p < end && can_load_word(p, word_last)) {
        uint64_t word = load_word(p) ^ 0x3030303030303030;
        /* The high bit of the first byte above 9; carries reach only the bytes behind it. */
        uint64_t others = (word | (word + 0x7676767676767676)) & 0x8080808080808080;
        unsigned run = others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
        if (run)
            *mantissa = *mantissa * powers[run] + word_value(word << (64 - 8 * run));
        p += run;
        if (run < 8)
            return p;
    }
    for (; p < end && is_digit(*p); p++)
        *mantissa = *mantissa * 10 + (uint64_t)(*p - '0');
    return p;
}

/* Whether the magnitude fits; leaves the value RAW where it does not. */
static void set_integer(yyjson_val *value, struct str digits, uint64_t magnitude, bool negative)
{
    if (digits.len > UINT64_DIGITS_SAFE) {
        /* Twenty digits fit up to UINT64_MAX, which compares as text: there is no leading zero. */
        if (negative || digits.len > UINT64_DIGITS_SAFE + 1 ||
            memcmp(digits.ptr, "18446744073709551615", UINT64_DIGITS_SAFE + 1) > 0)
            return;
    }
    if (!negative || magnitude == 0) {
        value->tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT;
        value->uni.u64 = magnitude;
    } else if (magnitude <= (uint64_t)INT64_MAX + 1) {
        value->tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_SINT;
        value->uni.i64 = (int64_t)(0 - magnitude);
    }
}

/* Clinger's fast path: both operands are exact, so that the one operation rounds right. */
static void set_decimal(yyjson_val *value, uint64_t mantissa, long exponent, bool negative)
{
    if (mantissa == 0)
        exponent = 0;
    while (mantissa >= DECIMAL_MANTISSA_END || exponent < -POWER_EXACT_MAX) {
        if (mantissa % 10)
            return;
        mantissa /= 10;
        exponent++;
    }
    while (exponent > POWER_EXACT_MAX) {
        mantissa *= 10;
        if (mantissa >= DECIMAL_MANTISSA_END)
            return;
        exponent--;
    }
    double real = exponent < 0 ? (double)mantissa / powers_of_ten[-exponent]
                               : (double)mantissa * powers_of_ten[exponent];
    value->tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL;
    value->uni.f64 = negative ? -real : real;
}

/* The exponent behind e or E, clamped to a little more than EXPONENT_READ_MAX. */
static long read_exponent(const char *p, const char *end)
{
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    long exponent = 0;
    for (; p < end && exponent <= EXPONENT_READ_MAX; p++)
        exponent = exponent * 10 + (*p - '0');
    return negative ? -exponent : exponent;
}

/* The text has the grammar of a JSON number: yyjson has seen to that. */
static inline void number_to_binary(yyjson_val *value, const char *word_last)
{
    struct str text = json_str(value);
    const char *p = text.ptr, *end = text.ptr + text.len;
    bool negative = *p == '-';
    p += negative;
    const char *first = p;
    uint64_t mantissa = 0; /* worth nothing where there are too many digits, which are counted */
    p = read_digits(p, end, word_last, &mantissa);
    if (p == end) {
        set_integer(value, str_make(first, (size_t)(p - first)), mantissa, negative);
        return;
    }
    size_t digits = (size_t)(p - first);
    long exponent = 0;
    if (*p == '.') {
        const char *fraction = ++p;
        if (digits == 1 && *first == '0') { /* zeros in front do not count */
            digits = 0;
            while (p < end && *p == '0')
                p++;
        }
        const char *counted = p;
        p = read_digits(p, end, word_last, &mantissa);
        digits += (size_t)(p - counted);
        exponent = fraction - p;
    }
    if (digits > UINT64_DIGITS_SAFE)
        return;
    if (p < end)
        exponent += read_exponent(p + 1, end);
    set_decimal(value, mantissa, exponent, negative);
}

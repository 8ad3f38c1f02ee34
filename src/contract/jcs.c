/*
 * jcs: see the header.
 *
 * Theory of operation. A document is written depth first with an explicit
 * stack of open containers, so that no depth overruns the C stack. On entering
 * an object its keys are pushed on a second stack and sorted there; on leaving
 * it they are popped. Keys sort by UTF-16 code units, which is the order of
 * their UTF-8 bytes except that characters beyond U+FFFF (surrogates in
 * UTF-16) come before U+E000 to U+FFFF. Strings need no more than
 * json_add_string does, whose escapes are those of the RFC.
 *
 * A number is the nearest double, written as ECMAScript writes it: yyjson
 * supplies both the rounding of long texts and the shortest digits, and this
 * file arranges them. That loses what lies beyond a double on purpose: the RFC
 * says so.
 *
 * Limits: JCS_BYTES_MAX of output; depth and members as json_read bounded them.
 */
#include "contract/jcs.h"

#include <float.h>

#include "base/json.h"
#include "contract/decimal.h"

#define JCS_BYTES_MAX      (8 * JSON_SIZE_MAX) /* of a document that is digested */
#define INTEGER_EXACT_MAX  ((uint64_t)1 << 53) /* up to here doubles count every integer */
#define POINT_FIXED_MAX    21                  /* from 1e21 on, numbers have an exponent */
#define POINT_FIXED_MIN    -6                  /* and below 1e-6 */
#define NUMBER_SHOWN_BYTES 40
#define CAPACITY_MIN       64 /* of the stacks */
#define STEP_JCS           "write the canonical form"

/* An open container and how far it is written. */
struct frame {
    const yyjson_val *container;
    const yyjson_val *item; /* of an array, the next */
    size_t left;            /* items or members to come */
    size_t key;             /* of an object, where its next key stands in `keys` */
};

struct jcs {
    struct buf *buf;
    struct err *err;
    struct frame *frames;
    size_t depth, frame_capacity;
    const yyjson_val **keys;
    size_t key_count, key_capacity;
    struct buf scratch; /* a number's text, with a NUL behind it */
};

/* --- numbers ------------------------------------------------------------ */

static void add_zeros(struct buf *buf, int64_t count)
{
    for (; count > 0; count--)
        buf_add_char(buf, '0');
}

/* ECMAScript's Number::toString of a finite double, from its shortest digits. */
static int add_real(struct buf *buf, double real)
{
    yyjson_val value = { .tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL, .uni.f64 = real };
    char text[JSON_NUMBER_TEXT_SIZE], room[JSON_NUMBER_TEXT_SIZE];
    struct decimal decimal = decimal_read(str_make(text, json_number_text(&value, text)));
    struct str digits = str_make(room, decimal.count);
    decimal_digits(&decimal, room);
    int64_t point = decimal.point, count = (int64_t)decimal.count;
    if (count == 0)
        return buf_add_char(buf, '0');
    if (decimal.negative)
        buf_add_char(buf, '-');
    if (point > POINT_FIXED_MAX || point <= POINT_FIXED_MIN) {
        buf_add_char(buf, room[0]);
        if (count > 1)
            buf_add_char(buf, '.');
        buf_add_str(buf, str_from_offset(digits, 1));
        return buf_addf(buf, "e%+lld", (long long)point - 1);
    }
    if (point <= 0) {
        buf_add_text(buf, "0.");
        add_zeros(buf, -point);
        return buf_add_str(buf, digits);
    }
    size_t whole = (size_t)(point < count ? point : count);
    buf_add(buf, room, whole);
    add_zeros(buf, point - count);
    if (point < count)
        buf_add_char(buf, '.');
    return buf_add_str(buf, str_from_offset(digits, whole));
}

/* The double nearest to a text; infinite where there is none. */
static int round_raw(struct jcs *jcs, struct str text, double *ret)
{
    buf_reset(&jcs->scratch);
    int r = buf_add_str(&jcs->scratch, text);
    if (r < 0)
        return r;
    yyjson_val value;
    if (!yyjson_read_number(jcs->scratch.data, &value, YYJSON_READ_NOFLAG, NULL, NULL))
        *ret = __builtin_inf();
    else
        *ret = yyjson_get_num(&value);
    return 0;
}

static bool is_small_integer(const yyjson_val *value)
{
    if (unsafe_yyjson_is_uint((void *)value))
        return value->uni.u64 <= INTEGER_EXACT_MAX;
    return unsafe_yyjson_is_sint((void *)value) && value->uni.i64 >= -(int64_t)INTEGER_EXACT_MAX &&
           value->uni.i64 <= (int64_t)INTEGER_EXACT_MAX;
}

static int add_number(struct jcs *jcs, const yyjson_val *value)
{
    char digits[JSON_NUMBER_TEXT_SIZE];
    if (is_small_integer(value))
        return buf_add(jcs->buf, digits, json_number_text(value, digits));
    double real = 0;
    int r = 0;
    if (unsafe_yyjson_is_raw((void *)value))
        r = round_raw(jcs, json_str(value), &real);
    else
        real = yyjson_get_num((yyjson_val *)value);
    if (r < 0)
        return r;
    if (real >= -DBL_MAX && real <= DBL_MAX)
        return add_real(jcs->buf, real);
    struct str text =
        unsafe_yyjson_is_raw((void *)value) ? json_str(value) : STR("infinity or NaN");
    bool cut = text.len > NUMBER_SHOWN_BYTES;
    if (cut)
        text.len = NUMBER_SHOWN_BYTES;
    return err_set(jcs->err, ERR_DOCUMENT, STEP_JCS,
                   "the number %.*s%s is beyond the range of a double (some 1.8e308), outside of "
                   "which RFC 8785 has no form; write it as a string",
                   STR_ARG(text), cut ? "…" : "");
}

/* --- objects ------------------------------------------------------------ */

static int compare_utf16(struct str a, struct str b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    size_t i = 0;
    while (i < shorter && a.ptr[i] == b.ptr[i])
        i++;
    if (i == shorter)
        return (a.len > b.len) - (a.len < b.len);
    unsigned char x = (unsigned char)a.ptr[i], y = (unsigned char)b.ptr[i];
    /* 0xf0 and above start characters beyond U+FFFF, 0xee and 0xef those from U+E000. */
    bool surrogate_x = x >= 0xf0, surrogate_y = y >= 0xf0;
    if (surrogate_x != surrogate_y && x >= 0xee && y >= 0xee)
        return surrogate_x ? -1 : 1;
    return x < y ? -1 : 1;
}

static int compare_keys(const void *a, const void *b)
{
    return compare_utf16(json_str(*(const yyjson_val *const *)a),
                         json_str(*(const yyjson_val *const *)b));
}

/* The array, moved where it was too small; NULL without memory. */
static void *grow(void *array, size_t *capacity, size_t need, size_t item_size)
{
    if (need <= *capacity)
        return array;
    size_t larger = *capacity ? *capacity : CAPACITY_MIN;
    while (larger < need)
        larger *= 2;
    void *moved = realloc(array, larger * item_size);
    if (moved)
        *capacity = larger;
    return moved;
}

/* Pushes an object's keys, sorted. */
static int push_keys(struct jcs *jcs, const yyjson_val *object, size_t count)
{
    const yyjson_val **keys =
        grow(jcs->keys, &jcs->key_capacity, jcs->key_count + count + 1, sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    jcs->keys = keys;
    keys += jcs->key_count;
    const yyjson_val *key = object + 1;
    bool sorted = true;
    for (size_t i = 0; i < count; i++) {
        keys[i] = key;
        sorted = sorted && (i == 0 || compare_utf16(json_str(keys[i - 1]), json_str(key)) < 0);
        key = unsafe_yyjson_get_next((yyjson_val *)key + 1);
    }
    if (!sorted)
        qsort(keys, count, sizeof(*keys), compare_keys);
    jcs->key_count += count;
    return 0;
}

/* --- values ------------------------------------------------------------- */

static int open_container(struct jcs *jcs, const yyjson_val *value)
{
    struct frame frame = { .container = value, .item = value + 1, .key = jcs->key_count };
    frame.left = unsafe_yyjson_get_len((void *)value);
    bool object = unsafe_yyjson_is_obj((void *)value);
    struct frame *frames = grow(jcs->frames, &jcs->frame_capacity, jcs->depth + 1, sizeof(frame));
    if (!frames)
        return -ENOMEM;
    jcs->frames = frames;
    int r = object ? push_keys(jcs, value, frame.left) : 0;
    if (r < 0)
        return r;
    frames[jcs->depth++] = frame;
    return buf_add_char(jcs->buf, object ? '{' : '[');
}

static int add_value(struct jcs *jcs, const yyjson_val *value)
{
    switch (unsafe_yyjson_get_type((void *)value)) {
    case YYJSON_TYPE_ARR:
    case YYJSON_TYPE_OBJ:
        return open_container(jcs, value);
    case YYJSON_TYPE_STR:
        return json_add_string(jcs->buf, json_str(value));
    case YYJSON_TYPE_RAW:
    case YYJSON_TYPE_NUM:
        return add_number(jcs, value);
    case YYJSON_TYPE_BOOL:
        return buf_add_text(jcs->buf, unsafe_yyjson_get_bool((void *)value) ? "true" : "false");
    default:
        return buf_add_text(jcs->buf, "null");
    }
}

/* Writes the next thing of the innermost container: a member, an item or its end. */
static int step(struct jcs *jcs)
{
    struct frame *frame = &jcs->frames[jcs->depth - 1];
    bool object = unsafe_yyjson_is_obj((void *)frame->container);
    size_t count = unsafe_yyjson_get_len((void *)frame->container);
    if (frame->left == 0) {
        if (object)
            jcs->key_count -= count;
        jcs->depth--;
        return buf_add_char(jcs->buf, object ? '}' : ']');
    }
    if (frame->left-- < count)
        buf_add_char(jcs->buf, ',');
    const yyjson_val *value = frame->item;
    if (object) {
        const yyjson_val *key = jcs->keys[frame->key++];
        json_add_string(jcs->buf, json_str(key));
        buf_add_char(jcs->buf, ':');
        value = key + 1;
    } else {
        frame->item = unsafe_yyjson_get_next((yyjson_val *)value);
    }
    return add_value(jcs, value);
}

int jcs_add(struct buf *buf, const yyjson_val *value, struct err *err)
{
    struct jcs jcs = { .buf = buf, .err = err, .scratch = BUF_INIT };
    int r = add_value(&jcs, value);
    while (r >= 0 && jcs.depth)
        r = step(&jcs);
    buf_release(&jcs.scratch);
    free(jcs.keys);
    free(jcs.frames);
    if (r == -ENOMEM || r == -EMSGSIZE)
        return err_set_errno(err, -r, STEP_JCS, "%zu bytes so far", buf->len);
    return r;
}

int jcs_digest(const yyjson_val *value, char ret_text[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(buf_release) struct buf buf = BUF_INIT_LIMIT(JCS_BYTES_MAX);
    int r = jcs_add(&buf, value, err);
    return r < 0 ? r : digest_text(buf_str(&buf), ret_text, err);
}

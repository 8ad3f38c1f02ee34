/*
 * explain: a fault in words; see the header.
 *
 * One table leads from a keyword to the function that says what it expects.
 * The keyword's own value is read from the schema, by the unit's location.
 */
#include "contract/explain.h"

#include "base/json.h"
#include "contract/compile.h"
#include "contract/value.h"

#define SHOWN_BYTES_MAX     60 /* of a value's text */
#define SHOWN_VALUES_MAX    8  /* of an enum */
#define NEAREST_BYTES_MAX   64 /* longer words are not compared */
#define NEAREST_MEMBERS_MAX 1000

/* --- likely meant -------------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    bool upper_a = a >= 'A' && a <= 'Z', upper_b = b >= 'A' && b <= 'Z';
    return (upper_a ? a | 0x20 : a) == (upper_b ? b | 0x20 : b);
}

/* Edits (insert, delete, replace, swap neighbours) that lead from one word to the other. */
static size_t distance(struct str a, struct str b)
{
    size_t rows[3][NEAREST_BYTES_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        above[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = above[j - 1] + !same_letter(a.ptr[i - 1], b.ptr[j - 1]);
            row[j] = smaller(change, smaller(above[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && same_letter(a.ptr[i - 1], b.ptr[j - 2]) &&
                           same_letter(a.ptr[i - 2], b.ptr[j - 1]);
            if (swapped)
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

struct str explain_nearest(struct str word, const struct str *candidates, size_t count)
{
    struct str best = STR("");
    size_t best_distance = SIZE_MAX;
    if (!word.len || word.len > NEAREST_BYTES_MAX)
        return best;
    for (size_t i = 0; i < count; i++) {
        struct str candidate = candidates[i];
        if (!candidate.len || candidate.len > NEAREST_BYTES_MAX)
            continue;
        size_t d = distance(word, candidate);
        size_t most = smaller(word.len, candidate.len) / 3 + 1;
        if (d <= most && d < best_distance && d < word.len) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

/* The names of an object's members, or the strings of an array; freed by the caller. */
static struct str *words_of(yyjson_val *container, size_t *ret_count)
{
    size_t index, count, used = 0;
    yyjson_val *key, *value;
    size_t room = yyjson_is_ctn(container) ? unsafe_yyjson_get_len(container) : 0;
    room = smaller(room, NEAREST_MEMBERS_MAX);
    struct str *words = calloc(room ? room : 1, sizeof(*words));
    if (words && yyjson_is_obj(container)) {
        yyjson_obj_foreach(container, index, count, key, value)
        {
            if (used < room)
                words[used++] = json_str(key);
        }
    } else if (words && yyjson_is_arr(container)) {
        yyjson_arr_foreach(container, index, count, value)
        {
            if (used < room && yyjson_is_str(value))
                words[used++] = json_str(value);
        }
    }
    *ret_count = words ? used : 0;
    return words;
}

static struct str nearest_in(struct str word, yyjson_val *container)
{
    size_t count;
    _cleanup_(cleanup_free) struct str *words = words_of(container, &count);
    return explain_nearest(word, words, count);
}

/* --- values in words ----------------------------------------------------------------------- */

/* Members whose content is not shown, whatever it looks like. */
static bool may_be_secret(const char *pointer)
{
    static const char *const words[] = { "auth",     "secret",     "token",
                                         "password", "credential", "apikey" };
    const char *last = strrchr(pointer, '/');
    for (size_t i = 0; last && i < ARRAY_LEN(words); i++)
        if (strcasestr(last, words[i]))
            return true;
    return false;
}

static void add_value(struct buf *ret, const yyjson_val *value)
{
    yyjson_val *v = (yyjson_val *)value;
    if (yyjson_is_obj(v) || yyjson_is_arr(v)) {
        size_t len = unsafe_yyjson_get_len(v);
        const char *what = yyjson_is_obj(v) ? "member" : "item";
        buf_addf(ret, "%s with %zu %s%s", yyjson_is_obj(v) ? "an object" : "an array", len, what,
                 len == 1 ? "" : "s");
        return;
    }
    struct buf text = BUF_INIT;
    json_add_value(&text, value, 0);
    size_t cut = text.len;
    if (cut > SHOWN_BYTES_MAX) {
        cut = SHOWN_BYTES_MAX;
        while (cut && ((unsigned char)text.data[cut] & 0xc0) == 0x80)
            cut--;
    }
    buf_add(ret, text.data, cut);
    if (cut < text.len)
        buf_add_text(ret, "…");
    buf_release(&text);
}

static void add_found(struct buf *ret, const struct report_unit *unit)
{
    if (yyjson_is_str((yyjson_val *)unit->value) && may_be_secret(unit->instance))
        buf_addf(ret, "a string of %zu bytes", yyjson_get_len((yyjson_val *)unit->value));
    else
        add_value(ret, unit->value);
}

static void add_list(struct buf *ret, yyjson_val *array)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(array, index, count, item)
    {
        if (index == SHOWN_VALUES_MAX && count > SHOWN_VALUES_MAX + 1) {
            buf_addf(ret, " or %zu more", count - index);
            return;
        }
        buf_add_text(ret, !index ? "" : index + 1 == count ? " or " : ", ");
        add_value(ret, item);
    }
}

/* --- what each keyword expects ------------------------------------------------------------- */

struct subject {
    const struct schema_set *set;
    const struct report *report;
    const struct report_unit *unit;
    yyjson_val *schema;
    yyjson_val *keyword; /* the keyword's value; NULL for the schema `false` */
};

typedef void explainer(const struct subject *s, struct buf *ret);

static void add_type_name(struct buf *ret, yyjson_val *name)
{
    const char *text = yyjson_is_str(name) ? yyjson_get_str(name) : "?";
    if (strcmp(text, "null") != 0)
        buf_add_text(ret, strchr("aeiou", text[0]) ? "an " : "a ");
    buf_add_text(ret, text);
}

static void expect_type(const struct subject *s, struct buf *ret)
{
    size_t index, count;
    yyjson_val *item;
    if (!yyjson_is_arr(s->keyword))
        add_type_name(ret, s->keyword);
    yyjson_arr_foreach(s->keyword, index, count, item)
    {
        buf_add_text(ret, !index ? "" : index + 1 == count ? " or " : ", ");
        add_type_name(ret, item);
    }
}

static void expect_value(const struct subject *s, struct buf *ret)
{
    add_value(ret, s->keyword);
}

static void expect_enum(const struct subject *s, struct buf *ret)
{
    buf_add_text(ret, yyjson_arr_size(s->keyword) > 1 ? "one of " : "");
    add_list(ret, s->keyword);
}

static void expect_pattern(const struct subject *s, struct buf *ret)
{
    buf_addf(ret, "text that matches %s", yyjson_get_str(s->keyword));
}

static void expect_format(const struct subject *s, struct buf *ret)
{
    buf_addf(ret, "a valid %s", yyjson_get_str(s->keyword));
}

static void expect_bound(const struct subject *s, struct buf *ret)
{
    static const char *const words[KEYWORD_COUNT] = {
        [KEYWORD_MINIMUM] = "a number from ",
        [KEYWORD_EXCLUSIVE_MINIMUM] = "a number above ",
        [KEYWORD_MAXIMUM] = "a number up to ",
        [KEYWORD_EXCLUSIVE_MAXIMUM] = "a number below ",
        [KEYWORD_MULTIPLE_OF] = "a multiple of ",
        [KEYWORD_MIN_LENGTH] = "a string no shorter than ",
        [KEYWORD_MAX_LENGTH] = "a string no longer than ",
        [KEYWORD_MIN_ITEMS] = "an array with at least ",
        [KEYWORD_MAX_ITEMS] = "an array with at most ",
        [KEYWORD_MIN_PROPERTIES] = "an object with at least ",
        [KEYWORD_MAX_PROPERTIES] = "an object with at most ",
    };
    static const char *const units[KEYWORD_COUNT] = {
        [KEYWORD_MIN_LENGTH] = "character",  [KEYWORD_MAX_LENGTH] = "character",
        [KEYWORD_MIN_ITEMS] = "item",        [KEYWORD_MAX_ITEMS] = "item",
        [KEYWORD_MIN_PROPERTIES] = "member", [KEYWORD_MAX_PROPERTIES] = "member",
    };
    const char *unit = units[s->unit->keyword];
    buf_add_text(ret, words[s->unit->keyword]);
    add_value(ret, s->keyword);
    if (unit)
        buf_addf(ret, " %s%s", unit, yyjson_get_num(s->keyword) == 1 ? "" : "s");
}

static void expect_unique(const struct subject *s, struct buf *ret)
{
    (void)s;
    buf_add_text(ret, "items that all differ");
}

static void expect_member(const struct subject *s, struct buf *ret)
{
    buf_addf(ret, "the member `%.*s`", STR_ARG(s->unit->member));
}

static void expect_no_member(const struct subject *s, struct buf *ret)
{
    buf_addf(ret, "no member `%.*s`", STR_ARG(s->unit->member));
}

static void expect_contains(const struct subject *s, struct buf *ret)
{
    const char *how = s->unit->keyword == KEYWORD_MAX_CONTAINS ? "at most" : "at least";
    buf_addf(ret, "%s ", how);
    if (s->unit->keyword == KEYWORD_CONTAINS)
        buf_add_text(ret, "1");
    else
        add_value(ret, s->keyword);
    buf_addf(ret, " of its items to match `contains` (%zu do)", s->unit->count);
}

static void expect_alternative(const struct subject *s, struct buf *ret)
{
    const struct report_unit *unit = s->unit;
    size_t branches = yyjson_arr_size(s->keyword);
    if (unit->count > 1) {
        buf_addf(ret, "exactly one of %zu alternatives to hold (%zu do)", branches, unit->count);
        return;
    }
    buf_addf(ret, "one of %zu alternatives to hold", branches);
    if (unit->closest) {
        const struct report_unit *closest = &s->report->units[unit->closest];
        buf_addf(ret, " (the closest: at \"%s\", ", closest->instance);
        explain_fault(s->set, s->report, closest, ret);
        buf_add_char(ret, ')');
    }
}

static void expect_not(const struct subject *s, struct buf *ret)
{
    (void)s;
    buf_add_text(ret, "something that `not` does not describe");
}

static void expect_nothing(const struct subject *s, struct buf *ret)
{
    (void)s;
    buf_add_text(ret, "nothing here");
}

static explainer *const explainers[KEYWORD_COUNT + 1] = {
    [KEYWORD_TYPE] = expect_type,
    [KEYWORD_CONST] = expect_value,
    [KEYWORD_ENUM] = expect_enum,
    [KEYWORD_PATTERN] = expect_pattern,
    [KEYWORD_FORMAT] = expect_format,
    [KEYWORD_MINIMUM] = expect_bound,
    [KEYWORD_EXCLUSIVE_MINIMUM] = expect_bound,
    [KEYWORD_MAXIMUM] = expect_bound,
    [KEYWORD_EXCLUSIVE_MAXIMUM] = expect_bound,
    [KEYWORD_MULTIPLE_OF] = expect_bound,
    [KEYWORD_MIN_LENGTH] = expect_bound,
    [KEYWORD_MAX_LENGTH] = expect_bound,
    [KEYWORD_MIN_ITEMS] = expect_bound,
    [KEYWORD_MAX_ITEMS] = expect_bound,
    [KEYWORD_MIN_PROPERTIES] = expect_bound,
    [KEYWORD_MAX_PROPERTIES] = expect_bound,
    [KEYWORD_UNIQUE_ITEMS] = expect_unique,
    [KEYWORD_REQUIRED] = expect_member,
    [KEYWORD_DEPENDENT_REQUIRED] = expect_member,
    [KEYWORD_DEPENDENCIES] = expect_member,
    [KEYWORD_ADDITIONAL_PROPERTIES] = expect_no_member,
    [KEYWORD_UNEVALUATED_PROPERTIES] = expect_no_member,
    [KEYWORD_CONTAINS] = expect_contains,
    [KEYWORD_MIN_CONTAINS] = expect_contains,
    [KEYWORD_MAX_CONTAINS] = expect_contains,
    [KEYWORD_ANY_OF] = expect_alternative,
    [KEYWORD_ONE_OF] = expect_alternative,
    [KEYWORD_NOT] = expect_not,
    [KEYWORD_NONE] = expect_nothing,
};

/* A member that the schema does not know and that reads like the missing one. */
static struct str misspelt_member(const struct subject *s)
{
    yyjson_val *known = yyjson_obj_get(s->schema, "properties");
    struct str found = nearest_in(s->unit->member, (yyjson_val *)s->unit->value);
    return yyjson_obj_getn(known, found.ptr, found.len) ? STR("") : found;
}

static struct str likely_meant(const struct subject *s)
{
    yyjson_val *value = (yyjson_val *)s->unit->value;
    switch (s->unit->keyword) {
    case KEYWORD_ADDITIONAL_PROPERTIES:
    case KEYWORD_UNEVALUATED_PROPERTIES:
        return nearest_in(s->unit->member, yyjson_obj_get(s->schema, "properties"));
    case KEYWORD_REQUIRED:
        return misspelt_member(s);
    case KEYWORD_ENUM:
        return yyjson_is_str(value) ? nearest_in(json_str(value), s->keyword) : STR("");
    case KEYWORD_CONST: {
        struct str wanted = yyjson_is_str(s->keyword) ? json_str(s->keyword) : STR("");
        return yyjson_is_str(value) ? explain_nearest(json_str(value), &wanted, 1) : STR("");
    }
    default:
        return STR("");
    }
}

int explain_fault(const struct schema_set *set, const struct report *report,
                  const struct report_unit *unit, struct buf *ret)
{
    struct subject s = { .set = set, .report = report, .unit = unit };
    s.schema = (yyjson_val *)schema_location(set, unit->location)->schema;
    if (unit->keyword != KEYWORD_NONE)
        s.keyword = yyjson_obj_get(s.schema, keyword_rows[unit->keyword].name.ptr);
    buf_add_text(ret, "expected ");
    explainers[unit->keyword](&s, ret);
    bool about_member = unit->keyword == KEYWORD_REQUIRED ||
                        unit->keyword == KEYWORD_ADDITIONAL_PROPERTIES ||
                        unit->keyword == KEYWORD_UNEVALUATED_PROPERTIES;
    bool about_name = unit->member.len && !about_member &&
                      unit->keyword != KEYWORD_DEPENDENT_REQUIRED &&
                      unit->keyword != KEYWORD_DEPENDENCIES;
    if (unit->keyword == KEYWORD_REQUIRED) {
        buf_add_text(ret, ", found none");
    } else if (!about_member) {
        buf_add_text(ret, about_name ? ", found the name " : ", found ");
        add_found(ret, unit);
    }
    struct str meant = likely_meant(&s);
    if (meant.len && unit->keyword == KEYWORD_REQUIRED)
        buf_addf(ret, "; `%.*s` may be meant to be it", STR_ARG(meant));
    else if (meant.len)
        buf_addf(ret, "; did you mean %s%.*s%s?", about_member ? "`" : "\"", STR_ARG(meant),
                 about_member ? "`" : "\"");
    return ret->error;
}

int explain_check(const struct program *program, const yyjson_val *root, const char *type,
                  const char *step, struct err *err)
{
    struct report *report;
    int r = validate(program, root, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = report_new(program, root, &report, err);
    if (r < 0)
        return r;
    _cleanup_(buf_release) struct buf words = BUF_INIT;
    if (report->count)
        explain_fault(program_set(program), report, &report->units[0], &words);
    r = err_set(err, ERR_DOCUMENT, step, "it is no %s: %s", type, words.len ? words.data : "");
    err_where(err, "%s", report->count ? report->units[0].instance : "");
    report_free(report);
    return r;
}

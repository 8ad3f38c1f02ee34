/*
 * regex_translate: ECMA-262 patterns (with the u flag) read, and written for PCRE2.
 *
 * Theory of operation: a recursive descent over the grammar of ECMA-262
 * section 22.2.1, one function for each production, that appends what PCRE2
 * must be told to one buffer. Every literal is written as a letter, a digit or
 * \x{…}, so that nothing a pattern holds is ever read as PCRE2's own syntax. A
 * depth bound ends the recursion; every loop consumes the pattern, whose size
 * is bounded.
 *
 * Where the two languages differ in more than spelling:
 *
 *  - A set of code points is written out: \d, \w, \s, . and their complements.
 *    \b and \B need no help, since PCRE2 without UCP goes by ASCII.
 *  - A lone surrogate matches nothing, for no text in UTF-8 holds one.
 *  - A reference to a group that is not closed yet is always empty in
 *    ECMA-262, so the empty pattern stands for it.
 *  - ECMA-262 forgets what a group held when the loop around it starts over,
 *    and drops an iteration that matched nothing; PCRE2 does neither. Only a
 *    reference could show it: `flags` tracks which groups may be stale, and a
 *    pattern that refers to such a one is left undone rather than done wrong.
 *  - A lookbehind is matched backwards in ECMA-262. With a fixed width, which
 *    is all PCRE2 can do, only a reference within it could show the
 *    difference, and that too is left undone.
 *
 * A search only asks whether there is a match. So the first term of the
 * pattern, and of a lookbehind, needs to be taken no more often than it must:
 * X{n,m}Y is found exactly where X{n}Y is. That rids `.*x` of its quadratic
 * cost and gives many a lookbehind the fixed width that PCRE2 wants.
 *
 * A pattern that is nothing but sets in a row is noted down for regex_steps.
 */
#include "base/utf8.h"
#include "contract/regex_reader.h"

enum {
    GROUP_CLOSED = 1 << 0,
    GROUP_REFERENCED = 1 << 1,
    GROUP_CONDITIONAL = 1 << 2, /* may be left out by what encloses it */
    GROUP_LOOKED = 1 << 3,      /* within a lookaround */
    GROUP_STALE = 1 << 4,       /* may hold what ECMA-262 would have forgotten */
};

struct name {
    size_t offset, len; /* in `names` */
    size_t at;          /* in the pattern */
    unsigned group;     /* 0: a reference that came before its group */
};

struct parser {
    struct regex_reader in;
    struct buf *out;
    size_t depth;
    bool captures; /* there are references, so groups must be counted */
    bool behind;   /* within a lookbehind */
    unsigned groups;
    uint8_t flags[REGEX_GROUPS_MAX + 1];
    unsigned highest; /* the highest group that a number referred to, and where */
    size_t highest_at;
    struct buf names;
    size_t name_count;
    struct name name[REGEX_GROUPS_MAX];
};

enum atom_kind {
    ATOM_SET, /* one code point */
    ATOM_START,
    ATOM_END,
    ATOM_ASSERTION,
    ATOM_OTHER,
};

struct atom {
    enum atom_kind kind;
    struct regex_set set;
    bool nullable; /* may match nothing */
};

/* Where a disjunction stands. */
enum place { PLACE_TOP, PLACE_GROUP, PLACE_BEHIND };

static bool parse_disjunction(struct parser *p, enum place place, bool *ret_nullable);
static bool parse_alternative(struct parser *p, enum place place, bool *ret_nullable);
static bool parse_term(struct parser *p, enum place place, bool *leading, bool *ret_nullable);
static bool parse_atom(struct parser *p, struct atom *ret);
static bool check_references(struct parser *p);

void regex_reader_fail(struct regex_reader *r, enum err_code code, size_t at, const char *reason)
{
    size_t character = utf8_length(str_make(r->text.ptr, at)) + 1;
    r->error = err_set(r->err, code, "read a pattern", "at character %zu: %s", character, reason);
}

static bool fail_limit(struct regex_reader *r, size_t at, const char *reason)
{
    regex_reader_fail(r, ERR_LIMIT, at, reason);
    return false;
}

/* References need groups that count; all others are cheaper without. */
static bool has_references(struct str text)
{
    for (size_t i = str_index(text, '\\', 0); i + 1 < text.len; i = str_index(text, '\\', i + 2)) {
        char c = text.ptr[i + 1];
        if (c == 'k' || (c >= '1' && c <= '9'))
            return true;
    }
    return false;
}

int regex_translate(struct str pattern, struct regex_translation *ret, struct err *err)
{
    struct parser p = {
        .in = { .text = pattern, .ret = ret, .err = err },
        .out = &ret->pcre2,
        .names = BUF_INIT,
    };
    bool nullable;
    if (pattern.len > REGEX_PATTERN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "read a pattern", "it is longer than %zu bytes",
                       REGEX_PATTERN_BYTES_MAX);
    if (!utf8_valid(pattern))
        return err_set(err, ERR_SCHEMA, "read a pattern", "it is not UTF-8");
    p.captures = ret->references = has_references(pattern);
    ret->steps.usable = true;
    ret->steps.step = ret->step_room;
    if (parse_disjunction(&p, PLACE_TOP, &nullable)) {
        if (more(&p.in))
            fail(&p.in, p.in.at, "\")\" closes nothing");
        else
            check_references(&p);
    }
    if (!p.in.error && (p.out->error || p.names.error))
        p.in.error = err_set_errno(err, ENOMEM, "read a pattern", "no room to rewrite it");
    buf_release(&p.names);
    return p.in.error;
}

static void mark_groups(struct parser *p, unsigned first, uint8_t flag)
{
    for (unsigned group = first; group <= p->groups; group++)
        p->flags[group] |= flag;
}

static bool parse_disjunction(struct parser *p, enum place place, bool *ret_nullable)
{
    unsigned first_group = p->groups + 1;
    bool any_nullable = false, nullable;
    if (++p->depth > REGEX_DEPTH_MAX)
        return fail_limit(&p->in, p->in.at, "too many groups within groups");
    if (!parse_alternative(p, place, &any_nullable))
        return false;
    while (accept(&p->in, '|')) {
        buf_add_char(p->out, '|');
        if (!parse_alternative(p, place, &nullable))
            return false;
        any_nullable = any_nullable || nullable;
        mark_groups(p, first_group, GROUP_CONDITIONAL);
        if (place == PLACE_TOP)
            p->in.ret->steps.usable = false;
    }
    p->depth--;
    *ret_nullable = any_nullable;
    return true;
}

static bool parse_alternative(struct parser *p, enum place place, bool *ret_nullable)
{
    bool leading = place != PLACE_GROUP, all_nullable = true, nullable;
    while (more(&p->in) && peek(&p->in, 0) != '|' && peek(&p->in, 0) != ')') {
        if (!parse_term(p, place, &leading, &nullable))
            return false;
        all_nullable = all_nullable && nullable;
    }
    *ret_nullable = all_nullable;
    return true;
}

/* --- terms: an atom and how often --- */

struct repeat {
    bool given;
    uint64_t min, max;
    bool lazy;
};

/* Digits, at least one; numbers that nothing could reach end up at the largest one. */
static bool parse_number(struct parser *p, uint64_t *ret)
{
    uint64_t number = 0;
    if (!is_digit(peek(&p->in, 0)))
        return false;
    for (; is_digit(peek(&p->in, 0)); p->in.at++) {
        uint64_t digit = (uint64_t)(peek(&p->in, 0) - '0');
        number = number > (REGEX_UNBOUNDED - 10) / 10 ? REGEX_UNBOUNDED - 1 : number * 10 + digit;
    }
    *ret = number;
    return true;
}

static bool parse_repeat(struct parser *p, struct repeat *ret)
{
    struct repeat repeat = { .given = true, .min = 0, .max = REGEX_UNBOUNDED };
    size_t at = p->in.at;
    if (accept(&p->in, '+')) {
        repeat.min = 1;
    } else if (accept(&p->in, '?')) {
        repeat.max = 1;
    } else if (accept(&p->in, '{')) {
        if (!parse_number(p, &repeat.min))
            return fail(&p->in, at,
                        "\"{\" starts no {n}, {n,} or {n,m}, and stands for itself only "
                        "as \"\\{\"");
        repeat.max = repeat.min;
        if (accept(&p->in, ',') && !parse_number(p, &repeat.max))
            repeat.max = REGEX_UNBOUNDED;
        if (!accept(&p->in, '}'))
            return fail(&p->in, at, "\"{\" is not closed");
        if (repeat.min > repeat.max)
            return fail(&p->in, at, "the numbers in {n,m} are out of order");
    } else if (!accept(&p->in, '*')) {
        *ret = (struct repeat){ .min = 1, .max = 1 };
        return true;
    }
    repeat.lazy = accept(&p->in, '?');
    *ret = repeat;
    return true;
}

static void add_repeat(struct parser *p, const struct repeat *repeat)
{
    if (repeat->min == 1 && repeat->max == 1)
        return;
    if (repeat->min > REGEX_REPEAT_MAX ||
        (repeat->max != REGEX_UNBOUNDED && repeat->max > REGEX_REPEAT_MAX))
        p->in.ret->unsupported = "a number in {n,m} is beyond 65535";
    if (repeat->max == REGEX_UNBOUNDED && repeat->min <= 1)
        buf_add_char(p->out, repeat->min ? '+' : '*');
    else if (repeat->min == 0 && repeat->max == 1)
        buf_add_char(p->out, '?');
    else if (repeat->max == REGEX_UNBOUNDED)
        buf_addf(p->out, "{%llu,}", (unsigned long long)repeat->min);
    else
        buf_addf(p->out, "{%llu,%llu}", (unsigned long long)repeat->min,
                 (unsigned long long)repeat->max);
    if (repeat->lazy)
        buf_add_char(p->out, '?');
}

/* What a repetition does to the groups of its atom. */
static void note_repeat(struct parser *p, unsigned first_group, const struct repeat *repeat,
                        bool nullable)
{
    for (unsigned group = first_group; group <= p->groups; group++) {
        uint8_t flags = p->flags[group];
        if ((repeat->max > 1 && (nullable || (flags & GROUP_CONDITIONAL))) ||
            (repeat->min == 0 && nullable && (flags & GROUP_LOOKED)))
            p->flags[group] |= GROUP_STALE;
        if (repeat->min == 0)
            p->flags[group] |= GROUP_CONDITIONAL;
    }
}

static void note_step(struct regex_steps *steps, const struct atom *atom,
                      const struct repeat *repeat)
{
    if (atom->kind == ATOM_START && !steps->count && !steps->to_end) {
        steps->from_start = true;
    } else if (atom->kind == ATOM_END) {
        steps->to_end = true;
    } else if (atom->kind != ATOM_SET || atom->set.beyond == BEYOND_MIXED || steps->to_end ||
               steps->count == REGEX_STEPS_MAX) {
        steps->usable = false;
    } else if (repeat->max > 0) {
        steps->step[steps->count++] =
            (struct regex_step){ .set = atom->set, .min = repeat->min, .max = repeat->max };
    }
}

/* Groups that are counted, and never set. */
static void add_unset_groups(struct parser *p, unsigned count)
{
    buf_add_text(p->out, "(?:(?!)");
    for (unsigned i = 0; i < count; i++)
        buf_add_text(p->out, "()");
    buf_add_text(p->out, "|)");
    p->in.ret->hides_start = true;
}

static bool parse_term(struct parser *p, enum place place, bool *leading, bool *ret_nullable)
{
    unsigned first_group = p->groups + 1;
    size_t out_start = p->out->len;
    struct atom atom = { 0 };
    if (!parse_atom(p, &atom))
        return false;
    bool is_assertion = atom.kind != ATOM_SET && atom.kind != ATOM_OTHER;
    size_t repeat_at = p->in.at;
    struct repeat repeat;
    if (!parse_repeat(p, &repeat))
        return false;
    if (repeat.given && is_assertion)
        return fail(&p->in, repeat_at, "an assertion cannot be repeated");
    note_repeat(p, first_group, &repeat, atom.nullable);
    bool counts = p->captures && p->groups >= first_group;
    if (*leading && !is_assertion && !counts)
        repeat.max = repeat.min;
    *leading = *leading && !is_assertion && repeat.max == 0;
    if (repeat.max == 0) {
        buf_truncate(p->out, out_start);
        if (counts)
            add_unset_groups(p, p->groups - first_group + 1);
    } else {
        add_repeat(p, &repeat);
    }
    if (place == PLACE_TOP)
        note_step(&p->in.ret->steps, &atom, &repeat);
    *ret_nullable = atom.nullable || repeat.min == 0;
    return true;
}

/* --- groups and references --- */

/* Reads a name up to ">" into `names`. Only where it ends is ">" not part of it. */
static bool parse_name(struct parser *p, struct name *ret)
{
    size_t at = p->in.at;
    struct name name = { .offset = p->names.len, .at = at };
    while (!accept(&p->in, '>')) {
        if (!more(&p->in))
            return fail(&p->in, at, "the name is not closed by \">\"");
        uint32_t c;
        if (accept(&p->in, '\\')) {
            if (!accept(&p->in, 'u'))
                return fail(&p->in, at, "a name holds no escape but \"\\u\"");
            if (!regex_read_unicode_escape(&p->in, &c))
                return false;
        } else {
            c = (uint32_t)utf8_next(p->in.text, &p->in.at);
        }
        if (c >= 0xD800 && c <= 0xDFFF)
            return fail(&p->in, at, "a name holds no lone surrogate");
        utf8_add(&p->names, c);
    }
    name.len = p->names.len - name.offset;
    if (!regex_is_identifier(str_make(p->names.data + name.offset, name.len)))
        return fail(&p->in, at, "this is no name: it must be an identifier");
    *ret = name;
    return true;
}

static struct str name_text(const struct parser *p, const struct name *name)
{
    return str_make(p->names.data + name->offset, name->len);
}

/* The group of that name, or 0. */
static unsigned find_group(const struct parser *p, struct str name)
{
    for (size_t i = 0; i < p->name_count; i++) {
        if (p->name[i].group && str_equal(name_text(p, &p->name[i]), name))
            return p->name[i].group;
    }
    return 0;
}

static bool keep_name(struct parser *p, struct name name, unsigned group)
{
    if (p->name_count == REGEX_GROUPS_MAX)
        return fail_limit(&p->in, name.at, "too many names");
    name.group = group;
    p->name[p->name_count++] = name;
    return true;
}

static void add_reference(struct parser *p, unsigned group)
{
    if (p->behind)
        p->in.ret->unsupported = "PCRE2 cannot match a reference within a lookbehind";
    if (group && group <= p->groups && (p->flags[group] & GROUP_CLOSED)) {
        p->flags[group] |= GROUP_REFERENCED;
        buf_addf(p->out, "\\g{%u}", group);
    } else {
        buf_add_text(p->out, "(?:)");
    }
}

/* At the "k" of "\k". */
static bool parse_named_reference(struct parser *p)
{
    struct name name;
    p->in.at++;
    if (!accept(&p->in, '<'))
        return fail(&p->in, p->in.at - 2, "\"\\k\" wants a name between \"<\" and \">\"");
    if (!parse_name(p, &name))
        return false;
    unsigned group = find_group(p, name_text(p, &name));
    if (!group && !keep_name(p, name, 0))
        return false;
    add_reference(p, group);
    return true;
}

/* At the first digit. */
static bool parse_numbered_reference(struct parser *p)
{
    size_t at = p->in.at - 1;
    uint64_t number = 0;
    if (!parse_number(p, &number))
        return false;
    unsigned group = number > REGEX_GROUPS_MAX ? REGEX_GROUPS_MAX + 1 : (unsigned)number;
    if (group > p->highest) {
        p->highest = group;
        p->highest_at = at;
    }
    add_reference(p, group);
    return true;
}

/* What only the whole pattern can tell. */
static bool check_references(struct parser *p)
{
    if (p->highest > p->groups)
        return fail(&p->in, p->highest_at, "there is no group of that number");
    for (size_t i = 0; i < p->name_count; i++) {
        if (!p->name[i].group && !find_group(p, name_text(p, &p->name[i])))
            return fail(&p->in, p->name[i].at, "there is no group of that name");
    }
    for (unsigned group = 1; group <= p->groups; group++) {
        uint8_t flags = p->flags[group];
        if ((flags & GROUP_REFERENCED) && (flags & GROUP_STALE))
            p->in.ret->unsupported =
                "a reference to a group within a repetition that may leave the group out means "
                "something else to PCRE2";
    }
    return true;
}

/* Opens a capturing group; behind its "(" or "(?<". */
static bool open_capture(struct parser *p, bool named, unsigned *ret_group)
{
    size_t at = p->in.at - 1;
    if (p->groups == REGEX_GROUPS_MAX)
        return fail_limit(&p->in, at, "too many groups");
    unsigned group = ++p->groups;
    struct name name;
    if (named) {
        if (!parse_name(p, &name))
            return false;
        if (find_group(p, name_text(p, &name)))
            return fail(&p->in, at, "two groups have the same name");
        if (!keep_name(p, name, group))
            return false;
    }
    buf_add_text(p->out, p->captures ? "(" : "(?:");
    *ret_group = group;
    return true;
}

/* Behind "(". */
static bool parse_group(struct parser *p, struct atom *ret)
{
    static const struct {
        struct str text;
        bool assertion, behind, negative;
    } openings[] = {
        { { "?:", 2 }, false, false, false }, { { "?=", 2 }, true, false, false },
        { { "?!", 2 }, true, false, true },   { { "?<=", 3 }, true, true, false },
        { { "?<!", 3 }, true, true, true },
    };
    size_t start = p->in.at - 1, opening = 0;
    unsigned first_group = p->groups + 1, group = 0;
    bool was_behind = p->behind, nullable;
    struct str rest = str_from_offset(p->in.text, p->in.at);
    while (opening < ARRAY_LEN(openings) && !str_starts(rest, openings[opening].text))
        opening++;
    bool capture = opening == ARRAY_LEN(openings);
    bool assertion = !capture && openings[opening].assertion;
    bool behind = !capture && openings[opening].behind;
    if (capture) {
        bool named = str_starts(rest, STR("?<"));
        if (!named && str_starts(rest, STR("?")))
            return fail(&p->in, start, "ECMA-262 knows no such group");
        p->in.at += named ? 2 : 0;
        if (!open_capture(p, named, &group))
            return false;
    } else {
        p->in.at += openings[opening].text.len;
        p->in.ret->utf = p->in.ret->utf || openings[opening].negative;
        buf_add_char(p->out, '(');
        buf_add_str(p->out, openings[opening].text);
    }
    p->behind = was_behind || behind;
    if (!parse_disjunction(p, behind ? PLACE_BEHIND : PLACE_GROUP, &nullable))
        return false;
    p->behind = was_behind;
    if (!accept(&p->in, ')'))
        return fail(&p->in, start, "\"(\" is not closed");
    buf_add_char(p->out, ')');
    p->flags[group] |= GROUP_CLOSED;
    if (assertion)
        mark_groups(p, first_group, GROUP_LOOKED);
    if (assertion || nullable)
        p->in.ret->hides_start = true;
    *ret = (struct atom){
        .kind = assertion ? ATOM_ASSERTION : ATOM_OTHER,
        .nullable = assertion || nullable,
    };
    return true;
}

/* --- atoms --- */

/* Behind "\\". */
static bool parse_escape(struct parser *p, struct atom *ret)
{
    char c = peek(&p->in, 0);
    if (c == 'b' || c == 'B') {
        p->in.at++;
        *ret = (struct atom){ .kind = ATOM_ASSERTION, .nullable = true };
        p->in.ret->utf = p->in.ret->utf || c == 'B';
        buf_addf(p->out, "\\%c", c);
        return true;
    }
    if (c == 'k' || (c >= '1' && c <= '9')) {
        *ret = (struct atom){ .kind = ATOM_OTHER, .nullable = true };
        return c == 'k' ? parse_named_reference(p) : parse_numbered_reference(p);
    }
    *ret = (struct atom){ .kind = ATOM_SET };
    return regex_read_escape(&p->in, &ret->set);
}

static bool parse_atom(struct parser *p, struct atom *ret)
{
    *ret = (struct atom){ .kind = ATOM_SET };
    switch (peek(&p->in, 0)) {
    case '^':
        p->in.at++;
        *ret = (struct atom){ .kind = ATOM_START, .nullable = true };
        buf_add_char(p->out, '^');
        return true;
    case '$':
        p->in.at++;
        *ret = (struct atom){ .kind = ATOM_END, .nullable = true };
        buf_add_text(p->out, "\\z");
        return true;
    case '.':
        regex_read_dot(&p->in, &ret->set);
        return true;
    case '[':
        p->in.at++;
        return regex_read_class(&p->in, &ret->set);
    case '(':
        p->in.at++;
        return parse_group(p, ret);
    case '\\':
        p->in.at++;
        return parse_escape(p, ret);
    case '*':
    case '+':
    case '?':
    case '{':
        return fail(&p->in, p->in.at, "there is nothing to repeat");
    case ']':
    case '}':
        return fail(&p->in, p->in.at,
                    "this bracket closes nothing, and stands for itself only escaped");
    default:
        regex_read_literal(&p->in, &ret->set);
        return true;
    }
}

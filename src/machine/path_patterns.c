/*
 * path_patterns: see the header.
 *
 * Theory of operation. A pattern and a path are walked by components, and a
 * pair of components by bytes, each in the same way: what a star stands for is
 * tried as nothing first and grows by one when what follows it does not match.
 * Only the last star that was met is ever tried again, which suffices, since
 * whatever an earlier one could have taken the last can take too. So a match
 * costs at most the product of the two lengths, whatever a pattern says.
 *
 * Nothing is allocated, and bytes are bytes: no locale is asked.
 */
#include "machine/path_patterns.h"

/* --- one component ------------------------------------------------------------------------- */

/* The byte that stands at a place of a pattern, a backslash taken off; moves on behind it. */
static unsigned char take_byte(struct str pattern, size_t *at)
{
    if (pattern.ptr[*at] == '\\' && *at + 1 < pattern.len)
        ++*at;
    return (unsigned char)pattern.ptr[(*at)++];
}

/*
 * Whether a byte is in the set that begins at `*at`, behind its bracket; moves on behind the
 * closing one. In a set that is not closed nothing is.
 */
static bool in_set(struct str pattern, size_t *at, unsigned char c)
{
    size_t i = *at;
    bool negated = i < pattern.len && (pattern.ptr[i] == '!' || pattern.ptr[i] == '^');
    bool found = false, first = true;
    i += negated;
    for (; i < pattern.len && (first || pattern.ptr[i] != ']'); first = false) {
        unsigned char low = take_byte(pattern, &i), high = low;
        if (i + 1 < pattern.len && pattern.ptr[i] == '-' && pattern.ptr[i + 1] != ']') {
            i++;
            high = take_byte(pattern, &i);
        }
        found = found || (c >= low && c <= high);
    }
    *at = i + 1;
    return i < pattern.len && found != negated;
}

/* Whether what stands at `*at`, and is no star, matches one byte; moves on behind it. */
static bool matches_byte(struct str pattern, size_t *at, unsigned char c)
{
    char what = pattern.ptr[*at];
    if (what != '?' && what != '[')
        return take_byte(pattern, at) == c;
    ++*at;
    return what == '?' || in_set(pattern, at, c);
}

static bool matches_name(struct str pattern, struct str name)
{
    size_t p = 0, n = 0, star = SIZE_MAX, taken = 0;
    while (n < name.len) {
        size_t next = p;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            taken = n;
        } else if (p < pattern.len && matches_byte(pattern, &next, (unsigned char)name.ptr[n])) {
            p = next;
            n++;
        } else if (star != SIZE_MAX) {
            p = star;
            n = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* --- a whole path -------------------------------------------------------------------------- */

/* The component that begins at a place. */
static struct str component(struct str path, size_t at)
{
    return str_make(path.ptr + at, str_index(path, '/', at) - at);
}

/* Where the component behind one begins; past the end there is none. */
static size_t behind(size_t at, struct str part)
{
    return at + part.len + 1;
}

/* From the root. A last `**` stands for one component or more, any other for none too. */
static bool matches_path(struct str pattern, struct str path)
{
    size_t p = 0, n = 0, star = SIZE_MAX, taken = 0;
    while (n < path.len) {
        struct str part = p < pattern.len ? component(pattern, p) : STR("");
        struct str name = component(path, n);
        if (p < pattern.len && str_equal(part, STR("**"))) {
            p = behind(p, part);
            if (p >= pattern.len)
                return true;
            star = p;
            taken = n;
        } else if (p < pattern.len && matches_name(part, name)) {
            p = behind(p, part);
            n = behind(n, name);
        } else if (star != SIZE_MAX) {
            p = star;
            n = taken = behind(taken, component(path, taken));
        } else {
            return false;
        }
    }
    return p >= pattern.len;
}

/* --- a pattern ----------------------------------------------------------------------------- */

struct pattern {
    struct str text; /* without the marks below */
    bool taken_back, directory, from_root;
};

/* False where a text says nothing. */
static bool read_pattern(const char *text, struct pattern *ret)
{
    struct str rest = str_from(text);
    if (!rest.len || rest.ptr[0] == '#')
        return false;
    *ret = (struct pattern){ .taken_back = rest.ptr[0] == '!' };
    if (ret->taken_back)
        rest = str_from_offset(rest, 1);
    while (rest.len && rest.ptr[rest.len - 1] == ' ' &&
           !(rest.len > 1 && rest.ptr[rest.len - 2] == '\\'))
        rest.len--;
    if (rest.len && rest.ptr[rest.len - 1] == '/') {
        ret->directory = true;
        rest.len--;
    }
    ret->from_root = str_index(rest, '/', 0) < rest.len;
    if (rest.len && rest.ptr[0] == '/')
        rest = str_from_offset(rest, 1);
    ret->text = rest;
    return rest.len > 0;
}

static struct str last_name(struct str path)
{
    size_t at = path.len;
    while (at && path.ptr[at - 1] != '/')
        at--;
    return str_from_offset(path, at);
}

enum pattern_verdict path_patterns_ask(const char *const *patterns, struct str path, bool directory)
{
    enum pattern_verdict verdict = PATTERN_SILENT;
    for (size_t i = 0; patterns && patterns[i]; i++) {
        struct pattern pattern;
        if (!read_pattern(patterns[i], &pattern) || (pattern.directory && !directory))
            continue;
        if (pattern.from_root ? matches_path(pattern.text, path)
                              : matches_name(pattern.text, last_name(path)))
            verdict = pattern.taken_back ? PATTERN_TAKEN_BACK : PATTERN_MATCHED;
    }
    return verdict;
}

struct str path_pattern_root_name(const char *text)
{
    struct pattern pattern;
    if (!read_pattern(text, &pattern) || pattern.taken_back)
        return STR("");
    for (size_t i = 0; i < pattern.text.len; i++)
        if (strchr("*?[\\/", pattern.text.ptr[i]))
            return STR("");
    bool is_dots = str_equal(pattern.text, STR(".")) || str_equal(pattern.text, STR(".."));
    return is_dots ? STR("") : pattern.text;
}

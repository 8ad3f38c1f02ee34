/*
 * yaml_text: see the header.
 *
 * Theory of operation. Two passes. The first looks at the bytes: UTF-8, no
 * control characters, no runs on which the parser's work would grow with their
 * square. The second looks at the lines: directives and document markers stand
 * at the start of a line and nowhere else, so that they can be told without
 * knowing what else the text says. The parser is given what lies between them.
 *
 * Invariants of what yaml_text_check accepts:
 *   1. The document is at most YAML_SIZE_MAX bytes of valid UTF-8 without
 *      control characters other than tab and line breaks; it starts with no
 *      byte order mark.
 *   2. No line of it starts with a per cent sign, so that the parser finds no
 *      directive; no line starts with "..."; at most one starts with "---", and
 *      only blank lines and comments stand before that.
 *   3. It has more than blank lines and comments, or a "---".
 *   4. No more than YAML_BLANKS_MAX blanks follow one another, and no word that
 *      may be a tag has more than YAML_TAG_ESCAPES_MAX per cent signs: libfyaml
 *      counts both from their start for each of them. Nor does the document end
 *      in a backslash, behind which libfyaml looks without looking whether
 *      there is anything.
 *   5. Where there is an explicit key ("? "), no tab stands between a colon and
 *      another indicator: libfyaml refuses that, having freed a key twice.
 *
 * Seen in libfyaml 0.7.12 and kept from it by these: no end to a directive of
 * invalid UTF-8, stack taken for the length of a version directive, a crash on
 * "? a:<tab>:<tab>". Later versions mend some.
 */
#include "contract/yaml_text.h"

#include "base/json.h"
#include "base/utf8.h"

#define SHOWN_BYTES 40 /* of a directive, in a message */

#define BYTE_ORDER_MARK STR("\xef\xbb\xbf")

static inline bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int yaml_refuse(struct str body, size_t offset, enum err_code code, struct err *err,
                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = err_setv(err, code, YAML_STEP, format, arguments);
    va_end(arguments);
    struct json_position at = json_position(body, offset);
    err_where(err, "%zu:%zu", at.line, at.column);
    return r;
}

struct str yaml_text_body(struct str text)
{
    return str_starts(text, BYTE_ORDER_MARK) ? str_from_offset(text, BYTE_ORDER_MARK.len) : text;
}

size_t yaml_text_skip(struct str body, size_t from, const char *also)
{
    for (size_t at = from; at < body.len; at++) {
        char c = body.ptr[at];
        if (c == '#' && (at == 0 || is_blank(body.ptr[at - 1]) || is_break(body.ptr[at - 1]))) {
            while (at + 1 < body.len && !is_break(body.ptr[at + 1]))
                at++;
        } else if (!is_blank(c) && !is_break(c) && !strchr(also, c)) {
            return at;
        }
    }
    return body.len;
}

/* --- bytes ---------------------------------------------------------------- */

static int refuse_utf8(struct str body, struct err *err)
{
    size_t at = 0;
    while (utf8_next(body, &at) >= 0)
        ;
    return yaml_refuse(body, at, ERR_SYNTAX, err,
                       "the byte 0x%02x is no UTF-8; save the text as UTF-8",
                       (unsigned char)body.ptr[at]);
}

/* Whether a word that stands behind this byte may be more to YAML than text. */
static bool may_precede_token(struct str body, size_t at)
{
    return at == 0 || is_blank(body.ptr[at - 1]) || is_break(body.ptr[at - 1]) ||
           strchr("[]{},:\"'", body.ptr[at - 1]);
}

static bool is_explicit_key(struct str body, size_t at)
{
    char next = at + 1 < body.len ? body.ptr[at + 1] : '\n';
    return body.ptr[at] == '?' && (is_blank(next) || is_break(next)) && may_precede_token(body, at);
}

/* Whether an indicator stands at `at`, and before it a tab, and a colon before that. */
static bool is_indented_by_tab(struct str body, size_t at)
{
    bool has_tab = false;
    if (!strchr("?:|>-", body.ptr[at]))
        return false;
    while (at > 0 && is_blank(body.ptr[at - 1]))
        has_tab |= body.ptr[--at] == '\t';
    return has_tab && at > 0 && body.ptr[at - 1] == ':';
}

static int check_bytes(struct str body, struct err *err)
{
    size_t blanks = 0; /* so far in this run */
    size_t escapes = 0;
    bool in_tag = false, has_explicit_key = false;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];
        if (is_blank(c) || is_break(c)) {
            in_tag = false;
            if (++blanks > YAML_BLANKS_MAX)
                return yaml_refuse(body, i, ERR_LIMIT, err,
                                   "more than %d spaces, tabs and line breaks follow one another",
                                   YAML_BLANKS_MAX);
            continue;
        }
        if ((unsigned char)c < ' ')
            return yaml_refuse(body, i, ERR_SYNTAX, err,
                               "found the control character 0x%02x; in double quotes it is "
                               "written \\x%02x",
                               c, c);
        has_explicit_key = has_explicit_key || is_explicit_key(body, i);
        if (has_explicit_key && blanks && is_indented_by_tab(body, i))
            return yaml_refuse(body, i - 1, ERR_SYNTAX, err,
                               "found a tab between indicators of YAML; write spaces");
        if (c == '!' && !in_tag && may_precede_token(body, i)) {
            in_tag = true;
            escapes = 0;
        }
        if (c == '%' && in_tag && ++escapes > YAML_TAG_ESCAPES_MAX)
            return yaml_refuse(body, i, ERR_LIMIT, err,
                               "a word that starts with '!' has more than %d per cent signs",
                               YAML_TAG_ESCAPES_MAX);
        blanks = 0;
    }
    return 0;
}

/* --- lines ---------------------------------------------------------------- */

enum place { PLACE_BEFORE, PLACE_INSIDE, PLACE_BEHIND };

struct finder {
    struct str body;
    struct err *err;
    enum place place;
    bool has_directive;
    size_t start, end; /* of the document */
};

static bool is_marker(struct str line, struct str marker)
{
    return str_starts(line, marker) && (line.len == marker.len || is_blank(line.ptr[marker.len]));
}

static bool is_empty(struct str line)
{
    return yaml_text_skip(line, 0, "") == line.len;
}

/* "%YAML 1." and digits, and nothing behind it but a comment. */
static bool is_version(struct str line)
{
    struct str name = STR("%YAML");
    size_t at = name.len;
    if (!str_starts(line, name) || at == line.len || !is_blank(line.ptr[at]))
        return false;
    while (at < line.len && is_blank(line.ptr[at]))
        at++;
    struct str version = str_from_offset(line, at);
    size_t digits = 2;
    if (!str_starts(version, STR("1.")))
        return false;
    while (digits < version.len && version.ptr[digits] >= '0' && version.ptr[digits] <= '9')
        digits++;
    struct str rest = str_from_offset(version, digits);
    return digits > 2 && (rest.len == 0 || (is_blank(rest.ptr[0]) && is_empty(rest)));
}

static int take_directive(struct finder *finder, size_t at, struct str line)
{
    if (finder->place == PLACE_INSIDE)
        return yaml_refuse(finder->body, at, ERR_SYNTAX, finder->err,
                           "a line that starts with '%%' is a directive, which stands before the "
                           "document; indent the line");
    if (finder->place == PLACE_BEFORE && !finder->has_directive && is_version(line)) {
        finder->has_directive = true;
        return 0;
    }
    struct str shown = line;
    if (shown.len > SHOWN_BYTES)
        shown.len = SHOWN_BYTES;
    return yaml_refuse(finder->body, at, ERR_SYNTAX, finder->err,
                       "the directive \"%.*s\" is not accepted; there may be one, and it is "
                       "\"%%YAML 1.2\"",
                       STR_ARG(shown));
}

static int refuse_second(const struct finder *finder, size_t at)
{
    return yaml_refuse(finder->body, at, ERR_SYNTAX, finder->err,
                       "a second document starts here; one text holds one document");
}

static int take_end(struct finder *finder, size_t at, struct str line)
{
    if (finder->place == PLACE_BEFORE)
        return yaml_refuse(finder->body, at, ERR_SYNTAX, finder->err,
                           "expected a document before the line \"...\" that ends it");
    if (finder->place == PLACE_INSIDE)
        finder->end = at;
    finder->place = PLACE_BEHIND;
    return is_empty(str_from_offset(line, 3)) ? 0 : refuse_second(finder, at);
}

static int take_line(struct finder *finder, size_t at, struct str line, size_t next)
{
    if (line.len && line.ptr[0] == '%') {
        int r = take_directive(finder, at, line);
        finder->start = next;
        return r;
    }
    if (is_marker(line, STR("...")))
        return take_end(finder, at, line);
    bool starts = is_marker(line, STR("---"));
    if (!starts && is_empty(line))
        return 0;
    if (finder->place == PLACE_BEHIND || (starts && finder->place == PLACE_INSIDE))
        return refuse_second(finder, at);
    if (finder->place == PLACE_BEFORE && !starts && finder->has_directive)
        return yaml_refuse(finder->body, at, ERR_SYNTAX, finder->err,
                           "expected a line \"---\" between the directive and the document");
    finder->place = PLACE_INSIDE;
    return 0;
}

static int find_document(struct finder *finder)
{
    struct str body = finder->body;
    size_t next;
    for (size_t at = 0; at < body.len; at = next) {
        size_t end = at;
        while (end < body.len && !is_break(body.ptr[end]))
            end++;
        next = end;
        if (next < body.len)
            next +=
                body.ptr[end] == '\r' && end + 1 < body.len && body.ptr[end + 1] == '\n' ? 2 : 1;
        int r = take_line(finder, at, str_make(body.ptr + at, end - at), next);
        if (r < 0)
            return r;
    }
    if (finder->place == PLACE_BEFORE)
        return yaml_refuse(body, body.len, ERR_SYNTAX, finder->err,
                           "the text is empty, expected a document");
    return 0;
}

int yaml_text_check(struct str body, struct str *ret_document, struct err *err)
{
    struct finder finder = { .body = body, .err = err, .end = body.len };
    if (body.len > YAML_SIZE_MAX)
        return err_set(err, ERR_LIMIT, YAML_STEP,
                       "the text has %zu bytes; the limit is %zu for YAML, and higher for JSON",
                       body.len, YAML_SIZE_MAX);
    if (!utf8_valid(body))
        return refuse_utf8(body, err);
    if (str_starts(body, BYTE_ORDER_MARK))
        return yaml_refuse(body, 0, ERR_SYNTAX, err, "the text has two byte order marks");
    int r = check_bytes(body, err);
    if (r == 0)
        r = find_document(&finder);
    if (r < 0)
        return r;
    struct str document = str_make(body.ptr + finder.start, finder.end - finder.start);
    if (str_ends(document, STR("\\")))
        return yaml_refuse(body, finder.end - 1, ERR_SYNTAX, err,
                           "the text ends in a backslash; end its last line with a line break");
    *ret_document = document;
    return 0;
}

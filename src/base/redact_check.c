/*
 * redact_check: entropy floors, checksums, and what is no secret though it stands like one.
 *
 * Theory of operation. A pattern finds a shape. Where the shape is weak (any
 * value behind a name such as `password`), its rule asks more of the bytes
 * found. Whatever a check sees is in the head that the pattern matched and the
 * few bytes before it, so that it holds or fails however a text is cut.
 *
 * A password may be anything; what stands in the place of one is told by what
 * it looks like: the name of a type, a phrase for people, another name, a
 * path. A token is random: letters and digits, and more entropy than words
 * have. Unquoted values need more than quoted ones, because in programs they
 * are names; behind NAME= in capitals, as in an environment, they need less.
 *
 * A checksum that holds makes a token certain, also one without any digit; one
 * that does not hold makes it no harmless text: formats change, and a token
 * may be cut. So what is not all small letters is masked in doubt.
 */
#include "base/redact_check.h"

#include <strings.h>

#define CRC_BODY_BYTES     30
#define CRC_DIGITS         6
#define RANDOM_BYTES_LEAST 10
#define RANDOM_BARE_LEAST  16
#define RANDOM_BARE_DIGITS 3
#define ENTROPY_FLOOR      275 /* hundredths of a bit for each byte */
#define ENTROPY_FLOOR_LONG 300
#define ENTROPY_LONG_BYTES 20
#define WORD_MIXED_MAX     6
#define LOG2_STEPS         8 /* bits of a logarithm's fraction */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z');
}

/* The logarithm of a number to base 2, times 256. */
static unsigned log2_of(unsigned number)
{
    unsigned whole = 31u - (unsigned)__builtin_clz(number);
    unsigned result = whole << LOG2_STEPS;
    uint64_t rest = ((uint64_t)number << 30) >> whole; /* 1 to 2, times 2^30 */
    for (unsigned step = LOG2_STEPS; step-- > 0;) {
        rest = rest * rest >> 30;
        if (rest >= (uint64_t)1 << 31) {
            result |= 1u << step;
            rest >>= 1;
        }
    }
    return result;
}

unsigned redact_entropy(struct str bytes)
{
    unsigned counts[256] = { 0 };
    uint64_t sum = 0;
    if (!bytes.len)
        return 0;
    for (size_t i = 0; i < bytes.len; i++)
        counts[(unsigned char)bytes.ptr[i]]++;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        sum += counts[i] ? (uint64_t)counts[i] * log2_of(counts[i]) : 0;
    uint64_t all = (uint64_t)log2_of((unsigned)bytes.len) * bytes.len;
    return (unsigned)((all - sum) * 100 / bytes.len >> LOG2_STEPS);
}

static uint32_t crc32_of(struct str bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

bool redact_crc_holds(struct str token)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (token.len < CRC_BODY_BYTES + CRC_DIGITS)
        return false;
    struct str tail = str_from_offset(token, token.len - CRC_DIGITS - CRC_BODY_BYTES);
    uint64_t sum = 0;
    for (size_t i = CRC_BODY_BYTES; i < tail.len; i++) {
        const char *digit = strchr(digits, tail.ptr[i]);
        if (!digit || !*digit)
            return false;
        sum = sum * 62 + (uint64_t)(digit - digits);
    }
    return sum == crc32_of(str_make(tail.ptr, CRC_BODY_BYTES));
}

/* What stands in a text, by classes of its bytes. */
struct traits {
    size_t digits, letters, blanks, marks; /* marks: what is none of the others, "_", "-", "." */
    size_t joints;                         /* "_", "-", "." */
    bool has_lower, has_upper, has_inner_upper;
};

static struct traits traits_of(struct str s)
{
    struct traits t = { 0 };
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        t.digits += is_digit(c);
        t.letters += is_letter(c);
        t.blanks += c == ' ' || c == '\t';
        t.joints += c == '_' || c == '-' || c == '.';
        t.has_lower = t.has_lower || (c >= 'a' && c <= 'z');
        t.has_upper = t.has_upper || is_upper(c);
        t.has_inner_upper = t.has_inner_upper || (i > 0 && is_upper(c));
    }
    t.marks = s.len - t.digits - t.letters - t.blanks - t.joints;
    return t;
}

static bool is_any_word(struct str s)
{
    static const char *const words[] = {
        "any",      "bool",     "boolean",  "bytes",    "char",     "credentials", "default",
        "disabled", "empty",    "fail",     "enabled",  "false",    "float",       "hidden",
        "input",    "int",      "integer",  "missing",  "nil",      "none",        "null",
        "number",   "object",   "optional", "passwd",   "password", "private",     "public",
        "readonly", "redacted", "removed",  "required", "secret",   "self",        "static",
        "str",      "string",   "text",     "this",     "token",    "true",        "undefined",
        "unknown",  "unset",    "username", "varchar",  "void",
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (s.len == strlen(words[i]) && strncasecmp(s.ptr, words[i], s.len) == 0)
            return true;
    return false;
}

static bool contains(struct str s, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= s.len; i++)
        if (strncasecmp(s.ptr + i, word, len) == 0)
            return true;
    return false;
}

/* Whether it names what it stands for: your-password-here, userPassword, MY_SECRET. */
static bool is_name_of_itself(struct str s, const struct traits *t)
{
    static const char *const words[] = { "password", "passwd", "secret",  "token", "credential",
                                         "api_key",  "apikey", "api-key", "your",  "pass" };
    bool joined = t->joints || t->has_inner_upper;
    if (t->digits || t->marks || t->blanks || !joined)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (contains(s, words[i]))
            return true;
    return false;
}

/* Whether it leads to something: a path, a URL, a reference, a digest. */
static bool leads_elsewhere(struct str s)
{
    static const char *const beginnings[] = { "/",     "./",    "../",     "~/",
                                              "urn:",  "env:",  "sha256:", "sha512-",
                                              "sha1-", "<",     ":",       "@",
                                              "[",     "file:", "vault:",  "sha384-" };
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (str_starts(s, str_from(beginnings[i])))
            return true;
    return contains(s, "://");
}

/* Whether it reads as a program's expression: name.name, or the first part of one has no digit. */
static bool is_dotted_name(struct str s)
{
    size_t dot = str_index(s, '.', 0);
    if (dot == 0 || dot + 1 >= s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (i < dot ? !(is_letter(c) || c == '_')
                    : !(is_letter(c) || is_digit(c) || strchr("_.", c)))
            return false;
    }
    return true;
}

/* Whether every part between "_", "-" and "." is all letters, all digits, or short: cl100k_base. */
static bool is_made_of_words(struct str s)
{
    size_t letters = 0, digits = 0, parts = 0;
    for (size_t i = 0; i <= s.len; i++) {
        char c = i < s.len ? s.ptr[i] : '_';
        if (is_letter(c)) {
            letters++;
        } else if (is_digit(c)) {
            digits++;
        } else if (c == '_' || c == '-' || c == '.') {
            if (letters && digits && letters + digits > WORD_MIXED_MAX)
                return false;
            parts++;
            letters = digits = 0;
        } else {
            return false;
        }
    }
    return parts > 1;
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* NAME=value, as environments have it. */
static bool is_of_environment(struct str s)
{
    const char *before = s.ptr - 1;
    before -= is_quote(*before);
    return *before == '=' && (is_upper(before[-1]) || is_digit(before[-1]) || before[-1] == '_');
}

static bool is_password(struct str s)
{
    struct traits t = traits_of(s);
    bool bare = !is_quote(s.ptr[-1]) && s.ptr[-1] != '>';
    if (is_any_word(s) || is_name_of_itself(s, &t) || leads_elsewhere(s))
        return false;
    if (t.blanks && !t.digits) /* words for people */
        return false;
    if (!bare || is_of_environment(s))
        return true;
    return (t.digits || t.marks) && !is_dotted_name(s) && t.digits != s.len;
}

static bool is_random(struct str s)
{
    struct traits t = traits_of(s);
    bool bare = !is_quote(s.ptr[-1]) && s.ptr[-1] != '>' && !is_of_environment(s);
    bool is_base64 = t.has_lower && t.has_upper && t.marks;
    unsigned floor = s.len < ENTROPY_LONG_BYTES ? ENTROPY_FLOOR : ENTROPY_FLOOR_LONG;
    if (s.len < (bare ? RANDOM_BARE_LEAST : RANDOM_BYTES_LEAST) || t.blanks || !t.letters)
        return false;
    size_t least = s.len < ENTROPY_LONG_BYTES ? RANDOM_BARE_DIGITS : 1;
    if (bare ? t.digits < least : !t.digits && !is_base64)
        return false;
    if (leads_elsewhere(s) || is_made_of_words(s) || is_dotted_name(s))
        return false;
    return redact_entropy(s) >= floor;
}

/* Whether the body of a token is none of words joined: npm_configregistryof… is. */
static bool is_unlike_a_name(struct str body)
{
    struct traits t = traits_of(body);
    return t.digits || (t.has_lower && t.has_upper);
}

bool redact_check_holds(enum redact_check check, struct str secret)
{
    switch (check) {
    case CHECK_NONE:
        return true;
    case CHECK_CRC:
        return redact_crc_holds(secret) || is_unlike_a_name(str_from_offset(secret, 4));
    case CHECK_PASSWORD:
        return is_password(secret);
    case CHECK_RANDOM:
        return is_random(secret);
    }
    return true;
}

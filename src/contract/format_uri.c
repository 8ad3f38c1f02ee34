/* format_uri: what uri_parse decides, and the templates of RFC 6570. */
#include "base/utf8.h"
#include "contract/format_internal.h"
#include "contract/uri.h"

static bool is_absolute(struct str value, enum uri_alphabet alphabet)
{
    struct uri uri;
    return uri_parse(value, alphabet, &uri) && uri.has_scheme;
}

int format_uri(struct str value, struct err *err)
{
    (void)err;
    return is_absolute(value, URI_ASCII);
}

int format_iri(struct str value, struct err *err)
{
    (void)err;
    return is_absolute(value, URI_INTERNATIONAL);
}

int format_uri_reference(struct str value, struct err *err)
{
    struct uri uri;
    (void)err;
    return uri_parse(value, URI_ASCII, &uri);
}

int format_iri_reference(struct str value, struct err *err)
{
    struct uri uri;
    (void)err;
    return uri_parse(value, URI_INTERNATIONAL, &uri);
}

static bool accept(struct str text, size_t *at, char c)
{
    bool is_next = *at < text.len && text.ptr[*at] == c;
    *at += is_next;
    return is_next;
}

static bool accept_percent(struct str text, size_t *at)
{
    bool is_next = text.len - *at >= 3 && text.ptr[*at] == '%' && is_hex(text.ptr[*at + 1]) &&
                   is_hex(text.ptr[*at + 2]);
    *at += is_next ? 3 : 0;
    return is_next;
}

/* Behind ":": a number from 1 to 9999. */
static bool parse_prefix_length(struct str text, size_t *at)
{
    size_t start = *at;
    while (*at < text.len && is_digit(text.ptr[*at]))
        ++*at;
    return *at - start >= 1 && *at - start <= 4 && text.ptr[start] != '0';
}

static bool parse_varspec(struct str text, size_t *at)
{
    size_t start = *at;
    do {
        size_t part = *at;
        while (accept_percent(text, at) ||
               (*at < text.len &&
                (is_letter(text.ptr[*at]) || is_digit(text.ptr[*at]) || text.ptr[*at] == '_') &&
                accept(text, at, text.ptr[*at])))
            continue;
        if (*at == part)
            return false;
    } while (accept(text, at, '.'));
    if (accept(text, at, ':'))
        return parse_prefix_length(text, at);
    accept(text, at, '*');
    return *at > start;
}

/* Behind "{", up to and with "}". */
static bool parse_expression(struct str text, size_t *at)
{
    if (*at < text.len && text.ptr[*at] && strchr("+#./;?&=,!@|", text.ptr[*at]))
        ++*at;
    do {
        if (!parse_varspec(text, at))
            return false;
    } while (accept(text, at, ','));
    return accept(text, at, '}');
}

/* The apostrophe, which the grammar of RFC 6570 forgets, is a literal. */
static bool parse_literal(struct str text, size_t *at)
{
    unsigned char c = (unsigned char)text.ptr[*at];
    if (c >= 0x80)
        return uri_is_international(utf8_next(text, at), true);
    if (c == '%')
        return accept_percent(text, at);
    ++*at;
    return c > ' ' && c < 0x7F && !strchr("\"<>\\^`{|}", c);
}

int format_uri_template(struct str value, struct err *err)
{
    (void)err;
    for (size_t at = 0; at < value.len;) {
        if (accept(value, &at, '{') ? !parse_expression(value, &at) : !parse_literal(value, &at))
            return 0;
    }
    return 1;
}

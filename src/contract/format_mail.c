/*
 * format_mail: addresses by RFC 5321 section 4.1.2, and RFC 6531's beyond ASCII.
 *
 * The local part ends at the first "@" that is not quoted; what follows is a
 * domain or an address in brackets. An address that only general-address-literal
 * would allow is refused: no tag but "IPv6" has ever been registered.
 */
#include "contract/format_internal.h"

#define LOCAL_BYTES_MAX 64 /* RFC 5321 section 4.5.3.1.1 */

static bool is_atext(char c, bool international)
{
    return is_letter(c) || is_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ||
           (international && (unsigned char)c >= 0x80);
}

/* Words of atext between dots; where they end. 0 where there are none. */
static size_t dot_string_end(struct str text, bool international)
{
    size_t i = 0;
    for (;;) {
        size_t start = i;
        while (i < text.len && is_atext(text.ptr[i], international))
            i++;
        if (i == start)
            return 0;
        if (i == text.len || text.ptr[i] != '.')
            return i;
        i++;
    }
}

/* Where the quoted string that the text starts with ends; 0 where it does not. */
static size_t quoted_string_end(struct str text, bool international)
{
    bool escaped = false;
    for (size_t i = 1; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool graphic = c >= ' ' && c <= '~';
        if (!graphic && !(international && c >= 0x80 && !escaped))
            return 0;
        if (c == '"' && !escaped)
            return i + 1;
        escaped = c == '\\' && !escaped;
    }
    return 0;
}

static int check_domain(struct str domain, bool international, struct err *err)
{
    if (domain.len >= 2 && domain.ptr[0] == '[' && domain.ptr[domain.len - 1] == ']') {
        struct str literal = str_make(domain.ptr + 1, domain.len - 2);
        if (str_starts(literal, STR("IPv6:")))
            return format_ipv6(str_from_offset(literal, strlen("IPv6:")), err);
        return format_ipv4(literal, err);
    }
    return international ? format_loose_idn_hostname(domain, err) : format_is_ldh_name(domain);
}

static int check_mailbox(struct str value, bool international, struct err *err)
{
    bool quoted = value.len && value.ptr[0] == '"';
    size_t end =
        quoted ? quoted_string_end(value, international) : dot_string_end(value, international);
    if (!end || end > LOCAL_BYTES_MAX || end == value.len || value.ptr[end] != '@')
        return 0;
    return check_domain(str_from_offset(value, end + 1), international, err);
}

int format_email(struct str value, struct err *err)
{
    return check_mailbox(value, false, err);
}

int format_idn_email(struct str value, struct err *err)
{
    return check_mailbox(value, true, err);
}

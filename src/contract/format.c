/*
 * format: one table of names and checks, and the formats that belong to no family.
 *
 * A check is a pure function of the text; only host names beyond ASCII need
 * a library, which is loaded when the first of them is met and without which
 * such a name cannot be decided.
 */
#include "contract/format.h"

#include "contract/format_internal.h"
#include "contract/regex.h"

struct format {
    const char *name;
    format_checker *check;
};

static const struct format formats[] = {
    { "date-time", format_date_time },
    { "date", format_date },
    { "time", format_time },
    { "duration", format_duration },
    { "email", format_email },
    { "idn-email", format_idn_email },
    { "hostname", format_hostname },
    { "idn-hostname", format_idn_hostname },
    { "ipv4", format_ipv4 },
    { "ipv6", format_ipv6 },
    { "uri", format_uri },
    { "uri-reference", format_uri_reference },
    { "iri", format_iri },
    { "iri-reference", format_iri_reference },
    { "uuid", format_uuid },
    { "uri-template", format_uri_template },
    { "json-pointer", format_json_pointer },
    { "relative-json-pointer", format_relative_json_pointer },
    { "regex", format_regex },
};

const struct format *format_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (str_equal(name, str_from(formats[i].name)))
            return &formats[i];
    }
    return NULL;
}

const char *format_name(const struct format *format)
{
    return format->name;
}

int format_check(const struct format *format, struct str value, struct err *err)
{
    return format->check(value, err);
}

/* RFC 9562 section 4: the shape alone, whatever version and variant it claims. */
int format_uuid(struct str value, struct err *err)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    (void)err;
    if (value.len != sizeof(shape) - 1)
        return 0;
    for (size_t i = 0; i < value.len; i++) {
        if (shape[i] == '-' ? value.ptr[i] != '-' : !is_hex(value.ptr[i]))
            return 0;
    }
    return 1;
}

/* RFC 6901 */
int format_json_pointer(struct str value, struct err *err)
{
    (void)err;
    if (value.len && value.ptr[0] != '/')
        return 0;
    for (size_t i = str_index(value, '~', 0); i < value.len; i = str_index(value, '~', i + 1)) {
        if (i + 1 == value.len || (value.ptr[i + 1] != '0' && value.ptr[i + 1] != '1'))
            return 0;
    }
    return 1;
}

/* draft-bhutton-relative-json-pointer-00: how far up, then a pointer or "#". */
int format_relative_json_pointer(struct str value, struct err *err)
{
    size_t digits = 0;
    while (digits < value.len && is_digit(value.ptr[digits]))
        digits++;
    if (!digits || (digits > 1 && value.ptr[0] == '0'))
        return 0;
    struct str rest = str_from_offset(value, digits);
    return str_equal(rest, STR("#")) ? 1 : format_json_pointer(rest, err);
}

int format_regex(struct str value, struct err *err)
{
    return regex_valid(value, err);
}

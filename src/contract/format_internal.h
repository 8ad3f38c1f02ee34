/*
 * format_internal: the checks behind the table of format.c, by family.
 *
 * Each returns what format_check returns. The value is UTF-8 and may hold NUL
 * bytes.
 */
#ifndef AM_CONTRACT_FORMAT_INTERNAL_H
#define AM_CONTRACT_FORMAT_INTERNAL_H

#include "contract/format.h"

typedef int format_checker(struct str value, struct err *err);

/* format_time.c */
format_checker format_date, format_time, format_date_time, format_duration;
/* format_host.c */
format_checker format_ipv4, format_ipv6, format_hostname, format_idn_hostname;
/* format_mail.c */
format_checker format_email, format_idn_email;
/* format_uri.c */
format_checker format_uri, format_uri_reference, format_iri, format_iri_reference,
    format_uri_template;
/* format.c */
format_checker format_uuid, format_json_pointer, format_relative_json_pointer, format_regex;

/* format_host.c: labels of letters, digits and hyphens, within the lengths of DNS. */
bool format_is_ldh_name(struct str name);
/* format_host.c: as format_idn_hostname, but brought into NFC first. */
int format_loose_idn_hostname(struct str name, struct err *err);

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

#endif

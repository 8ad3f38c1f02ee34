/*
 * destination: what a document names at the other end of a connection, and what that covers.
 *
 * A destination is a host name alone ("example.com"), the names at any depth
 * below one ("*.example.com"), both (".example.com"), an address in whatever
 * spelling, a CIDR range, or everything ("*"). Names are compared as A-labels,
 * in lower case and without the dot at the end; IPv4-mapped IPv6 is IPv4.
 */
#ifndef AM_CONTRACT_DESTINATION_H
#define AM_CONTRACT_DESTINATION_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define HOST_NAME_BYTES_MAX 253

/* A host name as names are compared, NUL-terminated. */
struct host_name {
    char text[HOST_NAME_BYTES_MAX + 1];
};

/* 1; 0 where the text is no host name; ERR_UNSUPPORTED (no libidn2) or ERR_MEMORY. */
int host_name_read(struct str text, struct host_name *ret, struct err *err) MUST_CHECK;
/* Whether anyone may register names below a name. 1, 0, or ERR_UNSUPPORTED (no libpsl). */
int host_name_is_public_suffix(const struct host_name *name, struct err *err) MUST_CHECK;

struct address_range {
    bool is_ipv6;
    bool has_host_bits; /* the text had bits set beyond the prefix */
    unsigned prefix_bits;
    unsigned char address[16]; /* the first of the range; of IPv4 the first four bytes */
};

/* An address, with or without a prefix length; IPv4 in four decimal parts. */
bool address_range_read(struct str text, struct address_range *ret);
/* An IPv4 address in one to four parts, each decimal, octal or hexadecimal. */
bool address_read_odd(const struct host_name *name, struct address_range *ret);
#define ADDRESS_RANGE_TEXT_SIZE 64
void address_range_text(const struct address_range *range, char ret_text[ADDRESS_RANGE_TEXT_SIZE]);

enum destination_form {
    DESTINATION_ITSELF,
    DESTINATION_BELOW,
    DESTINATION_ITSELF_AND_BELOW, /* of ranges, and of everything */
};
#define DESTINATION_FORM_COUNT (DESTINATION_ITSELF_AND_BELOW + 1)

/* Takes "*." or "." off a host pattern, so that its name is left. */
enum destination_form destination_form_take(struct str *pattern);

/*
 * The path leads down to a destination: the labels of a name from last to
 * first with a dot behind each ("com.example."), or "/4" or "/6" and a digit
 * for each bit of a prefix, or nothing. What lies below begins with it.
 */
#define DESTINATION_PATH_SIZE (HOST_NAME_BYTES_MAX + 1)
struct destination {
    enum destination_form form;
    struct str path;
};

/* 1, with the path in `path`; 0 where the text is no destination; or an error of host_name_read. */
int destination_read(struct str text, char path[DESTINATION_PATH_SIZE], struct destination *ret,
                     struct err *err) MUST_CHECK;
/* Whether everything that `narrow` names is also named by `wide`. */
bool destination_covers(const struct destination *wide, const struct destination *narrow);
/* Shortens the path by a label or a bit; false, and as it was, where it has but one or none. */
bool destination_climb(struct destination *destination);
/* Whether it is no other machine than this: localhost, 127.0.0.0/8, ::1. */
bool destination_is_loopback(const struct destination *destination);
/* Whether a text is an http or https URL with such a host. 1, 0, or an error of host_name_read. */
int url_is_loopback(struct str url, struct err *err) MUST_CHECK;

#endif

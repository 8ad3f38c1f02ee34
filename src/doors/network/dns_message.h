/*
 * dns_message: the questions that programs ask of a resolver, and what is answered.
 *
 * A question is read once, within the bounds of its message, and what is kept of it
 * is all that an answer needs; an answer is at most DNS_ANSWER_BYTES_MAX long.
 */
#ifndef AM_DOORS_NETWORK_DNS_MESSAGE_H
#define AM_DOORS_NETWORK_DNS_MESSAGE_H

#include "base/base.h"
#include "base/str.h"
#include "contract/destination.h"

#define DNS_NAME_BYTES_MAX     255 /* as it stands in a message */
#define DNS_QUESTION_BYTES_MAX (DNS_NAME_BYTES_MAX + 4)
#define DNS_DATA_BYTES_MAX     DNS_NAME_BYTES_MAX
#define DNS_EXTRA_TEXT_MAX     64
/* Header, question, one record, OPT with one extended error. */
#define DNS_ANSWER_BYTES_MAX                                                                       \
    (12 + DNS_QUESTION_BYTES_MAX + 12 + DNS_DATA_BYTES_MAX + 11 + 6 + DNS_EXTRA_TEXT_MAX)

/* What is asked for; of 16 bits, and these are those that somebody here tells apart. */
enum {
    DNS_TYPE_A = 1,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_IXFR = 251,
    DNS_TYPE_AXFR = 252,
    DNS_TYPE_ANY = 255,
};
enum { DNS_CLASS_IN = 1 };
#define DNS_TYPE_META_FIRST 128 /* from here to 255 a type is a request, and no data has it */

/* How it went; of the extended ones (from 16 on), OPT carries the upper bits. */
enum {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16,
};

/* RFC 8914. */
enum { DNS_EXTENDED_OTHER = 0, DNS_EXTENDED_BLOCKED = 15, DNS_EXTENDED_NONE = 0x10000 };

struct dns_query {
    uint16_t id, flags; /* as they came */
    uint16_t type, class;
    /* The question as it came, so that it is echoed to the letter; 0 long: it could not be read. */
    unsigned char question[DNS_QUESTION_BYTES_MAX];
    size_t question_len;
    bool is_root, is_host_name; /* the name is one that can be compared: it stands in `name` */
    struct host_name name;
    bool has_edns, dnssec_ok;
    uint16_t udp_bytes; /* what the other side takes by UDP */
};

enum dns_reading {
    DNS_DROPPED, /* there is nobody to be answered, or no question to answer */
    DNS_FAULTY,  /* to be answered by the code in ret_fault, and nothing else */
    DNS_READ,
};

/* Reads a message; of one that is dropped nothing is set, of a faulty one what could be read. */
enum dns_reading dns_query_read(struct str message, struct dns_query *ret, uint16_t *ret_fault);

struct dns_answer {
    uint16_t code;
    unsigned extended; /* DNS_EXTENDED_NONE: there is none */
    const char *extra; /* a text that goes with `extended`, or NULL */
    bool has_data;     /* one record: */
    uint16_t type;
    uint32_t ttl_s;
    uint16_t data_len;
    unsigned char data[DNS_DATA_BYTES_MAX];
};

/* Makes a name the data of an answer. */
void dns_answer_set_name(struct dns_answer *answer, const struct host_name *name);

/*
 * Writes an answer of at most `limit` bytes (where it does not fit: without its record, and cut
 * off by its own account), and returns its length.
 */
size_t dns_answer_write(const struct dns_query *query, const struct dns_answer *answer,
                        size_t limit, unsigned char ret[DNS_ANSWER_BYTES_MAX]);

/*
 * Reads the address of which "4.3.2.1.in-addr.arpa" or its kin for IPv6 is the name; all bits
 * are its prefix. False where the name is none of a whole address.
 */
bool dns_reverse_read(const struct host_name *name, struct address_range *ret);

#endif

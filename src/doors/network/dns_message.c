/*
 * dns_message: see the header.
 *
 * Theory of operation. Whatever sends us messages is the program that is held, so that every byte
 * is hostile. A reader is a view of the message and a place in it; each step takes what it needs,
 * or fails and leaves the place. A message that is itself an answer, or has no whole header, is
 * dropped: nothing is sent to somebody who did not ask. One that is wrong otherwise is answered by
 * a code alone (FORMERR, NOTIMP, BADVERS), as RFC 1035, 6891 and 9619 have it, so that a client
 * which tries something new goes on at once and without waiting.
 *
 * A question's name stands first in a message, so that there is nothing before it which a
 * compression pointer could lead to: a pointer there is a fault, and no name is ever decompressed.
 * The question is kept as it came, because clients put a nonce into the case of its letters. A
 * name is also brought into the form in which names are compared (contract/destination.h); one
 * that is no host name (labels with dots, blanks, bytes beyond ASCII) has none, and cannot be
 * mistaken for another.
 *
 * An answer is written into a buffer that is large enough for the longest; the writer has no
 * failure. What is cut off is the record, never the header, the question or the OPT record.
 *
 * Limits: one question; one record and one extended error in an answer; a message is as long as
 * its transport lets it be, and is walked once.
 */
#include "doors/network/dns_message.h"

#include <arpa/inet.h>

#define HEADER_BYTES    12
#define LABEL_BYTES_MAX 63
#define POINTER_BITS    0xc0
#define UDP_BYTES_MIN   512  /* what everybody takes */
#define UDP_BYTES_MAX   1232 /* what we offer to take */

#define FLAG_RESPONSE            0x8000u
#define FLAG_CUT_OFF             0x0200u
#define FLAG_RECURSION_DESIRED   0x0100u
#define FLAG_RECURSION_AVAILABLE 0x0080u
#define FLAG_CHECKING_DISABLED   0x0010u
#define OPCODE_BITS              0x7800u

#define OPTION_EXTENDED_ERROR 15
#define EDNS_DNSSEC_OK        0x8000u

/* --- reading ------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *bytes;
    size_t len, at;
};

static const unsigned char *take(struct reader *reader, size_t len)
{
    if (len > reader->len - reader->at)
        return NULL;
    reader->at += len;
    return reader->bytes + reader->at - len;
}

static bool take_u16(struct reader *reader, uint16_t *ret)
{
    const unsigned char *bytes = take(reader, 2);
    if (!bytes)
        return false;
    *ret = (uint16_t)(bytes[0] << 8 | bytes[1]);
    return true;
}

/* Takes a name without pointers. */
static bool take_plain_name(struct reader *reader, struct str *ret)
{
    size_t start = reader->at;
    for (;;) {
        const unsigned char *label = take(reader, 1);
        if (!label || *label > LABEL_BYTES_MAX || !take(reader, *label) ||
            reader->at - start > DNS_NAME_BYTES_MAX)
            return false;
        if (!*label) {
            *ret = str_make((const char *)reader->bytes + start, reader->at - start);
            return true;
        }
    }
}

/* Takes a name that nobody reads: it ends with itself, or with a pointer to before it. */
static bool skip_name(struct reader *reader)
{
    size_t start = reader->at;
    for (;;) {
        const unsigned char *label = take(reader, 1), *low;
        if (!label || reader->at - start > DNS_NAME_BYTES_MAX)
            return false;
        if (*label >= POINTER_BITS) {
            low = take(reader, 1);
            size_t target = low ? (size_t)(*label & ~POINTER_BITS) << 8 | *low : start;
            return target >= HEADER_BYTES && target < start;
        }
        if (*label > LABEL_BYTES_MAX || !take(reader, *label))
            return false;
        if (!*label)
            return true;
    }
}

/* Puts a name into the form in which names are compared, where it has one. */
static void set_name(struct dns_query *query, struct str wire)
{
    char text[DNS_NAME_BYTES_MAX];
    size_t len = 0;
    for (size_t at = 0; wire.ptr[at]; at += (size_t)wire.ptr[at] + 1) {
        struct str label = str_make(wire.ptr + at + 1, (size_t)wire.ptr[at]);
        for (size_t i = 0; i < label.len; i++)
            if (label.ptr[i] == '.' || (unsigned char)label.ptr[i] >= 0x80)
                return;
        if (len)
            text[len++] = '.';
        memcpy(text + len, label.ptr, label.len);
        len += label.len;
    }
    query->is_root = len == 0;
    query->is_host_name = host_name_read(str_make(text, len), &query->name, NULL) == 1;
}

static bool read_question(struct reader *reader, struct dns_query *query)
{
    struct str name;
    size_t start = reader->at;
    if (!take_plain_name(reader, &name) || !take_u16(reader, &query->type) ||
        !take_u16(reader, &query->class))
        return false;
    set_name(query, name);
    query->question_len = reader->at - start;
    memcpy(query->question, reader->bytes + start, query->question_len);
    return true;
}

/* The options of an OPT record are ours to ignore, not to be wrong. */
static bool options_are_whole(struct reader options)
{
    uint16_t code, len;
    while (options.at < options.len)
        if (!take_u16(&options, &code) || !take_u16(&options, &len) || !take(&options, len))
            return false;
    return true;
}

/* A record of the additional section: OPT is read, and stands once; others are passed over. */
static bool read_additional(struct reader *reader, struct dns_query *query, uint8_t *version)
{
    uint16_t type, class, upper, lower, len;
    size_t start = reader->at;
    if (!skip_name(reader))
        return false;
    bool has_no_name = reader->at == start + 1;
    if (!take_u16(reader, &type) || !take_u16(reader, &class) || !take_u16(reader, &upper) ||
        !take_u16(reader, &lower) || !take_u16(reader, &len))
        return false;
    const unsigned char *data = take(reader, len);
    if (!data)
        return false;
    if (type != DNS_TYPE_OPT)
        return true;
    if (query->has_edns || !has_no_name || !options_are_whole((struct reader){ data, len, 0 }))
        return false;
    query->has_edns = true;
    query->dnssec_ok = lower & EDNS_DNSSEC_OK;
    *version = (uint8_t)upper;
    if (class > UDP_BYTES_MIN)
        query->udp_bytes = class < UDP_BYTES_MAX ? class : UDP_BYTES_MAX;
    return true;
}

static bool read_sections(struct reader *reader, struct dns_query *query, uint8_t *version)
{
    uint16_t questions, answers, authorities, additional;
    if (!take_u16(reader, &questions) || !take_u16(reader, &answers) ||
        !take_u16(reader, &authorities) || !take_u16(reader, &additional))
        return false;
    if (questions != 1 || answers || authorities || !read_question(reader, query))
        return false;
    for (; additional; additional--)
        if (!read_additional(reader, query, version))
            return false;
    return reader->at == reader->len;
}

enum dns_reading dns_query_read(struct str message, struct dns_query *ret, uint16_t *ret_fault)
{
    struct reader reader = { (const unsigned char *)message.ptr, message.len, 0 };
    uint16_t id, flags;
    uint8_t version = 0;
    if (message.len < HEADER_BYTES || !take_u16(&reader, &id) || !take_u16(&reader, &flags) ||
        flags & FLAG_RESPONSE)
        return DNS_DROPPED;
    *ret = (struct dns_query){ .id = id, .flags = flags, .udp_bytes = UDP_BYTES_MIN };
    if (flags & OPCODE_BITS) {
        *ret_fault = DNS_NOTIMP;
        return DNS_FAULTY;
    }
    bool is_whole = read_sections(&reader, ret, &version);
    if (is_whole && !version)
        return DNS_READ;
    *ret_fault = is_whole ? DNS_BADVERS : DNS_FORMERR;
    return DNS_FAULTY;
}

/* --- writing ------------------------------------------------------------------------------- */

static unsigned char *put_u16(unsigned char *at, unsigned value)
{
    *at++ = (unsigned char)(value >> 8);
    *at++ = (unsigned char)value;
    return at;
}

static unsigned char *put(unsigned char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

void dns_answer_set_name(struct dns_answer *answer, const struct host_name *name)
{
    unsigned char *at = answer->data;
    struct str text = str_from(name->text);
    for (size_t start = 0; start < text.len;) {
        size_t end = str_index(text, '.', start);
        *at++ = (unsigned char)(end - start);
        at = put(at, text.ptr + start, end - start);
        start = end + 1;
    }
    *at++ = 0;
    answer->data_len = (uint16_t)(at - answer->data);
}

/* Its name is the question's, by a pointer to where that always stands. */
static unsigned char *put_record(unsigned char *at, const struct dns_answer *answer)
{
    at = put_u16(at, POINTER_BITS << 8 | HEADER_BYTES);
    at = put_u16(at, answer->type);
    at = put_u16(at, DNS_CLASS_IN);
    at = put_u16(at, answer->ttl_s >> 16);
    at = put_u16(at, answer->ttl_s & 0xffff);
    at = put_u16(at, answer->data_len);
    return put(at, answer->data, answer->data_len);
}

static unsigned char *put_edns(unsigned char *at, const struct dns_query *query,
                               const struct dns_answer *answer)
{
    const char *text = answer->extra ? answer->extra : "";
    size_t text_len = strnlen(text, DNS_EXTRA_TEXT_MAX);
    bool is_extended = answer->extended != DNS_EXTENDED_NONE;
    *at++ = 0;
    at = put_u16(at, DNS_TYPE_OPT);
    at = put_u16(at, UDP_BYTES_MAX);
    at = put_u16(at, (unsigned)(answer->code >> 4) << 8);
    at = put_u16(at, query->dnssec_ok ? EDNS_DNSSEC_OK : 0);
    at = put_u16(at, is_extended ? (unsigned)(4 + 2 + text_len) : 0);
    if (!is_extended)
        return at;
    at = put_u16(at, OPTION_EXTENDED_ERROR);
    at = put_u16(at, (unsigned)(2 + text_len));
    at = put_u16(at, answer->extended);
    return put(at, text, text_len);
}

size_t dns_answer_write(const struct dns_query *query, const struct dns_answer *answer,
                        size_t limit, unsigned char ret[DNS_ANSWER_BYTES_MAX])
{
    unsigned char *at = put(ret + HEADER_BYTES, query->question, query->question_len);
    unsigned char *record = at;
    bool is_cut_off = false;
    if (answer->has_data)
        at = put_record(at, answer);
    unsigned char *edns = at;
    if (query->has_edns)
        at = put_edns(at, query, answer);
    if ((size_t)(at - ret) > limit) {
        is_cut_off = true;
        memmove(record, edns, (size_t)(at - edns));
        at -= edns - record;
    }
    unsigned flags =
        FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | (answer->code & 0xf) |
        (is_cut_off ? FLAG_CUT_OFF : 0) |
        (query->flags & (OPCODE_BITS | FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED));
    unsigned char *header = put_u16(ret, query->id);
    header = put_u16(header, flags);
    header = put_u16(header, query->question_len ? 1 : 0);
    header = put_u16(header, answer->has_data && !is_cut_off);
    header = put_u16(header, 0);
    put_u16(header, query->has_edns);
    return (size_t)(at - ret);
}

/* --- names of addresses -------------------------------------------------------------------- */

/* The part of a name before a suffix that begins with a dot; empty where it does not end so. */
static struct str before(const struct host_name *name, struct str suffix)
{
    struct str text = str_from(name->text);
    return str_ends(text, suffix) ? str_make(text.ptr, text.len - suffix.len) : str_make("", 0);
}

static bool read_reverse_ipv6(struct str digits, struct address_range *ret)
{
    struct address_range range = { .is_ipv6 = true, .prefix_bits = 128 };
    if (digits.len != 2 * 32 - 1)
        return false;
    for (size_t i = 0; i < 32; i++) {
        char c = digits.ptr[2 * i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;
        if (digit > 15 || (i < 31 && digits.ptr[2 * i + 1] != '.'))
            return false;
        range.address[15 - i / 2] |= (unsigned char)(digit << 4 * (i % 2));
    }
    *ret = range;
    return true;
}

static bool read_reverse_ipv4(struct str digits, struct address_range *ret)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    struct address_range range = { .prefix_bits = 32 };
    if (!digits.len || digits.len >= sizeof(text))
        return false;
    memcpy(text, digits.ptr, digits.len);
    text[digits.len] = '\0';
    if (inet_pton(AF_INET, text, &address) != 1)
        return false;
    for (size_t i = 0; i < 4; i++)
        range.address[i] = (unsigned char)(ntohl(address.s_addr) >> 8 * i);
    *ret = range;
    return true;
}

bool dns_reverse_read(const struct host_name *name, struct address_range *ret)
{
    return read_reverse_ipv4(before(name, STR(".in-addr.arpa")), ret) ||
           read_reverse_ipv6(before(name, STR(".ip6.arpa")), ret);
}

/* dns_test: questions for tests, and answers as the C library's own parser reads them. */
#ifndef AM_DOORS_NETWORK_DNS_TEST_H
#define AM_DOORS_NETWORK_DNS_TEST_H

#include <arpa/inet.h>
#include <arpa/nameser.h>

#include "base/lazy.h"
#include "base/test.h"

#define PARSER_FUNCTIONS(X) X(ns_initparse) X(ns_parserr) X(ns_msg_getflag) X(ns_get16)
LAZY_LIBRARY(parser, "libresolv.so.2", PARSER_FUNCTIONS)

#define QUESTION_SIZE 600

struct question {
    unsigned char bytes[QUESTION_SIZE];
    size_t len;
};

static inline void question_add(struct question *question, const void *bytes, size_t len)
{
    CHECK(len <= sizeof(question->bytes) - question->len);
    memcpy(question->bytes + question->len, bytes, len);
    question->len += len;
}

static inline void question_add_name(struct question *question, const char *name)
{
    while (*name) {
        size_t len = strcspn(name, ".");
        unsigned char byte = (unsigned char)len;
        question_add(question, &byte, 1);
        question_add(question, name, len);
        name += len + (name[len] == '.');
    }
    question_add(question, "", 1);
}

/* For a name of the class IN; with EDNS where the bytes that are taken by UDP are not 0. */
static inline struct question question_make(const char *name, unsigned type, unsigned udp_bytes)
{
    struct question question = { .len = 0 };
    unsigned char header[] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, udp_bytes != 0 };
    unsigned char tail[] = { (unsigned char)(type >> 8), (unsigned char)type, 0, 1 };
    unsigned char edns[] = {
        0, 0, 41, (unsigned char)(udp_bytes >> 8), (unsigned char)udp_bytes, 0, 0, 0, 0, 0, 0
    };
    question_add(&question, header, sizeof(header));
    question_add_name(&question, name);
    question_add(&question, tail, sizeof(tail));
    if (udp_bytes)
        question_add(&question, edns, sizeof(edns));
    return question;
}

static inline struct str question_str(const struct question *question)
{
    return str_make((const char *)question->bytes, question->len);
}

struct parsed {
    int id, code, count; /* records of the answer section */
    bool is_answer, is_cut_off, recurses, has_edns;
    char name[NS_MAXDNAME], data[NS_MAXDNAME]; /* of the first record: an address, or a name */
    int type, ttl_s;
    int extended; /* -1: none */
    char extra[128];
};

static inline void parse_edns(ns_rr *record, struct parsed *ret)
{
    const unsigned char *data = ns_rr_rdata(*record);
    ret->has_edns = true;
    ret->code |= (int)(ns_rr_ttl(*record) >> 24) << 4;
    if (ns_rr_rdlen(*record) < 6)
        return;
    CHECK_INT(parser.ns_get16(data), 15);
    CHECK_INT(parser.ns_get16(data + 2), ns_rr_rdlen(*record) - 4);
    ret->extended = (int)parser.ns_get16(data + 4);
    snprintf(ret->extra, sizeof(ret->extra), "%.*s", ns_rr_rdlen(*record) - 6,
             (const char *)data + 6);
}

static inline struct parsed parse_answer(const void *bytes, size_t len)
{
    struct parsed parsed = { .extended = -1 };
    ns_msg message;
    ns_rr record;
    CHECK_INT(lazy_load(&parser_library, NULL), 0);
    CHECK_INT(parser.ns_initparse(bytes, (int)len, &message), 0);
    parsed.id = ns_msg_id(message);
    parsed.is_answer = parser.ns_msg_getflag(message, ns_f_qr);
    parsed.is_cut_off = parser.ns_msg_getflag(message, ns_f_tc);
    parsed.recurses = parser.ns_msg_getflag(message, ns_f_ra);
    parsed.code = parser.ns_msg_getflag(message, ns_f_rcode);
    parsed.count = ns_msg_count(message, ns_s_an);
    CHECK_INT(ns_msg_count(message, ns_s_ns), 0);
    if (parsed.count) {
        CHECK_INT(parser.ns_parserr(&message, ns_s_an, 0, &record), 0);
        snprintf(parsed.name, sizeof(parsed.name), "%s", ns_rr_name(record));
        parsed.type = ns_rr_type(record);
        parsed.ttl_s = (int)ns_rr_ttl(record);
        if (parsed.type == ns_t_ptr)
            CHECK(ns_name_uncompress(bytes, (const unsigned char *)bytes + len, ns_rr_rdata(record),
                                     parsed.data, sizeof(parsed.data)) > 0);
        else
            inet_ntop(parsed.type == ns_t_a ? AF_INET : AF_INET6, ns_rr_rdata(record), parsed.data,
                      sizeof(parsed.data));
    }
    for (int i = 0; i < ns_msg_count(message, ns_s_ar); i++) {
        CHECK_INT(parser.ns_parserr(&message, ns_s_ar, i, &record), 0);
        CHECK_INT(ns_rr_type(record), 41);
        parse_edns(&record, &parsed);
    }
    return parsed;
}

#endif

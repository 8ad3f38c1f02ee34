#include "doors/network/dns_message.h"

#include "doors/network/dns_test.h"

static enum dns_reading read_it(const struct question *question, struct dns_query *query,
                                uint16_t *fault)
{
    return dns_query_read(question_str(question), query, fault);
}

static void check_fault(const struct question *question, int expected)
{
    struct dns_query query;
    uint16_t fault = 0;
    CHECK_INT(read_it(question, &query, &fault), DNS_FAULTY);
    CHECK_INT(fault, expected);
}

TEST(a_question_is_read_and_its_name_is_folded)
{
    struct question question = question_make("wWw.ExAmPlE.com", ns_t_aaaa, 0);
    struct dns_query query;
    uint16_t fault;
    CHECK_INT(read_it(&question, &query, &fault), DNS_READ);
    CHECK_INT(query.id, 0x1234);
    CHECK_INT(query.type, DNS_TYPE_AAAA);
    CHECK_INT(query.class, DNS_CLASS_IN);
    CHECK(query.is_host_name && !query.is_root && !query.has_edns);
    CHECK_TEXT(query.name.text, "www.example.com");
    CHECK_INT(query.udp_bytes, 512);
    CHECK_INT(query.question_len, question.len - 12);
    CHECK(memcmp(query.question, question.bytes + 12, query.question_len) == 0);
}

TEST(a_client_may_take_more_than_512_bytes_and_we_send_no_more_than_1232)
{
    static const struct {
        unsigned offered;
        int taken;
    } sizes[] = { { 1, 512 }, { 512, 512 }, { 800, 800 }, { 1232, 1232 }, { 65535, 1232 } };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct question question = question_make("example.com", ns_t_a, sizes[i].offered);
        struct dns_query query;
        uint16_t fault;
        CHECK_INT(read_it(&question, &query, &fault), DNS_READ);
        CHECK(query.has_edns);
        CHECK_INT(query.udp_bytes, sizes[i].taken);
    }
}

TEST(a_name_with_odd_bytes_is_no_host_name_and_no_other_name)
{
    const struct str names[] = {
        STR("\007a.b.com\003net"), /* dots within a label */
        STR("\003a b\003com"),      STR("\003a\0b\003com"), STR("\004\xc3\xbc.a\003com"),
        STR("\002\xc3\xbc\003com"), STR("\001/\003com"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct question question = question_make("", ns_t_a, 0);
        struct dns_query query;
        uint16_t fault;
        question.len = 12;
        question_add(&question, names[i].ptr, names[i].len);
        question_add(&question, "\0\0\1\0\1", 5);
        CHECK_INT(read_it(&question, &query, &fault), DNS_READ);
        CHECK(!query.is_host_name && !query.is_root);
    }
}

TEST(the_root_is_a_name_without_labels)
{
    struct question question = question_make("", ns_t_ns, 0);
    struct dns_query query;
    uint16_t fault;
    CHECK_INT(read_it(&question, &query, &fault), DNS_READ);
    CHECK(query.is_root && !query.is_host_name);
}

TEST(who_did_not_ask_gets_no_answer)
{
    struct question question = question_make("example.com", ns_t_a, 0);
    struct dns_query query;
    uint16_t fault;
    for (size_t len = 0; len < 12; len++)
        CHECK_INT(dns_query_read(str_make((const char *)question.bytes, len), &query, &fault),
                  DNS_DROPPED);
    question.bytes[2] |= 0x80;
    CHECK_INT(read_it(&question, &query, &fault), DNS_DROPPED);
}

TEST(a_message_that_is_cut_anywhere_or_goes_on_is_faulty)
{
    struct question whole = question_make("www.example.com", ns_t_a, 1232);
    for (size_t len = 12; len < whole.len; len++) {
        struct question cut = whole;
        cut.len = len;
        check_fault(&cut, DNS_FORMERR);
    }
    question_add(&whole, "x", 1);
    check_fault(&whole, DNS_FORMERR);
}

TEST(what_is_not_one_plain_question_is_faulty)
{
    struct question base = question_make("example.com", ns_t_a, 0), question;
    for (size_t at = 5; at <= 9; at += 2) { /* two questions, an answer, an authority */
        question = base;
        question.bytes[at]++;
        check_fault(&question, DNS_FORMERR);
    }
    question = base;
    question.bytes[5] = 0;
    check_fault(&question, DNS_FORMERR);
    for (int opcode = 1; opcode < 16; opcode++) {
        question = base;
        question.bytes[2] = (unsigned char)(opcode << 3);
        check_fault(&question, DNS_NOTIMP);
    }
}

TEST(a_pointer_in_a_question_is_faulty_wherever_it_leads)
{
    for (unsigned target = 0; target < 40; target++) {
        struct question question = question_make("", ns_t_a, 0);
        unsigned char pointer[] = { 3, 'w', 'w', 'w', 0xc0, (unsigned char)target, 0, 1, 0, 1 };
        question.len = 12;
        question_add(&question, pointer, sizeof(pointer));
        check_fault(&question, DNS_FORMERR);
    }
}

TEST(a_name_is_at_most_255_bytes_long)
{
    char name[300];
    struct dns_query query;
    uint16_t fault;
    memset(name, 'a', sizeof(name));
    for (size_t i = 49; i < sizeof(name); i += 50)
        name[i] = '.';
    name[253] = '\0';
    struct question question = question_make(name, ns_t_a, 0);
    CHECK_INT(read_it(&question, &query, &fault), DNS_READ);
    CHECK(query.is_host_name);
    CHECK_INT(query.question_len, DNS_QUESTION_BYTES_MAX);
    name[253] = 'a';
    name[254] = '\0';
    question = question_make(name, ns_t_a, 0);
    check_fault(&question, DNS_FORMERR);
}

TEST(options_are_passed_over_if_they_are_whole)
{
    struct question base = question_make("example.com", ns_t_a, 1232), question;
    struct dns_query query;
    uint16_t fault;
    base.len -= 2;
    question = base;
    question_add(&question, "\0\14\0\12\0\10cookies!", 14);
    CHECK_INT(read_it(&question, &query, &fault), DNS_READ);
    question = base;
    question_add(&question, "\0\14\0\12\0\11cookies!", 14); /* longer than the record */
    check_fault(&question, DNS_FORMERR);
    question = base;
    question_add(&question, "\0\3\0\12\0", 5);
    check_fault(&question, DNS_FORMERR);
}

TEST(of_opt_there_is_one_of_version_0_without_a_name)
{
    struct question base = question_make("example.com", ns_t_a, 1232), question = base;
    struct dns_query query;
    uint16_t fault;
    question.bytes[11] = 2;
    question_add(&question, base.bytes + base.len - 11, 11);
    check_fault(&question, DNS_FORMERR);
    question = base;
    question.bytes[base.len - 5] = 1; /* version */
    check_fault(&question, DNS_BADVERS);
    question = base;
    question.len -= 11;
    question_add(&question, "\300\14\0\51\4\320\0\0\0\0\0\0", 12); /* named as the question is */
    check_fault(&question, DNS_FORMERR);
    /* A record of another type may be named so, and is passed over. */
    question.bytes[question.len - 9] = 250;
    CHECK_INT(read_it(&question, &query, &fault), DNS_READ);
    CHECK(!query.has_edns);
    question.bytes[question.len - 11] = 200; /* but not by what is still to come */
    check_fault(&question, DNS_FORMERR);
}

/* --- answers ------------------------------------------------------------------------------- */

static struct parsed write_it(const struct question *question, const struct dns_answer *answer,
                              size_t limit, size_t *ret_len)
{
    struct dns_query query;
    uint16_t fault;
    unsigned char bytes[DNS_ANSWER_BYTES_MAX];
    CHECK(read_it(question, &query, &fault) != DNS_DROPPED);
    *ret_len = dns_answer_write(&query, answer, limit, bytes);
    CHECK(*ret_len <= sizeof(bytes));
    return parse_answer(bytes, *ret_len);
}

TEST(an_answer_carries_what_was_asked_letter_by_letter)
{
    struct question question = question_make("wWw.ExAmPlE.com", ns_t_a, 0);
    struct dns_answer answer = { .extended = DNS_EXTENDED_NONE,
                                 .has_data = true,
                                 .type = DNS_TYPE_A,
                                 .ttl_s = 60,
                                 .data_len = 4,
                                 .data = { 198, 18, 1, 0 } };
    size_t len;
    struct parsed parsed = write_it(&question, &answer, 512, &len);
    CHECK_INT(parsed.id, 0x1234);
    CHECK(parsed.is_answer && parsed.recurses && !parsed.is_cut_off && !parsed.has_edns);
    CHECK_INT(parsed.code, DNS_NOERROR);
    CHECK_INT(parsed.count, 1);
    CHECK_TEXT(parsed.name, "wWw.ExAmPlE.com");
    CHECK_INT(parsed.type, DNS_TYPE_A);
    CHECK_INT(parsed.ttl_s, 60);
    CHECK_TEXT(parsed.data, "198.18.1.0");
    CHECK_INT(len, question.len + 16);
}

TEST(an_extended_error_is_said_to_those_who_speak_edns)
{
    struct dns_answer answer = { .code = DNS_NXDOMAIN,
                                 .extended = DNS_EXTENDED_BLOCKED,
                                 .extra = "denied" };
    size_t len;
    struct question plain = question_make("example.com", ns_t_a, 0);
    struct parsed parsed = write_it(&plain, &answer, 512, &len);
    CHECK_INT(parsed.code, DNS_NXDOMAIN);
    CHECK_INT(parsed.extended, -1);
    CHECK_INT(len, plain.len);
    struct question edns = question_make("example.com", ns_t_a, 1232);
    parsed = write_it(&edns, &answer, 512, &len);
    CHECK_INT(parsed.code, DNS_NXDOMAIN);
    CHECK_INT(parsed.extended, 15);
    CHECK_TEXT(parsed.extra, "denied");
}

TEST(a_fault_is_answered_with_what_could_be_read)
{
    struct dns_answer answer = { .code = DNS_BADVERS, .extended = DNS_EXTENDED_NONE };
    size_t len;
    struct question question = question_make("example.com", ns_t_a, 1232);
    question.bytes[question.len - 5] = 1;
    CHECK_INT(write_it(&question, &answer, 512, &len).code, DNS_BADVERS);
    answer.code = DNS_FORMERR;
    question.len = 14;
    CHECK_INT(write_it(&question, &answer, 512, &len).code, DNS_FORMERR);
    CHECK_INT(len, 12);
}

TEST(what_does_not_fit_is_cut_off_and_says_so)
{
    char name[254];
    struct host_name target;
    size_t len;
    memset(name, 'a', sizeof(name));
    for (size_t i = 49; i < sizeof(name); i += 50)
        name[i] = '.';
    name[253] = '\0';
    CHECK_INT(host_name_read(str_from(name), &target, NULL), 1);
    struct dns_answer answer = {
        .extended = DNS_EXTENDED_BLOCKED, .extra = "a text", .has_data = true, .type = DNS_TYPE_PTR
    };
    dns_answer_set_name(&answer, &target);
    struct question question = question_make(name, ns_t_ptr, 1);
    struct parsed parsed = write_it(&question, &answer, 512, &len);
    CHECK(parsed.is_cut_off && len <= 512);
    CHECK_INT(parsed.count, 0);
    CHECK_TEXT(parsed.extra, "a text");
    parsed = write_it(&question, &answer, 1232, &len);
    CHECK(!parsed.is_cut_off);
    CHECK_INT(parsed.count, 1);
    CHECK_TEXT(parsed.data, name);
}

TEST(names_of_addresses_are_read_where_they_are_whole)
{
    static const struct {
        const char *name, *address;
    } names[] = {
        { "4.3.2.1.in-addr.arpa", "1.2.3.4/32" },
        { "0.1.18.198.in-addr.arpa", "198.18.1.0/32" },
        { "0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.6.3.6.1.6.d.6.1.6.d.f.ip6.arpa",
          "fd61:6d61:6368::100/128" },
        { "3.2.1.in-addr.arpa", NULL },
        { "5.4.3.2.1.in-addr.arpa", NULL },
        { "256.3.2.1.in-addr.arpa", NULL },
        { "4.3.2.01.in-addr.arpa", NULL },
        { "in-addr.arpa", NULL },
        { "4.3.2.1.arpa", NULL },
        { "4.3.2.1.in-addr.arpa.example.com", NULL },
        { "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.6.3.6.1.6.d.6.1.6.d.f.ip6.arpa.com", NULL },
        { "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.6.3.6.1.6.d.6.1.6.d.ip6.arpa", NULL },
        { "g.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.6.3.6.1.6.d.6.1.6.d.f.ip6.arpa", NULL },
        { "00.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.6.3.6.1.6.d.6.1.6.d.f.ip6.arpa", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[ADDRESS_RANGE_TEXT_SIZE] = "";
        struct host_name name;
        struct address_range address;
        CHECK_INT(host_name_read(str_from(names[i].name), &name, NULL), 1);
        bool is_read = dns_reverse_read(&name, &address);
        if (is_read)
            address_range_text(&address, text);
        CHECK_TEXT(text, names[i].address ? names[i].address : "");
        CHECK_INT(is_read, names[i].address != NULL);
    }
}

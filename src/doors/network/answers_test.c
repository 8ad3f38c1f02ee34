#include "doors/network/answers.h"

#include "doors/network/dns_test.h"

/* A door that permits what ends in a word of its own, and remembers what it was asked last. */
struct door {
    const char *permitted;
    struct door_asks asks;
    struct answers answers;
    int asked;
    char last[HOST_NAME_BYTES_MAX + 1];
};

static bool ask(void *context, const char *name)
{
    struct door *door = context;
    door->asked++;
    snprintf(door->last, sizeof(door->last), "%s", name);
    return str_ends(str_from(name), str_from(door->permitted));
}

static void open_door(struct door *door, const char *permitted)
{
    *door = (struct door){ .permitted = permitted, .asks = { .context = door, .name = ask } };
    door->answers.asks = &door->asks;
    CHECK_INT(names_new(&door->answers.names, NULL), 0);
}

static void close_door(struct door *door)
{
    names_free(door->answers.names);
}

static struct parsed put(struct door *door, const struct question *question)
{
    unsigned char answer[DNS_ANSWER_BYTES_MAX];
    size_t len = answers_make(&door->answers, question_str(question), true, answer);
    return parse_answer(answer, len);
}

static struct parsed put_name(struct door *door, const char *name, unsigned type)
{
    struct question question = question_make(name, type, 1232);
    return put(door, &question);
}

TEST(a_permitted_name_has_an_address_of_each_family)
{
    struct door door;
    open_door(&door, "example.com");
    struct parsed a = put_name(&door, "WWW.example.com", ns_t_a);
    struct parsed aaaa = put_name(&door, "www.EXAMPLE.com", ns_t_aaaa);
    struct parsed any = put_name(&door, "www.example.com", ns_t_any);
    CHECK_TEXT(door.last, "www.example.com");
    CHECK_INT(door.asked, 3);
    CHECK_INT(a.code, DNS_NOERROR);
    CHECK_TEXT(a.name, "WWW.example.com");
    CHECK_TEXT(a.data, "198.18.1.0");
    CHECK_INT(a.ttl_s, ANSWERS_TTL_S);
    CHECK_INT(a.extended, -1);
    CHECK_TEXT(aaaa.data, "fd61:6d61:6368::100");
    CHECK_INT(aaaa.type, ns_t_aaaa);
    CHECK_TEXT(any.data, "198.18.1.0");
    CHECK_INT(any.type, ns_t_a);
    close_door(&door);
}

TEST(a_permitted_name_has_nothing_but_addresses)
{
    static const unsigned types[] = { ns_t_ns,  ns_t_cname,    ns_t_soa,       ns_t_null,
                                      ns_t_mx,  ns_t_txt,      ns_t_srv,       ns_t_naptr,
                                      ns_t_ptr, 64 /* SVCB */, 65 /* HTTPS */, 65280 };
    struct door door;
    open_door(&door, "example.com");
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct parsed parsed = put_name(&door, "www.example.com", types[i]);
        CHECK_INT(parsed.code, DNS_NOERROR);
        CHECK_INT(parsed.count, 0);
        CHECK_INT(parsed.extended, -1);
    }
    close_door(&door);
}

TEST(a_denied_name_does_not_exist_and_has_no_lease)
{
    static const unsigned types[] = { ns_t_a, ns_t_aaaa, ns_t_txt, 65, ns_t_any };
    struct door door;
    struct name_lease lease;
    open_door(&door, "example.com");
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct parsed parsed = put_name(&door, "example.net", types[i]);
        CHECK_INT(parsed.code, DNS_NXDOMAIN);
        CHECK_INT(parsed.count, 0);
        CHECK_INT(parsed.extended, DNS_EXTENDED_BLOCKED);
        CHECK(strstr(parsed.extra, "policy"));
    }
    CHECK_INT(names_lease(door.answers.names, "first.example.com", &lease), 0);
    CHECK_INT(lease.ipv4.address[2], 1);
    CHECK_INT(lease.ipv4.address[3], 0);
    close_door(&door);
}

TEST(who_looks_for_a_service_of_a_host_is_answered_as_for_the_host)
{
    struct door door;
    open_door(&door, "deb.example.com");
    CHECK_INT(put_name(&door, "_http._tcp.deb.example.com", ns_t_srv).code, DNS_NOERROR);
    CHECK_TEXT(door.last, "deb.example.com");
    CHECK_INT(put_name(&door, "_8443._https.deb.example.com", 65).code, DNS_NOERROR);
    CHECK_INT(put_name(&door, "_http._tcp.example.net", ns_t_srv).code, DNS_NXDOMAIN);
    CHECK_TEXT(door.last, "example.net");
    /* Who wants addresses is asked about by its whole name. */
    CHECK_INT(put_name(&door, "_http._tcp.deb.example.com", ns_t_a).count, 1);
    CHECK_TEXT(door.last, "_http._tcp.deb.example.com");
    CHECK_INT(put_name(&door, "_tcp", ns_t_srv).code, DNS_NXDOMAIN);
    CHECK_TEXT(door.last, "_tcp");
    close_door(&door);
}

TEST(some_names_are_the_same_everywhere_and_the_door_is_not_asked)
{
    static const struct {
        const char *name;
        unsigned type;
        int code;
        const char *data;
    } names[] = {
        { "localhost", ns_t_a, DNS_NOERROR, "127.0.0.1" },
        { "LocalHost", ns_t_aaaa, DNS_NOERROR, "::1" },
        { "any.thing.localhost", ns_t_a, DNS_NOERROR, "127.0.0.1" },
        { "localhost", ns_t_mx, DNS_NOERROR, "" },
        { "1.0.0.127.in-addr.arpa", ns_t_ptr, DNS_NOERROR, "localhost" },
        { "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", ns_t_ptr,
          DNS_NOERROR, "localhost" },
        { "8.8.8.8.in-addr.arpa", ns_t_ptr, DNS_NXDOMAIN, "" },
        { "0.1.18.198.in-addr.arpa", ns_t_ptr, DNS_NXDOMAIN, "" },
        { "ipv4only.arpa", ns_t_aaaa, DNS_NXDOMAIN, "" },
        { "_dns.resolver.arpa", 64, DNS_NXDOMAIN, "" },
        { "a.invalid", ns_t_a, DNS_NXDOMAIN, "" },
        { "a.onion", ns_t_a, DNS_NXDOMAIN, "" },
        { "use-application-dns.net", ns_t_a, DNS_NXDOMAIN, "" },
        { "", ns_t_ns, DNS_NOERROR, "" },
    };
    struct door door;
    open_door(&door, "");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct parsed parsed = put_name(&door, names[i].name, names[i].type);
        CHECK_INT(parsed.code, names[i].code);
        CHECK_TEXT(parsed.data, names[i].data);
    }
    CHECK_INT(door.asked, 0);
    CHECK_INT(put_name(&door, "notlocalhost", ns_t_a).code, DNS_NOERROR);
    CHECK_INT(put_name(&door, "localhost.example.com", ns_t_a).code, DNS_NOERROR);
    CHECK_INT(door.asked, 2);
    close_door(&door);
}

TEST(an_address_leads_back_to_the_name_that_was_asked_for)
{
    struct door door;
    open_door(&door, "example.com");
    put_name(&door, "www.example.com", ns_t_a);
    struct parsed parsed = put_name(&door, "0.1.18.198.IN-ADDR.arpa", ns_t_ptr);
    CHECK_INT(parsed.code, DNS_NOERROR);
    CHECK_TEXT(parsed.data, "www.example.com");
    parsed =
        put_name(&door, "0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.6.3.6.1.6.d.6.1.6.d.f.ip6.arpa",
                 ns_t_ptr);
    CHECK_TEXT(parsed.data, "www.example.com");
    parsed = put_name(&door, "0.1.18.198.in-addr.arpa", ns_t_txt);
    CHECK_INT(parsed.code, DNS_NOERROR);
    CHECK_INT(parsed.count, 0);
    close_door(&door);
}

TEST(an_odd_spelling_of_an_address_is_no_name_even_where_all_is_permitted)
{
    static const char *const odd[] = { "127.1", "0x7f.0.0.1", "2130706433", "017700000001" };
    struct door door;
    open_door(&door, "");
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        CHECK_INT(put_name(&door, odd[i], ns_t_a).code, DNS_NXDOMAIN);
        CHECK_TEXT(door.last, odd[i]);
    }
    close_door(&door);
}

TEST(a_name_with_odd_bytes_does_not_exist_and_the_door_is_not_asked)
{
    struct door door;
    open_door(&door, "");
    struct question question = question_make("", ns_t_a, 0);
    question.len = 12;
    question_add(&question, "\013example.com\003net\0\0\1\0\1", 21);
    CHECK_INT(put(&door, &question).code, DNS_NXDOMAIN);
    CHECK_INT(door.asked, 0);
    close_door(&door);
}

TEST(what_is_no_question_for_data_is_refused_by_its_kind)
{
    static const struct {
        unsigned type;
        int code;
    } requests[] = { { 41, DNS_FORMERR },  { 128, DNS_NOTIMP },  { 250, DNS_NOTIMP },
                     { 251, DNS_REFUSED }, { 252, DNS_REFUSED }, { 253, DNS_NOTIMP },
                     { 254, DNS_NOTIMP },  { 255, DNS_NOERROR }, { 256, DNS_NOERROR } };
    struct door door;
    open_door(&door, "");
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        CHECK_INT(put_name(&door, "example.com", requests[i].type).code, requests[i].code);
    struct question question = question_make("version.bind", ns_t_txt, 0);
    question.bytes[question.len - 1] = 3; /* the class CHAOS */
    CHECK_INT(put(&door, &question).code, DNS_REFUSED);
    close_door(&door);
}

TEST(where_no_lease_is_left_the_failure_is_one_that_gets_better)
{
    struct door door;
    struct name_lease lease;
    open_door(&door, "");
    for (int i = 0; i < NAMES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%d", i);
        CHECK_INT(names_lease(door.answers.names, name, &lease), 0);
        CHECK(names_hold(door.answers.names, &lease.ipv4));
    }
    struct parsed parsed = put_name(&door, "example.com", ns_t_a);
    CHECK_INT(parsed.code, DNS_SERVFAIL);
    CHECK(strstr(parsed.extra, "too many names"));
    CHECK_INT(put_name(&door, "n0", ns_t_a).code, DNS_NOERROR);
    close_door(&door);
}

TEST(a_faulty_message_is_answered_by_its_code_and_one_that_is_no_question_is_not)
{
    struct door door;
    unsigned char answer[DNS_ANSWER_BYTES_MAX];
    open_door(&door, "");
    struct question question = question_make("example.com", ns_t_a, 0);
    question.bytes[5] = 2;
    CHECK_INT(put(&door, &question).code, DNS_FORMERR);
    question.bytes[2] |= 0x80;
    CHECK_INT(answers_make(&door.answers, question_str(&question), true, answer), 0);
    CHECK_INT(door.asked, 0);
    close_door(&door);
}

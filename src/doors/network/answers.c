/*
 * answers: see the header.
 *
 * Theory of operation. A question is answered from three things, and none of them is another
 * machine: what is the same everywhere (localhost, names of addresses, names that must not exist),
 * the door's word on the name, and the table of leases. What a permitted name really leads to is
 * nobody's business before a connection to it is made.
 *
 * A permitted name has an address of each family, and nothing else. That holds for HTTPS and SVCB
 * records too, through which a client would otherwise learn of keys to encrypt its server's name
 * with, and of other places to go to. For types other than those of addresses, labels before a
 * host that begin with an underscore name one of its services: the door is asked for the host, so
 * that looking for a service of a permitted host (as apt does) is no denial.
 *
 * A denied name does not exist: NXDOMAIN, with the extended error "Blocked" for those who look.
 * REFUSED would be the more honest word, but it is about the server: the C library and Go ask once
 * more and then speak of a temporary failure or a broken server, on which their callers begin anew;
 * musl waits five seconds for a better answer. NXDOMAIN is final to all of them, at once. For the
 * same reason a failure of ours is SERVFAIL: it does get better.
 *
 * Names with one label, or below `local`, are asked of the door like any other, since a layer may
 * give them an address.
 *
 * Threats: questions as a channel to the outside end here, whatever their type and length.
 */
#include "doors/network/answers.h"

/* --- answers ------------------------------------------------------------------------------- */

static void fail(struct dns_answer *answer, uint16_t code, unsigned extended, const char *extra)
{
    answer->code = code;
    answer->extended = extended;
    answer->extra = extra;
}

static void set_address(struct dns_answer *answer, const struct dns_query *query,
                        const struct address_range *ipv4, const struct address_range *ipv6)
{
    const struct address_range *address = query->type == DNS_TYPE_AAAA ? ipv6 : ipv4;
    answer->has_data = true;
    answer->type = address->is_ipv6 ? DNS_TYPE_AAAA : DNS_TYPE_A;
    answer->ttl_s = ANSWERS_TTL_S;
    answer->data_len = address->is_ipv6 ? 16 : 4;
    memcpy(answer->data, address->address, answer->data_len);
}

static bool wants_address(const struct dns_query *query)
{
    return query->type == DNS_TYPE_A || query->type == DNS_TYPE_AAAA || query->type == DNS_TYPE_ANY;
}

/* --- what is the same everywhere ----------------------------------------------------------- */

static void answer_nothing(const struct answers *answers, const struct dns_query *query,
                           struct dns_answer *answer)
{
    (void)answers;
    (void)query;
    answer->code = DNS_NXDOMAIN;
}

static void answer_loopback(const struct answers *answers, const struct dns_query *query,
                            struct dns_answer *answer)
{
    static const struct address_range ipv4 = { .prefix_bits = 32, .address = { 127, 0, 0, 1 } };
    static const struct address_range ipv6 = { .is_ipv6 = true,
                                               .prefix_bits = 128,
                                               .address = { [15] = 1 } };
    (void)answers;
    if (wants_address(query))
        set_address(answer, query, &ipv4, &ipv6);
}

/* Names of addresses: of ours, and of loopback. There are no others. */
static void answer_reverse(const struct answers *answers, const struct dns_query *query,
                           struct dns_answer *answer)
{
    char path[DESTINATION_PATH_SIZE], text[ADDRESS_RANGE_TEXT_SIZE];
    struct address_range address;
    struct destination destination;
    struct host_name name;
    const char *found = NULL;
    if (dns_reverse_read(&query->name, &address)) {
        address_range_text(&address, text);
        found = names_find(answers->names, &address);
        if (!found && destination_read(str_from(text), path, &destination, NULL) == 1 &&
            destination_is_loopback(&destination))
            found = "localhost";
    }
    if (!found || host_name_read(str_from(found), &name, NULL) != 1) {
        answer->code = DNS_NXDOMAIN;
        return;
    }
    if (query->type != DNS_TYPE_PTR && query->type != DNS_TYPE_ANY)
        return;
    answer->has_data = true;
    answer->type = DNS_TYPE_PTR;
    answer->ttl_s = ANSWERS_TTL_S;
    dns_answer_set_name(answer, &name);
}

static const struct special {
    const char *name; /* and all below it */
    void (*answer)(const struct answers *answers, const struct dns_query *query,
                   struct dns_answer *answer);
} specials[] = {
    { "localhost", answer_loopback },
    { "arpa", answer_reverse },
    { "invalid", answer_nothing },                 /* RFC 6761 */
    { "onion", answer_nothing },                   /* RFC 7686 */
    { "use-application-dns.net", answer_nothing }, /* so that browsers ask us and no DoH server */
};

static const struct special *find_special(const struct host_name *name)
{
    struct str text = str_from(name->text);
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        struct str suffix = str_from(specials[i].name);
        if (str_ends(text, suffix) &&
            (text.len == suffix.len || text.ptr[text.len - suffix.len - 1] == '.'))
            return &specials[i];
    }
    return NULL;
}

/* --- what the door says -------------------------------------------------------------------- */

/* The host that a name is about: without the labels of a service, where it is asked for one. */
static const char *host_of(const struct dns_query *query)
{
    const char *host = query->name.text, *dot;
    while (!wants_address(query) && *host == '_' && (dot = strchr(host, '.')))
        host = dot + 1;
    return host;
}

static void answer_by_policy(const struct answers *answers, const struct dns_query *query,
                             struct dns_answer *answer)
{
    struct address_range odd;
    struct name_lease lease;
    if (!answers->asks->name(answers->asks->context, host_of(query)))
        fail(answer, DNS_NXDOMAIN, DNS_EXTENDED_BLOCKED, "the policy of this run denies it");
    else if (address_read_odd(&query->name, &odd))
        fail(answer, DNS_NXDOMAIN, DNS_EXTENDED_OTHER, "an address and not a name");
    else if (wants_address(query) && names_lease(answers->names, query->name.text, &lease) < 0)
        fail(answer, DNS_SERVFAIL, DNS_EXTENDED_OTHER, "too many names are in use");
    else if (wants_address(query))
        set_address(answer, query, &lease.ipv4, &lease.ipv6);
}

/* --- questions ----------------------------------------------------------------------------- */

/* Types that are no data, so that no name has them. */
static const struct {
    uint16_t first, last, code;
} requests[] = {
    { DNS_TYPE_OPT, DNS_TYPE_OPT, DNS_FORMERR },
    { DNS_TYPE_META_FIRST, DNS_TYPE_IXFR - 1, DNS_NOTIMP },
    { DNS_TYPE_IXFR, DNS_TYPE_AXFR, DNS_REFUSED },
    { DNS_TYPE_AXFR + 1, DNS_TYPE_ANY - 1, DNS_NOTIMP },
};

static uint16_t refuse_request(const struct dns_query *query)
{
    if (query->class != DNS_CLASS_IN)
        return DNS_REFUSED;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        if (query->type >= requests[i].first && query->type <= requests[i].last)
            return requests[i].code;
    return DNS_NOERROR;
}

static void answer_query(const struct answers *answers, const struct dns_query *query,
                         struct dns_answer *answer)
{
    answer->code = refuse_request(query);
    if (answer->code != DNS_NOERROR || query->is_root)
        return;
    const struct special *special = query->is_host_name ? find_special(&query->name) : NULL;
    if (!query->is_host_name)
        fail(answer, DNS_NXDOMAIN, DNS_EXTENDED_BLOCKED, "not the name of a host");
    else if (special)
        special->answer(answers, query, answer);
    else
        answer_by_policy(answers, query, answer);
}

size_t answers_make(const struct answers *answers, struct str message, bool by_udp,
                    unsigned char ret[DNS_ANSWER_BYTES_MAX])
{
    struct dns_query query;
    struct dns_answer answer;
    uint16_t fault;
    enum dns_reading reading = dns_query_read(message, &query, &fault);
    if (reading == DNS_DROPPED)
        return 0;
    answer.has_data = false;
    answer.extended = DNS_EXTENDED_NONE;
    answer.extra = NULL;
    if (reading == DNS_FAULTY)
        answer.code = fault;
    else
        answer_query(answers, &query, &answer);
    return dns_answer_write(&query, &answer, by_udp ? query.udp_bytes : DNS_ANSWER_BYTES_MAX, ret);
}

/*
 * capture_rules: see the header.
 *
 * Theory of operation. The rules are written as the kernel takes them, in one
 * batch of netlink messages: a table for each family with a chain that turns
 * and a chain that refuses. A rule is a list of expressions, each of which
 * works on the first register: load something, compare it, do something. What
 * a comparison does not meet ends the rule.
 */
#include "doors/network/linux/capture_rules.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/netlink.h"

#define TABLE          "agent-machine"
#define PRIORITY_FIRST (-150)
#define PRIORITY_NAT   (-100)
#define PRIORITY_LAST  100
#define TCP_FLAGS      13   /* where they stand in its header */
#define TCP_FIRST_MASK 0x17 /* FIN, SYN, RST, ACK */
#define TCP_FIRST      0x02 /* SYN alone */

static void begin_rules(struct netlink *netlink, uint16_t kind, uint16_t flags, int family)
{
    struct nfgenmsg header = { .nfgen_family = family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6,
                               .version = NFNETLINK_V0 };
    netlink_begin(netlink, (NFNL_SUBSYS_NFTABLES << 8) | kind, (uint16_t)(flags | NLM_F_CREATE),
                  &header, sizeof(header));
}

static void batch_end_begin(struct netlink *netlink, uint16_t type)
{
    struct nfgenmsg header = { .nfgen_family = AF_UNSPEC,
                               .version = NFNETLINK_V0,
                               .res_id = htons(NFNL_SUBSYS_NFTABLES) };
    netlink_begin(netlink, type, 0, &header, sizeof(header));
}

static void add_chain(struct netlink *netlink, int family, const char *name, const char *type,
                      uint32_t hook_number, int priority)
{
    begin_rules(netlink, NFT_MSG_NEWCHAIN, 0, family);
    netlink_add_text(netlink, NFTA_CHAIN_TABLE, TABLE);
    netlink_add_text(netlink, NFTA_CHAIN_NAME, name);
    size_t hook = netlink_open(netlink, NFTA_CHAIN_HOOK);
    netlink_add_be32(netlink, NFTA_HOOK_HOOKNUM, hook_number);
    netlink_add_be32(netlink, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    netlink_close(netlink, hook);
    netlink_add_text(netlink, NFTA_CHAIN_TYPE, type);
}

struct rule {
    struct netlink *netlink;
    size_t list;
};

static struct rule rule_begin(struct netlink *netlink, int family, const char *chain)
{
    begin_rules(netlink, NFT_MSG_NEWRULE, NLM_F_APPEND, family);
    netlink_add_text(netlink, NFTA_RULE_TABLE, TABLE);
    netlink_add_text(netlink, NFTA_RULE_CHAIN, chain);
    return (struct rule){ netlink, netlink_open(netlink, NFTA_RULE_EXPRESSIONS) };
}

static void rule_end(const struct rule *rule)
{
    netlink_close(rule->netlink, rule->list);
}

/* An expression is an element with a name and data; what is added up to its end are the data. */
struct expression {
    size_t element, data;
};

static struct expression expression_begin(const struct rule *rule, const char *name)
{
    struct expression expression = { .element = netlink_open(rule->netlink, NFTA_LIST_ELEM) };
    netlink_add_text(rule->netlink, NFTA_EXPR_NAME, name);
    expression.data = netlink_open(rule->netlink, NFTA_EXPR_DATA);
    return expression;
}

static void expression_end(const struct rule *rule, const struct expression *expression)
{
    netlink_close(rule->netlink, expression->data);
    netlink_close(rule->netlink, expression->element);
}

static void add_value(const struct rule *rule, uint16_t type, const void *data, size_t len)
{
    size_t value = netlink_open(rule->netlink, type);
    netlink_add(rule->netlink, NFTA_DATA_VALUE, data, len);
    netlink_close(rule->netlink, value);
}

/* Everything is done in the first register. */
static void load_payload(const struct rule *rule, uint32_t base, size_t offset, size_t len)
{
    struct expression expression = expression_begin(rule, "payload");
    netlink_add_be32(rule->netlink, NFTA_PAYLOAD_DREG, NFT_REG_1);
    netlink_add_be32(rule->netlink, NFTA_PAYLOAD_BASE, base);
    netlink_add_be32(rule->netlink, NFTA_PAYLOAD_OFFSET, (uint32_t)offset);
    netlink_add_be32(rule->netlink, NFTA_PAYLOAD_LEN, (uint32_t)len);
    expression_end(rule, &expression);
}

static void mask(const struct rule *rule, const void *bits, size_t len)
{
    static const unsigned char nothing[16];
    struct expression expression = expression_begin(rule, "bitwise");
    netlink_add_be32(rule->netlink, NFTA_BITWISE_SREG, NFT_REG_1);
    netlink_add_be32(rule->netlink, NFTA_BITWISE_DREG, NFT_REG_1);
    netlink_add_be32(rule->netlink, NFTA_BITWISE_LEN, (uint32_t)len);
    add_value(rule, NFTA_BITWISE_MASK, bits, len);
    add_value(rule, NFTA_BITWISE_XOR, nothing, len);
    expression_end(rule, &expression);
}

static void compare(const struct rule *rule, uint32_t how, const void *data, size_t len)
{
    struct expression expression = expression_begin(rule, "cmp");
    netlink_add_be32(rule->netlink, NFTA_CMP_SREG, NFT_REG_1);
    netlink_add_be32(rule->netlink, NFTA_CMP_OP, how);
    add_value(rule, NFTA_CMP_DATA, data, len);
    expression_end(rule, &expression);
}

static void match_protocol(const struct rule *rule, uint8_t protocol)
{
    struct expression expression = expression_begin(rule, "meta");
    netlink_add_be32(rule->netlink, NFTA_META_KEY, NFT_META_L4PROTO);
    netlink_add_be32(rule->netlink, NFTA_META_DREG, NFT_REG_1);
    expression_end(rule, &expression);
    compare(rule, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

static void match_loopback(const struct rule *rule, const struct family *family, uint32_t how)
{
    load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, family->address_offset, family->address_len);
    mask(rule, family->loopback_mask, family->address_len);
    compare(rule, how, family->loopback, family->address_len);
}

static void match_own(const struct rule *rule, const struct family *family)
{
    load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, family->address_offset, family->address_len);
    compare(rule, NFT_CMP_EQ, family->own, family->address_len);
}

static void match_port(const struct rule *rule, uint32_t how, uint16_t port)
{
    uint16_t in_order = htons(port);
    load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(in_order));
    compare(rule, how, &in_order, sizeof(in_order));
}

static void match_first_packet(const struct rule *rule)
{
    static const uint8_t bits = TCP_FIRST_MASK, first = TCP_FIRST;
    load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS, sizeof(bits));
    mask(rule, &bits, sizeof(bits));
    compare(rule, NFT_CMP_EQ, &first, sizeof(first));
}

static void load_port(const struct rule *rule, uint16_t port)
{
    uint16_t in_order = htons(port);
    struct expression expression = expression_begin(rule, "immediate");
    netlink_add_be32(rule->netlink, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    add_value(rule, NFTA_IMMEDIATE_DATA, &in_order, sizeof(in_order));
    expression_end(rule, &expression);
}

static void redirect_to(const struct rule *rule, uint16_t port)
{
    load_port(rule, port);
    struct expression expression = expression_begin(rule, "redir");
    netlink_add_be32(rule->netlink, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
    expression_end(rule, &expression);
}

static void give_to(const struct rule *rule, const struct family *family, uint16_t port)
{
    load_port(rule, port);
    struct expression expression = expression_begin(rule, "tproxy");
    netlink_add_be32(rule->netlink, NFTA_TPROXY_FAMILY,
                     family->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
    netlink_add_be32(rule->netlink, NFTA_TPROXY_REG_PORT, NFT_REG_1);
    expression_end(rule, &expression);
}

static void accept_it(const struct rule *rule)
{
    struct expression expression = expression_begin(rule, "immediate");
    netlink_add_be32(rule->netlink, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = netlink_open(rule->netlink, NFTA_IMMEDIATE_DATA);
    size_t verdict = netlink_open(rule->netlink, NFTA_DATA_VERDICT);
    netlink_add_be32(rule->netlink, NFTA_VERDICT_CODE, NF_ACCEPT);
    netlink_close(rule->netlink, verdict);
    netlink_close(rule->netlink, data);
    expression_end(rule, &expression);
}

static void refuse_it(const struct rule *rule, const struct family *family)
{
    struct expression expression = expression_begin(rule, "reject");
    netlink_add_be32(rule->netlink, NFTA_REJECT_TYPE, family->reject_kind);
    netlink_add(rule->netlink, NFTA_REJECT_ICMP_CODE, &family->reject_code, 1);
    expression_end(rule, &expression);
}

static void redirect_protocol(struct netlink *netlink, const struct family *family,
                              uint8_t protocol, uint16_t from, uint16_t to)
{
    struct rule rule = rule_begin(netlink, family->family, "turn");
    match_protocol(&rule, protocol);
    if (from)
        match_port(&rule, NFT_CMP_EQ, from);
    match_loopback(&rule, family, NFT_CMP_NEQ);
    redirect_to(&rule, to);
    rule_end(&rule);
}

static void add_redirects(struct netlink *netlink, const struct family *family, uint16_t flows_port)
{
    add_chain(netlink, family->family, "turn", "nat", NF_INET_LOCAL_OUT, PRIORITY_NAT);
    redirect_protocol(netlink, family, IPPROTO_UDP, CAPTURE_NAMES_PORT, CAPTURE_NAMES_PORT);
    redirect_protocol(netlink, family, IPPROTO_TCP, CAPTURE_NAMES_PORT, CAPTURE_NAMES_PORT);
    redirect_protocol(netlink, family, IPPROTO_TCP, 0, flows_port);
}

static void add_tproxy(struct netlink *netlink, const struct family *family, uint16_t flows_port)
{
    add_chain(netlink, family->family, "turn", "filter", NF_INET_PRE_ROUTING, PRIORITY_FIRST);
    struct rule rule = rule_begin(netlink, family->family, "turn");
    match_protocol(&rule, IPPROTO_TCP);
    match_first_packet(&rule);
    match_port(&rule, NFT_CMP_NEQ, CAPTURE_NAMES_PORT);
    match_loopback(&rule, family, NFT_CMP_NEQ);
    give_to(&rule, family, flows_port);
    rule_end(&rule);
}

/* TCP ends at our listeners wherever it goes; of the rest, questions for names do. */
static void accept_what_is_turned(struct netlink *netlink, const struct family *family)
{
    struct rule rule = rule_begin(netlink, family->family, "refuse");
    match_protocol(&rule, IPPROTO_TCP);
    accept_it(&rule);
    rule_end(&rule);
    rule = rule_begin(netlink, family->family, "refuse");
    match_protocol(&rule, IPPROTO_UDP);
    match_port(&rule, NFT_CMP_EQ, CAPTURE_NAMES_PORT);
    accept_it(&rule);
    rule_end(&rule);
}

static void add_table(struct netlink *netlink, const struct family *family, enum turn turn,
                      uint16_t flows_port)
{
    begin_rules(netlink, NFT_MSG_NEWTABLE, 0, family->family);
    netlink_add_text(netlink, NFTA_TABLE_NAME, TABLE);
    if (turn == TURN_TPROXY)
        add_tproxy(netlink, family, flows_port);
    else
        add_redirects(netlink, family, flows_port);
    add_chain(netlink, family->family, "refuse", "filter", NF_INET_LOCAL_OUT, PRIORITY_LAST);
    if (turn == TURN_TPROXY)
        accept_what_is_turned(netlink, family);
    struct rule rule = rule_begin(netlink, family->family, "refuse");
    match_loopback(&rule, family, NFT_CMP_EQ);
    accept_it(&rule);
    rule_end(&rule);
    rule = rule_begin(netlink, family->family, "refuse"); /* the answers of what was turned */
    match_own(&rule, family);
    accept_it(&rule);
    rule_end(&rule);
    rule = rule_begin(netlink, family->family, "refuse");
    refuse_it(&rule, family);
    rule_end(&rule);
}

int capture_rules_write(const struct family *families, size_t count, enum turn turn,
                        const uint16_t *ports)
{
    struct netlink netlink;
    _cleanup_(cleanup_close) int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    netlink_reset(&netlink);
    batch_end_begin(&netlink, NFNL_MSG_BATCH_BEGIN);
    for (size_t i = 0; i < count; i++)
        add_table(&netlink, &families[i], turn, ports[i]);
    netlink_want_answer(&netlink);
    batch_end_begin(&netlink, NFNL_MSG_BATCH_END);
    return fd < 0 ? -errno : netlink_send(&netlink, fd);
}

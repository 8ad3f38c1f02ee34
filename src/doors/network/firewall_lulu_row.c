/*
 * firewall_lulu_row: one rule as LuLu's JSON has it.
 *
 * Addresses are matched by LuLu as they are, or by a regular expression over
 * the host's name, its address and, where there is one, the whole URL; so no
 * expression reaches over what cannot be in a name. The text of a document gets
 * into a row as a JSON string alone.
 */
#include "base/digest.h"
#include "base/json.h"
#include "doors/network/firewall_lulu.h"

#define ACTION_BLOCK   "0"
#define ACTION_ALLOW   "1"
#define TYPE_USER      "3"
#define SCOPE_ENDPOINT "1"
#define UUID_SIZE      37
#define ENDPOINT_SIZE  2048
/* A host in a regular expression: what is matched may also be a URL. */
#define ICASE  "(?i)^"
#define LABELS "[^/:?#@]+\\\\."

static bool ranges_have(const struct port_ranges *ranges, uint16_t port)
{
    for (size_t i = 0; i < ranges->count; i++) {
        if (ranges->of[i].low <= port && port <= ranges->of[i].high)
            return true;
    }
    return false;
}

bool lulu_is_at(const struct firewall_transport *transport, uint16_t port)
{
    return ranges_have(&transport->tcp, port) || ranges_have(&transport->udp, port);
}

static void add_escaped(struct buf *buf, struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        buf_addf(buf, name.ptr[i] == '.' ? "\\\\." : "%c", name.ptr[i]);
}

static void add_glob(struct buf *buf, struct str pattern)
{
    size_t star = str_index(pattern, '*', 0);
    buf_add_text(buf, ICASE);
    add_escaped(buf, str_make(pattern.ptr, star));
    buf_add_text(buf, "[^/:?#@]+");
    add_escaped(buf, str_from_offset(pattern, star + 1));
    buf_add_char(buf, '$');
}

static void add_name(struct buf *buf, const struct firewall_rule *rule)
{
    switch (rule->destination.form) {
    case DESTINATION_ITSELF:
        buf_add_str(buf, rule->name);
        return;
    case DESTINATION_BELOW:
        buf_add_text(buf, ICASE LABELS);
        break;
    case DESTINATION_ITSELF_AND_BELOW:
        buf_add_text(buf, ICASE "(" LABELS ")?");
        break;
    }
    add_escaped(buf, rule->name);
    buf_add_char(buf, '$');
}

/* One part of an IPv4 address of which the first `bits` are given. */
static void add_octet(struct buf *buf, unsigned char first, unsigned bits)
{
    unsigned last = first + (0xffu >> bits);
    if (bits == 0) {
        buf_add_text(buf, "[0-9]{1,3}");
        return;
    }
    buf_addf(buf, bits == 8 ? "%u" : "(%u", first);
    for (unsigned number = first + 1u; number <= last; number++)
        buf_addf(buf, "|%u", number);
    buf_add_text(buf, bits == 8 ? "" : ")");
}

/* False where LuLu has no way to say it. */
static bool add_range(struct buf *buf, const struct address_range *range)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    address_range_text(range, text);
    if (range->prefix_bits == (range->is_ipv6 ? 128u : 32u)) {
        buf_add_str(buf, str_make(text, str_index(str_from(text), '/', 0)));
        return true;
    }
    if (range->is_ipv6) {
        buf_add_text(buf, range->prefix_bits ? "" : "^[0-9A-Fa-f]*:[0-9A-Fa-f:.%]*$");
        return range->prefix_bits == 0;
    }
    buf_add_char(buf, '^');
    for (unsigned i = 0; i < 4; i++) {
        unsigned bits = range->prefix_bits > i * 8 ? range->prefix_bits - i * 8 : 0;
        buf_add_text(buf, i ? "\\\\." : "");
        add_octet(buf, range->address[i], bits > 8 ? 8 : bits);
    }
    buf_add_char(buf, '$');
    return true;
}

/* What the unit of a denied range allows within it at a port, so that it is not denied. */
static void add_exceptions(const struct lulu_writing *w, const struct firewall_rule *denial,
                           uint16_t port, struct buf *buf)
{
    struct firewall_transport transport;
    const char *separator = "(?!(";
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *allow = &w->plan->rules[i];
        _cleanup_(buf_release) struct buf range = BUF_INIT_LIMIT(ENDPOINT_SIZE);
        firewall_transport(allow, &transport);
        if (allow->answer != ANSWER_ALLOW || allow->skipped || allow->unit != denial->unit ||
            firewall_compare(allow, denial) > 0 || !firewall_covers(denial, allow) ||
            !lulu_is_at(&transport, port) || !add_range(&range, &allow->range))
            continue;
        bool has_anchors = range.data[0] == '^';
        buf_add_text(buf, separator);
        buf_add_str(buf, str_make(range.data + has_anchors, range.len - 2 * has_anchors));
        separator = "|";
    }
    buf_add_text(buf, separator[0] == '|' ? ")$)" : "");
}

/* The address, ready for JSON; false where there is none. */
static bool write_endpoint(const struct lulu_writing *w, const struct firewall_rule *rule,
                           uint16_t port, struct buf *ret, bool *ret_is_regex)
{
    _cleanup_(buf_release) struct buf range = BUF_INIT_LIMIT(ENDPOINT_SIZE);
    bool can = true;
    switch (rule->space) {
    case FIREWALL_ALL:
        buf_add_text(ret, LULU_ANY);
        break;
    case FIREWALL_RANGE:
        can = add_range(&range, &rule->range);
        if (can && range.data[0] == '^' && rule->answer != ANSWER_ALLOW) {
            buf_add_char(ret, '^');
            add_exceptions(w, rule, port, ret);
        }
        buf_add_str(ret, str_from_offset(buf_str(&range), ret->len != 0));
        break;
    case FIREWALL_NAME:
        add_name(ret, rule);
        break;
    case FIREWALL_GLOB:
        add_glob(ret, rule->name);
        break;
    case FIREWALL_SPACE_COUNT:
        break;
    }
    *ret_is_regex = ret->len && (ret->data[0] == '^' || ret->data[0] == '(');
    return can;
}

/* A UUID that is the same for the same rule. */
static int write_uuid(const struct lulu_writing *w, const struct firewall_rule *rule,
                      const char *port, char ret[UUID_SIZE])
{
    _cleanup_(buf_release) struct buf all = BUF_INIT;
    unsigned char d[DIGEST_BYTES];
    buf_add_str(&all, w->program);
    buf_addf(&all, "%c%u%c", '\0', rule->place, '\0');
    buf_add_str(&all, rule->document);
    buf_add_char(&all, '\0');
    buf_add_str(&all, rule->id);
    buf_addf(&all, "%c%s", '\0', port);
    int r = digest_sha256(buf_str(&all), d, w->err);
    if (r < 0)
        return r;
    d[6] = (unsigned char)((d[6] & 0x0f) | 0x80); /* version 8: of one's own making */
    d[8] = (unsigned char)((d[8] & 0x3f) | 0x80);
    snprintf(ret, UUID_SIZE, "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X",
             d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13],
             d[14], d[15]);
    return 0;
}

static void add_text(struct buf *out, const char *name, struct str value)
{
    json_add_name(out, name);
    json_add_string(out, value);
}

/* One rule of LuLu's; port 0 is "*". */
int lulu_add_row(struct lulu_writing *w, const struct firewall_rule *rule, uint16_t number,
                 bool allows)
{
    _cleanup_(buf_release) struct buf endpoint = BUF_INIT;
    char uuid[UUID_SIZE], port[8] = LULU_ANY;
    bool is_regex;
    if (!write_endpoint(w, rule, number ? number : w->other_port, &endpoint, &is_regex))
        return -EOPNOTSUPP;
    if (number)
        snprintf(port, sizeof(port), "%u", number);
    size_t slash = w->program.len;
    while (slash && w->program.ptr[slash - 1] != '/')
        slash--;
    int r = write_uuid(w, rule, port, uuid);
    if (r < 0)
        return r;
    buf_add_text(w->out, w->has_rule ? ",\n    " : "[\n    ");
    w->has_rule = true;
    buf_add_char(w->out, '{');
    add_text(w->out, "ruleId", rule->id);
    add_text(w->out, "key", w->program);
    add_text(w->out, "uuid", str_from(uuid));
    add_text(w->out, "path", w->program);
    add_text(w->out, "name", str_from_offset(w->program, slash));
    buf_addf(w->out, ",\"endpointAddr\":\"%s\"", endpoint.data);
    add_text(w->out, "endpointPort", str_from(port));
    buf_addf(w->out,
             ",\"isEndpointAddrRegex\":\"%d\",\"type\":\"" TYPE_USER
             "\",\"scope\":\"" SCOPE_ENDPOINT "\",\"action\":\"%s\"}",
             is_regex, allows ? ACTION_ALLOW : ACTION_BLOCK);
    return endpoint.error ? endpoint.error : w->out->error;
}

/*
 * lease: see the header.
 *
 * Theory of operation. lease_next finds the row of the path and calls the
 * reader of its format: statements in braces (dhclient), lines of KEY=VALUE
 * (systemd-networkd, NetworkManager), or the server's last message as it came
 * (dhcpcd). A file of the latter two is one lease.
 *
 * Threats: leases are what a server in reach has sent, and files are anybody's
 * recording: every length is checked, and only addresses, numbers and one
 * printable text come out.
 */
#include "doctor/lease.h"

#include <ctype.h>
#include <time.h>

#include "base/netlink_read.h"

#define BOOTP_OPTIONS 240 /* where options begin, behind the magic number */
#define BOOTP_YOUR    16  /* the address that is given */
#define UUID_LEN      36
#define WORD_MAX      64
#define SECONDS_MAX   INT64_C(4294967295)

typedef bool lease_reader(struct str bytes, int64_t written_ms, size_t *at, struct lease *ret);
static lease_reader read_statements, read_pairs, read_message;

enum naming { NAMED_INSIDE, NAMED_BY_NUMBER, NAMED_BEHIND_UUID, NAMED_WHOLE };

static const struct format {
    struct lease_place place;
    enum naming naming;
    lease_reader *read;
} formats[] = {
    { { "dhclient", "/var/lib/dhcp", "dhclient", ".leases" }, NAMED_INSIDE, read_statements },
    { { "dhclient", "/var/lib/dhclient", "dhclient", ".leases" }, NAMED_INSIDE, read_statements },
    { { "dhclient", "/var/lib/NetworkManager", "dhclient-", ".lease" },
      NAMED_INSIDE,
      read_statements },
    { { "NetworkManager", "/var/lib/NetworkManager", "internal-", ".lease" },
      NAMED_BEHIND_UUID,
      read_pairs },
    { { "systemd-networkd", "/run/systemd/netif/leases", "", "" }, NAMED_BY_NUMBER, read_pairs },
    { { "dhcpcd", "/var/lib/dhcpcd", "", ".lease" }, NAMED_WHOLE, read_message },
    { { "dhcpcd", "/var/lib/dhcpcd5", "dhcpcd-", ".lease" }, NAMED_WHOLE, read_message },
};

const struct lease_place *lease_place_at(size_t index)
{
    return index < ARRAY_LEN(formats) ? &formats[index].place : NULL;
}

/* --- words and numbers ---------------------------------------------------------------------- */

/* Digits at the front, up to SECONDS_MAX; -1 where there are none. */
static int64_t read_number(struct str text)
{
    int64_t number = text.len && isdigit((unsigned char)text.ptr[0]) ? 0 : -1;
    for (size_t i = 0; i < text.len && isdigit((unsigned char)text.ptr[i]); i++)
        if ((number = number * 10 + (text.ptr[i] - '0')) > SECONDS_MAX)
            return SECONDS_MAX;
    return number;
}

/* The first of several addresses, between blanks or commas. */
static void read_addresses(struct str text, struct net_address *ret)
{
    size_t end = 0;
    while (end < text.len && text.ptr[end] != ' ' && text.ptr[end] != ',')
        end++;
    (void)net_address_parse(str_make(text.ptr, end), ret);
}

static void set_length(struct lease *lease, int64_t written_ms, int64_t seconds)
{
    if (seconds >= 0)
        lease->end_ms = seconds >= LEASE_SECONDS_EVER ? INT64_MAX : written_ms + seconds * 1000;
}

/* --- lines of KEY=VALUE --------------------------------------------------------------------- */

static bool read_pairs(struct str bytes, int64_t written_ms, size_t *at, struct lease *ret)
{
    if (*at)
        return false;
    *at = 1;
    for (size_t i = 0; i < bytes.len;) {
        size_t end = str_index(bytes, '\n', i), equals = str_index(bytes, '=', i);
        if (equals < end) {
            struct str key = str_make(bytes.ptr + i, equals - i);
            struct str value = str_make(bytes.ptr + equals + 1, end - equals - 1);
            if (str_equal(key, STR("ADDRESS")))
                read_addresses(value, &ret->address);
            else if (str_equal(key, STR("SERVER_ADDRESS")))
                read_addresses(value, &ret->server);
            else if (str_equal(key, STR("ROUTER")))
                read_addresses(value, &ret->router);
            else if (str_equal(key, STR("LIFETIME")))
                set_length(ret, written_ms, read_number(value));
        }
        i = end + 1;
    }
    return ret->address.family;
}

/* --- statements in braces ------------------------------------------------------------------- */

/* `6 2026/11/21 23:00:00`, in UTC; `epoch 1795302000`; `never`. */
static int64_t read_moment(struct str text)
{
    struct tm tm = { 0 };
    char copy[WORD_MAX];
    if (str_starts(text, STR("never")))
        return INT64_MAX;
    if (str_starts(text, STR("epoch "))) {
        int64_t seconds = read_number(str_from_offset(text, strlen("epoch ")));
        return seconds < 0 ? 0 : seconds * 1000;
    }
    if (text.len < 2 || text.len >= sizeof(copy))
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (!strptime(copy + 2, "%Y/%m/%d %H:%M:%S", &tm))
        return 0;
    time_t seconds = timegm(&tm);
    return seconds > 0 && seconds < SECONDS_MAX ? (int64_t)seconds * 1000 : 0;
}

static struct str without_quotes(struct str text)
{
    bool is_quoted = text.len > 1 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"';
    return is_quoted ? str_make(text.ptr + 1, text.len - 2) : text;
}

static void read_statement(struct str statement, struct lease *ret)
{
    static const struct {
        struct str words;
        size_t offset; /* of the address */
    } addresses[] = {
        { STR("fixed-address "), offsetof(struct lease, address) },
        { STR("option routers "), offsetof(struct lease, router) },
        { STR("option dhcp-server-identifier "), offsetof(struct lease, server) },
    };
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
        if (str_starts(statement, addresses[i].words))
            read_addresses(str_from_offset(statement, addresses[i].words.len),
                           (struct net_address *)(void *)((char *)ret + addresses[i].offset));
    if (str_starts(statement, STR("interface ")))
        netlink_text(without_quotes(str_from_offset(statement, strlen("interface "))), ret->link,
                     sizeof(ret->link));
    else if (str_starts(statement, STR("expire ")))
        ret->end_ms = read_moment(str_from_offset(statement, strlen("expire ")));
    else if (str_starts(statement, STR("option v4-captive-portal ")))
        netlink_text(
            without_quotes(str_from_offset(statement, strlen("option v4-captive-portal "))),
            ret->portal, sizeof(ret->portal));
}

/* The next statement, without blanks around it; `*at` behind its end. False at a brace or the end.
 */
static bool take_statement(struct str bytes, size_t *at, struct str *ret)
{
    size_t begin = *at;
    bool is_quoted = false;
    while (begin < bytes.len && isspace((unsigned char)bytes.ptr[begin]))
        begin++;
    for (size_t i = begin; i < bytes.len; i++) {
        is_quoted ^= bytes.ptr[i] == '"' && (i == begin || bytes.ptr[i - 1] != '\\');
        if (is_quoted || (bytes.ptr[i] != ';' && bytes.ptr[i] != '}'))
            continue;
        *at = i + 1;
        *ret = str_make(bytes.ptr + begin, i - begin);
        return bytes.ptr[i] == ';';
    }
    *at = bytes.len;
    return false;
}

static bool read_statements(struct str bytes, int64_t written_ms, size_t *at, struct lease *ret)
{
    static const char word[] = "lease {";
    struct str statement;
    (void)written_ms;
    while (*at < bytes.len) {
        const char *hit = memmem(bytes.ptr + *at, bytes.len - *at, word, sizeof(word) - 1);
        const char *client = ret->client;
        if (!hit)
            return false;
        *at = (size_t)(hit - bytes.ptr) + sizeof(word) - 1;
        *ret = (struct lease){ .client = client };
        while (take_statement(bytes, at, &statement))
            read_statement(statement, ret);
        if (ret->address.family)
            return true;
    }
    return false;
}

/* --- the server's message ------------------------------------------------------------------- */

static void read_address_bytes(struct str data, struct net_address *ret)
{
    if (data.len < 4)
        return;
    *ret = (struct net_address){ .family = AF_INET };
    memcpy(ret->bytes, data.ptr, 4);
}

static bool read_message(struct str bytes, int64_t written_ms, size_t *at, struct lease *ret)
{
    static const unsigned char magic[] = { 99, 130, 83, 99 };
    enum { PAD = 0, ROUTER = 3, LENGTH = 51, SERVER = 54, PORTAL = 114, END = 255 };
    if (*at || bytes.len < BOOTP_OPTIONS ||
        memcmp(bytes.ptr + BOOTP_OPTIONS - sizeof(magic), magic, sizeof(magic)) != 0)
        return false;
    *at = 1;
    read_address_bytes(str_make(bytes.ptr + BOOTP_YOUR, 4), &ret->address);
    for (size_t i = BOOTP_OPTIONS; i < bytes.len;) {
        unsigned char code = (unsigned char)bytes.ptr[i++];
        if (code == PAD)
            continue;
        if (code == END || i == bytes.len)
            break;
        size_t len = (unsigned char)bytes.ptr[i++];
        if (len > bytes.len - i)
            break;
        struct str data = str_make(bytes.ptr + i, len);
        const unsigned char *b = (const unsigned char *)data.ptr;
        if (code == ROUTER)
            read_address_bytes(data, &ret->router);
        else if (code == SERVER)
            read_address_bytes(data, &ret->server);
        else if (code == LENGTH && len == 4)
            set_length(ret, written_ms,
                       (int64_t)b[0] << 24 | (int64_t)b[1] << 16 | (int64_t)b[2] << 8 | b[3]);
        else if (code == PORTAL)
            netlink_text(data, ret->portal, sizeof(ret->portal));
        i += len;
    }
    return ret->address.family;
}

/* --- paths ---------------------------------------------------------------------------------- */

/* The part of a path that a row leaves open; false where the path is not of that row. */
static bool take_name(const struct lease_place *place, struct str path, struct str *ret)
{
    struct str folder = str_from(place->folder), prefix = str_from(place->prefix);
    if (!str_starts(path, folder) || path.len <= folder.len || path.ptr[folder.len] != '/')
        return false;
    struct str name = str_from_offset(path, folder.len + 1);
    struct str suffix = str_from(place->suffix);
    if (!str_starts(name, prefix) || !str_ends(name, suffix) ||
        name.len < prefix.len + suffix.len || str_index(name, '/', 0) < name.len)
        return false;
    *ret = str_make(name.ptr + prefix.len, name.len - prefix.len - suffix.len);
    return true;
}

static void name_link(enum naming naming, struct str name, struct lease *ret)
{
    int64_t number = read_number(name);
    switch (naming) {
    case NAMED_INSIDE:
        break;
    case NAMED_BY_NUMBER:
        ret->link_index = number > 0 && number <= INT32_MAX ? (int)number : 0;
        break;
    case NAMED_BEHIND_UUID:
        netlink_text(str_from_offset(name, UUID_LEN + 1), ret->link, sizeof(ret->link));
        break;
    case NAMED_WHOLE:
        netlink_text(name, ret->link, sizeof(ret->link));
        break;
    }
}

bool lease_next(struct str path, struct str bytes, int64_t written_ms, size_t *at,
                struct lease *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct lease lease = { .client = formats[i].place.client };
        struct str name;
        if (!take_name(&formats[i].place, path, &name))
            continue;
        if (!formats[i].read(bytes, written_ms, at, &lease))
            return false;
        name_link(formats[i].naming, name, &lease);
        *ret = lease;
        return true;
    }
    return false;
}

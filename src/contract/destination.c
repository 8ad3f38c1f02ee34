/*
 * destination: host names, address ranges and what covers what.
 *
 * Theory of operation. Names and ranges form trees: below a name are the names
 * that end in it, below a range the ranges within it. A destination is
 * therefore kept as its path from the root, so that to cover is to be a prefix,
 * and what covers a destination is found by climbing from it, at most one step
 * for each label or bit. Whoever decides by the most specific match compares
 * the lengths of paths.
 *
 * A name is brought into one spelling first. ASCII is folded here; libidn2,
 * loaded when the first other name is met, maps that to A-labels by UTS 46 as
 * browsers and resolvers do. What then is not made of letters, digits, hyphens
 * and underscores is no host name.
 *
 * Limits: a text of more than TEXT_BYTES_MAX is no host name.
 */
#include <arpa/inet.h>
#include <idn2.h>
#include <libpsl.h>
#include <netinet/in.h>

#include "base/lazy.h"
#include "contract/destination.h"
#include "contract/uri.h"

#define LABEL_BYTES_MAX 63
#define TEXT_BYTES_MAX  (HOST_NAME_BYTES_MAX * 4) /* as UTF-8 */
#define IPV4_BITS       32
#define IPV6_BITS       128
#define MAPPED_BITS     96 /* of ::ffff:0:0, behind which IPv4 stands */

#define IDN_FUNCTIONS(X) X(idn2_lookup_u8) X(idn2_free)
LAZY_LIBRARY(idn, "libidn2.so.0", IDN_FUNCTIONS)

#define PSL_FUNCTIONS(X) X(psl_latest) X(psl_is_public_suffix2)
LAZY_LIBRARY(psl, "libpsl.so.5", PSL_FUNCTIONS)

/* --- names ---------------------------------------------------------------------------------- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Folds a name in ASCII; false where it is none. */
static bool fold_name(struct str text, struct host_name *ret)
{
    struct host_name name;
    size_t label_len = 0;
    if (text.len && text.ptr[text.len - 1] == '.')
        text.len--;
    if (!text.len || text.len > HOST_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' ? !label_len : !is_name_byte(c) || label_len == LABEL_BYTES_MAX)
            return false;
        label_len = c == '.' ? 0 : label_len + 1;
        name.text[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    if (!label_len)
        return false;
    name.text[text.len] = '\0';
    *ret = name;
    return true;
}

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false;
    }
    return true;
}

int host_name_read(struct str text, struct host_name *ret, struct err *err)
{
    char unicode[TEXT_BYTES_MAX + 1];
    uint8_t *ascii = NULL;
    if (is_ascii(text))
        return fold_name(text, ret);
    if (text.len > TEXT_BYTES_MAX || memchr(text.ptr, '\0', text.len))
        return 0;
    int r = lazy_load(&idn_library, err);
    if (r < 0)
        return r;
    memcpy(unicode, text.ptr, text.len);
    unicode[text.len] = '\0';
    r = idn.idn2_lookup_u8((const uint8_t *)unicode, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (r == IDN2_MALLOC)
        return err_set(err, ERR_MEMORY, "read a host name", "there is not enough memory");
    if (r != IDN2_OK)
        return 0;
    r = fold_name(str_from((const char *)ascii), ret);
    idn.idn2_free(ascii);
    return r;
}

/* The newest list that the host has is read once and kept. */
int host_name_is_public_suffix(const struct host_name *name, struct err *err)
{
    static psl_ctx_t *list;
    int r = lazy_load(&psl_library, err);
    if (r < 0)
        return r;
    if (!list)
        list = psl.psl_latest(NULL);
    if (!list)
        return err_set(err, ERR_UNSUPPORTED, "look up a public suffix",
                       "libpsl has no list of public suffixes; install the package publicsuffix");
    /* Without the rule that any last label is one: private networks have last labels too. */
    return psl.psl_is_public_suffix2(list, name->text, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE) != 0;
}

/* --- addresses ------------------------------------------------------------------------------ */

/* Of an address whose first bits count; clears the others. */
static void mask_address(struct address_range *range)
{
    range->has_host_bits = false;
    for (unsigned i = 0; i < sizeof(range->address); i++) {
        unsigned kept = range->prefix_bits > i * 8 ? range->prefix_bits - i * 8 : 0;
        unsigned char mask = (unsigned char)(kept >= 8 ? 0xff : 0xff00 >> kept);
        range->has_host_bits = range->has_host_bits || (range->address[i] & ~mask) != 0;
        range->address[i] &= mask;
    }
}

/* The number behind a slash; false where it is none or beyond the bits of the family. */
static bool read_prefix(struct str digits, unsigned bits, unsigned *ret)
{
    unsigned number = 0;
    if (!digits.len || digits.len > 3 || (digits.len > 1 && digits.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        number = number * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    *ret = number;
    return number <= bits;
}

bool address_range_read(struct str text, struct address_range *ret)
{
    struct address_range range = { 0 };
    char address[INET6_ADDRSTRLEN];
    size_t slash = str_index(text, '/', 0);
    if (slash >= sizeof(address) || memchr(text.ptr, '\0', slash))
        return false;
    memcpy(address, text.ptr, slash);
    address[slash] = '\0';
    range.is_ipv6 = memchr(address, ':', slash) != NULL;
    range.prefix_bits = range.is_ipv6 ? IPV6_BITS : IPV4_BITS;
    if (inet_pton(range.is_ipv6 ? AF_INET6 : AF_INET, address, range.address) != 1)
        return false;
    if (slash < text.len &&
        !read_prefix(str_from_offset(text, slash + 1), range.prefix_bits, &range.prefix_bits))
        return false;
    struct in6_addr full;
    memcpy(&full, range.address, sizeof(full));
    if (range.is_ipv6 && range.prefix_bits >= MAPPED_BITS && IN6_IS_ADDR_V4MAPPED(&full)) {
        range.is_ipv6 = false;
        range.prefix_bits -= MAPPED_BITS;
        memset(range.address, 0, sizeof(range.address));
        memcpy(range.address, full.s6_addr + MAPPED_BITS / 8, IPV4_BITS / 8);
    }
    mask_address(&range);
    *ret = range;
    return true;
}

bool address_read_odd(const struct host_name *name, struct address_range *ret)
{
    struct address_range range = { .prefix_bits = IPV4_BITS };
    struct in_addr address;
    if (!inet_aton(name->text, &address))
        return false;
    memcpy(range.address, &address, sizeof(address));
    *ret = range;
    return true;
}

void address_range_text(const struct address_range *range, char ret_text[ADDRESS_RANGE_TEXT_SIZE])
{
    char address[INET6_ADDRSTRLEN];
    inet_ntop(range->is_ipv6 ? AF_INET6 : AF_INET, range->address, address, sizeof(address));
    snprintf(ret_text, ADDRESS_RANGE_TEXT_SIZE, "%s/%u", address, range->prefix_bits);
}

/* --- destinations --------------------------------------------------------------------------- */

enum destination_form destination_form_take(struct str *pattern)
{
    bool star = str_starts(*pattern, STR("*."));
    bool dot = str_starts(*pattern, STR("."));
    *pattern = str_from_offset(*pattern, star ? 2 : dot);
    return star ? DESTINATION_BELOW : dot ? DESTINATION_ITSELF_AND_BELOW : DESTINATION_ITSELF;
}

static struct str path_of_range(const struct address_range *range, char path[DESTINATION_PATH_SIZE])
{
    size_t len = 0;
    path[len++] = '/';
    path[len++] = range->is_ipv6 ? '6' : '4';
    for (unsigned i = 0; i < range->prefix_bits; i++)
        path[len++] = (char)('0' + (range->address[i / 8] >> (7 - i % 8) & 1));
    return str_make(path, len);
}

static struct str path_of_name(const struct host_name *name, char path[DESTINATION_PATH_SIZE])
{
    size_t len = 0;
    for (size_t end = strlen(name->text), start = end; end; end = start ? start - 1 : 0) {
        for (start = end; start && name->text[start - 1] != '.'; start--)
            ;
        memcpy(path + len, name->text + start, end - start);
        len += end - start;
        path[len++] = '.';
    }
    return str_make(path, len);
}

int destination_read(struct str text, char path[DESTINATION_PATH_SIZE], struct destination *ret,
                     struct err *err)
{
    struct address_range range;
    struct host_name name;
    bool is_everything = str_equal(text, STR("*"));
    bool is_range = !is_everything && address_range_read(text, &range);
    if (is_everything || is_range) {
        struct str root = str_make(path, 0);
        *ret = (struct destination){ DESTINATION_ITSELF_AND_BELOW,
                                     is_range ? path_of_range(&range, path) : root };
        return 1;
    }
    enum destination_form form = destination_form_take(&text);
    int r = host_name_read(text, &name, err);
    if (r <= 0)
        return r;
    if (form == DESTINATION_ITSELF && address_read_odd(&name, &range))
        *ret = (struct destination){ DESTINATION_ITSELF_AND_BELOW, path_of_range(&range, path) };
    else
        *ret = (struct destination){ form, path_of_name(&name, path) };
    return 1;
}

bool destination_covers(const struct destination *wide, const struct destination *narrow)
{
    if (!str_starts(narrow->path, wide->path))
        return false;
    if (narrow->path.len > wide->path.len)
        return wide->form != DESTINATION_ITSELF;
    return wide->form == narrow->form || wide->form == DESTINATION_ITSELF_AND_BELOW;
}

bool destination_climb(struct destination *destination)
{
    struct str path = destination->path;
    bool is_range = path.len && path.ptr[0] == '/';
    if (path.len)
        path.len--;
    while (path.len && !is_range && path.ptr[path.len - 1] != '.')
        path.len--;
    if (path.len < (is_range ? strlen("/4") : 1))
        return false;
    destination->path = path;
    return true;
}

bool destination_is_loopback(const struct destination *destination)
{
    static const char *const places[] = { "localhost", "127.0.0.0/8", "::1" };
    char path[DESTINATION_PATH_SIZE];
    struct destination place;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (destination_read(str_from(places[i]), path, &place, NULL) == 1 &&
            destination_covers(&place, destination))
            return true;
    }
    return false;
}

/* The host of an authority, without brackets; empty where it has none. */
static struct str host_of(struct str authority)
{
    const char *user_end = authority.len ? memrchr(authority.ptr, '@', authority.len) : NULL;
    struct str host =
        user_end ? str_from_offset(authority, (size_t)(user_end - authority.ptr) + 1) : authority;
    if (!str_starts(host, STR("[")))
        return str_make(host.ptr, str_index(host, ':', 0));
    size_t end = str_index(host, ']', 0);
    bool ends_there = end + 1 == host.len || (end + 1 < host.len && host.ptr[end + 1] == ':');
    return ends_there ? str_make(host.ptr + 1, end - 1) : STR("");
}

int url_is_loopback(struct str url, struct err *err)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination destination;
    if (!str_starts(url, STR("http://")) && !str_starts(url, STR("https://")))
        return 0;
    int r = destination_read(host_of(uri_split(url).authority), path, &destination, err);
    return r == 1 ? destination_is_loopback(&destination) : r;
}

/*
 * references: see the header.
 *
 * Theory of operation. Documents become rows (references_read.c), in lists that
 * are sorted after each document: hosts by their path from the root, so that
 * what covers a host is found by climbing from it, a binary search for each
 * label or bit; proxies by their reference. Of what is equal the highest layer
 * stands first. Two rows that are equal in their layer too would mean two
 * things, and are an error.
 *
 * Invariants: a look-up allocates nothing and never fails. No secret is kept: a
 * reference to one is resolved when somebody asks for what a proxy is shown,
 * into locked memory that is the caller's.
 */
#include "authority/references.h"

#include "authority/references_internal.h"
#include "authority/secret_internal.h"
#include "base/sign.h"

#define BASIC  "Basic "
#define BEARER "Bearer "

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_REFERENCES, "there is not enough memory");
}

/* --- keeping --------------------------------------------------------------------------------- */

int references_new(struct references **ret, struct err *err)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : no_memory(err);
}

void references_free(struct references *references)
{
    if (!references)
        return;
    free(references->names.rows);
    free(references->connectors.rows);
    free(references->proxies.rows);
    free(references->authorities.rows);
    free(references->maps.rows);
    arena_release(&references->arena);
    free(references);
}

void *reference_list_add(struct reference_list *list, size_t size)
{
    if (list->count == list->capacity) {
        size_t larger = list->capacity ? list->capacity * 2 : 16;
        void *rows = realloc(list->rows, larger * size);
        if (!rows)
            return NULL;
        list->rows = rows;
        list->capacity = larger;
    }
    void *row = (char *)list->rows + size * list->count++;
    memset(row, 0, size);
    return row;
}

static int compare_texts(struct str a, struct str b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_hosts(const void *a, const void *b)
{
    const struct reference_host *left = a, *right = b;
    int order = compare_texts(left->destination.path, right->destination.path);
    if (order == 0)
        order = (int)left->layer - (int)right->layer;
    return order ? order : (int)left->destination.form - (int)right->destination.form;
}

static int compare_proxies(const void *a, const void *b)
{
    const struct reference_proxy *left = a, *right = b;
    int order = compare_texts(left->reference, right->reference);
    return order ? order : (int)left->layer - (int)right->layer;
}

/* The order in which they stand is their documents'; only layers are compared. */
static int compare_authorities(const void *a, const void *b)
{
    const struct reference_authority *left = a, *right = b;
    int order = (int)left->layer - (int)right->layer;
    return order ? order : strcmp(left->path, right->path);
}

static int compare_maps(const void *a, const void *b)
{
    const struct reference_map *left = a, *right = b;
    return (int)left->layer - (int)right->layer;
}

typedef int compare_rows(const void *a, const void *b);

/* Sorts a list; the first row that is equal to the one before it, or NULL. */
static const void *sort(struct reference_list *list, size_t size, compare_rows *compare)
{
    const char *rows = list->rows;
    if (list->count)
        qsort(list->rows, list->count, size, compare);
    for (size_t i = 1; i < list->count; i++) {
        if (compare(rows + (i - 1) * size, rows + i * size) == 0)
            return rows + i * size;
    }
    return NULL;
}

static int stands_twice(const char *document, const char *section, struct str key, struct err *err)
{
    return references_fault(err, document, section, key,
                            "this layer says it twice; leave one of them out");
}

int references_add(struct references *references, enum layer layer, const char *name,
                   const yyjson_val *root, struct err *err)
{
    int r = references_read(references, layer, name, root, err);
    if (r < 0)
        return r;
    const struct reference_host *host = sort(&references->names, sizeof(*host), compare_hosts);
    if (host)
        return stands_twice(name, "names", host->destination.path, err);
    host = sort(&references->connectors, sizeof(*host), compare_hosts);
    if (host)
        return stands_twice(name, "connectors", host->destination.path, err);
    const struct reference_proxy *proxy =
        sort(&references->proxies, sizeof(*proxy), compare_proxies);
    if (proxy)
        return stands_twice(name, "proxies", proxy->reference, err);
    /* An authority or a secret that is named twice is the same one, or found in the first map. */
    (void)sort(&references->authorities, sizeof(struct reference_authority), compare_authorities);
    (void)sort(&references->maps, sizeof(struct reference_map), compare_maps);
    return 0;
}

/* --- hosts ----------------------------------------------------------------------------------- */

/* The first row of a path; count where there is none. */
static size_t find_path(const struct reference_list *list, struct str path)
{
    const struct reference_host *rows = list->rows;
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_texts(rows[middle].destination.path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count && str_equal(rows[low].destination.path, path) ? low : list->count;
}

/* Of the rows of a path that cover a host: that of the highest layer, and of the narrowest form. */
static const struct reference_host *find_row(const struct reference_list *list, struct str path,
                                             bool is_whole, const struct reference_host *best)
{
    const struct reference_host *rows = list->rows;
    enum destination_form other = is_whole ? DESTINATION_BELOW : DESTINATION_ITSELF;
    for (size_t i = find_path(list, path);
         i < list->count && str_equal(rows[i].destination.path, path); i++) {
        if (rows[i].destination.form != other)
            return !best || rows[i].layer < best->layer ? &rows[i] : best;
    }
    return best;
}

static const struct reference_host *find_host(const struct reference_list *list, struct str host)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination at;
    const struct reference_host *best = NULL;
    bool is_whole = true;
    if (!list->count || destination_read(host, path, &at, NULL) <= 0)
        return NULL;
    do {
        best = find_row(list, at.path, is_whole, best);
        is_whole = false;
    } while (destination_climb(&at));
    return find_row(list, STR(""), false, best);
}

size_t references_addresses(const struct references *references, struct str name,
                            struct address_range ret[REFERENCES_ADDRESSES_MAX])
{
    const struct reference_host *row = references ? find_host(&references->names, name) : NULL;
    if (!row)
        return 0;
    memcpy(ret, row->addresses, row->address_count * sizeof(*ret));
    return row->address_count;
}

bool references_is_connector(const struct references *references, struct str host)
{
    return references && find_host(&references->connectors, host);
}

/* --- proxies --------------------------------------------------------------------------------- */

const struct reference_proxy *references_proxy(const struct references *references,
                                               struct str reference)
{
    const struct reference_proxy *rows = references ? references->proxies.rows : NULL;
    size_t low = 0, high = references ? references->proxies.count : 0, count = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_texts(rows[middle].reference, reference) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && str_equal(rows[low].reference, reference) ? &rows[low] : NULL;
}

bool reference_proxy_leaves_out(const struct reference_proxy *proxy, struct str host, uint16_t port)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination at;
    if (destination_read(host, path, &at, NULL) <= 0)
        return false;
    for (size_t i = 0; i < proxy->no_proxy_count; i++) {
        const struct no_proxy *row = &proxy->no_proxy[i];
        if ((!row->port || row->port == port) && destination_covers(&row->destination, &at))
            return true;
    }
    return destination_is_loopback(&at);
}

/* --- authorities and secrets ----------------------------------------------------------------- */

size_t references_authority_count(const struct references *references)
{
    return references ? references->authorities.count : 0;
}

struct reference_authority references_authority(const struct references *references, size_t index)
{
    const struct reference_authority *rows = references->authorities.rows;
    return rows[index];
}

int references_secret(const struct references *references, struct str reference,
                      struct secret **ret, struct err *err)
{
    const struct reference_map *rows = references ? references->maps.rows : NULL;
    const yyjson_val *map = NULL;
    for (size_t i = 0; references && !map && i < references->maps.count; i++) {
        if (yyjson_obj_getn((yyjson_val *)rows[i].map, reference.ptr, reference.len))
            map = rows[i].map;
    }
    return secret_resolve(map, reference, ret, err);
}

/* Nothing that could end a header, or begin another. */
static bool can_be_shown(struct str secret, bool is_pair)
{
    for (size_t i = 0; i < secret.len; i++) {
        unsigned char c = (unsigned char)secret.ptr[i];
        if (c < ' ' || c == 0x7f || (!is_pair && (c == ' ' || c >= 0x80)))
            return false;
    }
    return !is_pair || str_index(secret, ':', 0) < secret.len;
}

int references_authorize(const struct references *references, const struct reference_proxy *proxy,
                         struct secret **ret, struct err *err)
{
    _cleanup_(cleanup_secret) struct secret *secret = NULL;
    if (!proxy->authorization.len) {
        *ret = NULL;
        return 0;
    }
    int r = references_secret(references, proxy->authorization, &secret, err);
    if (r < 0)
        return r;
    struct str value = secret_value(secret);
    if (!can_be_shown(value, !proxy->bearer)) {
        r = err_set(err, ERR_DOCUMENT, SECRET_STEP,
                    proxy->bearer ? "the secret is no bearer token: a line of ASCII without blanks"
                                  : "the secret is not of the form USER:PASSWORD, on one line");
        err_where(err, "%.*s", STR_ARG(proxy->authorization));
        return r;
    }
    if (proxy->kind == PROXY_SOCKS5) {
        *ret = TAKE_PTR(secret);
        return 0;
    }
    /* In base64 three bytes become four; what is made stays in locked memory. */
    size_t size = strlen(BEARER) + (value.len + 2) / 3 * 4 + 1;
    _cleanup_(cleanup_secret) struct secret *header = secret_new(size, err);
    if (!header)
        return -ENOMEM;
    struct buf out = { .data = header->bytes, .capacity = size, .limit = size - 1 };
    buf_add_text(&out, proxy->bearer ? BEARER : BASIC);
    (void)(proxy->bearer ? buf_add_str(&out, value) : base64_add(&out, value));
    assert(!out.error && out.data == header->bytes);
    header->len = out.len;
    *ret = TAKE_PTR(header);
    return 0;
}

/*
 * references: see the header.
 *
 * Theory of operation. Documents become rows (references_read.c): hosts in an
 * index of destinations, whose values begin with the layer; proxies sorted by
 * their reference, and then by layer. Rows that are equal in their layer too
 * would mean two things, and are an error.
 *
 * Invariants: a look-up allocates nothing and never fails. No secret is kept: a
 * reference to one is resolved when somebody asks for what a proxy is shown,
 * into locked memory that is the caller's.
 */
#include "authority/references.h"

#include "authority/references_internal.h"
#include "authority/secret_internal.h"
#include "base/json.h"
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
    destination_index_release(&references->by_name);
    destination_index_release(&references->connectors);
    free(references->proxies.rows);
    free(references->authorities.rows);
    free(references->maps.rows);
    free(references->probes.rows);
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

static int compare_proxies(const void *a, const void *b)
{
    const struct reference_proxy *left = a, *right = b;
    int order = compare_texts(left->reference, right->reference);
    return order ? order : (int)left->layer - (int)right->layer;
}

static int compare_authorities(const void *a, const void *b)
{
    const struct reference_authority *left = a, *right = b;
    int order = (int)left->layer - (int)right->layer;
    return order ? order : strcmp(left->path, right->path);
}

static int compare_maps(const void *a, const void *b)
{
    const struct reference_map *left = a, *right = b;
    int order = (int)left->layer - (int)right->layer;
    return order ? order : strcmp(left->document, right->document);
}

static int compare_probes(const void *a, const void *b)
{
    const struct reference_probe *left = a, *right = b;
    int order = (int)left->kind - (int)right->kind;
    order = order ? order : (int)left->layer - (int)right->layer;
    return order ? order : compare_texts(left->text, right->text);
}

static void sort(struct reference_list *list, size_t size,
                 int (*compare)(const void *a, const void *b))
{
    if (list->count)
        qsort(list->rows, list->count, size, compare);
}

static int stands_twice(const char *document, const char *section, struct str key, struct err *err)
{
    return references_fault(err, document, section, key,
                            "this layer says it twice; leave one of them out");
}

static enum layer layer_of(uint32_t value)
{
    return (enum layer)(value >> REFERENCE_LAYER_SHIFT);
}

static int check_hosts(const struct destination_index *index, const char *document,
                       const char *section, struct err *err)
{
    for (size_t i = 1; i < index->count; i++) {
        const struct destination_row *row = &index->rows[i], *before = row - 1;
        if (row->destination.form == before->destination.form &&
            layer_of(row->value) == layer_of(before->value) &&
            str_equal(row->destination.path, before->destination.path))
            return stands_twice(document, section, row->destination.path, err);
    }
    return 0;
}

static int check_proxies(const struct reference_list *list, const char *document, struct err *err)
{
    const struct reference_proxy *rows = list->rows;
    for (size_t i = 1; i < list->count; i++) {
        if (compare_proxies(&rows[i - 1], &rows[i]) == 0)
            return stands_twice(document, "proxies", rows[i].reference, err);
    }
    return 0;
}

int references_add(struct references *references, enum layer layer, const char *name,
                   const yyjson_val *root, struct err *err)
{
    int r = references_read(references, layer, name, root, err);
    if (r < 0)
        return r;
    destination_index_sort(&references->by_name);
    destination_index_sort(&references->connectors);
    sort(&references->proxies, sizeof(struct reference_proxy), compare_proxies);
    sort(&references->authorities, sizeof(struct reference_authority), compare_authorities);
    sort(&references->maps, sizeof(struct reference_map), compare_maps);
    sort(&references->probes, sizeof(struct reference_probe), compare_probes);
    /* What else a layer names twice is the same one, or a secret, which the first file has. */
    r = check_hosts(&references->by_name, name, "names", err);
    return r < 0 ? r : check_proxies(&references->proxies, name, err);
}

/* --- hosts ----------------------------------------------------------------------------------- */

size_t references_addresses(const struct references *references, struct str name,
                            struct address_range ret[REFERENCES_ADDRESSES_MAX])
{
    char path[DESTINATION_PATH_SIZE];
    struct destination_walk walk;
    struct destination host;
    uint32_t value, best = UINT32_MAX;
    if (!references || !references->names.count || destination_read(name, path, &host, NULL) <= 0)
        return 0;
    destination_walk_begin(&walk, &references->by_name, &host);
    while (destination_walk_next(&walk, &value)) {
        if (best == UINT32_MAX || layer_of(value) < layer_of(best))
            best = value;
    }
    if (best == UINT32_MAX)
        return 0;
    const struct reference_name *rows = references->names.rows;
    const struct reference_name *row = &rows[best % REFERENCE_ROWS_MAX];
    memcpy(ret, row->addresses, row->address_count * sizeof(*ret));
    return row->address_count;
}

bool references_is_connector(const struct references *references, struct str host)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination_walk walk;
    struct destination at;
    uint32_t value;
    if (!references || destination_read(host, path, &at, NULL) <= 0)
        return false;
    destination_walk_begin(&walk, &references->connectors, &at);
    return destination_walk_next(&walk, &value);
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

size_t references_probe_count(const struct references *references)
{
    return references ? references->probes.count : 0;
}

struct reference_probe references_probe(const struct references *references, size_t index)
{
    const struct reference_probe *rows = references->probes.rows;
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

bool reference_proxy_takes_one_round(const struct reference_proxy *proxy)
{
    return proxy->scheme == PROXY_BASIC || proxy->scheme == PROXY_BEARER;
}

int references_each_secret(const struct references *references, references_visit_secret *visit,
                           void *context, struct err *err)
{
    const struct reference_map *rows = references ? references->maps.rows : NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && references && i < references->maps.count; i++) {
        size_t index, count;
        yyjson_val *key, *source;
        yyjson_obj_foreach((yyjson_val *)rows[i].map, index, count, key, source)
        {
            r = r == 0 ? visit(context, json_str(key), err) : r;
        }
    }
    return r;
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
    bool is_bearer = proxy->scheme == PROXY_BEARER, is_basic = proxy->scheme == PROXY_BASIC;
    if (!can_be_shown(value, !is_bearer)) {
        r = err_set(err, ERR_DOCUMENT, SECRET_STEP,
                    is_bearer ? "the secret is no bearer token: a line of ASCII without blanks"
                              : "the secret is not of the form USER:PASSWORD, on one line");
        err_where(err, "%.*s", STR_ARG(proxy->authorization));
        return r;
    }
    /* In base64 three bytes become four; what is made stays in locked memory. */
    size_t size = strlen(BEARER) + (value.len + 2) / 3 * 4 + 1;
    _cleanup_(cleanup_secret) struct secret *header = secret_new(size, err);
    if (!header)
        return -ENOMEM;
    struct buf out = { .data = header->bytes, .capacity = size, .limit = size - 1 };
    buf_add_text(&out, is_bearer ? BEARER : is_basic ? BASIC : "");
    (void)(is_basic ? base64_add(&out, value) : buf_add_str(&out, value));
    assert(!out.error && out.data == header->bytes);
    header->len = out.len;
    *ret = TAKE_PTR(header);
    return 0;
}

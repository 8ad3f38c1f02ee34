/*
 * references_read: from a references document to rows.
 *
 * Theory of operation. The document is held against its few members by hand,
 * strictly: what is not known, is of another type or could be meant in two ways
 * is an error that names its place. One table says what a document has; each of
 * its sections is a list or an object of rows, and a function reads one row.
 *
 * Threats: a workspace that would have the user's secrets sent to a proxy of its
 * own, or a command run for one: it has neither secrets nor authorization. A
 * credential within a url, which would stand in documents and in logs.
 *
 * Limits: those of references.h.
 */
#include "authority/policy.h"
#include "authority/references_internal.h"
#include "base/json.h"
#include "contract/rules.h"
#include "contract/uri.h"
#include "contract/vocabulary.h"

#define PLACE_KEY_MAX 200 /* bytes of a key in an error's place */

struct reading {
    struct references *references;
    enum layer layer;
    const char *name;
    const char *section;
    struct err *err;
};

int references_fault(struct err *err, const char *name, const char *section, struct str key,
                     const char *format, ...)
{
    _cleanup_(buf_release) struct buf place = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    int r = err_setv(err, ERR_DOCUMENT, STEP_REFERENCES, format, arguments);
    va_end(arguments);
    if (key.len > PLACE_KEY_MAX)
        key.len = PLACE_KEY_MAX;
    if (key.ptr)
        json_pointer_add(&place, key);
    err_where(err, "%s: %s%s%s", name, section[0] ? "/" : "", section, place.data);
    return r;
}

#define FAULT(reading, key, ...)                                                                   \
    references_fault((reading)->err, (reading)->name, (reading)->section, key, __VA_ARGS__)

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_REFERENCES, "there is not enough memory");
}

/* A text that can be shown and handed to the system. */
static bool is_text(const yyjson_val *value)
{
    struct str text = text_of(value);
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len && text.len <= REFERENCES_TEXT_MAX;
}

/* 1, with a path that lasts; 0 where the text is no destination. */
static int read_destination(struct reading *reading, struct str text, struct destination *ret)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination destination;
    int r = destination_read(text, path, &destination, reading->err);
    if (r <= 0)
        return r;
    destination.path.ptr = arena_copy(&reading->references->arena, destination.path);
    if (!destination.path.ptr)
        return no_memory(reading->err);
    *ret = destination;
    return 1;
}

static int add_destination(struct reading *reading, struct destination_index *index,
                           const struct destination *destination, size_t number)
{
    uint32_t layer = (uint32_t)reading->layer << REFERENCE_LAYER_SHIFT;
    if (number >= REFERENCE_ROWS_MAX)
        return err_set(reading->err, ERR_LIMIT, STEP_REFERENCES, "there are too many hosts");
    return destination_index_add(index, destination, layer | (uint32_t)number) < 0
               ? no_memory(reading->err)
               : 0;
}

/* --- names and connectors -------------------------------------------------------------------- */

static int read_addresses(struct reading *reading, struct str key, const yyjson_val *value,
                          struct reference_name *row)
{
    bool is_list = yyjson_is_arr((yyjson_val *)value);
    size_t count = is_list ? yyjson_arr_size((yyjson_val *)value) : 1;
    if (!count || count > REFERENCES_ADDRESSES_MAX)
        return FAULT(reading, key, "a name has 1 to %d addresses", REFERENCES_ADDRESSES_MAX);
    struct address_range *addresses =
        arena_array(&reading->references->arena, struct address_range, count);
    if (!addresses)
        return no_memory(reading->err);
    for (size_t i = 0; i < count; i++) {
        struct str text =
            text_of(is_list ? yyjson_arr_get((yyjson_val *)value, i) : (yyjson_val *)value);
        if (!text.len || str_index(text, '/', 0) < text.len ||
            !address_range_read(text, &addresses[i]))
            return FAULT(reading, key, "item %zu is no address, as 10.1.2.3 or fd12::3 is", i + 1);
    }
    *row = (struct reference_name){ addresses, count };
    return 0;
}

static int read_name(struct reading *reading, struct str key, const yyjson_val *value)
{
    struct references *references = reading->references;
    struct destination destination;
    int r = read_destination(reading, key, &destination);
    if (r < 0)
        return r;
    if (r == 0 || !destination.path.len || destination.path.ptr[0] == '/')
        return FAULT(reading, key, "a name is a host name, *.NAME or .NAME");
    r = add_destination(reading, &references->by_name, &destination, references->names.count);
    struct reference_name *row =
        r < 0 ? NULL : reference_list_add(&references->names, sizeof(*row));
    if (!row)
        return r < 0 ? r : no_memory(reading->err);
    return read_addresses(reading, key, value, row);
}

static int read_connector(struct reading *reading, struct str key, const yyjson_val *value)
{
    struct destination_index *connectors = &reading->references->connectors;
    struct destination destination;
    int r = read_destination(reading, text_of(value), &destination);
    if (r == 0)
        return FAULT(reading, key, "a connector is a host name, an address or a range");
    return r < 0 ? r : add_destination(reading, connectors, &destination, connectors->count);
}

/* --- proxies --------------------------------------------------------------------------------- */

static const struct scheme {
    const char *name;
    enum proxy_kind kind;
} schemes[] = {
    { "http", PROXY_HTTP },
    { "https", PROXY_HTTPS },
    { "socks5", PROXY_SOCKS5 },
    { "socks5h", PROXY_SOCKS5 }, /* here the proxy resolves either way */
};

/* A host as it is compared, or an address. */
static bool read_host(struct str text, char ret[HOST_NAME_BYTES_MAX + 1])
{
    struct host_name name;
    struct address_range address;
    if (str_index(text, '/', 0) == text.len && address_range_read(text, &address))
        snprintf(ret, HOST_NAME_BYTES_MAX + 1, "%.*s", STR_ARG(text));
    else if (host_name_read(text, &name, NULL) == 1 && !address_read_odd(&name, &address))
        memcpy(ret, name.text, HOST_NAME_BYTES_MAX + 1);
    else
        return false;
    return true;
}

static const char *read_url(const yyjson_val *value, struct reference_proxy *proxy)
{
    struct str host;
    struct uri uri;
    const struct scheme *scheme = NULL;
    if (!is_text(value) || !uri_parse(text_of(value), URI_ASCII, &uri) || !uri.has_authority)
        return "a url reads http://HOST:PORT";
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        scheme = str_equal(uri.scheme, str_from(schemes[i].name)) ? &schemes[i] : scheme;
    if (!scheme)
        return "a proxy's url is of http, https, socks5 or socks5h";
    if (str_index(uri.authority, '@', 0) < uri.authority.len)
        return "a url carries no credential; keep it where authorizationRef leads to";
    if (uri.has_query || uri.has_fragment || (uri.path.len && !str_equal(uri.path, STR("/"))))
        return "nothing stands behind the port of a proxy's url";
    if (!destination_split_port(uri.authority, &host, &proxy->port) || !proxy->port)
        return "a proxy's url names its host and its port";
    proxy->url = text_of(value);
    proxy->kind = scheme->kind;
    return read_host(host, proxy->host) ? NULL
                                        : "the host of a proxy's url is a name or an address";
}

static int read_no_proxy(struct reading *reading, struct str key, const yyjson_val *list,
                         struct reference_proxy *proxy)
{
    size_t count = yyjson_arr_size((yyjson_val *)list);
    yyjson_arr_iter iterator;
    if (!yyjson_is_arr((yyjson_val *)list) || count > REFERENCES_NO_PROXY_MAX)
        return FAULT(reading, key, "noProxy is a list of at most %d hosts",
                     REFERENCES_NO_PROXY_MAX);
    proxy->no_proxy = arena_array(&reading->references->arena, struct no_proxy, count + 1);
    if (!proxy->no_proxy)
        return no_memory(reading->err);
    yyjson_arr_iter_init((yyjson_val *)list, &iterator);
    for (const yyjson_val *item; (item = yyjson_arr_iter_next(&iterator));) {
        struct no_proxy *row = &proxy->no_proxy[proxy->no_proxy_count++];
        struct str host;
        int r = destination_split_port(text_of(item), &host, &row->port)
                    ? read_destination(reading, host, &row->destination)
                    : 0;
        if (r < 0)
            return r;
        if (r == 0)
            return FAULT(reading, key,
                         "noProxy: item %zu is no host, address or range, with or without a port",
                         proxy->no_proxy_count);
        if (row->destination.form == DESTINATION_ITSELF)
            row->destination.form = DESTINATION_ITSELF_AND_BELOW;
    }
    return 0;
}

static const char *read_authorization(const struct reading *reading, const yyjson_val *value,
                                      struct reference_proxy *proxy)
{
    if (reading->layer == LAYER_WORKSPACE)
        return "a proxy of a workspace has none: it could have any secret sent anywhere";
    proxy->authorization = text_of(value);
    return secret_is_reference(proxy->authorization) ? NULL
                                                     : "a reference reads secret://SCOPE/PATH";
}

static const char *const scheme_names[] = {
#define X(scheme, name) [scheme] = name,
    PROXY_SCHEME_TABLE(X)
#undef X
};

static const char *read_scheme(const struct reading *reading, const yyjson_val *value,
                               struct reference_proxy *proxy)
{
    for (size_t i = 0; i < PROXY_SCHEME_COUNT; i++) {
        if (!text_is(value, scheme_names[i]))
            continue;
        proxy->scheme = (enum proxy_scheme)i;
        return i == PROXY_NEGOTIATE && reading->layer == LAYER_WORKSPACE
                   ? "a proxy of a workspace has none: it could have a ticket sent anywhere"
                   : NULL;
    }
    return "it is basic, bearer, digest, ntlm or negotiate";
}

/* What a scheme needs beside it; NULL where it has it. */
static const char *wrong_scheme(const yyjson_val *value, const struct reference_proxy *proxy)
{
    bool is_said = member(value, "authorizationScheme") != NULL;
    bool has_reference = proxy->authorization.len != 0;
    if (proxy->scheme == PROXY_NEGOTIATE && has_reference)
        return "negotiate shows the tickets of who runs this, and has no authorizationRef";
    if (is_said && proxy->scheme != PROXY_NEGOTIATE && !has_reference)
        return "it goes with an authorizationRef";
    if (proxy->scheme != PROXY_BASIC && proxy->kind == PROXY_SOCKS5)
        return "SOCKS5 has basic alone";
    if (!reference_proxy_takes_one_round(proxy) && proxy->kind == PROXY_HTTPS)
        return "a proxy behind TLS is shown basic or bearer";
    return NULL;
}

/* 0, or fault; a member's reader says why it cannot be. */
static int read_proxy_member(struct reading *reading, struct str key, const char *member_name,
                             const yyjson_val *value, struct reference_proxy *proxy)
{
    const char *why = "a proxy has url or direct, authorizationRef, authorizationScheme and "
                      "noProxy";
    if (strcmp(member_name, "noProxy") == 0)
        return read_no_proxy(reading, key, value, proxy);
    if (strcmp(member_name, "url") == 0)
        why = read_url(value, proxy);
    else if (strcmp(member_name, "direct") == 0)
        why = yyjson_is_true((yyjson_val *)value) ? NULL : "direct is true, or left out";
    else if (strcmp(member_name, "authorizationRef") == 0)
        why = read_authorization(reading, value, proxy);
    else if (strcmp(member_name, "authorizationScheme") == 0)
        why = read_scheme(reading, value, proxy);
    return why ? FAULT(reading, key, "%.100s: %s", member_name, why) : 0;
}

static int read_proxy(struct reading *reading, struct str key, const yyjson_val *value)
{
    struct reference_proxy proxy = { .reference = key,
                                     .layer = reading->layer,
                                     .document = reading->name };
    yyjson_obj_iter iterator;
    yyjson_val *member_name;
    int r = 0;
    if (!key.len || key.len > REFERENCES_TEXT_MAX || !yyjson_is_obj((yyjson_val *)value))
        return FAULT(reading, key, "a proxy is an object, under the reference that leads to it");
    yyjson_obj_iter_init((yyjson_val *)value, &iterator);
    while (r == 0 && (member_name = yyjson_obj_iter_next(&iterator)))
        r = read_proxy_member(reading, key, yyjson_get_str(member_name),
                              yyjson_obj_iter_get_val(member_name), &proxy);
    if (r < 0)
        return r;
    bool is_direct = member(value, "direct") != NULL;
    if (is_direct == (proxy.url.len != 0) ||
        (is_direct && yyjson_obj_size((yyjson_val *)value) > 1))
        return FAULT(reading, key, "a proxy has a url, or is direct and has nothing else");
    const char *why = wrong_scheme(value, &proxy);
    if (why)
        return FAULT(reading, key, "authorizationScheme: %s", why);
    struct reference_proxy *row = reference_list_add(&reading->references->proxies, sizeof(*row));
    if (!row)
        return no_memory(reading->err);
    *row = proxy;
    return 0;
}

/* --- authorities and secrets ----------------------------------------------------------------- */

static int read_authority(struct reading *reading, struct str key, const yyjson_val *value)
{
    struct reference_authority *row =
        reference_list_add(&reading->references->authorities, sizeof(*row));
    if (!row)
        return no_memory(reading->err);
    if (!is_text(value) || text_of(value).ptr[0] != '/')
        return FAULT(reading, key, "an authority is the absolute path of a file of certificates");
    *row = (struct reference_authority){ reading->layer, reading->name, text_of(value).ptr };
    return 0;
}

static int read_secret(struct reading *reading, struct str key, const yyjson_val *value)
{
    const char *why = secret_is_reference(key) ? secret_wrong_source(value)
                                               : "a reference to a secret reads "
                                                 "secret://SCOPE/PATH";
    return why ? FAULT(reading, key, "%s", why) : 0;
}

static int keep_secrets(struct reading *reading, const yyjson_val *map)
{
    struct reference_map *row = reference_list_add(&reading->references->maps, sizeof(*row));
    if (!row)
        return no_memory(reading->err);
    *row = (struct reference_map){ reading->layer, reading->name, map };
    return reading->layer == LAYER_WORKSPACE
               ? FAULT(reading, str_make(NULL, 0),
                       "a workspace has no secrets: it would lay hands on yours")
               : 0;
}

/* --- probes ---------------------------------------------------------------------------------- */

#define PAGE_PORT 80

/* Each returns why the text is none, or NULL. */
static const char *read_probe_name(struct str text, struct reference_probe *probe)
{
    struct address_range address;
    bool is_name = read_host(text, probe->host) && !address_range_read(text, &address);
    return is_name ? NULL : "a name that is asked for is a host name";
}

static const char *read_probe_page(struct str text, struct reference_probe *probe)
{
    struct str host;
    struct uri uri;
    if (!uri_parse(text, URI_ASCII, &uri) || !uri.has_authority ||
        !str_equal(uri.scheme, STR("http")))
        return "a page reads http://HOST/PATH: what is encrypted cannot be held back";
    if (str_index(uri.authority, '@', 0) < uri.authority.len || uri.has_fragment)
        return "a page carries no credential and no fragment";
    if (!destination_split_port(uri.authority, &host, &probe->port) ||
        !read_host(host, probe->host))
        return "the host of a page is a name or an address";
    probe->port = probe->port ? probe->port : PAGE_PORT;
    return NULL;
}

static const char *read_probe_host(struct str text, struct reference_probe *probe)
{
    struct str host;
    bool is_host = destination_split_port(text, &host, &probe->port) && probe->port &&
                   read_host(host, probe->host);
    return is_host ? NULL : "a host that is asked reads HOST:PORT or [ADDRESS]:PORT";
}

static int read_probes(struct reading *reading, struct str key, const yyjson_val *list)
{
#define PROBE_SECTION(kind, section) [kind] = section,
    static const char *const names[] = { PROBE_KIND_TABLE(PROBE_SECTION) };
    static const char *(*const readers[])(struct str text, struct reference_probe * probe) = {
        [PROBE_NAME] = read_probe_name,
        [PROBE_PAGE] = read_probe_page,
        [PROBE_HOST] = read_probe_host,
    };
    int kind = vocabulary_index(names, PROBE_KIND_COUNT, key);
    yyjson_arr_iter iterator;
    if (reading->layer == LAYER_WORKSPACE)
        return FAULT(reading, key, "a workspace has no probes: it would have you send things");
    if (kind < 0 || !yyjson_is_arr((yyjson_val *)list) ||
        yyjson_arr_size((yyjson_val *)list) > REFERENCES_PROBES_MAX)
        return FAULT(reading, key, "probes are lists of names, pages and hosts, of at most %d each",
                     REFERENCES_PROBES_MAX);
    yyjson_arr_iter_init((yyjson_val *)list, &iterator);
    for (const yyjson_val *item; (item = yyjson_arr_iter_next(&iterator));) {
        struct reference_probe *row =
            reference_list_add(&reading->references->probes, sizeof(*row));
        if (!row)
            return no_memory(reading->err);
        *row = (struct reference_probe){ .kind = (enum probe_kind)kind,
                                         .layer = reading->layer,
                                         .text = text_of(item) };
        const char *why = is_text(item) ? readers[kind](row->text, row) : "an item is a text";
        if (why)
            return FAULT(reading, key, "%s", why);
    }
    return 0;
}

/* --- the document ---------------------------------------------------------------------------- */

static const struct section {
    const char *name;
    bool is_list;
    size_t max;
    /* Of a list `key` is the index, for the place of a fault. */
    int (*read)(struct reading *reading, struct str key, const yyjson_val *value);
    int (*keep)(struct reading *reading, const yyjson_val *all); /* once for all; may be NULL */
} sections[] = {
    { "names", false, REFERENCES_NAMES_MAX, read_name, NULL },
    { "proxies", false, REFERENCES_PROXIES_MAX, read_proxy, NULL },
    { "authorities", true, REFERENCES_AUTHORITIES_MAX, read_authority, NULL },
    { "connectors", true, REFERENCES_CONNECTORS_MAX, read_connector, NULL },
    { "secrets", false, REFERENCES_SECRETS_MAX, read_secret, keep_secrets },
    { "probes", false, PROBE_KIND_COUNT, read_probes, NULL },
};

static int read_items(struct reading *reading, const struct section *section,
                      const yyjson_val *items)
{
    yyjson_arr_iter iterator;
    char index[24];
    int r = 0;
    if (!yyjson_is_arr((yyjson_val *)items) || yyjson_arr_size((yyjson_val *)items) > section->max)
        return FAULT(reading, str_make(NULL, 0), "%s are a list of at most %zu", section->name,
                     section->max);
    yyjson_arr_iter_init((yyjson_val *)items, &iterator);
    for (const yyjson_val *value; r == 0 && (value = yyjson_arr_iter_next(&iterator));) {
        snprintf(index, sizeof(index), "%zu", iterator.idx - 1);
        r = section->read(reading, str_from(index), value);
    }
    return r;
}

static int read_members(struct reading *reading, const struct section *section,
                        const yyjson_val *object)
{
    yyjson_obj_iter iterator;
    yyjson_val *key;
    int r = 0;
    if (!yyjson_is_obj((yyjson_val *)object) ||
        yyjson_obj_size((yyjson_val *)object) > section->max)
        return FAULT(reading, str_make(NULL, 0), "%s are an object of at most %zu members",
                     section->name, section->max);
    yyjson_obj_iter_init((yyjson_val *)object, &iterator);
    while (r == 0 && (key = yyjson_obj_iter_next(&iterator)))
        r = section->read(reading, json_str(key), yyjson_obj_iter_get_val(key));
    return r;
}

int references_read(struct references *references, enum layer layer, const char *name,
                    const yyjson_val *root, struct err *err)
{
    static const char has[] = "a references document has names, proxies, authorities, connectors, "
                              "secrets and probes";
    struct reading reading = { references, layer, name, "", err };
    yyjson_obj_iter iterator;
    yyjson_val *key;
    int r = 0;
    if (!yyjson_is_obj((yyjson_val *)root))
        return FAULT(&reading, str_make(NULL, 0), "%s", has);
    yyjson_obj_iter_init((yyjson_val *)root, &iterator);
    while (r == 0 && (key = yyjson_obj_iter_next(&iterator))) {
        const yyjson_val *value = yyjson_obj_iter_get_val(key);
        const struct section *section = NULL;
        for (size_t i = 0; i < ARRAY_LEN(sections); i++)
            section = yyjson_equals_str(key, sections[i].name) ? &sections[i] : section;
        reading.section = section ? section->name : "";
        if (!section)
            return FAULT(&reading, str_make(NULL, 0), "%.100s: %s", yyjson_get_str(key), has);
        r = section->is_list ? read_items(&reading, section, value)
                             : read_members(&reading, section, value);
        if (r == 0 && section->keep)
            r = section->keep(&reading, value);
    }
    return r;
}

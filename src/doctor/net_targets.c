/* net_targets: see the header. */
#include "doctor/net_targets.h"

#include "contract/rules.h"

#define STEP_TARGETS "read what may be sent"
#define MESH_TYPE    "MeshBindingProfile"

static bool is_mesh(const struct layer_document *document)
{
    return document->state == DOCUMENT_IN_FORCE && strcmp(document->type, MESH_TYPE) == 0 &&
           !text_is(member(document->root, "meshClass"), "none");
}

static enum net_scope scope_of(const yyjson_val *profile)
{
    return yyjson_is_true(at(profile, "/traffic/mtlsRequired")) ? NET_OF_PEER : NET_OF_MESH;
}

/* Whether a list of hosts covers one; what cannot be read covers nothing. */
static bool covers(const yyjson_val *hosts, const char *host)
{
    char path[DESTINATION_PATH_SIZE], wide_path[DESTINATION_PATH_SIZE];
    struct destination narrow, wide;
    size_t count = yyjson_arr_size((yyjson_val *)hosts);
    if (destination_read(str_from(host), path, &narrow, NULL) <= 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct str text = text_of(yyjson_arr_get((yyjson_val *)hosts, i));
        if (destination_read(text, wide_path, &wide, NULL) > 0 &&
            destination_covers(&wide, &narrow))
            return true;
    }
    return false;
}

static bool carries(const yyjson_val *profile, const char *host)
{
    return covers(at(profile, "/traffic/allowedHosts"), host) &&
           !covers(at(profile, "/traffic/deniedHosts"), host);
}

static void take_places(const struct layers *layers, const yyjson_val *profile,
                        struct net_targets *targets)
{
    const yyjson_val *hosts = at(profile, "/traffic/allowedHosts");
    size_t count = yyjson_arr_size((yyjson_val *)hosts);
    for (size_t i = 0; i < count; i++) {
        struct address_range addresses[REFERENCES_ADDRESSES_MAX];
        struct str host = text_of(yyjson_arr_get((yyjson_val *)hosts, i));
        size_t found = host.len && host.ptr[0] != '*' && host.ptr[0] != '.'
                           ? references_addresses(layers_references(layers), host, addresses)
                           : 0;
        for (size_t k = 0; k < found && targets->place_count < NET_MESHES_MAX; k++)
            targets->places[targets->place_count++] =
                (struct net_place){ addresses[k], scope_of(profile) };
    }
}

static void take_meshes(const struct layers *layers, struct net_targets *targets)
{
    for (size_t i = 0; i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        if (!is_mesh(&document) || targets->mesh_count == NET_MESHES_MAX)
            continue;
        targets->meshes[targets->mesh_count++] =
            (struct net_mesh){ text_of(member(document.root, "id")), scope_of(document.root) };
        take_places(layers, document.root, targets);
    }
}

/* The strictest mesh that carries the host. */
static enum net_scope whom_for(const struct layers *layers, const char *host)
{
    enum net_scope scope = NET_INTERNET;
    for (size_t i = 0; i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        if (is_mesh(&document) && carries(document.root, host) && scope_of(document.root) > scope)
            scope = scope_of(document.root);
    }
    return scope;
}

static bool is_known(const struct net_targets *targets, const struct reference_probe *probe)
{
    for (size_t i = 0; i < targets->count; i++)
        if (targets->rows[i].probe.kind == probe->kind &&
            str_equal(targets->rows[i].probe.text, probe->text))
            return true;
    return false;
}

static void take_probe(const struct layers *layers, const struct reference_probe *probe,
                       struct net_targets *targets)
{
    struct net_target *target = &targets->rows[targets->count++];
    *target = (struct net_target){ .probe = *probe };
    if (probe->kind == PROBE_HOST)
        target->scope = whom_for(layers, probe->host);
    if (address_range_read(str_from(probe->host), &target->addresses[0]))
        target->address_count = 1;
    else if (probe->kind != PROBE_NAME)
        target->address_count = references_addresses(layers_references(layers),
                                                     str_from(probe->host), target->addresses);
}

int net_targets_read(const struct layers *layers, struct net_targets *ret, struct err *err)
{
    const struct references *references = layers ? layers_references(layers) : NULL;
    size_t count = references_probe_count(references);
    struct net_targets targets = { .rows = calloc(count + 1, sizeof(*targets.rows)) };
    if (!targets.rows)
        return err_set(err, ERR_MEMORY, STEP_TARGETS, "there is not enough memory");
    if (layers)
        take_meshes(layers, &targets);
    for (size_t i = 0; i < count; i++) {
        struct reference_probe probe = references_probe(references, i);
        if (!is_known(&targets, &probe))
            take_probe(layers, &probe, &targets);
    }
    *ret = targets;
    return 0;
}

void net_targets_release(struct net_targets *targets)
{
    free(targets->rows);
    *targets = (struct net_targets){ 0 };
}

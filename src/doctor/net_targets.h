/*
 * net_targets: what the layers let a doctor send, and whom each thing is for.
 *
 * Probes stand in the layers' references. A host that a MeshBindingProfile in
 * force carries is of the mesh, and a trusted peer where that mesh wants proof
 * of both ends; every other is of the internet.
 */
#ifndef AM_DOCTOR_NET_TARGETS_H
#define AM_DOCTOR_NET_TARGETS_H

#include "authority/layers.h"
#include "doctor/net_record.h"

#define NET_MESHES_MAX 64

struct net_target {
    struct reference_probe probe;
    enum net_scope scope;
    struct address_range addresses[REFERENCES_ADDRESSES_MAX]; /* where a layer says it is */
    size_t address_count;
};

struct net_targets {
    struct net_target *rows;
    size_t count;
    struct net_mesh {
        struct str id;
        enum net_scope scope;
    } meshes[NET_MESHES_MAX];
    size_t mesh_count;
    /* Hosts that a mesh names one by one and a layer says the address of. */
    struct net_place {
        struct address_range address;
        enum net_scope scope;
    } places[NET_MESHES_MAX];
    size_t place_count;
};

/* `layers` may be NULL, which lets nothing be sent; they must outlive the targets. */
int net_targets_read(const struct layers *layers, struct net_targets *ret,
                     struct err *err) MUST_CHECK;
void net_targets_release(struct net_targets *targets);

#endif

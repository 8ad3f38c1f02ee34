/*
 * run_policy: what a run's profile adds to the layers of policy.
 *
 * The network profile that a machine profile names, with the firewall and mesh
 * bindings that it names in turn, speak for the user where they are the user's
 * own documents, in the ledger; where they lie in a layer's folder they speak
 * for that layer already. The tool surface that is run speaks for the agent.
 */
#ifndef AM_PLANE_RUN_POLICY_H
#define AM_PLANE_RUN_POLICY_H

#include "authority/layers.h"
#include "plane/plane.h"

#define RUN_POLICY_DOCUMENTS_MAX 64

struct run_policy {
    char network_profile[PLANE_URN_MAX]; /* empty: the profile names none */
    struct plane_addition additions[RUN_POLICY_DOCUMENTS_MAX];
    yyjson_doc *docs[RUN_POLICY_DOCUMENTS_MAX]; /* of those that were read here */
    char names[RUN_POLICY_DOCUMENTS_MAX][PLANE_URN_MAX];
    size_t count, doc_count;
};

/*
 * `surface` may be NULL; it and the layers outlive what is read. ERR_NOT_FOUND names a document
 * that is nowhere.
 */
int run_policy_read(struct plane *plane, const struct layers *layers, const yyjson_val *profile,
                    const yyjson_val *surface, struct run_policy *ret, struct err *err) MUST_CHECK;
void run_policy_release(struct run_policy *policy);

#endif

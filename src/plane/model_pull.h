/*
 * model_pull: the weights of a local model are fetched, because a person typed it: an operation.
 *
 * The runtime of this machine fetches them (Ollama); it is asked on loopback,
 * followed to the end, and what it then says that it has is held against what
 * was wanted.
 */
#ifndef AM_PLANE_MODEL_PULL_H
#define AM_PLANE_MODEL_PULL_H

#include "carry/local_service.h"
#include "carry/pull_progress.h"
#include "plane/model_binding.h"

#define MODEL_REGISTRY_HOST "registry.ollama.ai"
#define MODEL_REGISTRY_PORT 443

struct model_pull {
    /* set by the caller */
    const yyjson_val *profile; /* the LocalModelProfile */
    struct model_provider provider;
    bool is_consented; /* to a download that the profile leaves off; never of a managed one */
    const char *wanted_digest; /* of the model; NULL: none is pinned */
    void (*begun)(void *context);
    void (*moved)(void *context); /* the progress has */
    void *context;
    /* what became of it */
    struct pull_progress progress;
    struct str name; /* of the model, as its runtime knows it */
    struct local_model found;
    bool is_interrupted;
};

/* Plugs it into a plane that is about to be opened; it outlives that. */
void model_pull_plug(struct model_pull *pull, struct plane_options *options);
void model_pull_release(struct model_pull *pull);
/* What is shown before anything is fetched. */
struct str model_pull_licence(const struct model_pull *pull);
uint64_t model_pull_size_hint(const struct model_pull *pull); /* bytes; 0: none */

#endif

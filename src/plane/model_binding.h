/*
 * model_binding: which model providers are bound to a machine profile.
 *
 * A ModelProviderBinding is written once, and undone by another one that names
 * it. What is bound to a profile now stands in a document of the plane's own.
 */
#ifndef AM_PLANE_MODEL_BINDING_H
#define AM_PLANE_MODEL_BINDING_H

#include "doors/model/route.h"
#include "plane/plane.h"

#define MODEL_BINDING_TYPE  "ModelProviderBinding"
#define MODEL_BOUND_TYPE    "ModelBound"
#define MODEL_LOCAL_TYPE    "LocalModelProfile"
#define MODEL_EXTERNAL_TYPE "ExternalModelProviderProfile"

/* A document of the layers' or of the ledger's. */
struct model_document {
    const yyjson_val *root;
    bool is_managed; /* the layers have it, as long as their policy is the one that is asked */
    yyjson_doc *doc; /* of the ledger; NULL: the layers' */
};
/*
 * What a layer has comes before what is stored under the same name; of machine profiles only the
 * enterprise's and the device's layer have any. ERR_NOT_FOUND.
 */
int model_document_find(struct plane *plane, struct str subject, struct str id,
                        struct model_document *ret, struct err *err) MUST_CHECK;
void model_document_release(struct model_document *document);

/* A provider, as its profile describes it: views into that document. */
struct model_provider {
    struct str id;
    bool is_hosted; /* prompts leave this machine */
    enum model_protocol protocol;
    const struct provider_class *class;
    struct str base_url; /* or what stands for it; empty: at default_port of this machine */
    uint16_t default_port;
    struct str credential;      /* a reference; empty: none */
    struct str network_profile; /* may be empty */
};
/* ERR_UNSUPPORTED names a class or runtime that this release does not speak to. */
int model_provider_read(const yyjson_val *root, struct model_provider *ret,
                        struct err *err) MUST_CHECK;

/*
 * Why prompts may not go to a provider by a binding (or the parameters of the command that makes
 * one), with what would help; NULL: they may, as far as these documents go. Pure.
 */
const char *model_obstacle(const struct model_provider *provider, const yyjson_val *provider_root,
                           const yyjson_val *binding, const yyjson_val *profile);

/* What is bound to a profile now. */
struct model_bound {
    yyjson_doc *doc;
    yyjson_val *list; /* of objects with bindingRef and providerRef; NULL: nothing */
    int64_t revision; /* LEDGER_NEW: nothing ever was */
};
int model_bound_read(struct plane *plane, struct str profile, struct model_bound *ret,
                     struct err *err) MUST_CHECK;
void model_bound_release(struct model_bound *bound);
/* The binding of a provider, empty where it is not bound. */
struct str model_bound_find(const struct model_bound *bound, struct str provider);
/* Adds to a batch that a binding joins, or, where `binding` is empty, that the provider's leaves.
 */
int model_bound_put(struct ledger_batch *batch, struct str profile, const struct model_bound *bound,
                    struct str provider, struct str binding, struct err *err) MUST_CHECK;
/* 1 where a provider is bound to any profile, 0, or -errno. */
int model_provider_is_bound(struct plane *plane, struct str provider, struct err *err) MUST_CHECK;

static inline void cleanup_model_document(struct model_document *document)
{
    model_document_release(document);
}

static inline void cleanup_model_bound(struct model_bound *bound)
{
    model_bound_release(bound);
}

#endif

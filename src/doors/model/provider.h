/*
 * provider: the classes of model providers, and what is different about each.
 */
#ifndef AM_DOORS_MODEL_PROVIDER_H
#define AM_DOORS_MODEL_PROVIDER_H

#include "base/base.h"
#include "base/str.h"
#include "doors/model/protocol.h"

/* How a credential is shown. */
enum credential_form {
    CREDENTIAL_BEARER,    /* Authorization: Bearer … */
    CREDENTIAL_X_API_KEY, /* x-api-key: … */
    CREDENTIAL_API_KEY,   /* api-key: … */
};

/* How the address of an endpoint is made of a base address. */
enum address_form {
    ADDRESS_VERSIONED,  /* the base names the version; a bare host gets /v1 */
    ADDRESS_BARE,       /* the base is without /v1, or /api, whatever is asked */
    ADDRESS_DEPLOYMENT, /* Azure: the model stands in the path, the version in the query */
};

struct provider_class {
    const char *name;        /* ExternalModelProviderProfile's providerClass, or a runtime's kind */
    bool is_local;           /* a runtime's kind: LocalModelProfile's */
    const char *unsupported; /* why it is refused; NULL: it is not */
    unsigned also; /* protocols that it speaks beside its binding's, as bits of model_protocol */
    enum credential_form credential;
    enum address_form address;
    uint32_t prompt_tokens; /* that it adds to prompts of its own accord, at most */
};

extern const struct provider_class provider_classes[];
extern const size_t provider_class_count;

/* NULL where there is none. A class that is refused is found: see `unsupported`. */
const struct provider_class *provider_class_find(struct str name, bool is_local);

#endif

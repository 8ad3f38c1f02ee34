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
    CREDENTIAL_OF_PROTOCOL, /* x-api-key for Anthropic's, Authorization: Bearer for the others */
    CREDENTIAL_API_KEY,     /* api-key: … */
};

/* How the address of an endpoint is made of a base address. */
enum address_form {
    ADDRESS_VERSIONED,  /* of OpenAI's the base names the version; a bare host gets /v1 */
    ADDRESS_BARE,       /* the base is without it: /v1 or /api is added, whatever is asked */
    ADDRESS_DEPLOYMENT, /* Azure: the model stands in the path, the version in the query */
};

struct provider_class {
    const char *name;        /* ExternalModelProviderProfile's providerClass, or a runtime's kind */
    bool is_local;           /* a runtime's kind: LocalModelProfile's */
    const char *unsupported; /* why it is refused; NULL: it is not */
    unsigned also; /* protocols that it speaks beside its binding's, as bits of model_protocol */
    bool lacks_responses; /* of OpenAI's protocol it answers chat alone */
    enum credential_form credential;
    enum address_form address;
    uint32_t prompt_tokens; /* that it adds to prompts of its own accord, at most */
};

extern const struct provider_class provider_classes[];
extern const size_t provider_class_count;

/* NULL where there is none. A class that is refused is found: see `unsupported`. */
const struct provider_class *provider_class_find(struct str name, bool is_local);

/*
 * Whether the limit on a chat's output is to be called max_completion_tokens: OpenAI's own newer
 * models refuse the older name, which is the one that everybody else knows.
 */
bool provider_counts_completion(const struct provider_class *provider, struct str base_url);

#endif

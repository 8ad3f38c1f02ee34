/*
 * local_service: the servers of models that people run on their own machine, and what they say of
 * the models that they have.
 *
 * One const table says where each kind usually listens. They are asked on
 * loopback, from outside of any sandbox: nobody has to bind one elsewhere.
 */
#ifndef AM_CARRY_LOCAL_SERVICE_H
#define AM_CARRY_LOCAL_SERVICE_H

#include "base/base.h"
#include "base/str.h"

#define LOCAL_MODELS_MAX     1000
#define LOCAL_NAME_SIZE      201 /* as ModelProviderBinding has it, and a NUL */
#define LOCAL_DIGEST_SIZE    72  /* "sha256:…", and a NUL */
#define LOCAL_LIST_BYTES_MAX ((size_t)4 << 20)

/* How a list of models is written. */
enum local_list_form {
    LOCAL_LIST_OLLAMA, /* /api/tags */
    LOCAL_LIST_OPENAI, /* /v1/models */
};

struct local_service {
    const char *name; /* for people */
    const char *kind; /* LocalModelProfile's runtime.kind */
    uint16_t port;
    enum local_list_form form;
    bool has_one; /* answers every name with the one model that it was started with */
};

extern const struct local_service local_services[];
extern const size_t local_service_count;

/* The first of a runtime's kind; NULL where there is none. */
const struct local_service *local_service_of(struct str kind);
/* Where its list stands, behind the root of its address. */
const char *local_list_path(enum local_list_form form);

struct local_model {
    char name[LOCAL_NAME_SIZE];
    uint64_t size_bytes;            /* 0: it does not say */
    char digest[LOCAL_DIGEST_SIZE]; /* empty likewise */
};

struct local_models {
    struct local_model *models;
    size_t count;
};

/* Of a server's answer; what is no name is left out. 0, -EBADMSG where it is no list, -ENOMEM. */
int local_models_read(struct str body, enum local_list_form form,
                      struct local_models *ret) MUST_CHECK;
void local_models_release(struct local_models *models);
/* Ollama's `name` is also `name:latest`. NULL where there is none. */
const struct local_model *local_models_find(const struct local_models *models, struct str name);

#endif

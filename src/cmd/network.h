/* network: what the verbs below `network` share. */
#ifndef AM_CMD_NETWORK_H
#define AM_CMD_NETWORK_H

#include <yyjson.h>

#include "authority/layers.h"
#include "cmd/verb.h"
#include "contract/document.h"
#include "doors/network/firewall_plan.h"

#define NETWORK_DOCUMENTS_MAX 32

/* Documents that were named on the command line, each held against its schema and its rules. */
struct network_documents {
    const yyjson_val *roots[NETWORK_DOCUMENTS_MAX];
    size_t count;
    struct document files[NETWORK_DOCUMENTS_MAX];
    yyjson_doc *stored[NETWORK_DOCUMENTS_MAX];
    size_t file_count, stored_count;
    struct layers *layers;
};

/*
 * Each operand is a file, or a document of the layers or of the ledger: by its URN, or by the part
 * behind the type. `type` is that of the first one; others may be of any that policy_takes.
 */
int network_documents_open(const struct invocation *invocation, const char *type,
                           struct network_documents *ret, struct err *err) MUST_CHECK;
void network_documents_close(struct network_documents *documents);
/* Where the layers say that proxies are; NULL where they cannot be read. */
const struct references *network_documents_references(struct network_documents *documents);
/* The document that another one refers to by URN: NULL where it was not found. */
const yyjson_val *network_documents_find(struct network_documents *documents, struct str urn);

int run_network_doctor(const struct invocation *invocation);
#define NETWORK_DOCTOR_OPTION_COUNT 2
extern const struct option_row network_doctor_options[NETWORK_DOCTOR_OPTION_COUNT];

/* A plan of the operands, and its text for one target. */
struct network_planned {
    struct network_documents documents;
    struct firewall_plan *plan;
    struct buf text;
};
int network_planned_open(const struct invocation *invocation, const struct firewall_scope *scope,
                         enum firewall_target target, struct network_planned *ret,
                         struct err *err) MUST_CHECK;
void network_planned_close(struct network_planned *planned);
/* A user's name or number; -1 where `name` is NULL. */
int network_read_user(const char *name, int64_t *ret, struct err *err) MUST_CHECK;
/* A rendered plan. */
struct network_text {
    const char *target, *format;
    struct str text;
    const struct firewall_notes *notes;
};
/* Prints it, and what it does not say as it was meant on standard error; or all as JSON. */
int network_tell_plan(const struct network_text *text, bool as_json, struct err *err) MUST_CHECK;
void network_tell_notes(const struct firewall_notes *notes);

int run_network_apply(const struct invocation *invocation);
int run_network_status(const struct invocation *invocation);
int run_network_remove(const struct invocation *invocation);
#define NETWORK_APPLY_OPTION_COUNT  3
#define NETWORK_STATUS_OPTION_COUNT 1
extern const struct option_row network_apply_options[NETWORK_APPLY_OPTION_COUNT];
extern const struct option_row network_status_options[NETWORK_STATUS_OPTION_COUNT];

#define NETWORK_MESH_VERB_COUNT 1
extern const struct verb network_mesh_verbs[NETWORK_MESH_VERB_COUNT];
#define NETWORK_FIREWALL_VERB_COUNT 4
extern const struct verb network_firewall_verbs[NETWORK_FIREWALL_VERB_COUNT];

#endif

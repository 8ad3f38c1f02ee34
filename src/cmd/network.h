/* network: what the verbs below `network` share. */
#ifndef AM_CMD_NETWORK_H
#define AM_CMD_NETWORK_H

#include <yyjson.h>

#include "authority/layers.h"
#include "cmd/verb.h"
#include "contract/document.h"

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
/* The document that another one refers to by URN: NULL where it was not found. */
const yyjson_val *network_documents_find(struct network_documents *documents, struct str urn);

int run_network_doctor(const struct invocation *invocation);
#define NETWORK_DOCTOR_OPTION_COUNT 2
extern const struct option_row network_doctor_options[NETWORK_DOCTOR_OPTION_COUNT];

#define NETWORK_FIREWALL_VERB_COUNT 1
extern const struct verb network_firewall_verbs[NETWORK_FIREWALL_VERB_COUNT];

#endif

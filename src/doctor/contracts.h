/*
 * contracts: the CapabilityContracts that the doctor is asked about.
 *
 * A contract is named by its file, or by its URN (or the part behind the
 * type) where it lies in a layer's folder. Every one is held against schema
 * and rules before it is used.
 */
#ifndef AM_DOCTOR_CONTRACTS_H
#define AM_DOCTOR_CONTRACTS_H

#include <yyjson.h>

#include "authority/layers.h"
#include "doctor/phase.h"

#define CONTRACTS_MAX 1000

struct contracts;

/*
 * Those named, or, where none is, all that are in force in the layers. ERR_NOT_FOUND, ERR_DOCUMENT,
 * ERR_LIMIT. The layers must outlive them.
 */
int contracts_open(const struct layers *layers, char *const *names, size_t count,
                   struct contracts **ret, struct err *err) MUST_CHECK;
void contracts_free(struct contracts *contracts);

size_t contracts_count(const struct contracts *contracts);
const yyjson_val *contracts_at(const struct contracts *contracts, size_t index);

/* The phase that a contract asks for. */
enum phase contract_phase(const yyjson_val *contract);
/* The components, each once, with the latest phase that one of its contracts asks for. */
size_t contracts_components(const struct contracts *contracts,
                            struct phase_component ret[CONTRACTS_MAX]);

static inline void cleanup_contracts(struct contracts **contracts)
{
    contracts_free(*contracts);
}

#endif

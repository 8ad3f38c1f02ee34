/* phase_gate: whether a profile's capability contract lets anything start in this phase. */
#ifndef AM_DOCTOR_PHASE_GATE_H
#define AM_DOCTOR_PHASE_GATE_H

#include <yyjson.h>

#include "authority/layers.h"
#include "base/err.h"

/*
 * 0 where the profile names no contract, or each contract with that URN in the layers' folders
 * permits it now. ERR_DENIED [phase-not-reached] with what a person can do; ERR_NOT_FOUND where
 * nobody has the contract. Nothing of the host is looked at unless a contract is named.
 */
int phase_gate(const struct layers *layers, const yyjson_val *profile, struct err *err) MUST_CHECK;

#endif

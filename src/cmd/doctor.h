/* doctor: what the verbs below `doctor` share. */
#ifndef AM_CMD_DOCTOR_H
#define AM_CMD_DOCTOR_H

#include "authority/layers.h"
#include "cmd/verb.h"
#include "doctor/contracts.h"

/* The contracts that are named or, where none is, those of the layers' folders. */
struct doctor_contracts {
    struct layers *layers;
    struct contracts *contracts;
};
int doctor_contracts_open(char *const *names, int count, struct doctor_contracts *ret,
                          struct err *err) MUST_CHECK;
void doctor_contracts_close(struct doctor_contracts *opened);

int run_doctor_phase(const struct invocation *invocation);
#define DOCTOR_PHASE_OPTION_COUNT 2
extern const struct option_row doctor_phase_options[DOCTOR_PHASE_OPTION_COUNT];

int run_doctor_preflight(const struct invocation *invocation);
#define DOCTOR_PREFLIGHT_OPTION_COUNT 3
extern const struct option_row doctor_preflight_options[DOCTOR_PREFLIGHT_OPTION_COUNT];

int run_doctor_registry(const struct invocation *invocation);
#define DOCTOR_REGISTRY_OPTION_COUNT 1
extern const struct option_row doctor_registry_options[DOCTOR_REGISTRY_OPTION_COUNT];

#endif

/* doctor: what the verbs below `doctor` share. */
#ifndef AM_CMD_DOCTOR_H
#define AM_CMD_DOCTOR_H

#include "authority/layers.h"
#include "cmd/verb.h"
#include "doctor/contracts.h"
#include "doctor/story.h"
#include "plane/plane.h"

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

int run_doctor_network(const struct invocation *invocation);
#define DOCTOR_NETWORK_OPTION_COUNT 7
extern const struct option_row doctor_network_options[DOCTOR_NETWORK_OPTION_COUNT];

int run_doctor_preflight(const struct invocation *invocation);
#define DOCTOR_PREFLIGHT_OPTION_COUNT 3
extern const struct option_row doctor_preflight_options[DOCTOR_PREFLIGHT_OPTION_COUNT];

int run_doctor_registry(const struct invocation *invocation);
#define DOCTOR_REGISTRY_OPTION_COUNT 1
extern const struct option_row doctor_registry_options[DOCTOR_REGISTRY_OPTION_COUNT];

/* The ledger's decisions, and the plane that has it open. */
int doctor_story_open(struct plane **ret_plane, struct story **ret, struct err *err) MUST_CHECK;

int run_doctor_run(const struct invocation *invocation);
#define DOCTOR_RUN_OPTION_COUNT 1
extern const struct option_row doctor_run_options[DOCTOR_RUN_OPTION_COUNT];

int run_doctor_why(const struct invocation *invocation);
#define DOCTOR_WHY_OPTION_COUNT 1
extern const struct option_row doctor_why_options[DOCTOR_WHY_OPTION_COUNT];

#endif

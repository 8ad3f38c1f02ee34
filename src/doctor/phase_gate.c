/* phase_gate: see the header. */
#include "doctor/phase_gate.h"

#include "contract/rules.h"
#include "doctor/contracts.h"
#include "doctor/observer.h"

#define STEP_GATE "look at the phase"

static int refuse(const yyjson_val *contract, const struct phase_finding *finding, struct err *err)
{
    struct str id = text_of(member(contract, "id"));
    int r = err_set(err, ERR_DENIED, STEP_GATE, "%.*s asks for %s, and this is %s: %s", STR_ARG(id),
                    phase_names[contract_phase(contract)], phase_names[finding->phase],
                    finding->reason);
    err_remedy(err, "%s",
               finding->hint ? finding->hint : "Start it in the session that it asks for.");
    err_rule(err, "phase-not-reached", "artifact", id);
    return r;
}

int phase_gate(const struct layers *layers, const yyjson_val *profile, struct err *err)
{
    _cleanup_(cleanup_contracts) struct contracts *contracts = NULL;
    _cleanup_(cleanup_observer) struct observer *observer = NULL;
    struct phase_sight sight;
    char *name =
        (char *)(uintptr_t)yyjson_get_str(at(profile, "/agentPlane/capabilityContractRef"));
    if (!name)
        return 0;
    int r = contracts_open(layers, &name, 1, &contracts, err);
    if (r == -ENOENT)
        err_about(err, "contract-not-found", "artifact", str_from(name));
    if (r == 0)
        r = observer_new(false, &observer, err);
    if (r < 0)
        return r;
    observer_phase(observer, &sight);
    struct phase_finding finding = phase_derive(&sight.facts);
    for (size_t i = 0; i < contracts_count(contracts) && r == 0; i++)
        if (phase_permits(finding.phase, contract_phase(contracts_at(contracts, i))) ==
            PHASE_BLOCKED)
            r = refuse(contracts_at(contracts, i), &finding, err);
    return r;
}

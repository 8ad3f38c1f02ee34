/* doctor_phase: how far boot and session have come, what it was seen by, and who has to wait. */
#include "cmd/doctor.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/vocabulary.h"
#include "doctor/observer.h"

#define LABEL_WIDTH 13

enum { OPTION_JSON, OPTION_WAIT };

const struct option_row doctor_phase_options[DOCTOR_PHASE_OPTION_COUNT] = {
    [OPTION_JSON] = { "json", 'j', NULL, "print a BootSessionPhaseState" },
    [OPTION_WAIT] = { "wait", 'w', "PHASE", "wait until this phase is reached" },
};

int doctor_contracts_open(char *const *names, int count, struct doctor_contracts *ret,
                          struct err *err)
{
    struct layers_places places;
    int r = layers_places_default(NULL, &places, err);
    if (r == 0 && layers_may_speak(&places))
        r = layers_open(&places, &ret->layers, err);
    if (r == 0)
        r = contracts_open(ret->layers, names, (size_t)count, &ret->contracts, err);
    return r;
}

void doctor_contracts_close(struct doctor_contracts *opened)
{
    contracts_free(opened->contracts);
    layers_close(opened->layers);
}

static void print_text(const char *label, const char *text)
{
    op_print_wrapped(label, LABEL_WIDTH, str_from(text));
}

static void print_evidence(const struct phase_sight *sight)
{
    const char *before = "";
    for (size_t i = 0; i < sight->evidence_count; i++) {
        const struct phase_evidence *evidence = &sight->evidence[i];
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        buf_addf(&line, "%s%s (%s)", evidence->unseen ? "not seen: " : "", evidence->seen,
                 evidence->ref);
        print_text(strcmp(before, evidence->fact) == 0 ? "" : evidence->fact, line.data);
        before = evidence->fact;
    }
}

static void print_names(const char *label, const char (*names)[64], size_t count)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    for (size_t i = 0; i < count; i++)
        buf_addf(&line, "%s%s", i ? ", " : "", names[i]);
    if (count)
        print_text(label, line.data);
}

static void print_blocked(const struct phase_component *components, size_t count, enum phase phase)
{
    const char *label = "waiting";
    for (size_t i = 0; i < count; i++) {
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        if (phase_permits(phase, components[i].minimum) != PHASE_BLOCKED)
            continue;
        buf_addf(&line, "%.*s, for %s", STR_ARG(components[i].ref),
                 phase_names[components[i].minimum]);
        print_text(label, line.data);
        label = "";
    }
}

static int print_phase(const struct invocation *invocation, const struct phase_sight *sight,
                       const struct contracts *contracts, struct err *err)
{
    _cleanup_(cleanup_free) struct phase_component *components =
        calloc(CONTRACTS_MAX, sizeof(*components));
    if (!components)
        return err_set(err, ERR_MEMORY, "tell the phase", "there is not enough memory");
    size_t count = contracts_components(contracts, components);
    struct phase_finding finding = phase_derive(&sight->facts);
    if (invocation->values[OPTION_JSON]) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        int r = phase_write(sight, components, count, &text, err);
        if (r == 0)
            puts(text.data);
        return r;
    }
    printf("Phase: %s (%s)\n", phase_names[finding.phase], phase_verdict_names[finding.verdict]);
    op_print_wrapped("", 0, str_from(finding.reason));
    if (finding.hint)
        op_print_wrapped("Try: ", 5, str_from(finding.hint));
    putchar('\n');
    print_evidence(sight);
    print_names("open", sight->keyrings, sight->keyring_count);
    print_names("answering", sight->portals, sight->portal_count);
    print_blocked(components, count, finding.phase);
    return 0;
}

/* Looks until the phase is reached; without one to wait for, once. */
static int look(int wanted, struct phase_sight *ret, struct err *err)
{
    _cleanup_(cleanup_observer) struct observer *observer = NULL;
    int r = observer_new(wanted >= 0, &observer, err);
    while (r == 0) {
        observer_phase(observer, ret);
        if (wanted < 0 || phase_is_reached(phase_derive(&ret->facts).phase, (enum phase)wanted))
            break;
        r = observer_wait(observer, err);
    }
    return r;
}

int run_doctor_phase(const struct invocation *invocation)
{
    struct doctor_contracts opened = { 0 };
    struct phase_sight sight;
    struct err err = { 0 };
    const char *name = invocation->values[OPTION_WAIT];
    int wanted = name ? vocabulary_index(phase_names, PHASE_COUNT, str_from(name)) : -1;
    if (name && wanted < 0)
        return tell_usage(invocation->path,
                          "--wait takes sealed-boot, pre-login, post-login-locked, "
                          "unlocked-user-session, degraded-session or recovery-session");
    int r = doctor_contracts_open(invocation->operands, invocation->operand_count, &opened, &err);
    if (r == 0)
        r = look(wanted, &sight, &err);
    if (r == 0)
        r = print_phase(invocation, &sight, opened.contracts, &err);
    doctor_contracts_close(&opened);
    if (r < 0)
        return tell_error(invocation, &err);
    bool is_good = name || phase_derive(&sight.facts).verdict == PHASE_READY;
    return is_good ? EXIT_OK : EXIT_NEGATIVE;
}

/*
 * registry_own: this program's own documents, in the layers' folders.
 *
 * The ledger is the receipt of what was set up here. A workspace's documents
 * that nobody trusts are held apart; one that cannot be used denies
 * everything, and says so here. Without a ledger there is nothing to look at.
 */
#include "base/place.h"
#include "doctor/dpkg.h"
#include "doctor/registry_internal.h"

int registry_own(struct registry *registry, struct err *err)
{
    static const enum record_state states[] = {
        [DOCUMENT_IN_FORCE] = RECORD_PRESENT,
        [DOCUMENT_UNUSABLE] = RECORD_INVALID,
        [DOCUMENT_INERT] = RECORD_QUARANTINED,
    };
    struct layers_places places;
    struct layers *layers = NULL;
    struct err inner = { 0 };
    char ledger[PLACE_SIZE + 16];
    if (dpkg_root()[0] || layers_places_default(NULL, &places, &inner) < 0)
        return 0;
    snprintf(ledger, sizeof(ledger), "%s/ledger.db", places.state);
    if (access(ledger, F_OK) < 0)
        return 0;
    struct registry_component *own =
        registry_component(registry, "agent-machine", "agent-machine " AM_VERSION);
    if (!own)
        return 0;
    own->receipt = RECORD_PRESENT;
    registry_add(registry, own, RECORD_RECEIPT, RECORD_PRESENT,
                 registry_text(registry, "file:%s", ledger), NULL);
    if (layers_open(&places, &layers, &inner) < 0) {
        struct record_fault fault = { "MANIFEST_UNREADABLE", "Nothing runs until it is mended.",
                                      registry_text(registry, "Mend it: %s", inner.cause) };
        registry_add(
            registry, own, RECORD_PROFILE, RECORD_INVALID,
            registry_text(registry, "file:%s", inner.where[0] ? inner.where : places.config),
            &fault);
        return 0;
    }
    for (size_t i = 0; i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        bool is_inert = document.state == DOCUMENT_INERT;
        struct record_fault fault = {
            is_inert ? "NOT_TRUSTED" : "MANIFEST_UNREADABLE",
            is_inert ? "What it says is not heard." : "Everything is denied until it is mended.",
            document.why ? document.why : "",
        };
        registry_add(registry, own, RECORD_PROFILE, states[document.state],
                     registry_text(registry, "file:%s", document.path), &fault);
    }
    int r = registry_carry(registry, own, layers, places.state, err);
    layers_close(layers);
    return r;
}

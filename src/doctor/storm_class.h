/* storm_class: what kind of failure a template tells of, and how bad it sounds. */
#ifndef AM_DOCTOR_STORM_CLASS_H
#define AM_DOCTOR_STORM_CLASS_H

#include "base/base.h"
#include "base/str.h"
#include "doctor/storm_header.h"

enum storm_class {
    STORM_CAPABILITY_DENIAL,
    STORM_NETWORK_OBSERVER_FAILURE,
    STORM_SECURITY_VERDICT_UNAVAILABLE,
    STORM_REGISTRY_INTEGRITY_FAILURE,
    STORM_MAINTENANCE_SWEEP_FAILURE,
    STORM_BROWSER_LAUNCH_FAILURE,
    STORM_IDENTITY_RESOLUTION_FAILURE,
    STORM_BOOT_PHASE_GATE_FAILURE,
    STORM_UNKNOWN,
    STORM_CLASS_COUNT
};
extern const char *const storm_class_names[STORM_CLASS_COUNT];
/* What would end such a storm, in a sentence. */
extern const char *const storm_class_remedies[STORM_CLASS_COUNT];

/* The severity is for events that state none. */
void storm_classify_text(struct str component, struct str text, enum storm_class *ret_class,
                         enum storm_severity *ret_severity);

#endif

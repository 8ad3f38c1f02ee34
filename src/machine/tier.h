/* tier: how much isolation a host gives, a plan asks for and a fingerprint states. */
#ifndef AM_MACHINE_TIER_H
#define AM_MACHINE_TIER_H

/* Ordered: a later one isolates more. The words are those of the contracts. */
#define TIER_TABLE(X)                                                                              \
    X(TIER_PROCESS, "process")                                                                     \
    X(TIER_NAMESPACES, "namespaces")                                                               \
    X(TIER_CONTAINER, "container")                                                                 \
    X(TIER_VM, "vm")

#define TIER_ENUM(name, text) name,
enum tier { TIER_TABLE(TIER_ENUM) TIER_COUNT };
#undef TIER_ENUM
extern const char *const tier_names[TIER_COUNT];

#endif

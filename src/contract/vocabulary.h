/*
 * vocabulary: the closed lists of the operations family, each written once.
 *
 * Everything that switches over an operation type, a gate, a state or a budget
 * dimension does so by these enums; the names are those of the documents.
 */
#ifndef AM_CONTRACT_VOCABULARY_H
#define AM_CONTRACT_VOCABULARY_H

#include "base/base.h"
#include "base/str.h"

#define OPERATION_TYPE_TABLE(X)                                                                    \
    X(OPERATION_PROFILE_CREATE, "agent_machine.profile.create")                                    \
    X(OPERATION_EXECUTION_START, "agent_machine.execution.start")                                  \
    X(OPERATION_EXECUTION_CANCEL, "agent_machine.execution.cancel")                                \
    X(OPERATION_TOOL_GRANT_APPLY, "agent_machine.tool_grant.apply")                                \
    X(OPERATION_TOOL_GRANT_REVOKE, "agent_machine.tool_grant.revoke")                              \
    X(OPERATION_CONTAINER_RUN, "agent_machine.container.run")                                      \
    X(OPERATION_MODEL_PROVIDER_BIND, "agent_machine.model_provider.bind")                          \
    X(OPERATION_DIAGNOSTICS_EXPORT, "agent_machine.diagnostics.export_redacted")

#define GATE_TABLE(X)                                                                              \
    X(GATE_TOOL_GRANT, "toolGrant")                                                                \
    X(GATE_MODEL_PROVIDER_USE, "modelProviderUse")                                                 \
    X(GATE_NETWORK_PROFILE, "networkProfile")                                                      \
    X(GATE_CONTAINER_EXECUTION, "containerExecution")                                              \
    X(GATE_ARTIFACT_ACCESS, "artifactAccess")

/* `stale` is a task's alone. */
#define STATE_TABLE(X)                                                                             \
    X(STATE_QUEUED, "queued")                                                                      \
    X(STATE_PREFLIGHTING, "preflighting")                                                          \
    X(STATE_AWAITING_DECISION, "awaiting_decision")                                                \
    X(STATE_BLOCKED, "blocked")                                                                    \
    X(STATE_RUNNING, "running")                                                                    \
    X(STATE_PAUSED, "paused")                                                                      \
    X(STATE_RETRYING, "retrying")                                                                  \
    X(STATE_CANCELING, "canceling")                                                                \
    X(STATE_CANCELED, "canceled")                                                                  \
    X(STATE_FAILED, "failed")                                                                      \
    X(STATE_COMPLETED, "completed")                                                                \
    X(STATE_COMPLETED_WITH_WARNINGS, "completed_with_warnings")                                    \
    X(STATE_COMPENSATED, "compensated")                                                            \
    X(STATE_STALE, "stale")

#define ADMISSION_TABLE(X)                                                                         \
    X(ADMISSION_NOT_STORED, "not_stored")                                                          \
    X(ADMISSION_STORED, "stored")                                                                  \
    X(ADMISSION_QUARANTINED, "quarantined")                                                        \
    X(ADMISSION_PENDING, "pending")                                                                \
    X(ADMISSION_ADMITTED, "admitted")                                                              \
    X(ADMISSION_ACTIVATED, "activated")                                                            \
    X(ADMISSION_ARCHIVED, "archived")                                                              \
    X(ADMISSION_REJECTED, "rejected")

#define EVENT_TYPE_TABLE(X)                                                                        \
    X(EVENT_START, "start")                                                                        \
    X(EVENT_PROGRESS, "progress")                                                                  \
    X(EVENT_FAILURE, "failure")                                                                    \
    X(EVENT_RETRY, "retry")                                                                        \
    X(EVENT_CANCEL, "cancel")                                                                      \
    X(EVENT_COMPLETE, "complete")

#define DIMENSION_TABLE(X)                                                                         \
    X(DIMENSION_MODEL_CALLS, "modelCalls")                                                         \
    X(DIMENSION_TOKENS, "tokens")                                                                  \
    X(DIMENSION_CONNECTOR_CALLS, "connectorCalls")                                                 \
    X(DIMENSION_CPU_SECONDS, "cpuSeconds")                                                         \
    X(DIMENSION_GPU_SECONDS, "gpuSeconds")                                                         \
    X(DIMENSION_LOCAL_DISK_BYTES, "localDiskBytes")                                                \
    X(DIMENSION_SANDBOX_MEMORY_BYTES, "sandboxMemoryBytes")                                        \
    X(DIMENSION_WALL_CLOCK_SECONDS, "wallClockSeconds")                                            \
    X(DIMENSION_AGENT_CONCURRENCY, "agentConcurrency")

/* Highest first. */
#define LAYER_TABLE(X)                                                                             \
    X(LAYER_ENTERPRISE, "enterprise")                                                              \
    X(LAYER_WORKSPACE, "workspace")                                                                \
    X(LAYER_DEVICE, "device")                                                                      \
    X(LAYER_USER, "user")                                                                          \
    X(LAYER_AGENT, "agent")                                                                        \
    X(LAYER_MODEL_PROVIDER, "model-provider")

#define VOCABULARY_ENUM(name, text) name,
enum operation_type { OPERATION_TYPE_TABLE(VOCABULARY_ENUM) OPERATION_TYPE_COUNT };
enum gate { GATE_TABLE(VOCABULARY_ENUM) GATE_COUNT };
enum state { STATE_TABLE(VOCABULARY_ENUM) STATE_COUNT };
enum admission { ADMISSION_TABLE(VOCABULARY_ENUM) ADMISSION_COUNT };
enum event_type { EVENT_TYPE_TABLE(VOCABULARY_ENUM) EVENT_TYPE_COUNT };
enum dimension { DIMENSION_TABLE(VOCABULARY_ENUM) DIMENSION_COUNT };
enum layer { LAYER_TABLE(VOCABULARY_ENUM) LAYER_COUNT };
#undef VOCABULARY_ENUM

extern const char *const operation_type_names[OPERATION_TYPE_COUNT];
extern const char *const gate_names[GATE_COUNT];
extern const char *const state_names[STATE_COUNT];
extern const char *const admission_names[ADMISSION_COUNT];
extern const char *const event_type_names[EVENT_TYPE_COUNT];
extern const char *const dimension_names[DIMENSION_COUNT];
extern const char *const layer_names[LAYER_COUNT];

/* The index of a word in one of these lists, or -1. */
int vocabulary_index(const char *const *names, size_t count, struct str word);

#endif

/*
 * operation_types: the eight rows.
 *
 * They say what the OperationContract documents say, in the form in which the
 * plane reads them; the test holds the two beside one another.
 */
#include "plane/operation_types.h"

#include "plane/work.h"

#define BIT(dimension) (1u << (dimension))
#define ALL_DIMENSIONS (BIT(DIMENSION_COUNT) - 1)

#define RETRIES                                                                                    \
    {                                                                                              \
        .retryable = true, .max_attempts = 3, .initial_delay_ms = 1000, .max_delay_ms = 30000      \
    }
/* What is written down by an operation that changes nothing but documents. */
#define DOCUMENT_BYTES ((int64_t)64 << 10)
#define WRITES_DOCUMENTS                                                                           \
    .dimensions = BIT(DIMENSION_LOCAL_DISK_BYTES),                                                 \
    .need = { .of = { [DIMENSION_LOCAL_DISK_BYTES] = DOCUMENT_BYTES } },                           \
    .usual = { .of = { [DIMENSION_LOCAL_DISK_BYTES] = DOCUMENT_BYTES } }
#define RUNS                                                                                       \
    .dimensions = ALL_DIMENSIONS,                                                                  \
    .need = { .of = { [DIMENSION_WALL_CLOCK_SECONDS] = NEED_CEILING,                               \
                      [DIMENSION_AGENT_CONCURRENCY] = 1 } },                                       \
    .usual = { .of = { [DIMENSION_WALL_CLOCK_SECONDS] = 3600,                                      \
                       [DIMENSION_CPU_SECONDS] = 3600,                                             \
                       [DIMENSION_AGENT_CONCURRENCY] = 1 } }

const struct operation_type_row operation_types[OPERATION_TYPE_COUNT] = {
    [OPERATION_PROFILE_CREATE] = {
        .slug = "profile-create",
        .compensation = COMPENSATION_TASK,
        .parameters = "profileCreate",
        .gates = { [GATE_ARTIFACT_ACCESS] = GATE_ALWAYS },
        WRITES_DOCUMENTS,
        .resumes = true,
        .effect = effect_profile_create,
    },
    [OPERATION_EXECUTION_START] = {
        .slug = "execution-start",
        .compensation = COMPENSATION_TASK,
        .parameters = "executionStart",
        .gates = { [GATE_NETWORK_PROFILE] = GATE_ALWAYS,
                   [GATE_TOOL_GRANT] = GATE_WHEN_USED,
                   [GATE_MODEL_PROVIDER_USE] = GATE_WHEN_USED,
                   [GATE_CONTAINER_EXECUTION] = GATE_WHEN_USED,
                   [GATE_ARTIFACT_ACCESS] = GATE_WHEN_USED },
        RUNS,
        .retry = RETRIES,
    },
    [OPERATION_EXECUTION_CANCEL] = {
        .slug = "execution-cancel",
        .parameters = "executionCancel",
        .dimensions = BIT(DIMENSION_WALL_CLOCK_SECONDS),
        .need = { .of = { [DIMENSION_WALL_CLOCK_SECONDS] = NEED_CEILING } },
        .usual = { .of = { [DIMENSION_WALL_CLOCK_SECONDS] = 60 } },
        .resumes = true,
        .effect = effect_execution_cancel,
    },
    [OPERATION_TOOL_GRANT_APPLY] = {
        .slug = "tool-grant-apply",
        .compensation = COMPENSATION_INVERSE,
        .inverse = OPERATION_TOOL_GRANT_REVOKE,
        .parameters = "toolGrantApply",
        .gates = { [GATE_TOOL_GRANT] = GATE_ALWAYS },
        WRITES_DOCUMENTS,
        .key_required = true,
        .retry = RETRIES,
        .resumes = true,
        .effect = effect_tool_grant_apply,
    },
    [OPERATION_TOOL_GRANT_REVOKE] = {
        .slug = "tool-grant-revoke",
        .parameters = "toolGrantRevoke",
        WRITES_DOCUMENTS,
        .key_required = true,
        .retry = RETRIES,
        .resumes = true,
        .effect = effect_tool_grant_revoke,
    },
    [OPERATION_CONTAINER_RUN] = {
        .slug = "container-run",
        .compensation = COMPENSATION_TASK,
        .parameters = "containerRun",
        .gates = { [GATE_CONTAINER_EXECUTION] = GATE_ALWAYS,
                   [GATE_NETWORK_PROFILE] = GATE_ALWAYS,
                   [GATE_ARTIFACT_ACCESS] = GATE_WHEN_USED,
                   [GATE_MODEL_PROVIDER_USE] = GATE_WHEN_USED },
        RUNS,
    },
    [OPERATION_MODEL_PROVIDER_BIND] = {
        .slug = "model-provider-bind",
        .compensation = COMPENSATION_INVERSE,
        .inverse = OPERATION_MODEL_PROVIDER_BIND,
        .parameters = "modelProviderBind",
        .gates = { [GATE_MODEL_PROVIDER_USE] = GATE_ALWAYS,
                   [GATE_NETWORK_PROFILE] = GATE_WHEN_USED },
        WRITES_DOCUMENTS,
        .key_required = true,
        .retry = RETRIES,
        .resumes = true,
        .effect = effect_model_bind,
    },
    [OPERATION_DIAGNOSTICS_EXPORT] = {
        .slug = "diagnostics-export-redacted",
        .compensation = COMPENSATION_TASK,
        .parameters = "diagnosticsExportRedacted",
        .gates = { [GATE_ARTIFACT_ACCESS] = GATE_ALWAYS },
        .dimensions = BIT(DIMENSION_LOCAL_DISK_BYTES) | BIT(DIMENSION_CPU_SECONDS),
        .need = { .of = { [DIMENSION_LOCAL_DISK_BYTES] = NEED_CEILING,
                          [DIMENSION_CPU_SECONDS] = NEED_CEILING } },
        .usual = { .of = { [DIMENSION_LOCAL_DISK_BYTES] = (int64_t)64 << 20,
                           [DIMENSION_CPU_SECONDS] = 60 } },
        .key_required = true,
        .retry = RETRIES,
        .effect = effect_diagnostics_export,
    },
};

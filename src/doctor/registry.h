/*
 * registry: whether what is installed here is what its registries say.
 *
 * A component is a package (its receipt, its list of digests, and what it
 * registers: desktop entries, D-Bus services, units, portals, browser
 * extensions and native-messaging hosts), or what registers itself without a
 * package. Every record is looked at for itself, so that a missing receipt, an
 * invalid manifest, a missing extension record and a quarantined plug-in are
 * told apart.
 */
#ifndef AM_DOCTOR_REGISTRY_H
#define AM_DOCTOR_REGISTRY_H

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "doctor/registry_digest.h"

#define REGISTRY_COMPONENTS_MAX 200000
#define REGISTRY_RECORDS_MAX    10000 /* of one component, as its document has it */
#define REGISTRY_FILES_MAX      10000000
#define REGISTRY_REF_MAX        2048

#define RECORD_STATE_TABLE(X)                                                                      \
    X(RECORD_PRESENT, "present")                                                                   \
    X(RECORD_MISSING, "missing")                                                                   \
    X(RECORD_INVALID, "invalid")                                                                   \
    X(RECORD_STALE, "stale")                                                                       \
    X(RECORD_QUARANTINED, "quarantined")                                                           \
    X(RECORD_UNKNOWN, "unknown")

#define RECORD_KIND_TABLE(X)                                                                       \
    X(RECORD_RECEIPT, "receipt")                                                                   \
    X(RECORD_EXTENSION, "extension-record")                                                        \
    X(RECORD_EXTENSION_POINT, "extension-point")                                                   \
    X(RECORD_BROKER, "broker-record")                                                              \
    X(RECORD_MANIFEST, "package-manifest")                                                         \
    X(RECORD_LAUNCH, "launch-record")                                                              \
    X(RECORD_PROFILE, "profile-record")

#define REGISTRY_VERDICT_TABLE(X)                                                                  \
    X(REGISTRY_VALID, "valid")                                                                     \
    X(REGISTRY_DEGRADED, "degraded")                                                               \
    X(REGISTRY_MISSING, "missing")                                                                 \
    X(REGISTRY_INVALID, "invalid")                                                                 \
    X(REGISTRY_QUARANTINED, "quarantined")

#define REGISTRY_ENUM(name, text) name,
enum record_state { RECORD_STATE_TABLE(REGISTRY_ENUM) RECORD_STATE_COUNT };
enum record_kind { RECORD_KIND_TABLE(REGISTRY_ENUM) RECORD_KIND_COUNT };
enum registry_verdict { REGISTRY_VERDICT_TABLE(REGISTRY_ENUM) REGISTRY_VERDICT_COUNT };
#undef REGISTRY_ENUM
extern const char *const record_state_names[RECORD_STATE_COUNT];
extern const char *const record_kind_names[RECORD_KIND_COUNT];
extern const char *const registry_verdict_names[REGISTRY_VERDICT_COUNT];

struct registry_record {
    enum record_kind kind;
    enum record_state state;
    const char *ref;
    const char *code, *impact, *remedy; /* NULL of one that is present */
};

struct registry_component {
    const char *ref, *identity;
    enum record_state receipt;
    char manifest_digest[DIGEST_TEXT_SIZE]; /* empty: it has no manifest */
    struct registry_record *records;
    size_t count, capacity, left_out; /* records beyond REGISTRY_RECORDS_MAX */
    enum registry_verdict verdict;
    const char *remedy;
    bool is_chosen; /* what was asked for, while the registries are read */
};

struct registry_options {
    const char *component; /* a package's name, a reference or a path; NULL: all */
    registry_tell *tell;   /* may be NULL */
    void *context;
};

struct registry;

/* ERR_NOT_FOUND where the component is not known here; ERR_MEMORY, ERR_LIMIT, ERR_IO. */
int registry_read(const struct registry_options *options, struct registry **ret,
                  struct err *err) MUST_CHECK;
void registry_free(struct registry *registry);

size_t registry_count(const struct registry *registry);
const struct registry_component *registry_at(const struct registry *registry, size_t index);
/* Files that were held against their digests. */
struct registry_progress registry_total(const struct registry *registry);

/* Appends a RuntimeRegistryIntegrityRecord. */
int registry_write(const struct registry_component *component, int64_t at_ms, struct buf *ret,
                   struct err *err) MUST_CHECK;

static inline void cleanup_registry(struct registry **registry)
{
    registry_free(*registry);
}

#endif

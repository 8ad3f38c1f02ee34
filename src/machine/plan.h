/*
 * plan: what a launch will do, decided before anything is done.
 *
 * plan_build is pure: from a profile, a request and the facts about the caller
 * it makes one plan, which nobody changes afterwards. Whatever is refused is
 * refused here, by a named rule and with the remedy; what executes the plan
 * decides nothing.
 */
#ifndef AM_MACHINE_PLAN_H
#define AM_MACHINE_PLAN_H

#include <sys/types.h>
#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/vocabulary.h"
#include "machine/image.h"
#include "machine/kept.h"
#include "machine/oci_runtime.h"
#include "machine/tier.h"

#define PLAN_ARGUMENTS_MAX   4096
#define PLAN_MOUNTS_MAX      64
#define PLAN_ENVIRONMENT_MAX 256
#define PLAN_AUTHORITIES_MAX 64
#define PLAN_PATTERNS_MAX    1000              /* of one list, as the schema has it */
#define PLAN_ARGUMENT_BYTES  ((size_t)2 << 20) /* of all arguments and variables together */

#define SEMANTICS_TABLE(X)                                                                         \
    X(MOUNT_READ_ONLY, "read-only")                                                                \
    X(MOUNT_READ_WRITE, "read-write")                                                              \
    X(MOUNT_STAGED, "staged")                                                                      \
    X(MOUNT_CACHE, "cache")

#define PLAN_ENUM(name, text) name,
enum semantics { SEMANTICS_TABLE(PLAN_ENUM) SEMANTICS_COUNT };
#undef PLAN_ENUM
extern const char *const semantics_names[SEMANTICS_COUNT];

/* --- what goes in -------------------------------------------------------------------------- */

/* What the caller found out about itself and the host; every path is absolute and resolved. */
#define PLAN_OWN_PLACES 2

struct plan_facts {
    const char *home, *user;
    const char *own_places[PLAN_OWN_PLACES]; /* this program's: its key, its ledger; resolved */
    const char *directory;                   /* where the caller stands */
    const char *repository;                  /* its repository's root; without one, the directory */
    const char
        *git; /* git's data of it, where that lies elsewhere (git_link.h); NULL: it does not */
    uid_t uid;
    gid_t gid;
    bool has_groups;                /* supplementary ones */
    const char *const *environment; /* NULL-terminated, "NAME=VALUE" */
    bool terminal;                  /* both ends of the command are one */
    enum tier tier;                 /* what this host gives */
    const char *tier_reason;        /* why it gives no more */
    const char *tier_remedy;        /* the one command that would mend it */
    const char *process_reason;     /* why it gives not even the tier `process`; NULL: it does */
};

struct plan_mount {
    const char *ref;       /* of an AgentWorkspaceMount; NULL where a profile or option names it */
    const char *host_path; /* resolved */
    const char *agent_path;
    enum semantics semantics;
    bool secrets_prohibited;
    const char *const *include, *const *exclude; /* path_patterns.h; NULL: none */
    bool by_profile; /* a delegation that covers the profile covers it */
    bool of_surface; /* the tool's program or state: its surface names it, no allow-list need */
};

struct plan_request {
    const yyjson_val *profile;
    const char *const *argv; /* NULL-terminated; may be empty where an image brings its own */
    const bool *safe;        /* beside argv: documents may keep its text; NULL: of none */
    const char *directory;   /* inside; NULL: as outside */
    const struct plan_mount *mounts;
    size_t mount_count;
    bool no_repository;           /* nothing of where the caller stands is mounted by itself */
    const char *const *variables; /* "NAME" passed on, or "NAME=VALUE"; NULL-terminated, or NULL */
    enum tier minimum_tier;       /* beside the profile's */
    const char *surface;          /* URN of an AgentToolSurface; NULL: a plain command */
    const char *const *surface_variables; /* "NAME=VALUE", NULL-terminated; may be NULL */
    const char *search_first; /* a folder inside with which the search path begins; may be NULL */
    const char *const *authorities; /* files of certificates, NULL-terminated; may be NULL */
    const char *certificates;       /* that are in them, PEM */
    const int64_t *ceiling;         /* by dimension, below 0 where there is none; may be NULL */
    const struct image *image;      /* in which the command runs; NULL: in the host's view */
    const struct oci_runtime_found *runtime; /* beside an image */
};

/* --- what comes out ------------------------------------------------------------------------ */

struct plan_limits {
    int64_t processes, open_files, output_bytes;
    struct kept_sum kept; /* change sets that may be kept, all runs' together */
    int64_t budget[DIMENSION_COUNT];
};

/* What an image asks for, and whether it took effect; the words are those of the contracts. */
#define IMAGE_SETTING_TABLE(X)                                                                     \
    X(IMAGE_USER, "user")                                                                          \
    X(IMAGE_ENTRYPOINT, "entrypoint")                                                              \
    X(IMAGE_DIRECTORY, "working-directory")                                                        \
    X(IMAGE_ENVIRONMENT, "environment")

#define PLAN_ENUM(name, text) name,
enum image_setting { IMAGE_SETTING_TABLE(PLAN_ENUM) IMAGE_SETTING_COUNT };
#undef PLAN_ENUM
extern const char *const image_setting_names[IMAGE_SETTING_COUNT];

struct plan_image {
    enum image_source source;
    const char *reference, *digest;
    bool pinned;
    const char *tree;    /* where it lies unpacked on this host */
    char *const *layers; /* digests, NULL-terminated */
    const struct oci_runtime *runtime;
    const char *runtime_path, *runtime_version, *runtime_digest;
    struct {
        bool asked;         /* the image says something */
        const char *reason; /* why it did not take effect; NULL: it did */
    } settings[IMAGE_SETTING_COUNT];
};

struct plan {
    const char *profile_id;
    const char *surface; /* may be NULL */
    char *const *argv;
    const bool *safe; /* beside argv; NULL: none is */
    char *const *environment;
    const char *directory; /* inside */
    const char *home;      /* inside: at the same place as outside, and empty */
    const char *user;
    const struct plan_mount *mounts; /* outer before inner */
    size_t mount_count;
    char *const *authorities; /* files, whose certificates are trusted beside the host's */
    const char *certificates; /* PEM; NULL: none, as at the tier `process`, which has no network */
    struct plan_limits limits;
    enum tier tier, minimum_tier;
    uid_t inside_uid, host_uid; /* who the command is, inside and to the host */
    gid_t inside_gid, host_gid;
    bool as_root; /* the caller is root; the command is not */
    bool has_groups;
    bool no_sockets;
    bool keeps_here; /* nothing leaves this machine */
    bool terminal;
    bool retain_output, receipt;
    const struct plan_image *image; /* at the tier `container`, and there alone; else NULL */
};

/*
 * ERR_DENIED names the rule and the remedy (a path outside the allow-list, a place of secrets);
 * ERR_UNSUPPORTED what this host or release cannot give; ERR_DOCUMENT, ERR_USAGE, ERR_LIMIT.
 */
int plan_build(const struct plan_facts *facts, const struct plan_request *request,
               struct plan **ret, struct err *err) MUST_CHECK;
void plan_free(struct plan *plan);

/* Whether nothing leaves this machine under a profile: its kind says so. */
bool plan_keeps_here(const yyjson_val *profile);

/*
 * Who the command will be and how it is isolated, as most hosts and profiles
 * have it: that much of a plan can be known from who the caller is, and no more
 * of `ret` is set. plan_is_as_expected tells whether a plan came out that way.
 */
void plan_expect(uid_t uid, gid_t gid, struct plan *ret);
bool plan_is_as_expected(const struct plan *plan, const struct plan *expected);

/* The plan as a document: of arguments count, length and digest, and the text of those safe. */
int plan_write(const struct plan *plan, struct buf *ret, struct err *err) MUST_CHECK;
/* The record of arguments: `"arguments":{…}`'s object, as the operations family has it. */
int plan_write_arguments(const struct plan *plan, struct buf *ret, struct err *err) MUST_CHECK;

/* The image with its digest, and what became of its settings, as the contracts have them. */
void plan_write_image(const struct plan_image *image, struct buf *ret);
void plan_write_image_settings(const struct plan_image *image, struct buf *ret);

static inline void cleanup_plan(struct plan **plan)
{
    plan_free(*plan);
}

#endif

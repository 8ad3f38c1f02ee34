/*
 * gate_rules: what a layer says about tools, models, networks, images and paths.
 *
 * No document of the contracts can take a tool or a folder away from a run, so
 * a layer's folder may hold gates.yaml (or .json, or gates.NAME.yaml):
 *
 *     rules:
 *       - gate: toolGrant            # or modelProviderUse, networkProfile,
 *                                    # containerExecution, artifactAccess
 *         match: openclaw
 *         answer: deny               # or ask, allow
 *         reason: Not reviewed yet.
 *
 * `match` is a name as a whole, or with `*` at its end whatever begins with
 * what stands before it; `*` alone is everything that the gate guards. A name
 * without `urn:` is the last part of a URN. A path is itself and all below it,
 * an image that lies there too; an image without a tag is every tag. `unpinned: true` restricts a
 * rule for containerExecution to images that are named without a digest.
 *
 *     engines:
 *       - command: [/usr/lib/acme/decide, --json]   # or socket: /run/acme/decide
 *         gates: [toolGrant]                        # left out: all
 *         timeoutMs: 500
 *
 * An engine is asked (engine.h) after the rules, and can only narrow what they
 * say. A workspace has none: what it names would run outside of every sandbox.
 */
#ifndef AM_AUTHORITY_GATE_RULES_H
#define AM_AUTHORITY_GATE_RULES_H

#include <yyjson.h>

#include "authority/verdict.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define GATE_NO_NETWORK   "none" /* asked of networkProfile: no `*` means it */
#define GATES_FILE_PREFIX "gates."
#define GATE_RULES_MAX    10000 /* of one document */
#define GATE_NAME_MAX     4096  /* bytes of a match, and of what is asked about */
#define GATE_REASON_MAX   400   /* bytes */
#define GATE_ENGINES_MAX  16    /* of one document, and of a policy */

#define ENGINE_ARGUMENTS_MAX  64
#define ENGINE_PATH_MAX       107 /* bytes of a socket's path, as the kernel has it */
#define ENGINE_TIMEOUT_MS     1000
#define ENGINE_TIMEOUT_MS_MAX 10000

/* How a match stands to a name. */
enum gate_form { GATE_WHOLE, GATE_BEGINNING, GATE_TREE };

struct gate_row {
    enum gate gate;
    enum answer answer;
    enum gate_form form;
    bool unpinned;
    struct str match;  /* as it is written */
    struct str reason; /* may be empty */
    uint32_t index;
};

struct engine_row {
    unsigned gates;            /* bits by enum gate */
    const yyjson_val *command; /* a list of texts; NULL: a socket */
    const char *socket;
    int timeout_ms;
    uint32_t index;
};

/* Each may be NULL. */
struct gate_visitor {
    int (*rule)(void *context, const struct gate_row *row, struct err *err);
    int (*engine)(void *context, const struct engine_row *row, struct err *err);
    void *context;
};

/*
 * Reads a gates document of a layer, and visits what stands in it. ERR_DOCUMENT names the place
 * and what may stand there: nothing is left out in silence.
 */
int gate_rules_read(const char *name, enum layer layer, const yyjson_val *root,
                    const struct gate_visitor *visitor, struct err *err) MUST_CHECK;

/* Whether a name that is asked about, or a match, is a path. */
static inline bool gate_is_path(struct str name)
{
    return name.len && name.ptr[0] == '/';
}

/* The path of an image that lies on this host, as in `oci:/srv/image:tag`; empty: it is none. */
struct str gate_image_path(struct str reference);
/*
 * Appends an image's name in full, as `docker.io/library/debian:12`; a path stays what it is.
 * *ret_repository: the bytes appended without tag and digest; *ret_tagged: without the digest.
 */
int gate_image_name(struct str reference, struct buf *ret, size_t *ret_repository,
                    size_t *ret_tagged) MUST_CHECK;

#endif

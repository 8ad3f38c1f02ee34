/*
 * layers: where the layers' documents lie, and whether they may speak.
 *
 * Enterprise and device: folders below the system's, owned by root and not
 * writable by others; what cannot be used there denies everything, by name.
 * Workspace: `.agent-machine/` of the repository, inert until a digest of all
 * its documents is trusted. User: a folder of the user's configuration. What
 * is wrong there is an error. The agent's layer is the tool surface that is
 * run, the model-provider layer every provider's profile, wherever they lie.
 */
#ifndef AM_AUTHORITY_LAYERS_H
#define AM_AUTHORITY_LAYERS_H

#include <sys/types.h>

#include "authority/references.h"
#include "authority/verdict.h"
#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/place.h"

#define LAYERS_SYSTEM_FOLDER    "/etc/agent-machine"
#define LAYERS_WORKSPACE_FOLDER ".agent-machine"
#define LAYERS_TRUSTED_FILE     "trusted"
#define LAYERS_GATES_TYPE       "gates" /* the type of a layer_document of gates */
#define LAYERS_REFERENCES_TYPE  "references"
#define LAYERS_FILES_MAX        1000 /* of one folder */
#define LAYERS_FILE_BYTES_MAX   ((size_t)32 << 20)
#define LAYERS_TRUSTED_MAX      ((size_t)4 << 20) /* bytes of the list */

/* The roots, all of which tests replace. */
struct layers_places {
    char system[PLACE_SIZE];    /* has enterprise/ and device/ */
    char workspace[PLACE_SIZE]; /* the repository's root; empty: none */
    char config[PLACE_SIZE];    /* has user/ */
    char state[PLACE_SIZE];     /* has the list of trusted digests */
    /*
     * A folder that has one for each layer, by name, and takes the place of all the above: for
     * trying a policy out. Owners and trust are not asked for. Empty: not used.
     */
    char all[PLACE_SIZE];
    uid_t owner; /* of the system's folders */
};

/* Those of this user and of the repository around a folder (the current one, where it is NULL). */
int layers_places_default(const char *start, struct layers_places *ret, struct err *err) MUST_CHECK;

enum document_state {
    DOCUMENT_IN_FORCE,
    DOCUMENT_UNUSABLE, /* and so everything is denied */
    DOCUMENT_INERT,    /* of a workspace that is not trusted */
};

struct layer_document {
    enum layer layer; /* of the folder where it lies */
    enum document_state state;
    const char *path, *type, *why; /* type: NULL unless in force; why: unless in force */
    const yyjson_val *root;        /* NULL unless in force */
};

/* Whether any of the folders is there; where none is, no layer says anything. Three look-ups. */
bool layers_may_speak(const struct layers_places *places);

struct layers;
int layers_open(const struct layers_places *places, struct layers **ret,
                struct err *err) MUST_CHECK;
void layers_close(struct layers *layers);

size_t layers_count(const struct layers *layers);
struct layer_document layers_at(const struct layers *layers, size_t index);
/* Of the workspace's folder; NULL where it has no documents. */
const char *layers_workspace_digest(const struct layers *layers);
/* Of the documents in force; good as long as the layers. */
const struct references *layers_references(const struct layers *layers);
/*
 * Hands the documents to a builder. `surface` is the name of the tool surface that is run, whose
 * hosts are the agent layer's; NULL: none. The layers must outlive the policy.
 */
int layers_add(const struct layers *layers, const char *surface, struct policy_builder *builder,
               struct err *err) MUST_CHECK;

/* Trusts the workspace's documents as they are now, if they are valid. */
int layers_trust(const struct layers_places *places, char ret_digest[DIGEST_TEXT_SIZE],
                 struct err *err) MUST_CHECK;

#endif

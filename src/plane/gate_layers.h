/*
 * gate_layers: the gates of the plane, answered by the layers of policy.
 *
 * What a plane asks where nothing else was plugged in. The layers are read and
 * compiled when a gate first asks, once for a plane (and once more where the
 * subject changes); where there are no folders of layers, nothing is opened.
 */
#ifndef AM_PLANE_GATE_LAYERS_H
#define AM_PLANE_GATE_LAYERS_H

#include "authority/references.h"
#include "base/digest.h"
#include "plane/plane.h"

struct gate_layers;

/* A plane_gate; the context is the plane. What cannot be read or decided is denied, by name. */
int gate_layers_ask(void *context, const struct gate_question *question, struct gate_answer *ret,
                    struct err *err);
/* The policy that the gates are asked under for a subject; good until another subject asks. */
int gate_layers_policy(struct plane *plane, struct str subject, const struct policy **ret,
                       struct err *err) MUST_CHECK;
/* Whether a document in force wants destinations to appear as digests alone. */
bool gate_layers_redact(const struct plane *plane);
/* What its documents refer to; may be NULL, which has nothing. */
const struct references *gate_layers_references(const struct plane *plane);
/* Of the policy that was asked; of one without documents where none was. */
int gate_layers_digest(struct plane *plane, char ret[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;
/* Appends the layers that have documents in force, as the fingerprint's policy lists them. */
int gate_layers_write(struct plane *plane, struct buf *ret, struct err *err) MUST_CHECK;
void gate_layers_free(struct gate_layers *layers);

#endif

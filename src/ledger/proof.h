/*
 * proof: the Merkle tree over the ledger's events, signed checkpoints, proofs.
 *
 * Leaves are the events' canonical forms, hashed as RFC 6962 says. A
 * checkpoint is a signed note (origin, size, root, signature lines). What
 * check_proof and verify need beside the proof is a public key alone.
 */
#ifndef AM_LEDGER_PROOF_H
#define AM_LEDGER_PROOF_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/sign.h"
#include "ledger/ledger.h"

#define PROOF_LEDGER_SIZE 33 /* a ledger's own name, 32 hex digits, and a NUL */

struct tree_head {
    char ledger[PROOF_LEDGER_SIZE]; /* whose tree it is */
    int64_t size;
    unsigned char root[DIGEST_BYTES];
};

int proof_tree_head(struct ledger *ledger, struct tree_head *ret, struct err *err) MUST_CHECK;
/* A checkpoint of the ledger as it is now, signed; and a checkpoint read and verified. */
int proof_checkpoint(struct ledger *ledger, const struct sign_key *key, struct buf *ret,
                     struct err *err) MUST_CHECK;
int proof_read_checkpoint(struct str note, const struct sign_public *key, struct tree_head *ret,
                          struct err *err) MUST_CHECK;

/*
 * Proofs as JSON documents that stand alone: event, path and checkpoint; or
 * two checkpoints and a path. An event is named by its id or its sequence; a
 * negative `to` is the ledger's size now.
 */
int proof_inclusion(struct ledger *ledger, struct str event, const struct sign_key *key,
                    struct buf *ret, struct err *err) MUST_CHECK;
int proof_consistency(struct ledger *ledger, int64_t from, int64_t to, const struct sign_key *key,
                      struct buf *ret, struct err *err) MUST_CHECK;
/*
 * A checkpoint of now, and for each event the path to it, of one moment: `visit` is given a path's
 * member, "path":["…"], in the order of the sequences.
 */
typedef int proof_visit_path(void *context, size_t index, struct str path, struct err *err);
int proof_paths(struct ledger *ledger, const int64_t *sequences, size_t count,
                const struct sign_key *key, struct buf *ret_checkpoint, proof_visit_path *visit,
                void *context, struct err *err) MUST_CHECK;
/* Whether an event, by the `path` that `holder` has, is in the tree of a head; as proof_check. */
int proof_check_event(const yyjson_val *event, const yyjson_val *holder,
                      const struct tree_head *head, struct err *err) MUST_CHECK;
/* 0 it holds; ERR_DAMAGED it does not, and err says in what. */
int proof_check(struct str proof, const struct sign_public *key, struct err *err) MUST_CHECK;

/*
 * Reads every event: chain, sequence, digests, tree, and against an earlier
 * checkpoint if one is given. ERR_DAMAGED names the first event at fault.
 */
int proof_verify(struct ledger *ledger, const struct tree_head *against, int64_t *ret_events,
                 uint64_t *ret_bytes, struct err *err) MUST_CHECK;

#endif

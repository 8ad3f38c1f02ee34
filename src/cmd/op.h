/* op: what the verbs around operations share. */
#ifndef AM_CMD_OP_H
#define AM_CMD_OP_H

#include "cmd/verb.h"
#include "plane/plane.h"

#define OP_COLUMNS 80

/* Opens the plane where the user's places are. */
int op_open(enum ledger_mode mode, struct plane **ret, struct err *err) MUST_CHECK;
/* The same with further options; the places are filled in. */
int op_open_with(const struct plane_options *options, struct plane **ret,
                 struct err *err) MUST_CHECK;
/* A URN as it was given, or made from the part behind its type. */
void op_urn(const char *type, const char *given, char ret[PLANE_URN_MAX]);
/* DIMENSION=N, as --budget takes it, into the amounts by dimension. */
#define OP_BUDGET_FORM "DIMENSION=N, such as wallClockSeconds=60"
bool op_read_budget(const char *text, int64_t ret[DIMENSION_COUNT]);
/* The delegation that was given, or the one that a machine profile names; NULL: one is minted. */
const char *op_delegation(const char *given, const yyjson_val *profile);
/* Prints how an operation ended as a JSON object: with the record that it left, or its failure. */
void op_print_outcome(const struct outcome *outcome, const char *record);
/* Prints text that others wrote, wrapped to OP_COLUMNS behind a label of `indent` columns. */
void op_print_wrapped(const char *label, int indent, struct str text);
void op_tell_wrapped(FILE *stream, const char *label, int indent, struct str text);
/* The same where `indent` columns of the first line are printed already. */
void op_print_behind(int indent, struct str text);

static inline void cleanup_plane(struct plane **plane)
{
    plane_close(*plane);
}

#endif

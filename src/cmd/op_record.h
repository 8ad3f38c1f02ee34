/* op_record: the verbs that tell, draw, export and verify an operation's whole record. */
#ifndef AM_CMD_OP_RECORD_H
#define AM_CMD_OP_RECORD_H

#include "cmd/op.h"
#include "plane/record.h"

#define OP_SHOW_OPTION_COUNT   1
#define OP_GRAPH_OPTION_COUNT  1
#define OP_EXPORT_OPTION_COUNT 1
#define OP_IMPORT_OPTION_COUNT 2

extern const struct option_row op_show_options[OP_SHOW_OPTION_COUNT];
extern const struct option_row op_graph_options[OP_GRAPH_OPTION_COUNT];
extern const struct option_row op_export_options[OP_EXPORT_OPTION_COUNT];
extern const struct option_row op_import_options[OP_IMPORT_OPTION_COUNT];

int run_op_show(const struct invocation *invocation);
int run_op_graph(const struct invocation *invocation);
int run_op_export(const struct invocation *invocation);
int run_op_import(const struct invocation *invocation);

/* Reads the record of what an operand names: an operation of the ledger, or the file of an export.
 */
int op_record_read(const char *given, struct operation_record *record, struct err *err) MUST_CHECK;
/* Writes to a file, which must not exist, or (NULL) to standard output. */
int op_put(const char *path, const struct buf *text, struct err *err) MUST_CHECK;
/* A URN without the part that all of them share. */
struct str op_short(struct str urn);
/* What a run was, an agent's or a container of its own; NULL where an operation was none. */
const yyjson_val *op_record_execution(const struct operation_record *record, struct str operation);
/* What a command gave a run: its program, and of its arguments those that may be known. */
void op_describe_run(const yyjson_val *command, struct buf *ret);
/* The delegations of an operation, from its own up to the user's; how many. */
size_t op_record_chain(const struct operation_record *record, const yyjson_val *operation,
                       const yyjson_val *ret[], size_t most);

#endif

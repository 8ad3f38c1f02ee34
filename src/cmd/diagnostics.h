/* diagnostics: what the verbs around bundles share. */
#ifndef AM_CMD_DIAGNOSTICS_H
#define AM_CMD_DIAGNOSTICS_H

#include <yyjson.h>

#include "cmd/verb.h"

#define DIAGNOSTICS_EXPORT_OPTION_COUNT 10

extern const struct option_row diagnostics_export_options[DIAGNOSTICS_EXPORT_OPTION_COUNT];

int run_diagnostics_export(const struct invocation *invocation);

/* Each file of a manifest on a line, with its size, what it holds and what was removed. */
void diagnostics_print_files(const yyjson_val *manifest);
/* "BEFORE 2 user-name, 1 jwt"; nothing where nothing was removed. */
void diagnostics_print_removed(yyjson_val *removed, const char *before);

#endif

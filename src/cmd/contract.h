/* contract: what the verbs below `contract` share. */
#ifndef AM_CMD_CONTRACT_H
#define AM_CMD_CONTRACT_H

#include "cmd/verb.h"
#include "contract/compile.h"
#include "contract/schema.h"

struct program;

/* A schema that was named on the command line: a type of the catalogue, a file or a URI. */
struct named_schema {
    struct schema_set *set;
    struct program *program;
};

int named_schema_open(const char *name, const struct compile_options *options,
                      struct named_schema *ret, struct err *err) MUST_CHECK;
void named_schema_close(struct named_schema *schema);

int run_contract_validate(const struct invocation *invocation);
#define CONTRACT_VALIDATE_OPTION_COUNT (6 + LIMIT_OPTION_COUNT)
extern const struct option_row contract_validate_options[CONTRACT_VALIDATE_OPTION_COUNT];

int run_contract_lint(const struct invocation *invocation);
#define CONTRACT_LINT_OPTION_COUNT (2 + LIMIT_OPTION_COUNT)
extern const struct option_row contract_lint_options[CONTRACT_LINT_OPTION_COUNT];

#endif

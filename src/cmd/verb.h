/*
 * verb: the shape of the command line.
 *
 * A verb is a row: name, operands, options, and either a function or verbs of
 * its own. Help, the man page and the shells' completions are made from the
 * same rows, so that none of them can say something else than the program.
 */
#ifndef AM_CMD_VERB_H
#define AM_CMD_VERB_H

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"

#define VERB_OPTIONS_MAX 32
#define VERB_GIVEN_MAX   128 /* options of one command line */

struct option_row {
    const char *name;     /* long, without dashes */
    char letter;          /* or 0 */
    const char *argument; /* what it takes, in capitals; NULL: a flag */
    const char *help;     /* one sentence, without a full stop */
};

/* What stands where operands go, for the shells' completions. */
enum operand_kind { OPERAND_NOTHING, OPERAND_FILE, OPERAND_FOLDER, OPERAND_TYPE, OPERAND_VERB };

struct invocation;

struct verb {
    const char *name;
    const char *operands; /* for the synopsis */
    enum operand_kind operand_kind;
    int operands_min, operands_max;
    const char *summary;     /* one line */
    const char *description; /* paragraphs, separated by empty lines */
    const struct option_row *options;
    size_t option_count;
    bool options_first;       /* what follows the first operand is another program's */
    const struct verb *verbs; /* of its own */
    size_t verb_count;
    int (*run)(const struct invocation *);
};

struct invocation {
    const struct verb *program; /* the top of the table */
    const struct verb *verb;
    const char *path;                     /* "contract validate" */
    const char *values[VERB_OPTIONS_MAX]; /* by option: its argument, "" for a flag, or NULL */
    struct {
        size_t option;
        const char *value;
    } given[VERB_GIVEN_MAX]; /* all of them in their order, for options that may be repeated */
    size_t given_count;
    bool dashes; /* `--` stood before the operands */
    int operand_count;
    char **operands;
};

extern const struct verb verb_attach, verb_budget, verb_contract, verb_delegation, verb_diagnostics,
    verb_doctor, verb_grant, verb_help, verb_init, verb_ledger, verb_logs, verb_model, verb_network,
    verb_op, verb_policy, verb_profile, verb_ps, verb_receipt, verb_recover, verb_redact, verb_run,
    verb_stop, verb_storm, verb_version, verb_worktree;

/* Finds the verb in the table, reads its options and runs it; returns the exit status. */
int verb_main(const struct verb *program, int argc, char **argv);
/*
 * Reads the options and operands of a verb, whose name is the first word: 0, EXIT_USAGE after it
 * was said why, or -1 where help was asked for. For one verb that has its work done by another,
 * too.
 */
int verb_read_options(struct invocation *invocation, int argc, char **argv);
/* The verb of a path such as {"contract", "lint"}; NULL where there is none. */
const struct verb *verb_find(const struct verb *program, int count, char *const *names);
/* Prints the help of one verb. */
void verb_print_help(const struct verb *program, const struct verb *verb, const char *path,
                     FILE *out);

/* Options for reading hostile documents, the same wherever documents are read. */
#define LIMIT_OPTIONS                                                                              \
    { "max-size", 0, "BYTES", "refuse larger documents" },                                         \
        { "max-depth", 0, "N", "refuse documents nested deeper" },                                 \
        { "max-array", 0, "N", "refuse longer arrays" },                                           \
        { "max-members", 0, "N", "refuse objects with more members" },                             \
        { "max-string", 0, "BYTES", "refuse longer strings" },                                     \
    {                                                                                              \
        "max-digits", 0, "N", "refuse numbers with more digits"                                    \
    }
#define LIMIT_OPTION_COUNT 6
/* The limits that the options from index `first` on ask for; ERR_USAGE where one is no number. */
int verb_limits(const struct invocation *invocation, size_t first, struct json_limits *ret,
                struct err *err) MUST_CHECK;

#endif

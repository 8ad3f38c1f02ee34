/*
 * compile: from a schema to a program.
 *
 * Everything that can be wrong with a schema is found here: unknown
 * references, keywords of the wrong type, patterns that are none. The program
 * refers into the set it was compiled from, which must outlive it.
 */
#ifndef AM_CONTRACT_COMPILE_H
#define AM_CONTRACT_COMPILE_H

#include "base/base.h"
#include "base/err.h"
#include "contract/schema.h"

#define PROGRAM_NODES_MAX ((size_t)1000000)
#define PROGRAM_BYTES_MAX ((size_t)512 << 20)

struct program;

struct compile_options {
    bool assert_formats; /* also where the dialect says that formats only annotate */
    bool known_patterns; /* they are right, and compiled when they are first searched for */
};

int program_new(struct schema_set *set, uint32_t location, const struct compile_options *options,
                struct program **ret, struct err *err) MUST_CHECK;
void program_free(struct program *program);
/* The set that a program was compiled from: its faults name locations there. */
const struct schema_set *program_set(const struct program *program);

#endif

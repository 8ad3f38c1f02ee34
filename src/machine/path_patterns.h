/*
 * path_patterns: lists of patterns in the syntax of `.gitignore`, and paths held against them.
 *
 * A pattern is a path relative to the tree: `*` and `?` stand for anything but a slash, `[a-z]` for
 * one byte of a set (`[!a-z]` for one outside of it), a component `**` for any number of them, and
 * `\` takes from what follows its meaning. One with a slash that is not its last byte begins at the
 * root; any other matches at every depth. A slash at the end asks for a directory, `!` before it
 * takes back what an earlier one said. Empty ones and those that begin with `#` say nothing.
 */
#ifndef AM_MACHINE_PATH_PATTERNS_H
#define AM_MACHINE_PATH_PATTERNS_H

#include "base/base.h"
#include "base/str.h"

enum pattern_verdict { PATTERN_SILENT, PATTERN_MATCHED, PATTERN_TAKEN_BACK };

/*
 * What the last of the patterns (NULL-terminated; NULL: none) that matches says of a path without
 * slashes at its ends. What it says of a directory is not asked of what lies below it.
 */
enum pattern_verdict path_patterns_ask(const char *const *patterns, struct str path,
                                       bool directory);

/*
 * The name that a pattern has in the root, if it is in one spelling: an empty one where it matches
 * several names, takes something back, or lies deeper. The text is the pattern's own.
 */
struct str path_pattern_root_name(const char *pattern);

#endif

/*
 * held_scripts: what of a package's own file runs when the package is installed or built.
 *
 * Of such a file only that part is looked at: a version or a dependency that changes holds nothing.
 */
#ifndef AM_MACHINE_HELD_SCRIPTS_H
#define AM_MACHINE_HELD_SCRIPTS_H

#include "base/base.h"
#include "base/str.h"

/* Whether a file of that name has such a part (package.json, composer.json, pyproject.toml,
 * Cargo.toml), in any case of letters. */
bool held_has_scripts(const char *name);
/* Whether a run changed or added what runs; also where that cannot be known. `before` may be empty.
 */
bool held_scripts_differ(const char *name, struct str before, struct str after);

#endif

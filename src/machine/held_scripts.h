/*
 * held_scripts: what of a package's own file runs when the package is installed or built, and of a
 * Makefile when it is read.
 *
 * Of such a file only that part is looked at: a version, a dependency or a recipe that changes
 * holds nothing.
 */
#ifndef AM_MACHINE_HELD_SCRIPTS_H
#define AM_MACHINE_HELD_SCRIPTS_H

#include "base/base.h"
#include "base/str.h"

/*
 * What is said of a file whose part was changed; NULL where one of that name has none:
 * package.json, composer.json, pyproject.toml, Cargo.toml, Makefile, GNUmakefile, *.mk, in any case
 * of letters.
 */
const char *held_scripts_reason(const char *name);
/* Whether a run changed or added what runs; also where that cannot be known. `before` may be empty.
 */
bool held_scripts_differ(const char *name, struct str before, struct str after);

#endif

/* interpreter: by what a script asks to be run. */
#ifndef AM_MACHINE_INTERPRETER_H
#define AM_MACHINE_INTERPRETER_H

#include "base/str.h"

/*
 * The program that `env` looks for in the search path for a file that begins so; empty where the
 * file is no script, or names its interpreter by a path. The text is the file's own.
 */
struct str interpreter_name(struct str beginning);

#endif

/* run_folder: where a run keeps its layers, its log and its sockets, and how that is cleared away.
 */
#ifndef AM_MACHINE_RUN_FOLDER_H
#define AM_MACHINE_RUN_FOLDER_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define RUN_FOLDER_SIZE 4096

/* False, with an empty path, for a name that is no plain word, or where the path does not fit. */
bool run_folder_path(const char *state_folder, struct str name, char ret[RUN_FOLDER_SIZE]);
/*
 * Makes the folder. One that a run before left bare becomes this run's: to make and remove folders
 * is dear, on some file systems the more so the more there were lately.
 */
int run_folder_make(const char *state_folder, const char *folder, struct err *err) MUST_CHECK;
/* Whether there are layers in it, with something in them or without. */
bool run_folder_has_layers(const char *folder);
/*
 * Its run is over: as run_folder_clear, but that a folder of one layer, and nothing else, which
 * nobody wrote to is put aside.
 */
void run_folder_end(const char *state_folder, const char *folder, bool discard);
/*
 * Makes ready for the next run what one before has put aside; best while nobody waits. Of the layer
 * `work` alone stays: `upper` is new for each run.
 */
void run_folder_sweep(const char *state_folder);
/*
 * The run is over, or its supervisor has died: removes what only a living run needs, and what
 * nobody wrote to; a change set stays unless it is to be discarded, a log always. What cannot be
 * removed stays too. An empty path is no folder.
 */
void run_folder_clear(const char *folder, bool discard);

#endif

/* log_file: the file of SQLite's write-ahead log, written in few large pieces. */
#ifndef AM_LEDGER_LOG_FILE_H
#define AM_LEDGER_LOG_FILE_H

#include <sqlite3.h>

#include "base/base.h"

/* The bytes that a file object of ours takes in front of the system's. */
size_t log_file_bytes(void);
/* Opens a log by the system's VFS; SQLite gives the room, of log_file_bytes and the system's own. */
int log_file_open(sqlite3_vfs *system, const char *name, sqlite3_file *file, int flags,
                  int *ret_flags);

#endif

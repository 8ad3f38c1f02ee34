/*
 * landlock: what the file system grants to whatever runs in the sandbox.
 *
 * A domain denies everything that no path grants. It works by the ABI of the
 * running kernel, and landlock_unenforced says what that ABI leaves open.
 */
#ifndef AM_MACHINE_LINUX_LANDLOCK_H
#define AM_MACHINE_LINUX_LANDLOCK_H

#include "base/base.h"
#include "base/err.h"

#define LANDLOCK_ABI_KNOWN 7 /* newer ones are used as this one */

/* What a path grants, below it where it is a folder. Writing does not include reading. */
enum landlock_access {
    LANDLOCK_READ = 1 << 0,  /* read files, list folders */
    LANDLOCK_WRITE = 1 << 1, /* write, truncate, make (no devices), remove, rename, link */
    LANDLOCK_EXECUTE = 1 << 2,
    LANDLOCK_DEVICE_IOCTL = 1 << 3, /* ioctl on device files: terminals need it */
};

struct landlock_path {
    int fd;           /* of the file or folder (O_PATH will do), or -1: `path` is opened */
    const char *path; /* also for messages; never NULL */
    unsigned access;  /* of enum landlock_access */
};

/* What is denied beside the file system. */
enum landlock_flag {
    LANDLOCK_NO_TCP = 1 << 0,          /* bind and connect; ABI 4 */
    LANDLOCK_NO_DEVICE_IOCTL = 1 << 1, /* except where a path grants it; ABI 5 */
    LANDLOCK_NO_ABSTRACT_OUT = 1 << 2, /* to abstract sockets made outside; ABI 6 */
    LANDLOCK_NO_SIGNALS_OUT = 1 << 3,  /* to processes outside; ABI 6 */
    LANDLOCK_NO_TRUNCATE = 1 << 4,     /* where no path grants writing; always in force; ABI 3 */
};

/* The kernel's ABI; 0 where it has no Landlock or has it switched off. */
int landlock_abi(void);
/* Those of the flags that an ABI does not enforce. */
unsigned landlock_unenforced(int abi, unsigned flags);

/*
 * Restricts the calling thread, for good; children inherit it. No allocation.
 * Needs no_new_privs. ERR_UNSUPPORTED without Landlock, ERR_NOT_FOUND for a
 * path that is not there, ERR_IO otherwise; err names the path.
 */
int landlock_restrict(const struct landlock_path *paths, size_t count, unsigned flags,
                      struct err *err) MUST_CHECK;

#endif

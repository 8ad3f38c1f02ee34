/* redact_test: a host without Vectorscan, played for the scanner and for those who use it. */
#ifndef AM_BASE_REDACT_TEST_H
#define AM_BASE_REDACT_TEST_H

#include <dlfcn.h>

#include "base/base.h"

static bool vectorscan_is_missing;

/* Stands before the C library's. */
void *dlopen(const char *name, int flags);
void *dlopen(const char *name, int flags)
{
    union {
        void *object;
        void *(*function)(const char *, int);
    } next = { .object = dlsym(RTLD_NEXT, "dlopen") };
    return next.function(vectorscan_is_missing ? "libhs-that-is-not-there.so" : name, flags);
}

#endif

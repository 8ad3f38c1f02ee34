/*
 * lazy: a shared library that is loaded when it is first needed.
 *
 * A launch must not pay for what only a door or a doctor uses (Vectorscan
 * alone costs half a millisecond of start-up). A module lists the functions
 * it calls; the headers of the library give them their types:
 *
 *     #define IDN_FUNCTIONS(X) X(idn2_lookup_u8) X(idn2_free)
 *     LAZY_LIBRARY(idn, "libidn2.so.0", IDN_FUNCTIONS)
 *     …
 *     int r = lazy_load(&idn_library, err);
 *     idn.idn2_lookup_u8(…);
 *
 * A library once loaded stays loaded. Not safe to race: modules load from the
 * thread that owns them.
 */
#ifndef AM_BASE_LAZY_H
#define AM_BASE_LAZY_H

#include "base/base.h"
#include "base/err.h"

struct lazy_library {
    const char *soname; /* with "|" between those that will do, in the order of preference */
    const char *const *names;
    void **slots;
    size_t count;
    bool loaded;
};

/* 0, or ERR_UNSUPPORTED with the library and the missing function named. */
int lazy_load(struct lazy_library *library, struct err *err) MUST_CHECK;

#define LAZY_MEMBER_(function) __typeof__(function) *function;
#define LAZY_NAME_(function)   #function,

#define LAZY_LIBRARY(name, library_soname, FUNCTIONS)                                              \
    static struct {                                                                                \
        FUNCTIONS(LAZY_MEMBER_)                                                                    \
    } name;                                                                                        \
    static const char *const name##_names[] = { FUNCTIONS(LAZY_NAME_) };                           \
    static struct lazy_library name##_library = {                                                  \
        .soname = library_soname,                                                                  \
        .names = name##_names,                                                                     \
        .slots = (void **)&name,                                                                   \
        .count = ARRAY_LEN(name##_names),                                                          \
    };

#endif

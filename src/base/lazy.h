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
 * What every launch needs is linked into the program where the host has it as
 * an archive (meson.build says so by a number, 1 or 0):
 *
 *     LIBRARY(AM_EMBEDS_SQLITE, sqlite, "libsqlite3.so.0", SQLITE_FUNCTIONS)
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
#define LAZY_VALUE_(function)  .function = function,

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

#define LIBRARY(embeds, name, soname, FUNCTIONS)  LIBRARY_(embeds, name, soname, FUNCTIONS)
#define LIBRARY_(embeds, name, soname, FUNCTIONS) LIBRARY_##embeds(name, soname, FUNCTIONS)
#define LIBRARY_0                                 LAZY_LIBRARY
#define LIBRARY_1(name, library_soname, FUNCTIONS)                                                 \
    static const struct {                                                                          \
        FUNCTIONS(LAZY_MEMBER_)                                                                    \
    } name = { FUNCTIONS(LAZY_VALUE_) };                                                           \
    static struct lazy_library name##_library = { .soname = library_soname, .loaded = true };

#endif

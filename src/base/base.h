/*
 * base.h: what every file of this program may take for granted.
 *
 * The standard headers that everything needs, scoped clean-up, ownership
 * transfer, and the list of C library functions that do not compile here
 * because they cannot be used within a bound.
 */
#ifndef AM_BASE_BASE_H
#define AM_BASE_BASE_H

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))
#define MUST_CHECK __attribute__((warn_unused_result))

/* Scoped clean-up: `_cleanup_(fn) T x = …;` calls fn(&x) at the end of the scope. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

/* Hands over what a scoped variable owns; the variable is left empty. */
#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

/* Unbounded, stateful or error-blind: use buf, str and strtoll and their kin instead. */
#undef sprintf /* clang's fortified headers make it a macro */
#pragma GCC poison strcpy strncpy stpcpy strcat strncat sprintf vsprintf gets strtok strtok_r
#pragma GCC poison atoi atol atoll atof mktemp tmpnam tempnam scanf fscanf sscanf

#endif

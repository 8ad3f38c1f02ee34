/*
 * storm_shape: a hash of a line that does not change with its numbers.
 *
 * In every run of ASCII letters and digits, what stands from the first digit
 * on counts as one mark. Two lines that differ in numbers alone thus have one
 * shape, and a line whose shape is known need not be taken apart.
 */
#ifndef AM_DOCTOR_STORM_SHAPE_H
#define AM_DOCTOR_STORM_SHAPE_H

#include "base/base.h"
#include "base/str.h"

/* Seeded afresh in every process; never 0. */
uint64_t storm_shape(struct str line);

/* The same text with the marks written as `mark`, cut to `size` bytes; returns its length. */
size_t storm_shape_text(struct str line, char mark, char *ret, size_t size);

#endif

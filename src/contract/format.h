/*
 * format: the named formats of draft 2020-12, as one table.
 *
 * Every format applies to strings alone. A name that is not in the table is
 * no format: it never fails.
 */
#ifndef AM_CONTRACT_FORMAT_H
#define AM_CONTRACT_FORMAT_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct format;

/* NULL where the name is unknown. */
const struct format *format_find(struct str name);
const char *format_name(const struct format *format);
/* 1 the value has the format, 0 it has not, -errno it could not be decided (err says why). */
int format_check(const struct format *format, struct str value, struct err *err) MUST_CHECK;

#endif

/*
 * yaml_scalar: what a scalar without quotes means.
 *
 * YAML 1.2's core schema: yes, no, on, off, dates and times are strings.
 */
#ifndef AM_CONTRACT_YAML_SCALAR_H
#define AM_CONTRACT_YAML_SCALAR_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define YAML_RADIX_DIGITS_MAX 1024 /* of an octal or hexadecimal number */

enum yaml_meaning {
    YAML_MEANS_STRING,
    YAML_MEANS_NULL,
    YAML_MEANS_TRUE,
    YAML_MEANS_FALSE,
    YAML_MEANS_DECIMAL, /* integer or not */
    YAML_MEANS_OCTAL,
    YAML_MEANS_HEX,
    YAML_MEANS_NOT_FINITE, /* JSON has no such number */
};

enum yaml_meaning yaml_scalar_meaning(struct str text);
/*
 * Appends a number as JSON spells it, digit by digit the same, other bases as
 * decimal. 0, an error of buf, or -E2BIG past YAML_RADIX_DIGITS_MAX.
 */
int yaml_scalar_add_number(struct buf *buf, struct str text, enum yaml_meaning meaning);

#endif

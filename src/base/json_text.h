/*
 * json_text: where things stand in a JSON text, and what is wrong with one.
 *
 * json.c uses it when there is an error to report; json_position and
 * json_locate of json.h live here too.
 */
#ifndef AM_BASE_JSON_TEXT_H
#define AM_BASE_JSON_TEXT_H

#include "base/base.h"
#include "base/str.h"

#define JSON_FAULT_CAUSE_MAX 256

struct json_fault {
    size_t offset;
    char cause[JSON_FAULT_CAUSE_MAX];
};

/*
 * The first fault of a text that the parser refused. -ENOENT where there is
 * none to be seen, -ENOMEM, or -E2BIG where a container stands deeper than
 * `depth` before any fault (only the offset is set then).
 */
int json_fault_find(struct str text, size_t depth, struct json_fault *ret) MUST_CHECK;

/* Byte offset of the n-th value, keys counted, of a text that was accepted. */
size_t json_value_offset(struct str text, size_t index);

#endif

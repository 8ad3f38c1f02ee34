/*
 * json_scan: JSON that is read in passing, in constant memory.
 *
 * Each value is shown when it has ended (a container when it begins, and again
 * at its end), with the name of its member, its place in the text and, of a
 * scalar, its text. Nothing is kept but the names on the way to where the scan
 * is: a whole document never stands in memory. Whether strings are UTF-8 is not
 * looked at.
 */
#ifndef AM_DOORS_MODEL_JSON_SCAN_H
#define AM_DOORS_MODEL_JSON_SCAN_H

#include "base/base.h"
#include "base/str.h"

#define JSON_SCAN_DEPTH_MAX 256
#define JSON_SCAN_LEVELS    8   /* whose names are kept: members of the document's are level 1 */
#define JSON_SCAN_NAME_MAX  64  /* of a name; what is behind is cut off */
#define JSON_SCAN_TEXT_MAX  256 /* of a string, likewise; a longer number is refused */

enum json_scan_kind {
    SCAN_OBJECT,
    SCAN_OBJECT_END,
    SCAN_ARRAY,
    SCAN_ARRAY_END,
    SCAN_STRING,
    SCAN_NUMBER,
    SCAN_TRUE,
    SCAN_FALSE,
    SCAN_NULL,
};

struct json_scan_value {
    enum json_scan_kind kind;
    unsigned level;   /* 0: the document itself */
    struct str name;  /* of the member; empty in an array, and of the document */
    struct str text;  /* of a string (its escapes resolved) or a number */
    bool is_cut;      /* the string is longer than its text */
    uint64_t from;    /* offsets in the document: of its first byte */
    uint64_t to;      /* and behind its last; of a container that begins, behind its bracket */
    uint64_t name_at; /* of its name's first quote */
    uint64_t comma;   /* of the comma before it; 0: it is the first of its container */
};

struct json_scan;
typedef void json_scan_visit(void *context, const struct json_scan *scan,
                             const struct json_scan_value *value);

/* Its members are the scan's own. */
struct json_scan {
    json_scan_visit *visit;
    void *context;
    int error;
    unsigned char state, literal_at;
    unsigned level;
    uint64_t at, value_from, name_at, comma;
    uint64_t objects[JSON_SCAN_DEPTH_MAX / 64 + 1]; /* a bit for each level: it is an object */
    struct {
        unsigned char len;
        char text[JSON_SCAN_NAME_MAX];
    } names[JSON_SCAN_LEVELS], deep_name;
    bool is_name, is_cut;
    const char *literal;
    uint32_t code_point, high_surrogate;
    unsigned code_digits;
    size_t text_len;
    char text[JSON_SCAN_TEXT_MAX];
};

void json_scan_init(struct json_scan *scan, json_scan_visit *visit, void *context);
/* 0; -EBADMSG: it is not JSON; -E2BIG: beyond a limit. After a failure it only fails. */
int json_scan_feed(struct json_scan *scan, struct str bytes);
/* The text ends here: 0 where it was one whole document, else as above. */
int json_scan_end(struct json_scan *scan);

/*
 * Whether a value stands at a path: names from level 1 on, with a slash between them and nothing
 * for an element of an array, as in "choices//delta".
 */
bool json_scan_is_at(const struct json_scan *scan, const struct json_scan_value *value,
                     const char *path);
/* The name on the way to where the scan is, at a level below JSON_SCAN_LEVELS. */
struct str json_scan_name(const struct json_scan *scan, unsigned level);
/* The number as an unsigned integer; false where it is another. */
bool json_scan_unsigned(const struct json_scan_value *value, uint64_t *ret);

#endif

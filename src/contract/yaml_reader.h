/*
 * yaml_reader: a YAML document as a row of events, each with its place.
 *
 * Stands between yaml and libfyaml, which is loaded on first use. Anchors,
 * aliases and tags end in an error here, and so does whatever libfyaml
 * refuses, in our words and with err->where set to line:column. libfyaml
 * itself prints nothing.
 */
#ifndef AM_CONTRACT_YAML_READER_H
#define AM_CONTRACT_YAML_READER_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum yaml_event_type {
    YAML_SCALAR,
    YAML_MAPPING,
    YAML_MAPPING_END,
    YAML_SEQUENCE,
    YAML_SEQUENCE_END,
    YAML_END, /* of the text */
};

struct yaml_event {
    enum yaml_event_type type;
    bool is_plain;   /* a scalar that is neither quoted nor a block: it may be more than a string */
    struct str text; /* of a scalar; lasts until the next event */
    size_t offset;   /* in the reader's body */
};

#define YAML_SAID_MAX 128

struct yaml_reader {
    struct str body;    /* the text without its byte order mark, up to the document's end */
    size_t start;       /* of the document, in the body */
    size_t behind;      /* the end of the last event, in the body */
    size_t last;        /* the start of the last event */
    struct buf content; /* of a scalar that is not what it says */
    struct fy_parser *parser;
    struct fy_diag *diag;
    struct fy_event *event;
    char said[YAML_SAID_MAX]; /* the first thing libfyaml says without a place */
};

/* The text outlives the reader. Close the reader also where this fails. */
int yaml_reader_open(struct str text, struct yaml_reader *ret, struct err *err) MUST_CHECK;
void yaml_reader_close(struct yaml_reader *reader);
int yaml_reader_next(struct yaml_reader *reader, struct yaml_event *ret,
                     struct err *err) MUST_CHECK;

#endif

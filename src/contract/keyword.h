/*
 * keyword: every keyword that a dialect knows, in one table.
 *
 * A row says which vocabulary a keyword belongs to, in which drafts it
 * exists, and what stands in its value: that is all that the search for
 * identifiers needs, and what the compiler selects by.
 */
#ifndef AM_CONTRACT_KEYWORD_H
#define AM_CONTRACT_KEYWORD_H

#include "base/base.h"
#include "base/str.h"

enum vocabulary {
    VOCABULARY_CORE = 1 << 0,
    VOCABULARY_APPLICATOR = 1 << 1,
    VOCABULARY_UNEVALUATED = 1 << 2,
    VOCABULARY_VALIDATION = 1 << 3,
    VOCABULARY_META_DATA = 1 << 4,
    VOCABULARY_FORMAT_ANNOTATION = 1 << 5,
    VOCABULARY_FORMAT_ASSERTION = 1 << 6,
    VOCABULARY_CONTENT = 1 << 7,
};
#define VOCABULARY_FORMAT (VOCABULARY_FORMAT_ANNOTATION | VOCABULARY_FORMAT_ASSERTION)

enum draft {
    DRAFT_2019_09 = 1 << 0,
    DRAFT_2020_12 = 1 << 1,
};
#define DRAFT_BOTH (DRAFT_2019_09 | DRAFT_2020_12)

/* What stands in a keyword's value. */
enum keyword_shape {
    SHAPE_DATA,            /* no subschema */
    SHAPE_SCHEMA,          /* a schema */
    SHAPE_SCHEMAS,         /* an array of schemas */
    SHAPE_SCHEMA_MAP,      /* an object whose values are schemas */
    SHAPE_SCHEMA_OR_ARRAY, /* a schema or an array of schemas */
    SHAPE_DEPENDENCIES,    /* an object whose values are schemas or arrays of names */
};

/*   enum                        name                     vocabulary              drafts         shape */
#define KEYWORD_TABLE(X)                                                                           \
    X(KEYWORD_ID,                    "$id",                   CORE,        DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_SCHEMA,                "$schema",               CORE,        DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_REF,                   "$ref",                  CORE,        DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_ANCHOR,                "$anchor",               CORE,        DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_DYNAMIC_REF,           "$dynamicRef",           CORE,        DRAFT_2020_12, SHAPE_DATA)            \
    X(KEYWORD_DYNAMIC_ANCHOR,        "$dynamicAnchor",        CORE,        DRAFT_2020_12, SHAPE_DATA)            \
    X(KEYWORD_RECURSIVE_REF,         "$recursiveRef",         CORE,        DRAFT_2019_09, SHAPE_DATA)            \
    X(KEYWORD_VOCABULARY,            "$vocabulary",           CORE,        DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_COMMENT,               "$comment",              CORE,        DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_DEFS,                  "$defs",                 CORE,        DRAFT_BOTH,    SHAPE_SCHEMA_MAP)      \
    X(KEYWORD_DEFINITIONS,           "definitions",           CORE,        DRAFT_BOTH,    SHAPE_SCHEMA_MAP)      \
    X(KEYWORD_PREFIX_ITEMS,          "prefixItems",           APPLICATOR,  DRAFT_2020_12, SHAPE_SCHEMAS)         \
    X(KEYWORD_ITEMS,                 "items",                 APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA_OR_ARRAY) \
    X(KEYWORD_ADDITIONAL_ITEMS,      "additionalItems",       APPLICATOR,  DRAFT_2019_09, SHAPE_SCHEMA)          \
    X(KEYWORD_CONTAINS,              "contains",              APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_PROPERTIES,            "properties",            APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA_MAP)      \
    X(KEYWORD_PATTERN_PROPERTIES,    "patternProperties",     APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA_MAP)      \
    X(KEYWORD_ADDITIONAL_PROPERTIES, "additionalProperties",  APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_PROPERTY_NAMES,        "propertyNames",         APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_DEPENDENT_SCHEMAS,     "dependentSchemas",      APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA_MAP)      \
    X(KEYWORD_DEPENDENCIES,          "dependencies",          APPLICATOR,  DRAFT_BOTH,    SHAPE_DEPENDENCIES)    \
    X(KEYWORD_IF,                    "if",                    APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_THEN,                  "then",                  APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_ELSE,                  "else",                  APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_ALL_OF,                "allOf",                 APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMAS)         \
    X(KEYWORD_ANY_OF,                "anyOf",                 APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMAS)         \
    X(KEYWORD_ONE_OF,                "oneOf",                 APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMAS)         \
    X(KEYWORD_NOT,                   "not",                   APPLICATOR,  DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_UNEVALUATED_ITEMS,     "unevaluatedItems",      UNEVALUATED, DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_UNEVALUATED_PROPERTIES, "unevaluatedProperties", UNEVALUATED, DRAFT_BOTH,   SHAPE_SCHEMA)          \
    X(KEYWORD_TYPE,                  "type",                  VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_CONST,                 "const",                 VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_ENUM,                  "enum",                  VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MULTIPLE_OF,           "multipleOf",            VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MAXIMUM,               "maximum",               VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_EXCLUSIVE_MAXIMUM,     "exclusiveMaximum",      VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MINIMUM,               "minimum",               VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_EXCLUSIVE_MINIMUM,     "exclusiveMinimum",      VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MAX_LENGTH,            "maxLength",             VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MIN_LENGTH,            "minLength",             VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_PATTERN,               "pattern",               VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MAX_ITEMS,             "maxItems",              VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MIN_ITEMS,             "minItems",              VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_UNIQUE_ITEMS,          "uniqueItems",           VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MAX_CONTAINS,          "maxContains",           VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MIN_CONTAINS,          "minContains",           VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MAX_PROPERTIES,        "maxProperties",         VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_MIN_PROPERTIES,        "minProperties",         VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_REQUIRED,              "required",              VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_DEPENDENT_REQUIRED,    "dependentRequired",     VALIDATION,  DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_FORMAT,                "format",                FORMAT,      DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_CONTENT_ENCODING,      "contentEncoding",       CONTENT,     DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_CONTENT_MEDIA_TYPE,    "contentMediaType",      CONTENT,     DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_CONTENT_SCHEMA,        "contentSchema",         CONTENT,     DRAFT_BOTH,    SHAPE_SCHEMA)          \
    X(KEYWORD_TITLE,                 "title",                 META_DATA,   DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_DESCRIPTION,           "description",           META_DATA,   DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_DEFAULT,               "default",               META_DATA,   DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_DEPRECATED,            "deprecated",            META_DATA,   DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_READ_ONLY,             "readOnly",              META_DATA,   DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_WRITE_ONLY,            "writeOnly",             META_DATA,   DRAFT_BOTH,    SHAPE_DATA)            \
    X(KEYWORD_EXAMPLES,              "examples",              META_DATA,   DRAFT_BOTH,    SHAPE_DATA)

enum keyword {
#define X(keyword, name, vocabulary, drafts, shape) keyword,
    KEYWORD_TABLE(X)
#undef X
    KEYWORD_COUNT,
    KEYWORD_NONE = KEYWORD_COUNT /* not a keyword of the dialect: an annotation */
};

struct keyword_row {
    struct str name;
    unsigned vocabularies; /* belongs to any of these */
    unsigned drafts;
    enum keyword_shape shape;
};

extern const struct keyword_row keyword_rows[KEYWORD_COUNT];

/* What a schema resource's keywords mean. */
struct dialect {
    enum draft draft;
    unsigned vocabularies;
};

/* KEYWORD_NONE where the dialect does not know the name. */
enum keyword keyword_find(struct str name, struct dialect dialect);

#endif

/*
 * program: a compiled schema, as data.
 *
 * A program is a flat array of nodes and a flat array of instructions. A node
 * is one schema: a mask of the types it lets through, and its instructions,
 * grouped by the class of value they look at, so that none of them asks for
 * the type again. Instructions name other nodes by index. The compiler writes
 * programs (compile.c), the validator walks them (validate.c); nobody else
 * looks inside.
 */
#ifndef AM_CONTRACT_PROGRAM_H
#define AM_CONTRACT_PROGRAM_H

#include <yyjson.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/map.h"
#include "base/str.h"
#include "contract/format.h"
#include "contract/keyword.h"
#include "contract/regex.h"
#include "contract/schema.h"

enum op {
    OP_MINIMUM,               /* value */
    OP_EXCLUSIVE_MINIMUM,     /* value */
    OP_MAXIMUM,               /* value */
    OP_EXCLUSIVE_MAXIMUM,     /* value */
    OP_MULTIPLE_OF,           /* value */
    OP_MIN_LENGTH,            /* number */
    OP_MAX_LENGTH,            /* number */
    OP_PATTERN,               /* regex */
    OP_FORMAT,                /* format */
    OP_MIN_ITEMS,             /* number */
    OP_MAX_ITEMS,             /* number */
    OP_UNIQUE_ITEMS,          /* nothing */
    OP_ITEMS,                 /* items */
    OP_CONTAINS,              /* contains */
    OP_MIN_PROPERTIES,        /* number */
    OP_MAX_PROPERTIES,        /* number */
    OP_MEMBERS,               /* members */
    OP_DEPENDENT_REQUIRED,    /* dependent */
    OP_DEPENDENT_SCHEMA,      /* dependent */
    OP_CONST,                 /* value */
    OP_ENUM,                  /* set */
    OP_REF,                   /* node */
    OP_DYNAMIC_REF,           /* dynamic; node where no resource on the way has the anchor */
    OP_ALL_OF,                /* branches */
    OP_ANY_OF,                /* branches */
    OP_ONE_OF,                /* branches */
    OP_NOT,                   /* node */
    OP_IF,                    /* condition */
    OP_UNEVALUATED_ITEMS,     /* node */
    OP_UNEVALUATED_PROPERTIES /* node */
};

/* Which values a group of instructions looks at; CLASS_ANY comes last in every node. */
enum value_class { CLASS_NUMBER, CLASS_STRING, CLASS_ARRAY, CLASS_OBJECT, CLASS_ANY, CLASS_COUNT };

#define NODE_TRUE 0u /* the schema that lets everything through */

/* Names, found in constant time. Few are compared one by one, many are hashed. */
struct name_table {
    struct str *names;
    uint32_t count;
    uint32_t slot_mask; /* 0: compared one by one */
    uint32_t *slots;    /* index + 1, or 0 */
};

struct branches {
    uint32_t count;
    uint32_t nodes[];
};

struct items {
    enum keyword prefix_keyword, rest_keyword;
    bool has_rest;
    uint32_t rest;
    uint32_t prefix_count;
    uint32_t prefix[];
};

struct contains {
    uint32_t node;
    uint64_t min, max;
};

struct member {
    uint32_t node;    /* NODE_TRUE where the name is only required */
    bool is_property; /* stands in `properties` */
    bool is_required;
};

struct member_pattern {
    const struct regex *regex;
    struct str pattern;
    uint32_t node;
};

/* properties, patternProperties, additionalProperties, required and propertyNames in one walk. */
struct members {
    struct name_table table;
    struct member *members; /* beside table.names */
    struct member_pattern *patterns;
    uint32_t pattern_count;
    uint32_t required_count;
    uint32_t additional;
    uint32_t names;
    bool has_additional;
    bool additional_is_false;
    bool has_names;
};

struct dependent {
    struct str name;
    uint32_t node;      /* OP_DEPENDENT_SCHEMA */
    struct str *others; /* OP_DEPENDENT_REQUIRED */
    uint32_t other_count;
};

struct value_set {
    const yyjson_val *array;
    unsigned types;   /* of its values */
    bool all_strings; /* then the table answers */
    struct name_table table;
};

struct condition {
    uint32_t test, then, otherwise;
};

/* A dynamic anchor's name: where it leads in each resource that has it. */
struct dynamic {
    uint32_t count;
    uint32_t *nodes; /* by resource: node + 1, or 0 */
};

struct instruction {
    uint8_t op;
    uint8_t keyword;
    uint32_t node;
    union {
        const yyjson_val *value;
        uint64_t number;
        const struct regex *regex;
        const struct format *format;
        const struct items *items;
        const struct contains *contains;
        const struct members *members;
        const struct dependent *dependent;
        const struct value_set *set;
        const struct branches *branches;
        const struct condition *condition;
        const struct dynamic *dynamic;
    };
};

struct node {
    uint8_t types;         /* the bits of value.h that pass */
    bool is_leaf;          /* nothing but types */
    bool opens_evaluation; /* has unevaluatedItems or unevaluatedProperties */
    bool annotates;        /* has keywords that say something and check nothing */
    uint32_t target;       /* itself; or, where it is nothing but a reference, what it leads to */
    uint32_t resource;
    uint32_t location;
    uint32_t begin[CLASS_COUNT + 1];
};

struct program {
    struct schema_set *set; /* not owned: outlives the program */
    struct node *nodes;
    struct instruction *instructions;
    size_t node_count, instruction_count;
    uint32_t start;
    bool has_dynamic; /* then the resources entered are kept track of */
    struct arena arena;
    struct regex **regexes;
    size_t regex_count;
};

/* Index of the name in the table, or -1. */
int64_t name_table_find(const struct name_table *table, struct str name);
/* An empty table for so many names; false where there is no memory. */
bool name_table_init(struct name_table *table, struct arena *arena, uint32_t capacity);
/* The index of a name, which is added if it is new. */
uint32_t name_table_add(struct name_table *table, struct str name);

#endif

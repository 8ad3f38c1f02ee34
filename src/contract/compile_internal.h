/*
 * compile_internal: what the compiler (compile.c) and its emitters (compile_emit.c) share.
 *
 * Whatever returns an int is 0 or -errno, with the compiler's err set.
 */
#ifndef AM_CONTRACT_COMPILE_INTERNAL_H
#define AM_CONTRACT_COMPILE_INTERNAL_H

#include "base/json.h"
#include "base/map.h"
#include "contract/compile.h"
#include "contract/program.h"

#define COMPILE_STEP "compile a schema"

struct compiler {
    struct program *program;
    struct schema_set *set;
    struct compile_options options;
    struct err *err;
    uint32_t *node_of; /* by location: node + 1, or 0 */
    size_t node_of_capacity;
    size_t node_capacity, instruction_capacity, regex_capacity;
    size_t compiled;          /* nodes whose body stands */
    struct map dynamic_names; /* name → index in dynamics */
    struct dynamic **dynamics;
    size_t dynamic_count, dynamic_capacity;
    bool *bound; /* by dynamic anchor of the set */
    size_t bound_capacity;
    bool *entered; /* by resource */
    size_t entered_capacity;
};

/* One schema while its body is compiled. */
struct frame {
    uint32_t node;
    uint32_t location;
    const yyjson_val *schema;
    struct dialect dialect;
    const yyjson_val *keywords[KEYWORD_COUNT];
};

struct emitter {
    enum value_class class;
    enum keyword keyword; /* runs where this one is present */
    enum op op;
    int (*emit)(struct compiler *, const struct frame *, const struct emitter *,
                const yyjson_val *value);
};

/* Sorted by class. */
extern const struct emitter compile_emitters[];
extern const size_t compile_emitter_count;
/* The mask of types that a node takes. */
int compile_types(struct compiler *c, const struct frame *f) MUST_CHECK;

int compile_out_of_memory(struct compiler *c);
/* Names a location, and a keyword in it (or NULL), as the place of the error. */
void compile_say_where(struct compiler *c, uint32_t location, const char *keyword);
/* Makes room for `need` items of this size, the new ones zero; false where there is no memory. */
bool compile_grow(void *array_pointer, size_t size, size_t need, size_t *capacity);

/* The node of a location; its body follows when the work list gets there. */
int compile_node_at(struct compiler *c, uint32_t location, uint32_t *ret) MUST_CHECK;
/* The node of a subschema that stands under a keyword, and perhaps a token of it. */
int compile_child(struct compiler *c, const struct frame *f, enum keyword keyword,
                  const struct str *token, const yyjson_val *schema, uint32_t *ret) MUST_CHECK;
int compile_add(struct compiler *c, enum op op, enum keyword keyword,
                struct instruction instruction) MUST_CHECK;

#endif

/* references_internal: what is read of references documents (references_read.c), and kept. */
#ifndef AM_AUTHORITY_REFERENCES_INTERNAL_H
#define AM_AUTHORITY_REFERENCES_INTERNAL_H

#include "authority/references.h"
#include "base/arena.h"
#include "contract/destination_index.h"

#define STEP_REFERENCES "read the references"

/* Where a name is. */
struct reference_name {
    const struct address_range *addresses;
    size_t address_count;
};

/* A value of the indices below: the layer, and the number of a name within its list. */
#define REFERENCE_LAYER_SHIFT 28
#define REFERENCE_ROWS_MAX    (1u << REFERENCE_LAYER_SHIFT)
static_assert(LAYER_COUNT < 16, "a layer has four bits");

struct no_proxy {
    struct destination destination;
    uint16_t port; /* 0: any */
};

/* A layer's map of secrets. */
struct reference_map {
    enum layer layer;
    const char *document;
    const yyjson_val *map;
};

/* Rows that grow; all but names are sorted after each document. */
struct reference_list {
    void *rows;
    size_t count, capacity;
};

struct references {
    struct arena arena;
    struct reference_list names; /* struct reference_name */
    struct destination_index by_name, connectors;
    struct reference_list proxies;     /* struct reference_proxy */
    struct reference_list authorities; /* struct reference_authority */
    struct reference_list maps;        /* struct reference_map */
    struct reference_list probes;      /* struct reference_probe */
};

/* Makes room for one more row of `size` bytes and returns it, zeroed; NULL without memory. */
void *reference_list_add(struct reference_list *list, size_t size);
/* Reads one document into lists that are not sorted by then. */
int references_read(struct references *references, enum layer layer, const char *name,
                    const yyjson_val *root, struct err *err) MUST_CHECK;
PRINTF_LIKE(5, 6)
int references_fault(struct err *err, const char *name, const char *section, struct str key,
                     const char *format, ...);

#endif

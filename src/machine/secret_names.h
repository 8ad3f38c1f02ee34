/*
 * secret_names: files that hold secrets by what they are called.
 *
 * One const table. A row names a file by its name or a pattern with "*", where it says so only in
 * a directory of a certain name, and where the name alone does not tell, what its contents must
 * hold. Letters are compared without regard to case.
 */
#ifndef AM_MACHINE_SECRET_NAMES_H
#define AM_MACHINE_SECRET_NAMES_H

#include "base/base.h"
#include "base/str.h"

/* What of a candidate is read; one that is larger counts as a secret. */
#define SECRET_CONTENT_BYTES_MAX ((size_t)1 << 20)

enum secret_content {
    SECRET_ALWAYS,
    SECRET_IF_NPM_TOKEN,
    SECRET_IF_YARN_TOKEN,
    SECRET_IF_PASSWORD,
    SECRET_IF_REGISTRY_AUTH,
    SECRET_IF_PRIVATE_MEMBER, /* JSON with a private key or a client's secret */
    SECRET_IF_NOT_PUBLIC_PEM, /* whatever is not made of certificates and public keys alone */
    SECRET_CONTENT_COUNT
};

struct secret_name {
    const char *kind;   /* as the fingerprint counts it */
    const char *name;   /* with "*" for any characters */
    const char *parent; /* the name of the directory that it lies in; NULL: any */
    enum secret_content content;
    bool directory; /* a directory of that name, as a whole; else anything but a directory */
};

extern const struct secret_name secret_names[];
extern const size_t secret_names_count;

/* The number of a directory's name among those that rows ask for, from 1; 0 where none does. */
unsigned secret_parent(struct str name);
/* The row that an entry of a directory falls under (`parent` its number), or NULL. */
const struct secret_name *secret_name_find(struct str name, unsigned parent, bool directory);
/* Whether a row's name is one spelling and not a pattern. */
bool secret_name_is_literal(const struct secret_name *row);
/* Whether the contents of a candidate make it a secret. */
bool secret_content_tells(enum secret_content content, struct str text);
/* Changes whenever the table does: for what was found with it and kept. */
uint64_t secret_names_hash(void);

#endif

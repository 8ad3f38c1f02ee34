/*
 * model_hosts: where known model providers answer.
 *
 * Prompts go there through the Model Door alone: the Network Door denies these
 * hosts, and no tool surface lists them.
 */
#ifndef AM_CONTRACT_MODEL_HOSTS_H
#define AM_CONTRACT_MODEL_HOSTS_H

#include "base/base.h"
#include "contract/destination.h"

/* "name", ".name" for the names below it too, or one "*" for any characters, but at least one. */
struct model_host {
    const char *pattern;
    const char *provider;
};

extern const struct model_host model_hosts[];
extern const size_t model_hosts_count;

/* The row that a name falls under; NULL where it is not known as a model provider's. */
const struct model_host *model_host_find(const struct host_name *name);
/* A row with hosts below a name; NULL where there is none. */
const struct model_host *model_host_find_below(const struct host_name *name);

#endif

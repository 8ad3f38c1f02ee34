/* facts: what a caller is, and where: the one part of planning that looks at the host. */
#ifndef AM_MACHINE_FACTS_H
#define AM_MACHINE_FACTS_H

#include "machine/git_link.h"
#include "machine/plan.h"

#define FACTS_PATH_SIZE 4096

struct facts {
    struct plan_facts plan; /* points into the rest */
    char home[FACTS_PATH_SIZE], directory[FACTS_PATH_SIZE], repository[FACTS_PATH_SIZE];
    struct git_link git; /* of the repository, where its data lies elsewhere; else empty */
    char user[64];
};

/*
 * The repository is the nearest folder at or above the current one that has a
 * `.git`. ERR_USAGE where there is no home; ERR_NOT_FOUND where the current
 * folder is gone.
 */
int facts_read(struct facts *ret, struct err *err) MUST_CHECK;
/*
 * The tier is what the host's settings let expect. This tries instead, in some milliseconds, for a
 * plan that would take less: a container's filter stands in no setting. False where the tier is
 * another one now.
 */
bool facts_try_tier(struct facts *facts) MUST_CHECK;
/* Resolves a path of the host; ERR_NOT_FOUND, ERR_LIMIT. */
int facts_resolve(const char *path, char ret[FACTS_PATH_SIZE], struct err *err) MUST_CHECK;
/* Where on the host the file of a plan's command is; false where the view will not have it. */
bool facts_find_program(const struct plan *plan, char ret[FACTS_PATH_SIZE]);

#endif

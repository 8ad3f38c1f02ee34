/*
 * registry_digest: many files, held against the digests that their receipts have.
 *
 * As many threads as the machine has processors, each taking the next file.
 */
#ifndef AM_DOCTOR_REGISTRY_DIGEST_H
#define AM_DOCTOR_REGISTRY_DIGEST_H

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"

#define REGISTRY_THREADS_MAX 16

enum file_state { FILE_UNSEEN, FILE_SAME, FILE_DIFFERS, FILE_MISSING, FILE_UNREADABLE };

struct registry_file {
    const char *path;
    unsigned char md5[DIGEST_MD5_BYTES];
    enum file_state state;
    uint32_t package; /* whose it is; of the caller */
};

struct registry_progress {
    size_t files, all;
    uint64_t bytes;
};
/* Called from the thread that asked, now and then. */
typedef void registry_tell(void *context, const struct registry_progress *progress);

/* Sets the state of each; ERR_MEMORY where no thread can be had. */
int registry_digest(struct registry_file *files, size_t count, registry_tell *tell, void *context,
                    struct registry_progress *ret, struct err *err) MUST_CHECK;

#endif

/* secret_internal: the locked bytes that a secret is made of, and the command that prints one. */
#ifndef AM_AUTHORITY_SECRET_INTERNAL_H
#define AM_AUTHORITY_SECRET_INTERNAL_H

#include "authority/secret.h"

#define SECRET_STEP          "resolve a secret"
#define SECRET_ARGUMENTS_MAX 64
#define SECRET_ACCOUNT_SIZE  128

struct secret {
    size_t capacity;
    size_t len;
    enum secret_scheme scheme;
    char account[SECRET_ACCOUNT_SIZE];
    char bytes[];
};

/* NULL with err set where no memory can be locked. */
struct secret *secret_new(size_t capacity, struct err *err);
/* Makes room behind len: twice as much as before, up to SECRET_BYTES_MAX + 1 in all. */
int secret_grow(struct secret **secret, struct err *err) MUST_CHECK;
/* Takes one newline from the end, and refuses what is empty or too long; `name` is for messages. */
int secret_finish(struct secret *secret, bool is_text, const char *name,
                  struct err *err) MUST_CHECK;

/*
 * Runs a command, found along PATH, without a shell: its environment is PATH and HOME, its input
 * and its error output are /dev/null, its process group ends with it.
 */
int secret_run(const char *const *arguments, int timeout_ms, struct secret **ret,
               struct err *err) MUST_CHECK;

/* The log-in of a tool, by its name; fails as secret_resolve. */
int secret_account_resolve(const yyjson_val *value, struct secret **ret,
                           struct err *err) MUST_CHECK;
bool secret_account_is_known(const yyjson_val *value);
/* The same of what its file says; `value` is one that is known. */
int secret_account_read(const yyjson_val *value, const char *path, struct str text, int64_t now_ms,
                        struct secret **ret, struct err *err) MUST_CHECK;

static inline void cleanup_secret(struct secret **secret)
{
    secret_free(*secret);
}

#endif

/* git_config: reading a file of git's configuration from hostile bytes; nothing is included. */
#ifndef AM_MACHINE_GIT_CONFIG_H
#define AM_MACHINE_GIT_CONFIG_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define GIT_CONFIG_BYTES_MAX ((size_t)4 << 20)
#define GIT_CONFIG_VALUE_MAX ((size_t)64 << 10)

/* Called for each variable. Section and key in lower case; a key without "=" has the value "true".
 */
typedef void git_config_visit(void *context, struct str section, struct str subsection,
                              struct str key, struct str value);

/* 0, -EBADMSG where the text is none (what stood before was visited), -ENOMEM. */
int git_config_read(struct str text, git_config_visit *visit, void *context) MUST_CHECK;

#endif

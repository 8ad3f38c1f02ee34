/* firewall_text: the few things that several formats write alike. */
#ifndef AM_DOORS_NETWORK_FIREWALL_TEXT_H
#define AM_DOORS_NETWORK_FIREWALL_TEXT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "doors/network/firewall_plan.h"

/* How a format says what is not for its reader: before all lines, and around each. */
struct comment_style {
    const char *begin, *open, *close;
};
const struct comment_style *firewall_comment_style(enum firewall_target target);

/*
 * Appends text that others wrote, for a comment or between quotes in any of
 * the formats: printable ASCII as it is, but `"`, `\`, `%` and every other byte
 * as %XX. Cut at `limit` bytes of what is written.
 */
void firewall_add_safe(struct buf *buf, struct str text, size_t limit);
/*
 * A name for the target's own objects, from the id of a document: small
 * letters, digits and `fill`. Two ids never share one.
 */
int firewall_name(struct str id, char fill, char ret[FIREWALL_NAME_MAX],
                  struct err *err) MUST_CHECK;

/* Labels "a=b,c=d" as Kubernetes has them. */
#define LABELS_MAX 32
struct labels {
    struct {
        struct str key, value;
    } of[LABELS_MAX];
    size_t count;
};
/* ERR_USAGE where one is no label. */
int labels_read(struct str text, struct labels *ret, struct err *err) MUST_CHECK;
/* Appends them as the members of a YAML mapping, each line behind `indent` spaces. */
void labels_add(struct buf *buf, const struct labels *labels, int indent);
/* Whether it is the name of a namespace or a service account: a label of a host name. */
bool kubernetes_name_is(struct str text);

#endif

/*
 * yaml_content: what a quoted, plain or block scalar says.
 *
 * A parser knows where a scalar starts and ends; here its bytes become its
 * content: lines folded, escapes resolved, line breaks made \n.
 */
#ifndef AM_CONTRACT_YAML_CONTENT_H
#define AM_CONTRACT_YAML_CONTENT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

enum yaml_style { YAML_PLAIN, YAML_SINGLE_QUOTED, YAML_DOUBLE_QUOTED };

/* Appends what stands between the quotes. -EINVAL where an escape is none, or an error of buf. */
int yaml_content_add(struct buf *buf, struct str raw, enum yaml_style style);

/*
 * Appends a block, whose | or > stands at `header`. `parent` is the column,
 * from 0, of the mapping or sequence that it belongs to; -1 where there is
 * none. Sets ret_end to the end of its last line. -EINVAL where it is
 * malformed, or an error of buf.
 */
int yaml_content_add_block(struct buf *buf, struct str body, size_t header, long parent,
                           size_t *ret_end);

#endif

/*
 * The pages of the index as pure functions of facts: the same facts give the same bytes. HTML is PEP 503 with
 * PEPs 592, 658 and 714; JSON is PEP 691 at version 1.1 (PEP 700).
 *
 * A render fails by filling the buffer: check `to->full` once.
 */
#ifndef WEB_INDEX_H
#define WEB_INDEX_H

#include "core/buf.h"
#include "db.h"

/* /simple/NAME/: `package` is the normalised name. */
void index_package_html(struct buf *to, const char *package, const struct db_index *facts);
void index_package_json(struct buf *to, const char *package, const struct db_index *facts);

/* /simple/ */
void index_root_html(struct buf *to, const struct db_root *facts);
void index_root_json(struct buf *to, const struct db_root *facts);

#endif

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

/* /simple/NAME/, or with a target /TARGET/simple/NAME/: `package` is the normalised name. */
void index_package_html(struct buf *to, const char *package, const struct db_index *facts, const char *target);
void index_package_json(struct buf *to, const char *package, const struct db_index *facts, const char *target);

/* /simple/, or /TARGET/simple/ */
void index_root_html(struct buf *to, const struct db_root *facts, const char *target);
void index_root_json(struct buf *to, const struct db_root *facts, const char *target);

/* Whether they name the file at this place, and how many they name; the package. */
bool index_names(const struct db_index *facts, unsigned at, const char *target);
unsigned index_count(const struct db_index *facts, const char *target);
bool index_root_names(const struct db_root_item *item, const char *target);

#endif

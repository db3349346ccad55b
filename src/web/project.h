/*
 * The pages about a package: the one for people and the JSON beside it, as pure functions of facts.
 *
 * A render fails by filling the buffer: check `to->full` once.
 */
#ifndef WEB_PROJECT_H
#define WEB_PROJECT_H

#include "core/buf.h"
#include "db.h"

/* /project/NAME/: `package` is the normalised name, `site_url` what people reach the site by, or "". */
void project_html(struct buf *to, const char *package, const struct db_project_page *facts,
                  const char *site_url);

/* /project/NAME/json/index.json */
void project_json(struct buf *to, const char *package, const struct db_project_page *facts,
                  const char *site_url);

#endif

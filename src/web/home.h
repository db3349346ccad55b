/*
 * The front page, and the page for what is not there, as pure functions of facts.
 */
#ifndef WEB_HOME_H
#define WEB_HOME_H

#include "core/buf.h"
#include "db.h"

extern const char style_css[]; /* what all pages for people look like; made from style.css */

/* /index.html; `site_url`: what people reach the site by, or "" */
void home_html(struct buf *to, const struct db_home *facts, const char *site_url);

/* /404.html, which a server shows under any address: it needs no other file. */
void home_missing_html(struct buf *to);

#endif

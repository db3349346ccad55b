/*
 * HTML for people, escaped unless it was written in our own source.
 */
#ifndef WEB_HTML_H
#define WEB_HTML_H

#include <inttypes.h>
#include <stdint.h>

#include "core/buf.h"

/* Adds markup as printf would, but that every text (%s) is escaped, for elements and quoted attributes alike;
 * besides it there are whole numbers (%d, %u, with l, ll or z) and %%. The template must be a literal:
 * anything else does not compile. So nothing that others wrote can become markup. */
#define html_add(to, ...) html_add_template((to), "" __VA_ARGS__)
void html_add_template(struct buf *to, const char *template, ...) __attribute__((format(printf, 2, 3)));

/* A part of a path: everything but RFC 3986's unreserved characters as %XX. (Some servers take a '+' for a
 * blank.) */
void html_add_url(struct buf *to, const char *text);

/* "1.4 MB" */
void html_add_size(struct buf *to, uint64_t bytes);

/* "12 345 678", with narrow blanks that do not break. */
void html_add_count(struct buf *to, uint64_t count);

/* From <!DOCTYPE> to the opening of <main>. `up` leads to the site's front page: "", or "../../". */
void html_begin(struct buf *to, const char *title, const char *up);
/* From </main> to the end. */
void html_end(struct buf *to);

/* The address of the index, for commands that people copy. Without a URL of the site a line of script puts in
 * where the page was found; `up` as above; `place`: "", or "TARGET/" for that of a target. */
void html_add_index_url(struct buf *to, const char *site_url, const char *up, const char *place);
/* What a reader without script is told to put in himself. Nothing with a URL. */
void html_add_index_script(struct buf *to, const char *site_url);

/* A link to a build's log. */
void html_add_log(struct buf *to, int64_t build, const char *up);

#endif

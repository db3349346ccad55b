/*
 * METADATA as the core metadata specification has it: RFC 822 headers, then a description nobody here reads.
 * Lines and headers end where Python's email parser, which pip uses, lets them end: what pip would see is
 * what we judge. The wheel room reads WHEEL with the same headers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ascii.h"
#include "core/memory.h"
#include "core/text.h"
#include "python.h"
#include "span.h"

/* ---- headers ---- */

/* Cuts the next line off; it ends at a line feed, a carriage return, or both. */
static struct span next_line(struct python_headers *h)
{
    struct span line = {h->at, 0};

    while (h->at < h->end && *h->at != '\n' && *h->at != '\r')
        h->at++;
    line.len = (size_t)(h->at - line.at);
    if (h->at < h->end && *h->at == '\r' && h->at + 1 < h->end && h->at[1] == '\n')
        h->at++;
    if (h->at < h->end)
        h->at++;
    return line;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The length of "Name" in "Name: value"; 0 when the line is no header. */
static size_t header_name_len(struct span line)
{
    size_t len = 0;

    while (len < line.len && line.at[len] > ' ' && line.at[len] < 0x7f && line.at[len] != ':')
        len++;
    return len < line.len && line.at[len] == ':' ? len : 0;
}

/* What Python's email parser passes over among headers: a header without a name, an envelope's "From ", and a
 * continuation of nothing. */
static bool is_passed_over(struct span line)
{
    return line.len > 0 && (is_blank(line.at[0]) || line.at[0] == ':' || (line.len >= 5 && memcmp(line.at, "From ", 5) == 0));
}

static void add_folded(struct buf *value, struct span line)
{
    line = span_trim(line);
    if (value->len > 0 && line.len > 0)
        buf_addc(value, ' ');
    buf_add(value, line.at, line.len);
}

bool python_headers_next(struct python_headers *h, char name[PYTHON_HEADER_NAME_MAX], char **value)
{
    struct python_headers after = *h;
    struct span line;
    size_t len, kept = 0;
    struct buf text;

    do {
        line = next_line(&after);
    } while (is_passed_over(line));
    len = header_name_len(line);
    if (len == 0)
        return false;
    for (; kept < len && kept < PYTHON_HEADER_NAME_MAX - 1; kept++)
        name[kept] = ascii_lower(line.at[kept]);
    name[kept] = '\0';
    buf_init(&text, (size_t)(h->end - h->at));
    add_folded(&text, (struct span){line.at + len + 1, line.len - len - 1});
    while (after.at < after.end && is_blank(*after.at))
        add_folded(&text, next_line(&after));
    for (size_t i = 0; i < text.len; i++)
        if (is_blank(text.data[i]))
            text.data[i] = ' ';
    *value = text_clean(text.data, text.len, text.len);
    buf_release(&text);
    *h = after;
    return true;
}

/* ---- metadata ---- */

/* Whether a marker asks for an extra: the word outside of quotes. */
static bool needs_extra(const char *requirement)
{
    const char *p = strchr(requirement, ';');
    char quote = '\0';

    for (; p && *p != '\0'; p++) {
        if (quote != '\0') {
            quote = *p == quote ? '\0' : quote;
        } else if (*p == '"' || *p == '\'') {
            quote = *p;
        } else if (text_starts(p, "extra") && !ascii_alnum(p[-1]) && p[-1] != '_' && !ascii_alnum(p[5]) &&
                   p[5] != '_') {
            return true;
        }
    }
    return false;
}

static void add_requirement(struct metadata *m, char *value)
{
    if (value[0] == '\0' || needs_extra(value)) {
        free(value);
        return;
    }
    m->requires_dist = mem_resize(m->requires_dist, m->requires_dist_count + 1, sizeof *m->requires_dist);
    m->requires_dist[m->requires_dist_count++] = value;
}

static char **single_field(struct metadata *m, const char *name)
{
    if (strcmp(name, "name") == 0)
        return &m->name;
    if (strcmp(name, "version") == 0)
        return &m->version;
    if (strcmp(name, "summary") == 0)
        return &m->summary;
    return strcmp(name, "requires-python") == 0 ? &m->requires_python : NULL;
}

/* Takes the value. */
static int add_header(struct metadata *m, const char *name, char *value)
{
    char **field = single_field(m, name);

    if (field && !*field) {
        *field = value;
        return 0;
    }
    if (strcmp(name, "requires-dist") == 0)
        add_requirement(m, value);
    else
        free(value);
    return field ? -EINVAL : 0;
}

static int refuse(char *why, size_t why_size, const char *text)
{
    snprintf(why, why_size, "%s", text);
    return -EINVAL;
}

int python_metadata_parse(const char *data, size_t len, struct metadata *m, char *why, size_t why_size)
{
    struct python_headers headers = {data, data + len};
    char name[PYTHON_HEADER_NAME_MAX], *value;

    memset(m, 0, sizeof *m);
    if (!text_is_utf8(data, len))
        return refuse(why, why_size, "its METADATA is not UTF-8 text");
    while (python_headers_next(&headers, name, &value)) {
        if (add_header(m, name, value) < 0) {
            snprintf(why, why_size, "its METADATA has two headers \"%s\"", name);
            return -EINVAL;
        }
    }
    if (!m->name || m->name[0] == '\0')
        return refuse(why, why_size, "its METADATA has no Name");
    if (!m->version || m->version[0] == '\0')
        return refuse(why, why_size, "its METADATA has no Version");
    return 0;
}

void python_metadata_release(struct metadata *m)
{
    free(m->name);
    free(m->version);
    free(m->summary);
    free(m->requires_python);
    for (size_t i = 0; i < m->requires_dist_count; i++)
        free(m->requires_dist[i]);
    free(m->requires_dist);
    memset(m, 0, sizeof *m);
}

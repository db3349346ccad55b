/*
 * The messages of the loopback PyPI: server.c hands every request's head to request_parse and sends what
 * response_head makes of an answer; pages.c, files.c and misbehave.c fill the answers in.
 */
#include "http.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"

static const struct {
    int status;
    const char *name;
} statuses[] = {
    {200, "OK"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

static const char *status_name(int status)
{
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].name;
    return "Unnamed";
}

/* ---- requests ---- */

/* Decodes %NN in place. False where that gives no path: bad digits, or a control character. */
static bool decode_path(char *path)
{
    char *to = path;

    for (const char *from = path; *from; from++) {
        char c = *from;
        if (c == '%') {
            if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]))
                return false;
            c = (char)strtol((char[]){from[1], from[2], '\0'}, NULL, 16);
            from += 2;
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return false;
        *to++ = c;
    }
    *to = '\0';
    return true;
}

static int parse_request_line(struct request *r, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version || target == line)
        return 400;
    *target++ = '\0';
    *version++ = '\0';
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return text_starts(version, "HTTP/") ? 505 : 400;
    r->keep_alive = version[7] == '1';
    r->method = line;
    r->path = target;
    target[strcspn(target, "?")] = '\0';
    return target[0] == '/' && decode_path(target) ? 0 : 400;
}

static int parse_header(struct request *r, char *line)
{
    size_t name_len = strcspn(line, ": \t");

    if (name_len == 0 || line[name_len] != ':') /* also what continues the line above: obsolete, refused */
        return 400;
    if (r->header_count == HTTP_HEADERS_MAX)
        return 431;
    char *value = line + name_len + 1;
    value += strspn(value, " \t");
    for (size_t len = strlen(value); len > 0 && strchr(" \t", value[len - 1]); len--)
        value[len - 1] = '\0';
    line[name_len] = '\0';
    r->headers[r->header_count++] = (struct header){line, value};
    return 0;
}

static int parse_framing(struct request *r)
{
    const char *connection = request_header(r, "Connection");
    const char *length = request_header(r, "Content-Length");
    unsigned long long bytes = 0;

    if (request_header(r, "Transfer-Encoding"))
        return 501;
    if (length && text_to_u64(length, &bytes) != 0)
        return 400;
    if (bytes > HTTP_BODY_MAX_BYTES)
        return 413;
    r->body_len = (size_t)bytes;
    if (connection && strcasecmp(connection, "close") == 0)
        r->keep_alive = false;
    if (connection && strcasecmp(connection, "keep-alive") == 0)
        r->keep_alive = true;
    return 0;
}

int request_parse(struct request *r, char *head)
{
    char *next = head;
    int refused = 0;

    *r = (struct request){0};
    for (bool first = true; next && refused == 0; first = false) {
        char *line = next;
        char *end = strstr(line, "\r\n");
        next = end ? end + 2 : NULL;
        if (end)
            *end = '\0';
        refused = first ? parse_request_line(r, line) : parse_header(r, line);
    }
    return refused ? refused : parse_framing(r);
}

const char *request_header(const struct request *r, const char *name)
{
    for (unsigned i = 0; i < r->header_count; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

bool request_is_head(const struct request *r)
{
    return r->method && strcmp(r->method, "HEAD") == 0;
}

/* ---- responses ---- */

void response_init(struct response *r)
{
    *r = (struct response){.status = 200, .fd = -1};
    buf_init(&r->headers, HTTP_HEAD_MAX_BYTES);
    buf_init(&r->body, HTTP_RESPONSE_MAX_BYTES);
}

void response_release(struct response *r)
{
    if (r->fd >= 0)
        close(r->fd);
    buf_release(&r->headers);
    buf_release(&r->body);
}

void response_reset(struct response *r, int status)
{
    response_release(r);
    response_init(r);
    r->status = status;
}

void response_header(struct response *r, const char *name, const char *format, ...)
{
    char value[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(value, sizeof(value), format, arguments);
    va_end(arguments);
    buf_addf(&r->headers, "%s: %s\r\n", name, value);
}

void response_plain(struct response *r, int status, const char *format, ...)
{
    char words[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    response_reset(r, status);
    response_header(r, "Content-Type", "text/plain; charset=utf-8");
    buf_addf(&r->body, "%d %s: %s\n", status, status_name(status), words);
    r->length = r->body.len;
}

void response_redirect(struct response *r, int status, const char *location)
{
    response_plain(r, status, "see %s", location);
    response_header(r, "Location", "%s", location);
}

/* Whether a list of ETags names this one (RFC 9110, 13.1.2: weakness does not matter). */
static bool etag_listed(const char *list, const char *etag)
{
    return list && (strcmp(list, "*") == 0 || strstr(list, etag));
}

void response_etag(struct response *r, const struct request *q, const char *etag)
{
    response_header(r, "ETag", "%s", etag);
    if (!etag_listed(request_header(q, "If-None-Match"), etag))
        return;
    r->status = 304;
    r->length = 0;
}

/* "bytes=2-5", "bytes=2-", "bytes=-5" against `size` bytes. 1: that range; 0: none we serve; -1: outside. */
static int parse_range(const char *range, uint64_t size, uint64_t *offset, uint64_t *length)
{
    unsigned long long first = 0, last = 0;
    char tail;

    if (sscanf(range, "bytes=-%llu%c", &last, &tail) == 1) {
        *length = last < size ? last : size;
        *offset = size - *length;
        return last > 0 && size > 0 ? 1 : -1;
    }
    int found = sscanf(range, "bytes=%llu-%llu%c", &first, &last, &tail);
    if (found == 1 && text_ends(range, "-"))
        last = UINT64_MAX;
    else if (found != 2 || last < first)
        return 0;
    if (first >= size)
        return -1;
    *offset = first;
    *length = (last < size ? last + 1 : size) - first;
    return 1;
}

void response_range(struct response *r, const struct request *q, const char *etag)
{
    const char *range = request_header(q, "Range"), *condition = request_header(q, "If-Range");
    uint64_t size = r->length;

    response_header(r, "Accept-Ranges", "bytes");
    if (r->status != 200 || !range || (condition && strcmp(condition, etag) != 0))
        return;
    int found = parse_range(range, size, &r->offset, &r->length);
    if (found < 0) {
        response_plain(r, 416, "the file has %llu bytes", (unsigned long long)size);
        response_header(r, "Content-Range", "bytes */%llu", (unsigned long long)size);
    } else if (found > 0) {
        r->status = 206;
        response_header(r, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)r->offset,
                        (unsigned long long)(r->offset + r->length - 1), (unsigned long long)size);
    }
}

void response_head(const struct response *r, bool keep_alive, struct buf *to)
{
    buf_addf(to, "HTTP/1.1 %d %s\r\nServer: loopback-pypi\r\n", r->status, status_name(r->status));
    if (r->status != 304)
        buf_addf(to, "Content-Length: %llu\r\n", (unsigned long long)r->length);
    if (!keep_alive)
        buf_adds(to, "Connection: close\r\n");
    buf_add(to, r->headers.data, r->headers.len);
    buf_adds(to, "\r\n");
}

void http_add_encoded(struct buf *to, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~/+:=&", *c))
            buf_addc(to, *c);
        else
            buf_addf(to, "%%%02X", (unsigned char)*c);
    }
}

/*
 * XML-RPC, as much of it as a changelog needs: changelog.c reads calls and writes answers with it.
 *
 * A page of the changelog has 50,000 rows of five values: adding a value is a few copies, no formatting.
 */
#include "xmlrpc.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

/* ---- calls ---- */

static void skip_space(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

/* Passes over the tag, and space before it. False where something else stands. */
static bool take(const char **at, const char *tag)
{
    skip_space(at);
    if (strncmp(*at, tag, strlen(tag)) != 0)
        return false;
    *at += strlen(tag);
    return true;
}

static void take_declaration(const char **at)
{
    const char *end = strstr(*at, "?>");

    if (take(at, "<?xml ") && end)
        *at = end + 2;
}

static bool take_method(const char **at, struct xmlrpc_call *call)
{
    if (!take(at, "<methodName>"))
        return false;
    size_t len = strcspn(*at, "<&");
    if (len == 0 || len >= sizeof(call->method))
        return false;
    memcpy(call->method, *at, len);
    call->method[len] = '\0';
    *at += len;
    return take(at, "</methodName>");
}

/* The integer inside <int>, <i4> or <i8>; false, and nothing passed over, where there is none. */
static bool take_whole_number(const char **at, int64_t *number)
{
    static const char *const tags[][2] = {{"<int>", "</int>"}, {"<i4>", "</i4>"}, {"<i8>", "</i8>"}};

    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        const char *from = *at;
        char *end;
        if (!take(&from, tags[i][0]))
            continue;
        errno = 0;
        *number = strtoll(from, &end, 10);
        if (end == from || errno != 0)
            return false;
        from = end;
        if (!take(&from, tags[i][1]))
            return false;
        *at = from;
        return true;
    }
    return false;
}

/* Any other value: everything up to its end. */
static bool take_other(const char **at)
{
    const char *end = strstr(*at, "</value>");

    if (!end)
        return false;
    *at = end;
    return true;
}

static bool take_parameter(const char **at, struct xmlrpc_call *call)
{
    int64_t number;

    if (!take(at, "<value>"))
        return false;
    if (take_whole_number(at, &number)) {
        if (call->parameter_count == 0)
            call->first = number;
    } else if (take_other(at)) {
        call->whole_numbers = false;
    } else {
        return false;
    }
    call->parameter_count++;
    return take(at, "</value>") && take(at, "</param>");
}

static bool take_parameters(const char **at, struct xmlrpc_call *call)
{
    if (take(at, "<params/>") || !take(at, "<params>"))
        return true; /* they may be left out */
    while (take(at, "<param>"))
        if (!take_parameter(at, call))
            return false;
    return take(at, "</params>");
}

static bool take_call(const char **at, struct xmlrpc_call *call)
{
    take_declaration(at);
    if (!take(at, "<methodCall>") || !take_method(at, call) || !take_parameters(at, call) ||
        !take(at, "</methodCall>"))
        return false;
    skip_space(at);
    return **at == '\0';
}

int xmlrpc_parse(const char *body, size_t len, struct xmlrpc_call *call)
{
    if (memchr(body, '\0', len))
        return -EINVAL;
    char *text = mem_textn(body, len);
    const char *at = text;

    *call = (struct xmlrpc_call){.whole_numbers = true};
    bool whole = take_call(&at, call);
    free(text);
    return whole ? 0 : -EINVAL;
}

/* ---- answers ---- */

static bool is_plain(unsigned char c)
{
    return (c >= 0x20 || c == '\t' || c == '\n') && c != '&' && c != '<' && c != '>';
}

static void add_reference(struct buf *to, unsigned char c)
{
    switch (c) {
    case '&': buf_adds(to, "&amp;"); break;
    case '<': buf_adds(to, "&lt;"); break;
    case '>': buf_adds(to, "&gt;"); break;
    default: buf_addf(to, "&#%d;", c);
    }
}

static void add_escaped(struct buf *to, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t plain = i;
        while (plain < len && is_plain((unsigned char)text[plain]))
            plain++;
        buf_add(to, text + i, plain - i);
        if (plain < len)
            add_reference(to, (unsigned char)text[plain]);
        i = plain + 1;
    }
}

void xmlrpc_add_string(struct buf *to, const char *text, size_t len)
{
    buf_adds(to, "<value><string>");
    add_escaped(to, text, len);
    buf_adds(to, "</string></value>\n");
}

void xmlrpc_add_nil(struct buf *to)
{
    buf_adds(to, "<value><nil/></value>\n");
}

void xmlrpc_add_int(struct buf *to, int64_t number)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;

    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0)
        *--at = '-';
    buf_adds(to, "<value><int>");
    buf_add(to, at, (size_t)(digits + sizeof(digits) - at));
    buf_adds(to, "</int></value>\n");
}

static void begin(struct response *r, const char *inside)
{
    response_reset(r, 200);
    response_header(r, "Content-Type", "text/xml; charset=utf-8");
    buf_adds(&r->body, "<?xml version='1.0'?>\n<methodResponse>\n");
    buf_adds(&r->body, inside);
}

static void end(struct response *r, const char *inside)
{
    buf_adds(&r->body, inside);
    buf_adds(&r->body, "</methodResponse>\n");
    r->length = r->body.len;
}

void xmlrpc_begin(struct response *r)
{
    begin(r, "<params>\n<param>\n");
}

void xmlrpc_end(struct response *r)
{
    end(r, "</param>\n</params>\n");
}

void xmlrpc_fault(struct response *r, int code, const char *format, ...)
{
    char words[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    begin(r, "<fault>\n<value><struct>\n<member>\n<name>faultCode</name>\n");
    xmlrpc_add_int(&r->body, code);
    buf_adds(&r->body, "</member>\n<member>\n<name>faultString</name>\n");
    xmlrpc_add_string(&r->body, words, strlen(words));
    end(r, "</member>\n</struct></value>\n</fault>\n");
}

/*
 * How pages for people are put together. Called by the renderers of this room, on pool threads.
 */
#include "html.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

/* ---- the template --------------------------------------------------------------------------------- */

static void add_signed(struct buf *to, const char *size, va_list *values)
{
    if (size[0] == 'l' && size[1] == 'l')
        buf_addf(to, "%lld", va_arg(*values, long long));
    else
        buf_addf(to, "%ld", size[0] == 'l' ? va_arg(*values, long) : va_arg(*values, int));
}

static void add_unsigned(struct buf *to, const char *size, va_list *values)
{
    if (size[0] == 'l' && size[1] == 'l')
        buf_addf(to, "%llu", va_arg(*values, unsigned long long));
    else if (size[0] == 'z')
        buf_addf(to, "%zu", va_arg(*values, size_t));
    else
        buf_addf(to, "%lu", size[0] == 'l' ? va_arg(*values, unsigned long) : va_arg(*values, unsigned));
}

/* What stands behind a '%': its value; the template goes on where this says. */
static const char *add_value(struct buf *to, const char *size, va_list *values)
{
    const char *kind = size + strspn(size, "lz");

    switch (*kind) {
    case 's':
        buf_add_html(to, va_arg(*values, const char *));
        break;
    case 'd':
        add_signed(to, size, values);
        break;
    case 'u':
        add_unsigned(to, size, values);
        break;
    default:
        assert(*kind == '%');
        buf_addc(to, '%');
    }
    return kind + 1;
}

void html_add_template(struct buf *to, const char *template, ...)
{
    va_list values;

    va_start(values, template);
    while (*template != '\0') {
        size_t plain = strcspn(template, "%");
        buf_add(to, template, plain);
        template += plain;
        if (*template == '%')
            template = add_value(to, template + 1, &values);
    }
    va_end(values);
}

/* ---- values --------------------------------------------------------------------------------------- */

void html_add_url(struct buf *to, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            buf_addc(to, *text);
        else
            buf_addf(to, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

void html_add_size(struct buf *to, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    unsigned unit = 0;

    if (bytes < 1000) {
        buf_addf(to, "%" PRIu64 " bytes", bytes);
        return;
    }
    /* in tenths of the unit; what would be rounded to 1000.0 is one of the next */
    uint64_t scale = 1000;
    while (unit + 1 < sizeof units / sizeof units[0] && bytes >= scale * 1000 - scale / 20) {
        scale *= 1000;
        unit++;
    }
    uint64_t whole = bytes / scale, tenths = (bytes % scale * 10 + scale / 2) / scale;
    buf_addf(to, "%" PRIu64 ".%" PRIu64 " %s", whole + tenths / 10, tenths % 10, units[unit]);
}

void html_add_count(struct buf *to, uint64_t count)
{
    if (count >= 1000) {
        html_add_count(to, count / 1000);
        buf_addf(to, "\xe2\x80\xaf%03u", (unsigned)(count % 1000));
    } else {
        buf_addf(to, "%u", (unsigned)count);
    }
}

void html_add_log(struct buf *to, int64_t build, const char *up)
{
    html_add(to, "<a class=\"log\" href=\"%slogs/", up);
    buf_addf(to, "%04lld/%04lld/%04lld.txt.gz", (long long)(build / 100000000 % 10000),
             (long long)(build / 10000 % 10000), (long long)(build % 10000));
    html_add(to, "\" title=\"log of build %" PRId64 "\">log</a>", build);
}

/* ---- what all pages share ------------------------------------------------------------------------- */

void html_begin(struct buf *to, const char *title, const char *up)
{
    html_add(to, "<!DOCTYPE html>\n"
                 "<html lang=\"en\">\n"
                 "<head>\n"
                 "<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n"
                 "<title>%s</title>\n"
                 "<link rel=\"icon\" href=\"data:,\">\n"
                 "<link rel=\"stylesheet\" href=\"%sstyle.css\">\n"
                 "</head>\n"
                 "<body>\n"
                 "<header><a class=\"site\" href=\"%s\">piwheels</a> "
                 "<nav><a href=\"%ssimple/\">All packages</a></nav></header>\n"
                 "<main>\n", title, up, up[0] != '\0' ? up : "./", up);
}

void html_end(struct buf *to)
{
    html_add(to, "</main>\n"
                 "<footer>Wheels on this site were built from the source distributions on "
                 "<a href=\"https://pypi.org/\">PyPI</a>.</footer>\n"
                 "</body>\n</html>\n");
}

void html_add_index_url(struct buf *to, const char *site_url, const char *up, const char *place)
{
    if (site_url[0] != '\0')
        html_add(to, "%s/%ssimple", site_url, place);
    else
        html_add(to, "<span data-index=\"%s%ssimple\">https://HOST/%ssimple</span>", up, place, place);
}

void html_add_index_script(struct buf *to, const char *site_url)
{
    if (site_url[0] != '\0')
        return;
    html_add(to, "<noscript><p>HOST stands for the name of this site, as your browser shows it.</p></noscript>\n"
                 "<script>\n"
                 "if (location.protocol.startsWith(\"http\"))\n"
                 "    for (const e of document.querySelectorAll(\"[data-index]\"))\n"
                 "        e.textContent = new URL(e.dataset.index, location.href).href;\n"
                 "</script>\n");
}

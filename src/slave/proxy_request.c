/*
 * Reading requests to the proxy and judging where they go. What a build says is hostile: nothing is taken from
 * it but a method, a place and header lines without controls in them.
 */
#include "proxy_request.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "core/memory.h"
#include "core/text.h"

/* ---- places ---- */

static bool is_host(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr(".-_", text[i]) == NULL)
            return false;
    return len > 0;
}

static bool is_ip6(const char *text, size_t len)
{
    struct in6_addr address;
    char copy[INET6_ADDRSTRLEN];

    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

static int read_port(const char *text, size_t len, char port[6])
{
    unsigned value = 0;

    if (len < 1 || len > 5)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]))
            return -EINVAL;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value < 1 || value > 65535)
        return -EINVAL;
    memcpy(port, text, len);
    port[len] = '\0';
    return 0;
}

/* "host", "host:80", "[::1]:80". */
static int read_place(const char *text, size_t len, const char *default_port, struct proxy_place *p)
{
    bool bracketed = len > 0 && text[0] == '[';
    const char *end = bracketed ? memchr(text, ']', len) : NULL, *host = text + bracketed;

    if (bracketed && end == NULL)
        return -EINVAL;
    if (end == NULL)
        end = memchr(text, ':', len);
    size_t host_len = end == NULL ? len : (size_t)(end - host);
    const char *rest = end == NULL ? text + len : end + bracketed;
    size_t rest_len = (size_t)(text + len - rest);
    if (host_len >= sizeof p->host || !(bracketed ? is_ip6(host, host_len) : is_host(host, host_len)))
        return -EINVAL;
    for (size_t i = 0; i < host_len; i++)
        p->host[i] = (char)tolower((unsigned char)host[i]);
    p->host[host_len] = '\0';
    if (rest_len == 0)
        return default_port == NULL ? -EINVAL : read_port(default_port, strlen(default_port), p->port);
    return rest[0] == ':' ? read_port(rest + 1, rest_len - 1, p->port) : -EINVAL;
}

int proxy_place_of_url(const char *url, struct proxy_place *p)
{
    bool secure = text_starts(url, "https://");

    if (!secure && !text_starts(url, "http://"))
        return -EINVAL;
    const char *place = url + strlen(secure ? "https://" : "http://");
    size_t len = strcspn(place, "/?#");
    const char *at = memrchr(place, '@', len);
    if (at != NULL) {
        len -= (size_t)(at + 1 - place);
        place = at + 1;
    }
    return read_place(place, len, secure ? "443" : "80", p);
}

/* ---- requests ---- */

size_t proxy_head_length(const char *data, size_t len)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - data) + 4;
}

struct piece {
    const char *start;
    size_t len;
};

/* What stands before the next `until`; moves *at behind it. */
static bool next_piece(const char **at, const char *end, const char *until, struct piece *p)
{
    const char *found = memmem(*at, (size_t)(end - *at), until, strlen(until));
    if (found == NULL)
        return false;
    *p = (struct piece){*at, (size_t)(found - *at)};
    *at = found + strlen(until);
    return true;
}

static bool is_clean(struct piece p)
{
    for (size_t i = 0; i < p.len; i++)
        if ((unsigned char)p.start[i] < ' ' && p.start[i] != '\t')
            return false;
    return true;
}

static bool is_token(struct piece p)
{
    for (size_t i = 0; i < p.len; i++)
        if (!isupper((unsigned char)p.start[i]))
            return false;
    return p.len > 0;
}

/* Headers between a client and its proxy, and those that we say ourselves. */
static bool is_hop(struct piece line)
{
    static const char *const names[] = {"Connection:", "Proxy-Connection:", "Proxy-Authorization:", "Keep-Alive:",
                                        "Host:"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (line.len >= strlen(names[i]) && strncasecmp(line.start, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* One request a connection, or the next might be for another server. */
static int add_headers(const char *at, const char *end, struct buf *to)
{
    struct piece line;

    while (next_piece(&at, end, "\r\n", &line) && line.len > 0) {
        if (!is_clean(line) || memchr(line.start, ':', line.len) == NULL)
            return -EBADMSG;
        if (!is_hop(line)) {
            buf_add(to, line.start, line.len);
            buf_adds(to, "\r\n");
        }
    }
    buf_adds(to, "Connection: close\r\n\r\n");
    return to->full ? -EBADMSG : 0;
}

/* "GET http://host/path HTTP/1.1" becomes "GET /path HTTP/1.1", with the host as we read it. */
static int rewrite(struct piece method, struct piece target, const char *rest, const char *end,
                   struct proxy_request *r)
{
    static const char scheme[] = "http://";
    bool right = target.len > strlen(scheme) && strncmp(target.start, scheme, strlen(scheme)) == 0;
    const char *host = target.start + strlen(scheme);
    size_t host_len = 0, len = right ? target.len - strlen(scheme) : 0;

    while (host_len < len && strchr("/?#", host[host_len]) == NULL)
        host_len++;
    if (!right || read_place(host, host_len, "80", &r->place) != 0)
        return -EBADMSG;
    bool ip6 = strchr(r->place.host, ':') != NULL;
    buf_init(&r->head, 2 * PROXY_HEAD_MAX_BYTES);
    buf_add(&r->head, method.start, method.len);
    buf_adds(&r->head, host_len < len && host[host_len] == '/' ? " " : " /");
    buf_add(&r->head, host + host_len, len - host_len);
    buf_addf(&r->head, " HTTP/1.1\r\nHost: %s%s%s:%s\r\n", ip6 ? "[" : "", r->place.host, ip6 ? "]" : "",
             r->place.port);
    int error = add_headers(rest, end, &r->head);
    if (error != 0)
        buf_release(&r->head);
    return error;
}

int proxy_request_read(const char *head, size_t len, struct proxy_request *r)
{
    const char *at = head, *end = head + len;
    struct piece line, method, target;

    *r = (struct proxy_request){0};
    if (!next_piece(&at, end, "\r\n", &line) || !is_clean(line))
        return -EBADMSG;
    const char *word = line.start, *line_end = line.start + line.len;
    if (!next_piece(&word, line_end, " ", &method) || !next_piece(&word, line_end, " ", &target) ||
        !is_token(method) || line_end - word != 8 || strncmp(word, "HTTP/1.", 7) != 0)
        return -EBADMSG;
    r->tunnel = method.len == 7 && memcmp(method.start, "CONNECT", 7) == 0;
    if (!r->tunnel)
        return rewrite(method, target, at, end, r);
    return read_place(target.start, target.len, NULL, &r->place) == 0 ? 0 : -EBADMSG;
}

/* ---- what is allowed ---- */

bool proxy_is_index(const char *index_url, const struct proxy_place *p)
{
    struct proxy_place index;
    return proxy_place_of_url(index_url, &index) == 0 && strcmp(index.host, p->host) == 0 &&
           strcmp(index.port, p->port) == 0;
}

bool proxy_is_allowed(const char *hosts, const struct proxy_place *p)
{
    if (strcmp(p->port, "443") != 0 && strcmp(p->port, "80") != 0)
        return false;
    for (const char *at = hosts; *at != '\0';) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        if (len > 0 && strlen(p->host) == len && strncasecmp(at, p->host, len) == 0)
            return true;
        at += len;
    }
    return false;
}

/* The first bits of blocks that are not the Internet's (RFC 6890, and 100.64/10, where one cloud has its
 * metadata). */
static const struct block {
    uint8_t bytes[12];
    unsigned bits;
} blocks4[] = {
    {{0}, 8}, {{10}, 8}, {{100, 64}, 10}, {{127}, 8}, {{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24},
    {{192, 168}, 16}, {{198, 18}, 15}, {{224}, 3},
}, blocks6[] = {
    {{0}, 80}, {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, {{0, 0x64, 0xff, 0x9b}, 32}, {{0xfc}, 7},
    {{0xfe, 0x80}, 9}, {{0xff}, 8}, {{0x20, 0x02}, 16},
};

static bool is_in(const uint8_t *address, const struct block *b)
{
    unsigned whole = b->bits / 8, rest = b->bits % 8;
    return memcmp(address, b->bytes, whole) == 0 &&
           (rest == 0 || address[whole] >> (8 - rest) == b->bytes[whole] >> (8 - rest));
}

bool proxy_is_public(const struct sockaddr *address)
{
    bool ip4 = address->sa_family == AF_INET;
    const struct block *blocks = ip4 ? blocks4 : blocks6;
    size_t count = ip4 ? COUNT_OF(blocks4) : COUNT_OF(blocks6);
    const uint8_t *bytes =
        ip4 ? (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
            : (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

    if (!ip4 && address->sa_family != AF_INET6)
        return false;
    for (size_t i = 0; i < count; i++)
        if (is_in(bytes, &blocks[i]))
            return false;
    return true;
}

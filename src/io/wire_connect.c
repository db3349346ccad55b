/*
 * How a client's wire begins: its address is taken apart, a name looked up on the loop, and every address
 * found is tried in turn until one answers. The slave and the tools come through here.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/memory.h"
#include "core/text.h"
#include "wire_private.h"

#define DEFAULT_PORT "5555"

/* -- addresses ----------------------------------------------------------------------------------- */

static bool is_port(const char *text)
{
    unsigned long long port;
    return text_to_u64(text, &port) == 0 && port <= UINT16_MAX;
}

/* Where the host ends, and the port in `*port` ("" for none); NULL when this is no address. */
static const char *end_of_host(const char *address, const char **port)
{
    const char *colon = strchr(address, ':');
    const char *end = address[0] == '[' ? strchr(address, ']') : colon;
    *port = "";
    if (end == NULL) /* no port, or a bracket that is never closed */
        return address[0] == '[' ? NULL : address + strlen(address);
    if (address[0] != '[' && strchr(colon + 1, ':') != NULL) /* a bare IPv6 address */
        return address + strlen(address);
    const char *rest = *end == ']' ? end + 1 : end;
    if (*rest == '\0')
        return end;
    *port = rest + 1;
    return *rest == ':' && is_port(*port) ? end : NULL;
}

int wire_split(const char *address, char host[WIRE_HOST_SIZE], char port[WIRE_PORT_SIZE])
{
    const char *number;
    const char *end = end_of_host(address, &number);
    const char *start = address[0] == '[' ? address + 1 : address;
    if (end == NULL || end == start || end - start >= WIRE_HOST_SIZE)
        return -EINVAL;
    snprintf(host, WIRE_HOST_SIZE, "%.*s", (int)(end - start), start);
    return text_copy(port, WIRE_PORT_SIZE, *number == '\0' ? DEFAULT_PORT : number) ? 0 : -EINVAL;
}

int wire_full_address(const char *address, char *text, size_t size)
{
    char host[WIRE_HOST_SIZE], port[WIRE_PORT_SIZE];
    if (wire_split(address, host, port) < 0)
        return -EINVAL;
    for (char *c = host; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    int len = snprintf(text, size, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
    return len >= 0 && (size_t)len < size ? 0 : -EINVAL;
}

int wire_local_address(const char *path, struct sockaddr_un *to)
{
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to->sun_path)
        return -ENAMETOOLONG;
    memcpy(to->sun_path, path, strlen(path));
    return 0;
}

/* -- trying -------------------------------------------------------------------------------------- */

static void drop_unconnected(struct wire *w, const char *reason)
{
    char text[256];
    snprintf(text, sizeof text, "cannot connect to %s: %s", w->peer, reason);
    wire_drop(w, text);
}

bool wire_address_is_loopback(const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    return address->sa_family == AF_UNIX || ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool wire_is_loopback(const char *address)
{
    char host[WIRE_HOST_SIZE], port[WIRE_PORT_SIZE];
    struct in_addr v4;
    if (wire_split(address, host, port) < 0)
        return false;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

static void try_address(struct wire *w, const struct sockaddr *to)
{
    char peer[128];
    if (w->key == NULL && !wire_address_is_loopback(to)) {
        wire_try_next(w, "it is another machine, and without TLS (--insecure) none is spoken with");
        return;
    }
    wire_new_transport(w, to->sa_family == AF_UNIX, NULL);
    transport_address_text(to, peer, sizeof peer);
    free(w->peer);
    w->peer = mem_text(peer);
    int rc = w->transport->kind->connect(w->transport, to);
    if (rc < 0)
        wire_try_next(w, uv_strerror(rc));
}

void wire_try_next(struct wire *w, const char *reason)
{
    struct addrinfo *next = w->search->next;
    if (next == NULL) {
        drop_unconnected(w, reason);
        return;
    }
    if (w->transport != NULL)
        w->transport->kind->close(w->transport);
    w->transport = NULL;
    w->search->next = next->ai_next;
    try_address(w, next->ai_addr);
}

static void on_found(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct wire *w = lookup->data;
    w->search->found = w->search->next = found;
    if (w->state == WIRE_CONNECTING)
        wire_try_next(w, status < 0 ? uv_strerror(status) : "no address");
    wire_part_ended(w);
}

static int look_up(struct wire *w, const char *address)
{
    char host[WIRE_HOST_SIZE], port[WIRE_PORT_SIZE];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int rc = wire_split(address, host, port);
    if (rc < 0)
        return rc;
    w->search->lookup.data = w;
    rc = uv_getaddrinfo(w->loop, &w->search->lookup, on_found, host, port, &hints);
    if (rc == 0)
        w->open_parts++;
    return rc;
}

struct wire *wire_connect(uv_loop_t *loop, const char *address, const struct key *key,
                          const struct wire_events *events, void *owner)
{
    struct wire *w = wire_new(loop, key, events, owner);
    bool local = strchr(address, '/') != NULL;
    w->search = mem_new(1, sizeof *w->search);
    w->peer = mem_text(address);
    int rc = FAULT("wire_connect");
    if (rc == 0)
        rc = local ? wire_local_address(address, &w->search->local) : look_up(w, address);
    if (rc < 0)
        drop_unconnected(w, rc == -EINVAL ? "no address of the form HOST or HOST:PORT" : uv_strerror(rc));
    else if (local)
        try_address(w, (const struct sockaddr *)&w->search->local);
    return w;
}

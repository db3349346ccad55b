/*
 * How a server's wires begin: the farm listens on TCP, the control room on a Unix socket. Called at start,
 * so it may block for the moment that a look-up takes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "wire_private.h"

#define SOCKET_MODE 0660
#define BACKLOG 4096 /* slaves all come back at once after a restart; who finds no room tries again only after a second */

/* Sixty-four keep two processors busy. A round trip around the world, and the arithmetic of a small machine, take a third of
 * a second: of such slaves, too, a thousand are in within three. */
static const struct turn_limits handshake_limits = {.at_once = 64, .most = 320, .slow_ms = 200, .patience_ms = 1000};

struct wire_server {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    const struct key *key;
    const struct wire_events *events;
    void (*accepted)(struct wire *w, void *context);
    void *context;
    struct wire_deadlines deadlines;
    struct turns *turns;         /* to shake hands; NULL without TLS */
    char address[sizeof((struct sockaddr_un *)0)->sun_path];
    bool has_path;               /* a Unix socket of ours lies there */
};

static void on_connection(uv_stream_t *stream, int status)
{
    struct wire_server *s = stream->data;
    if (status < 0) {
        log_warning("io", "%s: cannot accept a connection: %s", s->address, uv_strerror(status));
        return;
    }
    bool local = stream->type == UV_NAMED_PIPE;
    s->accepted(wire_accept(stream->loop, stream, local, s->key, s->turns, s->events, &s->deadlines), s->context);
}

/* -- TCP ----------------------------------------------------------------------------------------- */

static int listen_tcp(struct wire_server *s, const char *address)
{
    char host[WIRE_HOST_SIZE], port[WIRE_PORT_SIZE];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    struct sockaddr_storage bound;
    int len = sizeof bound;
    if (wire_split(address, host, port) < 0 || getaddrinfo(host, port, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    int rc = s->key != NULL || wire_address_is_loopback(found->ai_addr) ? uv_tcp_bind(&s->tcp, found->ai_addr, 0) : -EPERM;
    freeaddrinfo(found);
    if (rc == 0)
        rc = uv_listen(&s->stream, BACKLOG, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&bound, &len);
    if (rc == 0)
        transport_address_text((struct sockaddr *)&bound, s->address, sizeof s->address);
    return rc;
}

/* -- Unix sockets -------------------------------------------------------------------------------- */

/* Whether somebody listens there. Not blocking, for a server whose queue is full would hold us up. */
static bool is_live(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    bool live = rc == 0 || errno == EAGAIN;
    close(fd);
    return live;
}

/* Makes way for our socket, but never takes away what is in use or no socket at all. */
static int clear_path(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    if (is_live(address))
        return -EADDRINUSE;
    return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

bool wire_is_live(const char *path)
{
    struct sockaddr_un address;
    return wire_local_address(path, &address) == 0 && is_live(&address);
}

/* The socket is never there with more than 0660. The umask is the whole process's, so it stays what it is: a directory that
 * a thread made meanwhile would be closed for good. It is the socket's own mode that Linux hands on to the path. */
static int bind_local(struct wire_server *s, int fd, const struct sockaddr_un *address)
{
    if (fchmod(fd, SOCKET_MODE) < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return -errno;
    s->has_path = true;
    return chmod(s->address, SOCKET_MODE) < 0 ? -errno : 0; /* the umask may have taken too much */
}

static int listen_local(struct wire_server *s, const char *path)
{
    struct sockaddr_un address;
    int rc = wire_local_address(path, &address);
    if (rc == 0)
        rc = clear_path(&address);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    text_copy(s->address, sizeof s->address, path);
    rc = bind_local(s, fd, &address);
    if (rc == 0)
        rc = uv_pipe_open(&s->pipe, fd); /* takes it */
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return uv_listen(&s->stream, BACKLOG, on_connection);
}

/* ------------------------------------------------------------------------------------------------ */

static const char *what_went_wrong(int rc, bool local)
{
    switch (rc) {
    case -EADDRINUSE: return local ? "another master listens there" : "another program listens there";
    case -EACCES: return local ? "its directory may not be written to" : "permission denied";
    case -ENOENT: return "its directory is missing";
    case -EEXIST: return "something that is no socket is in the way";
    case -EPERM: return "without TLS (--insecure) only the loopback may be listened on: 127.0.0.1:PORT, [::1]:PORT";
    case -EADDRNOTAVAIL: return "not an address of this machine; use ADDR:PORT";
    default: return uv_strerror(rc);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct wire_server *s = handle->data;
    turns_let_go(s->turns);
    free(s);
}

static void end(struct wire_server *s)
{
    if (s->has_path)
        unlink(s->address);
    uv_close(&s->handle, on_closed);
}

int wire_listen(uv_loop_t *loop, const char *address, const struct key *key, const struct wire_events *events,
                void (*accepted)(struct wire *w, void *context), void *context, struct wire_server **server,
                char *why, size_t why_size)
{
    bool local = strchr(address, '/') != NULL;
    struct wire_server *s = mem_new(1, sizeof *s);
    s->key = key;
    s->events = events;
    s->accepted = accepted;
    s->context = context;
    s->deadlines = wire_default_deadlines;
    if (key != NULL && !local)
        s->turns = turns_new(loop, &handshake_limits);
    if (local)
        uv_pipe_init(loop, &s->pipe, 0);
    else
        uv_tcp_init(loop, &s->tcp);
    s->handle.data = s;

    int rc = local ? listen_local(s, address) : listen_tcp(s, address);
    if (rc < 0) {
        snprintf(why, why_size, "cannot listen on %s: %s", address, what_went_wrong(rc, local));
        end(s);
        return rc;
    }
    *server = s;
    return 0;
}

const char *wire_server_address(const struct wire_server *server)
{
    return server->address;
}

void wire_server_close(struct wire_server *server)
{
    end(server);
}

void wire_server_set_deadlines(struct wire_server *server, const struct wire_deadlines *deadlines)
{
    server->deadlines = *deadlines;
}

void wire_server_set_handshakes(struct wire_server *server, const struct turn_limits *limits)
{
    turns_set_limits(server->turns, limits);
}

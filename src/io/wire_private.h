/*
 * A wire from within: shared by wire.c (frames and life), wire_connect.c and wire_listen.c (how one begins).
 * Tests use it to shorten the deadlines.
 */
#ifndef WIRE_PRIVATE_H
#define WIRE_PRIVATE_H

#include <netdb.h>
#include <sys/un.h>

#include "io/wire.h"
#include "transport.h"

struct wire_deadlines {
    uint64_t connect_ms;     /* of one address, for the connection to stand */
    uint64_t first_ms;       /* from accept to the end of the first frame */
    uint64_t frame_ms;       /* from the first byte of a frame to its last */
    uint64_t finish_ms;      /* from wire_finish to `closed` */
};

/*
 *   connect ─▶ CONNECTING ─┐
 *   accept ────────────────┴─▶ OPEN ──wire_finish──▶ FINISHING ──the peer closes, 2 s──▶ CLOSING ─▶ closed
 *
 *   and from any to CLOSING: wire_drop, a fault, the peer's end
 */
enum wire_state { WIRE_CONNECTING, WIRE_OPEN, WIRE_FINISHING, WIRE_CLOSING };

struct wire {
    uv_loop_t *loop;
    const struct wire_events *events;
    void *owner;
    const struct key *key;       /* of ours; NULL: no TLS */
    struct transport *transport; /* NULL before the first address is tried and between two */
    enum wire_state state;
    struct wire_deadlines deadlines;
    bool accepted;               /* by a server: the other end is told why it is dropped */
    bool heard;                  /* a whole frame has come */
    size_t max_frame_bytes;      /* that the peer may send now */
    bool stranger;               /* see wire_set_stranger */
    bool paused;
    bool ended;                  /* the peer has closed its side */
    struct buf in;               /* received, not yet a whole frame */
    bool alone;                  /* the frame that is being told is all there is in it */
    struct buf out;              /* to be written at the end of this turn of the loop */
    size_t in_flight;            /* given to the transport, not yet sent */
    uv_timer_t deadline;         /* the one that the state calls for */
    uv_timer_t turn;             /* due at once: one write for all that was queued in a turn of the loop */
    unsigned open_parts;         /* handles and requests that must end before `closed` */
    char *reason;                /* why it ends; NULL before */
    char *peer;                  /* for the log */
    char peer_key[KEY_PRINT_SIZE]; /* "" before it is known, and without TLS */
    struct wire_search *search;  /* clients: the addresses to try; NULL at a server, which may have a thousand wires */
};

struct wire_search {
    uv_getaddrinfo_t lookup;
    struct addrinfo *found, *next;
    struct sockaddr_un local;
};

/* A wire without a transport. */
struct wire *wire_new(uv_loop_t *loop, const struct key *key, const struct wire_events *events, void *owner);

/* A wire of a server; one whose connection is gone already closes at once. `turns` to shake hands, where there is a key. */
struct wire *wire_accept(uv_loop_t *loop, uv_stream_t *server, bool local, const struct key *key, struct turns *turns,
                         const struct wire_events *events, const struct wire_deadlines *deadlines);

/* What lies beneath, for a client's next address to try or, with the turns of its listener, at a server. */
void wire_new_transport(struct wire *w, bool local, struct turns *turns);

/* For wire_connect.c: an address failed (`reason`), try the next or close. */
void wire_try_next(struct wire *w, const char *reason);

/* A part of open_parts has ended; after the last comes `closed`. */
void wire_part_ended(struct wire *w);

#define WIRE_REASON_SIZE 256     /* a longer one is cut */

/* Splits "HOST:PORT", "[V6]:PORT", "HOST" (where `port` is 5555). 0 or -EINVAL. */
#define WIRE_HOST_SIZE 256
#define WIRE_PORT_SIZE 6
int wire_split(const char *address, char host[WIRE_HOST_SIZE], char port[WIRE_PORT_SIZE]);

/* Whether it leads nowhere but to this machine. */
bool wire_address_is_loopback(const struct sockaddr *address);

/* Fills `to` with a socket's path. 0 or -ENAMETOOLONG. */
int wire_local_address(const char *path, struct sockaddr_un *to);

/* Tests only: deadlines of the wires that this server accepts from now on, its handshakes', and those of one wire. */
void wire_server_set_deadlines(struct wire_server *server, const struct wire_deadlines *deadlines);
void wire_server_set_handshakes(struct wire_server *server, const struct turn_limits *limits);
void wire_set_deadlines(struct wire *w, const struct wire_deadlines *deadlines);

extern const struct wire_deadlines wire_default_deadlines;

#endif

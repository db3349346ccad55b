/*
 * The sandbox that a build runs in, as a command: what stands before a command so that it runs apart from the
 * slave (bubblewrap, bwrap(1)). piwheels-slave(1) says what each level promises; proof.h tries it.
 */
#ifndef SLAVE_SANDBOX_H
#define SLAVE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "filter.h"
#include "build_limits.h"
#include "words.h"

enum sandbox_level {
    SANDBOX_NONE,     /* limits only */
    SANDBOX_BASIC,    /* own files, processes and IPC */
    SANDBOX_STRICT,   /* and own network, and the filter of system calls */
};

enum network {        /* each reaches more than the one before */
    NETWORK_NONE,     /* nothing */
    NETWORK_INDEX,    /* the index, through the proxy */
    NETWORK_ALL,      /* whatever the slave reaches */
};

struct sandbox {
    enum sandbox_level level;
    enum network network;       /* of a build */
    enum network network_most;  /* of one whose package has settings of its own: the owner may raise it after sandbox_open */
    char *bwrap;             /* path of bubblewrap; NULL at SANDBOX_NONE */
    char *program;           /* our own, which runs inside too */
    struct filter filter;    /* at SANDBOX_STRICT */
    /* set by the owner: files of the slave's that may lie where a build can look, or NULL; they outlive it */
    const char *hidden[2];
};

/* Below SANDBOX_STRICT the network is NETWORK_ALL, whatever is asked for. 0, or -errno with `why`, which says what to do. Close only after success. Blocks. */
int sandbox_open(struct sandbox *s, enum sandbox_level level, enum network network, char *why, size_t why_size);
void sandbox_close(struct sandbox *s);

/* -EINVAL with `why` when a build with this Python would have to see the slave's home or directory. */
int sandbox_check_python(const struct sandbox *s, const char *python, const char *slave_dir, char *why,
                         size_t why_size);

/* Whether a build has a network of its own, and whether it needs the proxy. */
bool sandbox_cuts_network(const struct sandbox *s, enum network network);
bool sandbox_needs_proxy(const struct sandbox *s, enum network network);

#define SANDBOX_PROXY_SOCKET "proxy.sock"                /* in the build's directory */
#define SANDBOX_PROXY_PORT 3128
#define SANDBOX_PROXY_URL "http://127.0.0.1:3128"        /* inside */

/* Where a command in the sandbox finds the directory `dir` of its build, and its temporary one (free both). */
char *sandbox_root(const struct sandbox *s, const char *dir);
char *sandbox_tmp(const struct sandbox *s, const char *dir);

/* Our own program as a command finds it inside. */
const char *sandbox_program(const struct sandbox *s);

struct sandboxed {
    const char *dir;            /* of the build, with "home", "tmp" and "shm" in it */
    const char *python;         /* full path: its own directories are there too */
    enum network network;
    const struct limits *limits;   /* NULL: none */
    const char *const *argv;    /* the command */
};

/* The whole command in `w`, and the descriptor that it needs (the owner closes it once it is spawned; 0: none).
 * 0, or -errno. */
int sandbox_command(const struct sandbox *s, const struct sandboxed *what, struct words *w, int *pass_fd);

const char *sandbox_level_name(enum sandbox_level level);
const char *network_name(enum network network);

/* -EINVAL when the text is none. */
int sandbox_level_read(const char *text, enum sandbox_level *level);
int network_read(const char *text, enum network *network);

#endif

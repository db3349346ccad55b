/*
 * Where each path leads.
 */
#ifndef PYPI_ROUTES_H
#define PYPI_ROUTES_H

#include "http.h"
#include "notes.h"
#include "server.h"
#include "store.h"

struct site {
    struct store *store;
    struct notes *notes;
    const struct server *server;
};

/* Answers one request (a server_answer; `owner` is a struct site) and notes it. */
void routes_answer(void *owner, const struct request *q, struct response *r);

#endif

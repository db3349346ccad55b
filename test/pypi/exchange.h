/*
 * One request and the answer being made to it: what every route is given.
 */
#ifndef PYPI_EXCHANGE_H
#define PYPI_EXCHANGE_H

#include "http.h"
#include "store.h"

struct exchange {
    struct store *store;
    const struct request *request;
    struct response *response;
    char base_url[300];              /* as the client knows us: "http://127.0.0.1:8080" */
};

#endif

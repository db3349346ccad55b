/*
 * What http_exchange.c does for http.c with one request.
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include <curl/curl.h>

#include "io/http.h"

/* Sets `easy`, `host` and `headers` of a request whose URL is one. */
void http_prepare(struct http_request *r, const char *user_agent);

/* What an earlier answer told: each redirect is one. */
void http_forget_headers(struct http_request *r);

/* It is over: status, or the error and the reason in our words and libcurl's (which are in r->reason until now). 0 or
 * -errno. */
int http_judge(struct http_request *r, CURLcode code);

#endif

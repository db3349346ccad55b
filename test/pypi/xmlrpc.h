/*
 * XML-RPC messages (xmlrpc.com/spec, with the <nil/> of its usual extension): a call read from a request's
 * body, and the pieces of an answer.
 */
#ifndef PYPI_XMLRPC_H
#define PYPI_XMLRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"

/* Codes of faults, as PyPI uses them (xmlrpc-epi's fault code interoperability). */
#define XMLRPC_NOT_WELL_FORMED (-32700)
#define XMLRPC_NO_SUCH_METHOD (-32601)
#define XMLRPC_WRONG_PARAMETERS (-32602)
#define XMLRPC_APPLICATION (-32500)

struct xmlrpc_call {
    char method[64];
    unsigned parameter_count;
    bool whole_numbers;              /* all parameters are integers */
    int64_t first;                   /* the first parameter, where it is one */
};

/* Reads a call as XML-RPC clients write it: no attributes, no comments; parameters are scalars. 0 or -EINVAL. */
int xmlrpc_parse(const char *body, size_t len, struct xmlrpc_call *call);

/* Appends a value. What XML cannot carry (NUL, most control characters) is written as a character reference
 * all the same, which no strict reader takes: an answer as broken as its data. */
void xmlrpc_add_string(struct buf *to, const char *text, size_t len);
void xmlrpc_add_nil(struct buf *to);
void xmlrpc_add_int(struct buf *to, int64_t number);

/* Begins the answer's body; what is added then is its one value; ends it. */
void xmlrpc_begin(struct response *r);
void xmlrpc_end(struct response *r);

/* Answers with a fault: still HTTP's 200, as the specification wants it. */
void xmlrpc_fault(struct response *r, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif

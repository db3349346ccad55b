/*
 * What a build says to its proxy: a whole head, judged as proxy.c does. Whatever it holds, what a server is told is one
 * request with one host, and that host the one that was judged.
 */
#include "../../src/slave/proxy_request.h"
#include "fuzz.h"

static size_t count(const char *text, const char *words)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at += strlen(words))
        found++;
    return found;
}

static void check_place(const struct proxy_place *p)
{
    assert(p->host[0] != '\0' && p->port[0] != '\0');
    assert(strpbrk(p->host, " \r\n\t/@[]") == NULL && strspn(p->port, "0123456789") == strlen(p->port));
    proxy_is_allowed("files.example,b.example", p);
    proxy_is_index("http://127.0.0.1:8080/simple", p);
}

static void check_head(const struct proxy_request *r)
{
    assert(r->head.len > 4 && strlen(r->head.data) == r->head.len);
    assert(count(r->head.data, "\r\n\r\n") == 1);
    assert(strcmp(r->head.data + r->head.len - 4, "\r\n\r\n") == 0);
    assert(count(r->head.data, "\r\nHost: ") == 1 && count(r->head.data, "\r\nConnection: ") == 1);
    assert(strstr(r->head.data, r->place.host) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct proxy_request r;

    if (size > PROXY_HEAD_MAX_BYTES)
        return 0;
    size_t len = proxy_head_length(text, size);
    if (len == 0 || proxy_request_read(text, len, &r) != 0)
        return 0;
    check_place(&r.place);
    if (!r.tunnel)
        check_head(&r);
    buf_release(&r.head);
    return 0;
}

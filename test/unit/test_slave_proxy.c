/* What a client may ask of the proxy of builds, and where it may go. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/slave/proxy_request.h"
#include "core/memory.h"

/* ---- places ---- */

static void assert_place(const char *url, const char *host, const char *port)
{
    struct proxy_place p;
    assert_int_equal(proxy_place_of_url(url, &p), 0);
    assert_string_equal(p.host, host);
    assert_string_equal(p.port, port);
}

static void the_place_of_an_index_has_the_port_of_its_scheme(void **state)
{
    assert_place("https://pypi.org/simple", "pypi.org", "443");
    assert_place("http://Index.Example", "index.example", "80");
    assert_place("http://user:word@127.0.0.1:8080/simple?a=@b:9", "127.0.0.1", "8080");
    assert_place("http://[::1]:8080/simple", "::1", "8080");
    assert_place("https://[FE80::2]", "fe80::2", "443");
}

static void what_is_no_place_is_refused(void **state)
{
    static const char *const wrong[] = {
        "", "ftp://a", "pypi.org", "http://", "http://:80", "http://a:", "http://a:0", "http://a:65536", "http://a:8o",
        "http://a b", "http://[::1", "http://[a]", "http://[::1]x", "http://a:80:80", "http://a\r\nb",
    };
    struct proxy_place p;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(proxy_place_of_url(wrong[i], &p), -EINVAL);
}

/* ---- requests ---- */

static void a_tunnel_is_asked_for_by_host_and_port(void **state)
{
    static const char head[] = "CONNECT files.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n";
    struct proxy_request r;
    assert_int_equal(proxy_request_read(head, strlen(head), &r), 0);
    assert_true(r.tunnel);
    assert_string_equal(r.place.host, "files.example");
    assert_string_equal(r.place.port, "443");
}

static void assert_rewritten(const char *head, const char *expected)
{
    struct proxy_request r;
    assert_int_equal(proxy_request_read(head, strlen(head), &r), 0);
    assert_false(r.tunnel);
    assert_string_equal(r.head.data, expected);
    buf_release(&r.head);
}

static void a_plain_request_is_passed_on_as_its_server_expects_it(void **state)
{
    assert_rewritten("GET http://Index.example:8080/simple/a/?x=1 HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\n"
                     "Proxy-Connection: keep-alive\r\nconnection: keep-alive\r\n\r\n",
                     "GET /simple/a/?x=1 HTTP/1.1\r\nHost: index.example:8080\r\nAccept: text/html\r\n"
                     "Connection: close\r\n\r\n");
    assert_rewritten("HEAD http://[::1] HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n");
    assert_rewritten("GET http://a?b HTTP/1.1\r\n\r\n", "GET /?b HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n");
}

static void what_is_no_request_to_a_proxy_is_refused(void **state)
{
    static const char *const wrong[] = {
        "\r\n\r\n", "GET /simple HTTP/1.1\r\n\r\n", "GET https://a/ HTTP/1.1\r\n\r\n", "get http://a/ HTTP/1.1\r\n\r\n",
        "GET http://a/\r\n\r\n", "GET http://a/ HTTP/2.0\r\n\r\n", "GET http://a/ HTTP/1.1 x\r\n\r\n",
        "CONNECT a HTTP/1.1\r\n\r\n", "CONNECT a:b HTTP/1.1\r\n\r\n", "CONNECT  HTTP/1.1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nno colon\r\n\r\n", "GET http://a/ HTTP/1.1\r\nA: \x01\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA: b\nHost: evil\r\n\r\n",
    };
    struct proxy_request r;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(proxy_request_read(wrong[i], strlen(wrong[i]), &r), -EBADMSG);
}

static void a_head_ends_with_an_empty_line(void **state)
{
    assert_int_equal(proxy_head_length("GET / HTTP/1.1\r\n\r\nrest", 22), 18);
    assert_int_equal(proxy_head_length("GET / HTTP/1.1\r\n\r", 17), 0);
    assert_int_equal(proxy_head_length("", 0), 0);
}

/* ---- what is allowed ---- */

static void the_index_is_its_host_on_its_port(void **state)
{
    const char *url = "http://127.0.0.1:8080/simple";
    assert_true(proxy_is_index(url, &(struct proxy_place){"127.0.0.1", "8080"}));
    assert_false(proxy_is_index(url, &(struct proxy_place){"127.0.0.1", "8081"}));
    assert_false(proxy_is_index(url, &(struct proxy_place){"127.0.0.2", "8080"}));
}

static void other_hosts_are_allowed_by_their_whole_name_on_the_ports_of_the_web(void **state)
{
    const char *hosts = "files.example, Other.example";
    assert_true(proxy_is_allowed(hosts, &(struct proxy_place){"files.example", "443"}));
    assert_true(proxy_is_allowed(hosts, &(struct proxy_place){"other.example", "80"}));
    assert_false(proxy_is_allowed(hosts, &(struct proxy_place){"files.example", "22"}));
    assert_false(proxy_is_allowed(hosts, &(struct proxy_place){"example", "443"}));
    assert_false(proxy_is_allowed(hosts, &(struct proxy_place){"evil.files.example", "443"}));
    assert_false(proxy_is_allowed("", &(struct proxy_place){"files.example", "443"}));
    assert_false(proxy_is_allowed(",,", &(struct proxy_place){"", "443"}));
}

static bool is_public(const char *address)
{
    struct sockaddr_in ip4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &ip4.sin_addr) == 1)
        return proxy_is_public((const struct sockaddr *)&ip4);
    assert_int_equal(inet_pton(AF_INET6, address, &ip6.sin6_addr), 1);
    return proxy_is_public((const struct sockaddr *)&ip6);
}

static void an_address_of_the_internet_is_told_from_our_own(void **state)
{
    static const char *const ours[] = {
        "0.0.0.0", "127.0.0.1", "127.255.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
        "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254", "fc00::1", "fe80::1",
        "fec0::1", "ff02::1",
    };
    static const char *const others[] = {
        "151.101.0.223", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "198.20.0.1", "11.0.0.1", "223.255.255.254",
        "2a04:4e42::223", "2001:4860::1",
    };
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        assert_false(is_public(ours[i]));
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_true(is_public(others[i]));
    assert_false(proxy_is_public(&(struct sockaddr){.sa_family = AF_UNIX}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_of_an_index_has_the_port_of_its_scheme),
        cmocka_unit_test(what_is_no_place_is_refused),
        cmocka_unit_test(a_tunnel_is_asked_for_by_host_and_port),
        cmocka_unit_test(a_plain_request_is_passed_on_as_its_server_expects_it),
        cmocka_unit_test(what_is_no_request_to_a_proxy_is_refused),
        cmocka_unit_test(a_head_ends_with_an_empty_line),
        cmocka_unit_test(the_index_is_its_host_on_its_port),
        cmocka_unit_test(other_hosts_are_allowed_by_their_whole_name_on_the_ports_of_the_web),
        cmocka_unit_test(an_address_of_the_internet_is_told_from_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

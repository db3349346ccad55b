"""What builds reach: the proxy to the index as its clients see it, and the other two networks."""
import contextlib
import socket
import urllib.parse

import pytest

from test_slave import DETAIL, begin, build, built, folder, index, master, slaves  # noqa: F401 fixtures


def place(index):  # noqa: F811
    return urllib.parse.urlsplit(index.url).netloc


@pytest.fixture
def proxy(master, slaves, index):  # noqa: F811
    """Connects to the proxy of a build that is going on."""
    opened = []

    def connect():
        opened.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        opened[-1].connect(str(slave.builds / "attempt-7" / "proxy.sock"))
        opened[-1].settimeout(60)
        return opened[-1]

    slave = slaves()
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-sleeps")
    connection.hear_output(7, b"sleeping for ever")
    connect.connection = connection
    yield connect
    for client in opened:
        client.close()


def ask(proxy, text):
    """The whole answer."""
    client = proxy()
    client.sendall(text.encode())
    return read_all(client)


def read_all(client):
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    return answer.decode("utf-8", "replace")


# ---- the proxy -----------------------------------------------------------------------------------------

def test_the_index_is_reached_by_a_plain_request(proxy, index):  # noqa: F811
    answer = ask(proxy, f"GET {index.simple}/piwtest-pure/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
    assert answer.startswith("HTTP/1.1 200") and "piwtest-pure-0.1.tar.gz" in answer


def test_the_index_is_reached_by_a_tunnel_in_pieces(proxy, index):  # noqa: F811
    client = proxy()
    for letter in f"CONNECT {place(index)} HTTP/1.1\r\n\r\n":
        client.sendall(letter.encode())
    assert client.recv(1000) == b"HTTP/1.1 200 Connection established\r\n\r\n"
    client.sendall(f"GET /simple/piwtest-pure/ HTTP/1.1\r\nHost: {place(index)}\r\nConnection: close\r\n\r\n".encode())
    assert "piwtest-pure-0.1.tar.gz" in read_all(client)


def test_what_follows_the_head_of_a_tunnel_at_once_is_not_lost(proxy, index):  # noqa: F811
    answer = ask(proxy, f"CONNECT {place(index)} HTTP/1.1\r\n\r\n"
                        f"GET /simple/piwtest-pure/ HTTP/1.1\r\nHost: {place(index)}\r\nConnection: close\r\n\r\n")
    assert answer.startswith("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200") and "piwtest-pure-0.1.tar.gz" in answer


@pytest.mark.parametrize("request_line", ["CONNECT evil.example:443 HTTP/1.1", "GET http://evil.example/ HTTP/1.1",
                                          "CONNECT 127.0.0.1:22 HTTP/1.1", "CONNECT [::1]:22 HTTP/1.1"])
def test_other_hosts_are_refused_with_a_reason(proxy, request_line):
    answer = ask(proxy, request_line + "\r\n\r\n")
    assert answer.startswith("HTTP/1.1 403 Forbidden") and answer.endswith("builds reach the index only\n")


def test_what_is_no_request_is_answered(proxy):
    assert ask(proxy, "hello\r\n\r\n").startswith("HTTP/1.1 400 Bad Request")


def test_a_head_without_end_ends_the_connection(proxy):
    client = proxy()
    with contextlib.suppress(ConnectionError):
        client.sendall(b"GET http://a/ HTTP/1.1\r\n" + b"A: b\r\n" * 10000)
        assert client.recv(1) == b""


def test_connections_over_the_limit_are_closed_and_the_next_build_is_served(proxy, index):  # noqa: F811
    clients = [proxy() for _ in range(70)]
    assert any(client.recv(1) == b"" for client in clients[64:])
    proxy.connection.say("STOP", 7, "enough")
    assert all(client.recv(1) == b"" for client in clients[:64]), "all of it ends with the build"
    proxy.connection.hear("IDLE")
    build(proxy.connection, 8, "piwtest-stdin")
    assert proxy.connection.hear("BUILT")[2] == "success"


def test_an_allowed_name_must_lead_to_the_internet(master, slaves, index):  # noqa: F811
    slaves("--index-hosts", "169.254.169.254")
    connection, message = built(master, index, "piwtest-hostile-metadata")
    assert message[3] == "needs network 169.254.169.254"
    assert b"refused a connection to 169.254.169.254:80: its address is not one of the Internet]" in connection.log[7]
    assert b"ESCAPED" not in connection.log[7]


# ---- no network, and all of it -------------------------------------------------------------------------

@pytest.mark.parametrize("package", ["piwtest-stdin", "piwtest-pure"])
def test_without_a_network_the_sdist_is_fetched_before(master, slaves, index, package):  # noqa: F811
    slaves("--network", "none")
    connection, message = built(master, index, package)
    assert message[2] == "success", connection.log[7].decode()
    assert f"fetched {package}-0.1.tar.gz".encode() in connection.log[7]


def test_without_a_network_not_even_the_index_is_reached(master, slaves, index):  # noqa: F811
    slaves("--network", "none")
    connection, message = built(master, index, "piwtest-hostile-metadata")
    assert message[2] == "failed" and b"ESCAPED" not in connection.log[7]
    assert b"held: no metadata" in connection.log[7] and b"refused a connection" not in connection.log[7]


def test_an_sdist_that_the_index_does_not_have_is_named(master, slaves, index):  # noqa: F811
    slaves("--network", "none")
    _, message = built(master, index, "piwtest-pure", version="9.9")
    assert message[2:4] == ["failed", "no sdist"] and message[DETAIL] == "the index has no piwtest-pure-9.9.tar.gz"


def test_a_package_that_the_index_does_not_have_is_named(master, slaves, index):  # noqa: F811
    slaves("--network", "none")
    _, message = built(master, index, "piwtest-nowhere")
    assert message[2:4] == ["failed", "no sdist"] and "404" in message[DETAIL]


def test_an_sdist_with_other_bytes_is_the_farms_failure(master, slaves, index):  # noqa: F811
    slaves("--network", "none")
    _, message = built(master, index, "piwtest-stdin", sha256=bytes(32))
    assert message[2:4] == ["farm", "wrong hash"] and "0" * 64 in message[DETAIL]


def test_the_whole_network_is_the_slaves_own(master, slaves, index):  # noqa: F811
    slaves("--network", "all")
    connection, message = built(master, index, "piwtest-hostile-loopback")
    assert message[2] == "failed" and b"ESCAPED: create_connection" in connection.log[7]


# ---- what the master asks for a single package -----------------------------------------------------------

def test_a_master_opens_no_network_that_the_slave_keeps_closed(master, slaves, index):  # noqa: F811
    slaves()
    connection, message = built(master, index, "piwtest-hostile-metadata", network="all")
    assert message[3] == "needs network 169.254.169.254" and b"ESCAPED" not in connection.log[7]
    assert b"--network-most of this slave allows index, less than the network all of the package's own settings" in connection.log[7]


def test_a_network_for_one_package_is_gone_with_it(master, slaves, index):  # noqa: F811
    slaves("--network", "none", "--network-most", "index")
    connection, message = built(master, index, "piwtest-stdin", network="index")
    assert message[2] == "success" and b"fetched" not in connection.log[7]
    connection.say("DONE", 7, True, "published")
    connection.hear("IDLE")
    build(connection, 8, "piwtest-stdin")
    assert connection.hear("BUILT")[2] == "success"
    assert b"fetched piwtest-stdin-0.1.tar.gz" in connection.log[8]


def test_the_most_is_not_less_than_what_every_build_reaches(slaves):  # noqa: F811
    slave = slaves("--network", "all", "--network-most", "index")
    slave.wait_line("--network-most index is less than --network all")
    assert slave.wait_end() == 1


def test_variables_and_limits_for_one_package_are_gone_with_it(master, slaves, index):  # noqa: F811
    slaves()
    connection, message = built(master, index, "piwtest-tells", variables=[("PIWTEST_WORD", "one two"), ("-S", "evil")],
                                limits=(0, 500, 0, 0, 0, 0, 0, 0), constraints=["piwtest-pure<0.2"], override=b"x" * 32)
    assert b"PIWTEST_WORD is one two" in connection.log[7] and b"piwtest-pure 0.1" in connection.log[7]
    assert b'"-S" is no name of a variable' in connection.log[7]
    assert message[10][-1] == b"x" * 32 and message[12][1] == 500
    connection.say("DONE", 7, True, "published")
    connection.hear("IDLE")
    build(connection, 8, "piwtest-tells")
    message = connection.hear("BUILT")
    assert b"PIWTEST_WORD is None" in connection.log[8] and message[10][-1] == b"" and message[12][1] == 1024

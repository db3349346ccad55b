"""`piwheels logs`: what a build prints, while it goes on and when it has ended."""
import os
import signal
import socket
import subprocess

import pytest

from harness import LIMIT_S, Process, VERSION, clean_environment

LABEL = "pi4-a"
HEAD = b"[    0.001] one\n[    0.002] two\n"


@pytest.fixture
def building(farm):
    """A slave that builds, and its attempt."""
    farm.start_master()
    farm.order()
    with farm.scripted_slave(LABEL) as slave:
        slave.greet()
        yield slave, slave.ask().attempt


def told(slave, attempt, log, offset=0):
    """Output that the master has taken in."""
    slave.output(attempt, offset, log)
    slave.busy(attempt)
    slave.expect("CONT")


def follow(farm, what):
    return Process(farm.program, "logs", "-f", what, "--control-socket", farm.socket)


def fail(slave, attempt, log_bytes):
    slave.built(attempt, "failed", reason="compile", detail="error", log_bytes=log_bytes)
    slave.expect("DONE")


# ---- of a build that goes on ----

def test_what_there_is_of_a_running_build_is_shown(farm, building):
    slave, attempt = building
    told(slave, attempt, HEAD)
    for what in (attempt, LABEL):
        done = farm.tool("logs", what)
        assert (done.returncode, done.stdout) == (0, HEAD.decode()), done.stderr


def test_a_build_that_has_printed_nothing_has_an_empty_log(farm, building):
    done = farm.tool("logs", LABEL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_log_is_followed_to_its_end(farm, building):
    slave, attempt = building
    told(slave, attempt, HEAD)
    tool = follow(farm, LABEL)
    tool.wait_line("two")
    told(slave, attempt, b"[    1.000] three\n", len(HEAD))
    tool.wait_line("three")
    slave.output(attempt, len(HEAD) + 18, b"[    2.000] [piwheels: failed (compile): error]\n")
    fail(slave, attempt, len(HEAD) + 66)
    assert tool.wait_end() == 0
    assert tool.output() + "\n" == farm.log_of(attempt).decode()


def test_a_long_log_comes_whole_from_memory_and_disk(farm, building):
    slave, attempt = building
    log = b"".join(b"[%9.3f] line %d\n" % (n / 1000, n) for n in range(60000))
    slave.tell_log(attempt, log)
    slave.busy(attempt)
    slave.expect("CONT")
    done = farm.tool("logs", attempt)
    assert done.returncode == 0 and done.stdout == log.decode()


def test_characters_are_not_cut_and_the_terminal_is_left_alone(farm, building):
    slave, attempt = building
    tool = follow(farm, attempt)
    first, rest = "caf\u00e9\n".encode() + "\u20ac".encode()[:2], "\u20ac".encode()[2:] + b"\x1b[31mred\x07\n"
    told(slave, attempt, first)
    tool.wait_line("caf\u00e9")
    told(slave, attempt, rest, len(first))
    fail(slave, attempt, len(first) + len(rest))
    assert tool.wait_end() == 0
    assert "\u20ac" in tool.output() and "\x1b" not in tool.output() and "\x07" not in tool.output()


def test_who_follows_and_reads_no_more_is_let_go_though_the_build_goes_on(farm, building):
    slave, attempt = building
    told(slave, attempt, HEAD)
    reader, writer = os.pipe()
    with subprocess.Popen([farm.program, "logs", "-f", LABEL, "--control-socket", farm.socket], stdout=writer,
                          stderr=subprocess.PIPE, env=clean_environment()) as tool:
        os.close(writer)
        assert os.read(reader, 1)
        os.close(reader)
        told(slave, attempt, b"[    1.000] three\n", len(HEAD))
        assert (tool.wait(LIMIT_S), tool.stderr.read()) == (-signal.SIGPIPE, b"")


def test_two_may_follow_the_same_build(farm, building):
    slave, attempt = building
    tools = [follow(farm, LABEL), follow(farm, attempt)]
    told(slave, attempt, HEAD)
    for tool in tools:
        tool.wait_line("two")
    fail(slave, attempt, len(HEAD))
    assert [tool.wait_end() for tool in tools] == [0, 0]


def test_a_master_that_stops_lets_its_readers_go(farm, building):
    slave, attempt = building
    told(slave, attempt, HEAD)
    tool = follow(farm, LABEL)
    tool.wait_line("two")
    assert farm.master.stop() == 0
    assert tool.wait_end() == 1


# ---- of a build that has ended ----

def test_a_build_that_has_ended_is_read_where_it_is_kept(farm, building):
    slave, attempt = building
    told(slave, attempt, HEAD + b"\x1b[0m\n")
    fail(slave, attempt, len(HEAD) + 5)
    for words in ([attempt], ["-f", attempt]):
        done = farm.tool("logs", *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(HEAD.decode()) and "\x1b" not in done.stdout


# ---- what there is nothing of ----

def test_a_build_that_never_was_has_no_log(farm):
    farm.start_master()
    done = farm.tool("logs", "4711")
    assert done.returncode == 1 and "there is no log of build 4711" in done.stderr


def test_a_slave_that_is_not_there_builds_nothing(farm):
    farm.start_master()
    done = farm.tool("logs", "nobody")
    assert done.returncode == 1 and 'no slave "nobody" is connected' in done.stderr


def test_a_slave_without_a_build_has_no_log(farm):
    farm.start_master()
    with farm.scripted_slave(LABEL) as slave:
        slave.greet()
        done = farm.tool("logs", LABEL)
    assert done.returncode == 1 and f"slave {LABEL} builds nothing now" in done.stderr


def test_a_word_that_is_neither_build_nor_label_is_refused(farm):
    done = farm.tool("logs", "x" * 65)
    assert done.returncode == 2 and "neither a build's number nor a slave's label" in done.stderr


# ---- one that does not read ----

@pytest.mark.long
def test_a_reader_that_stalls_is_dropped_and_slows_nobody(farm, building):
    slave, attempt = building
    told(slave, attempt, HEAD)
    with farm.scripted_tool() as reader:
        reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        reader.say("LOGS", VERSION, attempt, "", True)
        slave.tell_log(attempt, HEAD + b"x" * (3 << 20))
        slave.busy(attempt)
        slave.expect("CONT")
        farm.master.wait_line("a reader of build .* is dropped: it has read nothing for 10 s")
    assert farm.tool("status").returncode == 0

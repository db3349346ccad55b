"""Peers that mean harm, on the port of the slaves and on the control socket: frames that are none, values that no message may
have, floods, and silence. Each is shut out with a reason that is logged, the master's memory stays flat, and another slave,
which speaks all the while, notices nothing.
"""
import contextlib
import functools
import os
import random
import re
import resource
import select
import socket
import struct
import threading

import pytest

import messages
from protocol import ENVIRONMENT, LIMITS, LIMIT_S, announced, frame
from wheels import make_wheel

# What is freed must be given back, or memory could not be watched.
MASTER_ENVIRONMENT = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
FLAT_KB = 6 * 1024
FIRST_FRAME_MAX_BYTES = 16384
PACE_S = 0.01
CROWD = 2000
DOORS = ("slaves", "tools")
MESSAGES = {message.verb: message for message in messages.read()}
LARGEST = 2 ** 63 - 1


class Witness(threading.Thread):
    """A slave at work: says BUSY and hears CONT, again and again."""

    def __init__(self, slave, attempt):
        super().__init__(daemon=True)
        self.slave = slave
        self.attempt = attempt
        self.ending = threading.Event()
        self.answered = threading.Condition()
        self.count = 0
        self.fault = None

    def run(self):
        try:
            while not self.ending.wait(PACE_S):
                self.slave.busy(self.attempt)
                self.slave.expect("CONT")
                self._note()
        except Exception as fault:  # told by check() in the test's own thread
            self.fault = fault
            self._note()

    def _note(self):
        with self.answered:
            self.count += 1
            self.answered.notify_all()

    def check(self):
        """It is answered still."""
        with self.answered:
            before = self.count
            assert self.answered.wait_for(lambda: self.count >= before + 2 or self.fault, LIMIT_S)
        assert not self.fault, self.fault


@pytest.fixture(scope="module")
def witness(module_farm):
    module_farm.order(package="piwtest-witness")
    with module_farm.scripted_slave("witness") as slave:
        slave.greet()
        witness = Witness(slave, slave.ask().attempt)
        witness.start()
        yield witness
        witness.ending.set()
        witness.join()


@pytest.fixture(scope="module")
def silent(module_farm):
    """On each door one that says nothing, and one that says a frame byte by byte, a byte a test."""
    with contextlib.ExitStack() as stack:
        peers = {door: [stack.enter_context(connect(module_farm, door)) for _ in range(2)] for door in DOORS}
        for _, dripping in peers.values():
            dripping.send_bytes(struct.pack(">I", 10000))
        yield peers


@pytest.fixture
def farm(module_farm, witness, silent):
    for _, dripping in silent.values():
        with contextlib.suppress(OSError):
            dripping.send_bytes(b"\x00")
    yield module_farm
    witness.check()
    module_farm.master.check_sanitizers()


@pytest.fixture
def version():
    version.number += 1
    return f"1.{version.number}"


version.number = 0


@functools.cache
def offers(farm):
    return [[*line.split("|"), "3.11.2"] for line in farm.sql("SELECT abi, platform FROM target").split("\n")]


def connect(farm, door):
    return farm.scripted_slave("stranger", offers=offers(farm)) if door == "slaves" else farm.scripted_tool()


def log_line(connection, reason):
    """What the log says of the connection's end."""
    if connection.socket.family == socket.AF_UNIX:
        who = "control client"
    elif getattr(connection, "number", None):
        who = rf"slave {connection.number} \(stranger\)"
    else:
        who = f"slave at 127.0.0.1:{connection.socket.getsockname()[1]}"
    return f"{who}: connection closed: {re.escape(reason)}$"


def refusal(farm, connection, data, begun):
    """Sends what must be refused; the reason, which the log has, too."""
    line = log_line(connection, "REASON")
    connection.send_bytes(data)
    reason = connection.expect_refusal()
    farm.master.wait_line(line.replace("REASON", re.escape(reason)), begun)
    return reason


# ---- values ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("verb", MESSAGES)
@pytest.mark.parametrize("door", DOORS)
def test_what_a_field_must_not_be_is_refused(farm, door, verb, pytestconfig):
    """Every field of every message, with every wrong type, beyond each of its limits, deeply nested, and with headers that
    claim four thousand million of something. (Both doors read with the same eyes: at the one whose handshake takes longest it is
    every third of these, without --long.)
    """
    bodies = list(messages.wrong_bodies(MESSAGES[verb]))
    for what, body in bodies[::1 if door == "tools" or pytestconfig.getoption("--long") else 3]:
        begun = farm.master.mark()
        with connect(farm, door) as connection:
            if door == "slaves" and len(body) > FIRST_FRAME_MAX_BYTES:
                connection.greet()
            reason = refusal(farm, connection, frame(body), begun)
        assert reason.startswith((f"{verb}: ", "frame is cut short")), (what, reason)


@pytest.mark.parametrize("verb", MESSAGES)
def test_the_largest_message_is_read(farm, verb):
    """Nothing of it is too large for a frame; who says it is another matter."""
    body = messages.pack(verb, messages.large_fields(MESSAGES[verb].fields))
    begun = farm.master.mark()
    with connect(farm, "tools") as connection:
        reason = refusal(farm, connection, frame(body), begun)
    assert "frame" not in reason and "field" not in reason, reason


# ---- frames ------------------------------------------------------------------------------------------

NOISE = random.Random(1).randbytes(70000)
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + NOISE[:32] + bytes(200)

FRAMES = {
    "a length of nothing": bytes(4),
    "a length of 4294967295": b"\xff\xff\xff\xff",
    "a length of 2147483648": b"\x80\x00\x00\x00",
    "a byte more than may be": struct.pack(">I", 1048577),
    "TLS": CLIENT_HELLO,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "noise": NOISE,
    **{what: frame(body) for what, right_for, body in messages.FOREIGN},
    "an array of nothing": frame(b"\x90"),
    "a verb of 4294967295 bytes": frame(b"\x91\xdb\xff\xff\xff\xff"),
    "a verb that is long": frame(b"\x91\xda\x27\x10" + b"X" * 10000),
    "a verb that is none": frame(b"\x91\xa5NEVER"),
    "a verb in small letters": frame(b"\x91\xa4wake"),
    "4294967295 fields": frame(b"\xdd\xff\xff\xff\xff\xa4WAKE"),
}


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("door", DOORS)
def test_a_frame_that_is_none_is_refused(farm, door, frames):
    begun = farm.master.mark()
    with connect(farm, door) as connection:
        assert refusal(farm, connection, frames, begun).startswith(
            ("frame ", "WAKE: message has 4294967294 fields", "the other end speaks TLS, this one does not"))


def test_a_strangers_first_frame_is_short(farm):
    begun = farm.master.mark()
    with connect(farm, "slaves") as stranger:
        reason = refusal(farm, stranger, struct.pack(">I", FIRST_FRAME_MAX_BYTES + 1), begun)
    assert reason == f"frame of {FIRST_FRAME_MAX_BYTES + 1} bytes, more than {FIRST_FRAME_MAX_BYTES}"


def test_the_longest_hello_fits_into_a_first_frame(farm):
    body = messages.pack("HELLO", messages.large_fields(MESSAGES["HELLO"].fields))
    begun = farm.master.mark()
    with connect(farm, "slaves") as stranger:
        assert "the master is piwheels" in refusal(farm, stranger, frame(body), begun)


@pytest.mark.parametrize("part", [0, 1, 4, 5, 500])
@pytest.mark.parametrize("door", DOORS)
def test_a_peer_may_leave_anywhere(farm, door, part):
    begun = farm.master.mark()
    with connect(farm, door) as connection:
        line = log_line(connection, "closed by peer" + (" in the middle of a frame" if part else ""))
        connection.send_bytes((struct.pack(">I", 1000) + bytes(1000))[:part])
    farm.master.wait_line(line, begun)


# ---- lies of a slave that was let in -----------------------------------------------------------------

@pytest.mark.parametrize("attempts", [[0], [7, 7], [0, 0], [LARGEST, 5, LARGEST]])
def test_what_a_slave_holds_is_an_attempt_and_held_once(farm, attempts):
    with connect(farm, "slaves") as stranger:
        stranger.hello(attempts)
        assert stranger.expect_refusal() == "the slave stranger holds an attempt twice, or one without an id"


def test_nobody_can_speak_of_attempts_without_end(farm):
    with connect(farm, "slaves") as slave:
        slave.greet()
        slave.send_bytes(b"".join(frame(messages.pack("BUSY", [struct.pack(">BI", 0xce, 10 ** 9 + number),
                                                              messages.plain(MESSAGES["BUSY"].fields[1])]))
                                  for number in range(1000)))
        assert slave.expect_refusal(ignore=("STOP",)) == "BUSY is about attempt 1000000256, one of too many that nobody was given"


def test_nobody_can_hoard_the_queue(farm, version):
    farm.sql(f"""INSERT INTO package (name, display) VALUES ('piwtest-hoard', 'piwtest-hoard') ON CONFLICT DO NOTHING;
        INSERT INTO version (package, version, sort_key, wanted, by_hand, sdist, sdist_sha256, judged_mask)
            SELECT id, '{version}.' || n, convert_to('{version}.' || n, 'UTF8'), true, true, 'piwtest-hoard-{version}.' || n || '.tar.gz',
                sha256('sdist'), -1 FROM package, generate_series(1, 100) n WHERE name = 'piwtest-hoard';
        SELECT versions_settle(array_agg(v.id)) FROM version v JOIN package p ON p.id = v.package WHERE p.name = 'piwtest-hoard'""")
    with connect(farm, "slaves") as slave:
        slave.greet()
        slave.idle(256)
        assert [slave.hear()[0] for _ in range(65)] == ["BUILD"] * 64 + ["SLEEP"]
        slave.idle(256)
        slave.expect("SLEEP", ignore=("WAKE",))
        slave.bye()
        slave.expect_closed(ignore=("WAKE",))  # for there is more, if it could have it
    farm.wait_sql("SELECT count(*) FROM build b JOIN version v ON v.id = b.version JOIN package p ON p.id = v.package "
                  "WHERE p.name = 'piwtest-hoard'", "64")
    farm.sql("DELETE FROM job WHERE version IN (SELECT v.id FROM version v JOIN package p ON p.id = v.package "
             "WHERE p.name = 'piwtest-hoard')")


def test_the_largest_numbers_are_taken_for_what_they_are(farm, version):
    farm.order(version=version)
    with connect(farm, "slaves") as slave:
        slave.greet()
        machine = [100000000, LARGEST, LARGEST, LARGEST, LARGEST, 1000000]
        slave.say("IDLE", 1, machine, "")
        attempt = slave.expect("BUILD")[0]
        shown, = [slave for slave in farm.status()["slaves"] if slave["label"] == "stranger" and slave["state"] != "leaving"]
        assert shown["memory_bytes"] == shown["disk_free_bytes"] == LARGEST
        slave.say("BUILT", attempt, "failed", "compile", "error", LARGEST, LARGEST, LARGEST, 0, [], ENVIRONMENT, [], LIMITS)
        assert slave.expect("DONE")[0] == attempt
    assert farm.outcome(attempt) == "failed|compile|error"


def test_a_wheel_of_the_largest_size_is_too_large(farm, version):
    farm.order(version=version)
    name, data = make_wheel(version=version)
    with connect(farm, "slaves") as slave:
        slave.greet()
        attempt = slave.ask().attempt
        slave.built(attempt, files=[(name, LARGEST, announced(name, data)[2])])
        told, good, text = slave.expect("DONE")
        assert told == attempt and not good and "bytes; the master takes at most" in text


# ---- many, and often ---------------------------------------------------------------------------------

def resident_kb(farm):
    with connect(farm, "slaves") as last:  # greeted when those before it have been closed
        last.greet()
    with open(f"/proc/{farm.master.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))


def reset(connection):
    """Closes without the courtesy of a FIN."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def one_round(farm):
    """Something of everything, in peers that hear the answer, that do not, and that leave in the middle."""
    for door in DOORS:
        for frames in FRAMES.values():
            with connect(farm, door) as connection:
                connection.send_bytes(frames)
                connection.expect("ERROR")
            with contextlib.suppress(OSError):
                connection = connect(farm, door)
                connection.send_bytes(frames)
                reset(connection)
        with connect(farm, door) as connection:
            connection.send_bytes(struct.pack(">I", 16000) + bytes(15000))
        with connect(farm, "slaves") as slave:
            slave.greet()
            slave.send_bytes(struct.pack(">I", 1048576) + bytes(1000000))
            reset(slave)


def test_memory_stays_flat_however_often(farm):
    for _ in range(3):
        one_round(farm)
    before = resident_kb(farm)
    for _ in range(12):
        one_round(farm)
    assert resident_kb(farm) - before < FLAT_KB


@pytest.fixture
def many_files():
    """As many open files as the system lets us have; the master does the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def one_crowd(farm, witness):
    """Connects, hears that others are served, leaves; what the master has then."""
    host, _, port = farm.address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(socket.create_connection((host, int(port))))
        witness.check()
        with connect(farm, "slaves") as slave:
            slave.greet()
    return resident_kb(farm)


def test_thousands_may_connect_and_say_nothing(farm, witness, many_files):
    before = one_crowd(farm, witness)
    assert one_crowd(farm, witness) - before < FLAT_KB


def test_a_peer_that_never_reads_is_shut_out(farm, version):
    farm.order(version=version)
    begun = farm.master.mark()
    with connect(farm, "slaves") as slave:
        slave.greet()
        attempt = slave.ask().attempt
        line = log_line(slave, "left more than 4 MiB unread")
        busy = frame(messages.pack("BUSY", [struct.pack(">BQ", 0xcf, attempt), messages.plain(MESSAGES["BUSY"].fields[1])]))
        with contextlib.suppress(OSError):  # TLS has errors of its own
            while True:
                slave.send_bytes(busy * 1000)
        farm.master.wait_line(line, begun)


# ---- the slow: last, for their time has come by now --------------------------------------------------

@pytest.mark.parametrize("door", DOORS)
def test_a_first_word_that_does_not_come_is_not_waited_for(farm, silent, door):
    for connection in silent[door]:
        line = log_line(connection, "no first message within 10 s")
        assert connection.expect_refusal() == "no first message within 10 s"
        farm.master.wait_line(line)


@pytest.mark.long
@pytest.mark.parametrize("known, said", [
    (False, "no first message within 10 s"),
    (True, "a frame took longer than 60 s"),
], ids=["stranger", "slave"])
def test_a_frame_that_comes_byte_by_byte_is_not_waited_for(farm, known, said):
    with connect(farm, "slaves") as slave:
        if known:
            slave.greet()
        slave.send_bytes(struct.pack(">I", 10000))
        while not select.select([slave.socket], [], [], 0.5)[0]:
            slave.send_bytes(b"\x00")
        assert slave.expect_refusal() == said

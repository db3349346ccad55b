"""A client of the wire, written from piwheels-protocol(7) alone: the slave's half and the tool's half.

Nothing of the program is used here, and nothing but the page was read to write it.
"""
import hashlib
import json
import select
import socket
import struct
import time

import msgpack

FRAME_MAX_BYTES = 1048576
PIECE_BYTES = 262144
LIMIT_S = 60

# load_milli, memory_bytes, memory_free_bytes, disk_bytes, disk_free_bytes, temperature_milli
MACHINE = [250, 4 << 30, 2 << 30, 32 << 30, 16 << 30, 45000]
ENVIRONMENT = ["Debian GNU/Linux 12 (bookworm)", "3.11.2", "23.0.1", "cc (Debian 12.2.0-14) 12.2.0", "glibc 2.36", 10800000, "strict", "index",
               b""]
# memory_bytes, processes, open_files, disk_bytes, disk_files, output_bytes, cpu_ms, silence_ms
LIMITS = [3 << 30, 1024, 4096, 10 << 30, 500000, 1 << 30, 43200000, 3600000]


class Closed(Exception):
    """The other side has closed the connection."""


def frame(body):
    return struct.pack(">I", len(body)) + body


class Connection:
    """Frames over a socket. A message is a list: [verb, field, …]."""

    def __init__(self, address, source=None, identity=None):
        """Address: "HOST:PORT", or the path of a Unix socket. With an identity (identity.py) TLS is spoken."""
        if "/" in str(address):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(address))
        else:
            host, _, port = str(address).rpartition(":")
            self.socket = socket.create_connection((host, int(port)), source_address=(source, 0) if source else None)
        self.socket.settimeout(LIMIT_S)
        if identity:
            self.socket = identity.wrap(self.socket)
        self.identity = identity
        self.buffer = b""

    def send_bytes(self, data):
        self.socket.sendall(data)

    def say(self, verb, *fields):
        self.send_bytes(frame(msgpack.packb([verb, *fields], use_bin_type=True)))

    def _exactly(self, count):
        while len(self.buffer) < count:
            try:
                part = self.socket.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            self.buffer += part
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def hear(self):
        """The next message, whatever it is; raises Closed."""
        length, = struct.unpack(">I", self._exactly(4))
        assert 1 <= length <= FRAME_MAX_BYTES
        return msgpack.unpackb(self._exactly(length), raw=False)

    def has_word(self):
        """Whether something can be heard without waiting."""
        return bool(self.buffer or self.identity and self.socket.pending() or select.select([self.socket], [], [], 0)[0])

    def expect_one(self, *verbs, ignore=()):
        """The next message (but for those ignored), which must be one of these."""
        while True:
            message = self.hear()
            if message[0] in verbs:
                return message
            assert message[0] in ignore, f"{message} where {' or '.join(verbs)} was expected"

    def expect(self, verb, *, ignore=()):
        """The fields of the next message (but for those ignored), which must be this verb."""
        return self.expect_one(verb, ignore=ignore)[1:]

    def expect_closed(self, *, ignore=()):
        """The master closes without another word (but for those ignored)."""
        try:
            while (message := self.hear())[0] in ignore:
                pass
        except Closed:
            self.close()
            return
        raise AssertionError(f"{message} where the end was expected")

    def expect_refusal(self, *, ignore=()):
        """ERROR and then the end; the reason."""
        reason, = self.expect("ERROR", ignore=ignore)
        self.expect_closed()
        return reason

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Build:
    """What BUILD said."""

    def __init__(self, fields):
        (self.attempt, self.package, self.version, self.abi, self.platform, self.sdist, self.sdist_sha256,
         self.timeout_ms, self.uploaded_ms, self.limits, self.network, self.variables, self.constraints,
         self.override) = fields


class Slave(Connection):
    """A slave that says what a test tells it to."""

    def __init__(self, address, version, label, offers, source=None, identity=None):
        super().__init__(address, source, identity)
        self.version = version
        self.label = label
        self.offers = offers            # [[abi, platform, python]]
        self.number = None

    def hello(self, attempts=(), **changes):
        fields = {"version": self.version, "label": self.label, "system": "Debian GNU/Linux 12 (bookworm)",
                  "hardware": "a test", "clock_ms": int(time.time() * 1000), "timeout_ms": 3 * 3600 * 1000,
                  "offers": [list(offer) for offer in self.offers], "attempts": [[attempt] for attempt in attempts],
                  "sandbox": "strict", "network": "index", "barriers": [["read the slave's files", "stopped"]],
                  "jobs": 1, "memory_bytes": 0, "network_most": "index", **changes}
        self.say("HELLO", *fields.values())

    def greet(self, attempts=()):
        """HELLO and its ACK; the index to build from."""
        self.hello(attempts)
        self.number, index, self.lease_ms = self.expect("ACK")
        return index

    def means(self, *debian):
        """The Debian packages that it has."""
        self.say("MEANS", "".join(f"{name}\n" for name in sorted(debian)))

    def idle(self, slots=1, shortage=""):
        self.say("IDLE", slots, MACHINE, shortage)

    def ask(self):
        """Asks for one build until there is one. A WAKE for an earlier SLEEP may cross with the IDLE."""
        while True:
            self.idle()
            verb, *fields = self.expect_one("BUILD", "SLEEP", ignore=("WAKE",))
            if verb == "BUILD":
                return Build(fields)
            self.expect("WAKE")

    def busy(self, attempt):
        self.say("BUSY", attempt, MACHINE)

    def output(self, attempt, offset, data):
        self.say("OUTPUT", attempt, offset, data)

    def tell_log(self, attempt, log):
        for at in range(0, len(log), PIECE_BYTES):
            self.output(attempt, at, log[at:at + PIECE_BYTES])

    def built(self, attempt, outcome="success", files=(), *, reason="", detail="", log_bytes=0, environment=None,
              required=(), limits=None):
        """Files: [(name, size, sha256)], or with the Debian packages needed behind. Required: [(name, version, sha256)]."""
        self.say("BUILT", attempt, outcome, reason, detail, 1234, 900, 50 << 20, log_bytes,
                 [[*file, *[""] * (4 - len(file))] for file in files], environment or ENVIRONMENT, list(required),
                 limits or LIMITS)

    def chunk(self, attempt, file, offset, data):
        self.say("CHUNK", attempt, file, offset, data)

    def sent(self, attempt, file):
        self.say("SENT", attempt, file)

    def send_file(self, attempt, file, data, piece=PIECE_BYTES):
        for at in range(0, len(data), piece):
            self.chunk(attempt, file, at, data[at:at + piece])
        self.sent(attempt, file)

    def report(self, attempt, wheels, log=b""):
        """OUTPUT and BUILT of a success; wheels: [(name, bytes)]."""
        self.tell_log(attempt, log)
        self.built(attempt, files=[announced(*wheel) for wheel in wheels], log_bytes=len(log))

    def hand_over(self, attempt, wheels):
        """Sends what is asked for until DONE: (good, text)."""
        while True:
            verb, *fields = self.hear()
            assert fields[0] == attempt, (verb, fields)
            if verb == "DONE":
                return fields[1], fields[2]
            assert verb == "SEND", (verb, fields)
            self.send_file(attempt, fields[1], wheels[fields[1]][1])

    def deliver(self, attempt, wheels, log=b""):
        """A build's whole end: what DONE says of it."""
        self.report(attempt, wheels, log)
        return self.hand_over(attempt, wheels)

    def fail(self, attempt, outcome="failed", reason="compile", detail="error: no such header", log=b""):
        self.tell_log(attempt, log)
        self.built(attempt, outcome, reason=reason, detail=detail, log_bytes=len(log))
        told, good, text = self.expect("DONE")
        assert told == attempt and not good
        return text

    def bye(self, reason="terminated"):
        self.say("BYE", reason)


def announced(name, data):
    """A file as BUILT names it."""
    return name, len(data), hashlib.sha256(data).digest()


class Tool(Connection):
    """One command on the control socket."""

    def ask(self, verb, *fields):
        """The DATA objects, and what DONE said: (good, text)."""
        self.say(verb, *fields)
        told = []
        while True:
            verb, *fields = self.hear()
            if verb == "DATA":
                told.append(json.loads(fields[0]))
                continue
            assert verb == "DONE" and fields[0] == 0, (verb, fields)
            self.expect_closed()
            return told, fields[1], fields[2]

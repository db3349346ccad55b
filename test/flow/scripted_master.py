"""A master that says what a test tells it to, for the slave's half of the protocol (piwheels-protocol(7))."""
import contextlib
import hashlib
import socket
import struct

import msgpack

VERSION = "0.1.0"
LIMIT_S = 60


class Connection:
    """One slave's connection. A message is a list: [verb, field, …]."""

    def __init__(self, peer):
        self.peer = peer
        self.peer.settimeout(LIMIT_S)
        self.log = {}        # attempt -> what OUTPUT has told of it
        self.ignored = {"OUTPUT", "BUSY", "MEANS"}

    def say(self, *message):
        body = msgpack.packb(list(message))
        self.peer.sendall(struct.pack(">I", len(body)) + body)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.peer.recv(count - len(data))
            if not part:
                raise EOFError("the slave has closed")
            data += part
        return data

    def hear_any(self):
        """The next message. OUTPUT is added to the log, BUSY is answered with CONT."""
        message = msgpack.unpackb(self._exactly(struct.unpack(">I", self._exactly(4))[0]))
        if message[0] == "OUTPUT":
            _, attempt, offset, data = message
            assert 0 < len(data) <= 262144
            log = self.log.setdefault(attempt, b"")
            assert offset == len(log)
            self.log[attempt] = log + data
        elif message[0] == "BUSY":
            with contextlib.suppress(ConnectionError):  # it may have left meanwhile
                self.say("CONT", message[1])
        return message

    def hear(self, verb):
        """The next message that is not OUTPUT or BUSY (unless it is what is asked for): must be `verb`."""
        while True:
            message = self.hear_any()
            if message[0] == verb:
                return message
            assert message[0] in self.ignored, f"{message} where {verb} was expected"

    def hear_output(self, attempt, words):
        """Until the attempt's log has these words."""
        while words not in self.log.get(attempt, b""):
            assert self.hear_any()[0] in self.ignored

    def hear_end(self):
        """Until the slave closes; what it said before that."""
        said = []
        try:
            while True:
                said.append(self.hear_any()[0])
        except (EOFError, ConnectionResetError):
            self.peer.close()
            return said

    def greet(self, index_url, slave=7, lease_ms=300000):
        hello = self.hear("HELLO")
        self.say("ACK", slave, index_url, lease_ms)
        return hello

    def build(self, attempt, package, version, target, sha256=b"", timeout_s=600, uploaded_s=0, limits=(0,) * 8, network="",
              variables=(), constraints=(), override=b""):
        """BUILD; `target`: ABI and platform."""
        self.say("BUILD", attempt, package, version, *target, f"{package}-{version}.tar.gz", sha256, timeout_s * 1000,
                 uploaded_s * 1000, list(limits), network, [list(one) for one in variables], [[line] for line in constraints],
                 override)

    def fetch(self, built, file):
        """Asks for a file and returns its bytes, checked against what BUILT said of it."""
        attempt, files = built[1], built[9]
        name, size, digest, _ = files[file]
        self.say("SEND", attempt, file)
        data = b""
        while (message := self.hear_any())[0] == "CHUNK" or message[0] in self.ignored:  # another build may go on
            if message[0] != "CHUNK":
                continue
            assert message[1:4] == [attempt, file, len(data)]
            assert 0 < len(message[4]) <= 262144
            data += message[4]
        assert message == ["SENT", attempt, file]
        assert len(data) == size and hashlib.sha256(data).digest() == digest, name
        return data

    def close(self):
        self.peer.close()


class ScriptedMaster:
    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(LIMIT_S)
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.connections = []

    def accept(self):
        connection = Connection(self.server.accept()[0])
        self.connections.append(connection)
        return connection

    def hang_up(self):
        for connection in self.connections:
            connection.close()

    def close(self):
        self.hang_up()
        self.server.close()


class AbsentMaster:
    """Nobody listens at its address, and nobody else is given it meanwhile."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def close(self):
        self.socket.close()

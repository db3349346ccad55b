"""The catalogue of hostile source distributions against one slave with small limits, one after the other.

Whatever a build does, it ends as a failure with its class, nothing of the slave's is changed, no process is left, and the
slave takes the next build at once. What only the master can tell of a wheel is in test_farm.py and test_verification.py.
"""
import itertools
import pathlib
import re
import shutil
import socket
import tempfile

import pytest

from harness import clean_environment
from scripted_master import ScriptedMaster
from test_slave import (DETAIL, FILES, NOBODY, RUNNING_AS_ROOT, Slave, begin, build, build_over_time, index,  # noqa: F401 fixture
                        processes_of_builds)

LIMITS = ["--memory", "400M", "--processes", "80", "--disk", "60M", "--disk-files", "2000", "--output", "20M", "--silence", "10s",
          "--cpu", "5s", "-t", "90s"]
SECRET = "the key of the slave"

# package -> (outcome, class, words in its detail)
CLASSES = {
    "forks": ("failed", "processes", "the limit is 80"),
    "pids": ("failed", "processes", "the limit is 80"),
    "memory": ("failed", "memory", "MemoryError|the limit is 419 MB"),
    "crowd": ("failed", "memory", "its processes held .* MB of memory; the limit is 419 MB"),
    "disk": ("failed", "disk", "had written more than its limit of 63 MB"),
    "removed": ("failed", "disk", "had written more than its limit of 63 MB"),
    "shy": ("failed", "disk", "had written more than its limit of 63 MB"),
    "veiled": ("failed", "disk", "had written more than its limit of 63 MB"),
    "sparse": ("failed", "disk", "File too large"),
    "inodes": ("failed", "files", "more files than its limit of 2000"),
    "deep": ("failed", "files", "more files than its limit of 2000"),
    "floods": ("failed", "output", "had printed more than its limit of 21 MB"),
    "silent": ("failed", "silence", "had printed nothing for 10 s"),
    "spins": ("failed", "processor time", "more processor time than their limit of 5 s"),
    "deaf": ("failed", "timeout", "longer than its time limit of [0-9]+ s"),
    "daemon": ("failed", "setup", "held: the daemons are for the slave to end"),
    "ptrace": ("failed", "setup", "held: ptrace: .*Operation not permitted"),
    "key": ("failed", "setup", "held: no key anywhere"),
    "outside": ("failed", "setup", "held: nothing can be written"),
    "link": ("failed", "bad wheel", "something else in place of the directory for its wheels"),
    "wheellink": ("failed", "bad wheel", "is not a regular file"),
    "listens": ("failed", "setup", "held: nobody comes"),
    "loopback": ("failed", "needs network 127.0.0.1", "the build wanted 127.0.0.1:[0-9]+, .*held: no service of this machine"),
    "metadata": ("failed", "needs network 169.254.169.254", "the build wanted 169.254.169.254:80, and builds reach the index only"),
    "setuid": ("failed", "setup", "held: no setuid file: Operation not permitted"),
    "itself": ("failed", None, ""),
    "proc": ("failed", "setup", "held: /proc leads nowhere"),
    "zeros": ("failed", "bad wheel", ""),
    "bomb": ("failed", "bad wheel", ""),
    "dotdot": ("failed", "bad wheel", r"\.\./"),
    "twice": ("failed", "bad wheel", ""),
}


class World:
    """A slave with a home, settings and a key of its own, and the master it builds for."""

    def __init__(self, index):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="piwslave-"))
        (self.folder / "key").write_text(SECRET)
        (self.folder / "key").chmod(0o600)
        (self.folder / "home").mkdir()
        if RUNNING_AS_ROOT:
            for path in (self.folder, self.folder / "key", self.folder / "home"):
                shutil.chown(path, NOBODY)
        self.before = self.snapshot()
        self.master = ScriptedMaster()
        self.slave = Slave(self.master, self.folder, *LIMITS,
                           env=clean_environment(HOME=self.folder / "home", PIW_SLAVE_LABEL="test-a"))
        self.connection, _ = begin(self.master, index)
        self.attempts = itertools.count(1)

    def snapshot(self):
        """Everything of the slave's but its builds: path, mode, bytes."""
        return {str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
                for path in self.folder.rglob("*") if "builds" not in path.parts}

    def close(self):
        self.master.close()
        assert self.slave.stop() == 0
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def world(index):  # noqa: F811
    made = World(index)
    yield made
    made.close()


def end_of(world, package):
    """BUILT of the package."""
    connection, attempt, name = world.connection, next(world.attempts), f"piwtest-hostile-{package}"
    if package == "deaf":
        return build_over_time(connection, itertools.chain([attempt], world.attempts), name, b" deaf\n")[0]
    if package == "listens":
        return end_of_listening(connection, attempt, name)
    build(connection, attempt, name)
    return connection.hear("BUILT")


def end_of_listening(connection, attempt, name):
    """It listens at a port where nobody else can listen outside."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        build(connection, attempt, name, variables=[("PIWTEST_PORT", str(port))])
        connection.hear_output(attempt, b"listening at %d." % port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        return connection.hear("BUILT")


@pytest.mark.parametrize("package", CLASSES)
def test_a_hostile_build_fails_alone(world, package):
    outcome, reason, words = CLASSES[package]
    connection = world.connection
    message = end_of(world, package)
    attempt = message[1]
    log = connection.log[attempt].decode("utf-8", "replace")
    left = processes_of_builds(world.folder)
    connection.say("DONE", attempt, False, "recorded")
    connection.hear("IDLE")
    assert (message[2], message[3]) == (outcome, reason or message[3]), log[-3000:]
    assert re.search(words, message[DETAIL]), message[DETAIL]
    assert "ESCAPED" not in log, log[-3000:]
    assert message[FILES] == [] and not left
    assert world.slave.attempts() == []
    assert world.snapshot() == world.before
    world.slave.check_sanitizers()


def test_afterwards_an_honest_build_is_built_as_ever(world):
    attempt = next(world.attempts)
    build(world.connection, attempt, "piwtest-stdin")
    message = world.connection.hear("BUILT")
    assert message[2] == "success"
    world.connection.fetch(message, 0)
    world.connection.say("DONE", attempt, True, "published")
    world.connection.hear("IDLE")


def test_the_log_names_each_refused_host_once(world):
    attempt = next(world.attempts)
    build(world.connection, attempt, "piwtest-hostile-metadata")
    world.connection.hear("BUILT")
    log = world.connection.log[attempt].decode()
    assert log.count("refused a connection to 169.254.169.254:80: builds reach the index only]") == 1
    assert log.count("refused a connection to metadata.google.internal:80") == 1
    world.connection.say("DONE", attempt, False, "recorded")
    world.connection.hear("IDLE")

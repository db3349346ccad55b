"""A slave that was let in lies in one field of one message, and in all others says what is right. Every field of every message
that a slave says has its lies here: the table is held against schema/messages.def, so that none is forgotten.

Whatever the lie, no file but the right one of the slave's own build is published, the log has one line with the reason, and
another slave, which builds meanwhile, notices nothing. Values of the wrong form are test_hostile.py's, wheels that lie
test_verification.py's.
"""
import re
import time

import pytest

import messages
from harness import VERSION
from protocol import ENVIRONMENT, LIMITS, MACHINE, announced
from wheels import make_wheel

PACKAGE = "piwtest-made"
LARGEST = 2 ** 63 - 1
ESCAPE = "\x1b[2J\x1b]0;evil\x07"
LOG = b"a line\n"
REQUIREMENT = ["setuptools", "66.1.1", bytes(32)]


class Refused:
    """ERROR with these words, which the log has too; nothing is built."""

    def __init__(self, words):
        self.words = words


class Failed:
    """The build is recorded as a failure, with these words."""

    def __init__(self, words):
        self.words = words


class Stopped:
    """The attempt that it speaks of is not its: STOP. Its own build goes well."""


class Believed:
    """It is about the slave alone, and nothing comes of it: the build goes well."""


def of_witness(story):
    return story.witness_attempt


MACHINE_LIES = {name: [(100000000 if name == "load_milli" else 1000000 if name == "temperature_milli" else LARGEST, Believed())]
                for name in ("load_milli", "memory_bytes", "memory_free_bytes", "disk_bytes", "disk_free_bytes",
                             "temperature_milli")}
NOT_ITS = "which another slave builds"

# verb, field or field.part: [(what is said instead, what becomes of it)]
LIES = {
    "HELLO version": [("9.9.9", Refused("the master is piwheels")), ("", Refused("the master is piwheels"))],
    "HELLO label": [("", Refused("the label")), ("../evil", Refused("the label")), (ESCAPE, Refused("the label")),
                    ("a b", Refused("the label")), ("ümlaut", Refused("the label"))],
    "HELLO system": [(ESCAPE, Believed()), ("<script>alert(1)</script>", Believed())],
    "HELLO hardware": [(ESCAPE, Believed()), ("'; DROP TABLE slave; --", Believed())],
    "HELLO clock_ms": [(0, Refused("the clock of slave liar is")), (LARGEST, Refused("the clock of slave liar is"))],
    "HELLO timeout_ms": [(LARGEST, Believed())],
    "HELLO offers": [([], Refused("the slave liar offers no target"))],
    "HELLO offers.abi": [("cp27", Refused("no target is cp27")), ("", Refused("no target is")), (ESCAPE, Refused("no target is"))],
    "HELLO offers.platform": [("linux_pdp11", Refused("no target is")), ("../..", Refused("no target is"))],
    "HELLO offers.python": [("99.99.99", Believed()), (ESCAPE, Believed())],
    "HELLO attempts": [([[7], [7]], Refused("holds an attempt twice"))],
    "HELLO attempts.attempt": [(of_witness, Stopped()), (LARGEST, Stopped()), (0, Refused("one without an id"))],
    "HELLO sandbox": [("titanium", Refused("the sandbox of slave liar is none of")), ("", Refused("the sandbox of slave liar"))],
    "HELLO network": [("everything", Refused("what builds of slave liar reach")), (ESCAPE, Refused("what builds of")),
                      ("all", Refused("or more than the most"))],
    "HELLO network_most": [("", Refused("what builds of slave liar reach")), ("none", Refused("or more than the most"))],
    "HELLO barriers": [([], Believed()), ([["write outside", "stopped"]] * 2, Believed())],
    "HELLO barriers.name": [(ESCAPE, Believed())],
    "HELLO barriers.result": [("perfect", Believed()), (ESCAPE, Believed())],
    "HELLO jobs": [(0, Believed()), (64, Believed())],
    "HELLO memory_bytes": [(0, Believed()), (LARGEST, Believed())],
    "MEANS debian": [("", Believed()), ("libc6", Refused("no sorted list")), ("libc6\nbash\n", Refused("no sorted list")),
                     ("network all\n", Refused("no sorted list")), (ESCAPE, Refused("no sorted list"))],
    "IDLE slots": [(256, Believed())],
    "IDLE shortage": [("the disk is full", Believed()), (ESCAPE, Believed())],
    **{f"IDLE machine.{name}": lies for name, lies in MACHINE_LIES.items()},
    "IDLE machine": [([0] * 6, Believed())],
    "BUSY attempt": [(of_witness, Refused(NOT_ITS)), (LARGEST, Stopped()), (0, Stopped())],
    **{f"BUSY machine.{name}": lies for name, lies in MACHINE_LIES.items()},
    "BUSY machine": [([0] * 6, Believed())],
    "OUTPUT attempt": [(of_witness, Refused(NOT_ITS))],
    "OUTPUT offset": [(1, Refused("leaves a gap")), (LARGEST, Refused("leaves a gap"))],
    "OUTPUT data": [(b"\x00\x1b[2J\xff\xfe", Believed()), (LOG * 2, Refused("BUILT speaks of")), (b"", Refused("BUILT speaks of"))],
    "BUILT attempt": [(of_witness, Refused(NOT_ITS))],
    "BUILT outcome": [("great", Refused("it can be success, failed or farm")), ("", Refused("it can be success, failed or farm")),
                      ("failed", Refused("has the outcome failed and 1 files")),
                      ("farm", Refused("has the outcome farm and 1 files"))],
    "BUILT reason": [("compile", Believed()), (ESCAPE, Believed())],
    "BUILT detail": [("all is lost", Believed()), (ESCAPE * 20, Believed())],
    "BUILT wall_ms": [(LARGEST, Believed()), (0, Believed())],
    "BUILT cpu_ms": [(LARGEST, Believed())],
    "BUILT peak_bytes": [(LARGEST, Believed())],
    "BUILT log_bytes": [(len(LOG) + 1, Refused("BUILT speaks of")), (0, Refused("BUILT speaks of"))],
    "BUILT files": [([], Refused("has the outcome success and 0 files"))],
    "BUILT files.name": [("../evil.whl", Refused("BUILT names a file")), ("/etc/passwd", Refused("BUILT names a file")),
                         (".htaccess", Refused("BUILT names a file")), ("", Refused("BUILT names a file")),
                         (ESCAPE, Refused("BUILT names a file")), ("index.html", Failed("index.html")),
                         ("piwtest_pure-1.0-py3-none-any.whl", Failed("not of piwtest-made")),
                         ("piwtest_made-99.0-py3-none-any.whl", Failed("99.0")),
                         ("piwtest_made-{version}-cp27-cp27m-linux_pdp11.whl", Failed("the tags in its WHEEL differ"))],
    "BUILT files.size_bytes": [(0, Refused("CHUNK leads past the 0 bytes")), (10, Refused("CHUNK leads past the 10 bytes")),
                               (1000000, Failed("arrived damaged")), (LARGEST, Failed("the master takes at most"))],
    "BUILT files.sha256": [(b"", Refused("a SHA-256 of 0 bytes")), (b"x" * 31, Refused("a SHA-256 of 31 bytes")),
                           (bytes(32), Failed("arrived damaged"))],
    "BUILT files.apt": [("libc6\n../../evil", Refused("that are not Debian's")), (ESCAPE, Refused("that are not Debian's"))],
    "BUILT environment": [([""] * 5 + [0, "", "", b""], Believed())],
    **{f"BUILT environment.{name}": [(ESCAPE, Believed()), ("", Believed())]
       for name in ("system", "python", "pip", "compiler", "libc", "sandbox", "network")},
    "BUILT environment.override": [(b"x" * 32, Refused("other settings of its own")), (b"x", Refused("other settings of its own"))],
    "BUILT limits": [([0] * 8, Believed()), ([LARGEST] * 8, Believed())],
    **{f"BUILT limits.{name}": [(LARGEST, Believed())]
       for name in ("memory_bytes", "processes", "open_files", "disk_bytes", "disk_files", "output_bytes", "cpu_ms", "silence_ms")},
    "BUILT environment.timeout_ms": [(LARGEST, Believed())],
    "BUILT required": [([], Believed()), ([REQUIREMENT] * 64, Believed())],
    "BUILT required.name": [("../evil", Refused("a requirement that is no package")), (ESCAPE, Refused("a requirement that")),
                            ("", Refused("a requirement that is no package"))],
    "BUILT required.version": [(ESCAPE, Believed()), ("", Believed())],
    "BUILT required.sha256": [(b"", Believed()), (b"x" * 31, Refused("a SHA-256 of another size"))],
    "CHUNK attempt": [(of_witness, Refused(NOT_ITS)), (LARGEST, Refused("of which nothing was asked for"))],
    "CHUNK file": [(1, Refused("which was not asked for")), (15, Refused("which was not asked for"))],
    "CHUNK offset": [(1, Refused("expected 0")), (LARGEST, Refused("expected 0"))],
    "CHUNK data": [(b"", Refused("CHUNK of 0 bytes")), (b"evil", Failed("arrived damaged")),
                   (b"x" * 100000, Refused("CHUNK leads past"))],
    "SENT attempt": [(of_witness, Refused(NOT_ITS)), (LARGEST, Refused("of which nothing was asked for"))],
    "SENT file": [(1, Refused("which was not asked for")), (15, Refused("which was not asked for"))],
    "BYE reason": [(ESCAPE, Believed()), ("", Believed())],
}


def fields_of_slaves():
    """"VERB field" and "VERB field.part" of all that slaves say."""
    for message in messages.read():
        for field in message.fields if message.sender == "SLAVE" else ():
            yield f"{message.verb} {field.name}"
            for part in field.record or ():
                yield f"{message.verb} {field.name}.{part.name}"


def test_no_field_is_forgotten():
    assert sorted(LIES) == sorted(fields_of_slaves())


class Story:
    """A build from HELLO to BYE, in which one field is not what it should be."""

    def __init__(self, farm, liar, version, witness_attempt, where, lie):
        self.farm = farm
        self.liar = liar
        self.version = version
        self.witness_attempt = witness_attempt
        self.verb, _, self.where = where.partition(" ")
        self.lie = lie
        self.heard = []

    def value(self):
        lie = self.lie(self) if callable(self.lie) else self.lie
        return lie.format(version=self.version) if isinstance(lie, str) else lie

    def bend(self, verb, fields):
        """The fields with the lie in them, if it is this verb's. A part of a list is bent in its only item."""
        if verb != self.verb:
            return fields
        name, _, part = self.where.partition(".")
        declared, = [message for message in messages.read() if message.verb == verb]
        at, = [at for at, field in enumerate(declared.fields) if field.name == name]
        fields = list(fields)
        if not part:
            fields[at] = self.value()
            return fields
        inner, = [at for at, field in enumerate(declared.fields[at].record) if field.name == part]
        record = list(fields[at][0] if declared.fields[at].kind == "LIST" and fields[at] else fields[at]) or [None]
        record[inner] = self.value()
        fields[at] = [record] if declared.fields[at].kind == "LIST" else record
        return fields

    def say(self, verb, *fields):
        self.liar.say(verb, *self.bend(verb, fields))

    def hear(self, *verbs):
        """The next message, which is one of these; STOP of what is not its, and SLEEP for slots without a build, are passed over."""
        while True:
            message = self.liar.hear()
            self.heard.append(message)
            if message[0] in verbs:
                return message
            assert message[0] in ("STOP", "SLEEP"), f"{message} where {verbs} was expected"

    def introduce(self):
        self.say("HELLO", VERSION, "liar", "Debian GNU/Linux 12 (bookworm)", "a test", int(time.time() * 1000), 10800000,
                 self.liar.offers[:1], [], "strict", "index", [["write outside", "stopped"]], 1, 4 << 30, "index")
        if self.hear("ACK", "ERROR")[0] == "ERROR":
            return None
        self.say("MEANS", "bash\nlibc6\n")
        self.say("IDLE", 1, MACHINE, "")
        verb, told, *_ = self.hear("BUILD", "SLEEP", "ERROR")
        return told if verb != "ERROR" else None

    def build(self, attempt):
        """Until the answer to BUILT."""
        wheel = make_wheel(PACKAGE, self.version)
        self.say("BUSY", attempt, MACHINE)
        self.say("OUTPUT", attempt, 0, LOG)
        self.say("BUILT", attempt, "success", "", "", 1234, 900, 50 << 20, len(LOG), [[*announced(*wheel), ""]],
                 ENVIRONMENT, [REQUIREMENT], LIMITS)
        return wheel

    def hand_over(self, attempt, wheel):
        while self.hear("SEND", "CONT", "DONE", "ERROR")[0] in ("SEND", "CONT"):
            if self.heard[-1][0] == "SEND":
                self.say("CHUNK", attempt, 0, 0, wheel[1])
                self.say("SENT", attempt, 0)

    def play(self):
        """All of it, or until it ends; the last message."""
        attempt = self.introduce()
        if attempt is not None:
            self.hand_over(attempt, self.build(attempt))
        if self.heard[-1][0] == "DONE":
            self.say("BYE", "enough")
        self.liar.expect_closed()
        return self.heard[-1]


@pytest.fixture(scope="module")
def witness(module_farm):
    """Another slave that builds; its attempt is what is lied about."""
    module_farm.order(package="piwtest-witness")
    with module_farm.scripted_slave("witness") as slave:
        slave.greet()
        slave.attempt = slave.ask().attempt
        yield slave


@pytest.fixture
def version():
    version.number += 1
    return f"1.{version.number}"


version.number = 0

EACH = [pytest.param(where, lie, end, id=f"{where}: {getattr(lie, '__name__', None) or repr(lie)[:30]}")
        for where, lies in LIES.items() for lie, end in lies]


def published(farm):
    return farm.sql("SELECT path FROM file ORDER BY path")


@pytest.mark.parametrize("where, lie, end", EACH)
def test_a_lie_does_no_harm(module_farm, witness, version, where, lie, end):
    farm = module_farm
    farm.sql("DELETE FROM job WHERE attempt IS DISTINCT FROM " + str(witness.attempt))
    farm.order(PACKAGE, version)
    before = published(farm)
    begun = farm.master.mark()
    with farm.scripted_slave("liar") as liar:
        story = Story(farm, liar, version, witness.attempt, where, lie)
        verb, *told = story.play()
        if isinstance(end, Refused):
            assert verb == "ERROR" and end.words in told[0], (verb, told)
            farm.master.wait_line(f"slave .*: connection closed: .*{re.escape(end.words)}", begun)
        elif isinstance(end, Failed):
            assert verb == "DONE" and not told[1] and end.words in told[2], (verb, told)
        else:
            assert verb == "DONE" and told[1], (verb, told)
        if isinstance(end, Stopped):
            assert [message[1] for message in story.heard if message[0] == "STOP"] == [story.value()]
    good = [f"simple/{PACKAGE}/{make_wheel(PACKAGE, version)[0]}"] if isinstance(end, (Stopped, Believed)) else []
    assert published(farm).split() == sorted(before.split() + good)
    witness.busy(witness.attempt)
    assert witness.expect("CONT") == [witness.attempt]
    lines = farm.master.said(begun)
    assert not any("\x1b" in line for line in lines)
    if isinstance(end, Refused):
        assert len([line for line in lines if "connection closed: " in line and end.words in line]) == 1
    elif isinstance(end, Failed):
        assert len([line for line in lines if "failed to build" in line and end.words in line]) == 1

"""What the master refuses on the wire: every row of the state tables of connections, of attempts and of the control socket,
and every lie that can be told within the rules. A refusal is an ERROR with its reason, the end, and a line of the log.
"""
import hashlib
import re
import struct
import time

import pytest

from harness import VERSION
from protocol import ENVIRONMENT, LIMITS, MACHINE, PIECE_BYTES, frame
from wheels import make_wheel

PACKAGE = "piwtest-made"
DAY_MS = 24 * 3600 * 1000
LOG_MAX_BYTES = 16777216

# A well-formed message of every verb, for attempt {0}.
OF_SLAVES = {
    "HELLO": [VERSION, "label", "", "", int(time.time() * 1000), 0, [["cp311", "linux_x86_64", "3.11.2"]], [], "strict", "index", [],
              1, 0, "index"],
    "MEANS": ["bash\nlibc6\n"],
    "IDLE": [1, MACHINE, ""],
    "BUSY": [0, MACHINE],
    "OUTPUT": [0, 0, b"text"],
    "BUILT": [0, "failed", "compile", "error", 1, 1, 1, 0, [], ENVIRONMENT, [], LIMITS],
    "CHUNK": [0, 0, 0, b"bytes"],
    "SENT": [0, 0],
    "BYE": ["a test"],
}
OF_ATTEMPTS = ("BUSY", "OUTPUT", "BUILT", "CHUNK", "SENT")
OF_MASTERS = {
    "ACK": [1, "http://127.0.0.1/simple", 300000],
    "BUILD": [1, PACKAGE, "1.0", "cp311", "linux_x86_64", "sdist", b"", 0, 0, [0] * 8, "", [], [], b""],
    "SLEEP": [""],
    "WAKE": [],
    "CONT": [1],
    "SEND": [1, 0],
    "DONE": [1, True, ""],
    "STOP": [1, "no"],
    "DIE": ["no"],
    "ERROR": ["no"],
    "DATA": ["{}"],
}
OF_TOOLS = {"ADD": [VERSION, []], "STATUS": [VERSION]}


def say(connection, verb, attempt=1):
    """A well-formed message, about this attempt if it is about one."""
    fields = {**OF_SLAVES, **OF_MASTERS, **OF_TOOLS}[verb]
    connection.say(verb, *([attempt, *fields[1:]] if verb in OF_ATTEMPTS else fields))


@pytest.fixture
def farm(standing_farm):
    return standing_farm


@pytest.fixture
def refused(farm):
    """Hears the refusal and finds it in the log; the reason. (Another's connection of the test before may end meanwhile.)"""
    begun = farm.master.mark()

    def refused(connection):
        at = connection.socket.getsockname()
        who = rf"{connection.number} \({connection.label}\)" if connection.number else f"at {at[0]}:{at[1]}"
        reason = connection.expect_refusal()
        farm.master.wait_line(f"slave {who}: connection closed: {re.escape(reason)}$", begun)
        return reason

    return refused


@pytest.fixture
def stranger(farm):
    """Connected, nothing said."""
    with farm.scripted_slave() as slave:
        yield slave


@pytest.fixture
def slave(farm):
    """Introduced."""
    with farm.scripted_slave() as slave:
        slave.greet()
        yield slave


@pytest.fixture
def version():
    version.number += 1
    return f"1.{version.number}"


version.number = 0


@pytest.fixture
def building(farm, slave, version):
    """(slave, attempt) in the attempt's first state."""
    farm.order(version=version)
    return slave, slave.ask().attempt


@pytest.fixture
def receiving(building, version):
    """(slave, attempt, wheel), asked for the first file."""
    slave, attempt = building
    wheel = make_wheel(version=version)
    slave.report(attempt, [wheel])
    assert slave.expect("SEND") == [attempt, 0]
    return slave, attempt, wheel


# ---- the connection's states -------------------------------------------------------------------------

@pytest.mark.parametrize("verb", [verb for verb in OF_SLAVES if verb not in ("HELLO", "BYE")])
def test_before_hello_nothing_else_is_heard(stranger, refused, verb):
    say(stranger, verb)
    assert refused(stranger) == f"{verb} is not expected before HELLO"


@pytest.mark.parametrize("verb", [verb for verb in OF_SLAVES if verb != "BYE"])
def test_before_ack_nothing_else_is_heard(farm, stranger, refused, verb):
    with farm.locked("slave"):
        stranger.hello()
        say(stranger, verb)
        assert refused(stranger) == f"{verb} is not expected before ACK"


@pytest.mark.parametrize("state", ["new", "greeting", "ready"])
def test_bye_is_heard_in_every_state(farm, stranger, state):
    begun = farm.master.mark()
    with farm.locked("slave" if state == "greeting" else "dependency"):
        if state != "new":
            stranger.hello()
        if state == "ready":
            stranger.expect("ACK")
        stranger.bye("a test")
        stranger.expect_closed()
    farm.master.wait_line("connection closed: left: a test", begun)


def test_hello_is_said_once(slave, refused):
    say(slave, "HELLO")
    assert refused(slave) == "HELLO is not expected now"


def test_idle_waits_for_its_answer(farm, slave, refused):
    with farm.locked("job"):
        slave.idle()
        slave.idle()
        assert refused(slave) == "IDLE was said again before the first was answered"


@pytest.mark.parametrize("verb", OF_SLAVES)
def test_what_comes_behind_a_refusal_is_ignored(stranger, refused, verb):
    stranger.idle()
    say(stranger, verb)
    assert refused(stranger) == "IDLE is not expected before HELLO"


@pytest.mark.parametrize("verb", [*OF_MASTERS, *OF_TOOLS])
@pytest.mark.parametrize("greeted", [False, True], ids=["before HELLO", "after ACK"])
def test_what_slaves_do_not_say_is_refused(stranger, refused, verb, greeted):
    if greeted:
        stranger.greet()
    say(stranger, verb)
    assert refused(stranger) == f"{verb} is nothing that a slave says"


@pytest.mark.parametrize("verb", [*OF_MASTERS, *OF_TOOLS])
def test_even_that_is_ignored_behind_a_refusal(stranger, refused, verb):
    stranger.idle()
    say(stranger, verb)
    assert refused(stranger) == "IDLE is not expected before HELLO"


def test_a_claim_of_a_slave_that_left_meanwhile_goes_to_another(farm, slave, version):
    farm.order(version=version)
    with farm.locked("job"):
        slave.idle()
        slave.bye()
        slave.expect_closed()
    with farm.scripted_slave("other") as other:
        other.greet()
        assert other.ask().version == version
    assert farm.sql("SELECT max(tries) FROM job") == "0"


# ---- HELLO -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("change, said", [
    ({"version": "0.0.9"}, f"the master is piwheels {VERSION}, the slave scripted is 0.0.9; install the same version on both"),
    ({"label": "my slave"}, 'the label "my slave" has characters other than letters, digits, \'.\', \'_\' and \'-\'; '
                            "choose another with --label"),
    ({"label": ""}, 'the label "" has characters other than letters, digits, \'.\', \'_\' and \'-\'; '
                    "choose another with --label"),
    ({"label": "schn\N{LATIN SMALL LETTER O WITH DIAERESIS}"}, "choose another with --label"),
    ({"offers": []}, "the slave scripted offers no target"),
    ({"sandbox": "leaky"}, "the sandbox of slave scripted is none of strict, basic and none"),
    ({"clock_ms": 1000}, "set it (timedatectl set-ntp true)"),
    ({"clock_ms": int(time.time() * 1000) - 2 * DAY_MS}, " late; set it (timedatectl set-ntp true)"),
    ({"clock_ms": int(time.time() * 1000) + 2 * DAY_MS}, " early; set it (timedatectl set-ntp true)"),
    ({"clock_ms": (1 << 63) - 1}, " early; set it (timedatectl set-ntp true)"),
    ({"offers": [["cp27", "linux_pdp11", "2.7"]]},
     "no target is cp27 on linux_pdp11, which slave scripted builds for; to make one: piwheels target add NAME "
     "--abi cp27 --platform linux_pdp11"),
], ids=["version", "blank in label", "no label", "umlaut in label", "no offer", "no sandbox", "clock of 1970", "late clock", "early clock",
        "absurd clock", "unknown target"])
def test_a_slave_that_cannot_be_taken_is_told_why(stranger, refused, change, said):
    stranger.hello(**change)
    assert said in refused(stranger)


def test_a_clock_that_is_hours_wrong_is_good_enough(stranger):
    stranger.hello(clock_ms=int(time.time() * 1000) - DAY_MS + 60000)
    stranger.expect("ACK")


def test_a_slave_of_a_skipped_target_is_told_the_reason(farm, stranger, refused):
    farm.sql("INSERT INTO target (id, name, abi, platform, position, skip) "
             "VALUES (40, 'old', 'cp37', 'linux_x86_64', 40, 'nobody uses it') ON CONFLICT DO NOTHING")
    stranger.hello(offers=[["cp37", "linux_x86_64", "3.7.0"]])
    assert refused(stranger) == "the target of slave scripted is skipped: nobody uses it"


def test_one_known_target_among_the_offers_is_enough(stranger):
    stranger.offers.append(["cp27", "linux_pdp11", "2.7"])
    stranger.greet()


def test_a_label_that_is_in_use_elsewhere_is_refused(farm, slave, refused):
    with farm.scripted_slave(source="127.0.0.2") as other:
        other.hello()
        reason = refused(other)
    assert reason.startswith("a slave named scripted is connected from 127.0.0.1:")
    assert reason.endswith("; choose another name with --label")
    slave.idle()
    slave.expect("SLEEP")


def test_a_second_connection_from_the_same_host_replaces_the_first(farm, slave):
    begun = farm.master.mark()
    with farm.scripted_slave() as other:
        other.greet()
        assert other.number == slave.number
        slave.expect_closed()
        farm.master.wait_line("connection closed: replaced by a new connection of the same slave", begun)
        other.idle()
        other.expect("SLEEP")


# ---- the attempt's states ----------------------------------------------------------------------------

@pytest.mark.parametrize("verb", ["CHUNK", "SENT"])
def test_no_file_is_taken_while_it_builds(building, refused, verb):
    slave, attempt = building
    say(slave, verb, attempt)
    assert refused(slave) == f"{verb} is not expected for attempt {attempt}, which is building"


@pytest.mark.parametrize("verb", ["BUSY", "OUTPUT", "BUILT"])
def test_only_the_file_is_heard_while_it_is_sent(receiving, refused, verb):
    slave, attempt, _ = receiving
    say(slave, verb, attempt)
    assert refused(slave) == f"{verb} is not expected for attempt {attempt}, which is receiving"


@pytest.mark.parametrize("verb", OF_ATTEMPTS)
def test_nothing_is_heard_while_a_success_is_recorded(farm, receiving, refused, verb):
    slave, attempt, (_, data) = receiving
    with farm.locked("file", "EXCLUSIVE"):
        slave.send_file(attempt, 0, data)
        farm.wait_blocked("files_begin")
        say(slave, verb, attempt)
        assert refused(slave) == f"{verb} is not expected for attempt {attempt}, which is recording"
    farm.wait_sql(f"SELECT outcome FROM build WHERE id = {attempt}", "success")


@pytest.mark.parametrize("verb", OF_ATTEMPTS)
def test_nothing_is_heard_while_a_failure_is_recorded(farm, building, refused, verb):
    slave, attempt = building
    with farm.locked("build"):
        slave.built(attempt, "failed", reason="compile")
        say(slave, verb, attempt)
        assert refused(slave) == f"{verb} is not expected for attempt {attempt}, which is recording"
    farm.wait_sql(f"SELECT outcome FROM build WHERE id = {attempt}", "failed")


@pytest.mark.parametrize("verb", OF_ATTEMPTS)
def test_what_crosses_with_stop_is_ignored(slave, verb):
    slave.busy(4711)
    slave.expect("STOP")
    say(slave, verb, 4711)
    slave.idle()
    slave.expect("SLEEP")


@pytest.mark.parametrize("verb", ["BUSY", "OUTPUT", "BUILT"])
def test_an_attempt_that_the_master_does_not_know_is_stopped(slave, verb):
    say(slave, verb, 4711)
    assert slave.expect("STOP") == [4711, "the master does not know this attempt (any more)"]
    slave.idle()
    slave.expect("SLEEP")


@pytest.mark.parametrize("verb", ["CHUNK", "SENT"])
def test_a_file_of_an_attempt_that_the_master_does_not_know_is_refused(slave, refused, verb):
    say(slave, verb, 4711)
    assert refused(slave) == f"{verb} is about attempt 4711, of which nothing was asked for"


@pytest.mark.parametrize("verb", OF_ATTEMPTS)
def test_an_attempt_of_another_slave_is_refused(farm, building, refused, verb):
    owner, attempt = building
    with farm.scripted_slave("thief") as thief:
        thief.greet()
        say(thief, verb, attempt)
        assert refused(thief) == f"{verb} is about attempt {attempt}, which another slave builds"
    owner.busy(attempt)
    owner.expect("CONT")


# ---- lies within the rules ---------------------------------------------------------------------------

DIGEST = hashlib.sha256(b"").digest()


@pytest.mark.parametrize("outcome, files, more, said", [
    ("success", [], {}, "BUILT has the outcome success and 0 files"),
    ("failed", [("a.whl", 1, DIGEST)], {}, "BUILT has the outcome failed and 1 files"),
    ("farm", [("a.whl", 1, DIGEST)], {}, "BUILT has the outcome farm and 1 files"),
    ("perhaps", [], {}, 'BUILT has the outcome "perhaps"; it can be success, failed or farm'),
    ("success", [("../a.whl", 1, DIGEST)], {}, 'BUILT names a file "../a.whl"'),
    ("success", [("/etc/passwd", 1, DIGEST)], {}, 'BUILT names a file "/etc/passwd"'),
    ("success", [("..", 1, DIGEST)], {}, 'BUILT names a file ".."'),
    ("success", [(".a.whl", 1, DIGEST)], {}, 'BUILT names a file ".a.whl"'),
    ("success", [("", 1, DIGEST)], {}, 'BUILT names a file ""'),
    ("success", [("a\\b.whl", 1, DIGEST)], {}, 'BUILT names a file "a\\b.whl"'),
    ("success", [("a\n.whl", 1, DIGEST)], {}, 'BUILT names a file "a\n.whl"'),
    ("success", [("a.whl", 1, DIGEST[:20])], {}, "BUILT gives a.whl a SHA-256 of 20 bytes"),
    ("success", [("a.whl", 1, DIGEST)] * 2, {}, "BUILT names a.whl twice"),
    ("success", [("a.whl", 1, DIGEST, "zlib1g; rm -rf /\n")], {},
     "BUILT has names for what a.whl needs that are not Debian's, or in disorder"),
    ("success", [("a.whl", 1, DIGEST, "zlib1g\nlibc6\n")], {},
     "BUILT has names for what a.whl needs that are not Debian's, or in disorder"),
    ("success", [("a.whl", 1, DIGEST, "libc6")], {},
     "BUILT has names for what a.whl needs that are not Debian's, or in disorder"),
    ("failed", [], {"log_bytes": 5}, "BUILT speaks of 5 bytes of log, OUTPUT brought 0"),
], ids=["success without files", "failure with files", "farm's failure with files", "unknown outcome", "parent", "absolute",
        "two dots", "hidden", "no name", "backslash", "newline", "short hash", "twice", "no package", "disorder", "no newline",
        "log that did not come"])
def test_a_lie_in_built_is_refused(farm, building, outcome, files, more, said):
    slave, attempt = building
    slave.built(attempt, outcome, files, **more)
    assert slave.expect_refusal() == said
    farm.wait_staging_empty()


@pytest.mark.parametrize("requirement", [("-r x", "1", b""), ("a", "1", DIGEST[:31]), ("", "1", DIGEST)])
def test_a_requirement_that_is_none_is_refused(building, refused, requirement):
    slave, attempt = building
    slave.built(attempt, "failed", reason="compile", detail="error", required=[requirement])
    assert refused(slave) == "BUILT names a requirement that is no package, or has a SHA-256 of another size"


def test_output_that_leaves_a_gap_is_refused(building, refused):
    slave, attempt = building
    slave.output(attempt, 0, b"begun")
    slave.output(attempt, 6, b"gone on")
    assert refused(slave) == f"OUTPUT of attempt {attempt} leaves a gap before byte 6"


def test_a_log_beyond_all_measure_is_refused(building, refused):
    slave, attempt = building
    slave.tell_log(attempt, bytes(LOG_MAX_BYTES))
    slave.output(attempt, LOG_MAX_BYTES, b"!")
    assert refused(slave) == f"OUTPUT of attempt {attempt} is longer than a log may be"


@pytest.mark.parametrize("file, offset, data, said", [
    (1, 0, b"x", "CHUNK of file 1, which was not asked for"),
    (15, 0, b"x", "CHUNK of file 15, which was not asked for"),
    (0, 1, b"x", "CHUNK of 1 bytes at 1 of "),
    (0, 0, b"", "CHUNK of 0 bytes at 0 of "),
    (0, 0, bytes(PIECE_BYTES), "CHUNK leads past the "),
], ids=["another file", "no file at all", "gap", "nothing", "too much"])
def test_a_chunk_that_does_not_fit_is_refused(farm, receiving, refused, file, offset, data, said):
    slave, attempt, _ = receiving
    slave.chunk(attempt, file, offset, data)
    assert refused(slave).startswith(said)
    farm.wait_staging_empty()


def test_a_chunk_told_twice_is_refused(receiving, refused):
    slave, attempt, (name, data) = receiving
    slave.chunk(attempt, 0, 0, data[:10])
    slave.chunk(attempt, 0, 0, data[:10])
    assert refused(slave) == f"CHUNK of 10 bytes at 0 of {name}; expected 10"


def test_sent_of_another_file_is_refused(receiving, refused):
    slave, attempt, _ = receiving
    slave.sent(attempt, 1)
    assert refused(slave) == "SENT for file 1, which was not asked for"


# ---- frames that are none ----------------------------------------------------------------------------

@pytest.mark.parametrize("data, said", [
    (struct.pack(">I", 1048577), "frame of 1048577 bytes, more than 16384"),
    (struct.pack(">I", 0xffffffff), "frame of 4294967295 bytes, more than 16384"),
    (frame(b""), ""),
    (frame(b"\xc0"), ""),
    (frame(b"\x91\xa4IDLE"), ""),
    (frame(b"\x91\xa5NEVER"), "verb"),
    (frame(b"\x92\xa3BYE\xa1x\x00"), ""),
    (frame(b"\x92\xa3BYE\xa9x"), ""),
    (frame(b"\x92\xa3BYE\xc4\x01x"), "reason"),
    (frame(b"\x92\xa3BYE\xa1\xff"), "reason"),
    (frame(b"\x92\xa3BYE\xa1\x00"), "reason"),
    (frame(b"\x94\xa4IDLE\xff\x96\x00\x00\x00\x00\x00\x00"), "slots"),
    (frame(b"\x94\xa4IDLE\x01\xdd\xff\xff\xff\xff"), "machine"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "frame of 1195725856 bytes"),
], ids=["too long", "absurdly long", "empty", "nil", "fields missing", "unknown verb", "bytes behind", "cut short",
        "bin for str", "no UTF-8", "NUL", "negative", "array of 4294967295", "HTTP"])
def test_a_frame_that_is_none_is_refused(stranger, refused, data, said):
    stranger.send_bytes(data)
    assert said in refused(stranger)


def test_a_frame_may_come_byte_by_byte(stranger):
    sent = frame(b"\x92\xa3BYE\xa1x")
    for at in range(len(sent)):
        stranger.send_bytes(sent[at:at + 1])
    stranger.expect_closed()


def test_messages_may_come_in_one_go(stranger, farm):
    stranger.hello()
    stranger.expect("ACK")
    stranger.send_bytes(b"".join(frame(b"\x93\xa4BUSY" + attempt + b"\x96" + bytes(6)) for attempt in (b"\x05", b"\x06")))
    assert [stranger.expect("STOP")[0], stranger.expect("STOP")[0]] == [5, 6]


# ---- the control socket ------------------------------------------------------------------------------

@pytest.fixture
def tool(farm):
    with farm.scripted_tool() as tool:
        yield tool


@pytest.mark.parametrize("verb", OF_TOOLS)
def test_a_tool_of_another_version_is_refused(tool, verb):
    tool.say(verb, *["0.0.9", *OF_TOOLS[verb][1:]])
    assert tool.expect_refusal() == f"the master is piwheels {VERSION}, the tool is 0.0.9; use the same version"


@pytest.mark.parametrize("verb", [*OF_SLAVES, *OF_MASTERS])
def test_what_tools_do_not_say_is_refused(tool, verb):
    say(tool, verb)
    assert tool.expect_refusal() == f"{verb} is nothing that a tool says"


@pytest.mark.parametrize("verb", OF_TOOLS)
def test_a_tool_asks_one_question(farm, tool, verb):
    with farm.locked("job"):
        tool.say("STATUS", VERSION)
        say(tool, verb)
        assert tool.expect_refusal() == f"{verb} was said before the first question was answered"


@pytest.mark.parametrize("verb", [*OF_SLAVES, *OF_MASTERS, *OF_TOOLS])
def test_a_tool_that_was_refused_is_not_heard_any_more(tool, verb):
    say(tool, "WAKE")
    say(tool, verb)
    assert tool.expect_refusal() == "WAKE is nothing that a tool says"


@pytest.mark.parametrize("name", ["", "no name", "../x", "-", "\N{LATIN SMALL LETTER O WITH DIAERESIS}" * 127])
def test_what_is_no_name_cannot_be_added(tool, name):
    tool.say("ADD", VERSION, [[name, "", False]])
    assert tool.expect_refusal() == f'"{name}" is no package\'s name'


def test_the_whole_history_of_one_version_cannot_be_asked_for(tool):
    tool.say("ADD", VERSION, [["piwtest-pure", "0.1", True]])
    assert tool.expect_refusal() == "piwtest-pure: either one version or the whole history can be added"


def test_a_tool_that_hangs_up_disturbs_nobody(farm, tool):
    begun = farm.master.mark()
    with farm.locked("job"):
        tool.say("STATUS", VERSION)
        tool.close()
        farm.master.wait_line("control client: connection closed: closed by peer", begun)
    assert farm.status()["version"] == VERSION


def test_a_frame_that_is_none_is_refused_on_the_control_socket_too(tool):
    tool.send_bytes(frame(b"\x91\xa5NEVER"))
    assert "verb" in tool.expect_refusal()

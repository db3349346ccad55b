"""Who is let in: a slave waits until a person has accepted its key, a key is for ever, and what is revoked is cut off."""
import contextlib
import json
import re
import socket
import stat
import struct

import pytest

import messages
from harness import IDENTITY, PIWHEELS, clean_environment, piwheels, run
from identity import Identity
from protocol import Connection, announced, frame
from wheels import make_wheel

PRINT = r"(SHA256:[A-Za-z0-9+/]{43})"
STATE = ".local/state/piwheels"
STRANGERS_LINES = 20000  # that the log has of them, and then one a second
IDLE, = [message for message in messages.read() if message.verb == "IDLE"]


@pytest.fixture(scope="module")
def other():
    return Identity()


def slaves(farm, *words, status=0):
    done = farm.tool("slaves", *words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def listed(farm, label):
    known = json.loads(slaves(farm, "list", "--json"))
    found, = [slave for slave in known["slaves"] if slave["label"] == label]
    return found


# ---- the way of a new slave --------------------------------------------------------------------------

def test_a_new_slave_builds_as_soon_as_a_person_has_accepted_it(farm):
    master = farm.start_master("--debug", "all")
    farm.add("piwtest-pure")
    slave = farm.start_slave("--debug", "all", accepted=False, label="pi4-a")
    its_key = slave.wait_line(rf"slave: its key is {PRINT} \(made now: ").group(1)
    masters_key = slave.wait_line(rf"met the master at \S+ for the first time: from now on its key must be {PRINT}").group(1)
    assert master.wait_line(rf"master: its key is {PRINT} \(made now: ").group(1) == masters_key
    command = r"piwheels slaves accept pi4-a"
    assert slave.wait_line(rf"waits to be accepted; on the master type: {command} \(this slave's key is {PRINT}\)").group(1) == its_key
    assert master.wait_line(rf"slave \d+ \(pi4-a\): waits to be accepted; if its key is {PRINT}, type: {command}").group(1) == its_key

    shown, = farm.status()["slaves"]
    assert (shown["state"], shown["fingerprint"], shown["targets"]) == ("waiting", its_key, ["native"])
    told = slaves(farm, "list")
    assert masters_key in told and re.search(rf"pi4-a +waiting +native +{re.escape(its_key)}", told) and "1 waits" in told
    assert farm.sql("SELECT attempt IS NULL FROM job") == "t"

    told = slaves(farm, "accept", "pi4-a")
    assert told == f"slave pi4-a (key {its_key}) is accepted for native\n"
    slave.wait_line("builds piwtest-pure|attempt 1|building")
    assert "built piwtest-pure" in farm.wait_built("piwtest-pure")
    assert listed(farm, "pi4-a")["trust"] == "accepted"
    for name in ("master.key", "slave.key"):
        path = farm.directory / STATE / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        secret = path.read_text(encoding="ascii").split("\n")[1]
        assert len(secret) == 64 and secret not in master.output() + slave.output()


def test_a_slave_that_was_accepted_is_so_after_a_restart_of_either(farm):
    farm.start_master()
    slave = farm.start_slave(accepted=False, label="pi4-a")
    slave.wait_line("waits to be accepted")
    slaves(farm, "accept", "pi4-a")
    slave.wait_line("may build now")
    slave.stop()
    farm.master.stop()
    farm.slaves.clear()
    farm.start_master()
    slave = farm.start_slave(accepted=False, label="pi4-a")
    slave.wait_line("connected to")
    farm.add("piwtest-pure")
    assert "built piwtest-pure" in farm.wait_built("piwtest-pure")
    assert "for the first time" not in slave.output() and "waits to be accepted" not in slave.output()


def test_a_master_with_another_key_is_refused_until_a_person_has_looked(farm):
    farm.start_master()
    slave = farm.start_slave(label="pi4-a")
    old = slave.wait_line(rf"from now on its key must be {PRINT}").group(1)
    slave.wait_line("connected to")
    farm.master.stop()
    (farm.directory / STATE / "master.key").unlink()
    begun = slave.mark()
    new = farm.start_master().wait_line(rf"master: its key is {PRINT}").group(1)
    assert new != old
    known = farm.directory / STATE / "known_masters"
    told = slave.wait_line(rf"the master at {farm.address} shows the key {re.escape(new)}, but had {re.escape(old)} before", begun)
    assert f"remove line 1 of {known}" in told.string
    slave.wait_line("the master's key is not the one that is known", begun)
    assert {shown["state"] for shown in farm.status()["slaves"]} <= {"connecting", "leaving"}  # it tries again and again
    known.write_text("# looked at by a person\n", encoding="utf-8")
    slave.wait_line(rf"from now on its key must be {re.escape(new)}", begun)
    slave.wait_line("connected to", begun)
    assert known.read_text(encoding="utf-8") == f"# looked at by a person\n{farm.address} {new}\n"


# ---- names and keys ----------------------------------------------------------------------------------

def test_a_known_name_with_another_key_is_refused(standing_farm, other):
    with standing_farm.scripted_slave("pi4-a") as slave:
        slave.greet()
        with standing_farm.scripted_slave("pi4-a", identity=other, accepted=False) as liar:
            liar.hello()
            reason = liar.expect_refusal()
        assert f"known by another key than the {other.fingerprint} that this one shows" in reason
        assert "piwheels slaves revoke pi4-a" in reason
        slave.idle()
        slave.expect("SLEEP")
    assert listed(standing_farm, "pi4-a")["fingerprint"] == IDENTITY.fingerprint


def test_whoever_waits_under_a_name_keeps_it_from_others(standing_farm, other):
    with standing_farm.scripted_slave("early", accepted=False) as early:
        early.greet()
    with standing_farm.scripted_slave("early", identity=other, accepted=False) as late:
        late.hello()
        assert "known by another key" in late.expect_refusal()


def test_a_slave_under_a_new_key_waits_once_the_old_one_is_revoked(standing_farm, other):
    standing_farm.accept("renewed")
    slaves(standing_farm, "revoke", "renewed")
    with standing_farm.scripted_slave("renewed", identity=other, accepted=False) as slave:
        slave.greet()
        slave.idle()
        assert "waits to be accepted" in slave.expect("SLEEP")[0]
    assert (listed(standing_farm, "renewed")["trust"], listed(standing_farm, "renewed")["fingerprint"]) == (
        "waiting", other.fingerprint)
    with standing_farm.scripted_slave("renewed") as old:
        old.hello()
        assert "known by another key" in old.expect_refusal()


def test_a_slave_of_the_time_before_keys_waits_with_the_first_that_it_shows(standing_farm):
    standing_farm.sql("INSERT INTO slave (label, accepted) VALUES ('ancient', now())")
    assert "has not shown a key yet" in slaves(standing_farm, "accept", "ancient", status=1)
    with standing_farm.scripted_slave("ancient", accepted=False) as slave:
        slave.greet()
        slave.idle()
        assert "waits to be accepted" in slave.expect("SLEEP")[0]
        slaves(standing_farm, "accept", "ancient")
        slave.expect("WAKE")


# ---- waiting -----------------------------------------------------------------------------------------

@pytest.fixture
def waiting(standing_farm):
    """One that waits, under a name of its own."""
    waiting.number += 1
    with standing_farm.scripted_slave(f"waiting-{waiting.number}", accepted=False) as slave:
        slave.greet()
        yield slave


waiting.number = 0


def test_one_that_waits_is_told_what_to_type_and_woken_when_it_is_done(standing_farm, waiting):
    standing_farm.order(version="2.1")
    waiting.idle(3)
    assert waiting.expect("SLEEP") == [
        f"slave {waiting.label} waits to be accepted; on the master type: piwheels slaves accept {waiting.label}"]
    waiting.idle()
    assert "waits" in waiting.expect("SLEEP")[0]
    slaves(standing_farm, "accept", waiting.label)
    waiting.expect("WAKE")
    waiting.idle()
    attempt = waiting.expect("BUILD")[0]
    assert waiting.fail(attempt)


def test_one_that_waits_cannot_go_on_with_a_build(standing_farm, other):
    standing_farm.order(version="2.2")
    with standing_farm.scripted_slave("builder") as builder:
        builder.greet()
        attempt = builder.ask().attempt
        with standing_farm.scripted_slave("thief", identity=other, accepted=False) as thief:
            thief.hello([attempt])
            thief.expect("ACK")
            assert thief.expect("STOP")[0] == attempt
            thief.built(attempt, files=[announced(*make_wheel(version="2.2"))])
        builder.busy(attempt)
        builder.expect("CONT")
        builder.fail(attempt)


@pytest.mark.parametrize("verb", ["CHUNK", "SENT"])
def test_one_that_waits_may_not_send_files(standing_farm, waiting, verb):
    waiting.say(verb, 77, 0, *([0, b"x"] if verb == "CHUNK" else []))
    assert f"{verb} is about attempt 77, of which nothing was asked for" == waiting.expect_refusal()


@pytest.mark.parametrize("verb", ["BUSY", "OUTPUT", "BUILT"])
def test_one_that_waits_has_no_builds_to_speak_of(standing_farm, waiting, verb):
    {"BUSY": lambda: waiting.busy(78), "OUTPUT": lambda: waiting.output(78, 0, b"x"), "BUILT": lambda: waiting.built(78, "farm")}[verb]()
    assert waiting.expect("STOP")[0] == 78


def test_one_that_waits_introduces_itself_once(standing_farm, waiting):
    waiting.hello()
    assert waiting.expect_refusal() == "HELLO is not expected now"


def test_one_that_waits_may_leave(standing_farm, waiting):
    waiting.bye("tired")
    waiting.expect_closed()


def test_one_that_waits_says_no_more_at_once_than_it_has_to_say(standing_farm, waiting):
    waiting.means(*(f"lib{number:097}" for number in range(2500)))  # nearly the longest MEANS
    waiting.idle()
    assert "waits to be accepted" in waiting.expect("SLEEP")[0]
    waiting.send_bytes(struct.pack(">I", 260 * 1024 + 1))
    assert waiting.expect_refusal() == f"frame of {260 * 1024 + 1} bytes, more than {260 * 1024}"


def test_for_one_that_waits_and_does_not_read_little_is_kept(standing_farm, waiting):
    begun = standing_farm.master.mark()
    idle = frame(messages.pack("IDLE", [b"\x00", messages.plain(IDLE.fields[1]), b"\xa0"]))
    with contextlib.suppress(OSError):
        while True:
            waiting.send_bytes(idle * 1000)
    standing_farm.master.wait_line(rf"slave {waiting.number} \(.*\): connection closed: left more than 64 KiB unread", begun)


@pytest.mark.parametrize("action", ["pause", "resume", "skip", "stop", "kill"])
def test_what_a_person_does_to_one_that_waits_finds_it(standing_farm, waiting, action):
    with standing_farm.scripted_tool() as tool:
        _, good, told = tool.ask("ACT", waiting.version, action, waiting.number)
    assert good and f"({waiting.label})" in told
    if action in ("stop", "kill"):
        waiting.expect("DIE")


def test_a_flood_of_names_fills_nothing(standing_farm, other):
    standing_farm.sql("DELETE FROM slave WHERE trust = 'waiting'")
    standing_farm.sql(f"""INSERT INTO slave (label, fingerprint) SELECT 'flood-' || n, '{other.fingerprint}'
        FROM generate_series(1, 256) n""")
    with standing_farm.scripted_slave("late", accepted=False) as late:
        late.hello()
        assert late.expect_refusal() == "too many slaves wait to be accepted; accept or revoke some: piwheels slaves list"
    with standing_farm.scripted_slave("trusted") as trusted:
        trusted.greet()  # who is known is not shut out by it
    standing_farm.sql("UPDATE slave SET last_seen = now() - interval '25 hours' WHERE label IN ('flood-3', 'flood-4')")
    with standing_farm.scripted_slave("late", accepted=False) as late:
        late.greet()
    assert standing_farm.sql("SELECT count(*) FROM slave WHERE trust = 'waiting'") == "256"
    standing_farm.sql("DELETE FROM slave WHERE label LIKE 'flood-%' OR label = 'late'")


# ---- targets -----------------------------------------------------------------------------------------

@pytest.fixture
def two_targets(standing_farm):
    standing_farm.sql("SELECT target_add('second', 'cp399', 'linux_x86_64', ''); UPDATE target SET judging = false")
    yield standing_farm
    standing_farm.sql("DELETE FROM job; DELETE FROM build WHERE target = 1; DELETE FROM file WHERE target = 1; "
                      "DELETE FROM target WHERE name = 'second'")


def test_a_slave_builds_only_for_the_targets_that_it_was_accepted_for(two_targets):
    two_targets.order(package="piwtest-two", version="3.1")  # on the first; on the second when that has failed
    with two_targets.scripted_slave("picky", accepted=False) as slave:
        slave.greet()
        assert listed(two_targets, "picky")["offers"] == ["native", "second"]
        assert "is accepted for second" in slaves(two_targets, "accept", "picky", "--targets", "second")
        slave.idle()
        assert slave.expect("SLEEP") == [""]
        assert "is accepted for native" in slaves(two_targets, "accept", "picky", "--targets", "native,")
        slave.expect("WAKE")
        build = slave.ask()
        assert build.abi != "cp399"
        slave.fail(build.attempt)
        two_targets.wait_sql("SELECT target FROM job", "1")
        slave.idle()
        assert slave.expect("SLEEP") == [""]
        slaves(two_targets, "accept", "picky", "--targets", "second, native")
        slave.expect("WAKE")
        build = slave.ask()
        assert build.abi == "cp399"
        slave.fail(build.attempt)


def test_a_slave_that_offers_nothing_it_was_accepted_for_is_told_so(two_targets):
    only_native = [offer for offer in two_targets.offers() if offer[0] != "cp399"]
    two_targets.order(package="piwtest-two", version="3.2")
    with two_targets.scripted_slave("elsewhere", offers=only_native, accepted=False) as slave:
        slave.greet()
        slaves(two_targets, "accept", "elsewhere", "--targets", "second")
        slave.idle()
        assert slave.expect("SLEEP") == ["slave elsewhere was accepted for other targets than it offers; on the master type: "
                                         "piwheels slaves accept elsewhere"]


# ---- revoking ----------------------------------------------------------------------------------------

def test_revoking_cuts_the_connection_and_gives_the_build_back(standing_farm):
    standing_farm.order(version="4.1")
    with standing_farm.scripted_slave("bad") as slave, standing_farm.scripted_slave("good") as witness:
        witness.greet()
        slave.greet()
        attempt = slave.ask().attempt
        told = slaves(standing_farm, "revoke", "bad")
        assert told == f"slave bad (key {IDENTITY.fingerprint}) is revoked; its connection is cut\n"
        assert slave.expect_refusal() == "slave bad was revoked"
        standing_farm.wait_sql(f"SELECT outcome || '|' || class FROM build WHERE id = {attempt}", "farm|slave revoked")
        witness.idle()
        assert witness.hear()[0] in ("SLEEP", "BUILD")
    for attempts in ([], [attempt]):
        with standing_farm.scripted_slave("bad") as slave:
            slave.hello(attempts)
            assert slave.expect_refusal() == "slave bad was revoked; to let it in again: piwheels slaves accept bad"


def test_what_a_revoked_slave_was_just_sending_is_not_published(standing_farm):
    standing_farm.order(package="piwtest-made", version="4.2")
    name, data = make_wheel(version="4.2")
    with standing_farm.scripted_slave("sender") as slave:
        slave.greet()
        attempt = slave.ask().attempt
        slave.built(attempt, files=[announced(name, data)])
        slave.expect("SEND")
        slave.chunk(attempt, 0, 0, data[:100])
        slaves(standing_farm, "revoke", "sender")
        assert slave.expect_refusal() == "slave sender was revoked"
    standing_farm.wait_sql(f"SELECT outcome FROM build WHERE id = {attempt}", "farm")
    standing_farm.wait_staging_empty()
    assert not standing_farm.file("piwtest-made", name).exists()


def test_a_revoked_slave_can_be_accepted_again(standing_farm):
    standing_farm.accept("back")
    slaves(standing_farm, "revoke", "back")
    slaves(standing_farm, "accept", "back", "--targets", "native")
    with standing_farm.scripted_slave("back") as slave:
        slave.greet()
        slave.idle()
        assert slave.expect("SLEEP") == [""]


# ---- the command -------------------------------------------------------------------------------------

def test_the_command_says_what_is_wrong(standing_farm):
    assert "no slave nobody is known; see: piwheels slaves list" in slaves(standing_farm, "accept", "nobody", status=1)
    assert "no slave nobody is known" in slaves(standing_farm, "revoke", "nobody", status=1)
    standing_farm.accept("someone")
    assert "there is no target nowhere; see: piwheels target list" in slaves(
        standing_farm, "accept", "someone", "--targets", "native,nowhere", status=1)
    assert "did you mean accept?" in slaves(standing_farm, "acept", "someone", status=2)
    assert "usage: piwheels slaves accept NAME" in slaves(standing_farm, "accept", status=2)
    assert "--targets belongs to accept" in slaves(standing_farm, "list", "--targets", "native", status=2)
    assert "--targets names none" in slaves(standing_farm, "accept", "someone", "--targets", ",", status=2)
    assert listed(standing_farm, "someone")["trust"] == "accepted"


def test_the_command_answers_programs_too(standing_farm):
    standing_farm.accept("someone")
    known = json.loads(slaves(standing_farm, "list", "--json"))
    assert known["master"]["address"] == standing_farm.address and re.fullmatch(PRINT, known["master"]["fingerprint"])
    told = json.loads(slaves(standing_farm, "accept", "someone", "--targets", "native", "--json"))
    assert told == {"slave": "someone", "done": f"slave someone (key {IDENTITY.fingerprint}) is accepted for native"}
    with standing_farm.scripted_slave("someone") as slave:
        slave.greet()
        found = listed(standing_farm, "someone")
        assert found["connected"] and found["address"].startswith("127.0.0.1:") and found["targets"] == ["native"]


@pytest.mark.parametrize("verb", ["SLAVES", "ACCEPT", "REVOKE"])
def test_another_version_of_the_tool_is_refused(standing_farm, verb):
    with standing_farm.scripted_tool() as tool:
        tool.say(verb, "0.0.1", *{"SLAVES": [], "ACCEPT": ["x", []], "REVOKE": ["x"]}[verb])
        assert "the tool is 0.0.1" in tool.expect_refusal()


# ---- keys in files -----------------------------------------------------------------------------------

@pytest.mark.parametrize("command", ["master", "slave"])
def test_a_key_that_others_may_read_is_not_used(farm, tmp_path, command):
    key = tmp_path / "shared.key"
    IDENTITY.store(key)
    key.chmod(0o640)
    done = run(PIWHEELS, command, "--key", key, *(["-d", farm.dsn, "--control-socket", farm.socket] if command == "master" else []),
               env=clean_environment(HOME=tmp_path))
    assert done.returncode == 1 and f"may be read by others; protect it (chmod 600 {key})" in done.stderr
    assert "PRIVATE" not in done.stderr


# ---- without TLS -------------------------------------------------------------------------------------

def test_without_tls_both_sides_must_say_so(farm):
    farm.start_master("--insecure")
    farm.master.wait_line("slaves are taken at their word")
    farm.add("piwtest-pure")
    careful = farm.start_slave(label="careful")
    careful.wait_line("it does not speak TLS|the other end speaks TLS")
    careless = farm.start_slave("--insecure", label="careless", accepted=False)
    assert "built piwtest-pure" in farm.wait_built("piwtest-pure")
    assert "its key is" not in careless.output()
    assert "connected to" not in careful.output()


def test_a_slave_without_tls_is_refused_by_a_master_with_it(farm):
    farm.start_master()
    slave = farm.start_slave("--insecure", accepted=False)
    farm.master.wait_line("it does not speak TLS 1.3")
    slave.wait_line("the other end speaks TLS, this one does not: --insecure goes on both sides or on none")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:5555"])
def test_a_master_without_tls_listens_on_the_loopback_only(farm, address):
    farm.address = address
    master = farm.launch_master("--insecure")
    master.wait_line("without TLS \\(--insecure\\) only the loopback may be listened on")
    assert master.wait_end() == 1
    farm.master = None


@pytest.mark.parametrize("master", ["10.0.0.1", "master.example.org:5555", "[2001:db8::1]:5555"])
def test_a_slave_without_tls_speaks_with_this_machine_only(tmp_path, master):
    done = piwheels("slave", "--insecure", "-m", master, env=clean_environment(HOME=tmp_path))
    assert done.returncode == 1 and f"--insecure is for a master on this machine, which {master} is not" in done.stderr


# ---- below the messages ------------------------------------------------------------------------------

STRANGERS = {
    "a slave without TLS": frame(messages.pack("BYE", [b"\xa0"])),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nulls": bytes(100),
    "noise": bytes(range(256)) * 64,
    "an alert": bytes.fromhex("15030300020228"),
    "a hello of TLS that is none": bytes.fromhex("1603010100010000fc0303") + bytes(245),
    "a hello without end": bytes.fromhex("16030140000100ffff0303") + bytes(16379),
}


@pytest.mark.parametrize("said", STRANGERS.values(), ids=STRANGERS)
def test_who_speaks_no_tls_is_shut_out(standing_farm, said):
    begun = standing_farm.master.mark()
    with Connection(standing_farm.address) as stranger:
        port = stranger.socket.getsockname()[1]
        with contextlib.suppress(OSError):  # it may be shut out before it has said all
            stranger.send_bytes(said)
            stranger.socket.shutdown(socket.SHUT_WR)
        standing_farm.master.wait_line(rf"slave at 127\.0\.0\.1:{port}: connection closed: ", begun)


def test_a_slave_that_shows_no_key_is_shut_out(standing_farm):
    nobody = Identity()
    nobody.context = type(nobody.context)(nobody.context.protocol)
    nobody.context.check_hostname = False
    nobody.context.verify_mode = 0
    begun = standing_farm.master.mark()
    with standing_farm.scripted_slave("keyless", identity=nobody, accepted=False) as slave:
        with contextlib.suppress(OSError):  # it may be shut out before
            slave.hello()
        standing_farm.master.wait_line("connection closed: it showed no key", begun)
    assert standing_farm.sql("SELECT count(*) FROM slave WHERE label = 'keyless'") == "0"


# ---- what is rationed: last, for afterwards there is no more ------------------------------------------

def test_strangers_cannot_have_the_database_write_without_end(standing_farm, waiting):
    """What one of them has is stored, which may be much; what all say one after the other is not."""
    with pytest.raises(AssertionError, match="too many slaves that wait to be accepted have told what they have"):
        for number in range(1000):  # of which one comes back every 5 s
            waiting.means(f"lib{number}")
            waiting.idle()
            waiting.expect("SLEEP")
            standing_farm.wait_sql(f"SELECT has LIKE 'lib{number}%' FROM slave WHERE id = {waiting.number}", "t")
    assert number > 20
    with standing_farm.scripted_slave("known") as known:
        known.greet()
        known.means("libknown")
        standing_farm.wait_sql(f"SELECT has LIKE 'libknown%' FROM slave WHERE id = {known.number}", "t")


def test_strangers_cannot_fill_the_log(standing_farm, waiting):
    """Each IDLE would be told of: now it is short of something, now it is not."""
    begun = standing_farm.master.mark()
    for _ in range(0, STRANGERS_LINES + 2000, 100):
        for _ in range(50):
            waiting.idle(0, "no disk")
            waiting.idle(0)
        for _ in range(100):
            waiting.expect("SLEEP")
    lines = [line for line in standing_farm.master.said(begun) if "new builds" in line]
    assert STRANGERS_LINES - 1000 < len(lines) < STRANGERS_LINES + 1000
    with standing_farm.scripted_slave("known") as known:
        known.greet()
        standing_farm.master.wait_line(rf"slave {known.number} \(known\): connected", begun)

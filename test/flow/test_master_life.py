"""More of the master's own life, beside test_master.py: rarer reasons not to start, when exactly systemd hears what,
stopping in the middle of everything, leases.
"""
import contextlib
import os
import re
import signal
import socket
import stat
import time

import pytest

from harness import VERSION, Farm, piwheels
from identity import Identity
from wheels import make_wheel

STOP_S = 30  # it takes 5 at most, on a machine that has time for it


def end_of_start(farm, *options, **more):
    """Starts a master that cannot; its status and what it said."""
    master = farm.launch_master(*options, **more)
    status = master.wait_end()
    master.check_sanitizers()
    farm.master = None
    return status, master.output()


@pytest.fixture
def bare_farm(tmp_path, postgres, empty_database):
    """A farm whose database has no schema, and which has no PyPI."""
    class Nowhere:
        simple = json = "http://127.0.0.1:9"

    made = Farm(tmp_path, postgres, empty_database, Nowhere)
    yield made
    made.stop()


# ---- what it does not start with ---------------------------------------------------------------------

def test_a_database_that_is_not_there_is_refused(bare_farm, postgres):
    bare_farm.dsn = postgres.dsn("nothing_here", "piwheels")
    status, said = end_of_start(bare_farm)
    assert status == 1 and "nothing_here" in said and "piwheels initdb" in said


def test_a_user_that_is_not_there_is_refused(bare_farm, postgres):
    bare_farm.dsn = postgres.dsn(bare_farm.database, "nobody_here")
    status, said = end_of_start(bare_farm)
    assert status == 1 and "nobody_here" in said


@pytest.mark.parametrize("dsn", ["nonsense", "sqlite:///x", "hots=/tmp"])
def test_a_dsn_that_is_none_is_refused(bare_farm, dsn):
    bare_farm.dsn = dsn
    status, said = end_of_start(bare_farm)
    assert status == 1 and "database" in said


@pytest.mark.parametrize("change, said", [
    ("version = '0.0.9'", "0.0.9"), ("version = '99.0'", "99.0"), ("level = 1", "piwheels initdb"), ("version = '99.0', level = 99", "99.0")])
def test_a_database_of_another_version_is_refused(farm, change, said):
    farm.sql(f"UPDATE configuration SET {change}")
    status, output = end_of_start(farm)
    assert status == 1 and said in output and VERSION in output
    assert "piwheels initdb" in output or "install piwheels 99.0" in output


def test_an_output_directory_that_cannot_be_made_is_refused(farm):
    farm.directory.joinpath("file").write_text("")
    farm.output.mkdir()
    status, said = end_of_start(farm, "-o", farm.directory / "file" / "www")
    assert status == 1
    assert (f"the output directory cannot be used: {farm.directory}/file/www: Not a directory; make it and give it to this "
            "user, or name another with --output") in said


@pytest.mark.parametrize("address", ["192.0.2.1:5555", "nowhere"])
def test_an_address_that_is_none_of_ours_is_refused(farm, address):
    farm.address = address
    status, said = end_of_start(farm)
    assert status == 1 and f"cannot listen on {address}: " in said


def test_an_address_with_a_port_that_is_none_is_refused(farm):
    farm.address = "127.0.0.1:99999"
    status, said = end_of_start(farm)
    assert status == 2 and '--slave-listen: "127.0.0.1:99999" is no ADDR:PORT' in said


def test_what_is_no_socket_is_left_alone(farm):
    farm.socket.write_text("precious")
    status, said = end_of_start(farm)
    assert status == 1 and "something that is no socket is in the way" in said
    assert farm.socket.read_text() == "precious"


@pytest.mark.parametrize("text, where", [
    ("[master]\nlease = soon\n", "my.conf:2"), ("[mister]\noutput = /srv\n", "my.conf:"), ("output /srv\n", "my.conf:1")])
def test_a_broken_configuration_is_refused_with_its_line(farm, tmp_path, text, where):
    (tmp_path / "my.conf").write_text(text)
    status, said = end_of_start(farm, "-c", tmp_path / "my.conf")
    assert status == 2 and where in said


@pytest.mark.parametrize("option, advice", [
    ("--slave-queue", "use --slave-listen ADDR:PORT"), ("--file-queue", "use --slave-listen ADDR:PORT"),
    ("--status-queue", "use --control-socket PATH"), ("--control-queue", "use --control-socket PATH"),
    ("--import-queue", "use --control-socket PATH"), ("--builds-queue", "leave it out"), ("--db-queue", "leave it out"),
    ("--fs-queue", "leave it out"), ("--web-queue", "leave it out"), ("--stats-queue", "leave it out")])
def test_a_retired_option_names_what_to_use_instead(option, advice):
    done = piwheels("master", option, "tcp://*:5555")
    assert done.returncode == 2 and option in done.stderr and advice in done.stderr


def test_nothing_is_left_listening_by_a_start_that_failed(farm, tmp_path):
    farm.socket.write_text("in the way")
    status, _ = end_of_start(farm)
    assert status == 1
    farm.socket.unlink()
    farm.start_master()
    assert farm.status()["slaves"] == []


# ---- what it tells -----------------------------------------------------------------------------------

@pytest.fixture
def notifications(farm):
    """What systemd would hear; a function that waits for a message with these words."""
    path = os.path.join(farm.sockets.name, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(60)
        heard = []

        def wait(words):
            while not any(words in message for message in heard):
                heard.append(listener.recv(4096).decode())
            return heard

        wait.path = path
        yield wait


def test_systemd_hears_of_the_start_of_life_and_of_the_stop(farm, notifications):
    farm.start_master(NOTIFY_SOCKET=notifications.path, WATCHDOG_USEC=400000)
    before = notifications("READY=1")
    assert not any("STOPPING" in message for message in before)
    for _ in range(3):
        notifications("WATCHDOG=1").clear()
    farm.master.signal(signal.SIGTERM)
    notifications("STOPPING=1")
    assert farm.master.wait_end() == 0


def test_systemd_is_told_ready_only_when_everything_is(farm, notifications):
    with farm.locked("file"):
        farm.launch_master(NOTIFY_SOCKET=notifications.path)
        farm.wait_blocked()
        assert not any("READY=1" in message for message in notifications("STATUS="))
    notifications("READY=1")
    farm.master.wait_line("master: ready")


def test_a_start_that_fails_never_says_ready(bare_farm):
    path = os.path.join(bare_farm.sockets.name, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        assert end_of_start(bare_farm, NOTIFY_SOCKET=path)[0] == 1
        listener.setblocking(False)
        heard = []
        try:
            while True:
                heard.append(listener.recv(4096).decode())
        except BlockingIOError:
            pass
    assert not any("READY" in message for message in heard)


def test_the_control_socket_is_for_its_group(farm):
    farm.start_master()
    assert stat.S_IMODE(farm.socket.stat().st_mode) == 0o660


def modes(directory):
    """The modes of all that is in a directory, and its own; not of links, which have none, nor of what goes meanwhile."""
    found = {}
    for path in (directory, *directory.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode):
                found[str(path)] = stat.S_IMODE(mode)
    return found


def test_a_web_server_can_read_the_site_of_a_master_whose_umask_was_for_itself_alone(farm):
    farm.within = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    farm.output.mkdir()
    site = farm.output / "not" / "there"
    farm.start_master("-o", site, "--log-file", farm.directory / "log")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.deliver(slave.ask().attempt, [make_wheel()], b"a log\n")[0]
    farm.wait_page("piwtest-made")
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    served = {path: mode for path, mode in modes(site).items() if "/.staging" not in path and "/.withheld" not in path}
    assert any(path.endswith(".whl") for path in served) and any(path.endswith(".txt.gz") for path in served)
    assert set(served.values()) == {0o755, 0o644}, served
    assert modes(farm.output)[str(site.parent)] == 0o755
    private = modes(farm.directory / ".local/state/piwheels")
    assert set(private.values()) == {0o700, 0o600}, private
    assert {modes(site)[str(site / name)] for name in (".staging", ".withheld")} == {0o700}
    assert modes(farm.directory)[str(farm.directory / "log")] == 0o600


def test_the_status_is_for_people(farm):
    farm.start_master()
    shown = farm.tool("status").stdout
    assert "native" in shown and "none is connected; start one with: piwheels slave --master ADDRESS" in shown
    farm.order()
    with farm.scripted_slave("pi4-a") as slave:
        slave.greet()
        slave.ask()
        shown = farm.tool("status").stdout
    assert "pi4-a" in shown and "building" in shown and "piwtest-made 1.0, " in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []


# ---- how it stops ------------------------------------------------------------------------------------

def stop_in_time(farm, status=0):
    begun = time.monotonic()
    assert farm.master.stop() == status
    assert time.monotonic() - begun < STOP_S


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(farm, number):
    farm.start_master()
    farm.master.signal(number)
    assert farm.master.wait_end(STOP_S) == 0
    assert re.search("master: (stopped|left without waiting any longer)", farm.master.output())
    assert not farm.socket.exists()


def test_it_lets_a_result_that_is_being_recorded_come_to_its_end(farm):
    wheel = make_wheel()
    farm.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        with farm.locked("build", "SHARE ROW EXCLUSIVE"):
            slave.report(attempt, [wheel])
            slave.expect("SEND")
            slave.send_file(attempt, 0, wheel[1])
            farm.wait_blocked("build_publish")
            farm.master.signal(signal.SIGTERM)
            slave.expect_closed()
    stop_in_time(farm)
    assert farm.outcome(attempt).startswith("success|") or "left without waiting any longer" in farm.master.output()


def test_it_stops_while_a_tool_waits_for_its_answer(farm):
    farm.start_master()
    farm.master.wait_line("page /: written")  # which reads the queue, too
    with farm.scripted_tool() as tool, farm.locked("job"):
        tool.say("STATUS", VERSION)
        farm.wait_blocked("status_facts")
        stop_in_time(farm)


def test_it_stops_while_an_order_waits_for_the_database(farm):
    farm.start_master()
    farm.order()
    with farm.scripted_tool() as tool, farm.locked("skip_rule"):
        tool.say("SKIP", VERSION, "piwtest-made", "<2", "", False, "old")
        farm.wait_blocked("skip_add")
        stop_in_time(farm)


def test_it_stops_while_its_database_does_not_answer(farm):
    farm.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()  # before the queue's own round waits for the table, and with it all that comes behind it
        with farm.locked("job"):
            slave.idle()
            farm.wait_blocked()
            stop_in_time(farm)


def test_it_stops_while_it_recovers(farm):
    with farm.locked("file"):
        farm.launch_master()
        farm.wait_blocked()
        stop_in_time(farm)


def test_it_stops_while_it_looks_at_the_configuration(farm):
    with farm.locked("configuration"):
        farm.launch_master()
        farm.wait_blocked()
        stop_in_time(farm)


def test_it_stops_while_it_waits_for_a_database_server(farm, tmp_path):
    farm.dsn = f"postgresql://piwheels@{str(tmp_path).replace('/', '%2F')}/none"
    farm.launch_master()
    farm.master.wait_line("database .*: no connection, trying again")
    stop_in_time(farm)


# ---- what it cleans up -------------------------------------------------------------------------------

def test_live_files_survive_a_start(farm):
    name, data = wheel = make_wheel()
    farm.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.deliver(slave.ask().attempt, [wheel])[0]
    farm.master.stop()
    farm.start_master()
    assert farm.file("piwtest-made", name).read_bytes() == data
    assert farm.sql("SELECT state FROM file") == "live"


# ---- what it takes ---------------------------------------------------------------------------------

def test_a_wheel_larger_than_allowed_is_refused_before_it_is_sent(farm):
    name, _ = wheel = make_wheel(padding=300000)
    farm.start_master("--max-wheel", "100K")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        slave.report(attempt, [wheel])
        told, good, text = slave.expect("DONE")
    assert not good and text == f"{name} has {len(wheel[1])} bytes; the master takes at most 102400"
    assert farm.outcome(attempt) == f"failed|too large|{text}"


def test_wheels_that_are_too_large_together_are_refused_before_any_is_sent(farm):
    farm.start_master("--max-wheel", "100K")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        slave.report(attempt, [make_wheel(tag=f"py3-none-{one}", padding=60000) for one in ("any", "linux_x86_64")])
        told, good, text = slave.expect("DONE")
    assert not good and re.fullmatch(r"the 2 wheels have \d+ bytes together; the master takes at most 102400", text)
    assert farm.outcome(attempt) == f"failed|too large|{text}"


def test_the_builds_of_one_slave_have_no_more_than_a_quarter_of_the_free_space_together(farm):
    room = os.statvfs(farm.directory)
    large = room.f_bavail * room.f_frsize // 6
    farm.start_master("--max-wheel", "1000T")
    for version in ("1.0", "2.0", "3.0"):
        farm.order(version=version)
    with farm.scripted_slave("greedy") as greedy, farm.scripted_slave("other") as other:
        for slave in (greedy, other):
            slave.greet()
        first, second, third = greedy.ask(), greedy.ask(), other.ask()
        for slave, build in ((greedy, first), (greedy, second), (other, third)):
            name = f"piwtest_made-{build.version}-py3-none-any.whl"
            slave.built(build.attempt, files=[(name, large, bytes(32))])
            if build == second:
                farm.master.wait_line(rf"build {second.attempt} waits for room: .* slave \d+ \(greedy\) brings already are more")
            else:
                assert slave.expect("SEND") == [build.attempt, 0]
        farm.sql(f"DELETE FROM version WHERE version = '{first.version}'")
        assert greedy.expect("STOP")[0] == first.attempt
        assert greedy.expect("SEND") == [second.attempt, 0], "there is room now"


# ---- leases ------------------------------------------------------------------------------------------

def test_a_slave_that_builds_in_silence_is_given_up(farm):
    farm.start_master("--lease", "4s")
    farm.order()
    with farm.scripted_slave("silent") as silent:
        silent.greet()
        lost = silent.ask().attempt
        if farm.master.wait_line(r"\(silent\): (connection closed: silent for too long|build \d+ is stopped: its lease ran out)"
                                 ).group(1).startswith("build"):
            assert silent.expect("STOP")[0] == lost  # a machine on which all stood still for so long
        else:
            silent.expect_closed()
        with farm.scripted_slave("other") as other:
            other.greet()
            build = other.ask()
            assert build.attempt > lost
            assert other.deliver(build.attempt, [make_wheel()])[0]
    assert farm.outcome(lost).startswith("farm|lost slave|")


@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "stranger"])
def test_who_speaks_of_anothers_build_does_not_end_its_lease(farm, accepted):
    farm.start_master("--lease", "30s")
    farm.order()
    with farm.scripted_slave("first") as first:
        first.greet()
        attempt = first.ask().attempt
        with farm.scripted_slave("liar", accepted=accepted, identity=Identity()) as liar:
            liar.greet([attempt])
            assert liar.expect("STOP")[0] == attempt
            liar.bye()
            liar.expect_closed()
        until = farm.sql("SELECT lease_until FROM job")
        first.busy(attempt)
        first.expect("CONT")
        farm.wait_sql(f"SELECT lease_until > '{until}' FROM job WHERE attempt = {attempt}", "t")
        assert first.deliver(attempt, [make_wheel()])[0]


def test_a_slave_that_says_busy_keeps_its_build(farm):
    farm.start_master("--lease", "4s")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        first = farm.sql("SELECT lease_until FROM job")
        # until one who has said nothing since BUILD would have been given up
        while farm.sql(f"SELECT lease_until > '{first}' AND now() > started + interval '5 seconds' FROM job") == "f":
            slave.busy(attempt)
            slave.expect("CONT")
        assert slave.deliver(attempt, [make_wheel()])[0]

"""What the Python original's master was seen to fall over: each once, with a master that stands. That nothing is believed
that a slave says about itself is in test_refusals.py and test_verification.py.
"""
import os
import pathlib
import signal
import socket
import time

import pytest

from harness import Process
from protocol import announced
from wheels import make_wheel

PROGRAM = pathlib.Path(os.environ.get("PIW_TEST_FAULTS_BUILD", "/nonexistent"), "piwheels")
PACKAGE = "piwtest-made"


@pytest.fixture
def with_faults(farm):
    farm.program = PROGRAM
    return farm


@pytest.fixture
def gate(with_faults, tmp_path):
    """A FIFO behind which the master holds whatever the test names, until it is opened for reading and writing."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    yield path
    with open(path, "r+b", buffering=0):
        with_faults.master.stop()


def building(farm, package=PACKAGE, label="first"):
    """A slave with a build: (slave, attempt)."""
    farm.order(package)
    slave = farm.scripted_slave(label)
    slave.greet()
    return slave, slave.ask().attempt


def is_alive(farm, slave, label="second"):
    """The master serves the slave, and another one to the end."""
    slave.idle()
    assert slave.hear()[0] == "SLEEP"
    other, attempt = building(farm, "piwtest-other", label)
    assert other.deliver(attempt, [make_wheel("piwtest-other")])[0]
    other.close()
    slave.close()


# ---- one thing must not starve another ---------------------------------------------------------------

def test_pages_that_catch_up_do_not_hold_up_builds(with_faults, gate):
    farm = with_faults
    farm.sql("""INSERT INTO package (name, display) SELECT 'late-' || n, 'late-' || n FROM generate_series(1, 100) n;
        INSERT INTO stale_page (kind, key) SELECT 'index', name FROM package""")
    farm.start_master(PIW_TEST_FAULT="lane pages#1+=hold", PIW_TEST_GATE=gate)
    farm.master.wait_line("fault: lane pages")
    slave, attempt = building(farm)
    slave.busy(attempt)
    slave.expect("CONT")
    assert slave.deliver(attempt, [make_wheel()], b"log\n")[0]
    is_alive(farm, slave)
    assert int(farm.sql("SELECT count(*) FROM stale_page")) > 100


def test_a_slow_statistics_query_does_not_hold_up_builds(farm):
    farm.sql("""CREATE OR REPLACE FUNCTION status_facts() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = piwheels, pg_temp AS $$ BEGIN PERFORM pg_sleep(600); RETURN '{}'; END $$""")
    farm.start_master()
    status = Process(farm.program, "status", "--control-socket", farm.socket)
    farm.wait_sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", "1")
    slave, attempt = building(farm)
    assert slave.deliver(attempt, [make_wheel()])[0]
    is_alive(farm, slave)
    status.kill()


def test_a_file_that_takes_long_to_be_verified_holds_up_nobody(with_faults, gate):
    farm = with_faults
    farm.start_master(PIW_TEST_FAULT="lane verify=hold", PIW_TEST_GATE=gate)
    wheel = make_wheel()
    first, attempt = building(farm)
    first.report(attempt, [wheel])
    assert first.expect("SEND")[1] == 0
    first.send_file(attempt, 0, wheel[1])
    farm.master.wait_line("fault: lane verify")
    second, other = building(farm, "piwtest-second", "second")
    second.busy(other)
    second.expect("CONT")
    assert second.deliver(other, [make_wheel("piwtest-second")])[0]
    assert not first.has_word()
    with open(gate, "r+b", buffering=0):
        assert first.expect("DONE")[1]
    first.close()
    second.close()


def test_not_every_new_package_writes_the_list_of_all_anew(farm):
    begun = time.monotonic()
    farm.start_master(dev_mode=False)
    for package in ("piwtest-one", "piwtest-two", "piwtest-three"):
        slave, attempt = building(farm, package)
        assert slave.deliver(attempt, [make_wheel(package)])[0]
        slave.close()
        farm.wait_page(package)
    assert 1 <= farm.master.output().count("page /simple/: written") <= 1 + (time.monotonic() - begun) // 60


# ---- what is asked for disappears, is huge, is nothing -----------------------------------------------

def test_a_version_removed_while_its_wheel_arrives_is_refused_and_its_bytes_go(farm):
    name, data = wheel = make_wheel(padding=300000)
    farm.start_master()
    slave, attempt = building(farm)
    slave.report(attempt, [wheel])
    slave.expect("SEND")
    slave.chunk(attempt, 0, 0, data[:262144])
    with farm.locked("version", "ROW EXCLUSIVE") as connection:
        connection.cursor().execute("DELETE FROM piwheels.version")  # so that nothing notices before, nor can be recorded
        slave.chunk(attempt, 0, 262144, data[262144:])
        slave.sent(attempt, 0)
        slave.busy(attempt + 1000)
        assert slave.expect("STOP")[0] == attempt + 1000  # so SENT was heard: STOP for the attempt itself would come too late
        connection.commit()
    _, good, text = slave.expect("DONE")
    assert not good and "not wanted any more" in text
    assert not farm.file(PACKAGE, name).exists()
    farm.wait_staging_empty()
    is_alive(farm, slave)


@pytest.mark.parametrize("size, told", [(3 << 30, "is full"), (5 << 30, "takes at most"), ((1 << 63) - 1, "takes at most")])
def test_a_wheel_of_gigabytes_is_refused_before_its_first_byte(farm, size, told):
    room = os.statvfs(farm.directory)
    farm.start_master("--min-free", str(max(room.f_bavail * room.f_frsize - (1 << 30), 1 << 20)))
    slave, attempt = building(farm)
    name, data = make_wheel()
    slave.built(attempt, files=[(name, size, announced(name, data)[2])])
    _, good, text = slave.expect("DONE")
    assert not good and told in text
    farm.sql("DELETE FROM job")  # where there was no room it would be tried again soon
    is_alive(farm, slave)


def test_a_wheel_of_no_bytes_is_a_bad_wheel(farm):
    farm.start_master()
    slave, attempt = building(farm)
    name, _ = make_wheel()
    good, _ = slave.deliver(attempt, [(name, b"")])
    assert not good and farm.outcome(attempt).startswith("failed|bad wheel|")
    is_alive(farm, slave)


def test_a_log_that_is_there_already_is_replaced(farm):
    farm.start_master()
    slave, attempt = building(farm)
    path = farm.log_folder(attempt) / f"{attempt % 10000:04}.txt.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"of another life")
    path.chmod(0o400)
    assert slave.deliver(attempt, [make_wheel()], b"the log\n")[0]
    assert farm.log_of(attempt) == b"the log\n"
    is_alive(farm, slave)


@pytest.mark.parametrize("character", ["x", "é", "\U0001f40d", "\x1b"])
def test_the_longest_texts_are_stored(farm, character):
    farm.start_master()
    farm.order()
    slave = farm.scripted_slave("l" * 64)
    slave.hello(system=character * (128 // len(character.encode())), hardware=character * (128 // len(character.encode())))
    slave.expect("ACK")
    attempt = slave.ask().attempt
    slave.built(attempt, "failed", reason=character * (32 // len(character.encode())),
                detail=character * (1000 // len(character.encode())))
    assert not slave.expect("DONE")[1]
    assert farm.outcome(attempt).startswith("failed|")
    is_alive(farm, slave)


# ---- beginning and end -------------------------------------------------------------------------------

@pytest.fixture
def silent_server():
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_pypi_that_never_answers_keeps_nobody_from_starting_working_or_stopping(farm, silent_server):
    farm.sql("INSERT INTO package (name, display, follow, refresh_at) VALUES ('followed', 'followed', 'new', now())")
    farm.start_master("--pypi-simple", f"{silent_server}/simple", "--pypi-json", f"{silent_server}/pypi")
    add = Process(farm.program, "add", "piwtest-pure", "--control-socket", farm.socket)
    slave, attempt = building(farm)
    assert slave.deliver(attempt, [make_wheel()])[0]
    is_alive(farm, slave)
    begun = time.monotonic()
    assert farm.master.stop() == 0
    assert time.monotonic() - begun < 30  # it takes 5 at most, on a machine that has time for it
    farm.master = None
    add.kill()


def test_a_crash_is_an_exit_status_that_systemd_sees(with_faults):
    farm = with_faults
    farm.launch_master(PIW_TEST_FAULT="before rhythm/look for work=abort")
    assert farm.master.wait_end() not in (0, -signal.SIGTERM, -signal.SIGINT)
    farm.master = None

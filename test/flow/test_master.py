"""The master by itself: what it refuses to start with, what it survives, and how it stops."""
import os
import re
import signal
import socket
import threading
import time

import psycopg2
import pytest

from harness import PIWHEELS, clean_environment, piwheels, run
from wheels import make_wheel
from protocol import announced

PACKAGE = "piwtest-made"
STOP_LIMIT_S = 30  # it takes 5 at most, on a machine that has time for it


LOCK_KEY = 1885960040 << 32 | 1701145715  # src/db/lock.c
LOCK_HOLDER = f"SELECT pid FROM pg_locks WHERE (classid::bigint << 32 | objid::bigint) = {LOCK_KEY} AND locktype = 'advisory' AND granted"


def refused(farm, *options, **environment):
    """Starts a master that must end by itself with status 1; what it said."""
    master = farm.launch_master(*options, **environment)
    assert master.wait_end() == 1, master.output()
    farm.master = None
    return master.output()


# ---- what it does not start with ---------------------------------------------------------------------

def test_root_is_refused():
    words = [] if os.geteuid() == 0 else ["unshare", "-r"]
    done = run(*words, PIWHEELS, "master")
    assert done.returncode == 1
    assert done.stderr == ("piwheels master: refusing to run as root; run it as an unprivileged user, e.g. su - piwheels\n")


def test_a_database_that_is_not_there_is_named(farm, postgres):
    told = refused(farm, "-d", postgres.dsn("nonesuch", "piwheels"))
    assert 'database "nonesuch" does not exist' in told


def test_a_database_without_a_schema_is_sent_to_initdb(farm, postgres, empty_database):
    assert "piwheels initdb" in refused(farm, "-d", postgres.dsn(empty_database, "piwheels"))


def test_a_database_of_another_version_is_sent_to_initdb(farm):
    farm.sql("UPDATE configuration SET version = '0.0.9'")
    told = refused(farm)
    assert "0.0.9" in told and "piwheels initdb" in told


def test_a_database_that_is_newer_is_not_touched(farm):
    farm.sql("UPDATE configuration SET version = '99.0', level = 99")
    assert "99" in refused(farm)
    assert farm.sql("SELECT version, level FROM configuration") == "99.0|99"


def test_a_malformed_dsn_is_told_at_once(farm):
    assert "malformed" in refused(farm, "-d", "postgresql://[")


def test_an_output_directory_that_cannot_be_written_is_named(farm, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    told = refused(farm, "-o", closed / "www")
    assert f"{closed}/www: Permission denied" in told and "--output" in told


def test_an_address_in_use_is_named(farm):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in refused(farm, "--slave-listen", f"127.0.0.1:{port}")


def test_the_control_socket_of_a_living_master_is_left_to_it(farm, tmp_path):
    first = farm.start_master()
    farm.address = "127.0.0.1:0"
    assert "control.sock" in refused(farm, "-o", tmp_path / "other")
    farm.master = first
    assert farm.status()["slaves"] == []


def test_a_second_master_on_the_same_database_says_who_has_it(farm):
    first = farm.start_master()
    process = farm.sql(LOCK_HOLDER)
    farm.address = "127.0.0.1:0"
    told = refused(farm, "--control-socket", f"{farm.sockets.name}/other.sock", "-o", farm.directory / "other")
    assert re.search(rf"another master works with this database: piwheels fast.*, process {process}, since \d+-", told)
    assert "stop it, or name another database with --dsn" in told
    farm.master = first
    assert farm.status()["slaves"] == []


def test_masters_of_two_databases_do_not_mind_each_other(farm, empty_database, postgres):
    done = piwheels("initdb", "-y", "-d", postgres.dsn(empty_database, "postgres"))
    assert done.returncode == 0, done.stderr
    first = farm.start_master()
    farm.address = "127.0.0.1:0"
    second = farm.launch_master("-d", postgres.dsn(empty_database, "piwheels"), "-o", farm.directory / "other",
                                "--control-socket", f"{farm.sockets.name}/other.sock")
    second.wait_line("master: ready")
    assert second.stop() == 0
    farm.master = first


def test_a_master_that_is_killed_can_be_started_again_at_once(farm):
    farm.order()
    for _ in range(3):
        farm.start_master().kill()


def test_a_master_that_is_killed_while_a_statement_runs_does_not_hinder_the_next_one(farm):
    farm.start_master()
    slave = farm.scripted_slave()
    with farm.locked("slave"):
        slave.hello()
        farm.wait_blocked("slave_seen")
        farm.master.kill()
        # the lock is still there, and only noticing that the socket is closed ends the statement
        farm.wait_sql(f"SELECT count(*) FROM ({LOCK_HOLDER}) l", "0")
    slave.close()
    farm.start_master()


def test_a_master_takes_its_lock_again_after_its_connection_broke(farm):
    farm.start_master()
    for _ in range(2):
        mark = farm.master.mark()
        farm.sql(f"SELECT pg_terminate_backend(pid) FROM ({LOCK_HOLDER}) l")
        farm.master.wait_line("database fast: connected again", mark)
        assert farm.sql(f"SELECT count(*) FROM ({LOCK_HOLDER}) l") == "1"
    assert farm.status()["slaves"] == []


def test_a_master_whose_database_another_one_has_taken_meanwhile_stops(farm, postgres):
    master = farm.start_master()
    other = psycopg2.connect(postgres.dsn(farm.database, "piwheels"), application_name="piwheels fast")
    other.autocommit = True
    cursor = other.cursor()
    taking = threading.Thread(target=cursor.execute, args=(f"SELECT pg_advisory_lock({LOCK_KEY})",))
    taking.start()
    farm.wait_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", "1")
    farm.sql(f"SELECT pg_terminate_backend(pid) FROM ({LOCK_HOLDER}) l")
    taking.join(60)
    assert master.wait_end() == 1
    assert f"stops: another master works with this database: piwheels fast, process {other.info.backend_pid}" in master.output()
    other.close()
    farm.master = None


def test_a_stale_control_socket_is_replaced(farm):
    farm.start_master().kill()
    assert farm.socket.exists()
    farm.start_master()
    assert farm.status()["slaves"] == []


@pytest.mark.parametrize("line, told", [
    ("outptu = /x", "output"),
    ("lease = soon", "lease"),
    ("slave-queue = tcp://*:5555", "--slave-listen"),
])
def test_a_broken_configuration_names_file_line_and_remedy(tmp_path, line, told):
    file = tmp_path / "piwheels.conf"
    file.write_text(f"[master]\n{line}\n")
    done = piwheels("master", "-c", file)
    assert done.returncode == 2
    assert f"{file}:2" in done.stderr and told in done.stderr


@pytest.mark.parametrize("option, told", [
    ("--slave-queue=tcp://*:5555", "--slave-listen"),
    ("--status-queue=ipc://status", "--control-socket"),
    ("--slave-lisen=127.0.0.1:1", "--slave-listen"),
])
def test_options_of_the_original_and_mistyped_ones_are_told_what_to_use(option, told):
    done = piwheels("master", option)
    assert done.returncode == 2 and told in done.stderr


# ---- a full disk -------------------------------------------------------------------------------------

def test_a_full_output_directory_is_a_failure_of_the_farm_and_tried_again(farm):
    name, data = wheel = make_wheel()
    farm.start_master("--min-free", "1000000G")
    farm.order()
    slave = farm.scripted_slave()
    slave.greet()
    attempt = slave.ask().attempt
    slave.built(attempt, files=[announced(*wheel)])
    _, good, text = slave.expect("DONE")
    assert not good and f"{farm.output} is full" in text and "make room" in text
    assert farm.outcome(attempt).startswith("farm|disk|the output directory")
    slave.close()
    farm.master.stop()

    farm.start_master()
    slave = farm.scripted_slave()
    slave.greet()
    attempt = slave.ask().attempt
    slave.deliver(attempt, [wheel])
    assert farm.file(PACKAGE, name).read_bytes() == data
    slave.close()


# ---- stopping ----------------------------------------------------------------------------------------

def stop_in_time(farm):
    begun = time.monotonic()
    assert farm.master.stop() == 0
    assert time.monotonic() - begun < STOP_LIMIT_S
    farm.master = None


def test_it_stops_while_a_file_arrives_and_the_slave_delivers_to_the_next_one(farm):
    name, data = wheel = make_wheel(padding=300000)
    farm.start_master()
    farm.order()
    slave = farm.scripted_slave()
    slave.greet()
    attempt = slave.ask().attempt
    slave.built(attempt, files=[announced(*wheel)])
    slave.expect("SEND")
    slave.chunk(attempt, 0, 0, data[:262144])
    stop_in_time(farm)
    slave.close()
    assert not list(farm.output.glob("simple/*/*.whl"))

    farm.start_master()
    slave = farm.scripted_slave()
    slave.greet([attempt])
    slave.deliver(attempt, [wheel])
    slave.close()
    assert farm.file(PACKAGE, name).read_bytes() == data
    assert farm.staging() == []


def test_it_stops_while_the_database_is_away(farm, postgres):
    farm.start_master()
    postgres.stop("immediate")
    try:
        farm.master.wait_line("database fast: connection lost")
        stop_in_time(farm)
    finally:
        postgres.start()


# ---- the database goes away and comes back -----------------------------------------------------------

@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_build_is_published_once_though_the_database_went_away_in_its_middle(farm, postgres, mode):
    name, data = wheel = make_wheel()
    farm.start_master()
    farm.order()
    slave = farm.scripted_slave()
    slave.greet()
    attempt = slave.ask().attempt
    postgres.stop(mode)
    try:
        slave.busy(attempt)
        assert slave.expect("CONT") == [attempt]
        slave.built(attempt, files=[announced(*wheel)])
        slave.expect("SEND")
        slave.chunk(attempt, 0, 0, data)
        slave.sent(attempt, 0)
    finally:
        postgres.start()
    assert slave.expect("DONE")[:2] == [attempt, True]
    slave.close()
    assert farm.sql("SELECT count(*) FROM build WHERE outcome = 'success'") == "1"
    assert farm.file(PACKAGE, name).read_bytes() == data
    assert farm.sql("SELECT count(*) FROM job") == "0"


# ---- killed ------------------------------------------------------------------------------------------

STAGES = ["leased", "building", "built", "half sent", "sent"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_master_killed_in_the_middle_of_a_build_goes_on_with_it(farm, stage):
    name, data = wheel = make_wheel(padding=300000)
    farm.start_master()
    farm.order()
    slave = farm.scripted_slave()
    slave.greet()
    attempt = slave.ask().attempt
    at = STAGES.index(stage)
    if at >= 1:
        slave.busy(attempt)
        slave.expect("CONT")
    if at >= 2:
        slave.built(attempt, files=[announced(*wheel)])
        slave.expect("SEND")
    if at >= 3:
        slave.chunk(attempt, 0, 0, data[:262144])
    if at >= 4:
        slave.chunk(attempt, 0, 262144, data[262144:])
        slave.sent(attempt, 0)
    farm.master.kill()
    slave.close()

    farm.start_master()
    slave = farm.scripted_slave()
    slave.greet([attempt])
    if farm.sql(f"SELECT count(*) FROM build WHERE id = {attempt}") == "0":
        slave.deliver(attempt, [wheel])
    slave.close()
    assert farm.file(PACKAGE, name).read_bytes() == data
    assert farm.staging() == []
    assert farm.sql("SELECT count(*) FROM build") == "1"
    assert farm.sql("SELECT count(*), min(state) FROM file") == "1|live"


def test_what_a_crash_left_half_way_into_the_tree_is_taken_out(farm):
    farm.start_master()
    farm.order()
    slave = farm.scripted_slave()
    slave.greet()
    attempt = slave.ask().attempt
    slave.close()
    farm.master.kill()
    path = farm.file(PACKAGE, "piwtest_made-1.0-py3-none-any.whl")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    path.with_name(path.name + ".metadata").write_bytes(b"half")
    (farm.output / ".staging" / "left.part").write_bytes(b"left")
    farm.sql(f"""INSERT INTO file (path, name, attempt, version, target, state, size_bytes, sha256, metadata_sha256)
        SELECT 'simple/{PACKAGE}/{path.name}', '{path.name}', {attempt}, version, target, 'publishing', 4, sha256('half'),
            sha256('half') FROM job""")

    farm.start_master()
    farm.master.wait_line("half-way into the tree")
    assert not path.parent.exists()
    assert farm.staging() == []
    assert farm.sql("SELECT count(*) FROM file") == "0"


# ---- systemd -----------------------------------------------------------------------------------------

def test_systemd_hears_ready_watchdog_and_stopping(farm, tmp_path):
    path = f"{farm.sockets.name}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(60)
        farm.launch_master(NOTIFY_SOCKET=path, WATCHDOG_USEC="1000000")

        def wait_for(word):
            while word not in notify.recv(4096).decode().splitlines():
                pass

        wait_for("READY=1")
        wait_for("WATCHDOG=1")
        farm.master.signal(signal.SIGTERM)
        wait_for("STOPPING=1")
    assert farm.master.wait_end() == 0


# ---- its own facts -----------------------------------------------------------------------------------

def test_status_tells_targets_slaves_and_builds_to_people_and_programs(farm):
    farm.start_master()
    farm.order()
    slave = farm.scripted_slave()
    slave.greet()
    attempt = slave.ask().attempt
    status = farm.status()
    assert [(t["name"], t["building"]) for t in status["targets"]] == [("native", 1)]
    assert [(s["label"], s["state"], s["builds"][0]["build"]) for s in status["slaves"]] == [("scripted", "building", attempt)]
    assert set(status["lanes"]) == {"disk", "verify", "pages"} and set(status["database"]) == {"fast", "bulk", "pages"}
    text = farm.tool("status").stdout
    assert "native" in text and "scripted" in text and f"{PACKAGE} 1.0" in text
    slave.close()


def test_status_without_a_master_says_how_to_start_one(tmp_path):
    done = piwheels("status", env=clean_environment(HOME=tmp_path))
    assert done.returncode == 1 and "piwheels master" in done.stderr

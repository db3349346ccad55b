"""The slave against a scripted master: what it says, what it does with each answer, what it leaves behind."""
import grp
import hashlib
import io
import os
import pathlib
import pwd
import shutil
import signal
import socket
import tarfile
import tempfile
import time
import zipfile

import pytest

from harness import PIWHEELS, PYTHON, ROOT, LoopbackPyPI, Process, clean_environment, run
from scripted_master import VERSION, AbsentMaster, ScriptedMaster

NOBODY = os.environ.get("PIW_TEST_USER", "nobody")
RUNNING_AS_ROOT = os.geteuid() == 0
REASON, DETAIL, LOG_BYTES, FILES, ENVIRONMENT, REQUIRED = 3, 4, 8, 9, 10, 11  # of BUILT


def native():
    """ABI and platform of the Python that builds, asked in another way than the slave's."""
    words = "import sys, sysconfig; print('cp%d%d' % sys.version_info[:2], sysconfig.get_platform())"
    return run(PYTHON, "-c", words).stdout.replace("-", "_").split()


ABI, PLATFORM = native()


def as_nobody():
    """What to put before a command so that it does not run as root."""
    if not RUNNING_AS_ROOT:
        return []
    group = grp.getgrgid(pwd.getpwnam(NOBODY).pw_gid).gr_name
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={group}", "--clear-groups"]


class Slave(Process):
    """The real one. It refuses root, so as root it runs as somebody who is nobody else."""

    def __init__(self, master, folder, *options, directory=True, env=None):
        self.builds = folder / "builds"
        words = ["-d", self.builds] if directory else []
        super().__init__(*as_nobody(), PIWHEELS, "slave", "-v", "-m", master.address, "-L", "test-a", "--insecure", *words,
                         *options, env=env or clean_environment(HOME=folder))

    def attempts(self):
        return sorted(path.name for path in self.builds.glob("attempt-*"))


@pytest.fixture
def folder():
    """A folder that the slave's user may write, below directories that it may read."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="piwslave-"))
    if RUNNING_AS_ROOT:
        shutil.chown(made, NOBODY)
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def master():
    made = ScriptedMaster()
    yield made
    made.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory, sdists):
    server = LoopbackPyPI(tmp_path_factory.mktemp("index"), sdists, "/usr/share/python-wheels")
    yield server
    server.stop()


@pytest.fixture
def slaves(master, folder):
    """Starts slaves of the scripted master, or of another, and ends them."""
    started = []

    def start(*options, of=master, **more):
        started.append(Slave(of, folder, *options, **more))
        return started[-1]

    yield start
    master.hang_up()
    for slave in started:
        slave.stop()


def build(connection, attempt, package, version="0.1", abi=ABI, platform=PLATFORM, **more):
    connection.build(attempt, package, version, (abi, platform), **more)


def begin(master, index):
    """Accepts a slave and takes it to its first IDLE."""
    connection = master.accept()
    hello = connection.greet(index.simple)
    connection.hear("IDLE")
    return connection, hello


def built(master, index, package, **more):
    """A whole build but for its files: the connection and BUILT."""
    connection, _ = begin(master, index)
    build(connection, 7, package, **more)
    return connection, connection.hear("BUILT")


@pytest.fixture
def large_package(index, tmp_path):
    """An sdist on the index whose wheel has many chunks."""
    module = "".join(f"# {os.urandom(40).hex()}\n" for _ in range(150000))  # 12 MB
    backend = "from minimal_wheel import *\ndef build_wheel(folder, *more):\n    return make_wheel(folder)\n"
    members = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: piwtest-large\nVersion: 0.1\nSummary: large\n",
        "pyproject.toml": '[build-system]\nrequires = []\n'
                          'build-backend = "backend"\nbackend-path = ["backend"]\n',
        "backend/backend.py": backend,
        "backend/minimal_wheel.py": (ROOT / "test/packages/common/minimal_wheel.py").read_text(),
        "piwtest_large.py": module,
    }
    with tarfile.open(tmp_path / "piwtest-large-0.1.tar.gz", "w:gz", compresslevel=1) as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(f"piwtest-large-0.1/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    server = LoopbackPyPI(tmp_path, tmp_path)
    yield server
    server.stop()


@pytest.fixture
def absent():
    """A master that is away."""
    made = AbsentMaster()
    yield made
    made.close()


def processes_of_builds(folder):
    """The living processes that a build below this folder has started, by their environment and what is mounted for them."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes()
            mounts = (path.parent / "mountinfo").read_bytes()
        except OSError:  # gone, or somebody else's
            continue
        if b"PIWHEELS_BUILD=1" in environment and str(folder).encode() in mounts:
            found.append(int(path.parent.name))
    return found


def metadata_name(wheel):
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return next(line for line in archive.read(name).decode().splitlines() if line.startswith("Name:"))


# -- greeting and asking --


def test_hello_tells_who_the_slave_is_and_what_it_builds_for(master, slaves, index):
    slaves("-t", "2h")
    _, hello = begin(master, index)
    verb, version, label, system, hardware, clock_ms, timeout_ms, offers, attempts, *_ = hello
    assert (verb, version, label, timeout_ms, attempts) == ("HELLO", VERSION, "test-a", 7200000, [])
    assert system and hardware and clock_ms > 1767225600000
    python = run(PYTHON, "-c", "import platform; print(platform.python_version())").stdout.strip()
    assert offers == [[ABI, PLATFORM, python]]


def test_idle_asks_for_one_build_and_tells_how_the_machine_fares(master, slaves, index):
    slaves()
    connection = master.accept()
    connection.greet(index.simple)
    _, slots, (load, memory, memory_free, disk, disk_free, _), shortage = connection.hear("IDLE")
    assert slots == 1 and load >= 0 and shortage == ""
    assert 0 < memory_free < memory and 0 < disk_free <= disk


def test_a_sleeping_slave_asks_again_when_it_is_woken(master, slaves, index):
    slaves()
    connection, _ = begin(master, index)
    connection.say("SLEEP", "")
    connection.say("WAKE")
    connection.hear("IDLE")


def test_wake_that_crosses_with_idle_changes_nothing(master, slaves, index):
    slave = slaves()
    connection, _ = begin(master, index)
    connection.say("WAKE")
    connection.say("SLEEP", "")
    connection.say("WAKE")
    connection.hear("IDLE")
    slave.signal(signal.SIGTERM)
    assert connection.hear_end() == ["BYE"]


# -- builds --

def test_what_a_build_required_is_told_with_its_hashes(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-cext")
    wheels = {path.name.split("-")[0]: path for path in pathlib.Path("/usr/share/python-wheels").glob("*.whl")}
    required = {name: (version, digest) for name, version, digest in message[REQUIRED]}
    assert set(required) == {"setuptools", "wheel"}
    for name, (version, digest) in required.items():
        assert wheels[name].name.split("-")[1] == version
        assert digest == hashlib.sha256(wheels[name].read_bytes()).digest()


def test_the_times_in_a_wheel_are_those_of_its_source(master, slaves, index):
    slaves()
    connection, message = built(master, index, "piwtest-cext", uploaded_s=1600000000)
    with zipfile.ZipFile(io.BytesIO(connection.fetch(message, 0))) as wheel:
        times = {member.date_time[:5] for member in wheel.infolist()}
    assert times == {time.gmtime(1600000000)[:5]}



def test_a_pure_package_is_built_and_sent(master, slaves, index):
    slave = slaves()
    connection, message = built(master, index, "piwtest-pure", version="0.2")
    _, attempt, outcome, reason, detail, wall_ms, cpu_ms, peak_bytes, log_bytes, files, environment, required, limits = message
    assert (attempt, outcome, reason, detail) == (7, "success", "", "")
    assert wall_ms > 0 and cpu_ms > 0 and peak_bytes > 1000000
    assert [name for name, *_ in files] == ["piwtest_pure-0.2-py3-none-any.whl"]
    system, python, pip, compiler, libc, timeout_ms, sandbox, network, override = environment
    assert all(environment[:8]) and "cc" in compiler and libc.startswith("glibc 2.") and timeout_ms == 600000
    assert (sandbox, network, override) == ("strict", "index", b"")
    assert all(limits) and limits[1:3] == [1024, 4096]
    assert {name for name, *_ in required} >= {"setuptools"}
    assert len(connection.log[7]) == log_bytes and b"piwtest-pure==0.2" in connection.log[7]
    wheel = connection.fetch(message, 0)
    assert metadata_name(wheel) == "Name: piwtest-pure"
    assert connection.fetch(message, 0) == wheel, "a file is sent as often as the master asks"
    assert slave.attempts() == ["attempt-7"]
    connection.say("DONE", 7, True, "published")
    connection.hear("IDLE")
    assert slave.attempts() == []


def test_a_c_extension_gets_the_tags_of_the_machine(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-cext")
    assert [name for name, *_ in message[FILES]] == [f"piwtest_cext-0.1-{ABI}-{ABI}-{PLATFORM}.whl"]


def test_the_right_hash_of_the_sdist_is_asked_of_pip(master, slaves, index):
    sha256 = index.sql("SELECT sha256 FROM file WHERE filename = 'piwtest-stdin-0.1.tar.gz'")[0][0]
    slaves()
    _, message = built(master, index, "piwtest-stdin", sha256=bytes.fromhex(sha256))
    assert message[2] == "success"


def test_a_wrong_hash_of_the_sdist_is_the_farms_failure(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-stdin", sha256=bytes(32))
    assert message[2:4] == ["farm", "wrong hash"] and "HASHES" in message[DETAIL]


def test_a_wheel_on_the_index_is_never_what_comes_back(master, slaves, index):
    slaves()
    _, message = built(master, index, "wheel", version="0.38.4")  # the index has it only as a wheel
    assert message[2:4] == ["failed", "no sdist"] and message[FILES] == []


def test_a_build_finds_its_stdin_at_an_end(master, slaves, index):
    slaves()
    connection, message = built(master, index, "piwtest-stdin")
    assert message[2] == "success"
    assert b"stdin ended after 0 bytes" in connection.log[7]


def test_a_flood_is_kept_by_its_head_and_its_tail(master, slaves, index):
    slaves()
    connection, message = built(master, index, "piwtest-floods")
    log = connection.log[7]
    assert message[2] == "success" and len(log) == message[LOG_BYTES] <= 5010000
    assert b"bytes were left out here]" in log
    first, last = b"the first line of the flood", b"the last line of the flood"
    assert first in log[:2500000] and last in log[-2500000:]


def test_a_compiler_error_is_named(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-nocompile")
    assert message[2:4] == ["failed", "missing header piwtest/no-such-header.h"] and "fatal error:" in message[DETAIL]
    assert message[FILES] == []


def test_a_build_without_a_wheel_has_failed(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-nowheel")
    assert message[2] == "failed" and message[FILES] == []


def test_a_wheel_that_lies_about_its_name_is_refused(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-liar")
    assert message[2:4] == ["failed", "bad wheel"] and "piwtest" in message[DETAIL]


def test_a_wheel_of_another_name_is_refused(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-misnamed")
    assert message[2:4] == ["failed", "bad wheel"]


def test_a_python_that_is_excluded_is_named(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-future")
    assert message[2:4] == ["failed", "requires python"]


def test_a_version_that_cannot_be_asked_for_is_not_given_to_pip(master, slaves, index):
    slaves()
    _, message = built(master, index, "piwtest-pure", version="0.1 --index-url=http://evil.example")
    assert message[2:4] == ["failed", "version"]


def test_an_index_that_is_away_is_the_farms_failure(master, slaves):
    slaves()
    connection = master.accept()
    connection.greet("http://127.0.0.1:9/simple")
    connection.hear("IDLE")
    build(connection, 7, "piwtest-pure")
    assert connection.hear("BUILT")[2:4] == ["farm", "network"]


def test_a_directory_that_cannot_be_made_is_the_farms_failure(master, slaves, index):
    slave = slaves()
    connection, _ = begin(master, index)
    shutil.rmtree(slave.builds)
    slave.builds.write_text("in the way")
    build(connection, 7, "piwtest-pure")
    assert connection.hear("BUILT")[2:4] == ["farm", "disk"]


def build_over_time(connection, attempts, package, words):
    """BUILT of a build that has said these words before its time limit came, and the limit: a slow machine needs a longer one."""
    for limit_s, attempt in zip((3, 12, 48), attempts):
        build(connection, attempt, package, timeout_s=limit_s)
        message = connection.hear("BUILT")
        if words in connection.log[attempt]:
            return message, limit_s
        connection.say("DONE", attempt, False, "too early")
        while connection.hear("IDLE")[1] == 0:  # it rests: pip may have waited for the index
            connection.say("SLEEP", "")
    raise AssertionError(f"{package} does not say {words} within {limit_s} s")


def test_the_time_limit_ends_the_daemon_too(master, slaves, index, folder):
    slave = slaves()
    connection, _ = begin(master, index)
    message, limit_s = build_over_time(connection, (7, 8, 9), "piwtest-sleeps", b"sleeping for ever")
    assert message[2:4] == ["failed", "timeout"] and f"time limit of {limit_s} s" in message[DETAIL]
    assert not processes_of_builds(folder)
    connection.say("DONE", message[1], False, "recorded")
    connection.hear("IDLE")
    assert slave.attempts() == []


def test_the_slaves_own_time_limit_applies_too(master, slaves, index):
    slaves("-t", "1h")
    _, message = built(master, index, "piwtest-stdin", timeout_s=7200)
    assert message[ENVIRONMENT][5] == 3600000


def test_stop_ends_a_build_with_every_process_and_file(master, slaves, index, folder):
    slave = slaves()
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-sleeps")
    connection.hear_output(7, b"sleeping for ever")
    assert processes_of_builds(folder)
    connection.say("STOP", 7, "the package was removed")
    connection.hear("IDLE")
    assert not processes_of_builds(folder) and slave.attempts() == []


def test_stop_and_cont_for_what_has_ended_are_passed_over(master, slaves, index):
    slaves()
    connection, message = built(master, index, "piwtest-stdin")
    connection.say("CONT", 7)
    connection.say("STOP", 7, "not wanted")
    connection.hear("IDLE")
    connection.say("STOP", 7, "crossed")
    connection.say("CONT", 7)
    connection.say("SLEEP", "")
    connection.say("WAKE")
    connection.hear("IDLE")


def test_nothing_of_the_slaves_environment_reaches_a_build(master, slaves, index, folder):
    slaves(env=clean_environment(HOME=folder, PIP_INDEX_URL="http://evil.example/", http_proxy="http://x"))
    connection, message = built(master, index, "piwtest-stdin")
    assert message[2] == "success" and b"evil.example" not in connection.log[7]


def test_a_large_file_waits_for_a_slow_master(master, slaves, large_package):
    master.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    slaves()
    connection, message = built(master, large_package, "piwtest-large")
    assert message[FILES][0][1] > 12000000
    wheel = connection.fetch(message, 0)
    assert metadata_name(wheel) == "Name: piwtest-large"
    connection.say("DONE", 7, True, "published")
    connection.hear("IDLE")


@pytest.mark.parametrize("verb", ["DONE", "STOP"])
def test_an_attempt_can_end_in_the_middle_of_a_file(master, slaves, large_package, verb):
    master.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    slave = slaves()
    connection, _ = built(master, large_package, "piwtest-large")
    connection.say("SEND", 7, 0)
    connection.hear("CHUNK")
    connection.say(*(["DONE", 7, False, "the disk is full"] if verb == "DONE" else ["STOP", 7, "not wanted"]))
    connection.ignored.add("CHUNK")
    connection.hear("IDLE")
    assert slave.attempts() == []


def test_a_second_send_in_the_middle_of_a_file_ends_the_connection(master, slaves, large_package):
    master.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    slave = slaves()
    connection, _ = built(master, large_package, "piwtest-large")
    connection.say("SEND", 7, 0)
    connection.hear("CHUNK")
    connection.say("SEND", 7, 0)
    slave.wait_line("the master said SEND, which has no place while sending")
    again = master.accept()
    again.greet(large_package.simple)
    again.fetch(again.hear("BUILT"), 0)


def test_a_file_that_is_gone_becomes_a_failure_of_the_farm(master, slaves, index):
    slave = slaves()
    connection, _ = built(master, index, "piwtest-stdin")
    shutil.rmtree(slave.builds / "attempt-7" / "wheels")
    connection.say("SEND", 7, 0)
    again = master.accept()
    again.greet(index.simple)
    message = again.hear("BUILT")
    assert message[2:4] == ["farm", "disk"] and message[FILES] == []


# -- lost and refused connections --


def test_a_build_goes_on_while_the_connection_is_lost(master, slaves, index):
    slave = slaves()
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-waits", version="1")
    connection.hear_output(7, b"waits for ~/go")
    connection.close()
    again = master.accept()
    hello = again.greet(index.simple)
    assert hello[8] == [[7]]
    assert again.hear_any()[0] == "BUSY", "at once, so that the lease lives"
    (slave.builds / "attempt-7" / "home" / "go").touch()
    message = again.hear("BUILT")
    assert message[2] == "success"
    assert len(again.log[7]) == message[LOG_BYTES], "the whole log came again"


def test_a_short_lease_is_kept_alive(master, slaves, index):
    slaves()
    connection = master.accept()
    connection.greet(index.simple, lease_ms=3000)
    connection.hear("IDLE")
    build(connection, 7, "piwtest-sleeps", timeout_s=18)
    for _ in range(3):
        connection.hear("BUSY")  # at the start and every second: every ten, BUILT would come before the third


def test_a_built_attempt_is_told_again_after_a_lost_connection(master, slaves, index):
    slaves()
    connection, message = built(master, index, "piwtest-stdin")
    connection.say("SEND", 7, 0)
    connection.close()
    again = master.accept()
    assert again.greet(index.simple)[8] == [[7]]
    same = again.hear("BUILT")
    assert same == message and again.log[7] == connection.log[7]
    again.fetch(same, 0)
    again.say("DONE", 7, True, "published")
    again.hear("IDLE")


@pytest.mark.parametrize("said, state", [
    (["ACK", 1, "http://127.0.0.1/simple", 300000], "asking"),
    (["CHUNK", 1, 0, 0, b"x"], "asking"),
    (["DATA", "{}"], "asking"),
    (["SEND", 9, 0], "not ours"),
    (["DONE", 9, True, ""], "not ours"),
])
def test_a_message_out_of_place_ends_the_connection_with_a_reason(master, slaves, index, said, state):
    slave = slaves()
    connection, _ = begin(master, index)
    connection.say(*said)
    slave.wait_line(rf"the master said {said[0]}, which has no place while .*{state}")
    assert connection.hear_end() == []
    begin(master, index)


def test_a_second_sleep_ends_the_connection(master, slaves, index):
    slave = slaves()
    connection, _ = begin(master, index)
    connection.say("SLEEP", "")
    connection.say("SLEEP", "")
    slave.wait_line("the master said SLEEP, which has no place while sleeping")


def test_a_second_build_ends_the_connection_but_not_the_first(master, slaves, index):
    slave = slaves()
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-sleeps")
    connection.hear_output(7, b"sleeping for ever")
    build(connection, 8, "piwtest-pure")
    slave.wait_line("the master said BUILD, which has no place while working")
    assert master.accept().hear("HELLO")[8] == [[7]]


def test_a_build_for_another_python_ends_the_connection(master, slaves, index):
    slave = slaves()
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-pure", abi="cp39")
    slave.wait_line("did not offer")


def test_a_file_that_was_not_made_ends_the_connection(master, slaves, index):
    slave = slaves()
    connection, _ = built(master, index, "piwtest-stdin")
    connection.say("SEND", 7, 1)
    slave.wait_line("a file that the build did not make")


def test_an_index_that_is_no_url_ends_the_connection(master, slaves):
    slave = slaves()
    connection = master.accept()
    connection.hear("HELLO")
    connection.say("ACK", 1, "--find-links=/etc", 300000)
    slave.wait_line("the master's index is not an http or https URL")


def test_a_master_of_another_version_ends_the_slave(master, slaves):
    slave = slaves()
    connection = master.accept()
    connection.hear("HELLO")
    connection.say("ERROR", f"the master is piwheels 9.9, the slave is {VERSION}; install the same version")
    assert slave.wait_end() == 1
    slave.wait_line("the master refuses: the master is piwheels 9.9")


def test_another_refusal_is_tried_again(master, slaves, index):
    slave = slaves()
    connection = master.accept()
    connection.hear("HELLO")
    connection.say("ERROR", "there is no target for cp311: piwheels target add")
    connection.close()
    slave.wait_line("the master refuses: there is no target")
    begin(master, index)


def test_a_master_that_is_away_is_tried_again(absent, slaves):
    slave = slaves(of=absent)
    slave.wait_line(r"no connection to .* \(tries again in (0\.[7-9]|1\.[0-3]) s")
    slave.wait_line(r"no connection to .* \(tries again in (1\.[5-9]|2\.[0-5]) s")
    assert slave.stop() == 0


@pytest.fixture
def notifications():
    """What systemd would hear; a function that waits for a message with these words."""
    with tempfile.TemporaryDirectory(prefix="piw-", dir="/tmp") as short, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{short}/notify")
        os.chmod(short, 0o755)
        os.chmod(f"{short}/notify", 0o777)
        listener.settimeout(60)

        def wait(words):
            while words not in (message := listener.recv(4096).decode()):
                pass
            return message

        wait.path = f"{short}/notify"
        yield wait


def test_systemd_is_told_ready_though_the_master_is_away(absent, slaves, folder, notifications):
    slaves(of=absent, env=clean_environment(HOME=folder, NOTIFY_SOCKET=notifications.path))
    notifications("READY=1")
    assert notifications("STATUS=") == f"STATUS=no connection to {absent.address} (0 of 1 builds)"


def test_systemd_is_told_whether_there_is_a_connection(master, slaves, index, folder, notifications):
    slaves(env=clean_environment(HOME=folder, NOTIFY_SOCKET=notifications.path))
    connection, _ = begin(master, index)
    notifications("STATUS=waiting for work")
    build(connection, 7, "piwtest-sleeps")
    notifications("STATUS=1 of 1 builds")
    connection.close()
    notifications(f"STATUS=no connection to {master.address} (1 of 1 builds)")
    connection = master.accept()
    connection.greet(index.simple)
    notifications("STATUS=1 of 1 builds")


# -- the end --


def test_die_ends_the_slave(master, slaves, index):
    slave = slaves()
    connection, _ = begin(master, index)
    connection.say("DIE", "no longer needed")
    assert connection.hear("BYE")[1]
    assert slave.wait_end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_build_leaves_nothing(master, slaves, index, folder, number):
    slave = slaves(directory=False, env=clean_environment(HOME=folder, TMPDIR=folder))
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-sleeps")
    connection.hear_output(7, b"sleeping for ever")
    assert list(folder.glob("piwheels-slave-*/attempt-7")) and processes_of_builds(folder)
    slave.signal(number)
    assert "BYE" in connection.hear_end()
    assert slave.wait_end() == 0
    assert not processes_of_builds(folder) and not list(folder.glob("piwheels-slave-*"))


def test_a_directory_of_its_own_is_private(master, slaves, index, folder):
    slaves(directory=False, env=clean_environment(HOME=folder, TMPDIR=folder))
    begin(master, index)
    (made,) = folder.glob("piwheels-slave-*")
    assert made.stat().st_mode & 0o777 == 0o700


def test_the_own_directory_of_a_killed_slave_goes_with_the_next_start_and_that_of_a_living_one_stays(master, slaves, index, folder):
    environment = clean_environment(HOME=folder, TMPDIR=folder)
    first = slaves(directory=False, env=environment)
    begin(master, index)
    killed, = folder.glob("piwheels-slave-*")
    first.kill()
    slaves(directory=False, env=environment)
    begin(master, index)
    living, = folder.glob("piwheels-slave-*")
    assert living != killed
    slaves(directory=False, env=environment)
    begin(master, index)
    assert living.exists() and len(list(folder.glob("piwheels-slave-*"))) == 2


def test_what_a_killed_slave_left_is_removed_at_the_next_start(master, slaves, index):
    first = slaves()
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-stdin")
    connection.hear("BUILT")
    first.kill()
    assert first.attempts() == ["attempt-7"]
    second = slaves()
    begin(master, index)
    assert second.attempts() == []


def test_two_slaves_never_share_a_directory(master, slaves, index):
    slaves()
    begin(master, index)
    second = slaves()
    assert second.wait_end() == 1
    second.wait_line("another slave builds in .*--dir")


# -- what it refuses to start with --


def test_root_is_refused():
    done = run(*([] if RUNNING_AS_ROOT else ["unshare", "-r"]), PIWHEELS, "slave")
    assert done.returncode == 1 and "root" in done.stderr


def test_a_python_that_is_not_there_is_refused(slaves):
    slave = slaves("--python", "/nonexistent/python3")
    assert slave.wait_end() == 1
    slave.wait_line("/nonexistent/python3")


def test_a_python_without_pip_is_refused_by_the_name_of_the_package(slaves, folder):
    python = folder / "python3"
    python.write_text("#!/bin/sh\necho 'no it has no pip; on Debian: apt install python3-pip'\n")
    python.chmod(0o755)
    slave = slaves("--python", python)
    assert slave.wait_end() == 1
    slave.wait_line("cannot be used for builds: it has no pip; on Debian: apt install python3-pip")


def test_a_label_with_a_slash_is_refused(slaves):
    slave = slaves("-L", "a/b")
    assert slave.wait_end() == 1
    slave.wait_line("'a/b' cannot be a label")


def test_a_time_limit_of_nothing_is_refused(slaves):
    slave = slaves("-t", "0")
    assert slave.wait_end() == 2

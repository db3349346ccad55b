"""The sandbox of builds: its proof at the slave's start, what each level promises, and what a build reaches."""
import os
import pathlib
import re
import select
import shutil
import signal

import pytest

from harness import LIMIT_S, PIWHEELS, Process, clean_environment, run
from test_slave import begin, build, built, folder, index, master, processes_of_builds, slaves  # noqa: F401 fixtures

BASIC = ["read the slave's files", "write in the slave's directory", "leave files in /tmp", "write where it is not counted",
         "see other processes", "signal other processes", "outlive its build", "share memory with others",
         "gain privileges by exec"]
NETWORK = ["reach this machine's services", "reach other machines", "reach abstract sockets"]
KERNEL = ["trace processes", "make setuid files", "make namespaces", "use rare socket families", "hold memory of no process",
          "use the kernel's keyring", "use io_uring", "use userfaultfd", "use perf events"]
ROWS = BASIC + NETWORK + KERNEL

# A bwrap that makes no sandbox: the command runs as it is, in the build's directory.
OPEN_BWRAP = """#!/usr/bin/python3
import os, sys
words = sys.argv[1:]
build = words[words.index("/build") - 1]
command = [word.replace("/run/piwheels/piwheels", os.readlink("/proc/%d/exe" % os.getppid())) if "/piwheels/" in word else
           build if word == "/build" else word for word in words[words.index("--") + 1:]]
os.execv(command[0], command)
"""


def check(*options, **environment):
    return run(PIWHEELS, "slave", "--check-sandbox", *options, env=clean_environment(**environment))


def matrix(text):
    """Row -> (outside, inside, result)."""
    return {line[:33].strip(): tuple(re.split(r" {2,}", line[33:].strip(), maxsplit=2))
            for line in text.splitlines()[2:]}


@pytest.fixture(scope="module")
def strict():
    done = check()
    assert done.returncode == 0, done.stderr
    return matrix(done.stdout)


@pytest.fixture
def other_bwrap(tmp_path):
    """Makes the slave find this bwrap; what to add to its environment."""
    def make(script):
        path = tmp_path / "bin" / "bwrap"
        path.parent.mkdir()
        path.write_text(script)
        path.chmod(0o755)
        return {"PATH": f"{path.parent}:{os.environ['PATH']}"}
    return make


# ---- the proof ---------------------------------------------------------------------------------------

def test_the_matrix_has_every_row(strict):
    assert list(strict) == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_strict_sandbox_stops(strict, row):
    outside, inside, result = strict[row]
    assert inside == "no"
    assert result == ("stopped" if outside == "yes" else "unproven")


@pytest.mark.parametrize("row", BASIC + NETWORK[:1] + KERNEL[:4])
def test_on_any_machine_there_is_something_to_be_stopped(strict, row):
    assert strict[row][0] == "yes", "nothing of this needs more than an ordinary user"


def test_a_basic_sandbox_promises_files_and_processes():
    done = check("--sandbox", "basic")
    assert done.returncode == 0
    rows = matrix(done.stdout)
    assert all(rows[row][1:] == ("no", "stopped") for row in BASIC)
    assert all(rows[row][2] == "not claimed" for row in NETWORK + KERNEL)
    assert rows["reach this machine's services"][1] == "yes"
    assert "basic builds reach the whole network, whatever --network says" in done.stderr


def test_with_the_whole_network_the_rest_is_still_stopped():
    rows = matrix(check("--network", "all").stdout)
    assert all(rows[row][2] == "not claimed" for row in NETWORK)
    assert all(rows[row][1] == "no" for row in BASIC + KERNEL)


def test_a_sandbox_that_does_not_hold_is_refused_with_every_way_out(other_bwrap):
    done = check(**other_bwrap(OPEN_BWRAP))
    assert done.returncode == 1
    rows = matrix(done.stdout)
    for row, (outside, inside, result) in rows.items():
        assert inside == outside, row
        assert result == ("open" if inside == "yes" else "unproven"), row
        assert (row in done.stderr) == (inside == "yes"), row
    assert "the sandbox is not tight: a build could read the slave's files, " in done.stderr


def test_nothing_of_the_trial_stays(tmp_path):
    trial = Process(PIWHEELS, "slave", "--check-sandbox", "-d", tmp_path / "builds", env=clean_environment(TMPDIR=tmp_path))
    assert trial.wait_end() == 0
    assert [path.name for path in (tmp_path / "builds").iterdir()] == ["lock"]
    left = f"piwheels-escaped-{os.getuid()}-{trial.process.pid}"  # others may be trying their own just now
    assert not any(pathlib.Path(place, left).exists() for place in ("/tmp", "/var/tmp"))


def test_the_proof_is_told_to_the_master(master, slaves, index, strict):
    slaves()
    _, hello = begin(master, index)
    assert hello[9:11] == ["strict", "index"]
    assert {name: result for name, result in hello[11]} == {row: strict[row][2] for row in ROWS}


# ---- where there is none -----------------------------------------------------------------------------

def test_without_bubblewrap_the_slave_says_what_to_install(tmp_path):
    (tmp_path / "bin").mkdir()
    done = check(PATH=tmp_path / "bin")
    assert done.returncode == 1 and "apt install bubblewrap" in done.stderr


def test_without_user_namespaces_the_slave_says_where_to_read_on(other_bwrap):
    words = "bwrap: No permissions to create new namespace, likely because the kernel does not allow it"
    done = check(**other_bwrap(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n"))
    assert done.returncode == 1
    assert words in done.stderr and "SANDBOX in piwheels-slave(1)" in done.stderr and "--sandbox none" in done.stderr


@pytest.mark.parametrize("option, value", [("--sandbox", "tight"), ("--network", "some")])
def test_a_level_that_there_is_not_is_refused(option, value):
    done = check(option, value)
    assert done.returncode == 2 and f'{option}: "{value}" is none of ' in done.stderr


def test_none_warns_loudly_and_builds(master, slaves, index, folder):
    slave = slaves("--sandbox", "none")
    _, hello = begin(master, index)
    slave.wait_line("builds run WITHOUT A SANDBOX")
    assert hello[9:12] == ["none", "all", []]
    build(master.connections[0], 7, "piwtest-stdin")
    assert master.connections[0].hear("BUILT")[2] == "success"


def test_basic_builds(master, slaves, index):
    slaves("--sandbox", "basic")
    _, message = built(master, index, "piwtest-cext")
    assert message[2] == "success"


def test_a_python_in_the_slaves_home_is_refused(tmp_path):
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to("/usr/bin/python3")
    done = check("--python", python, HOME=tmp_path)
    assert done.returncode == 1
    assert f"would see all of {tmp_path}" in done.stderr and "below /opt or /usr/local" in done.stderr


def test_a_python_of_its_own_place_builds(master, slaves, index, folder):
    python = folder / "python" / "bin" / "python3"
    done = run("/usr/bin/python3", "-m", "venv", "--system-site-packages", "--without-pip", folder / "python")
    assert done.returncode == 0, done.stderr
    slaves("--python", python, env=clean_environment(HOME=folder / "home"))
    _, message = built(master, index, "piwtest-stdin")
    assert message[2] == "success"


def test_a_sandbox_that_is_gone_is_the_farms_failure(master, slaves, index, other_bwrap):
    environment = other_bwrap(f"#!/bin/sh\nexec {shutil.which('bwrap')} \"$@\"\n")
    slaves(env=clean_environment(HOME="/nonexistent", **environment))
    connection, _ = begin(master, index)
    pathlib.Path(environment["PATH"].split(":")[0], "bwrap").write_text("#!/bin/sh\necho 'bwrap: no more namespaces' >&2\nexit 1\n")
    build(connection, 7, "piwtest-stdin")
    assert connection.hear("BUILT")[2:5] == ["farm", "no sandbox", "bwrap: no more namespaces"]


# ---- the end of the slave ------------------------------------------------------------------------------

def test_no_process_survives_a_killed_slave(master, slaves, index, folder):
    slave = slaves()
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-sleeps")
    connection.hear_output(7, b"sleeping for ever")
    living = [os.pidfd_open(pid) for pid in processes_of_builds(folder)]
    assert len(living) > 2
    slave.signal(signal.SIGKILL)
    slave.wait_end()
    for process in living:
        wait_for_end_of(process)


def wait_for_end_of(process):
    """A descriptor of a process (pidfd_open(2)) is readable when it has ended."""
    assert select.select([process], [], [], LIMIT_S)[0]
    os.close(process)

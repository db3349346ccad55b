"""One slave that runs several builds at once, and with several Pythons: what they share, and what none of them may do to
another.
"""
import contextlib
import pathlib
import re
import socket
import threading

import pytest

from harness import PIWHEELS, PYTHON, Process, clean_environment
from waiting import PACKAGE, Waiting, wait_tried, waiting


def of_status(farm, label="slave-a"):
    """What the status says of a slave."""
    found, = [slave for slave in farm.status()["slaves"] if slave["label"] == label]
    return found


# -- at once --


def test_two_builds_run_at_once_and_a_third_waits_for_a_place(farm):
    farm.start_master()
    farm.start_slave("--jobs", "2")
    first, second = waiting(farm, "1", "2")
    status = of_status(farm)
    assert (status["state"], status["build_count"], status["jobs"]) == ("building", 2, 2)
    assert sorted(build["version"] for build in status["builds"]) == ["1", "2"]
    farm.add(PACKAGE, "3")
    told = farm.tool("status").stdout
    assert re.search(rf"slave-a +building +2 of 2\n +{PACKAGE} [12], build \d+, .*\n +{PACKAGE} [12], build \d+, ", told), told
    assert all(len(line) <= 80 for line in told.split("\n")), told
    first.let_go()
    first.wait_built()
    third = Waiting(farm, "3").wait()
    assert of_status(farm)["build_count"] == 2
    third.let_go()
    third.wait_built()
    second.let_go()
    second.wait_built()
    wait_tried(farm, "1|success|", "2|success|", "3|success|")


def test_a_free_place_is_filled_while_another_build_goes_on(farm):
    farm.start_master()
    slave = farm.start_slave("--jobs", "2")
    slave.wait_line("connected to .*2 at once")
    first, = waiting(farm, "1")
    second, = waiting(farm, "2")
    for build in (second, first):
        build.let_go()
        build.wait_built()


def test_what_one_build_leaves_behind_dies_with_it_and_nothing_of_the_other(farm):
    farm.start_master()
    slave = farm.start_slave("--jobs", "2", "--sandbox", "none")
    survivor, = waiting(farm, "1")
    farm.add("piwtest-sleeps")
    attempt = farm.master.wait_line(r"builds piwtest-sleeps 0.1 for \S+ \(build (\d+)\)").group(1)
    followed = Process(PIWHEELS, "logs", "-f", attempt, "--control-socket", farm.socket)
    followed.wait_line("sleeping for ever")
    followed.kill()
    assert len(daemons(farm)) == 1
    assert farm.tool("remove", "-y", "piwtest-sleeps").returncode == 0
    other, = waiting(farm, "2")  # in the same place, so nothing is left there
    assert not daemons(farm)
    for build in (survivor, other):
        build.let_go()
        build.wait_built()
    assert slave.stop() == 0


def daemons(farm):
    """What piwtest-sleeps has left on the slave."""
    return [path for path in pathlib.Path("/proc").glob("[0-9]*/environ")
            if str(farm.directory).encode() in words_of(path) and words_of(path.with_name("cmdline")).startswith(b"piwtest-sleeps-daemon\0")]


def words_of(path):
    try:
        return path.read_bytes()
    except OSError:  # gone, or somebody else's
        return b""


def test_a_build_that_is_not_wanted_any_more_is_stopped_while_another_goes_on(farm):
    farm.start_master()
    slave = farm.start_slave("--jobs", "2")
    unwanted, wanted = waiting(farm, "1", "2")
    done = farm.tool("remove", "-y", PACKAGE, "1")
    assert done.returncode == 0, done.stderr
    slave.wait_line(rf"attempt {unwanted.attempt} is to be stopped")
    third, = waiting(farm, "3")
    assert not unwanted.directory.exists()
    for build in (wanted, third):
        build.let_go()
        build.wait_built()


def act(farm, action):
    number = of_status(farm)["slave"]
    with farm.scripted_tool() as tool:
        tool.say("ACT", of_version(farm), action, number)
        return tool.expect("DONE")[2]


def of_version(farm):
    return farm.status()["version"]


def test_actions_are_for_all_builds_of_a_slave(farm):
    farm.start_master()
    slave = farm.start_slave("--jobs", "3")
    first, second = waiting(farm, "1", "2")
    assert "it finishes its 2 builds first" in act(farm, "pause")
    farm.add(PACKAGE, "3")
    first.let_go()
    first.wait_built()
    assert of_status(farm)["state"] == "pausing"
    assert "it gets builds again" in act(farm, "resume")
    third = Waiting(farm, "3").wait()
    assert "its 2 builds are given back and tried again later" in act(farm, "skip")
    for build in (second, third):
        slave.wait_line(rf"attempt {build.attempt} is to be stopped \(skipped by hand\)")
    wait_tried(farm, "1|success|", "2|farm|skipped by hand", "3|farm|skipped by hand")


def test_a_stopped_slave_ends_behind_the_last_of_its_builds(farm):
    farm.start_master()
    slave = farm.start_slave("--jobs", "2")
    first, second = waiting(farm, "1", "2")
    assert "it ends when its 2 builds have ended" in act(farm, "stop")
    first.let_go()
    first.wait_built()
    assert of_status(farm)["state"] == "stopping"
    second.let_go()
    assert slave.wait_end() == 0
    wait_tried(farm, "1|success|", "2|success|")


def test_a_killed_slave_gives_all_its_builds_back(farm):
    farm.start_master()
    slave = farm.start_slave("--jobs", "2")
    waiting(farm, "1", "2")
    assert "its 2 builds are given back" in act(farm, "kill")
    assert slave.wait_end() == 0
    wait_tried(farm, "1|farm|killed by hand", "2|farm|killed by hand")


def test_jobs_and_pythons_that_are_none_are_refused(farm):
    farm.start_master()
    for words, said in [(["--jobs", "0"], "--jobs is auto or a number from 1 to 64, not \"0\""),
                        (["--jobs", "all"], "--jobs is auto or a number from 1 to 64, not \"all\""),
                        (["--python", PYTHON, "--python", "/nonexistent/python3"], "/nonexistent/python3"),
                        (["--python", PYTHON, "--python", PYTHON], f"{PYTHON} and {PYTHON} both build for")]:
        slave = Process(farm.program, "slave", "--master", farm.address, "-d", farm.directory / "refused", *words,
                        env=clean_environment(HOME=farm.directory))
        assert slave.wait_end() in (1, 2)
        assert said in slave.output()


# -- a lost connection --


class Cable:
    """Between a slave and the master; a test can cut it."""

    def __init__(self, farm):
        self.farm = farm
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.ends = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
                host, port = self.farm.address.rsplit(":", 1)
                far = socket.create_connection((host, int(port)))
            except OSError:  # closed; or nobody listens
                return
            self.ends += [near, far]
            for here, there in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(here, there), daemon=True).start()

    @staticmethod
    def _pass(here, there):
        try:
            while data := here.recv(65536):
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)
        except OSError:  # cut
            pass

    def cut(self):
        for end in self.ends:
            with contextlib.suppress(OSError):  # what was done to one end may have reached the other
                end.shutdown(socket.SHUT_RDWR)
        self.ends = []

    def close(self):
        self.server.close()
        self.cut()


@pytest.fixture
def cable(farm):
    made = Cable(farm)
    yield made
    made.close()


def test_two_builds_go_on_while_the_connection_is_lost_and_are_published(farm, cable):
    farm.start_master()
    slave = farm.start_slave("--jobs", "2", "--master", cable.address)
    first, second = waiting(farm, "1", "2")
    first.let_go()
    first.wait_built()
    third, = waiting(farm, "3")
    lost = slave.mark()
    cable.cut()
    slave.wait_line("no connection to", lost)
    third.let_go()
    slave.wait_line(rf"built {PACKAGE} 3 ", lost)
    slave.wait_line("connected to", lost)
    third.wait_built()
    second.let_go()
    second.wait_built()
    wait_tried(farm, "1|success|", "2|success|", "3|success|")


# -- several Pythons --


def make_python(farm, abi, version):
    """The machine's own, which says that it is another and tells its builds to say so too. Its path."""
    program = farm.directory / abi / "bin" / "python3"
    program.parent.mkdir(parents=True)
    program.write_text(f"""#!/bin/sh
if [ "$2" = -c ]; then
    echo "yes {abi} linux_x86_64 {version} 23.0.1"
    exit
fi
export PIWTEST_TAG={abi}-{abi}-linux_x86_64
exec {PYTHON} "$@"
""")
    program.chmod(0o755)
    return program


@pytest.fixture
def two_pythons(farm):
    """Its slave offers both targets, and is accepted for both."""
    farm.sql("DELETE FROM target; SELECT target_add('first', 'cp398', 'linux_x86_64', ''), "
             "target_add('second', 'cp399', 'linux_x86_64', ''); UPDATE target SET judging = false")
    farm.pythons = [make_python(farm, "cp398", "3.98.1"), make_python(farm, "cp399", "3.99.2")]
    farm.options = ["--python", farm.pythons[0], "--python", farm.pythons[1]]
    return farm


def test_one_slave_builds_with_two_pythons_at_once(two_pythons):
    farm = two_pythons
    farm.start_master()
    slave = farm.start_slave("--jobs", "2", *farm.options)
    slave.wait_line("builds for cp398 on linux_x86_64 and cp399 on linux_x86_64, 2 at once")
    assert of_status(farm)["targets"] == ["first", "second"]
    first, = waiting(farm, "1")
    begun = farm.master.mark()
    first.let_go()
    first.wait_built()
    second = Waiting(farm, "1", after=begun).wait()
    third, = waiting(farm, "2")
    assert (first.target, second.target, third.target) == ("first", "second", "first")
    for build in (second, third):
        build.let_go()
        build.wait_built()
    names = {path.name for path in (farm.output / "simple" / PACKAGE).glob("*.whl")}
    assert names >= {"piwtest_waits-1-cp398-cp398-linux_x86_64.whl", "piwtest_waits-1-cp399-cp399-linux_x86_64.whl",
                     "piwtest_waits-2-cp398-cp398-linux_x86_64.whl"}
    made = [farm.sql(f"SELECT record->>'python' FROM build WHERE id = {build.attempt}") for build in (first, second)]
    assert made == ["3.98.1", "3.99.2"]


def test_a_slave_builds_only_for_the_targets_that_it_is_accepted_for(two_pythons):
    farm = two_pythons
    farm.start_master()
    farm.start_slave("--jobs", "2", *farm.options)
    first, = waiting(farm, "1")
    done = farm.tool("slaves", "accept", "slave-a", "--targets", "second")
    assert done.returncode == 0, done.stderr
    farm.master.wait_line(rf"build {first.attempt} is stopped: the slave is not accepted for this target any more")
    assert of_status(farm)["targets"] == ["second"] and of_status(farm)["builds"] == []
    wait_tried(farm, "1|farm|not accepted")


def test_a_build_for_a_target_that_was_taken_away_meanwhile_is_not_taken_up_again(two_pythons, cable):
    farm = two_pythons
    farm.start_master()
    slave = farm.start_slave("--jobs", "2", "--master", cable.address, *farm.options)
    first, = waiting(farm, "1")
    farm.sql("UPDATE slave SET allowed = 2 WHERE label = 'slave-a'")
    cable.cut()
    slave.wait_line(rf"attempt {first.attempt} is to be stopped \(the slave is not accepted for this target any more\)")

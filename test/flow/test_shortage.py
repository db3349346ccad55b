"""A slave whose disk, inodes or memory run short: it takes no new builds and says so, and gives its newest build up before all
of them fail.
"""
import contextlib
import os
import pathlib
import re
import signal

import pytest

from waiting import PACKAGE, Waiting, wait_tried, waiting

MB = 1000000
DISK_MB, FILES = 100, 3000
ALONE = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c",
         f"mount -t tmpfs -o size={DISK_MB * MB},nr_inodes={FILES} tmpfs $0 && "
         "exec setpriv --inh-caps=-all --ambient-caps=-all \"$@\""]


class SmallDisk:
    """A real slave whose builds happen on a small file system of their own, which the test can fill."""

    def __init__(self, farm, *options):
        self.farm = farm
        self.directory = farm.directory / "build-slave-a"
        self.directory.mkdir()
        self.slave = farm.start_slave("--jobs", "3", "--min-free", "40000000", "--min-free-files", "1000", *options,
                                      within=[*ALONE, self.directory])
        self.slave.wait_line("connected to")
        self.root = f"/proc/{self.slave.process.pid}/root"

    def path(self, name):
        return pathlib.Path(f"{self.root}{self.directory}", name)

    @contextlib.contextmanager
    def unseen(self):
        """The slave sees only what has become of its disk, not how."""
        self.slave.signal(signal.SIGSTOP)
        os.waitpid(self.slave.process.pid, os.WUNTRACED)
        yield
        self.slave.signal(signal.SIGCONT)

    def fill_bytes(self, left_mb, where="full"):
        with self.unseen(), open(self.path(where), "wb") as file:
            free = os.statvfs(self.path(".")).f_bavail * os.statvfs(self.path(".")).f_frsize
            os.posix_fallocate(file.fileno(), 0, free - left_mb * MB)

    def fill_files(self, left, where="full"):
        with self.unseen():
            self.path(where).mkdir()
            for number in range(os.statvfs(self.path(".")).f_favail - left):
                self.path(where).joinpath(str(number)).touch()

    def empty(self, where="full"):
        for path in self.path(where).iterdir() if self.path(where).is_dir() else [self.path(where)]:
            path.unlink()

    def status(self):
        slave, = self.farm.status()["slaves"]
        return slave


LOW = {"disk": (lambda disk: disk.fill_bytes(20), r"(19|20) MB of disk are free, 40 are wanted \(--min-free\)"),
       "files": (lambda disk: disk.fill_files(500), r"500 files \(inodes\) of the disk are free, 1000 are wanted")}


@pytest.mark.parametrize("what", LOW)
def test_a_slave_that_is_low_on_room_takes_no_new_builds_until_there_is_more(farm, what):
    fill, words = LOW[what]
    farm.start_master()
    disk = SmallDisk(farm)
    first, = waiting(farm, "1", root=disk.root)
    fill(disk)
    disk.slave.wait_line(f"takes no new builds: {words}")
    farm.master.wait_line(rf"slave \d+ \(slave-a\): takes no new builds: {words}")
    farm.add(PACKAGE, "2")
    status = disk.status()
    assert status["state"] == "low" and re.fullmatch(f"{words}.*", status["shortage"])
    assert [build["version"] for build in status["builds"]] == ["1"], "what has begun goes on"
    told = farm.tool("status").stdout
    assert re.search(rf"slave-a +low +1 of 3\n +{PACKAGE} 1, .*\n +takes no new builds:\n +{words}", told), told
    first.let_go()
    first.wait_built()
    assert farm.sql("SELECT count(*) FROM job WHERE attempt IS NULL") == "1"

    disk.empty()
    disk.slave.wait_line("takes new builds again")
    farm.master.wait_line("takes new builds again")
    second = Waiting(farm, "2", root=disk.root).wait()
    assert disk.status()["state"] == "building"
    second.let_go()
    second.wait_built()
    wait_tried(farm, "1|success|", "2|success|")


def test_a_slave_that_is_low_on_memory_says_so_from_the_start(farm):
    farm.start_master()
    slave = farm.start_slave("--jobs", "2", "--min-free-memory", "1000T")
    farm.master.wait_line(r"\(slave-a\): takes no new builds: \d+ MB of memory are free, 1099511627 are wanted \(--min-free-memory\)")
    farm.add(PACKAGE, "1")
    status, = farm.status()["slaves"]
    assert (status["state"], status["builds"]) == ("low", [])
    assert farm.sql("SELECT count(*) FROM job WHERE attempt IS NULL") == "1"
    assert slave.stop() == 0


TOO_LOW = {"low disk": lambda disk, where: disk.fill_bytes(5, where), "low files": lambda disk, where: disk.fill_files(50, where)}


@pytest.mark.parametrize("reason", TOO_LOW)
def test_the_newest_build_is_given_up_when_room_gets_too_low_and_the_others_go_on(farm, reason):
    farm.start_master()
    disk = SmallDisk(farm)
    older, = waiting(farm, "1", root=disk.root)
    newest, = waiting(farm, "2", root=disk.root)
    TOO_LOW[reason](disk, newest.directory / "home" / "full")
    disk.slave.wait_line(f"ends its newest build, attempt {newest.attempt}: ")
    farm.master.wait_line(rf"failed to build {PACKAGE} 2 .*\(build {newest.attempt}, farm, {reason}: .* are free, .* are wanted")
    disk.slave.wait_line("takes new builds again")  # for what it had written is gone
    older.let_go()
    older.wait_built()
    wait_tried(farm, "1|success|", f"2|farm|{reason}")
    assert b"are wanted" in farm.log_of(newest.attempt)

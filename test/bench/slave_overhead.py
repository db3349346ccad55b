"""What a slave adds to a build: the sandbox, the watch over it, the log and the way of the wheel to the master, over the same
`pip wheel` by itself. bench.py runs it.

Builds by the slave and bare ones take turns, so that both meet the same machine; medians are compared.
"""
import os
import pathlib
import re
import statistics
import subprocess
import time

from harness import LoopbackPyPI, PIWHEELS, PYTHON, Process, clean_environment, run
from scripted_master import ScriptedMaster

PACKAGES = pathlib.Path(__file__).resolve().parents[1] / "packages"
WHEELS = "/usr/share/python-wheels"
AIM_MS, AIM_PERCENT, AIM_MB = 150, 5, 12


def native():
    words = "import sys, sysconfig; print('cp%d%d' % sys.version_info[:2], sysconfig.get_platform())"
    return run(PYTHON, "-c", words).stdout.replace("-", "_").split()


class Builds:
    """A slave with its scripted master, and an index of our sdists."""

    def __init__(self, directory):
        self.directory = directory
        run(PACKAGES / "make-sdists", directory / "sdists")
        self.index = LoopbackPyPI(directory, directory / "sdists", WHEELS)
        self.master = ScriptedMaster()
        (directory / "home").mkdir()
        self.slave = Process(PIWHEELS, "slave", "-m", self.master.address, "-L", "bench", "--insecure", "-d", directory / "builds",
                             env=clean_environment(HOME=directory / "home"))
        self.connection = self.master.accept()
        self.connection.greet(self.index.simple)
        self.connection.hear("IDLE")
        self.attempts = 0

    def by_slave(self, package):
        """Seconds from BUILD to the last byte of the wheel."""
        self.attempts += 1
        begun = time.monotonic()
        self.connection.build(self.attempts, package, "0.1", native_words)
        built = self.connection.hear("BUILT")
        if built[2] != "success":
            raise SystemExit(f"bench: {package} was not built: {built[2:5]}")
        self.connection.fetch(built, 0)
        took = time.monotonic() - begun
        self.connection.say("DONE", self.attempts, True, "published")
        self.connection.hear("IDLE")
        return took

    def bare(self, package):
        """Seconds of the same pip, in a directory of its own, its output read to the end."""
        folder = self.directory / f"bare-{time.monotonic_ns()}"
        for name in ("home", "tmp", "wheels"):
            (folder / name).mkdir(parents=True)
        (folder / "requirements.txt").write_text(f"{package}==0.1\n")
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "LANG": "C.UTF-8",
                       "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                       "PIP_NO_CACHE_DIR": "1", "MAKEFLAGS": f"-j{os.cpu_count()}"}
        begun = time.monotonic()
        subprocess.run([PYTHON, "-m", "pip", "-v", "--isolated", "--no-input", "--disable-pip-version-check", "wheel", "--no-deps",
                        "--no-cache-dir", "--use-pep517", "--no-binary", package, "--wheel-dir", "wheels", "--progress-bar", "off",
                        "-r", "requirements.txt", "--index-url", self.index.simple], cwd=folder, env=environment, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return time.monotonic() - begun

    def memory_mb(self, key):
        status = pathlib.Path(f"/proc/{self.slave.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"{key}:\s+(\d+) kB", status).group(1)) / 1024

    def close(self):
        self.slave.stop()
        self.master.close()
        self.index.stop()


native_words = native()


def measure(builds, package, rounds):
    """Medians of both, in seconds; the first of several pairs only warms the caches."""
    pairs = [(builds.by_slave(package), builds.bare(package)) for _ in range(rounds)][1 if rounds > 1 else 0:]
    return [statistics.median(column) for column in zip(*pairs)]


def slave_overhead(report, directory, small):
    builds = Builds(directory)
    try:
        for package, kind, rounds in (("piwtest-pure", "pure Python", 10), ("piwtest-cext", "a C extension", 10)):
            ours, bare = measure(builds, package, 1 if small else rounds)
            workload = f"{package}, {kind}, through setuptools: {ours * 1000:.0f} ms by the slave, {bare * 1000:.0f} ms bare"
            report("slave-overhead", (ours - bare) * 1000, "ms", AIM_MS, "ms", f"{workload}; limit: the aim")
            report("slave-overhead-share", (ours - bare) / bare * 100, "%", AIM_PERCENT, "%", f"{workload}; limit: the aim")
        report("slave-memory", builds.memory_mb("VmHWM"), "MB", AIM_MB, "MB", "peak resident size of the slave behind those "
               f"builds, of which {builds.memory_mb('RssFile'):.1f} MB are pages of shared libraries; limit: the aim")
    finally:
        builds.close()

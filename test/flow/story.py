"""A build as a story that can be broken off anywhere and gone on with, and the look at what it left behind.

Used by the tests that pull plugs: whatever happens to the master or the database, the slave here does what the real one does:
it keeps its attempt, connects again, and goes on where the master wants it to.
"""
import gzip
import hashlib
import threading
import time

from harness import LIMIT_S
from protocol import Closed
from wheels import make_wheel

LOG = b"a log of several words\n" * 5000


class Story:
    """One version of one package, from its job to its page."""

    def __init__(self, farm, package, *, fails=False):
        self.farm = farm
        self.package = package
        self.fails = fails
        self.wheel = make_wheel(package, padding=70000)
        self.attempt = None
        self.slave = None
        self.thread = None
        self.offers = farm.offers()
        farm.accept(f"of-{package}")  # while the database is there for certain
        farm.order(package)

    def is_recorded(self):
        outcome = "failed" if self.fails else "success"
        return self.farm.sql(f"""SELECT count(*) FROM build b JOIN version v ON v.id = b.version
            JOIN package p ON p.id = v.package WHERE p.name = '{self.package}' AND outcome = '{outcome}'""") == "1"

    # ---- the slave ----

    def work(self):
        """One connection, until the build is recorded or the master is gone."""
        try:
            with self.farm.scripted_slave(f"of-{self.package}", offers=self.offers) as self.slave:
                self.slave.hello([self.attempt] if self.attempt else [])
                if self.slave.hear()[0] != "ACK":
                    raise Closed
                while not self._build():
                    pass
        except (Closed, OSError):
            pass

    def _build(self):
        """True when the master has said that the result is good, or that of a failure is noted."""
        if self.attempt is None:
            self.attempt = self.slave.ask().attempt
        if self.fails:
            self.slave.tell_log(self.attempt, LOG)
            self.slave.built(self.attempt, "failed", reason="compile", detail="no such header", log_bytes=len(LOG))
        else:
            self.slave.report(self.attempt, [self.wheel], LOG)
        while True:
            verb, *fields = self.slave.hear()
            if verb == "SEND":
                self.slave.send_file(self.attempt, fields[1], self.wheel[1])
            elif verb == "DONE":
                self.attempt = None
                return fields[1] or (self.fails and self.is_recorded())
            elif verb == "STOP":
                self.attempt = None
                return self.is_recorded()
            else:
                raise Closed

    def begin(self):
        """Works beside the test."""
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def join(self):
        if self.thread:
            self.thread.join(60)
            assert not self.thread.is_alive(), f"the slave of {self.package} waits in vain"
        self.thread = None

    # ---- the end ----

    def finish(self):
        """To the end, with a master that stays alive; then looks at everything."""
        self.join()
        limit = time.monotonic() + LIMIT_S
        while not self.is_recorded():
            assert time.monotonic() < limit, self.farm.master.output()[-6000:]
            self.work()
        self.farm.wait_sql("SELECT count(*) FROM stale_page", "0")
        self.check()

    def check(self):
        farm = self.farm
        builds = [line.split("|") for line in farm.sql(f"""SELECT b.id, outcome FROM build b JOIN version v ON v.id = b.version
            JOIN package p ON p.id = v.package WHERE p.name = '{self.package}' ORDER BY b.id""").splitlines()]
        assert [outcome for _, outcome in builds if outcome != "farm"] == ["failed" if self.fails else "success"]
        assert farm.log_of(int(builds[-1][0])) == LOG
        assert farm.sql("SELECT count(*) FROM job") == "0"
        name, data = self.wheel
        if not self.fails:
            assert farm.file(self.package, name).read_bytes() == data
        check_tree(farm)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_tree(farm):
    """The tree and the database say the same; nothing is half-way."""
    simple = farm.output / "simple"
    rows = [line.split("|") for line in farm.sql("""SELECT path, state, encode(sha256, 'hex'), encode(metadata_sha256, 'hex')
        FROM file ORDER BY path""").splitlines()]
    assert {row[1] for row in rows} <= {"live"}
    assert [row[0] for row in rows] == sorted(str(path.relative_to(farm.output)) for path in simple.glob("*/*.whl"))
    assert [row[0] + ".metadata" for row in rows] == sorted(
        str(path.relative_to(farm.output)) for path in simple.glob("*/*.metadata"))
    packages = {}
    for path, _, sha256, metadata_sha256 in rows:
        assert digest(farm.output / path) == sha256
        assert digest(farm.output / (path + ".metadata")) == metadata_sha256
        packages.setdefault(path.split("/")[1], []).append(path.split("/")[2])
    farm.wait_staging_empty()
    assert not [path for path in farm.output.rglob("*.tmp") if path.parent.name != ".staging"]
    for package, names in packages.items():
        page = (simple / package / "index.html").read_text()
        assert page.count("<a ") == len(names) and all(name in page for name in names), package
        assert gzip.decompress((simple / package / "index.html.gz").read_bytes()).decode() == page
        assert all(name in (simple / package / "index.v1_json").read_text() for name in names)
    root = (simple / "index.html").read_text() if packages else ""
    assert root.count("<a ") == len(packages) and all(f'"{package}/"' in root for package in packages)

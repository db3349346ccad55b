"""What flow tests are made of: programs whose log lines can be waited for, and a farm put together from them.

Nothing here sleeps: tests wait for named events (a line of a log, the end of a process, a row), with a limit that only a
broken program reaches.
"""
import contextlib
import gzip
import json
import os
import pathlib
import pty
import re
import select
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

import psycopg2

from identity import Identity
from protocol import Slave, Tool

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PIW_TEST_BUILD", ROOT / "build")).resolve()
PIWHEELS = BUILD / "piwheels"
LOOPBACK_PYPI = BUILD / "test" / "pypi" / "loopback-pypi"
PYTHON = "/usr/bin/python3"
WORLD = "pypi.sqlite"
IDENTITY = Identity()  # of every slave whose test is not about keys
LIMIT_S = int(os.environ.get("PIW_TEST_LIMIT_S", 60))
# Where the masters of this process listen, alone: the port of one that starts again is given to nobody else meanwhile.
HOST = "127.%d.%d.%d" % (1 + (os.getpid() >> 16) % 254, os.getpid() >> 8 & 255, os.getpid() & 255)


def clean_environment(**more):
    """No PIP_*, no PIW_*, no configuration of the person who runs the tests."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "TMPDIR", "LANG") or k.endswith("SAN_OPTIONS")}
    return {**kept, "HOME": "/nonexistent", "LANG": "C.UTF-8", **{k: str(v) for k, v in more.items()}}


class Process:
    """A program whose output is kept line by line and can be waited for."""

    def __init__(self, *command, env=None, cwd=None):
        self.command = [str(word) for word in command]
        self.lines = []
        self.begun = b""            # the line that is not whole yet
        self.changed = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=env or clean_environment(), cwd=cwd)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        readable = select.poll()
        readable.register(self.process.stdout, select.POLLIN)
        while not self.ended:
            readable.poll()
            self.said()

    def said(self, after=0):
        """The lines from `after` on, with all that the program has written until now."""
        with self.changed:
            with contextlib.suppress(BlockingIOError):
                while not self.ended:
                    self._take(os.read(self.process.stdout.fileno(), 65536))
            return self.lines[after:]

    def _take(self, data):
        *whole, self.begun = (self.begun + data).split(b"\n")
        if not data:
            self.ended = True
            whole = [self.begun] if self.begun else []
        self.lines += [line.decode("utf-8", "replace") for line in whole]
        self.changed.notify_all()

    def output(self):
        return "\n".join(self.said())

    def mark(self):
        """A place in the output: wait_line(…, after=mark) looks only at what the program writes from now on."""
        return len(self.said())

    def wait_line(self, pattern, after=0, limit_s=LIMIT_S):
        """The match of the first line (from `after` on) that has `pattern`; fails when the program ends without one."""
        compiled = re.compile(pattern)
        at = after
        deadline = time.monotonic() + 5 * limit_s  # for one that goes on talking of other things
        with self.changed:
            while True:
                while at < len(self.lines):
                    found = compiled.search(self.lines[at])
                    if found:
                        return found
                    at += 1
                if self.ended or time.monotonic() > deadline or not self.changed.wait(limit_s):
                    raise AssertionError(f"no line like {pattern!r} from {self.command[:2]}:\n" + "\n".join(self.lines[-60:]))

    def wait_end(self, limit_s=LIMIT_S):
        status = self.process.wait(limit_s)
        self.reader.join(limit_s)
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, limit_s=LIMIT_S):
        """SIGTERM, and the exit status; what a sanitizer found is a failure."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.wait_end(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.check_sanitizers()
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait_end()

    def check_sanitizers(self):
        output = self.output()
        assert "Sanitizer" not in output and "runtime error:" not in output, output[-6000:]


def wait_for(is_so):
    """Until the function answers something that is true; that."""
    limit = time.monotonic() + LIMIT_S
    while not (found := is_so()):
        assert time.monotonic() < limit, "it does not come to be so"
    return found


def run(*command, env=None, cwd=None, input_text=None, limit_s=LIMIT_S):
    """Runs a program to its end: returncode, stdout and stderr as text."""
    done = subprocess.run([str(word) for word in command], env=env or clean_environment(), cwd=cwd, text=True,
                          input=input_text, stdin=None if input_text is not None else subprocess.DEVNULL,
                          capture_output=True, timeout=limit_s, errors="replace")
    assert "Sanitizer" not in done.stderr and "runtime error:" not in done.stderr, done.stderr
    return done


def on_a_terminal(answer, *words):
    """Exit status and output of piwheels when a person answers; b"": nobody does."""
    leader, follower = pty.openpty()
    output = []
    with subprocess.Popen([PIWHEELS, *map(str, words)], stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=clean_environment()) as process:
        os.close(follower)
        reader = threading.Thread(target=lambda: output.append(process.stdout.read()))
        reader.start()
        os.write(leader, answer)
        status = process.wait(60)
        reader.join()
    os.close(leader)
    return status, output[0].decode()


def piwheels(*words, **more):
    return run(PIWHEELS, *words, **more)


VERSION = piwheels("--version").stdout.split()[1]


def make_history(folder, events, seed=1):
    """A world with a long history in the folder, for the LoopbackPyPI that is started there; its path, for model.expected."""
    path = pathlib.Path(folder) / WORLD
    done = run(ROOT / "test" / "pypi" / "make-history", "--db", path, "--events", events, "--seed", seed, limit_s=600)
    assert done.returncode == 0, done.stderr
    return path


class LoopbackPyPI:
    """The loopback PyPI; its world is a SQLite file that `sql` changes."""

    def __init__(self, directory, *seeds, host="127.0.0.1", within=()):
        self.database = pathlib.Path(directory) / WORLD
        words = [word for seed in seeds for word in ("--seed", seed)]
        self.process = Process(*within, LOOPBACK_PYPI, "--db", self.database, "--listen", f"{host}:0", *words, "--print-url")
        self.url = self.process.wait_line(r"(http://[0-9.]+:\d+)").group(1)
        self.simple = self.url + "/simple"
        self.json = self.url + "/pypi"

    def sql(self, statement, *values):
        with sqlite3.connect(self.database, timeout=30) as connection:
            return connection.execute(statement, values).fetchall()

    def stop(self):
        return self.process.stop()


class Farm:
    """A database, a loopback PyPI, a master and its slaves, each started when the test says so."""

    def __init__(self, directory, postgres, database, pypi):
        self.directory = pathlib.Path(directory)
        self.postgres = postgres
        self.database = database
        self.dsn = postgres.dsn(database, "piwheels")
        self.pypi = pypi
        self.program = PIWHEELS
        self.output = self.directory / "www"
        self.sockets = tempfile.TemporaryDirectory(prefix="piwheels-", dir="/tmp")  # a socket's path must be short
        self.socket = pathlib.Path(self.sockets.name) / "control.sock"
        self.address = f"{HOST}:0"
        self.within = ()            # words before the master's command
        self.master = None
        self.slaves = []
        self.accepted = set()

    def launch_master(self, *options, dev_mode=True, follow="listed", **environment):
        """Starts it and does not wait."""
        words = ["--follow", follow, *(["--dev-mode"] if dev_mode else [])]
        self.output.mkdir(exist_ok=True)
        self.master = Process(*self.within, self.program, "master", "-v", "-d", self.dsn, "-o", self.output, "--control-socket", self.socket,
                              "--slave-listen", self.address, "--pypi-simple", self.pypi.simple, "--pypi-json",
                              self.pypi.json, "--pypi-xmlrpc", self.pypi.json, *words, *options,
                              env=clean_environment(HOME=self.directory, **environment))
        return self.master

    def start_master(self, *options, **more):
        self.launch_master(*options, **more)
        # the same port again after a restart, so that slaves find it
        self.address = self.master.wait_line(r"master: ready .*slaves at ([0-9.:]+)").group(1)
        return self.master

    def accept(self, *labels, identity=IDENTITY):
        """As if a person had accepted slaves of these names with this key, long ago and for every target."""
        new = {label for label in labels if (label, identity) not in self.accepted}
        if new:
            self.sql(f"""INSERT INTO slave (label, fingerprint, trust, allowed, accepted)
                SELECT label, '{identity.fingerprint}', 'accepted', -1, now() FROM unnest(ARRAY{sorted(new)}) label
                ON CONFLICT (label) DO NOTHING""")
        self.accepted.update((label, identity) for label in new)

    def start_slave(self, *options, label="slave-a", accepted=True, within=(), **environment):
        """With the key of all slaves, accepted already; or with one that it makes, and a stranger. `within`: words before
        its command."""
        if accepted:
            self.accept(label)
            IDENTITY.store(self.directory / ".local/state/piwheels/slave.key")
        slave = Process(*within, self.program, "slave", "-v", "--master", self.address, "-L", label, "-d",
                        self.directory / f"build-{label}", *options, env=clean_environment(HOME=self.directory, **environment))
        self.slaves.append(slave)
        return slave

    def tool(self, *words, **more):
        return piwheels(*words, "--control-socket", self.socket, **more)

    def add(self, *words):
        done = self.tool("add", *words)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def status(self):
        done = self.tool("status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait_built(self, package, after=0):
        """Until the master has said what became of a build of the package; the line."""
        return self.master.wait_line(rf"(failed to build|built) {re.escape(package)} ", after).string

    def wait_page(self, package, after=0):
        """Until the package's index page has been written, and is of what the database has."""
        self.master.wait_line(rf"page /simple/{re.escape(package)}/: written", after)
        self.wait_sql(f"SELECT count(*) FROM stale_page WHERE kind = 'index' AND key = '{package}'", "0")

    # ---- the database, as its superuser ----

    def sql(self, statement):
        """Its rows as text, columns parted by '|'."""
        return self.postgres.psql(f"SET search_path = piwheels;\n{statement};", self.database)

    def wait_sql(self, statement, expected):
        """Until the statement answers this."""
        limit = time.monotonic() + LIMIT_S
        while (found := self.sql(statement)) != expected:
            assert time.monotonic() < limit, f"{statement}: {found!r}, not {expected!r}; the master's last words:\n" \
                f"{self.master.output()[-3000:] if self.master else ''}"

    def wait_blocked(self, statement=""):
        """Until the master waits for what is locked; with this in its statement, for others may want it, too. (What it asks
        over one connection is done one after the other: where the queue's rounds want the same, they may wait in its place.)"""
        self.wait_sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                      f"datname = '{self.database}' AND position('{statement}' IN query) > 0", "t")

    @contextlib.contextmanager
    def locked(self, table, mode="ACCESS EXCLUSIVE"):
        """Nobody else can read or write the table meanwhile; or only not write it: mode SHARE ROW EXCLUSIVE. The connection
        that holds it: what it does is undone, unless it commits, which lets go of the table."""
        connection = psycopg2.connect(self.postgres.dsn(self.database))
        connection.cursor().execute(f"LOCK TABLE piwheels.{table} IN {mode} MODE")
        try:
            yield connection
        finally:
            connection.rollback()
            connection.close()

    def order(self, package="piwtest-made", version="1.0"):
        """Makes a job without asking PyPI: the version on the first target."""
        self.sql(f"""INSERT INTO package (name, display) VALUES ('{package}', '{package}') ON CONFLICT DO NOTHING;
            INSERT INTO version (package, version, sort_key, wanted, by_hand, sdist, sdist_sha256, judged_mask)
                SELECT id, '{version}', '{version}', true, true, '{package}-{version}.tar.gz', sha256('sdist'), -1
                FROM package WHERE name = '{package}';
            SELECT versions_settle(array_agg(v.id)) FROM version v JOIN package p ON p.id = v.package
                WHERE p.name = '{package}' AND v.version = '{version}'""")

    def order_again(self, package, version):
        """As if nothing had been built of it yet."""
        self.sql(f"""UPDATE version SET built_mask = 0, failed_mask = 0 WHERE version = '{version}'
                AND package = (SELECT id FROM package WHERE name = '{package}');
            SELECT versions_settle(array_agg(v.id)) FROM version v JOIN package p ON p.id = v.package
                WHERE p.name = '{package}' AND v.version = '{version}'""")

    def forget_everything(self):
        """Makes the database and the tree as if nothing had ever been built; what the master was writing, it has written."""
        self.wait_sql("SELECT count(*) FROM stale_page", "0")
        self.sql("DELETE FROM file; DELETE FROM build; DELETE FROM version; UPDATE package SET live_files = 0")
        for path in self.output.glob("simple/*/*"):
            path.unlink(missing_ok=True)  # the master may be taking it away itself

    def forget_jobs(self):
        """Their versions are locked first, as whoever touches jobs does it: the master may be ending some of them."""
        self.sql("DO $$ BEGIN PERFORM FROM version ORDER BY id FOR NO KEY UPDATE; DELETE FROM job; END $$")

    def forget_packages(self):
        """As if none had been known; the master may be comparing some of them."""
        self.sql("""DO $$ BEGIN
            PERFORM FROM package ORDER BY id FOR UPDATE; PERFORM FROM version ORDER BY id FOR UPDATE;
            DELETE FROM skip_rule; DELETE FROM package; DELETE FROM stale_page; END $$""")

    def lose_lease(self, attempt):
        """Until the queue has found that the attempt's lease ran out. It may just be being extended: then it runs out again."""
        self.wait_sql(f"UPDATE job SET lease_until = now() - interval '1 second' WHERE attempt = {attempt}; "
                      f"SELECT outcome, class, detail FROM build WHERE id = {attempt}", "farm|lost slave|the slave fell silent")

    def outcome(self, attempt):
        """outcome|class|detail of a build."""
        return self.sql(f"SELECT outcome, class, detail FROM build WHERE id = {attempt}")

    # ---- what is published ----

    def file(self, package, name):
        return self.output / "simple" / package / name

    def log_folder(self, attempt):
        return self.output / "logs" / f"{attempt // 10000 // 10000:04}" / f"{attempt // 10000 % 10000:04}"

    def log_of(self, attempt):
        return gzip.decompress((self.log_folder(attempt) / f"{attempt % 10000:04}.txt.gz").read_bytes())

    def staging(self):
        """Without the pages that the running master is just writing."""
        pages = r"\.(index\.(html|json|v1_json)|404\.html|style\.css)(\.gz)?\.%d\.\d+\.\d+\.tmp"
        running = self.master.process.pid if self.master and not self.master.ended else 0
        names = sorted(path.name for path in (self.output / ".staging").iterdir())
        return [name for name in names if not re.fullmatch(pages % running, name)]

    def wait_staging_empty(self):
        """What a connection left half-way goes when the last write has ended."""
        limit = time.monotonic() + LIMIT_S
        while self.staging():
            assert time.monotonic() < limit, self.staging()

    # ---- clients that say what the test tells them to ----

    def offers(self):
        """Of a slave that can build for every target."""
        return [[*line.split("|"), "3.11.2"] for line in self.sql("SELECT abi, platform FROM target").split("\n")]

    def scripted_slave(self, label="scripted", source=None, offers=None, identity=IDENTITY, accepted=True):
        """Not introduced yet."""
        if accepted:
            self.accept(label, identity=identity)
        return Slave(self.address, VERSION, label, offers or self.offers(), source, identity)

    def scripted_tool(self):
        return Tool(self.socket)

    def stop(self):
        statuses = [process.stop() for process in [*self.slaves, self.master] if process]
        self.sockets.cleanup()
        assert all(status in (0, -9) for status in statuses), statuses

"""`next-build` and `event-cost`: what it costs to hand out the next build and to take in one event, in databases of 10,000 to 8
million versions for four targets, 60 % of it built; asked by the statements of src/db/claims.c and src/db/events.c, and also
while another connection holds a snapshot open, as a backup does.
"""
import atexit
import contextlib
import functools
import random
import statistics
import time

import psycopg2

from harness import piwheels
from measure import report
from postgres import Postgres

SIZES = [10_000, 100_000, 1_000_000, 8_000_000]
SMALL = [2_000, 8_000]
TARGETS = 4
SETTINGS = "shared_buffers = 1GB\nmax_wal_size = 4GB\nmaintenance_work_mem = 256MB\ncheckpoint_timeout = 30min\n"

# One statement a table, in the order in which an index grows; the server need not check what refers to what. Versions of
# a package are many for a few and few for most; what became of a version is drawn: built everywhere, somewhere, nowhere, ….
FILL = ["""
    INSERT INTO package (name, display, serial, downloads)
        SELECT 'bench-' || n, 'bench-' || n, 1, CASE WHEN random() < 0.3 THEN (10 / random())::integer ELSE 0 END
            FROM generate_series(1, greatest({versions} / 12, 1)) n""", """
    INSERT INTO tagset (tags, mask)
        SELECT 'cp3' || n % 14 || '-cp3' || n % 14 || '-manylinux_2_' || n || '_x86_64', n % 16 FROM generate_series(1, 5000) n""", """
    INSERT INTO version (package, version, sort_key, released, wanted, sdist, built_mask, failed_mask, covered_mask, judged_mask,
                         yanked)
        SELECT package, '1.' || n, int4send(n), now() - random() * interval '15 years', true,
               CASE WHEN fate < 0.83 OR fate > 0.85 THEN 'bench-' || package || '-1.' || n || '.tar.gz' END,
               CASE WHEN fate < 0.58 THEN 15 WHEN fate < 0.66 THEN 1 ELSE 0 END,
               CASE WHEN fate BETWEEN 0.75 AND 0.80 THEN 1 ELSE 0 END, CASE WHEN fate BETWEEN 0.66 AND 0.75 THEN 15 ELSE 0 END,
               CASE WHEN random() < 0.6 THEN 15 ELSE 0 END, fate BETWEEN 0.80 AND 0.83
            FROM (SELECT p.id AS package, n, random() AS fate
                      FROM (SELECT id FROM package ORDER BY id) p
                          CROSS JOIN generate_series(1, ceil({versions} / (2 * sqrt(p.id * ({versions} / 12 + 1.0))))::integer) n
                      LIMIT {versions}) v""", """
    INSERT INTO version_wheel (version, tagset, name)
        SELECT id, CASE WHEN covered_mask <> 0 THEN 15 ELSE 16 * (1 + id % 300) END, id::integer FROM version
            WHERE covered_mask <> 0 OR id % 3 = 0""", """
    INSERT INTO slave (label) VALUES ('bench')""", """
    INSERT INTO build (id, version, target, slave, started, outcome)
        SELECT id, id, 0, 1, now(), CASE WHEN failed_mask <> 0 THEN 'failed' ELSE 'success' END FROM version
            WHERE built_mask <> 0 OR failed_mask <> 0""", """
    INSERT INTO file (path, name, attempt, version, target, state, size_bytes, sha256, metadata_sha256)
        SELECT 'simple/bench/' || lpad(id::text, 8, '0'), 'bench.whl', id, id, 0, 'live', 1, sha256(''), sha256('') FROM version
            WHERE built_mask <> 0""", """
    UPDATE package SET live_files = f.files FROM (
        SELECT package, count(*) AS files FROM version WHERE built_mask <> 0 GROUP BY package) f WHERE f.package = package.id""", """
    INSERT INTO job (version, target, rank, need)
        SELECT v.id, t, job_rank(false, p.downloads, v.released) AS rank, CASE v.judged_mask WHEN 0 THEN 'info' END
            FROM version v JOIN package p ON p.id = v.package, generate_series(0, 3) t
            WHERE v.sdist IS NOT NULL AND NOT v.yanked AND v.covered_mask = 0
                AND CASE WHEN v.built_mask = 1 THEN t > 0 WHEN v.built_mask = 0 THEN t = v.failed_mask ELSE false END
            ORDER BY t, rank, v.id""", """
    SELECT setval('attempt_id', 2 * {versions})""", """
    INSERT INTO event_cursor VALUES (1)""", """
    UPDATE configuration SET follows = 'all', settle_ms = 0"""]


def milliseconds(work):
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def percentile(values, part):
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


class Grown:
    """A database of so many versions, and what is measured in it."""

    def __init__(self, postgres, versions):
        self.postgres = postgres
        self.versions = versions
        self.name = f"grown{versions}"
        self.random = random.Random(versions)
        postgres.createdb(self.name)
        done = piwheels("initdb", "-y", "-d", postgres.dsn(self.name))
        assert done.returncode == 0, done.stderr
        self.seconds = milliseconds(self.fill) / 1000
        self.service = psycopg2.connect(postgres.dsn(self.name, "piwheels"))
        self.serial = 1
        self.fronts = None

    def fill(self):
        with contextlib.closing(psycopg2.connect(self.postgres.dsn(self.name))) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("SET search_path = piwheels; SET session_replication_role = replica; SET synchronous_commit = off; "
                           f"SELECT target_add('t' || n, 'cp31' || n, 'linux_x86_64', '') FROM generate_series(0, {TARGETS - 1}) n")
            for statement in FILL:
                cursor.execute(statement.format(versions=self.versions))
            cursor.execute("VACUUM (ANALYZE, FREEZE)")
            cursor.execute("CHECKPOINT")

    def size_gb(self):
        return int(self.postgres.psql(f"SELECT pg_database_size('{self.name}')")) / 1e9

    # ---- the next build, as src/db/claims.c asks for it ----

    def open_claims(self):
        with self.service, self.service.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL; PREPARE claim (bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]) "
                           "AS SELECT * FROM piwheels.jobs_claim($1, $2, $3, $4, $5, $6, $7, $8)")
            cursor.execute("SELECT piwheels.attempts_reserve(1)")
            self.attempt = cursor.fetchone()[0]
        self.fronts = [[0] * 64, [0] * 64]

    def claim(self):
        """Milliseconds of the statement, and with its commit; None where nothing is left to build."""
        self.attempt += 1
        started = time.perf_counter()
        with self.service.cursor() as cursor:
            cursor.execute("EXECUTE claim (ARRAY[%s], ARRAY[1], ARRAY[15], ARRAY[300000], ARRAY[0], ARRAY[0], %s, %s)",
                           (self.attempt, *self.fronts))
            row = cursor.fetchone()
            answered = time.perf_counter()
            self.service.commit()
        ended = time.perf_counter()
        if row[0] is None:
            return None
        target, rank, version = row[2], row[8], row[1]
        if (rank, version) > (self.fronts[0][target], self.fronts[1][target]):
            self.fronts[0][target], self.fronts[1][target] = rank, version
        return (answered - started) * 1000, (ended - started) * 1000

    def give_back(self):
        """All that was claimed; nobody measures that."""
        self.postgres.psql("UPDATE piwheels.job SET attempt = NULL, slave = NULL, started = NULL, lease_until = NULL "
                           "WHERE attempt IS NOT NULL", self.name)
        self.fronts = [[0] * 64, [0] * 64]

    # ---- one event, as src/db/events.c stores it ----

    def an_event(self):
        package = self.random.randint(1, max(self.versions // 12, 1))
        name, number = f"bench-{package}", self.random.randint(1, 40)
        kind = self.random.choice("nsswwwy")
        file = {"s": f"{name}-1.{number}.tar.gz", "w": f"{name}-1.{number}-py3.whl"}.get(kind)
        tags, fits = ("py3-none-any", 15) if kind == "w" else (None, None)
        return [kind, name, name, f"1.{number}", "\\\\x" + number.to_bytes(4, "big").hex(), "f", "f", file, tags, fits]

    def apply(self, cursor):
        """Milliseconds of the statement."""
        fields = [self.serial + 1, 1_700_000_000, *self.an_event()]
        line = "\t".join("\\N" if field is None else str(field) for field in fields) + "\n"
        taken = milliseconds(lambda: cursor.execute("SELECT * FROM piwheels.events_apply(%s, %s, true, false, %s)",
                                                    (self.serial, self.serial + 1, line)))
        self.serial += 1
        return taken

    def event(self):
        """Milliseconds of one event in a transaction that is begun before and committed after, and of another one whose statement
        is its own transaction, as the master's is."""
        with self.service.cursor() as cursor:
            cursor.execute("SELECT")
            statement = self.apply(cursor)
            self.service.commit()
            self.service.autocommit = True
            whole = self.apply(cursor)
            self.service.autocommit = False
        if self.serial % 100 == 1:
            assert int(self.postgres.psql("SELECT max(serial) FROM piwheels.event_cursor", self.name)) == self.serial
        return statement, whole

    # ---- measuring ----

    def measure(self, ask, count, seconds=0):
        """So many times, or so long: the times of statements, and with their commits."""
        times = []
        until = time.monotonic() + seconds
        while len(times) < count or time.monotonic() < until:
            taken = ask()
            if taken is None:
                self.give_back()
            else:
                times.append(taken)
        return [list(column) for column in zip(*times)]

    @contextlib.contextmanager
    def snapshot(self):
        with contextlib.closing(psycopg2.connect(self.postgres.dsn(self.name))) as connection:
            connection.set_session(isolation_level="REPEATABLE READ")
            connection.cursor().execute("SELECT count(*) FROM piwheels.target")
            yield

    def commits(self, count):
        """The limit: transactions of one row, on the same disk by the same connection."""
        self.postgres.psql("CREATE TABLE IF NOT EXISTS bench_commit (n integer); GRANT INSERT ON bench_commit TO piwheels", self.name)
        def commit():
            with self.service, self.service.cursor() as cursor:
                cursor.execute("INSERT INTO bench_commit VALUES (1)")
        return [milliseconds(commit) for _ in range(count)]


@functools.lru_cache(maxsize=None)
def server():
    postgres = Postgres()
    with open(postgres.data / "postgresql.conf", "a", encoding="utf-8") as settings:
        settings.write(SETTINGS)
    postgres.start()
    atexit.register(lambda: (postgres.stop("immediate"), postgres.remove()))
    postgres.createuser("piwheels")
    return postgres


@functools.lru_cache(maxsize=None)
def grown(versions):
    """The same database for both benchmarks."""
    return Grown(server(), versions)


def short(number):
    return f"{number // 1_000_000}M" if number >= 1_000_000 else f"{number // 1000}k"


def growth(name, opening, asking, what, options):
    count, hold_s = (200, 1) if options.small else (3_000, 60)
    middles = {}
    for versions in options.versions or (SMALL if options.small else SIZES):
        made = grown(versions)
        opening(made)
        made.measure(lambda: asking(made), count // 10)         # plans are made, pages come in
        statement, whole = made.measure(lambda: asking(made), count)
        limit = statistics.median(made.commits(count // 4))
        with made.snapshot():
            held = made.measure(lambda: asking(made), count, hold_s)
        last = [times[-count // 2:] for times in held]
        middles[versions] = statistics.median(statement)
        report(f"{name}-{short(versions)}", statistics.median(whole), "ms", limit, "ms",
               f"p50 of {what}, p99 {percentile(whole, 0.99):.2f} ms; the statement without its commit p50 "
               f"{middles[versions]:.2f} ms p99 {percentile(statement, 0.99):.2f} ms; while a snapshot is held, after {hold_s} s and "
               f"{len(held[0])} of them: p50 {statistics.median(last[1]):.2f} ms p99 {percentile(last[1], 0.99):.2f} ms, statement p50 "
               f"{statistics.median(last[0]):.2f} ms; {versions} versions for {TARGETS} targets, {made.size_gb():.1f} GB filled in "
               f"{made.seconds:.0f} s; limit: p50 of one-row transactions on the same connection and disk")
    if len(middles) > 1:
        least, most = min(middles), max(middles)
        report(f"{name}-growth", middles[most] / middles[least], "times", 2, "times",
               f"p50 of the statement at {short(most)} versions by that at {short(least)}; limit: the aim")


def next_build(build, directory, options):
    growth("next-build", Grown.open_claims, Grown.claim, "handing out the next build to one slave", options)


def event_cost(build, directory, options):
    growth("event-cost", lambda made: None, Grown.event, "taking in one event", options)

"""The benchmarks of following PyPI (see bench.py): how fast its history is read, and how soon a release is handed out.

PyPI is the loopback one, with a history made by test/pypi/make-history, on the same machine: what it costs itself is told too.
"""
import contextlib
import os
import pathlib
import random
import socket
import sqlite3
import sys
import tempfile
import threading
import time

import psycopg2

from harness import Farm, LoopbackPyPI, make_history, piwheels
from measure import cpu_seconds, peak_memory_mb, report
from postgres import Postgres

TARGETS = [("cp311", "linux_armv7l", "2.36"), ("cp313", "linux_armv7l", "2.41"), ("cp312", "linux_aarch64", "2.39"),
           ("cp313", "linux_x86_64", "2.41")]
PROJECT = "benchmark"


def must(*words):
    done = piwheels(*words)
    if done.returncode:
        sys.exit(done.stderr)


@contextlib.contextmanager
def site(directory, events, targets):
    """A database without packages, and a PyPI with a history; no master yet."""
    server = Postgres()
    server.start()
    server.createuser("piwheels")
    server.createdb("bench")
    must("initdb", "-y", "-d", server.dsn("bench"))
    for number, (abi, platform, glibc) in enumerate(targets):
        must("target", "add", f"target-{number}", "--abi", abi, "--platform", platform, "--glibc", glibc, "-d",
             server.dsn("bench", "piwheels"))
    if events:
        make_history(directory, events)
    farm = Farm(directory, server, "bench", LoopbackPyPI(directory))
    try:
        yield farm
    finally:
        farm.stop()
        farm.pypi.stop()
        server.stop()
        server.remove()


# ---- ingest ----

class Watch(threading.Thread):
    """Looks every hundredth of a second how far the master is, and what its connections do."""

    def __init__(self, farm, newest):
        super().__init__(daemon=True)
        self.connection = psycopg2.connect(farm.postgres.dsn("bench"))
        self.connection.autocommit = True
        self.newest = newest
        self.looks = self.storing = 0
        self.cpu = {}           # of each of the master's servers

    def run(self):
        cursor = self.connection.cursor()
        while True:
            cursor.execute("SELECT pid, state = 'active' FROM pg_stat_activity WHERE application_name LIKE 'piwheels %'")
            rows = cursor.fetchall()
            self.looks += 1
            self.storing += any(active for _, active in rows)
            for pid, _ in rows:
                with contextlib.suppress(OSError):
                    self.cpu[pid] = cpu_seconds(pid)
            cursor.execute("SELECT coalesce(max(serial), 0) FROM piwheels.event_cursor")
            if cursor.fetchone()[0] >= self.newest:
                break
            time.sleep(0.01)
        self.connection.close()


def read_history(farm, newest):
    """From the start of the master until all is stored; events alone, without what pages tell."""
    watch = Watch(farm, newest)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))   # nobody listens
        before = cpu_seconds(farm.pypi.process.process.pid)
        started = time.monotonic()
        farm.start_master("--pypi-simple", f"http://127.0.0.1:{closed.getsockname()[1]}/simple", follow="all")
        watch.start()
        watch.join()
        seconds = time.monotonic() - started
        master = farm.master.process.pid
        found = {"seconds": seconds, "master_us": cpu_seconds(master), "database_us": sum(watch.cpu.values()),
                 "pypi_us": cpu_seconds(farm.pypi.process.process.pid) - before, "memory_mb": peak_memory_mb(master),
                 "storing": watch.storing / watch.looks}
        farm.master.stop()
        return found


def escaped(value):
    """For COPY, without what PostgreSQL cannot hold."""
    if value is None:
        return "\\N"
    return str(value).replace("\0", "").replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def copy_seconds(connection, table, rows):
    """COPY of the rows into the table, committed."""
    cursor = connection.cursor()
    rows.seek(0)
    started = time.monotonic()
    cursor.copy_expert(f"COPY {table} FROM STDIN", rows)
    connection.commit()
    return time.monotonic() - started


def raw_seconds(farm, path):
    """The rows of the changelog into a table without an index."""
    with psycopg2.connect(farm.postgres.dsn("bench")) as connection, tempfile.TemporaryFile("w+", encoding="utf-8") as rows:
        connection.cursor().execute("CREATE TABLE raw (serial bigint, project text, version text, happened bigint, action text)")
        with sqlite3.connect(path) as world:
            for row in world.execute("SELECT serial, coalesce(spelled, project), version, time, action FROM event ORDER BY serial"):
                rows.write("\t".join(map(escaped, row)) + "\n")
        connection.commit()
        return copy_seconds(connection, "raw", rows)


def result_seconds(farm):
    """What the history came to, into tables with the same indexes and checks; and how many rows that are."""
    seconds, counts = 0, []
    with psycopg2.connect(farm.postgres.dsn("bench")) as connection:
        cursor = connection.cursor()
        for table in ("package", "version", "version_wheel", "job"):
            cursor.execute(f"CREATE TABLE like_{table} (LIKE piwheels.{table} INCLUDING ALL)")
            with tempfile.TemporaryFile() as rows:
                cursor.copy_expert(f"COPY piwheels.{table} TO STDOUT", rows)  # without what is generated
                counts.append(f"{cursor.rowcount} {table}")
                connection.commit()
                seconds += copy_seconds(connection, f"like_{table}", rows)
    return seconds, ", ".join(counts)


def ingest(_build, directory, options):
    events = options.events or (5000 if options.small else 300_000)
    with site(directory, events, TARGETS) as farm:
        count, newest = farm.pypi.sql("SELECT count(*), max(serial) FROM event")[0]
        load = os.getloadavg()[0]
        found = read_history(farm, newest)
        raw = raw_seconds(farm, farm.pypi.database)
        result, counts = result_seconds(farm)
    cost = {key: found[key] / count * 1e6 for key in ("master_us", "database_us", "pypi_us")}
    words = (f"{count} events of the loopback PyPI, on four targets, from the start of the master to the last commit, fsync on, in "
             f"{found['seconds']:.1f} s; CPU an event: master {cost['master_us']:.1f} us, database {cost['database_us']:.1f} us, "
             f"loopback PyPI {cost['pypi_us']:.1f} us; the database was at work {found['storing'] * 100:.0f} % of the time; master at "
             f"most {found['memory_mb']:.0f} MB (aim: 64); load of the machine before it began: {load:.1f}, {os.cpu_count()} cores")
    rate = count / found["seconds"]
    report("ingest", rate, "events/s", count / raw, "events/s", f"limit: COPY of the same rows into a table without indexes; {words}")
    report("ingest-result", rate, "events/s", count / result, "events/s", f"limit: COPY of what they come to ({counts}) into tables with "
           "the same indexes")
    report("ingest-memory", found["memory_mb"], "MB", 64, "MB", "peak resident size of the master meanwhile; limit: the aim")


# ---- event-latency ----

def release(farm, number):
    """A new version at PyPI, visible from now on."""
    farm.pypi.sql("INSERT INTO file (project, version, filename, content) VALUES (?, ?, ?, 'a sdist')", PROJECT, f"1.{number}",
                  f"{PROJECT}-1.{number}.tar.gz")
    return time.monotonic()


def event_latency(_build, directory, options):
    interval_ms = 500   # of --dev-mode
    releases = 10 if options.small else 200
    latencies = []
    with site(directory, 0, TARGETS[:1]) as farm:
        release(farm, 0)
        farm.start_master(follow="all")
        farm.wait_sql("SELECT count(*) FROM version", "1")
        load = os.getloadavg()[0]
        with farm.scripted_slave() as slave:
            slave.greet()
            slave.fail(slave.ask().attempt)
            for number in range(1, releases + 1):
                slave.idle()
                slave.expect("SLEEP")
                time.sleep(random.uniform(0, interval_ms / 1000))   # anywhere between two polls
                started = release(farm, number)
                slave.expect("WAKE")
                build = slave.ask()
                latencies.append((time.monotonic() - started) * 1000)
                assert (build.package, build.version) == (PROJECT, f"1.{number}")
                slave.fail(build.attempt)
    latencies.sort()
    p50, p99 = (latencies[min(int(len(latencies) * part), len(latencies) - 1)] for part in (0.5, 0.99))
    report("event-latency", p99, "ms", interval_ms + 100, "ms", f"99th percentile, from a release that is visible at the loopback PyPI "
           f"to BUILD at an idle scripted slave, {releases} releases at random moments, settle 0; p50 {p50:.0f} ms, most "
           f"{latencies[-1]:.0f} ms; limit: the interval at which the changelog is asked ({interval_ms} ms) + 100 ms; load of the "
           f"machine before it began: {load:.1f}")

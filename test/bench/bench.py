"""The benchmarks. Each prints lines of the form

    bench: NAME VALUE UNIT (limit VALUE UNIT, ratio R; workload in words)

where the limit is measured in the same run, on the same file system. `bench.py --build DIR [NAME…]`; scripts/bench builds
optimised and runs it.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "flow"))
if "--build" in sys.argv:  # the harness wants to know it when it is imported
    os.environ["PIW_TEST_BUILD"] = sys.argv[sys.argv.index("--build") + 1]
from harness import PIWHEELS, Process, clean_environment, piwheels  # noqa: E402
from postgres import Postgres  # noqa: E402


def report(name, value, unit, limit, limit_unit, workload):
    print(f"bench: {name} {value:.1f} {unit} (limit {limit:.1f} {limit_unit}, ratio {value / limit:.2f}; {workload})", flush=True)


class Site:
    """A database with jobs and a master over it, in a scratch directory."""

    def __init__(self, build, directory, jobs):
        self.postgres = Postgres()
        self.postgres.start()
        self.postgres.createuser("piwheels")
        self.postgres.createdb("bench")
        self.must("initdb", "-y", "-d", self.postgres.dsn("bench"))
        self.must("target", "add", "native", "--native", "-d", self.postgres.dsn("bench", "piwheels"))
        self.target = json.loads(self.must("target", "list", "--json", "-d", self.postgres.dsn("bench", "piwheels")))[0]
        self.fill(jobs)
        self.start_master(directory)

    def start_master(self, directory):
        """As an operator runs it, but for the log, which goes to a file; ready when it has told systemd so."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.sockets = tempfile.TemporaryDirectory(prefix="piwheels-", dir="/tmp")
        control, ready = (pathlib.Path(self.sockets.name) / name for name in ("control.sock", "notify.sock"))
        (directory / "www").mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(ready))
            notify.settimeout(60)
            self.master = Process(PIWHEELS, "master", "-d", self.postgres.dsn("bench", "piwheels"), "-o", directory / "www",
                                  "-l", directory / "master.log", "--slave-listen", self.address, "--control-socket", control,
                                  env=clean_environment(NOTIFY_SOCKET=ready, HOME=directory))
            while b"READY=1" not in notify.recv(4096):
                pass

    def must(self, *words):
        done = piwheels(*words)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    def fill(self, jobs):
        """A hundred versions a package, all wanted, one job each."""
        self.postgres.psql(f"""
            INSERT INTO piwheels.package (name, display) SELECT 'bench-' || n, 'bench-' || n
                FROM generate_series(1, {jobs} / 100 + 1) n;
            INSERT INTO piwheels.version (package, version, sort_key, wanted, sdist, judged_mask)
                SELECT p.id, '1.' || n, decode(lpad(to_hex(n), 8, '0'), 'hex'), true, p.name || '-1.' || n || '.tar.gz', 1
                FROM piwheels.package p, generate_series(1, 100) n LIMIT {jobs};
            INSERT INTO piwheels.job (version, target, prio) SELECT id, 0, 1 FROM piwheels.version;
            ANALYZE;""", "bench")

    def slaves(self, build, count, cycles, log_bytes):
        done = subprocess.run([build / "test/bench/bench-slaves", self.address, str(count), str(cycles), str(log_bytes),
                               self.target["abi"], self.target["platform"]], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"bench-slaves: {done.stderr}\n{self.master.output()[-3000:]}")
        return json.loads(done.stdout)

    def commits_per_second(self, clients):
        """What PostgreSQL can do here: one-row transactions, fsync and synchronous_commit on."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write("INSERT INTO bench_commit VALUES (1);\n")
            script.flush()
            os.chmod(script.name, 0o644)
            self.postgres.psql("CREATE TABLE bench_commit (n integer)", "bench")
            done = subprocess.run([self.postgres.bin / "pgbench", "-n", "-c", str(clients), "-j", "2", "-T", "5", "-M", "prepared",
                                   "-f", script.name, self.postgres.dsn("bench")], capture_output=True, text=True, check=True)
        return float(re.search(r"tps = ([0-9.]+)", done.stdout).group(1))

    def close(self):
        self.master.stop()
        self.sockets.cleanup()
        self.postgres.stop()
        self.postgres.remove()


def dispatch_fail(build, directory, small):
    count, cycles = (10, 200) if small else (100, 20000)
    site = Site(build, directory, cycles + 1000)
    try:
        found = site.slaves(build, count, cycles, 20000)
        memory_mb = peak_memory_mb(site.master.process.pid)
        limit = site.commits_per_second(count if count < 16 else 16)
    finally:
        site.close()
    report("dispatch-fail", found["cycles"] / found["seconds"], "builds/s", limit, "commits/s",
           f"{count} scripted slaves, {cycles} failing builds with a log of 20 kB each, two commits a build; limit: one-row "
           f"transactions of pgbench on 16 connections, same disk, fsync and synchronous_commit on; IDLE to BUILD p50 "
           f"{found['idle_build_p50_ms']:.1f} ms p99 {found['idle_build_p99_ms']:.1f} ms; BUSY to CONT p50 "
           f"{found['busy_cont_p50_ms']:.1f} ms p99 {found['busy_cont_p99_ms']:.1f} ms; master at most {memory_mb:.0f} MB")


def peak_memory_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


BENCHMARKS = {"dispatch-fail": dispatch_fail}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--small", action="store_true", help="a tiny workload: to try the benchmark, not to measure")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"bench: no benchmark is called {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for name in arguments.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="piwheels-bench-", dir=os.environ.get("PIW_TEST_TMP", "/var/tmp")) as directory:
            BENCHMARKS[name](arguments.build.resolve(), pathlib.Path(directory), arguments.small)


if __name__ == "__main__":
    main()

"""The benchmarks. Each prints lines of the form

    bench: NAME VALUE UNIT (limit VALUE UNIT, ratio R; workload in words)

where the limit is measured in the same run, on the same file system. `bench.py --build DIR [NAME…]`; scripts/bench builds
optimised and runs it.
"""
import argparse
import atexit
import contextlib
import hashlib
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "flow"))
if "--build" in sys.argv:  # the harness wants to know it when it is imported
    os.environ["PIW_TEST_BUILD"] = sys.argv[sys.argv.index("--build") + 1]
import following  # noqa: E402
import growth  # noqa: E402
from harness import IDENTITY, PIWHEELS, Process, clean_environment, piwheels  # noqa: E402
from measure import cpu_seconds, memory_mb, peak_memory_mb, report  # noqa: E402
from postgres import Postgres  # noqa: E402


class Site:
    """A database with jobs and a master over it, in a scratch directory."""

    def __init__(self, build, directory, jobs, tls):
        self.tls = tls
        self.key = directory / "slaves.key"
        self.postgres = Postgres()
        self.postgres.start()
        self.postgres.createuser("piwheels")
        self.postgres.createdb("bench")
        self.must("initdb", "-y", "-d", self.postgres.dsn("bench"))
        self.must("target", "add", "native", "--native", "-d", self.postgres.dsn("bench", "piwheels"))
        self.target = json.loads(self.must("target", "list", "--json", "-d", self.postgres.dsn("bench", "piwheels")))[0]
        self.fill(jobs)
        if tls:
            IDENTITY.store(self.key)
            self.postgres.psql(f"""INSERT INTO piwheels.slave (label, fingerprint, trust, allowed, accepted)
                SELECT 'bench-' || n, '{IDENTITY.fingerprint}', 'accepted', -1, now() FROM generate_series(0, 9999) n;
                ANALYZE piwheels.slave""", "bench")
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
                                  *([] if self.tls else ["--insecure"]),
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
            INSERT INTO piwheels.job (version, target, rank) SELECT id, 0, 1 FROM piwheels.version;
            ANALYZE;""", "bench")

    def slaves(self, build, count, **options):
        """Runs scripted slaves (see slaves.c for the options); what they found, and the CPU time of it all."""
        if self.tls:
            options["k"] = self.key
        words = [word for name, value in options.items() for word in (f"-{name}", *([] if value is True else [str(value)]))]
        before, load = self.cpu_seconds(), os.getloadavg()[0]
        done = subprocess.run([build / "test/bench/bench-slaves", "-a", self.address, "-n", str(count), "-A", self.target["abi"],
                               "-P", self.target["platform"], *words], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"bench-slaves: {done.stderr}\n{self.master.output()[-3000:]}")
        found = json.loads(done.stdout)
        done = found["cycles"] or count
        found["rate"] = done / found["seconds"]
        found["load"] = load
        for name, seconds in self.cpu_seconds().items():
            found[f"{name}_us"] = (seconds - before[name]) / done * 1e6
        found["memory_mb"] = peak_memory_mb(self.master.process.pid)
        return found

    def cpu_seconds(self):
        """Of the master, of its connections' servers and of what we waited for (slaves, psql), so far."""
        backends = self.postgres.psql("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'piwheels %'", "bench").split()
        return {"master": cpu_seconds(self.master.process.pid), "database": sum(cpu_seconds(pid) for pid in backends),
                "slaves": sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])}

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
        atexit.register(self.postgres.remove)  # not now, for the reason that scratch() has


def scratch(directory):
    """A directory that stays until the end: an ext4 without a journal does not use the inode of a file again in the minutes after
    it was removed, and looks for another the longer the more there are, which the next measurement would pay for."""
    return contextlib.nullcontext(tempfile.mkdtemp(dir=directory))


@contextlib.contextmanager
def site(build, directory, jobs, tls):
    made = Site(build, directory, jobs, tls)
    try:
        yield made
    finally:
        made.close()


def words_on(found):
    return (f"IDLE to BUILD p50 {found['idle_build_p50_ms']:.1f} ms p99 {found['idle_build_p99_ms']:.1f} ms; BUSY to CONT p50 "
            f"{found['busy_cont_p50_ms']:.1f} ms p99 {found['busy_cont_p99_ms']:.1f} ms; CPU a build: master "
            f"{found['master_us']:.0f} us, database {found['database_us']:.0f} us, slaves {found['slaves_us']:.0f} us; master at "
            f"most {found['memory_mb']:.0f} MB; load of the machine before it began: {found['load']:.1f}")


COMMITS = ("limit: one-row transactions of pgbench on {} connections, same disk, fsync and synchronous_commit on; pages are "
           "written meanwhile")


def dispatch(name, build, directory, tls, count, cycles, workload, **options):
    with site(build, directory, cycles + 1000, tls) as farm:
        found = farm.slaves(build, count, c=cycles, **options)
        connections = min(count, 16)
        limit = farm.commits_per_second(connections)
    report(name, found["rate"], "builds/s", limit, "commits/s", f"{count} scripted slaves, {cycles} {workload}; "
           f"{COMMITS.format(connections)}; {words_on(found)}")


CROWDS = {1: 300, 10: 3000, 100: 20000, 1000: 20000}  # slaves: builds
SMALL_CROWDS = {1: 20, 10: 100}


def dispatch_fail(build, directory, options):
    for count, cycles in (SMALL_CROWDS if options.small else CROWDS).items():
        with scratch(directory) as inner:
            dispatch(f"dispatch-fail-{count}", build, pathlib.Path(inner), options.tls, count, cycles,
                     "failing builds with a log of 20 kB each, two commits a build", l=20000)


def dispatch_wheel(build, directory, options):
    for count, cycles in (SMALL_CROWDS if options.small else CROWDS).items():
        with scratch(directory) as inner:
            dispatch(f"dispatch-wheel-{count}", build, pathlib.Path(inner), options.tls, count, cycles // 4 if cycles > 1000 else cycles,
                     "builds of a wheel of 100 kB each, log 1 kB, three commits a build", l=1000, w=100000)


def dispatch_latency(build, directory, options):
    """Builds that take a while: what a slave waits for when the farm is not at its limit."""
    offered = 200
    for count in (1, 10) if options.small else (1, 10, 100, 1000):
        build_ms = max(count * 1000 // offered, 10)
        cycles = 40 if options.small else max(offered * 10, count * 6)
        with scratch(directory) as inner, site(build, pathlib.Path(inner), cycles + 2000, options.tls) as farm:
            found = farm.slaves(build, count, c=cycles, l=20000, t=build_ms)
            limit = 1000 / farm.commits_per_second(1)
        report(f"dispatch-latency-{count}", found["idle_build_p99_ms"], "ms", limit, "ms",
               f"99th percentile of IDLE to BUILD, {count} scripted slaves whose builds take {build_ms} ms: "
               f"{found['rate']:.0f} builds/s; limit: mean time of a one-row transaction of pgbench, one connection, same disk; "
               f"{words_on(found)}")


def megabytes_per_second(size, work):
    started = time.monotonic()
    work()
    return size / 1e6 / (time.monotonic() - started)


def write_and_sync(path, block, size):
    with open(path, "wb") as out:
        for _ in range(size // len(block)):
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    path.unlink()


def cpu_seconds_of(work):
    """What the work took this process and its children."""
    def so_far():
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    before = so_far()
    work()
    return so_far() - before


def through_the_loopback(block, size):
    """Both ends of a TCP connection, as plain as can be."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        pid = os.fork()
        if pid == 0:
            with socket.create_connection(server.getsockname()) as out:
                for _ in range(size // len(block)):
                    out.sendall(block)
            os._exit(0)
        end, into = server.accept()[0], bytearray(len(block))
        with end:
            while end.recv_into(into):
                pass
        os.waitpid(pid, 0)


def sealed_bytes_per_second():
    """AES-256-GCM in records of TLS, one core."""
    done = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1", "-bytes", "16384", "-evp", "aes-256-gcm"], capture_output=True,
                          text=True, check=True)
    return float(re.search(r"^\+F:.*:([0-9.]+)$", done.stdout, re.MULTILINE).group(1))


def seconds_of_the_parts(directory, size, tls):
    """CPU time that a transfer takes at the least, both ends together, part by part; each measured alone."""
    block = os.urandom(1 << 18)
    parts = {"TCP over the loopback": cpu_seconds_of(lambda: through_the_loopback(block, size)),
             "SHA-256": cpu_seconds_of(lambda: [hashlib.sha256(block) for _ in range(size // len(block))]),
             "writing and syncing": cpu_seconds_of(lambda: write_and_sync(directory / "raw", block, size))}
    if tls:
        parts["AES-GCM at both ends"] = 2 * size / sealed_bytes_per_second()
    return parts


def transfer(build, directory, options):
    """One large wheel while others go on; then the limits of its parts, each alone, one thread."""
    size, others = (5_000_000, 5) if options.small else (500_000_000, 100)
    with site(build, directory, 1000, options.tls) as farm:
        found = farm.slaves(build, others + 1, c=1, w=size, b=True, d=True)
        block = os.urandom(1 << 20)
        sha = megabytes_per_second(size, lambda: [hashlib.sha256(block) for _ in range(size >> 20)])
        disk = megabytes_per_second(size, lambda: write_and_sync(directory / "raw", block, size))
        packed = zlib.compress(bytes(32 + (byte & 63) for byte in block), 1)
        def verify():
            for _ in range(size // len(packed)):
                hashlib.sha256(zlib.decompress(packed))
        inflate = megabytes_per_second(size, verify)
        parts = seconds_of_the_parts(directory, size, options.tls)
    mb = size / 1e6
    limit = min(sha, disk)
    report("transfer", mb / found["taken_seconds"], "MB/s", limit, "MB/s", f"a damaged wheel of {mb:.0f} MB from SEND to the next "
           f"SEND: received, hashed, written, refused (what is published is synced, too: transfer-whole); limit: the slower of "
           f"SHA-256 by OpenSSL ({sha:.0f} MB/s) and "
           f"write with fsync ({disk:.0f} MB/s), same file system, one thread each")
    cores = len(os.sched_getaffinity(0))
    report("transfer-cores", mb / found["taken_seconds"], "MB/s", cores * mb / sum(parts.values()), "MB/s", f"the same; limit: what {cores} "
           "cores can do, which carry both ends, if none is ever idle and nothing but this is done; ms of CPU for it: "
           + ", ".join(f"{part} {seconds * 1000:.0f}" for part, seconds in parts.items()))
    whole = 1 / (1 / limit + 1 / inflate)
    report("transfer-whole", mb / found["send_seconds"], "MB/s", whole, "MB/s", "the same from SEND to DONE: with verification and "
           f"publishing; limit: the above, then inflate and SHA-256 of the contents ({inflate:.0f} MB/s of wheel), one after "
           "the other")
    report("transfer-others", found["busy_cont_p99_ms"], "ms", 10, "ms", f"99th percentile of BUSY to CONT of {others} slaves "
           f"that say BUSY every 10 ms meanwhile; limit: the aim; master at most {found['memory_mb']:.0f} MB")


def memory(build, directory, options):
    count, cycles = (20, 100) if options.small else (1000, 10000)
    with site(build, directory, cycles + 2000, options.tls) as farm:
        found = farm.slaves(build, count, c=cycles, l=20000)
    report("memory", found["memory_mb"], "MB", 32, "MB", f"peak resident size of the master, {count} scripted slaves, {cycles} "
           f"failing builds with a log of 20 kB each as fast as they go ({found['rate']:.0f} builds/s); limit: the aim; "
           f"{words_on(found)}")


class Memory:
    """The resident size of a process, looked at once a minute while the block runs."""

    def __init__(self, pid):
        self.pid, self.mb, self.over = pid, [], threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(60):
            self.mb.append(memory_mb(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def sustained(build, directory, options):
    seconds = options.seconds or (3 if options.small else 600)
    count, most = (10, 5000) if options.small else (100, 5000)
    with site(build, directory, seconds * most, options.tls) as farm:
        with Memory(farm.master.process.pid) as memory_then:
            found = farm.slaves(build, count, s=seconds, l=20000)
        if found["cycles"] >= seconds * most:
            sys.exit(f"bench: all {seconds * most} jobs were built before {seconds} s were over: this machine needs more")
        limit = farm.commits_per_second(min(count, 16))
    whole = found["minutes"][:max(int(found["seconds"] // 60), 1)]
    report("sustained", found["rate"], "builds/s", limit, "commits/s", f"{count} scripted slaves, failing builds with a log of "
           f"20 kB each for {seconds} s, queue of {seconds * most} jobs; builds in each minute: {', '.join(map(str, whole))}, "
           f"the last {whole[-1] / whole[0]:.2f} of the first; MB of the master after each: "
           f"{', '.join(f'{mb:.0f}' for mb in memory_then.mb) or 'none passed'}; "
           f"{COMMITS.format(min(count, 16))}; {words_on(found)}")


def dispatch_tls(build, directory, options):
    """What TLS costs where messages are many."""
    count, cycles = (10, 200) if options.small else (100, 20000)
    found = {}
    for tls in (False, True):
        with scratch(directory) as inner, site(build, pathlib.Path(inner), cycles + 1000, tls) as farm:
            found[tls] = farm.slaves(build, count, c=cycles, l=20000)
    report("dispatch-tls", found[True]["rate"], "builds/s", found[False]["rate"], "builds/s", f"dispatch-fail with TLS: {count} scripted slaves, "
           f"{cycles} failing builds with a log of 20 kB each; limit: the same without TLS (--insecure), just before; CPU a build: master {found[True]['master_us']:.0f} us, without "
           f"TLS {found[False]['master_us']:.0f} us; load of the machine {found[False]['load']:.1f} and {found[True]['load']:.1f}")


def handshake_seconds():
    """What the arithmetic of one end of a handshake takes one core: two X25519, an Ed25519 signature and its check."""
    done = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1", "ed25519", "ecdhx25519"], capture_output=True, text=True,
                          check=True)
    lines = {line.split(":")[0]: line.split(":") for line in done.stdout.splitlines()}
    exchange, sign, verify = float(lines["+F5"][3]), float(lines["+F6"][4]), float(lines["+F6"][5])  # a second
    return 2 / exchange + 1 / sign + 1 / verify


def tls_reconnect(build, directory, options):
    """All slaves come back at once, as after a restart of the master."""
    count = 20 if options.small else 1000
    with site(build, directory, 1000, True) as farm:
        farm.slaves(build, count, r=True)
        found = farm.slaves(build, count, r=True)
    arithmetic = handshake_seconds()
    report("tls-reconnect", found["rate"], "slaves/s", 1 / arithmetic, "handshakes/s", f"{count} scripted slaves connect at once, from the "
           f"first connection to the last ACK {found['seconds']:.2f} s (aim: under 5 s for 1000); CPU a slave: master "
           f"{found['master_us']:.0f} us, database {found['database_us']:.0f} us; limit: one core that does nothing "
           f"but the arithmetic of the master's end, two X25519, an Ed25519 signature and its check: {arithmetic * 1e6:.0f} us "
           "(openssl speed)")


def slave_overhead(build, directory, options):
    from slave_overhead import slave_overhead as measure  # it asks the Python that builds when it is imported
    measure(report, directory, options.small)


BENCHMARKS = {"dispatch-fail": dispatch_fail, "dispatch-wheel": dispatch_wheel, "dispatch-latency": dispatch_latency,
              "transfer": transfer, "memory": memory, "sustained": sustained,
              "dispatch-tls": dispatch_tls, "tls-reconnect": tls_reconnect, "slave-overhead": slave_overhead,
              "ingest": following.ingest, "event-latency": following.event_latency,
              "next-build": growth.next_build, "event-cost": growth.event_cost}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--small", action="store_true", help="a tiny workload: to try the benchmark, not to measure")
    parser.add_argument("--seconds", type=int, help="how long `sustained` lasts (600)")
    parser.add_argument("--events", type=int, help="how long the history of `ingest` is (300000)")
    parser.add_argument("--insecure", dest="tls", action="store_false", help="without TLS (dispatch-tls compares)")
    parser.add_argument("--versions", type=lambda text: [int(number) for number in text.split(",")],
                        help="sizes of the databases of next-build and event-cost (10000,100000,1000000,8000000)")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"bench: no benchmark is called {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory(prefix="piwheels-bench-", dir=os.environ.get("PIW_TEST_TMP", "/var/tmp")) as directory:
        for name in arguments.names or BENCHMARKS:
            with scratch(directory) as inner:
                BENCHMARKS[name](arguments.build.resolve(), pathlib.Path(inner), arguments)


if __name__ == "__main__":
    main()

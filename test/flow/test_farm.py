"""The whole farm with real parts: sdists from the loopback PyPI, the real slave, the real master, and pip at the end."""
import json
import os
import pathlib
import re
import subprocess

import pytest

from harness import LIMIT_S, PYTHON, ROOT, clean_environment, run, wait_for
from webserver import nginx_serves, python_serves
from wheels import metadata_of

# One package has a time limit of its own, and only that one, for nobody knows how long the others take here.
MASTER_ENVIRONMENT = {"PIW_MASTER_PACKAGES_DIR": ROOT / "test" / "flow" / "data" / "packages.d"}
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
SUCCESSES = {
    "piwtest-pure": "py3-none-any",
    "piwtest-cext": "native",
    "piwtest-zlib": "native",
    "piwtest-legacy": "py3-none-any",
    "piwtest-floods": "py3-none-any",
    "piwtest-stdin": "py3-none-any",
    "piwtest-dirty": "py3-none-any",
}
FAILURES = {
    "piwtest-nocompile": "missing header piwtest/no-such-header.h",
    "piwtest-nowheel": "no wheel",
    "piwtest-misnamed": "bad wheel",
    "piwtest-liar": "bad wheel",
    "piwtest-badrecord": "bad wheel",
    "piwtest-sleeps": "timeout",
}


@pytest.fixture(scope="module")
def built(module_farm):
    """A farm that has built everything there is, with its attempts: {package: attempt}."""
    farm = module_farm
    farm.attempts = {}
    farm.add("piwtest-sleeps")  # one slave waits for its time limit while the other builds the rest
    for package in [*SUCCESSES, *FAILURES]:
        farm.add(package)
    for label in ("slave-a", "slave-b"):
        farm.start_slave("-t", "30min", label=label)
    for package in [*SUCCESSES, *FAILURES]:
        line = farm.wait_built(package)
        farm.attempts[package] = int(re.search(r"\(build (\d+)", line).group(1))
    for package in SUCCESSES:
        farm.wait_page(package)
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    return farm


@pytest.fixture(scope="module")
def python_server(built):
    with python_serves(built.output) as url:
        yield url


@pytest.fixture(scope="module")
def nginx(built, tmp_path_factory):
    with nginx_serves(built.output, tmp_path_factory.mktemp("nginx")) as url:
        yield url


def pip(*words):
    done = run(PYTHON, "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir", *words,
               env=clean_environment(HOME="/nonexistent"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment_of(path):
    """What /proc/PID/environ has, if the process is still there and ours."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def wheel_of(farm, package):
    name, = [path for path in (farm.output / "simple" / package).iterdir() if path.suffix == ".whl"]
    return name


# ---- what is built -----------------------------------------------------------------------------------

@pytest.mark.parametrize("package", SUCCESSES)
def test_a_package_that_builds_is_published(built, package):
    attempt = built.attempts[package]
    wheel = wheel_of(built, package)
    tag = SUCCESSES[package]
    if tag == "native":
        abi, platform = built.sql("SELECT abi, platform FROM target WHERE id = 0").split("|")
        tag = f"{abi}-{abi}-{platform}"
    assert wheel.name.endswith(f"-{tag}.whl")
    assert built.outcome(attempt) == f"success||{wheel.name} published"
    assert pathlib.Path(f"{wheel}.metadata").read_bytes() == metadata_of(wheel.read_bytes())
    assert built.sql(f"SELECT built_mask & 1 FROM version WHERE id = (SELECT version FROM build WHERE id = {attempt})") == "1"


@pytest.mark.parametrize("package", FAILURES)
def test_a_package_that_does_not_build_is_recorded_with_its_class(built, package):
    outcome, class_, detail = built.outcome(built.attempts[package]).split("|", 2)
    assert (outcome, class_) == ("failed", FAILURES[package])
    assert detail
    assert not list(built.output.glob(f"simple/{package}/*"))
    assert built.sql(f"SELECT count(*) FROM job j JOIN version v ON v.id = j.version JOIN package p ON p.id = v.package "
                     f"WHERE p.name = '{package}'") == "0"


def test_every_log_is_kept(built):
    for package, attempt in built.attempts.items():
        assert len(built.log_of(attempt)) == int(built.sql(f"SELECT log_bytes FROM build WHERE id = {attempt}")), package


def test_a_log_has_the_compilers_words(built):
    assert b"piwtest_nocompile.c" in built.log_of(built.attempts["piwtest-nocompile"])


def test_a_flood_is_bounded_and_has_both_its_ends(built):
    log = built.log_of(built.attempts["piwtest-floods"])
    assert len(log) < 16 << 20
    assert b"first line" in log.lower() and b"last line" in log.lower()


def test_stdin_is_closed_during_a_build(built):
    assert b"stdin ended after 0 bytes" in built.log_of(built.attempts["piwtest-stdin"])


def test_nothing_of_a_build_stays_behind(built):
    built.wait_staging_empty()
    wait_for(lambda: not list(built.directory.glob("build-slave-*/*attempt*")))  # the slave may just be taking the last one away
    assert not [path for path in pathlib.Path("/proc").glob("[0-9]*/environ")
                if b"PIWHEELS_BUILD=1" in (environment := environment_of(path))
                and str(built.directory).encode() in environment]


def test_the_root_lists_what_was_built_and_nothing_else(built):
    built.wait_sql("SELECT count(*) FROM stale_page", "0")
    listed = [one["name"] for one in json.loads((built.output / "simple" / "index.v1_json").read_text())["projects"]]
    assert sorted(listed, key=str.lower) == sorted(
        ["Piwtest.Legacy" if package == "piwtest-legacy" else package for package in SUCCESSES], key=str.lower)


def test_another_spelling_leads_to_the_package(built):
    assert os.readlink(built.output / "simple" / "Piwtest.Legacy") == "piwtest-legacy"


def test_the_targets_index_is_that_of_all(built):
    assert os.readlink(built.output / "native" / "simple") == "../simple"
    assert (built.output / "native" / "simple" / "piwtest-pure" / "index.html").exists()


# ---- what the wheels need ----------------------------------------------------------------------------

def facts_of(farm, package):
    """The one file's, as the JSON tells them."""
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    pages = farm.output / "project" / package
    releases = json.loads((pages / "json" / "index.json").read_text())["releases"].values()
    file, = [file for release in releases for file in release["files"].values()]
    return file


def owner_of(library):
    """The Debian package that has the library, by the name that the linker knows it by."""
    path = re.search(rf"^\s*{re.escape(library)} .* => (\S+)$", run("/sbin/ldconfig", "-p").stdout, flags=re.M).group(1)
    found = subprocess.run(["dpkg-query", "-S", path, path.removeprefix("/usr"), f"/usr{path}"], capture_output=True, text=True)
    return found.stdout.split(":")[0]


def test_the_debian_packages_that_a_wheel_needs_are_told(built):
    assert facts_of(built, "piwtest-zlib")["apt_dependencies"] == sorted([owner_of("libc.so.6"), owner_of("libz.so.1")])
    assert "apt install " in (built.output / "project" / "piwtest-zlib" / "index.html").read_text()


def test_a_pure_wheel_needs_none(built):
    facts = facts_of(built, "piwtest-pure")
    assert facts["apt_dependencies"] == [] and facts["glibc"] is None and not facts["armv6"]


def test_the_least_glibc_is_told(built):
    assert re.fullmatch(r"2\.\d+(\.\d+)?", facts_of(built, "piwtest-zlib")["glibc"])


def test_the_log_names_the_libraries(built):
    text = built.log_of(built.attempts["piwtest-zlib"]).decode()
    assert re.search(r"piwheels: needs libz\.so\.1 \(/\S+\) of the package zlib1g\]", text), text


# ---- the record of a build ---------------------------------------------------------------------------

def record_of(farm, package):
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    release, = json.loads((farm.output / "project" / package / "json" / "index.json").read_text())["releases"].values()
    return release["builds"][0]


@pytest.mark.parametrize("package", ["piwtest-cext", "piwtest-nocompile"])
def test_the_record_tells_what_a_build_was_made_with(built, package):
    record = record_of(built, package)
    assert record["build"] == built.attempts[package] and record["slave"] in ("slave-a", "slave-b")
    assert (record["package"], record["version"], record["target"]) == (package, "0.1", "native")
    assert record["libc"].startswith("glibc 2.") and record["compiler"] and record["system"] and record["limits"]["timeout_ms"] == 1800000
    assert record["python"].startswith("3.") and record["pip"]
    assert (record["sandbox"], record["network"]) == ("strict", "index") and record["source_date_epoch"] > 1500000000
    assert record["limits"]["processes"] == 1024 and all(record["limits"].values())
    assert {one["name"]: len(one["sha256"]) for one in record["required"]} == {"setuptools": 64, "wheel": 64}
    assert record["wall_ms"] > 0 and len(record["sdist_sha256"]) == 64
    assert record["outcome"] == ("success" if package in SUCCESSES else "failed")


def test_the_record_is_had_from_the_database_too(built):
    attempt = built.attempts["piwtest-cext"]
    assert json.loads(built.sql(f"SELECT build_record({attempt})")) == record_of(built, "piwtest-cext")
    assert built.sql("SELECT build_record(0) IS NULL") == "t"


# ---- what pip makes of it ----------------------------------------------------------------------------

@pytest.fixture(params=["nginx", "python_server"])
def site(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("package, said", [
    ("piwtest-pure", "print(piwtest_pure.greet())"), ("piwtest-cext", "print(piwtest_cext.add(2, 3))"),
    ("piwtest-zlib", "print(piwtest_zlib.crc32(b'hello'))")])
def test_pip_installs_what_was_built(site, tmp_path, package, said):
    pip("install", "--no-deps", "--target", tmp_path, "--index-url", f"{site}/simple/", "--only-binary", ":all:", package)
    module = package.replace("-", "_")
    printed = run(PYTHON, "-c", f"import {module}; {said}", env=clean_environment(PYTHONPATH=tmp_path)).stdout.strip()
    assert printed == {"piwtest-pure": "piwtest-pure 0.2", "piwtest-cext": "5", "piwtest-zlib": "907060870"}[package]


@pytest.mark.parametrize("accept", [JSON, HTML, "text/html"])
def test_pip_downloads_by_either_form_of_the_index(nginx, built, tmp_path, accept):
    """pip's own Accept is replaced on its way through its session."""
    program = (
        "import sys\n"
        "from pip._internal.network.session import PipSession\n"
        "request = PipSession.request\n"
        "def forced(self, method, url, *more, **options):\n"
        "    if '/simple/' in url and url.endswith('/'):\n"
        f"        options['headers'] = {{**(options.get('headers') or {{}}), 'Accept': {accept!r}}}\n"
        "    answer = request(self, method, url, *more, **options)\n"
        "    print('TYPE', url, answer.headers['content-type'])\n"
        "    return answer\n"
        "PipSession.request = forced\n"
        "from pip._internal.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n")
    done = run(PYTHON, "-c", program, "--isolated", "--disable-pip-version-check", "--no-cache-dir", "download", "--no-deps",
               "--dest", tmp_path, "--index-url", f"{nginx}/simple/", "piwtest-cext")
    assert done.returncode == 0, done.stderr
    type_ = re.search(r"TYPE \S+/simple/piwtest-cext/ (\S+)", done.stdout).group(1)
    assert (JSON in type_) == (accept == JSON)
    wheel = wheel_of(built, "piwtest-cext")
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_curl_gets_the_metadata_byte_for_byte(site, built):
    wheel = wheel_of(built, "piwtest-cext")
    got = subprocess.run(["curl", "-fsS", f"{site}/simple/piwtest-cext/{wheel.name}.metadata"], capture_output=True,
                         check=True, timeout=LIMIT_S)
    assert got.stdout == metadata_of(wheel.read_bytes())


def test_a_log_can_be_read_from_the_site(nginx, built):
    attempt = built.attempts["piwtest-stdin"]
    path = f"{nginx}/logs/{attempt // 100000000:04}/{attempt // 10000 % 10000:04}/{attempt % 10000:04}.txt.gz"
    got = subprocess.run(["curl", "-fsS", "--compressed", path], capture_output=True, check=True, timeout=LIMIT_S)
    assert got.stdout == built.log_of(attempt)


# ---- the slave's life --------------------------------------------------------------------------------

def test_a_slave_that_is_stopped_gives_its_build_back(farm):
    farm.start_master()
    slave = farm.start_slave()
    farm.add("piwtest-sleeps")
    attempt = farm.master.wait_line(r"builds piwtest-sleeps 0\.1 for native \(build (\d+)\)").group(1)
    assert slave.stop() == 0
    farm.wait_sql("SELECT count(*) FROM job WHERE attempt IS NULL", "1")
    assert farm.outcome(attempt).startswith("farm|slave left|")


def test_a_slave_that_is_killed_loses_its_build_to_another(farm):
    farm.start_master()
    farm.add("piwtest-pure")
    with farm.scripted_slave("first") as first:
        first.greet()
        attempt = first.ask().attempt
    farm.lose_lease(attempt)
    farm.start_slave(label="second")
    farm.wait_built("piwtest-pure")
    assert farm.sql("SELECT outcome, class FROM build ORDER BY id") == "farm|lost slave\nsuccess|"


def test_a_slave_comes_back_after_the_master_has_been_restarted(farm):
    farm.start_master()
    farm.start_slave()
    farm.add("piwtest-sleeps")
    attempt = farm.master.wait_line(r"builds piwtest-sleeps 0\.1 for native \(build (\d+)\)").group(1)
    assert farm.master.stop() == 0
    farm.start_master()
    farm.master.wait_line(r"slave \d+ \(slave-a\): connected")
    build, = farm.status()["slaves"][0]["builds"]
    assert build["build"] == int(attempt)

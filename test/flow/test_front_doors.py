"""What a stranger types first: the program's own words, `meson install`, scripts/quickstart and scripts/bench."""
import os
import re
import signal
import subprocess

import pytest

from harness import BUILD, PIWHEELS, ROOT, clean_environment, piwheels, run

COMMANDS = ["master", "slave", "initdb", "target", "add", "remove", "rebuild", "skip", "unskip", "explain",
            "queue", "status", "slaves", "logs", "monitor", "check"]
ALIASES = {"piw-master": "master", "piw-slave": "slave", "piw-initdb": "initdb", "piw-init-db": "initdb", "piw-add": "add",
           "piw-monitor": "monitor", "piw-rebuild": "rebuild", "piw-remove": "remove"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("installed")
    done = run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root, env=dict(os.environ), limit_s=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "usr" / "local"


def test_without_words_the_program_tells_its_commands():
    done = piwheels()
    assert done.returncode in (0, 2)
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_within_80_columns(command):
    for words in ([command, "--help"], ["help", command]):
        done = piwheels(*words)
        assert done.returncode == 0 and f"piwheels {command}" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_version_and_its_settings(command):
    assert re.fullmatch(r"piwheels \d+\.\d+\.\d+\n", piwheels(command, "--version").stdout)
    done = piwheels(command, "--print-config")
    assert done.returncode == 0 and "(default)" in done.stdout


def test_a_mistyped_command_is_told_the_right_one():
    done = piwheels("mastre")
    assert done.returncode == 2 and "master" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistyped_option_is_told_the_right_one(command):
    done = piwheels(command, "--verbos")
    assert done.returncode == 2 and "--verbose" in done.stderr


def test_every_room_that_writes_to_the_log_can_be_debugged():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.c"))
    rooms = set(re.findall(r'log_(?:debug|info|warning|error|debugging)\(\s*"(\w+)"', sources))
    done = piwheels("status", "--debug", ",".join([*rooms, "all"]), "--control-socket", "/nonexistent/socket")
    assert len(rooms) > 8 and done.returncode == 1, done.stderr


def shell(script):
    return run("/bin/bash", "-c", f"piwheels() {{ {PIWHEELS} \"$@\"; }}; {script}")


@pytest.mark.parametrize("closed", ["0", "1", "2"])
def test_a_closed_descriptor_is_not_taken_for_a_file_of_its_own(closed):
    done = shell(f"piwheels status --control-socket /nonexistent/socket {closed}>&-")
    assert done.returncode == 1 and ("no answer" in done.stderr) == (closed != "2"), done


def test_what_cannot_be_printed_is_a_failure():
    assert shell("piwheels help >/dev/full").stderr == "piwheels: cannot write to standard output: No space left on device\n"
    done = shell("piwheels help >&-")
    assert (done.returncode, done.stderr) == (1, "piwheels: cannot write to standard output: Bad file descriptor\n")


def test_who_has_read_enough_of_the_output_is_told_nothing_more():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PIWHEELS, "help"], stdout=writer, stderr=subprocess.PIPE, env=clean_environment(), check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@pytest.mark.parametrize("words, told", [
    (["slave", "--master", "host:port"], '--master: "host:port" is no HOST or HOST:PORT'),
    (["slave", "--master", ""], '--master: "" is no HOST or HOST:PORT'),
    (["master", "--slave-listen", ":5555"], '--slave-listen: ":5555" is no ADDR:PORT such as 192.0.2.1:5555; 0.0.0.0:5555 is '
     "every address of the machine"),
    (["master", "--slave-listen", "127.0.0.1:99999"], '--slave-listen: "127.0.0.1:99999" is no ADDR:PORT such as 192.0.2.1:5555; '
     "0.0.0.0:5555 is every address of the machine"),
    (["master", "--follow", "lised"], '--follow: "lised" is none of all|listed; did you mean listed?'),
    (["master", "--max-wheel", "0"], "--max-wheel: 0 is too little for any wheel; it is at least 1K"),
    (["slave", "--memory", "4"], "--memory: 4 is too little for any build; it is at least 64M"),
    (["slave", "--sandbox", "loose"], '--sandbox: "loose" is none of strict|basic|none'),
    (["master", "--pypi-json", "pypi.org"], '--pypi-json: "pypi.org" is no address such as https://example.org')])
def test_a_value_that_cannot_be_meant_is_a_mistake_of_usage_told_before_anything_is_opened(words, told):
    done = piwheels(*words)
    assert (done.returncode, done.stderr) == (2, f"piwheels {words[0]}: {told} (see piwheels {words[0]} --help)\n")


def test_settings_rise_from_file_to_environment_to_argv(tmp_path):
    file = tmp_path / "piwheels.conf"
    file.write_text("[master]\noutput = /from/file\nslave-listen = 127.0.0.1:1\nmax-wheel = 1M\n")
    done = piwheels("master", "-c", file, "--slave-listen", "127.0.0.1:3", "--print-config",
                    env=clean_environment(PIW_MASTER_OUTPUT="/from/environment", PIW_MASTER_SLAVE_LISTEN="127.0.0.1:2"))
    lines = dict(re.findall(r"^\[master\] (\S+) = (.*)$", done.stdout, re.M))
    assert lines["output"] == "/from/environment  (PIW_MASTER_OUTPUT)"
    assert lines["slave-listen"] == "127.0.0.1:3  (--slave-listen)"
    assert lines["max-wheel"] == f"1M  ({file}:4)"


def test_what_is_installed_is_the_program_with_its_names_pages_and_schema(installed):
    for alias, command in ALIASES.items():
        link = installed / "bin" / alias
        assert link.is_symlink() and f"piwheels {command}" in run(link, "--help").stdout
    for page in ["man1/piwheels.1", "man5/piwheels.conf.5", "man7/piwheels-protocol.7",
                 *(f"man1/piwheels-{command}.1" for command in COMMANDS), *(f"man1/{alias}.1" for alias in ALIASES)]:
        assert (installed / "share" / "man" / page).exists(), page
    assert (installed / "share" / "piwheels" / "schema" / "tables.sql").exists()


def test_the_program_is_hardened(installed):
    headers = run("readelf", "-W", "-l", "-d", installed / "bin" / "piwheels").stdout
    assert "GNU_RELRO" in headers and "BIND_NOW" in headers and "DYN (" in headers
    assert re.search(r"GNU_STACK.* RW ", headers)


def test_every_script_explains_itself():
    for script in ["quickstart", "test", "bench"]:
        done = run(ROOT / "scripts" / script, "--help")
        assert done.returncode == 0 and f"scripts/{script}" in done.stdout


def quickstart(directory, *words):
    done = subprocess.run([ROOT / "scripts" / "quickstart", "--once", "--dir", directory, *words], capture_output=True, text=True,
                          env={**clean_environment(HOME=directory), "PATH": os.environ["PATH"]}, timeout=500, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("words, told", [
    (["--onec"], "unknown option --onec"), (["--port"], "--port needs a value"), (["--port", "http"], '--port: "http" is no port'),
    (["--port", "65536"], '--port: "65536" is no port'), (["--port", "0"], '--port: "0" is no port'),
    (["--sdists", "/nonexistent"], "--sdists: /nonexistent is no directory"),
    (["--dir", "/tmp/a b"], '--dir: "/tmp/a b" has a character in its path that not all programs here bear')])
def test_quickstart_refuses_what_it_cannot_do_before_it_does_anything(words, told):
    done = run(ROOT / "scripts" / "quickstart", *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"quickstart: {told}; see --help\n")


def test_quickstart_ends_with_pip_installing_our_wheels(tmp_path):
    directory = tmp_path / "quickstart"
    status, told = quickstart(directory)
    assert status == 0, told
    assert "packages come from test/packages" in told or "packages come from PyPI" in told
    assert "all installed from our wheels" in told

    # the same directory again, from a folder of sdists: what is built already stays, a failure is told
    status, told = quickstart(directory, "--sdists", directory / "packages", "piwtest-cext", "piwtest-nocompile")
    assert status == 1, told
    assert "installed: piwtest_cext-0.1-cp" in told and "NOT installed: piwtest-nocompile" in told
    assert "piwtest-nocompile 0.1: failed (missing header piwtest/no-such-header.h" in told
    assert not subprocess.run(["pgrep", "-f", str(directory)], capture_output=True, check=False).stdout, "something still runs"


def test_a_benchmark_prints_its_figure_beside_a_limit(tmp_path):
    done = run("/usr/bin/python3", ROOT / "test" / "bench" / "bench.py", "--build", BUILD, "--small", "--versions", "10000",
               "dispatch-fail", "slave-overhead", "ingest", "next-build", "event-cost",
               env=clean_environment(PIW_TEST_TMP=tmp_path), limit_s=300)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^bench: dispatch-fail-(\d+) [\d.]+ builds/s \(limit [\d.]+ commits/s, ratio [\d.]+; .*\)$", done.stdout,
                      re.M) == ["1", "10"]
    for name, unit in (("ingest", "events/s"), ("ingest-result", "events/s"), ("next-build-10k", "ms"), ("event-cost-10k", "ms")):
        assert re.search(rf"^bench: {name} [\d.]+ {unit} \(limit [\d.]+ {unit}, ", done.stdout, re.M), done.stdout
    assert len(re.findall(r"^bench: slave-overhead [-\d.]+ ms \(limit 150.0 ms, ", done.stdout, re.M)) == 2


def test_an_unknown_benchmark_is_told_the_known_ones():
    done = run("/usr/bin/python3", ROOT / "test" / "bench" / "bench.py", "--build", BUILD, "dispatch-fial")
    assert done.returncode != 0 and "dispatch-fail" in done.stderr

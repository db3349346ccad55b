"""The commands that order something of a running master: queue, rebuild, skip, unskip, remove, and add's skips."""
import json
import os
import pty
import re
import subprocess

import pytest

from harness import ROOT, clean_environment, on_a_terminal, piwheels
from wheels import make_wheel


@pytest.fixture
def farm(standing_farm):
    standing_farm.forget_packages()
    return standing_farm


def do(farm, *words):
    done = farm.tool(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(farm, *words, status=1):
    done = farm.tool(*words)
    assert (done.returncode, done.stdout) == (status, ""), done.stdout + done.stderr
    return done.stderr


def told(farm, *words):
    return json.loads(do(farm, *words, "--json"))


def state(farm, package, version, target="native"):
    (found,) = told(farm, "explain", f"{package}=={version}", "--target", target)["versions"]
    return found["targets"][0]["state"]


def build(farm, package="piwtest-pure", version="0.2"):
    farm.add(package, version)
    with farm.scripted_slave() as slave:
        slave.greet()
        good, text = slave.deliver(slave.ask().attempt, [make_wheel(package, version)])
        assert good, text


def fail(farm):
    with farm.scripted_slave() as slave:
        slave.greet()
        slave.fail(slave.ask().attempt)


# ---- what programs read ----

def fields(value):
    """The names in it; what a build was made with is as its slave tells it."""
    if isinstance(value, dict):
        return {*value, *(name for key, inner in value.items() if key != "record" for name in fields(inner))}
    return {name for inner in value for name in fields(inner)} if isinstance(value, list) else set()


def manual(command):
    """The words of its page about JSON."""
    page = (ROOT / "man" / f"piwheels-{command}.1").read_text(encoding="utf-8")
    return set(re.findall(r"\w+", re.search(r"^\.Ss As JSON$(.*?)^\.Sh", page, re.M | re.S).group(1)))


def test_every_field_is_in_the_manual_and_every_answer_on_a_line(farm):
    build(farm)
    wheel = farm.file("piwtest-pure", "piwtest_pure-0.2-py3-none-any.whl")
    whole = wheel.read_bytes()
    wheel.write_bytes(b"damaged")
    damaged = piwheels("check", "--files", "-o", farm.output, "--json", "-d", farm.dsn)
    wheel.write_bytes(whole)
    assert damaged.returncode == 1 and fields(json.loads(damaged.stdout)) - manual("check") == set()
    farm.add("piwtest-cext")
    for words in (["add", "piwtest-cext"], ["queue"], ["explain", "piwtest-cext"], ["explain", "piwtest-pure==0.2"], ["status"],
                  ["slaves", "list"], ["rebuild", "-y", "piwtest-pure"], ["rebuild", "--pages", "home"],
                  ["skip", "piwtest-cext", "--reason", "why"], ["skip", "--list"], ["unskip", "piwtest-cext"],
                  ["remove", "-y", "piwtest-pure"]):
        line = do(farm, *words, "--json")
        assert line.endswith("\n") and line.count("\n") == 1
        assert fields(json.loads(line)) - manual(words[0]) == set(), words
    for words in (["target", "list"], ["check"]):
        done = piwheels(*words, "--json", "-d", farm.dsn)
        assert done.returncode == 0 and fields(json.loads(done.stdout)) - manual(words[0]) == set(), words


def test_every_time_is_told_alike(farm):
    build(farm)
    (slave,) = told(farm, "slaves", "list")["slaves"]
    (version,) = told(farm, "explain", "piwtest-pure==0.2")["versions"]
    (attempt,) = version["targets"][0]["attempts"]
    for time in (slave["last_seen"], version["released"], attempt["started"], attempt["finished"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", time), time


# ---- queue ----

def test_the_queue_is_told_in_words_and_as_json(farm):
    farm.add("piwtest-pure"), farm.add("piwtest-cext")
    fail(farm)
    (target,) = told(farm, "queue")["targets"]
    assert (target["waiting"], target["building"], target["parked"], target["builds_hour"] >= 1) == (1, 0, 0, True)
    shown = do(farm, "queue", "--target", "native").splitlines()
    assert shown[0] == "native: 1 waiting for a slave, 0 being built"
    assert shown[1] == "  0 to be read from PyPI first, 0 to be tried later, 0 parked for a person"
    assert "; empty in " in shown[2] and "the oldest waits for " in shown[2]
    assert shown[3].startswith("   1  piwtest-") and shown[3].endswith(", asked for by hand")


def test_an_empty_queue_has_no_oldest(farm):
    (target,) = told(farm, "queue")["targets"]
    assert (target["waiting"], target["oldest_s"], target["empty_s"], target["first"]) == (0, None, None, [])
    assert do(farm, "queue") == ("native: 0 waiting for a slave, 0 being built\n"
                                 "  0 to be read from PyPI first, 0 to be tried later, 0 parked for a person\n"
                                 "  last hour: 0 built or failed, 0 lost by the farm\n")


def test_the_queue_of_an_unknown_target_is_refused_with_the_nearest(farm):
    assert "there is no target natve; did you mean native?" in refused(farm, "queue", "--target", "natve")


def test_status_and_monitor_stop_counting_where_the_queue_goes_on(farm):
    farm.add("piwtest-pure")
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")   # the page of so many takes long, and would come first
    farm.sql("""INSERT INTO version (package, version, sort_key, sdist)
            SELECT p.id, 'v' || n, int4send(n), 'x' FROM package p, generate_series(1, 10000) n;
        INSERT INTO job (version, target, rank) SELECT id, 0, 0 FROM version WHERE version LIKE 'v%'""")
    assert re.search(r"^native .* 10000\+ +0 +0 +0 +0$", do(farm, "status"), re.M)
    assert do(farm, "queue").startswith("native: 10001 waiting for a slave")


# ---- rebuild ----

def test_what_failed_is_built_again(farm):
    farm.add("piwtest-pure")
    fail(farm)
    assert do(farm, "rebuild", "-y", "piwtest-pure") == "piwtest-pure 0.2 for native: queued (waits for a slave)\n"
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.ask().version == "0.2"


def test_a_sleeping_slave_is_woken_for_it(farm):
    farm.add("piwtest-pure")
    fail(farm)
    with farm.scripted_slave() as slave:
        slave.greet()
        slave.idle()
        slave.expect("SLEEP")
        do(farm, "rebuild", "-y", "piwtest-pure==0.2", "--target", "native")
        slave.expect("WAKE")


def test_what_is_built_is_built_again_and_the_same_bytes_are_fine(farm):
    build(farm)
    assert told(farm, "rebuild", "-y", "PIWTEST_Pure", "0.2")["asked"][0]["state"] == "queued"
    with farm.scripted_slave() as slave:
        slave.greet()
        good, text = slave.deliver(slave.ask().attempt, [make_wheel("piwtest-pure", "0.2")])
    assert good, text
    assert state(farm, "piwtest-pure", "0.2") == "built"


def test_nobody_to_ask_changes_nothing(farm):
    farm.add("piwtest-pure")
    fail(farm)
    done = farm.tool("rebuild", "piwtest-pure")
    assert done.returncode == 1 and "give -y" in done.stderr
    assert done.stdout.startswith("Versions of piwtest-pure to be built again: 1 (built 0, failed 1, parked 0).")
    assert state(farm, "piwtest-pure", "0.2") == "failed"


def test_what_is_asked_is_seen_though_the_output_goes_into_a_file(farm):
    farm.add("piwtest-pure")
    fail(farm)
    leader, follower = pty.openpty()
    os.write(leader, b"y\n")
    done = subprocess.run([farm.program, "rebuild", "piwtest-pure", "--json", "--control-socket", farm.socket], stdin=follower,
                          capture_output=True, text=True, env=clean_environment(), check=False)
    os.close(leader), os.close(follower)
    assert done.returncode == 0 and json.loads(done.stdout)["failed"] == 1
    assert "Versions of piwtest-pure to be built again: 1" in done.stderr and done.stderr.endswith("Go on? [y/N] ")


def test_nothing_to_build_again_is_said(farm):
    farm.add("piwtest-pure")
    assert "nothing of piwtest-pure failed" in refused(farm, "rebuild", "-y", "piwtest-pure")


def test_pages_are_written_again(farm):
    build(farm)
    farm.wait_sql("SELECT count(*) FROM stale_page WHERE kind = 'index'", "0")
    page = farm.output / "simple/piwtest-pure/index.html"
    page.write_text("spoilt")
    assert do(farm, "rebuild", "--pages", "index", "piwtest-pure") == "Pages to be written again: 1\n"
    farm.wait_sql("SELECT count(*) FROM stale_page WHERE kind = 'index'", "0")
    assert "spoilt" not in page.read_text()


@pytest.mark.parametrize("words, say", [
    (["simple", "x"], "piwheels rebuild --pages index x"), (["project", "x"], "piwheels rebuild --pages project x"),
    (["--pages", "indx"], "did you mean index?"), (["x==1", "2"], '"x==1" names a version already; leave "2" out'), (["--pages", "index", "x", "y"], "--pages takes the name of one package"),
    ([], "name the package"), (["x>=1"], "does not name one version")])
def test_words_of_old_and_wrong_ones_are_answered_with_the_right_ones(farm, words, say):
    assert say in refused(farm, "rebuild", *words, status=2)


# ---- skip, unskip ----

@pytest.mark.parametrize("words", [["add", "piwtest-pure", "--skip", ""], ["remove", "-y", "piwtest-pure", "--skip", ""]])
def test_a_skip_without_a_reason_is_refused_before_anything_is_done(farm, words):
    farm.add("piwtest-cext")
    assert "give --skip a reason: whoever finds no wheel will read it" in refused(farm, *words, status=2)
    assert farm.sql("SELECT name FROM package") == "piwtest-cext"



def test_a_skipped_package_leaves_the_queue_until_the_skip_is_taken_back(farm):
    farm.add("piwtest-pure")
    shown = do(farm, "skip", "piwtest-pure", "--reason", "it is pure")
    number = shown.split()[3]
    assert shown == f"Skipped by rule {number}  piwtest-pure: it is pure (3 versions)\n"
    assert state(farm, "piwtest-pure", "0.2") == "skipped" and farm.sql("SELECT count(*) FROM job") == "0"
    assert do(farm, "skip", "--list") == f"{number}  piwtest-pure: it is pure (3 versions)\n"
    assert do(farm, "unskip", number) == f"{number}: 1 rule taken back\n"
    assert state(farm, "piwtest-pure", "0.2") == "queued"
    assert "Nothing is skipped" in do(farm, "skip", "--list")


def test_the_projects_json_tells_why_a_release_is_skipped(farm):
    farm.add("--all", "piwtest-pure")
    def reasons():
        farm.wait_sql("SELECT count(*) FROM stale_page", "0")
        page = json.loads((farm.output / "project/piwtest-pure/json/index.json").read_text())
        return {version: release["skip_reason"] for version, release in page["releases"].items()}
    do(farm, "skip", "piwtest-pure<0.2", "--reason", "old")
    assert {reason for version, reason in reasons().items() if version < "0.2"} == {"old"}
    assert reasons()["0.2"] is None
    do(farm, "skip", "piwtest-pure", "--reason", "it is pure")
    assert set(reasons().values()) == {"it is pure"}


def test_a_specifier_strikes_the_versions_that_it_fits(farm):
    farm.add("--all", "piwtest-pure")
    rule = told(farm, "skip", "piwtest-pure<0.2", "--reason", "old")
    assert (rule["specifier"], rule["versions"]) == ("<0.2", 1)
    assert [state(farm, "piwtest-pure", text) for text in ("0.1", "0.2", "0.3rc1")] == ["skipped", "queued", "queued"]


def test_a_version_that_comes_later_is_judged_as_pypis_page_is_read(farm):
    farm.add("piwtest-pure", "0.1")
    do(farm, "skip", "piwtest-pure>=0.8", "--reason", "too new")
    farm.pypi.sql("INSERT INTO file (project, version, filename, path) SELECT project, '0.9', 'piwtest-pure-0.9.tar.gz', path "
                  "FROM file WHERE filename = 'piwtest-pure-0.1.tar.gz'")
    try:
        assert farm.add("piwtest-pure", "0.9") == "piwtest-pure 0.9 for native: skipped (skipped by a rule: too new)\n"
    finally:
        farm.pypi.sql("DELETE FROM release WHERE project = 'piwtest-pure' AND version = '0.9'")


def test_prereleases_of_everything_are_skipped(farm):
    farm.add("--all", "piwtest-pure")
    assert told(farm, "skip", "--pre", "--all", "--reason", "unfinished")["versions"] == 1
    assert state(farm, "piwtest-pure", "0.3rc1") == "skipped" and state(farm, "piwtest-pure", "0.2") == "queued"
    assert farm.add("piwtest-pure", "0.3rc1").startswith("piwtest-pure 0.3rc1 for native: skipped")


def test_a_build_of_what_is_skipped_is_stopped(farm):
    farm.add("piwtest-pure")
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        do(farm, "skip", "piwtest-pure", "--reason", "no")
        assert slave.expect("STOP", ignore=("CONT",))[0] == attempt


def test_a_package_is_made_known_and_skipped_and_taken_up_again_by_add(farm):
    assert re.search(r"^piwtest-pure 0\.1: skipped from now on by rule \d+ \(it hangs\)$",
                     farm.add("piwtest-pure", "0.1", "--skip", "it hangs"), re.M)
    assert state(farm, "piwtest-pure", "0.1") == "skipped"
    farm.add("-y", "piwtest-pure", "0.2")
    assert state(farm, "piwtest-pure", "0.2") == "queued"
    assert farm.add("--unskip", "piwtest-pure", "0.1") == "piwtest-pure 0.1 for native: queued (waits for a slave)\n"


def test_on_a_terminal_add_asks_before_it_takes_skips_back(farm):
    farm.add("piwtest-pure", "0.1", "--skip", "it hangs")
    words = ["add", "--unskip", "piwtest-pure", "0.1", "--control-socket", farm.socket]
    status, shown = on_a_terminal(b"n\n", *words)
    assert status == 1 and "piwtest-pure: 1 of 1 rules that skip it are taken back" in shown and "nothing has been changed" in shown
    assert state(farm, "piwtest-pure", "0.1") == "skipped"
    assert on_a_terminal(b"", *words, "-y") == (0, "piwtest-pure 0.1 for native: queued (waits for a slave)\n")
    farm.add("piwtest-pure", "0.1", "--skip", "it hangs")
    status, shown = on_a_terminal(b"y\n", *words)
    assert status == 0 and "piwtest-pure 0.1 for native: queued" in shown


@pytest.mark.parametrize("words, say", [
    (["x"], "give a --reason"), (["x", "--reason", ""], "give a --reason"), (["--reason", "r"], "a package's name or --all"),
    (["--all", "--reason", "r"], "only the pre-releases"), (["x", "--all", "--pre", "--reason", "r"], "a package's name or --all"),
    (["x=>1", "--reason", "r"], "x=>1"), (["x", "--reason", "r" * 256], "longer than 255 bytes")])
def test_what_makes_no_rule_is_refused(farm, words, say):
    assert say in refused(farm, "skip", *words, status=2)


def test_skips_of_what_is_not_known_are_refused(farm):
    farm.add("piwtest-pure")
    assert "did you mean piwtest-pure?" in refused(farm, "skip", "piwtest-pur", "--reason", "r")
    assert "did you mean native?" in refused(farm, "skip", "piwtest-pure", "--target", "natif", "--reason", "r")
    assert "there is no rule 77" in refused(farm, "unskip", "77")
    assert "something is missing" in refused(farm, "unskip", status=2)


# ---- remove ----

def test_a_removed_package_leaves_the_index(farm):
    build(farm)
    farm.wait_page("piwtest-pure")
    assert do(farm, "remove", "-y", "piwtest-pure") == "piwtest-pure: removed, 1 file withdrawn\n"
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    assert not (farm.output / "simple/piwtest-pure/index.html").exists()
    assert "no package piwtest-pure is known here" in refused(farm, "explain", "piwtest-pure")


def test_a_removed_version_of_a_followed_package_is_said_to_come_back(farm):
    farm.add("piwtest-pure")
    assert "To keep it out: piwheels remove piwtest-pure==0.2 --skip REASON" in do(farm, "remove", "-y", "piwtest-pure==0.2")
    assert "has no version 0.2 here" in refused(farm, "explain", "piwtest-pure==0.2")


def test_builds_alone_are_removed_and_what_was_built_is_built_anew(farm):
    build(farm)
    assert do(farm, "remove", "-yb", "piwtest-pure").startswith("piwtest-pure: its builds are removed, 1 file withdrawn")
    assert state(farm, "piwtest-pure", "0.2") == "queued"


def test_what_is_removed_and_skipped_stays_away(farm):
    build(farm)
    told(farm, "remove", "-y", "-s", "it is not ours", "piwtest-pure", "0.2")
    assert state(farm, "piwtest-pure", "0.2") == "skipped" and farm.sql("SELECT count(*) FROM file") == "0"


def test_a_build_of_what_is_removed_is_stopped(farm):
    farm.add("piwtest-pure")
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        do(farm, "remove", "-y", "piwtest-pure")
        assert slave.expect("STOP", ignore=("CONT",))[0] == attempt


def test_nothing_is_removed_where_nobody_can_be_asked(farm):
    farm.add("piwtest-pure")
    done = farm.tool("remove", "piwtest-pure")
    assert done.returncode == 1 and done.stdout.startswith("piwtest-pure: 3 versions, 0 files, 0 builds, 0 of them under way.")
    assert state(farm, "piwtest-pure", "0.2") == "queued"


@pytest.mark.parametrize("command", ["add", "remove"])
@pytest.mark.parametrize("option", ["--yank", "--unyank"])
def test_yanks_are_pypis_own(farm, command, option):
    assert "what is yanked follows PyPI" in refused(farm, command, option, "x", status=2)

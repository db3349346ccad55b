"""The master follows PyPI's changelog: what events come to, and what it does on PyPI's bad days."""
import contextlib
import json
import re

import pytest

import model
from harness import LoopbackPyPI, make_history, wait_for
from scripted_index import ScriptedIndex, make_certificate

OTHER = "piwtest-other"


def release(pypi, project, version="1.0"):
    pypi.sql("INSERT INTO file (project, version, filename, content) VALUES (?, ?, ?, 'a sdist')", project, version,
             f"{project}-{version}.tar.gz")


def misbehave(pypi, kind, argument=None):
    pypi.sql("INSERT INTO behaviour (path_prefix, method, kind, argument) VALUES ('/pypi', 'POST', ?, ?)", kind, argument)


def behave(pypi):
    pypi.sql("DELETE FROM behaviour")


def newest(pypi):
    return str(pypi.sql("SELECT max(serial) FROM event")[0][0])


def wait_read(farm):
    farm.wait_sql("SELECT max(serial) FROM event_cursor", newest(farm.pypi))


def follow(farm, *options, **more):
    farm.start_master(*options, follow="all", **more)
    wait_read(farm)


def wait_known(farm, project, version="1.0"):
    farm.wait_sql(f"SELECT count(*) FROM version v JOIN package p ON p.id = v.package WHERE p.name = '{project}' "
                  f"AND v.version = '{version}'", "1")


def leave_nothing_to_build(farm):
    """Of what is there already; locked in the master's order, which may be at it."""
    farm.sql("BEGIN; WITH locked AS (SELECT FROM version ORDER BY id FOR UPDATE) SELECT count(*) FROM locked; "
             "UPDATE version SET failed_mask = -1; DELETE FROM job; COMMIT")


def build_one(farm, package):
    """A build by hand, from the order to its record: the farm lives."""
    leave_nothing_to_build(farm)
    farm.order(package)
    with farm.scripted_slave() as slave:
        slave.greet()
        build = slave.ask()
        slave.fail(build.attempt)
    return build


@contextlib.contextmanager
def somebody_at_the_door(farm):
    """Once greeted, which does not end meanwhile, this slave holds up what the master asks of the database on the same connection:
    the queue's rounds, and what the targets are."""
    farm.accept("another")
    with farm.locked("slave"), farm.scripted_slave("another", accepted=False) as another:
        def greet():
            another.hello()
            farm.wait_blocked("slave_seen")
        yield greet


def wait_status(farm, state):
    """What status tells of PyPI, once that is so."""
    return wait_for(lambda: (told := farm.status()["pypi"])["state"] == state and told)


# ---- good days ---------------------------------------------------------------------------------------

def test_the_history_is_read_from_its_first_event(farm, pypi):
    follow(farm)
    names = {row[0] for row in pypi.sql("SELECT name FROM project")}
    assert set(farm.sql("SELECT name FROM package").split()) == names
    told = wait_status(farm, "following")
    assert (told["follow"], told["lag"], told["trouble"]) == ("all", 0, "")
    assert told["serial"] == told["newest"] == int(newest(pypi)) and told["answered_ms"] >= 0
    line = next(line for line in farm.tool("status").stdout.splitlines() if line.startswith("PyPI"))
    assert re.fullmatch(rf"PyPI         all packages, at serial {newest(pypi)}, 0 behind, last answer .* ago", line)


def test_a_long_history_comes_to_what_the_model_says(farm, pypi, tmp_path):
    pypi.stop()
    folder = tmp_path / "long"
    folder.mkdir()
    path = make_history(folder, 20_000)
    farm.pypi = LoopbackPyPI(folder)
    follow(farm, "--pypi-simple", "http://127.0.0.1:1/simple")  # events alone, without what pages tell
    expected = model.expected(path)
    versions = farm.sql("SELECT json_agg(json_build_array(p.name, v.version, v.yanked, v.quarantined, v.sdist)) "
                        "FROM version v JOIN package p ON p.id = v.package")
    found = {(name, version): [yanked, quarantined, sdist]
             for name, version, yanked, quarantined, sdist in json.loads(versions)}
    assert set(farm.sql("SELECT name FROM package").split()) == set(expected)
    assert {(name, model.key_of(model.version_of(version))): facts for (name, version), facts in found.items()} == {
        (name, key): [version["yanked"], version["quarantined"], version["sdist"]]
        for name, project in expected.items() for key, version in project["versions"].items()}
    farm.pypi.stop()


def test_listed_packages_only_are_followed_when_asked_so(farm, pypi):
    farm.start_master(follow="listed")
    farm.add("piwtest-pure")
    release(pypi, OTHER)
    release(pypi, "piwtest-pure", "9.9")
    wait_known(farm, "piwtest-pure", "9.9")
    wait_read(farm)
    assert farm.sql(f"SELECT count(*) FROM package WHERE name = '{OTHER}'") == "0"
    assert farm.status()["pypi"]["follow"] == "listed"


def test_a_restart_goes_on_where_the_last_one_stopped(farm, pypi):
    follow(farm)
    farm.master.kill()
    release(pypi, OTHER)
    before = newest(pypi)
    farm.start_master(follow="all")
    line = farm.master.wait_line(r"changelog: goes on from serial (\d+) of (\d+)")
    assert int(line.group(1)) < int(line.group(2)) == int(before)
    wait_known(farm, OTHER)


def test_a_new_release_reaches_a_sleeping_slave_by_itself(farm, pypi):
    follow(farm)
    leave_nothing_to_build(farm)
    with farm.scripted_slave() as slave:
        slave.greet()
        slave.idle()
        slave.expect("SLEEP")
        release(pypi, OTHER)
        slave.expect("WAKE")
        build = slave.ask()
        assert (build.package, build.version) == (OTHER, "1.0")


@pytest.mark.parametrize("withdraw", [
    "DELETE FROM project WHERE name = 'piwtest-other'",
    "DELETE FROM release WHERE project = 'piwtest-other'",
    "UPDATE release SET yanked = 1 WHERE project = 'piwtest-other'",
    "UPDATE project SET quarantined = 1 WHERE name = 'piwtest-other'",
])
def test_who_builds_what_is_withdrawn_is_told_to_stop(farm, pypi, withdraw):
    follow(farm)
    leave_nothing_to_build(farm)
    release(pypi, OTHER)
    with farm.scripted_slave() as slave:
        slave.greet()
        build = slave.ask()
        slave.busy(build.attempt)
        slave.expect("CONT")
        with somebody_at_the_door(farm) as greet:
            with farm.locked("event_cursor"):   # the events wait until the queue, which would notice too, cannot look
                pypi.sql(withdraw)
                farm.wait_blocked("events_apply")
                greet()
            attempt, reason = slave.expect("STOP")
        assert (attempt, reason) == (build.attempt, f"PyPI has withdrawn {OTHER} 1.0")


def test_an_action_that_nobody_knows_is_logged_once_and_the_project_compared(farm, pypi):
    follow(farm)
    for _ in range(3):
        pypi.sql("INSERT INTO event (project, action) VALUES ('piwtest-pure', 'archive project')")
    pypi.sql("UPDATE project SET summary = 'new' WHERE name = 'piwtest-pure'")
    wait_read(farm)
    assert farm.master.output().count('"archive project" is no action known here') == 1
    assert farm.status()["pypi"]["unknown"] >= 3
    farm.wait_sql("SELECT refresh_at IS NULL AND etag <> '' FROM package WHERE name = 'piwtest-pure'", "t")


def test_a_name_that_is_none_is_passed_over_by_name(farm, pypi):
    follow(farm)
    pypi.sql("INSERT INTO event (project, spelled, action) VALUES ('x', 'no\x01name', 'create')")
    farm.master.wait_line(r'changelog: passed over "no\\x7fname"')
    wait_read(farm)
    assert farm.status()["pypi"]["refused"] == 1


def test_a_version_that_is_none_by_pep_440_is_known_and_skipped_until_it_is_asked_for(farm, pypi):
    farm.start_master(follow="listed")
    release(pypi, OTHER)
    release(pypi, OTHER, "bananas")
    farm.add("--all", OTHER)
    state = ("SELECT s.state, s.reason FROM version v CROSS JOIN LATERAL version_state(v.id, 0::smallint) s "
             "WHERE v.version = 'bananas'")
    assert farm.sql("SELECT version FROM version ORDER BY sort_key").split() == ["bananas", "1.0"]
    assert farm.sql(state).startswith("skipped|") and "PEP 440" in farm.sql(state)
    farm.sql("UPDATE version SET by_hand = true, wanted = true WHERE version = 'bananas'; "
             "SELECT versions_settle(array_agg(id)) FROM version")
    assert farm.sql(state) == "queued|waits for a slave"


def test_pages_that_waited_for_the_history_are_written_after_a_crash_at_its_end(farm, pypi):
    """Killed between the last batch of the history and the next one, of which there is none."""
    follow(farm)
    farm.master.kill()
    farm.sql("UPDATE configuration SET reads_history = true; DELETE FROM stale_page")
    farm.start_master(follow="all")
    farm.wait_sql("SELECT reads_history FROM configuration", "f")
    farm.master.wait_line("page /project/piwtest-pure/: written")


REFUSE = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'not that one' USING ERRCODE = 'check_violation'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON package FOR EACH ROW WHEN (NEW.name = 'piwtest-refused') EXECUTE FUNCTION refuse()"""


def test_an_event_that_the_database_refuses_is_named_and_passed_over(farm, pypi):
    farm.sql(REFUSE)
    for number in range(20):
        release(pypi, f"piwtest-{number}")
    release(pypi, "piwtest-refused")
    release(pypi, OTHER)
    follow(farm)
    passed = re.findall(r"passed over an event of (\S+) that the database refuses \(serial \d+: .*not that one", farm.master.output())
    assert passed and set(passed) == {"piwtest-refused"}
    refused = {row[0] for row in pypi.sql("SELECT name FROM project")} - set(farm.sql("SELECT name FROM package").split())
    assert refused == {"piwtest-refused"}
    told = wait_status(farm, "following")
    assert told["refused"] == len(passed) and told["trouble"] == ""


def test_events_are_kept_as_long_as_the_master_is_told(farm, pypi):
    release(pypi, OTHER)
    follow(farm, "--event-retention", "1d")
    farm.wait_sql(f"SELECT kind, version, file FROM event WHERE name = '{OTHER}' AND kind = 's'", f"s|1.0|{OTHER}-1.0.tar.gz")
    assert farm.master.stop() == 0
    farm.sql("ALTER TABLE event_0 SET (autovacuum_enabled = false)")    # who reads it is not waited for
    farm.start_master(follow="all")     # keeps none
    assert farm.sql("SELECT count(*) FROM event") == "0"


def test_the_sweep_mends_what_no_event_told(farm, pypi):
    follow(farm, "--sweep", "1s")
    differ = 0
    while differ == 0:  # a comparison that was under way may mend it before the sweep looks
        mark = farm.master.mark()
        farm.sql("UPDATE package SET serial = 0, display = 'lost' WHERE name = 'piwtest-pure'")
        differ = int(farm.master.wait_line(r"sweep: \d+ projects of PyPI compared by their serials; (\d+) differ", mark).group(1))
    farm.wait_sql("SELECT serial > 0 AND etag <> '' FROM package WHERE name = 'piwtest-pure'", "t")


# ---- bad days ----------------------------------------------------------------------------------------

BAD_DAYS = {
    "status": ("500", "status 500"),
    "busy": ("429 1", "too many requests"),
    "fault": ("1", "HTTPTooManyRequests"),
    "cut": (None, "cut off"),
    "html": (None, "text/html"),
    "redirect": (None, "redirected too often"),
    "stall": (None, "too slow"),
    "drip": (None, "too slow"),
    "lost": ("http://nowhere.invalid/", "host name was not resolved"),
    "reversed": (None, "out of order"),
    "repeated": (None, "out of order"),
    "shape": ("nothing", "not what it should be"),
}
KINDS = {"busy": "status", "lost": "redirect"}


@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_bad_day_of_pypi_stops_nobody_and_passes(farm, pypi, day):
    argument, words = BAD_DAYS[day]
    follow(farm)
    misbehave(pypi, KINDS.get(day, day), argument)
    release(pypi, OTHER)
    release(pypi, OTHER, "2.0")
    farm.master.wait_line(rf"changelog: stands still: .*{words}")
    told = wait_status(farm, "waiting")
    assert words in told["trouble"] and told["serial"] < int(newest(pypi))
    assert words in farm.tool("status").stdout
    assert build_one(farm, "piwtest-meanwhile").package == "piwtest-meanwhile"
    behave(pypi)
    farm.master.wait_line(r"changelog: goes on \(\d+ failures in")
    wait_known(farm, OTHER, "2.0")
    # a trouble is told when it comes, not again and again; the answer that was under way as the day turned may be one of its own
    told = re.findall(r"changelog: stands still: (.*)", farm.master.output())
    assert not [pair for pair in zip(told, told[1:]) if words in pair[0] and words in pair[1]]


def test_a_retry_after_is_waited_for(farm, pypi):
    follow(farm)
    misbehave(pypi, "status", "503 3600")
    farm.master.wait_line("changelog: stands still: .*status 503")
    assert 3_500_000 < wait_status(farm, "waiting")["next_ms"] <= 3_600_500


def test_the_reset_of_a_limit_is_waited_for(farm, pypi):
    follow(farm)
    misbehave(pypi, "fault", "1800")
    farm.master.wait_line("changelog: stands still: .*HTTPTooManyRequests")
    assert 1_700_000 < wait_status(farm, "waiting")["next_ms"] <= 1_800_500


def test_a_start_on_a_bad_day_serves_slaves_all_the_same(farm, pypi):
    misbehave(pypi, "status", "500")
    farm.start_master(follow="all")
    farm.master.wait_line("changelog: stands still: .*status 500")
    build_one(farm, "piwtest-meanwhile")
    behave(pypi)
    wait_read(farm)


def test_a_pypi_that_is_behind_what_is_known_of_it_is_told(farm, pypi):
    follow(farm)
    farm.master.stop()
    farm.sql("INSERT INTO event_cursor SELECT max(serial) + 1000 FROM event_cursor")
    farm.start_master(follow="all")
    farm.master.wait_line(rf"changelog: PyPI's newest serial, {newest(pypi)}, is below {int(newest(pypi)) + 1000}, which was read")


def test_an_index_whose_certificate_nobody_has_signed_is_not_believed(farm, tmp_path):
    index = ScriptedIndex(make_certificate(tmp_path)[0])
    farm.start_master("--pypi-simple", index.simple)
    done = farm.tool("add", "piwtest-pure")
    index.close()
    assert done.returncode != 0 and "the server's certificate was not accepted" in done.stderr + done.stdout
    assert index.asked == []


def no_pages(pypi, status):
    pypi.sql("INSERT INTO behaviour (path_prefix, kind, argument) VALUES ('/simple', 'status', ?)", status)


def pages_asked(pypi, project, status):
    return pypi.sql("SELECT count(*) FROM request WHERE path = ? AND status = ?", f"/simple/{project}/", status)[0][0]


def test_an_index_that_has_no_page_at_all_any_more_removes_nothing(farm, pypi):
    release(pypi, OTHER)
    farm.start_master("--pypi-xmlrpc", "", "--poll-interval", "1s")
    farm.add("piwtest-pure")
    farm.add(OTHER)
    with somebody_at_the_door(farm) as greet:  # a page that was there before is stored behind the first that was not
        greet()
        farm.sql("UPDATE package SET etag = '' WHERE name = 'piwtest-pure'")
        wait_for(lambda: pages_asked(pypi, "piwtest-pure", 200) >= 2)
        no_pages(pypi, "404")
        farm.master.wait_line(f"{OTHER}: could not be compared with PyPI")
    wait_for(lambda: min(pages_asked(pypi, name, 404) for name in ("piwtest-pure", OTHER)) >= 3)
    assert farm.sql("SELECT count(*) FROM package") == "2"
    pypi.sql("DELETE FROM project WHERE name = ?", OTHER)
    behave(pypi)
    for name, said in (("piwtest-pure", "compared with PyPI again"), (OTHER, "PyPI has it no more; it is removed here too")):
        farm.sql(f"UPDATE package SET refresh_at = now() WHERE name = '{name}'")
        farm.master.wait_line(rf"{name}: {said}")
    farm.wait_sql("SELECT string_agg(name, '') FROM package", "piwtest-pure")


def test_a_pypi_that_says_no_and_no_again_is_not_asked_for_all_there_is(farm, pypi):
    farm.start_master("--pypi-xmlrpc", "")
    no_pages(pypi, "500")
    farm.sql("INSERT INTO package (name, display, follow, refresh_at) SELECT 'p' || n, 'p' || n, 'new', now() FROM generate_series(1, 40) n")
    farm.master.wait_line("following: one comparison after the other fails, the last: PyPI cannot be asked now: .*status 500; the next in ")
    for n in range(1, 41):
        release(pypi, f"p{n}")
    behave(pypi)
    farm.master.wait_line(r"following: goes on \(\d+ comparisons had failed")
    wait_known(farm, "p1")


def test_without_a_changelog_packages_are_only_compared(farm, pypi):
    farm.start_master("--pypi-xmlrpc", "", follow="all")
    farm.add("piwtest-pure")
    release(pypi, "piwtest-pure", "9.9")
    wait_known(farm, "piwtest-pure", "9.9")
    assert farm.status()["pypi"]["state"] == "off"
    assert pypi.sql("SELECT count(*) FROM request WHERE method = 'POST'") == [(0,)]

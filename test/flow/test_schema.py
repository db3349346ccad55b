"""The rules in schema/functions.sql, each called as the service's user would."""
import contextlib
import itertools
import json
import re
import subprocess

import psycopg2
import pytest

from harness import piwheels

ALL = (1 << 63) - 1
SHA = "ab" * 32
FRONTS = "array_fill(0::bigint, ARRAY[64]), array_fill(0::bigint, ARRAY[64])"  # claims look at the whole queue
OTHER_SHA = "cd" * 32
TABLES = ("build", "configuration", "dependency", "event_cursor", "file", "job", "override", "package", "package_alias", "preinstalled", "skip_reason", "skip_rule",
          "slave", "stale_page", "tagset", "tally", "target", "version", "version_wheel", "withdrawn_file")


class World:
    """A database made by initdb, with short words for what the master does to it."""

    def __init__(self, postgres, name):
        self.postgres = postgres
        self.name = name
        self.attempts = itertools.count(1)
        self.slave = self.one("SELECT slave FROM piwheels.slave_seen('pi4-a', 'Debian 12', 'Pi 4', '', 1)")

    def rows(self, sql, user="piwheels"):
        out = self.postgres.psql(sql, self.name, user)
        return [tuple(line.split("|")) for line in out.splitlines()]

    def one(self, sql, user="piwheels"):
        (row,) = self.rows(sql, user)
        return row[0]

    def fails(self, sql, user="piwheels"):
        done = self.postgres.psql(sql, self.name, user, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def target(self, name, abi="cp311", platform="linux_x86_64"):
        return int(self.one(f"SELECT piwheels.target_add('{name}', '{abi}', '{platform}', '')"))

    def store(self, name, *versions, **more):
        """What became of what was asked for: rows (version, target, state, reason)."""
        project = {"name": name, "display": name, "serial": 1, "etag": '"e"', "refresh_s": 600,
                   "follow": None, "want": None, "versions": list(versions), **more}
        return self.rows(f"SELECT * FROM piwheels.project_store($json${json.dumps(project)}$json$)")

    def compare(self, name, *versions, **more):
        """What a comparison took back: (behind, turned, missed, removed, waiting, doubted, ended)."""
        project = {"name": name, "display": name, "serial": 1, "etag": '"e"', "refresh_s": 0,
                   "follow": None, "want": None, "versions": list(versions), **more}
        return self.rows("SELECT behind, turned, missed, removed, waiting, doubted, ended FROM "
                         f"piwheels.project_compare($json${json.dumps(project)}$json$)")[0]

    def claim(self, mask=ALL, attempt=None, slave=None, lease_ms=60000, memory=0, timeout_ms=0, after=None):
        """The attempt's facts as a dictionary, or None. `after`: those of the claim before, from which the front is."""
        attempt = attempt or next(self.attempts)
        fronts = FRONTS if after is None else ", ".join(f"array_fill({after[of]}::bigint, ARRAY[64])" for of in ("front", "version_id"))
        out = self.rows(f"SELECT * FROM piwheels.jobs_claim(ARRAY[{attempt}], ARRAY[{slave or self.slave}], ARRAY[{mask}], "
                        f"ARRAY[{lease_ms}], ARRAY[{memory}], ARRAY[{timeout_ms}], {fronts})")
        if not out or out[0][0] == "":
            return None
        names = ("attempt", "version_id", "target", "package", "version", "sdist", "sha256", "started_ms", "front", "uploaded_ms")
        return dict(zip(names, out[0]))

    def end(self, attempt, outcome, reason="compiler", detail="it broke", retry_ms=0):
        return self.one(f"SELECT piwheels.builds_end(ARRAY[{attempt}], ARRAY['{outcome}'], ARRAY['{reason}'], "
                        f"ARRAY['{detail}'], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[{retry_ms}])")

    def begin(self, attempt, *files, **more):
        listed = json.dumps([{"path": path, "name": path, "size": 10, "sha256": sha, "metadata_sha256": SHA,
                              "requires_python": ">=3.8", "requires": ["six", "six"], **more} for path, sha in files])
        return [row[1] for row in self.rows(f"SELECT * FROM piwheels.files_begin(ARRAY[{attempt}], ARRAY['{listed}'::jsonb])")]

    def publish(self, attempt, serves):
        return self.one(f"SELECT piwheels.build_publish(ARRAY[{attempt}], ARRAY[''], ARRAY['1 file'], ARRAY[1], ARRAY[1], ARRAY[1], "
                        f"ARRAY[1], ARRAY[{serves}])")

    def build(self, serves, path=None, **claim):
        """Claims, makes one file and publishes it; the attempt's facts."""
        facts = self.claim(**claim)
        self.begin(facts["attempt"], (path or f"simple/{facts['package']}/{facts['attempt']}.whl", SHA))
        assert self.publish(facts["attempt"], serves) == "t"
        return facts

    def state(self, version, target=0):
        return self.rows("SELECT state, reason FROM piwheels.version v, piwheels.version_state(v.id, "
                         f"{target}::smallint) WHERE v.version = '{version}'")[0]

    def jobs(self):
        return self.rows("SELECT v.version, j.target FROM piwheels.job j JOIN piwheels.version v ON v.id = j.version "
                         "ORDER BY v.sort_key, j.target")

    def stale(self):
        """Pages of the index."""
        return self.rows("SELECT kind, key FROM piwheels.stale_page WHERE kind IN ('index', 'root') ORDER BY kind, key")

    def write_pages(self):
        self.rows("SELECT piwheels.page_written(kind, key, generation) FROM piwheels.stale_page")

    def stale_for_people(self):
        return self.rows("SELECT kind, key FROM piwheels.stale_page WHERE kind IN ('home', 'project') ORDER BY kind, key")

    def tally(self):
        return self.rows("SELECT sum(succeeded), sum(failed), sum(farm), sum(packages), sum(versions), sum(files), "
                         "sum(size_bytes) FROM piwheels.tally")


def version(text, **more):
    number = int(text.replace(".", ""))
    return {"version": text, "key": f"{number:04x}", "released": "2026-01-01T00:00:00Z", "prerelease": False,
            "yanked": False, "yanked_reason": None, "requires_python": None, "judged_mask": 15, "na_mask": 0,
            "sdist": f"x-{text}.tar.gz", "sdist_sha256": SHA, **more}


@pytest.fixture(scope="module")
def schema(postgres):
    postgres.createdb("schema")
    done = piwheels("initdb", "-y", "-d", postgres.dsn("schema"))
    assert done.returncode == 0, done.stderr
    yield "schema"
    postgres.dropdb("schema")


@pytest.fixture
def world(postgres, schema):
    """An empty one. (TRUNCATE would be slower: it makes new files.)"""
    postgres.psql("""
        BEGIN;
        DELETE FROM piwheels.skip_rule; DELETE FROM piwheels.package; DELETE FROM piwheels.package_alias;
        DELETE FROM piwheels.slave; DELETE FROM piwheels.target;
        DELETE FROM piwheels.stale_page; DELETE FROM piwheels.tally; DELETE FROM piwheels.tagset; DELETE FROM piwheels.withdrawn_file;
        DELETE FROM piwheels.version_wheel;
        DELETE FROM piwheels.event_cursor;
        UPDATE piwheels.configuration SET follows = '', builds = 'missing', settle_ms = 0, reads_history = false,
            event_retention_ms = 0;
        SELECT setval(oid::regclass, 1, false) FROM pg_class
            WHERE relkind = 'S' AND relnamespace = 'piwheels'::regnamespace;
        COMMIT;""", schema)
    return World(postgres, schema)


@pytest.fixture
def one(world):
    """One target, one version that waits for a slave."""
    world.target("t0")
    assert world.store("x", version("1.0"), want="newest") == [("1.0", "t0", "queued", "waits for a slave")]
    return world


@pytest.fixture
def three(world):
    """Three targets of the same version."""
    for number in range(3):
        world.target(f"t{number}", f"cp31{number + 1}")
    world.store("x", version("1.0"), want="newest")
    return world


# ---- targets ----

def test_targets_get_the_lowest_free_bit_and_the_last_place(world):
    assert [world.target("a"), world.target("b")] == [0, 1]
    assert world.rows("SELECT name, position FROM piwheels.target ORDER BY id") == [("a", "0"), ("b", "1")]


def test_a_target_added_again_keeps_its_bit_and_its_skip(world):
    world.target("a")
    assert world.one("SELECT piwheels.target_skip('a', 'retired')") == "t"
    assert world.target("a") == 0
    assert world.one("SELECT skip FROM piwheels.target") == "retired"


def test_a_target_whose_glibc_becomes_known_or_another_is_judged_anew(world):
    add = "SELECT piwheels.target_add('a', 'cp311', 'linux_x86_64', '', {})"
    found = []
    for glibc in ("NULL", "'2.36'", "NULL", "'2.36'", "'2.41'"):
        world.rows(add.format(glibc))
        found.append(world.rows("SELECT coalesce(glibc, ''), judging FROM piwheels.target")[0])
        world.postgres.psql("UPDATE piwheels.target SET judging = false", world.name)
    assert found == [("", "f"), ("2.36", "t"), ("2.36", "f"), ("2.36", "f"), ("2.41", "t")]


def test_a_label_is_judged_by_only_where_it_joins_or_parts_targets_of_a_platform(world):
    add = "SELECT piwheels.target_add('{}', 'cp311', '{}', '{}')"
    for name, platform, label in (("a", "linux_x86_64", "Debian 11"), ("b", "linux_x86_64", "Debian 12"),
                                  ("c", "linux_aarch64", "Debian 13")):
        world.rows(add.format(name, platform, label))
    found = []
    for label in ("Debian 11 (bullseye)", "Debian 13", "Debian 12", "Debian 12", "Devuan"):
        world.rows(add.format("a", "linux_x86_64", label))
        found.append(world.one("SELECT coalesce(string_agg(name, '' ORDER BY id), 'none') FROM piwheels.target WHERE judging"))
        world.rows("UPDATE piwheels.target SET judging = false", user="postgres")
    assert found == ["none", "none", "ab", "none", "ab"]


def test_a_target_does_not_change_what_it_builds_for(world):
    world.target("a", "cp311")
    assert "exists with ABI cp311" in world.fails("SELECT piwheels.target_add('a', 'cp312', 'linux_x86_64', '')")


def test_a_65th_target_is_refused(world):
    world.rows("SELECT piwheels.target_add('t' || n, 'cp311', 'linux_x86_64', '') FROM generate_series(0, 63) n")
    assert "64 targets already" in world.fails("SELECT piwheels.target_add('more', 'cp311', 'linux_x86_64', '')")


def test_the_64th_target_can_be_claimed_for(world):
    world.rows("SELECT piwheels.target_add('t' || n, 'cp311', 'linux_x86_64', '') FROM generate_series(0, 63) n")
    world.store("x", version("1.0", judged_mask=-1, na_mask=(1 << 63) - 1), want="newest")
    assert world.jobs() == [("1.0", "63")]
    assert int(world.one("SELECT piwheels.targets_ready()")) == -1 << 63
    assert world.claim(mask=-1 << 63)["target"] == "63"


def test_a_new_target_is_built_for_once_pypis_wheels_are_judged(one):
    new = one.target("t1", "cp312")
    assert one.state("1.0", new) == ("waiting", "PyPI's wheels are still held against the new target")
    assert one.one(f"SELECT piwheels.target_judge({new}, ARRAY['>=4'], '{{}}', 0, 10)") != ""
    assert one.one(f"SELECT piwheels.target_judged({new}, 0, 10)") != ""
    assert one.one(f"SELECT piwheels.target_judged({new}, 1000, 10) IS NULL") == "t"
    assert one.state("1.0", new) == ("waiting", "another target is tried first")
    one.end(one.claim()["attempt"], "failed")
    assert one.claim(mask=1 << new)["target"] == str(new)


def test_a_new_target_is_judged_by_what_is_known_of_pypi(world):
    world.target("t0")
    world.store("x", version("1.0", requires_python=">=3.13", wheels=[["cp312-cp312-linux", 0, "x.whl"]]),
                version("2.0", wheels=[["cp312-cp312-linux", 0, "y.whl"], ["cp313-cp313-linux", 0, "z.whl"]]), want="all")
    new = world.target("t1", "cp312")
    (tags,) = world.rows("SELECT id FROM piwheels.tagsets_all() WHERE tags LIKE 'cp312%'")[0]
    assert world.one("SELECT array_agg(r ORDER BY r) FROM piwheels.requires_python_all() r") == '{"",>=3.13}'
    world.rows(f"SELECT piwheels.tagsets_judge({new}, ARRAY[{tags}]); SELECT piwheels.target_judge({new}, ARRAY['>=3.13'], '{{}}', 0, 10); "
               f"SELECT piwheels.target_judged({new}, 0, 10)")
    assert world.state("1.0", new) == ("not applicable", "Requires-Python >=3.13 excludes cp312")
    assert world.state("2.0", new) == ("covered", "PyPI itself has a wheel that fits: cp312-cp312-linux")


def test_skipping_a_target_takes_its_jobs_and_unskipping_brings_them_back(one):
    assert one.one("SELECT piwheels.target_skip('t0', 'retired')") == "t"
    assert one.jobs() == []
    assert one.state("1.0") == ("skipped", "the target is skipped: retired")
    assert one.one("SELECT piwheels.target_skip('t0', NULL)") == "t"
    assert one.jobs() == [("1.0", "0")]


def test_skipping_an_unknown_target_says_so(world):
    assert world.one("SELECT piwheels.target_skip('none', 'x')") == "f"


# ---- what PyPI says, and what is wanted of it ----

def test_without_a_target_what_was_asked_for_waits_and_says_why(world):
    (row,) = world.store("x", version("1.0"), want="newest")
    assert row == ("1.0", "", "waiting", "no target exists; add one with piwheels target add")


def test_with_every_target_skipped_what_was_asked_for_waits_and_says_why(world):
    world.target("a")
    world.one("SELECT piwheels.target_skip('a', 'retired')")
    assert world.store("x", version("1.0"), want="newest") == [("1.0", "", "waiting", "every target is skipped")]


def test_newest_prefers_a_source_then_no_yank_then_a_final_release(world):
    world.target("t0")
    versions = [version("1.0"), version("2.0", prerelease=True), version("3.0", yanked=True), version("4.0", sdist=None)]
    assert [row[0] for row in world.store("x", *versions, want="newest")] == ["1.0"]
    assert [row[0] for row in world.store("y", *versions[1:], want="newest")] == ["2.0"]
    assert [row[0] for row in world.store("z", *versions[2:], want="newest")] == ["3.0"]
    assert world.store("w", versions[3], want="newest")[0][2] == "binary only"


def test_all_asks_for_every_version_and_the_newest_is_built_first(world):
    world.target("t0")
    asked = world.store("x", version("1.0"), version("3.0"), version("2.0"), want="all", follow="all")
    assert [row[0] for row in asked] == ["1.0", "2.0", "3.0"]
    assert [world.claim()["version"] for _ in range(3)] == ["3.0", "2.0", "1.0"]


def test_one_version_can_be_asked_for_by_its_key(world):
    world.target("t0")
    asked = world.store("x", version("1.0"), version("2.0"), want={"key": version("1.0")["key"]})
    assert asked == [("1.0", "t0", "queued", "waits for a slave")]
    assert world.state("2.0") == ("not wanted", "nobody asked for this version")


def test_a_version_that_pypi_does_not_have_answers_nothing(one):
    assert one.store("x", version("1.0"), want={"key": "ffff"}) == []


def test_of_a_followed_package_later_versions_are_wanted_as_they_come(world):
    world.target("t0")
    world.store("x", version("1.0"), version("2.0"), want="newest", follow="new")
    world.store("x", version("1.0"), version("2.0"), version("3.0"))
    assert [row[0] for row in world.jobs()] == ["2.0", "3.0"]
    assert world.one("SELECT refresh_at > now() FROM piwheels.package") == "t"


def test_of_a_package_that_is_not_followed_later_versions_are_only_recorded(one):
    one.store("x", version("1.0"), version("2.0"))
    assert [row[0] for row in one.jobs()] == ["1.0"]
    assert one.one("SELECT refresh_at IS NULL FROM piwheels.package") == "t"


def test_what_appeared_between_two_looks_is_wanted_although_a_person_asks_at_that_moment(world):
    world.target("t0")
    world.store("x", version("1.0"), want="newest", follow="new")
    world.store("x", version("1.0"), version("2.0"), version("3.0"), want="newest", follow="new")
    assert [row[0] for row in world.jobs()] == ["1.0", "2.0", "3.0"]


def test_who_follows_all_does_not_fall_back_to_new(world):
    world.store("x", version("1.0"), follow="all", want="all")
    world.store("x", version("1.0"), follow="new", want="newest")
    assert world.one("SELECT follow FROM piwheels.package") == "all"


def test_two_spellings_of_one_version_are_one_version(world):
    world.store("x", version("1.0"), version("1.0", version="1.0.0"), want="all")
    assert world.one("SELECT count(*) FROM piwheels.version") == "1"


def test_storing_the_same_again_changes_nothing(one):
    before = one.rows("SELECT xmin, * FROM piwheels.version")
    one.store("x", version("1.0"))
    assert one.rows("SELECT xmin, * FROM piwheels.version") == before
    assert one.jobs() == [("1.0", "0")]


def test_a_yank_takes_the_job_of_a_followed_version(world):
    world.target("t0")
    world.store("x", version("1.0"), want="all", follow="all")
    world.store("x", version("1.0", yanked=True, yanked_reason="broken"))
    assert world.jobs() == []
    assert world.state("1.0") == ("yanked", "PyPI has yanked it: broken")


def test_a_yank_leaves_what_a_person_asked_for(one):
    one.store("x", version("1.0", yanked=True))
    assert one.jobs() == [("1.0", "0")]


def test_a_yank_of_a_published_version_makes_its_page_stale(one):
    one.build(1)
    one.rows("SELECT piwheels.page_written(kind, key, generation) FROM piwheels.stale_page")
    one.store("x", version("1.0", yanked=True))
    assert one.stale() == [("index", "x")]


def test_a_new_spelling_of_a_published_package_makes_its_pages_stale(one):
    one.build(1)
    one.rows("SELECT piwheels.page_written(kind, key, generation) FROM piwheels.stale_page")
    one.store("x", version("1.0"), display="X")
    assert one.stale() == [("index", "x"), ("root", "")]
    assert one.rows("SELECT name FROM piwheels.package_alias") == [("X",)]


def test_a_version_without_source_has_its_job_when_the_source_comes(world):
    world.target("t0")
    assert world.store("x", version("1.0", sdist=None), want="newest")[0][2] == "binary only"
    world.store("x", version("1.0"))
    assert world.jobs() == [("1.0", "0")]


def test_a_version_that_vanished_from_pypi_leaves_the_queue(one):
    one.store("x", version("2.0"))
    assert one.jobs() == []
    assert one.state("1.0")[0] == "binary only"


def test_another_sdist_gives_a_failed_version_another_chance(one):
    one.end(one.claim()["attempt"], "failed")
    assert one.state("1.0") == ("failed", "compiler: it broke")
    one.store("x", version("1.0", sdist_sha256=OTHER_SHA))
    assert one.state("1.0")[0] == "queued"


def test_another_requires_python_is_judged_anew(one):
    one.store("x", version("1.0", na_mask=1, requires_python=">=3.13"))
    assert one.jobs() == []
    assert one.state("1.0") == ("not applicable", "Requires-Python >=3.13 excludes cp311")


def due_summaries(world):
    return [row[0] for row in world.rows("SELECT * FROM piwheels.summaries_due(9)")]


def test_a_summary_is_asked_for_where_there_is_a_page_and_when_it_may_have_changed(world):
    world.store("x", version("1.0"), want="newest", follow="new")
    world.store("y", version("1.0"))    # compared, but nobody asked for it
    assert due_summaries(world) == ["x"]
    world.rows("SELECT piwheels.summary_store('x', 'does it', 'X')")
    assert world.rows("SELECT summary, display FROM piwheels.package ORDER BY name") == [("does it", "X"), ("", "y")]
    assert ("project", "x") in world.stale_for_people() and due_summaries(world) == []
    world.store("x", version("1.0"))    # the same page again: nothing new
    assert due_summaries(world) == []
    world.store("x", version("1.0"), serial=2)
    assert due_summaries(world) == ["x"]
    assert world.rows("SELECT summary, display FROM piwheels.package WHERE name = 'x'") == [("does it", "X")]


def test_a_summary_that_could_not_be_had_leaves_the_known_one_until_later(world):
    world.store("x", version("1.0"), follow="new")
    world.rows("SELECT piwheels.summary_store('x', 'does it', '')")
    world.store("x", version("1.0"), serial=2)
    world.rows("SELECT piwheels.summary_later('x', 60000)")
    assert due_summaries(world) == [] and world.one("SELECT summary FROM piwheels.package") == "does it"


def test_a_page_with_files_that_was_written_without_a_summary_asks_for_it(one):
    one.build(1, path="simple/x/x.whl")
    one.postgres.psql("UPDATE piwheels.package SET summary_at = NULL", one.name)
    one.write_pages()
    assert due_summaries(one) == ["x"]


def test_a_project_of_thousands_of_versions_is_stored_at_once(world):
    """Also where the server believes that there is hardly any version: each is looked up, not held against all."""
    world.target("t0")
    world.store("y", version("1.0"))
    world.postgres.psql("ANALYZE", world.name)
    many = [version("1.0", version=f"1.{n}", key=f"{n:06x}") for n in range(5000)]
    assert len(world.store("x", *many, want="all")) == 5000
    project = {"name": "x", "display": "x", "serial": 1, "etag": "", "refresh_s": 600, "follow": None, "want": None, "versions": many}
    plans = world.postgres.psql(f"""LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;
        SET auto_explain.log_nested_statements = on; SET auto_explain.log_timing = off; SET client_min_messages = log;
        SELECT count(*) FROM piwheels.project_store($json${json.dumps(project)}$json$)""", world.name, check=False).stderr
    assert "Index Scan" in plans
    assert sum(int(rows) for rows in re.findall(r"Rows Removed by (?:Join )?Filter: (\d+)", plans)) < 2 * 5000
    assert not [loops for loops in re.findall(r"Seq Scan on .*loops=(\d+)", plans) if int(loops) > 100]
    assert world.one("SELECT count(*) FROM piwheels.job") == "5000"


# ---- jobs: first one target, then others ----

def test_first_one_target_is_tried(three):
    assert three.jobs() == [("1.0", "0")]
    assert three.state("1.0", 1) == ("waiting", "another target is tried first")


def test_a_failure_opens_the_next_target_only(three):
    three.end(three.claim()["attempt"], "failed")
    assert three.jobs() == [("1.0", "1")]


def test_a_native_result_opens_all_the_others(three):
    three.build(0b001)
    assert three.jobs() == [("1.0", "1"), ("1.0", "2")]


def test_a_result_that_serves_every_target_ends_the_work(three):
    three.build(0b111)
    assert three.jobs() == []
    assert three.state("1.0", 2) == ("built", "a wheel is published")


def test_a_result_that_serves_a_target_which_failed_before_counts_for_it(three):
    three.end(three.claim()["attempt"], "failed")
    three.build(0b111)
    assert three.rows("SELECT failed_mask, built_mask FROM piwheels.version") == [("0", "7")]


def test_a_target_that_pypi_was_not_asked_about_waits_for_that(world):
    world.target("t0")
    world.target("t1", "cp312")
    world.store("x", version("1.0", judged_mask=1), want="newest")
    world.build(1)
    assert world.jobs() == [("1.0", "1")]
    assert world.state("1.0", 1) == ("waiting", "PyPI is to be asked whether it is meant for cp312")
    assert world.claim(mask=2) is None


def test_a_build_under_way_keeps_its_place_when_a_target_before_it_opens(three):
    three.one("SELECT piwheels.target_skip('t0', 'later')")
    assert three.claim()["target"] == "1"
    three.one("SELECT piwheels.target_skip('t0', NULL)")
    assert three.jobs() == [("1.0", "1")]


def test_what_a_person_asked_for_is_claimed_before_what_is_followed(world):
    world.target("t0")
    world.store("x", version("1.0"), want="all", follow="all")
    world.store("y", version("2.0"), want="newest")
    assert [world.claim()["package"] for _ in range(2)] == ["y", "x"]


def test_asking_for_a_followed_version_moves_it_ahead(world):
    world.target("t0")
    world.store("x", version("1.0"), want="all", follow="all")
    world.store("y", version("1.0"), want="all", follow="all")
    world.store("y", version("1.0"), want="newest")
    assert world.claim()["package"] == "y"


# ---- claims and leases ----

def test_a_claim_tells_everything_about_the_build(one):
    facts = one.claim(attempt=7)
    assert facts["attempt"] == "7" and facts["target"] == "0" and facts["package"] == "x"
    assert facts["version"] == "1.0" and facts["sdist"] == "x-1.0.tar.gz" and facts["sha256"] == "\\x" + SHA
    assert one.state("1.0") == ("building", "being built by pi4-a as build 7")


def test_a_slave_gets_only_jobs_of_its_targets(three):
    assert three.claim(mask=0b110) is None
    assert three.claim(mask=0b001)["target"] == "0"


def test_nothing_is_claimed_twice(one):
    assert one.claim() is not None
    assert one.claim() is None


def test_a_repeated_claim_finds_its_job_again(one):
    first = one.claim(attempt=7)
    assert one.claim(attempt=7) == first


def test_a_repeated_claim_of_an_attempt_that_ended_is_refused(one):
    one.end(one.claim(attempt=7)["attempt"], "farm")
    assert "has ended meanwhile" in one.fails(
        f"SELECT * FROM piwheels.jobs_claim(ARRAY[7], ARRAY[{one.slave}], ARRAY[1], ARRAY[1000], ARRAY[0], ARRAY[0], {FRONTS})")


def test_one_statement_serves_many_slaves_in_order(three):
    three.build(0b001)
    out = three.rows(f"SELECT attempt, target FROM piwheels.jobs_claim(ARRAY[11, 12, 13], ARRAY[{three.slave}, "
                     f"{three.slave}, {three.slave}], ARRAY[4, 1, 2], ARRAY[1000, 1000, 1000], ARRAY[0, 0, 0], ARRAY[0, 0, 0], {FRONTS})")
    assert out == [("11", "2"), ("", ""), ("13", "1")]


def test_a_claim_does_not_wait_for_a_job_that_somebody_else_has_locked(one):
    one.store("y", version("2.0"), want="newest")
    other = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", one.postgres.dsn(one.name)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    other.stdin.write("BEGIN; SELECT version FROM piwheels.job ORDER BY version LIMIT 1 FOR UPDATE;\n")
    other.stdin.flush()
    assert other.stdout.readline() == "1\n"
    assert one.claim()["package"] == "y"
    other.communicate("COMMIT;\n")


def test_a_claim_in_a_long_queue_reads_a_few_pages_only(one):
    """With figures about the tables that were taken when they were nearly empty, as with those that are true."""
    one.rows("ANALYZE piwheels.job, piwheels.version, piwheels.build", user="postgres")
    one.rows("""INSERT INTO piwheels.version (package, version, sort_key, wanted, sdist)
                    SELECT 1, '2.' || n, int4send(n), true, 'x' FROM generate_series(1, 50000) n;
                INSERT INTO piwheels.job (version, target, rank) SELECT id, 0, 1 FROM piwheels.version WHERE version LIKE '2.%'""",
             user="postgres")
    for statistics in ("", "ANALYZE piwheels.job, piwheels.version"):
        claim = ("SELECT * FROM piwheels.jobs_claim(ARRAY[{0}, {0} + 1], ARRAY[1, 1], ARRAY[1, 1], ARRAY[60000, 60000], "
                 "ARRAY[0, 0], ARRAY[0, 0], " + FRONTS + ")")
        end = ("SELECT * FROM piwheels.builds_end(ARRAY[{0}, {0} + 1], ARRAY['failed', 'farm'], ARRAY['', ''], ARRAY['', ''], "
               "ARRAY[1, 1], ARRAY[1, 1], ARRAY[1, 1], ARRAY[1, 1], ARRAY[1, 1])")
        first, second = next(one.attempts) * 1000, next(one.attempts) * 1000
        out = one.postgres.psql("; ".join([statistics or "SELECT", claim.format(first), end.format(first), claim.format(second),
                                           "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF) " + claim.format(second + 10)]),
                                one.name, "postgres")
        pages = [int(hit) for hit in re.findall(r"shared hit=(\d+)", out)]
        assert len(pages) >= 1 and max(pages) < 300, out


def test_the_mask_of_ready_targets_has_only_jobs_that_can_be_claimed(three):
    assert three.one("SELECT piwheels.targets_ready()") == "1"
    three.end(three.claim()["attempt"], "farm", retry_ms=600000)
    assert three.one("SELECT piwheels.targets_ready()") == "0"


def test_a_released_job_waits_again_without_a_record(one):
    one.claim(attempt=7)
    one.rows("SELECT piwheels.attempt_release(7)")
    one.rows("SELECT piwheels.attempt_release(7)")
    assert one.one("SELECT count(*) FROM piwheels.build") == "0"
    assert one.claim(attempt=8)["attempt"] == "8"


def test_a_released_job_that_is_not_wanted_any_more_is_gone(one):
    one.claim(attempt=7)
    one.store("x")
    one.rows("SELECT piwheels.attempt_release(7)")
    assert one.jobs() == []


def test_a_slave_takes_its_attempt_back_and_no_other_slave_does(one):
    facts = one.claim(attempt=7)
    stranger = one.one("SELECT slave FROM piwheels.slave_seen('other', '', '', '', 1)")
    assert one.rows(f"SELECT * FROM piwheels.attempt_adopt(7, {stranger}, 1000)") == []
    assert one.rows(f"SELECT * FROM piwheels.attempt_adopt(7, {one.slave}, 1000)") == [tuple(facts.values())]
    assert one.rows(f"SELECT * FROM piwheels.attempt_adopt(8, {one.slave}, 1000)") == []


def test_an_expired_lease_returns_the_build(one):
    one.claim(attempt=7, lease_ms=-1000)
    assert one.rows("SELECT * FROM piwheels.leases_expire(0)") == [("7",)]
    assert one.rows("SELECT outcome, class FROM piwheels.build") == [("farm", "lost slave")]
    assert one.claim(attempt=8)["attempt"] == "8"


def test_an_extended_lease_does_not_expire(one):
    one.claim(attempt=7, lease_ms=-1000)
    one.rows("SELECT piwheels.leases_extend(ARRAY[7, 99], 60000)")
    assert one.rows("SELECT * FROM piwheels.leases_expire(0)") == []


def test_a_late_result_counts_until_the_job_is_given_to_another(one):
    one.claim(attempt=7, lease_ms=-1000)
    assert one.end(7, "failed") == "t"
    assert one.state("1.0")[0] == "failed"


def test_a_result_for_a_job_that_another_has_is_refused(one):
    one.claim(attempt=7, lease_ms=-1000)
    one.rows("SELECT * FROM piwheels.leases_expire(0)")
    one.claim(attempt=8)
    assert one.end(7, "failed") == "f"
    assert one.begin(7, ("simple/x/a.whl", SHA)) == []
    assert one.publish(7, 1) == "f"
    assert one.state("1.0")[0] == "building"


# ---- ends ----

def test_an_end_told_twice_is_recorded_once(one):
    attempt = one.claim()["attempt"]
    assert [one.end(attempt, "failed"), one.end(attempt, "failed")] == ["t", "t"]
    assert one.one("SELECT count(*) FROM piwheels.build") == "1"


def test_an_end_told_otherwise_the_second_time_is_refused(one):
    attempt = one.claim()["attempt"]
    assert [one.end(attempt, "failed"), one.end(attempt, "farm")] == ["t", "f"]


def test_a_failure_of_the_farm_is_tried_again_later(one):
    one.end(one.claim()["attempt"], "farm", retry_ms=600000)
    state, reason = one.state("1.0")
    assert state == "waiting" and reason.startswith("to be tried again at ")
    assert one.claim() is None


def test_each_failure_of_the_farm_makes_the_pause_three_times_longer(one):
    pauses = []
    for _ in range(3):
        one.end(one.claim()["attempt"], "farm", retry_ms=10000)
        pauses.append(float(one.one("SELECT extract(epoch FROM ready_at - (SELECT max(finished) FROM piwheels.build)) FROM piwheels.job")))
        one.postgres.psql("UPDATE piwheels.job SET ready_at = now(), avoid = NULL; SELECT piwheels.targets_ready()", one.name)
    for pause, least in zip(pauses, (10, 30, 90)):
        assert 0.8 * least <= pause <= 1.2 * least


def test_after_five_failures_of_the_farm_the_job_is_parked(one):
    for _ in range(5):
        one.end(one.claim()["attempt"], "farm")
    assert one.state("1.0") == ("parked", "the farm failed 5 times to build it")
    assert one.claim() is None


def test_a_parked_job_lets_the_next_target_try(three):
    for _ in range(5):
        three.end(three.claim(mask=1)["attempt"], "farm")
    assert three.jobs() == [("1.0", "0"), ("1.0", "1")]
    assert three.claim()["target"] == "1"


def test_a_parked_job_of_what_a_person_asks_for_elsewhere_has_its_class(three):
    three.rows("UPDATE piwheels.version SET by_hand = false; UPDATE piwheels.job SET rank = 2::bigint << 40", user="postgres")
    for _ in range(5):
        three.end(three.claim(mask=1)["attempt"], "farm")
    three.rows("SELECT piwheels.rebuild('x', sort_key, 't1', true) FROM piwheels.version")
    assert three.rows("SELECT target, need, rank >> 40 FROM piwheels.job ORDER BY target") == [("0", "parked", "0"), ("1", "", "0")]
    assert three.rows("SELECT * FROM piwheels.facts_check(0, 100)") == []


def test_asking_for_a_parked_version_takes_it_up_again(one):
    for _ in range(5):
        one.end(one.claim()["attempt"], "farm")
    assert one.store("x", version("1.0"), want="newest")[0][2] == "queued"
    assert one.claim() is not None


# ---- files ----

def test_a_published_file_is_live_and_counted_and_its_pages_are_stale(one):
    facts = one.claim()
    assert one.begin(facts["attempt"], ("simple/x/a.whl", SHA)) == ["new"]
    assert one.rows("SELECT state FROM piwheels.file") == [("publishing",)]
    assert one.publish(facts["attempt"], 1) == "t"
    assert one.rows("SELECT state, requires_python FROM piwheels.file") == [("live", ">=3.8")]
    assert one.rows("SELECT live_files FROM piwheels.package") == [("1",)]
    assert one.rows("SELECT tool, name FROM piwheels.dependency") == [("pip", "six")]
    assert one.stale() == [("index", "x"), ("root", "")]
    assert one.rows("SELECT outcome, detail FROM piwheels.build") == [("success", "1 file")]


def test_only_the_first_files_of_a_package_change_the_list_of_packages(three):
    three.build(0b001)
    three.rows("SELECT piwheels.page_written(kind, key, generation) FROM piwheels.stale_page")
    three.build(0b110)
    assert three.stale() == [("index", "x")]


def test_announcing_and_publishing_can_be_repeated(one):
    attempt = one.claim()["attempt"]
    assert [one.begin(attempt, ("a.whl", SHA)), one.begin(attempt, ("a.whl", SHA))] == [["new"], ["new"]]
    assert [one.publish(attempt, 1), one.publish(attempt, 1)] == ["t", "t"]
    assert one.one("SELECT live_files FROM piwheels.package") == "1"


def test_a_second_build_never_replaces_published_bytes(three):
    three.build(0b001, path="a.whl")
    attempt = three.claim()["attempt"]
    assert three.begin(attempt, ("a.whl", OTHER_SHA), ("b.whl", SHA)) == ["other", "new"]
    assert three.publish(attempt, 0b110) == "t"
    assert three.rows("SELECT path, encode(sha256, 'hex') FROM piwheels.file ORDER BY path") == [
        ("a.whl", SHA), ("b.whl", SHA)]


def test_the_same_bytes_again_are_recognised(three):
    three.build(0b001, path="a.whl")
    attempt = three.claim()["attempt"]
    assert three.begin(attempt, ("a.whl", SHA)) == ["same"]
    assert three.publish(attempt, 0b110) == "t"
    assert three.one("SELECT live_files FROM piwheels.package") == "1"


def test_a_file_that_another_attempt_is_publishing_is_left_to_it(three):
    three.build(0b001)
    first, second = three.claim()["attempt"], three.claim()["attempt"]
    assert three.begin(first, ("a.whl", SHA)) == ["new"]
    assert three.begin(second, ("a.whl", SHA)) == ["other"]


def test_forgotten_files_can_be_announced_again(one):
    attempt = one.claim()["attempt"]
    one.begin(attempt, ("a.whl", OTHER_SHA))
    one.rows(f"SELECT piwheels.files_forget({attempt})")
    assert one.rows("SELECT path FROM piwheels.file") == []
    assert one.begin(attempt, ("a.whl", SHA)) == ["new"]


def test_published_files_are_never_forgotten(one):
    attempt = one.build(1)["attempt"]
    one.rows(f"SELECT piwheels.files_forget({attempt})")
    assert one.one("SELECT count(*) FROM piwheels.file") == "1"


# ---- pages ----

def test_a_page_that_became_stale_again_meanwhile_stays_stale(three):
    three.build(0b001)
    generation = three.one("SELECT generation FROM piwheels.stale_page WHERE kind = 'index'")
    three.build(0b010)
    assert three.one(f"SELECT piwheels.page_written('index', 'x', {generation})") == "f"
    newer = three.one("SELECT generation FROM piwheels.stale_page WHERE kind = 'index'")
    assert three.one(f"SELECT piwheels.page_written('index', 'x', {newer})") == "t"
    assert three.stale() == [("root", "")]


HOME = "SELECT generation, taken, xmin::text FROM piwheels.stale_page WHERE kind = 'home'"


def test_the_front_page_that_is_stale_is_left_as_it_is_until_its_writer_begins(one):
    one.end(one.claim()["attempt"], "farm")
    (before,) = one.rows(HOME)
    one.end(one.claim()["attempt"], "farm")
    assert one.rows(HOME) == [before] and before[1] == "f"
    one.rows("SELECT piwheels.home_take()")
    one.end(one.claim()["attempt"], "farm")     # what the writer may have read already
    (after,) = one.rows(HOME)
    assert after[0] > before[0] and after[1] == "f"
    assert one.one(f"SELECT piwheels.page_written('home', '', {before[0]})") == "f"
    one.rows("SELECT piwheels.home_take()")
    assert one.one(f"SELECT piwheels.page_written('home', '', {after[0]})") == "t"
    assert one.rows(HOME) == []


def test_the_writer_of_the_front_page_waits_for_what_made_it_stale(one):
    one.end(one.claim()["attempt"], "farm")
    attempt = one.claim()["attempt"]
    with contextlib.closing(psycopg2.connect(one.postgres.dsn(one.name, "piwheels"))) as other, other.cursor() as cursor:
        cursor.execute(f"SELECT piwheels.builds_end(ARRAY[{attempt}], '{{farm}}', '{{x}}', '{{x}}', '{{1}}', '{{1}}', '{{1}}', '{{1}}', '{{0}}')")
        assert "lock timeout" in one.fails("SET lock_timeout = '10ms'; SELECT piwheels.home_take()")
        other.commit()
    one.rows("SELECT piwheels.home_take()")
    assert one.rows("SELECT taken FROM piwheels.stale_page WHERE kind = 'home'") == [("t",)]



# ---- states that nothing above shows ----

def test_a_skip_tells_its_reason(one):
    one.postgres.psql("UPDATE piwheels.package SET skip = 'legal'", one.name)
    assert one.state("1.0") == ("skipped", "the package is skipped: legal")


def test_a_failure_without_words_still_has_a_reason(one):
    one.end(one.claim()["attempt"], "failed", reason="", detail="")
    assert one.state("1.0") == ("failed", "it does not build")


PEOPLE = [("home", ""), ("project", "x")]


def test_what_pypi_says_makes_the_pages_for_people_stale(one):
    assert one.stale_for_people() == PEOPLE
    one.write_pages()
    one.rows("SELECT piwheels.project_later('x', 1)")
    assert one.stale_for_people() == []
    one.store("x", version("1.0", yanked=True))
    assert one.stale_for_people() == PEOPLE


def test_a_claim_leaves_the_pages_and_every_end_makes_them_stale(one):
    one.write_pages()
    attempt = one.claim()["attempt"]
    assert one.stale_for_people() == []
    one.end(attempt, "farm")
    assert one.stale_for_people() == PEOPLE
    one.write_pages()
    one.end(one.claim()["attempt"], "failed")
    assert one.stale_for_people() == PEOPLE


def test_a_build_makes_the_pages_for_people_stale(one):
    one.write_pages()
    one.build(1)
    assert one.stale_for_people() == PEOPLE


def test_a_lost_slave_makes_the_pages_for_people_stale(one):
    one.claim(lease_ms=-1)
    one.write_pages()
    one.rows("SELECT piwheels.leases_expire(0)")
    assert one.stale_for_people() == PEOPLE


def test_a_build_given_back_makes_the_page_stale_for_it_may_tell_of_it(one):
    attempt = one.claim()["attempt"]
    one.write_pages()
    one.rows(f"SELECT piwheels.attempt_release({attempt})")
    assert one.stale_for_people() == [("project", "x")]


@pytest.mark.parametrize("change", ["target_skip('t0', 'old')", "target_add('t0', 'cp311', 'linux_x86_64', 'Debian')",
                                    "target_add('t9', 'cp313', 'linux_x86_64', '')"])
def test_a_change_of_a_target_makes_every_page_for_people_stale(one, change):
    one.write_pages()
    one.rows(f"SELECT piwheels.{change}")
    assert one.stale_for_people() == PEOPLE


@pytest.mark.parametrize("label", ["''", "NULL"])
def test_a_target_that_is_added_again_as_it_is_makes_no_page_stale(one, label):
    one.write_pages()
    one.rows(f"SELECT piwheels.target_add('t0', 'cp311', 'linux_x86_64', {label})")
    assert one.stale_for_people() == [] and one.stale() == []


def test_builds_and_what_they_publish_are_counted_as_they_happen(three):
    three.build(0b001)
    three.build(0b010)
    three.end(three.claim()["attempt"], "farm")
    attempt = three.claim()["attempt"]
    three.end(attempt, "failed")
    three.end(attempt, "failed")   # a repetition is not counted again
    assert three.tally() == [("2", "1", "1", "1", "1", "2", "20")]


def test_a_lost_slave_is_counted(one):
    one.claim(lease_ms=-1)
    one.rows("SELECT piwheels.leases_expire(0)")
    assert one.tally() == [("0", "0", "1", "0", "0", "0", "0")]


def test_what_is_a_day_old_is_summed_up(one):
    one.rows("INSERT INTO piwheels.tally (minute, succeeded, files) SELECT now() - n * interval '1 hour', 1, 2 "
             "FROM generate_series(20, 29) n", user="postgres")
    one.build(1)
    assert one.rows("SELECT succeeded, files FROM piwheels.tally WHERE minute = '-infinity'") == [("5", "10")]
    assert one.one("SELECT count(*) FROM piwheels.tally") == "7"
    assert one.tally()[0][0] == "11"


def test_the_states_of_a_package_are_those_of_its_versions(three):
    three.build(0b001)
    three.claim(mask=2)
    listed = three.rows("SELECT version, target, state, reason FROM piwheels.package_states(1) ORDER BY target")
    assert [tuple(row[2:]) for row in listed] == [three.state("1.0", target) for target in range(3)]
    assert [row[2] for row in listed] == ["built", "building", "queued"]


def test_the_status_counts_the_jobs_of_each_target(three):
    three.build(0b001)
    three.claim(mask=2)
    facts = json.loads(three.one("SELECT piwheels.status_facts()"))
    assert [(t["name"], t["queued"], t["building"], t["parked"]) for t in facts["targets"]] == [
        ("t0", 0, 0, 0), ("t1", 0, 1, 0), ("t2", 1, 0, 0)]
    assert facts["stale_pages"] == 4


# ---- what files need ----

def test_debian_packages_are_kept_beside_what_the_metadata_requires(one):
    attempt = one.claim()["attempt"]
    one.begin(attempt, ("simple/a/a.whl", SHA), apt=["libc6", "zlib1g"], native=True, glibc="2.34", armv6=True)
    assert one.rows("SELECT tool, name FROM piwheels.dependency ORDER BY 1, 2") == [
        ("apt", "libc6"), ("apt", "zlib1g"), ("pip", "six")]
    assert one.rows("SELECT native, was_native, armv6, glibc, glibcxx FROM piwheels.file") == [("t", "f", "t", "2.34", "")]


@pytest.mark.parametrize("first, second, told", [(True, False, "t"), (True, True, "f"), (False, False, "f")])
def test_a_file_without_code_is_told_apart_where_an_earlier_one_had_some(one, first, second, told):
    one.store("x", version("1.0"), version("2.0"), want={"key": version("2.0")["key"]})
    for number, native in ((1, first), (2, second)):
        attempt = one.claim()["attempt"]
        one.begin(attempt, (f"simple/x/x-{number}.whl", SHA), native=native)
        one.publish(attempt, 0b1)
    assert one.rows("SELECT was_native FROM piwheels.file ORDER BY id") == [("f",), (told,)]


# ---- the service's rights ----

def test_the_tables_are_all_named_here(world):
    assert world.rows("SELECT relname FROM pg_class WHERE relnamespace = 'piwheels'::regnamespace AND relkind = 'r' "
                      "ORDER BY 1") == [(name,) for name in TABLES]


@pytest.mark.parametrize("table", TABLES)
def test_the_service_reads_and_does_not_write(world, table):
    world.rows(f"SELECT count(*) FROM piwheels.{table}")
    assert "permission denied" in world.fails(f"DELETE FROM piwheels.{table}")
    assert "permission denied" in world.fails(f"TRUNCATE piwheels.{table}")
    assert "permission denied" in world.fails(f"INSERT INTO piwheels.{table} DEFAULT VALUES")


def test_the_service_owns_nothing(world):
    assert world.one("SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid = 'piwheels'::regrole") == "0"
    assert "permission denied" in world.fails("CREATE TABLE piwheels.mine ()")


def test_others_may_not_even_look(world):
    world.postgres.psql("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    assert "permission denied" in world.fails("SELECT * FROM piwheels.target", "stranger")
    assert "permission denied" in world.fails("SELECT piwheels.status_facts()", "stranger")


def test_helpers_are_not_the_services_to_call(world):
    assert "permission denied" in world.fails("SELECT piwheels.page_stale('root', '')")


def test_every_function_of_the_service_has_a_fixed_search_path(world):
    assert world.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'piwheels'::regnamespace AND prosecdef "
                      "AND NOT ('search_path=piwheels, pg_temp' = ANY (coalesce(proconfig, '{}')))") == []


# ---- what is worth building ----

def wheel(tags, mask, name=None):
    return [tags, mask, name or f"x-{tags}.whl"]


def other_slave(world, memory=0, timeout_ms=0):
    slave = world.one("SELECT slave FROM piwheels.slave_seen('other', '', '', '', 1)")
    world.rows(f"SELECT piwheels.slave_told({slave}, 1, {memory}, {timeout_ms})")
    return slave


def test_what_pypi_has_wheels_of_is_not_built(three):
    three.store("x", version("1.0", wheels=[wheel("cp311-cp311-a", 0b001), wheel("py3-none-any", 0b010)]))
    assert three.state("1.0", 0) == ("covered", "PyPI itself has a wheel that fits: cp311-cp311-a")
    assert three.state("1.0", 1)[0] == "covered"
    assert three.jobs() == [("1.0", "2")]


def test_a_wheel_that_goes_uncovers_its_targets(one):
    one.store("x", version("1.0", wheels=[wheel("cp311-cp311-a", 1)]))
    assert one.jobs() == []
    one.store("x", version("1.0"))
    assert one.jobs() == [("1.0", "0")]
    assert one.rows("SELECT * FROM piwheels.version_wheel") == []


def test_everything_is_built_where_that_is_the_policy(one):
    one.store("x", version("1.0", wheels=[wheel("cp311-cp311-a", 1)]))
    one.rows("SELECT piwheels.policy_set('all', 0)")
    assert one.jobs() == [("1.0", "0")]
    one.rows("SELECT piwheels.policy_set('missing', 0)")
    assert one.jobs() == []


def test_an_upload_settles_before_it_is_built_unless_a_person_asks(world):
    world.target("t0")
    world.rows("SELECT piwheels.policy_set('missing', 3600000)")
    world.store("x", version("1.0", uploaded=world.one("SELECT now()")), follow="all", want="all")
    assert world.state("1.0")[0] == "waiting" and "its upload is to settle until" in world.state("1.0")[1]
    assert world.claim() is None
    world.store("x", version("1.0", uploaded=world.one("SELECT now()")), want={"key": version("1.0")["key"]})
    assert world.claim() is not None


def test_a_job_that_a_slave_failed_goes_rather_to_another(one):
    other = other_slave(one)
    one.end(one.claim()["attempt"], "farm", retry_ms=3600000)
    one.postgres.psql("UPDATE piwheels.job SET ready_at = now(); SELECT piwheels.targets_ready()", one.name)
    assert one.claim() is None
    assert one.claim(slave=other) is not None


def test_a_slave_gets_the_job_that_it_failed_when_nobody_else_wants_it(one):
    one.end(one.claim()["attempt"], "farm", retry_ms=3600000)
    one.postgres.psql("UPDATE piwheels.job SET ready_at = now(), avoid_until = now(); SELECT piwheels.targets_ready()", one.name)
    assert one.claim() is not None


def fill_queue(world, count=3):
    """Some more that everybody may have, behind the first."""
    for number in range(count):
        world.store(f"y{number}", version("1.0"), want="newest")
    world.rows("UPDATE piwheels.job SET rank = version", user="postgres")


def test_what_one_slave_rather_has_not_is_the_next_ones_first_whatever_was_handed_out_behind_it(one):
    other = other_slave(one)
    one.end(one.claim()["attempt"], "farm", retry_ms=3600000)
    one.postgres.psql("UPDATE piwheels.job SET ready_at = now(); SELECT piwheels.targets_ready()", one.name)
    fill_queue(one)
    theirs = one.claim()
    assert theirs["package"] == "y0"
    assert one.claim(slave=other, after=theirs)["package"] == "x"


def test_what_only_one_slave_can_build_is_its_first_whatever_was_handed_out_before(one):
    big = other_slave(one, memory=4000)
    one.rows("UPDATE piwheels.job SET beyond_bytes = 1000", user="postgres")
    fill_queue(one)
    theirs = one.claim(memory=1000)
    assert theirs["package"] == "y0"
    assert one.claim(slave=big, memory=4000, after=theirs)["package"] == "x"


def test_a_build_that_wanted_more_memory_is_tried_once_more_where_there_is_more(one):
    one.rows(f"SELECT piwheels.slave_told({one.slave}, 1, 1000000000, 0)")
    big = other_slave(one, memory=4000000000)
    one.end(one.claim(memory=1000000000)["attempt"], "failed", reason="memory")
    assert one.state("1.0") == ("queued", "waits for a slave with more memory than 1000 MB")
    assert one.claim(memory=1000000000) is None
    one.end(one.claim(slave=big, memory=4000000000)["attempt"], "failed", reason="memory")
    assert one.state("1.0")[0] == "failed"


def test_a_build_that_wanted_more_time_fails_where_nobody_allows_more(one):
    one.rows(f"SELECT piwheels.slave_told({one.slave}, 1, 0, 1000)")
    one.end(one.claim(timeout_ms=1000)["attempt"], "failed", reason="timeout")
    assert one.state("1.0")[0] == "failed"


def test_a_build_that_loses_three_slaves_is_parked(one):
    for _ in range(3):
        one.claim(lease_ms=-1)
        one.rows("SELECT piwheels.leases_expire(0)")
    assert one.state("1.0") == ("parked", "3 slaves were lost over it")


def test_by_hand_comes_before_new_releases_before_demand_before_age(world):
    world.target("t0")
    now = world.one("SELECT now()")
    world.store("x", version("1.0", released="2020-01-01T00:00:00Z"), version("1.1", released="2021-01-01T00:00:00Z"), want="all")
    world.store("wished", version("2.0"), want="newest")
    for name, number, released in (("popular", "3.0", "2020-01-01T00:00:00Z"), ("fresh", "4.0", now)):
        world.postgres.psql(f"INSERT INTO piwheels.package (name, display, downloads) VALUES ('{name}', '{name}', 1000)", world.name)
        world.store(name, version(number, released=released), want="all")
    assert [world.claim()["version"] for _ in range(5)] == ["2.0", "4.0", "3.0", "1.1", "1.0"]


def test_an_attempt_whose_job_is_gone_is_told(one):
    attempt = one.claim()["attempt"]
    assert one.rows(f"SELECT * FROM piwheels.attempts_gone(ARRAY[{attempt}])") == []
    one.rows("SELECT * FROM piwheels.project_gone('x')")
    assert one.rows(f"SELECT * FROM piwheels.attempts_gone(ARRAY[{attempt}])") == [(attempt,)]


# ---- the changelog ----

class Changelog:
    """Applies events as the master does."""

    def __init__(self, world):
        self.world = world
        self.serial = int(world.one("SELECT piwheels.follow_begin('all', 0)"))

    def apply(self, *events, again=False):
        """Events are (kind, name, version or None, file or None, tags or None, mask or None): applied, ended, jobs."""
        start = self.serial
        lines = []
        for kind, name, number, *rest in events:
            self.serial += 1
            file, tags, fits = (rest + [None] * 3)[:3]
            key = "\\\\x" + version(number)["key"] if number else None
            fields = [self.serial, 1700000000 + self.serial, kind, name.lower(), name, number, key, "f" if number else None,
                      "f" if number else None, file, tags, fits]
            lines.append("\t".join("\\N" if field is None else str(field) for field in fields))
        script = ("BEGIN; SELECT piwheels.events_open();\nCOPY pg_temp.event_staging FROM STDIN;\n" + "\n".join(lines) + "\n\\.\n"
                  f"SELECT * FROM piwheels.events_apply({start}, {self.serial}, true, false); COMMIT;")
        out = self.world.postgres.psql(script, self.world.name, "piwheels").splitlines()[-1]
        if again:
            assert self.world.postgres.psql(script, self.world.name, "piwheels").splitlines()[-1] == "0|{}|f"
        return tuple(out.split("|"))


@pytest.fixture
def log(world):
    world.target("t0")
    world.target("t1", "cp312")
    return Changelog(world)


def release(number, name="x"):
    return [("n", name, number), ("s", name, number, f"{name}-{number}.tar.gz")]


def test_a_release_becomes_a_version_that_waits_for_pypis_page(log):
    assert log.apply(("c", "X", None), *release("1.0", "X"), again=True) == ("3", "{}", "t")
    assert log.world.state("1.0") == ("waiting", "PyPI is to be asked whether it is meant for cp311")
    assert log.world.rows("SELECT name, display FROM piwheels.package") == [("x", "X")]
    assert log.world.rows("SELECT name FROM piwheels.package_alias") == [("X",)]
    log.world.store("x", version("1.0", uploaded="2026-01-01T00:00:00Z"), serial=9)
    assert log.world.claim()["package"] == "x"


def test_what_an_event_says_that_the_page_had_told_changes_nothing(log):
    log.world.store("x", version("1.0"), serial=100)
    before = log.world.rows("SELECT * FROM piwheels.version")
    log.apply(*release("1.0"), ("F", "x", "1.0", "x-1.0.tar.gz"))
    assert log.world.rows("SELECT * FROM piwheels.version") == before


def test_a_comparison_that_was_overtaken_stores_nothing_and_is_made_again(log):
    """Its page was fetched, then events came, and only then was it stored: it lacks what they told."""
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2, known=2)
    log.apply(("R", "x", "1.0"), *release("2.0"))
    asked_again = "SELECT coalesce(refresh_at <= now(), false) FROM piwheels.package"
    assert log.world.one(asked_again) == "f"
    log.world.store("x", version("1.0"), serial=2, known=2)
    assert log.world.jobs() == [("2.0", "0")] and log.world.one(asked_again) == "t"
    log.world.store("x", version("2.0"), serial=log.serial, known=log.serial)
    assert log.world.state("2.0")[0] == "queued" and log.world.one(asked_again) == "f"
    log.apply(("P", "x", None))
    log.world.store("x", version("2.0"), serial=log.serial - 1, known=log.serial - 1)
    assert log.world.one("SELECT count(*) FROM piwheels.package") == "0"


def test_wheels_of_the_changelog_cover_and_uncover(log):
    log.apply(*release("1.0"), ("w", "x", "1.0", "x-a.whl", "cp311-cp311-a", 1))
    assert log.world.state("1.0", 0)[0] == "covered" and log.world.jobs() == [("1.0", "1")]
    log.apply(("F", "x", "1.0", "x-a.whl", "cp311-cp311-a", 1), again=True)
    assert log.world.state("1.0", 0)[0] == "waiting"


def test_a_wheel_of_the_changelog_covers_a_version_that_was_known_before(log):
    log.apply(*release("1.0"), *release("2.0"))
    log.apply(("w", "x", "2.0", "x-a.whl", "cp311-cp311-a", 1))
    assert log.world.rows("SELECT version, covered_mask FROM piwheels.version ORDER BY 1") == [("1.0", "0"), ("2.0", "1")]


def test_what_a_set_of_tags_covers_was_judged_once_and_stands(log):
    log.apply(("w", "x", "1.0", "x-a.whl", "cp311-cp311-a", 1))
    log.apply(("w", "x", "2.0", "x-b.whl", "cp311-cp311-a", 3))
    log.world.store("y", version("1.0", wheels=[wheel("cp311-cp311-a", 3)]))
    assert log.world.rows("SELECT DISTINCT covered_mask FROM piwheels.version") == [("1",)]


def test_an_upload_in_the_future_settles_as_if_it_were_now(log):
    log.world.rows("SELECT piwheels.policy_set('missing', 1000)")
    log.world.store("x", version("1.0", uploaded="2999-01-01T00:00:00Z"), follow="all", want="all")
    assert log.world.one("SELECT ready_at < now() + interval '2 seconds' FROM piwheels.job") == "t"


def test_a_version_without_an_sdist_is_taken_up_when_one_comes(log):
    log.apply(("n", "x", "1.0"), ("w", "x", "1.0", "x-b.whl", "cp39-cp39-b", 0))
    assert log.world.state("1.0")[0] == "binary only" and log.world.jobs() == []
    log.apply(("s", "x", "1.0", "x-1.0.tar.gz"))
    assert log.world.jobs() == [("1.0", "0")]
    log.apply(("F", "x", "1.0", "x-1.0.tar.gz"))
    assert log.world.jobs() == []


def test_of_several_sdists_the_tar_gz_is_built_and_the_other_takes_its_place(log):
    log.apply(("n", "x", "1.0"), ("s", "x", "1.0", "x-1.0.tar.gz"), ("s", "x", "1.0", "x-1.0.zip"))
    assert log.world.rows("SELECT sdist, other_sdists FROM piwheels.version") == [("x-1.0.tar.gz", "{x-1.0.zip}")]
    log.apply(("F", "x", "1.0", "x-1.0.tar.gz"))
    assert log.world.rows("SELECT sdist, other_sdists FROM piwheels.version") == [("x-1.0.zip", "")]
    log.apply(("s", "x", "1.0", "x-1.0.tar.bz2"))
    assert log.world.rows("SELECT sdist, other_sdists FROM piwheels.version") == [("x-1.0.tar.bz2", "{x-1.0.zip}")]


def test_a_yanked_release_is_not_built_and_its_build_is_stopped(log):
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2)
    attempt = log.world.claim()["attempt"]
    assert log.apply(("y", "x", "1.0"), again=True) == ("1", f"{{{attempt}}}", "t")
    assert log.world.state("1.0")[0] == "yanked" and log.world.jobs() == []
    log.apply(("u", "x", "1.0"))
    assert log.world.jobs() == [("1.0", "0")]


def test_a_yank_before_the_release_exists_means_nothing(log):
    log.apply(("y", "x", "1.0"), *release("1.0"))
    assert log.world.one("SELECT yanked FROM piwheels.version") == "f"


def test_a_removed_release_takes_its_files_out_of_the_index_and_comes_back_afresh(log):
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2)
    log.world.build(1, path="simple/x/x.whl")
    log.world.write_pages()
    log.apply(("R", "x", "1.0"), *release("1.0"), again=True)
    assert log.world.rows("SELECT path, package, leave_at, gone FROM piwheels.withdrawn_file") == [("simple/x/x.whl", "x", "", "f")]
    assert log.world.stale() == [("index", "x"), ("root", "")]
    assert log.world.rows("SELECT built_mask, sdist FROM piwheels.version") == [("0", "x-1.0.tar.gz")]
    assert log.world.rows("SELECT live_files FROM piwheels.package") == [("0",)]
    assert log.world.tally()[0][3:] == ("0", "0", "0", "0")


def test_a_removed_project_is_forgotten_and_its_builds_are_stopped(log):
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2)
    attempt = log.world.claim()["attempt"]
    assert log.apply(("P", "x", None), again=True) == ("1", f"{{{attempt}}}", "f")
    assert log.world.rows("SELECT * FROM piwheels.package") == []
    log.apply(("c", "x", None), *release("2.0"))
    assert log.world.rows("SELECT version FROM piwheels.version") == [("2.0",)]


def test_a_quarantined_project_is_neither_built_nor_shown_until_it_is_cleared(log):
    log.apply(*release("1.0"), *release("2.0"))
    log.world.store("x", version("1.0"), version("2.0"), serial=4)
    log.world.build(1, path="simple/x/x.whl")
    log.world.write_pages()
    log.apply(("Q", "x", None), again=True)
    assert log.world.state("1.0") == ("quarantined", "PyPI has quarantined it") and log.world.jobs() == []
    assert log.world.rows("SELECT state FROM piwheels.file") == [("withheld",)]
    assert ("index", "x") in log.world.stale()
    log.apply(("C", "x", None), again=True)
    assert log.world.rows("SELECT state FROM piwheels.file") == [("returning",)]
    assert log.world.rows("SELECT live_files FROM piwheels.package") == [("0",)]
    assert log.world.one("SELECT piwheels.files_returned(ARRAY (SELECT id FROM piwheels.file))") == "1"
    assert log.world.rows("SELECT state FROM piwheels.file") == [("live",)]
    assert log.world.rows("SELECT live_files FROM piwheels.package") == [("1",)]
    assert log.world.tally()[0][3:] == ("1", "1", "1", "10")
    assert len(log.world.jobs()) == 2


def test_a_project_is_not_quarantined_before_it_exists(log):
    log.apply(("Q", "x", None), ("q", "x", "1.0"), *release("1.0"))
    assert log.world.jobs() == [("1.0", "0")]


# ---- what pages take back ----

NOTHING = ("f", "", "{}", "{}", "0", "0", "{}")


@pytest.fixture
def two(log):
    """Two releases, of which the older is published; the package is known up to serial 4."""
    log.apply(*release("1.0"), *release("2.0"))
    log.world.store("x", version("1.0"), serial=4)
    log.world.build(1, path="simple/x/x.whl")
    assert log.world.compare("x", version("1.0"), version("2.0"), serial=4) == NOTHING
    log.world.write_pages()
    return log


def file_states(log):
    return [state for (state,) in log.world.rows("SELECT state FROM piwheels.file ORDER BY id")]


def shut(log):
    return log.world.one("SELECT quarantined FROM piwheels.package")


def test_a_page_quarantines_a_project_and_clears_it_as_events_do(two):
    attempt = two.world.claim()["attempt"]
    assert two.world.compare("x", serial=5, status="quarantined") == ("f", "quarantined", "{}", "{}", "0", "0", f"{{{attempt}}}")
    assert two.world.state("1.0") == two.world.state("2.0") == ("quarantined", "PyPI has quarantined it")
    assert two.world.jobs() == [] and file_states(two) == ["withheld"]
    assert ("index", "x") in two.world.stale() and ("project", "x") in two.world.stale_for_people()
    assert two.world.compare("x", serial=5, status="quarantined") == NOTHING
    assert two.world.one("SELECT etag = '' FROM piwheels.package") == "t"
    assert two.world.compare("x", version("1.0"), version("2.0"), serial=6, status="active")[1] == "cleared"
    assert file_states(two) == ["returning"] and ("2.0", "0") in two.world.jobs()
    assert two.world.rows("SELECT * FROM piwheels.facts_check(0, 1000)") == []


def test_a_quarantined_package_that_nobody_follows_is_compared_until_it_is_cleared(two):
    assert two.world.one("SELECT refresh_at IS NULL FROM piwheels.package") == "t"
    two.world.compare("x", serial=5, status="quarantined")
    assert two.world.one("SELECT refresh_at IS NULL FROM piwheels.package") == "f"
    two.world.compare("x", version("1.0"), version("2.0"), serial=5, status="active")
    assert two.world.one("SELECT refresh_at IS NULL FROM piwheels.package") == "t"


@pytest.mark.parametrize("serial, status, told, after", [
    (4, "active", ("t", ""), "t"),              # the page is older than the event
    (5, "active", ("f", "cleared"), "f"),
    (6, "unheard of", ("f", "cleared"), "f"),
    (6, "archived", ("f", "cleared"), "f"),
    (6, "quarantined", ("f", ""), "t"),
    (6, None, ("f", ""), "t"),                  # an index that knows nothing of it
    (0, "active", ("f", ""), "t"),              # who knows how old it is
])
def test_a_page_undoes_what_an_event_said_only_if_it_knows_better(two, serial, status, told, after):
    two.apply(("Q", "x", None))
    assert two.serial == 5
    assert two.world.compare("x", version("1.0"), version("2.0"), serial=serial, status=status)[:2] == told
    assert shut(two) == after and (file_states(two) == ["withheld"]) == (after == "t")


@pytest.mark.parametrize("first, told, after", [("Q", "active", "f"), ("C", "quarantined", "t")])
def test_an_event_that_the_page_knew_already_changes_nothing(two, first, told, after):
    two.world.compare("x", version("1.0"), version("2.0"), serial=6, status=told)
    two.apply((first, "x", None))
    assert two.serial == 5 and shut(two) == after
    two.apply(("C", "x", None), ("Q" if after == "f" else "C", "x", None))
    assert two.serial == 7 and shut(two) == ("t" if after == "f" else "f")  # the one of serial 7 is news


def test_a_page_without_a_status_ends_what_an_earlier_page_began_but_not_what_an_event_said_since(two):
    two.world.compare("x", serial=5, status="quarantined")
    assert two.world.compare("x", version("1.0"), version("2.0"), serial=5)[1] == "cleared"
    two.world.compare("x", serial=5, status="quarantined")
    two.apply(("n", "x", "3.0"), ("C", "x", None), ("Q", "x", None))
    assert shut(two) == "t"
    assert two.world.compare("x", version("1.0"), version("2.0"), serial=two.serial)[1] == ""
    assert shut(two) == "t"


def test_what_is_asked_for_of_a_project_that_turns_out_quarantined_waits_and_its_builds_end_with_the_next_comparison(two):
    attempt = two.world.claim()["attempt"]
    assert two.world.store("x", serial=5, status="quarantined", want="newest")[0][2:] == ("quarantined", "PyPI has quarantined it")
    assert two.world.one("SELECT refresh_at <= now() FROM piwheels.package") == "t"
    assert two.world.compare("x", serial=5, status="quarantined")[6] == f"{{{attempt}}}"


def test_what_is_asked_for_is_noted_though_the_page_is_older_than_what_is_known(two):
    two.apply(("R", "x", "1.0"))
    assert two.world.store("x", version("1.0"), version("2.0"), serial=4, want="all", follow="all") == [
        ("2.0", "t0", *two.world.state("2.0")), ("2.0", "t1", *two.world.state("2.0", 1))]
    assert two.world.rows("SELECT follow, serial, etag, refresh_at <= now() FROM piwheels.package") == [("all", "5", "", "t")]


def test_a_release_that_a_page_has_no_more_goes_at_the_second_look_as_if_an_event_had_removed_it(two):
    attempt = two.world.claim(mask=1)["attempt"]
    assert two.world.compare("x", version("1.0"), serial=5) == ("f", "", "{2.0}", "{}", "0", "0", "{}")
    assert two.world.state("2.0")[0] == "building"
    assert two.world.state("2.0", 1)[1].startswith("PyPI's page has had nothing of it since ")
    assert two.world.compare("x", version("1.0"), serial=5) == ("f", "", "{}", "{2.0}", "0", "0", f"{{{attempt}}}")
    assert two.world.rows("SELECT version FROM piwheels.version") == [("1.0",)]
    assert two.world.compare("x", version("1.0"), version("2.0"), serial=6) == NOTHING
    assert ("2.0", "0") in two.world.jobs()


def test_a_published_release_stays_until_the_second_look(two):
    assert two.world.compare("x", version("2.0"), serial=5)[2] == "{1.0}"
    assert file_states(two) == ["live"] and two.world.stale() == []
    assert two.world.state("1.0")[0] == "built" and "though PyPI's page has had nothing of it since" in two.world.state("1.0")[1]
    assert two.world.one("SELECT etag = '' FROM piwheels.package") == "t"
    assert two.world.compare("x", version("2.0"), serial=5)[3] == "{1.0}"
    assert file_states(two) == [] and two.world.stale() == [("index", "x"), ("root", "")]
    assert two.world.rows("SELECT path FROM piwheels.withdrawn_file") == [("simple/x/x.whl",)]
    assert two.world.rows("SELECT * FROM piwheels.facts_check(0, 1000)") == []


def test_the_second_look_comes_no_sooner_than_a_period_after_the_first(two):
    two.world.compare("x", version("2.0"), serial=5, refresh_s=600)
    assert two.world.compare("x", version("2.0"), serial=5, refresh_s=600) == ("f", "", "{}", "{}", "1", "0", "{}")
    two.world.postgres.psql("UPDATE piwheels.version SET missing_since = missing_since - interval '10min'", two.world.name)
    assert two.world.compare("x", version("2.0"), serial=5, refresh_s=600)[3] == "{1.0}"


def test_who_asks_for_something_is_no_second_look(two):
    two.world.compare("x", version("2.0"), serial=5)
    two.world.store("x", version("2.0"), serial=5, want="newest", refresh_s=0)
    assert file_states(two) == ["live"]


def test_a_release_that_is_there_again_at_the_second_look_stays(two):
    two.world.compare("x", version("2.0"), serial=5)
    assert two.world.compare("x", version("1.0"), version("2.0"), serial=5) == NOTHING
    assert two.world.compare("x", version("2.0"), serial=5)[2] == "{1.0}"
    assert file_states(two) == ["live"] and two.world.state("2.0")[0] != "binary only"


def test_a_release_that_an_event_gave_back_is_looked_at_twice_again(two):
    two.world.compare("x", version("2.0"), serial=4)
    two.apply(("s", "x", "1.0", "x-1.0.tar.gz"))
    assert two.world.compare("x", version("2.0"), serial=5)[2:4] == ("{1.0}", "{}")
    assert two.world.compare("x", version("2.0"), serial=5)[2:4] == ("{}", "{1.0}")


@pytest.mark.parametrize("more", [{"serial": 3}, {"serial": 0}, {"serial": 4, "listed": [version("1.0")["key"]]}],
                         ids=["an older page", "a page of unknown age", "listed without a file"])
def test_a_release_is_not_missed_on_a_page_that_does_not_prove_it(two, more):
    for _ in range(3):
        assert two.world.compare("x", version("2.0"), **more)[2:] == NOTHING[2:]
    assert file_states(two) == ["live"]


def test_a_quarantined_release_is_not_missed_on_the_page(two):
    two.apply(("q", "x", "1.0"))
    for _ in range(3):
        assert two.world.compare("x", version("2.0"), serial=5) == NOTHING
    assert file_states(two) == ["withheld"]
    two.apply(("d", "x", "1.0"))
    assert file_states(two) == ["returning"]


def test_a_release_of_which_nothing_ever_was_there_is_not_missed(two):
    two.apply(("n", "x", "3.0"))
    for _ in range(3):
        assert two.world.compare("x", version("1.0"), version("2.0"), serial=5) == NOTHING
    assert two.world.one("SELECT count(*) FROM piwheels.version") == "3"


def test_a_page_that_lacks_more_than_it_has_is_believed_only_if_the_index_had_other_projects(two):
    assert two.world.compare("x", serial=5, believed=True) == ("f", "", "{2.0,1.0}", "{}", "0", "0", "{}")
    for _ in range(3):
        assert two.world.compare("x", serial=5) == ("f", "", "{}", "{}", "0", "2", "{}")
    assert file_states(two) == ["live"]
    assert two.world.compare("x", serial=5, believed=True)[3] == "{2.0,1.0}"
    assert two.world.rows("SELECT count(*) FROM piwheels.package") == [("1",)] and file_states(two) == []


def test_a_page_that_came_after_the_batch_began_is_not_undone_by_its_events(two, postgres):
    """The batch has read what is known of the package when a newer page is stored."""
    with contextlib.closing(psycopg2.connect(postgres.dsn(two.world.name))) as one:
        cursor = one.cursor()
        cursor.execute("""SET search_path = piwheels; SELECT events_open();
            INSERT INTO pg_temp.event_staging (serial, happened, kind, name, display) VALUES (5, 1700000005, 'Q', 'x', 'x');
            SELECT events_packages(4, 'Q', true, false)""")
        two.world.compare("x", version("1.0"), version("2.0"), serial=6, status="active")
        cursor.execute("SELECT events_hold(); SELECT events_news(4, 'Q', false); SELECT count(*) FROM pg_temp.event_work")
        assert cursor.fetchone() == (0,)


# ---- what was withdrawn ----

def test_a_withdrawn_name_keeps_its_bytes_and_is_not_given_again_while_it_leaves(log):
    path, other = "simple/x/x.whl", "b" * 64
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2)
    log.world.build(1, path=path)
    log.apply(("R", "x", "1.0"), *release("1.0"))
    log.world.store("x", version("1.0"), serial=log.serial)
    attempt = log.world.claim()["attempt"]
    assert log.world.begin(attempt, (path, other)) == ["again 1"]
    assert log.world.rows("SELECT path, again_ms FROM piwheels.files_leaving(1000)") == [("", "200")]  # the index is not written
    log.world.write_pages()
    log.world.rows("SELECT * FROM piwheels.files_leaving(0)")
    assert log.world.rows("SELECT path FROM piwheels.files_leaving(0)")[0] == (path,)
    assert log.world.begin(attempt, (path, SHA)) == ["leaving"]
    log.world.rows(f"SELECT piwheels.files_gone(ARRAY['{path}'])")
    assert log.world.begin(attempt, (path, SHA)) == ["new"]
    assert log.world.rows("SELECT gone, leaving FROM piwheels.withdrawn_file") == [("t", "f")]


def test_files_leave_by_the_hundred_the_oldest_first_and_each_once_in_a_round(world):
    world.rows("""INSERT INTO piwheels.withdrawn_file (path, sha256, package, leave_at)
        SELECT 'simple/x/' || n, decode(repeat('00', 32), 'hex'), 'x', now() - interval '1 h' * (n % 2) FROM generate_series(1, 250) n""",
               user="postgres")
    seen, after = [], ("-infinity", "")
    for count in (100, 100, 50):
        *due, (_, _, *after) = world.rows(f"SELECT * FROM piwheels.files_leaving(0, '{after[0]}', '{after[1]}')")
        assert len(due) == count
        seen.append({row[0] for row in due})
    assert after == ["", ""] and len(set.union(*seen)) == 250
    assert all(int(path[9:]) % 2 == 1 for path in seen[0])


def test_what_waits_for_its_index_is_looked_at_by_the_thousand_and_each_once_in_a_round(world):
    world.rows("""INSERT INTO piwheels.withdrawn_file (path, sha256, package)
            SELECT 'simple/x/' || to_char(n, 'FM0000'), decode(repeat('00', 32), 'hex'), 'p' || n % 1200 FROM generate_series(1, 2300) n;
        INSERT INTO piwheels.stale_page (kind, key) SELECT 'index', 'p' || n FROM generate_series(1, 1199) n""", user="postgres")
    after, seen = ("-infinity", ""), []
    for _ in range(3):
        (path, _, *after), = world.rows(f"SELECT * FROM piwheels.files_leaving(60000, '{after[0]}', '{after[1]}')")
        seen.append((path, *after))
    assert seen == [("", "-infinity", "simple/x/1000"), ("", "-infinity", "simple/x/2000"), ("", "", "")]
    assert world.rows("SELECT path FROM piwheels.withdrawn_file WHERE leave_at IS NOT NULL") == [("simple/x/1200",)]


def test_a_withdrawn_file_that_is_announced_again_is_not_taken_out(log):
    path = "simple/x/x.whl"
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2)
    log.world.build(1, path=path)
    log.apply(("R", "x", "1.0"), *release("1.0"))
    log.world.store("x", version("1.0"), serial=log.serial)
    log.world.write_pages()
    attempt = log.world.claim()["attempt"]
    assert log.world.begin(attempt, (path, SHA)) == ["back"]
    assert log.world.one("SELECT count(path) FROM piwheels.files_leaving(0)") == "0"
    log.world.publish(attempt, 1)
    assert log.world.rows("SELECT gone FROM piwheels.withdrawn_file") == [("t",)]
    assert log.world.tally()[0][3:] == ("1", "1", "1", "10")


def test_a_name_that_no_index_has_told_is_free_again_when_its_bytes_have_left(log):
    path, other = "simple/x/x.whl", "b" * 64
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2)
    log.world.begin(log.world.claim()["attempt"], (path, SHA))
    log.apply(("R", "x", "1.0"), *release("1.0"))
    log.world.store("x", version("1.0"), serial=log.serial)
    attempt = log.world.claim()["attempt"]
    assert log.world.begin(attempt, (path, other)) == ["leaving"]
    assert log.world.rows("SELECT path FROM piwheels.files_leaving(3600000)")[0] == (path,)
    log.world.rows(f"SELECT piwheels.files_gone(ARRAY['{path}'])")
    assert log.world.begin(attempt, (path, other)) == ["new"]


def test_what_is_removed_while_it_is_withheld_leaves_at_once_and_no_figure_behind(log):
    log.apply(*release("1.0"))
    log.world.store("x", version("1.0"), serial=2)
    log.world.build(1, path="simple/x/x.whl")
    log.apply(("Q", "x", None))
    log.apply(("P", "x", None))
    assert log.world.rows("SELECT leaving, named, leave_at <= now() FROM piwheels.withdrawn_file") == [("t", "t", "t")]
    assert log.world.tally()[0][3:] == ("0", "0", "0", "0")


def test_what_is_not_listed_is_passed_over_where_only_listed_packages_are_followed(world):
    world.target("t0")
    world.store("x", version("1.0"), follow="new", want="newest", serial=0)
    changelog = Changelog(world)
    world.rows("SELECT piwheels.follow_begin('listed', 0)")
    script = ("BEGIN; SELECT piwheels.events_open();\nCOPY pg_temp.event_staging (serial, happened, kind, name, display, version, "
              "sort_key, prerelease, legacy, file) FROM STDIN;\n"
              "1\t1\ts\tx\tx\t2.0\t\\\\x0014\tf\tf\tx-2.0.tar.gz\n2\t1\ts\ty\ty\t1.0\t\\\\x0014\tf\tf\ty-1.0.tar.gz\n\\.\n"
              "SELECT * FROM piwheels.events_apply(0, 2, false, false); COMMIT;")
    world.postgres.psql(script, world.name, "piwheels")
    assert world.rows("SELECT name FROM piwheels.package") == [("x",)]
    assert world.state("2.0")[0] == "waiting" and changelog.serial == 0


def test_pages_for_people_wait_until_the_history_has_been_read(log):
    def apply(start, end, quiet):
        log.world.postgres.psql("BEGIN; SELECT piwheels.events_open(); SELECT * FROM piwheels.events_apply("
                                f"{start}, {end}, true, {quiet}); COMMIT;", log.world.name, "piwheels")
    log.apply(*release("1.0"))
    log.world.write_pages()
    apply(2, 10, True)
    assert log.world.stale_for_people() == [("home", "")] and log.world.one("SELECT reads_history FROM piwheels.configuration") == "t"
    apply(10, 10, False)    # nothing at all came, but it was the end
    assert ("project", "x") in log.world.stale_for_people() and log.world.one("SELECT reads_history FROM piwheels.configuration") == "f"
    log.world.write_pages()
    apply(10, 11, False)
    assert log.world.stale_for_people() == [("home", "")]


def kept_events(world):
    return world.rows("SELECT serial, kind, name, version, file FROM piwheels.event ORDER BY serial")


def test_events_are_not_kept_unless_that_is_asked_for(log):
    log.apply(*release("1.0"))
    assert kept_events(log.world) == []
    assert log.world.rows("SELECT FROM pg_inherits WHERE inhparent = 'piwheels.event'::regclass") == []


def test_events_are_kept_until_they_are_too_old(log):
    fifty_years, moment = 50 * 366 * 86_400_000, 1
    log.world.rows(f"SELECT piwheels.policy_set('missing', 0, {fifty_years})")
    log.apply(*release("1.0"), again=True)
    assert kept_events(log.world) == [("1", "n", "x", "1.0", ""), ("2", "s", "x", "1.0", "x-1.0.tar.gz")]
    log.serial = 99_999
    log.world.postgres.psql("INSERT INTO piwheels.event_cursor VALUES (99999)", log.world.name)
    log.apply(*release("2.0"))      # into the next partition
    assert [row[0] for row in kept_events(log.world)] == ["1", "2", "100000", "100001"]
    log.world.rows(f"SELECT piwheels.policy_set('missing', 0, {moment})")
    assert kept_events(log.world) == []
    log.apply(*release("3.0"))      # of the year 2023
    assert kept_events(log.world) == []


def test_old_events_that_somebody_reads_go_the_next_time(log):
    log.world.rows(f"SELECT piwheels.policy_set('missing', 0, {50 * 366 * 86_400_000})")
    log.apply(*release("1.0"))
    with psycopg2.connect(log.world.postgres.dsn(log.world.name)) as reader:
        reader.cursor().execute("SELECT * FROM piwheels.event")
        log.world.rows("SELECT piwheels.policy_set('missing', 0, 0)")
        assert len(kept_events(log.world)) == 2
    reader.close()
    log.world.rows("SELECT piwheels.policy_set('missing', 0, 0)")
    assert kept_events(log.world) == []


def test_few_events_may_go_along_with_the_statement(log):
    """As COPY would take them; texts may hold backslashes, and what looks like null."""
    few = ("3\t1700000003\tc\tx\tX\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n"
           "5\t1700000005\ts\tx\tX\t1.0\\\\N\t\\\\x0a\tt\tf\t\\\\N.tar.gz\t\\N\t\\N\n"
           "6\t1700000006\tw\tx\tX\t1.0\\\\N\t\\\\x0a\tt\tf\tx.whl\tpy3-none-any\t3\n")
    apply = f"SELECT * FROM piwheels.events_apply(0, 9, true, false, $rows${few}$rows$)"
    assert log.world.rows(apply) == [("3", "{}", "t")]
    assert log.world.rows("SELECT p.display, v.version, v.sort_key, v.prerelease, v.sdist, v.covered_mask, v.released = to_timestamp(1700000005) "
                          "FROM piwheels.version v JOIN piwheels.package p ON p.id = v.package") == [
        ("X", "1.0\\N", "\\x0a", "t", "\\N.tar.gz", "3", "t")]
    assert log.world.rows(apply) == [("0", "{}", "f")]
    assert log.world.rows("SELECT * FROM piwheels.events_apply(9, 12, true, false, '')") == [("0", "{}", "f")]
    assert log.world.one("SELECT max(serial) FROM piwheels.event_cursor") == "12"


def test_the_cursor_leaves_no_more_behind_than_came_in_a_thousand_serials(log):
    def move(*serials):
        for serial in serials:
            log.world.rows(f"SELECT piwheels.events_apply({log.serial}, {serial}, true, false, '')")
            log.serial = serial
        return [row[0] for row in log.world.rows("SELECT serial FROM piwheels.event_cursor ORDER BY serial")]
    assert move(5, 998, 999) == ["0", "5", "998", "999"]
    assert move(1000, 1001) == ["1000", "1001"]
    assert move(70_000) == ["70000"]
    assert move(1_000_000, 1_000_001, 2_000_000) == ["2000000"]


def test_who_goes_over_to_all_packages_reads_the_history_again(log):
    log.apply(*release("1.0"))
    log.world.rows("SELECT piwheels.follow_begin('listed', 7)")
    assert log.world.one("SELECT piwheels.follow_begin('listed', 8)") == "2"    # as far as it was
    assert log.world.one("SELECT piwheels.follow_begin('all', 9)") == "0"
    assert log.world.rows("SELECT serial FROM piwheels.event_cursor") == [("0",)]


def test_events_that_leave_a_gap_are_refused(log):
    assert "are missing" in log.world.fails("BEGIN; SELECT piwheels.events_open(); "
                                            "SELECT * FROM piwheels.events_apply(7, 8, true, false); COMMIT;")


@pytest.mark.parametrize("name", ["event_package", "event_work", "event_version"])
def test_nobody_else_can_put_a_table_in_the_place_of_ours(log, name):
    work = "SELECT piwheels.events_open(); SELECT * FROM piwheels.events_apply(0, 1, true, false)"
    assert "already exists" in log.world.fails(f"CREATE TEMP VIEW {name} AS SELECT 1; {work}")
    assert "temporary tables of its own" in log.world.fails(
        f"CREATE TEMP VIEW event_staging AS SELECT 1; CREATE TEMP VIEW {name} AS SELECT 1; {work}")


def test_nobody_else_can_put_a_table_in_the_place_of_the_sweeps(log):
    assert "temporary tables of its own" in log.world.fails(
        "CREATE TEMP VIEW sweep_staging AS SELECT 1; SELECT piwheels.sweep_open()")


# ---- what is kept up, held against what it follows from ----

WRONG = [
    ("UPDATE piwheels.version SET covered_mask = 1", "covered_mask", "1", "0"),
    ("UPDATE piwheels.version SET built_mask = 2 WHERE built_mask <> 0", "built_mask", "2", "3"),
    ("UPDATE piwheels.version SET built_mask = 1 WHERE built_mask = 0", "built_mask", "1", "0"),
    ("DELETE FROM piwheels.file; UPDATE piwheels.package SET live_files = 0", "built_mask", "3", "0"),
    ("UPDATE piwheels.file SET name = 'x-1.0-cp311-cp311-linux_armv7l.whl'", "built_mask", "3", "1"),
    ("UPDATE piwheels.file SET name = 'x-1.0-cp37-abi3-linux_x86_64.whl', apart = true; UPDATE piwheels.package SET apart_files = 1; "
     "UPDATE piwheels.target SET label = 'another' WHERE id = 1", "built_mask", "3", "1"),
    ("UPDATE piwheels.version SET skipped_mask = 1", "skipped_mask", "1", "0"),
    ("INSERT INTO piwheels.skip_rule (package, target, reason) VALUES (1, 0, 'no')", "rule 1 on target 0", "does not strike", "strikes"),
    ("INSERT INTO piwheels.skip_rule (package, specifier, target, reason) VALUES (1, '<1', 1, 'no'); "
     "INSERT INTO piwheels.skip_reason SELECT id, 0, 1 FROM piwheels.version", "rule 1 on target 0", "strikes", "does not strike"),
    ("INSERT INTO piwheels.skip_rule (package, reason) VALUES (1, 'no')", "skip", "", "no"),
    ("UPDATE piwheels.package SET skip = 'no'", "skip", "no", ""),
    ("DELETE FROM piwheels.job WHERE attempt IS NULL", "job for target 0", "none", "there"),
    ("INSERT INTO piwheels.job (version, target, rank) SELECT version, 1, 1 FROM piwheels.job", "job for target 1", "there", "none"),
    ("UPDATE piwheels.job SET need = 'info'", "need of the job for target 0", "info", "nothing"),
    ("UPDATE piwheels.version SET by_hand = true; UPDATE piwheels.job SET rank = 2::bigint << 40",
     "class of the job for target 0", "2", "0"),
    ("UPDATE piwheels.package SET live_files = 7", "live files", "7", "1"),
    ("UPDATE piwheels.version SET quarantined = true WHERE version = '2.0'", "state of the file simple/x/x.whl", "live", "withheld"),
    ("UPDATE piwheels.file SET state = 'withheld'; UPDATE piwheels.package SET live_files = 0",
     "state of the file simple/x/x.whl", "withheld", "returning"),
]


@pytest.fixture
def settled(log):
    """A version that waits, and one that is built."""
    log.world.store("x", version("2.0"), want="all")
    log.world.build(0b11, path="simple/x/x.whl")
    log.world.store("x", version("1.0"), version("2.0"), want="all")
    return log.world


def test_where_everything_agrees_nothing_is_found(settled):
    assert settled.rows("SELECT * FROM piwheels.facts_check(0, 100)") == []


@pytest.mark.parametrize("name", [
    "x-1.0-py3-none-any.whl", "x-1.0-cp37-abi3-linux_x86_64.whl", "x-1.0-cp311.cp312-cp311.cp312-linux_x86_64.whl",
    "x-1.0-cp311-none-manylinux2014_X86_64.whl"])
def test_what_a_file_may_serve_by_its_name_is_taken_as_noted(settled, name):
    settled.rows(f"UPDATE piwheels.file SET name = '{name}'", user="postgres")
    assert settled.rows("SELECT * FROM piwheels.facts_check(0, 100)") == []


@pytest.mark.parametrize("damage, what, found, due", WRONG)
def test_what_disagrees_is_found_and_mended(settled, damage, what, found, due):
    settled.rows(damage, user="postgres")
    assert (what, found, due) in settled.rows("SELECT what, \"is\", should_be FROM piwheels.facts_check(0, 100)")
    assert settled.rows("SELECT * FROM piwheels.facts_check(2, 100)") == []
    assert (what, found, due) in settled.rows("SELECT what, \"is\", should_be FROM piwheels.facts_repair(0, 100)")
    assert settled.rows("SELECT * FROM piwheels.facts_check(0, 100)") == []
    assert settled.rows("SELECT * FROM piwheels.facts_repair(0, 100)") == []

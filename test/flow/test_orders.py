"""The functions of schema/people.sql, each called as the service's user would: what people ask and order."""
import json

import pytest

from test_schema import (  # noqa: F401 (fixtures)
    log, one, other_slave, release, schema, three, version, wheel, world)

@pytest.fixture(autouse=True)
def agreement(world):
    """After each order what is kept up is what the recomputation (schema/check.sql) says, unless a test tampers with it."""
    yield
    if not getattr(world, "tampered", False):
        assert world.rows("SELECT * FROM piwheels.facts_check(0, 1000000)") == []


def key(text):
    return f"'\\x{version(text)['key']}'"


def asked(world, function, *words):
    """What a function of people.sql answers."""
    return json.loads(world.one(f"SELECT piwheels.{function}({', '.join(str(word) for word in words)})"))


def explained(world, text="1.0", target="", name="x"):
    """Of one version: what is told of its targets."""
    told = asked(world, "explain", f"'{name}'", key(text), f"'{target}'")
    return told["versions"][0]["targets"]


def skip(world, name="x", specifier="", target="", prereleases=False, reason="legal", judged=(), struck=()):
    return asked(world, "skip_add", f"'{name}'", f"'{specifier}'", f"'{target}'", prereleases, f"'{reason}'",
                 f"ARRAY[{', '.join(map(str, judged))}]::bigint[]", f"ARRAY[{', '.join(map(str, struck))}]::bigint[]")


def states(world, *versions):
    return [world.state(text)[0] for text in versions]


@pytest.fixture
def several(world):
    """A followed package with two releases and a pre-release, that wait on one target of two."""
    world.target("t0"), world.target("t1", "cp312")
    world.store("x", version("1.0"), version("2.0"), version("3.0", prerelease=True), want="all", follow="all")
    return world


def ids(world):
    return [int(row[0]) for row in world.rows("SELECT id FROM piwheels.version ORDER BY sort_key")]


def test_explain_tells_of_every_target_its_state_and_the_place_in_the_queue(several):
    told = explained(several)
    assert [(t["target"], t["state"], t["place"]) for t in told] == [("t0", "queued", 3), ("t1", "waiting", None)]
    assert [s["label"] for s in explained(several, target="t0")[0]["slaves"]] == []


def test_explain_without_a_version_tells_of_the_newest_and_of_what_goes_on(several):
    several.tampered = True
    told = asked(several, "explain", "'x'", "NULL", "''")
    assert [v["version"] for v in told["versions"]] == ["3.0", "2.0", "1.0"] and told["version_count"] == 3
    several.rows("DELETE FROM piwheels.job", user="postgres")
    assert [v["version"] for v in asked(several, "explain", "'x'", "NULL", "''")["versions"]] == ["2.0"]


def test_explain_is_bounded_however_many_versions_wait(world):
    world.target("t0")
    world.store("x", *[version(f"1.{n}") for n in range(100, 400)], want="all")
    assert len(asked(world, "explain", "'x'", "NULL", "''")["versions"]) <= 16


def test_explain_counts_places_by_index_up_to_ten_thousand(one):
    one.tampered = True
    one.rows("""INSERT INTO piwheels.version (package, version, sort_key, wanted, sdist)
                    SELECT 1, 'v' || n, int4send(n), true, 'x' FROM generate_series(1, 10100) n;
                INSERT INTO piwheels.job (version, target, rank)
                    SELECT id, 0, 0 FROM piwheels.version WHERE version LIKE 'v%'""", user="postgres")
    assert explained(one)[0]["place"] == 10001
    assert asked(one, "status_facts")["targets"][0]["queued"] == 10000
    assert asked(one, "queue_facts", "''")["targets"][0]["waiting"] == 10101


def test_explain_tells_of_attempts_the_newest_first_and_where_their_logs_are(one):
    one.end(one.claim(attempt=12345678)["attempt"], "farm", "disk", "full")
    one.end(one.claim(attempt=12345679)["attempt"], "failed")
    (told,) = explained(one)
    assert [(a["build"], a["outcome"], a["class"], a["log"]) for a in told["attempts"]] == [
        (12345679, "failed", "compiler", "/logs/0000/1234/5679.txt.gz"),
        (12345678, "farm", "disk", "/logs/0000/1234/5678.txt.gz")]
    assert (told["state"], told["attempt_count"], told["slaves"]) == ("failed", 2, None)


def test_explain_of_one_version_tells_what_its_newest_build_was_made_with(one):
    one.end(one.claim()["attempt"], "farm"), one.end(one.claim()["attempt"], "failed")
    one.rows("UPDATE piwheels.build SET record = '{\"python\": \"3.11.2\"}'", user="postgres")
    assert [a["record"] for a in explained(one)[0]["attempts"]] == [{"python": "3.11.2"}, None]
    (told,) = asked(one, "explain", "'x'", "NULL", "''")["versions"]
    assert [a["record"] for a in told["targets"][0]["attempts"]] == [None, None]


def test_explain_tells_which_slaves_may_have_the_job_and_why_not(one):
    other_slave(one)
    one.rows("SELECT piwheels.slave_told(id, 1, 0, 0) FROM piwheels.slave")
    one.end(one.claim()["attempt"], "farm", "disk", "full", retry_ms=60000)
    told = {s["label"]: s for s in explained(one)[0]["slaves"]}
    assert told["pi4-a"]["may"] is False and told["pi4-a"]["why"].startswith("it failed it last, not before 20")
    assert [s["may"] for label, s in told.items() if label != "pi4-a"] == [True]


def test_what_is_not_known_is_answered_with_what_may_be_meant(one):
    one.store("xanadu")
    assert asked(one, "explain", "'xanado'", "NULL", "''") == {"unknown": "package", "name": "xanado", "known": ["xanadu"]}
    assert asked(one, "explain", "'x'", key("9.0"), "''") == {"unknown": "version", "name": "x", "known": ["1.0"]}
    assert asked(one, "explain", "'x'", "NULL", "'t1'") == {"unknown": "target", "name": "t1", "known": ["t0"]}
    assert asked(one, "queue_facts", "'t1'")["unknown"] == "target"
    assert asked(one, "skips_remove", "'7'")["unknown"] == "rule"


def test_the_queue_tells_its_lengths_its_age_and_its_rate(several):
    several.claim()
    several.end(several.claim()["attempt"], "failed")
    told = {t["name"]: t for t in asked(several, "queue_facts", "''")["targets"]}
    assert [told["t0"][what] for what in ("waiting", "building", "info", "later", "parked", "builds_hour")] == [1, 1, 0, 0, 0, 1]
    assert [told["t1"][what] for what in ("waiting", "builds_hour", "empty_s")] == [1, 0, None]
    assert told["t0"]["empty_s"] == 2 * 3600 and len(told["t0"]["first"]) == 1
    assert [t["name"] for t in asked(several, "queue_facts", "'t1'")["targets"]] == ["t1"]


def test_the_status_counts_what_needs_something_apart(several):
    several.tampered = True
    several.rows("""UPDATE piwheels.job SET need = 'parked' WHERE version = 1;
                    UPDATE piwheels.job SET need = 'info' WHERE version = 2;
                    UPDATE piwheels.job SET need = 'later' WHERE version = 3""", user="postgres")
    (first, _) = asked(several, "status_facts")["targets"]
    assert [first[what] for what in ("queued", "info", "later", "parked", "building")] == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("outcome", ["failed", "parked", "built"])
def test_a_rebuild_takes_up_what_failed_was_parked_or_is_built(one, outcome):
    if outcome == "built":
        one.build(1)
    elif outcome == "failed":
        one.end(one.claim()["attempt"], "failed")
    else:
        for _ in range(5):
            one.end(one.claim()["attempt"], "farm")
    assert one.state("1.0")[0] == outcome
    assert asked(one, "rebuild", "'x'", "NULL", "''", False)[outcome] == 1
    assert one.state("1.0")[0] == outcome
    told = asked(one, "rebuild", "'x'", "NULL", "''", True)
    assert [(a["version"], a["target"], a["state"]) for a in told["asked"]] == [("1.0", "t0", "queued")]
    one.end(one.claim()["attempt"], "failed")
    assert one.state("1.0")[0] == ("built" if outcome == "built" else "failed")


def test_a_rebuild_without_anything_to_build_changes_nothing(one):
    assert asked(one, "rebuild", "'x'", "NULL", "''", True) == {
        "package": "x", "versions": 0, "built": 0, "failed": 0, "parked": 0}
    assert one.one("SELECT forced_mask FROM piwheels.version") == "0"


def test_a_version_and_a_target_named_are_built_although_pypi_covers_them(three):
    three.store("x", version("1.0", wheels=[wheel("py3-none-any", 7, "x-1.0-py3-none-any.whl")]))
    assert three.state("1.0", 1)[0] == "covered"
    assert asked(three, "rebuild", "'x'", key("1.0"), "'t1'", True)["asked"][0]["state"] == "queued"
    assert three.jobs() == [("1.0", "1")]


def test_a_rebuild_leaves_targets_that_requires_python_excludes(three):
    three.store("x", version("1.0", na_mask=2))
    assert asked(three, "rebuild", "'x'", key("1.0"), "'t1'", True)["versions"] == 0


def test_pages_are_written_again_on_request(one):
    one.build(1)
    one.write_pages()
    assert asked(one, "pages_rebuild", "'index'", "''") == {"pages": 1}
    assert one.stale() == [("index", "x")]
    assert asked(one, "pages_rebuild", "'all'", "''") == {"pages": 4}
    assert asked(one, "pages_rebuild", "'all'", "'x'") == {"pages": 2}
    assert asked(one, "pages_rebuild", "'all'", "'y'")["unknown"] == "package"


def test_a_skipped_package_is_not_built_and_comes_back_when_the_skip_is_taken_back(several):
    told = skip(several)
    assert told["rule"]["versions"] == 3 and several.jobs() == []
    assert several.state("1.0") == ("skipped", "the package is skipped: legal")
    several.store("x", version("1.0"), version("2.0"), version("3.0"), version("4.0"))
    assert several.jobs() == []
    assert asked(several, "skips_remove", "'x'") == {"more": False, "removed": 1}
    assert len(several.jobs()) == 4


def test_a_specifier_strikes_the_versions_that_the_program_found(several):
    first, second, third = ids(several)
    told = skip(several, specifier="<2", judged=[first, second, third], struck=[first])
    assert told["rule"]["versions"] == 1 and [v for v, _ in several.jobs()] == ["2.0", "3.0"]
    assert several.state("1.0") == ("skipped", "skipped by a rule: legal")
    assert several.state("1.0", 1)[0] == "skipped"


def test_a_specifier_is_judged_again_when_versions_have_come_meanwhile(several):
    first, second, _ = ids(several)
    assert skip(several, specifier="<2", judged=[first, second], struck=[first]) == {"again": True}
    assert several.one("SELECT count(*) FROM piwheels.skip_rule") == "0"


def test_a_rule_with_a_specifier_is_judged_as_the_projects_page_is_read(several):
    rule = skip(several, specifier=">3", judged=ids(several))["rule"]["rule"]
    pages = [version("1.0"), version("2.0"), version("3.0", prerelease=True)]
    several.store("x", *pages, version("4.0"), skips=[{"rule": rule, "keys": [version("4.0")["key"]]}])
    assert several.state("4.0")[0] == "skipped" and ("4.0", "0") not in several.jobs()


def test_a_rule_that_was_made_while_a_page_was_read_is_judged_at_once(several):
    several.rows("UPDATE piwheels.package SET refresh_at = now() + interval '1 day'", user="postgres")
    rule = skip(several, specifier=">3", judged=ids(several))["rule"]["rule"]
    pages = [version("1.0"), version("2.0"), version("3.0"), version("4.0")]
    several.store("x", *pages, skips=[])
    assert several.one("SELECT refresh_at <= now() FROM piwheels.package") == "t"
    several.store("x", *pages, skips=[{"rule": rule, "keys": [version("4.0")["key"]]}])
    assert several.state("4.0")[0] == "skipped"
    assert several.one("SELECT refresh_at > now() FROM piwheels.package") == "t"


def test_a_skip_of_one_target_leaves_the_others(several):
    skip(several, target="t0")
    assert several.state("1.0") == ("skipped", "skipped by a rule: legal")
    assert {target for _, target in several.jobs()} == {"1"}


def test_prereleases_of_a_package_are_skipped_those_that_come_later_too(several):
    skip(several, prereleases=True)
    assert states(several, "1.0", "2.0", "3.0") == ["queued", "queued", "skipped"]
    several.store("x", version("1.0"), version("2.0"), version("3.0", prerelease=True), version("4.0", prerelease=True),
                  version("5.0"))
    assert states(several, "4.0", "5.0") == ["skipped", "queued"]


def test_prereleases_of_all_packages_are_skipped_package_by_package(several):
    told = skip(several, name="", prereleases=True)
    assert told["spread"] is True and several.state("3.0")[0] == "queued"
    rule = told["rule"]["rule"]
    assert asked(several, "skip_spread", rule, 0)["next"] is None
    assert states(several, "1.0", "2.0", "3.0") == ["queued", "queued", "skipped"]
    several.store("y", version("7.0", prerelease=True), want="all")
    assert several.state("7.0")[0] == "skipped"
    assert asked(several, "skips_remove", f"'{rule}'") == {"more": False, "removed": 1}
    assert states(several, "3.0", "7.0") == ["queued", "queued"]


def test_of_all_packages_only_prereleases_can_be_skipped(several):
    assert "only the pre-releases" in several.fails("SELECT piwheels.skip_add('', '', '', false, 'r', '{}', '{}')")


def test_events_make_versions_that_are_skipped_from_the_start(log):
    log.apply(("c", "x", None), *release("1.0"))
    skip(log.world, target="t0")
    log.apply(*release("2.0"))
    assert states(log.world, "1.0", "2.0") == ["skipped", "skipped"]
    assert log.world.jobs() == [("1.0", "1"), ("2.0", "1")]


def test_the_same_rule_again_changes_its_reason(several):
    first = skip(several)["rule"]["rule"]
    assert skip(several, reason="it is huge")["rule"]["rule"] == first
    assert several.state("1.0") == ("skipped", "the package is skipped: it is huge")


def test_a_build_of_what_is_skipped_is_ended_and_its_files_stay(several):
    several.build(1)
    running = several.claim(mask=1)
    assert skip(several)["ended"] == [int(running["attempt"])]
    assert several.jobs() == []
    assert several.one("SELECT count(*) FROM piwheels.file WHERE state = 'live'") == "1"


def test_a_new_target_is_skipped_where_all_are(several):
    first, *_ = ids(several)
    skip(several, specifier="<2", judged=ids(several), struck=[first])
    number = several.target("t2", "cp313")
    several.rows(f"SELECT piwheels.target_judge({number}, '{{}}', '{{}}', 0, 1000), piwheels.target_judged({number}, 0, 1000)")
    assert several.state("1.0", number)[0] == "skipped"


def test_rules_are_listed_with_what_they_strike(several):
    skip(several, target="t0")
    everywhere = skip(several, name="", prereleases=True)["rule"]["rule"]
    rules = asked(several, "skips_list", "''")["rules"]
    assert [(r["package"], r["target"], r["prereleases"], r["reason"], r["versions"]) for r in rules] == [
        ("x", "t0", False, "legal", 3), (None, None, True, "legal", 0)]
    assert len(asked(several, "skips_list", "'x'")["rules"]) == 1
    asked(several, "skip_spread", everywhere, 0)


def test_a_removed_package_is_forgotten_and_its_files_are_withdrawn(several):
    several.build(1)
    several.claim(mask=1)
    assert asked(several, "remove", "'x'", "NULL", False, False)["files"] == 1
    told = asked(several, "remove", "'x'", "NULL", False, True)
    assert (told["versions"], told["files"], told["builds"], len(told["ended"])) == (3, 1, 1, 1)
    assert several.one("SELECT count(*) FROM piwheels.package") == "0"
    assert several.one("SELECT count(*) FROM piwheels.withdrawn_file") == "1"
    assert ("index", "x") in several.stale()


def test_a_removed_version_leaves_the_others(several):
    assert asked(several, "remove", "'x'", key("1.0"), False, True)["versions"] == 1
    assert several.rows("SELECT version FROM piwheels.version ORDER BY 1") == [("2.0",), ("3.0",)]


def test_with_its_builds_alone_removed_a_version_is_built_anew(one):
    one.build(1)
    told = asked(one, "remove", "'x'", "NULL", True, True)
    assert (told["files"], told["builds"]) == (1, 1)
    assert one.state("1.0")[0] == "queued" and one.one("SELECT count(*) FROM piwheels.build") == "0"
    assert one.tally()[0][3:] == ("0", "0", "0", "0")
"""`piwheels check`: a database is damaged; each damage is named, and mended."""
import json

import pytest

from harness import piwheels

FILL = """
    SET search_path = piwheels;
    INSERT INTO package (name, display) SELECT 'p' || n, 'p' || n FROM generate_series(1, 450) n;
    INSERT INTO tagset (tags, mask) VALUES ('cp311-cp311-manylinux_2_17_x86_64', 1);
    INSERT INTO version (package, version, sort_key, wanted, sdist, judged_mask)
        SELECT id, '1.0', '\\x01', true, name || '-1.0.tar.gz', 1 FROM package;
    SELECT versions_settle(ARRAY (SELECT id FROM version));"""


@pytest.fixture
def check(postgres, database):
    postgres.psql(FILL, database)

    def run(*words, status=0):
        done = piwheels("check", *words, "-d", postgres.dsn(database, "piwheels"))
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stdout + done.stderr
    run.sql = lambda statement: postgres.psql("SET search_path = piwheels; " + statement, database)
    return run


def test_a_database_that_nobody_damaged_agrees(check):
    assert check() == "450 packages were checked: all facts agree\n"
    assert check("--repair") == "450 packages were checked: all facts agree\n"


DAMAGES = [
    ("DELETE FROM job WHERE version = 7", "p7 1.0 on native: job: kept: none; recomputed: there"),
    ("UPDATE job SET need = 'info' WHERE version = 250", "p250 1.0 on native: need of the job: kept: info; recomputed: nothing"),
    ("UPDATE version SET covered_mask = 1 WHERE id = 450",
     "p450 1.0: targets that PyPI's own wheels cover: kept: native; recomputed: no target"),
    ("INSERT INTO version_wheel VALUES (450, 1, 1)",
     "p450 1.0: targets that PyPI's own wheels cover: kept: no target; recomputed: native"),
    ("UPDATE version SET built_mask = 1 WHERE id = 450",
     "p450 1.0: targets that files of ours serve: kept: native; recomputed: no target"),
    ("UPDATE version SET skipped_mask = 5 WHERE id = 3",
     "p3 1.0: targets that are skipped by a rule: kept: native, bit 2; recomputed: no target"),
    ("UPDATE package SET skip = 'no' WHERE id = 9", "p9: why the whole package is skipped: kept: no; recomputed: nothing"),
    ("INSERT INTO skip_rule (package, target, reason) VALUES (9, 0, 'no')",
     "p9 1.0 on native: rule 1: kept: does not strike; recomputed: strikes"),
    ("UPDATE package SET live_files = 3 WHERE id = 201", "p201: number of public files: kept: 3; recomputed: 0"),
]


@pytest.mark.parametrize("damage, line", DAMAGES)
def test_a_damage_is_named_and_mended(check, damage, line):
    check.sql(damage)
    told = check(status=1)
    assert line + "\n" in told
    assert "piwheels check --repair" in told
    assert f"{line} (mended)\n" in check("--repair")
    assert check() == "450 packages were checked: all facts agree\n"


def test_a_job_that_was_lost_is_there_again_after_the_repair(check):
    check.sql("DELETE FROM job WHERE version = 7")
    check("--repair")
    assert check.sql("SELECT count(*) FROM job WHERE version = 7") == "1"
    assert check.sql("SELECT count(*) FROM stale_page WHERE kind = 'project' AND key = 'p7'") == "1"


def test_looking_alone_changes_nothing(check):
    check.sql("DELETE FROM job")
    told = check(status=1)
    assert "450 packages were checked, 450 facts disagree; mend them" in told
    assert check(status=1) == told


def test_what_disagrees_as_json(check):
    check.sql("DELETE FROM job WHERE version IN (7, 300); UPDATE package SET live_files = 3 WHERE id = 201")
    wrong = [
        {"package": "p7", "version": "1.0", "target": "native", "fact": "job", "kept": "none", "recomputed": "there"},
        {"package": "p201", "version": None, "target": None, "fact": "number of public files", "kept": "3", "recomputed": "0"},
        {"package": "p300", "version": "1.0", "target": "native", "fact": "job", "kept": "none", "recomputed": "there"}]
    told, _, conclusion = check("--json", status=1).partition("\n")
    assert json.loads(told) == {"packages": 450, "repaired": False, "wrong": wrong, "left": []}
    assert "450 packages were checked, 3 facts disagree" in conclusion
    assert json.loads(check("--json", "--repair")) == {"packages": 450, "repaired": True, "wrong": wrong, "left": []}
    assert json.loads(check("--json")) == {"packages": 450, "repaired": False, "wrong": [], "left": []}


def test_an_empty_database_agrees(postgres, database_without_target):
    done = piwheels("check", "-d", postgres.dsn(database_without_target, "piwheels"))
    assert (done.returncode, done.stdout) == (0, "0 packages were checked: all facts agree\n")


def test_a_database_that_is_not_there_is_told(postgres):
    done = piwheels("check", "-d", postgres.dsn("nowhere", "piwheels"))
    assert done.returncode == 1
    assert "nowhere" in done.stderr

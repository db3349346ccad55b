"""`piwheels check`: a database is damaged; each damage is named, and mended."""
import json

import pytest

from harness import piwheels
from wheels import make_wheel

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


# ---- --files -----------------------------------------------------------------------------------------

PACKAGES = ("piwtest-made", "piwtest-other", "piwtest-third")


@pytest.fixture
def site(farm):
    """A farm with three published files; `check` is `piwheels check --files` with its tree."""
    farm.start_master("--page-lifetime", "1h")
    with farm.scripted_slave() as slave:
        slave.greet()
        for package in PACKAGES:
            farm.order(package)
            assert slave.deliver(slave.ask().attempt, [make_wheel(package)])[0]

    def check(*words):
        done = piwheels("check", "--files", *words, "-o", farm.output, "-d", farm.dsn)
        return done.returncode, done.stdout + done.stderr
    farm.check = check
    farm.wheel = farm.file(PACKAGES[1], make_wheel(PACKAGES[1])[0])
    return farm


def remove(path):
    path.unlink()


def shorten(path):
    path.write_bytes(path.read_bytes()[:-1])


def change(path):
    """No longer and no shorter."""
    data = path.read_bytes()
    path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])


def replace_by_a_directory(path):
    path.unlink()
    path.mkdir()


def test_a_tree_that_nobody_touched_is_as_it_was_published(site):
    assert site.check() == (0, "3 packages were checked: all facts agree\n3 files were read: all are as they were published\n")


@pytest.mark.parametrize("deed, suffix, told", [
    (remove, "", "it is not in the tree"), (shorten, "", r"it has {size} bytes, not {whole}"),
    (change, "", "it has other bytes than were published"), (replace_by_a_directory, "", "it is no file"),
    (remove, ".metadata", "its metadata is not in the tree"), (change, ".metadata", "its metadata has other bytes than were published")])
def test_a_file_that_is_not_as_it_was_published_is_named(site, deed, suffix, told):
    whole = site.wheel.stat().st_size
    deed(site.wheel.with_name(site.wheel.name + suffix))
    status, said = site.check()
    damage = told.format(size=whole - 1, whole=whole)
    assert status == 1 and f"piwtest-other 1.0: simple/piwtest-other/{site.wheel.name}: {damage}\n" in said
    assert said.count("simple/") == 1
    assert "3 files were read, 1 is damaged" in said and "piwheels remove NAME VERSION --builds" in said


def test_what_is_damaged_is_told_to_programs(site):
    change(site.wheel)
    told = json.loads(site.check("--json")[1].partition("\n")[0])
    assert told["files"] == 3
    assert told["damaged"] == [{"package": "piwtest-other", "version": "1.0", "path": f"simple/piwtest-other/{site.wheel.name}",
                                "damage": "it has other bytes than were published"}]


@pytest.mark.parametrize("deed", [remove, change])
@pytest.mark.parametrize("suffix", ["", ".metadata"])
def test_what_was_damaged_is_built_anew_as_it_is_told(site, deed, suffix):
    """Also where the build comes to the very bytes that were published, in whose place others are still."""
    whole = site.wheel.read_bytes()
    deed(site.wheel.with_name(site.wheel.name + suffix))
    assert site.tool("remove", "piwtest-other", "--builds", "-y").returncode == 0
    assert site.check()[0] == 0
    with site.scripted_slave() as slave:
        slave.greet()
        build = slave.ask()
        assert (build.package, build.version) == ("piwtest-other", "1.0")
        good, said = slave.deliver(build.attempt, [(site.wheel.name, whole)])
    assert good, said
    status, said = site.check()
    assert status == 0 and "3 files were read" in said, said


def test_a_tree_that_is_elsewhere_is_not_taken_for_an_empty_one(site):
    assert site.master.stop() == 0  # it would begin a new tree with the next page
    site.output.rename(site.output.with_name("aside"))
    status, said = site.check()
    assert status == 1 and f"the output directory {site.output} cannot be looked at: No such file or directory" in said


def test_where_the_tree_is_means_nothing_without_files(postgres, database):
    done = piwheels("check", "-o", "/tmp", "-d", postgres.dsn(database, "piwheels"))
    assert done.returncode == 2 and "give both" in done.stderr

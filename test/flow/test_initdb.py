"""`piwheels initdb`: what it refuses, what it asks, what it makes."""
import pathlib
import re
import subprocess

import pytest

from harness import PIWHEELS, clean_environment, on_a_terminal, piwheels

VERSION = piwheels("--version").stdout.split()[1]
LEVEL = 9
DATA = pathlib.Path(__file__).parent / "data"
LEVEL_1 = (DATA / "schema-level-1.sql").read_text(encoding="utf-8")
LEVEL_2 = (DATA / "schema-level-2.sql").read_text(encoding="utf-8")


def initdb(*words, **more):
    return piwheels("initdb", *words, **more)


def configuration(postgres, name):
    return postgres.psql("SELECT version, level FROM piwheels.configuration", name)


def dump(postgres, name):
    """The schema as pg_dump tells it, without its random marks."""
    text = subprocess.run(["pg_dump", "--schema-only", postgres.dsn(name)], capture_output=True, text=True,
                          check=True).stdout
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)


@pytest.fixture
def level_1(postgres, empty_database):
    """A database as piwheels 0.0.9 left it, with a slave in it."""
    postgres.psql(f"BEGIN; {LEVEL_1} COMMIT; INSERT INTO piwheels.slave (label) VALUES ('old');", empty_database)
    return empty_database


@pytest.fixture
def level_2(postgres, empty_database):
    """A database as piwheels 0.1.0 left it before there were pages for people, with what three builds have made."""
    postgres.psql(f"""BEGIN; {LEVEL_2} COMMIT; SET search_path = piwheels;
        INSERT INTO target (id, name, abi, platform, position) VALUES (0, 't', 'cp311', 'linux_x86_64', 0);
        INSERT INTO package (name, display, live_files) VALUES ('cffi', 'cffi', 1), ('empty', 'Empty', 0);
        INSERT INTO version (package, version, sort_key, built_mask) VALUES (1, '1', '1', 1), (1, '2', '2', 0);
        INSERT INTO slave (label) VALUES ('old');
        INSERT INTO build (id, version, target, slave, started, finished, outcome) VALUES
            (1, 1, 0, 1, now(), now() - interval '9 days', 'success'), (2, 2, 0, 1, now(), now(), 'failed'),
            (3, 2, 0, 1, now(), now(), 'farm');
        INSERT INTO file (path, name, attempt, version, target, state, size_bytes, sha256, metadata_sha256)
            VALUES ('simple/cffi/a.whl', 'a.whl', 1, 1, 0, 'live', 1000, sha256('a'), sha256('m')),
                   ('simple/cffi/b.whl', 'b.whl', 2, 2, 0, 'publishing', 1000, sha256('a'), sha256('m'));""", empty_database)
    return empty_database


@pytest.fixture
def odd_user(postgres):
    """Must be asked for before the database in which it gets rights, which goes first."""
    name = """we"ird 'na'me $$"""
    postgres.createuser(name)
    yield name
    postgres.dropuser(name)


# ---- creating ----

def test_an_empty_database_gets_the_schema(postgres, empty_database):
    done = initdb("-y", "-d", postgres.dsn(empty_database))
    assert done.returncode == 0, done.stderr
    assert f"The schema of piwheels {VERSION} (level {LEVEL}) will be created." in done.stdout
    assert configuration(postgres, empty_database) == f"{VERSION}|{LEVEL}"


def test_progress_is_told_step_by_step(postgres, empty_database):
    done = initdb("-y", "-d", postgres.dsn(empty_database))
    steps = [line for line in done.stdout.splitlines() if line.endswith("...")]
    assert steps == ["creating the tables ...", "creating the functions ...", "granting the rights ..."]
    assert done.stdout.splitlines()[-1].startswith("Done. Next,")
    assert done.stderr == ""


def test_the_name_of_a_database_is_short_for_its_dsn(postgres, empty_database):
    environment = clean_environment(PGHOST=postgres.directory, PGUSER="postgres")
    assert initdb("-y", empty_database, env=environment).returncode == 0
    assert configuration(postgres, empty_database) == f"{VERSION}|{LEVEL}"


def test_a_name_with_the_characters_of_a_url_is_taken_as_it_is(postgres):
    postgres.createdb("a?b/c %d")
    try:
        environment = clean_environment(PGHOST=postgres.directory, PGUSER="postgres")
        done = initdb("-y", "a?b/c %d", env=environment)
        assert done.returncode == 0, done.stderr
    finally:
        postgres.dropdb("a?b/c %d")


def test_the_aliases_of_the_original_work(postgres, empty_database, tmp_path):
    (tmp_path / "piw-init-db").symlink_to(PIWHEELS)
    done = subprocess.run([tmp_path / "piw-init-db", "-y", "-d", postgres.dsn(empty_database)], capture_output=True,
                          text=True, env=clean_environment(), check=False)
    assert done.returncode == 0, done.stderr


def test_a_service_user_of_any_name_gets_the_rights(postgres, odd_user, empty_database):
    done = initdb("-y", "-u", odd_user, "-d", postgres.dsn(empty_database))
    assert done.returncode == 0, done.stderr
    assert postgres.psql("SELECT count(*) FROM piwheels.target", empty_database, odd_user) == "0"


# ---- nothing to do ----

def test_a_second_time_there_is_nothing_to_do_but_to_grant_the_rights(postgres, empty_database):
    initdb("-y", "-d", postgres.dsn(empty_database))
    postgres.psql("REVOKE ALL ON ALL TABLES IN SCHEMA piwheels FROM piwheels", empty_database)
    done = initdb("-y", "-d", postgres.dsn(empty_database))
    assert done.returncode == 0 and "nothing to do but to grant the rights" in done.stdout
    assert postgres.psql("SELECT count(*) FROM piwheels.target", empty_database, "piwheels") == "0"


# ---- upgrading ----

@pytest.mark.parametrize("level", ["level_1", "level_2"])
def test_an_upgraded_schema_equals_a_fresh_one(request, postgres, level):
    old = request.getfixturevalue(level)
    postgres.createdb("fresh")
    try:
        assert initdb("-y", "-d", postgres.dsn("fresh")).returncode == 0
        done = initdb("-y", "-d", postgres.dsn(old))
        assert done.returncode == 0, done.stderr
        assert dump(postgres, old) == dump(postgres, "fresh")
    finally:
        postgres.dropdb("fresh")


def test_an_upgrade_to_level_3_counts_what_was_done_and_orders_every_page(postgres, level_2):
    def ask(sql):
        return postgres.psql(f"SET search_path = piwheels; {sql}", level_2)

    assert initdb("-y", "-d", postgres.dsn(level_2)).returncode == 0
    assert ask("SELECT succeeded, failed, farm, packages, versions, files, size_bytes FROM tally "
               "WHERE minute = '-infinity'") == "1|0|0|1|1|1|1000"
    assert ask("SELECT sum(succeeded), sum(failed), sum(farm) FROM tally WHERE minute > '-infinity'") == "0|1|1"
    assert ask("SELECT kind, key FROM stale_page ORDER BY key") == "project|cffi\nproject|empty"


def test_an_upgrade_tells_its_steps_and_keeps_the_rows(postgres, level_1):
    done = initdb("-y", "-d", postgres.dsn(level_1))
    assert f"upgraded from piwheels 0.0.9 (level 1) to {VERSION} (level {LEVEL})" in done.stdout
    assert "upgrading the tables to level 2 ..." in done.stdout and "replacing the functions ..." in done.stdout
    assert configuration(postgres, level_1) == f"{VERSION}|{LEVEL}"
    assert postgres.psql("SELECT label, system FROM piwheels.slave", level_1) == "old|"


def test_another_version_of_the_same_level_is_upgraded(postgres, empty_database):
    initdb("-y", "-d", postgres.dsn(empty_database))
    postgres.psql("UPDATE piwheels.configuration SET version = '0.0.10'", empty_database)
    assert initdb("-y", "-d", postgres.dsn(empty_database)).returncode == 0
    assert configuration(postgres, empty_database) == f"{VERSION}|{LEVEL}"


def test_an_upgrade_that_fails_changes_nothing(postgres, level_1):
    postgres.psql("ALTER TABLE piwheels.slave ADD COLUMN hardware text", level_1)
    before = dump(postgres, level_1)
    done = initdb("-y", "-d", postgres.dsn(level_1))
    assert done.returncode == 1
    assert "nothing has been changed, for the server refused: column \"hardware\"" in done.stderr
    assert dump(postgres, level_1) == before and configuration(postgres, level_1) == "0.0.9|1"


def test_an_upgrade_waits_for_the_master_to_be_stopped(postgres, level_1):
    dsn = postgres.dsn(level_1, "piwheels") + "?application_name=piwheels%20fast"
    with subprocess.Popen(["psql", "-X", "-q", "-t", dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as master:
        master.stdin.write("SELECT 1;\n")
        master.stdin.flush()
        assert "1" in master.stdout.readline()
        done = initdb("-y", "-d", postgres.dsn(level_1))
        master.stdin.close()
    assert done.returncode == 1 and "a master is running" in done.stderr
    assert configuration(postgres, level_1) == "0.0.9|1"


@pytest.mark.parametrize("change", ["version = '99.0'", "level = 99"])
def test_a_database_that_is_newer_is_refused(postgres, empty_database, change):
    initdb("-y", "-d", postgres.dsn(empty_database))
    postgres.psql(f"UPDATE piwheels.configuration SET {change}", empty_database)
    done = initdb("-y", "-d", postgres.dsn(empty_database))
    assert done.returncode == 1 and "which is newer than this" in done.stderr
    assert "install piwheels" in done.stderr


# ---- refusals ----

def test_the_dsn_and_the_name_of_a_database_exclude_each_other():
    done = initdb("-d", "postgres:///a", "b")
    assert done.returncode == 2 and "not both" in done.stderr


def test_a_dsn_in_the_place_of_a_name_says_where_it_belongs():
    done = initdb("postgres:///a")
    assert done.returncode == 2 and "give it with --dsn" in done.stderr


def test_a_missing_service_user_says_how_to_create_it(postgres, empty_database):
    done = initdb("-y", "-u", "nobody-yet", "-d", postgres.dsn(empty_database))
    assert done.returncode == 1
    assert "there is no database user nobody-yet" in done.stderr and "createuser nobody-yet" in done.stderr


def test_a_superuser_as_service_user_is_refused(postgres, empty_database):
    done = initdb("-y", "-u", "postgres", "-d", postgres.dsn(empty_database))
    assert done.returncode == 1 and "must not be" in done.stderr


def test_who_is_no_superuser_is_told_to_be_one(postgres, empty_database):
    done = initdb("-y", "-d", postgres.dsn(empty_database, "piwheels"))
    assert done.returncode == 1
    assert "the database user piwheels is no superuser" in done.stderr and "su - postgres" in done.stderr


def test_another_encoding_than_utf8_is_refused(postgres):
    postgres.createdb("latin", "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        done = initdb("-y", "-d", postgres.dsn("latin"))
        assert done.returncode == 1 and "LATIN1, but must be UTF8" in done.stderr
    finally:
        postgres.dropdb("latin")


def test_a_foreign_schema_of_our_name_is_left_alone(postgres, empty_database):
    postgres.psql("CREATE SCHEMA piwheels; CREATE TABLE piwheels.theirs ()", empty_database)
    done = initdb("-y", "-d", postgres.dsn(empty_database))
    assert done.returncode == 1 and "not of this program" in done.stderr


def test_a_database_that_is_not_there_is_refused_at_once(postgres):
    done = initdb("-y", "-d", postgres.dsn("nowhere"))
    assert done.returncode == 1
    assert "cannot reach the database" in done.stderr and "nowhere" in done.stderr and "trying again" not in done.stderr


def test_a_server_that_is_not_there_is_given_up_after_seconds(tmp_path):
    done = initdb("-y", "-d", f"postgresql:///x?host={tmp_path}")
    assert done.returncode == 1
    assert "cannot reach the database" in done.stderr and str(tmp_path) in done.stderr
    assert done.stderr.count("trying again") == 1


def test_a_dsn_that_is_none_is_refused_at_once():
    done = initdb("-y", "-d", "postgresql://[")
    assert done.returncode == 1 and "cannot reach the database" in done.stderr and "trying again" not in done.stderr


# ---- asking ----

def test_without_a_terminal_and_without_y_nothing_is_done(postgres, empty_database):
    done = initdb("-d", postgres.dsn(empty_database))
    assert done.returncode == 1 and "give -y" in done.stderr
    assert postgres.psql("SELECT to_regnamespace('piwheels') IS NULL", empty_database) == "t"


def answer_on_a_terminal(postgres, name, answer):
    return on_a_terminal(answer, "initdb", "-d", postgres.dsn(name))


def test_a_yes_on_the_terminal_goes_on(postgres, empty_database):
    status, output = answer_on_a_terminal(postgres, empty_database, b"y\n")
    assert status == 0 and "Go on? [y/N]" in output
    assert configuration(postgres, empty_database) == f"{VERSION}|{LEVEL}"


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"\x04"])
def test_anything_but_yes_changes_nothing(postgres, empty_database, answer):
    status, output = answer_on_a_terminal(postgres, empty_database, answer)
    assert status == 1 and "nothing has been changed" in output
    assert postgres.psql("SELECT to_regnamespace('piwheels') IS NULL", empty_database) == "t"

"""`piwheels target`: what it says, and what it refuses."""
import json
import os

import pytest

from harness import PYTHON, piwheels, run


@pytest.fixture
def bare(postgres, empty_database):
    """A database made by initdb, without a target; `target` with its DSN."""
    done = piwheels("initdb", "-y", "-d", postgres.dsn(empty_database))
    assert done.returncode == 0, done.stderr

    def target(*words):
        return piwheels("target", *words, "-d", postgres.dsn(empty_database, "piwheels"))
    target.database = empty_database
    target.postgres = postgres
    return target


def add(target, name, abi="cp311", platform="linux_x86_64", *more):
    return target("add", name, "--abi", abi, "--platform", platform, *more)


# ---- add, list ----

def test_a_target_is_added_and_listed(bare):
    done = add(bare, "bookworm-amd64", "cp311", "linux_x86_64", "--label", "Debian 12")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Target bookworm-amd64: wheels for cp311 on linux_x86_64 (Debian 12).\n"
    assert bare("list").stdout == ("NAME            ABI    PLATFORM      LABEL\n"
                                   "bookworm-amd64  cp311  linux_x86_64  Debian 12\n")


def test_the_list_as_json_has_every_field(bare):
    add(bare, "a", "cp313t", "linux_riscv64")
    add(bare, "b", "cp39", "linux_armv7l", "--label", "Raspbian 11", "--glibc", "2.31")
    bare("skip", "b", "out of support")
    assert json.loads(bare("list", "--json").stdout) == [
        {"name": "a", "abi": "cp313t", "platform": "linux_riscv64", "label": "", "glibc": None, "skip": None},
        {"name": "b", "abi": "cp39", "platform": "linux_armv7l", "label": "Raspbian 11", "glibc": "2.31",
         "skip": "out of support"}]


def test_an_empty_list_says_how_to_add_one(bare):
    assert "piwheels target add NAME --native" in bare("list").stdout
    assert json.loads(bare("list", "--json").stdout) == []


def test_a_native_target_is_what_the_python_says(bare):
    done = bare("add", "here", "--native")
    assert done.returncode == 0, done.stderr
    tags = run(PYTHON, "-c", "import sys, sysconfig; print('cp%d%d' % sys.version_info[:2]); "
               "print(sysconfig.get_platform().replace('-', '_'))").stdout.split()
    (listed,) = json.loads(bare("list", "--json").stdout)
    assert [listed["abi"], listed["platform"]] == tags and listed["label"] != ""
    assert listed["glibc"] == os.confstr("CS_GNU_LIBC_VERSION").split()[1]


@pytest.mark.parametrize("glibc", ["", "2", "2.", "2.36.1", "2.-1", "+2.36", " 2.36", "2.x", "0.5", "two"])
def test_a_glibc_that_is_no_version_is_refused(bare, glibc):
    done = add(bare, "a", "cp311", "linux_x86_64", "--glibc", glibc)
    assert done.returncode == 2 and "--glibc" in done.stderr


def test_a_label_that_no_page_has_room_for_is_refused(bare):
    done = add(bare, "here", "cp311", "linux_x86_64", "--label", "x" * 129)
    assert done.returncode == 2 and "the label is longer than 128 bytes" in done.stderr


def test_a_native_target_of_a_python_that_is_not_there_says_so(bare):
    done = bare("add", "here", "--native", "--python", "/nonexistent/python3")
    assert done.returncode == 1 and "/nonexistent/python3" in done.stderr


def test_a_target_added_again_gets_the_new_label(bare):
    add(bare, "a")
    assert add(bare, "a", "cp311", "linux_x86_64", "--label", "new").returncode == 0
    assert json.loads(bare("list", "--json").stdout)[0]["label"] == "new"


def test_a_target_added_again_keeps_what_is_not_said(bare):
    add(bare, "a", "cp311", "linux_x86_64", "--label", "Debian 12", "--glibc", "2.36")
    assert add(bare, "a").returncode == 0
    assert [json.loads(bare("list", "--json").stdout)[0][name] for name in ("label", "glibc")] == ["Debian 12", "2.36"]
    assert add(bare, "a", "cp311", "linux_x86_64", "--label", "").returncode == 0
    assert json.loads(bare("list", "--json").stdout)[0]["label"] == ""


def test_a_target_of_the_same_name_for_another_machine_is_refused(bare):
    add(bare, "a")
    done = add(bare, "a", "cp312")
    assert done.returncode == 1 and "target a exists with ABI cp311" in done.stderr


def test_control_characters_in_a_label_are_dropped(bare):
    add(bare, "a", "cp311", "linux_x86_64", "--label", "De\x1bbian\x07 12")
    assert json.loads(bare("list", "--json").stdout)[0]["label"] == "Debian 12"


# ---- refusals before any database is asked ----

def refused(*words):
    """What it says on stderr."""
    done = piwheels("target", "-d", "postgresql:///nowhere", *words)
    assert done.returncode == 2, done.stderr
    return done.stderr


def refused_add(name, abi="cp311", platform="linux_x86_64", *more):
    return refused("add", "--abi", abi, "--platform", platform, *more, "--", name)


@pytest.mark.parametrize("name", ["", "Bookworm", "a b", "../a", "-a", ".a", "a" * 64, "ä"])
def test_a_name_that_is_no_directorys_is_refused(name):
    assert "is no name for a target" in refused_add(name)


@pytest.mark.parametrize("name", ["simple", "project", "logs", "index.html", "packages.json", "sitemap.xml"])
def test_a_name_that_the_site_uses_is_refused(name):
    assert "the site has a page" in refused_add(name)


@pytest.mark.parametrize("abi", ["", "311", "cp", "py3", "abi3", "cp311x", "cp3.11"])
def test_an_abi_that_is_none_is_refused_with_what_is_right(abi):
    assert "cp311, cp313t" in refused_add("a", abi)


@pytest.mark.parametrize("platform", ["", "x86_64", "win_amd64", "linux-x86_64", "linux_", "any"])
def test_a_platform_that_is_none_is_refused_with_what_is_right(platform):
    assert "right are linux_x86_64" in refused_add("a", "cp311", platform)


@pytest.mark.parametrize("words", [[], ["--abi", "cp311"], ["--platform", "linux_x86_64"]])
def test_add_without_saying_what_for_is_refused(words):
    assert "give --abi and --platform, or --native" in refused("add", "a", *words)


def test_native_excludes_abi_and_platform():
    assert "leave --abi and --platform out" in refused("add", "a", "--native", "--abi", "cp311")


def test_python_belongs_to_native():
    assert "--python belongs to --native" in refused_add("a", "cp311", "linux_x86_64", "--python", PYTHON)


def test_a_skip_needs_a_reason_of_sensible_length():
    assert "usage: piwheels target skip NAME REASON" in refused("skip", "a")
    assert "the reason is empty" in refused("skip", "a", "")
    assert "longer than 255 bytes" in refused("skip", "a", "x" * 256)


def test_an_unknown_action_names_the_nearest():
    assert "did you mean list?" in refused("lst")


@pytest.mark.parametrize("words", [["list", "all"], ["add"], ["unskip"], ["unskip", "a", "b"]])
def test_words_too_many_or_too_few_show_the_usage(words):
    assert "usage: piwheels target " in refused(*words)


# ---- skip, unskip ----

def test_a_skipped_target_shows_its_reason_until_it_is_taken_up_again(bare):
    add(bare, "a")
    assert bare("skip", "a", "out", "of", "support").returncode == 0
    assert "[skipped: out of support]" in bare("list").stdout
    assert bare("unskip", "a").returncode == 0
    assert "skipped" not in bare("list").stdout


@pytest.mark.parametrize("words", [["skip", "none", "reason"], ["unskip", "none"]])
def test_an_unknown_target_is_named(bare, words):
    done = bare(*words)
    assert done.returncode == 1 and "there is no target none" in done.stderr


# ---- databases it cannot work with ----

def test_a_database_without_a_schema_says_what_to_run(postgres, empty_database):
    done = piwheels("target", "list", "-d", postgres.dsn(empty_database, "piwheels"))
    assert done.returncode == 1 and "has no piwheels schema yet" in done.stderr and "piwheels initdb" in done.stderr


@pytest.mark.parametrize("change, advice", [("version = '0.0.9', level = 1", "piwheels initdb"),
                                            ("version = '99.0'", "install piwheels 99.0")])
def test_a_database_of_another_version_says_what_to_do(postgres, bare, change, advice):
    postgres.psql(f"UPDATE piwheels.configuration SET {change}", bare.database)
    done = bare("list")
    assert done.returncode == 1 and advice in done.stderr
    assert f"database {bare.database} is of piwheels " in done.stderr


def test_a_user_without_rights_is_told_so(postgres, bare):
    postgres.psql("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    done = piwheels("target", "list", "-d", postgres.dsn(bare.database, "stranger"))
    assert done.returncode == 1 and "permission denied" in done.stderr


# ---- preinstalled ----

def packages(bare, name):
    world = bare.postgres.psql("SELECT package FROM piwheels.preinstalled p JOIN piwheels.target t ON t.id = p.target "
                               f"WHERE t.name = '{name}' ORDER BY 1", bare.database)
    return world.split()


def test_what_a_target_has_preinstalled_is_read_as_dpkg_prints_it(bare, tmp_path):
    add(bare, "a")
    listed = tmp_path / "listed"
    listed.write_text("libc6:armhf\t2.36-9\n\n# a comment\n  zlib1g install\nlibc6\n")
    done = bare("preinstalled", "a", listed)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Target a: its machines have 3 packages; pages do not name these as needed.\n"
    assert packages(bare, "a") == ["libc6", "zlib1g"]


def test_a_new_list_takes_the_place_of_the_old(bare, tmp_path):
    add(bare, "a")
    for text, there in (("libc6\n", ["libc6"]), ("zlib1g\n", ["zlib1g"]), ("", [])):
        (tmp_path / "listed").write_text(text)
        assert bare("preinstalled", "a", tmp_path / "listed").returncode == 0
        assert packages(bare, "a") == there


@pytest.mark.parametrize("text, said", [
    ("libc6\nLib C\n", 'listed:2: "Lib" is no name of a Debian package'), ("x\n", 'listed:1: "x" is no name')])
def test_a_list_of_something_else_is_refused(bare, tmp_path, text, said):
    add(bare, "a")
    (tmp_path / "listed").write_text(text)
    done = bare("preinstalled", "a", tmp_path / "listed")
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert packages(bare, "a") == []


def test_a_list_for_a_target_that_is_not_there_is_refused(bare, tmp_path):
    (tmp_path / "listed").write_text("libc6\n")
    done = bare("preinstalled", "a", tmp_path / "listed")
    assert done.returncode == 1 and "there is no target a" in done.stderr
    done = bare("preinstalled", "a", tmp_path / "nowhere")
    assert done.returncode == 1 and "cannot read" in done.stderr

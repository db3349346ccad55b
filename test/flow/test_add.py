"""`piwheels add` against a master and the loopback PyPI: what is asked for, what is queued, what is said; and how followed
packages come by themselves.
"""
import json

import pytest

from harness import piwheels
from wheels import make_wheel


@pytest.fixture
def farm(standing_farm):
    standing_farm.forget_packages()
    return standing_farm


def states(farm, package):
    """[(version, target, state)], the newest first."""
    rows = farm.sql(f"""SELECT v.version, t.name, (version_state(v.id, t.id)).state FROM version v
        JOIN package p ON p.id = v.package, target t WHERE p.name = '{package}' AND t.skip IS NULL
        ORDER BY v.sort_key DESC, t.id""")
    return [tuple(row.split("|")) for row in rows.split("\n") if row]


def test_a_name_alone_queues_the_newest_release(farm):
    assert farm.add("piwtest-pure") == "piwtest-pure 0.2 for native: queued (waits for a slave)\n"
    assert [row for row in states(farm, "piwtest-pure") if row[2] == "queued"] == [("0.2", "native", "queued")]


def test_any_spelling_of_a_name_is_understood(farm):
    assert farm.add("PIWTEST_Pure") == "PIWTEST_Pure 0.2 for native: queued (waits for a slave)\n"
    assert farm.sql("SELECT name FROM package") == "piwtest-pure"


def test_a_version_queues_that_one(farm):
    assert farm.add("piwtest-pure", "0.1").startswith("piwtest-pure 0.1 for native: queued")
    assert farm.sql("SELECT follow FROM package") == "no"


def test_a_version_in_another_spelling_is_the_same(farm):
    assert farm.add("piwtest-pure", "v0.1.0").startswith("piwtest-pure 0.1 for native: queued")


def test_a_prerelease_can_be_asked_for(farm):
    assert farm.add("piwtest-pure", "0.3rc1").startswith("piwtest-pure 0.3rc1 for native: queued")


def test_all_queues_the_whole_history(farm):
    farm.add("--all", "piwtest-pure")
    assert [state for _, _, state in states(farm, "piwtest-pure")] == ["queued"] * 3


def test_adding_again_changes_nothing(farm):
    assert farm.add("piwtest-pure") == farm.add("piwtest-pure")
    assert farm.sql("SELECT count(*) FROM job") == "1"


def test_what_is_built_already_is_said_to_be(farm):
    farm.add("piwtest-pure")
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.deliver(slave.ask().attempt, [make_wheel("piwtest-pure", "0.2")])[0]
    assert farm.add("piwtest-pure") == "piwtest-pure 0.2 for native: built (a wheel is published)\n"


def test_a_requirements_file_is_taken_apart(farm, tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "# what we need\npiwtest-pure==0.1\n\npiwtest-cext  # the newest\npiwtest-zlib>=0.1; python_version > '3'\n")
    printed = farm.add("-r", tmp_path / "requirements.txt").splitlines()
    assert sorted(line.split(" (")[0] for line in printed) == [
        "piwtest-cext 0.1 for native: queued", "piwtest-pure 0.1 for native: queued",
        "piwtest-zlib 0.1 for native: queued"]


def test_a_requirements_file_with_a_bad_line_adds_nothing(farm, tmp_path):
    (tmp_path / "requirements.txt").write_text("piwtest-pure\n-e .\n")
    done = farm.tool("add", "-r", tmp_path / "requirements.txt")
    assert done.returncode == 1 and f"{tmp_path}/requirements.txt, line 2: " in done.stderr
    assert farm.sql("SELECT count(*) FROM package") == "0"


def test_a_requirements_file_without_packages_adds_nothing_and_says_so(farm, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# later\n\n")
    done = farm.tool("add", "-r", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"piwheels add: {file} lists no package; nothing is added\n")


def test_a_requirements_file_that_is_not_there_is_named(farm, tmp_path):
    done = farm.tool("add", "-r", tmp_path / "none.txt")
    assert done.returncode == 1
    assert done.stderr == f"piwheels add: {tmp_path}/none.txt cannot be read: No such file or directory\n"


def test_a_long_requirements_file_goes_in_several_messages(farm, tmp_path):
    (tmp_path / "requirements.txt").write_text("".join(f"no-such-package-{n}\n" for n in range(300)) + "piwtest-pure\n")
    done = farm.tool("add", "-r", tmp_path / "requirements.txt")
    assert done.returncode == 1
    assert "no-such-package-299: " in done.stderr
    assert "piwtest-pure 0.2 for native: queued" in done.stdout


def test_an_unknown_package_is_said_to_be_unknown(farm):
    done = farm.tool("add", "no-such-package")
    assert done.returncode == 1
    assert done.stderr.startswith("no-such-package: PyPI has no ")


def test_an_unknown_version_is_said_to_be_unknown(farm):
    done = farm.tool("add", "piwtest-pure", "9.9")
    assert done.returncode == 1 and "9.9" in done.stderr


def test_a_version_that_is_none_is_refused(farm):
    done = farm.tool("add", "piwtest-pure", "latest")
    assert done.returncode == 1 and "latest" in done.stderr


@pytest.mark.parametrize("words", [["x", "a" * 256], ["x===" + "a" * 256]])
def test_a_version_that_no_message_has_room_for_is_refused(farm, words):
    done = farm.tool("add", *words)
    assert done.returncode == 2 and f'"{"a" * 40}…" is too long for a version' in done.stderr


def test_two_versions_of_one_name_are_refused(farm):
    done = farm.tool("add", "piwtest-pure==0.1", "0.2")
    assert done.returncode == 2
    assert done.stderr.startswith('piwheels add: "piwtest-pure==0.1" has a version already, and "0.2" is another; give only one')


def test_a_package_of_wheels_only_is_not_queued(farm):
    printed = farm.add("setuptools")
    assert "covered (PyPI itself has a wheel that fits: py3-none-any)" in printed


def test_what_wants_another_python_is_not_applicable(farm):
    assert farm.add("piwtest-future").startswith("piwtest-future 0.1 for native: not applicable (Requires-Python >=4 ")
    assert farm.sql("SELECT count(*) FROM job") == "0"


def test_json_is_what_the_master_said(farm):
    told = json.loads(farm.add("--json", "piwtest-pure"))
    assert told["package"] == "piwtest-pure" and told["asked"][0]["state"] == "queued"


def test_without_a_master_the_socket_is_named(farm, tmp_path):
    done = piwheels("add", "piwtest-pure", "--control-socket", tmp_path / "no.sock")
    assert done.returncode == 1
    assert f"no answer from the master at {tmp_path}/no.sock" in done.stderr and "is it running?" in done.stderr


def test_pypi_out_of_order_is_said_to_be(farm):
    farm.pypi.sql("INSERT INTO behaviour (path_prefix, kind, argument) VALUES ('/simple/', 'status', '503')")
    try:
        done = farm.tool("add", "piwtest-pure")
    finally:
        farm.pypi.sql("DELETE FROM behaviour")
    assert done.returncode == 1 and done.stderr.startswith("piwtest-pure: ")
    assert farm.sql("SELECT count(*) FROM job") == "0"


# ---- follow ------------------------------------------------------------------------------------------

@pytest.fixture
def released(farm):
    """Releases piwtest-pure under another version, for the time of the test."""
    versions = []

    def release(version):
        versions.append(version)
        farm.pypi.sql("INSERT INTO file (project, version, filename, path) SELECT project, ?, ?, path FROM file "
                      "WHERE filename = 'piwtest-pure-0.1.tar.gz'", version, f"piwtest-pure-{version}.tar.gz")

    yield release
    for version in versions:
        farm.pypi.sql("DELETE FROM release WHERE project = 'piwtest-pure' AND version = ?", version)


QUEUED = "SELECT string_agg(v.version, ' ' ORDER BY v.sort_key) FROM job j JOIN version v ON v.id = j.version"


def test_a_new_release_of_a_followed_package_is_built_by_itself(farm, released):
    farm.add("piwtest-pure")
    farm.sql("DELETE FROM job")
    released("0.9")
    farm.wait_sql(QUEUED, "0.9")
    with farm.scripted_slave() as slave:
        slave.greet()
        build = slave.ask()
    assert (build.package, build.version) == ("piwtest-pure", "0.9")


def test_of_a_package_that_was_asked_for_once_no_later_release_is_built(farm, released):
    farm.add("piwtest-pure", "0.1")
    farm.add("piwtest-cext")
    released("0.9")
    farm.add("piwtest-pure", "0.2")  # which reads the page
    assert farm.sql("SELECT wanted FROM version WHERE version = '0.9'") == "f"
    assert farm.sql(QUEUED) == "0.1 0.1 0.2"


# ---- targets -----------------------------------------------------------------------------------------

@pytest.fixture
def second_target(farm):
    farm.sql("INSERT INTO target (id, name, abi, platform, position) VALUES (1, 'other', 'cp399', 'linux_x86_64', 1)")
    yield
    farm.forget_packages()
    farm.sql("DELETE FROM target WHERE id = 1")


def native_slave(farm):
    return farm.scripted_slave(offers=[[*farm.sql("SELECT abi, platform FROM target WHERE id = 0").split("|"), "3.11.2"]])


def deliver(farm, package, tag):
    farm.add(package)
    with native_slave(farm) as slave:
        slave.greet()
        build = slave.ask()
        good, text = slave.deliver(build.attempt, [make_wheel(package, build.version, tag=tag)])
    assert good, text


def test_a_pure_result_covers_the_second_target(farm, second_target):
    deliver(farm, "piwtest-pure", "py3-none-any")
    assert states(farm, "piwtest-pure")[2:4] == [("0.2", "native", "built"), ("0.2", "other", "built")]
    assert farm.sql("SELECT count(*) FROM job") == "0"


def test_a_native_result_opens_the_second_target(farm, second_target):
    abi, platform = farm.sql("SELECT abi, platform FROM target WHERE id = 0").split("|")
    deliver(farm, "piwtest-cext", f"{abi}-{abi}-{platform}")
    assert states(farm, "piwtest-cext") == [("0.1", "native", "built"), ("0.1", "other", "queued")]


def test_a_failure_opens_the_second_target(farm, second_target):
    farm.add("piwtest-cext")
    with native_slave(farm) as slave:
        slave.greet()
        slave.fail(slave.ask().attempt)
    assert states(farm, "piwtest-cext") == [("0.1", "native", "failed"), ("0.1", "other", "queued")]


def test_a_slave_gets_only_what_it_can_build(farm, second_target):
    farm.add("piwtest-cext")
    with farm.scripted_slave(offers=[["cp399", "linux_x86_64", "3.99"]]) as slave:
        slave.greet()
        slave.idle()
        slave.expect("SLEEP")
    with native_slave(farm) as slave:
        slave.greet()
        assert slave.ask().package == "piwtest-cext"

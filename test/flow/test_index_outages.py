"""An index that does not answer as it should: what pip keeps for itself is found out, and is no failure of the package."""
import shutil
import signal

import pytest

from harness import clean_environment, run
from scripted_index import CUT, HANG, ScriptedIndex, make_certificate
from test_slave import DETAIL, begin, build, built, folder, master, processes_of_builds, slaves  # noqa: F401 fixtures


@pytest.fixture
def index():
    made = ScriptedIndex()
    made.add("piwtest-scripted")
    yield made
    made.close()


@pytest.fixture
def secure(folder, slaves, tmp_path):  # noqa: F811
    """An index with https, and a slave whose builds trust it: the certificate lies where its Python does."""
    certificate, public = make_certificate(tmp_path)
    done = run("/usr/bin/python3", "-m", "venv", "--system-site-packages", "--without-pip", folder / "python")
    assert done.returncode == 0, done.stderr
    shutil.copy(public, folder / "python" / "ca.pem")
    made = ScriptedIndex(certificate)
    made.add("piwtest-scripted")
    made.trusted = {"variables": [("REQUESTS_CA_BUNDLE", str(folder / "python" / "ca.pem"))]}
    slaves("--python", folder / "python" / "bin" / "python3", env=clean_environment(HOME=folder / "home"))
    yield made
    made.close()


# ---- pages of an index with https -------------------------------------------------------------------

def test_with_https_a_package_is_built(master, secure):  # noqa: F811
    connection, message = built(master, secure, "piwtest-scripted", **secure.trusted)
    assert message[2] == "success", connection.log[7].decode()


def test_with_https_a_page_that_fails_is_the_farms_failure(master, secure):  # noqa: F811
    secure.answers["piwtest-scripted"] = [502]
    connection, message = built(master, secure, "piwtest-scripted", **secure.trusted)
    assert message[2:4] == ["farm", "network"], connection.log[7].decode()
    assert "502" in message[DETAIL] and "pip did not find piwtest-scripted" in message[DETAIL]


def test_with_https_a_package_that_is_not_there_is_its_own_failure(master, secure):  # noqa: F811
    connection, message = built(master, secure, "piwtest-nowhere", **secure.trusted)
    assert message[2:4] == ["failed", "no sdist"], connection.log[7].decode()
    assert secure.asked == ["/simple/piwtest-nowhere/"] * 2, "it was asked again"


# ---- pages of an index with http --------------------------------------------------------------------

def test_a_page_that_fails_is_the_farms_failure(master, slaves, index):  # noqa: F811
    index.answers["piwtest-scripted"] = [504]
    slaves()
    _, message = built(master, index, "piwtest-scripted")
    assert message[2:4] == ["farm", "network"] and "504" in message[DETAIL]


def test_the_page_of_a_build_requirement_that_fails_is_the_farms_failure_too(master, slaves, index):  # noqa: F811
    index.add("piwtest-scripted", requires=["piwtest-helper>=2,<3"])
    index.answers["piwtest-helper"] = [502]
    slaves()
    connection, message = built(master, index, "piwtest-scripted")
    assert message[2:4] == ["farm", "network"] and "pip did not find piwtest-helper" in message[DETAIL]
    assert b"looks again whether the index has piwtest-helper]" in connection.log[7]


def test_a_page_that_fails_just_once_is_the_farms_failure(master, slaves, index):  # noqa: F811
    index.answers["piwtest-scripted"] = [502, 200]
    slaves()
    _, message = built(master, index, "piwtest-scripted")
    assert message[2:5] == ["farm", "network", "pip did not find piwtest-scripted, of which the index has other versions when asked again"]


def test_a_build_requirement_that_is_not_there_is_the_packages_failure(master, slaves, index):  # noqa: F811
    index.add("piwtest-scripted", requires=["piwtest-helper>=2,<3"])
    slaves()
    _, message = built(master, index, "piwtest-scripted")
    assert message[2] == "failed" and message[3].startswith("missing dependency piwtest-helper")


def test_a_build_requirement_that_is_there_for_others_only_is_the_packages_failure(master, slaves, index):  # noqa: F811
    index.add("piwtest-scripted", requires=["piwtest-helper"])
    index.files["piwtest_helper-2.0-cp27-cp27m-win32.whl"] = b"for others"
    index.of = lambda project: [name for name in index.files if name.replace("_", "-").startswith(project + "-")]
    slaves()
    _, message = built(master, index, "piwtest-scripted")
    assert message[2] == "failed" and message[3].startswith("missing dependency piwtest-helper")


def test_a_version_that_is_missing_beside_others_is_the_packages_failure(master, slaves, index):  # noqa: F811
    slaves()
    _, message = built(master, index, "piwtest-scripted", version="9.9")
    assert message[2:4] == ["failed", "no sdist"] and index.asked == ["/simple/piwtest-scripted/"] * 2


def test_a_page_that_is_cut_off_is_the_farms_failure(master, slaves, index):  # noqa: F811
    index.answers["piwtest-scripted"] = [CUT]
    slaves()
    connection, message = built(master, index, "piwtest-scripted")
    assert message[2:4] == ["farm", "network"], connection.log[7].decode()


def test_a_slave_rests_while_there_is_no_index_and_then_asks_again(master, slaves, index):  # noqa: F811
    index.answers["piwtest-scripted"] = [502]
    slave = slaves()
    connection, message = built(master, index, "piwtest-scripted")
    connection.say("DONE", message[1], True, "noted")
    _, slots, _, why = connection.hear("IDLE")
    assert (slots, why) == (0, "the index does not answer as it should")
    connection.say("SLEEP", "")
    assert slave.wait_line("takes no new builds for 5 s: the index does not answer as it should")
    _, slots, _, why = connection.hear("IDLE")
    assert (slots, why) == (1, "")
    assert slave.wait_line("takes new builds again")


# ---- an index that keeps a build waiting --------------------------------------------------------------

@pytest.mark.parametrize("network", ["index", "none"])
def test_an_index_that_never_answers_is_the_farms_failure(master, slaves, index, network):  # noqa: F811
    index.answers["piwtest-scripted"] = [HANG]
    slaves("--silence", "5s", "--network", network)
    _, message = built(master, index, "piwtest-scripted")
    assert message[2:4] == ["farm", "network"] and "waited for the index" in message[DETAIL]


def test_a_file_that_fails_is_the_farms_failure(master, slaves, index):  # noqa: F811
    index.answers["piwtest-scripted-0.1.tar.gz"] = [429]
    slaves()
    connection, message = built(master, index, "piwtest-scripted")
    assert message[2:4] == ["farm", "network"], connection.log[7].decode()


def test_a_file_of_a_build_requirement_that_fails_is_the_farms_failure_too(master, slaves, index):  # noqa: F811
    index.add("piwtest-scripted", requires=["piwtest-helper"])
    index.add("piwtest-helper")
    index.answers["piwtest-helper-0.1.tar.gz"] = [502]
    slaves()
    connection, message = built(master, index, "piwtest-scripted")
    assert message[2:4] == ["farm", "network"], connection.log[7].decode()


def test_a_file_that_never_ends_is_the_farms_failure(master, slaves, index):  # noqa: F811
    index.stuck.add("piwtest-scripted-0.1.tar.gz")
    slaves("--silence", "5s")
    connection, message = built(master, index, "piwtest-scripted")
    assert message[2:4] == ["farm", "network"], connection.log[7].decode()


@pytest.mark.parametrize("answers, network, end", [([HANG], "none", "SIGTERM"), ([HANG], "index", "STOP"),
                                                   ([502, HANG], "index", "SIGTERM"), ([502, HANG], "index", "STOP")],
                         ids=["fetch", "pip", "second look", "stopped second look"])
def test_what_waits_for_the_index_ends_with_its_build(master, slaves, index, folder, answers, network, end):  # noqa: F811
    index.answers["piwtest-scripted"] = list(answers)
    slave = slaves("--network", network)
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-scripted")
    assert index.hanging.wait(60)
    if end == "STOP":
        connection.say("STOP", 7, "enough")
        connection.hear("IDLE")
    else:
        slave.signal(signal.SIGTERM)
        assert "BYE" in connection.hear_end() and slave.wait_end() == 0
    assert not processes_of_builds(folder) and slave.attempts() == []


# ---- a build that lies in wait for the second look ------------------------------------------------------

LYING_IN_WAIT = """
import os, pathlib, shutil, sys
from minimal_wheel import *

def build_wheel(folder, *more):
    root = pathlib.Path('/build')
    (root / 'pip').mkdir()
    for name in ('pip/__init__.py', 'json.py', 'optparse.py'):
        (root / name).write_text(f"import urllib.request; urllib.request.urlopen('{INDEX}/escaped/')")
    for name in ('home', 'shm', 'wheels'):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).symlink_to('/etc')
    print('ERROR: Could not find a version that satisfies the requirement piwtest-other (from versions: none)')
    print('ERROR: No matching distribution found for piwtest-other')
    sys.exit(1)
"""


def test_nothing_that_a_build_leaves_behind_takes_part_in_the_second_look(master, slaves, index):  # noqa: F811
    index.add("piwtest-lies", LYING_IN_WAIT.replace("{INDEX}", index.simple))
    slaves()
    connection, message = built(master, index, "piwtest-lies")
    assert message[2:4] == ["failed", "missing dependency piwtest-other"], connection.log[7].decode()
    assert index.asked[-1] == "/simple/piwtest-other/" and not any("escaped" in path for path in index.asked)

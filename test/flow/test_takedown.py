"""What PyPI takes back leaves this site also where no event told of it: a page of PyPI that is compared tells it, too. But an
index may not be itself, and a page may be older than an event.
"""
import json
import sqlite3

import pytest

from wheels import make_wheel

PURE, OTHER = "piwtest-pure", "piwtest-other"
UNHEARD = ("--pypi-xmlrpc", "", "--poll-interval", "1h", "--page-lifetime", "1h")


def release(pypi, project, version="1.0"):
    pypi.sql("INSERT INTO file (project, version, filename, content) VALUES (?, ?, ?, 'a sdist')", project, version,
             f"{project}-{version}.tar.gz")


def publish(farm, package):
    """The newest release of it; its version, and the wheel's name and bytes."""
    farm.add(package)
    with farm.scripted_slave(f"of-{package}") as slave:
        slave.greet()
        build = slave.ask()
        assert build.package == package
        wheel = make_wheel(package, build.version)
        assert slave.deliver(build.attempt, [wheel])[0]
    wait_pages(farm)
    return build.version, *wheel


def wait_pages(farm):
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")


def wait_compared(farm, package):
    farm.wait_sql(f"SELECT refresh_at > now() FROM package WHERE name = '{package}'", "t")


def look(farm, package):
    """The package is compared with PyPI, which it would be in an hour."""
    farm.sql(f"UPDATE package SET refresh_at = now() WHERE name = '{package}'")
    wait_compared(farm, package)


def let_an_hour_pass(farm):
    """Between two looks."""
    farm.sql("UPDATE version SET missing_since = missing_since - interval '1h' WHERE missing_since IS NOT NULL")


def is_offered(farm, package, name):
    page = farm.file(package, "index.html")
    return page.exists() and name in page.read_text()


@pytest.fixture
def published(farm, pypi):
    """A farm whose master reads no changelog; the version, and the wheel's name and bytes."""
    farm.start_master(*UNHEARD)
    return publish(farm, PURE)


@pytest.fixture
def building(farm):
    """A slave of such a master that builds it, and the attempt."""
    farm.start_master(*UNHEARD)
    farm.add(PURE)
    with farm.scripted_slave() as slave:
        slave.greet()
        yield slave, slave.ask().attempt


# ---- quarantined -------------------------------------------------------------------------------------

def test_a_project_that_its_page_tells_to_be_quarantined_vanishes_at_once_and_comes_back(farm, pypi, published):
    version, name, data = published
    pypi.sql(f"UPDATE project SET quarantined = 1 WHERE name = '{PURE}'")
    look(farm, PURE)
    farm.master.wait_line(f"{PURE}: PyPI has quarantined it, as its page tells; nothing of it is built or offered until")
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    wait_pages(farm)
    assert not farm.file(PURE, name).exists() and not is_offered(farm, PURE, name)
    assert "PyPI has quarantined it" in farm.tool("explain", PURE, version).stdout
    assert "quarantined" in (farm.output / "project" / PURE / "index.html").read_text()

    pypi.sql(f"UPDATE project SET quarantined = 0 WHERE name = '{PURE}'")
    look(farm, PURE)
    farm.master.wait_line(f"{PURE}: PyPI has cleared it, as its page tells; what was withheld comes back")
    farm.wait_sql("SELECT state, hidden FROM file", "live|f")
    wait_pages(farm)
    assert farm.file(PURE, name).read_bytes() == data and is_offered(farm, PURE, name)


def test_a_build_of_a_project_that_its_page_tells_to_be_quarantined_is_stopped(farm, pypi, building):
    slave, attempt = building
    pypi.sql(f"UPDATE project SET quarantined = 1 WHERE name = '{PURE}'")
    look(farm, PURE)
    told, reason = slave.expect("STOP", ignore=("CONT",))
    assert told == attempt and (reason.startswith("PyPI has withdrawn") or reason == "it is not wanted any more")  # who sees it first


def test_who_asks_for_a_project_finds_it_quarantined_and_its_build_is_stopped(farm, pypi, building):
    slave, attempt = building
    pypi.sql(f"UPDATE project SET quarantined = 1 WHERE name = '{PURE}'")
    assert "PyPI has quarantined it" in farm.add(PURE)
    assert slave.expect("STOP", ignore=("CONT",))[0] == attempt


def test_a_project_that_is_archived_is_built_all_the_same_and_its_page_says_so(farm, pypi):
    pypi.sql(f"UPDATE project SET status = 'archived' WHERE name = '{PURE}'")
    farm.start_master(*UNHEARD)
    version, name, _ = publish(farm, PURE)
    assert is_offered(farm, PURE, name)
    page = farm.output / "project" / PURE
    assert "<strong>Archived.</strong>" in (page / "index.html").read_text()
    assert json.loads((page / "json" / "index.json").read_text())["status"] == "archived"
    pypi.sql(f"UPDATE project SET status = 'active', serial = serial + 1 WHERE name = '{PURE}'")
    look(farm, PURE)
    wait_pages(farm)
    assert "Archived" not in (page / "index.html").read_text()
    assert json.loads((page / "json" / "index.json").read_text())["status"] == "active"


# ---- removed -----------------------------------------------------------------------------------------

def test_a_release_that_its_page_has_no_more_is_removed_at_the_second_look_and_comes_back_afresh(farm, pypi, published):
    version, name, _ = published
    pypi.sql("DELETE FROM release WHERE project = ? AND version = ?", PURE, version)
    look(farm, PURE)
    farm.master.wait_line(rf"{PURE}: could not be compared with PyPI \(its page has 1 release no more, .* removed here too: "
                          rf"{version}\); again in 1 ?h")
    wait_pages(farm)
    assert is_offered(farm, PURE, name)
    assert "PyPI's page has had nothing of it since" in farm.tool("explain", PURE, version).stdout
    look(farm, PURE)
    farm.master.wait_line(rf"{PURE}: could not be compared with PyPI \(its page has 1 release no more, but the last look was just now")
    assert farm.sql("SELECT state FROM file") == "live"

    let_an_hour_pass(farm)
    look(farm, PURE)
    farm.master.wait_line(rf"{PURE}: PyPI has 1 release of it no more \({version}\); removed here too")
    wait_pages(farm)
    assert not is_offered(farm, PURE, name)
    assert farm.sql("SELECT count(*) FROM withdrawn_file") == "1"
    assert farm.sql(f"SELECT count(*) FROM version WHERE version = '{version}'") == "0"

    release(pypi, PURE, version)
    look(farm, PURE)
    assert farm.sql(f"SELECT count(*) FROM job j JOIN version v ON v.id = j.version WHERE v.version = '{version}'") == "1"


def test_an_index_that_has_nothing_of_anything_any_more_removes_nothing(farm, pypi, published):
    release(pypi, OTHER)
    publish(farm, OTHER)
    pypi.sql("DELETE FROM release")
    for _ in range(2):
        for package in (PURE, OTHER):
            look(farm, package)
        let_an_hour_pass(farm)
    farm.master.wait_line("its page lacks most of its releases, and no other page has been seen .*: is the index itself.")
    assert farm.sql("SELECT string_agg(state, ' ') FROM file") == "live live"
    assert is_offered(farm, PURE, published[1])

    release(pypi, OTHER)
    look(farm, OTHER)
    look(farm, PURE)
    farm.master.wait_line(rf"{PURE}: PyPI has \d+ releases of it no more")
    wait_pages(farm)
    assert farm.sql("SELECT state FROM file") == "live" and not is_offered(farm, PURE, published[1])


# ---- beside a changelog ------------------------------------------------------------------------------

def unheard(pypi, statement):
    """Something happens at PyPI, and its event is lost."""
    connection = sqlite3.connect(pypi.database, timeout=30)
    with connection:
        serial = connection.execute("SELECT max(serial) FROM event").fetchone()[0]
        connection.execute(statement)
        connection.execute("DELETE FROM event WHERE serial > ?", (serial,))
    connection.close()


def test_what_no_event_told_is_found_by_the_comparison_and_what_one_tells_then_counts(farm, pypi):
    farm.start_master("--poll-interval", "1h", "--page-lifetime", "1h")
    version, name, data = publish(farm, PURE)
    unheard(pypi, f"UPDATE project SET quarantined = 1 WHERE name = '{PURE}'")
    look(farm, PURE)
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")

    pypi.sql(f"UPDATE project SET quarantined = 0 WHERE name = '{PURE}'")
    farm.wait_sql("SELECT state, hidden FROM file", "live|f")
    assert farm.file(PURE, name).read_bytes() == data
    wait_compared(farm, PURE)

    unheard(pypi, f"DELETE FROM release WHERE project = '{PURE}' AND version = '{version}'")
    look(farm, PURE)
    let_an_hour_pass(farm)
    look(farm, PURE)
    farm.master.wait_line(rf"{PURE}: PyPI has 1 release of it no more \({version}\); removed here too")


def test_a_page_that_lags_undoes_nothing_that_an_event_said(farm, pypi):
    farm.start_master("--poll-interval", "1h")
    publish(farm, PURE)
    pypi.sql(f"UPDATE project SET quarantined = 1 WHERE name = '{PURE}'")
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    wait_compared(farm, PURE)
    pypi.sql(f"UPDATE project SET status = 'active', serial = serial - 1 WHERE name = '{PURE}'")
    farm.sql(f"UPDATE package SET refresh_at = now() WHERE name = '{PURE}'")
    farm.master.wait_line(f"{PURE}: could not be compared with PyPI .PyPI's page has not yet what its changelog tells")
    assert farm.sql("SELECT state FROM file") == "withheld"
    pypi.sql(f"UPDATE project SET serial = serial + 1 WHERE name = '{PURE}'")
    farm.wait_sql("SELECT state FROM file", "live")

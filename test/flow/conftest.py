"""Shared fixtures of the flow tests: a private PostgreSQL, the loopback PyPI and a farm, all gone with the test."""
import itertools

import pytest

from harness import ROOT, Farm, LoopbackPyPI, piwheels, run
from postgres import Postgres

_numbers = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also what takes minutes")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs only with --long")


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    server.start()
    server.createuser("piwheels")
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def empty_database(postgres):
    """The name of a database without a schema."""
    name = f"test{next(_numbers)}"
    postgres.psql(f"CREATE DATABASE {name}")
    yield name
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(postgres, empty_database):
    """The name of a database made by `piwheels initdb`, with the native target."""
    done = piwheels("initdb", "-y", "-d", postgres.dsn(empty_database, "postgres"))
    assert done.returncode == 0, done.stderr
    done = piwheels("target", "add", "native", "--native", "-d", postgres.dsn(empty_database, "piwheels"))
    assert done.returncode == 0, done.stderr
    return empty_database


@pytest.fixture(scope="session")
def sdists(tmp_path_factory):
    """A folder with the sdists of test/packages."""
    folder = tmp_path_factory.mktemp("sdists")
    done = run(ROOT / "test" / "packages" / "make-sdists", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def pypi(tmp_path, sdists):
    server = LoopbackPyPI(tmp_path, sdists, "/usr/share/python-wheels")
    yield server
    server.stop()


@pytest.fixture
def farm(tmp_path, postgres, database, pypi):
    """Nothing of it runs until the test starts it."""
    made = Farm(tmp_path, postgres.dsn(database, "piwheels"), pypi)
    yield made
    made.stop()

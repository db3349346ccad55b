"""Shared fixtures of the flow tests: a private PostgreSQL, the loopback PyPI and a farm, all gone with the test."""
import contextlib
import itertools
import os

import pytest

pytest.register_assert_rewrite("story")

from harness import ROOT, Farm, LoopbackPyPI, piwheels, run
from postgres import Postgres

_numbers = itertools.count(1)


if not os.environ.get("PIW_TEST_FAULTS_BUILD"):
    collect_ignore = ["test_fallen.py", "test_faults.py"]  # they need a build of its own: see scripts/test


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


@contextlib.contextmanager
def _empty_database(postgres):
    name = f"test{next(_numbers)}"
    postgres.psql(f"CREATE DATABASE {name}")
    yield name
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def _database_without_target(postgres):
    with _empty_database(postgres) as name:
        done = piwheels("initdb", "-y", "-d", postgres.dsn(name, "postgres"))
        assert done.returncode == 0, done.stderr
        yield name


@contextlib.contextmanager
def _database(postgres):
    with _database_without_target(postgres) as name:
        done = piwheels("target", "add", "native", "--native", "-d", postgres.dsn(name, "piwheels"))
        assert done.returncode == 0, done.stderr
        yield name


@pytest.fixture
def empty_database(postgres):
    """The name of a database without a schema."""
    with _empty_database(postgres) as name:
        yield name


@pytest.fixture
def database_without_target(postgres):
    """The name of a database made by `piwheels initdb`."""
    with _database_without_target(postgres) as name:
        yield name


@pytest.fixture
def database(postgres):
    """The name of a database made by `piwheels initdb`, with the native target."""
    with _database(postgres) as name:
        yield name


@pytest.fixture(scope="session")
def sdists(tmp_path_factory):
    """A folder with the sdists of test/packages."""
    folder = tmp_path_factory.mktemp("sdists")
    done = run(ROOT / "test" / "packages" / "make-sdists", folder)
    assert done.returncode == 0, done.stderr
    return folder


@contextlib.contextmanager
def _pypi(folder, sdists):
    server = LoopbackPyPI(folder, sdists, "/usr/share/python-wheels")
    yield server
    server.stop()


@pytest.fixture
def pypi(tmp_path, sdists):
    with _pypi(tmp_path, sdists) as server:
        yield server


@pytest.fixture
def farm(tmp_path, postgres, database, pypi):
    """Nothing of it runs until the test starts it."""
    made = Farm(tmp_path, postgres, database, pypi)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def module_farm(request, tmp_path_factory, postgres, sdists):
    """A module may name MASTER_ENVIRONMENT, variables that its master is given."""
    folder = tmp_path_factory.mktemp("farm")
    with _database(postgres) as database, _pypi(folder, sdists) as pypi:
        made = Farm(folder, postgres, database, pypi)
        made.start_master(**getattr(request.module, "MASTER_ENVIRONMENT", {}))
        yield made
        made.stop()


@pytest.fixture
def standing_farm(module_farm):
    """One whose master runs for all tests of a module; there is no job when the test begins."""
    module_farm.forget_jobs()
    return module_farm

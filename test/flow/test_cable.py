"""A master and a slave on two machines whose cable is pulled while a build goes on: for less than the lease, and for longer."""
import pytest

from harness import Farm, LoopbackPyPI
from machines import TwoMachines
from waiting import PACKAGE, Waiting, wait_tried, waiting


@pytest.fixture
def machines(tmp_path):
    made = TwoMachines(tmp_path)
    yield made
    made.close()


@pytest.fixture
def pypi(tmp_path, sdists, machines):
    server = LoopbackPyPI(tmp_path, sdists, "/usr/share/python-wheels", host=machines.near_host, within=machines.near)
    yield server
    server.stop()


@pytest.fixture
def farm(tmp_path, postgres, database, pypi, machines):
    """Its master is near; the slave far is far."""
    made = Farm(tmp_path, postgres, database, pypi)
    made.within = machines.near
    made.address = f"{machines.near_host}:0"
    yield made
    machines.mend()
    made.stop()


def built_by(farm):
    """Which build made the wheel that is published."""
    return farm.sql("SELECT attempt FROM file WHERE state = 'live'")


def test_a_build_outlives_a_cut_that_is_shorter_than_its_lease(farm, machines):
    farm.start_master()
    slave = farm.start_slave(label="far", within=machines.far)
    build, = waiting(farm, "1", label="far")
    machines.cut()
    build.let_go()
    slave.wait_line(rf"built {PACKAGE} 1 ")
    machines.mend()
    build.wait_built()
    wait_tried(farm, "1|success|")
    assert built_by(farm) == str(build.attempt)


def cut_for_longer_than_the_lease(farm, machines):
    """The slave's build, which has ended meanwhile; the cable is still cut."""
    farm.start_master("--lease", "4s")
    slave = farm.start_slave(label="far", within=machines.far)
    build, = waiting(farm, "1", label="far")
    machines.cut()
    begun = farm.master.mark()
    build.let_go()
    slave.wait_line(rf"built {PACKAGE} 1 ")
    farm.master.wait_line(r"\(far\): connection closed: silent for too long", begun)
    farm.lose_lease(build.attempt)
    return slave, build


def test_a_slave_that_comes_back_under_an_old_lease_is_refused_when_another_has_the_job(farm, machines):
    slave, old = cut_for_longer_than_the_lease(farm, machines)
    farm.start_slave(label="near", within=machines.near)
    new = Waiting(farm, "1", label="near").wait()
    machines.mend()
    slave.wait_line(rf"attempt {old.attempt} is to be stopped \(the build was given to another or is not wanted any more\)")
    new.let_go()
    new.wait_built()
    wait_tried(farm, "1|farm|lost slave", "1|success|")
    assert built_by(farm) == str(new.attempt)
    assert old.attempt < new.attempt


def test_a_slave_that_comes_back_late_is_welcome_when_nobody_else_has_the_job(farm, machines):
    _, build = cut_for_longer_than_the_lease(farm, machines)
    machines.mend()
    build.wait_built()
    wait_tried(farm, "1|success|")
    assert built_by(farm) == str(build.attempt)

"""The master goes in the middle of ten builds and comes back: each is finished where it runs, and published, and none is
built again.
"""
import signal

import pytest

from waiting import PACKAGE, wait_tried, waiting

VERSIONS = [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_ten_running_builds_survive_the_masters_restart(farm, number, status):
    farm.start_master()
    slave = farm.start_slave("--jobs", "10")
    builds = waiting(farm, *VERSIONS)
    assert len({build.attempt for build in builds}) == 10
    lost = slave.mark()
    farm.master.signal(number)
    assert farm.master.wait_end() == status
    meanwhile, later = builds[:5], builds[5:]
    for build in meanwhile:
        build.let_go()
        slave.wait_line(rf"built {PACKAGE} {build.version} ", lost)
    farm.start_master()
    slave.wait_line("connected to", lost)
    for build in later:
        build.let_go()
    for build in builds:
        build.wait_built()
    wait_tried(farm, *(f"{version}|success|" for version in VERSIONS))
    assert farm.sql("SELECT count(DISTINCT attempt) FROM file WHERE state = 'live'") == "10"
    assert slave.output().count("slave: building ") == 10
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    page = farm.file(PACKAGE, "index.html").read_text()
    assert all(f"piwtest_waits-{version}-py3-none-any.whl" in page for version in VERSIONS)

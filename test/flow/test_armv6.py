"""Wheels for an ARMv7 that an ARMv6 can run are offered under the ARMv6's name, too; all others are not."""
import hashlib

import pytest

from elf import V6, V7, arm_object
from harness import piwheels
from wheels import make_wheel, metadata_of

PACKAGE = "piwtest-made"
TAG = "cp311-cp311-linux_armv7l"


def add_target(farm, name, platform, label="Debian 12"):
    done = piwheels("target", "add", name, "--abi", "cp311", "--platform", platform, "--label", label, "--glibc", "2.36", "-d",
                    farm.dsn)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def pi(farm):
    """A farm for a Pi, whose master runs."""
    assert piwheels("target", "skip", "native", "not here", "-d", farm.dsn).returncode == 0
    add_target(farm, "pi", "linux_armv7l")
    farm.start_master()
    return farm


def deliver(farm, wheel, version="1.0", platform="linux_armv7l"):
    """What DONE says of it, when its pages are written."""
    with farm.scripted_slave(offers=[["cp311", platform, "3.11.2"]]) as slave:
        slave.greet()
        good, text = slave.deliver(slave.ask().attempt, [wheel])
    assert good, text
    farm.wait_sql("SELECT count(*) FROM stale_page WHERE kind = 'index'", "0")
    assert farm.sql("SELECT * FROM facts_check(0, 1000)") == ""
    return text


def index(farm):
    page = (farm.output / "simple" / PACKAGE / "index.html").read_text()
    return [line.partition('href="')[2].partition("#")[0] for line in page.splitlines() if "href=" in line]


def native(architecture, **more):
    return make_wheel(tag=TAG, more={"piwtest_made.so": arm_object(architecture)}, **more)


def test_what_an_armv6_can_run_has_both_names_and_the_same_bytes(pi):
    pi.order()
    name, data = native(V6)
    text = deliver(pi, (name, data))
    other = name.replace("armv7l", "armv6l")
    assert text == f"{name} published; {other} published"
    assert index(pi) == [other, name]
    for one in (name, other):
        assert pi.file(PACKAGE, one).read_bytes() == data
        assert pi.file(PACKAGE, one + ".metadata").read_bytes() == metadata_of(data)
    page = (pi.output / "simple" / PACKAGE / "index.v1_json").read_text()
    assert page.count(hashlib.sha256(data).hexdigest()) == 2
    assert pi.file(PACKAGE, name).stat().st_ino == pi.file(PACKAGE, other).stat().st_ino, "it takes no room"


@pytest.mark.parametrize("wheel", [native(V7), make_wheel(tag=TAG), make_wheel(tag=TAG, more={"a.so": arm_object(V6), "b.so": arm_object(V7)}),
                                   make_wheel(tag="py3-none-any")], ids=["for an ARMv7", "without code", "one object of two", "pure"])
def test_what_an_armv6_cannot_run_or_has_anyway_has_one_name(pi, wheel):
    pi.order()
    assert deliver(pi, wheel) == f"{wheel[0]} published"
    assert index(pi) == [wheel[0]]


def test_both_names_are_withdrawn_together(pi):
    pi.order()
    name, data = native(V6)
    deliver(pi, (name, data))
    begun = pi.master.mark()
    done = pi.tool("remove", "-y", PACKAGE)
    assert done.returncode == 0, done.stderr
    for one in (name, name.replace("armv7l", "armv6l")):
        pi.master.wait_line(f"simple/{PACKAGE}/{one}: taken out of the tree", begun)
    assert not list((pi.output / "simple").glob(f"{PACKAGE}/*.whl*"))


def test_a_rebuild_goes_by_both_names_with_the_same_build_tag(pi):
    pi.order()
    deliver(pi, native(V6))
    pi.order_again(PACKAGE, "1.0")
    deliver(pi, native(V6, content=b"answer = 43\n"))
    stem = f"{PACKAGE.replace('-', '_')}-1.0"
    assert sorted(index(pi)) == sorted(f"{stem}{build}-cp311-cp311-linux_{arm}.whl" for build in ("", "-1") for arm in ("armv6l", "armv7l"))


def test_a_farm_that_builds_for_an_armv6_itself_is_served_by_it(pi):
    """Of another distribution, too, for this one needs nothing that it may not have."""
    add_target(pi, "zero", "linux_armv6l")
    add_target(pi, "old-zero", "linux_armv6l", "Debian 11")
    pi.order()
    deliver(pi, native(V6))
    pi.wait_sql("SELECT string_agg(t.name, ' ' ORDER BY t.id) FROM version v JOIN target t ON (v.built_mask >> t.id) & 1 = 1",
                "pi zero old-zero")


def test_a_true_armv6_wheel_is_never_replaced(pi):
    pi.order()
    true_name, true_data = make_wheel(tag="cp311-cp311-linux_armv6l", content=b"made on a Pi Zero\n")
    assert piwheels("target", "skip", "pi", "not now", "-d", pi.dsn).returncode == 0
    add_target(pi, "zero", "linux_armv6l")
    pi.wait_sql("SELECT bool_or(judging) FROM target", "f")
    pi.sql("SELECT versions_settle(array_agg(id)) FROM version")
    deliver(pi, (true_name, true_data), platform="linux_armv6l")
    assert piwheels("target", "unskip", "pi", "-d", pi.dsn).returncode == 0
    text = deliver(pi, native(V6))
    assert f"{true_name} was published before with other bytes" in text
    assert pi.file(PACKAGE, true_name).read_bytes() == true_data


def test_a_twin_is_made_once_however_often_its_build_waits_for_a_name(pi):
    """Files that leave the tree under these names hold it up, and each time it is announced again."""
    pi.order()
    name, data = native(V6)
    pi.sql(f"""INSERT INTO withdrawn_file (path, sha256, package, leave_at, leaving, named)
        VALUES ('simple/{PACKAGE}/{name}', sha256('other'), '{PACKAGE}', now() + interval '1h', true, false)""")
    with pi.scripted_slave(offers=[["cp311", "linux_armv7l", "3.11.2"]]) as slave:
        slave.greet()
        good, text = slave.deliver(slave.ask().attempt, [(name, data)])
        assert not good and "has not left the tree yet" in text
        pi.sql("DELETE FROM withdrawn_file")
        assert slave.deliver(slave.ask().attempt, [(name, data)]) == (True, f"{name} published; "
                                                                      f"{name.replace('armv7l', 'armv6l')} published")

"""A long history read by a real master from the loopback PyPI, and what it should have come to (model.py): for test_history.py
and test_history_killed.py, which are two files so that two workers share them."""
import collections
import contextlib
import json
import time

import psycopg2
import pytest

import model
from harness import Farm, LoopbackPyPI, make_history, piwheels

TARGETS = [model.Target("bullseye", "cp39", "linux_armv7l", (2, 31)), model.Target("bookworm", "cp311", "linux_armv7l", (2, 36)),
           model.Target("big", "cp312", "linux_x86_64", (2, 39)), model.Target("free", "cp313t", "linux_aarch64", (2, 41))]
NOWHERE = "http://127.0.0.1:1/simple"   # events alone count, without what pages tell
LIMIT_S = 1800


@contextlib.contextmanager
def farm_with_history(folder, postgres, database, events, seed):
    """A farm that does not run yet, whose PyPI has so many events; and the database of these."""
    world = folder / "world"
    world.mkdir()
    path = make_history(world, events, seed)
    for target in TARGETS:
        done = piwheels("target", "add", target.name, "--abi", target.abi, "--platform", target.platform,
                        "--glibc", "{}.{}".format(*target.glibc), "-d", postgres.dsn(database, "piwheels"))
        assert done.returncode == 0, done.stderr
    pypi = LoopbackPyPI(world)
    farm = Farm(folder, postgres, database, pypi)
    try:
        yield farm, path
    finally:
        farm.stop()
        pypi.stop()


@contextlib.contextmanager
def asked_again_and_again(farm):
    """A function that tells how far the database is."""
    with contextlib.closing(psycopg2.connect(farm.postgres.dsn(farm.database))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()

        def serial():
            cursor.execute("SELECT coalesce(max(serial), 0) FROM piwheels.event_cursor")
            return cursor.fetchone()[0]
        yield serial


def wait_read(farm):
    """Until the last event is stored."""
    newest = farm.pypi.sql("SELECT max(serial) FROM event")[0][0]
    limit = time.monotonic() + LIMIT_S
    with asked_again_and_again(farm) as serial:
        while serial() < newest:
            assert not farm.master.ended and time.monotonic() < limit, farm.master.output()[-3000:]


def bits(mask):
    return [target.name for number, target in enumerate(TARGETS) if mask >> number & 1]


def found(farm):
    """What the database has come to, in the words of model.expected."""
    rows = farm.sql("""
        SELECT json_build_array(p.name, p.display, p.quarantined, v.version, extract(epoch FROM v.released)::bigint, v.yanked,
                v.quarantined, v.legacy, v.prerelease, v.sdist, v.other_sdists, v.covered_mask,
                (SELECT json_agg(s.tags) FROM version_wheel w JOIN tagset s ON s.id = w.tagset WHERE w.version = v.id),
                (SELECT coalesce(sum(1::bigint << j.target), 0) FROM job j WHERE j.version = v.id))
            FROM package p LEFT JOIN version v ON v.package = p.id""")
    packages = {}
    for line in rows.splitlines():
        (name, display, shut, version, released, yanked, quarantined, legacy, prerelease, sdist, others, covered, wheels,
         jobs) = json.loads(line)
        package = packages.setdefault(name, {"display": display, "quarantined": shut, "versions": {}})
        if version is None:
            continue
        package["versions"][model.key_of(model.version_of(version))] = {
            "version": version, "released": released, "yanked": yanked, "quarantined": quarantined, "legacy": legacy,
            "prerelease": prerelease, "sdist": sdist, "sdists": sorted(filter(None, [sdist, *(others or [])])),
            "wheels": dict(collections.Counter(wheels or [])), "covered": bits(covered), "jobs": bits(jobs)}
    return packages


def expected(path):
    """The same of the model."""
    packages = model.expected(path, TARGETS)
    for package in packages.values():
        for version in package["versions"].values():
            version["sdists"] = sorted(version["sdists"])
            version["jobs"] = [version["open"]] if version["open"] else []
            for more in ("others", "skipped", "excluded", "missing", "closed", "open"):
                del version[more]
    return packages


def compare(told, due):
    """Fails with the first few projects that differ."""
    for name, package in told.items():
        for key, version in package["versions"].items():
            spellings = due.get(name, {"versions": {}})["versions"].get(key, {}).pop("spellings", [])
            if version["version"] in spellings:
                del version["version"]      # one of those that the events have used
    odd = [name for name in sorted({*told, *due}) if told.get(name) != due.get(name)]
    words = "\n".join(f"{name}:\n  found    {told.get(name)}\n  expected {due.get(name)}" for name in odd[:3])
    if odd:
        pytest.fail(f"{len(odd)} projects, such as {words}", pytrace=False)


def check(farm, path):
    compare(found(farm), expected(path))
    assert farm.sql("SELECT * FROM facts_check(0, 1 << 40)") == ""

"""Wheels that the master must not believe: each is refused with the reason, recorded as the build's failure, and leaves
nothing in the tree.
"""
import io
import zipfile

import pytest

from wheels import make_wheel

PACKAGE = "piwtest-made"


def twice_the_same_member():
    name, data = make_wheel()
    packed = io.BytesIO(data)
    with zipfile.ZipFile(packed, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("piwtest_made.py", b"answer = 43\n")
    return name, packed.getvalue()


def with_a_symlink():
    name, data = make_wheel()
    packed = io.BytesIO(data)
    link = zipfile.ZipInfo("piwtest_made_link.py")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(link, b"/etc/passwd")
    return name, packed.getvalue()


def other_local_header():
    name, data = make_wheel()
    return name, data.replace(b"piwtest_made.py", b"piwtest_evil.py", 1)


def with_two_dist_infos():
    return make_wheel(more={"other-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"})


def inflating_absurdly():
    name, data = make_wheel()
    packed = io.BytesIO(data)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("piwtest_made_zeros.bin", bytes(200 << 20))
    return name, packed.getvalue()


def of_another_target():
    return make_wheel(tag="cp27-cp27mu-linux_pdp11")


BAD_WHEELS = {
    "another package": (lambda: make_wheel("piwtest-pure"), "not of piwtest-made"),
    "another version": (lambda: make_wheel(version="2.0"), "2.0"),
    "another package's METADATA": (lambda: make_wheel(own_name="piwtest-pure"), "piwtest-pure"),
    "another tag in WHEEL": (lambda: make_wheel(own_tag="cp311-cp311-linux_x86_64"), "the tags in its WHEEL differ"),
    "tags of another target": (of_another_target, "its tags do not fit the target native"),
    "no METADATA": (lambda: make_wheel(metadata=False), "METADATA"),
    "wrong RECORD": (lambda: make_wheel(record=False), "RECORD"),
    "bytes behind the archive": (lambda: make_wheel(behind=b"more"), "bytes after its end"),
    "a member above": (lambda: make_wheel(more={"../evil.py": b""}), "../evil.py"),
    "an absolute member": (lambda: make_wheel(more={"/etc/evil": b""}), "/etc/evil"),
    "a member twice": (twice_the_same_member, "piwtest_made.py"),
    "a symlink": (with_a_symlink, "piwtest_made_link.py"),
    "another local header": (other_local_header, "local header"),
    "two dist-info folders": (with_two_dist_infos, "dist-info"),
    "a bomb": (inflating_absurdly, ""),
    "no bytes": (lambda: (make_wheel()[0], b""), "the file is empty (0 bytes)"),
    "no zip archive": (lambda: (make_wheel()[0], b"a text that is longer than an end record"), "it is no zip archive"),
    "half a wheel": (lambda: (make_wheel()[0], make_wheel()[1][:-60]), ""),
    "a name that is none": (lambda: ("piwtest_made.whl", make_wheel()[1]), "piwtest_made.whl"),
    "no wheel's name": (lambda: ("piwtest-made-1.0.tar.gz", make_wheel()[1]), "piwtest-made-1.0.tar.gz"),
    "a page's name": (lambda: ("index.html", make_wheel()[1]), "index.html"),
}


@pytest.fixture
def farm(standing_farm):
    standing_farm.forget_everything()
    return standing_farm


@pytest.fixture
def slave(farm):
    with farm.scripted_slave() as slave:
        slave.greet()
        yield slave


@pytest.mark.parametrize("kind", BAD_WHEELS)
def test_a_bad_wheel_is_refused(farm, slave, kind):
    make, said = BAD_WHEELS[kind]
    name, _ = wheel = make()
    farm.order()
    attempt = slave.ask().attempt
    begun = farm.master.mark()
    good, text = slave.deliver(attempt, [wheel], log=b"built it all\n")
    assert not good and text.startswith(f"{name}: ") and said in text
    assert farm.outcome(attempt) == f"failed|bad wheel|{text}"
    line = farm.master.wait_line(r"failed to build piwtest-made 1\.0 ", begun).string
    assert f"(build {attempt}, failed, bad wheel: " in line
    assert list(farm.output.glob("simple/*/*.whl*")) == [] and farm.staging() == []
    assert farm.log_of(attempt) == b"built it all\n"
    assert farm.sql("SELECT count(*) FROM job") + farm.sql("SELECT count(*) FROM file") == "00"


def test_a_bad_wheel_takes_the_good_ones_beside_it_along(farm, slave):
    good_one, bad_one = make_wheel(), make_wheel(build="-1", record=False)
    farm.order()
    attempt = slave.ask().attempt
    good, text = slave.deliver(attempt, [good_one, bad_one])
    assert not good and text.startswith(f"{bad_one[0]}: ")
    assert list(farm.output.glob("simple/*/*.whl*")) == [] and farm.staging() == []


def test_a_second_file_under_another_packages_name_is_refused(farm, slave):
    farm.order()
    attempt = slave.ask().attempt
    good, text = slave.deliver(attempt, [make_wheel(), make_wheel("piwtest-pure")])
    assert not good and "not of piwtest-made" in text
    assert list(farm.output.glob("simple/*/*.whl*")) == []


@pytest.mark.parametrize("spelled", ["piwtest_made", "Piwtest.Made", "PIWTEST-MADE"])
def test_another_spelling_of_the_name_is_the_same_package(farm, slave, spelled):
    farm.order()
    good, text = slave.deliver(slave.ask().attempt, [make_wheel(own_name=spelled)])
    assert good, text

"""Names, versions, specifiers, tags, METADATA and archives are understood as Python itself understands them: thousands of drawn
and damaged ones are put to our functions and to `packaging`, `email` and `zipfile`, and where the two differ on purpose, it is
said here.

The same seeds draw the same texts each time. `--long` draws twenty times as many.
"""
import base64
import email.parser
import hashlib
import io
import random
import subprocess
import zipfile

import pytest
from packaging import tags
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from harness import BUILD

ANSWERS = BUILD / "test" / "oracle" / "answers"
MANY = 3000
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 21))]
NUMBERS = ["0", "1", "2", "3", "9", "10", "00", "01", "010", "2024", "99999999999999999999"]


def ask(questions):
    """Each is (name, text or bytes, …); the answers in order."""
    lines = [" ".join([name, *((text.encode() if isinstance(text, str) else text).hex() or "-" for text in texts)])
             for name, *texts in questions]
    done = subprocess.run([ANSWERS], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == len(questions)
    return answers


def assert_alike(expected):
    """`expected`: question -> answer."""
    differ = [(question, told, wanted) for (question, wanted), told in zip(expected.items(), ask(list(expected))) if told != wanted]
    assert not differ, f"{len(differ)} of {len(expected)} differ: {differ[:10]}"


def damaged(draw, text, alphabet):
    for _ in range(draw.choice([0, 0, 0, 1, 2])):
        at, letter = draw.randint(0, len(text)), draw.choice(alphabet)
        text = draw.choice([text[:at] + letter + text[at:], text[:at] + text[at + 1:], text[:at] + letter + text[at + 1:]])
    return text


# ---- versions ----

def draw_version(draw):
    def between():
        return draw.choice(["", "", ".", "-", "_"])

    def part(words):
        return between() + draw.choice(words) + between() + draw.choice(["", *NUMBERS])
    text = draw.choice(["", "", "", "v", "V"]) + (draw.choice("012") + "!" if draw.random() < 0.1 else "")
    text += ".".join(draw.choice(NUMBERS[:7]) for _ in range(draw.choice([1, 2, 2, 3, 4])))
    if draw.random() < 0.3:
        text += part(["a", "b", "rc", "c", "alpha", "beta", "pre", "preview", "A", "RC", "Pre"])
    if draw.random() < 0.3:
        text += draw.choice([part(["post", "rev", "r", "POST"]), "-" + draw.choice(NUMBERS)])
    if draw.random() < 0.2:
        text += part(["dev", "DEV"])
    if draw.random() < 0.2:
        text += "+" + draw.choice(".-_").join(draw.choice(["a", "ubuntu", "1", "01", "1a", "DEB", "0"]) for _ in range(draw.choice([1, 2, 3])))
    return damaged(draw, text, "0.-_+!ab rvdevpost*x~=\t") if draw.random() < 0.3 else text


def read_version(text):
    try:
        return Version(text)
    except InvalidVersion:
        return None


def sound_versions(draw, count):
    texts = [draw_version(draw) for _ in range(count)]
    return [(text, version) for text in texts if (version := read_version(text))]


@pytest.mark.parametrize("seed", SEEDS)
def test_versions_are_read_as_packaging_reads_them(seed):
    draw = random.Random(seed)
    expected = {}
    for _ in range(MANY):
        text = draw_version(draw)
        version = read_version(text)
        expected["version", text] = f"{version}\t{int(version.is_prerelease)}" if version else "none"
    assert_alike(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_versions_are_in_the_order_of_packaging(seed):
    draw = random.Random(seed)
    sound = sound_versions(draw, MANY)
    expected = {}
    for _ in range(MANY):
        (one, left), (other, right) = draw.choice(sound), draw.choice(sound)
        if draw.random() < 0.5:
            other = one[:draw.randint(0, len(one))] + draw.choice(["", ".0", "a1", ".post1", ".dev1", "+1"])
            right = read_version(other)
        if right:
            expected["order", one, other] = str((left > right) - (left < right))
    assert_alike(expected)


# ---- specifiers ----

@pytest.mark.parametrize("seed", SEEDS)
def test_specifiers_mean_what_they_mean_to_packaging(seed):
    """But for epochs, whose prefixes packaging 23 gets wrong; "===", which takes the given spelling and the normalised one here;
    and "~=1.0.rc1", where it takes the "rc1" for a part of the prefix."""
    draw = random.Random(seed)
    sound = [text for text, version in sound_versions(draw, 500) if version.epoch == 0]
    expected = {}
    while len(expected) < MANY:
        text = draw.choice(sound)
        limits = [draw.choice(["==", "!=", "<=", ">=", "<", ">", "~="]) + draw.choice(["", " "])
                  + draw.choice([text, text[:draw.randint(1, len(text))], draw.choice(sound)]) + draw.choice(["", "", "", ".*"])
                  for _ in range(draw.choice([1, 1, 2, 3]))]
        specifier = damaged(draw, draw.choice([",", " , "]).join(limits), ",;) *<>~!") if draw.random() < 0.1 else ",".join(limits)
        if "===" in specifier or "!" in specifier.replace("!=", "") or "~=" in specifier and set(specifier.lower()) & set("abcdeprv_-"):
            continue
        try:
            expected["match", specifier, text, "all"] = str(int(SpecifierSet(specifier).contains(text, prereleases=True)))
        except InvalidSpecifier:
            expected["match", specifier, text, "all"] = "none"
    assert_alike(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_python_is_allowed_where_one_of_its_patch_releases_is(seed):
    draw = random.Random(seed)
    versions = ["3", "3.11", "3.11.0", "3.11.4", "3.10", "3.12", "3.11.*", "3.*", "3.11.4.*", "3.11.5rc1", "3.11a1", "4", "3.11.0.0",
                "3.11.4.1", "3.11.4.post1", "3.9", "2.7", "3.11.dev0", "3.11.40", "3.11.4+x", "3.12.0a1", "3.12.*"]
    expected = {}
    for _ in range(MANY // 3):
        text = ",".join(draw.choice(["==", "!=", "<=", ">=", "<", ">", "~="]) + draw.choice(versions) for _ in range(draw.choice([1, 2, 3])))
        try:
            found = SpecifierSet(text)
            allowed = any(found.contains(f"3.11.{patch}", prereleases=True) for patch in range(50))
        except InvalidSpecifier:
            allowed = True  # what nobody understands excludes nobody
        expected["requires", text, "3.11"] = str(int(allowed))
    assert_alike(expected)


# ---- names ----

@pytest.mark.parametrize("seed", SEEDS)
def test_names_are_normalised_as_packaging_does(seed):
    draw = random.Random(seed)
    texts = {damaged(draw, draw.choice(["foo", "a--b", "A.b_c", "zope.interface", "_a", "a-"]), "-_.aZ1") for _ in range(MANY)}
    assert_alike({("name", text): canonicalize_name(text) for text in texts})


@pytest.mark.parametrize("seed", SEEDS)
def test_names_of_wheels_that_packaging_takes_are_taken_apart_alike(seed):
    """It refuses more: a name with two underscores, and what is no version by PEP 440; old pips install such. We refuse tags with
    other characters than letters, digits and underscores, and what is no name for PyPI."""
    draw = random.Random(seed)
    expected, parts = {}, {}
    for _ in range(MANY):
        words = [draw.choice(["foo", "foo_bar", "Foo.Bar", "a"]), draw.choice(["1.0", "1", "1!2", "1.0+a_b", "1.0.post1", "2.0rc1"]),
                 *draw.choice([[], [], ["1"], ["1a"], ["2_x"], ["x1"], ["01"]]), draw.choice(["py3", "py2.py3", "cp311", "cp38.cp39"]),
                 draw.choice(["none", "abi3", "cp311", "abi3.cp311"]), draw.choice(["any", "linux_armv7l", "manylinux_2_17_x86_64.manylinux2014_x86_64"])]
        text = damaged(draw, "-".join(words) + ".whl", "-_.aZ1+!")
        try:
            name, _, build, found = parse_wheel_filename(text)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        plain = all(part.replace("_", "x").isalnum() for tag in found for part in (tag.interpreter, tag.abi, tag.platform))
        if plain and not set("".join(map(str, build))) & set("!+") and name.strip("-") == name != "":
            expected["wheel", text] = name, "".join(map(str, build)), {str(tag) for tag in found}
    for (_, text), told in zip(expected, ask(list(expected))):
        assert told != "none", text
        dist, _, build, *sets = told.split("\t")
        parts[text] = (canonicalize_name(dist), build.lstrip("0") or build, {str(tag) for tag in tags.parse_tag("-".join(sets))})
    assert len(parts) > MANY // 3
    assert {text: (name, build.lstrip("0") or build, found) for (_, text), (name, build, found) in expected.items()} == parts


# ---- tags ----

def loaded(version, abi, arch, glibc_minor):
    """What pip takes on such a machine."""
    first = 5 if arch in ("x86_64", "i686") else 17
    old = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
    platforms = [f"linux_{arch}"]
    for minor in range(glibc_minor, first - 1, -1):
        platforms += [f"manylinux_2_{minor}_{arch}"] + ([f"{old[minor]}_{arch}"] if minor in old else [])
    found = {*tags.cpython_tags(version, [abi], platforms), *tags.compatible_tags(version, f"cp{version[0]}{version[1]}", platforms)}
    return {str(tag) for tag in found if not (abi.endswith("t") and tag.abi == "abi3")}  # which packaging 23 does not know


@pytest.mark.parametrize("seed", SEEDS)
def test_wheels_fit_where_pip_takes_them(seed):
    draw = random.Random(seed)
    machines = [(version, f"cp{version[0]}{version[1]}{more}", arch, glibc)
                for version, more in [((3, 7), "m"), ((3, 9), ""), ((3, 11), ""), ((3, 13), ""), ((3, 13), "t")]
                for arch in ("x86_64", "armv7l", "armv6l", "aarch64", "riscv64") for glibc in (31, 36)]
    pythons = ["py2", "py3", "py27", "py37", "py39", "py311", "py313", "cp2", "cp3", "cp27", "cp32", "cp37", "cp39", "cp311", "cp313", "cp314", "pp39", "py"]
    abis = ["none", "abi3", "cp39", "cp311", "cp313", "cp313t", "cp37m", "cp36m", "abi4", "pypy39_pp73"]
    known = {machine: loaded(*machine) for machine in machines}
    expected = {}
    for _ in range(3 * MANY):
        machine = draw.choice(machines)
        _, abi, arch, glibc = machine
        on = draw.choice([arch, arch, "x86_64", "armv7l"])
        place = draw.choice(["any", f"linux_{on}", *(f"manylinux_2_{minor}_{on}" for minor in (4, 5, 12, 16, 17, 31, 34, 36, 39)),
                             f"manylinux1_{on}", f"manylinux2010_{on}", f"manylinux2014_{on}", f"musllinux_1_1_{on}", "win_amd64"])
        tag = "-".join([draw.choice(pythons), draw.choice(abis), place])
        expected["fits", f"x-1-{tag}.whl", f"{abi} linux_{arch} {glibc}"] = str(int(tag in known[machine]))
    assert_alike(expected)


# ---- METADATA ----

LINES = ["Metadata-Version: 2.4", "Summary: a b", "Requires-Python: >=3", "Requires-Dist: a", "Requires-Dist: b (>1)", "Classifier: x", "", "From me",
         "From: me", ": x", ":", " cont", "\tcont", "no header", "Name : foo", "Version:2", "Keywords: a", ">From x", "License-Expression: MIT"]


@pytest.mark.parametrize("seed", SEEDS)
def test_headers_are_those_that_pips_parser_sees(seed):
    draw = random.Random(seed)
    expected = {}
    for _ in range(MANY):
        lines = [draw.choice(LINES) for _ in range(draw.randint(0, 6))]
        for line in ("Name: foo", "Version: 1"):
            lines.insert(draw.randint(0, len(lines)), line)
        text = "".join(line + draw.choice(["\n"] * 8 + ["\r\n", "\r"]) for line in lines)
        message = email.parser.Parser().parsestr(text)
        found = {field: [" ".join(value.split()) for value in message.get_all(field, [])]
                 for field in ("name", "version", "summary", "requires-python", "requires-dist")}
        sound = all(len(found[field]) == 1 for field in ("name", "version")) and all(len(found[field]) < 2 for field in ("summary", "requires-python"))
        expected["metadata", text] = "\t".join([*found["name"], *found["version"], *(found["requires-python"] or [""]), *found["requires-dist"]]) \
            if sound else "none"
    assert_alike(expected)


# ---- archives ----

FILES = {"demo.py": b"x = 1\n" * 20, "demo/é.txt": b"abc", "demo-1.0.data/scripts/x": b"#!python\n",
         "demo-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
         "demo-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}


class Pipe(io.RawIOBase):
    """To which one can only write: zipfile puts sizes behind the data."""

    def __init__(self, to):
        self.to = to

    def writable(self):
        return True

    def write(self, data):
        return self.to.write(data)


def make_archive(streamed, zip64, method):
    record = "".join(f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
                     for name, data in FILES.items()) + "demo-1.0.dist-info/RECORD,,\n"
    made = io.BytesIO()
    with zipfile.ZipFile(Pipe(made) if streamed else made, "w") as archive:
        for name, data in [*FILES.items(), ("demo-1.0.dist-info/RECORD", record.encode())]:
            member = zipfile.ZipInfo(name)
            member.compress_type = method
            with archive.open(member, "w", force_zip64=zip64) as file:
                file.write(data)
    return made.getvalue()


def contents(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return [(name, opened.read(name)) for name in opened.namelist()]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_archive_that_is_taken_is_read_alike_by_zipfile(seed):
    """With any byte another: it is refused, or has the same files for pip."""
    draw = random.Random(seed)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for streamed in (False, True):
            for zip64 in (False, True):
                sound = make_archive(streamed, zip64, method)
                damaged_ones = [sound]
                for _ in range(MANY // 10):
                    at = draw.randrange(len(sound))
                    byte = draw.choice([sound[at] ^ 1 << draw.randrange(8), draw.randrange(256)])
                    damaged_ones.append(sound[:at] + bytes([byte]) + sound[at + 1:])
                answers = ask([("archive", archive, "demo-1.0-py3-none-any.whl") for archive in damaged_ones])
                assert answers[0] == "sound"
                for archive, told in zip(damaged_ones, answers):
                    assert told == "none" or contents(archive) == contents(sound), archive.hex()

"""What piwheels should know after a history: a model in the most obvious way, which shares nothing with its C or SQL.

The rows of the loopback PyPI's table `event` are applied one after the other, in the order of their serials, to one
object per project. `expected` gives the outcome as plain dicts, to compare a database with. Names, versions, specifiers
and tags are judged by the `packaging` library.

The rules:

- `remove project` and `remove release` take along everything below; what comes back starts afresh.
- An event about a file makes the version, and the package, that it belongs to where they are missing. So does
  `new release`. No other event makes a version.
- What concerns something that is not there is ignored.
- Versions are the same when PEP 440 says so. Those that are none (or longer than 250 bytes) are the same when their
  text is, and nothing is built of them. Control characters in them are dropped; over 255 bytes they are refused.
- Whose files are a project's, PyPI says, whatever they are called. A `source` file with an sdist's ending is one.
- A file whose name no file system takes (over 255 bytes, with a '/' or control characters) is unknown business: the
  project is to be compared again, and nothing else comes of it. So is an event that needs a version and has none.
- Time stamps are data; they never decide anything. None is before 1970.
"""
import collections
import dataclasses
import functools
import itertools
import re
import sqlite3

from packaging import tags as packaging_tags
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
NAME_MAX, VERSION_MAX, FILE_MAX = 255, 250, 255
VERSION_STORED_MAX = 255
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SDIST_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")
TAG_SET = r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*"
WHEEL = re.compile(r"(?P<dist>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?)-(?P<version>[A-Za-z0-9._+!]+)"
                   rf"(?:-(?P<build>[0-9][A-Za-z0-9._]*))?-(?P<tags>{TAG_SET}-{TAG_SET}-{TAG_SET})\.whl")
ROLE = re.compile(r"(?:add|remove|change|invite|accept|decline|revoke|revoke_invite) (?:Owner|Maintainer) (?!file ).+")


# ---- names and versions ----

def name_of(text):
    """The normalised name, or None for what is no name."""
    return canonicalize_name(text) if NAME.fullmatch(text) and len(text) <= NAME_MAX else None


@functools.lru_cache(maxsize=100_000)
def version_of(text):
    """A Version, or the text itself where it is none: in either case equal to its equals."""
    try:
        return Version(text) if len(text.encode()) <= VERSION_MAX else text
    except (InvalidVersion, ValueError):
        return text


def key_of(version):
    """The text under which `expected` lists a version: the same for all of its spellings."""
    return canonicalize_version(version) if isinstance(version, Version) else version


def stored_version(text):
    """As it is kept: without control characters; None where nothing is left."""
    return text and (CONTROL.sub("", text).strip(" ") or None)


def wheel_tags(filename):
    """ "py2.py3-none-any", in lower case; None for what is no wheel."""
    found = WHEEL.fullmatch(filename)
    return found["tags"].lower() if found else None


def is_file_name(filename):
    return len(filename.encode()) <= FILE_MAX and "/" not in filename and not CONTROL.search(filename)


# ---- the world, event by event ----

UNKNOWN = object()      # what an action comes to that nobody can make sense of


@dataclasses.dataclass(slots=True)
class Release:
    released: int                       # unix time of the event that made it
    spellings: set = dataclasses.field(default_factory=set)
    yanked: bool = False
    quarantined: bool = False
    sdists: list = dataclasses.field(default_factory=list)      # in the order in which they came
    wheels: dict = dataclasses.field(default_factory=dict)      # file name: tags
    others: set = dataclasses.field(default_factory=set)

    def sdist(self):
        """A .tar.gz, else what was added last; None where there is none."""
        best = [name for name in self.sdists if name.endswith(".tar.gz")] or self.sdists
        return best[-1] if best else None


@dataclasses.dataclass(slots=True)
class Project:
    display: str
    quarantined: bool = False
    releases: dict = dataclasses.field(default_factory=dict)    # Version or text: Release


class World:
    def __init__(self):
        self.projects = {}
        self.refused = set()                    # names that are none, and those of versions that are too long
        self.unknown = collections.Counter()    # actions
        self.compare = set()                    # projects that an unknown action may have changed
        self.serial = 0

    def apply(self, spelled, version, when, action, serial):
        self.serial = serial
        name, version = name_of(spelled), stored_version(version)
        if ROLE.fullmatch(action):
            return
        if name is None or version and len(version.encode()) > VERSION_STORED_MAX:
            self.refused.add(spelled)
        else:
            self.apply_to(name, spelled, version, max(0, when), action)

    def apply_to(self, name, spelled, version, when, action):
        for pattern, happens in ACTIONS:
            found = pattern.fullmatch(action)
            if found and happens(self, name, spelled, version, when, *found.groups()) is not UNKNOWN:
                break
        else:
            self.unknown[action] += 1
            self.compare.add(name)
        if name in self.projects:
            self.projects[name].display = spelled

    def release(self, name, version):
        project = self.projects.get(name)
        return project.releases.get(version_of(version)) if project else None

    # ---- actions ----

    def create(self, name, spelled, version, when):
        self.projects.setdefault(name, Project(spelled))

    def new_release(self, name, spelled, version, when):
        self.create(name, spelled, version, when)
        releases = self.projects[name].releases
        release = releases.setdefault(version_of(version), Release(when))
        release.spellings.add(str(version_of(version)))

    def add_file(self, name, spelled, version, when, tag, filename):
        if not is_file_name(filename):
            return UNKNOWN
        self.new_release(name, spelled, version, when)
        release = self.release(name, version)
        if tags := wheel_tags(filename):
            release.wheels[filename] = tags
        elif tag == "source" and filename.endswith(SDIST_ENDINGS):
            release.sdists.append(filename)
        else:
            release.others.add(filename)

    def remove_project(self, name, spelled, version, when):
        self.projects.pop(name, None)

    def remove_release(self, name, spelled, version, when):
        if self.release(name, version):
            del self.projects[name].releases[version_of(version)]

    def remove_file(self, name, spelled, version, when, filename):
        if not is_file_name(filename):
            return UNKNOWN
        release = self.release(name, version)
        if release:
            release.wheels.pop(filename, None)
            release.others.discard(filename)
            release.sdists = [sdist for sdist in release.sdists if sdist != filename]

    def yank(self, name, spelled, version, when, un):
        release = self.release(name, version)
        if release:
            release.yanked = not un

    def quarantine_project(self, name, spelled, version, when):
        if name in self.projects:
            self.projects[name].quarantined = True

    def clear_project(self, name, spelled, version, when):
        if name in self.projects:
            self.projects[name].quarantined = False

    def quarantine_release(self, name, spelled, version, when):
        if release := self.release(name, version):
            release.quarantined = True

    def clear_release(self, name, spelled, version, when):
        if release := self.release(name, version):
            release.quarantined = False


def of_a_version(happens):
    """The same, for events that have a version; all others are unknown."""
    def happens_to_version(world, name, spelled, version, *more):
        return UNKNOWN if version is None else happens(world, name, spelled, version, *more)
    return happens_to_version


ACTIONS = [(re.compile(pattern, re.DOTALL), happens) for pattern, happens in [
    (r"create", World.create),
    (r"new release", of_a_version(World.new_release)),
    (r"add (\S+) file (.+)", of_a_version(World.add_file)),
    (r"remove(?: project)?", World.remove_project),
    (r"remove release", of_a_version(World.remove_release)),
    (r"remove file (.+)", of_a_version(World.remove_file)),
    (r"(un)?yank release", of_a_version(World.yank)),
    (r"project quarantined", World.quarantine_project),
    (r"project quarantine cleared", World.clear_project),
    (r"release quarantined", of_a_version(World.quarantine_release)),
    (r"release quarantine cleared", of_a_version(World.clear_release)),
]]


def read(path, until=None):
    """The world after all events of a loopback PyPI's database, or those up to a serial."""
    world = World()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        for row in connection.execute("SELECT coalesce(spelled, project), version, time, action, serial FROM event"
                                      " WHERE ?1 IS NULL OR serial <= ?1 ORDER BY serial", [until]):
            world.apply(*row)
    return world


# ---- targets: which wheels run there ----

@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    abi: str                # "cp311", "cp313t"
    platform: str           # "linux_armv7l", "manylinux_2_28_x86_64", "musllinux_1_2_aarch64"
    glibc: tuple = None     # of the distribution, (2, 36); None: any will do
    skip: str = None        # why nothing is built for it


LEGACY_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
NEWEST_GLIBC = (2, 99)


def glibc_platforms(glibc, arch):
    for minor in range(glibc[1], -1, -1):
        yield f"manylinux_2_{minor}_{arch}"
        for legacy, version in LEGACY_MANYLINUX.items():
            if version == (2, minor):
                yield f"{legacy}_{arch}"
    yield f"linux_{arch}"


def platforms_of(target):
    """The platform tags that fit, from the most special to the plainest (PEPs 600 and 656)."""
    libc, arch = re.fullmatch(r"(linux|(?:many|musl)linux_\d+_\d+|manylinux[0-9]+)_(.+)", target.platform).groups()
    if libc == "linux":
        return list(glibc_platforms(target.glibc or NEWEST_GLIBC, arch))
    major, minor = LEGACY_MANYLINUX.get(libc) or tuple(map(int, libc.split("_")[1:]))
    if libc.startswith("manylinux"):
        return list(glibc_platforms((major, minor), arch))
    return [f"musllinux_{major}_{older}_{arch}" for older in range(minor, -1, -1)] + [f"linux_{arch}"]


@functools.lru_cache(maxsize=None)
def tags_of(target):
    """All tags that the target's Python takes, as text."""
    major, minor, flags = re.fullmatch(r"cp(\d)(\d+)([a-z]*)", target.abi).groups()
    python, platforms = (int(major), int(minor)), platforms_of(target)
    found = itertools.chain(
        packaging_tags.cpython_tags(python, [target.abi], platforms),
        packaging_tags.compatible_tags(python, f"cp{major}{minor}", platforms))
    free_threaded = "t" in flags        # has no stable ABI, which the library does not know yet
    return frozenset(str(tag) for tag in found if not (free_threaded and tag.abi == "abi3"))


@functools.lru_cache(maxsize=None)
def wheel_fits(tags, target):
    """Whether a wheel of these (lower-case, perhaps compressed) tags runs on the target."""
    return any(str(tag) in tags_of(target) for tag in packaging_tags.parse_tag(tags))


# ---- skips ----

@dataclasses.dataclass(frozen=True)
class Skip:
    """What is not given fits everything."""
    package: str = None
    specifier: str = None       # of versions, "<2"
    target: str = None
    prereleases: bool = False   # only those

    def fits(self, name, version, target):
        return (self.package in (None, name) and self.target in (None, target.name) and
                (self.specifier is None or SpecifierSet(self.specifier).contains(version, prereleases=True)) and
                (not self.prereleases or version.is_prerelease))


# ---- Requires-Python ----

def requires_python(path):
    """{file name: Requires-Python} of the files that are left in a loopback PyPI's world: events do not tell it."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return dict(connection.execute("SELECT filename, requires_python FROM file WHERE requires_python IS NOT NULL"))


@functools.lru_cache(maxsize=None)
def python_allowed(requires, target):
    """Whether some patch release of the target's Python would do, as pip judges it; what does not parse allows all."""
    major, minor = re.match(r"cp(\d)(\d+)", target.abi).groups()
    try:
        specifiers = SpecifierSet(requires)
    except InvalidSpecifier:
        return True
    return any(specifiers.contains(f"{major}.{minor}.{patch}") for patch in range(100))


# ---- what is expected of a database ----

def why_closed(project, version, release):
    """Why the version is built for no target at all, or None."""
    if project.quarantined or release.quarantined:
        return "quarantined"
    if release.yanked:
        return "yanked"
    if not isinstance(version, Version):
        return "no version"
    return None if release.sdists else "binary only"


def expected_version(name, project, version, release, targets, skips, requires):
    closed = why_closed(project, version, release)
    covered = [t.name for t in targets if any(wheel_fits(tags, t) for tags in release.wheels.values())]
    skipped = [t.name for t in targets if t.skip or isinstance(version, Version) and
               any(skip.fits(name, version, t) for skip in skips)]
    excluded = [t.name for t in targets if not python_allowed(requires.get(release.sdist(), ""), t)]
    missing = [t.name for t in targets if t.name not in (*covered, *skipped, *excluded)]
    return {
        "spellings": release.spellings,         # normalised each
        "released": release.released,
        "yanked": release.yanked,
        "quarantined": release.quarantined,
        "legacy": not isinstance(version, Version),
        "prerelease": isinstance(version, Version) and version.is_prerelease,
        "sdist": release.sdist(),
        "sdists": set(release.sdists),
        "wheels": dict(collections.Counter(release.wheels.values())),
        "others": set(release.others),
        "covered": covered,                     # by PyPI's own wheels
        "skipped": skipped,
        "excluded": excluded,                   # by Requires-Python
        "missing": missing,                     # none of these, in the targets' order
        "closed": closed,
        "open": missing[0] if missing and not closed else None,     # what would be built first
    }


def expected(path, targets=(), skips=(), until=None, requires=None):
    """{name: {"display", "quarantined", "versions": {key_of(version): …}}} after the events of a loopback PyPI's database.

    `targets` are Targets in their order. `requires` is what is known of Requires-Python, by the sdists' file names
    (requires_python(path) once all projects have been asked for); nothing, right after the events. The time in which an
    upload settles is left out of account.
    """
    return {
        name: {
            "display": project.display,
            "quarantined": project.quarantined,
            "versions": {
                key_of(version): expected_version(name, project, version, release, targets, skips, requires or {})
                for version, release in project.releases.items()},
        } for name, project in read(path, until).projects.items()}

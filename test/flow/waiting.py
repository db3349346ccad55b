"""Real builds of piwtest-waits, each of which goes on when its test tells it to."""
import pathlib

from harness import PIWHEELS, Process

PACKAGE = "piwtest-waits"


class Waiting:
    """One build on a real slave."""

    def __init__(self, farm, version, label="slave-a", after=0, root=""):
        """Root: where the slave's file system is seen from here."""
        self.farm, self.version = farm, version
        line = farm.master.wait_line(rf"\({label}\): builds {PACKAGE} {version} for (\S+) \(build (\d+)\)", after)
        self.target, self.attempt = line.group(1), int(line.group(2))
        self.directory = pathlib.Path(f"{root}{farm.directory}") / f"build-{label}" / f"attempt-{self.attempt}"

    def wait(self):
        """Until it has begun to wait."""
        followed = Process(PIWHEELS, "logs", "-f", self.attempt, "--control-socket", self.farm.socket)
        followed.wait_line("piwtest-waits: waits for ~/go")
        followed.kill()
        return self

    def let_go(self):
        (self.directory / "home" / "go").touch()

    def wait_built(self, after=0):
        self.farm.master.wait_line(rf"built {PACKAGE} {self.version} .*\(build {self.attempt}:", after)


def waiting(farm, *versions, **more):
    """Has these versions built; all of them have begun to wait when it returns."""
    begun = farm.master.mark()
    for version in versions:
        farm.add(PACKAGE, version)
    return [Waiting(farm, version, after=begun, **more).wait() for version in versions]


def wait_tried(farm, *expected):
    """Until these are the builds that have ended: version|outcome|class, sorted."""
    farm.wait_sql("""SELECT string_agg(what, ' ' ORDER BY what COLLATE "C") FROM (SELECT v.version || '|' || b.outcome || '|' || b.class
                  AS what FROM build b JOIN version v ON v.id = b.version) builds""", " ".join(sorted(expected)))

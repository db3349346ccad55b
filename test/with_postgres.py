"""Runs a command with a private PostgreSQL in PIW_TEST_PG: for the unit tests of suite "database"."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "flow"))
from postgres import Postgres  # noqa: E402


def main():
    server = Postgres()
    server.start()
    try:
        return subprocess.call(sys.argv[1:], env=dict(os.environ, PIW_TEST_PG=f"host={server.directory} user=postgres dbname=postgres"))
    finally:
        server.stop()
        server.remove()


if __name__ == "__main__":
    sys.exit(main())

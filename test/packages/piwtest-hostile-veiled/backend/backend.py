import signal
from pathlib import Path

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    for number in range(60):
        veiled = Path(f'/tmp/veiled-{number}')
        veiled.mkdir()
        (veiled / 'filler').write_bytes(bytes(5_000_000))
        veiled.chmod(0o000 if number % 2 else 0o400)
    Path('/build').chmod(0o000)
    signal.pause()

import zipfile
from pathlib import Path

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = make_wheel(folder)
    with zipfile.ZipFile(Path(folder, name), 'a', zipfile.ZIP_DEFLATED) as archive:
        with archive.open('zeros.bin', 'w') as member:
            for _ in range(400):
                member.write(bytes(1_000_000))
                print('inflates', flush=True)  # it is not to end for its silence
    return name

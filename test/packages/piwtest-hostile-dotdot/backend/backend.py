import zipfile
from pathlib import Path

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = make_wheel(folder)
    with zipfile.ZipFile(Path(folder, name), 'a') as archive:
        archive.writestr('../../evil.pth', 'import evil')
    return name

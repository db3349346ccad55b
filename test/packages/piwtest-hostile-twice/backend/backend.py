import warnings
import zipfile
from pathlib import Path

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    warnings.simplefilter('ignore')
    name = make_wheel(folder)
    with zipfile.ZipFile(Path(folder, name), 'a') as archive:
        archive.writestr('piwtest_hostile_twice.py', 'first = True')
        archive.writestr('piwtest_hostile_twice.py', 'second = True')
    return name

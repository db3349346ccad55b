import struct
import zipfile
from pathlib import Path

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel

SIZE = 1 << 40
MODULE = b'piwtest_hostile_zeros.py'


def build_wheel(folder, config_settings=None, metadata_directory=None):
    """The sizes of one member are those of a ZIP64 archive; its bytes are few."""
    name = make_wheel(folder)
    path = Path(folder, name)
    with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as archive:
        with archive.open(zipfile.ZipInfo('zeros.bin'), 'w', force_zip64=True) as member:
            member.write(bytes(10_000_000))
        archive.filelist[-1].file_size = SIZE
        archive._didModify = True
    return name

import os
from pathlib import Path

from hostile import held, refused
from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    Path('/build/shell').write_bytes(Path('/bin/true').read_bytes())
    why = refused(os.chmod, '/build/shell', 0o4755)
    refused(os.open, '/build/other', os.O_CREAT | os.O_WRONLY, 0o4755)
    held(f'no setuid file: {why}')

import os

from hostile import call, held, refused
from minimal_wheel import prepare_metadata_for_build_wheel

ATTACH, SEIZE = 16, 0x4206


def build_wheel(folder, config_settings=None, metadata_directory=None):
    why = [refused(call, 'ptrace', request, pid, 0, 0) for pid in (os.getppid(), 1) for request in (ATTACH, SEIZE)]
    held(f'ptrace: {why}')

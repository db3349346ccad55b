import os
from pathlib import Path

from hostile import escaped, held, host_folder
from minimal_wheel import prepare_metadata_for_build_wheel

SYSTEM = {'usr', 'proc', 'sys', 'dev', 'opt'}  # where it cannot be
SECRET = b'the key of the slave'


def places():
    for parent in [Path(host_folder()), *Path(host_folder()).parents]:
        yield parent
    for name in ('home', 'root', 'run', 'var', 'srv', 'mnt', 'media', 'tmp', 'build', 'etc/piwheels', 'proc/1/root'):
        yield Path('/', name)


def build_wheel(folder, config_settings=None, metadata_directory=None):
    for place in places():
        for path, folders, names in os.walk(place, onerror=lambda error: None):
            folders[:] = [name for name in folders if name not in SYSTEM]
            for name in names:
                if name == 'key' and SECRET in Path(path, name).read_bytes():
                    escaped(f'{path}/{name}')
    for environment in Path('/proc').glob('[0-9]*/environ'):
        try:
            if b'PIW_' in environment.read_bytes():
                escaped(f'{environment}')
        except OSError:
            pass
    held('no key anywhere')

import os

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    print('forking', flush=True)
    while True:
        try:
            os.fork()
        except OSError:
            pass

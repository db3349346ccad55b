import os
import time

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    os.chdir('/tmp')
    while True:
        try:
            os.mkdir('d')
            os.chdir('d')
            time.sleep(0.0003)  # or to remove them takes longer than to make them
        except OSError:
            pass

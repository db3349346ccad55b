import os
import time

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    print('piwtest-waits: waits for ~/go', flush=True)
    while not os.path.exists(os.path.expanduser('~/go')):
        time.sleep(0.05)
    return make_wheel(folder, tag=os.environ.get('PIWTEST_TAG', 'py3-none-any'))

import os
from importlib.metadata import version

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    print(f"piwtest-tells: PIWTEST_WORD is {os.environ.get('PIWTEST_WORD')}", flush=True)
    print(f"piwtest-tells: it has piwtest-pure {version('piwtest-pure')}", flush=True)
    return make_wheel(folder)

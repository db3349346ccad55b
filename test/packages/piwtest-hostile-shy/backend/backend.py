import signal
import tempfile

from hostile import call
from minimal_wheel import prepare_metadata_for_build_wheel

PR_SET_DUMPABLE = 4


def build_wheel(folder, config_settings=None, metadata_directory=None):
    call('prctl', PR_SET_DUMPABLE, 0, 0, 0, 0)
    kept = []
    for _ in range(100):
        kept.append(tempfile.TemporaryFile())
        kept[-1].write(bytes(10_000_000))
        kept[-1].flush()
    signal.pause()

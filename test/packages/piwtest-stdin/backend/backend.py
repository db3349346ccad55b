import sys

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def refuse_terminal():
    """What would ask a person for a password asks here; in a build nobody is there to answer."""
    try:
        open('/dev/tty', 'rb').close()
    except OSError:
        return
    raise SystemExit('piwtest-stdin: this build has a terminal, so it could wait for a person')


def build_wheel(folder, config_settings=None, metadata_directory=None):
    print('piwtest-stdin: reading', flush=True)
    count = len(sys.stdin.buffer.read())
    print(f'piwtest-stdin: stdin ended after {count} bytes', flush=True)
    refuse_terminal()
    return make_wheel(folder)

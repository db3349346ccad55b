from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel

LINES = 5_000
LINE = 'x' * 9_999  # long lines, for pip takes its time over every line


def build_wheel(folder, config_settings=None, metadata_directory=None):
    print('piwtest-floods: the first line of the flood')
    for _ in range(LINES):
        print(LINE)
    print('piwtest-floods: the last line of the flood', flush=True)
    return make_wheel(folder)

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    line = 'x' * 99_999
    while True:
        print(line)

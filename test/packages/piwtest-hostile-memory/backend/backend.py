from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    kept = []
    while True:
        kept.append(bytearray(b'x' * 10_000_000))

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel, record_line


def spoil(record):
    first, rest = record.split('\n', 1)
    path, _, size = first.split(',')
    return record_line(path, b'?' * int(size)) + rest


def build_wheel(folder, config_settings=None, metadata_directory=None):
    return make_wheel(folder, spoil_record=spoil)

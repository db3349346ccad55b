from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    return make_wheel(folder, file_dist='piwtest-pure', metadata_name='piwtest-pure')

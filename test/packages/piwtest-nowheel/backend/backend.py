from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    print('piwtest-nowheel: there will be no wheel', flush=True)
    return 'piwtest_nowheel-0.1-py3-none-any.whl'

import sys

from minimal_wheel import make_wheel, prepare_metadata_for_build_wheel

DIRT = (b'piwtest-dirty: a NUL \x00 here\n'
        b'piwtest-dirty: \x1b[31mred\x1b[0m, a bell \x07, a title \x1b]0;owned\x07\n'
        b'piwtest-dirty: no UTF-8 \xff\xfe\xc3(, half a character \xe2\x82\n'
        b'piwtest-dirty: one line\roverwritten by another\n'
        b'<script>alert("piwtest-dirty")</script>\n'
        b'piwtest-dirty: the end of the dirt\n')


def build_wheel(folder, config_settings=None, metadata_directory=None):
    sys.stdout.buffer.write(DIRT)
    sys.stdout.flush()
    return make_wheel(folder)

from importlib.metadata import version


def greet():
    return f'piwtest-pure {version("piwtest-pure")}'

def greet():
    return 'piwtest-dirty'

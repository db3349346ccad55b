def greet():
    return 'piwtest-legacy'

def greet():
    return 'piwtest-waits'

def greet():
    return 'piwtest-future'

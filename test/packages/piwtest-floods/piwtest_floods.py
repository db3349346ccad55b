def greet():
    return 'piwtest-floods'

def greet():
    return 'piwtest-stdin'

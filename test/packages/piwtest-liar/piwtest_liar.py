def greet():
    return 'piwtest-liar'

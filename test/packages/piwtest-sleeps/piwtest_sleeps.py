def greet():
    return 'piwtest-sleeps'

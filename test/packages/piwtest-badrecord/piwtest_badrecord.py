def greet():
    return 'piwtest-badrecord'

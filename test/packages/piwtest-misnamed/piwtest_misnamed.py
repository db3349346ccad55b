def greet():
    return 'piwtest-misnamed'

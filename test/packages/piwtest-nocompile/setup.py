from setuptools import Extension, setup

setup(ext_modules=[Extension('piwtest_nocompile', ['piwtest_nocompile.c'])])

from setuptools import Extension, setup

setup(ext_modules=[Extension('piwtest_zlib', ['piwtest_zlib.c'], libraries=['z'])])

"""Makes a C array of an ASCII file: embed.py NAME FILE > FILE.c"""
import sys

name, path = sys.argv[1:]
with open(path, 'rb') as source:
    data = source.read() + b'\0'
print(f'extern const char {name}[];\nconst char {name}[] = {{')
for start in range(0, len(data), 20):
    print('    ' + ' '.join(f'{byte},' for byte in data[start:start + 20]))
print('};')

"""Compresses its input with Python's zlib: level, strategy, bytes between flush points, kind of flush."""

import sys
import zlib

level, strategy, interval, flush = map(int, sys.argv[1:])
content = sys.stdin.buffer.read()
encoder = zlib.compressobj(level, zlib.DEFLATED, 31, 8, strategy)
for at in range(0, len(content), interval):
    sys.stdout.buffer.write(encoder.compress(content[at : at + interval]))
    sys.stdout.buffer.write(encoder.flush(flush))
sys.stdout.buffer.write(encoder.flush())

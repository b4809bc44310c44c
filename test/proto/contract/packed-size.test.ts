import { deepEqual, equal, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from '@sinclair/typebox';
import fc from 'fast-check';
import { pack, unpack } from '#proto/contract/contract.ts';
import { Envelope, toStored } from '#proto/contract/envelope.ts';
import { packedSize } from '#proto/contract/packed-size.ts';

const isSame = (value: unknown) => equal(packedSize(value), pack(Type.Unknown(), value).byteLength);

test('the size of data is the one that they have when they are packed', () => {
  const bounds = [
    0,
    31,
    32,
    127,
    128,
    255,
    256,
    32_767,
    32_768,
    65_535,
    65_536,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
  ];
  for (const bound of [...bounds, Number.MAX_SAFE_INTEGER, 0.5, 1e300]) {
    for (const value of [bound, -bound, -bound - 1])
      if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) isSame(value);
  }
  for (const length of [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536]) {
    isSame('x'.repeat(length));
    isSame(new Uint8Array(length));
    isSame(Array(length).fill(null));
    isSame(Object.fromEntries(Array.from({ length }, (_, i) => [`${i}`, true])));
  }
  isSame({ a: undefined, b: [undefined], ü: '€😀' });
  const data = fc.object({
    values: [fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.constant(null), fc.uint8Array()],
  });
  fc.assert(
    fc.property(data, (value) => {
      try {
        pack(Type.Unknown(), value);
      } catch {
        return;
      }
      isSame(value);
    }),
  );
});

test('an event is stored as it came, unless it has fields that no envelope has', () => {
  const event = {
    specversion: '1.0',
    id: 'a',
    source: '/b',
    type: 'terrace.c.d',
    time: 'e',
    data: { f: 1 },
  } as const;
  const bytes = pack(Envelope, event);
  strictEqual(toStored(bytes).bytes, bytes);
  const more = pack(Type.Unknown(), { ...event, toString: 'g', h: 'i' });
  deepEqual(toStored(more).event, event);
  deepEqual(toStored(more).bytes, bytes);
  deepEqual(unpack(Envelope, toStored(more).bytes), event);
});

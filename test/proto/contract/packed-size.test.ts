import { deepEqual, equal, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from '@sinclair/typebox';
import fc from 'fast-check';
import { pack, unpack } from '#proto/contract/contract.ts';
import { Envelope, toStored } from '#proto/contract/envelope.ts';
import { packedSize } from '#proto/contract/packed-size.ts';

const mustHavePackedSize = (value: unknown) =>
  equal(packedSize(value), pack(Type.Unknown(), value).byteLength);

test('packedSize is the number of bytes that pack returns', () => {
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
      if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) mustHavePackedSize(value);
  }
  for (const length of [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536]) {
    mustHavePackedSize('x'.repeat(length));
    mustHavePackedSize(new Uint8Array(length));
    mustHavePackedSize(Array(length).fill(null));
    mustHavePackedSize(Object.fromEntries(Array.from({ length }, (_, i) => [`${i}`, true])));
  }
  mustHavePackedSize({ a: undefined, b: [undefined], ü: '€😀' });
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
      mustHavePackedSize(value);
    }),
  );
});

test('an event is stored unchanged, except for fields that the envelope does not have', () => {
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

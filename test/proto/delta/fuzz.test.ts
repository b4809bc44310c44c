import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import { flushed, noise, text } from './blobs.ts';
import { applied, encoded, storedOf } from './in-memory.ts';

const SEED = 20_261_130;

const length = fc.oneof(fc.integer({ max: 300, min: 0 }), fc.integer({ max: 40_000, min: 0 }));
const seed = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const part = fc.oneof(
  fc.tuple(length, seed).map(([bytes, by]) => text(bytes, by)),
  fc.tuple(length, seed).map(([bytes, by]) => noise(bytes, by)),
  fc.tuple(length, fc.integer({ min: 0, max: 255 })).map(([bytes, byte]) => Buffer.alloc(bytes, byte)),
  fc
    .tuple(length, seed, fc.integer({ min: 0, max: 9 }))
    .map(([bytes, by, level]) => gzipSync(text(bytes, by), { level })),
);

type Encoder = (parts: Buffer[]) => Buffer;
const strategy = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  memLevel: fc.integer({ min: 1, max: 9 }),
  strategy: fc.integer({ min: 0, max: 4 }),
  windowBits: fc.integer({ min: 9, max: 15 }),
});
const encoder: fc.Arbitrary<Encoder> = fc.oneof(
  fc.constant((parts: Buffer[]) => Buffer.concat(parts)),
  strategy.map((some) => (parts: Buffer[]) => gzipSync(Buffer.concat(parts), some)),
  strategy.map((some) => (parts: Buffer[]) => Buffer.concat(parts.map((one) => gzipSync(one, some)))),
  fc
    .tuple(
      strategy,
      fc.constantFrom(constants.Z_SYNC_FLUSH, constants.Z_FULL_FLUSH, constants.Z_PARTIAL_FLUSH),
    )
    .map(
      ([some, flush]) =>
        (parts: Buffer[]) =>
          parts.length > 0 ? flushed(parts, flush, some) : Buffer.alloc(0),
    ),
  strategy.map(
    (some) =>
      ([first, ...parts]: Buffer[]) =>
        Buffer.concat([gzipSync(first ?? '', some), ...parts]),
  ),
  fc.tuple(strategy, fc.nat()).map(([some, at]) => (parts: Buffer[]) => {
    const gzip = gzipSync(Buffer.concat(parts), some);
    return gzip.subarray(0, at % gzip.length);
  }),
);
/** The parts of a base as those of a target: some are left out, moved, or new. */
const pair = fc
  .tuple(
    fc.array(part, { maxLength: 8 }),
    fc.array(part, { maxLength: 2 }),
    fc.infiniteStream(fc.nat()),
    encoder,
    encoder,
    fc.boolean(),
  )
  .map(([parts, fresh, choices, encode, other, isSame]) => {
    const changed = parts.filter(() => (choices.next().value as number) % 5 > 0);
    for (const one of fresh) changed.splice((choices.next().value as number) % (changed.length + 1), 0, one);
    return { bases: [encode(parts)], target: (isSame ? encode : other)(changed) };
  });

test('every delta makes its target', () => {
  fc.assert(
    fc.property(pair, ({ target, bases }) => {
      assert.deepEqual(applied(encoded(target, bases), bases, storedOf(target)), target);
    }),
    { seed: SEED, numRuns: 250 },
  );
});

const change = fc.tuple(
  fc.constantFrom('set', 'insert', 'delete', 'truncate'),
  fc.nat(),
  fc.integer({ min: 0, max: 255 }),
);

test('a damaged delta makes its target, or is refused as invalid', () => {
  const base = gzipSync(Buffer.concat([text(30_000), gzipSync(text(20_000, 2)), noise(2_000)]));
  const target = gzipSync(Buffer.concat([text(31_000), gzipSync(text(20_500, 2)), noise(2_000)]));
  const delta = encoded(target, [base, target.subarray(0, 900)]);
  const bases = [base, target.subarray(0, 900)];
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      let damaged = Buffer.from(delta);
      for (const [kind, place, byte] of changes) {
        const at = place % (damaged.length + 1);
        const [before, after] = [damaged.subarray(0, at), damaged.subarray(at)];
        if (kind === 'set') damaged = Buffer.concat([before, Buffer.of(byte), after.subarray(1)]);
        else if (kind === 'insert') damaged = Buffer.concat([before, Buffer.of(byte), after]);
        else if (kind === 'delete') damaged = Buffer.concat([before, after.subarray(1)]);
        else damaged = Buffer.from(before);
      }
      try {
        assert.deepEqual(applied(damaged, bases, storedOf(target)), target);
      } catch (error) {
        assert.ok(error instanceof DeltaInvalid, `${error}`);
      }
    }),
    { seed: SEED, numRuns: 1_000 },
  );
});

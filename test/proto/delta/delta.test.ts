import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, deflateRawSync, gunzipSync, gzipSync } from 'node:zlib';
import { bytesOf } from '#proto/delta/bytes/bytes.ts';
import { DELTA_FORMAT, encodeDelta, readDeltaHeader } from '#proto/delta/delta.ts';
import { BitWriter, fixed, flushed, member, noise, text, zipOf } from './blobs.ts';
import { applied, BOUNDS, blobOf, encoded, options, storedOf } from './in-memory.ts';

/** A delta makes the target again, bit for bit, for any encoder of the blobs. */

const before = Buffer.concat([text(300_000, 1), noise(20_000, 2), text(200_000, 3)]);
const after = Buffer.concat([before.subarray(0, 250_000), text(5_000, 9), before.subarray(251_000)]);

const roundTrip = (target: Buffer, bases: Buffer[]): Buffer => {
  const delta = encoded(target, bases);
  assert.deepEqual(applied(delta, bases, storedOf(target)), target);
  return delta;
};

const encoders: Record<string, (content: Buffer) => Buffer> = {
  'raw content': (content) => content,
  ...Object.fromEntries(
    [0, 6, 9].map((level) => [`gzip at level ${level}`, (content) => gzipSync(content, { level })]),
  ),
  'gzip with fixed codes': (content) => gzipSync(content, { strategy: constants.Z_FIXED }),
  'gzip of several members': (content) =>
    Buffer.concat([0, 1, 2].map((part) => gzipSync(content.subarray(part * 170_000, (part + 1) * 170_000)))),
  'gzip with trailing data': (content) => Buffer.concat([gzipSync(content), content.subarray(0, 1_000)]),
  'gzip flushed at points': (content) =>
    flushed(
      [content.subarray(0, 100_000), content.subarray(100_000, 100_007), content.subarray(100_007)],
      constants.Z_SYNC_FLUSH,
    ),
  'gzip flushed fully at points': (content) =>
    flushed([content.subarray(0, 100_000), content.subarray(100_000)], constants.Z_FULL_FLUSH),
};
for (const [name, encode] of Object.entries(encoders)) {
  test(`${name} crosses as a small delta`, () => {
    const [base, target] = [encode(before), encode(after)];
    const delta = roundTrip(target, [base]);
    assert.ok(delta.length < 0.2 * target.length, `${delta.length} of ${target.length} bytes`);
  });
}

test('a target compressed in another way than its base is made from the content', () => {
  const target = gzipSync(after, { level: 1 });
  for (const base of [before, gzipSync(before), gzipSync(before, { level: 1 })]) {
    roundTrip(target, [base]);
    assert.ok(roundTrip(after, [base]).length < 0.05 * after.length);
  }
});

test('what is compressed in the content is expanded, too', () => {
  const jar = (some: Buffer) =>
    zipOf({ 'a.class': text(60_000, 4), 'b.class': some, 'c.class': noise(9_000) });
  const layer = (some: Buffer) => gzipSync(Buffer.concat([text(5_000), jar(some), text(5_000, 2)]));
  const one = text(100_000, 5);
  const other = Buffer.concat([one.subarray(0, 50_000), Buffer.from('changed'), one.subarray(50_100)]);
  const target = layer(other);
  const delta = roundTrip(target, [layer(one)]);
  assert.ok(delta.length < 0.1 * target.length, `${delta.length} of ${target.length} bytes`);
});

const special: Record<string, () => Buffer> = {
  'a length of 258 as symbol 284 with all extra bits': () => {
    const bits = fixed(new BitWriter().put(1, 1).put(1, 2), 97);
    fixed(fixed(bits, 284).put(31, 5).code(0, 5), 285).code(0, 5);
    return member(fixed(bits, 256).pad(0).bytes, Buffer.alloc(517, 'a'));
  },
  'padding with set bits, behind the stream and before a stored block': () => {
    const bits = fixed(fixed(new BitWriter().put(0, 1).put(1, 2), 98), 256)
      .put(0, 1)
      .put(0, 2)
      .pad(1);
    bits
      .put(2, 16)
      .put(2 ^ 0xffff, 16)
      .put(0x4141, 16);
    return member(fixed(fixed(bits.put(1, 1).put(1, 2), 99), 256).pad(1).bytes, Buffer.from('bAAc'));
  },
  'empty blocks of each type': () => {
    const bits = new BitWriter().put(0, 3).pad(0).put(0, 16).put(0xffff, 16);
    const rest = fixed(fixed(bits.put(0, 1).put(1, 2), 256).put(1, 1).put(1, 2), 256).pad(0);
    return member(rest.bytes, Buffer.alloc(0));
  },
};
for (const [name, make] of Object.entries(special)) {
  test(`${name} is kept`, () => {
    const target = make();
    gunzipSync(target);
    roundTrip(target, []);
    roundTrip(target, [target]);
    roundTrip(Buffer.concat([target, gzipSync(text(2_000))]), [gzipSync(text(3_000))]);
  });
}

test('stored blocks are made wherever they begin in the buffer of the writer', () => {
  const block = (count: number) => {
    const head = Buffer.of(0, count & 255, count >> 8, ~count & 255, (~count >> 8) & 255);
    return Buffer.concat([head, Buffer.alloc(count, 7)]);
  };
  const last = Buffer.from(deflateRawSync(Buffer.alloc(0)));
  for (let first = 1; first <= 8; first += 1) {
    const blocks = [block(first), ...Array.from({ length: 32_768 }, () => block(3))];
    roundTrip(member(Buffer.concat([...blocks, last]), Buffer.alloc(first + 3 * 32_768, 7)), []);
  }
});

const damaged: Record<string, (gzip: Buffer) => Buffer> = {
  'cut off': (gzip) => gzip.subarray(0, gzip.length / 2),
  'with a damaged block': (gzip) => {
    const copy = Buffer.from(gzip);
    copy.fill(0xff, 1_000, 1_009);
    return copy;
  },
  'with a damaged second member': (gzip) => Buffer.concat([gzip, gzip.subarray(0, 10), noise(500)]),
  'cut off in its header': (gzip) => gzip.subarray(0, 7),
};
for (const [name, damage] of Object.entries(damaged)) {
  test(`gzip ${name} is bytes as they are`, () => {
    const [base, target] = [gzipSync(before), gzipSync(after)];
    roundTrip(damage(target), [base]);
    roundTrip(target, [damage(base)]);
    const delta = roundTrip(damage(target), [damage(base), damage(target)]);
    assert.ok(delta.length < 600, `${delta.length} bytes`);
  });
}

test('empty blobs, and 0 to 4 bases', () => {
  const bases = [gzipSync(before), Buffer.alloc(0), text(10_000, 8), gzipSync(text(50_000, 7))];
  for (const target of [Buffer.alloc(0), Buffer.of(1), gzipSync(''), gzipSync(after)]) {
    for (let count = 0; count <= 4; count += 1) roundTrip(target, bases.slice(0, count));
  }
  const both = gzipSync(Buffer.concat([before, text(50_000, 7)]));
  const [all, first] = [bases, bases.slice(0, 1)].map((some) => roundTrip(both, some).length);
  assert.ok((all ?? 0) < (first ?? 0), 'what only the last base has is found there');
});

test('references that begin like a dictionary with tables are content', () => {
  const magic = Buffer.concat([Buffer.of(0x37, 0xa4, 0x30, 0xec), text(50_000)]);
  const delta = roundTrip(Buffer.concat([magic.subarray(0, 30_000), Buffer.from('new')]), [magic]);
  assert.ok(delta.length < 600, `${delta.length} bytes`);
});

test('the header names the format, the target and the bases', () => {
  const bases = [gzipSync(before), text(1_000)];
  const target = gzipSync(after);
  const header = readDeltaHeader(bytesOf(encoded(target, bases)));
  assert.equal(header.format, DELTA_FORMAT);
  const plain = ({ length, sha256 }: { length: number; sha256: Uint8Array }) => [
    length,
    Buffer.from(sha256).toString('hex'),
  ];
  assert.deepEqual([header.target, ...header.bases].map(plain), [target, ...bases].map(storedOf).map(plain));
});

test('work ends at its bounds, and when its signal is aborted', () => {
  const target = gzipSync(Buffer.alloc(50_000_000));
  const bounds = (some: object) => () =>
    encodeDelta({
      ...options,
      bounds: { ...BOUNDS, ...some },
      target: blobOf(target),
      bases: [blobOf(target)],
    });
  assert.throws(bounds({ maxContentBytes: 49_999_999 }), { message: /the content/ });
  assert.throws(bounds({ maxContentRatio: 100 }), { message: /the content/ });
  assert.throws(bounds({ maxScratchBytes: 90_000_000 }), { message: /more than 90000000 scratch bytes/ });
  assert.throws(bounds({ maxTimeMs: 0 }), { message: /longer than its time/ });
  const signal = AbortSignal.abort(new Error('enough'));
  assert.throws(() => encoded(target, [], { signal }), { message: 'enough' });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ByteReader } from '#proto/volume/volume.ts';
import { CopiedBytes } from '../../../services/syncer/frames/copied-bytes.ts';
import { matchSegments } from '../../../services/syncer/frames/match.ts';
import { locateToc, readSegments } from '../../../services/syncer/frames/read-toc.ts';
import { WindowReader } from '../../../services/syncer/frames/window-reader.ts';
import { estargz } from '../../support/registry/framed-layers.ts';

const reader = (bytes: Buffer): ByteReader => ({
  read: async (buffer, position) => {
    const part = bytes.subarray(position, position + buffer.byteLength);
    buffer.set(part);
    return part.length;
  },
});

async function segmentsOf(layer: Buffer) {
  const place = await locateToc(reader(layer), layer.length);
  assert.ok(place);
  return readSegments(reader(layer), place, new AbortController().signal);
}

test('what is copied from other layers is what the layer has', async () => {
  const name = fc.constantFrom('a', 'b', 'c/d', 'e', 'f');
  const content = fc.tuple(fc.nat(5), fc.constantFrom(0, 1, 511, 512, 3_000, 70_000));
  const files = fc
    .dictionary(name, content, { minKeys: 1 })
    .map(
      (all) =>
        new Map(Object.entries(all).map(([file, [seed, size]]) => [file, Buffer.alloc(size, `${seed} `)])),
    );
  await fc.assert(
    fc.asyncProperty(files, files, files, async (first, second, third) => {
      const [wanted, ...bases] = [first, second, third].map((each) => estargz(each));
      assert.ok(wanted);
      const copied = new CopiedBytes();
      for (const base of bases) {
        const copies = matchSegments(await segmentsOf(wanted), await segmentsOf(base));
        assert.ok(copies);
        copied.add(new WindowReader(reader(base)), copies);
      }
      for (const { start, end } of copied.rows()) {
        const bytes = Buffer.alloc(end - start);
        assert.ok(await copied.read(bytes, start));
        assert.ok(bytes.equals(wanted.subarray(start, end)), `${start}-${end} differs`);
      }
    }),
    { numRuns: 100 },
  );
});

test('of a layer with one changed file, all but that and its headers is copied', async () => {
  const files = new Map(Array.from({ length: 50 }, (_, index) => [`f${index}`, randomBytes(10_000)]));
  const base = estargz(files);
  const wanted = estargz(new Map([...files, ['f20', randomBytes(10_000)]]));
  const copies = matchSegments(await segmentsOf(wanted), await segmentsOf(base)) ?? [];
  assert.equal(copies.length, 2);
  const bytes = copies.reduce((sum, { length }) => sum + length, 0);
  assert.ok(bytes >= 49 * 10_000 && bytes < 50 * 10_000, `${bytes}`);
});

test('nothing is copied from a layer of another encoder', async () => {
  const files = new Map(
    Array.from({ length: 50 }, (_, index) => [`f${index}`, Buffer.alloc(10_000, `${index}`)]),
  );
  const wanted = await segmentsOf(estargz(files));
  assert.ok(matchSegments(wanted, wanted));
  const starts = wanted.starts.map((start, index) => start + index);
  assert.equal(matchSegments(wanted, { ...wanted, starts, end: wanted.end + starts.length }), undefined);
});

test('a read that does not lie in copied bytes, or that a base no longer has, fails', async () => {
  const copied = new CopiedBytes();
  copied.add(reader(Buffer.alloc(1_000, 1)), [{ from: 0, at: 5_000, length: 1_000 }]);
  copied.add(reader(Buffer.alloc(500, 2)), [{ from: 0, at: 5_500, length: 1_000 }]);
  assert.deepEqual(copied.rows(), [{ start: 5_000, end: 6_500 }]);
  const read = (start: number, end: number) => copied.read(Buffer.alloc(end - start), start);
  assert.equal(await read(5_000, 6_000), true);
  assert.equal(await read(4_999, 5_001), false);
  assert.equal(await read(6_400, 6_600), false);
  assert.equal(await read(5_900, 6_400), false);
});

test('a table of contents whose offsets are not in order is odd', async () => {
  const layer = estargz(new Map([['a', Buffer.alloc(100)]]));
  const place = await locateToc(reader(layer), layer.length);
  assert.ok(place);
  const { signal } = new AbortController();
  await assert.rejects(readSegments(reader(layer), { ...place, end: 1 }, signal), /not in order/);
  const cut = { ...place, toc: { start: place.toc.start, end: place.toc.start + 30 } };
  await assert.rejects(readSegments(reader(layer), cut, signal), /can not be decompressed/);
  const elsewhere = { ...place, toc: { start: 0, end: place.toc.start } };
  await assert.rejects(readSegments(reader(layer), elsewhere, signal), /another name/);
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import type { BlobRanges, Positioned } from '../../../services/syncer/link/answers/byte-ranges.ts';
import { type Extent, Extents } from '../../../services/syncer/link/answers/extents.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import type { PartialSource } from '../../../services/syncer/transfer/download.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';
import { downloadBlob } from '../../support/download.ts';

const SIZE = 1_000_000;
const content = randomBytes(SIZE);
/** 1,000 of every 5,000 bytes are missing. */
const present = Array.from({ length: 200 }, (_, index) => ({
  start: index * 5_000 + 1_000,
  end: (index + 1) * 5_000,
}));
const MISSING = SIZE - new Extents(present).bytes;

type Served = { several: Extent[][]; single: Extent[] };

/** @param answer what is sent of several ranges; `undefined`: the parent sends one at a time */
function parentWith(
  answer: (extents: readonly Extent[], index: number) => AsyncGenerator<Positioned> | undefined,
) {
  const served: Served = { several: [], single: [] };
  let one: Extent | undefined;
  const parent: PartialSource = {
    blob: async (_repository, _digest, _size, extent) => {
      served.single.push(extent);
      const body = bytesOf([extent], SIZE);
      const buffers = (async function* () {
        for await (const { bytes } of body) yield bytes;
      })();
      return {
        start: extent.start,
        ranged: true,
        body: { destroy() {}, [Symbol.asyncIterator]: () => buffers },
      };
    },
    blobParts: async (_repository, _digest, _size, extents): Promise<BlobRanges | undefined> => {
      served.several.push([...extents]);
      const parts = answer(extents, served.several.length - 1);
      return parts && { one, destroy() {}, [Symbol.asyncIterator]: () => parts };
    },
  };
  const first = () => {
    one = { start: 0, end: 1_000 };
  };
  return { parent, served, first };
}

/** @param breaks after how many bytes the connection breaks */
async function* bytesOf(extents: readonly Extent[], breaks: number): AsyncGenerator<Positioned> {
  let sent = 0;
  for (const { start, end } of extents) {
    for (let at = start; at < end; at += 700) {
      if (sent >= breaks) throw new Fault('parent-unreachable', 'cut');
      const bytes = content.subarray(at, Math.min(end, at + 700));
      sent += bytes.length;
      yield { at, bytes };
    }
  }
}

const download = (parent: PartialSource) =>
  downloadBlob(content, parent, new Slots(2), UNLIMITED, { present, sparse: true });

test('many small parts are requested with few requests, each byte once', async () => {
  const { parent, served } = parentWith((extents) => bytesOf(extents, SIZE));
  const { gained } = await download(parent);
  assert.equal(gained, MISSING);
  assert.ok(served.several.length <= 4, `${served.several.length} requests`);
  assert.deepEqual(served.single, []);
  const asked = served.several.flat();
  assert.equal(
    asked.reduce((sum, { start, end }) => sum + end - start, 0),
    MISSING,
  );
});

test('what a broken answer did not bring is requested again, and nothing else', async () => {
  const { parent, served } = parentWith((extents, index) => bytesOf(extents, index === 0 ? 100_100 : SIZE));
  const { gained } = await download(parent);
  assert.equal(gained, MISSING);
  const asked = served.several.flat().reduce((sum, { start, end }) => sum + end - start, 0);
  const first = (served.several[0] ?? []).reduce((sum, { start, end }) => sum + end - start, 0);
  assert.ok(asked >= MISSING && asked <= MISSING + first - 100_000, `${asked}`);
});

test('a parent that sends one range at a time is asked for several once, then for what lies between, too', async () => {
  const { parent, served } = parentWith(() => undefined);
  const { gained } = await download(parent);
  assert.equal(gained, MISSING);
  assert.equal(served.several.length, 1);
  // The gaps are closer than a request is worth.
  assert.ok(served.single.length <= 8, `${served.single.length} requests`);
});

test('the first of several ranges is used if the parent sends no other', async () => {
  const { parent, served, first } = parentWith((extents) => bytesOf(extents.slice(0, 1), SIZE));
  first();
  const { gained } = await download(parent);
  assert.equal(gained, MISSING);
  assert.equal(served.several.length, 1);
  assert.ok(new Extents(served.single).reach(0) === 0, 'the first range was requested again');
});

test('a parent that leaves out parts of what it is asked for is asked for one at a time from then on', async () => {
  const { parent, served } = parentWith((extents) => bytesOf(extents.slice(0, 2), SIZE));
  const { gained } = await download(parent);
  assert.equal(gained, MISSING);
  assert.ok(served.several.length <= 2, `${served.several.length} requests`);
});

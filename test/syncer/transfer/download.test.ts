import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { Volume } from '#proto/volume/volume.ts';
import { type Extent, Extents } from '../../../services/syncer/link/answers/extents.ts';
import { REQUEST_BYTES, UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import type { BlobAnswer } from '../../../services/syncer/link/parent/parent-reader.ts';
import { Download } from '../../../services/syncer/transfer/download.ts';
import { ChunkLog } from '../../../services/syncer/transfer/pieces/chunk-log.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';
import { downloadBlob } from '../../support/download.ts';

const MIB = 1024 * 1024;
const wanted = { repository: 'a', digest: `sha256:${'a'.repeat(64)}` as Digest, size: 10 * MIB };

/** A parent that ignores Range and breaks at the same byte each time. */
const parent = {
  blob: async () => ({ start: 0, ranged: false, body: { destroy() {}, [Symbol.asyncIterator]: broken } }),
};
async function* broken() {
  yield Buffer.alloc(MIB, 1);
  throw new Fault('parent-unreachable', 'cut');
}

test('bytes that are fetched a second time are no progress', async () => {
  const root = await mkdtemp(join(tmpdir(), 'terrace-download-'));
  try {
    await mkdir(join(root, 'ingest'));
    const volume = new Volume(root);
    const claim = { id: 'x', claim: 'x', path: 'ingest', offset: 0 };
    const gained: number[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await using file = await volume.openIngest(claim);
      await using log = await ChunkLog.open(await volume.openLog(claim));
      const { signal } = new AbortController();
      const deps = { parent, file, log, slots: new Slots(4), bandwidth: UNLIMITED, signal, progress() {} };
      const download = new Download(wanted, deps);
      await assert.rejects(download.run(), { code: 'parent-unreachable' });
      gained.push(download.gained);
    }
    assert.deepEqual(gained, [MIB, 0, 0]);
  } finally {
    await rm(root, { recursive: true });
  }
});

/** A parent with ranged requests. It records them, and how many were open at a time. */
class RangedParent {
  readonly requests: Extent[] = [];
  maxOpen = 0;
  #open = 0;
  readonly content: Buffer;
  /** After how many bytes a request breaks, by its number. */
  readonly #breaks: Map<number, number>;

  constructor(content: Buffer, breaks = new Map<number, number>()) {
    this.content = content;
    this.#breaks = breaks;
  }

  async blob(
    _repository: string,
    _digest: Digest,
    _size: number,
    extent: Extent,
    _signal?: AbortSignal,
  ): Promise<BlobAnswer> {
    const number = this.requests.push(extent) - 1;
    this.#open += 1;
    this.maxOpen = Math.max(this.maxOpen, this.#open);
    const body = this.#body(extent, this.#breaks.get(number));
    return { start: extent.start, ranged: true, body: { destroy() {}, [Symbol.asyncIterator]: () => body } };
  }

  async *#body({ start, end }: Extent, breaks = Number.POSITIVE_INFINITY) {
    try {
      for (let at = start; at < end; at += 16_384) {
        if (at - start >= breaks) throw new Fault('parent-unreachable', 'cut');
        await new Promise((resolve) => setImmediate(resolve));
        yield this.content.subarray(at, Math.min(end, at + 16_384));
      }
    } finally {
      this.#open -= 1;
    }
  }
}

/** Slots of a link with 200 kB/s per connection, regardless of the speed of this machine. */
function slow(count: number): Slots {
  const slots = new Slots(count);
  slots.gauge.carried(200_000, 1_000);
  slots.gauge.carried = () => {};
  return slots;
}

const bytesOf = (extents: Extent[]) => extents.reduce((sum, { start, end }) => sum + end - start, 0);

test('several connections fetch each byte of a blob once, with small requests at the end', async () => {
  const content = randomBytes(9 * MIB);
  const parent = new RangedParent(content);
  const slots = slow(6);
  const { gained } = await downloadBlob(content, parent, slots);
  assert.equal(gained, content.length);
  assert.equal(bytesOf(parent.requests), content.length);
  assert.equal(new Extents(parent.requests).bytes, content.length);
  assert.equal(parent.maxOpen, 6);
  const lengths = parent.requests.map(({ start, end }) => end - start);
  assert.ok(Math.max(...lengths.slice(-6)) <= 500_000, `${lengths}`);
});

test('the other connections are opened while the first answer is awaited, as many as there are pieces for', async () => {
  const prepared = async (bytes: number) => {
    const content = randomBytes(bytes);
    const parent = new RangedParent(content);
    const counts: number[] = [];
    const prepareConnections = (count: number) => {
      assert.equal(parent.requests.length, 0);
      counts.push(count);
    };
    await downloadBlob(content, Object.assign(parent, { prepareConnections, roundTripMs: 20 }), new Slots(6));
    return counts;
  };
  assert.deepEqual(await prepared(9 * MIB), [6]);
  assert.deepEqual(await prepared(MIB), [2]);
  assert.deepEqual(await prepared(300_000), []);
});

test('slots that are added during a download are used at once', async () => {
  const content = randomBytes(8 * MIB);
  const parent = new RangedParent(content);
  const slots = slow(1);
  const downloading = downloadBlob(content, parent, slots);
  while (parent.requests.length < 2) await new Promise((resolve) => setImmediate(resolve));
  slots.resize(5);
  await downloading;
  assert.equal(parent.maxOpen, 5);
});

test('a request that breaks after some progress is continued from there', async () => {
  const content = randomBytes(4 * MIB);
  const parent = new RangedParent(
    content,
    new Map([
      [1, 131_072],
      [3, 262_144],
    ]),
  );
  await downloadBlob(content, parent, new Slots(3));
  const more = bytesOf(parent.requests) - content.length;
  const rest = [1, 3].map((number) => parent.requests[number]!).map(({ start, end }) => end - start);
  assert.equal(more, rest[0]! - 131_072 + rest[1]! - 262_144);
  assert.equal(new Extents(parent.requests).bytes, content.length);
});

test('a blob that one request fetches is hashed while it is written', async () => {
  const content = randomBytes(300_000);
  const { hashed } = await downloadBlob(content, new RangedParent(content), new Slots(4));
  assert.equal(hashed, `sha256:${createHash('sha256').update(content).digest('hex')}`);
});

test('under a limit, bandwidth for each byte is taken before its request, in small pieces', async () => {
  const content = randomBytes(2 * MIB);
  let taken = 0;
  const take = async (bytes: number) => {
    taken += bytes;
  };
  const bandwidth = { take, maxPieceBytes: 50_000 };
  const parent = new RangedParent(content);
  const fetchBlob = parent.blob.bind(parent);
  parent.blob = async (...query) => {
    assert.ok(taken >= bytesOf(parent.requests) + query[3].end - query[3].start);
    return fetchBlob(...query);
  };
  await downloadBlob(content, parent, new Slots(4), bandwidth);
  assert.equal(taken, content.length + parent.requests.length * REQUEST_BYTES);
  assert.ok(parent.requests.every(({ start, end }) => end - start <= 62_500));
});

test('the end of a download does not wait for a silent connection, and no received byte is fetched again', async () => {
  const content = randomBytes(2 * MIB);
  const parent = new RangedParent(content);
  const fetchBlob = parent.blob.bind(parent);
  parent.blob = async (repository, digest, size, extent, signal) => {
    const answer = await fetchBlob(repository, digest, size, extent, signal);
    if (parent.requests.length !== 2) return answer;
    const silent = async function* () {
      yield content.subarray(extent.start, extent.start + 100_000);
      await once(signal as AbortSignal, 'abort');
      throw new Fault('parent-unreachable', 'ended');
    };
    return { ...answer, body: { destroy() {}, [Symbol.asyncIterator]: silent } };
  };
  await downloadBlob(content, parent, slow(3));
  const [, second] = parent.requests;
  assert.equal(bytesOf(parent.requests), content.length + second!.end - second!.start - 100_000);
});

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
import {
  type Bandwidth,
  REQUEST_BYTES,
  UNLIMITED,
} from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import type { BlobAnswer } from '../../../services/syncer/link/parent/parent-registry.ts';
import { ChunkLog } from '../../../services/syncer/transfer/chunk-log.ts';
import { Download } from '../../../services/syncer/transfer/download.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';

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

test('what comes a second time is no progress', async () => {
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

/** A parent with ranges: what it is asked for, and at most so many requests at a time. */
class Ranges {
  readonly asked: Extent[] = [];
  most = 0;
  #open = 0;
  readonly content: Buffer;
  /** Requests that break off after so many bytes, by their number. */
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
    const number = this.asked.push(extent) - 1;
    this.#open += 1;
    this.most = Math.max(this.most, this.#open);
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

async function download(content: Buffer, from: Ranges, slots: Slots, bandwidth: Bandwidth = UNLIMITED) {
  const root = await mkdtemp(join(tmpdir(), 'terrace-download-'));
  try {
    await mkdir(join(root, 'ingest'));
    const volume = new Volume(root);
    const claim = { id: 'x', claim: 'x', path: 'ingest', offset: 0 };
    await using file = await volume.openIngest(claim);
    await using log = await ChunkLog.open(await volume.openLog(claim));
    const { signal } = new AbortController();
    const blob = { ...wanted, size: content.length };
    const coming = new Download(blob, { parent: from, file, log, slots, bandwidth, signal, progress() {} });
    const hashed = await coming.run();
    const came = Buffer.alloc(content.length);
    await file.read(came, 0);
    assert.ok(came.equals(content), 'the content differs');
    return { hashed, gained: coming.gained };
  } finally {
    await rm(root, { recursive: true });
  }
}

/** As on a link where one connection has 200 kB/s, whatever this machine does. */
function slow(count: number): Slots {
  const slots = new Slots(count);
  slots.gauge.carried(200_000, 1_000);
  slots.gauge.carried = () => {};
  return slots;
}

const bytesOf = (extents: Extent[]) => extents.reduce((sum, { start, end }) => sum + end - start, 0);

test('several connections bring a blob, and no byte twice; the last requests are small', async () => {
  const content = randomBytes(9 * MIB);
  const parent = new Ranges(content);
  const slots = slow(6);
  const { gained } = await download(content, parent, slots);
  assert.equal(gained, content.length);
  assert.equal(bytesOf(parent.asked), content.length);
  assert.equal(new Extents(parent.asked).bytes, content.length);
  assert.equal(parent.most, 6);
  const lengths = parent.asked.map(({ start, end }) => end - start);
  assert.ok(Math.max(...lengths.slice(-6)) <= 500_000, `${lengths}`);
});

test('slots that are added while a blob comes are used at once', async () => {
  const content = randomBytes(8 * MIB);
  const parent = new Ranges(content);
  const slots = slow(1);
  const coming = download(content, parent, slots);
  while (parent.asked.length < 2) await new Promise((resolve) => setImmediate(resolve));
  slots.resize(5);
  await coming;
  assert.equal(parent.most, 5);
});

test('a request that breaks after progress goes on where it broke', async () => {
  const content = randomBytes(4 * MIB);
  const parent = new Ranges(
    content,
    new Map([
      [1, 131_072],
      [3, 262_144],
    ]),
  );
  await download(content, parent, new Slots(3));
  const more = bytesOf(parent.asked) - content.length;
  const rest = [1, 3].map((number) => parent.asked[number]!).map(({ start, end }) => end - start);
  assert.equal(more, rest[0]! - 131_072 + rest[1]! - 262_144);
  assert.equal(new Extents(parent.asked).bytes, content.length);
});

test('a blob that one request brings is hashed on its way', async () => {
  const content = randomBytes(300_000);
  const { hashed } = await download(content, new Ranges(content), new Slots(4));
  assert.equal(hashed, `sha256:${createHash('sha256').update(content).digest('hex')}`);
});

test('under a limit, every byte is paid for before it is asked for, in small pieces', async () => {
  const content = randomBytes(2 * MIB);
  let paid = 0;
  const take = async (bytes: number) => {
    paid += bytes;
  };
  const bandwidth = { take, piece: 50_000 };
  const parent = new Ranges(content);
  const asking = parent.blob.bind(parent);
  parent.blob = async (...query) => {
    assert.ok(paid >= bytesOf(parent.asked) + query[3].end - query[3].start);
    return asking(...query);
  };
  await download(content, parent, new Slots(4), bandwidth);
  assert.equal(paid, content.length + parent.asked.length * REQUEST_BYTES);
  assert.ok(parent.asked.every(({ start, end }) => end - start <= 62_500));
});

test('the end of a blob does not wait for a connection that is silent, and no byte that came is asked for again', async () => {
  const content = randomBytes(2 * MIB);
  const parent = new Ranges(content);
  const asking = parent.blob.bind(parent);
  parent.blob = async (repository, digest, size, extent, signal) => {
    const answer = await asking(repository, digest, size, extent, signal);
    if (parent.asked.length !== 2) return answer;
    const silent = async function* () {
      yield content.subarray(extent.start, extent.start + 100_000);
      await once(signal as AbortSignal, 'abort');
      throw new Fault('parent-unreachable', 'ended');
    };
    return { ...answer, body: { destroy() {}, [Symbol.asyncIterator]: silent } };
  };
  await download(content, parent, slow(3));
  const [, second] = parent.asked;
  assert.equal(bytesOf(parent.asked), content.length + second!.end - second!.start - 100_000);
});

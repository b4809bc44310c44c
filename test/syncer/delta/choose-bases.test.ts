import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { chooseBases } from '../../../services/syncer/delta/worker/choose-bases.ts';
import { digestOf } from '../../storage/samples.ts';
import { layerOf, tarOf, versions } from './delta-rig.ts';

/** What is chosen if a candidate is very large once it is inflated. */

const MB = 1_000_000;
const folder = await mkdtemp(join(tmpdir(), 'terrace-bases-'));
test.after(() => rm(folder, { recursive: true }));

async function stored(bytes: Buffer) {
  const digest = digestOf(bytes);
  const path = join(folder, digest.replace(':', '-'));
  await writeFile(path, bytes);
  return { digest, size: bytes.length, path };
}

/** Time that passes by 1 ms with each check. */
class Clock {
  leftMs: number;
  constructor(leftMs: number) {
    this.leftMs = leftMs;
  }
  throwIfAborted(): void {
    this.leftMs -= 1;
    if (this.leftMs <= 0) throw new Error('too slow');
  }
}

const { old, next } = versions();
const [like, target] = [await stored(old), await stored(next)];
const bomb = await stored(gzipSync(tarOf({ zeros: Buffer.alloc(64 * MB) }), { level: 9 }));
const limits = { timeMs: 1, memoryBytes: 2 ** 30, scratchBytes: 2 ** 30, reserveBytes: 1 };
const NO_FILES = { get: () => undefined, keep: () => {} };
const chosenOf = async (clock: Clock) => {
  const task = { target, candidates: [bomb, like], maxBases: 4, limits };
  const bases = await chooseBases(task, clock, NO_FILES);
  return bases.map(({ digest }) => digest);
};

test('a candidate with far more content than bytes is not read to its end, and the next one is chosen', async () => {
  const clock = new Clock(100_000);
  assert.deepEqual(await chosenOf(clock), [like.digest]);
  assert.ok(100_000 - clock.leftMs < 200, `${100_000 - clock.leftMs} pieces were read`);
});

test('a candidate that takes too long leaves time for the next one', async () => {
  const clock = new Clock(200);
  assert.deepEqual(await chosenOf(clock), [like.digest]);
  assert.ok(clock.leftMs > 150, `${clock.leftMs} ms are left`);
});

test('a target with far more content than bytes has no base', async () => {
  const task = { target: bomb, candidates: [like, await stored(layerOf({ a: next }))] };
  const bases = await chooseBases({ ...task, maxBases: 4, limits }, new Clock(100_000), NO_FILES);
  assert.deepEqual(bases, []);
});

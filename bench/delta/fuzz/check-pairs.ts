import { gzipSync } from 'node:zlib';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import { noise, numbers } from '../../../test/proto/delta/blobs.ts';
import { applied, encoded, sha256, storedOf } from '../../../test/proto/delta/in-memory.ts';
import { type Encoder, encodersIn } from './encoders.ts';
import { layerPair, type Pick } from './layer-pair.ts';

/**
 * Checks pairs, as a process: `check-pairs.ts FOLDER FIRST COUNT STEP`. Prints the counts so far as a line of JSON, at
 * times and at its end; what is wrong, on stderr.
 */

/** Larger than any seed of a pair's parts. */
const LAYER_SEED = 7_919;
const REPORTED_PAIRS = 50;

/** What becomes of a blob behind its encoder. */
const ends: ((blob: Buffer, pick: Pick) => Buffer)[] = [
  (blob, pick) => Buffer.concat([blob, Buffer.alloc(pick(600))]),
  (blob, pick) => Buffer.concat([blob, noise(pick(3_000), 1 + pick(1_000))]),
  (blob) => Buffer.concat([blob, gzipSync('another member'), blob.subarray(0, 700)]),
  (blob) => Buffer.concat([blob, blob]),
  (blob, pick) => blob.subarray(0, pick(blob.length + 1)),
  (blob, pick) => {
    const damaged = Buffer.from(blob);
    const at = pick(damaged.length);
    if (damaged.length > 0) damaged[at] = (damaged[at] as number) ^ (1 << pick(8));
    return damaged;
  },
  (blob, pick) => Buffer.concat([noise(pick(50), 3), blob]),
];

function blobOf(content: Buffer, encoder: Encoder, seed: number): Buffer {
  const pick = numbers(seed);
  const blob = encoder.encode(content, pick);
  const end = ends[pick(3 * ends.length)];
  return end ? end(blob, pick) : blob;
}

function damagedCopy(delta: Buffer, pick: Pick): Buffer {
  const at = pick(delta.length);
  const kind = pick(4);
  const byte = Buffer.of(pick(256));
  if (kind === 0) return delta.subarray(0, at);
  const behind = kind === 1 ? delta.subarray(at) : delta.subarray(at + 1);
  return Buffer.concat([delta.subarray(0, at), kind === 3 ? Buffer.alloc(0) : byte, behind]);
}

/** Pairs that were checked; deltas smaller than their target; wrong targets; errors; damaged deltas refused. */
export type Counts = { pairs: number; smaller: number; wrong: number; failed: number; damaged: number };

function check(number: number, encoders: readonly Encoder[], counts: Counts): string {
  const pick = numbers(number * LAYER_SEED);
  const { before, after } = layerPair(1 + pick(2 ** 31 - 2));
  const encoder = encoders[number % encoders.length] as Encoder;
  // One of eight bases has another encoder, and one of six targets has more bases.
  const first = pick(8) === 0 ? (encoders[pick(encoders.length)] as Encoder) : encoder;
  const seed = 1 + pick(2 ** 31 - 2);
  const target = blobOf(after, encoder, seed);
  const bases = [blobOf(before, first, pick(2) === 0 ? seed : 1 + pick(1_000))];
  if (pick(6) === 0)
    bases.push(before.subarray(0, 40_000), noise(pick(900), 5), gzipSync(after.subarray(9_000)));
  const delta = encoded(target, bases);
  if (delta.length < target.length) counts.smaller += 1;
  if (!applied(delta, bases, storedOf(target)).equals(target)) counts.wrong += 1;
  try {
    const made = applied(damagedCopy(delta, pick), bases, storedOf(target));
    if (!sha256(made).equals(sha256(target))) counts.wrong += 1;
  } catch (error) {
    if (!(error instanceof DeltaInvalid)) throw error;
    counts.damaged += 1;
  }
  return encoder.name;
}

export type Report = Counts & { byEncoder: Record<string, number> };

if (import.meta.main) {
  const [folder = '', ...given] = process.argv.slice(2);
  const [first = 1, count = 1, step = 1] = given.map(Number);
  const encoders = encodersIn(folder, () => {});
  const counts: Counts = { pairs: 0, smaller: 0, wrong: 0, failed: 0, damaged: 0 };
  const byEncoder: Record<string, number> = {};
  const report = () => console.log(JSON.stringify({ ...counts, byEncoder } satisfies Report));
  for (let done = 0; done < count; done += 1) {
    const number = first + done * step;
    const before = counts.wrong;
    counts.pairs += 1;
    try {
      const name = check(number, encoders, counts);
      byEncoder[name] = (byEncoder[name] ?? 0) + 1;
    } catch (error) {
      counts.failed += 1;
      console.error(`pair ${number} failed:`, error);
    }
    if (counts.wrong > before) console.error(`pair ${number} is wrong`);
    if (done % REPORTED_PAIRS === 0) report();
  }
  report();
}

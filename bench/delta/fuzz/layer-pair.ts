import { deflateSync, gzipSync } from 'node:zlib';
import { noise, numbers, text, zipOf } from '../../../test/proto/delta/blobs.ts';

/** Generated layers: tar archives, and what an update changes in them. The same for the same seed. */

const BLOCK = 512;
/** 15 Nov 2023, the time of all entries unless an update sets another one. */
const BUILT_S = 1_700_000_000;

type Entry = { name: string; content: Buffer; mtimeS: number; hasPax: boolean };
export type Pick = (count: number) => number;

const sizes = [0, 10, 300, 511, 513, 3_000, 20_000, 90_000];
const choose = <T>(pick: Pick, from: readonly T[]): T => from[pick(from.length)] as T;

function contentOf(pick: Pick): Buffer {
  const size = Math.floor(choose(pick, sizes) * (0.5 + pick(100) / 100));
  const seed = 1 + pick(2 ** 31 - 2);
  switch (pick(8)) {
    case 0:
      return noise(size, seed);
    case 1:
      return Buffer.alloc(size, pick(256));
    case 2:
      return deflateSync(text(2 * size, seed), { level: pick(10) });
    case 3:
      return gzipSync(text(2 * size, seed), { level: pick(10) });
    case 4:
      return zipOf({ 'a.class': text(size, seed), 'b.class': text(size, 1 + pick(9)), c: noise(40, seed) });
    default:
      return text(size, seed);
  }
}

const entryOf = (pick: Pick): Entry => ({
  name: `usr/lib/${'d/'.repeat(pick(4))}f${pick(100_000)}`,
  content: contentOf(pick),
  mtimeS: BUILT_S,
  hasPax: pick(4) === 0,
});

/** A file after an update: bytes set, inserted or deleted; or inside of what is compressed. */
function updated(pick: Pick, content: Buffer): Buffer {
  const at = pick(content.length + 1);
  const length = Math.min(content.length - at, 1 + pick(200));
  switch (pick(5)) {
    case 0:
      return Buffer.concat([content.subarray(0, at), noise(length, at + 1), content.subarray(at + length)]);
    case 1:
      return Buffer.concat([content.subarray(0, at), text(1 + pick(300), at + 1), content.subarray(at)]);
    case 2:
      return Buffer.concat([content.subarray(0, at), content.subarray(at + length)]);
    case 3:
      return contentOf(pick);
    default:
      return gzipSync(Buffer.concat([text(20_000, 7), text(pick(500), 1 + pick(1_000)), text(9_000, 8)]));
  }
}

/** Content of a layer before and after an update. */
export function layerPair(seed: number): { before: Buffer; after: Buffer } {
  const pick = numbers(seed);
  const entries = Array.from({ length: pick(14) }, () => entryOf(pick));
  const after = entries.flatMap((entry): Entry[] => {
    const kind = pick(10);
    if (kind === 0) return [];
    if (kind < 3) return [{ ...entry, content: updated(pick, entry.content) }];
    return kind === 3 ? [entry, entryOf(pick)] : [entry];
  });
  if (pick(6) === 0) after.reverse();
  const hasNewTimes = pick(3) === 0;
  const stamped = after.map((entry, index) => ({
    ...entry,
    mtimeS: hasNewTimes ? BUILT_S + 86_400 + index : entry.mtimeS,
  }));
  // Also what is no tar.
  if (pick(8) === 0) return { before: contentOf(pick), after: updated(pick, contentOf(pick)) };
  return { before: tarOf(entries), after: tarOf(stamped) };
}

function tarOf(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ name, content, mtimeS, hasPax }) => {
    const header = headerOf(name, '0', content.length, mtimeS);
    if (!hasPax) return [header, padded(content)];
    const pax = Buffer.from(`30 mtime=${mtimeS}.123456789\n25 path=${name.slice(0, 15).padEnd(15)}\n`);
    return [headerOf(`PaxHeaders/${name}`, 'x', pax.length, mtimeS), padded(pax), header, padded(content)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

const padded = (content: Buffer): Buffer =>
  Buffer.concat([content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);

/** A header of POSIX.1-1988 (ustar). */
function headerOf(name: string, type: string, size: number, mtimeS: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) =>
    block.write(value.toString(8).padStart(width - 1, '0'), at);
  block.write(name.slice(0, 99), 0);
  octal(0o644, 100, 8);
  octal(size, 124, 12);
  octal(mtimeS, 136, 12);
  block.write(`        ${type}`, 148);
  block.write('ustar\x0000', 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  octal(sum, 148, 7);
  return block;
}

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text } from '../../test/proto/delta/blobs.ts';
import { contentOf } from '../../test/support/registry/content.ts';
import { type Run, runsOf } from './model.ts';

const MIB = 1024 * 1024;
/** Content for stored bytes: half of it is compressed already. */
const CONTENT_RATIO = 1.62;
const FAST = ['-1', '-n', '-c'];

/**
 * Writes a layer of about `size` bytes in gzip: half of its content is text, each run in letters of its own, and half
 * does not compress. Version 1 and a later one differ in their header and in 5 % of it.
 */
export async function writeCompressed(path: string, size: number, version: number): Promise<void> {
  const pool = text(4 * MIB);
  const contents = function* () {
    for (const run of runsOf(size * CONTENT_RATIO, version)) {
      yield run.index % 2 === 0 ? contentOf(run) : inOwnLetters(pool, run);
    }
  };
  // On all processors, where it is there.
  const program = spawnSync('pigz', ['--version']).status === 0 ? 'pigz' : 'gzip';
  const encoder = spawn(program, FAST, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = once(encoder, 'exit');
  await Promise.all([
    pipeline(Readable.from(contents()), encoder.stdin),
    pipeline(encoder.stdout, createWriteStream(path)),
  ]);
  const [code] = await exit;
  if (code !== 0) throw new Error(`${program} ended with code ${code}`);
}

/** Text of the pool with its letters exchanged: it compresses as well, and resembles no other run. */
function inOwnLetters(pool: Buffer, { seed, size }: Run): Buffer {
  const draws = contentOf({ seed, size: 260 });
  const letters = Uint8Array.from({ length: 256 }, (_, code) => code);
  for (let at = 255; at > 0; at -= 1) {
    const other = (draws[at] as number) % (at + 1);
    [letters[at], letters[other]] = [letters[other] as number, letters[at] as number];
  }
  const start = draws.readUInt32LE(256) % (pool.length - size);
  const run = Buffer.from(pool.subarray(start, start + size));
  for (let at = 0; at < size; at += 1) run[at] = letters[run[at] as number] as number;
  return run;
}

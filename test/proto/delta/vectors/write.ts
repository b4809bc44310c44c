import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { noise, text, zipOf } from '../blobs.ts';
import { encoded } from '../in-memory.ts';

/**
 * Writes the test vectors. What they hold is part of the format: add one for what they lack, and change one only with
 * the version of the format.
 */

const changed = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, 3_000), Buffer.from('changed'), bytes.subarray(3_500)]);
/** As in a program: addresses have changed by the same numbers, and a part of it is elsewhere. */
function moved(bytes: Buffer): Buffer {
  for (let at = 100; at < 12_000; at += 150) {
    bytes.writeInt32LE((bytes.readInt32LE(at) + (at % 450 === 100 ? 64 : -4_000)) | 0, at);
  }
  return Buffer.concat([bytes.subarray(15_000), Buffer.from('new'), bytes.subarray(0, 15_000)]);
}
const jar = (bytes: Buffer): Buffer =>
  Buffer.concat([
    text(2_000),
    zipOf({ 'same.class': text(6_000, 4), 'changed.class': bytes }),
    text(2_000, 6),
  ]);

const vectors: Record<string, [target: Buffer, ...bases: Buffer[]]> = {
  raw: [changed(text(9_000)), text(9_000)],
  aligned: [moved(noise(20_000)), noise(20_000)],
  gzip: [gzipSync(changed(text(9_000))), gzipSync(text(9_000))],
  members: [
    Buffer.concat([
      gzipSync(changed(text(9_000)), { level: 1 }),
      gzipSync('second', { level: 0 }),
      Buffer.from('behind'),
    ]),
    gzipSync(text(5_000)),
    text(9_000),
  ],
  embedded: [gzipSync(jar(changed(text(8_000, 5)))), gzipSync(jar(text(8_000, 5)))],
  'no-base': [gzipSync(text(3_000))],
};
for (const [name, [target, ...bases]] of Object.entries(vectors)) {
  const write = (part: string, bytes: Buffer) =>
    writeFileSync(new URL(`${name}.${part}`, import.meta.url), bytes);
  write('target', target);
  for (const [index, base] of bases.entries()) write(`base${index + 1}`, base);
  write('delta', encoded(target, bases));
}

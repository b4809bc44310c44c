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
const jar = (bytes: Buffer): Buffer =>
  Buffer.concat([
    text(2_000),
    zipOf({ 'same.class': text(6_000, 4), 'changed.class': bytes }),
    text(2_000, 6),
  ]);

const vectors: Record<string, [target: Buffer, ...bases: Buffer[]]> = {
  raw: [changed(text(9_000)), text(9_000)],
  copies: [Buffer.concat([Buffer.from('new'), noise(70_000)]), noise(70_000)],
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

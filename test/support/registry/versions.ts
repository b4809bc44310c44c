import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { contentOf } from './content.ts';

/** Layers of which each version resembles the one before. */

/** Text as gzip stores it, in half of its size: about 35 bytes a line, of which one in `changed` differs. */
export function gzipLayer(version: number, { seed = '', lines = 60_000, changed = 500 } = {}): Buffer {
  const text = Array.from({ length: lines }, (_, line) =>
    createHash('sha256')
      .update(`${seed} ${line} ${line % changed === 0 ? version : 0}`)
      .digest('hex'),
  );
  return gzipSync(text.join('\n'), { level: 6 });
}

/** Bytes that do not compress, stored as they are, of which the share `1 / parts` differs. */
export function rawLayer(version: number, size: number, { seed = 'raw', parts = 16 } = {}): Buffer {
  const step = Math.ceil(size / parts);
  return Buffer.concat(
    Array.from({ length: parts }, (_, part) =>
      contentOf({ seed: `${seed} ${part} ${part === 1 ? version : 0}`, size: step }),
    ),
  ).subarray(0, size);
}

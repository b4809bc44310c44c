import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that look random, do not compress, and are always the same for the same seed. */
export type Content = { seed: string; size: number };

const STEP = 128 * 1024;

/** One piece after the other, so that content of any size needs no memory. */
export function* pieces({ seed, size }: Content): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(STEP, size));
  for (let left = size; left > 0; left -= STEP) yield stream.update(zeros.subarray(0, Math.min(STEP, left)));
}

export const contentOf = (content: Content): Buffer => Buffer.concat([...pieces(content)]);

export const digestOf = (bytes: string | Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

import { createCipheriv, createHash } from 'node:crypto';

/** Pseudo-random bytes, which do not compress and are determined by the seed. */
export type Content = { seed: string; size: number };

const STEP = 128 * 1024;

/** Generated piece by piece, so that content of any size needs little memory. */
export function* pieces({ seed, size }: Content): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(STEP, size));
  for (let remaining = size; remaining > 0; remaining -= STEP)
    yield stream.update(zeros.subarray(0, Math.min(STEP, remaining)));
}

export const contentOf = (content: Content): Buffer => Buffer.concat([...pieces(content)]);

export const digestOf = (bytes: string | Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

import { createHash } from 'node:crypto';

/** A digest for each number. */
export const digestOf = (seed: number): string =>
  `sha256:${createHash('sha256').update(String(seed)).digest('hex')}`;

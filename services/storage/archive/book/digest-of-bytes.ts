import { createHash } from 'node:crypto';
import type { Digest } from '#proto/oci/names.ts';

export const digestOfBytes = (bytes: Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

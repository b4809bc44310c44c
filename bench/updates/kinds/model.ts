import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kind, Version } from './kind.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 1024 * MIB;
/** The header of `v2` is longer, so that all weights are at other offsets. */
const HEADER = { v1: 16_384, v2: 16_384 + 137 };
/** A run of weights that is trained again begins in each part of this size: 5 % of them. */
const PART = 10 * MIB;
const RUN = { min: 64 * KIB, max: 976 * KIB };

/** Weights of a model, in one file; 5 % of them, in runs of 64 KiB to 976 KiB, are others in `v2`. */
export const model: Kind = {
  name: 'model',
  change: 'model of 1 GiB, 5 % of it trained again',
  isPushedPlain: true,
  fill: async ({ folder, version }) => {
    await mkdir(join(folder, 'models'));
    await writeModel(join(folder, 'models/model.safetensors'), version);
    return 'FROM scratch\nCOPY models /models\n';
  },
};

async function writeModel(path: string, version: Version): Promise<void> {
  const file = createWriteStream(path);
  const write = async (bytes: Buffer) => {
    if (!file.write(bytes)) await once(file, 'drain');
  };
  await write(noise('header', HEADER[version]));
  for (let part = 0; part * PART < SIZE; part += 1) {
    const bytes = noise(`part ${part}`, Math.min(PART, SIZE - part * PART));
    if (version === 'v2') {
      const drawn = createHash('sha256').update(`run ${part}`).digest();
      const length = RUN.min + (drawn.readUInt32BE(0) % (RUN.max - RUN.min));
      const start = drawn.readUInt32BE(4) % Math.max(1, bytes.byteLength - length);
      noise(`run ${part}`, length).copy(bytes, start);
    }
    await write(bytes);
  }
  file.end();
  await once(file, 'close');
}

/** Bytes that don't get smaller, always the same for one seed. */
function noise(seed: string, size: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

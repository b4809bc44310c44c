import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Digest } from '#proto/oci/names.ts';
import { packSketch, type Sketch, unpackSketch } from '../choice/sketch.ts';

/** Of the format, and of how a sketch is made of content. */
const MAGIC = Buffer.from('TERSKE01');
const SUM_BYTES = 4;

/**
 * Sketches of content, by its digest, in files: a magic word, the sketch, and the CRC-32 of both. A cache that all
 * processes of the layer share: a file that can't be read, or written, only costs another reading of the content.
 */
export class SketchFiles {
  readonly #folder: string;
  readonly #onWrite: (bytes: number) => void;

  /** @param onWrite called before bytes are written; it throws if there is no space for them */
  constructor(folder: string, onWrite: (bytes: number) => void = () => {}) {
    this.#folder = folder;
    this.#onWrite = onWrite;
  }

  get(digest: Digest): Sketch | undefined {
    const path = this.#pathOf(digest);
    try {
      const bytes = readFileSync(path);
      const content = bytes.subarray(0, -SUM_BYTES);
      if (!content.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
      if (crc32(content) !== bytes.readUInt32BE(content.length)) return undefined;
      const now = new Date();
      // Those that were not used for the longest time are deleted first.
      utimesSync(path, now, now);
      return unpackSketch(content.subarray(MAGIC.length));
    } catch {
      return undefined;
    }
  }

  keep(digest: Digest, sketch: Sketch): void {
    const content = Buffer.concat([MAGIC, packSketch(sketch)]);
    const sum = Buffer.alloc(SUM_BYTES);
    sum.writeUInt32BE(crc32(content));
    const path = this.#pathOf(digest);
    const written = `${path}.${randomUUID()}`;
    try {
      this.#onWrite(content.length + SUM_BYTES);
      writeFileSync(written, Buffer.concat([content, sum]), { mode: 0o600, flag: 'wx' });
      renameSync(written, path);
    } catch {
      // What is left of it is deleted with the oldest ones.
    }
  }

  #pathOf(digest: Digest): string {
    return join(this.#folder, digest.replace(':', '-'));
  }
}

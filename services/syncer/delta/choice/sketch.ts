import { crc32 } from 'node:zlib';

/**
 * What content consists of, in short: of a tar archive the paths and sizes of its largest files, of other content a
 * sample of its chunks. Pure.
 */

/** Max parts of a sketch. */
export const MAX_PARTS = 4_096;
const MAX_SIZE = 0xffff_ffff;
const ENTRY_BYTES = 8;
const KINDS = ['files', 'chunks'] as const;

export type Sketch = {
  kind: (typeof KINDS)[number];
  /** Sizes of the parts, in bytes, by a hash of what they are. */
  parts: Map<number, number>;
  /** Of a sample: parts with a hash above this one were left out. */
  below: number;
};

const NOTHING_LEFT_OUT = MAX_SIZE;

/** Gathers the largest files. */
export class FileSketch {
  readonly #files = new Map<number, number>();

  add(path: string, size: number): void {
    if (size === 0) return;
    // A new version often has another number in its name.
    const key = crc32(path.replace(/^\.?\//, '').replace(/\d+/g, '0'));
    this.#files.set(key, Math.max(Math.min(size, MAX_SIZE), this.#files.get(key) ?? 0));
    if (this.#files.size >= 4 * MAX_PARTS) this.#trim();
  }

  end(): Sketch {
    this.#trim();
    return { kind: 'files', parts: this.#files, below: NOTHING_LEFT_OUT };
  }

  #trim(): void {
    const bySize = [...this.#files].sort(([, one], [, other]) => other - one);
    for (const [key] of bySize.slice(MAX_PARTS)) this.#files.delete(key);
  }
}

/** Gathers the chunks with the lowest hashes: the same ones of each content. */
export class ChunkSketch {
  readonly #chunks = new Map<number, number>();
  #below = NOTHING_LEFT_OUT;

  add(chunk: Uint8Array): void {
    const key = crc32(chunk);
    if (key <= this.#below) this.#chunks.set(key, chunk.length);
    if (this.#chunks.size >= 4 * MAX_PARTS) this.#trim();
  }

  end(): Sketch {
    if (this.#chunks.size > MAX_PARTS) this.#trim();
    return { kind: 'chunks', parts: this.#chunks, below: this.#below };
  }

  #trim(): void {
    const keys = [...this.#chunks.keys()].sort((one, other) => one - other);
    this.#below = keys[MAX_PARTS - 1] as number;
    for (const key of keys.slice(MAX_PARTS)) this.#chunks.delete(key);
  }
}

/** As 32 KiB at most, and 8 bytes. */
export function packSketch({ kind, parts, below }: Sketch): Buffer {
  const bytes = Buffer.alloc(ENTRY_BYTES * (parts.size + 1));
  bytes.writeUInt32BE(KINDS.indexOf(kind), 0);
  bytes.writeUInt32BE(below, 4);
  let at = ENTRY_BYTES;
  for (const [key, size] of parts) {
    bytes.writeUInt32BE(key, at);
    bytes.writeUInt32BE(size, at + 4);
    at += ENTRY_BYTES;
  }
  return bytes;
}

export function unpackSketch(bytes: Buffer): Sketch {
  const parts = new Map<number, number>();
  for (let at = ENTRY_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    parts.set(bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4));
  }
  return { kind: KINDS[bytes.readUInt32BE(0)] ?? 'chunks', parts, below: bytes.readUInt32BE(4) };
}

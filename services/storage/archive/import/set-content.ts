import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Content } from '#proto/archive/list.ts';
import { partName } from '#proto/archive/set-names.ts';
import { MAX_MANIFEST_BYTES } from '#proto/oci/manifest.ts';
import { splitDigest } from '#proto/oci/names.ts';
import type { FoundSet } from './found-sets.ts';

const READ_BYTES = 1024 * 1024;

/** A part of a set. `index` from 0. */
export type PartOfSet = { set: FoundSet; index: number };

/** Content of a set. */
export type Source = { set: FoundSet; content: Content };

/**
 * Finds content in the parts of sets, by the offsets in their lists, the newest set first. Nothing is believed: bytes
 * are compared with their digest when they are read.
 */
export class SetContent implements AsyncDisposable {
  readonly #sources = new Map<string, Source[]>();
  /** Parts that are known to be damaged or missing. */
  readonly #bad = new Set<string>();
  /** Where parts are that were rebuilt, by `keyOf`. */
  readonly #rebuilt = new Map<string, string>();

  /** @param sets newest first */
  constructor(sets: readonly FoundSet[]) {
    for (const set of sets) {
      for (const content of set.list.content) {
        const known = this.#sources.get(content.digest);
        if (known) known.push({ set, content });
        else this.#sources.set(content.digest, [{ set, content }]);
      }
    }
  }

  /** Undefined if no set has it, or only in parts that can't be used. */
  find(digest: string): Source | undefined {
    return this.#sources
      .get(digest)
      ?.find(({ set, content }) => content.pieces.every(({ part }) => !this.#bad.has(keyOf(set, part))));
  }

  /** Sets that list it, whether or not their parts can be used. */
  setsWith(digest: string): FoundSet[] {
    return (this.#sources.get(digest) ?? []).map(({ set }) => set);
  }

  /** The part can't be used. */
  reject({ set, index }: PartOfSet): void {
    this.#bad.add(keyOf(set, index));
  }

  /** The part was computed again, into this file, which is deleted at the end. */
  replace({ set, index }: PartOfSet, path: string): void {
    this.#rebuilt.set(keyOf(set, index), path);
    this.#bad.delete(keyOf(set, index));
  }

  pathOf({ set, index }: PartOfSet): string {
    return this.#rebuilt.get(keyOf(set, index)) ?? join(set.folder, partName(set.name, index));
  }

  /** Bytes of a manifest. Undefined if they are not there, or not those of the digest. */
  async manifest(digest: string): Promise<Uint8Array | undefined> {
    for (let source = this.find(digest); source; source = this.find(digest)) {
      if (source.content.size > MAX_MANIFEST_BYTES) return undefined;
      const bytes = await this.#bytes(source).catch(() => undefined);
      const [algorithm, hex] = splitDigest(digest);
      if (bytes && createHash(algorithm).update(bytes).digest('hex') === hex) return bytes;
      for (const { part } of source.content.pieces) this.reject({ set: source.set, index: part });
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#rebuilt.values()) await rm(path, { force: true });
  }

  async #bytes(source: Source): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.chunks(source)) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  }

  /** Content in chunks; each is valid until the next one is requested. */
  async *chunks({ set, content }: Source): AsyncGenerator<Uint8Array> {
    for (const { part, offset, size } of content.pieces) {
      await using file = await open(this.pathOf({ set, index: part }), 'r');
      yield* rangeOf(file, offset, size);
    }
  }
}

/** A range of a file. Ends where the file does. */
export async function* rangeOf(file: FileHandle, from: number, size: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, Math.max(1, size)));
  for (let done = 0; done < size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.byteLength, size - done), from + done);
    if (bytesRead === 0) return;
    done += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

const keyOf = ({ name }: FoundSet, part: number): string => `${name} ${part}`;

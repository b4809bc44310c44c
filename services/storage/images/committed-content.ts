import { open } from 'node:fs/promises';
import { Fault } from '#proto/contract/fault.ts';
import { jsonOf, MAX_MANIFEST_BYTES, type Manifest } from '#proto/oci/manifest.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { BlobStore } from '../content/blob-store.ts';

/** A manifest as it was read: its references, and its JSON. */
export type ReadManifest = Manifest & { json: unknown };

/**
 * Small committed files, for what is said of images. Damage is not reported here: a reader of the content and a scrub
 * do that.
 */
export class CommittedContent {
  readonly #store: Pick<BlobStore, 'file'>;

  constructor(store: Pick<BlobStore, 'file'>) {
    this.#store = store;
  }

  /** @returns undefined if the file is missing, larger than `maxBytes` or can't be read */
  async read(digest: string, maxBytes: number): Promise<Buffer | undefined> {
    try {
      await using file = await open(this.#store.file(digest), 'r');
      const { size } = await file.stat();
      if (size > maxBytes) return undefined;
      const bytes = Buffer.alloc(size);
      const { bytesRead } = await file.read(bytes, 0, size, 0);
      return bytesRead === size ? bytes : undefined;
    } catch (error) {
      if (['ENOENT', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw error;
    }
  }

  /** @returns undefined if it can't be read, or is no manifest */
  async manifest(digest: string, mediaType: string): Promise<ReadManifest | undefined> {
    const bytes = await this.read(digest, MAX_MANIFEST_BYTES);
    if (!bytes) return undefined;
    try {
      return { ...readManifest(bytes, mediaType), json: jsonOf(bytes) };
    } catch (error) {
      if (Fault.is(error)) return undefined;
      throw error;
    }
  }
}

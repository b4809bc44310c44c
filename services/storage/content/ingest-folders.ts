import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { INGESTS, ingestFiles, ingestPath } from '#proto/volume/layout.ts';
import { sizeOf } from './blob-store.ts';

/*
 * Content being written (layout.ts has the files):
 *
 *   ingest/upload-<random>/           from a client
 *   ingest/transfer-<alg>-<hex>/      over the link; one for each digest
 *   ingest/trash-<random>/            about to be deleted
 */
const UPLOAD = /^upload-[0-9a-f]{32}$/;
const TRANSFER = /^transfer-(sha256|sha512)-([0-9a-f]+)$/;

export const newUploadId = (): string => `upload-${randomBytes(16).toString('hex')}`;
export const isUploadId = (id: string): boolean => UPLOAD.test(id);
export const transferId = (digest: string): string => `transfer-${digest.replace(':', '-')}`;

/** Relative to the data volume. */
export const transferPath = (digest: string): string => ingestPath(transferId(digest));

/** The digest that a transfer's folder is for; what it gives for any other name is none. */
export const digestOfTransfer = (id: string): string => TRANSFER.exec(id)?.slice(1).join(':') ?? '';

export class IngestFolders {
  readonly #root: string;

  constructor(data: string) {
    this.#root = join(data, INGESTS);
  }

  /** Every folder there is, trash included. */
  async all(): Promise<string[]> {
    await mkdir(this.#root, { recursive: true });
    return readdir(this.#root);
  }

  /** Absolute. */
  folder(id: string): string {
    return join(this.#root, id);
  }

  /** Relative to the data volume. */
  path(id: string): string {
    return ingestPath(id);
  }

  /** Bytes in the file `data`. */
  async offset(id: string): Promise<number> {
    return (await sizeOf(ingestFiles(this.folder(id)).data)) ?? 0;
  }

  /** @returns whether it was there already */
  async make(id: string): Promise<boolean> {
    return (await mkdir(this.folder(id), { recursive: true })) === undefined;
  }

  /** Goes as a whole or not at all, wherever the process ends. */
  async remove(id: string): Promise<void> {
    const trash = join(this.#root, `trash-${randomBytes(8).toString('hex')}`);
    await rename(this.folder(id), trash).catch(unlessMissing);
    await rm(trash, { recursive: true, force: true });
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

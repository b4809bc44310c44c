import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ClaimState, changeClaim, createClaim, removeClaim } from '#proto/volume/claim-files.ts';
import { INGESTS, ingestFiles, ingestPath } from '#proto/volume/layout.ts';
import { sizeOf } from './blob-store.ts';

/*
 * Folders of content being written (`proto/volume/layout.ts` names the files in them):
 *
 *   ingest/upload-<random>/           uploaded by a client
 *   ingest/transfer-<alg>-<hex>/      transferred over the link; one per digest
 *   ingest/new-<random>               a file with content that came in a request (`BlobStore.stage`)
 *   ingest/trash-<random>/            to be deleted
 */
const UPLOAD = /^upload-[0-9a-f]{32}$/;
const TRANSFER = /^transfer-(sha256|sha512)-([0-9a-f]+)$/;

export const newUploadId = (): string => `upload-${randomBytes(16).toString('hex')}`;
export const isUploadId = (id: string): boolean => UPLOAD.test(id);
export const transferId = (digest: string): string => `transfer-${digest.replace(':', '-')}`;

/** Path relative to the data volume. */
export const transferPath = (digest: string): string => ingestPath(transferId(digest));

/** Digest in the name of a transfer's folder. For any other name the result is not a digest. */
export const digestOfTransfer = (id: string): string => TRANSFER.exec(id)?.slice(1).join(':') ?? '';

/** Sizes of ingests, in bytes. */
export interface IngestSizes {
  offset(id: string): Promise<number>;
}

/** The folders of all ingests. */
export class IngestFolders implements IngestSizes {
  readonly #root: string;

  constructor(data: string) {
    this.#root = join(data, INGESTS);
  }

  /** Names of all folders, trash included. */
  async all(): Promise<string[]> {
    await mkdir(this.#root, { recursive: true });
    return readdir(this.#root);
  }

  /** Absolute path. */
  folder(id: string): string {
    return join(this.#root, id);
  }

  /** Path relative to the data volume. */
  path(id: string): string {
    return ingestPath(id);
  }

  /** Size of the file `data`, in bytes. */
  async offset(id: string): Promise<number> {
    return (await sizeOf(ingestFiles(this.folder(id)).data)) ?? 0;
  }

  /** @returns whether the folder existed already */
  async make(id: string): Promise<boolean> {
    return (await mkdir(this.folder(id), { recursive: true })) === undefined;
  }

  /**
   * Removes the folder of an ingest whose content was moved away.
   * @param claim token of the claim on an upload
   */
  async removeEmptied(id: string, claim: string | undefined): Promise<void> {
    if (claim !== undefined) await this.removeClaim(id, { token: claim, state: 'active' });
    // Other files are left if the content was here already, or of a transfer.
    await rmdir(this.folder(id)).catch(() => this.remove(id));
  }

  /** Creates the file of a claim: see `proto/volume/claim-files.ts`. */
  createClaim(id: string, claim: ClaimState): Promise<void> {
    return createClaim(this.folder(id), claim);
  }

  /** @returns false if no claim of this token is in this state */
  changeClaim(id: string, from: ClaimState, to: ClaimState): Promise<boolean> {
    return changeClaim(this.folder(id), from, to);
  }

  removeClaim(id: string, claim: ClaimState): Promise<boolean> {
    return removeClaim(this.folder(id), claim);
  }

  /** Atomic, also in a crash: renames the folder to trash before it is deleted. */
  async remove(id: string): Promise<void> {
    const trash = join(this.#root, `trash-${randomBytes(8).toString('hex')}`);
    await rename(this.folder(id), trash).catch(unlessMissing);
    await rm(trash, { recursive: true, force: true });
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

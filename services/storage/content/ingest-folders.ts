import { mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomHex } from '#proto/contract/random-hex.ts';
import { type ClaimState, changeClaim, createClaim, removeClaim } from '#proto/volume/claim-files.ts';
import { INGESTS, ingestFiles, ingestPath, SPARE } from '#proto/volume/layout.ts';
import { sizeOf } from './blob-store.ts';

/*
 * Folders of content being written (`proto/volume/layout.ts` names the files in them):
 *
 *   ingest/upload-<random>/           uploaded by a client
 *   ingest/transfer-<alg>-<hex>/      transferred over the link; one per digest
 *   ingest/new-<random>               a file with content that came in a request (`BlobStore.stage`)
 *   ingest/trash-<random>/            to be deleted
 *   spare/<random>/                   without content, to become the folder of another upload
 */
const UPLOAD = /^upload-[0-9a-f]{32}$/;
const TRANSFER = /^transfer-(sha256|sha512)-([0-9a-f]+)$/;

export const newUploadId = (): string => `upload-${randomHex()}`;
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

/** Max folders that are kept for the next uploads. */
const MAX_SPARE = 16;

/** The folders of all ingests. */
export class IngestFolders implements IngestSizes {
  readonly #root: string;
  /** Folders with nothing in them but, unless the upload was held from its start, the file of an active claim. */
  readonly #spare: { folder: string; token: string }[] = [];
  readonly #spareRoot: string;

  constructor(data: string) {
    this.#root = join(data, INGESTS);
    this.#spareRoot = join(data, SPARE);
  }

  /** Names of all folders, trash included. Spare ones of an earlier start are deleted. */
  async all(): Promise<string[]> {
    await mkdir(this.#root, { recursive: true });
    await rm(this.#spareRoot, { recursive: true, force: true });
    await mkdir(this.#spareRoot);
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
    return sizeOf(ingestFiles(this.folder(id)).data) ?? 0;
  }

  /** @returns whether the folder existed already */
  async make(id: string): Promise<boolean> {
    return mkdirSync(this.folder(id), { recursive: true }) === undefined;
  }

  /** Makes the folder of a new upload, or uses a spare one: to create and delete folders is slow. */
  async makeUpload(id: string, claim: ClaimState | undefined): Promise<void> {
    const spare = claim && this.#spare.pop();
    if (spare && renamed(spare.folder, this.folder(id))) {
      if (await this.changeClaim(id, { token: spare.token, state: 'active' }, claim)) return;
    }
    await this.make(id);
    if (claim) await this.createClaim(id, claim);
  }

  /**
   * Keeps the folder of an upload whose content was moved away as a spare one. Only if every earlier holder of a claim
   * has released it: another one might still create a file in the folder.
   * @param token of the active claim
   * @returns false if there are enough, or if it has other files
   */
  keepEmptied(id: string, token: string): boolean {
    const { data, copy } = ingestFiles(this.folder(id));
    if (this.#spare.length >= MAX_SPARE || sizeOf(data) !== undefined || sizeOf(copy) !== undefined)
      return false;
    const folder = join(this.#spareRoot, randomHex());
    if (!renamed(this.folder(id), folder)) return false;
    this.#spare.push({ folder, token });
    return true;
  }

  /**
   * Removes the folder of an ingest whose content was moved away.
   * @param claim token of the claim on an upload
   */
  async removeEmptied(id: string, claim: string | undefined): Promise<void> {
    if (claim !== undefined) await this.removeClaim(id, { token: claim, state: 'active' });
    // Other files are left if the content was here already, or of a transfer.
    try {
      rmdirSync(this.folder(id));
    } catch {
      await this.remove(id);
    }
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
    const trash = join(this.#root, `trash-${randomHex()}`);
    await rename(this.folder(id), trash).catch(unlessMissing);
    await rm(trash, { recursive: true, force: true });
  }
}

/** Renames a folder. @returns false if it, or the folder above the new one, does not exist */
function renamed(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    unlessMissing(error as NodeJS.ErrnoException);
    return false;
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

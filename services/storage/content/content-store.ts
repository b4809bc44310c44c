import type { Static } from '@sinclair/typebox';
import type { BlobPlace } from '#proto/content/blobs.ts';
import type { Claim, claimTransfer } from '#proto/content/ingests.ts';
import type { Garbage } from '#proto/content/maintenance.ts';
import type { IngestRecord } from '../metadata/records.ts';

/**
 * Roles of a content store. A part of storage names those that it needs. `test/storage/content/suite.ts` is the
 * contract of all of them: a store is one if it passes. Faults: see `proto/content/blobs.ts` and
 * `proto/content/ingests.ts`.
 */

export type CommitQuery = {
  id: string;
  claim: string;
  digest: string;
  size?: number;
  hashed?: string;
  repository?: string;
};

export type TransferQuery = Static<typeof claimTransfer.query>;

/** An ingest; `holder` if its claim has not expired. */
export type ListedIngest = { id: string; record: IngestRecord; holder?: string };

/** Number and size of deleted ingests. */
export type ExpiredIngests = { ingests: number; bytes: number };

/** Finds committed blobs. To ask for a blob renews its grace. */
export interface BlobReader {
  locate(repository: string, digest: string): Promise<BlobPlace>;
  /** Which of these are not committed in any repository. */
  missing(digests: string[]): Promise<string[]>;
  /** Repositories that link the blob, in bytewise order. */
  repositories(digest: string, limit: number): Promise<string[]>;
}

/** Links committed blobs into repositories, all of them or none. */
export interface BlobLinker {
  /** @param from only blobs that this other repository links: a mount */
  link(repository: string, digests: string[], from?: string): Promise<void>;
  unlink(repository: string, digest: string): Promise<void>;
}

/** Makes an ingest visible as a blob. */
export interface ContentCommitter {
  /** @returns the size in bytes */
  commit(query: CommitQuery): Promise<number>;
}

/** Opens ingests, and hands out the claims to write to them: one at a time. */
export interface ContentIngester {
  startUpload(repository: string, by: string, hold: boolean): Promise<Claim>;
  claimUpload(repository: string, id: string, by: string): Promise<Claim>;
  uploadStatus(repository: string, id: string): Promise<{ offset: number; touched: number }>;
  abortUpload(repository: string, id: string): Promise<void>;
  claimTransfer(transfer: TransferQuery): Promise<Claim & { clean: boolean }>;
  renew(id: string, token: string): Promise<void>;
  release(id: string, token: string): Promise<void>;
  discard(id: string, token: string): Promise<void>;
}

/** Lists ingests, and deletes those that nobody continues. */
export interface IngestManager {
  list(limit: number): Promise<ListedIngest[]>;
  giveUp(after: Record<IngestRecord['purpose'], number>, dryRun: boolean): Promise<ExpiredIngests>;
}

/** Deletes the content that nothing needs. */
export interface ContentCollector {
  /** @throws Fault `busy` if a collection is in progress */
  collect(dryRun: boolean): Promise<Garbage>;
}

/** What writers and readers of content use. */
export interface ContentStore {
  readonly blobs: BlobReader & BlobLinker & ContentCommitter;
  readonly ingests: ContentIngester;
}

/** What maintenance uses. */
export interface ContentManager {
  readonly ingests: IngestManager;
  readonly garbage: ContentCollector;
}

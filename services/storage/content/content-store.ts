import type { Static } from '@sinclair/typebox';
import type { BlobPlace } from '#proto/content/blobs.ts';
import type { DeltaRecord } from '#proto/content/deltas.ts';
import type { Claim, claimTransfer, commitBlob, startUpload } from '#proto/content/ingests.ts';
import type { Garbage } from '#proto/content/maintenance.ts';
import type { Change } from '../metadata/batch-changes.ts';
import type { IngestRecord } from '../metadata/records.ts';

/*
 * Content: bytes on the data volume, from the first write to deletion.
 *
 *   ingest   `Ingests`: bytes being written, not visible yet; one holder of the claim at a time writes them
 *   commit   `Commits`: size and digest are checked, the file is moved into `BlobStore`, one batch makes it visible
 *   blob     `Blobs`: read-only; readers open the file themselves, repositories link it
 *   removal  by garbage collection (../maintenance), once nothing names the blob and its `Grace` has passed
 *
 * `recoverIngests` matches folders and records after a crash. `SpaceGuard` refuses ingests below the reserve, `Fence`
 * refuses changes of a coordinator whose term has ended, `ArrivingContent` gives children what is still in transfer.
 *
 * This file has the roles of a content store; a module of storage names those that it needs. A store has to pass one
 * contract: `test/storage/content/suite/content-suite.ts`. The requests are in `proto/content/blobs.ts` and
 * `ingests.ts`. Besides the faults named here, any method that writes may throw `no-space`, and any method
 * `unavailable` while storage stops.
 */

/** `hashed` is the digest that the writer computed, trusted only if one writer wrote the entire ingest. */
export type CommitQuery = Static<typeof commitBlob.query>;

/** `by` identifies the writer. */
export type StartQuery = Static<typeof startUpload.query>;

export type UploadQuery = { repository: string; id: string };

export type TransferQuery = Static<typeof claimTransfer.query>;

/** An ingest, and the token of a claim on it. */
export type HeldClaim = { id: string; claim: string };

/** An ingest; `holder` if its claim has not expired. */
export type ListedIngest = { id: string; record: IngestRecord; holder?: string };

/** Number and size of deleted ingests. */
export type ExpiredIngests = { ingests: number; bytes: number };

/** Finds committed blobs. To ask for a blob renews its grace: it stays for that time, even if nothing links it. */
export interface BlobReader {
  /**
   * Location of a blob that the repository links. Its file never changes.
   * @throws Fault `blob-unknown`; `name-unknown` if there is no such repository
   */
  locate(repository: string, digest: string): Promise<BlobPlace>;
  /** Which of these are not committed, whether or not a repository links them. */
  missing(digests: string[]): Promise<string[]>;
  /** Repositories that link the blob, at most `limit`, in bytewise order. Does not renew its grace. */
  repositories(digest: string, limit: number): Promise<string[]>;
}

/** Links committed blobs into repositories. Synced when it resolves. */
export interface BlobLinker {
  /**
   * Links all of them or none; a blob that is linked already stays so.
   * @param from only blobs that this other repository links: a mount
   * @throws Fault `blob-unknown`, with the first one that is missing in `detail.digest`
   */
  link(repository: string, digests: string[], from?: string): Promise<void>;
  /** The bytes stay until garbage collection. @throws Fault `blob-unknown`, `name-unknown` */
  unlink(repository: string, digest: string): Promise<void>;
}

/** Makes an ingest visible as a blob. */
export interface ContentCommitter {
  /**
   * Checks the bytes, and commits them in one synced batch: visible, linked in `repository` if one is named, and the
   * ingest deleted. A delta gets its record instead of a link. Content that is committed already is success, also for a
   * repeated commit whose reply was lost.
   * @returns the size in bytes
   * @throws Fault `digest-invalid`, `size-invalid`: the claim is still held, the ingest as it was
   * @throws Fault `claim-lost`: another writer has the ingest, or it was deleted
   */
  commit(query: CommitQuery): Promise<number>;
}

/** Keeps records of deltas: see ../deltas/deltas.ts. `repository`: the one that the target crosses the link for. */
export interface DeltaKeeper {
  /** Writes the record in one synced batch with `changes`, which commit the content. The caller has the blob's lock. */
  keep(
    content: { digest: string; size: number },
    delta: DeltaRecord,
    repository: string | undefined,
    changes: Change[],
  ): Promise<void>;
  /** Writes the record of content that is committed already. No-op if it has one, or is not this delta. */
  keepCommitted(digest: string, delta: DeltaRecord, repository: string | undefined): Promise<void>;
}

/** Opens ingests, and hands out the claims to write to them: one at a time. */
export interface ContentIngester {
  /**
   * Opens an upload; with `hold`, `by` holds its claim. Otherwise the claim is idle: `by` may resume it on the volume,
   * and anyone may claim the upload.
   * @throws Fault `too-many` open uploads; `no-space` below the reserve
   */
  startUpload(query: StartQuery): Promise<Claim>;
  /**
   * Claims an upload to continue at `offset`. A claim that is idle ends.
   * @throws Fault `upload-unknown`; `busy` if another writer holds it or commits it; `no-space` below the reserve
   */
  claimUpload(query: UploadQuery & { by: string }): Promise<Claim>;
  /** Size so far in bytes, and last activity in ms since 1970. @throws Fault `upload-unknown` */
  uploadStatus(query: UploadQuery): Promise<{ offset: number; touched: number }>;
  /** Deletes the upload, even if a writer holds it. @throws Fault `upload-unknown` */
  abortUpload(query: UploadQuery): Promise<void>;
  /**
   * Claims the one ingest of a blob that crosses the link, and creates it at first. Unless `clean`, verify its bytes
   * before use.
   * @throws Fault `exists` if the blob is committed; `busy` if another writer holds or commits it
   * @throws Fault `no-space` below the reserve
   */
  claimTransfer(query: TransferQuery): Promise<Claim & { clean: boolean }>;
  /** Extends the claim. One that has expired is valid until it is taken over. @throws Fault `claim-lost` */
  renew(held: HeldClaim): Promise<void>;
  /** Ends the claim in good order: the ingest stays, all of it written. @throws Fault `claim-lost` */
  release(held: HeldClaim): Promise<void>;
  /** Deletes the ingest and its bytes. @throws Fault `claim-lost` */
  discard(held: HeldClaim): Promise<void>;
}

/** Lists ingests, and deletes those that nobody continues. */
export interface IngestManager {
  /** At most `limit`. */
  list(limit: number): Promise<ListedIngest[]>;
  /**
   * Deletes the ingests that nobody holds and that have been idle for the time of their purpose.
   * @param after min idle time by purpose, in ms
   * @param dryRun counts them only
   */
  giveUp(after: Record<IngestRecord['purpose'], number>, dryRun: boolean): Promise<ExpiredIngests>;
}

/** Deletes the content that nothing needs. */
export interface ContentCollector {
  /**
   * @param dryRun counts it only
   * @throws Fault `busy` if a collection is in progress; `unavailable` if it was aborted
   */
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

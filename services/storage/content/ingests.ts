import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Claim } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { IngestRecord } from '../metadata/records.ts';
import type { ClaimedIngest, Commits } from './commit.ts';
import type {
  ContentIngester,
  DeltaKeeper,
  ExpiredIngests,
  HeldClaim,
  IngestManager,
  ListedIngest,
  StartQuery,
  TransferQuery,
  UploadQuery,
} from './content-store.ts';
import type { Grace } from './grace.ts';
import { IngestClaims } from './ingest-claims.ts';
import { IngestFolders, transferId } from './ingest-folders.ts';
import { recoverIngests } from './ingest-recovery.ts';
import { OpenUploads } from './open-uploads.ts';
import type { SpaceGuard } from './space-guard.ts';
import { Uploads } from './uploads.ts';

export type IngestDeps = {
  metadata: Metadata;
  commits: Commits;
  locks: KeyedLock;
  grace: Grace;
  space: SpaceGuard;
  deltas: Pick<DeltaKeeper, 'keepCommitted'>;
  now: () => number;
};

/**
 * Uploads and transfers, and the claims to write to them. Each has a folder and a record. Records are not synced: after
 * a power cut, one may be missing or outdated. Promises and faults of the methods: see the roles in content-store.ts.
 */
export class Ingests implements ContentIngester, IngestManager {
  readonly #folders: IngestFolders;
  readonly #deps: IngestDeps;
  readonly #claims: IngestClaims;
  readonly #uploads: Uploads;
  readonly #open: OpenUploads;

  constructor(data: string, deps: IngestDeps, open = new OpenUploads()) {
    this.#folders = new IngestFolders(data);
    this.#deps = deps;
    this.#open = open;
    const folders = this.#folders;
    this.#claims = new IngestClaims({ ...deps, folders, open });
    this.#uploads = new Uploads({ ...deps, folders, claims: this.#claims, open });
  }

  /** Call before any request is served. */
  recover(): Promise<void> {
    const { metadata, commits, now } = this.#deps;
    return recoverIngests({ metadata, commits, folders: this.#folders, open: this.#open, now });
  }

  startUpload(query: StartQuery): Promise<Claim> {
    return this.#uploads.start(query);
  }

  claimUpload(query: UploadQuery & { by: string }): Promise<Claim> {
    return this.#uploads.claim(query);
  }

  uploadStatus(query: UploadQuery): Promise<{ offset: number; touched: number }> {
    return this.#uploads.status(query);
  }

  abortUpload(query: UploadQuery): Promise<void> {
    return this.#uploads.abort(query);
  }

  async claimTransfer(query: TransferQuery): Promise<Claim & { clean: boolean }> {
    const { digest, size, by, repository, delta } = query;
    const { metadata, commits, grace, space, deltas, now } = this.#deps;
    const claims = this.#claims;
    const folders = this.#folders;
    const id = transferId(digest);
    claims.mustNotCommit(id);
    await grace.renew(digest);
    return claims.run(id, async () => {
      let record = await metadata.ingest(id);
      if (await commits.present(digest)) {
        if (delta) await deltas.keepCommitted(digest, delta, repository);
        // A holder that still transfers it can stop: its next renewal fails with `claim-lost`.
        if (record) await claims.remove(id);
        throw new Fault('exists', `${digest} is already committed: link it`, { detail: { digest } });
      }
      if (record) claims.mustBeFree(id, record);
      await space.mustHaveRoom();
      const fresh = { purpose: 'transfer' as const, digest, size, touched: now(), writers: [] };
      // The bytes belong to content of another size. An old writer may still open the folder by its name.
      if (record?.size !== undefined && record.size !== size) {
        const unclean = record.unclean || record.claim !== undefined;
        await claims.remove(id);
        record = { ...fresh, unclean };
      }
      const existed = await folders.make(id);
      record ??= { ...fresh, unclean: existed };
      if ((await folders.offset(id)) > size) {
        await folders.remove(id);
        await folders.make(id);
      }
      const claim = await claims.grant(id, { ...recordFor(record, query), size }, by);
      return { ...claim, clean: !record.unclean && record.claim === undefined };
    });
  }

  renew(held: HeldClaim): Promise<void> {
    return this.#claims.renew(held);
  }

  release(held: HeldClaim): Promise<void> {
    return this.#claims.release(held);
  }

  discard(held: HeldClaim): Promise<void> {
    return this.#claims.discard(held);
  }

  /**
   * Runs a commit. When `work` resolves, its batch has made the content visible and deleted the ingest's record. If it
   * throws, the claim is still held, and its TTL starts again.
   */
  commit<T>(held: HeldClaim, work: (ingest: ClaimedIngest) => Promise<T>): Promise<T> {
    return this.#claims.commit(held, work);
  }

  async list(limit: number): Promise<ListedIngest[]> {
    const entries: ListedIngest[] = [];
    for await (const [id, record] of this.#deps.metadata.ingests()) {
      if (entries.length === limit) break;
      const holder = this.#claims.isFree(record) ? undefined : record.claim?.by;
      entries.push({ id, record, ...(holder !== undefined && { holder }) });
    }
    return entries;
  }

  async giveUp(after: AbandonedAfter, dryRun: boolean): Promise<ExpiredIngests> {
    const { metadata, now } = this.#deps;
    const total = { ingests: 0, bytes: 0 };
    const isExpired = (record: IngestRecord) =>
      this.#claims.isFree(record) && record.touched + abandonedMs(record, after) <= now();
    for await (const [id, seen] of metadata.ingests()) {
      if (!isExpired(seen)) continue;
      const bytes = await this.#claims.giveUp(id, isExpired, dryRun);
      if (bytes === undefined) continue;
      total.ingests += 1;
      total.bytes += bytes;
    }
    return total;
  }
}

/** Time after the last activity of a holder after which an ingest is abandoned, by purpose, in ms. */
export type AbandonedAfter = Record<IngestRecord['purpose'], number>;

/** The same of an upload that nobody can continue when its holder has ended; renewals are far more frequent. */
const MAX_ALONE_MS = 60_000;

export const abandonedMs = ({ purpose, alone }: IngestRecord, after: AbandonedAfter): number =>
  alone ? Math.min(after[purpose], MAX_ALONE_MS) : after[purpose];

/** The latest request decides what the content is and for which repository; one without both changes nothing. */
function recordFor(record: IngestRecord, { repository, part, delta }: TransferQuery): IngestRecord {
  if (repository === undefined && !delta) return record;
  const { part: _part, delta: _delta, ...rest } = record;
  return {
    ...rest,
    ...(repository !== undefined && { repository, ...(part && { part }) }),
    ...(delta && { delta }),
  };
}

import { randomBytes } from 'node:crypto';
import type { Static } from '@sinclair/typebox';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { CLAIM_TTL_MS, type Claim, type claimTransfer } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { currentCaller, uploaderOf } from '../audit/caller-context.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';
import type { IngestRecord } from '../metadata/records.ts';
import { ClaimRules } from './claim-rules.ts';
import type { Commits, Held } from './commit.ts';
import type { Grace } from './grace.ts';
import { IngestFolders, isUploadId, newUploadId, transferId } from './ingest-folders.ts';
import { recoverIngests } from './ingest-recovery.ts';
import { idleUploads, OpenUploads, type Owner } from './open-uploads.ts';
import type { SpaceGuard } from './space.ts';

export type IngestDeps = {
  metadata: Metadata;
  commits: Commits;
  locks: KeyedLock;
  grace: Grace;
  space: SpaceGuard;
  now: () => number;
};
export type ExpiredIngests = { ingests: number; bytes: number };
export type Transfer = Static<typeof claimTransfer.query>;
export type Entry = { id: string; record: IngestRecord; holder?: string };

/**
 * Uploads and transfers, and the claims to write to them. Each has a folder and a record. Records are not synced: after
 * a power cut, one may be missing or outdated. Faults: see `proto/content/ingests.ts`.
 */
export class Ingests {
  readonly #folders: IngestFolders;
  readonly #metadata: Metadata;
  readonly #commits: Commits;
  readonly #locks: KeyedLock;
  readonly #grace: Grace;
  readonly #space: SpaceGuard;
  readonly #now: () => number;
  readonly #claims: ClaimRules;
  readonly #open: OpenUploads;
  /** Ingests being committed, with the token of the claim: a commit in progress counts as renewal. */
  readonly #committing = new Map<string, string>();

  constructor(data: string, deps: IngestDeps, open = new OpenUploads()) {
    const { metadata, commits, locks, grace, space, now } = deps;
    this.#folders = new IngestFolders(data);
    this.#metadata = metadata;
    this.#commits = commits;
    this.#locks = locks;
    this.#grace = grace;
    this.#space = space;
    this.#now = now;
    this.#claims = new ClaimRules(now);
    this.#open = open;
  }

  /** Call before any request is served. */
  recover(): Promise<void> {
    return recoverIngests({
      metadata: this.#metadata,
      commits: this.#commits,
      folders: this.#folders,
      open: this.#open,
      now: this.#now,
    });
  }

  async startUpload(repository: string, by: string, hold: boolean): Promise<Claim> {
    await this.#space.mustHaveRoom();
    await this.#grace.renew(repository);
    const id = newUploadId();
    const account = uploaderOf(currentCaller());
    await this.#register(id, { account, repository });
    const record: IngestRecord = {
      purpose: 'upload',
      repository,
      ...(account !== '' && { account }),
      touched: this.#now(),
      writers: [],
      unclean: false,
    };
    try {
      await this.#folders.make(id);
      if (hold) return await this.#grant(id, record, by);
      await this.#metadata.note(put.ingest(id, record));
    } catch (error) {
      this.#open.delete(id);
      throw error;
    }
    return { id, claim: '', path: this.#folders.path(id), offset: 0 };
  }

  /** If too many uploads are open, deletes idle ones first. @throws Fault `too-many` */
  async #register(id: string, owner: Owner): Promise<void> {
    const reached = this.#open.reached(owner);
    if (reached) {
      await this.#open.evictIdle(owner, this.#now(), async () => {
        const idle = await idleUploads(reached.ids, this.#metadata, this.#folders, this.#now());
        for (const one of idle)
          await this.#giveUpOne(one, (record) => this.#claims.left(record) === 0, false);
      });
    }
    // Check again, as others may have registered in the meantime. No await between this check and `add`.
    const stillReached = this.#open.reached(owner);
    if (stillReached) throw this.#open.tooMany(owner, stillReached);
    this.#open.add(id, owner);
  }

  async claimUpload(repository: string, id: string, by: string): Promise<Claim> {
    this.#mustNotCommit(id);
    await this.#grace.renew(repository);
    return this.#locks.run(`ingest ${id}`, async () => {
      const record = await this.#upload(repository, id);
      this.#claims.mustBeFree(id, record);
      await this.#space.mustHaveRoom();
      return this.#grant(id, record, by);
    });
  }

  async uploadStatus(repository: string, id: string): Promise<{ offset: number; touched: number }> {
    const { touched } = await this.#upload(repository, id);
    return { offset: await this.#folders.offset(id), touched };
  }

  async abortUpload(repository: string, id: string): Promise<void> {
    await this.#locks.run(`ingest ${id}`, async () => {
      await this.#upload(repository, id);
      await this.#remove(id);
    });
  }

  async claimTransfer({ digest, size, by, repository, part }: Transfer): Promise<Claim & { clean: boolean }> {
    const id = transferId(digest);
    this.#mustNotCommit(id);
    await this.#grace.renew(digest);
    return this.#locks.run(`ingest ${id}`, async () => {
      let record = await this.#metadata.ingest(id);
      if (await this.#commits.present(digest)) {
        // A holder that still transfers it can stop: its next renewal fails with `claim-lost`.
        if (record) await this.#remove(id);
        throw new Fault('exists', `${digest} is already committed: link it`, { detail: { digest } });
      }
      if (record) this.#claims.mustBeFree(id, record);
      await this.#space.mustHaveRoom();
      const fresh = { purpose: 'transfer' as const, digest, size, touched: this.#now(), writers: [] };
      // The bytes belong to content of another size. An old writer may still open the folder by its name.
      if (record?.size !== undefined && record.size !== size) {
        const unclean = record.unclean || record.claim !== undefined;
        await this.#remove(id);
        record = { ...fresh, unclean };
      }
      const existed = await this.#folders.make(id);
      record ??= { ...fresh, unclean: existed };
      if ((await this.#folders.offset(id)) > size) {
        await this.#folders.remove(id);
        await this.#folders.make(id);
      }
      // The latest request decides which repository it is for.
      const { part: _, ...rest } = record;
      const updated = repository === undefined ? record : { ...rest, repository, ...(part && { part }) };
      const claim = await this.#grant(id, { ...updated, size }, by);
      return { ...claim, clean: !record.unclean && record.claim === undefined };
    });
  }

  async renew(id: string, token: string): Promise<void> {
    if (this.#committing.get(id) === token) return;
    await this.#locks.run(`ingest ${id}`, async () => this.#touch(id, await this.#mustHold(id, token)));
  }

  async release(id: string, token: string): Promise<void> {
    await this.#locks.run(`ingest ${id}`, async () => {
      const { claim: _, ...record } = await this.#mustHold(id, token);
      await this.#metadata.note(put.ingest(id, { ...record, touched: this.#now() }));
    });
  }

  async discard(id: string, token: string): Promise<void> {
    await this.#locks.run(`ingest ${id}`, async () => {
      await this.#mustHold(id, token);
      await this.#remove(id);
    });
  }

  /**
   * Runs a commit. When `work` resolves, its batch has made the content visible and deleted the ingest's record. If it
   * throws, the claim is still held, and its TTL starts again.
   */
  async commit<T>(id: string, token: string, work: (held: Held) => Promise<T>): Promise<T> {
    return this.#locks.run(`ingest ${id}`, async () => {
      const record = await this.#mustHold(id, token);
      this.#committing.set(id, token);
      try {
        const done = await work({ id, folder: this.#folders.folder(id), record });
        this.#open.delete(id);
        // The content is visible, so this must not fail: the next start deletes a leftover folder.
        await this.#folders.remove(id).catch(() => {});
        return done;
      } catch (error) {
        const current = await this.#metadata.ingest(id).catch(() => undefined);
        // A later fsync of the file does not report what this one failed to write: the next commit makes a copy.
        const isWriteLost = (error as NodeJS.ErrnoException).code === 'EIO';
        if (current)
          await this.#touch(id, { ...current, unclean: current.unclean || isWriteLost }).catch(() => {});
        throw error;
      } finally {
        this.#committing.delete(id);
      }
    });
  }

  /** At most `limit` ingests. */
  async list(limit: number): Promise<Entry[]> {
    const entries: Entry[] = [];
    for await (const [id, record] of this.#metadata.ingests()) {
      if (entries.length === limit) break;
      const holder = this.#claims.left(record) > 0 ? record.claim?.by : undefined;
      entries.push({ id, record, ...(holder !== undefined && { holder }) });
    }
    return entries;
  }

  /**
   * Deletes ingests that nobody holds and that have been idle for the time of their purpose.
   * @param after min idle time by purpose, in ms
   * @param dryRun counts them only
   * @returns their number and bytes
   */
  async giveUp(after: Record<IngestRecord['purpose'], number>, dryRun: boolean): Promise<ExpiredIngests> {
    const total = { ingests: 0, bytes: 0 };
    const isExpired = (record: IngestRecord) =>
      this.#claims.left(record) === 0 && record.touched + after[record.purpose] <= this.#now();
    for await (const [id, seen] of this.#metadata.ingests()) {
      if (!isExpired(seen)) continue;
      const bytes = await this.#giveUpOne(id, isExpired, dryRun);
      if (bytes === undefined) continue;
      total.ingests += 1;
      total.bytes += bytes;
    }
    return total;
  }

  /** @returns the size in bytes; undefined if the ingest has not expired after all */
  async #giveUpOne(id: string, isExpired: (record: IngestRecord) => boolean, dryRun: boolean) {
    if (this.#committing.has(id)) return undefined;
    return this.#locks.run(`ingest ${id}`, async () => {
      const record = await this.#metadata.ingest(id);
      if (!record || !isExpired(record)) return undefined;
      const bytes = await this.#folders.offset(id);
      if (!dryRun) await this.#remove(id);
      return bytes;
    });
  }

  // ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Grants the claim to `by`. Taking over an expired claim that was not released marks the ingest as unclean. */
  async #grant(id: string, record: IngestRecord, by: string): Promise<Claim> {
    const now = this.#now();
    const token = randomBytes(16).toString('hex');
    const next = {
      ...record,
      touched: now,
      writers: [...new Set([...record.writers, by])].slice(0, 2),
      unclean: record.unclean || record.claim !== undefined,
      claim: { token, by, until: now + CLAIM_TTL_MS },
    };
    await this.#metadata.note(put.ingest(id, next));
    return { id, claim: token, path: this.#folders.path(id), offset: await this.#folders.offset(id) };
  }

  #mustNotCommit(id: string): void {
    if (this.#committing.has(id)) this.#claims.busy(id, 'a commit in progress', CLAIM_TTL_MS);
  }

  /** An expired claim is valid until it is taken over: nobody else has written. @throws Fault `claim-lost` */
  async #mustHold(id: string, token: string): Promise<IngestRecord> {
    const record = await this.#metadata.ingest(id);
    if (record?.claim && record.claim.token === token) return record;
    throw new Fault('claim-lost', `the claim on ${id} expired or was taken over: stop writing`);
  }

  async #touch(id: string, record: IngestRecord): Promise<void> {
    const now = this.#now();
    const claim = record.claim && { ...record.claim, until: now + CLAIM_TTL_MS };
    await this.#metadata.note(put.ingest(id, { ...record, touched: now, ...(claim && { claim }) }));
  }

  async #upload(repository: string, id: string): Promise<IngestRecord> {
    const record = isUploadId(id) ? await this.#metadata.ingest(id) : undefined;
    if (record?.repository === repository) return record;
    throw new Fault('upload-unknown', `repository ${repository} has no upload ${id}: start a new one`);
  }

  /** Folder before record: a start drops a record without a folder, but might adopt a folder without a record. */
  async #remove(id: string): Promise<void> {
    await this.#folders.remove(id);
    await this.#metadata.note(drop.ingest(id));
    this.#open.delete(id);
  }
}

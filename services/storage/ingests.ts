import { randomBytes } from 'node:crypto';
import type { Static } from '@sinclair/typebox';
import { Fault } from '#proto/fault.ts';
import { CLAIM_RENEW_MS, CLAIM_TTL_MS, type Claim, type claimTransfer } from '#proto/ingests.ts';
import type { KeyedLock } from '#proto/keyed-lock.ts';
import { isDigest } from '#proto/names.ts';
import type { Commits, Held } from './commit.ts';
import type { Grace } from './grace.ts';
import { digestOfTransfer, IngestFolders, isUploadId, newUploadId, transferId } from './ingest-folders.ts';
import { drop, type Metadata, put } from './metadata.ts';
import type { IngestRecord } from './records.ts';
import type { SpaceGuard } from './space.ts';

export type IngestParts = {
  metadata: Metadata;
  commits: Commits;
  locks: KeyedLock;
  grace: Grace;
  space: SpaceGuard;
  now: () => number;
};
export type Given = { ingests: number; bytes: number };
export type Transfer = Static<typeof claimTransfer.query>;
export type Entry = { id: string; record: IngestRecord; holder?: string };

/**
 * Uploads and transfers, and who may write into them. Each has a folder and a record; the record is not synced, so
 * after a power cut it may be missing or old.
 */
export class Ingests {
  readonly #folders: IngestFolders;
  readonly #metadata: Metadata;
  readonly #commits: Commits;
  readonly #locks: KeyedLock;
  readonly #grace: Grace;
  readonly #space: SpaceGuard;
  readonly #now: () => number;
  readonly #started: number;
  /** Ingests being committed, and under which claim: the commit is its holder's sign of life. */
  readonly #committing = new Map<string, string>();

  constructor(data: string, parts: IngestParts) {
    const { metadata, commits, locks, grace, space, now } = parts;
    this.#folders = new IngestFolders(data);
    this.#metadata = metadata;
    this.#commits = commits;
    this.#locks = locks;
    this.#grace = grace;
    this.#space = space;
    this.#now = now;
    this.#started = now();
  }

  /** Brings folders and records together again, before anything is served. */
  async recover(): Promise<void> {
    const { afterReboot } = this.#metadata;
    const folders = new Set(await this.#folders.all());
    for await (const [id, record] of this.#metadata.ingests()) {
      const { placing, ...rest } = record;
      const { digest } = record;
      if (!folders.delete(id)) {
        await this.#metadata.note(drop.ingest(id));
        continue;
      }
      if (placing !== undefined) await this.#commits.undo(this.#folders.folder(id), placing);
      if (digest !== undefined && (await this.#metadata.blob(digest))) await this.#throwAway(id);
      else if (placing !== undefined || afterReboot) {
        // After a reboot, both record and bytes may be older than what the last writer believed.
        await this.#metadata.note(put.ingest(id, { ...rest, unclean: rest.unclean || afterReboot }));
      }
    }
    for (const name of folders) {
      const digest = digestOfTransfer(name);
      // A transfer's folder says what it is for.
      if (isDigest(digest) && !(await this.#commits.present(digest))) {
        const found = { purpose: 'transfer' as const, digest, touched: this.#now(), writers: [] };
        await this.#metadata.note(put.ingest(name, { ...found, unclean: true }));
      } else await this.#folders.remove(name);
    }
  }

  async startUpload(repository: string, by: string, hold: boolean): Promise<Claim> {
    await this.#space.mustHaveRoom();
    await this.#grace.renew(repository);
    const id = newUploadId();
    await this.#folders.make(id);
    const record: IngestRecord = {
      purpose: 'upload',
      repository,
      touched: this.#now(),
      writers: [],
      unclean: false,
    };
    if (hold) return this.#grant(id, record, by);
    await this.#metadata.note(put.ingest(id, record));
    return { id, claim: '', path: this.#folders.path(id), offset: 0 };
  }

  async claimUpload(repository: string, id: string, by: string): Promise<Claim> {
    this.#mustNotCommit(id);
    await this.#grace.renew(repository);
    return this.#locks.run(`ingest ${id}`, async () => {
      const record = await this.#upload(repository, id);
      this.#mustBeFree(id, record);
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
      await this.#throwAway(id);
    });
  }

  async claimTransfer({ digest, size, by, repository, part }: Transfer): Promise<Claim & { clean: boolean }> {
    const id = transferId(digest);
    this.#mustNotCommit(id);
    await this.#grace.renew(digest);
    return this.#locks.run(`ingest ${id}`, async () => {
      let record = await this.#metadata.ingest(id);
      if (await this.#commits.present(digest)) {
        // Whoever still brings it can stop: its next sign of life tells.
        if (record) await this.#throwAway(id);
        throw new Fault('exists', `${digest} is committed already: link it`, { detail: { digest } });
      }
      if (record) this.#mustBeFree(id, record);
      await this.#space.mustHaveRoom();
      const fresh = { purpose: 'transfer' as const, digest, size, touched: this.#now(), writers: [] };
      // Other bytes than the ones asked for now. An old writer may still come back to the folder's name.
      if (record?.size !== undefined && record.size !== size) {
        const unclean = record.unclean || record.claim !== undefined;
        await this.#throwAway(id);
        record = { ...fresh, unclean };
      }
      const existed = await this.#folders.make(id);
      record ??= { ...fresh, unclean: existed };
      if ((await this.#folders.offset(id)) > size) {
        await this.#folders.remove(id);
        await this.#folders.make(id);
      }
      // For whom it comes now.
      const { part: _, ...rest } = record;
      const asked = repository === undefined ? record : { ...rest, repository, ...(part && { part }) };
      const claim = await this.#grant(id, { ...asked, size }, by);
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
      await this.#throwAway(id);
    });
  }

  /**
   * Runs a commit. `work` returns when the ingest's record is gone with the batch that made the content visible;
   * where it throws, the claim is held as before, and its time begins anew.
   */
  async commit<T>(id: string, token: string, work: (held: Held) => Promise<T>): Promise<T> {
    return this.#locks.run(`ingest ${id}`, async () => {
      const record = await this.#mustHold(id, token);
      this.#committing.set(id, token);
      try {
        const done = await work({ id, folder: this.#folders.folder(id), record });
        // Visible is visible: what is left of the folder goes at the next start.
        await this.#folders.remove(id).catch(() => {});
        return done;
      } catch (error) {
        const now = await this.#metadata.ingest(id).catch(() => undefined);
        // What an fsync failed to bring to the disk, no later one of that file tells of: a copy is made next time.
        const lost = (error as NodeJS.ErrnoException).code === 'EIO';
        if (now) await this.#touch(id, { ...now, unclean: now.unclean || lost }).catch(() => {});
        throw error;
      } finally {
        this.#committing.delete(id);
      }
    });
  }

  /** At most `limit` of them. */
  async list(limit: number): Promise<Entry[]> {
    const found: Entry[] = [];
    for await (const [id, record] of this.#metadata.ingests()) {
      if (found.length === limit) break;
      const holder = this.#left(record) > 0 ? record.claim?.by : undefined;
      found.push({ id, record, ...(holder !== undefined && { holder }) });
    }
    return found;
  }

  /** Gives up what nobody holds, and nobody has gone on with for so long, in ms. @returns their number and bytes */
  async giveUp(after: Record<IngestRecord['purpose'], number>, dryRun: boolean): Promise<Given> {
    const given = { ingests: 0, bytes: 0 };
    const over = (record: IngestRecord) =>
      this.#left(record) === 0 && record.touched + after[record.purpose] <= this.#now();
    for await (const [id, seen] of this.#metadata.ingests()) {
      if (this.#committing.has(id) || !over(seen)) continue;
      await this.#locks.run(`ingest ${id}`, async () => {
        const record = await this.#metadata.ingest(id);
        if (!record || !over(record)) return;
        given.ingests += 1;
        given.bytes += await this.#folders.offset(id);
        if (!dryRun) await this.#throwAway(id);
      });
    }
    return given;
  }

  // ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Gives the claim to `by`. One that was neither released nor alive is taken over, which leaves its mark. */
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

  /**
   * How long the ingest is held yet, in ms. A claim may have run out while storage was away: its holder gets the time
   * of two renewals to say so. An end further off than any claim's was set before the clock went back: it is none.
   */
  #left({ claim }: IngestRecord): number {
    if (!claim) return 0;
    const now = this.#now();
    const ends = [claim.until - now, this.#started + 2 * CLAIM_RENEW_MS - now];
    return Math.max(0, ...ends.filter((left) => left <= CLAIM_TTL_MS));
  }

  #mustBeFree(id: string, record: IngestRecord): void {
    const left = this.#left(record);
    if (record.claim && left > 0) this.#busy(id, record.claim.by, left);
  }

  #mustNotCommit(id: string): void {
    if (this.#committing.has(id)) this.#busy(id, 'its holder, who commits it,', CLAIM_TTL_MS);
  }

  #busy(id: string, by: string, left: number): never {
    const until = this.#now() + left;
    throw new Fault('busy', `${id} is held by ${by} until ${new Date(until).toISOString()}`, {
      detail: { until },
    });
  }

  /** A claim past its time is good until somebody takes it over: nobody else has written. */
  async #mustHold(id: string, token: string): Promise<IngestRecord> {
    const record = await this.#metadata.ingest(id);
    if (record?.claim && record.claim.token === token) return record;
    throw new Fault('claim-lost', `the claim on ${id} ended or went to another holder: stop writing`);
  }

  async #touch(id: string, record: IngestRecord): Promise<void> {
    const now = this.#now();
    const claim = record.claim && { ...record.claim, until: now + CLAIM_TTL_MS };
    await this.#metadata.note(put.ingest(id, { ...record, touched: now, ...(claim && { claim }) }));
  }

  async #upload(repository: string, id: string): Promise<IngestRecord> {
    const record = isUploadId(id) ? await this.#metadata.ingest(id) : undefined;
    if (record?.repository === repository) return record;
    throw new Fault('upload-unknown', `repository ${repository} has no upload ${id}: begin a new one`);
  }

  /** The folder first: a record without one is dropped at the next start, but a folder might be adopted. */
  async #throwAway(id: string): Promise<void> {
    await this.#folders.remove(id);
    await this.#metadata.note(drop.ingest(id));
  }
}

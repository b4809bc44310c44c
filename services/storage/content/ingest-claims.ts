import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { CLAIM_TTL_MS, type Claim } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { randomHex } from '#proto/contract/random-hex.ts';
import type { ClaimState } from '#proto/volume/claim-files.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';
import type { IngestRecord } from '../metadata/records.ts';
import { ClaimRules } from './claim-rules.ts';
import type { ClaimedIngest } from './commit.ts';
import type { HeldClaim } from './content-store.ts';
import type { IngestFolders } from './ingest-folders.ts';
import type { OpenUploads } from './open-uploads.ts';

export type ClaimDeps = {
  metadata: Metadata;
  folders: IngestFolders;
  open: OpenUploads;
  locks: KeyedLock;
  now: () => number;
};

/** Claims to write to ingests, from their grant to the commit or the removal of the ingest. */
export class IngestClaims {
  readonly #deps: ClaimDeps;
  readonly #rules: ClaimRules;
  /** Ingests being committed, with the token of the claim: a commit in progress counts as renewal. */
  readonly #committing = new Map<string, string>();

  constructor(deps: ClaimDeps) {
    this.#deps = deps;
    this.#rules = new ClaimRules(deps.now);
  }

  /** Runs `work` with the lock of the ingest. */
  run<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#deps.locks.run(`ingest ${id}`, work);
  }

  /** Grants the claim to `by`. Taking over an expired claim that was not released marks the ingest as unclean. */
  grant(id: string, record: IngestRecord, by: string): Promise<Claim> {
    return this.#grant(id, record, by, randomHex());
  }

  /** Grants the claim on a new upload, without bytes, to `by`; idle unless it is for `hold`. */
  async grantNew(id: string, record: IngestRecord, by: string, hold: boolean): Promise<Claim> {
    const token = randomHex();
    await this.#deps.folders.makeUpload(id, hold ? undefined : { token, state: 'idle' });
    return this.#grant(id, record, by, token, 0);
  }

  /**
   * Grants an active claim on an upload to `by`, if nobody holds it. An idle claim ends in good order: its holder
   * resumes it before it writes again, and does not find it any more.
   * @throws Fault `busy`
   */
  async grantUpload(id: string, record: IngestRecord, by: string): Promise<Claim> {
    const { folders } = this.#deps;
    const { claim: previous, ...released } = record;
    const [token, last] = [randomHex(), previous?.token];
    const takeOver = async (state: ClaimState['state']) =>
      last !== undefined &&
      (await folders.changeClaim(id, { token: last, state }, { token, state: 'active' }));
    if (await takeOver('idle')) return this.#grant(id, released, by, token);
    this.mustBeFree(id, record);
    if (!(await takeOver('active'))) await folders.createClaim(id, { token, state: 'active' });
    return this.#grant(id, record, by, token);
  }

  async #grant(
    id: string,
    record: IngestRecord,
    by: string,
    token: string,
    knownOffset?: number,
  ): Promise<Claim> {
    const { metadata, folders } = this.#deps;
    const offset = knownOffset ?? (await folders.offset(id));
    const unclean = record.unclean || record.claim !== undefined;
    const now = this.#deps.now();
    const next = {
      ...record,
      touched: now,
      // Earlier holders of a clean ingest without bytes have written nothing.
      writers: offset === 0 && !unclean ? [by] : [...new Set([...record.writers, by])].slice(0, 2),
      unclean,
      claim: { token, by, until: now + CLAIM_TTL_MS },
    };
    await metadata.writeUnsynced(put.ingest(id, next));
    return { id, claim: token, path: folders.path(id), offset };
  }

  /** Nobody has the claim, or it has expired. One that is idle is not free before that. */
  isFree(record: IngestRecord): boolean {
    return this.#rules.left(record) === 0;
  }

  /** @throws Fault `busy` */
  mustBeFree(id: string, record: IngestRecord): void {
    this.#rules.mustBeFree(id, record);
  }

  /** @throws Fault `busy` while the ingest is committed */
  mustNotCommit(id: string): void {
    if (this.#committing.has(id)) this.#rules.busy(id, 'a commit in progress', CLAIM_TTL_MS);
  }

  async renew({ id, claim }: HeldClaim): Promise<void> {
    if (this.#committing.get(id) === claim) return;
    await this.run(id, async () => this.#touch(id, await this.#mustHold({ id, claim })));
  }

  async release(held: HeldClaim): Promise<void> {
    const { metadata, folders, now } = this.#deps;
    await this.run(held.id, async () => {
      const { claim: _, ...record } = await this.#mustHold(held);
      await metadata.writeUnsynced(put.ingest(held.id, { ...record, touched: now() }));
      if (record.purpose === 'upload') {
        await folders.removeClaim(held.id, { token: held.claim, state: 'active' });
      }
    });
  }

  async discard(held: HeldClaim): Promise<void> {
    await this.run(held.id, async () => {
      await this.#mustHold(held);
      await this.remove(held.id);
    });
  }

  /**
   * Runs a commit. When `work` resolves, its batch has made the content visible and deleted the ingest's record. If it
   * throws, the claim is still held, and its TTL starts again.
   */
  async commit<T>({ id, claim }: HeldClaim, work: (ingest: ClaimedIngest) => Promise<T>): Promise<T> {
    const { metadata, folders, open } = this.#deps;
    return this.run(id, async () => {
      const record = await this.#mustHold({ id, claim });
      this.#committing.set(id, claim);
      try {
        const done = await work({ id, folder: folders.folder(id), record });
        open.delete(id);
        // The content is visible, so this must not fail: the next start deletes a leftover folder.
        await this.#leaveFolder(id, record, claim).catch(() => {});
        return done;
      } catch (error) {
        const current = await metadata.ingest(id).catch(() => undefined);
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

  async #leaveFolder(id: string, { purpose, unclean, writers }: IngestRecord, claim: string): Promise<void> {
    const { folders } = this.#deps;
    const released = !unclean && writers.length <= 1;
    if (purpose === 'upload' && released && folders.keepEmptied(id, claim)) return;
    await folders.removeEmptied(id, purpose === 'upload' ? claim : undefined);
  }

  /** @returns the size in bytes; undefined if the ingest has not expired after all */
  async giveUp(
    id: string,
    isExpired: (record: IngestRecord) => boolean,
    dryRun: boolean,
  ): Promise<number | undefined> {
    if (this.#committing.has(id)) return undefined;
    const { metadata, folders } = this.#deps;
    return this.run(id, async () => {
      const record = await metadata.ingest(id);
      if (!record || !isExpired(record)) return undefined;
      const bytes = await folders.offset(id);
      if (!dryRun) await this.remove(id);
      return bytes;
    });
  }

  /** Folder before record: a start drops a record without a folder, but might adopt a folder without a record. */
  async remove(id: string): Promise<void> {
    const { metadata, folders, open } = this.#deps;
    await folders.remove(id);
    await metadata.writeUnsynced(drop.ingest(id));
    open.delete(id);
  }

  /** An expired claim is valid until it is taken over: nobody else has written. @throws Fault `claim-lost` */
  async #mustHold({ id, claim }: HeldClaim): Promise<IngestRecord> {
    const record = await this.#deps.metadata.ingest(id);
    if (record?.claim && record.claim.token === claim) return record;
    throw new Fault('claim-lost', `the claim on ${id} expired or was taken over: stop writing`);
  }

  async #touch(id: string, record: IngestRecord): Promise<void> {
    const now = this.#deps.now();
    const claim = record.claim && { ...record.claim, until: now + CLAIM_TTL_MS };
    await this.#deps.metadata.writeUnsynced(
      put.ingest(id, { ...record, touched: now, ...(claim && { claim }) }),
    );
  }
}
